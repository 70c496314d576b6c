//! Conditions, as the Kubernetes API conventions and kstatus read them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known, or not decided yet.
    Unknown,
}

/// One observation of a resource's state.
//
// Own type instead of the one of k8s-openapi, because the pure stages compare and hash what they work on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed: `Ready`, `Reconciling`, `Stalled`, or one of this kind's own.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// Why, in one word for programs.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// What happened, to which object, and what to do, for people.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When the status last changed from one value to another.
    pub last_transition_time: Time,
    /// The `metadata.generation` that this was observed for.
    #[serde(default)]
    pub observed_generation: i64,
}

/// The condition types that kstatus reads.
pub mod types {
    /// The resource is what its spec says.
    pub const READY: &str = "Ready";
    /// Work towards the spec goes on.
    pub const RECONCILING: &str = "Reconciling";
    /// Only a person can get it further.
    pub const STALLED: &str = "Stalled";
}

/// Finds a condition by its type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether `Ready` is `True` for this generation.
#[must_use]
pub fn is_ready(conditions: &[Condition], generation: i64) -> bool {
    find(conditions, types::READY)
        .is_some_and(|ready| ready.status == ConditionStatus::True && ready.observed_generation == generation)
}
