//! The operator gets by with the rights that the chart gives, and uses all of them.

use std::{collections::BTreeSet, fs, path::Path};

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    NAMESPACE, RELEASE,
    helm::Helm,
    operator::Operator,
    story::{self, NAMESPACES},
};
use crate::control_plane::ControlPlane;

/// A verb, an API group and a resource.
type Right = (String, String, String);

/// Only what the operator asks the API server for is written down.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: ['system:serviceaccount:pulumi-deployments:pulumi-deployments-operator']
  - level: None
";

#[rstest]
#[case::everywhere(&[], None)]
#[case::everywhere_with_watched_secrets(&[], Some(true))]
#[case::in_some_namespaces_only(&NAMESPACES, None)]
#[case::in_some_namespaces_only_without_watched_secrets(&NAMESPACES, Some(false))]
#[tokio::test]
async fn the_operator_uses_its_rights_and_misses_none(#[case] watched: &[&str], #[case] watch_secrets: Option<bool>) {
    let files = tempfile::tempdir().unwrap();
    let (policy, audit) = (files.path().join("policy.yaml"), files.path().join("audit.log"));
    fs::write(&policy, POLICY).unwrap();
    let mut plane = ControlPlane::start(|options| {
        options
            .api_server_arg(format!("--audit-policy-file={}", policy.display()))
            .api_server_arg(format!("--audit-log-path={}", audit.display()))
    })
    .await;
    let cloud = story::cloud().await;
    story::prepare(&plane).await;
    let values = json!({
        "allowedBackends": [cloud.url()],
        "watchNamespaces": watched,
        "secrets": {"watch": watch_secrets},
        "keyless": {"enabled": true, "serviceAccountNames": ["pulumi"]},
    });
    Helm::of(&mut plane).await.install_with(&values.to_string()).await;
    let operator = Operator::start(&mut plane).await;

    story::tell(&plane, &cloud, &operator).await;

    let (mut used, refused) = requests(&audit);
    assert_eq!(refused, [""; 0]);
    // An event is patched when the same thing happens again within minutes, which it rarely does here.
    used.insert(right("patch", "events.k8s.io", "events"));
    assert_eq!(granted(&plane).await, used);

    let watches = watch_secrets.unwrap_or(!watched.is_empty());
    limits(&plane, &operator, watched, watches).await;
}

fn right(verb: &str, group: &str, resource: &str) -> Right {
    (verb.to_owned(), group.to_owned(), resource.to_owned())
}

/// What was asked for, and the requests that were refused.
fn requests(audit: &Path) -> (BTreeSet<Right>, Vec<String>) {
    let (mut used, mut refused) = (BTreeSet::new(), Vec::new());
    for line in fs::read_to_string(audit).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if matches!(event["responseStatus"]["code"].as_u64(), Some(401 | 403)) {
            refused.push(line.to_owned());
        }
        let object = &event["objectRef"];
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let resource = [text("resource"), text("subresource")];
        let resource = resource.join("/");
        used.insert(right(event["verb"].as_str().unwrap(), text("apiGroup"), resource.trim_end_matches('/')));
    }
    (used, refused)
}

/// What the roles of the release allow.
async fn granted(plane: &ControlPlane) -> BTreeSet<Right> {
    let get = ["get", "clusterroles,roles", "--all-namespaces", "--output=json"];
    let roles: Value = serde_json::from_str(&plane.kubectl(get, None).await.success()).unwrap();
    let mut granted = BTreeSet::new();
    for role in roles["items"].as_array().unwrap() {
        let labels = &role["metadata"]["labels"];
        // What people get by their own roles is not the operator's.
        let is_aggregated = labels.to_string().contains("rbac.authorization.k8s.io/aggregate-to-");
        if labels["app.kubernetes.io/instance"] != RELEASE || is_aggregated {
            continue;
        }
        for rule in role["rules"].as_array().unwrap() {
            let list = |field: &str| rule[field].as_array().unwrap().iter().map(|item| item.as_str().unwrap());
            for verb in list("verbs") {
                for resource in list("resources") {
                    granted.extend(list("apiGroups").map(|group| right(verb, group, resource)));
                }
            }
        }
    }
    granted
}

/// What the operator's own account is told about what it may do.
async fn limits(plane: &ControlPlane, operator: &Operator, watched: &[&str], watches: bool) {
    let may = async |question: &str| {
        let kubeconfig = format!("--kubeconfig={}", operator.kubeconfig().display());
        let words = ["auth", "can-i", &kubeconfig].into_iter().chain(question.split(' '));
        let answer = plane.kubectl(words, None).await.stdout;
        answer.trim() == "yes"
    };
    for question in [
        "update secrets --namespace=team",
        "delete secrets --namespace=team",
        "delete configmaps --namespace=team",
        "delete pulumideployments.deployments.pulumi.com --namespace=team",
        "create pods --namespace=team",
        "list namespaces",
        "patch clusterroles",
    ] {
        assert!(!may(question).await, "{question}");
    }

    let key = "secrets/pulumi-deployments-operator-key";
    assert!(may(&format!("get {key} --namespace={NAMESPACE}")).await);
    let everywhere = watched.is_empty();
    assert_eq!(may(&format!("get secrets/other --namespace={NAMESPACE}")).await, everywhere);
    assert_eq!(may("get secrets --namespace=default").await, everywhere);
    assert!(may("get secrets --namespace=team").await);
    assert_eq!(may("list secrets --all-namespaces").await, everywhere && watches);
    assert_eq!(may("watch secrets --namespace=team").await, watches);
    assert!(may("create serviceaccounts/pulumi --subresource=token --namespace=platform").await);
    assert!(!may("create serviceaccounts/other --subresource=token --namespace=platform").await);
    assert!(!may("create pulumideployments.deployments.pulumi.com --namespace=team").await);
    assert_eq!(may("get namespaces/default").await, everywhere);
    assert!(may("get namespaces/team --namespace=team").await);
    for (verb, group, resource) in granted(plane).await {
        // `namespaces` itself is in no namespace, and what can be done with Secrets differs in the operator's own.
        let resource = format!("{resource}.{group}");
        if !["namespaces.", "secrets."].contains(&resource.as_str()) && !resource.contains('/') {
            let question = format!("{verb} {} --all-namespaces", resource.trim_end_matches('.'));
            assert_eq!(may(&question).await, everywhere, "{question}");
        }
    }
}
