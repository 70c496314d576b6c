//! Deployments.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::StackKey;
use super::people::User;
use crate::run::Run;

/// What Pulumi is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Update,
    Preview,
    Destroy,
    Refresh,
    DetectDrift,
    RemediateDrift,
}

impl Operation {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "update" => Self::Update,
            "preview" => Self::Preview,
            "destroy" => Self::Destroy,
            "refresh" => Self::Refresh,
            "detect-drift" => Self::DetectDrift,
            "remediate-drift" => Self::RemediateDrift,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Preview => "preview",
            Self::Destroy => "destroy",
            Self::Refresh => "refresh",
            Self::DetectDrift => "detect-drift",
            Self::RemediateDrift => "remediate-drift",
        }
    }

    /// The name of the step in which Pulumi runs.
    pub(crate) fn step(self) -> &'static str {
        match self {
            Self::Update => "pulumi update",
            Self::Preview => "pulumi preview",
            Self::Destroy => "pulumi destroy",
            Self::Refresh => "pulumi refresh",
            Self::DetectDrift => "Drift detection",
            Self::RemediateDrift => "Drift remediation",
        }
    }

    /// What the stack's history calls it.
    pub(crate) fn update_kind(self) -> &'static str {
        match self {
            Self::Update | Self::RemediateDrift => "update",
            Self::Preview => "preview",
            Self::Destroy => "destroy",
            Self::Refresh => "refresh",
            Self::DetectDrift => "Prefresh",
        }
    }

    /// Whether it leaves the stack as it is.
    pub(crate) fn only_looks(self) -> bool {
        matches!(self, Self::Preview | Self::DetectDrift)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    NotStarted,
    Accepted,
    Running,
    Failed,
    Succeeded,
    Skipped,
}

impl Status {
    pub(crate) const ALL: [Self; 6] =
        [Self::NotStarted, Self::Accepted, Self::Running, Self::Failed, Self::Succeeded, Self::Skipped];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not-started",
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
        }
    }

    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Failed | Self::Succeeded | Self::Skipped)
    }
}

#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) stack: StackKey,
    pub(crate) version: usize,
    pub(crate) operation: Operation,
    pub(crate) status: Status,
    /// Somebody asked to stop it.
    pub(crate) canceled: bool,
    /// Taken out of the queue: the API does not know it any more.
    pub(crate) removed: bool,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) requested_by: Arc<User>,
    pub(crate) initiator: String,
    /// The settings it runs with, merged.
    pub(crate) settings: Value,
    /// The commit that it got; none before its run began, or without a Git repository.
    pub(crate) commit: Option<String>,
    pub(crate) run: Option<Run>,
    /// Where its updates are in the stack's history.
    pub(crate) updates: Vec<usize>,
    /// Voids the events that were planned for it before.
    pub(crate) generation: u64,
}
