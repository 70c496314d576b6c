//! The commands of the pages, run against a real API server with an operator; and the page for beginners, followed from its
//! first step to its last. What needs Helm is run by the tests of the chart.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use pulumi_deployments_operator::api::{Deployment, StackDeploymentSettings, deployment::Phase};
use serde_json::{Value, json};

use super::{Page, commands::commands};
use crate::world::World;

/// kubectl commands that cannot be run here, by how they begin, and why.
const NOT_RUN: [(&str, &str); 3] = [
    ("kubectl logs ", "no pod runs in this control plane"),
    ("kubectl get pdep web-dev --watch", "it ends when somebody ends it"),
    ("kubectl pdep ", "the plugin has a page and tests of its own"),
];

/// Runs a command of kubectl in the test's namespace, whatever namespace it names.
async fn run(world: &World, words: &[String]) {
    let line = words.join(" ");
    if words[0] != "kubectl" || NOT_RUN.iter().any(|(start, _)| line.starts_with(start)) {
        return;
    }
    let mut arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    if let Some(at) = arguments.iter().position(|word| *word == "--namespace") {
        arguments[at + 1] = &world.namespace;
    }
    println!("{line}");
    world.kubectl(&arguments, None).await;
}

async fn world_for(prefix: &str) -> World {
    let world = World::without_operator(prefix).await;
    world.start_operator(|_| ());
    world
}

#[tokio::test]
async fn the_commands_of_the_pages_run() {
    let world = world_for("commands").await;
    world.put_organization(json!({})).await;
    world.put_config_map("argocd-cm", &[]).await;
    let network = json!({
        "apiVersion": "deployments.pulumi.com/v1alpha1",
        "kind": "StackDeploymentSettings",
        "metadata": {"name": "network-prod"},
        "spec": {"stack": {"organizationRef": {"name": "acme"}, "project": "network", "name": "prod"}, "createStack": true},
    });
    world.put::<StackDeploymentSettings>(network).await;
    world.kubectl(&["apply", "--filename=examples/web-prod.yaml"], None).await;
    world.phase("web-prod", Phase::Succeeded).await;
    for page in Page::all() {
        let is_told_elsewhere = page.name == "docs/getting-started.md" || !page.name.starts_with("docs/");
        for block in page.blocks().iter().filter(|block| block.language == "sh" && !is_told_elsewhere) {
            for words in commands(&block.text) {
                run(&world, &words).await;
            }
        }
    }
    // What they were about is there now.
    let config_map = world.api::<ConfigMap>().get("argocd-cm").await.unwrap();
    assert_eq!(config_map.data.unwrap().len(), 3);
    world.organization_is("Suspended").await;
}

/// The Organization as a reader writes it, in the test's organization of the simulated Pulumi Cloud.
fn placed(world: &World, block: &str) -> String {
    let mut organization: Value = serde_saphyr::from_str(block).unwrap();
    assert_eq!(organization["kind"], "Organization");
    organization["spec"]["name"] = world.organization.as_str().into();
    organization["spec"]["backendURL"] = world.simulator.url().into();
    organization.to_string()
}

#[tokio::test]
async fn getting_started() {
    let world = world_for("beginner").await;
    world.delete::<Secret>("pulumi").await;
    world.gone::<Secret>("pulumi").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("web.yaml");
    let page = Page::of("docs/getting-started.md");
    let mut manifests = vec![];
    for block in page.blocks() {
        if block.language == "yaml" {
            if manifests.is_empty() {
                world.kubectl(&["apply", "--filename=-"], Some(&placed(&world, &block.text))).await;
            } else {
                std::fs::write(&file, &block.text).unwrap();
            }
            manifests.push(block.text);
            continue;
        }
        let text = block.text.replace("$PULUMI_ACCESS_TOKEN", &world.token).replace("web.yaml", file.to_str().unwrap());
        for words in commands(&text) {
            if words[..2] == ["kubectl", "delete"] && manifests.len() == 2 {
                make_it_real(&world, &manifests[1]).await;
                manifests.clear();
            }
            run(&world, &words).await;
            if words[1] == "apply" {
                ended(&world, 1, "preview").await;
            }
        }
    }
    world.gone::<Deployment>("web-dev").await;
    world.gone::<StackDeploymentSettings>("web-dev").await;
    assert_eq!(manifests.len(), 0, "the page has no step that cleans up");
}

/// "Change `operation: preview` to `operation: update` and apply again."
async fn make_it_real(world: &World, manifest: &str) {
    let update = manifest.replace("operation: preview", "operation: update");
    assert_ne!(update, manifest);
    world.kubectl(&["apply", "--filename=-"], Some(&update)).await;
    ended(world, 2, "update").await;
    world.kubectl(&["apply", "--filename=-"], Some(&update)).await;
    let now = "reconcile.fluxcd.io/requestedAt=now";
    world.kubectl(&["annotate", "pdep", "web-dev", now], None).await;
    let looked = |status: &pulumi_deployments_operator::api::DeploymentStatus| {
        status.last_handled_reconcile_at.as_deref() == Some("now")
    };
    world.deployment("web-dev", "was looked at", looked).await;
    assert_eq!(world.simulator.deployments(&world.stack("web/dev")).len(), 2, "applied a third time, it runs nothing");
}

async fn ended(world: &World, request: u64, operation: &str) {
    let status = world.ended("web-dev", request).await;
    assert_eq!((status.phase, status.run.unwrap().operation.as_str()), (Some(Phase::Succeeded), operation));
}
