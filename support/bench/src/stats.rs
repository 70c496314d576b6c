//! Medians, tails and ratios.

use std::{fmt, time::Duration};

/// A sample of durations.
pub struct Sample(Vec<Duration>);

impl Sample {
    /// Sorts the durations.
    pub fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort();
        Self(durations)
    }

    /// The duration that this share of the sample does not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let index = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len().max(1)) - 1;
        self.0.get(index).copied().unwrap_or_default()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |share| self.quantile(share).as_secs_f64() * 1000.0;
        write!(
            f,
            "p50 {:7.1} ms   p99 {:7.1} ms   max {:7.1} ms",
            milliseconds(0.5),
            milliseconds(0.99),
            milliseconds(1.0)
        )
    }
}

/// How many times as long as `floor` something took.
pub fn ratio(measured: Duration, floor: Duration) -> f64 {
    measured.as_secs_f64() / floor.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let sample = Sample::new((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(sample.quantile(0.5), Duration::from_millis(50));
        assert_eq!(sample.quantile(0.99), Duration::from_millis(99));
        assert_eq!(sample.quantile(1.0), Duration::from_millis(100));
    }
}
