//! What is in `gitops/kustomize`, with the Kustomize that is part of the real kubectl.

use std::{collections::BTreeMap, env, fmt::Write, fs, path::Path};

use serde_json::{Value, json};

use super::root;
use crate::{control_plane, crds::schema};

/// Kustomize goes by paths: where each kind names objects of other kinds.
fn references() -> BTreeMap<&'static str, Vec<(String, &'static str)>> {
    let mut found: BTreeMap<&'static str, Vec<(String, &'static str)>> = BTreeMap::new();
    for kind in ["Organization", "StackDeploymentSettings", "Deployment"] {
        schema::walk(schema::of_part(kind, "spec"), "spec", &mut |path, _| {
            let target = match path.rsplit('.').take(2).collect::<Vec<_>>().as_slice() {
                ["name", "secretKeyRef"] => "Secret",
                ["name", "configMapKeyRef"] => "ConfigMap",
                ["name", "organizationRef"] => "Organization",
                ["name", "settingsRef"] => "StackDeploymentSettings",
                ["name", "dependsOn[]"] => "Deployment",
                ["name", "serviceAccount"] => "ServiceAccount",
                ["name", other] if other.contains("Ref") => panic!("{kind}.{path}: what kind does it name?"),
                _ => return,
            };
            let path = path.replace("[]", "").replace('.', "/");
            found.entry(target).or_default().push((path, kind));
        });
    }
    found
}

fn names() -> String {
    let mut text = "# Tells Kustomize where the three kinds name other objects, so that `namePrefix`, `nameSuffix` and the hashes of\n\
                    # generated Secrets and ConfigMaps reach these places. Copy it, and name it under `configurations`.\n\
                    # Written by a test from the CRDs: BLESS=1 cargo test --test it gitops::kustomize\n\
                    nameReference:\n"
        .to_owned();
    for (target, paths) in references() {
        let group = if ["Secret", "ConfigMap", "ServiceAccount"].contains(&target) {
            "version: v1"
        } else {
            "group: deployments.pulumi.com"
        };
        write!(text, "  - kind: {target}\n    {group}\n    fieldSpecs:\n").unwrap();
        for (path, kind) in paths {
            writeln!(text, "      - {{path: {path}, group: deployments.pulumi.com, kind: {kind}}}").unwrap();
        }
    }
    text
}

#[test]
fn every_reference_is_in_the_name_reference_configuration() {
    let file = root().join("gitops/kustomize/names.yaml");
    if env::var_os("BLESS").is_some() {
        fs::write(&file, names()).unwrap();
    }
    let is_current = fs::read_to_string(&file).unwrap_or_default() == names();
    assert!(is_current, "{} is not up to date: BLESS=1 cargo test --test it gitops::kustomize", file.display());
}

const BASE: &str = "
apiVersion: deployments.pulumi.com/v1alpha1
kind: Organization
metadata: {name: acme}
spec: {accessToken: {secretKeyRef: {name: pulumi, key: accessToken}}}
---
apiVersion: deployments.pulumi.com/v1alpha1
kind: StackDeploymentSettings
metadata: {name: web}
spec:
  stack: {organizationRef: {name: acme}, project: web, name: prod}
  settings:
    operationContext:
      environmentVariables:
        - {name: TIER, valueFrom: {configMapKeyRef: {name: web, key: tier}}}
        - {name: TOKEN, valueFrom: {secretKeyRef: {name: pulumi, key: accessToken}}}
---
apiVersion: deployments.pulumi.com/v1alpha1
kind: Deployment
metadata: {name: web}
spec: {settingsRef: {name: web}, operation: update}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
";

const GENERATED: &str = "
secretGenerator: [{name: pulumi, literals: [accessToken=x]}]
configMapGenerator: [{name: web, literals: [tier=gold]}]
";

/// Builds the base with this kustomization, and returns the objects by group and kind.
async fn build(kustomization: &str) -> BTreeMap<String, Value> {
    let directory = tempfile::tempdir().unwrap();
    for file in ["names.yaml", "labels.yaml"] {
        fs::copy(root().join("gitops/kustomize").join(file), directory.path().join(file)).unwrap();
    }
    fs::write(directory.path().join("base.yaml"), BASE).unwrap();
    let kustomization = format!("resources: [base.yaml]\n{GENERATED}\n{kustomization}");
    fs::write(directory.path().join("kustomization.yaml"), kustomization).unwrap();
    let path: &Path = directory.path();
    let built = control_plane::shared().await.kubectl(["kustomize", path.to_str().unwrap()], None).await.success();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&built).unwrap();
    let name = |it: &Value| {
        let (version, kind) = (it["apiVersion"].as_str().unwrap(), it["kind"].as_str().unwrap());
        format!("{} {kind}", version.split_once('/').map_or("", |(group, _)| group))
    };
    documents.into_iter().map(|document| (name(&document), document)).collect()
}

const OURS: &str = "deployments.pulumi.com Deployment";

/// What the documentation warns of is really so; and what it says instead is enough.
#[tokio::test]
async fn labels_stay_out_of_the_spec() {
    let spec = json!({"settingsRef": {"name": "web"}, "operation": "update"});
    let plane = control_plane::shared().await;
    for trap in ["commonLabels: {team: web}", "labels: [{pairs: {team: web}, includeSelectors: true}]"] {
        let ours = build(trap).await.remove(OURS).unwrap();
        assert_eq!(ours["spec"]["selector"], json!({"matchLabels": {"team": "web"}}), "{trap}");
        for way in ["--server-side", "--server-side=false"] {
            let apply = ["apply", "--dry-run=server", way, "--filename=-"];
            let refusal = plane.kubectl(apply, Some(&ours.to_string())).await.failure();
            // One of the fields that were injected; which one is told first is left to chance.
            assert!(["spec.selector", "spec.template"].iter().any(|field| refusal.contains(field)), "{refusal}");
        }
    }
    assert_eq!(build("replicas: [{name: web, count: 2}]").await[OURS]["spec"]["replicas"], 2);

    let plain = build("labels: [{pairs: {team: web}}]").await;
    assert_eq!((&plain[OURS]["spec"], &plain[OURS]["metadata"]["labels"]), (&spec, &json!({"team": "web"})));
    let labeled = build("transformers: [labels.yaml]").await;
    let labels = json!({"app.kubernetes.io/part-of": "web"});
    assert_eq!((&labeled[OURS]["spec"], &labeled[OURS]["metadata"]["labels"]), (&spec, &labels));
    let theirs = &labeled["apps Deployment"]["spec"];
    assert_eq!(theirs["selector"]["matchLabels"]["app.kubernetes.io/part-of"], "web");
    assert_eq!(theirs["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"], "web");
    let replicas = r#"[{"op": "add", "path": "/spec/replicas", "value": 2}]"#;
    let patch = format!("{{target: {{group: apps, kind: Deployment, name: web}}, patch: '{replicas}'}}");
    let patched = build(&format!("patches: [{patch}]")).await;
    assert_eq!((&patched[OURS]["spec"], &patched["apps Deployment"]["spec"]["replicas"]), (&spec, &json!(2)));
}

/// A kind alone is of every group.
#[tokio::test]
async fn what_is_meant_for_one_group_says_so() {
    let patch = |target: &str| {
        let note = r#"[{"op": "add", "path": "/spec/paused", "value": true}]"#;
        format!("patches: [{{target: {{{target}}}, patch: '{note}'}}]")
    };
    let replacement = |target: &str| {
        format!(
            "replacements: [{{source: {{kind: Secret, name: pulumi, fieldPath: kind}}, \
             targets: [{{select: {{{target}}}, fieldPaths: [spec.paused], options: {{create: true}}}}]}}]"
        )
    };
    let ours_and_theirs = [
        ("kind: Deployment", [true, true]),
        ("group: apps, kind: Deployment", [false, true]),
        ("group: deployments.pulumi.com, kind: Deployment", [true, false]),
    ];
    for (target, expected) in ours_and_theirs {
        for kustomization in [patch(target), replacement(target)] {
            let built = build(&kustomization).await;
            let is_hit = [OURS, "apps Deployment"].map(|object| built[object]["spec"].get("paused").is_some());
            assert_eq!(is_hit, expected, "{kustomization}");
        }
    }
}

#[tokio::test]
async fn names_are_followed() {
    let built = build("namePrefix: dev-\nconfigurations: [names.yaml]").await;
    let name = |object: &str| built[object]["metadata"]["name"].as_str().unwrap();
    let (secret, config_map) = (name(" Secret"), name(" ConfigMap"));
    assert!(secret.starts_with("dev-pulumi-") && config_map.starts_with("dev-web-"), "{secret} {config_map}");
    let organization = &built["deployments.pulumi.com Organization"]["spec"];
    assert_eq!(organization["accessToken"]["secretKeyRef"]["name"], secret);
    let settings = &built["deployments.pulumi.com StackDeploymentSettings"]["spec"];
    assert_eq!(settings["stack"], json!({"organizationRef": {"name": "dev-acme"}, "project": "web", "name": "prod"}));
    let variables = &settings["settings"]["operationContext"]["environmentVariables"];
    assert_eq!(variables[0]["valueFrom"]["configMapKeyRef"]["name"], config_map);
    assert_eq!(variables[1]["valueFrom"]["secretKeyRef"]["name"], secret);
    assert_eq!(built[OURS]["spec"]["settingsRef"]["name"], "dev-web");
}
