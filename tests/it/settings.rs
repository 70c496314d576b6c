//! The settings of a stack: pushed, kept, handed over, cleared.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::time::{Duration, Instant};

use pulumi_deployments_operator::api::{
    StackDeploymentSettings,
    condition::{find, types},
};
use serde_json::{Value, json};

use crate::{
    eventually::{SOON, eventually},
    world::{World, settings_manifest},
};

async fn connected(prefix: &str) -> World {
    let world = World::new(prefix).await;
    world.put_organization(json!({})).await;
    world
}

/// Waits until a stored field is as wanted.
async fn stored(world: &World, pointer: &str, wanted: Value) {
    eventually(SOON, &format!("{pointer} is {wanted}"), async || {
        let settings = world.stored().unwrap_or_default();
        if settings.pointer(pointer).cloned().unwrap_or_default() == wanted { Ok(()) } else { Err(settings) }
    })
    .await;
}

#[tokio::test]
async fn what_is_dropped_is_unset_and_what_others_set_is_left_alone() {
    let world = connected("merge").await;
    world
        .simulator
        .patch_settings(
            &world.stack("web/prod"),
            &json!({"operationContext": {"environmentVariables": {"THEIRS": "1"}}, "gitHub": {"repository": "acme/web"}}),
        )
        .unwrap();
    let git = json!({"repoDir": "infra", "commit": "abc123"});
    let variables = json!([{"name": "OURS", "value": "1"}, {"name": "DROPPED", "value": "2"}]);
    world.put_settings(json!({"settings": {"sourceContext": {"git": git}, "operationContext": {"environmentVariables": variables}}})).await;
    world.settings("web", "Synced").await;
    stored(&world, "/operationContext/environmentVariables", json!({"THEIRS": "1", "OURS": "1", "DROPPED": "2"})).await;

    // One arm of a one-of unsets the others, and a variable goes.
    world
        .merge::<StackDeploymentSettings>(
            "web",
            json!({"spec": {"settings": {
                "sourceContext": {"git": {"commit": null, "branch": "main"}},
                "operationContext": {"environmentVariables": [{"name": "OURS", "value": "3"}]},
            }}}),
        )
        .await;
    world.settings("web", "Synced").await;
    let settings = world.stored().unwrap();
    assert_eq!(settings["operationContext"]["environmentVariables"], json!({"THEIRS": "1", "OURS": "3"}));
    assert_eq!(settings["sourceContext"]["git"], json!({"repoDir": "infra", "branch": "refs/heads/main"}));
    assert_eq!(settings["gitHub"]["repository"], "acme/web");

    // What the service normalizes is no difference: nothing is pushed again.
    let pushes = world.requests("PatchSettings").len();
    world.merge::<StackDeploymentSettings>("web", json!({"spec": {"interval": "11s"}})).await;
    world.settings("web", "Synced").await;
    assert_eq!(world.requests("PatchSettings").len(), pushes);

    // Only what is ours goes with the resource.
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    let settings = world.stored().unwrap();
    assert_eq!(settings["operationContext"]["environmentVariables"], json!({"THEIRS": "1"}));
    assert_eq!((settings["gitHub"]["repository"].as_str(), settings.get("sourceContext")), (Some("acme/web"), None));
}

#[tokio::test]
async fn a_rotated_secret_is_pushed_within_seconds_and_an_equal_one_is_not() {
    let world = connected("rotate").await;
    world.put_secret("db", &[("password", "one-password")]).await;
    world.put_config_map("web", &[("tier", "gold")]).await;
    world
        .put_settings(json!({"settings": {"operationContext": {"environmentVariables": [
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "TIER", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "tier"}}},
        ]}}}))
        .await;
    world.settings("web", "Synced").await;
    let password = "/operationContext/environmentVariables/DB_PASSWORD";
    stored(&world, password, json!({"secret": "one-password"})).await;

    let rotated = Instant::now();
    world.put_secret("db", &[("password", "other-password")]).await;
    stored(&world, password, json!({"secret": "other-password"})).await;
    assert!(rotated.elapsed() < Duration::from_secs(5), "{:?}", rotated.elapsed());
    world.put_config_map("web", &[("tier", "silver")]).await;
    stored(&world, "/operationContext/environmentVariables/TIER", json!("silver")).await;

    // Another version of the Secret with the same value: noted, not pushed.
    world.settings("web", "Synced").await;
    let pushes = world.requests("PatchSettings").len();
    let sources = world.settings("web", "Synced").await.status.unwrap().sources;
    world.put_secret("db", &[("password", "other-password"), ("unrelated", "x")]).await;
    eventually(SOON, "the version is noted", async || {
        let status = world.settings("web", "Synced").await.status.unwrap();
        if status.sources == sources { Err(status) } else { Ok(()) }
    })
    .await;
    assert_eq!(world.requests("PatchSettings").len(), pushes);
    assert_eq!(pushes, 3);
}

#[tokio::test]
async fn a_change_made_elsewhere_is_corrected() {
    let world = connected("drift").await;
    world
        .put_settings(json!({"interval": "10s", "settings": {"operationContext": {"preRunCommands": ["npm test"]}}}))
        .await;
    world.settings("web", "Synced").await;
    world
        .simulator
        .patch_settings(
            &world.stack("web/prod"),
            &json!({"operationContext": {"preRunCommands": ["rm -rf /"], "environmentVariables": {"THEIRS": "1"}}}),
        )
        .unwrap();
    stored(&world, "/operationContext/preRunCommands", json!(["npm test"])).await;
    assert_eq!(world.stored().unwrap()["operationContext"]["environmentVariables"]["THEIRS"], "1");
    let events = eventually(SOON, "the event", async || {
        let events = world.kubectl(&["get", "events"], None).await;
        if events.contains("DriftCorrected") { Ok(events) } else { Err(events) }
    })
    .await;
    assert!(events.contains("/operationcontext/preruncommands had been changed elsewhere"), "{events}");
}

#[tokio::test]
async fn somebody_who_asks_is_answered_at_once() {
    let world = connected("asked").await;
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["npm test"]}}})).await;
    world.settings("web", "Synced").await;
    world
        .simulator
        .patch_settings(&world.stack("web/prod"), &json!({"operationContext": {"preRunCommands": []}}))
        .unwrap();
    world
        .merge::<StackDeploymentSettings>(
            "web",
            json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}),
        )
        .await;
    stored(&world, "/operationContext/preRunCommands", json!(["npm test"])).await;
    eventually(SOON, "the answer", async || {
        let status = world.settings("web", "Synced").await.status.unwrap();
        if status.last_handled_reconcile_at.as_deref() == Some("now") { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test]
async fn the_older_of_two_owns_the_stack_and_hands_it_over() {
    let world = connected("owner").await;
    world
        .put::<StackDeploymentSettings>(settings_manifest(
            "older",
            &json!({"settings": {"operationContext": {"preRunCommands": ["older"]}}}),
        ))
        .await;
    world.settings("older", "Synced").await;
    // Creation times have whole seconds.
    let created = world.settings("older", "Synced").await.metadata.creation_timestamp.unwrap();
    eventually(SOON, "the next second", async || {
        if jiff::Timestamp::now().as_second() > created.0.as_second() { Ok(()) } else { Err(()) }
    })
    .await;
    world
        .put::<StackDeploymentSettings>(settings_manifest(
            "younger",
            &json!({"settings": {"operationContext": {"preRunCommands": ["younger"]}}}),
        ))
        .await;
    let status = world.settings("younger", "Conflict").await.status.unwrap();
    let stalled = find(&status.conditions, types::STALLED).unwrap();
    assert!(stalled.message.contains("older"), "{}", stalled.message);
    assert_eq!(world.stored().unwrap()["operationContext"]["preRunCommands"], json!(["older"]));

    world.delete::<StackDeploymentSettings>("older").await;
    world.gone::<StackDeploymentSettings>("older").await;
    world.settings("younger", "Synced").await;
    assert_eq!(world.stored().unwrap()["operationContext"]["preRunCommands"], json!(["younger"]));
    assert_eq!(world.requests("DeleteSettings").len(), 0);
}

#[tokio::test]
async fn deletion_clears_or_retains() {
    let world = connected("clear").await;
    let more = json!({"settings": {"operationContext": {"preRunCommands": ["npm test"], "oidc": {"aws": {"roleArn": "arn:aws:iam::1:role/r", "sessionName": "s"}}}}});
    world.put_settings(more.clone()).await;
    world.settings("web", "Synced").await;
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    assert_eq!(world.stored(), None);

    world.put_settings(more).await;
    world.settings("web", "Synced").await;
    world.merge::<StackDeploymentSettings>("web", json!({"spec": {"deletionPolicy": "Retain"}})).await;
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    assert_eq!(world.stored().unwrap()["operationContext"]["preRunCommands"], json!(["npm test"]));
}

#[tokio::test]
async fn a_stack_is_created_and_paused_when_that_is_asked_for() {
    let world = World::without_operator("create").await;
    world.start_operator(|_| ());
    world.put_organization(json!({})).await;
    world.put_settings(json!({"createStack": true, "paused": true, "settings": {"operationContext": {"preRunCommands": ["npm test"]}}})).await;
    let settings = world.settings("web", "Synced").await;
    assert!(world.simulator.has_stack(&world.stack("web/prod")));
    assert_eq!(settings.status.unwrap().paused, Some(true));
    assert_eq!((world.requests("PauseStack").len(), world.requests("ResumeStack").len()), (1, 0));
    world.merge::<StackDeploymentSettings>("web", json!({"spec": {"paused": false}})).await;
    let settings = world.settings("web", "Synced").await;
    assert_eq!(settings.status.unwrap().paused, Some(false));
    assert_eq!((world.requests("PauseStack").len(), world.requests("ResumeStack").len()), (1, 1));
}

#[tokio::test]
async fn what_is_missing_or_refused_is_said_and_goes_on_by_itself() {
    let world = connected("missing").await;
    let pool = world.simulator.add_agent_pool(&world.organization, "pool").unwrap();
    world
        .put_settings(json!({"settings": {"agentPoolID": "wrong", "operationContext": {"environmentVariables": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "late", "key": "a"}}}]}}}))
        .await;
    let message = |settings: &StackDeploymentSettings| {
        find(&settings.status.as_ref().unwrap().conditions, types::READY).unwrap().message.clone()
    };
    let waiting = world.settings("web", "SourceMissing").await;
    assert!(message(&waiting).contains("late does not exist; create it"), "{}", message(&waiting));
    world.put_secret("late", &[("b", "1")]).await;
    eventually(SOON, "the key is missed", async || {
        let settings = world.settings("web", "SourceMissing").await;
        if message(&settings).contains("has no key `a` (it has: b)") { Ok(()) } else { Err(message(&settings)) }
    })
    .await;
    world.put_secret("late", &[("a", "a-value")]).await;
    let refused = world.settings("web", "Rejected").await;
    assert!(message(&refused).contains("agent pool"), "{}", message(&refused));
    world.merge::<StackDeploymentSettings>("web", json!({"spec": {"settings": {"agentPoolID": pool}}})).await;
    world.settings("web", "Synced").await;
    assert_eq!(world.stored().unwrap()["agentPoolID"], pool);
}

#[tokio::test]
async fn unmanaged_fields_go_when_that_is_asked_for() {
    let world = connected("unmanaged").await;
    let theirs = json!({"operationContext": {"environmentVariables": {"THEIRS": "1"}}, "agentPoolID": null, "gitHub": {"repository": "acme/web"}});
    world.simulator.patch_settings(&world.stack("web/prod"), &theirs).unwrap();
    world.put_settings(json!({"unmanaged": "Remove", "settings": {"operationContext": {"environmentVariables": [{"name": "OURS", "value": "1"}]}}})).await;
    world.settings("web", "Synced").await;
    let settings = world.stored().unwrap();
    assert_eq!(settings["operationContext"]["environmentVariables"], json!({"OURS": "1"}));
    assert_eq!(settings.get("gitHub"), None, "{settings}");
}
