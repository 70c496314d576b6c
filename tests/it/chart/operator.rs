//! The operator as a process in place of the chart's pod: its arguments, its ServiceAccount, its namespace.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{NAMESPACE, RELEASE};
use crate::{
    control_plane::ControlPlane,
    eventually::{SOON, eventually},
};

/// Divides the operator's waiting times. Less than elsewhere, since much happens at once here, and a create that was not
/// sent in time is put off.
const SPEED: f64 = 8.0;

/// The running operator. Dropping it kills it.
pub struct Operator {
    _process: Child,
    files: TempDir,
}

impl Operator {
    /// Starts what the chart's Deployment describes, and waits until its probes would let it pass.
    pub async fn start(plane: &mut ControlPlane) -> Self {
        Self::start_in(plane, NAMESPACE).await
    }

    /// The same for a release of the same name in another namespace.
    pub async fn start_in(plane: &mut ControlPlane, namespace: &str) -> Self {
        let get = ["get", "deployments.apps", RELEASE, "--namespace", namespace, "--output=json"];
        let deployment: Value = serde_json::from_str(&plane.kubectl(get, None).await.success()).unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let arguments: Vec<&str> =
            container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect();

        let files = tempfile::tempdir().unwrap();
        let kubeconfig = files.path().join("kubeconfig");
        let account = pod["serviceAccountName"].as_str().unwrap();
        let create = ["create", "token", account, "--namespace", namespace];
        let token = plane.kubectl(create, None).await.success();
        fs::write(&kubeconfig, credentials(plane, token.trim(), namespace).to_string()).unwrap();

        mount(plane, pod, namespace, files.path()).await;
        let environment = container["env"].as_array().unwrap().iter().filter_map(|variable| {
            let value = variable["value"].as_str()?;
            let mounted =
                container["volumeMounts"].as_array().into_iter().flatten().find(|it| it["mountPath"] == value);
            let path = mounted.map(|mounted| files.path().join(mounted["name"].as_str().unwrap()));
            Some((variable["name"].as_str()?, path.unwrap_or_else(|| PathBuf::from(value))))
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulumi-deployments-operator"));
        command
            .args(arguments)
            // The pod has a port to itself and all the time in the world.
            .args(["--listen=127.0.0.1:0", &format!("--unsafe-speed={SPEED}")])
            .env_clear()
            .envs(environment)
            .env("KUBECONFIG", &kubeconfig)
            .env("POD_NAME", "operator-0")
            .env("RUST_LOG", "info,pulumi_deployments_operator=debug")
            .stdout(Stdio::null())
            .stderr(File::create(files.path().join("log")).unwrap())
            .kill_on_drop(true);
        let operator = Self { _process: command.spawn().unwrap(), files };

        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for probe in ["livenessProbe", "readinessProbe"] {
            let path = container[probe]["httpGet"]["path"].as_str().unwrap();
            eventually(SOON, path, async || {
                let address = operator.address().ok_or_else(|| operator.log())?;
                let answer = client.get(format!("http://{address}{path}")).send().await;
                let status = answer.map_err(|error| error.to_string())?.status();
                if status.is_success() { Ok(()) } else { Err(format!("{status}: {}", operator.log())) }
            })
            .await;
        }
        operator
    }

    /// The kubeconfig with the ServiceAccount's token.
    pub fn kubeconfig(&self) -> PathBuf {
        self.files.path().join("kubeconfig")
    }

    /// What it complained about. What is not in the form of the log is what it died of.
    pub fn warnings(&self) -> String {
        let log = self.log();
        let is_warning = |line: &&str| {
            !line.starts_with('{') || line.contains("\"level\":\"WARN\"") || line.contains("\"level\":\"ERROR\"")
        };
        let warnings: Vec<&str> = log.lines().filter(is_warning).collect();
        warnings.join("\n")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log")).unwrap()
    }

    /// Where it listens, once it has said so.
    fn address(&self) -> Option<String> {
        let log = self.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find_map(|line| line["address"].as_str().map(str::to_owned))
    }
}

/// Puts the files of the pod's ConfigMaps where its volumes would be, each under the volume's name.
async fn mount(plane: &ControlPlane, pod: &Value, namespace: &str, directory: &Path) {
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let path = directory.join(volume["name"].as_str().unwrap());
        fs::create_dir(&path).unwrap();
        let source = &volume["configMap"];
        let name = source["name"].as_str().unwrap();
        let get = ["get", "configmap", name, "--namespace", namespace, "--output=json"];
        let map: Value = serde_json::from_str(&plane.kubectl(get, None).await.success()).unwrap();
        for item in source["items"].as_array().unwrap() {
            let content = map["data"][item["key"].as_str().unwrap()].as_str().unwrap();
            fs::write(path.join(item["path"].as_str().unwrap()), content).unwrap();
        }
    }
}

/// A kubeconfig, which says the same as what a pod finds in its file system.
fn credentials(plane: &mut ControlPlane, token: &str, namespace: &str) -> Value {
    let cluster = plane.cluster();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": cluster.url(), "certificate-authority": cluster.ca()}}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [
            {"name": "local", "context": {"cluster": "local", "user": "operator", "namespace": namespace}},
        ],
        "current-context": "local",
    })
}
