//! What every reconcile has at hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    runtime::{
        controller::Action,
        events::{Event, EventType, Recorder, Reporter},
    },
};
use tracing::{debug, warn};

use super::{
    Error,
    access::{self, Use, Verdict},
    caches::{FirstLists, SourceVersions, Stores},
    connections::{Connection, Connections},
    digest::InstallKey,
    links::{Kind, Resource},
    memory::Memory,
    organization::Keyless,
    requeue::{Consequence, Retry, backoff},
    turns::Turns,
    wake::Wakers,
};
use crate::{
    api::{
        ConditionStatus, Deployment, Organization, StackDeploymentSettings,
        condition::{find, types},
        deployment::Operation,
    },
    metrics::Metrics,
    pulumi::Observer,
    traces::Traces,
};

/// What every reconcile has at hand.
pub struct Context {
    /// The Kubernetes API.
    pub kube: Client,
    /// The Kubernetes API, for watches, which are silent for minutes.
    pub watching: Client,
    /// Organizations as last seen.
    pub organizations: Stores<Organization>,
    /// Settings as last seen.
    pub settings: Stores<StackDeploymentSettings>,
    /// Deployments as last seen.
    pub deployments: Stores<Deployment>,
    /// Versions of Secrets and ConfigMaps as last seen.
    pub sources: SourceVersions,
    /// Nothing is decided before all that is watched has been read once, and it is known who depends on what.
    pub all_known: FirstLists,
    /// Wakes resources.
    pub wakers: Arc<Wakers>,
    /// Ways to the organizations.
    pub connections: Connections,
    /// Access tokens that are in no Secret.
    pub keyless: Keyless,
    /// Follows runs.
    pub observer: Arc<Observer>,
    /// What this process remembers.
    pub memory: Memory,
    /// Turns at reading the whole state of a stack.
    pub exports: Turns,
    /// The key of this installation.
    pub key: InstallKey,
    /// Random id of this process.
    pub holder: String,
    /// Times that matter.
    pub timings: Timings,
    /// Backends that Organizations may name.
    pub allowed_backends: Vec<String>,
    /// Whether Secrets are watched; otherwise they are looked at by name now and then.
    pub watch_secrets: bool,
    /// Whether stacks' outputs are written; otherwise a Deployment that declares some is told that they are not.
    pub write_outputs: bool,
    /// Nothing is written remotely.
    pub suspend_all: bool,
    /// Whom events name as their author.
    pub reporter: Reporter,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the traces of runs are handed in.
    pub traces: Traces,
}

/// Times that matter for correctness or load. A hidden flag scales them for tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timings {
    /// A create is sent at most this long after its intent began to be written.
    pub send_window: Duration,
    /// A create that the service has not accepted after this never arrives.
    pub request: Duration,
    /// Added to both before an unresolved intent is looked into.
    pub margin: Duration,
    /// When a create whose outcome stays unknown becomes a person's business.
    pub give_up_recovery: Duration,
    /// How often an organization is looked at, and everything that waits, in case nobody wakes it.
    pub resync: Duration,
    /// How often the observer looks while something runs.
    pub observe_fast: Duration,
    /// How often the observer looks while everything is queued.
    pub observe_slow: Duration,
    /// How long a list of runs that was refused is not asked for again.
    pub list_retry: Duration,
    /// How far apart two misses of a run must be to count as two.
    pub miss: Duration,
    /// When finalizers that cannot reach the service any more give up in a terminating namespace.
    pub give_up_finalizing: Duration,
}

impl Timings {
    /// The times of a real installation, divided by `speed`.
    #[must_use]
    pub fn at_speed(speed: f64) -> Self {
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds / speed);
        Self {
            // A write takes as long as it takes, at whatever speed: with less, a busy machine would never send anything.
            send_window: seconds(5.0).max(Duration::from_secs(1)),
            request: seconds(30.0),
            margin: seconds(10.0),
            give_up_recovery: seconds(1800.0),
            resync: seconds(300.0),
            observe_fast: seconds(2.0),
            observe_slow: seconds(10.0),
            list_retry: seconds(60.0),
            miss: seconds(30.0),
            give_up_finalizing: seconds(600.0),
        }
    }

    /// How long an intent that this process did not settle is left alone.
    #[must_use]
    pub fn recovery_wait(&self) -> Duration {
        self.send_window + self.request + self.margin
    }
}

/// Whether an organization can be used now.
pub enum Way {
    /// Yes.
    Open(Arc<Connection>),
    /// It could before this process started, which has not looked yet: no reason to say that anything changed.
    NotYet,
    /// No, and why.
    Closed(String),
}

/// An event for a person's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Happening {
    /// Whether it is something to worry about.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What was done.
    pub action: &'static str,
    /// What happened.
    pub note: String,
}

impl Context {
    /// Publishes events. One that cannot be published is lost, never retried: status says it all.
    pub async fn publish<K: kube::Resource<DynamicType = ()>>(&self, object: &K, happenings: Vec<Happening>) {
        for happening in happenings {
            let event = Event {
                type_: if happening.warning { EventType::Warning } else { EventType::Normal },
                reason: happening.reason.to_owned(),
                note: Some(happening.note.chars().take(1000).collect()),
                action: happening.action.to_owned(),
                secondary: None,
            };
            // A recorder that is kept counts what has the same reason as one event, and goes on showing what it said first.
            let recorder = Recorder::new(self.kube.clone(), self.reporter.clone());
            if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
                debug!(%error, reason = happening.reason, "event was not published");
            }
        }
    }

    /// When a call that failed is tried again.
    pub fn failed(&self, uid: &str, consequence: &Consequence) -> Action {
        warn!(error = %consequence.detail, class = ?consequence.class, "a call failed");
        self.retry(uid, consequence.retry)
    }

    /// When something is tried again.
    pub fn retry(&self, uid: &str, retry: Retry) -> Action {
        match retry {
            Retry::Backoff => Action::requeue(backoff(self.memory.failed(uid), rand::random())),
            Retry::After(delay) => Action::requeue(delay.max(Duration::from_millis(100))),
        }
    }

    /// Whether an organization can be used now. `organization` is the resource as last seen.
    #[must_use]
    pub fn way(&self, owner: &Resource, organization: Option<&Organization>) -> Way {
        let Resource { namespace, name, .. } = owner;
        let Some(organization) = organization else {
            return Way::Closed(format!(
                "Organization {namespace}/{name} does not exist (or is outside the watched namespaces); create it, and this goes on by itself"
            ));
        };
        if let Some(connection) = self.connections.get(&owner.key()).filter(|way| way.is_accepted()) {
            return Way::Open(connection);
        }
        match organization.status.as_ref().and_then(|status| find(&status.conditions, types::READY)) {
            Some(ready) if ready.status == ConditionStatus::True => Way::NotYet,
            Some(ready) => Way::Closed(format!("Organization {namespace}/{name} is not ready: {}", ready.message)),
            None => Way::Closed(format!("Organization {namespace}/{name} is not ready: it was not looked at yet")),
        }
    }

    /// Whether a namespace may use an organization for a stack and, where there is one, an operation.
    ///
    /// # Errors
    /// When the namespace's labels are needed and cannot be read.
    pub async fn judge(
        &self,
        organization: &Organization,
        namespace: &str,
        stack: (&str, &str),
        operation: Option<Operation>,
    ) -> Result<Verdict, Error> {
        let [verdict] = self.judge_each(organization, namespace, stack, [operation]).await?;
        Ok(verdict)
    }

    /// The same for several operations at once.
    ///
    /// # Errors
    /// When the namespace's labels are needed and cannot be read.
    pub async fn judge_each<const N: usize>(
        &self,
        organization: &Organization,
        namespace: &str,
        (project, stack): (&str, &str),
        operations: [Option<Operation>; N],
    ) -> Result<[Verdict; N], Error> {
        let rules = organization.spec.access.as_deref();
        let labels =
            if access::needs_labels(rules) { self.namespace_labels(namespace).await? } else { BTreeMap::new() };
        let home = organization.metadata.namespace.as_deref().unwrap_or_default();
        let judge =
            |operation| access::judge(rules, home, Use { namespace, labels: &labels, project, stack, operation });
        Ok(operations.map(judge))
    }

    async fn namespace_labels(&self, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
        let found = Api::<Namespace>::all(self.kube.clone()).get_opt(namespace).await?;
        Ok(found.and_then(|namespace| namespace.metadata.labels).unwrap_or_default())
    }

    /// Whether a resource that cannot reach the service is let go all the same: its namespace is being deleted, and it
    /// has waited for long.
    ///
    /// # Errors
    /// When the namespace cannot be read.
    pub async fn gives_up<K: kube::Resource>(&self, object: &K) -> Result<bool, Error> {
        let deleted = object.meta().deletion_timestamp.as_ref();
        let waited = deleted.map(|since| jiff::Timestamp::now().duration_since(since.0));
        let long_enough = waited.is_some_and(|waited| waited.unsigned_abs() >= self.timings.give_up_finalizing);
        Ok(long_enough && self.namespace_is_terminating(object.meta().namespace.as_deref().unwrap_or_default()).await?)
    }

    /// Tells of a resource that was let go although its work was not done. No event: in a namespace that is being deleted
    /// none can be created.
    pub fn gave_up(&self, kind: Kind) {
        warn!(?kind, "let go in a namespace that is being deleted; what it had made in Pulumi Cloud is still there");
        self.metrics.reconciles.gave_up(kind);
    }

    /// Whether a namespace is being deleted, so that nothing can be created in it any more.
    ///
    /// # Errors
    /// When the namespace cannot be read.
    pub async fn namespace_is_terminating(&self, namespace: &str) -> Result<bool, Error> {
        let found = Api::<Namespace>::all(self.kube.clone()).get_opt(namespace).await?;
        Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
    }
}
