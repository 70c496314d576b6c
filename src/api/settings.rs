//! `StackDeploymentSettings`: the deployment settings of one stack.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, Duration, Time,
    document::SettingsDocument,
    reference::StackRef,
    schedule::{DriftStatus, Schedule, ScheduleStatus},
    time::is_duration,
};

/// What a `StackDeploymentSettings` declares.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "deployments.pulumi.com",
    version = "v1alpha1",
    kind = "StackDeploymentSettings",
    plural = "stackdeploymentsettings",
    singular = "stackdeploymentsettings",
    shortname = "sds",
    category = "pulumi",
    namespaced,
    status = "StackDeploymentSettingsStatus",
    derive = "PartialEq",
    doc = "The deployment settings of one stack: what is declared here is made true in Pulumi Cloud and kept true.",
    printcolumn(
        name = "Stack",
        type_ = "string",
        json_path = ".status.stack",
        description = "organization/project/stack"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(
        name = "Paused",
        type_ = "boolean",
        json_path = ".status.paused",
        description = "Whether deployments of the stack are paused"
    ),
    printcolumn(
        name = "Drifted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Drifted')].status",
        description = "Whether the latest drift detection found drift"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.stack == oldSelf.stack")
        .message("stack cannot be changed: the settings of the old stack would be left behind; create another StackDeploymentSettings and delete this one")
)]
pub struct StackDeploymentSettingsSpec {
    /// The stack. Cannot be changed.
    pub stack: StackRef,
    /// `true`: create the stack when it does not exist. `false`: wait for it. Default: `false`.
    #[serde(default)]
    pub create_stack: bool,
    /// Pause (`true`) or resume (`false`) the stack's deployments. Absent: left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// How often the remote settings are compared with these. Default: `1h`.
    #[serde(default = "default_interval")]
    #[x_kube(validation = Rule::new(format!("!{} || duration(self) >= duration('10s')", is_duration("self"))).message("interval must be at least 10s: changes made here are pushed at once, the interval is only for changes made elsewhere"))]
    pub interval: Duration,
    /// What happens to fields that are set remotely and neither declared here nor ever set by this resource.
    /// `Keep`: they are left alone. `Remove`: they are removed. Default: `Keep`.
    #[serde(default)]
    pub unmanaged: Unmanaged,
    /// What happens remotely when this resource is deleted. `Clear`: what it set is unset, and when nothing else is left
    /// the settings are deleted. `Retain`: everything stays as it is. Default: `Clear`.
    #[serde(default)]
    pub deletion_policy: SettingsDeletionPolicy,
    /// The settings. What is absent is left as it is remotely; an empty value (`""`, `[]`, `{}`) means: must be unset. Default: `{}`.
    #[serde(default)]
    pub settings: SettingsDocument,
    /// The stack's schedules. Those that others made are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub schedules: Vec<Schedule>,
}

/// How often remote settings are compared when the spec does not say.
pub const DEFAULT_INTERVAL: &str = "1h";

#[allow(clippy::expect_used, reason = "a constant, parsed by a test")]
fn default_interval() -> Duration {
    DEFAULT_INTERVAL.parse().expect("a constant")
}

/// What happens to remote fields that nobody declared here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Unmanaged {
    /// They are left alone.
    #[default]
    Keep,
    /// They are removed.
    Remove,
}

/// What happens remotely when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SettingsDeletionPolicy {
    /// What this resource set is unset; when nothing else is left, the settings are deleted.
    #[default]
    Clear,
    /// Everything stays as it is.
    Retain,
}

/// What is known of a stack's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackDeploymentSettingsStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of `reconcile.fluxcd.io/requestedAt` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Ready`, `Reconciling`, `Stalled`, and this kind's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The stack, as `organization/project/stack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Digest of what is declared: the settings as written and the values they refer to. Remote changes do not move it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_digest: Option<String>,
    /// The Secrets and ConfigMaps that the last push read, and at which version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceVersion>,
    /// The remote fields that this resource set, with a digest of each value. Never a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub last_applied: Vec<AppliedField>,
    /// The remote settings as last seen in sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteVersion>,
    /// Whether deployments of the stack are paused, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Recent corrections of changes made elsewhere; three of the same fields within an hour stop them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// The declared schedules, and those that are still to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub schedules: Vec<ScheduleStatus>,
    /// What the stack's latest drift detection found; read while drift detection is scheduled here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
}

/// A Secret or ConfigMap at a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceVersion {
    /// `Secret` or `ConfigMap`.
    pub kind: SourceKind,
    /// Its name.
    pub name: String,
    /// Its `metadata.resourceVersion`.
    pub resource_version: String,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SourceKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// A remote field that this resource set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct AppliedField {
    /// JSON pointer of the field in the remote document.
    pub path: String,
    /// Keyed digest of the value that was set; absent between the claim of a field and its push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The remote settings at a version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RemoteVersion {
    /// Digest of the document, without what differs at every read.
    pub digest: String,
    /// The service's own counter of changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// A correction of a change that was made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Correction {
    /// When it was corrected.
    pub time: Time,
    /// The fields, as JSON pointers.
    pub paths: Vec<String>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_default_interval_is_a_duration() {
        assert_eq!(super::default_interval().value().as_secs(), 3600);
    }
}
