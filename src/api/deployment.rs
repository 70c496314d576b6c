//! `Deployment`: a run of one operation on one stack, once per request.

use std::{collections::BTreeMap, fmt};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::{
    Condition, Duration, Time,
    approval::{ApprovalPolicy, Basis, GivenApproval, PendingApproval},
    document::SettingsDocument,
    reference::StackRef,
    time::is_duration,
};

/// What a `Deployment` declares.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "deployments.pulumi.com",
    version = "v1alpha1",
    kind = "Deployment",
    plural = "pulumideployments",
    singular = "pulumideployment",
    shortname = "pdep",
    category = "pulumi",
    namespaced,
    status = "DeploymentStatus",
    derive = "PartialEq",
    doc = "A run of one Pulumi operation on one stack. It runs once per request: once when it is created, and again when what it asks for changes.",
    printcolumn(name = "Operation", type_ = "string", json_path = ".spec.operation"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Step",
        type_ = "string",
        json_path = ".status.step",
        description = "The step that runs, or where it ended"
    ),
    printcolumn(
        name = "Version",
        type_ = "integer",
        json_path = ".status.run.version",
        description = "The stack's number of this run"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.run.url", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.settingsRef) != has(self.stack)")
        .message("write exactly one target: settingsRef: {name}, or stack: {organizationRef: {name}, project, name}"),
    validation = Rule::new("has(self.settingsRef) == has(oldSelf.settingsRef) && (!has(self.settingsRef) || self.settingsRef == oldSelf.settingsRef)")
        .message("settingsRef cannot be changed, added or removed: create another Deployment for another stack"),
    validation = Rule::new("has(self.stack) == has(oldSelf.stack) && (!has(self.stack) || self.stack == oldSelf.stack)")
        .message("stack cannot be changed, added or removed: create another Deployment for another stack"),
    validation = Rule::new("!self.runOnSettingsChange || has(self.settingsRef)")
        .message("runOnSettingsChange needs settings to follow: write settingsRef: {name} as the target, or leave runOnSettingsChange out"),
    validation = Rule::new("!self.runOnSettingsChange || self.operation != 'destroy'")
        .message("runOnSettingsChange would destroy the stack anew with each change of its settings: leave it out, or write another operation")
)]
pub struct DeploymentSpec {
    /// The `StackDeploymentSettings` in this namespace whose stack is the target; the run waits until they are in sync. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_ref: Option<SettingsRef>,
    /// The target stack itself, when its settings are not managed here. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackRef>,
    /// The Pulumi operation to run. `update`: bring the stack to what its program says. `preview`: say what an update
    /// would do. `destroy`: delete all of the stack's resources. `refresh`: bring the stack's state to what is really
    /// there. `detect-drift`: compare the two. `remediate-drift`: bring what is really there back to the stack's state.
    pub operation: Operation,
    /// Whether the run starts from the stack's stored settings (`true`) or only from `settings` (`false`). Default: `true`.
    #[serde(default = "default_true")]
    pub inherit_settings: bool,
    /// Settings for this run only, merged over the stored ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<SettingsDocument>,
    /// Any text; a new one runs the same request once more. The annotation `deployments.pulumi.com/rerun` does the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub rerun: Option<String>,
    /// `true`: it runs again when the settings that `settingsRef` names, or values that they refer to, are others than
    /// those of its last run. Corrections of drift and new versions of a Secret with equal values are no change. Not for
    /// `operation: destroy`, and only with `settingsRef`. Default: `false`.
    #[serde(default)]
    pub run_on_settings_change: bool,
    /// `true`: nothing new is started; a run that is under way is followed to its end. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
    /// How long a request must stay unchanged, together with the settings and sources that it uses, before it runs. Default: `5s`.
    #[serde(default = "default_settle")]
    pub settle: Duration,
    /// What happens to a run that is under way when a new request comes. `Wait`: the request waits for its end.
    /// `CancelQueued`: it is canceled if it is still queued, and waited for if it runs. `Cancel`: it is canceled, which can
    /// leave a stack inconsistent when Pulumi is at work. Default: `CancelQueued`.
    #[serde(default)]
    pub supersede: Supersede,
    /// How long a run may take, from the start of its first job by the service's clock, before it is canceled and ends as
    /// `TimedOut`. Canceling a running Pulumi operation can leave a stack inconsistent. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(at_least_a_second()).message("timeout must be at least 1s; leave it out for a run that may take as long as it needs"))]
    pub timeout: Option<Duration>,
    /// How long a run may wait in the service's queue, by the service's clock, before it is canceled and ends as
    /// `TimedOut`. One that begins just then is left alone. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(at_least_a_second()).message("queueTimeout must be at least 1s; leave it out for a run that may wait as long as it needs"))]
    pub queue_timeout: Option<Duration>,
    /// Whether and when a run that failed by itself is tried again: never one that was canceled from here, timed out, was
    /// skipped or had to be approved. One that somebody cancels in the Pulumi console looks like a failure and is tried again, unless `suspend`
    /// holds. It is decided when the run fails; a later change can only take it back. Default: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// What happens to a run that is under way when this resource is deleted. `Orphan`: it goes on by itself.
    /// `CancelQueued`: it is canceled if it is still queued, and goes on by itself if it runs. `Cancel`: it is canceled and
    /// its end waited for, which can leave a stack inconsistent when Pulumi is at work. `Destroy`: it is canceled if it is
    /// still queued and waited for if it runs; then `destroy` deletes all of the stack's resources, whether or not this
    /// resource ever ran, and only when that has succeeded is this resource gone. The destroy runs with the stack's stored
    /// settings and with `settings`, under `timeout`, `queueTimeout` and `retry`. Default: `CancelQueued`.
    #[serde(default)]
    pub deletion_policy: RunDeletionPolicy,
    /// How many earlier runs, and requests that were skipped, status remembers; fewer are forgotten at once. Default: `10`.
    #[serde(default = "default_history_limit")]
    #[schemars(range(min = 0, max = 50))]
    pub history_limit: u32,
    /// How many of the failed step's last log lines status shows, with every known secret value redacted. Default: `10`.
    #[serde(default = "default_failure_log_lines")]
    #[schemars(range(min = 0, max = 50))]
    pub failure_log_lines: u32,
    /// Other Deployments in this namespace that must be `Ready` for what they ask for now before a run of this one starts.
    /// One that is not there yet, or has failed, is waited for. Changing this starts no run and stops none. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub depends_on: Vec<Dependency>,
    /// Whether a person must approve what runs, by the annotations `deployments.pulumi.com/approve` and
    /// `deployments.pulumi.com/approved-by`. Changing this starts no run of a request that was handled; back to `Automatic`,
    /// a request that awaits approval goes on without it. Default: `{"mode":"Automatic"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalPolicy>,
    /// Where the stack's outputs are written after each successful `update`. Changing this starts no run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<OutputsSpec>,
}

/// A duration that is none is told so by another rule.
fn at_least_a_second() -> String {
    format!("!{} || duration(self) >= duration('1s')", is_duration("self"))
}

/// Whether and when a run that failed is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
pub struct RetryPolicy {
    /// How many more runs of the same request there may be after the first. `0`: none.
    #[schemars(range(min = 0, max = 100))]
    pub limit: u32,
    /// How long it waits before each of them. Default: `{"initial":"30s","max":"10m"}`.
    #[serde(default)]
    pub backoff: RetryBackoff,
}

/// How long it waits before a run is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new(format!("!{} || !{} || duration(self.initial) <= duration(self.max)", is_duration("self.initial"), is_duration("self.max")))
        .message("backoff.initial is longer than backoff.max: write the longest wait as max")
)]
pub struct RetryBackoff {
    /// The wait before the second run. It doubles with each one after that, and up to half of it is left out at random.
    /// Default: `30s`.
    #[serde(default = "default_initial_backoff")]
    #[x_kube(validation = Rule::new(at_least_a_second()).message("backoff.initial must be at least 1s"))]
    pub initial: Duration,
    /// The longest wait. Default: `10m`.
    #[serde(default = "default_max_backoff")]
    #[x_kube(validation = Rule::new(at_least_a_second()).message("backoff.max must be at least 1s"))]
    pub max: Duration,
}

impl Default for RetryBackoff {
    fn default() -> Self {
        Self { initial: default_initial_backoff(), max: default_max_backoff() }
    }
}

const fn default_true() -> bool {
    true
}

#[allow(clippy::expect_used, reason = "a constant, parsed by a test")]
fn default_settle() -> Duration {
    "5s".parse().expect("a constant")
}

#[allow(clippy::expect_used, reason = "a constant, parsed by a test")]
fn default_initial_backoff() -> Duration {
    "30s".parse().expect("a constant")
}

#[allow(clippy::expect_used, reason = "a constant, parsed by a test")]
fn default_max_backoff() -> Duration {
    "10m".parse().expect("a constant")
}

const fn default_history_limit() -> u32 {
    10
}

const fn default_failure_log_lines() -> u32 {
    10
}

/// Refers to a `StackDeploymentSettings` in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SettingsRef {
    /// Name of the `StackDeploymentSettings`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Another Deployment in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// Name of the Deployment.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Where a stack's outputs are written. What is written into belongs to this Deployment and goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secret) || has(self.configMap)")
    .message("write at least one of secret and configMap"))]
pub struct OutputsSpec {
    /// The Secret that outputs are written into, secret ones too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<OutputsTarget>,
    /// The ConfigMap that outputs are written into. An output with a secret anywhere in it never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<OutputsTarget>,
}

/// A Secret or ConfigMap for outputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputsTarget {
    /// Its name. It is created in this namespace; one that is there already and does not belong to this Deployment is left alone.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Labels that it carries. Others that it has are left alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Which outputs are written, under which keys. Absent: all (of a ConfigMap: all that are not secret), each under its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(one, self.exists_one(other, (has(one.key) ? one.key : one.output) == (has(other.key) ? other.key : other.output)))")
        .message("each key can be written once: give the outputs different keys"))]
    pub keys: Option<Vec<OutputKey>>,
}

/// An output and the key under which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputKey {
    /// Name of the stack's output.
    #[schemars(length(min = 1, max = 253))]
    pub output: String,
    /// The key. Default: the output's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}

/// A Pulumi operation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Bring the stack to what its program says.
    Update,
    /// Say what an update would do.
    Preview,
    /// Delete all of the stack's resources.
    Destroy,
    /// Bring the stack's state to what is really there.
    Refresh,
    /// Compare the stack's state with what is really there.
    DetectDrift,
    /// Bring what is really there back to the stack's state.
    RemediateDrift,
}

impl Operation {
    /// The API's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Preview => "preview",
            Self::Destroy => "destroy",
            Self::Refresh => "refresh",
            Self::DetectDrift => "detect-drift",
            Self::RemediateDrift => "remediate-drift",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happens to a run that is under way when a new request comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Supersede {
    /// The new request waits for its end.
    Wait,
    /// A run that is still queued is canceled; one that runs is waited for.
    #[default]
    CancelQueued,
    /// The run is canceled. Canceling a running Pulumi operation can leave a stack inconsistent.
    Cancel,
}

/// What happens to a run that is under way when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RunDeletionPolicy {
    /// It goes on by itself.
    Orphan,
    /// It is canceled if it is still queued; one that runs goes on by itself.
    #[default]
    CancelQueued,
    /// It is canceled, and its end is waited for. Canceling a running Pulumi operation can leave a stack inconsistent.
    Cancel,
    /// It is canceled if it is still queued and waited for if it runs; then the stack is destroyed, and this resource
    /// stays until that has succeeded.
    Destroy,
}

/// Where a Deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantArray)]
pub enum Phase {
    /// Nothing is started yet.
    Pending,
    /// The service has the run in its queue.
    Queued,
    /// The run is under way.
    Running,
    /// The run ended well.
    Succeeded,
    /// The run ended badly.
    Failed,
    /// The service skipped the run.
    Skipped,
    /// The run was canceled.
    Canceled,
    /// The run was canceled because it waited or ran for too long.
    TimedOut,
}

impl Phase {
    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::Canceled | Self::TimedOut)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What is known of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of `reconcile.fluxcd.io/requestedAt` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The `metadata.uid` that this status was written for. Another one means a restored backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The step that runs or where it ended, as `4/6 pulumi update`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// `Ready`, `Reconciling`, `Stalled`, and this kind's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last request that was handled: by a run, or by a person's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HandledRequest>,
    /// The newest request, while it waits for a run. Absent when there is none, or it has not waited for anything yet
    /// but to settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingRequest>,
    /// The highest number that was given to a request which never ran, so that none is given twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_skipped: Option<u64>,
    /// Written before a run is created and gone when it is recorded: a create whose outcome is not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The service's refusal of the current request; it is not tried again until something changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The newest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The run that follows the newest one, which has failed. Absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What awaits a person's approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<PendingApproval>,
    /// What the newest run found of drift, when it was about drift and has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftFinding>,
    /// Outputs that can't be had or written as declared, until there is another run, another declaration, or a request to
    /// look again. Absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs_refusal: Option<Refusal>,
    /// Which outputs were last written. Absent when none are declared or none were written yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<WrittenOutputs>,
    /// Earlier runs, and requests that never ran, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}

/// A run that follows one that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// Counts the runs for this request and purpose from 1.
    pub attempt: u32,
    /// When it is created at the earliest, by the operator's clock.
    pub at: Time,
}

/// A request that was handled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandledRequest {
    /// Counts the requests of this resource from 1.
    pub number: u64,
    /// Digest of what was asked for.
    pub digest: String,
    /// Digest of the same without `spec.rerun` and the rerun annotation: where only the other one differs, somebody
    /// asked for the same once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_without_rerun: Option<String>,
    /// `status.contentDigest` of the settings that `settingsRef` names, as they were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_digest: Option<String>,
}

/// A request that waits for its run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingRequest {
    /// Counts the requests of this resource from 1.
    pub number: u64,
    /// Digest of what is asked for.
    pub digest: String,
    /// With `runOnSettingsChange`: `status.contentDigest` of the settings when the request was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_digest: Option<String>,
    /// The operation.
    pub operation: Operation,
    /// What made the request.
    pub trigger: Trigger,
    /// Since when it waits.
    pub since: Time,
}

/// What made a request, or a further run of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Trigger {
    /// The resource was created.
    Created,
    /// What it asks for was changed.
    Changed,
    /// `spec.rerun` or the rerun annotation asked for the same once more.
    Rerun,
    /// The settings were changed, and `runOnSettingsChange` holds.
    SettingsChanged,
    /// The run before it had failed.
    Retry,
    /// The annotation `deployments.pulumi.com/adopt` named a run that was there already.
    Adopted,
    /// The resource was deleted.
    Deleted,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Purpose {
    /// The operation that was asked for.
    #[default]
    Main,
    /// What an update would do, for a person to approve it.
    Preview,
    /// The end of the stack's resources, because the Deployment is deleted.
    Destroy,
}

/// The stack that a run belongs to, resolved when it was created. Later changes of references do not move it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Base URL of the service.
    #[serde(rename = "backendURL")]
    pub backend_url: String,
    /// Organization in Pulumi Cloud.
    pub organization: String,
    /// Project.
    pub project: String,
    /// Stack.
    pub stack: String,
}

impl Target {
    /// Names the stack among those of all backends.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {self}", self.backend_url)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.organization, self.project, self.stack)
    }
}

/// A create that may or may not have happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// 128 random bits in hexadecimal, carried by the run as the name of an environment variable.
    pub nonce: String,
    /// The request that the run is for.
    pub request: HandledRequest,
    /// What the run is for.
    pub purpose: Purpose,
    /// Counts the runs for this request and purpose from 1.
    pub attempt: u32,
    /// What makes the run. Absent when an earlier version of the operator wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// When what it asks for was changed, by the cluster's clock. Absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Time>,
    /// The operation.
    pub operation: Operation,
    /// The stack.
    pub target: Target,
    /// Random id of the operator process that wrote this.
    pub holder: String,
    /// When it was written, by the operator's clock.
    pub time: Time,
    /// The highest version of the stack's deployments known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_floor: Option<u64>,
    /// The service's clock, as last seen before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_date: Option<Time>,
    /// Digest of the versions of all Secrets that the run's log may show values of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<String>,
    /// Of a preview that is run for a person to approve: what it goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// Who approved it, where somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<GivenApproval>,
}

/// The service's refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Digest of everything that went into the refused request.
    pub digest: String,
    /// What the service said.
    pub message: String,
}

/// A run, mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The request that the run is for.
    pub request: HandledRequest,
    /// What the run is for.
    pub purpose: Purpose,
    /// Counts the runs for this request and purpose from 1.
    pub attempt: u32,
    /// What made the run. Absent when an earlier version of the operator wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// When what it asks for was changed, by the cluster's clock. Absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Time>,
    /// Carried by the run as the name of an environment variable. Empty when the run is not of this operator's making.
    pub nonce: String,
    /// Digest of the versions of all Secrets that the run's log may show values of. When they have moved since, the
    /// values to redact are not known any more, and no log is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<String>,
    /// The operation.
    pub operation: Operation,
    /// The stack.
    pub target: Target,
    /// The service's id.
    pub id: String,
    /// The stack's number of this run.
    pub version: u64,
    /// Where people look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The service's word for where it stands.
    pub status: String,
    /// When the service took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Time>,
    /// When its first job began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Its jobs with their steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
    /// The Pulumi updates that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<Update>,
    /// Written before the cancel is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
    /// A cancel was decided and taken back, because the run had begun. It may have been sent all the same, so a failure
    /// of the run may be its doing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_taken_back: bool,
    /// Of a preview that was run for a person to approve: what it went by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// Who approved it, where somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<GivenApproval>,
    /// How it ended. Absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Phase>,
    /// Where and how it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A job of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// The service's word for where it stands.
    pub status: String,
    /// Its steps in order.
    pub steps: Vec<Step>,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The service's name of it.
    pub name: String,
    /// The service's word for where it stands.
    pub status: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// A Pulumi update that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The stack's number of the update.
    pub version: u64,
    /// `update`, `preview`, `refresh`, `destroy`, …
    pub kind: String,
    /// `not-started`, `in-progress`, `succeeded` or `failed`.
    pub result: String,
    /// How many resources were created, updated, deleted, left the same, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_changes: BTreeMap<String, u64>,
}

/// Why a run is to be canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CancelReason {
    /// A newer request takes its place.
    Superseded,
    /// Its resource is deleted.
    Deleted,
    /// It has waited in the queue for longer than `spec.queueTimeout`.
    QueueTimeout,
    /// It has run for longer than `spec.timeout`.
    Timeout,
}

impl CancelReason {
    /// How a run ends that was canceled for this.
    #[must_use]
    pub const fn end(self) -> Phase {
        match self {
            Self::Superseded | Self::Deleted => Phase::Canceled,
            Self::QueueTimeout | Self::Timeout => Phase::TimedOut,
        }
    }
}

/// A cancel that was decided, whether or not it was sent yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancel {
    /// Why.
    pub reason: CancelReason,
    /// When it was decided.
    pub requested_at: Time,
}

/// Where and how a run failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Name of the failed step, when one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The step's last log lines, with every known secret value redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// What a run that was about drift found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftFinding {
    /// Whether what is really there was not what the stack's state says.
    pub detected: bool,
    /// Id of the service's drift run.
    pub run: String,
    /// The stack's number of the run that looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// How many resources had been changed, deleted, left the same, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_changes: BTreeMap<String, u64>,
    /// What was done about it. Absent when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<DriftRemediation>,
    /// When this was read.
    pub seen_at: Time,
}

/// What was done about drift.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftRemediation {
    /// The service's word for how it went.
    pub result: String,
    /// How many resources were created, updated, deleted, left the same, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_changes: BTreeMap<String, u64>,
}

/// What was last written of a stack's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WrittenOutputs {
    /// The service's id of the run after which they were read.
    pub run: String,
    /// The stack's number of that run.
    pub version: u64,
    /// Digest of `spec.outputs` as it was then.
    pub declared: String,
    /// How many keys the Secret got. Absent when none is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_keys: Option<u32>,
    /// How many keys the ConfigMap got. Absent when none is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_keys: Option<u32>,
    /// When they were written.
    pub written_at: Time,
}

/// An earlier run, or a request that never ran.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The request that the run was for.
    pub request_number: u64,
    /// What the run was for.
    pub purpose: Purpose,
    /// Counts the runs for this request and purpose from 1. `0`: there was none.
    pub attempt: u32,
    /// What made the run, or the request. Absent when an earlier version of the operator wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The operation.
    pub operation: Operation,
    /// The service's id. Absent when there was no run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The stack's number of the run. Absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Where people look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How it ended. `Skipped` without a run: the request was taken back, or a newer one took its place, before it ran.
    pub result: Phase,
    /// Why there was no run. Absent when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the service took it; of a request without a run: since when it waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Name of the failed step, when one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_step: Option<String>,
    /// Who approved it, where somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<GivenApproval>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_times_are_durations() {
        assert_eq!(default_settle().value().as_secs(), 5);
        let RetryBackoff { initial, max } = RetryBackoff::default();
        assert_eq!((initial.value().as_secs(), max.value().as_secs()), (30, 600));
    }

    #[test]
    fn operations_are_written_as_the_api_writes_them() {
        for operation in [
            Operation::Update,
            Operation::Preview,
            Operation::Destroy,
            Operation::Refresh,
            Operation::DetectDrift,
            Operation::RemediateDrift,
        ] {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.as_str());
        }
    }
}
