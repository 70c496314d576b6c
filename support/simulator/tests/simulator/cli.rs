//! The official command line tool against a simulator. The tool is what `PULUMI_CLI` names, or the `pulumi` on the
//! PATH.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Bench, STACK, UNSIGNED_TOKEN, bench, stack_path, unsigned_issuer};

struct Cli {
    program: PathBuf,
    /// Has the tool's own directory and the program that the stack belongs to.
    home: TempDir,
    url: String,
    token: Option<&'static str>,
}

impl Cli {
    /// The tool, logged in with that token; none when it is not there or does not know what is tried here.
    fn find(bench: &Bench, token: Option<&'static str>) -> Option<Self> {
        let program = match std::env::var_os("PULUMI_CLI") {
            Some(program) => PathBuf::from(program),
            None => on_path("pulumi").or_else(|| {
                println!("skipped: there is no pulumi on the PATH, and PULUMI_CLI is not set");
                None
            })?,
        };
        let home = TempDir::new().unwrap();
        std::fs::write(home.path().join("Pulumi.yaml"), "name: web\nruntime: yaml\n").unwrap();
        let cli = Self { program, home, url: bench.simulator.url(), token };
        if !cli.run(&["stack", "schedule", "list", "--help"]).status.success() {
            println!("skipped: {} is too old or does not run", cli.program.display());
            return None;
        }
        Some(cli)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.home.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PULUMI_") {
                command.env_remove(name);
            }
        }
        command
            .env("PULUMI_HOME", self.home.path().join("home"))
            .env("PULUMI_BACKEND_URL", &self.url)
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
            .env("NO_COLOR", "1")
            .env("NO_PROXY", "*");
        if let Some(token) = self.token {
            command.env("PULUMI_ACCESS_TOKEN", token);
        }
        command.output().unwrap()
    }

    /// What it prints, and that it succeeds.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(arguments);
        let printed = String::from_utf8(stdout).unwrap();
        assert!(status.success(), "{arguments:?}: {printed}{}", String::from_utf8_lossy(&stderr));
        printed
    }

    /// The same for [`STACK`].
    #[track_caller]
    fn on_stack(&self, arguments: &[&str]) -> String {
        self.ok(&[arguments, &["--stack", STACK]].concat())
    }

    /// The same, for commands that print JSON when asked to.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.on_stack(&[arguments, &["--output", "json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// What it complains of.
    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(&[arguments, &["--stack", STACK]].concat());
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|directory| directory.join(name)).find(|file: &PathBuf| Path::is_file(file))
}

/// It has asked for nothing that is not there, and got no answer that is none.
#[track_caller]
fn check_requests(bench: &Bench) {
    let unknown = bench.simulator.requests_where(|request| request.operation.is_empty());
    assert!(unknown.is_empty(), "{unknown:#?}");
    let broken = bench.simulator.requests_where(|request| request.status.is_none_or(|status| status >= 500));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn it_logs_in_and_keeps_stacks() {
    let bench = bench().await;
    let Some(cli) = Cli::find(&bench, Some("t")) else {
        return;
    };
    cli.ok(&["login", &cli.url]);
    assert!(cli.ok(&["whoami", "--verbose"]).contains("Organizations: acme"));
    cli.ok(&["stack", "init", "acme/dev", "--non-interactive"]);
    assert!(bench.simulator.has_stack("acme/web/dev"));
    let stacks: Value = serde_json::from_str(&cli.ok(&["stack", "ls", "--json"])).unwrap();
    let names: Vec<&str> = stacks.as_array().unwrap().iter().map(|stack| stack["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dev", "prod"]);
    cli.on_stack(&["stack", "tag", "set", "team", "a"]);
    assert_eq!(cli.on_stack(&["stack", "tag", "get", "team"]), "a\n");
    cli.on_stack(&["config", "set", "--secret", "password", "hunter2"]);
    assert_eq!(cli.on_stack(&["config", "get", "password"]), "hunter2\n");
    cli.ok(&["stack", "rm", "acme/dev", "--yes", "--non-interactive"]);
    assert!(!bench.simulator.has_stack("acme/web/dev"));
    check_requests(&bench);
}

#[tokio::test]
async fn it_exchanges_tokens() {
    let bench = bench().await;
    let Some(cli) = Cli::find(&bench, None) else {
        return;
    };
    let login = ["login", &cli.url, "--oidc-token", UNSIGNED_TOKEN, "--oidc-org", "acme"];
    let refused = cli.run(&login);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("does not trust issuer"));
    bench.simulator.trust_issuer("acme", unsigned_issuer()).unwrap();
    cli.ok(&login);
    assert!(cli.ok(&["whoami", "--verbose"]).contains("Token type: organization: acme"));
    cli.on_stack(&["stack", "tag", "ls"]);
    check_requests(&bench);
}

#[tokio::test]
async fn it_edits_pulls_and_pushes_settings() {
    let bench = bench().await;
    let Some(cli) = Cli::find(&bench, Some("t")) else {
        return;
    };
    assert!(cli.fails(&["deployment", "settings", "get"]).contains("404"));
    let source = ["--git-url", "https://example.com/r.git", "--branch", "main", "--folder", "infra"];
    let variables = ["--env", "LEVEL=info", "--secret-env", "KEY=s3cret"];
    cli.on_stack(&[&["deployment", "settings", "edit"][..], &source, &variables].concat());
    let shown = cli.json(&["deployment", "settings", "get"]);
    assert_eq!((&shown["source"]["branch"], &shown["source"]["folder"]), (&json!("refs/heads/main"), &json!("infra")));
    cli.on_stack(&["deployment", "settings", "edit", "--remove-env", "LEVEL", "--executor-image", "i"]);
    cli.on_stack(&["deployment", "settings", "pull"]);
    cli.on_stack(&["deployment", "settings", "env", "OTHER", "plain"]);
    cli.on_stack(&["deployment", "settings", "env", "NEW", "hush", "--secret"]);
    cli.on_stack(&["deployment", "settings", "push", "--yes"]);
    let settings = bench.simulator.settings(STACK).unwrap();
    let expected = json!({"KEY": {"secret": "s3cret"}, "NEW": {"secret": "hush"}, "OTHER": "plain"});
    assert_eq!(settings["operationContext"]["environmentVariables"], expected);
    let image = &settings["executorContext"]["executorImage"];
    assert_eq!(image["reference"].as_str().or(image.as_str()), Some("i"));
    cli.on_stack(&["deployment", "settings", "destroy", "--yes"]);
    assert_eq!(bench.simulator.settings(STACK), None);
    check_requests(&bench);
}

#[tokio::test]
async fn it_follows_runs_to_their_end() {
    let bench = bench().await;
    let Some(cli) = Cli::find(&bench, Some("t")) else {
        return;
    };
    let source = ["https://example.com/r.git", "--git-branch", "main", "--git-repo-dir", "."];
    let follow = |operation: &str, more: &[&str]| {
        let run = ["deployment", "run", operation, "--suppress-stream-logs=false"];
        cli.on_stack(&[&run[..], &source, more].concat())
    };
    let outputs = r#"SIMULATOR_OUTPUTS={"url": "u", "pw": {"secret": "s"}}"#;
    let printed = follow("update", &["--env", outputs, "--env", "SIMULATOR_LOG_LINES=2"]);
    for part in ["Setup:", "Successfully cloned", "pulumi update:", "resource-3 created", "line 2", "+ 4 created"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert_eq!(cli.on_stack(&["stack", "output", "pw", "--show-secrets"]), "s\n");
    let all: Value = serde_json::from_str(&cli.on_stack(&["stack", "output", "--json"])).unwrap();
    assert_eq!(all, json!({"url": "u", "pw": "[secret]"}));
    assert!(cli.on_stack(&["stack", "export", "--version", "1"]).contains("pulumi:pulumi:Stack"));
    assert!(follow("preview", &[]).contains("4 unchanged"));
    assert!(follow("refresh", &[]).contains("4 unchanged"));
    // It does not understand its own form of these events: the log is printed instead.
    assert!(follow("detect-drift", &[]).contains("Drift detection:"));
    let printed = follow("update", &["--env", "SIMULATOR_FAIL_STEP=pulumi update"]);
    assert!(printed.contains("update failed"), "{printed}");
    assert!(follow("destroy", &[]).contains("- 4 deleted"));
    let history = cli.on_stack(&["stack", "history", "--json"]);
    let history: Value = serde_json::from_str(&history).unwrap();
    let kinds: Vec<&str> = history.as_array().unwrap().iter().map(|update| update["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["destroy", "update", "refresh", "update"]);
    let latest = bench.api.get(&stack_path("/updates/latest")).await.expect(200);
    let update = latest["updateID"].as_str().unwrap();
    let events = cli.json(&["stack", "history", "events", update, "--all"]);
    assert!(events.as_array().unwrap().last().unwrap()["cancelEvent"].is_object());
    check_requests(&bench);
}

#[tokio::test]
async fn it_lists_reads_and_cancels_runs() {
    let bench = bench().await;
    let Some(cli) = Cli::find(&bench, Some("t")) else {
        return;
    };
    let run = ["deployment", "run", "update", "https://example.com/r.git", "--git-branch", "main"];
    let run = [&run[..], &["--git-repo-dir", ".", "--suppress-stream-logs"]].concat();
    cli.on_stack(&run);
    bench.wait_status(1, "succeeded").await;
    bench.simulator.set_stack_paused(STACK, true).unwrap();
    cli.on_stack(&run);
    let listed = cli.json(&["deployment", "list", "--all", "--asc"]);
    let statuses: Vec<&str> =
        listed["deployments"].as_array().unwrap().iter().map(|item| item["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["succeeded", "not-started"]);
    let shown = cli.json(&["deployment", "get", "1"]);
    assert_eq!(shown["jobs"][0]["steps"][0]["name"], "Setup");
    assert!(cli.on_stack(&["deployment", "log", "1", "--all"]).contains("Successfully cloned"));
    let step = cli.on_stack(&["deployment", "log", "1", "--job", "0", "--step", "0"]);
    assert!(step.contains("Executor is ready") && !step.contains("cloned"), "{step}");
    let queued = listed["deployments"][1]["id"].as_str().unwrap();
    cli.on_stack(&["deployment", "cancel", queued, "--yes"]);
    assert!(bench.simulator.deployment(STACK, 2).unwrap().removed);
    assert!(cli.fails(&["deployment", "cancel", queued, "--yes"]).contains("404"));
    check_requests(&bench);
}

#[tokio::test]
async fn it_keeps_schedules_and_looks_for_drift() {
    let bench = bench().await;
    let Some(cli) = Cli::find(&bench, Some("t")) else {
        return;
    };
    let source = json!({"sourceContext": {"git": {"repoUrl": "https://example.com/r.git", "branch": "main"}}});
    bench.simulator.patch_settings(STACK, &source).unwrap();
    let create = |arguments: &[&str]| {
        let made = cli.json(&[&["stack", "schedule", "new"], arguments].concat());
        made["id"].as_str().unwrap().to_owned()
    };
    let raw = create(&["--kind", "raw", "--cron", "0 3 * * *", "--operation", "update"]);
    let drift = create(&["--kind", "drift", "--cron", "0 * * * *", "--auto-remediate"]);
    let ttl = create(&["--kind", "ttl", "--once", "2099-01-01T00:00:00Z", "--delete-after-destroy"]);
    let edit = |id: &str, change: &[&str]| cli.on_stack(&[&["stack", "schedule", "edit", id], change].concat());
    edit(&raw, &["--cron", "0 4 * * *"]);
    edit(&drift, &["--auto-remediate=false"]);
    edit(&ttl, &["--once", "2099-02-01T00:00:00Z"]);
    for (id, parts) in [
        (&raw, ["raw", "pulumi update", "0 4 * * *"]),
        (&drift, ["drift", "Settings:  detect\n", "0 * * * *"]),
        (&ttl, ["ttl", "destroy + delete stack", "2099-02-01 00:00:00.000"]),
    ] {
        let shown = cli.on_stack(&["stack", "schedule", "get", id]);
        assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
    }
    let listed = cli.on_stack(&["stack", "schedule", "list"]);
    assert!([&raw, &drift, &ttl].iter().all(|id| listed.contains(id.as_str())), "{listed}");
    for id in [&raw, &drift, &ttl] {
        cli.on_stack(&["stack", "schedule", "remove", id, "--yes"]);
    }
    let metadata = bench.api.get(&stack_path("/deployments/metadata")).await.expect(200);
    assert_eq!(metadata["hasSchedules"], false);

    bench.create(json!({"operation": "detect-drift"})).await;
    bench.wait_status(1, "succeeded").await;
    assert!(cli.on_stack(&["stack", "drift", "status"]).contains("Drift detected:    no"));
    let runs = cli.json(&["stack", "drift", "list"]);
    assert!(runs.to_string().contains(&bench.simulator.deployments(STACK)[0].id), "{runs}");
    check_requests(&bench);
}
