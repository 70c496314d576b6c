//! What a request is: what makes one, what does not, which of several wins, and what a person's word does to the first.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use pulumi_deployments_operator::{
    api::{
        ConditionStatus, Deployment, DeploymentStatus, Organization, StackDeploymentSettings,
        condition::{find, types},
        deployment::{HistoryEntry, Phase, Trigger},
    },
    install_key,
    operator::{self, Options},
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    eventually::{SOON, eventually},
    world::{SPEED, World, deployment_manifest, ready_is},
};

/// An operator in this process that can be stopped, with a key of its own in the test's namespace.
struct Operator {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    fn start(world: &World, suspend_all: bool) -> Self {
        let options = Options {
            watch_secrets: true,
            write_outputs: true,
            watch_namespaces: vec![world.namespace.clone()],
            allowed_backends: vec![world.simulator.url()],
            suspend_all,
            listen: ([127, 0, 0, 1], 0).into(),
            traces: None,
            speed: SPEED,
        };
        let mut config = world.plane.config().clone();
        config.default_namespace.clone_from(&world.namespace);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        Self { stop, task: tokio::spawn(async move { operator::run(options, config, stopped).await.unwrap() }) }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn without_operator(prefix: &str) -> World {
    let world = World::without_operator(prefix).await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    world
}

async fn connected(prefix: &str) -> World {
    let world = World::new(prefix).await;
    world.put_organization(json!({})).await;
    world
}

/// Settings with a value as written and one from the Secret `db`.
fn settings(tier: &str) -> Value {
    json!({"settings": {
        "sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": "main"}},
        "operationContext": {"environmentVariables": [
            {"name": "TIER", "value": tier},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        ]},
    }})
}

fn follows(settle: &str) -> Value {
    json!({"settingsRef": {"name": "web"}, "runOnSettingsChange": true, "settle": settle})
}

/// A Deployment that follows its settings, and has run once.
async fn following(world: &World, settle: &str) -> DeploymentStatus {
    world.put_secret("db", &[("password", "first-password")]).await;
    world.put_settings(settings("1")).await;
    world.settings("web", "Synced").await;
    world.put_deployment("web", follows(settle)).await;
    world.ended("web", 1).await
}

async fn change(world: &World, spec: Value) {
    world.merge::<Deployment>("web", json!({"spec": spec})).await;
}

async fn annotate(world: &World, annotation: &str, value: Value) {
    let name = format!("deployments.pulumi.com/{annotation}");
    world.merge::<Deployment>("web", json!({"metadata": {"annotations": {name: value}}})).await;
}

fn waits_as(number: u64) -> impl Fn(&DeploymentStatus) -> bool {
    move |status| status.pending.as_ref().is_some_and(|pending| pending.number == number)
}

fn told(history: &[HistoryEntry]) -> Vec<(u64, Phase, Option<Trigger>)> {
    history.iter().map(|entry| (entry.request_number, entry.result, entry.trigger)).collect()
}

fn variable(world: &World, run: usize, name: &str) -> String {
    world.runs()[run].environment[name].0.clone()
}

#[tokio::test]
async fn other_settings_run_once_and_the_same_ones_never() {
    let world = connected("settings-run").await;
    following(&world, "3s").await;
    for tier in ["2", "3", "4"] {
        world.put_settings(settings(tier)).await;
    }
    let status = world.ended("web", 2).await;
    assert_eq!((world.runs().len(), variable(&world, 1, "TIER")), (2, "4".to_owned()));
    assert_eq!(status.run.as_ref().unwrap().trigger, Some(Trigger::SettingsChanged));
    assert_eq!(told(&status.history), [(1, Phase::Succeeded, Some(Trigger::Created))]);
    let used = world.settings("web", "Synced").await.status.unwrap().content_digest;
    assert_eq!(status.request.unwrap().settings_digest, used);

    // A new version of the Secret with the same value.
    let secret = world.merge::<Secret>("db", json!({"metadata": {"labels": {"a": "b"}}})).await;
    eventually(SOON, "the new version is known", async || {
        let status = world.settings("web", "Synced").await.status.unwrap();
        let versions: Vec<_> = status.sources.iter().map(|source| Some(source.resource_version.clone())).collect();
        if versions == [secret.metadata.resource_version.clone()] { Ok(()) } else { Err(versions) }
    })
    .await;
    // A change made elsewhere, and its correction.
    let elsewhere = json!({"operationContext": {"environmentVariables": {"TIER": "elsewhere"}}});
    world.simulator.patch_settings(&world.stack("web/prod"), &elsewhere).unwrap();
    let look = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
    world.merge::<StackDeploymentSettings>("web", look).await;
    eventually(SOON, "the change is corrected", async || {
        let corrections = world.settings("web", "Synced").await.status.unwrap().corrections;
        if corrections.len() == 1 { Ok(()) } else { Err(corrections) }
    })
    .await;
    // Another value, and the next request is the next number.
    world.put_secret("db", &[("password", "second-password")]).await;
    world.ended("web", 3).await;
    assert_eq!((world.runs().len(), variable(&world, 2, "PASSWORD")), (3, "second-password".to_owned()));

    // Nobody follows any more.
    change(&world, json!({"runOnSettingsChange": false, "settle": "0s"})).await;
    world.put_settings(settings("5")).await;
    world.settings("web", "Synced").await;
    change(&world, json!({"rerun": "again"})).await;
    let status = world.ended("web", 4).await;
    assert_eq!((world.runs().len(), status.run.unwrap().trigger), (4, Some(Trigger::Rerun)));
}

#[tokio::test]
async fn settings_that_are_not_in_sync_ask_for_nothing() {
    let world = connected("settings-hold").await;
    following(&world, "0s").await;
    world.delete::<Secret>("db").await;
    world.settings("web", "SourceMissing").await;
    world.put_secret("db", &[("password", "first-password")]).await;
    world.settings("web", "Synced").await;
    // What changes while nothing new is started waits, and is taken back with the settings.
    change(&world, json!({"suspend": true})).await;
    world.put_settings(settings("2")).await;
    let status = world.deployment("web", "waits", waits_as(2)).await;
    assert_eq!(status.pending.unwrap().trigger, Trigger::SettingsChanged);
    world.delete::<Secret>("db").await;
    world.settings("web", "SourceMissing").await;
    world.deployment("web", "still waits", |status| waits_as(2)(status) && ready_is("Suspended")(status)).await;
    world.put_secret("db", &[("password", "first-password")]).await;
    world.put_settings(settings("1")).await;
    let status = world.deployment("web", "is done", |status| status.phase == Some(Phase::Succeeded)).await;
    assert_eq!(told(&status.history), [(2, Phase::Skipped, Some(Trigger::SettingsChanged))]);
    assert_eq!(status.history[0].message.as_deref(), Some("it was taken back before it ran"));
    assert_eq!(world.runs().len(), 1);
    change(&world, json!({"suspend": false, "rerun": "2"})).await;
    world.ended("web", 3).await;
    assert_eq!(world.runs().len(), 2);
}

#[tokio::test]
async fn another_key_runs_nothing() {
    let world = without_operator("lost-key").await;
    let operator = Operator::start(&world, false);
    let before = following(&world, "0s").await.request.unwrap();
    operator.stop().await;
    world.delete::<Secret>(install_key::SECRET).await;
    let _operator = Operator::start(&world, false);
    let noted = |status: &DeploymentStatus| status.request.as_ref().unwrap().settings_digest.clone();
    let status =
        world.deployment("web", "has noted another digest", |status| noted(status) != before.settings_digest).await;
    let request = status.request.as_ref().unwrap();
    assert_eq!((request.number, &request.digest), (1, &before.digest));
    assert_eq!(noted(&status), world.settings("web", "Synced").await.status.unwrap().content_digest);
    assert_eq!(world.runs().len(), 1);
    // From then on it is compared again.
    world.put_settings(settings("2")).await;
    world.ended("web", 2).await;
    assert_eq!(world.runs().len(), 2);
}

#[rstest]
#[case::older("v0:0123")]
#[case::newer("v9:0123")]
#[tokio::test]
async fn a_digest_in_another_form_runs_nothing(#[case] digest: &str) {
    let world = without_operator("other-form").await;
    let operator = Operator::start(&world, false);
    world.put_deployment("web", json!({})).await;
    let request = world.ended("web", 1).await.request.unwrap();
    operator.stop().await;
    let patch = Patch::Merge(json!({"status": {"request": {"digest": digest}}}));
    world.api::<Deployment>().patch_status("web", &PatchParams::default(), &patch).await.unwrap();
    let _operator = Operator::start(&world, false);
    world.deployment("web", "is rewritten", |status| status.request.as_ref() == Some(&request)).await;
    change(&world, json!({"rerun": "2"})).await;
    world.ended("web", 2).await;
    assert_eq!(world.runs().len(), 2);
}

/// What a backup has of a Deployment.
async fn backed_up(world: &World) -> Deployment {
    let mut backup = world.api::<Deployment>().get("web").await.unwrap();
    let metadata = &mut backup.metadata;
    (metadata.uid, metadata.resource_version, metadata.creation_timestamp) = (None, None, None);
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    backup
}

#[tokio::test]
async fn a_backup_that_is_restored_with_its_status_runs_nothing() {
    let world = without_operator("restored").await;
    let operator = Operator::start(&world, false);
    world.put_deployment("web", json!({})).await;
    world.ended("web", 1).await;
    let backup = backed_up(&world).await;
    operator.stop().await;

    let api = world.api::<Deployment>();
    let restored = api.create(&PostParams::default(), &backup).await.unwrap();
    assert_ne!(restored.metadata.uid, backup.status.as_ref().unwrap().uid);
    let patch = Patch::Merge(json!({"status": backup.status}));
    api.patch_status("web", &PatchParams::default(), &patch).await.unwrap();
    let _operator = Operator::start(&world, false);
    let status = world.deployment("web", "is taken over", |status| status.uid == restored.metadata.uid).await;
    assert_eq!(status.run.unwrap().result, Some(Phase::Succeeded));
    assert_eq!(world.runs().len(), 1);
    change(&world, json!({"rerun": "2"})).await;
    world.ended("web", 2).await;
    assert_eq!(world.runs().len(), 2);
}

#[tokio::test]
async fn a_backup_that_is_restored_without_its_status_adopts_the_run_that_is_under_way() {
    let world = without_operator("adopted").await;
    let stack = world.stack("web/prod");
    world.simulator.hold(&stack).unwrap();
    let body = json!({"operation": "update", "sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": "main"}}});
    let there = world.simulator.create_deployment(&stack, &body).unwrap();
    let operator = Operator::start(&world, true);
    world.put_deployment("web", json!({"retry": {"limit": 3}})).await;
    world.deployment("web", "waits", |status| ready_is("Suspended")(status) && waits_as(1)(status)).await;

    annotate(&world, "adopt", json!("latest")).await;
    let status = world.phase("web", Phase::Running).await;
    let run = status.run.as_ref().unwrap();
    assert_eq!((&run.id, run.trigger, run.request.number), (&there.id, Some(Trigger::Adopted), 1));
    assert_eq!((&status.pending, &status.history), (&None, &vec![]));
    let annotations = world.api::<Deployment>().get("web").await.unwrap().metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key("deployments.pulumi.com/adopt"), "{annotations:?}");
    world.simulator.release(&stack).unwrap();
    world.ended("web", 1).await;
    eventually(SOON, "it is told", async || {
        let events = world.kubectl(&["describe", "pdep", "web"], None).await;
        if events.contains("adopted update 1 of") { Ok(()) } else { Err(events) }
    })
    .await;
    operator.stop().await;

    let _operator = Operator::start(&world, false);
    change(&world, json!({"historyLimit": 7})).await;
    world.phase("web", Phase::Succeeded).await;
    assert!(world.requests("CreateDeployment").is_empty());
    change(&world, json!({"rerun": "2"})).await;
    let status = world.ended("web", 2).await;
    assert_eq!(told(&status.history), [(1, Phase::Succeeded, Some(Trigger::Adopted))]);
    assert_eq!(world.requests("CreateDeployment").len(), 1);
}

#[tokio::test]
async fn a_word_that_names_no_run_is_refused_and_nothing_runs_until_it_can_be_heeded() {
    let world = World::new("adopt-id").await;
    let stack = world.stack("web/prod");
    let mut manifest = deployment_manifest("web", &json!({}));
    manifest["metadata"]["annotations"] = json!({"deployments.pulumi.com/adopt": "no-such-run"});
    world.put::<Deployment>(manifest.clone()).await;
    world.deployment("web", "waits for the organization", ready_is("OrganizationNotReady")).await;
    world.put_organization(json!({})).await;
    let status = world.deployment("web", "is refused", ready_is("AdoptionRefused")).await;
    let stalled = find(&status.conditions, types::STALLED).unwrap();
    assert!(stalled.message.contains("has no deployment no-such-run: correct the annotation"), "{}", stalled.message);
    assert_eq!((status.request, status.run), (None, None));

    // The brake stops nothing that only reads.
    world.merge::<Organization>("acme", json!({"spec": {"suspend": true}})).await;
    world.organization_is("Suspended").await;
    let body = json!({"operation": "preview", "sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": "main"}}});
    let wanted = world.simulator.create_deployment(&stack, &body).unwrap();
    world.simulator.create_deployment(&stack, &body).unwrap();
    annotate(&world, "adopt", json!(wanted.id)).await;
    let run = world.ended("web", 1).await.run.unwrap();
    assert_eq!((run.id, run.operation.as_str()), (wanted.id, "preview"));
    world.merge::<Organization>("acme", json!({"spec": {"suspend": false}})).await;
    world.organization_is("Connected").await;

    // It is heeded for a first request only.
    annotate(&world, "adopt", json!("latest")).await;
    change(&world, json!({"rerun": "2"})).await;
    assert_eq!(world.ended("web", 2).await.run.unwrap().trigger, Some(Trigger::Rerun));
    assert_eq!(world.requests("CreateDeployment").len(), 1);
}

#[tokio::test]
async fn a_stack_without_any_run_can_be_adopted_too() {
    let world = connected("adopt-none").await;
    let mut manifest = deployment_manifest("web", &json!({}));
    manifest["metadata"]["annotations"] = json!({"deployments.pulumi.com/adopt": "latest"});
    world.put::<Deployment>(manifest).await;
    let status = world.deployment("web", "counts as handled", ready_is("Adopted")).await;
    assert_eq!(find(&status.conditions, types::READY).unwrap().status, ConditionStatus::True);
    assert_eq!((status.run, status.request.unwrap().number), (None, 1));
    change(&world, json!({"rerun": "2"})).await;
    world.ended("web", 2).await;
    assert_eq!(world.requests("CreateDeployment").len(), 1);
}

#[tokio::test]
async fn requests_that_never_ran_are_told() {
    let world = connected("skipped").await;
    world.put_deployment("web", json!({"suspend": true})).await;
    let status = world.deployment("web", "waits", waits_as(1)).await;
    assert_eq!(status.pending.unwrap().trigger, Trigger::Created);
    change(&world, json!({"operation": "preview"})).await;
    let status = world.deployment("web", "waits anew", waits_as(2)).await;
    assert_eq!(told(&status.history), [(1, Phase::Skipped, Some(Trigger::Created))]);
    assert_eq!(status.history[0].message.as_deref(), Some("another request took its place before it ran"));
    assert_eq!((&status.history[0].id, status.history[0].version, status.history[0].attempt), (&None, None, 0));
    change(&world, json!({"suspend": false})).await;
    let status = world.ended("web", 2).await;
    assert_eq!((status.run.unwrap().trigger, status.pending), (Some(Trigger::Changed), None));

    change(&world, json!({"suspend": true})).await;
    annotate(&world, "rerun", json!("a")).await;
    let status = world.deployment("web", "waits once more", waits_as(3)).await;
    assert_eq!(status.pending.unwrap().trigger, Trigger::Rerun);
    annotate(&world, "rerun", json!(null)).await;
    world.phase("web", Phase::Succeeded).await;
    change(&world, json!({"suspend": false, "rerun": "b"})).await;
    let status = world.ended("web", 4).await;
    assert_eq!(status.run.unwrap().trigger, Some(Trigger::Rerun));
    let expected = [
        (3, Phase::Skipped, Some(Trigger::Rerun)),
        (2, Phase::Succeeded, Some(Trigger::Changed)),
        (1, Phase::Skipped, Some(Trigger::Created)),
    ];
    assert_eq!(told(&status.history), expected);
    assert_eq!(world.runs().len(), 2);

    // Fewer are forgotten at once, and numbers go on all the same.
    for (limit, left) in [(2, 2), (0, 0)] {
        change(&world, json!({"historyLimit": limit})).await;
        world.deployment("web", "has forgotten", |status| status.history.len() == left).await;
    }
    change(&world, json!({"rerun": "c", "suspend": true})).await;
    world.deployment("web", "waits", waits_as(5)).await;
    change(&world, json!({"rerun": "d"})).await;
    world.deployment("web", "waits", waits_as(6)).await;
    change(&world, json!({"rerun": "b"})).await;
    world.phase("web", Phase::Succeeded).await;
    change(&world, json!({"rerun": "e", "suspend": false})).await;
    let status = world.ended("web", 7).await;
    assert_eq!((status.history, world.runs().len()), (vec![], 3));
}

/// Each request finds the one before under way.
#[rstest]
#[case::wait("Wait")]
#[case::cancel_queued("CancelQueued")]
#[case::cancel("Cancel")]
#[tokio::test]
async fn the_newest_of_many_requests_wins_and_each_of_the_others_is_told(#[case] supersede: &str) {
    let release = |number: u64| json!({"operationContext": {"environmentVariables": [{"name": "RELEASE", "value": number.to_string()}]}});
    let world = connected("series").await;
    let stack = world.stack("web/prod");
    world.simulator.hold(&stack).unwrap();
    world.put_deployment("web", json!({"supersede": supersede, "settings": release(1)})).await;
    world.phase("web", Phase::Running).await;
    for number in 2..=5 {
        change(&world, json!({"settings": release(number)})).await;
        let is_known = |status: &DeploymentStatus| {
            let of_the_run = status.run.as_ref().is_some_and(|run| run.request.number == number);
            waits_as(number)(status) || of_the_run
        };
        world.deployment("web", &format!("knows request {number}"), is_known).await;
    }
    world.simulator.release(&stack).unwrap();
    let status = world.ended("web", 5).await;
    let numbers: Vec<_> = status.history.iter().map(|entry| entry.request_number).collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
    let ran = status.history.iter().filter(|entry| entry.id.is_some()).count() + 1;
    assert_eq!((world.runs().len(), variable(&world, ran - 1, "RELEASE")), (ran, "5".to_owned()));
    assert!(status.history.iter().all(|entry| entry.id.is_some() || entry.result == Phase::Skipped));
    let first = &status.history[3];
    if supersede == "Cancel" {
        assert_eq!(first.result, Phase::Canceled);
    } else {
        assert_eq!((first.result, ran), (Phase::Succeeded, 2), "{:?}", told(&status.history));
    }
}
