//! Two releases in one cluster, and one under another name after the first is gone.

use serde_json::json;

use super::{CHART, IMAGE, NAMESPACE, RELEASE, helm::Helm, operator::Operator, story};
use crate::{
    control_plane::ControlPlane,
    eventually::{SOON, eventually},
};

/// The namespace of the second release, which has the name of the first.
const OTHER: &str = "other-deployments";

/// Why `Ready` of the Organization in a namespace is what it is; nothing while nobody has looked at it.
async fn reason(plane: &ControlPlane, namespace: &str) -> String {
    let path = "--output=jsonpath={.status.conditions[?(@.type=='Ready')].reason}";
    plane.kubectl(["get", "porg", "acme", "--namespace", namespace, path], None).await.success()
}

async fn connected(plane: &ControlPlane, namespace: &str) {
    eventually(SOON, &format!("the Organization in {namespace} is looked after"), async || {
        let found = reason(plane, namespace).await;
        if found == "Connected" { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test]
async fn two_releases_work_side_by_side() {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    let cloud = story::cloud().await;
    story::prepare(&plane).await;
    let [first, second] = story::NAMESPACES;
    let install = async |release: &str, namespace: &str, watched: &str, more: &str| {
        let switches = "--set approvalPolicy.enabled=true";
        let scope = format!("--namespace {namespace} --create-namespace --set 'watchNamespaces={{{watched}}}'");
        let backend = format!("--set 'allowedBackends={{{}}}'", cloud.url());
        let words = format!("helm install {release} {CHART} {scope} {backend} --set {IMAGE} {switches} {more}");
        helm.shell(&words).await
    };
    install(RELEASE, NAMESPACE, first, "").await.success();
    plane.wait_for_discovery().await;
    let refusal = install(RELEASE, OTHER, second, "").await.failure();
    assert!(
        refusal.contains("invalid ownership metadata") && refusal.contains("CustomResourceDefinition"),
        "{refusal}"
    );
    install(RELEASE, OTHER, second, "--set crds.enabled=false").await.success();

    for namespace in story::NAMESPACES {
        plane.kubectl(["apply", "--filename=-"], Some(&story::organization(&cloud, namespace))).await.success();
    }
    let _one = Operator::start(&mut plane).await;
    connected(&plane, first).await;
    assert_eq!(reason(&plane, second).await, "", "that is the other one's");
    let _other = Operator::start_in(&mut plane, OTHER).await;
    connected(&plane, second).await;

    // What one leaves is still the other's.
    helm.shell(&format!("helm uninstall {RELEASE} --namespace {NAMESPACE}")).await.success();
    let left = ["get", "clusterroles,validatingadmissionpolicies", "--output=name"];
    let left = plane.kubectl(left, None).await.success();
    let left: Vec<_> = left.lines().filter(|name| name.contains(RELEASE)).collect();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.iter().all(|name| name.ends_with(OTHER)), "{left:?}");
    let suspend = json!({"spec": {"suspend": true}}).to_string();
    let patch = ["patch", "porg", "acme", "--namespace", second, "--type=merge", "--patch", &suspend];
    plane.kubectl(patch, None).await.success();
    eventually(SOON, "the other one goes on", async || {
        let found = reason(&plane, second).await;
        if found == "Suspended" { Ok(()) } else { Err(found) }
    })
    .await;

    // The definitions stay, as those of a release that is gone.
    let refusal = install("another", NAMESPACE, first, "").await.failure();
    assert!(refusal.contains("invalid ownership metadata"), "{refusal}");
    install("another", NAMESPACE, first, "--set crds.enabled=false").await.success();
    install("heir", "heirs", first, "--take-ownership").await.success();
    let owner = "--output=jsonpath={.items[*].metadata.annotations.meta\\.helm\\.sh/release-name}";
    assert_eq!(plane.kubectl(["get", "crds", owner], None).await.success(), "heir heir heir");
}
