//! Without the right to list Secrets: those that something refers to are looked at by name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use pulumi_deployments_operator::api::deployment::Phase;
use serde_json::{Value, json};

use crate::{
    eventually::{SOON, eventually},
    world::World,
};

async fn world(prefix: &str) -> World {
    let world = World::without_operator(prefix).await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.start_operator(|options| options.watch_secrets = false);
    world.put_organization(json!({})).await;
    world
}

fn password() -> Value {
    let from = json!({"secretKeyRef": {"name": "db", "key": "password"}});
    json!({"settings": {
        "sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": "main"}},
        "operationContext": {"environmentVariables": [{"name": "PASSWORD", "valueFrom": from}]},
    }})
}

/// Waits until the stored settings have this password.
async fn pushed(world: &World, value: &str) {
    eventually(SOON, &format!("{value} is pushed"), async || {
        let stored = world.stored();
        let password = stored.as_ref().map(|stored| &stored["operationContext"]["environmentVariables"]["PASSWORD"]);
        if password == Some(&json!({"secret": value})) { Ok(()) } else { Err(stored) }
    })
    .await;
}

#[tokio::test]
async fn a_change_of_a_secret_is_seen_all_the_same() {
    let world = world("unwatched").await;
    world.put_settings(password()).await;
    world.settings("web", "SourceMissing").await;
    world.put_secret("db", &[("password", "one")]).await;
    pushed(&world, "one").await;
    world.settings("web", "Synced").await;
    world.put_secret("db", &[("password", "two")]).await;
    pushed(&world, "two").await;
    // Nothing is done when nothing has changed: all that is looked at is metadata in Kubernetes.
    world.settings("web", "Synced").await;
    assert_eq!(world.requests("PatchSettings").len(), 2);
}

#[tokio::test]
async fn a_rejected_token_that_is_replaced_is_seen() {
    let world = world("renewed").await;
    world.organization_is("Connected").await;
    let token = world.token.clone();
    world.put_secret("pulumi", &[("accessToken", "pul-of-nobody")]).await;
    world.organization_is("TokenRejected").await;
    world.put_secret("pulumi", &[("accessToken", token.as_str())]).await;
    world.organization_is("Connected").await;
}

#[tokio::test]
async fn a_run_gets_the_latest_value_at_once() {
    let world = world("gate").await;
    world.put_secret("db", &[("password", "one")]).await;
    world.put_settings(password()).await;
    world.settings("web", "Synced").await;
    world.put_secret("db", &[("password", "two")]).await;
    world.put_deployment("web", json!({"settingsRef": {"name": "web"}})).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
    assert_eq!(world.runs()[0].environment["PASSWORD"], ("two".to_owned(), true));
}

#[tokio::test]
async fn a_value_that_is_not_known_any_more_is_in_no_log_that_is_shown() {
    let world = world("stale").await;
    world.put_secret("db", &[("password", "canary-of-old")]).await;
    let mut settings = password();
    settings["settings"]["operationContext"]["preRunCommands"] = json!(["printenv PASSWORD && exit 1"]);
    world.put_settings(settings).await;
    world.settings("web", "Synced").await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("web", json!({"settingsRef": {"name": "web"}})).await;
    world.phase("web", Phase::Running).await;
    world.put_secret("db", &[("password", "canary-of-new")]).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    let status = world.ended("web", 1).await;
    assert_eq!(status.phase, Some(Phase::Failed));
    assert_eq!(world.runs()[0].environment["PASSWORD"].0, "canary-of-old");
    let shown = serde_json::to_string(&status).unwrap();
    assert!(!shown.contains("canary-of"), "{shown}");
}
