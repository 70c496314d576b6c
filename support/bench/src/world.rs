//! A control plane, a simulated Pulumi Cloud, and what both sides of a comparison do with them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::Secret, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use local_cluster::{Cluster, Options};
use pulumi_cloud_simulator::Simulator;
use pulumi_deployments_operator::api::{Deployment, Organization, crd};
use serde_json::json;
use tempfile::TempDir;

const NAMESPACE: &str = "default";
const ORGANIZATION: &str = "bench";
const TOKEN: &str = "bench-token";

/// Everything that a benchmark runs in.
pub struct World {
    /// The administrator.
    pub client: Client,
    /// What the operator's client is made from.
    pub config: Config,
    /// The simulated Pulumi Cloud.
    pub simulator: Simulator,
    _cluster: Cluster,
    _dir: TempDir,
}

impl World {
    /// Starts everything and creates stacks for so many resources.
    pub async fn start(stacks: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let cluster =
            Cluster::start(Options::new(dir.path().join("cluster")).progress(|event| eprintln!("{event}"))).await?;
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config.clone())?;
        let simulator = Simulator::builder()
            .token(TOKEN)
            .organization(ORGANIZATION)
            .speed(20.0)
            .keep_requests(1_000_000)
            .start()
            .await?;
        simulator.set_concurrency(ORGANIZATION, stacks.max(1))?;
        for number in 0..stacks {
            simulator.add_stack(&stack(number))?;
        }
        let world = Self { client, config, simulator, _cluster: cluster, _dir: dir };
        world.install().await?;
        Ok(world)
    }

    async fn install(&self) -> Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for crd in crd::all()? {
            crds.patch(&crd.name_any(), &PatchParams::apply("bench"), &Patch::Apply(&crd)).await?;
        }
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pulumi"}, "stringData": {"accessToken": TOKEN}});
        Api::<Secret>::namespaced(self.client.clone(), NAMESPACE)
            .patch("pulumi", &PatchParams::apply("bench"), &Patch::Apply(&secret))
            .await?;
        let organization = json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Organization", "metadata": {"name": ORGANIZATION},
            "spec": {
                "backendURL": self.simulator.url(),
                "accessToken": {"secretKeyRef": {"name": "pulumi", "key": "accessToken"}},
                "rateLimit": {"requestsPerSecond": 1000, "burst": 1000},
            },
        });
        let organizations: Api<Organization> = Api::namespaced(self.client.clone(), NAMESPACE);
        patiently(async || {
            organizations.patch(ORGANIZATION, &PatchParams::apply("bench"), &Patch::Apply(&organization)).await?;
            Ok(())
        })
        .await
        .context("the CRDs are not served")
    }

    /// The Deployments.
    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Creates a Deployment for a stack, and says when that began.
    pub async fn create(&self, name: &str, number: usize) -> Result<Timestamp> {
        let manifest = json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "stack": {"organizationRef": {"name": ORGANIZATION}, "project": "bench", "name": format!("s{number}")},
                "operation": "update", "settle": "0s", "deletionPolicy": "Orphan",
                "settings": {"sourceContext": {"git": {"repoURL": "https://example.com/r.git", "branch": "main"}}},
            },
        });
        let began = Timestamp::now();
        self.deployments().patch(name, &PatchParams::apply("bench"), &Patch::Apply(&manifest)).await?;
        Ok(began)
    }

    /// When the create for a stack arrived at the service; waits for it.
    pub async fn arrival(&self, number: usize) -> Result<Timestamp> {
        let wanted = stack(number);
        let find = || {
            self.simulator
                .requests_where(|request| {
                    request.operation == "CreateDeployment" && request.stack.as_deref() == Some(&wanted)
                })
                .pop()
                .map(|request| request.time)
        };
        patiently(async || find().context("it has not arrived")).await
    }

    /// The URL at which the stack's deployments are created.
    pub fn create_url(&self, number: usize) -> String {
        format!("{}/api/stacks/{}/deployments", self.simulator.url(), stack(number))
    }

    /// The header that authenticates.
    pub fn authorization() -> String {
        format!("token {TOKEN}")
    }

    /// Takes all Deployments away.
    pub async fn clear(&self) -> Result<()> {
        let api = self.deployments();
        let unfinalized = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        for deployment in api.list(&ListParams::default()).await? {
            if deployment.finalizers().iter().any(|finalizer| finalizer.starts_with("bench")) {
                api.patch(&deployment.name_any(), &PatchParams::default(), &unfinalized).await?;
            }
        }
        api.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        patiently(async || {
            let left = api.list(&ListParams::default()).await?.items.len();
            ensure!(left == 0, "{left} are left");
            Ok(())
        })
        .await
    }
}

fn stack(number: usize) -> String {
    format!("{ORGANIZATION}/bench/s{number}")
}

/// Tries until it works, for two minutes.
pub async fn patiently<T>(mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    const ATTEMPTS: u32 = 24_000;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(last.context("nothing was tried")?)
}
