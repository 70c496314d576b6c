//! The CRDs themselves: that they can be installed, and what kubectl makes of them.

use std::{fs, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use pulumi_deployments_operator::api::{Deployment, Organization, StackDeploymentSettings, crd};
use serde_json::{Value, json};

use super::{DEPLOYMENT, ORGANIZATION, SETTINGS, Server, Validation, resource};
use crate::{
    control_plane::{ControlPlane, shared},
    eventually::{SOON, eventually},
};

/// The directory that users apply.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
const FILE: &str = "deployments.pulumi.com.yaml";

#[test]
fn the_committed_file_is_up_to_date() {
    let committed = fs::read_to_string(Path::new(DIRECTORY).join(FILE)).unwrap_or_default();
    assert!(
        committed == crd::yaml().unwrap(),
        "crds/{FILE} is not what the types say: write it anew with `cargo run -- crds > crds/{FILE}`"
    );
    let others: Vec<_> =
        fs::read_dir(DIRECTORY).unwrap().map(|entry| entry.unwrap().file_name()).filter(|name| name != FILE).collect();
    assert!(others.is_empty(), "crds/ has more than the generated file: {others:?}");
}

#[tokio::test]
async fn users_can_install_and_update_them_with_kubectl() {
    let control_plane = ControlPlane::start(|options| options).await;
    let ways: [(&[&str], &str); 3] = [
        (&["apply"], "created"),
        (&["apply"], "unchanged"),
        (&["apply", "--server-side", "--force-conflicts"], "serverside-applied"),
    ];
    for (command, result) in ways {
        let args = command.iter().copied().chain(["--filename", DIRECTORY]);
        let output = control_plane.kubectl(args, None).await;
        // Where the API server finds anything wrong with a schema that it accepts, it warns.
        assert_eq!(output.stderr, "", "{command:?}");
        let stdout = output.success();
        assert_eq!(stdout.lines().filter(|line| line.ends_with(result)).count(), 3, "{command:?}: {stdout}");
    }
    control_plane
        .kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"], None)
        .await
        .success();

    let installed =
        Api::<CustomResourceDefinition>::all(control_plane.client()).list(&ListParams::default()).await.unwrap();
    for crd in crd::all().unwrap() {
        let stored = installed.items.iter().find(|stored| stored.name_any() == crd.name_any()).unwrap();
        assert_eq!(stored.spec.versions, crd.spec.versions, "{}", crd.name_any());
    }
}

#[tokio::test]
async fn the_api_server_finds_nothing_wrong_with_them() {
    let api: Api<CustomResourceDefinition> = Api::all(shared().await.client());
    for crd in crd::all().unwrap() {
        let status = api.get(&crd.name_any()).await.unwrap().status.unwrap();
        let conditions = status.conditions.into_iter().flatten();
        let mut holding: Vec<_> =
            conditions.filter(|condition| condition.status == "True").map(|condition| condition.type_).collect();
        holding.sort_unstable();
        assert_eq!(holding, ["Established", "NamesAccepted"], "{}", crd.name_any());
    }
}

#[tokio::test]
async fn kubectl_lists_them_with_what_people_look_for() {
    let server = Server::new().await;
    let specs = [
        (ORGANIZATION, "accessToken: {secretKeyRef: {name: pulumi, key: token}}"),
        (SETTINGS, "stack: {organizationRef: {name: acme}, project: web, name: prod}"),
        (DEPLOYMENT, "{settingsRef: {name: web-prod}, operation: update}"),
    ];
    for (kind, spec) in specs {
        server.create(&resource(kind, spec), Validation::Strict).await.unwrap();
    }
    let ready = |message: &str| {
        json!([{
            "type": "Ready", "status": "True", "reason": "Done", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
        }])
    };
    let client = &server.client;
    let status =
        json!({"name": "acme", "user": {"login": "robot"}, "paused": true, "conditions": ready("token-accepted")});
    patch_status::<Organization>(client, &server.namespace, status).await;
    let mut status = json!({"stack": "acme/web/prod", "paused": false, "conditions": ready("in-sync")});
    let mut drifted = ready("no-drift")[0].clone();
    (drifted["type"], drifted["status"]) = (json!("Drifted"), json!("False"));
    status["conditions"].as_array_mut().unwrap().push(drifted);
    patch_status::<StackDeploymentSettings>(client, &server.namespace, status).await;
    let run = json!({
        "request": {"number": 1, "digest": "d"}, "purpose": "Main", "attempt": 1, "nonce": "n", "operation": "update",
        "target": {"backendURL": "b", "organization": "acme", "project": "web", "stack": "prod"},
        "id": "i", "version": 7, "status": "running", "url": "https://example.com/7",
    });
    let status = json!({"phase": "Running", "step": "4/6 update", "run": run, "conditions": ready("under-way")});
    patch_status::<Deployment>(client, &server.namespace, status).await;

    let get = async |args: &[&str]| {
        let namespace = format!("--namespace={}", server.namespace);
        let args = ["get", &namespace].into_iter().chain(args.iter().copied());
        shared().await.kubectl(args, None).await.success()
    };
    for (name, header, row) in [
        (
            "porg",
            "NAME ORGANIZATION USER PAUSED READY REASON AGE BACKEND MESSAGE",
            "subject acme robot true True Done AGE https://api.pulumi.com token-accepted",
        ),
        (
            "sds",
            "NAME STACK READY REASON PAUSED DRIFTED AGE MESSAGE",
            "subject acme/web/prod True Done false False AGE in-sync",
        ),
        (
            "pdep",
            "NAME OPERATION PHASE STEP VERSION AGE URL MESSAGE",
            "subject update Running 4/6 update 7 AGE https://example.com/7 under-way",
        ),
    ] {
        let table = get(&[name, "--output=wide"]).await;
        let lines: Vec<String> = table.lines().map(without_age).collect();
        assert_eq!(lines, [header, row]);
        let narrow = get(&[name, "--no-headers"]).await;
        assert!(!narrow.contains("https://"), "{narrow}");
    }
    let all = get(&["pulumi", "--output=name"]).await;
    assert_eq!(
        all.lines().collect::<Vec<_>>(),
        [
            "organization.deployments.pulumi.com/subject",
            "deployment.deployments.pulumi.com/subject",
            "stackdeploymentsettings.deployments.pulumi.com/subject",
        ]
    );
}

/// The columns of a line, apart by one space, and without the number of seconds that a resource is old.
fn without_age(line: &str) -> String {
    let is_age = |column: &str| column.strip_suffix('s').is_some_and(|number| number.parse::<u32>().is_ok());
    let columns = line.split_whitespace().map(|column| if is_age(column) { "AGE" } else { column });
    columns.collect::<Vec<_>>().join(" ")
}

async fn patch_status<K>(client: &kube::Client, namespace: &str, status: Value)
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status("subject", &PatchParams::default(), &patch).await.unwrap();
}

/// The name that everybody has in their fingers must go on to mean the other kind.
#[tokio::test]
async fn deployments_are_still_those_of_apps() {
    let control_plane = shared().await;
    for name in ["deployment", "deployments", "deploy"] {
        let output = control_plane.kubectl(["explain", name], None).await.success();
        assert!(output.contains("apps\n"), "{output}");
    }
}

#[tokio::test]
async fn kubectl_explains_them() {
    let control_plane = shared().await;
    for (path, description) in [
        ("porg", "One Pulumi organization and how to reach it"),
        ("porg.spec.access.namespaces.from", "`Same`: the Organization's own namespace."),
        (
            "sds.spec.settings.operationContext.environmentVariables.valueFrom.secretKeyRef",
            "kept remotely, as a secret",
        ),
        ("pdep.spec.supersede", "`CancelQueued`: it is canceled if it is still queued"),
    ] {
        // The API server publishes a schema some time after it serves the resource.
        eventually(SOON, &format!("kubectl explains {path}"), async || {
            let output = control_plane.kubectl(["explain", path], None).await;
            let text = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            if text.contains(description) { Ok(()) } else { Err(output) }
        })
        .await;
    }
}
