//! `approve` and `reject`, and a cluster without the CRDs.

use std::{env, path::Path, process::Stdio};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use pulumi_deployments_operator::api::Deployment;
use serde_json::{Value, json};
use tokio::process::Command;

use super::Plugin;
use crate::{
    control_plane::ControlPlane,
    eventually::{SOON, eventually},
};

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
    // The status here is the test's own, whatever the operator writes into it.
    let crds: Api<CustomResourceDefinition> = Api::all(plane.client());
    let open = json!([{"op": "add", "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status"}]);
    let open: Patch<Value> = Patch::Json(serde_json::from_value(open).unwrap());
    crds.patch("pulumideployments.deployments.pulumi.com", &PatchParams::default(), &open).await.unwrap();
    let manifest = json!({"apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"}, "spec": {"settingsRef": {"name": "web"}, "operation": "update"}});
    plane.kubectl(["apply", "--filename=-"], Some(&manifest.to_string())).await.success();
    let said = plugin.failure(&["approve", "web", "--yes"]).await;
    assert!(said.contains("waits for no approval"), "{said}");

    let api: Api<Deployment> = Api::namespaced(plane.client(), "default");
    let approval = json!({"token": "4f1c", "requestNumber": 1, "commit": "c0ffee", "resourceChanges": {"create": 2},
        "preview": {"id": "i", "version": 3, "url": "https://app.pulumi.com/acme/web/prod/deployments/3"}});
    let status = json!({"status": {"phase": "Pending", "approval": approval}});
    // The API server takes the changed schema up in its own time.
    eventually(SOON, "the status is kept", async || {
        let patched = api.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await;
        patched.map_err(|error| error.to_string())?;
        let stored = plane.kubectl(["get", "pdep", "web", "--output=json"], None).await.success();
        if stored.contains("4f1c") { Ok(()) } else { Err(stored) }
    })
    .await;
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
