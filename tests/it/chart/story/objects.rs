//! What the story is about, as it is applied.

use pulumi_cloud_simulator::Simulator;
use serde_json::{Value, json};

use super::{NAMESPACES, STACKS, TOKEN, stack};

const API: &str = "deployments.pulumi.com/v1alpha1";

/// A namespace with the label that the access rules select by.
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"story": "told"}}})
}

fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// The access token, and the Organization `acme` that has it.
pub fn organization(cloud: &Simulator, namespace: &str) -> [Value; 2] {
    let access = json!([{"namespaces": {"from": "Selector", "selector": {"matchLabels": {"story": "told"}}}}]);
    let token = json!({"secretKeyRef": {"name": "pulumi", "key": "accessToken"}});
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "pulumi", "namespace": namespace},
        "stringData": {"accessToken": TOKEN},
    });
    let spec = json!({"backendURL": cloud.url(), "accessToken": token, "access": access});
    [secret, object("Organization", namespace, "acme", &spec)]
}

/// What can be applied at once.
pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items.into_iter().collect::<Vec<_>>()})
}

fn source() -> Value {
    json!({"git": {"repoURL": "https://example.com/web.git", "branch": "main"}})
}

/// What is in each of the namespaces, so that every right is used in each.
pub fn everywhere(cloud: &Simulator, namespace: &str) -> Vec<Value> {
    let data = |kind: &str, name: &str, field: &str, data: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}});
        object[field] = data;
        object
    };
    let keyless =
        json!({"name": "acme", "backendURL": cloud.url(), "accessToken": {"serviceAccount": {"name": "pulumi"}}});
    let settings = json!({
        "stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": namespace},
        "createStack": true,
        "settings": {
            "sourceContext": source(),
            "operationContext": {"environmentVariables": [
                {"name": "TIER", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "tier"}}},
                {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            ]},
        },
        "schedules": [
            {"name": "nightly", "deployment": {"cron": "30 4 * * *", "operation": "update"}},
            {"name": "drift", "drift": {"cron": "0 * * * *"}},
        ],
    });
    let outputs = json!({"secret": {"name": "web-outputs"}, "configMap": {"name": "web-outputs"}});
    let web = json!({"settingsRef": {"name": "web"}, "operation": "update", "outputs": outputs});
    let [token, organization] = organization(cloud, namespace);
    vec![
        token,
        organization,
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pulumi", "namespace": namespace}}),
        object("Organization", namespace, "keyless", &keyless),
        data("Secret", "db", "stringData", json!({"password": "of-the-database"})),
        data("ConfigMap", "web", "data", json!({"tier": "gold"})),
        object("StackDeploymentSettings", namespace, "web", &settings),
        object("Deployment", namespace, "web", &web),
    ]
}

/// A Deployment of a stack of its own, by the Organization of another namespace.
fn deployment(namespace: &str, name: &str, more: &Value) -> Value {
    let stack = stack(name);
    let [_, project, stack] = stack.split('/').collect::<Vec<_>>().try_into().unwrap();
    let organization = json!({"name": "acme", "namespace": NAMESPACES[0]});
    let mut spec = json!({
        "stack": {"organizationRef": organization, "project": project, "name": stack},
        "settings": {"sourceContext": source()},
        "operation": "update",
        "settle": "0s",
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object("Deployment", namespace, name, &spec)
}

/// What needs to happen once only: every other way to come to a run, and to its end.
pub fn once(namespace: &str) -> Vec<Value> {
    let of_web = |name: &str, more: Value| {
        let mut spec = json!({"settingsRef": {"name": "web"}, "operation": "preview"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object("Deployment", namespace, name, &spec)
    };
    let fails = json!({
        "sourceContext": source(),
        "operationContext": {"environmentVariables": [{"name": "SIMULATOR_FAIL_STEP", "value": "Get source"}]},
    });
    let own = |name: &str| {
        let more = match name {
            "approved" | "rejected" => json!({"approval": {"mode": "Required"}}),
            "failing" => json!({"retry": {"limit": 1, "backoff": {"initial": "1s", "max": "1s"}}, "settings": fails}),
            "superseded" => json!({"supersede": "Cancel"}),
            "doomed" => json!({"deletionPolicy": "Destroy"}),
            "stopped" => json!({"deletionPolicy": "Cancel"}),
            "slow" => json!({"timeout": "1s"}),
            "suspended" => json!({"suspend": true}),
            _ => json!({}),
        };
        let mut made = deployment(namespace, name, &more);
        if name == "adopted" {
            made["metadata"]["annotations"] = json!({"deployments.pulumi.com/adopt": "latest"});
        }
        made
    };
    let of_web = [
        of_web("preview", json!({})),
        of_web("drift", json!({"operation": "detect-drift"})),
        of_web("after", json!({"dependsOn": [{"name": "preview"}]})),
        of_web("following", json!({"runOnSettingsChange": true})),
    ];
    STACKS.into_iter().map(own).chain(of_web).collect()
}

/// What is in a namespace that is deleted with all that is in it.
pub fn leaving(name: &str) -> Vec<Value> {
    vec![namespace(name), deployment(name, name, &json!({"deletionPolicy": "Destroy"}))]
}
