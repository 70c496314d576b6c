//! When the remote settings are due for a comparison: on the wall clock, so that nothing needs to be stored. Pure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// Whether a comparison fell due after `last` and until `now`, both in seconds since the epoch.
#[must_use]
pub fn is_due(uid: &str, interval: Duration, last: i64, now: i64) -> bool {
    slot(uid, interval, now) > last
}

/// How long until the next comparison falls due.
#[must_use]
pub fn next(uid: &str, interval: Duration, now: i64) -> Duration {
    let period = period(interval);
    let next = slot(uid, interval, now) + period;
    Duration::from_secs(u64::try_from(next - now).unwrap_or(1).max(1))
}

/// The latest due time until `now`. Resources are spread over the interval by their uid.
fn slot(uid: &str, interval: Duration, now: i64) -> i64 {
    let period = period(interval);
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    let offset = i64::try_from(hasher.finish() % u64::try_from(period).unwrap_or(1)).unwrap_or(0);
    now - (now - offset).rem_euclid(period)
}

fn period(interval: Duration) -> i64 {
    i64::try_from(interval.as_secs()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_falls_due_once_per_interval(uid in "[a-z0-9]{8}", seconds in 10_u64..5000, start in 1_000_000_i64..2_000_000) {
            let interval = Duration::from_secs(seconds);
            let (mut last, mut due) = (start, 0);
            for now in start..start + 3 * i64::try_from(seconds).unwrap() {
                if is_due(&uid, interval, last, now) {
                    due += 1;
                    last = now;
                }
            }
            prop_assert!(due == 3 || due == 2, "{due}");
        }

        #[test]
        fn it_is_due_when_the_next_time_has_come(uid in "[a-z0-9]{8}", seconds in 10_u64..5000, now in 1_000_000_i64..2_000_000) {
            let interval = Duration::from_secs(seconds);
            let wait = i64::try_from(next(&uid, interval, now).as_secs()).unwrap();
            prop_assert!(is_due(&uid, interval, now, now + wait));
            prop_assert!(!is_due(&uid, interval, now, now + wait - 1));
        }
    }
}
