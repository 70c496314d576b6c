//! A backend whose certificate is of an authority of one's own.
//!
//! The API server is such a backend: it is no Pulumi Cloud, but it has to be trusted before it can say so.

use std::fs;

use serde_json::json;

use super::{NAMESPACE, helm::Helm, operator::Operator};
use crate::{
    control_plane::ControlPlane,
    eventually::{SOON, eventually},
};

/// Waits until a condition of the Organization has this reason, and returns the reasons and messages of all.
async fn told(plane: &ControlPlane, reason: &str) -> String {
    eventually(SOON, reason, async || {
        let path = "--output=jsonpath={.status.conditions[*].reason}{\"\\n\"}{.status.conditions[*].message}";
        let found = plane.kubectl(["get", "porg", "acme", "--namespace", NAMESPACE, path], None).await.success();
        if found.starts_with(reason) || found.contains(&format!(" {reason}")) { Ok(found) } else { Err(found) }
    })
    .await
}

#[tokio::test]
async fn it_is_trusted_when_its_certificate_is_given() {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    let backend = plane.cluster().url().to_owned();
    let authority = fs::read_to_string(plane.cluster().ca()).unwrap();
    let values = json!({"allowedBackends": [backend], "watchNamespaces": [NAMESPACE]});
    plane.kubectl(["create", "namespace", NAMESPACE], None).await.success();
    helm.install_with(&values.to_string()).await;
    plane.wait_for_discovery().await;
    let organization = json!({
        "apiVersion": "deployments.pulumi.com/v1alpha1",
        "kind": "Organization",
        "metadata": {"name": "acme", "namespace": NAMESPACE},
        "spec": {"backendURL": backend, "accessToken": {"secretKeyRef": {"name": "pulumi", "key": "accessToken"}}},
    });
    let secret = ["create", "secret", "generic", "pulumi", "--namespace", NAMESPACE, "--from-literal=accessToken=x"];
    plane.kubectl(secret, None).await.success();
    plane.kubectl(["apply", "--filename=-"], Some(&organization.to_string())).await.success();

    let operator = Operator::start(&mut plane).await;
    let found = told(&plane, "Unreachable").await;
    assert!(found.contains("certificate"), "{found}");
    drop(operator);

    let bundle = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "authorities", "namespace": NAMESPACE},
        "data": {"ca.crt": authority},
    });
    plane.kubectl(["apply", "--filename=-"], Some(&bundle.to_string())).await.success();
    let upgrade = "helm upgrade pulumi-deployments-operator charts/pulumi-deployments-operator \
                   --namespace pulumi-deployments --reset-then-reuse-values --set caBundle.configMapName=authorities";
    helm.shell(upgrade).await.success();
    let _operator = Operator::start(&mut plane).await;
    // It is reached, and knows neither the token nor the path.
    eventually(SOON, "an answer of the API server", async || {
        let path = "--output=jsonpath={.status.conditions[*].message}";
        let found = plane.kubectl(["get", "porg", "acme", "--namespace", NAMESPACE, path], None).await.success();
        if found.contains("Pulumi Cloud answered 40") { Ok(()) } else { Err(found) }
    })
    .await;
}
