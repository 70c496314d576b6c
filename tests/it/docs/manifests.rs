//! Every YAML block of a page is YAML, and what is for the API server of a cluster is accepted by a real one.
//!
//! A block without `apiVersion` is a part of something and says so: it is fenced as `yaml fragment`. One that is a whole
//! `spec` with an `operation` or a `stack` is that of a Deployment or of settings.

use serde_json::{Value, json};

use super::{Page, assert_none};
use crate::control_plane;

/// API groups whose kinds are not installed in the control plane of the tests: these are parsed only.
const ELSEWHERE: [&str; 6] = [
    "argoproj.io",
    "builtin",
    "kustomize.config.k8s.io",
    "kustomize.toolkit.fluxcd.io",
    "source.toolkit.fluxcd.io",
    "notification.toolkit.fluxcd.io",
];

fn group(object: &Value) -> &str {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').map_or(version, |(group, _)| group)
}

#[tokio::test]
async fn every_manifest_is_accepted() {
    let plane = control_plane::shared().await;
    let namespace = plane.namespace("docs").await;
    let (mut complaints, mut accepted) = (vec![], 0);
    for page in Page::all() {
        for block in page.blocks().into_iter().filter(|block| block.language.starts_with("yaml")) {
            let objects: Vec<Value> = match serde_saphyr::from_multiple(&block.text) {
                Ok(objects) => objects,
                Err(error) => {
                    complaints.push(format!("{}: {error}", block.at));
                    continue;
                }
            };
            for mut object in objects {
                let has = |field: &str| object["spec"].get(field).is_some();
                let kind = match (has("operation"), has("stack")) {
                    _ if object.get("apiVersion").is_some() => None,
                    (true, _) => Some("Deployment"),
                    (false, true) => Some("StackDeploymentSettings"),
                    (false, false) => None,
                };
                if let Some(kind) = kind {
                    let spec = object["spec"].take();
                    let metadata = json!({"name": "recipe"});
                    object = json!({
                        "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec,
                    });
                }
                if object.get("apiVersion").is_none() {
                    if block.language != "yaml fragment" {
                        complaints.push(format!("{}: no apiVersion; a part is fenced as `yaml fragment`", block.at));
                    }
                    continue;
                }
                if ELSEWHERE.contains(&group(&object)) {
                    continue;
                }
                // What names a namespace names one that is not here.
                object["metadata"]["namespace"] = namespace.as_str().into();
                let apply = ["apply", "--dry-run=server", "--validate=strict", "--filename=-"];
                let answer = plane.kubectl(apply, Some(&object.to_string())).await;
                if answer.status.success() {
                    accepted += 1;
                } else {
                    complaints.push(format!("{}: {}", block.at, answer.stderr));
                }
            }
        }
    }
    assert_none(&complaints);
    assert!(accepted > 5, "only {accepted} manifests were found");
}
