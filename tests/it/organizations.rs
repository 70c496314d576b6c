//! Organizations: the way to the service, and who may use it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use kube::api::ListParams;
use pulumi_cloud_simulator::Fault;
use pulumi_deployments_operator::api::{
    ConditionStatus, Deployment, Organization, StackDeploymentSettings,
    condition::{find, types},
    deployment::Phase,
};
use serde_json::json;

use crate::{
    eventually::{SOON, eventually},
    world::World,
};

#[tokio::test]
async fn the_token_is_checked_and_a_new_one_is_taken_at_once() {
    let world = World::new("token").await;
    world.put_secret("pulumi", &[("accessToken", "nonsense")]).await;
    world.put_organization(json!({})).await;
    let conditions = world.organization_is("TokenRejected").await;
    assert_eq!(find(&conditions, types::READY).unwrap().status, ConditionStatus::False);
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["x"]}}})).await;
    world.settings("web", "OrganizationNotReady").await;

    world.put_secret("pulumi", &[("accessToken", &world.token)]).await;
    world.organization_is("Connected").await;
    world.settings("web", "Synced").await;
    let organization = world.api::<Organization>().get("acme").await.unwrap();
    let status = organization.status.unwrap();
    assert_eq!(status.user.unwrap().login, format!("{}-admin", world.organization));
    assert_eq!(
        (status.paused, status.concurrency, status.name),
        (Some(false), Some(5), Some(world.organization.clone()))
    );
    assert!(status.deployment_counts.is_some());

    // Revoked while in use: the next call finds out, and everybody says so.
    world.simulator.revoke_token(&world.token);
    world
        .merge::<StackDeploymentSettings>(
            "web",
            json!({"spec": {"settings": {"operationContext": {"preRunCommands": ["y"]}}}}),
        )
        .await;
    world.organization_is("TokenRejected").await;
    world.simulator.add_token(&world.organization, "a-fresh-token", "someone").unwrap();
    world.put_secret("pulumi", &[("accessToken", "a-fresh-token")]).await;
    world.organization_is("Connected").await;
    world.settings("web", "Synced").await;
    assert_eq!(world.stored().unwrap()["operationContext"]["preRunCommands"], json!(["y"]));
}

#[tokio::test]
async fn a_missing_token_is_waited_for() {
    let world = World::without_operator("notoken").await;
    world.start_operator(|_| ());
    world.put_organization(json!({"accessToken": {"secretKeyRef": {"name": "late", "key": "token"}}})).await;
    let conditions = world.organization_is("TokenMissing").await;
    assert!(find(&conditions, types::READY).unwrap().message.contains("late does not exist; create it"));
    world.put_secret("late", &[("token", &world.token)]).await;
    world.organization_is("Connected").await;
}

#[tokio::test]
async fn the_pause_is_applied_and_left_alone_when_it_is_not_given() {
    let world = World::new("pause").await;
    world.put_organization(json!({"paused": true})).await;
    world.organization_is("Connected").await;
    assert_eq!((world.requests("PauseOrganization").len(), world.requests("ResumeOrganization").len()), (1, 0));
    let paused = world.api::<Organization>().get("acme").await.unwrap().status.unwrap().paused;
    assert_eq!(paused, Some(true));
    world.merge::<Organization>("acme", json!({"spec": {"paused": false}})).await;
    eventually(
        SOON,
        "resumed",
        async || if world.requests("ResumeOrganization").len() == 1 { Ok(()) } else { Err(()) },
    )
    .await;

    // Somebody without the right: that is a condition of its own, and all else works.
    world.simulator.add_member_token(&world.organization, "member", "member").unwrap();
    world.put_secret("pulumi", &[("accessToken", "member")]).await;
    world.merge::<Organization>("acme", json!({"spec": {"paused": true}})).await;
    let condition = eventually(SOON, "the pause is refused", async || {
        let status = world.api::<Organization>().get("acme").await.unwrap().status.unwrap();
        find(&status.conditions, "PauseApplied").cloned().ok_or(status)
    })
    .await;
    assert_eq!((condition.status, condition.reason.as_str()), (ConditionStatus::False, "Forbidden"));
    world.organization_is("Connected").await;
}

#[tokio::test]
async fn runs_that_cannot_be_followed_as_they_should_be_are_told_of() {
    let world = World::new("degraded").await;
    world.put_organization(json!({})).await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    let refusal =
        Fault::on("ListOrganizationDeployments").organization(world.organization.clone()).always().answer(403);
    let refusal = world.simulator.inject(refusal);
    let target = json!({"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"});
    world.put_deployment("web", json!({"stack": target, "operation": "update"})).await;
    let told = async |is_there: bool| {
        let what = if is_there { "the condition is there" } else { "the condition is gone" };
        eventually(SOON, what, async || {
            let status = world.api::<Organization>().get("acme").await.unwrap().status.unwrap_or_default();
            let found = find(&status.conditions, "Observing").cloned();
            if found.is_some() == is_there { Ok(found) } else { Err(status) }
        })
        .await
    };
    let condition = told(true).await.unwrap();
    assert_eq!((condition.status, condition.reason.as_str()), (ConditionStatus::False, "Degraded"));
    assert!(condition.message.contains("their list is refused"), "{}", condition.message);
    world.organization_is("Connected").await;
    // Each is followed all the same.
    world.phase("web", Phase::Running).await;
    refusal.remove();
    told(false).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
}

#[tokio::test]
async fn suspend_holds_back_every_remote_write() {
    let world = World::new("suspend").await;
    world.put_organization(json!({"suspend": true, "paused": true})).await;
    world.organization_is("Suspended").await;
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["x"]}}})).await;
    world.put_deployment("web", json!({})).await;
    let message = find(&world.settings("web", "Suspended").await.status.unwrap().conditions, types::READY)
        .unwrap()
        .message
        .clone();
    assert!(message.contains("/operationcontext/preruncommands would be changed"), "{message}");
    world.phase("web", Phase::Pending).await;
    let writes: Vec<_> = world
        .simulator
        .requests_of(&world.organization)
        .into_iter()
        .filter(|request| request.method != "GET")
        .collect();
    assert!(writes.is_empty(), "{writes:#?}");
    // Deletion goes on for what needs no write.
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;

    world.merge::<Organization>("acme", json!({"spec": {"suspend": false, "paused": false}})).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
}

#[tokio::test]
async fn access_decides_who_may_do_what() {
    let world = World::new("access").await;
    world.simulator.add_role(&world.organization, "readers", "Readers").unwrap();
    world
        .put_organization(json!({"access": [{"stacks": ["web/*"], "operations": ["preview"], "roleID": "readers"}]}))
        .await;
    world.put_deployment("update", json!({})).await;
    let status = world.phase("update", Phase::Pending).await;
    let stalled = find(&status.conditions, types::STALLED).unwrap();
    assert_eq!(stalled.reason, "AccessDenied");
    assert!(stalled.message.contains("the operation update"), "{}", stalled.message);
    world.put_deployment("preview", json!({"operation": "preview"})).await;
    world.ended("preview", 1).await;
    let runs = world.runs();
    assert_eq!((runs.len(), runs[0].operation.as_str()), (1, "preview"));
    assert_eq!(runs[0].settings["operationContext"]["role"]["id"], "readers");
    world.merge::<Organization>("acme", json!({"spec": {"access": null}})).await;
    assert_eq!(world.ended("update", 1).await.phase, Some(Phase::Succeeded));
}

#[tokio::test]
async fn a_backend_that_is_not_allowed_is_never_called() {
    let world = World::new("backend").await;
    let elsewhere = pulumi_cloud_simulator::Simulator::builder().token("t").organization("acme").start().await.unwrap();
    world.put_organization(json!({"backendURL": elsewhere.url()})).await;
    let conditions = world.organization_is("BackendNotAllowed").await;
    assert!(find(&conditions, types::READY).unwrap().message.contains("--allowed-backend"));
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn an_organization_goes_last() {
    let world = World::new("last").await;
    world.put_organization(json!({})).await;
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["x"]}}})).await;
    world.settings("web", "Synced").await;
    world.delete::<Organization>("acme").await;
    let conditions = world.organization_is("InUse").await;
    assert!(find(&conditions, types::READY).unwrap().message.contains("Settings"), "{conditions:?}");
    // Even without its Secret: the last good token is kept for those who still need it.
    world.delete::<k8s_openapi::api::core::v1::Secret>("pulumi").await;
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    world.gone::<Organization>("acme").await;
    assert_eq!(world.stored(), None);
}

#[tokio::test]
async fn a_namespace_is_deleted_cleanly() {
    let world = World::new("namespace").await;
    world.put_organization(json!({})).await;
    world
        .put_settings(json!({"settings": {"sourceContext": {"git": {"repoURL": "https://example.com/web.git"}}}}))
        .await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("web", json!({"settingsRef": {"name": "web"}, "deletionPolicy": "Cancel"})).await;
    world.phase("web", Phase::Running).await;
    world.kubectl(&["delete", "namespace", &world.namespace, "--timeout=60s"], None).await;
    assert_eq!(world.stored(), None);
    assert!(world.runs()[0].canceled);
    assert!(world.api::<Deployment>().list(&ListParams::default()).await.unwrap().items.is_empty());
}
