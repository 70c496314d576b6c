//! Cancels that the service refuses, does not answer, or that come too late.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use pulumi_cloud_simulator::{Fault, FaultAnswer, FaultHandle};
use pulumi_deployments_operator::api::{
    Deployment, DeploymentStatus,
    condition::{find, types},
    deployment::{Phase, Run},
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

const GET_SOURCE: &str = "Get source";
const DOWNLOAD: &str = "Download dependencies";

/// A Deployment whose run stands still at its source.
async fn running(prefix: &str, more: Value) -> World {
    let world = World::new(prefix).await;
    world.put_organization(json!({})).await;
    world.simulator.hold_at(&world.stack("web/prod"), GET_SOURCE).unwrap();
    world.put_deployment("web", more).await;
    at_step(&world, GET_SOURCE).await;
    world
}

async fn at_step(world: &World, step: &str) -> DeploymentStatus {
    let is_there = |status: &DeploymentStatus| status.step.as_ref().is_some_and(|shown| shown.ends_with(step));
    world.deployment("web", &format!("is at {step}"), is_there).await
}

/// Lets the run go on as far as to another step.
fn go_on_to(world: &World, step: &str) {
    world.simulator.release(&world.stack("web/prod")).unwrap();
    world.simulator.hold_at(&world.stack("web/prod"), step).unwrap();
}

fn fault(world: &World) -> Fault {
    Fault::on("CancelDeployment").organization(world.organization.clone())
}

fn refuse(world: &World, answer: FaultAnswer) -> FaultHandle {
    world.simulator.inject(fault(world).always().answer(answer))
}

/// The cancel is not journaled any more, and the condition says why it failed.
fn taken_back(reason: &str) -> impl Fn(&DeploymentStatus) -> bool {
    move |status| {
        let told = [types::READY, types::RECONCILING].into_iter().filter_map(|it| find(&status.conditions, it));
        let is_told = told.into_iter().any(|told| told.message.contains(reason) || told.reason == reason);
        is_told && status.run.as_ref().is_some_and(|run| run.cancel.is_none())
    }
}

fn message(status: &DeploymentStatus, type_: &str) -> String {
    find(&status.conditions, type_).unwrap().message.clone()
}

/// It had no effect, so a run that fails by itself afterwards has failed, and is tried again.
#[rstest]
#[case::forbidden(403, "Forbidden")]
#[case::invalid(400, "Rejected")]
#[tokio::test]
async fn a_cancel_that_is_refused_is_taken_back_and_told(#[case] status: u16, #[case] reason: &'static str) {
    let fails =
        json!({"operationContext": {"environmentVariables": [{"name": "SIMULATOR_FAIL_STEP", "value": DOWNLOAD}]}});
    let retry = json!({"limit": 1, "backoff": {"initial": "1s", "max": "1s"}});
    let world = running("cancel-refused", json!({"retry": retry, "settings": fails})).await;
    let answer = FaultAnswer::status(status).json(json!({"code": status, "message": "not you"}));
    let refused = refuse(&world, answer);
    world.merge::<Deployment>("web", json!({"spec": {"timeout": "1s"}})).await;
    let told = world.deployment("web", "says why", taken_back(reason)).await;
    assert!(message(&told, types::STALLED).contains("not you"), "{told:#?}");
    assert!(message(&told, types::STALLED).contains("Pulumi console"), "{told:#?}");
    assert!(!told.run.as_ref().unwrap().cancel_taken_back);

    // Its steps are shown, and nobody asks again before it is time.
    go_on_to(&world, DOWNLOAD);
    let told = at_step(&world, DOWNLOAD).await;
    assert!(taken_back(reason)(&told), "{told:#?}");
    assert_eq!((told.phase, refused.hits()), (Some(Phase::Running), 1));
    refused.remove();
    world.simulator.release(&world.stack("web/prod")).unwrap();
    let status = world.deployment("web", "is tried again", |status| status.history.len() == 1).await;
    assert_eq!(status.history[0].result, Phase::Failed);
}

#[rstest]
#[case::throttled(FaultAnswer::status(429).header("Retry-After", "1"), "Throttled")]
#[case::unavailable(FaultAnswer::status(503), "")]
#[tokio::test]
async fn a_cancel_that_may_succeed_later_is_made_again(#[case] answer: FaultAnswer, #[case] reason: &str) {
    let world = running("cancel-again", json!({"supersede": "Cancel"})).await;
    let is_refused = !reason.is_empty();
    let fault = world.simulator.inject(fault(&world).times(2).answer(answer));
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    fault.reached_times(2).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    let status = world.ended("web", 2).await;
    let first = &world.runs()[0];
    // It may have ended by itself just before.
    let expected = if first.canceled { Phase::Canceled } else { Phase::Succeeded };
    assert_eq!(status.history[0].result, expected, "{is_refused} {first:#?}");
}

/// Its outcome is open, so it stays journaled and is made again.
#[tokio::test]
async fn steps_are_shown_while_the_outcome_of_a_cancel_is_open() {
    let world = running("cancel-open", json!({"supersede": "Cancel"})).await;
    let lost = world.simulator.inject(fault(&world).always().drop_before());
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    lost.reached().await;
    go_on_to(&world, DOWNLOAD);
    let status = at_step(&world, DOWNLOAD).await;
    assert!(status.run.as_ref().unwrap().cancel.is_some(), "{status:#?}");
    assert!(message(&status, types::RECONCILING).contains("tried again"), "{status:#?}");
    lost.remove();
    let is_next = |status: &DeploymentStatus| status.history.len() == 1;
    let status = world.deployment("web", "goes on", is_next).await;
    assert_eq!(status.history[0].result, Phase::Canceled);
    assert!(world.runs()[0].canceled);
    world.simulator.release(&world.stack("web/prod")).unwrap();
    assert_eq!(world.ended("web", 2).await.phase, Some(Phase::Succeeded));
}

/// Nobody looked for a while, and decides upon what was seen last.
#[tokio::test]
async fn a_run_that_has_ended_is_never_canceled() {
    let world = World::without_operator("cancel-ended").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    let operator = world.start_process(world.plane.kubeconfig(), "1");
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("web", json!({"supersede": "Cancel"})).await;
    let has_begun = |status: &DeploymentStatus| status.run.as_ref().is_some_and(|run: &Run| run.started_at.is_some());
    world.deployment("web", "has begun", has_begun).await;
    operator.kill().await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    crate::eventually::eventually(crate::eventually::SOON, "it has ended", async || {
        if world.runs()[0].status == "succeeded" { Ok(()) } else { Err(world.runs()) }
    })
    .await;
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    let _operator = world.start_process(world.plane.kubeconfig(), "2");
    let status = world.ended("web", 2).await;
    assert_eq!(status.history[0].result, Phase::Succeeded);
    assert_eq!(world.requests("CancelDeployment").len(), 0);
}
