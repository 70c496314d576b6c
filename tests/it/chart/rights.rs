//! The operator gets by with the rights that the chart gives, and uses all of them: each verb on each resource in each
//! namespace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    NAMESPACE, RELEASE,
    helm::Helm,
    operator::Operator,
    story::{self, Allowed, NAMESPACES},
};
use crate::control_plane::ControlPlane;

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

/// Where something may be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    /// In the whole cluster.
    Cluster,
    /// In one namespace.
    Namespace(String),
}

/// Something that may be done, or is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    verb: String,
    group: String,
    /// With its subresource, as `serviceaccounts/token`.
    resource: String,
    scope: Scope,
    /// The one object that it is limited to.
    name: Option<String>,
}

impl fmt::Display for Right {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, scope, name } = self;
        write!(out, "{verb} {resource}.{group}")?;
        if let Some(name) = name {
            write!(out, " {name}")?;
        }
        match scope {
            Scope::Cluster => write!(out, " in the cluster"),
            Scope::Namespace(namespace) => write!(out, " in {namespace}"),
        }
    }
}

#[rstest]
#[case::everywhere(&[], None, None)]
#[case::everywhere_with_watched_secrets_and_outputs(&[], Some(true), Some(true))]
#[case::in_some_namespaces_only(&NAMESPACES, None, None)]
#[case::in_some_namespaces_only_without_watched_secrets_and_outputs(&NAMESPACES, Some(false), Some(false))]
#[tokio::test]
async fn the_operator_uses_its_rights_and_misses_none(
    #[case] watched: &[&str],
    #[case] watch_secrets: Option<bool>,
    #[case] outputs: Option<bool>,
) {
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
        "outputs": {"enabled": outputs},
        "keyless": {"enabled": true, "serviceAccountNames": ["pulumi"]},
    });
    Helm::of(&mut plane).await.install_with(&values.to_string()).await;
    let operator = Operator::start(&mut plane).await;

    let everywhere = watched.is_empty();
    let allowed = Allowed { outputs: outputs.unwrap_or(!everywhere), everywhere };
    story::tell(&plane, &cloud, &operator, allowed).await;

    let granted = granted(&plane).await;
    let (requests, refused) = requests(&audit);
    assert_eq!(refused, [""; 0]);
    let used = used(&requests, &granted, everywhere);
    let named = |rights: BTreeSet<&Right>| rights.into_iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(named(granted.difference(&used).collect()), [""; 0], "granted and not used");
    assert_eq!(named(used.difference(&granted).collect()), [""; 0], "used and not granted");

    let watches = watch_secrets.unwrap_or(!everywhere);
    limits(&plane, &operator, &granted, Limits { everywhere, watches, outputs: allowed.outputs }).await;
}

/// What the operator asked the API server for: a right for the namespace that it was for, with the object's name.
fn requests(audit: &Path) -> (BTreeSet<Right>, Vec<String>) {
    let (mut requests, mut refused) = (BTreeSet::new(), Vec::new());
    for line in fs::read_to_string(audit).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        // A namespace that is being deleted takes nothing new, which is not for want of a right.
        let is_allowed = event["annotations"]["authorization.k8s.io/decision"] == "allow";
        if !is_allowed || event["responseStatus"]["code"] == 401 {
            refused.push(line.to_owned());
        }
        let object = &event["objectRef"];
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        requests.insert(Right {
            verb: event["verb"].as_str().unwrap().to_owned(),
            group: text("apiGroup"),
            resource: [text("resource"), text("subresource")].join("/").trim_end_matches('/').to_owned(),
            scope: object["namespace"].as_str().map_or(Scope::Cluster, |it| Scope::Namespace(it.to_owned())),
            name: object["name"].as_str().map(str::to_owned),
        });
    }
    (requests, refused)
}

/// The rights that it takes to make these requests, and no more.
///
/// Where the operator looks after the whole cluster, what was asked for in each of the story's namespaces takes a right in
/// the cluster; its own namespace is not among them. A name counts where a role has names.
fn used(requests: &BTreeSet<Right>, granted: &BTreeSet<Right>, everywhere: bool) -> BTreeSet<Right> {
    let mut used = BTreeSet::new();
    let mut places = BTreeMap::<Right, BTreeSet<&str>>::new();
    for request in requests {
        let any = Right { name: None, ..request.clone() };
        match &request.scope {
            Scope::Namespace(namespace) if everywhere && namespace != NAMESPACE => {
                let right = limited(Right { scope: Scope::Cluster, ..any }, request, granted);
                places.entry(right).or_default().insert(namespace);
            }
            _ => {
                used.insert(limited(any, request, granted));
            }
        }
    }
    for (right, namespaces) in places {
        if NAMESPACES.iter().all(|namespace| namespaces.contains(namespace)) {
            used.insert(right);
        } else {
            let alone = |namespace: &str| Right { scope: Scope::Namespace(namespace.to_owned()), ..right.clone() };
            used.extend(namespaces.into_iter().map(alone).filter(|_| !used_elsewhere(requests, &right)));
        }
    }
    used
}

/// Whether something was asked for in the whole cluster at once.
fn used_elsewhere(requests: &BTreeSet<Right>, right: &Right) -> bool {
    requests.iter().any(|request| Right { name: None, ..request.clone() } == *right)
}

/// The right with the name of the request's object, if there is such a right.
fn limited(right: Right, request: &Right, granted: &BTreeSet<Right>) -> Right {
    let named = Right { name: request.name.clone(), ..right.clone() };
    if granted.contains(&named) { named } else { right }
}

/// What the roles of the release allow.
async fn granted(plane: &ControlPlane) -> BTreeSet<Right> {
    let get = ["get", "clusterroles,roles", "--all-namespaces", "--output=json"];
    let roles: Value = serde_json::from_str(&plane.kubectl(get, None).await.success()).unwrap();
    let mut granted = BTreeSet::new();
    for role in roles["items"].as_array().unwrap() {
        let metadata = &role["metadata"];
        // What people get by their own roles is not the operator's.
        let is_aggregated = metadata["labels"].to_string().contains("rbac.authorization.k8s.io/aggregate-to-");
        if metadata["labels"]["app.kubernetes.io/instance"] != RELEASE || is_aggregated {
            continue;
        }
        let scope = metadata["namespace"].as_str().map_or(Scope::Cluster, |it| Scope::Namespace(it.to_owned()));
        for rule in role["rules"].as_array().unwrap() {
            granted.extend(rights(rule, &scope));
        }
    }
    granted
}

fn rights(rule: &Value, scope: &Scope) -> Vec<Right> {
    let list = |field: &str| -> Vec<String> {
        let items = rule[field].as_array().into_iter().flatten();
        items.map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let names: Vec<_> = list("resourceNames").into_iter().map(Some).collect();
    let names = if names.is_empty() { vec![None] } else { names };
    let mut rights = Vec::new();
    for verb in list("verbs") {
        for group in list("apiGroups") {
            for resource in list("resources") {
                rights.extend(names.iter().map(|name| Right {
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    scope: scope.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    rights
}

/// What the operator may do, where that differs.
struct Limits {
    everywhere: bool,
    watches: bool,
    outputs: bool,
}

/// What the operator's own account is told about what it may do.
async fn limits(plane: &ControlPlane, operator: &Operator, granted: &BTreeSet<Right>, limits: Limits) {
    let Limits { everywhere, watches, outputs } = limits;
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
    assert_eq!(may(&format!("get secrets/other --namespace={NAMESPACE}")).await, everywhere);
    assert_eq!(may("get secrets --namespace=default").await, everywhere);
    assert!(may("get secrets --namespace=team").await);
    assert_eq!(may("list secrets --all-namespaces").await, everywhere && watches);
    assert_eq!(may("watch secrets --namespace=team").await, watches);
    assert_eq!(may("create secrets --namespace=default").await, everywhere && outputs);
    assert_eq!(may("patch configmaps --namespace=team").await, outputs);
    assert!(may("create serviceaccounts/pulumi --subresource=token --namespace=platform").await);
    assert!(!may("create serviceaccounts/other --subresource=token --namespace=platform").await);
    assert!(!may("create pulumideployments.deployments.pulumi.com --namespace=team").await);
    assert_eq!(may("get namespaces/default").await, everywhere);
    assert!(may("get namespaces/team --namespace=team").await);
    if !everywhere {
        let wide: Vec<_> = granted.iter().filter(|right| right.scope == Scope::Cluster).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
}
