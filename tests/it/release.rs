//! What a release is made of: what is depended on, the image, and the workflow. The last two need Docker and a runner, so
//! that they fit together is all that can be held here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn deny() -> toml::Table {
    text("deny.toml").parse().unwrap()
}

/// The strings of a list, or one field of its tables.
fn list(table: &toml::Value, field: &str) -> BTreeSet<String> {
    let word = |item: &toml::Value| item.get(field).unwrap_or(item).as_str().unwrap().to_owned();
    table.as_array().unwrap().iter().map(word).collect()
}

/// All packages that are compiled for anything in the workspace.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--locked", "--offline"]).current_dir(root());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn every_dependency_is_allowed() {
    let deny = deny();
    let allowed = list(&deny["licenses"]["allow"], "");
    let allowed: Vec<_> = allowed.iter().map(|license| Licensee::parse(license).unwrap()).collect();
    let banned = list(&deny["bans"]["deny"], "crate");
    let sources = list(&deny["sources"]["allow-registry"], "");
    let mut complaints = vec![];
    let packages = packages();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let license = package["license"].as_str().unwrap_or_default();
        let is_allowed = Expression::parse_mode(license, ParseMode::LAX)
            .is_ok_and(|license| license.evaluate(|wanted| allowed.iter().any(|allowed| allowed.satisfies(wanted))));
        if !is_allowed {
            complaints.push(format!("{name}: deny.toml does not allow its licence {license:?}"));
        }
        if banned.contains(name) {
            complaints.push(format!("{name}: deny.toml bans it"));
        }
        let source = package["source"].as_str().map(|source| source.trim_start_matches("registry+"));
        if source.is_some_and(|source| !sources.contains(source)) {
            complaints.push(format!("{name}: deny.toml does not allow its source {source:?}"));
        }
    }
    assert!(packages.len() > 200, "where are the dependencies?");
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Arguments of an instruction of the Dockerfile, with continued lines put together.
fn instructions(name: &str) -> Vec<String> {
    let dockerfile = text("Dockerfile").replace("\\\n", " ");
    let lines = dockerfile.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(|arguments| arguments.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_image_is_what_the_chart_runs() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let package = manifest["package"]["name"].as_str().unwrap();
    let rust = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let from = instructions("FROM");
    assert!(from[0].contains(&format!("rust:{rust}-")), "{from:?} is not Rust {rust}, which Cargo.toml asks for");
    assert!(from.last().unwrap().starts_with("gcr.io/distroless/") && from.last().unwrap().ends_with(":nonroot"));
    // The C library that it was linked with is the one that it runs with.
    assert!(from[0].contains("bookworm") && from[1].contains("debian12"), "{from:?}");
    assert_eq!(instructions("ENTRYPOINT"), [format!("[\"/usr/local/bin/{package}\"]")]);
    let build = instructions("RUN").pop().unwrap();
    assert!(build.contains(&format!("--locked --bin {package} ")), "{build}");

    let values: Value = serde_saphyr::from_str(&text("charts/pulumi-deployments-operator/values.yaml")).unwrap();
    let context = &values["podSecurityContext"];
    assert_eq!(instructions("USER"), [format!("{}:{}", context["runAsUser"], context["runAsGroup"])]);
    assert_eq!(values["securityContext"]["readOnlyRootFilesystem"], true);
    let arguments = text("charts/pulumi-deployments-operator/templates/deployment.yaml");
    let command: Vec<String> = serde_json::from_str(&instructions("CMD")[0]).unwrap();
    assert!(arguments.contains(&format!("- {}\n", command[0])));
}

/// Cargo reads the manifests of the whole workspace, and what they name has to be there.
#[test]
fn the_image_gets_what_it_is_compiled_from() {
    let ignored = text(".dockerignore");
    let kept: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(ignored.lines().find(|line| !line.starts_with('#')), Some("*"));
    for path in &kept {
        assert!(root().join(path).exists(), "there is no {path}");
    }
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let members = list(&manifest["workspace"]["members"], "");
    let tests = manifest["test"].as_array().unwrap().iter().map(|test| test["path"].as_str().unwrap().to_owned());
    for needed in members.into_iter().chain(tests).chain(["Cargo.lock".to_owned(), "src/main.rs".to_owned()]) {
        let is_kept = kept.iter().any(|kept| Path::new(&needed).starts_with(kept));
        assert!(is_kept, ".dockerignore leaves out {needed}");
    }
}

#[test]
fn the_release_publishes_what_is_here_under_names_from_one_place() {
    let file = text(".github/workflows/release.yaml");
    let workflow: Value = serde_saphyr::from_str(&file).unwrap();
    let chart = workflow["env"]["CHART"].as_str().unwrap();
    assert!(root().join(chart).join("Chart.yaml").exists());
    let publish = &workflow["jobs"]["publish"];
    let steps = publish["steps"].as_array().unwrap();
    let with = |action: &str| {
        let uses = |step: &&Value| step["uses"].as_str().is_some_and(|uses| uses.starts_with(action));
        &steps.iter().find(uses).unwrap_or_else(|| panic!("no step uses {action}"))["with"]
    };
    let build = with("docker/build-push-action@");
    assert_eq!(build["platforms"], "linux/amd64,linux/arm64");
    assert_eq!((&build["push"], &build["sbom"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(root().join(build["file"].as_str().unwrap()).exists());
    assert_eq!(with("actions/attest-build-provenance@")["push-to-registry"], true);
    for right in ["packages", "id-token", "attestations"] {
        assert_eq!(publish["permissions"][right], "write", "{right}");
    }
    let runs: Vec<_> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let runs = runs.join("\n");
    assert_eq!(runs.matches("cosign sign --yes").count(), 2, "the image and the chart");
    for file in runs.split_whitespace().filter(|word| word.starts_with("crds/") || word.starts_with("gitops/")) {
        assert!(root().join(file).exists(), "there is no {file}");
    }
    let check = workflow["jobs"]["check"]["steps"].to_string();
    assert!(check.contains(".ci/run") && publish["needs"] == "check", "{check}");

    // The names: one place in the chart, and the workflow looks there, with the same words.
    let values = text(&format!("{chart}/values.yaml"));
    let repositories: Vec<_> = values.lines().filter_map(|line| line.strip_prefix("  repository: ")).collect();
    assert_eq!(repositories, ["ghcr.io/OWNER/pulumi-deployments-operator"]);
    assert!(!file.contains("ghcr.io"), "a second place for names");
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let version = manifest["workspace"]["package"]["version"].as_str().unwrap();
    assert!(text("Cargo.toml").contains(&format!("\nversion = \"{version}\"\n")));
    assert!(text(&format!("{chart}/Chart.yaml")).contains(&format!("\nappVersion: {version}\n")));
}
