//! What a release is made of: the image, the workflows, and the scripts that fill names in. Image and workflows need Docker
//! and a runner, so that they fit together is all that can be held of them here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use sha2::Digest;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn workflow(name: &str) -> Value {
    serde_saphyr::from_str(&text(&format!(".github/workflows/{name}.yaml"))).unwrap()
}

fn steps(job: &Value) -> &[Value] {
    job["steps"].as_array().unwrap()
}

/// All that the steps of a job run.
fn runs(job: &Value) -> String {
    steps(job).iter().filter_map(|step| step["run"].as_str()).collect::<Vec<_>>().join("\n")
}

/// The parameters of the first step that uses an action.
fn with<'a>(job: &'a Value, action: &str) -> &'a Value {
    let uses = |step: &&Value| step["uses"].as_str().is_some_and(|uses| uses.starts_with(action));
    &steps(job).iter().find(uses).unwrap_or_else(|| panic!("no step uses {action}"))["with"]
}

/// Runs a script of the release, and returns what it prints.
fn script(name: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(root().join("packaging").join(name)).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr) + &text(output.stdout)) }
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
    let workflow = workflow("release");
    let chart = workflow["env"]["CHART"].as_str().unwrap();
    assert!(root().join(chart).join("Chart.yaml").exists());
    let publish = &workflow["jobs"]["publish"];
    let build = with(publish, "docker/build-push-action@");
    assert_eq!(build["platforms"], "linux/amd64,linux/arm64");
    assert_eq!((&build["push"], &build["sbom"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(root().join(build["file"].as_str().unwrap()).exists());
    assert_eq!(with(publish, "actions/attest-build-provenance@")["push-to-registry"], true);
    for right in ["packages", "id-token", "attestations"] {
        assert_eq!(publish["permissions"][right], "write", "{right}");
    }
    let runs = runs(publish);
    assert_eq!(runs.matches("cosign sign --yes").count(), 2, "the image and the chart");
    let is_ours = |word: &&str| ["crds/", "gitops/", "packaging/"].iter().any(|directory| word.starts_with(directory));
    for file in runs.split_whitespace().filter(is_ours) {
        assert!(root().join(file).exists(), "there is no {file}");
    }
    assert_eq!(workflow["jobs"]["check"]["uses"], "./.github/workflows/ci.yaml");
    assert_eq!(publish["needs"], json!(["check", "plugin"]));

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

/// A change and a release are held to the same, and by the same compiler.
#[test]
fn what_a_change_is_held_to_is_what_a_release_is_held_to() {
    let (ci, release) = (workflow("ci"), workflow("release"));
    for event in ["push", "pull_request", "workflow_call"] {
        assert!(ci["on"].get(event).is_some(), "{event}");
    }
    let check = &ci["jobs"]["check"];
    assert_eq!(runs(check).lines().last(), Some(".ci/run"));
    assert!(root().join(".ci/run").exists());
    let go = with(check, "actions/setup-go@")["go-version-file"].as_str().unwrap();
    assert!(text(go).contains("\ngo 1."), "{go}");
    for cached in ["support/cluster/src/go_build.rs", "support/cluster/assets", "Cargo.lock"] {
        assert!(text(".github/workflows/ci.yaml").contains(cached) && root().join(cached).exists(), "{cached}");
    }

    let toolchain = ci["env"]["RUSTUP_TOOLCHAIN"].as_str().unwrap();
    assert_eq!(release["env"]["RUSTUP_TOOLCHAIN"], toolchain);
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let oldest = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let version = |text: &str| text.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
    assert!(
        version(toolchain).len() == 3 && version(toolchain) >= version(oldest),
        "{toolchain} is not {oldest} or newer"
    );
    for job in [check, &release["jobs"]["plugin"]] {
        assert!(runs(job).contains("rustup toolchain install \"$RUSTUP_TOOLCHAIN\""), "{job}");
    }
}

/// The platforms of the plugin: those that are built, and those in the manifest for krew.
#[test]
fn the_plugin_is_released_for_what_krew_knows_of() {
    let release = workflow("release");
    let plugin = &release["jobs"]["plugin"];
    let built = plugin["strategy"]["matrix"]["include"].as_array().unwrap().iter();
    let built: BTreeMap<_, _> = built
        .map(|entry| {
            let suffix = entry["suffix"].as_str().unwrap_or_default();
            (entry["platform"].as_str().unwrap().to_owned(), format!("kubectl-pdep{suffix}"))
        })
        .collect();
    assert!(runs(plugin).contains("cargo build --release --locked --bin kubectl-pdep\n"), "{plugin}");
    assert!(root().join("LICENSE").exists() && runs(plugin).contains("\"$PROGRAM\" LICENSE"));
    assert!(runs(plugin).contains("archive=\"kubectl-pdep_${GITHUB_REF_NAME#v}_$PLATFORM.tar.gz\""));

    let archives = tempfile::tempdir().unwrap();
    for platform in built.keys() {
        let archive = archives.path().join(format!("kubectl-pdep_1.2.3_{platform}.tar.gz"));
        fs::write(archive, platform).unwrap();
    }
    let directory = archives.path().to_str().unwrap();
    let filled = script("fill-krew", &["acme", "1.2.3", directory]).unwrap();
    for placeholder in ["OWNER", "VERSION", "SHA256"] {
        assert!(!filled.contains(placeholder), "{filled}");
    }
    let manifest: Value = serde_saphyr::from_str(&filled).unwrap();
    assert_eq!((&manifest["metadata"]["name"], &manifest["spec"]["version"]), (&json!("pdep"), &json!("v1.2.3")));
    let mut known = BTreeMap::new();
    for platform in manifest["spec"]["platforms"].as_array().unwrap() {
        let labels = &platform["selector"]["matchLabels"];
        let name = format!("{}_{}", labels["os"].as_str().unwrap(), labels["arch"].as_str().unwrap());
        let releases = "https://github.com/acme/pulumi-deployments-operator/releases/download/v1.2.3";
        assert_eq!(platform["uri"], format!("{releases}/kubectl-pdep_1.2.3_{name}.tar.gz"));
        assert_eq!(platform["sha256"], sha256(name.as_bytes()), "{name}");
        known.insert(name, platform["bin"].as_str().unwrap().to_owned());
    }
    assert_eq!(known, built);

    // An archive that is not there is no manifest with a hole.
    fs::remove_file(archives.path().join("kubectl-pdep_1.2.3_darwin_arm64.tar.gz")).unwrap();
    let said = script("fill-krew", &["acme", "1.2.3", directory]).unwrap_err();
    assert!(said.contains("SHA256_darwin_arm64"), "{said}");
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test]
async fn the_chart_that_is_published_knows_its_image() {
    let directory = tempfile::tempdir().unwrap();
    let chart = directory.path().join("pulumi-deployments-operator");
    let copied =
        Command::new("cp").arg("-r").arg(root().join("charts/pulumi-deployments-operator")).arg(&chart).status();
    assert!(copied.unwrap().success());
    let path = chart.to_str().unwrap();
    script("fill-chart", &["acme", "1.2.3", path]).unwrap();
    let published = "oci://ghcr.io/acme/charts/pulumi-deployments-operator";
    for file in ["README.md", "values.yaml"] {
        let text = fs::read_to_string(chart.join(file)).unwrap();
        assert!(!text.contains("OWNER") && !text.to_lowercase().contains("image is published yet"), "{text}");
        assert!(!text.contains("](../"), "a link that leads out of the chart: {text}");
        assert!(!text.contains("registry.example.com"), "{text}");
        for line in text.lines().filter(|line| line.starts_with("helm ") && !line.starts_with("helm uninstall ")) {
            assert!(line.contains(published), "{line}");
        }
    }
    let readme = fs::read_to_string(chart.join("README.md")).unwrap();
    let alerts = fs::read_to_string(chart.join("files/alerts.yaml")).unwrap();
    let pages = "https://github.com/acme/pulumi-deployments-operator/blob/v1.2.3/docs/alerts.md#";
    for line in alerts.lines().filter(|line| line.contains("://")) {
        assert!(line.trim_start().strip_prefix("runbook_url: ").is_some_and(|url| url.starts_with(pages)), "{line}");
    }
    assert!(alerts.contains(pages) && !alerts.contains("OWNER"), "{alerts}");
    let install = format!("helm install pulumi-deployments-operator {published} --version 1.2.3 \\\n");
    assert!(readme.contains(&install), "{readme}");

    // It is installed without naming an image, which the one of this tree refuses.
    let helm = local_cluster::helm::find_or_build(|event| eprintln!("{event}")).await.unwrap();
    let render = |chart: &str| Command::new(&helm).args(["template", "x", chart]).output().unwrap();
    let rendered = String::from_utf8(render(path).stdout).unwrap();
    assert!(rendered.contains("\"ghcr.io/acme/pulumi-deployments-operator:"), "{rendered}");
    assert!(!render(root().join("charts/pulumi-deployments-operator").to_str().unwrap()).status.success());
}
