//! The schedules of a stack, under `spec.schedules` and `status.schedules` of a `StackDeploymentSettings`, and what is
//! known of the stack's drift.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Time, deployment::Operation};

/// What a cron expression must look like: a rule and not a pattern, for the sentence.
const CRON_RULE: &str = r"self.cron.matches('^[^ ]+( [^ ]+){4}$')";

/// What a user reads who wrote something else.
const CRON_MESSAGE: &str =
    "write five fields with one space between them: minute, hour, day of month, month, day of week; times are UTC";

/// Runs that the service starts by itself. Exactly one of `deployment`, `drift` and `ttl` says which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.deployment), has(self.drift), has(self.ttl)].filter(x, x).size() == 1")
        .message("write exactly one of deployment, drift and ttl")
)]
pub struct Schedule {
    /// Name of the schedule. It is known in this resource only: the service has no names for schedules.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("write a name of lower-case letters, digits and '-' that begins and ends with a letter or a digit"))]
    pub name: String,
    /// Pause (`true`) or resume (`false`) the schedule. Absent: left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Runs of one operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<ScheduledDeployment>,
    /// Drift detection: compares the stack's state with what is really there, and repairs it where asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<ScheduledDrift>,
    /// The end of the stack: its resources are destroyed then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<ScheduledTtl>,
}

/// Runs of one operation, with the stack's settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.cron) != has(self.once)")
        .message("write exactly one of cron and once"),
    validation = Rule::new(format!("!has(self.cron) || {CRON_RULE}")).message(CRON_MESSAGE).field_path(".cron"),
    validation = Rule::new("self.operation != 'detect-drift'")
        .message("drift detection has a form of its own: write drift: {cron} instead of deployment").field_path(".operation")
)]
pub struct ScheduledDeployment {
    /// When to run, again and again: a cron expression of five fields, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 100))]
    pub cron: Option<String>,
    /// When to run, once: a time such as `2030-01-31T18:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Time>,
    /// What to run. `update`: bring the stack to what its program says. `preview`: say what an update would do.
    /// `destroy`: delete all of its resources. `refresh`: bring its state to what is really there.
    /// `detect-drift`: always refused here, write `drift`. `remediate-drift`: bring what is really there back to its state.
    pub operation: Operation,
}

/// Drift detection, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(CRON_RULE).message(CRON_MESSAGE).field_path(".cron"))]
pub struct ScheduledDrift {
    /// When to look: a cron expression of five fields, in UTC.
    #[schemars(length(min = 9, max = 100))]
    pub cron: String,
    /// Whether drift that was found is repaired at once. The service asks a higher subscription for it. Absent: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_remediate: Option<bool>,
}

/// The end of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledTtl {
    /// When the stack's resources are destroyed: a time such as `2030-01-31T18:00:00Z`.
    pub time: Time,
    /// Whether the stack itself is deleted after that. Absent: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_destroy: Option<bool>,
}

/// What is known of one schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleStatus {
    /// Its name in the spec.
    pub name: String,
    /// The service's id of the schedule that this resource made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The service's id of an equal schedule that somebody else made: it is left alone, and no second one is made.
    #[serde(default, rename = "foreignID", skip_serializing_if = "Option::is_none")]
    pub foreign_id: Option<String>,
    /// A creation whose outcome is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<ScheduleIntent>,
    /// Digest of the definition that the service refused; it is asked again when the settings are compared next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// When changes that were made elsewhere were corrected; three within an hour stop the corrections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Time>,
    /// Digest of the definition that was last made true remotely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Digest of the definition as the service left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// Whether it is paused, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// When it runs next, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_execution: Option<Time>,
    /// When it ran last, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_executed: Option<Time>,
    /// Why it is not as declared, in one word. Absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it is not as declared, and what to do. Absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A schedule is about to be created.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleIntent {
    /// When it was written.
    pub time: Time,
    /// Digest of the definition that is asked for.
    pub definition: String,
    /// Ids of equal schedules that were there before, and so are somebody else's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub existing: Vec<String>,
}

/// What became of a drift detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DriftResult {
    /// It found drift.
    Drifted,
    /// It found none.
    NoDrift,
    /// It found drift, which was repaired at once.
    Remediated,
    /// It failed, or has not ended yet.
    Unknown,
}

/// What the service's latest drift detection found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftStatus {
    /// Whether the service counts the stack as drifted.
    pub detected: bool,
    /// What became of the detection. `Drifted`: it found drift. `NoDrift`: it found none. `Remediated`: it found drift,
    /// which was repaired at once. `Unknown`: it failed, or has not ended yet.
    pub result: DriftResult,
    /// Id of the drift run. Absent until one has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Whether another one is under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_progress: bool,
    /// Version of the deployment that looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// That deployment in the Pulumi console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When this was first seen.
    pub seen_at: Time,
}
