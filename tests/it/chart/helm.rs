//! Runs the real Helm.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use super::{CHART, IMAGE, NAMESPACE, RELEASE};
use crate::control_plane::{ControlPlane, Output};

/// A command that takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A shell that finds `helm`, and where there is a control plane its `kubectl` and the way to it.
pub struct Helm {
    path: OsString,
    kubeconfig: PathBuf,
    /// What Helm and kubectl keep is not that of the person who runs the tests.
    home: TempDir,
}

impl Helm {
    /// Helm without a cluster. Compiles it when it is not there yet.
    pub async fn alone() -> Self {
        Self::new(None, Path::new("/dev/null")).await
    }

    /// Helm for a control plane.
    pub async fn of(plane: &mut ControlPlane) -> Self {
        let kubectl = plane.cluster().kubectl().parent().unwrap().to_owned();
        Self::new(Some(kubectl), plane.kubeconfig()).await
    }

    async fn new(kubectl: Option<PathBuf>, kubeconfig: &Path) -> Self {
        let helm = local_cluster::helm::find_or_build(|event| eprintln!("{event}")).await.unwrap();
        let usual = env::var_os("PATH").unwrap();
        let directories =
            [helm.parent().unwrap().to_owned()].into_iter().chain(kubectl).chain(env::split_paths(&usual));
        Self {
            path: env::join_paths(directories).unwrap(),
            kubeconfig: kubeconfig.to_owned(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs commands in the repository's root, as a person would, up to the first one that fails.
    pub async fn shell(&self, commands: &str) -> Output {
        let mut shell = Command::new("sh");
        shell
            .args(["-e", "-c", commands])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(TIMEOUT, shell.output()).await.unwrap_or_else(|_| panic!("{commands} hangs")).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Renders the chart without a cluster, with values as a YAML document.
    pub async fn template(&self, values: &str) -> Output {
        let file = self.home.path().join("values.yaml");
        std::fs::write(&file, values).unwrap();
        let file = file.display();
        self.shell(&format!("helm template {RELEASE} {CHART} --namespace {NAMESPACE} --values '{file}'")).await
    }

    /// Installs the chart, with values as a YAML document.
    pub async fn install_with(&self, values: &str) -> String {
        let file = self.home.path().join("installed.yaml");
        std::fs::write(&file, values).unwrap();
        self.install(&format!("--values '{}'", file.display())).await
    }

    /// Installs the chart, with more arguments.
    pub async fn install(&self, arguments: &str) -> String {
        let install =
            format!("helm install {RELEASE} {CHART} --namespace {NAMESPACE} --create-namespace --set {IMAGE}");
        self.shell(&format!("{install} {arguments}")).await.success()
    }
}
