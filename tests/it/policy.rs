//! Time-outs and retries: what they end, what they start, and what they never start.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use pulumi_deployments_operator::api::{
    ConditionStatus, Deployment, DeploymentStatus,
    condition::{find, types},
    deployment::{CancelReason, Phase, Run},
};
use serde_json::{Value, json};

use crate::world::{World, ready_is, ready_message};

/// Its source can't be had.
fn failing() -> Value {
    json!({"operationContext": {"environmentVariables": [{"name": "SIMULATOR_FAIL_STEP", "value": "Get source"}]}})
}

fn canceled_for(run: &Run) -> Option<CancelReason> {
    run.cancel.as_ref().map(|cancel| cancel.reason)
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_canceled_and_not_tried_again() {
    let world = World::new("timeout").await;
    world.put_organization(json!({})).await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    let retry = json!({"limit": 5, "backoff": {"initial": "1s", "max": "1s"}});
    world.put_deployment("web", json!({"timeout": "2s", "queueTimeout": "1h", "retry": retry})).await;
    world.phase("web", Phase::Running).await;
    let status = world.ended("web", 1).await;
    let run = status.run.as_ref().unwrap();
    assert_eq!((status.phase, run.result), (Some(Phase::TimedOut), Some(Phase::TimedOut)));
    assert_eq!(canceled_for(run), Some(CancelReason::Timeout));
    assert!(ready_message(&status).contains("longer than spec.timeout"), "{}", ready_message(&status));
    let stalled = find(&status.conditions, types::STALLED).unwrap();
    assert_eq!((stalled.reason.as_str(), &status.retry), ("TimedOut", &None));
    assert!(world.runs()[0].canceled);
    world.told_of("web", "TimedOut").await;

    // Another limit is no other request.
    for policy in [json!({"timeout": "1h"}), json!({"timeout": null}), json!({"retry": null}), json!({"retry": retry})]
    {
        world.merge::<Deployment>("web", json!({"spec": policy})).await;
        world.deployment("web", "has seen the policy", |status| status.phase == Some(Phase::TimedOut)).await;
    }
    assert_eq!(world.requests("CreateDeployment").len(), 1);
    world.simulator.release(&world.stack("web/prod")).unwrap();
}

#[tokio::test]
async fn a_run_that_waits_too_long_in_the_queue_is_taken_out() {
    let world = World::new("queue-timeout").await;
    world.put_organization(json!({})).await;
    world.simulator.patch_settings(&world.stack("web/prod"), &json!({})).unwrap();
    world.simulator.set_stack_paused(&world.stack("web/prod"), true).unwrap();
    world.put_deployment("web", json!({"timeout": "1h", "queueTimeout": "2s"})).await;
    world.phase("web", Phase::Queued).await;
    let status = world.ended("web", 1).await;
    assert_eq!(status.phase, Some(Phase::TimedOut));
    assert_eq!(canceled_for(status.run.as_ref().unwrap()), Some(CancelReason::QueueTimeout));
    assert!(
        ready_message(&status).contains("in the queue for longer than spec.queueTimeout"),
        "{}",
        ready_message(&status)
    );
    assert!(world.runs()[0].removed);

    // One that has begun is not meant.
    world.simulator.set_stack_paused(&world.stack("web/prod"), false).unwrap();
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2", "queueTimeout": "1h"}})).await;
    world.deployment("web", "runs", |status| status.phase == Some(Phase::Running)).await;
    world.merge::<Deployment>("web", json!({"spec": {"queueTimeout": "1s"}})).await;
    world.deployment("web", "still runs", |status| status.phase == Some(Phase::Running)).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    assert_eq!(world.ended("web", 2).await.phase, Some(Phase::Succeeded));
}

#[tokio::test]
async fn a_time_out_holds_for_the_run_that_is_under_way_and_across_a_kill() {
    let world = World::without_operator("timeout-kill").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    let operator = world.start_process(world.plane.kubeconfig(), "1");
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("web", json!({})).await;
    let is_known = |status: &DeploymentStatus| status.run.as_ref().is_some_and(|run| run.started_at.is_some());
    world.deployment("web", "has begun", is_known).await;
    operator.kill().await;
    world.merge::<Deployment>("web", json!({"spec": {"timeout": "1s"}})).await;
    let _operator = world.start_process(world.plane.kubeconfig(), "2");
    let status = world.ended("web", 1).await;
    assert_eq!((status.phase, world.runs().len()), (Some(Phase::TimedOut), 1));
    world.simulator.release(&world.stack("web/prod")).unwrap();
}

#[tokio::test]
async fn a_run_that_fails_is_tried_again_so_often_and_no_more() {
    let world = World::new("retries").await;
    world.put_organization(json!({})).await;
    let retry = json!({"limit": 2, "backoff": {"initial": "1s", "max": "2s"}});
    world.put_deployment("web", json!({"retry": retry, "settings": failing()})).await;
    let status = world.ended("web", 1).await;
    assert_eq!((status.phase, &status.retry), (Some(Phase::Failed), &None));
    let attempts = |status: &DeploymentStatus| {
        let earlier = status.history.iter().map(|run| (run.request_number, run.attempt, run.result));
        let last = status.run.as_ref().map(|run| (run.request.number, run.attempt, run.result.unwrap()));
        earlier.rev().chain(last).collect::<Vec<_>>()
    };
    assert_eq!(attempts(&status), [1, 2, 3].map(|attempt| (1, attempt, Phase::Failed)));
    assert!(ready_message(&status).contains("failed at step `Get source`"), "{}", ready_message(&status));
    assert_eq!((world.runs().len(), world.requests("CreateDeployment").len()), (3, 3));
    world.told_of("web", "Attempt 2 follows at").await;

    // More of them is no other request; another request has all of them.
    world.merge::<Deployment>("web", json!({"spec": {"retry": {"limit": 9}}})).await;
    world.deployment("web", "has seen the policy", |status| status.phase == Some(Phase::Failed)).await;
    assert_eq!(world.runs().len(), 3);
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2", "retry": {"limit": 1}}})).await;
    let status = world.ended("web", 2).await;
    assert_eq!(attempts(&status)[3..], [1, 2].map(|attempt| (2, attempt, Phase::Failed)));
    assert_eq!(world.runs().len(), 5);
}

/// It waits for its second attempt, is suspended, its operator is killed, what made it fail is put right: and it goes on.
#[tokio::test]
async fn the_wait_for_an_attempt_outlives_the_process_and_a_suspension() {
    let world = World::without_operator("retry-kill").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    let operator = world.start_process(world.plane.kubeconfig(), "1");
    let fails = |what: Value| json!({"operationContext": {"environmentVariables": {"SIMULATOR_FAIL_STEP": what}}});
    world.simulator.patch_settings(&world.stack("web/prod"), &fails("Setup".into())).unwrap();
    let retry = json!({"limit": 3, "backoff": {"initial": "6s", "max": "6s"}});
    world.put_deployment("web", json!({"retry": retry})).await;
    let status = world.deployment("web", "waits for its second attempt", ready_is("Retrying")).await;
    let ready = find(&status.conditions, types::READY).unwrap();
    let reconciling = find(&status.conditions, types::RECONCILING).unwrap();
    assert_eq!((ready.status, reconciling.status), (ConditionStatus::Unknown, ConditionStatus::True));
    assert_eq!((status.phase, find(&status.conditions, types::STALLED)), (Some(Phase::Pending), None));
    let owed = status.retry.unwrap();
    assert_eq!(owed.attempt, 2);
    assert!(ready.message.ends_with(&format!("Attempt 2 follows at {}", owed.at)), "{}", ready.message);

    world.merge::<Deployment>("web", json!({"spec": {"suspend": true}})).await;
    world.deployment("web", "is suspended", ready_is("Suspended")).await;
    operator.kill().await;
    world.simulator.patch_settings(&world.stack("web/prod"), &fails(Value::Null)).unwrap();
    let _operator = world.start_process(world.plane.kubeconfig(), "2");
    world.merge::<Deployment>("web", json!({"spec": {"suspend": false}})).await;
    let status = world.ended("web", 1).await;
    let run = status.run.unwrap();
    assert_eq!((status.phase, run.attempt), (Some(Phase::Succeeded), 2));
    assert!(run.queued_at.unwrap() >= owed.at, "{:?} is before {}", run.queued_at, owed.at);
    assert_eq!(world.runs().len(), 2);
}

#[tokio::test]
async fn a_new_request_a_changed_mind_and_a_deletion_end_the_wait_for_an_attempt() {
    let world = World::new("retry-stops").await;
    world.put_organization(json!({})).await;
    let retry = json!({"limit": 3, "backoff": {"initial": "1h", "max": "1h"}});
    world.put_deployment("web", json!({"retry": retry, "settings": failing()})).await;
    world.deployment("web", "waits", ready_is("Retrying")).await;

    // It comes and goes with policy once, and does not come again.
    world.merge::<Deployment>("web", json!({"spec": {"retry": null}})).await;
    let status = world.phase("web", Phase::Failed).await;
    assert_eq!(status.retry, None);
    world.merge::<Deployment>("web", json!({"spec": {"retry": retry}})).await;
    world.phase("web", Phase::Failed).await;

    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    world.deployment("web", "waits again", |status| ready_is("Retrying")(status) && status.history.len() == 1).await;
    world.merge::<Deployment>("web", json!({"spec": {"settings": {"operationContext": null}}})).await;
    let status = world.ended("web", 3).await;
    assert_eq!((status.phase, status.retry), (Some(Phase::Succeeded), None));
    assert_eq!(
        status.history.iter().map(|run| (run.request_number, run.attempt)).collect::<Vec<_>>(),
        [(2, 1), (1, 1)]
    );

    world.merge::<Deployment>("web", json!({"spec": {"settings": failing()}})).await;
    world.deployment("web", "waits once more", ready_is("Retrying")).await;
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    assert_eq!(world.runs().len(), 4);
}

/// The request, the queue, a step, the Pulumi operation.
#[tokio::test]
async fn what_failed_is_told_apart() {
    let world = World::new("what-failed").await;
    world.put_organization(json!({})).await;
    let with = |step: &str| json!({"settings": {"operationContext": {"environmentVariables": [{"name": "SIMULATOR_FAIL_STEP", "value": step}]}}});
    world.put_deployment("web", with("Get source")).await;
    let step = ready_message(&world.ended("web", 1).await);
    assert!(step.contains("failed at step `Get source`;"), "{step}");

    world.merge::<Deployment>("web", json!({"spec": with("pulumi update")})).await;
    let operation = ready_message(&world.ended("web", 2).await);
    assert!(operation.contains("failed at step `pulumi update`: the Pulumi operation (update "), "{operation}");

    world.merge::<Deployment>("web", json!({"spec": {"settings": {"agentPoolID": "no-such-pool"}}})).await;
    let status = world.deployment("web", "is refused", ready_is("CreateRefused")).await;
    assert_eq!(status.phase, Some(Phase::Pending));
    assert!(ready_message(&status).contains("the service refused the run"), "{}", ready_message(&status));
}
