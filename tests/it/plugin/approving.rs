//! `approve` and `reject`, and a cluster without the CRDs.

use std::{env, path::Path, process::Stdio};

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use pulumi_deployments_operator::api::{Deployment, DeploymentStatus, deployment::Phase};
use serde_json::{Value, json};
use tokio::process::Command;

use super::Plugin;
use crate::{control_plane::ControlPlane, world::World};

#[tokio::test]
async fn what_waits_is_approved_by_name_and_by_token() {
    let mut plane = ControlPlane::start(|options| options).await;
    let kubectl = plane.cluster().kubectl().to_owned();
    let plugin = Plugin::at(plane.kubeconfig(), "default");
    let said = plugin.failure(&["status"]).await;
    assert!(said.contains("does not know the resources of the Pulumi Deployments operator"), "{said}");
    let said = plugin.failure(&["history", "web"]).await;
    assert!(said.contains("install its chart or its CRDs"), "{said}");

    plane.install_crds().await;
    let manifest = json!({"apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"}, "spec": {"settingsRef": {"name": "web"}, "operation": "update"}});
    plane.kubectl(["apply", "--filename=-"], Some(&manifest.to_string())).await.success();
    let said = plugin.failure(&["approve", "web", "--yes"]).await;
    assert!(said.contains("waits for no approval"), "{said}");

    let api: Api<Deployment> = Api::namespaced(plane.client(), "default");
    let approval = json!({"token": "4f1c", "request": {"number": 1, "digest": "v1:d"}, "purpose": "Main",
        "operation": "update", "basis": {"overrides": "v1:o"}, "policed": false,
        "target": {"backendURL": "https://api.pulumi.com", "organization": "acme", "project": "web", "stack": "prod"},
        "commit": "c0ffee", "resourceChanges": {"create": 2},
        "preview": {"id": "i", "version": 3, "url": "https://app.pulumi.com/acme/web/prod/deployments/3"}});
    let status = json!({"status": {"phase": "Pending", "approval": approval}});
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let shown = plugin.success(&["status", "web"]).await;
    assert_eq!(as_plugin(&kubectl, plane.kubeconfig(), &["status", "web"]).await, shown);
    assert!(shown.contains("decide with: kubectl pdep approve|reject web"), "{shown}");
    let said = plugin.failure(&["approve", "web"]).await;
    assert!(said.contains("no terminal to ask at; write --yes"), "{said}");
    let said = plugin.failure(&["approve", "web", "--token", "old", "--yes"]).await;
    assert!(said.contains("not what has the token old") && said.contains("4f1c"), "{said}");

    let annotations = async || api.get("web").await.unwrap().metadata.annotations.unwrap_or_default();
    let said = plugin.success(&["approve", "web", "--token", "4f1c", "--yes"]).await;
    assert!(said.contains("commit    c0ffee") && said.contains("2 create") && said.contains("run 3"), "{said}");
    let user = said.trim_end().rsplit_once("approved by ").unwrap().1;
    let given = annotations().await;
    assert_eq!(given["deployments.pulumi.com/approve"], "4f1c");
    assert_eq!(given["deployments.pulumi.com/approved-by"], user);

    let said = plugin.success(&["reject", "web", "-y"]).await;
    assert!(said.ends_with(&format!("deployment/web: rejected by {user}\n")), "{said}");
    let given = annotations().await;
    assert_eq!(given["deployments.pulumi.com/reject"], "4f1c");
    assert!(!given.contains_key("deployments.pulumi.com/approve"), "{given:?}");

    // For a program, what is shown to a person stays out of the way.
    let output = plugin.run(&["approve", "web", "--yes", "-o", "json"]).await;
    assert!(output.stderr.contains("commit    c0ffee"), "{output:#?}");
    let approved: Value = serde_json::from_str(&output.success()).unwrap();
    assert_eq!(approved["metadata"]["annotations"]["deployments.pulumi.com/approve"], "4f1c");
}

/// With the operator: what is approved runs, under the name of whoever said so.
#[tokio::test]
async fn what_is_approved_runs() {
    let world = World::new("pdep-approve").await;
    world.put_organization(json!({})).await;
    let repository = format!("https://example.com/{}.git", world.namespace);
    world.simulator.push_commit(&repository, "main", "c0ffee");
    let source = json!({"sourceContext": {"git": {"repoURL": repository, "branch": "main"}}});
    world.put_deployment("web", json!({"approval": {"mode": "Required"}, "settings": source})).await;
    let is_offered = |status: &DeploymentStatus| status.approval.as_ref().is_some_and(|it| it.token.is_some());
    world.deployment("web", "awaits approval", is_offered).await;
    let plugin = Plugin::of(&world);
    let said = plugin.success(&["approve", "web", "--yes"]).await;
    let user = said.trim_end().rsplit_once("approved by ").unwrap().1;
    let has_run = |status: &DeploymentStatus| status.phase == Some(Phase::Succeeded);
    let approval = world.deployment("web", "has run", has_run).await.run.unwrap().approval.unwrap();
    assert_eq!((approval.approved_by.as_str(), approval.commit.as_deref()), (user, Some("c0ffee")));
    let said = plugin.success(&["history", "web"]).await;
    assert!(said.contains(&format!("approved by {user}")), "{said}");
}

/// What kubectl prints that finds the program by its name.
async fn as_plugin(kubectl: &Path, kubeconfig: &Path, args: &[&str]) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_kubectl-pdep")).parent().unwrap().to_owned();
    let known = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([program].into_iter().chain(env::split_paths(&known))).unwrap();
    let output = Command::new(kubectl)
        .arg("pdep")
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
