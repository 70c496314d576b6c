//! What the chart says without a cluster.

use std::fs;

use pulumi_deployments_operator::api::crd;
use rstest::rstest;
use serde_json::{Value, json};

use super::{CHART, helm::Helm};

const NAMED: &str = "image: {repository: registry.example.com/operator}\n";

/// The objects of the chart, with values as a YAML document.
async fn objects(values: &str) -> Vec<Value> {
    let manifest = Helm::alone().await.template(&format!("{NAMED}{values}")).await.success();
    serde_saphyr::from_multiple(&manifest).unwrap()
}

fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert_eq!(found.next(), None, "one {kind}");
    object
}

fn arguments(objects: &[Value]) -> &Value {
    &the(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
}

#[tokio::test]
async fn helm_finds_nothing_wrong_with_it() {
    let report = Helm::alone().await.shell(&format!("helm lint --strict {CHART}")).await.success();
    assert!(report.contains("1 chart(s) linted, 0 chart(s) failed") && !report.contains("[WARNING]"), "{report}");
}

#[test]
fn its_crds_are_those_of_the_operator() {
    let path = format!("{}/{CHART}/files/crds.yaml", env!("CARGO_MANIFEST_DIR"));
    let file = fs::read_to_string(path).unwrap();
    assert!(file == crd::yaml().unwrap(), "they are not; run: cargo run -- crds > {CHART}/files/crds.yaml");
}

#[tokio::test]
async fn nothing_but_an_annotation_is_added_to_the_crds() {
    let objects = objects("").await;
    let mut crds: Vec<Value> =
        objects.into_iter().filter(|object| object["kind"] == "CustomResourceDefinition").collect();
    for crd in &mut crds {
        let metadata = crd["metadata"].as_object_mut().unwrap();
        assert_eq!(metadata.remove("annotations"), Some(json!({"helm.sh/resource-policy": "keep"})));
    }
    let by_name = |crds: &mut Vec<Value>| crds.sort_by_key(|crd| crd["metadata"]["name"].to_string());
    let mut expected: Vec<Value> = serde_saphyr::from_multiple(&crd::yaml().unwrap()).unwrap();
    by_name(&mut crds);
    by_name(&mut expected);
    assert_eq!(crds, expected);
}

#[rstest]
#[case::a_typing_error("watchNamespace: [team]", "additional properties 'watchNamespace' not allowed")]
#[case::a_typing_error_further_in("image: {tags: v1}", "at '/image': additional properties 'tags' not allowed")]
#[case::a_tag_that_became_a_number("image: {tag: 1.10}", "at '/image/tag': got number, want string")]
#[case::a_tag_in_the_wrong_place("image: {repository: 'example.com/operator:v1'}", "at '/image/repository'")]
#[case::a_pull_policy("image: {pullPolicy: never}", "must be one of 'Always', 'IfNotPresent', 'Never'")]
#[case::one_namespace_without_a_list("watchNamespaces: team", "at '/watchNamespaces': got string, want array")]
#[case::no_name_of_a_namespace("watchNamespaces: [My_Team]", "at '/watchNamespaces/0': 'My_Team' does not match")]
#[case::the_same_namespace_twice("watchNamespaces: [team, team]", "items at 0 and 1 are equal")]
#[case::no_backend("allowedBackends: []", "at '/allowedBackends': minItems: got 0, want 1")]
#[case::a_backend_without_a_scheme("allowedBackends: [api.pulumi.com]", "'api.pulumi.com' does not match")]
#[case::a_word_for_a_switch("suspendAll: 'yes'", "at '/suspendAll': got string, want boolean")]
#[case::a_log_format("logFormat: xml", "at '/logFormat': value must be one of 'json', 'text'")]
#[case::nobodys_account("serviceAccount: {create: false}", "at '/serviceAccount/name': minLength: got 0, want 1")]
#[case::resources("resources: {memory: 1Gi}", "at '/resources': additional properties 'memory' not allowed")]
#[tokio::test]
async fn a_mistake_is_refused_and_named(#[case] values: &str, #[case] expected: &str) {
    let error = Helm::alone().await.template(values).await.failure();
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_refused() {
    let error = Helm::alone().await.template("").await.failure();
    assert!(error.contains("no image is published yet. Build one"), "{error}");
}

#[tokio::test]
async fn the_values_become_arguments() {
    assert_eq!(
        arguments(&objects("").await),
        &json!(["run", "--log-format=json", "--allowed-backend=https://api.pulumi.com"])
    );
    let values = "{watchNamespaces: [a, '1'], allowedBackends: ['http://a:1/b', 'https://c'], suspendAll: true, logFormat: text, image: {repository: r, tag: '1.10'}}";
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&Helm::alone().await.template(values).await.success()).unwrap();
    assert_eq!(
        arguments(&objects),
        &json!([
            "run",
            "--log-format=text",
            "--watch-namespace=a",
            "--watch-namespace=1",
            "--allowed-backend=http://a:1/b",
            "--allowed-backend=https://c",
            "--suspend-all"
        ])
    );
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "r:1.10");
}

#[tokio::test]
async fn there_is_one_pod_and_it_may_do_nothing_to_its_node() {
    let objects = objects("").await;
    let deployment = &the(&objects, "Deployment")["spec"];
    assert_eq!((&deployment["replicas"], &deployment["strategy"]), (&json!(1), &json!({"type": "Recreate"})));
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 30);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
    let container = &pod["containers"][0];
    assert_eq!(
        container["securityContext"],
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
    );
    assert_eq!(container["env"][0]["name"], "POD_NAME");
    // Only the operator's own pod is given the token.
    assert_eq!(pod["automountServiceAccountToken"], true);
    assert_eq!(the(&objects, "ServiceAccount")["automountServiceAccountToken"], false);
}

#[tokio::test]
async fn an_account_of_somebody_else_is_given_the_rights() {
    let objects = objects("serviceAccount: {create: false, name: theirs}").await;
    assert!(objects.iter().all(|object| object["kind"] != "ServiceAccount"));
    assert_eq!(the(&objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"], "theirs");
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        assert_eq!(the(&objects, kind)["subjects"][0]["name"], "theirs");
    }
}

#[tokio::test]
async fn in_some_namespaces_only_there_is_nothing_for_the_whole_cluster() {
    let objects = objects("watchNamespaces: [a, b]").await;
    let roles: Vec<_> = objects.iter().filter(|object| object["kind"] == "Role").collect();
    let namespaces: Vec<_> = roles.iter().map(|role| role["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(namespaces, [super::NAMESPACE, "a", "b"]);
    assert!(objects.iter().all(|object| !object["kind"].as_str().unwrap().starts_with("ClusterRole")));
}
