//! A test's own piece of the world: a namespace of the shared control plane, an organization of the shared simulated
//! Pulumi Cloud, and an operator that watches nothing else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is not seen as a test")]

use std::{
    fmt::Debug,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{self, Stdio},
    sync::LazyLock,
    time::Duration,
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams},
};
use pulumi_cloud_simulator::{DeploymentView, Recorded, Simulator};
use pulumi_deployments_operator::{
    api::{
        Condition, Deployment, DeploymentStatus, Organization, StackDeploymentSettings,
        condition::{find, types},
        deployment::Phase,
    },
    operator::{self, Options},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    runtime,
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    control_plane::{self, ControlPlane, FIELD_MANAGER},
    eventually::{SOON, eventually},
};

/// Divides the operator's waiting times: an unresolved create is looked into after 2 s instead of 45 s.
pub const SPEED: f64 = 22.5;

/// The simulated Pulumi Cloud that all tests share. A run takes less than a second.
async fn simulator() -> Simulator {
    static SHARED: LazyLock<Simulator> = LazyLock::new(|| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Simulator::builder().speed(100.0).keep_requests(1_000_000).start()).unwrap()
    });
    spawn_blocking(|| SHARED.clone()).await.unwrap()
}

/// A test's own piece of the world.
pub struct World {
    /// The control plane.
    pub plane: &'static ControlPlane,
    /// The administrator.
    pub client: Client,
    /// The test's namespace.
    pub namespace: String,
    /// The simulated Pulumi Cloud.
    pub simulator: Simulator,
    /// The test's organization there.
    pub organization: String,
    /// Its token.
    pub token: String,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    /// A piece of the world without an operator.
    pub async fn without_operator(prefix: &str) -> Self {
        Self::in_cloud(prefix, simulator().await).await
    }

    /// A piece of the world with a Pulumi Cloud of the test's own, and without an operator.
    pub async fn in_cloud(prefix: &str, simulator: Simulator) -> Self {
        let plane = control_plane::shared().await;
        let namespace = plane.namespace(prefix).await;
        let (organization, token) = (namespace.clone(), format!("token-of-{namespace}"));
        simulator.add_organization(&organization, &token);
        let client = plane.client();
        let world = Self { plane, client, namespace, simulator, organization, token, stop: CancellationToken::new() };
        world.put_secret("pulumi", &[("accessToken", &world.token)]).await;
        world
    }

    /// A piece of the world with an operator in this process, and a stack `web/prod`.
    pub async fn new(prefix: &str) -> Self {
        let world = Self::without_operator(prefix).await;
        world.simulator.add_stack(&world.stack("web/prod")).unwrap();
        world.start_operator(|_| ());
        world
    }

    /// Starts an operator in this process.
    pub fn start_operator(&self, adjust: impl FnOnce(&mut Options)) {
        let mut options = Options {
            watch_namespaces: vec![self.namespace.clone()],
            allowed_backends: vec![self.simulator.url()],
            suspend_all: false,
            watch_secrets: true,
            write_outputs: true,
            listen: ([127, 0, 0, 1], 0).into(),
            traces: None,
            speed: SPEED,
        };
        adjust(&mut options);
        let (config, stop) = (self.plane.config().clone(), self.stop.clone());
        tokio::spawn(async move { operator::run(options, config, stop).await.unwrap() });
    }

    /// Starts the real program as a process of its own. It logs everything to a file of this name.
    pub fn start_process(&self, kubeconfig: &Path, log: &str) -> Process {
        self.start_program(kubeconfig, log, SPEED, "debug,pulumi_deployments_operator=trace", |_| ())
    }

    /// The same with more arguments or variables. It logs what it does where nobody asks for more.
    pub fn start_process_with(&self, log: &str, adjust: impl FnOnce(&mut Command)) -> Process {
        self.start_program(self.plane.kubeconfig(), log, SPEED, "info", adjust)
    }

    /// The same where there is much to do: its waiting times are divided by something else, and it logs less.
    pub fn start_busy_process(&self, log: &str, speed: f64) -> Process {
        self.start_program(self.plane.kubeconfig(), log, speed, "info,pulumi_deployments_operator=debug", |_| ())
    }

    fn start_program(
        &self,
        kubeconfig: &Path,
        log: &str,
        speed: f64,
        verbosity: &str,
        adjust: impl FnOnce(&mut Command),
    ) -> Process {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("operators");
        fs::create_dir_all(&directory).unwrap();
        let log = directory.join(format!("{}-{}-{log}.log", process::id(), self.namespace));
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulumi-deployments-operator"));
        command
            .args(["run", "--watch-namespace", &self.namespace, "--allowed-backend", &self.simulator.url()])
            .args(["--listen", "127.0.0.1:0", "--unsafe-speed", &speed.to_string()])
            .env("KUBECONFIG", kubeconfig)
            .env("RUST_LOG", verbosity)
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .kill_on_drop(true);
        adjust(&mut command);
        Process { child: command.spawn().unwrap(), log }
    }

    /// `project/stack` with the test's organization before it.
    pub fn stack(&self, name: &str) -> String {
        format!("{}/{name}", self.organization)
    }

    /// An API of the test's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The manifest of the Organization `acme`, with more fields in its spec.
    pub fn organization_manifest(&self, more: &Value) -> Value {
        let mut manifest = json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1",
            "kind": "Organization",
            "metadata": {"name": "acme"},
            "spec": {
                "name": self.organization,
                "backendURL": self.simulator.url(),
                "accessToken": {"secretKeyRef": {"name": "pulumi", "key": "accessToken"}},
                "rateLimit": {"requestsPerSecond": 1000, "burst": 1000},
            },
        });
        merge(&mut manifest["spec"], more);
        manifest
    }

    /// Applies the Organization `acme`.
    pub async fn put_organization(&self, more: Value) {
        self.put::<Organization>(self.organization_manifest(&more)).await;
    }

    /// Applies settings of the stack `web/prod` under the name `web`, with more fields in their spec.
    pub async fn put_settings(&self, more: Value) -> StackDeploymentSettings {
        self.put(settings_manifest("web", &more)).await
    }

    /// Applies a Deployment with the stack `web/prod` as its target, with more fields in its spec.
    pub async fn put_deployment(&self, name: &str, more: Value) -> Deployment {
        self.put(deployment_manifest(name, &more)).await
    }

    /// Server-side apply, as a GitOps tool would.
    pub async fn put<K>(&self, manifest: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let name = manifest["metadata"]["name"].as_str().unwrap().to_owned();
        self.api::<K>()
            .patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&manifest))
            .await
            .unwrap()
    }

    /// Changes some fields.
    pub async fn merge<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Serialize,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap()
    }

    /// Creates or replaces a Secret.
    pub async fn put_secret(&self, name: &str, values: &[(&str, &str)]) {
        let manifest =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": map(values)});
        self.put::<Secret>(manifest).await;
    }

    /// Creates or replaces a ConfigMap.
    pub async fn put_config_map(&self, name: &str, values: &[(&str, &str)]) {
        let manifest =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": map(values)});
        self.put::<ConfigMap>(manifest).await;
    }

    /// Deletes an object, and does not wait for its end.
    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until an object is gone.
    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        eventually(SOON, &format!("{name} is gone"), async || match self.api::<K>().get_opt(name).await.unwrap() {
            None => Ok(()),
            Some(object) => Err(object),
        })
        .await;
    }

    /// Waits until a Deployment's status is as wanted, and returns it.
    pub async fn deployment(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&DeploymentStatus) -> bool,
    ) -> DeploymentStatus {
        eventually(SOON, &format!("Deployment {name}: {what}"), async || {
            let deployment = self.api::<Deployment>().get(name).await.map_err(|error| error.to_string())?;
            let status = deployment.status.clone().unwrap_or_default();
            // A status that speaks of an older spec is not looked at.
            if status.observed_generation.is_none_or(|observed| Some(observed) == deployment.metadata.generation)
                && wanted(&status)
            {
                Ok(status)
            } else {
                Err(format!("generation {:?}: {status:#?}", deployment.metadata.generation))
            }
        })
        .await
    }

    /// Waits until a Deployment is in a phase.
    pub async fn phase(&self, name: &str, phase: Phase) -> DeploymentStatus {
        self.deployment(name, &format!("is {phase}"), |status| status.phase == Some(phase)).await
    }

    /// Waits until the request with this number has run to its end.
    pub async fn ended(&self, name: &str, request: u64) -> DeploymentStatus {
        self.deployment(name, &format!("request {request} has ended"), |status| {
            status.run.as_ref().is_some_and(|run| run.request.number == request && run.result.is_some())
                && status.phase.is_some_and(Phase::is_terminal)
        })
        .await
    }

    /// Waits until `Ready` of some settings has this reason, for their current generation.
    pub async fn settings(&self, name: &str, reason: &str) -> StackDeploymentSettings {
        eventually(SOON, &format!("StackDeploymentSettings {name}: {reason}"), async || {
            let settings = self.api::<StackDeploymentSettings>().get(name).await.map_err(|error| error.to_string())?;
            let conditions = settings.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let ready = find(&conditions, types::READY);
            if ready.is_some_and(|ready| {
                ready.reason == reason && Some(ready.observed_generation) == settings.metadata.generation
            }) {
                Ok(settings)
            } else {
                Err(format!("{settings:#?}"))
            }
        })
        .await
    }

    /// Waits until `Ready` of the Organization `acme` has this reason, and returns its conditions.
    pub async fn organization_is(&self, reason: &str) -> Vec<Condition> {
        eventually(SOON, &format!("Organization: {reason}"), async || {
            let organization = self.api::<Organization>().get("acme").await.map_err(|error| error.to_string())?;
            let conditions = organization.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            if find(&conditions, types::READY).is_some_and(|ready| ready.reason == reason) {
                Ok(conditions)
            } else {
                Err(format!("{organization:#?}"))
            }
        })
        .await
    }

    /// The requests of one operation that the service received for the test's organization.
    pub fn requests(&self, operation: &str) -> Vec<Recorded> {
        self.simulator
            .requests_of(&self.organization)
            .into_iter()
            .filter(|request| request.operation == operation)
            .collect()
    }

    /// The runs of the stack `web/prod`.
    pub fn runs(&self) -> Vec<DeploymentView> {
        self.simulator.deployments(&self.stack("web/prod"))
    }

    /// The stored settings of the stack `web/prod`, with secrets in clear.
    pub fn stored(&self) -> Option<Value> {
        self.simulator.settings(&self.stack("web/prod"))
    }

    /// Runs kubectl in the test's namespace and returns what it printed.
    pub async fn kubectl(&self, args: &[&str], stdin: Option<&str>) -> String {
        let all: Vec<&str> = ["--namespace", &self.namespace].into_iter().chain(args.iter().copied()).collect();
        self.plane.kubectl(all, stdin).await.success()
    }

    /// Waits until the timeline of a Deployment has this in it.
    pub async fn told_of(&self, name: &str, wanted: &str) {
        eventually(SOON, wanted, async || {
            let told = self.kubectl(&["describe", "pdep", name], None).await;
            if told.contains(wanted) { Ok(()) } else { Err(told) }
        })
        .await;
    }
}

/// Whether `Ready` has this reason.
pub fn ready_is(reason: &'static str) -> impl Fn(&DeploymentStatus) -> bool {
    move |status| find(&status.conditions, types::READY).is_some_and(|ready| ready.reason == reason)
}

/// What `Ready` says.
pub fn ready_message(status: &DeploymentStatus) -> String {
    find(&status.conditions, types::READY).unwrap().message.clone()
}

/// The manifest of settings of the stack `web/prod`.
pub fn settings_manifest(name: &str, more: &Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "deployments.pulumi.com/v1alpha1",
        "kind": "StackDeploymentSettings",
        "metadata": {"name": name},
        "spec": {"stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"}},
    });
    merge(&mut manifest["spec"], more);
    manifest
}

/// The manifest of a Deployment; its target is the stack `web/prod` unless `more` has a `settingsRef`.
pub fn deployment_manifest(name: &str, more: &Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "deployments.pulumi.com/v1alpha1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"operation": "update", "settle": "0s"},
    });
    if more.get("settingsRef").is_none() {
        manifest["spec"]["stack"] = json!({"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"});
        manifest["spec"]["settings"] =
            json!({"sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": "main"}}});
    }
    merge(&mut manifest["spec"], more);
    manifest
}

fn merge(target: &mut Value, patch: &Value) {
    for (key, value) in patch.as_object().into_iter().flatten() {
        match target.get_mut(key) {
            Some(field @ Value::Object(_)) if value.is_object() => merge(field, value),
            _ => target[key] = value.clone(),
        }
    }
}

fn map(values: &[(&str, &str)]) -> Value {
    values.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect::<serde_json::Map<_, _>>().into()
}

/// The operator as a process of its own.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// SIGKILL, and the process is gone when this returns.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end, and says whether it ended well.
    pub async fn ended(&mut self, within: Duration) -> bool {
        timeout(within, self.child.wait()).await.unwrap().unwrap().success()
    }

    /// SIGTERM; waits for the end, and says whether it ended well.
    pub async fn terminate(mut self, within: Duration) -> bool {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        self.ended(within).await
    }

    /// The most memory that it has had at once, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The address of its health server.
    pub async fn address(&self) -> String {
        eventually(SOON, "the operator is ready", async || {
            let log = self.log();
            let address =
                log.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned);
            address.filter(|_| log.contains("INFO ready")).ok_or(log)
        })
        .await
    }
}
