//! Install, upgrade, uninstall: the commands of the chart's README, in their order.

use kube::ResourceExt;
use pulumi_deployments_operator::api::crd;
use serde_json::{Value, json};

use super::{NAMESPACE, RELEASE, helm::Helm};
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
    let [install, upgrade, uninstall, remove] = blocks(README).try_into().unwrap();

    let notes = helm.shell(install).await.success();
    assert!(notes.contains("looks after all namespaces"), "{notes}");
    crds_are_there(&plane).await;
    assert_eq!(arguments(&plane).await, r#"["run","--log-format=json","--allowed-backend=https://api.pulumi.com"]"#);
    assert_eq!(own(&plane, "clusterroles,clusterrolebindings").await.len(), 2);

    plane.kubectl(["create", "namespace", "platform"], None).await.success();
    plane.kubectl(["create", "namespace", "team"], None).await.success();
    let notes = helm.shell(upgrade).await.success();
    assert!(notes.contains("looks after the namespaces platform, team."), "{notes}");
    let upgraded = arguments(&plane).await;
    assert!(upgraded.contains(r#""--watch-namespace=platform","--watch-namespace=team""#), "{upgraded}");
    assert_eq!(own(&plane, "clusterroles,clusterrolebindings").await, [""; 0]);

    // The next step that the notes tell, with a name in place of NAME-IN-PULUMI-CLOUD.
    let next = notes.split("to work with:\n").nth(1).unwrap().split("It is ready when").next().unwrap();
    let next: Vec<&str> = next.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    let next = next.join("\n");
    helm.shell(&next.replace("$PULUMI_ACCESS_TOKEN", "pul-0").replace("NAME-IN-PULUMI-CLOUD", "acme")).await.success();
    let organization = ["organization.deployments.pulumi.com/acme".to_owned()];
    assert_eq!(names(&plane, "pulumi").await, organization);

    helm.shell(uninstall).await.success();
    assert_eq!(own(&plane, "deployments.apps,serviceaccounts,roles,rolebindings").await, [""; 0]);
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

#[tokio::test]
async fn the_restricted_profile_lets_the_pod_in() {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    helm.install("").await;
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
