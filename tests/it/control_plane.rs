//! The real Kubernetes API server that the tests work against.
//!
//! All tests of this process share [one](shared), each in namespaces of its own. A test that needs one for itself
//! [starts](ControlPlane::start) it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is not seen as a test")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{self, ExitStatus, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::conditions::is_crd_established,
    runtime::wait::Condition,
};
use local_cluster::{Cluster, Options};
use pulumi_deployments_operator::api::{crd, names};
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    runtime,
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};

use crate::eventually::{SOON, eventually};

/// Who the tests are in managed fields.
pub const FIELD_MANAGER: &str = "integration-tests";

/// A `kubectl` that takes longer hangs.
const KUBECTL_TIMEOUT: Duration = Duration::from_secs(120);

/// How many control planes there are at a time, apart from the shared one: each takes about 0.6 GB.
static OWN: Semaphore = Semaphore::const_new(2);

/// A running control plane. Dropping it ends its processes and removes its directory.
//
// The fields are dropped in this order.
pub struct ControlPlane {
    cluster: Cluster,
    dir: StateDir,
    config: Config,
    namespaces: AtomicU32,
    _slot: Option<SemaphorePermit<'static>>,
}

/// The control plane that all tests share, with the CRDs installed. The first call starts it, which takes some seconds.
pub async fn shared() -> &'static ControlPlane {
    static SHARED: LazyLock<Result<ControlPlane, String>> = LazyLock::new(|| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let control_plane = ControlPlane::launch(|options| options, None).await?;
            control_plane.install_crds().await;
            Ok(control_plane)
        })
    });
    // In a runtime of its own, because that of the first test ends with that test, and perhaps in the middle of this.
    match spawn_blocking(|| LazyLock::force(&SHARED)).await.unwrap() {
        Ok(control_plane) => control_plane,
        Err(error) => panic!("the shared control plane did not start: {error}"),
    }
}

impl ControlPlane {
    /// Starts one for a single test, without CRDs. Waits while there are too many at a time.
    pub async fn start(adjust: impl FnOnce(Options) -> Options) -> Self {
        let slot = OWN.acquire().await.unwrap();
        match Self::launch(adjust, Some(slot)).await {
            Ok(control_plane) => control_plane,
            Err(error) => panic!("the control plane did not start: {error}"),
        }
    }

    async fn launch(
        adjust: impl FnOnce(Options) -> Options,
        slot: Option<SemaphorePermit<'static>>,
    ) -> Result<Self, String> {
        let dir = StateDir::new().map_err(|error| format!("no directory for it: {error}"))?;
        let options = Options::new(dir.path.join("cluster")).progress(|event| eprintln!("{event}"));
        let cluster = Cluster::start(adjust(options)).await.map_err(|error| error.to_string())?;
        let config = config(cluster.kubeconfig()).await.map_err(|error| error.to_string())?;
        Ok(Self { cluster, dir, config, namespaces: AtomicU32::new(0), _slot: slot })
    }

    /// Installs the CRDs and waits until their resources can be used.
    pub async fn install_crds(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client());
        for crd in crd::all().unwrap() {
            let name = crd.name_any();
            api.patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&crd)).await.unwrap();
        }
        for crd in crd::all().unwrap() {
            let name = crd.name_any();
            eventually(SOON, &format!("{name} is established"), async || {
                let crd = api.get(&name).await.map_err(|error| error.to_string())?;
                if is_crd_established().matches_object(Some(&crd)) { Ok(()) } else { Err(format!("{:?}", crd.status)) }
            })
            .await;
        }
        self.wait_for_discovery().await;
    }

    /// What the API server serves is announced a moment later than it is served, and kubectl goes by the announcement.
    pub async fn wait_for_discovery(&self) {
        let client = self.client();
        eventually(SOON, "the custom resources are announced", async || {
            let groups = client.list_api_groups_aggregated().await.map_err(|error| error.to_string())?;
            let group = groups.items.into_iter().find(|group| {
                group.metadata.as_ref().and_then(|metadata| metadata.name.as_deref()) == Some(names::GROUP)
            });
            let announced = group.into_iter().flat_map(|group| group.versions).flat_map(|version| version.resources);
            let kinds: Vec<_> = announced.filter_map(|resource| resource.resource).collect();
            if kinds.len() == crd::all().unwrap().len() { Ok(()) } else { Err(format!("{kinds:?}")) }
        })
        .await;
    }

    /// A client of the administrator.
    ///
    /// To be made anew in each test: its connections belong to the runtime that it is made in.
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).unwrap()
    }

    /// What clients of the administrator are made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        self.cluster.kubeconfig()
    }

    /// The servers, to stop and start them.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Creates a namespace whose name begins with `prefix`, and which no other test has.
    pub async fn namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let api: Api<Namespace> = Api::all(self.client());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        api.create(&PostParams::default(), &namespace).await.unwrap();
        eventually(SOON, &format!("namespace {name} is active"), async || {
            let namespace = api.get(&name).await.map_err(|error| error.to_string())?;
            let phase = namespace.status.and_then(|status| status.phase);
            if phase.as_deref() == Some("Active") { Ok(()) } else { Err(format!("{phase:?}")) }
        })
        .await;
        name
    }

    /// The real `kubectl`.
    pub fn kubectl_path(&self) -> &Path {
        self.cluster.kubectl()
    }

    /// Runs the real `kubectl` as the administrator, with `stdin` as its standard input (`--filename=-` reads it).
    pub async fn kubectl(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>, stdin: Option<&str>) -> Output {
        let home = &self.dir.path;
        let mut command = Command::new(self.kubectl_path());
        command.args(args).env("KUBECONFIG", self.kubeconfig()).env("HOME", home);
        // A cache of another control plane that had the same port would be taken for ours.
        command.env("KUBECACHEDIR", home.join("kubectl-cache"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let feed = async move {
            // It may end without having read everything.
            let _ = pipe.write_all(stdin.unwrap_or_default().as_bytes()).await;
        };
        let run = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = timeout(KUBECTL_TIMEOUT, run).await.unwrap_or_else(|_| panic!("{command:?} hangs")).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// What a `kubectl` printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// Warnings and errors.
    pub stderr: String,
}

impl Output {
    /// What it printed.
    ///
    /// # Panics
    /// When it failed.
    pub fn success(self) -> String {
        assert!(self.status.success(), "{self:#?}");
        self.stdout
    }

    /// Its error message.
    ///
    /// # Panics
    /// When it did not fail.
    pub fn failure(self) -> String {
        assert!(!self.status.success(), "{self:#?}");
        self.stderr
    }
}

async fn config(kubeconfig: &Path) -> Result<Config, kube::config::KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // No proxy of the environment leads to a server on this machine.
    config.proxy_url = None;
    Ok(config)
}

/// The directory of a control plane.
///
/// It is removed when it is dropped, and otherwise by a later run of tests: that of a test that failed is of use
/// until then, and that of the shared control plane is never dropped.
struct StateDir {
    path: PathBuf,
    /// Locked, which ends with this process however that ends.
    _owner: File,
}

impl StateDir {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("control-planes");
        fs::create_dir_all(&parent)?;
        // Until this is dropped, no other process takes a directory that is not locked yet for an abandoned one.
        let turn = File::create(parent.join("turn"))?;
        turn.lock()?;
        for entry in fs::read_dir(&parent)? {
            let path = entry?.path();
            if is_abandoned(&path) {
                // If not now, then the next time.
                let _ = fs::remove_dir_all(path);
            }
        }
        let path = parent.join(format!("{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path)?;
        let owner = File::create(path.join("owner"))?;
        owner.lock()?;
        Ok(Self { path, _owner: owner })
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn is_abandoned(dir: &Path) -> bool {
    dir.is_dir() && File::open(dir.join("owner")).is_ok_and(|owner| owner.try_lock().is_ok())
}

#[tokio::test]
async fn all_tests_share_one() {
    let (one, two) = tokio::join!(shared(), shared());
    assert!(std::ptr::eq(one, two));
    assert_ne!(one.namespace("same").await, two.namespace("same").await);
}

#[tokio::test]
async fn kubectl_and_the_client_talk_to_the_same_server() {
    let control_plane = shared().await;
    let namespace = control_plane.namespace("kubectl").await;
    let manifest = format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a, namespace: {namespace}}}}}");
    let created = control_plane.kubectl(["create", "--filename=-"], Some(&manifest)).await.success();
    assert_eq!(created, "configmap/a created\n");
    let api: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(control_plane.client(), &namespace);
    assert_eq!(api.get("a").await.unwrap().name_any(), "a");
    let refusal = control_plane.kubectl(["create", "--filename=-"], Some(&manifest)).await.failure();
    assert!(refusal.contains("already exists"), "{refusal}");
}

#[tokio::test]
async fn of_an_own_one_nothing_is_left() {
    let mut control_plane = ControlPlane::start(|options| options).await;
    let client = control_plane.client();
    assert_eq!(
        Api::<CustomResourceDefinition>::all(client.clone()).list(&ListParams::default()).await.unwrap().items,
        []
    );

    control_plane.cluster().restart_api_server().await.unwrap();
    client.apiserver_version().await.unwrap();

    let dir = control_plane.dir.path.clone();
    assert!(dir.starts_with(env!("CARGO_TARGET_TMPDIR")) && control_plane.kubeconfig().starts_with(&dir));
    let address = control_plane.config().cluster_url.authority().unwrap().to_string();
    drop(control_plane);
    assert!(!dir.exists());
    tokio::net::TcpStream::connect(address).await.unwrap_err();
}
