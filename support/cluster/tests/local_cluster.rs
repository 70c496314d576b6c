//! Real clusters: what works in them, and that nothing is left of them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the functions that the tests share are not seen as tests")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use local_cluster::{Cluster, Options, User};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn the_command_runs_a_cluster_and_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();

    // Interrupted while it starts.
    let mut interrupted = LocalCluster::spawn(dir.path());
    interrupted.wait_for_progress("starting kube-apiserver");
    assert!(!processes_of(dir.path()).is_empty());
    assert_eq!(interrupted.end(Signal::TERM).code(), Some(1));
    assert_no_process_left(dir.path());

    let mut first = LocalCluster::spawn(dir.path());
    let kubectl = first.kubectl();
    assert!(kubectl.run(&["get", "namespaces"]).contains("kube-system"));
    a_namespace_can_be_deleted(&kubectl);
    what_an_object_owns_is_deleted_with_it(&kubectl);
    a_directory_in_use_is_refused(dir.path());
    kubectl.run(&["create", "configmap", "kept"]);
    assert!(first.end(Signal::TERM).success());
    assert_no_process_left(dir.path());

    let mut second = LocalCluster::spawn(dir.path());
    second.kubectl().run(&["get", "configmap", "kept"]);
    second.end(Signal::KILL);
    assert_no_process_left(dir.path());
}

#[tokio::test]
async fn the_library_has_further_users_and_restarts_the_api_server() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path()).user(User::new("system:a/b").group("developers"));
    let mut cluster = Cluster::start(options).await.unwrap();
    let kubectl = Kubectl { program: cluster.kubectl().to_owned(), kubeconfig: cluster.kubeconfig().to_owned() };
    let user = Kubectl { kubeconfig: cluster.kubeconfig_for("system:a/b").unwrap().to_owned(), ..kubectl.clone() };

    let identity = user.run(&["auth", "whoami", "--output=json"]);
    assert!(identity.contains("\"system:a/b\""), "{identity}");
    assert!(identity.contains("\"developers\""), "{identity}");
    assert!(!user.output(&["get", "configmaps"], None).status.success());
    kubectl.run(&["create", "rolebinding", "developers", "--clusterrole=view", "--group=developers"]);
    poll("the role to be known", || user.output(&["get", "configmaps"], None).status.success());

    kubectl.run(&["create", "configmap", "kept"]);
    let url = cluster.url().to_owned();
    cluster.stop_api_server().await;
    assert!(!kubectl.output(&["get", "namespaces"], None).status.success());
    cluster.restart_api_server().await.unwrap();
    assert_eq!(cluster.url(), url);
    user.run(&["get", "configmap", "kept"]);
    what_an_object_owns_is_deleted_with_it(&kubectl);

    cluster.stop().await;
    assert_no_process_left(dir.path());
}

fn a_namespace_can_be_deleted(kubectl: &Kubectl) {
    kubectl.run(&["create", "namespace", "short-lived"]);
    kubectl.run(&["create", "configmap", "content", "--namespace=short-lived"]);
    // It waits until the namespace is gone.
    kubectl.run(&["delete", "namespace", "short-lived", "--timeout=60s"]);
}

fn what_an_object_owns_is_deleted_with_it(kubectl: &Kubectl) {
    kubectl.run(&["create", "configmap", "owner"]);
    let uid = kubectl.run(&["get", "configmap", "owner", "--output=jsonpath={.metadata.uid}"]);
    let owned = format!(
        r#"{{
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {{
                "name": "owned",
                "ownerReferences": [{{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{uid}"}}]
            }}
        }}"#
    );
    kubectl.run_with(&["create", "--filename=-"], Some(&owned));
    kubectl.run(&["delete", "configmap", "owner"]);
    kubectl.run(&["wait", "configmap/owned", "--for=delete", "--timeout=60s"]);
}

fn a_directory_in_use_is_refused(dir: &Path) {
    let output = LocalCluster::command(dir).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(message.contains("is in use by a local cluster"), "{message}");
}

fn assert_no_process_left(dir: &Path) {
    // A process that was killed is gone a moment later.
    poll("the processes to be gone", || processes_of(dir).is_empty());
}

/// The processes with the directory of a cluster on their command line, which all of them have.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok())
        .map(|command_line| String::from_utf8_lossy(&command_line).replace('\0', " "))
        .filter(|command_line| command_line.contains(dir))
        .collect()
}

fn poll(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The command, killed if the test fails.
struct LocalCluster {
    process: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl LocalCluster {
    fn command(dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local-cluster"));
        command.arg("--dir").arg(dir);
        command
    }

    fn spawn(dir: &Path) -> Self {
        let mut process = Self::command(dir).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let stderr = BufReader::new(process.stderr.take().unwrap());
        Self { process, stdout, stderr }
    }

    fn wait_for_progress(&mut self, expected: &str) {
        let mut line = String::new();
        while !line.starts_with(expected) {
            line.clear();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "it ended");
        }
    }

    /// Waits until the cluster is ready.
    fn kubectl(&mut self) -> Kubectl {
        let mut path = |variable: &str| {
            let mut line = String::new();
            self.stdout.read_line(&mut line).unwrap();
            let value = line.trim_end().strip_prefix(variable);
            PathBuf::from(value.unwrap_or_else(|| panic!("no {variable} but {line:?}")))
        };
        Kubectl { kubeconfig: path("KUBECONFIG="), program: path("KUBECTL=") }
    }

    fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        self.process.wait().unwrap()
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Clone)]
struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, None)
    }

    fn run_with(&self, arguments: &[&str], input: Option<&str>) -> String {
        let output = self.output(arguments, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn output(&self, arguments: &[&str], input: Option<&str>) -> Output {
        let mut process = Command::new(&self.program)
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(input.unwrap_or_default().as_bytes()).unwrap();
        drop(stdin);
        process.wait_with_output().unwrap()
    }
}
