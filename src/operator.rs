//! Puts the operator together and runs it.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use kube::{
    Client, Config,
    runtime::{
        events::Reporter,
        reflector::{self, store::Writer},
    },
};
use tokio::{
    sync::{Semaphore, mpsc::UnboundedReceiver},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    api::{Deployment, Organization, StackDeploymentSettings, settings::SourceKind},
    controllers::{
        Context,
        caches::{FirstLists, Scope, SourceVersions, Stores},
        connections::Connections,
        context::Timings,
        digest::hex,
        links::{Link, Resource},
        memory::Memory,
        organization::Keyless,
        runner::{self, CONCURRENCY, EXPORTS, Reconcile},
        sweep,
        turns::Turns,
        wake::Wakers,
    },
    install_key,
    metrics::{Metrics, now::Now},
    pulumi::{Observer, ObserverConfig},
    server::{self, Readiness},
    traces::{self, Traces},
};

/// How the operator is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespaces to watch; none means all.
    pub watch_namespaces: Vec<String>,
    /// Backends that Organizations may name.
    pub allowed_backends: Vec<String>,
    /// Nothing is written remotely.
    pub suspend_all: bool,
    /// Whether Secrets are watched, which needs the right to list them; otherwise those that something refers to are
    /// looked at by name every few minutes.
    pub watch_secrets: bool,
    /// Whether stacks' outputs are written into Secrets and ConfigMaps, which needs the right to create and patch them.
    pub write_outputs: bool,
    /// Address of `/healthz`, `/readyz` and `/metrics`.
    pub listen: SocketAddr,
    /// Where traces go; nowhere without this.
    pub traces: Option<traces::Settings>,
    /// Divides the times that the operator waits for safety's sake; 1 outside tests.
    pub speed: f64,
}

/// How long a stop waits for what is under way: less than the 30 s that a Pod is given.
const GRACE: Duration = Duration::from_secs(20);

/// How long a stop then waits for traces that are on their way.
const FLUSH: Duration = Duration::from_secs(5);

/// Credentials of the cluster that the operator runs in, or of `KUBECONFIG`.
///
/// # Errors
/// When there are none.
pub async fn kube_config() -> Result<Config> {
    let mut config = Config::infer().await.context("no credentials for a cluster: run in one, or set KUBECONFIG")?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(config)
}

/// One kind in one scope, before it runs.
struct Part<K: Reconcile> {
    scope: Scope,
    writer: Writer<K>,
    woken: UnboundedReceiver<Resource>,
}

fn parts<K: Reconcile>(scopes: &[Scope], wakers: &mut Wakers) -> (Stores<K>, Vec<Part<K>>) {
    let (stores, parts) = scopes
        .iter()
        .map(|scope| {
            let (store, writer) = reflector::store();
            (store, Part { scope: scope.clone(), writer, woken: wakers.route(K::KIND, scope.clone()) })
        })
        .unzip();
    (Stores::new(stores), parts)
}

/// What is watched: everything, or each of these namespaces.
fn scopes(namespaces: &[String]) -> Vec<Scope> {
    if namespaces.is_empty() {
        return vec![Scope::All];
    }
    // Two controllers for the same objects would step on each other.
    namespaces.iter().cloned().collect::<BTreeSet<_>>().into_iter().map(Scope::Namespace).collect()
}

/// Runs the operator until `stop`, and then until what is under way is finished.
///
/// # Errors
/// When it cannot start: no cluster, no key, an address in use.
pub async fn run(options: Options, config: Config, stop: CancellationToken) -> Result<()> {
    let namespace = config.default_namespace.clone();
    // The API server ends a watch after less than its time-out; any other call that is silent for long is lost.
    let client = |silence| {
        let mut config = config.clone();
        config.read_timeout = Some(Duration::from_secs(silence));
        Client::try_from(config).context("the Kubernetes client cannot be built")
    };
    let (kube, watching) = (client(20)?, client(300)?);
    let key = install_key::load_or_create(&kube, &namespace).await?;
    let timings = Timings::at_speed(options.speed);
    let scopes = scopes(&options.watch_namespaces);

    let mut wakers = Wakers::default();
    let (organizations, organization_parts) = parts::<Organization>(&scopes, &mut wakers);
    let (settings, settings_parts) = parts::<StackDeploymentSettings>(&scopes, &mut wakers);
    let (deployments, deployment_parts) = parts::<Deployment>(&scopes, &mut wakers);
    let metrics = Arc::new(Metrics::default());
    let (traces, exporting) = start_traces(options.traces.as_ref())?;
    let holder = hex(&rand::random::<[u8; 8]>());
    let reporter =
        Reporter { controller: "pulumi-deployments-operator".to_owned(), instance: std::env::var("POD_NAME").ok() };
    let context = Arc::new(Context {
        organizations,
        settings,
        deployments,
        sources: SourceVersions::default(),
        all_known: FirstLists::new(1),
        wakers: Arc::new(wakers),
        connections: Connections::new(Arc::new(metrics.calls.clone())),
        keyless: Keyless::default(),
        observer: Observer::new(ObserverConfig {
            fast: timings.observe_fast,
            slow: timings.observe_slow,
            list_retry: timings.list_retry,
            ..ObserverConfig::default()
        }),
        memory: Memory::default(),
        exports: Turns::new(EXPORTS),
        key,
        holder,
        timings,
        allowed_backends: options.allowed_backends,
        watch_secrets: options.watch_secrets,
        write_outputs: options.write_outputs,
        suspend_all: options.suspend_all,
        reporter,
        kube,
        watching,
        metrics,
        traces,
    });

    let listener =
        server::bind(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
    let address = listener.local_addr()?;
    let readiness = Readiness::default();
    let tasks = TaskTracker::new();
    tasks.spawn({
        let (readiness, context, stop) = (readiness.clone(), Arc::clone(&context), stop.clone());
        async move {
            let page = move || context.metrics.page(&Now::look(&context));
            if let Err(error) = server::serve(listener, readiness, page, stop).await {
                warn!(%error, "the health server failed");
            }
        }
    });
    info!(%address, version = env!("CARGO_PKG_VERSION"), suspend_all = options.suspend_all, watched = ?scopes, "started");

    // The versions of Secrets and ConfigMaps come first: without them every resource would look outdated.
    let watched: &[SourceKind] =
        if options.watch_secrets { &[SourceKind::Secret, SourceKind::ConfigMap] } else { &[SourceKind::ConfigMap] };
    let source_lists = Arc::new(FirstLists::new(scopes.len() * watched.len()));
    follow_sources(&tasks, &context, &scopes, watched, &source_lists, &stop);
    if stop.run_until_cancelled(source_lists.all()).await.is_some() {
        let lists = Arc::new(FirstLists::new(scopes.len() * 3));
        let shared = (Arc::new(Semaphore::new(CONCURRENCY)), Arc::clone(&lists));
        start(&tasks, organization_parts, &context, &shared, &stop);
        start(&tasks, settings_parts, &context, &shared, &stop);
        start(&tasks, deployment_parts, &context, &shared, &stop);
        if stop.run_until_cancelled(lists.all()).await.is_some() {
            runner::link_all(&context, &context.settings);
            runner::link_all(&context, &context.deployments);
            if !options.watch_secrets {
                // Everything is reconciled once after the start anyway, so this wakes nobody.
                stop.run_until_cancelled(sweep::once(&context, |_, _| ())).await;
                let (context, stop) = (Arc::clone(&context), stop.clone());
                tasks.spawn(async move { stop.run_until_cancelled(sweep::forever(context)).await });
            }
            context.all_known.done();
            readiness.set();
            info!("ready");
        }
    }
    tasks.close();
    stop.cancelled().await;
    info!("stopping: what is under way is finished first");
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        warn!("stopped with work under way; it is taken up again at the next start");
    }
    exporting.finish().await;
    info!("stopped");
    Ok(())
}

/// The worker that sends traces, when there is one.
struct Exporting(Option<JoinHandle<()>>, CancellationToken);

impl Exporting {
    /// Ends it once it has sent what it still has. It ends when this is dropped as well.
    async fn finish(mut self) {
        self.1.cancel();
        if let Some(worker) = self.0.take()
            && tokio::time::timeout(FLUSH, worker).await.is_err()
        {
            warn!("stopped with traces on their way; they are lost");
        }
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        self.1.cancel();
    }
}

fn start_traces(settings: Option<&traces::Settings>) -> Result<(Traces, Exporting)> {
    let stop = CancellationToken::new();
    let Some(settings) = settings else { return Ok((Traces::default(), Exporting(None, stop))) };
    let (traces, worker) = traces::start(settings)?;
    info!(endpoint = settings.shown(), "traces are sent");
    Ok((traces, Exporting(Some(tokio::spawn(worker.run(stop.clone()))), stop)))
}

fn start<K: Reconcile>(
    tasks: &TaskTracker,
    parts: Vec<Part<K>>,
    context: &Arc<Context>,
    shared: &(Arc<Semaphore>, Arc<FirstLists>),
    stop: &CancellationToken,
) {
    for Part { scope, writer, woken } in parts {
        tasks.spawn(runner::run(Arc::clone(context), scope, writer, woken, shared.clone(), stop.clone()));
    }
}

/// Follows the versions of Secrets and ConfigMaps, and wakes what refers to them when they move.
fn follow_sources(
    tasks: &TaskTracker,
    context: &Arc<Context>,
    scopes: &[Scope],
    kinds: &[SourceKind],
    lists: &Arc<FirstLists>,
    stop: &CancellationToken,
) {
    for (scope, kind) in scopes.iter().flat_map(|scope| kinds.iter().map(|kind| (scope.clone(), *kind))) {
        let (context, lists, stop) = (Arc::clone(context), Arc::clone(lists), stop.clone());
        tasks.spawn(async move {
            let changed = |namespace: &str, name: &str| {
                let link = Link::Source { kind, namespace: namespace.to_owned(), name: name.to_owned() };
                context.wakers.wake_dependents(&link);
            };
            stop.run_until_cancelled(context.sources.follow(kind, context.watching.clone(), &scope, &lists, changed))
                .await
        });
    }
}
