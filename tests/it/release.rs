//! What a release is made of: the image and the workflow. They need Docker and a runner, so that they fit together is all
//! that can be held here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
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
    // What a scan of the image is to find is in the binary, or nowhere.
    assert!(build.contains(&format!("cargo auditable build --release --locked --bin {package} ")), "{build}");
    assert!(instructions("RUN").iter().any(|run| run.starts_with("cargo install cargo-auditable --version ")));

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
    let members = manifest["workspace"]["members"].as_array().unwrap().iter();
    let tests = manifest["test"].as_array().unwrap().iter().map(|test| &test["path"]);
    let named = members.chain(tests).map(|path| path.as_str().unwrap());
    for needed in named.chain(["Cargo.lock", "src/main.rs"]) {
        let is_kept = kept.iter().any(|kept| Path::new(needed).starts_with(kept));
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
