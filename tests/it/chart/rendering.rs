//! What the chart says without a cluster.

use std::fs;

use pulumi_deployments_operator::api::crd;
use rstest::rstest;
use serde_json::{Value, json};

use super::{CHART, helm::Helm};

const NAMED: &str = "image: {repository: registry.example.com/operator}\n";

/// Every switch, turned.
pub const EVERYTHING: &str = "
commonLabels: {example.com/part: infrastructure}
outputs: {enabled: true}
imagePullSecrets: [{name: registry}]
keyless: {enabled: true, serviceAccountNames: [pulumi, other]}
approvalPolicy: {enabled: true}
proxy: {https: 'http://proxy.example.com:3128', http: 'http://proxy.example.com:3128', none: 'pulumi.example.com,.svc'}
caBundle: {configMapName: authorities, key: bundle.pem}
tracing: {endpoint: 'http://collector.observability:4318', headers: {secretName: collector, key: write}}
service: {enabled: true, port: 9090, annotations: {example.com/note: hello}}
serviceMonitor: {enabled: true, interval: 1m, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
grafanaDashboard: {enabled: true, annotations: {grafana_folder: Pulumi}}
networkPolicy:
  enabled: true
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  egress: [{ports: [{port: 443}, {port: 53, protocol: UDP}]}]
podDisruptionBudget: {enabled: true, maxUnavailable: 0}
priorityClassName: system-cluster-critical
podAnnotations: {example.com/cost: none}
podLabels: {team: platform}
extraEnv: [{name: RUST_LOG, value: debug}]
extraVolumes: [{name: scratch, emptyDir: {}}]
extraVolumeMounts: [{name: scratch, mountPath: /scratch}]
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}]}}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}]
dnsPolicy: None
dnsConfig: {nameservers: [10.0.0.10], searches: [example.com], options: [{name: ndots, value: '2'}]}
";

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
#[case::a_digest_without_its_algorithm(
    "image: {digest: 0c24c0bbb1ff8eb03d5a3e4a3fbc1a6f1a7a42a2be1a54a3a9b8dd4f4fd9f5e1}",
    "at '/image/digest'"
)]
#[case::a_pull_policy("image: {pullPolicy: never}", "must be one of 'Always', 'IfNotPresent', 'Never'")]
#[case::one_namespace_without_a_list("watchNamespaces: team", "at '/watchNamespaces': got string, want array")]
#[case::no_name_of_a_namespace("watchNamespaces: [My_Team]", "at '/watchNamespaces/0': 'My_Team' does not match")]
#[case::the_same_namespace_twice("watchNamespaces: [team, team]", "items at 0 and 1 are equal")]
#[case::no_backend("allowedBackends: []", "at '/allowedBackends': minItems: got 0, want 1")]
#[case::a_backend_without_a_scheme("allowedBackends: [api.pulumi.com]", "'api.pulumi.com' does not match")]
#[case::a_word_for_a_switch("suspendAll: 'yes'", "at '/suspendAll': got string, want boolean")]
#[case::a_log_format("logFormat: xml", "at '/logFormat': value must be one of 'json', 'text'")]
#[case::a_collector_without_a_scheme(
    "tracing: {endpoint: 'collector:4318'}",
    "at '/tracing/endpoint': 'collector:4318' does not match"
)]
#[case::nobodys_account("serviceAccount: {create: false}", "at '/serviceAccount/name': minLength: got 0, want 1")]
#[case::a_switch_that_is_no_switch("secrets: {watch: 'no'}", "at '/secrets/watch': got string, want null or boolean")]
#[case::a_word_for_outputs("outputs: {enabled: 'no'}", "at '/outputs/enabled': got string, want null or boolean")]
#[case::a_word_for_the_definitions("crds: false", "at '/crds': got boolean, want object")]
#[case::two_pods("replicas: 2", "at '/replicas': value must be one of 0, 1")]
#[case::no_name("fullnameOverride: My_Operator", "at '/fullnameOverride': 'My_Operator' does not match")]
#[case::a_label_of_the_charts_own("commonLabels: {helm.sh/chart: x}", "at '/commonLabels/helm.sh~1chart'")]
#[case::no_quantity("resources: {limits: {memory: 512MB}}", "at '/resources/limits/memory': '512MB' does not match")]
#[case::a_negative_quantity(
    "resources: {requests: {cpu: -1}}",
    "at '/resources/requests/cpu': minimum: got -1, want 0"
)]
#[case::a_typing_error_in_the_context(
    "podSecurityContext: {runAsNonroot: true}",
    "at '/podSecurityContext': additional properties 'runAsNonroot' not allowed"
)]
#[case::a_field_of_the_pods_alone(
    "securityContext: {fsGroup: 1}",
    "at '/securityContext': additional properties 'fsGroup' not allowed"
)]
#[case::a_policy_for_names("dnsPolicy: Cluster", "at '/dnsPolicy': value must be one of")]
#[case::servers_in_the_wrong_place(
    "dnsConfig: {servers: [10.0.0.1]}",
    "at '/dnsConfig': additional properties 'servers' not allowed"
)]
#[case::a_constraint_without_a_topology(
    "topologySpreadConstraints: [{maxSkew: 1}]",
    "missing properties 'topologyKey'"
)]
#[case::a_switch_with_another_name(
    "outputs: {write: true}",
    "at '/outputs': additional properties 'write' not allowed"
)]
#[case::a_word_for_the_policy("approvalPolicy: true", "at '/approvalPolicy': got boolean, want object")]
#[case::one_account_without_a_list(
    "keyless: {serviceAccountNames: pulumi}",
    "at '/keyless/serviceAccountNames': got string, want array"
)]
#[case::accounts_of_nobody(
    "image: {repository: r}\nkeyless: {serviceAccountNames: [pulumi]}",
    "keyless.serviceAccountNames is set, and keyless.enabled is false: the operator may request tokens of no ServiceAccount. Set"
)]
#[case::two_proxies(
    "image: {repository: r}\nproxy: {https: 'http://p:1'}\nextraEnv: [{name: https_proxy, value: 'http://p:2'}]",
    "proxy.https and https_proxy of extraEnv are both set, and only one can count. Leave proxy.https empty"
)]
#[case::a_password_in_a_proxy(
    "image: {repository: r}\nproxy: {http: 'http://me:hunter2@p:1'}",
    "proxy.http has a password in it, which everybody could read who may look at the pod. Leave it empty, and give the whole URL in extraEnv: {name: HTTP_PROXY, valueFrom:"
)]
#[case::no_name_of_an_account("keyless: {serviceAccountNames: [My_Account]}", "'My_Account' does not match pattern")]
#[case::a_proxy_without_a_scheme("proxy: {https: 'proxy:3128'}", "at '/proxy/https': 'proxy:3128' does not match")]
#[case::hosts_with_spaces("proxy: {none: 'a, b'}", "at '/proxy/none': 'a, b' does not match")]
#[case::two_bundles(
    "caBundle: {configMapName: a, secretName: b}",
    "at '/caBundle/secretName': maxLength: got 1, want 0"
)]
#[case::a_port("service: {port: 0}", "at '/service/port': minimum: got 0, want 1")]
#[case::an_interval("serviceMonitor: {interval: often}", "at '/serviceMonitor/interval': 'often' does not match")]
#[case::an_alert_that_is_no_switch("prometheusRule: true", "at '/prometheusRule': got boolean, want object")]
#[case::a_label_that_is_a_number(
    "grafanaDashboard: {labels: {grafana_dashboard: 1}}",
    "at '/grafanaDashboard/labels/grafana_dashboard': got number, want string"
)]
#[case::a_peer_of_no_kind(
    "networkPolicy: {metricsFrom: [{namespace: a}]}",
    "additional properties 'namespace' not allowed"
)]
#[case::everybody_by_mistake("networkPolicy: {metricsFrom: [{}]}", "minProperties: got 0, want 1")]
#[case::half_a_pod("podDisruptionBudget: {maxUnavailable: 0.5}", "at '/podDisruptionBudget/maxUnavailable'")]
#[case::a_label_that_the_pod_is_selected_by(
    "podLabels: {app.kubernetes.io/name: x}",
    "at '/podLabels/app.kubernetes.io~1name'"
)]
#[case::a_number_in_the_environment(
    "extraEnv: [{name: A, value: 1}]",
    "at '/extraEnv/0/value': got number, want string"
)]
#[case::a_mount_without_path("extraVolumeMounts: [{name: a}]", "missing property 'mountPath'")]
#[case::a_key_for_the_registry("imagePullSecrets: [registry]", "at '/imagePullSecrets/0': got string, want object")]
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
        &json!([
            "run",
            "--log-format=json",
            "--allowed-backend=https://api.pulumi.com",
            "--watch-secrets=false",
            "--write-outputs=false"
        ])
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
    // Those are what people may do, and nobody is bound to them here.
    let kind = |object: &Value| object["kind"].as_str().unwrap().to_owned();
    assert!(objects.iter().all(|object| kind(object) != "ClusterRoleBinding"));
    let names: Vec<_> = objects.iter().filter(|object| kind(object) == "ClusterRole").map(name).collect();
    assert_eq!(names, ["-view", "-edit", "-admin"].map(in_the_cluster));
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// The name of something that is in no namespace.
fn in_the_cluster(suffix: &str) -> String {
    format!("{}{suffix}.{}", super::RELEASE, super::NAMESPACE)
}

/// What the operator may do with Secrets in a namespace that it looks after.
fn rights_on_secrets(objects: &[Value], kind: &str) -> Vec<String> {
    let wanted = if kind == "ClusterRole" { in_the_cluster("") } else { super::RELEASE.to_owned() };
    let role = objects.iter().find(|object| object["kind"] == kind && name(object) == wanted).unwrap();
    let has = |list: &Value, wanted: &str| list.as_array().unwrap().iter().any(|item| item == wanted);
    let rules = role["rules"].as_array().unwrap().iter().filter(|rule| has(&rule["resources"], "secrets"));
    let verbs = rules.flat_map(|rule| rule["verbs"].as_array().unwrap());
    verbs.map(|verb| verb.as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[case::in_the_whole_cluster("", "ClusterRole", &["get"])]
#[case::in_the_whole_cluster_by_choice(
    "secrets: {watch: true}\noutputs: {enabled: true}",
    "ClusterRole",
    &["get", "list", "watch", "create", "patch"]
)]
#[case::in_some_namespaces("watchNamespaces: [a]", "Role", &["get", "list", "watch", "create", "patch"])]
#[case::not_even_there("watchNamespaces: [a]\nsecrets: {watch: false}", "Role", &["get", "create", "patch"])]
#[case::without_outputs("watchNamespaces: [a]\noutputs: {enabled: false}", "Role", &["get", "list", "watch"])]
#[tokio::test]
async fn secrets_are_listed_and_written_only_where_that_is_wanted(
    #[case] values: &str,
    #[case] kind: &str,
    #[case] verbs: &[&str],
) {
    let objects = objects(values).await;
    assert_eq!(rights_on_secrets(&objects, kind), verbs);
    for (argument, verb) in [("--watch-secrets=false", "list"), ("--write-outputs=false", "patch")] {
        let is_told = arguments(&objects).as_array().unwrap().contains(&json!(argument));
        assert_eq!(is_told, !verbs.contains(&verb), "{argument}");
    }
}

#[tokio::test]
async fn nothing_is_there_that_was_not_asked_for() {
    let objects = objects("").await;
    for kind in [
        "Service",
        "ServiceMonitor",
        "PrometheusRule",
        "ConfigMap",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ] {
        assert!(objects.iter().all(|object| object["kind"] != kind), "{kind}");
    }
    let pod = &the(&objects, "Deployment")["spec"]["template"];
    for part in [
        "volumes",
        "priorityClassName",
        "imagePullSecrets",
        "topologySpreadConstraints",
        "dnsPolicy",
        "dnsConfig",
        "nodeSelector",
    ] {
        assert_eq!(pod["spec"][part], Value::Null, "{part}");
    }
    assert_eq!(pod["metadata"]["annotations"], Value::Null);
    let role = objects.iter().find(|object| object["kind"] == "ClusterRole" && name(object) == in_the_cluster(""));
    assert!(!role.unwrap().to_string().contains("serviceaccounts/token"));
    assert!(objects.iter().all(|object| !may_approve(object)));
}

fn may_approve(role: &Value) -> bool {
    role["rules"].to_string().contains("pulumideployments/approve")
}

/// The example is what is documented and tried with real approvals.
#[tokio::test]
async fn the_approval_policy_is_that_of_the_example() {
    let path = format!("{}/examples/approval-policy.yaml", env!("CARGO_MANIFEST_DIR"));
    let example: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap();
    let objects = objects("approvalPolicy: {enabled: true}").await;
    let [policy, expected] = [&objects, &example].map(|objects| the(objects, "ValidatingAdmissionPolicy"));
    assert_eq!(policy["spec"], expected["spec"]);
    let [binding, expected] = [&objects, &example].map(|objects| the(objects, "ValidatingAdmissionPolicyBinding"));
    assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    assert_eq!(binding["spec"]["validationActions"], expected["spec"]["validationActions"]);

    // Of all roles of the release, that of people who are admins has the right, as the example writes it.
    let who: Vec<_> = objects.iter().filter(|object| may_approve(object)).collect();
    assert_eq!(who.iter().map(|role| name(role)).collect::<Vec<_>>(), [in_the_cluster("-admin")]);
    let rule = |role: &Value| {
        let rules = role["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["resources"][0] == "pulumideployments/approve").cloned()
    };
    assert_eq!(rule(who[0]), rule(the(&example, "ClusterRole")));
}

#[tokio::test]
async fn what_is_asked_for_is_there() {
    let objects = objects(EVERYTHING).await;
    let deployment = &the(&objects, "Deployment")["spec"];
    let pod = &deployment["template"];
    assert_eq!(pod["metadata"]["labels"]["team"], "platform");
    assert_eq!(pod["metadata"]["annotations"], json!({"example.com/cost": "none"}));
    assert_eq!(pod["spec"]["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));
    assert_eq!(pod["spec"]["topologySpreadConstraints"][0]["topologyKey"], "topology.kubernetes.io/zone");
    assert_eq!(
        (&pod["spec"]["dnsPolicy"], &pod["spec"]["dnsConfig"]["searches"]),
        (&json!("None"), &json!(["example.com"]))
    );
    assert_eq!(
        pod["spec"]["volumes"],
        json!([
            {"name": "ca", "configMap": {"name": "authorities", "items": [{"key": "bundle.pem", "path": "ca.crt"}]}},
            {"name": "scratch", "emptyDir": {}},
        ])
    );
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["volumeMounts"],
        json!([
            {"name": "ca", "mountPath": "/etc/pulumi-deployments-operator/ca", "readOnly": true},
            {"name": "scratch", "mountPath": "/scratch"},
        ])
    );
    let environment: Vec<_> = container["env"].as_array().unwrap()[1..].to_vec();
    assert_eq!(
        json!(environment),
        json!([
            {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
            {"name": "HTTP_PROXY", "value": "http://proxy.example.com:3128"},
            {"name": "NO_PROXY", "value": "pulumi.example.com,.svc"},
            {"name": "SSL_CERT_FILE", "value": "/etc/ssl/certs/ca-certificates.crt"},
            {"name": "SSL_CERT_DIR", "value": "/etc/pulumi-deployments-operator/ca"},
            {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector.observability:4318"},
            {
                "name": "OTEL_EXPORTER_OTLP_HEADERS",
                "valueFrom": {"secretKeyRef": {"name": "collector", "key": "write"}},
            },
            {"name": "RUST_LOG", "value": "debug"},
        ])
    );
    let service = the(&objects, "Service");
    assert_eq!(service["spec"]["ports"][0]["port"], 9090);
    let monitor = the(&objects, "ServiceMonitor");
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    let chosen = &monitor["spec"]["selector"]["matchLabels"];
    for (label, value) in chosen.as_object().unwrap() {
        assert_eq!(&service["metadata"]["labels"][label], value);
    }
    assert_eq!(the(&objects, "PrometheusRule")["metadata"]["labels"]["release"], "prometheus");
    let dashboard = &the(&objects, "ConfigMap")["metadata"];
    assert_eq!(dashboard["labels"]["grafana_dashboard"], "1");
    assert_eq!(dashboard["annotations"], json!({"grafana_folder": "Pulumi"}));
    let policy = the(&objects, "NetworkPolicy");
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    for selector in [
        &service["spec"]["selector"],
        &policy["spec"]["podSelector"]["matchLabels"],
        &the(&objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(selector, &deployment["selector"]["matchLabels"]);
    }
    let role = objects.iter().find(|object| object["kind"] == "ClusterRole" && name(object) == in_the_cluster(""));
    let role = role.unwrap();
    let rules = role["rules"].as_array().unwrap();
    let keyless = rules.iter().find(|rule| rule["resources"][0] == "serviceaccounts/token").unwrap();
    assert_eq!((&keyless["verbs"], &keyless["resourceNames"]), (&json!(["create"]), &json!(["pulumi", "other"])));
}

/// The files are what is evaluated on pages of a real operator; here they only have to arrive as they are, with braces
/// that are Prometheus' and Grafana's own.
#[tokio::test]
async fn alerts_and_dashboard_are_those_of_the_files() {
    let file = |name: &str| fs::read_to_string(format!("{}/{CHART}/files/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let objects = objects("prometheusRule: {enabled: true}\ngrafanaDashboard: {enabled: true}").await;
    let rules: Value = serde_saphyr::from_str(&file("alerts.yaml")).unwrap();
    assert_eq!(the(&objects, "PrometheusRule")["spec"], rules);
    let data = the(&objects, "ConfigMap")["data"].as_object().unwrap();
    let rendered: Value = serde_json::from_str(data["pulumi-deployments-operator.json"].as_str().unwrap()).unwrap();
    assert_eq!(rendered, serde_json::from_str::<Value>(&file("dashboard.json")).unwrap());
    assert_eq!(data.len(), 1);
}

#[tokio::test]
async fn a_bundle_may_be_in_a_secret_and_a_policy_may_let_everything_out() {
    let objects = objects(
        "caBundle: {secretName: authorities}\nnetworkPolicy: {enabled: true}\naggregatedRoles: {enabled: false}",
    )
    .await;
    let volumes = &the(&objects, "Deployment")["spec"]["template"]["spec"]["volumes"];
    let items = json!([{"key": "ca.crt", "path": "ca.crt"}]);
    assert_eq!(volumes, &json!([{"name": "ca", "secret": {"secretName": "authorities", "items": items}}]));
    let policy = &the(&objects, "NetworkPolicy")["spec"];
    assert_eq!((&policy["policyTypes"], &policy["ingress"]), (&json!(["Ingress"]), &Value::Null));
    assert_eq!(name(the(&objects, "ClusterRole")), in_the_cluster(""));
}

#[tokio::test]
async fn a_digest_counts_instead_of_the_tag() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let objects = objects(&format!("image: {{repository: 'r:5000/o', tag: v1, digest: '{digest}'}}")).await;
    let image = &the(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, &json!(format!("r:5000/o@{digest}")));
}

#[tokio::test]
async fn the_definitions_may_be_those_of_another_release() {
    let objects = objects("crds: {enabled: false}").await;
    assert!(objects.iter().all(|object| object["kind"] != "CustomResourceDefinition"));
    assert_eq!(name(the(&objects, "Deployment")), super::RELEASE);
}

/// Each of the two may be chosen, and everything still belongs together.
#[rstest]
#[case::part("nameOverride: pulumi", "pulumi-deployments-operator", "pulumi")]
#[case::other_part("nameOverride: runs", "pulumi-deployments-operator-runs", "runs")]
#[case::whole("fullnameOverride: runs", "runs", "pulumi-deployments-operator")]
#[tokio::test]
async fn names_may_be_others(#[case] values: &str, #[case] full: &str, #[case] part: &str) {
    let objects = objects(&format!("{values}\nservice: {{enabled: true}}")).await;
    let deployment = the(&objects, "Deployment");
    assert_eq!(name(deployment), full);
    for kind in ["Service", "ServiceAccount"] {
        assert_eq!(name(the(&objects, kind)), full, "{kind}");
    }
    let (binding, role) = (the(&objects, "ClusterRoleBinding"), format!("{full}.{}", super::NAMESPACE));
    assert_eq!((name(binding), &binding["roleRef"]["name"]), (role.clone(), &json!(role)));
    assert_eq!(binding["subjects"][0]["name"], full);
    let selector = json!({"app.kubernetes.io/name": part, "app.kubernetes.io/instance": super::RELEASE});
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], selector);
    assert_eq!(deployment["spec"]["template"]["metadata"]["labels"], selector);
    assert_eq!(the(&objects, "Service")["spec"]["selector"], selector);
}

#[tokio::test]
async fn labels_are_on_everything_that_the_chart_makes() {
    let objects = objects(&format!("{EVERYTHING}watchNamespaces: [a]")).await;
    let made: Vec<_> = objects.iter().filter(|object| object["kind"] != "CustomResourceDefinition").collect();
    assert!(made.len() > 10, "{}", made.len());
    for object in made {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["example.com/part"], "infrastructure", "{} {}", object["kind"], name(object));
    }
    let deployment = &the(&objects, "Deployment")["spec"];
    assert_eq!(deployment["template"]["metadata"]["labels"]["example.com/part"], "infrastructure");
    assert_eq!(deployment["selector"]["matchLabels"]["example.com/part"], Value::Null, "they may be changed");
}

#[tokio::test]
async fn it_may_rest_for_a_while() {
    assert_eq!(the(&objects("replicas: 0").await, "Deployment")["spec"]["replicas"], 0);
}

#[tokio::test]
async fn it_may_be_part_of_another_chart() {
    let whole = tempfile::tempdir().unwrap();
    let dependency = format!("{{name: {0}, version: '>=0.1.0-0', condition: {0}.enabled}}", super::RELEASE);
    let chart = format!("{{apiVersion: v2, name: platform, version: 1.0.0, dependencies: [{dependency}]}}");
    fs::write(whole.path().join("Chart.yaml"), chart).unwrap();
    fs::create_dir(whole.path().join("charts")).unwrap();
    let part = format!("{}/{CHART}", env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(part, whole.path().join("charts").join(super::RELEASE)).unwrap();
    for enabled in [true, false] {
        let part = json!({"enabled": enabled, "image": {"repository": "registry.example.com/operator"}});
        let mut values = json!({"global": {"team": "platform"}});
        values[super::RELEASE] = part;
        let whole = whole.path().display();
        let template = format!("helm template platform '{whole}' --values - <<'END'\n{values}\nEND");
        let manifest = Helm::alone().await.shell(&template).await.success();
        assert_eq!(manifest.contains("kind: ServiceAccount"), enabled, "{manifest}");
    }
}

#[rstest]
#[case::text("512Mi")]
#[case::fraction("'0.5'")]
#[case::number("1")]
#[case::thousandths("50m")]
#[case::exponent("1e3")]
#[tokio::test]
async fn a_quantity_is_let_through(#[case] quantity: &str) {
    let objects = objects(&format!("resources: {{limits: {{cpu: {quantity}}}}}")).await;
    let container = &the(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_ne!(container["resources"]["limits"]["cpu"], Value::Null);
}

/// Kubernetes gets a new one now and then.
#[test]
fn the_known_fields_are_those_of_kubernetes() {
    let path = format!("{}/{CHART}/values.schema.json", env!("CARGO_MANIFEST_DIR"));
    let values: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for (value, known) in [
        ("podSecurityContext", schemars::schema_for!(k8s_openapi::api::core::v1::PodSecurityContext)),
        ("securityContext", schemars::schema_for!(k8s_openapi::api::core::v1::SecurityContext)),
        ("dnsConfig", schemars::schema_for!(k8s_openapi::api::core::v1::PodDNSConfig)),
    ] {
        let names = |schema: &Value| {
            schema["properties"].as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&values["properties"][value]), names(known.as_value()), "{value}");
    }
}
