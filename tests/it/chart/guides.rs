//! The Helm commands of the other pages, and what an upgrade does to definitions and objects that are there.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    CHART, IMAGE, NAMESPACE, RELEASE,
    helm::Helm,
    lifecycle::{arguments, crds_are_there, environment, install_monitoring},
};
use crate::{
    control_plane::ControlPlane,
    docs::Page,
    eventually::{SOON, eventually},
};

/// The blocks of a page that are commands of Helm.
fn commands(page: &str) -> Vec<String> {
    let page = Page::of(page);
    let blocks = page.blocks().into_iter().filter(|block| block.language == "sh" && block.text.starts_with("helm "));
    blocks.map(|block| block.text).collect()
}

#[tokio::test]
async fn the_commands_of_the_guides_work() {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    let [install] = commands("README.md").try_into().unwrap();
    assert_eq!(commands("docs/getting-started.md"), std::slice::from_ref(&install));
    let [upgrade, monitoring, traces, brake, go_on, uninstall] = commands("docs/operations.md").try_into().unwrap();
    let [keyless] = commands("docs/keyless.md").try_into().unwrap();
    let elsewhere = Page::all().into_iter().map(|page| page.name).filter(|name| !name.contains("charts/"));
    let others = elsewhere.filter(|name| {
        !["README.md", "docs/getting-started.md", "docs/keyless.md", "docs/operations.md"].contains(&&**name)
    });
    for page in others {
        assert_eq!(commands(&page), [""; 0], "{page}: no test runs these");
    }

    helm.shell(&install).await.success();
    let usual = arguments(&plane).await;
    helm.shell(&upgrade).await.success();
    assert_eq!(arguments(&plane).await, usual);
    install_monitoring(&plane).await;
    helm.shell(&monitoring).await.success();
    let rules = ["get", "prometheusrules,servicemonitors", "--all-namespaces", "--output=name"];
    assert_eq!(plane.kubectl(rules, None).await.success().lines().count(), 2);
    helm.shell(&traces).await.success();
    assert!(environment(&plane).await.contains("http://collector.observability:4318"));
    helm.shell(&brake).await.success();
    assert!(arguments(&plane).await.contains("--suspend-all"));
    helm.shell(&go_on).await.success();
    assert_eq!(arguments(&plane).await, usual);
    let notes = helm.shell(&keyless).await.success();
    assert!(notes.contains("serviceAccount: {name: pulumi}"), "{notes}");
    helm.shell(&uninstall).await.success();
    let list = helm.shell("helm list --all-namespaces --short").await.success();
    assert_eq!(list.trim(), "");
}

#[tokio::test]
async fn definitions_that_were_applied_by_hand_are_taken_over() {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    let page = Page::of("README.md");
    let by_hand = page.text.lines().find(|line| line.starts_with("kubectl apply --filename=crds")).unwrap();
    helm.shell(by_hand).await.success();
    let [install] = commands("README.md").try_into().unwrap();
    let refusal = helm.shell(&install).await.failure();
    assert!(refusal.contains("invalid ownership metadata"), "{refusal}");
    assert!(page.text.contains("add `--take-ownership`"));
    helm.shell(&format!("{} --take-ownership", install.trim_end())).await.success();
    crds_are_there(&plane).await;
}

/// Values that an older chart did not have, and what it did instead.
const LATER_VALUES: &[(&str, &str)] = &[
    (".Values.crds.enabled", "true"),
    (".Values.replicas", "1"),
    (".Values.commonLabels", "(dict)"),
    (".Values.nameOverride", "\"\""),
    (".Values.fullnameOverride", "\"\""),
    (".Values.topologySpreadConstraints", "(list)"),
    (".Values.dnsPolicy", "\"\""),
    (".Values.dnsConfig", "(dict)"),
];

/// Takes the later values out of a chart.
fn without_later_values(chart: &Path) {
    for file in fs::read_dir(chart.join("templates")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let older = LATER_VALUES.iter().fold(text, |text, (value, instead)| text.replace(value, instead));
        fs::write(path, older).unwrap();
    }
    let sections: Vec<_> = LATER_VALUES.iter().map(|(value, _)| value.split('.').nth(2).unwrap()).collect();
    let file = chart.join("values.yaml");
    let mut values: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for section in &sections {
        assert!(values.as_object_mut().unwrap().remove(*section).is_some(), "{section}");
    }
    fs::write(file, serde_saphyr::to_string(&values).unwrap()).unwrap();
    let file = chart.join("values.schema.json");
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for section in &sections {
        assert!(schema["properties"].as_object_mut().unwrap().remove(*section).is_some(), "{section}");
    }
    schema["required"].as_array_mut().unwrap().retain(|name| !sections.contains(&name.as_str().unwrap()));
    fs::write(file, schema.to_string()).unwrap();
}

/// The chart as it was before Deployments had `retry`, and without the later values.
fn earlier(into: &Path) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join(CHART);
    for directory in ["templates", "files"] {
        fs::create_dir(into.join(directory)).unwrap();
        for file in fs::read_dir(chart.join(directory)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), into.join(directory).join(file.file_name())).unwrap();
        }
    }
    for file in ["Chart.yaml", "values.yaml", "values.schema.json"] {
        fs::copy(chart.join(file), into.join(file)).unwrap();
    }
    let file = into.join("files/crds.yaml");
    let mut crds: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&file).unwrap()).unwrap();
    let mut removed = 0;
    for crd in &mut crds {
        let spec = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        removed += usize::from(spec.as_object_mut().unwrap().remove("retry").is_some());
    }
    assert_eq!(removed, 1, "one kind has it");
    let texts: Vec<_> = crds.iter().map(|crd| serde_saphyr::to_string(crd).unwrap()).collect();
    fs::write(file, texts.join("\n---\n")).unwrap();
    without_later_values(into);
}

const PLAIN: &str = "
apiVersion: deployments.pulumi.com/v1alpha1
kind: Deployment
metadata: {name: before, namespace: default}
spec: {settingsRef: {name: web}, operation: update}
";

const WITH_RETRY: &str = "
apiVersion: deployments.pulumi.com/v1alpha1
kind: Deployment
metadata: {name: after, namespace: default}
spec: {settingsRef: {name: web}, operation: update, retry: {limit: 2}}
";

#[tokio::test]
async fn an_upgrade_brings_the_definitions_along_and_an_uninstall_leaves_them() {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    let directory = tempfile::tempdir().unwrap();
    earlier(directory.path());
    let directory = directory.path().display();
    let release = format!("--namespace {NAMESPACE} --create-namespace --set {IMAGE} --set logFormat=text");
    helm.shell(&format!("helm install {RELEASE} '{directory}' {release}")).await.success();
    let established =
        ["wait", "--for=condition=Established", "--timeout=30s", "crd/pulumideployments.deployments.pulumi.com"];
    plane.kubectl(established, None).await.success();
    plane.wait_for_discovery().await;

    plane.kubectl(["apply", "--filename=-"], Some(PLAIN)).await.success();
    let refusal = plane.kubectl(["apply", "--filename=-"], Some(WITH_RETRY)).await.failure();
    assert!(refusal.contains("unknown field \"spec.retry\""), "{refusal}");
    let status = "{\"status\": {\"phase\": \"Running\"}}";
    let patch = ["patch", "pdep", "before", "--subresource=status", "--type=merge", "--patch", status];
    plane.kubectl(patch, None).await.success();
    let read = ["get", "pdep", "before", "--output=jsonpath={.metadata.uid} {.status.phase}"];
    let before = plane.kubectl(read, None).await.success();
    assert!(before.ends_with(" Running"), "{before}");

    let upgrade = format!("helm upgrade {RELEASE} {CHART} --namespace {NAMESPACE}");
    // What an older release was installed with has no value for what is new.
    let refusal = helm.shell(&format!("{upgrade} --reuse-values")).await.failure();
    assert!(refusal.contains("missing property 'crds'"), "{refusal}");
    helm.shell(&format!("{upgrade} --reset-then-reuse-values")).await.success();
    assert!(arguments(&plane).await.contains("--log-format=text"), "what was set is kept");
    eventually(SOON, "the new field is known", async || {
        let applied = plane.kubectl(["apply", "--filename=-"], Some(WITH_RETRY)).await;
        if applied.status.success() { Ok(()) } else { Err(applied.stderr) }
    })
    .await;
    assert_eq!(plane.kubectl(read, None).await.success(), before, "what was there is as it was");

    helm.shell(&format!("helm uninstall {RELEASE} --namespace {NAMESPACE}")).await.success();
    let left = plane.kubectl(["get", "pdep", "--output=name"], None).await.success();
    assert_eq!(left.lines().count(), 2, "{left}");
}
