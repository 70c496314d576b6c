//! Deployments, from their creation to their deletion.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::time::Duration;

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

/// The run comes before its settings, and they before what they refer to.
const RUN_BEFORE_EVERYTHING_ELSE: &str = r"
apiVersion: deployments.pulumi.com/v1alpha1
kind: Deployment
metadata: {name: web-prod}
spec:
  settingsRef: {name: web-prod}
  operation: update
  settle: 1s
  settings: {operationContext: {environmentVariables: [{name: RELEASE, value: '42'}]}}
---
apiVersion: deployments.pulumi.com/v1alpha1
kind: StackDeploymentSettings
metadata: {name: web-prod}
spec:
  stack: {organizationRef: {name: acme}, project: web, name: prod}
  settings:
    sourceContext: {git: {repoURL: https://example.com/web.git, branch: main}}
    operationContext:
      preRunCommands: [npm test]
      environmentVariables:
        - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
        - {name: TIER, valueFrom: {configMapKeyRef: {name: web, key: tier}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {tier: gold}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: correct-horse-battery-staple}
";

#[tokio::test]
async fn everything_applied_at_once_in_the_wrong_order_is_one_run_with_the_right_settings() {
    let world = World::new("order").await;
    let organization = serde_json::to_string(&world.organization_manifest(&json!({}))).unwrap();
    let manifests = format!("{RUN_BEFORE_EVERYTHING_ELSE}---\n{organization}");
    world.kubectl(&["apply", "--filename=-"], Some(&manifests)).await;

    let status = world.ended("web-prod", 1).await;
    assert_eq!(status.phase, Some(Phase::Succeeded));
    let runs = world.runs();
    assert_eq!(runs.len(), 1);
    let variable = |name: &str| runs[0].environment.get(name).cloned().unwrap();
    assert_eq!(variable("RELEASE"), ("42".to_owned(), false));
    assert_eq!(variable("TIER"), ("gold".to_owned(), false));
    assert_eq!(variable("DB_PASSWORD"), ("correct-horse-battery-staple".to_owned(), true));

    world
        .kubectl(
            &[
                "wait",
                "--for=condition=Ready",
                "pulumideployment/web-prod",
                "sds/web-prod",
                "porg/acme",
                "--timeout=10s",
            ],
            None,
        )
        .await;
    let table = world.kubectl(&["get", "pdep", "web-prod", "-o", "wide"], None).await;
    for wanted in ["update", "Succeeded", "6/6 pulumi update", "/web/prod/deployments/1"] {
        assert!(table.contains(wanted), "{wanted} is missing in {table}");
    }
    let events = eventually(SOON, "events", async || {
        let events = world.kubectl(&["describe", "pdep", "web-prod"], None).await;
        if events.contains("Triggered") && events.contains("Succeeded") { Ok(events) } else { Err(events) }
    })
    .await;
    assert!(events.contains("triggered update 1 of"), "{events}");

    // The same once more, and nothing happens.
    world.kubectl(&["apply", "--filename=-"], Some(&manifests)).await;
    world
        .merge::<Deployment>("web-prod", json!({"spec": {"historyLimit": 3}, "metadata": {"labels": {"a": "b"}}}))
        .await;
    world.deployment("web-prod", "has seen the policy", |status| status.phase == Some(Phase::Succeeded)).await;
    assert_eq!(world.runs().len(), 1);
    assert_eq!(world.requests("CreateDeployment").len(), 1);

    // Everything goes, in any order, and nothing stays behind.
    world.kubectl(&["delete", "--wait=false", "--filename=-"], Some(&manifests)).await;
    world.gone::<Deployment>("web-prod").await;
    world.gone::<StackDeploymentSettings>("web-prod").await;
    world.gone::<Organization>("acme").await;
    assert_eq!(world.stored(), None);
}

#[tokio::test]
async fn policy_starts_nothing_and_a_changed_request_runs_once() {
    let world = World::new("request").await;
    world.put_organization(json!({})).await;
    world.put_deployment("web", json!({})).await;
    world.ended("web", 1).await;

    for policy in [
        json!({"supersede": "Cancel"}),
        json!({"settle": "1s"}),
        json!({"failureLogLines": 3}),
        json!({"deletionPolicy": "Orphan"}),
    ] {
        world.merge::<Deployment>("web", json!({"spec": policy})).await;
        let status =
            world.deployment("web", "has seen the policy", |status| status.phase == Some(Phase::Succeeded)).await;
        let ready = find(&status.conditions, types::READY).unwrap();
        assert_eq!(ready.status, ConditionStatus::True);
    }
    assert_eq!(world.runs().len(), 1);

    // There and back before it ran: no new run. There and on: one.
    world.merge::<Deployment>("web", json!({"spec": {"suspend": true, "operation": "preview"}})).await;
    let status = world.phase("web", Phase::Pending).await;
    assert_eq!(find(&status.conditions, types::READY).unwrap().reason, "Suspended");
    world.merge::<Deployment>("web", json!({"spec": {"suspend": false, "operation": "update"}})).await;
    world.phase("web", Phase::Succeeded).await;
    assert_eq!(world.runs().len(), 1);
    world.merge::<Deployment>("web", json!({"spec": {"operation": "preview"}})).await;
    let status = world.ended("web", 3).await;
    assert_eq!(world.runs().iter().map(|run| run.operation.as_str()).collect::<Vec<_>>(), ["update", "preview"]);
    assert_eq!(
        status.history.iter().map(|run| (run.request_number, run.result)).collect::<Vec<_>>(),
        [(2, Phase::Skipped), (1, Phase::Succeeded)]
    );

    world.merge::<Deployment>("web", json!({"metadata": {"annotations": {"deployments.pulumi.com/rerun": "1"}}})).await;
    world.ended("web", 4).await;
    assert_eq!(world.runs().len(), 3);
    assert_eq!(world.requests("CreateDeployment").len(), 3);
}

#[tokio::test]
async fn a_failure_is_told_with_its_step_and_a_redacted_log() {
    let world = World::new("failure").await;
    world.put_organization(json!({})).await;
    world.put_secret("db", &[("password", "hunter2-is-not-shown")]).await;
    world
        .put_deployment(
            "web",
            json!({"failureLogLines": 5, "settings": {"operationContext": {
                "preRunCommands": ["echo the password is $DB_PASSWORD", "echo about to fail with $DB_PASSWORD && exit 3"],
                "environmentVariables": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
            }}}),
        )
        .await;
    let status = world.ended("web", 1).await;
    assert_eq!(status.phase, Some(Phase::Failed));
    let run = status.run.as_ref().unwrap();
    let failure = run.failure.as_ref().unwrap();
    assert_eq!(failure.step.as_deref(), Some("Pre-run command 2"));
    let log = failure.log.join("\n");
    assert!(log.contains("about to fail with") && log.contains("exit status 3"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    assert!(failure.log.len() <= 5);
    let ready = find(&status.conditions, types::READY).unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, "Failed"));
    assert!(ready.message.contains("failed at step `Pre-run command 2`"), "{}", ready.message);
    assert!(find(&status.conditions, types::STALLED).is_some());
    assert_eq!(status.step.as_deref(), Some("6/7 Pre-run command 2"));
}

#[tokio::test]
async fn steps_are_mirrored_while_they_run() {
    let world = World::new("steps").await;
    world.put_organization(json!({})).await;
    world.simulator.hold_at(&world.stack("web/prod"), "Download dependencies").unwrap();
    world.put_deployment("web", json!({})).await;
    let status = world
        .deployment("web", "downloads", |status| status.step.as_deref() == Some("4/5 Download dependencies"))
        .await;
    assert_eq!(status.phase, Some(Phase::Running));
    let ready = find(&status.conditions, types::READY).unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::Unknown, "Running"));
    let steps: Vec<_> = status.run.unwrap().jobs[0].steps.iter().map(|step| step.status.clone()).collect();
    assert_eq!(steps, ["succeeded", "succeeded", "succeeded", "running", "not-started"]);
    world.simulator.release(&world.stack("web/prod")).unwrap();
    let run = world.ended("web", 1).await.run.unwrap();
    assert!(run.queued_at <= run.started_at && run.started_at <= run.finished_at, "{run:?}");
    assert_eq!((run.updates.len(), run.updates[0].result.as_str()), (1, "succeeded"));
}

#[tokio::test]
async fn a_run_waits_for_what_it_needs_and_says_for_what() {
    let world = World::without_operator("waits").await;
    world.start_operator(|_| ());
    let reason = |wanted: &'static str| {
        move |status: &pulumi_deployments_operator::api::DeploymentStatus| {
            find(&status.conditions, types::READY)
                .is_some_and(|ready| ready.reason == wanted && !ready.message.is_empty())
        }
    };
    world
        .put_deployment(
            "web",
            json!({"settingsRef": {"name": "web"}, "settings": {"operationContext": {"environmentVariables": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "late", "key": "a"}}}]}}}),
        )
        .await;
    world.deployment("web", "waits for the settings", reason("SettingsNotReady")).await;
    world
        .put_settings(json!({"settings": {"sourceContext": {"git": {"repoURL": "https://example.com/web.git"}}}}))
        .await;
    world.deployment("web", "waits for the organization", reason("OrganizationNotReady")).await;
    world.put_organization(json!({})).await;
    world.deployment("web", "waits for the settings to be in sync", reason("SettingsNotReady")).await;
    world.settings("web", "StackNotFound").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.settings("web", "Synced").await;
    world.deployment("web", "waits for the secret", reason("SourceMissing")).await;
    world.put_secret("late", &[("a", "1")]).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
    assert_eq!(world.runs().len(), 1);
}

#[tokio::test]
async fn a_missing_stack_is_waited_for() {
    let world = World::without_operator("nostack").await;
    world.start_operator(|_| ());
    world.put_organization(json!({})).await;
    world.put_deployment("web", json!({})).await;
    let status = world.phase("web", Phase::Pending).await;
    let status = if status.conditions.iter().any(|condition| condition.reason == "StackNotFound") {
        status
    } else {
        world
            .deployment("web", "misses its stack", |status| {
                status.conditions.iter().any(|c| c.reason == "StackNotFound")
            })
            .await
    };
    assert_eq!(status.intent, None);
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
}

#[tokio::test]
async fn a_refused_request_is_not_sent_again_until_it_changes() {
    let world = World::new("refused").await;
    world.put_organization(json!({})).await;
    world.put_deployment("web", json!({"settings": {"agentPoolID": "no-such-pool"}})).await;
    let status = world.deployment("web", "is refused", |status| status.refusal.is_some()).await;
    let stalled = find(&status.conditions, types::STALLED).unwrap();
    assert_eq!(stalled.reason, "CreateRefused");
    assert!(stalled.message.contains("agent pool"), "{}", stalled.message);
    world.merge::<Deployment>("web", json!({"spec": {"historyLimit": 2}})).await;
    world.deployment("web", "has looked again", |status| status.refusal.is_some()).await;
    assert_eq!(world.requests("CreateDeployment").len(), 1);
    world.merge::<Deployment>("web", json!({"spec": {"settings": {"agentPoolID": null}}})).await;
    let status = world.ended("web", 2).await;
    assert_eq!(status.history[0].result, Phase::Skipped);
    assert_eq!((status.phase, status.refusal), (Some(Phase::Succeeded), None));
}

#[tokio::test]
async fn a_new_request_cancels_a_queued_run_and_waits_for_a_running_one() {
    let world = World::new("supersede").await;
    world.put_organization(json!({})).await;
    world.simulator.patch_settings(&world.stack("web/prod"), &json!({})).unwrap();
    world.simulator.set_stack_paused(&world.stack("web/prod"), true).unwrap();
    world.put_deployment("web", json!({})).await;
    world.phase("web", Phase::Queued).await;
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    let status = world
        .deployment("web", "has a second run", |status| status.run.as_ref().is_some_and(|run| run.request.number == 2))
        .await;
    assert_eq!(status.history.iter().map(|run| run.result).collect::<Vec<_>>(), [Phase::Canceled]);
    assert!(world.runs()[0].removed);

    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.simulator.set_stack_paused(&world.stack("web/prod"), false).unwrap();
    world.phase("web", Phase::Running).await;
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "3"}})).await;
    world.deployment("web", "still follows the second", |status| status.phase == Some(Phase::Running)).await;
    assert_eq!(world.runs().len(), 2);
    world.simulator.release(&world.stack("web/prod")).unwrap();
    let status = world.ended("web", 3).await;
    assert_eq!(status.history.iter().map(|run| run.result).collect::<Vec<_>>(), [Phase::Succeeded, Phase::Canceled]);
}

#[tokio::test]
async fn deletion_follows_its_policy() {
    let world = World::new("deletion").await;
    world.put_organization(json!({})).await;
    world.simulator.add_stack(&world.stack("web/queued")).unwrap();
    let running = |policy: &str| json!({"deletionPolicy": policy});

    // A running one is left to itself by CancelQueued and Orphan, and canceled by Cancel.
    for (policy, canceled) in [("CancelQueued", false), ("Orphan", false), ("Cancel", true)] {
        world.simulator.hold(&world.stack("web/prod")).unwrap();
        world.put_deployment("web", running(policy)).await;
        world.phase("web", Phase::Running).await;
        world.delete::<Deployment>("web").await;
        world.gone::<Deployment>("web").await;
        let run = world.runs().pop().unwrap();
        assert_eq!(run.canceled, canceled, "{policy}");
        world.simulator.release(&world.stack("web/prod")).unwrap();
        eventually(SOON, "the stack is free again", async || {
            if world.runs().iter().all(|run| run.status != "running") { Ok(()) } else { Err(world.runs()) }
        })
        .await;
    }
    // A queued one is canceled by CancelQueued.
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("first", json!({})).await;
    world.phase("first", Phase::Running).await;
    world.put_deployment("second", running("CancelQueued")).await;
    world.phase("second", Phase::Queued).await;
    world.delete::<Deployment>("second").await;
    world.gone::<Deployment>("second").await;
    assert!(world.runs().pop().unwrap().removed);
    world.simulator.release(&world.stack("web/prod")).unwrap();
    world.ended("first", 1).await;
}

#[tokio::test]
async fn a_run_that_somebody_else_cancels_is_told_apart() {
    let world = World::new("elsewhere").await;
    world.put_organization(json!({})).await;
    world.simulator.patch_settings(&world.stack("web/prod"), &json!({})).unwrap();
    world.simulator.set_stack_paused(&world.stack("web/prod"), true).unwrap();
    world.put_deployment("web", json!({})).await;
    world.phase("web", Phase::Queued).await;
    world.simulator.cancel(&world.stack("web/prod"), &world.runs()[0].id).unwrap();
    let status = world.ended("web", 1).await;
    assert_eq!(status.phase, Some(Phase::Failed));
    assert_eq!(find(&status.conditions, types::READY).unwrap().reason, "RunDisappeared");
    assert_eq!(world.runs().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_found_again() {
    let world = World::new("lost").await;
    world.put_organization(json!({})).await;
    let create = || Fault::on("CreateDeployment").organization(world.organization.clone());
    let faults = [
        ("applied, no answer", create().drop_after()),
        ("not applied, no answer", create().drop_before()),
        ("applied, half an answer", create().truncate_body()),
        ("applied, nonsense", create().garbage()),
        ("applied, 502", create().answer_after(502)),
        ("not applied, 503", create().answer(503)),
    ];
    for (number, (what, fault)) in (1..).zip(faults) {
        let fault = world.simulator.inject(fault);
        if number == 1 {
            world.put_deployment("web", json!({})).await;
        } else {
            world.merge::<Deployment>("web", json!({"spec": {"rerun": number.to_string()}})).await;
        }
        let status = world.ended("web", number).await;
        assert_eq!(fault.hits(), 1, "{what}");
        assert_eq!((status.phase, status.intent), (Some(Phase::Succeeded), None), "{what}");
        assert_eq!(world.runs().len() as u64, number, "{what}: one request is one run");
    }
}

#[tokio::test]
async fn a_refused_connection_and_a_throttled_create_are_no_riddle() {
    let world = World::new("throttled").await;
    world.put_organization(json!({})).await;
    world.organization_is("Connected").await;
    let answer = pulumi_cloud_simulator::FaultAnswer::status(429).header("Retry-After", "1");
    let throttle =
        world.simulator.inject(Fault::on("CreateDeployment").organization(world.organization.clone()).answer(answer));
    world.put_deployment("web", json!({})).await;
    tokio::time::timeout(Duration::from_secs(20), throttle.reached()).await.unwrap();
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
    assert_eq!((world.runs().len(), world.requests("CreateDeployment").len()), (1, 2));
}
