//! Sequences of events that were handled wrongly once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use kube::runtime::{WatchStreamExt, watcher};
use pulumi_cloud_simulator::{Fault, FaultAnswer};
use pulumi_deployments_operator::api::{
    ConditionStatus, Deployment, Organization, StackDeploymentSettings,
    condition::{find, types},
    deployment::Phase,
};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    eventually::{SOON, eventually},
    world::World,
};

async fn connected(prefix: &str) -> World {
    let world = World::new(prefix).await;
    world.put_organization(json!({})).await;
    world
}

fn lost_answer(world: &World) -> Fault {
    Fault::on("CreateDeployment").organization(world.organization.clone()).drop_after()
}

#[tokio::test]
async fn a_restart_does_not_forget_who_uses_an_organization() {
    let world = World::without_operator("in-use").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    let mut operator = world.start_process(world.plane.kubeconfig(), "1");
    world.put_organization(json!({})).await;
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["x"]}}})).await;
    world.settings("web", "Synced").await;
    world.delete::<Organization>("acme").await;
    world.organization_is("InUse").await;
    for round in 2..5 {
        operator.kill().await;
        operator = world.start_process(world.plane.kubeconfig(), &round.to_string());
        operator.address().await;
        world.organization_is("InUse").await;
    }
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<Organization>("acme").await;
    assert_eq!(world.stored(), None);
}

/// Versions begin anew with the stack.
#[tokio::test]
async fn a_create_is_found_in_a_stack_that_was_created_again() {
    let world = connected("recreated").await;
    world.put_deployment("web", json!({})).await;
    world.ended("web", 1).await;
    for request in 2..=3 {
        world.merge::<Deployment>("web", json!({"spec": {"rerun": request.to_string()}})).await;
        world.ended("web", request).await;
    }
    world.simulator.remove_stack(&world.stack("web/prod")).unwrap();
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.simulator.inject(lost_answer(&world));
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "4"}})).await;
    world.ended("web", 4).await;
    assert_eq!(world.runs().len(), 1);
}

/// A token that loses sight of a stack for a moment gets the same answer.
#[tokio::test]
async fn a_404_on_the_list_is_no_proof_that_nothing_was_created() {
    let world = connected("list-404").await;
    world.simulator.inject(lost_answer(&world));
    let not_found = FaultAnswer::status(404).json(json!({"code": 404, "message": "Not Found: Stack"}));
    let list = Fault::on("ListDeployments").organization(world.organization.clone()).answer(not_found);
    let list = world.simulator.inject(list);
    world.put_deployment("web", json!({})).await;
    world.ended("web", 1).await;
    assert_eq!((list.hits(), world.runs().len()), (1, 1));
}

#[tokio::test]
async fn a_word_that_was_given_for_another_create_is_not_heeded() {
    let world = connected("stale-word").await;
    let word = json!({"metadata": {"annotations": {"deployments.pulumi.com/resolve-create": "retry"}}});
    world.put_deployment("web", json!({})).await;
    world.ended("web", 1).await;
    world.merge::<Deployment>("web", word).await;
    world.simulator.inject(lost_answer(&world));
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    world.ended("web", 2).await;
    assert_eq!(world.runs().len(), 2);
}

#[tokio::test]
async fn a_queued_run_that_begins_before_its_cancel_arrives_is_left_alone() {
    let world = connected("began").await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("first", json!({})).await;
    world.phase("first", Phase::Running).await;
    world.put_deployment("web", json!({})).await;
    world.phase("web", Phase::Queued).await;
    let refuse = Fault::on("CancelDeployment").organization(world.organization.clone()).always().answer(503);
    let refuse = world.simulator.inject(refuse);
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    timeout(SOON, refuse.reached()).await.unwrap();
    // The run ahead ends, and ours begins.
    world.simulator.cancel(&world.stack("web/prod"), &world.runs()[0].id).unwrap();
    eventually(
        SOON,
        "ours runs",
        async || if world.runs()[1].status == "running" { Ok(()) } else { Err(world.runs()) },
    )
    .await;
    refuse.remove();
    let left_alone = |status: &pulumi_deployments_operator::api::DeploymentStatus| {
        status.phase == Some(Phase::Running) && status.run.as_ref().is_some_and(|run| run.cancel.is_none())
    };
    world.deployment("web", "is left alone", left_alone).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    let status = world.ended("web", 2).await;
    assert_eq!(status.history[0].result, Phase::Succeeded);
}

#[tokio::test]
async fn a_rerun_that_is_taken_back_leaves_no_trace() {
    let world = connected("taken-back").await;
    world.put_deployment("web", json!({})).await;
    world.ended("web", 1).await;
    world.merge::<Organization>("acme", json!({"spec": {"suspend": true}})).await;
    world.organization_is("Suspended").await;
    let rerun = |value| json!({"metadata": {"annotations": {"deployments.pulumi.com/rerun": value}}});
    world.merge::<Deployment>("web", rerun(json!("1"))).await;
    world.phase("web", Phase::Pending).await;
    world.merge::<Deployment>("web", rerun(json!(null))).await;
    let status = world.phase("web", Phase::Succeeded).await;
    assert_eq!(find(&status.conditions, types::READY).unwrap().status, ConditionStatus::True);
}

#[tokio::test]
async fn ready_is_not_said_of_a_request_that_has_not_run() {
    use futures::StreamExt;
    let world = connected("not-yet").await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("web", json!({"supersede": "Wait"})).await;
    world.phase("web", Phase::Running).await;
    let mut changes =
        Box::pin(watcher::watcher(world.api::<Deployment>(), watcher::Config::default()).touched_objects());
    let generation = world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await.metadata.generation;
    world.deployment("web", "has seen the request", |status| status.observed_generation == generation).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    loop {
        let deployment = timeout(SOON, changes.next()).await.unwrap().unwrap().unwrap();
        let status = deployment.status.unwrap_or_default();
        let ready = find(&status.conditions, types::READY).is_some_and(|ready| {
            ready.status == ConditionStatus::True && Some(ready.observed_generation) == generation
        });
        let request = status.run.map(|run| run.request.number);
        assert!(!ready || request == Some(2), "Ready=True for generation {generation:?} with request {request:?}");
        if ready {
            break;
        }
    }
}

#[tokio::test]
async fn the_log_of_a_failure_is_asked_for_again() {
    let world = connected("log-503").await;
    let logs = Fault::on("GetDeploymentLogs").organization(world.organization.clone()).times(2).answer(503);
    let logs = world.simulator.inject(logs);
    let fails = json!({"settings": {"operationContext": {"preRunCommands": ["echo the reason && exit 3"]}}});
    world.put_deployment("web", fails).await;
    let failure = world.ended("web", 1).await.run.unwrap().failure.unwrap();
    assert_eq!(logs.hits(), 2);
    assert!(failure.log.join("\n").contains("the reason"), "{failure:?}");
}

#[tokio::test]
async fn secrets_of_inherited_settings_are_redacted_too() {
    let world = connected("inherited").await;
    world.put_secret("db", &[("password", "canary-inherited-4711")]).await;
    let variables = json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]);
    world.put_settings(json!({"settings": {"operationContext": {"environmentVariables": variables}}})).await;
    world.settings("web", "Synced").await;
    let prints = json!({"settings": {"operationContext": {"preRunCommands": ["printenv PASSWORD && exit 1"]}}});
    world.put_deployment("web", prints).await;
    let log = world.ended("web", 1).await.run.unwrap().failure.unwrap().log.join("\n");
    assert!(log.contains("exit status 1") && !log.contains("canary"), "{log}");
}

#[tokio::test]
async fn a_log_that_may_hold_a_rotated_secret_is_not_shown() {
    let world = connected("rotated").await;
    world.put_secret("db", &[("password", "canary-before-rotation")]).await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    let variables = json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]);
    let prints = json!({"settings": {"operationContext": {
        "preRunCommands": ["printenv PASSWORD && exit 1"], "environmentVariables": variables}}});
    world.put_deployment("web", prints).await;
    world.phase("web", Phase::Running).await;
    world.put_secret("db", &[("password", "after-rotation")]).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    let failure = world.ended("web", 1).await.run.unwrap().failure.unwrap();
    assert_eq!(failure.step.as_deref(), Some("Pre-run command 1"));
    let log = failure.log.join("\n");
    assert!(log.contains("the log is not shown here") && !log.contains("canary"), "{log}");
}

/// At real speed: the next look that the clock asks for is minutes away.
#[tokio::test]
async fn a_revoked_token_is_noticed_with_the_first_call() {
    let world = World::without_operator("revoked").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.start_operator(|options| options.speed = 1.0);
    world.put_organization(json!({})).await;
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["x"]}}})).await;
    world.settings("web", "Synced").await;
    world.simulator.revoke_token(&world.token);
    let change = json!({"spec": {"settings": {"operationContext": {"preRunCommands": ["y"]}}}});
    world.merge::<StackDeploymentSettings>("web", change).await;
    world.organization_is("TokenRejected").await;
}

/// At real speed, for the same reason.
#[tokio::test]
async fn a_pause_that_failed_is_tried_again_soon() {
    let world = World::without_operator("pause-503").await;
    world.start_operator(|options| options.speed = 1.0);
    world.put_organization(json!({})).await;
    world.organization_is("Connected").await;
    let refuse = Fault::on("PauseOrganization").organization(world.organization.clone()).answer(503);
    let refuse = world.simulator.inject(refuse);
    world.merge::<Organization>("acme", json!({"spec": {"paused": true}})).await;
    eventually(SOON, "the pause is applied", async || {
        let status = world.api::<Organization>().get("acme").await.unwrap().status.unwrap();
        if status.paused == Some(true) && find(&status.conditions, "PauseApplied").is_none() {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    assert_eq!(refuse.hits(), 1);
}

#[tokio::test]
async fn a_namespace_that_is_named_twice_is_watched_once() {
    let world = World::without_operator("twice").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.start_operator(|options| options.watch_namespaces.push(options.watch_namespaces[0].clone()));
    world.put_organization(json!({})).await;
    world.put_deployment("web", json!({})).await;
    for request in 1..=3 {
        world.ended("web", request).await;
        assert_eq!(world.runs().len() as u64, request);
        world.merge::<Deployment>("web", json!({"spec": {"rerun": (request + 1).to_string()}})).await;
    }
}

#[tokio::test]
async fn an_override_takes_the_other_arms_of_a_one_of_away() {
    let world = connected("one-of").await;
    let git = json!({"repoURL": "https://example.com/web.git", "branch": "main"});
    world.put_settings(json!({"settings": {"sourceContext": {"git": git}}})).await;
    world.settings("web", "Synced").await;
    let commit = json!({"settingsRef": {"name": "web"}, "settings": {"sourceContext": {"git": {"commit": "abc123"}}}});
    world.put_deployment("web", commit).await;
    world.ended("web", 1).await;
    let git = world.runs().pop().unwrap().settings["sourceContext"]["git"].clone();
    assert_eq!((git["commit"].as_str(), git.get("branch")), (Some("abc123"), None), "{git}");
}

/// The settings that named the Organization are gone before the run is canceled, as it happens in a namespace that is
/// being deleted.
#[tokio::test]
async fn an_organization_waits_for_a_run_whose_settings_are_gone() {
    let world = connected("orphaned").await;
    world
        .put_settings(json!({"settings": {"sourceContext": {"git": {"repoURL": "https://example.com/web.git"}}}}))
        .await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("web", json!({"settingsRef": {"name": "web"}, "deletionPolicy": "Cancel"})).await;
    world.phase("web", Phase::Running).await;
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    world.delete::<Organization>("acme").await;
    world.organization_is("InUse").await;
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    assert!(world.runs()[0].canceled);
    world.gone::<Organization>("acme").await;
}
