//! `deletionPolicy: Destroy`: the stack is destroyed, and only then is the resource gone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use pulumi_cloud_simulator::Fault;
use pulumi_deployments_operator::api::{
    ConditionStatus, Deployment, DeploymentStatus, Organization, StackDeploymentSettings,
    condition::{find, types},
    deployment::{Phase, Purpose},
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    eventually::{SOON, eventually},
    world::{World, deployment_manifest, ready_is, ready_message, settings_manifest},
};

async fn connected(prefix: &str) -> World {
    let world = World::new(prefix).await;
    world.put_organization(json!({})).await;
    world
}

fn with(more: &Value) -> Value {
    let mut spec = json!({"deletionPolicy": "Destroy"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// A Deployment that has run once.
async fn ran(world: &World, more: &Value) {
    world.put_deployment("web", with(more)).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
}

fn operations(world: &World) -> Vec<(String, String)> {
    world.runs().into_iter().map(|run| (run.operation, run.status)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(operation, status)| ((*operation).to_owned(), (*status).to_owned())).collect()
}

/// Waits until the timeline has this in it; the resource may be gone.
async fn event(world: &World, wanted: &str) {
    eventually(SOON, wanted, async || {
        let told = world.kubectl(&["get", "events", "-o", "wide"], None).await;
        if told.contains(wanted) { Ok(()) } else { Err(told) }
    })
    .await;
}

/// Makes this stack's destroys fail, or not any more.
fn let_destroys(world: &World, fails: bool) {
    let step = if fails { json!("pulumi destroy") } else { Value::Null };
    let variables = json!({"operationContext": {"environmentVariables": {"SIMULATOR_FAIL_STEP": step}}});
    world.simulator.patch_settings(&world.stack("web/prod"), &variables).unwrap();
}

#[tokio::test]
async fn the_stack_is_destroyed_and_then_the_resource_is_gone() {
    let world = connected("destroy").await;
    ran(&world, &json!({})).await;
    world.simulator.hold_at(&world.stack("web/prod"), "pulumi destroy").unwrap();
    world.delete::<Deployment>("web").await;
    let destroys = |status: &DeploymentStatus| {
        status.phase == Some(Phase::Running) && status.step.as_deref() == Some("5/5 pulumi destroy")
    };
    let status = world.deployment("web", "destroys", destroys).await;
    let run = status.run.as_ref().unwrap();
    assert_eq!((run.purpose, run.operation.as_str(), run.attempt), (Purpose::Destroy, "destroy", 1));
    assert_eq!((run.request.number, status.history[0].purpose), (1, Purpose::Main));
    let ready = find(&status.conditions, types::READY).unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::Unknown, "Destroying"));
    assert!(ready.message.contains("is running, because this resource is deleted"), "{}", ready.message);
    world.simulator.release(&world.stack("web/prod")).unwrap();
    world.gone::<Deployment>("web").await;
    assert_eq!(operations(&world), pairs(&[("update", "succeeded"), ("destroy", "succeeded")]));
    assert_eq!(world.runs()[1].settings["sourceContext"]["git"]["branch"], "refs/heads/main", "with overrides");
    event(&world, "because this resource is deleted (deletionPolicy: Destroy)").await;
    event(&world, "the stack's resources are gone, and this resource is let go").await;
}

#[tokio::test]
async fn it_is_destroyed_whether_or_not_it_ever_ran_and_nothing_starts_while_it_is_suspended() {
    let world = connected("destroy-suspended").await;
    world.put_deployment("web", with(&json!({"suspend": true}))).await;
    world.deployment("web", "is suspended", ready_is("Suspended")).await;
    world.delete::<Deployment>("web").await;
    let says_so = |status: &DeploymentStatus| ready_message(status).contains("the stack is not destroyed");
    let status = world.deployment("web", "says so", says_so).await;
    assert!(ready_is("Suspended")(&status) && ready_message(&status).contains("deletionPolicy: Orphan"), "{status:?}");
    assert_eq!(operations(&world), []);
    // The brake holds it just as well.
    world.merge::<Organization>("acme", json!({"spec": {"suspend": true}})).await;
    world.organization_is("Suspended").await;
    world.merge::<Deployment>("web", json!({"spec": {"suspend": false}})).await;
    let braked = |status: &DeploymentStatus| ready_message(status).contains("of the Organization or --suspend-all");
    let status = world.deployment("web", "is held by the brake", braked).await;
    assert!(ready_is("Suspended")(&status) && ready_message(&status).contains("deletionPolicy: Orphan"), "{status:?}");
    assert_eq!(operations(&world), []);
    world.merge::<Organization>("acme", json!({"spec": {"suspend": false}})).await;
    world.gone::<Deployment>("web").await;
    assert_eq!(operations(&world), pairs(&[("destroy", "succeeded")]));
}

#[tokio::test]
async fn a_destroy_that_fails_is_told_tried_again_and_done_once_more_on_request() {
    let world = connected("destroy-fails").await;
    let retry = json!({"limit": 1, "backoff": {"initial": "1s", "max": "1s"}});
    ran(&world, &json!({"retry": retry})).await;
    let_destroys(&world, true);
    world.delete::<Deployment>("web").await;
    world.deployment("web", "waits for another attempt", ready_is("Retrying")).await;
    let status = world.deployment("web", "could not be destroyed", ready_is("DestroyFailed")).await;
    let run = status.run.as_ref().unwrap();
    assert_eq!((status.phase, run.purpose, run.attempt), (Some(Phase::Failed), Purpose::Destroy, 2));
    let attempts: Vec<_> = status.history.iter().map(|run| (run.purpose, run.attempt)).collect();
    assert_eq!(attempts, [(Purpose::Destroy, 1), (Purpose::Main, 1)]);
    assert_eq!(run.failure.as_ref().unwrap().step.as_deref(), Some("pulumi destroy"));
    assert!(!run.failure.as_ref().unwrap().log.is_empty());
    let told = ready_message(&status);
    for wanted in ["failed at step `pulumi destroy`", "this resource stays", "rerun", "deletionPolicy: Orphan"] {
        assert!(told.contains(wanted), "{wanted} is missing in: {told}");
    }
    let stalled = find(&status.conditions, types::STALLED).unwrap();
    assert_eq!((stalled.status, stalled.reason.as_str()), (ConditionStatus::True, "DestroyFailed"));
    event(&world, "DestroyFailed").await;

    // Policy starts nothing; a person does.
    world.merge::<Deployment>("web", json!({"spec": {"retry": {"limit": 9}, "timeout": "1h"}})).await;
    world.deployment("web", "has seen the policy", ready_is("DestroyFailed")).await;
    assert_eq!(world.runs().len(), 3);
    let_destroys(&world, false);
    let again = json!({"metadata": {"annotations": {"deployments.pulumi.com/rerun": "1"}}});
    world.merge::<Deployment>("web", again).await;
    world.gone::<Deployment>("web").await;
    let failed = ("destroy", "failed");
    assert_eq!(operations(&world), pairs(&[("update", "succeeded"), failed, failed, ("destroy", "succeeded")]));
}

#[tokio::test]
async fn a_destroy_that_takes_too_long_is_canceled_and_not_tried_again() {
    let world = connected("destroy-timeout").await;
    let retry = json!({"limit": 3, "backoff": {"initial": "1s", "max": "1s"}});
    ran(&world, &json!({"retry": retry})).await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.delete::<Deployment>("web").await;
    world.phase("web", Phase::Running).await;
    world.merge::<Deployment>("web", json!({"spec": {"timeout": "1s"}})).await;
    let status = world.deployment("web", "took too long", ready_is("DestroyFailed")).await;
    assert_eq!((status.phase, &status.retry), (Some(Phase::TimedOut), &None));
    assert!(ready_message(&status).contains("longer than spec.timeout"), "{}", ready_message(&status));
    assert!(world.runs()[1].canceled);
    world.simulator.release(&world.stack("web/prod")).unwrap();
    world.merge::<Deployment>("web", json!({"spec": {"deletionPolicy": "Orphan"}})).await;
    world.gone::<Deployment>("web").await;
    assert_eq!(world.runs().len(), 2);
}

/// While the destroy runs.
#[rstest]
#[case::orphan("Orphan", false)]
#[case::cancel_queued("CancelQueued", false)]
#[case::cancel("Cancel", true)]
#[tokio::test]
async fn another_policy_acts_at_once(#[case] policy: &str, #[case] canceled: bool) {
    let world = connected("destroy-policy").await;
    ran(&world, &json!({})).await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.delete::<Deployment>("web").await;
    world.phase("web", Phase::Running).await;
    world.merge::<Deployment>("web", json!({"spec": {"deletionPolicy": policy}})).await;
    world.gone::<Deployment>("web").await;
    assert_eq!((world.runs().len(), world.runs()[1].canceled), (2, canceled));
    world.simulator.release(&world.stack("web/prod")).unwrap();
}

#[tokio::test]
async fn what_runs_is_waited_for_and_what_is_queued_is_taken_out() {
    let world = connected("destroy-active").await;
    let stack = world.stack("web/prod");
    world.simulator.hold(&stack).unwrap();
    world.put_deployment("web", with(&json!({}))).await;
    world.phase("web", Phase::Running).await;
    world.delete::<Deployment>("web").await;
    let status = world.deployment("web", "is told", ready_is("Destroying")).await;
    assert!(ready_message(&status).contains("the stack is destroyed when it has ended"), "{}", ready_message(&status));
    world.simulator.release(&stack).unwrap();
    world.gone::<Deployment>("web").await;
    assert_eq!(operations(&world), pairs(&[("update", "succeeded"), ("destroy", "succeeded")]));

    world.simulator.hold(&stack).unwrap();
    world.put_deployment("first", json!({})).await;
    world.phase("first", Phase::Running).await;
    world.put_deployment("web", with(&json!({}))).await;
    world.phase("web", Phase::Queued).await;
    world.delete::<Deployment>("web").await;
    let is_last = |status: &DeploymentStatus| status.run.as_ref().is_some_and(|run| run.purpose == Purpose::Destroy);
    let status = world.deployment("web", "is to be destroyed", is_last).await;
    assert_eq!(status.history[0].result, Phase::Canceled);
    let runs = world.runs();
    assert!(!runs[2].canceled && runs[3].removed, "{runs:#?}");
    world.simulator.release(&stack).unwrap();
    world.gone::<Deployment>("web").await;
    assert_eq!(world.ended("first", 1).await.phase, Some(Phase::Succeeded));
    assert_eq!(operations(&world)[4], ("destroy".to_owned(), "succeeded".to_owned()));
}

/// A real kill: before the POST, after it, and once the run is recorded.
#[rstest]
#[case::not_sent(Some(false))]
#[case::sent(Some(true))]
#[case::recorded(None)]
#[tokio::test]
async fn killed_at_its_end_it_is_destroyed_once(#[case] is_sent: Option<bool>) {
    let world = World::without_operator("destroy-kill").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    let operator = world.start_process(world.plane.kubeconfig(), "1");
    ran(&world, &json!({})).await;
    let create = Fault::on("CreateDeployment").organization(world.organization.clone());
    let fault = is_sent.map(|is_sent| if is_sent { create.hold_answer() } else { create.drop_before() });
    let fault = fault.map(|fault| world.simulator.inject(fault));
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.delete::<Deployment>("web").await;
    match &fault {
        Some(fault) => timeout(SOON, fault.reached()).await.unwrap(),
        None => _ = world.phase("web", Phase::Running).await,
    }
    operator.kill().await;
    let status = world.api::<Deployment>().get("web").await.unwrap().status.unwrap();
    assert_eq!(status.intent.map(|intent| intent.purpose), is_sent.map(|_| Purpose::Destroy));
    if let Some(fault) = fault {
        fault.release();
    }
    let _operator = world.start_process(world.plane.kubeconfig(), "2");
    world.deployment("web", "follows it", |status| status.phase == Some(Phase::Running)).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    world.gone::<Deployment>("web").await;
    assert_eq!(operations(&world), pairs(&[("update", "succeeded"), ("destroy", "succeeded")]));
}

#[tokio::test]
async fn a_stack_that_is_gone_is_what_was_wanted() {
    let world = connected("destroy-gone").await;
    let stack = world.stack("web/prod");
    ran(&world, &json!({})).await;
    world.simulator.remove_stack(&stack).unwrap();
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    assert_eq!(world.requests("CreateDeployment").len(), 2);
    event(&world, "nothing is left to destroy").await;

    // With its last resources the service deletes the stack, and the run that is followed with it.
    world.simulator.add_stack(&stack).unwrap();
    world
        .simulator
        .patch_settings(&stack, &json!({"operationContext": {"options": {"deleteAfterDestroy": true}}}))
        .unwrap();
    ran(&world, &json!({})).await;
    world.delete::<Deployment>("web").await;
    // When the end of the run was not seen, it must be missed three times first, and no test makes time go faster for that.
    eventually(3 * SOON, "web is gone with its stack", async || {
        match world.api::<Deployment>().get_opt("web").await.unwrap() {
            None => Ok(()),
            Some(deployment) => Err(deployment.status),
        }
    })
    .await;
    assert!(!world.simulator.has_stack(&stack));

    // Nothing names a stack, and nothing ever ran.
    world.put_deployment("web", with(&json!({"settingsRef": {"name": "never"}}))).await;
    world.deployment("web", "waits for settings", ready_is("SettingsNotReady")).await;
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
}

/// One call that says so is not enough.
#[tokio::test]
async fn a_404_for_a_stack_that_is_there_lets_nothing_go() {
    let world = connected("destroy-404").await;
    ran(&world, &json!({})).await;
    let not_found = pulumi_cloud_simulator::FaultAnswer::status(404).json(json!({"code": 404, "message": "Not Found"}));
    let create = Fault::on("CreateDeployment").organization(world.organization.clone()).answer(not_found);
    let create = world.simulator.inject(create);
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    assert_eq!(create.hits(), 1);
    assert_eq!(operations(&world), pairs(&[("update", "succeeded"), ("destroy", "succeeded")]));
}

#[tokio::test]
async fn who_may_not_destroy_is_told_and_keeps_the_resource() {
    let world = connected("destroy-denied").await;
    ran(&world, &json!({})).await;
    world.merge::<Organization>("acme", json!({"spec": {"access": [{"operations": ["update"]}]}})).await;
    world.organization_is("Connected").await;
    world.delete::<Deployment>("web").await;
    let status = world.deployment("web", "is denied", ready_is("AccessDenied")).await;
    assert!(
        ready_message(&status).contains("destroy") && ready_message(&status).contains("Orphan"),
        "{}",
        ready_message(&status)
    );
    assert_eq!(world.runs().len(), 1);
    world.merge::<Organization>("acme", json!({"spec": {"access": [{"operations": ["destroy"]}]}})).await;
    world.gone::<Deployment>("web").await;
    assert_eq!(world.runs().len(), 2);
}

/// They are needed for a destroy that is yet to come, whoever is deleted first.
#[tokio::test]
async fn settings_and_organization_wait_for_the_destroy() {
    let world = connected("destroy-order").await;
    let git = json!({"repoURL": "https://example.com/web.git", "branch": "stored"});
    world.put_settings(json!({"settings": {"sourceContext": {"git": git}}})).await;
    ran(&world, &json!({"settingsRef": {"name": "web"}})).await;
    world.delete::<Organization>("acme").await;
    world.delete::<StackDeploymentSettings>("web").await;
    let conditions = world.organization_is("InUse").await;
    assert!(find(&conditions, types::READY).unwrap().message.contains("Deployment"), "{conditions:?}");
    let settings = world.settings("web", "Finalizing").await.status.unwrap();
    let ready = find(&settings.conditions, types::READY).unwrap();
    assert!(ready.message.contains("need these settings to destroy the stack"), "{}", ready.message);
    // Not even the Secret with the token is needed any more.
    world.delete::<Secret>("pulumi").await;
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    world.gone::<Organization>("acme").await;
    assert_eq!(operations(&world), pairs(&[("update", "succeeded"), ("destroy", "succeeded")]));
    assert_eq!(world.runs()[1].settings["sourceContext"]["git"]["branch"], "refs/heads/stored");
    assert_eq!(world.stored(), None);
}

#[tokio::test]
async fn settings_go_as_soon_as_nobody_needs_them_for_a_destroy() {
    let world = World::without_operator("destroy-not").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    // At real speed: the next look that the clock asks for is minutes away.
    world.start_operator(|options| options.speed = 1.0);
    world.put_organization(json!({})).await;
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["x"]}}})).await;
    world.put_deployment("web", with(&json!({"settingsRef": {"name": "web"}, "suspend": true}))).await;
    world.deployment("web", "is suspended", ready_is("Suspended")).await;
    world.settings("web", "Synced").await;
    world.delete::<StackDeploymentSettings>("web").await;
    world.settings("web", "Finalizing").await;
    world.merge::<Deployment>("web", json!({"spec": {"deletionPolicy": "Orphan"}})).await;
    world.gone::<StackDeploymentSettings>("web").await;
    assert_eq!(world.stored(), None);
}

/// Everything that a team has, with a Deployment for each policy, one of them with a Secret of its own; deleted in an
/// order that nobody chose.
#[rstest]
#[case::by_the_namespace_alone(None)]
#[case::one_by_one(Some(1))]
#[case::one_by_one_in_another_order(Some(2))]
#[case::one_by_one_in_yet_another_order(Some(rand::random()))]
#[tokio::test]
async fn a_namespace_is_deleted_cleanly_in_any_order(#[case] seed: Option<u64>) {
    println!("seed {seed:?}");
    let world = connected("destroy-namespace").await;
    let policies = ["Orphan", "CancelQueued", "Cancel", "Destroy"];
    world.put_secret("db", &[("password", "correct-horse")]).await;
    for policy in policies {
        let (name, stack) = (policy.to_lowercase(), json!({"stack": {"name": policy}}));
        world.simulator.add_stack(&world.stack(&format!("web/{policy}"))).unwrap();
        world.put::<StackDeploymentSettings>(settings_manifest(&name, &stack)).await;
        let variable = json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]);
        let git = json!({"git": {"repoURL": "https://example.com/web.git", "branch": "main"}});
        let settings = json!({"sourceContext": git, "operationContext": {"environmentVariables": variable}});
        let more = json!({"settingsRef": {"name": name}, "deletionPolicy": policy, "settings": settings});
        world.put::<Deployment>(deployment_manifest(&name, &more)).await;
        world.ended(&name, 1).await;
    }
    let mut objects: Vec<(&str, String)> = policies.map(|policy| ("sds", policy.to_lowercase())).to_vec();
    objects.extend(policies.map(|policy| ("pdep", policy.to_lowercase())));
    objects.extend([("porg", "acme".to_owned()), ("secret", "pulumi".to_owned()), ("secret", "db".to_owned())]);
    if let Some(seed) = seed {
        objects.shuffle(&mut StdRng::seed_from_u64(seed));
        for (kind, name) in &objects {
            world.kubectl(&["delete", kind, name, "--wait=false"], None).await;
        }
    }
    world.kubectl(&["delete", "namespace", &world.namespace, "--timeout=60s"], None).await;
    assert!(world.api::<Deployment>().list(&ListParams::default()).await.unwrap().items.is_empty());
    for policy in policies {
        let stack = world.stack(&format!("web/{policy}"));
        let runs: Vec<_> =
            world.simulator.deployments(&stack).into_iter().map(|run| (run.operation, run.status)).collect();
        let destroyed: &[_] = if policy == "Destroy" { &[("destroy", "succeeded")] } else { &[] };
        assert_eq!(runs, pairs(&[&[("update", "succeeded")], destroyed].concat()), "{policy}, seed {seed:?}");
    }
}
