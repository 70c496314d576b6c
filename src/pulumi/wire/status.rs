//! The states of runs, jobs and steps.

use std::fmt;

use serde::Deserialize;

/// The state of a deployment or of one of its jobs.
///
/// The service has no state for "canceled" or "timed out": such runs end as `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "String")]
pub enum Status {
    /// Waiting in the queue.
    NotStarted,
    /// Handed to an executor that has not begun.
    Accepted,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly, or was canceled.
    Failed,
    /// Never ran: it waited for more than seven days, or a newer one made it superfluous.
    Skipped,
    /// Something that this version does not know.
    Other(String),
}

impl Status {
    /// True when nothing will change any more.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }

    /// True before the run has begun.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        matches!(self, Self::NotStarted | Self::Accepted)
    }

    /// The service's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::NotStarted => "not-started",
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Status {
    fn from(word: String) -> Self {
        match word.as_str() {
            "not-started" => Self::NotStarted,
            "accepted" => Self::Accepted,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "skipped" => Self::Skipped,
            _ => Self::Other(word),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The state of a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "String")]
pub enum StepStatus {
    /// Not reached yet, or never.
    NotStarted,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Something that this version does not know.
    Other(String),
}

impl StepStatus {
    /// True when nothing will change any more.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// The service's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::NotStarted => "not-started",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for StepStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "not-started" => Self::NotStarted,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            _ => Self::Other(word),
        }
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for word in ["not-started", "accepted", "running", "succeeded", "failed", "skipped", "paused"] {
            let status: Status = serde_json::from_value(word.into()).unwrap();
            assert_eq!(status.as_str(), word);
            assert_eq!(matches!(status, Status::Other(_)), word == "paused");
            assert_eq!(status.is_terminal(), ["succeeded", "failed", "skipped"].contains(&word));
            assert_eq!(status.is_queued(), ["not-started", "accepted"].contains(&word));
            let step: StepStatus = serde_json::from_value(word.into()).unwrap();
            assert_eq!(step.to_string(), word);
        }
    }
}
