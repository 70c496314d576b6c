//! No secret value appears anywhere but in the Secret it comes from and in the requests that carry it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use base64::{Engine, prelude::BASE64_STANDARD};
use pulumi_cloud_simulator::{Fault, FaultAnswer};
use pulumi_deployments_operator::api::{Deployment, StackDeploymentSettings, deployment::Phase};
use serde_json::json;

use crate::world::World;

const PASSWORD: &str = "canary-password-7f3a91";
const KEY: &str = "canary-key-first-line-52c8\ncanary-key-second-line-9d04";
const REGISTRY: &str = "canary-registry-e1b677";
const OVERRIDE: &str = "canary-override-30aa18";

#[tokio::test]
async fn no_secret_value_leaks() {
    let world = World::without_operator("canary").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    let operator = world.start_process(world.plane.kubeconfig(), "canary");
    world
        .put_secret("canaries", &[("password", PASSWORD), ("key", KEY), ("registry", REGISTRY), ("override", OVERRIDE)])
        .await;
    let secret = |key: &str| json!({"secretKeyRef": {"name": "canaries", "key": key}});
    world.put_organization(json!({})).await;
    // The service answers pushes with an error that repeats what it was sent.
    let echo =
        FaultAnswer::status(400).json(json!({"code": 400, "message": format!("Bad Request: cannot use {PASSWORD}")}));
    let fault = world
        .simulator
        .inject(Fault::on("PatchSettings").organization(world.organization.clone()).always().answer(echo));
    world
        .put_settings(json!({"settings": {
            "executorContext": {"executorImage": {"reference": "r.example.com/i", "credentials": {"username": "u", "password": secret("registry")}}},
            "sourceContext": {"git": {"repoURL": "git@example.com:r.git", "branch": "main", "gitAuth": {"sshAuth": {"sshPrivateKey": secret("key")}}}},
            "operationContext": {"environmentVariables": [{"name": "PASSWORD", "valueFrom": secret("password")}]},
        }}))
        .await;
    world.settings("web", "Rejected").await;
    assert!(fault.hits() > 0);
    fault.remove();
    world.merge::<StackDeploymentSettings>("web", json!({"spec": {"interval": "2h"}})).await;
    world.settings("web", "Synced").await;

    // A program that prints its secrets, and fails.
    let print = json!(["printenv PASSWORD && printenv OVERRIDE && echo $PASSWORD-$OVERRIDE && exit 1"]);
    world
        .put_deployment(
            "web",
            json!({"settingsRef": {"name": "web"}, "settings": {"operationContext": {
                "preRunCommands": print, "environmentVariables": [{"name": "OVERRIDE", "valueFrom": secret("override")}]}}}),
        )
        .await;
    let status = world.ended("web", 1).await;
    assert_eq!(status.phase, Some(Phase::Failed));
    let shown = status.run.unwrap().failure.unwrap().log.join("\n");
    assert!(shown.contains("exit status 1"), "the log is shown: {shown}");
    assert_eq!(world.runs()[0].environment["PASSWORD"], (PASSWORD.to_owned(), true), "the canary went through");

    let metrics =
        reqwest::get(format!("http://{}/metrics", operator.address().await)).await.unwrap().text().await.unwrap();
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    let everywhere = [
        ("the log", operator.log()),
        ("the metrics", metrics),
        ("status", shown),
        (
            "the resources",
            world.kubectl(&["get", "pulumi,configmaps", "--output=yaml", "--show-managed-fields"], None).await,
        ),
        ("the events", world.kubectl(&["get", "events.events.k8s.io", "--output=yaml"], None).await),
    ];
    let parts = [PASSWORD, REGISTRY, OVERRIDE, &world.token].into_iter().chain(KEY.lines());
    for canary in parts.flat_map(|part| [part.to_owned(), BASE64_STANDARD.encode(part)]) {
        for (place, text) in &everywhere {
            assert!(!text.contains(&canary), "{canary} is in {place}:\n{text}");
        }
    }
    assert!(everywhere[0].1.contains("pushed settings"), "the log is the right one");
}
