//! For the tests of every kind: what kstatus reads out of conditions, and anything that a status can be told.

use proptest::{prelude::*, sample::select};

use super::{
    conditions::{PROGRESSING_WITH_RETRY, Standing, Words},
    requeue::{Consequence, Retry},
};
use crate::{
    api::{Condition, ConditionStatus, Time, condition::types},
    pulumi::Class,
};

/// What kstatus makes of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing is said yet.
    Silent,
    /// It is what its spec says.
    Done,
    /// It is on its way.
    InProgress,
    /// It is on its way, and something is tried again.
    Retrying,
    /// Only a person can get it further.
    Stalled,
}

/// Reads the conditions.
///
/// # Panics
/// When they contradict each other.
pub fn read(conditions: &[Condition]) -> Reading {
    use ConditionStatus::{False, True, Unknown};
    let one = |type_: &str| {
        let mut found = conditions.iter().filter(|condition| condition.type_ == type_);
        let first = found.next();
        assert_eq!(found.next(), None, "{type_} is there twice");
        first.map(|condition| (condition.status, condition.reason.as_str()))
    };
    let status = |found: Option<(ConditionStatus, &str)>| found.map(|(status, _)| status);
    let (ready, reconciling, stalled) = (one(types::READY), one(types::RECONCILING), one(types::STALLED));
    match (status(ready), status(reconciling), status(stalled)) {
        (None, None, None) => Reading::Silent,
        (Some(True), None, None) => Reading::Done,
        (Some(_), Some(True), None) if reconciling.is_some_and(|(_, reason)| reason == PROGRESSING_WITH_RETRY) => {
            Reading::Retrying
        }
        (Some(Unknown), Some(True), None) => Reading::InProgress,
        (Some(False), None, Some(True)) => Reading::Stalled,
        other => panic!("the conditions contradict each other: {other:?}"),
    }
}

/// The time moves only with the status of its condition.
///
/// # Panics
/// When a time has moved by itself, or stayed where it should have moved.
pub fn assert_transitions(before: &[Condition], after: &[Condition], now: Time) {
    for condition in after {
        let known = before.iter().find(|known| known.type_ == condition.type_);
        let since = known.filter(|known| known.status == condition.status).map_or(now, |it| it.last_transition_time);
        assert_eq!(condition.last_transition_time, since, "{condition:?}");
    }
}

/// Some reason, with some message.
pub fn any_words() -> impl Strategy<Value = Words> {
    (select(vec!["One", "Other"]), select(vec!["this", "that"]))
        .prop_map(|(reason, message)| Words { reason: reason.to_owned(), message: message.to_owned() })
}

/// What follows from some failed call.
pub fn any_consequence() -> impl Strategy<Value = Consequence> {
    let standing = (any_words(), any::<bool>())
        .prop_map(|(words, stalls)| if stalls { Standing::Stalled(words) } else { Standing::Retrying(words) });
    (standing, select(vec![Class::Unauthorized, Class::NotFound, Class::Unavailable])).prop_map(|(standing, class)| {
        Consequence { class, standing, retry: Retry::Backoff, detail: "differs each time".to_owned() }
    })
}
