//! Everything that the operator does in Kubernetes, once.

use pulumi_cloud_simulator::{Allowance, OidcIssuer, Simulator};
use serde_json::json;

use super::operator::Operator;
use crate::{
    control_plane::ControlPlane,
    eventually::{SOON, eventually},
};

/// Where the Organization is, and where it is used.
pub const NAMESPACES: [&str; 2] = ["platform", "team"];

const TOKEN: &str = "pul-of-the-chart";
const STACK: &str = "acme/web/prod";

/// A Pulumi Cloud in which runs take less than a second.
pub async fn cloud() -> Simulator {
    let cloud = Simulator::builder().speed(100.0).token(TOKEN).organization("acme").start().await.unwrap();
    let issuer = OidcIssuer::new("https://kubernetes.default.svc")
        .allow("system:serviceaccount:platform:pulumi", Allowance::Organization { admin: false });
    cloud.trust_issuer("acme", issuer).unwrap();
    cloud
}

/// The namespaces, with a label that the Organization's access rule selects by.
pub async fn prepare(plane: &ControlPlane) {
    for namespace in NAMESPACES {
        plane.kubectl(["create", "namespace", namespace], None).await.success();
        plane.kubectl(["label", "namespace", namespace, &format!("team={namespace}")], None).await.success();
    }
}

fn manifests(cloud: &Simulator) -> String {
    let backend = cloud.url();
    format!(
        "\
apiVersion: v1
kind: Secret
metadata: {{name: pulumi, namespace: platform}}
stringData: {{accessToken: {TOKEN}}}
---
apiVersion: deployments.pulumi.com/v1alpha1
kind: Organization
metadata: {{name: acme, namespace: platform}}
spec:
  backendURL: {backend}
  accessToken:
    secretKeyRef: {{name: pulumi, key: accessToken}}
  access:
    - namespaces: {{from: Selector, selector: {{matchLabels: {{team: team}}}}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: pulumi, namespace: platform}}
---
apiVersion: deployments.pulumi.com/v1alpha1
kind: Organization
metadata: {{name: keyless, namespace: platform}}
spec:
  name: acme
  backendURL: {backend}
  accessToken:
    serviceAccount: {{name: pulumi}}
---
apiVersion: v1
kind: Secret
metadata: {{name: db, namespace: team}}
stringData: {{password: of-the-database}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: web, namespace: team}}
data: {{tier: gold}}
---
apiVersion: deployments.pulumi.com/v1alpha1
kind: StackDeploymentSettings
metadata: {{name: web, namespace: team}}
spec:
  stack:
    organizationRef: {{name: acme, namespace: platform}}
    project: web
    name: prod
  createStack: true
  settings:
    sourceContext:
      git: {{repoURL: \"https://example.com/web.git\", branch: main}}
    operationContext:
      environmentVariables:
        - {{name: TIER, valueFrom: {{configMapKeyRef: {{name: web, key: tier}}}}}}
        - {{name: DB_PASSWORD, valueFrom: {{secretKeyRef: {{name: db, key: password}}}}}}
---
apiVersion: deployments.pulumi.com/v1alpha1
kind: Deployment
metadata: {{name: web, namespace: team}}
spec:
  settingsRef: {{name: web}}
  operation: update
  outputs:
    secret: {{name: web-outputs}}
    configMap: {{name: web-outputs}}
"
    )
}

/// An organization, another one without a token in the cluster, settings with values of a Secret and a ConfigMap, and two runs with outputs; and then all of it is deleted.
pub async fn tell(plane: &ControlPlane, cloud: &Simulator, operator: &Operator) {
    let manifests = manifests(cloud);
    plane.kubectl(["apply", "--filename=-"], Some(&manifests)).await.success();
    for (namespace, name, wanted) in [
        ("platform", "organization.deployments.pulumi.com/acme", "condition=Ready"),
        ("platform", "organization.deployments.pulumi.com/keyless", "condition=Ready"),
        ("team", "stackdeploymentsettings.deployments.pulumi.com/web", "condition=Ready"),
        ("team", "pulumideployment.deployments.pulumi.com/web", "jsonpath={.status.phase}=Succeeded"),
    ] {
        let wait = ["wait", name, "--namespace", namespace, &format!("--for={wanted}"), "--timeout=60s"];
        let output = plane.kubectl(wait, None).await;
        if !output.status.success() {
            let found = plane.kubectl(["get", "pulumi", "--all-namespaces", "--output=yaml"], None).await;
            panic!("{name}: {}{}{}", output.stderr, found.stdout, operator.warnings());
        }
    }
    let written = async |version: u32| {
        let name = "pulumideployment.deployments.pulumi.com/web";
        let wanted = format!("--for=jsonpath={{.status.outputs.version}}={version}");
        let output = plane.kubectl(["wait", name, "--namespace=team", &wanted, "--timeout=60s"], None).await;
        assert!(output.status.success(), "{}{}", output.stderr, operator.warnings());
    };
    written(1).await;
    let rerun = ["annotate", "pdep", "web", "--namespace=team", "deployments.pulumi.com/rerun=2"];
    plane.kubectl(rerun, None).await.success();
    written(2).await;
    let variables = &cloud.settings(STACK).unwrap()["operationContext"]["environmentVariables"];
    assert_eq!(variables, &json!({"TIER": "gold", "DB_PASSWORD": {"secret": "of-the-database"}}));
    assert_eq!(cloud.deployments(STACK).len(), 2);
    eventually(SOON, "events of the operator", async || {
        let get = ["get", "events.events.k8s.io", "--namespace=team", "--output=jsonpath={..reportingInstance}"];
        let instances = plane.kubectl(get, None).await.success();
        if instances.contains("operator-0") { Ok(()) } else { Err(instances) }
    })
    .await;

    plane.kubectl(["delete", "--filename=-", "--timeout=60s"], Some(&manifests)).await.success();
    assert_eq!(cloud.settings(STACK), None);
    assert_eq!(cloud.deployments(STACK).len(), 2);
}
