//! The conditions that kstatus reads, built the same way for every kind. Pure.
//!
//! | where the resource stands | `Ready` | `Reconciling` | `Stalled` |
//! |---|---|---|---|
//! | done | `True` | absent | absent |
//! | in progress | `Unknown` | `True` | absent |
//! | transient trouble | as it was | `True`, `ProgressingWithRetry` | absent |
//! | only a person can fix it | `False` | absent | `True` |

use crate::api::{
    Condition, ConditionStatus, Time,
    condition::{find, types},
};

/// Reason of `Reconciling` while something is tried again.
pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";

/// The condition that says that a pause could not be applied. It is there only then.
pub const PAUSE_APPLIED: &str = "PauseApplied";

/// The condition that says that the access token could not be renewed. It is there only then, and the token still good.
pub const TOKEN_RENEWED: &str = "TokenRenewed";

/// The condition that says that an organization's runs can't be followed as they should be. It is there only then.
pub const OBSERVING: &str = "Observing";

/// The condition that says that a schedule is not as declared. It is there only then.
pub const SCHEDULES_APPLIED: &str = "SchedulesApplied";

/// The condition that says whether the stack's outputs are where they are declared to be. It is there only where they
/// are declared.
pub const OUTPUTS_WRITTEN: &str = "OutputsWritten";

/// The condition that says what the latest drift detection found. It is there only where one has looked.
pub const DRIFTED: &str = "Drifted";

/// Says whether a pause could be applied: a right that is missing for it does not take the rest down.
pub fn set_pause_applied(conditions: &mut Vec<Condition>, failed: Option<&Standing>, generation: i64, now: Time) {
    match failed.map(Standing::words) {
        Some(Words { reason, message }) => {
            set(conditions, condition(PAUSE_APPLIED, ConditionStatus::False, reason, message, generation, now));
        }
        None => remove(conditions, PAUSE_APPLIED),
    }
}

/// What every resource says that waits for its turn.
pub const AWAITING_BUDGET: &str = "waiting for the request budget that everything with this token shares";

/// Where a resource stands, in kstatus' terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is what its spec says.
    Done(Words),
    /// It is on its way there.
    InProgress(Words),
    /// It is on its way, and the last attempt failed in a way that may pass.
    Retrying(Words),
    /// Only a person can get it further.
    Stalled(Words),
}

impl Standing {
    /// Why.
    #[must_use]
    pub const fn words(&self) -> &Words {
        match self {
            Self::Done(words) | Self::InProgress(words) | Self::Retrying(words) | Self::Stalled(words) => words,
        }
    }
}

/// Reason and message of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Words {
    /// One word for programs.
    pub reason: String,
    /// What happened, to which object, and what to do.
    pub message: String,
}

impl Words {
    /// A reason and its message. Reasons are enum variants whose `Debug` form is the reason.
    pub fn new(reason: impl std::fmt::Debug, message: impl Into<String>) -> Self {
        Self { reason: format!("{reason:?}"), message: message.into() }
    }
}

/// Replaces the three conditions of kstatus by those of `standing`.
pub fn set_standing(conditions: &mut Vec<Condition>, standing: &Standing, generation: i64, now: Time) {
    use ConditionStatus::{False, True, Unknown};
    let mut put = |type_: &str, status, reason: &str, message: &str| {
        set(conditions, condition(type_, status, reason, message, generation, now));
    };
    match standing {
        Standing::Done(Words { reason, message }) => {
            put(types::READY, True, reason, message);
            remove(conditions, types::RECONCILING);
            remove(conditions, types::STALLED);
        }
        Standing::InProgress(Words { reason, message }) => {
            put(types::READY, Unknown, reason, message);
            put(types::RECONCILING, True, reason, message);
            remove(conditions, types::STALLED);
        }
        Standing::Retrying(Words { reason, message }) => {
            put(types::RECONCILING, True, PROGRESSING_WITH_RETRY, message);
            if find(conditions, types::READY).is_none() {
                set(conditions, condition(types::READY, Unknown, reason, message, generation, now));
            }
            remove(conditions, types::STALLED);
        }
        Standing::Stalled(Words { reason, message }) => {
            put(types::READY, False, reason, message);
            put(types::STALLED, True, reason, message);
            remove(conditions, types::RECONCILING);
        }
    }
}

/// A condition seen now.
#[must_use]
pub fn condition(
    type_: &str,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    generation: i64,
    now: Time,
) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status,
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: now,
        observed_generation: generation,
    }
}

/// Puts a condition in its place; the transition time stays while the status does.
pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) {
    match conditions.iter_mut().find(|existing| existing.type_ == condition.type_) {
        Some(existing) => {
            if existing.status == condition.status {
                condition.last_transition_time = existing.last_transition_time;
            }
            *existing = condition;
        }
        None => conditions.push(condition),
    }
}

/// Takes a condition away.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    enum Reason {
        Synced,
        Waiting,
        Conflict,
    }

    fn at(seconds: i64) -> Time {
        Time::from_seconds(seconds)
    }

    fn statuses(conditions: &[Condition]) -> Vec<(&str, ConditionStatus, &str)> {
        let mut all: Vec<_> = conditions.iter().map(|c| (c.type_.as_str(), c.status, c.reason.as_str())).collect();
        all.sort_by_key(|(type_, ..)| *type_);
        all
    }

    #[test]
    fn each_standing_has_its_conditions() {
        use ConditionStatus::{False, True, Unknown};
        let mut conditions = Vec::new();
        set_standing(&mut conditions, &Standing::InProgress(Words::new(Reason::Waiting, "")), 1, at(1));
        assert_eq!(statuses(&conditions), [("Ready", Unknown, "Waiting"), ("Reconciling", True, "Waiting")]);
        set_standing(&mut conditions, &Standing::Done(Words::new(Reason::Synced, "")), 1, at(2));
        assert_eq!(statuses(&conditions), [("Ready", True, "Synced")]);
        set_standing(&mut conditions, &Standing::Retrying(Words::new(Reason::Waiting, "503")), 1, at(3));
        assert_eq!(statuses(&conditions), [("Ready", True, "Synced"), ("Reconciling", True, PROGRESSING_WITH_RETRY)]);
        set_standing(&mut conditions, &Standing::Stalled(Words::new(Reason::Conflict, "")), 2, at(4));
        assert_eq!(statuses(&conditions), [("Ready", False, "Conflict"), ("Stalled", True, "Conflict")]);
    }

    #[test]
    fn the_transition_time_stays_while_the_status_does() {
        let mut conditions = Vec::new();
        set_standing(&mut conditions, &Standing::Done(Words::new(Reason::Synced, "one")), 1, at(1));
        set_standing(&mut conditions, &Standing::Done(Words::new(Reason::Synced, "two")), 2, at(9));
        assert_eq!(conditions[0].last_transition_time, at(1));
        assert_eq!((conditions[0].message.as_str(), conditions[0].observed_generation), ("two", 2));
    }
}
