//! What the service says about a stack's or an organization's runs as a whole.

use serde::Deserialize;

use super::lenient::{non_empty, or_default};

/// `GET …/deployments/metadata` of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationMetadata {
    /// True: new runs wait.
    pub paused: bool,
    /// The stacks (`project/stack`) that are paused by themselves; not every server says.
    #[serde(default, deserialize_with = "or_default")]
    pub paused_stacks: Vec<String>,
    /// How many runs may run at the same time.
    #[serde(default)]
    pub concurrency: Option<u64>,
    /// How many runs there are in each state.
    #[serde(rename = "deploymentCounts", default, deserialize_with = "or_default")]
    pub counts: DeploymentCounts,
}

/// How many runs an organization has in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names of the states, see Status")]
pub struct DeploymentCounts {
    pub not_started: u64,
    pub accepted: u64,
    pub running: u64,
    pub failed: u64,
    pub succeeded: u64,
    pub skipped: u64,
    pub total: u64,
}

/// `GET …/deployments/metadata` of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "as the service has it")]
pub struct StackMetadata {
    /// True: new runs wait, because of the stack's pause or the organization's.
    pub paused: bool,
    /// True: the stack itself is paused.
    #[serde(default, deserialize_with = "or_default")]
    pub stack_paused: bool,
    /// True: its organization is paused.
    #[serde(default, deserialize_with = "or_default")]
    pub organization_paused: bool,
    /// True: it has at least one schedule.
    #[serde(default, deserialize_with = "or_default")]
    pub has_schedules: bool,
    /// What is known about drift.
    #[serde(default)]
    pub drift: Option<Drift>,
}

/// What is known about a stack's drift.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Drift {
    /// True: the latest detection found some.
    #[serde(rename = "driftDetected", deserialize_with = "or_default")]
    pub detected: bool,
    /// The latest detection's id.
    #[serde(rename = "latestDriftRun", deserialize_with = "non_empty")]
    pub latest_run: Option<String>,
    /// True: a detection is under way.
    #[serde(rename = "runInProgress", deserialize_with = "or_default")]
    pub in_progress: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_examples() {
        let stack: StackMetadata =
            serde_json::from_value(json!({"paused": true, "stackPaused": false, "organizationPaused": true})).unwrap();
        assert!(stack.paused && stack.organization_paused && !stack.stack_paused && !stack.has_schedules);

        let organization: OrganizationMetadata = serde_json::from_value(json!({
            "paused": false, "pausedStacks": ["web/dev"], "concurrency": 1,
            "deploymentCounts": {"notStarted": 2, "succeeded": 5, "total": 7},
        }))
        .unwrap();
        assert_eq!(organization.concurrency, Some(1));
        assert_eq!(
            organization.counts,
            DeploymentCounts { not_started: 2, succeeded: 5, total: 7, ..DeploymentCounts::default() }
        );
    }

    #[test]
    fn an_answer_that_does_not_say_whether_it_is_paused_is_none() {
        assert!(serde_json::from_value::<StackMetadata>(json!({})).is_err());
    }
}
