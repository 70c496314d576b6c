//! Install, upgrade, uninstall: the commands of the chart's README, in their order.

use kube::ResourceExt;
use pulumi_deployments_operator::api::crd;
use rstest::rstest;
use serde_json::{Value, json};

use super::{NAMESPACE, RELEASE, helm::Helm, rendering::EVERYTHING};
use crate::{
    control_plane::ControlPlane,
    eventually::{SOON, eventually},
};

const README: &str = include_str!("../../../charts/pulumi-deployments-operator/README.md");

/// The commands of a document.
fn blocks(document: &str) -> Vec<&str> {
    document.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// What `kubectl get … --output=name` finds.
async fn names(plane: &ControlPlane, what: &str) -> Vec<String> {
    let get = ["get", what, "--all-namespaces", "--output=name", "--ignore-not-found"];
    plane.kubectl(get, None).await.success().lines().map(str::to_owned).collect()
}

/// Those of the release, not those of Kubernetes.
async fn own(plane: &ControlPlane, what: &str) -> Vec<String> {
    names(plane, what).await.into_iter().filter(|name| name.contains(RELEASE)).collect()
}

/// Its own rights in the whole cluster: those that people get by their roles are others.
async fn of_the_operator(plane: &ControlPlane) -> Vec<String> {
    let mut found = own(plane, "clusterroles,clusterrolebindings").await;
    found.retain(|name| name.ends_with(RELEASE));
    found
}

async fn crds_are_there(plane: &ControlPlane) {
    for crd in crd::all().unwrap() {
        let name = format!("crd/{}", crd.name_any());
        plane.kubectl(["wait", &name, "--for=condition=Established", "--timeout=30s"], None).await.success();
        let live: Value =
            serde_json::from_str(&plane.kubectl(["get", &name, "--output=json"], None).await.success()).unwrap();
        let metadata = &live["metadata"];
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "Helm");
        assert_eq!(metadata["annotations"]["meta.helm.sh/release-name"], RELEASE);
        assert_eq!(metadata["annotations"]["meta.helm.sh/release-namespace"], NAMESPACE);
    }
    plane.wait_for_discovery().await;
}

async fn arguments(plane: &ControlPlane) -> String {
    let name = format!("deployment.apps/{RELEASE}");
    let path = "--output=jsonpath={.spec.template.spec.containers[0].args}";
    plane.kubectl(["get", &name, "--namespace", NAMESPACE, path], None).await.success()
}

#[tokio::test]
async fn the_commands_of_the_readme_work() {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    let [install, upgrade, keyless, policy, traces, uninstall, remove] = blocks(README).try_into().unwrap();

    let notes = helm.shell(install).await.success();
    assert!(notes.contains("looks after all namespaces"), "{notes}");
    crds_are_there(&plane).await;
    assert_eq!(
        arguments(&plane).await,
        r#"["run","--log-format=json","--allowed-backend=https://api.pulumi.com","--watch-secrets=false"]"#
    );
    assert_eq!(of_the_operator(&plane).await.len(), 2);

    plane.kubectl(["create", "namespace", "platform"], None).await.success();
    plane.kubectl(["create", "namespace", "team"], None).await.success();
    let notes = helm.shell(upgrade).await.success();
    assert!(notes.contains("looks after the namespaces platform, team."), "{notes}");
    let upgraded = arguments(&plane).await;
    assert!(upgraded.contains(r#""--watch-namespace=platform","--watch-namespace=team""#), "{upgraded}");
    assert_eq!(of_the_operator(&plane).await, [""; 0]);
    let notes = helm.shell(keyless).await.success();
    assert!(notes.contains("kubectl create serviceaccount pulumi --namespace=platform"), "{notes}");
    assert!(notes.contains("serviceAccount: {name: pulumi}") && !notes.contains("secretKeyRef"), "{notes}");
    let role = [
        "get",
        "role",
        RELEASE,
        "--namespace=team",
        "--output=jsonpath={.rules[?(@.resources[0]=='serviceaccounts/token')]}",
    ];
    let rule: Value = serde_json::from_str(&plane.kubectl(role, None).await.success()).unwrap();
    assert_eq!((&rule["verbs"], &rule["resourceNames"]), (&json!(["create"]), &json!(["pulumi"])));
    assert_eq!(arguments(&plane).await, upgraded, "what was set before is kept");

    helm.shell(policy).await.success();
    assert_eq!(own(&plane, "validatingadmissionpolicies,validatingadmissionpolicybindings").await.len(), 2);
    assert_eq!(arguments(&plane).await, upgraded, "what was set before is kept");

    helm.shell(traces).await.success();
    let path =
        "--output=jsonpath={.spec.template.spec.containers[0].env[?(@.name=='OTEL_EXPORTER_OTLP_ENDPOINT')].value}";
    let operator = format!("deployment.apps/{RELEASE}");
    let endpoint = plane.kubectl(["get", &operator, "--namespace", NAMESPACE, path], None).await.success();
    assert_eq!(endpoint, "http://collector.observability:4318");
    assert_eq!(arguments(&plane).await, upgraded, "what was set before is kept");

    // The next step that the notes tell, with a name in place of NAME-IN-PULUMI-CLOUD.
    let next = notes.split("to work with:\n").nth(1).unwrap().split("It is ready when").next().unwrap();
    let next: Vec<&str> = next.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    let next = next.join("\n");
    helm.shell(&next.replace("$PULUMI_ACCESS_TOKEN", "pul-0").replace("NAME-IN-PULUMI-CLOUD", "acme")).await.success();
    let organization = ["organization.deployments.pulumi.com/acme".to_owned()];
    assert_eq!(names(&plane, "pulumi").await, organization);

    helm.shell(uninstall).await.success();
    assert_eq!(own(&plane, "deployments.apps,serviceaccounts,roles,rolebindings,clusterroles").await, [""; 0]);
    assert_eq!(own(&plane, "validatingadmissionpolicies,validatingadmissionpolicybindings").await, [""; 0]);
    assert_eq!(names(&plane, "pulumi").await, organization);

    // A later installation takes over what was left.
    helm.shell(install).await.success();
    crds_are_there(&plane).await;
    assert_eq!(names(&plane, "pulumi").await, organization);

    helm.shell(remove).await.success();
    eventually(SOON, "nothing is left", async || {
        let left = names(&plane, "customresourcedefinitions,namespaces").await;
        let left: Vec<_> = left.into_iter().filter(|name| name.contains("pulumi")).collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

/// As much of the Prometheus operator as it takes for its objects to be accepted.
const SERVICE_MONITORS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, plural: servicemonitors}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

#[rstest]
#[case::by_default("")]
#[case::with_everything(EVERYTHING)]
#[tokio::test]
async fn the_restricted_profile_lets_the_pod_in(#[case] values: &str) {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    plane.kubectl(["apply", "--filename=-"], Some(SERVICE_MONITORS)).await.success();
    let wait = ["wait", "crd/servicemonitors.monitoring.coreos.com", "--for=condition=Established", "--timeout=30s"];
    plane.kubectl(wait, None).await.success();
    helm.install_with(values).await;
    plane
        .kubectl(["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"], None)
        .await
        .success();
    let get = ["get", "deployments.apps", RELEASE, "--namespace", NAMESPACE, "--output=json"];
    let deployment: Value = serde_json::from_str(&plane.kubectl(get, None).await.success()).unwrap();
    let template = &deployment["spec"]["template"];
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": NAMESPACE}});
    pod["metadata"]["labels"] = template["metadata"]["labels"].clone();
    pod["spec"] = template["spec"].clone();
    pod["spec"]["restartPolicy"] = json!("Always");
    let create = ["create", "--filename=-", "--dry-run=server"];
    plane.kubectl(create, Some(&pod.to_string())).await.success();

    pod["spec"]["securityContext"] = json!({});
    let refusal = plane.kubectl(create, Some(&pod.to_string())).await.failure();
    assert!(refusal.contains("violates PodSecurity"), "{refusal}");
}

#[tokio::test]
async fn people_get_rights_by_the_roles_that_they_have() {
    let mut plane = ControlPlane::start(|options| options).await;
    Helm::of(&mut plane).await.install("--set approvalPolicy.enabled=true").await;
    crds_are_there(&plane).await;
    plane.kubectl(["create", "namespace", "team"], None).await.success();
    for role in ["view", "edit", "admin"] {
        let (clusterrole, user) = (format!("--clusterrole={role}"), format!("--user={role}er"));
        let bind = ["create", "rolebinding", role, "--namespace=team", &clusterrole, &user];
        plane.kubectl(bind, None).await.success();
    }
    for (role, verb, kind, expected) in [
        ("view", "watch", "pulumideployments", true),
        ("view", "list", "organizations", true),
        ("view", "create", "pulumideployments", false),
        ("edit", "get", "organizations", true),
        ("edit", "create", "pulumideployments", true),
        ("edit", "delete", "stackdeploymentsettings", true),
        ("edit", "patch", "organizations", false),
        ("edit", "patch", "pulumideployments/status", false),
        ("admin", "patch", "pulumideployments", true),
        ("admin", "create", "organizations", true),
        ("edit", "update", "pulumideployments/approve", false),
        ("admin", "update", "pulumideployments/approve", true),
    ] {
        let (kind, part) = kind.split_once('/').unwrap_or((kind, ""));
        let (kind, part) = (format!("{kind}.deployments.pulumi.com"), format!("--subresource={part}"));
        eventually(SOON, &format!("{role} may {verb} {kind} {part}: {expected}"), async || {
            let user = format!("--as={role}er");
            let question = ["auth", "can-i", verb, &kind, &part, "--namespace=team", &user];
            let answer = plane.kubectl(question, None).await.stdout;
            if (answer.trim() == "yes") == expected { Ok(()) } else { Err(answer) }
        })
        .await;
    }
    // The policy takes effect a moment after it was installed.
    for (role, by, refusal) in [
        ("edit", "editer", "that takes the right to update pulumideployments/approve in namespace team"),
        ("admin", "somebody", "under the own name only"),
        ("admin", "adminer", ""),
    ] {
        let annotations = json!({"deployments.pulumi.com/approve": "token", "deployments.pulumi.com/approved-by": by});
        let deployment = json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "team", "annotations": annotations},
            "spec": {"settingsRef": {"name": "web"}, "operation": "update"},
        });
        eventually(SOON, &format!("{role} approves as {by}: {refusal}"), async || {
            let user = format!("--as={role}er");
            let create = ["create", "--filename=-", "--dry-run=server", &user];
            let answer = plane.kubectl(create, Some(&deployment.to_string())).await;
            let is_expected =
                if refusal.is_empty() { answer.status.success() } else { answer.stderr.contains(refusal) };
            if is_expected { Ok(()) } else { Err(format!("{}{}", answer.stdout, answer.stderr)) }
        })
        .await;
    }
}
