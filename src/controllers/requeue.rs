//! The one table that turns the class of a failed call into what the resource says and when it is tried again. Pure.

use std::time::Duration;

use super::conditions::{Standing, Words};
use crate::pulumi::{Class, Error};

/// What follows from a failed call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Consequence {
    /// The class of the failure.
    pub class: Class,
    /// What the resource says.
    pub standing: Standing,
    /// When it is tried again if nothing changes before.
    pub retry: Retry,
    /// What happened, with the service's name for the request: for logs. In status it would change with every attempt.
    pub detail: String,
}

/// When something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Soon, and then ever more rarely.
    Backoff,
    /// After this time.
    After(Duration),
}

/// A right may be granted and a quota raised without any change here.
const UNTIL_SOMEBODY_ACTS: Duration = Duration::from_secs(300);

/// The reasons that the table gives.
pub const REASONS: [&str; 8] = [
    "TokenRejected",
    "Forbidden",
    "Rejected",
    "UnsupportedByBackend",
    "NotFound",
    "Throttled",
    "Unavailable",
    "Unreachable",
];

/// Reads the table. `remedy` tells a person what to do where only a person can help.
#[must_use]
pub fn consequence(error: &Error, remedy: &str) -> Consequence {
    let sentence = || error.summary().trim_end_matches('.').to_owned();
    let told = |reason: &str| Words { reason: reason.to_owned(), message: format!("{}. {remedy}", sentence()) };
    let trouble =
        |reason: &str| Words { reason: reason.to_owned(), message: format!("{}; it is tried again", error.summary()) };
    let class = error.class();
    let (standing, retry) = match class {
        Class::Unauthorized => (Standing::Stalled(told("TokenRejected")), Retry::After(UNTIL_SOMEBODY_ACTS)),
        Class::Forbidden => (Standing::Stalled(told("Forbidden")), Retry::After(UNTIL_SOMEBODY_ACTS)),
        Class::Invalid => (Standing::Stalled(told("Rejected")), Retry::After(UNTIL_SOMEBODY_ACTS)),
        Class::Unsupported => (
            Standing::Stalled(Words {
                reason: "UnsupportedByBackend".to_owned(),
                message: format!(
                    "{}; take what asks for it out, or set dialect: Stacks in the Organization when its backend has the \
                     other API by now",
                    error.summary()
                ),
            }),
            Retry::After(UNTIL_SOMEBODY_ACTS),
        ),
        Class::NotFound => (Standing::Retrying(told("NotFound")), Retry::Backoff),
        Class::Throttled => {
            (Standing::Retrying(trouble("Throttled")), error.retry_after().map_or(Retry::Backoff, Retry::After))
        }
        Class::Unavailable | Class::Ambiguous => (Standing::Retrying(trouble("Unavailable")), Retry::Backoff),
        Class::NotSent => (Standing::Retrying(trouble("Unreachable")), Retry::Backoff),
    };
    Consequence { class, standing, retry, detail: error.to_string() }
}

/// The delay before a failed call is made again.
///
/// `random` is uniform between 0 and 1.
#[must_use]
pub fn backoff(failures: u32, random: f64) -> Duration {
    grown(Duration::from_millis(500), Duration::from_secs(120), failures, random)
}

/// The delay before the next attempt: `first`, doubled with each further failure in a row up to `longest`, half of it
/// random.
///
/// `random` is uniform between 0 and 1.
#[must_use]
pub fn grown(first: Duration, longest: Duration, failures: u32, random: f64) -> Duration {
    let full = first.saturating_mul(1 << failures.saturating_sub(1).min(30)).min(longest);
    full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::recorded::FAILURES;

    #[test]
    fn every_reason_of_the_table_is_in_its_list() {
        for (class, reason, _) in FAILURES {
            assert!(REASONS.contains(&reason), "{class:?}");
        }
        assert_eq!(FAILURES.len(), REASONS.len());
    }

    #[test]
    fn delays_grow_and_are_bounded() {
        let delays: Vec<_> = (1..20).map(|failures| backoff(failures, 1.0)).collect();
        assert_eq!(delays[0], Duration::from_millis(500));
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(delays.last(), Some(&Duration::from_secs(120)));
        assert_eq!(backoff(3, 0.0), Duration::from_secs(1));
    }
}
