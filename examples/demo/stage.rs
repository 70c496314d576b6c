//! What the demo is played on: the control plane, the simulated Pulumi Cloud and the operator.

use std::{future::pending, path::Path, time::Duration};

use anyhow::{Context, Error, Result, anyhow};
use axum::http::Request;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DynamicObject, GroupVersionKind, Patch, PatchParams, ValidationDirective},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::{Scope, pinned_kind},
    runtime::{conditions, wait::await_condition},
};
use local_cluster::Cluster;
use pulumi_cloud_simulator::{Allowance, OidcIssuer, Simulator};
use pulumi_deployments_operator::{
    api::crd,
    operator::{self, Options},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{screen::say, stories::Story};

/// The namespace that the stories are applied in.
pub const NAMESPACE: &str = "demo";

/// The organization that the stories are about.
pub const ORGANIZATION: &str = "acme";

/// What stands in for a Pulumi access token.
pub const TOKEN: &str = "pul-demo-token";

/// How many times as fast as in reality Pulumi's side goes: a run takes 9 seconds instead of 40. So do the operator's
/// times that go with it, such as the pause between two looks at the runs.
const SPEED: f64 = 4.5;

/// Who the demo is in managed fields.
const FIELD_MANAGER: &str = "demo";

/// Everything that runs.
pub struct Stage {
    /// A client of the cluster's administrator.
    pub client: Client,
    /// The simulated Pulumi Cloud.
    pub simulator: Simulator,
    /// The id of its agent pool.
    pub agent_pool: String,
    /// The control plane.
    pub cluster: Cluster,
    config: Config,
    /// Always there, but while it is restarted.
    operator: Option<Operator>,
}

/// The operator, in a task of this process.
struct Operator {
    /// Dropping it stops the operator.
    stop: DropGuard,
    /// Gone when its end was reported.
    task: Option<JoinHandle<Result<()>>>,
}

impl Operator {
    fn start(config: Config, simulator: &Simulator) -> Self {
        let options = Options {
            watch_namespaces: vec![],
            allowed_backends: vec![simulator.url()],
            suspend_all: false,
            watch_secrets: true,
            write_outputs: true,
            listen: ([127, 0, 0, 1], 0).into(),
            traces: None,
            speed: SPEED,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(operator::run(options, config, stop.clone()));
        Self { stop: stop.drop_guard(), task: Some(task) }
    }

    /// It ends only when it is told to, or with an error. That is reported once.
    async fn failure(&mut self) -> Error {
        let Some(task) = &mut self.task else { return pending().await };
        let end = task.await;
        self.task = None;
        match end {
            Ok(Ok(())) => anyhow!("the operator stopped"),
            Ok(Err(error)) => error.context("the operator failed"),
            Err(error) => Error::new(error).context("the operator failed"),
        }
    }

    /// Stops it, and waits until it has. How it ended is of no interest any more.
    async fn stop(self) {
        drop(self.stop);
        if let Some(task) = self.task {
            let _ = task.await;
        }
    }
}

impl Stage {
    /// Starts everything, with the CRDs installed and with what the stories take for granted.
    pub async fn start(dir: &Path, stories: &[Story]) -> Result<Self> {
        let options = local_cluster::Options::new(dir).progress(|event| say(&format!("  Kubernetes   {event}")));
        let cluster = Cluster::start(options).await?;
        let config = config(cluster.kubeconfig()).await?;
        let client = Client::try_from(config.clone())?;
        install_crds(&client).await?;

        let mut simulator = Simulator::builder().token(TOKEN).organization(ORGANIZATION).speed(SPEED);
        for stack in stories.iter().flat_map(Story::existing_stacks) {
            simulator = simulator.stack(format!("{ORGANIZATION}/{stack}"));
        }
        for role in stories.iter().flat_map(Story::roles) {
            simulator = simulator.role(ORGANIZATION, role, "Readers");
        }
        let simulator = simulator.start().await?;
        trust(&simulator, &client).await?;
        let agent_pool = simulator.add_agent_pool(ORGANIZATION, "machines")?;
        say(&format!("  Pulumi Cloud simulated, {SPEED} times as fast as the real one: {}", simulator.url()));
        let operator = Some(Operator::start(config.clone(), &simulator));
        Ok(Self { client, simulator, agent_pool, cluster, config, operator })
    }

    /// Applies stories, in the order in which they and their objects are written.
    pub async fn apply(&self, stories: &[Story]) -> Result<()> {
        self.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await?;
        for story in stories {
            for object in &story.objects {
                self.put_object(object).await.with_context(|| format!("{} could not be applied", story.file))?;
            }
        }
        for token in stories.iter().flat_map(Story::tokens) {
            let namespace = token.namespace.as_deref().unwrap_or(NAMESPACE);
            self.put(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": token.name, "namespace": namespace},
                "stringData": {token.key: TOKEN},
            }))
            .await?;
        }
        Ok(())
    }

    async fn put(&self, manifest: Value) -> Result<()> {
        self.put_object(&serde_json::from_value(manifest)?).await
    }

    /// Server-side apply, as `kubectl apply --server-side` does it.
    async fn put_object(&self, object: &DynamicObject) -> Result<()> {
        let types = object.types.as_ref().context("it has no kind")?;
        let (resource, capabilities) = pinned_kind(&self.client, &GroupVersionKind::try_from(types)?).await?;
        let client = self.client.clone();
        let api: Api<DynamicObject> = match (capabilities.scope, object.metadata.namespace.as_deref()) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client, namespace, &resource),
            (Scope::Namespaced, None) => Api::default_namespaced_with(client, &resource),
            (Scope::Cluster, _) => Api::all_with(client, &resource),
        };
        let name = object.name_any();
        let apply = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        api.patch(&name, &apply, &Patch::Apply(object)).await.with_context(|| format!("{} {name}", types.kind))?;
        Ok(())
    }

    /// Stops the operator and starts another one, which knows nothing but what is in the cluster.
    pub async fn restart_operator(&mut self) {
        if let Some(operator) = self.operator.take() {
            operator.stop().await;
        }
        self.operator = Some(Operator::start(self.config.clone(), &self.simulator));
    }

    /// How many runs were asked for at the simulated Pulumi Cloud and not refused.
    #[must_use]
    pub fn created(&self) -> usize {
        let is_created = |status: Option<u16>| status.is_none_or(|status| status < 300);
        let requests = self.simulator.requests_where(|request| request.operation == "CreateDeployment");
        requests.iter().filter(|request| is_created(request.status)).count()
    }

    /// Waits until something ends that should not, and says what.
    pub async fn failure(&mut self) -> Error {
        let Self { cluster, operator, .. } = self;
        let operator_failure = async {
            match operator {
                Some(operator) => operator.failure().await,
                None => pending().await,
            }
        };
        tokio::select! {
            error = cluster.failure() => error.into(),
            error = operator_failure => error,
        }
    }

    /// Lets time pass. An error says what ended meanwhile that should not have.
    pub async fn goes_on_for(&mut self, time: Duration) -> Result<()> {
        timeout(time, self.failure()).await.map_or(Ok(()), Err)
    }

    /// Stops everything.
    pub async fn stop(self) {
        let Self { client, simulator, agent_pool: _, cluster, config: _, operator } = self;
        if let Some(operator) = operator {
            operator.stop().await;
        }
        drop(client);
        simulator.stop().await;
        cluster.stop().await;
    }
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // No proxy of the environment leads to a server on this machine.
    config.proxy_url = None;
    Ok(config)
}

/// Has the simulated Pulumi Cloud take the identities of the cluster's ServiceAccounts, as somebody would set it up once.
async fn trust(simulator: &Simulator, client: &Client) -> Result<()> {
    let get = async |path: &str| {
        let answer = client.request_text(Request::get(path).body(Vec::new())?).await?;
        Ok::<Value, Error>(serde_json::from_str(&answer)?)
    };
    let configuration = get("/.well-known/openid-configuration").await?;
    let issuer = configuration["issuer"].as_str().context("the cluster does not name its issuer")?;
    let issuer = OidcIssuer::new(issuer)
        .jwks(get("/openid/v1/jwks").await?)
        .allow(format!("system:serviceaccount:{NAMESPACE}:*"), Allowance::Organization { admin: false });
    Ok(simulator.trust_issuer(ORGANIZATION, issuer)?)
}

async fn install_crds(client: &Client) -> Result<()> {
    let api = Api::all(client.clone());
    for crd in crd::all()? {
        let name = crd.name_any();
        api.patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&crd)).await?;
        await_condition(api.clone(), &name, conditions::is_crd_established()).await?;
    }
    Ok(())
}
