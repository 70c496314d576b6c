//! `kubectl pdep`, the program itself, against the real control plane, the operator and the simulated Pulumi Cloud.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

mod approving;
mod configured;
mod documented;
mod failures;
mod reading;
mod running;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use pulumi_deployments_operator::api::{DeploymentStatus, StackDeploymentSettings, deployment::Phase};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::{control_plane::Output, world::World};

/// A command that takes longer hangs.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// A value that no output may show.
const SECRET: &str = "correct-horse-battery-staple";

/// The program, as a user of one namespace.
struct Plugin {
    kubeconfig: PathBuf,
    namespace: String,
    env: Vec<(&'static str, String)>,
}

impl Plugin {
    /// As the administrator of a test's piece of the world.
    fn of(world: &World) -> Self {
        Self::at(world.plane.kubeconfig(), &world.namespace)
    }

    fn at(kubeconfig: &Path, namespace: &str) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), namespace: namespace.to_owned(), env: vec![] }
    }

    /// With a variable in its environment.
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Ready to be run. There is no terminal.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-pdep"));
        command.args(args).args(["--namespace", &self.namespace]).env("KUBECONFIG", &self.kubeconfig);
        for name in ["PULUMI_ACCESS_TOKEN", "PULUMI_BACKEND_URL", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, args: &[&str]) -> Output {
        let output = timeout(LONG_ENOUGH, self.command(args).output()).await;
        let output = output.unwrap_or_else(|_| panic!("kubectl pdep {args:?} hangs")).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let output = Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) };
        let shown = format!("{}{}", output.stdout, output.stderr);
        assert!(!shown.contains(SECRET) && !shown.contains("token-of-"), "a secret was printed: {shown}");
        assert!(!shown.contains('\x1b'), "colours without a terminal: {shown}");
        output
    }

    /// What it printed.
    async fn success(&self, args: &[&str]) -> String {
        self.run(args).await.success()
    }

    /// The one sentence that says what is wrong.
    async fn failure(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert_eq!(output.status.code(), Some(1), "{output:#?}");
        assert!(output.stderr.starts_with("error: ") && output.stderr.lines().count() == 1, "{output:#?}");
        output.stderr
    }
}

/// A piece of the world with an Organization, settings `web-prod` of the stack `web/prod` with a secret in them, and a
/// Deployment `web-prod` that has run.
async fn world(prefix: &str) -> (World, DeploymentStatus) {
    let world = World::new(prefix).await;
    world.put_organization(json!({})).await;
    world.put_secret("db", &[("password", SECRET)]).await;
    put_settings(&world, json!({})).await;
    world.settings("web-prod", "Synced").await;
    put_deployment(&world, json!({})).await;
    let status = world.ended("web-prod", 1).await;
    assert_eq!(status.phase, Some(Phase::Succeeded));
    (world, status)
}

async fn put_settings(world: &World, more: Value) {
    let mut spec = json!({"settings": {
        "sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": "main"}},
        "operationContext": {"environmentVariables": [
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]},
    }});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    world.put::<StackDeploymentSettings>(crate::world::settings_manifest("web-prod", &spec)).await;
}

async fn put_deployment(world: &World, more: Value) {
    let mut spec = json!({"settingsRef": {"name": "web-prod"}, "operation": "update"});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    world.put_deployment("web-prod", spec).await;
}
