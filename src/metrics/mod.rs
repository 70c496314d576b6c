//! What is counted and measured, for Prometheus.
//!
//! | what | file |
//! |---|---|
//! | reconciles, and finalizers that gave up | [`reconciles`] |
//! | calls to Pulumi Cloud, and the request budgets | [`calls`] |
//! | runs | [`runs`] |
//! | settings, drift, access tokens | [`convergence`] |
//! | how things stand at the moment of a scrape | [`now`] |
//! | labels, and every value that they may have | [`labels`] |
//!
//! Counters whose labels are known begin at 0, so that their first increase is one for Prometheus too. What is counted
//! before the first scrape is none, though: the alerts for what must not be missed look at the first value as well.

pub mod calls;
pub mod convergence;
pub mod labels;
pub mod now;
pub mod reconciles;
pub mod runs;

use std::fmt;

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use self::{calls::Calls, convergence::Convergence, labels::Labels, now::Now, reconciles::Reconciles, runs::Runs};

/// What all names begin with.
pub const PREFIX: &str = "pulumi_deployments_operator";

/// A counter with labels.
type Counters<const N: usize> = Family<Labels<N>, Counter>;
/// A histogram with labels.
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// Everything that is counted, and the registry that exposes it.
pub struct Metrics {
    registry: Registry,
    /// Reconciles.
    pub reconciles: Reconciles,
    /// Calls to Pulumi Cloud, and the request budgets.
    pub calls: Calls,
    /// Runs.
    pub runs: Runs,
    /// Settings, drift, access tokens.
    pub convergence: Convergence,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        Self {
            reconciles: Reconciles::new(&mut registry),
            calls: Calls::new(&mut registry),
            runs: Runs::new(&mut registry),
            convergence: Convergence::new(&mut registry),
            registry,
        }
    }
}

impl Metrics {
    /// The page that Prometheus reads, in `OpenMetrics` text: what was counted, and how things stand now.
    ///
    /// # Errors
    /// When a metric cannot be written, which would be a bug.
    pub fn page(&self, now: &Now) -> Result<String, fmt::Error> {
        // Made anew each time: what is not there any more is not shown any more, and two scrapes do not meet.
        let mut momentary = Registry::with_prefix(PREFIX);
        now.register(&mut momentary);
        let mut page = String::new();
        text::encode_registry(&mut page, &self.registry)?;
        text::encode_registry(&mut page, &momentary)?;
        text::encode_eof(&mut page)?;
        Ok(page)
    }
}

/// Registers counters that begin at 0 for all these labels.
fn counters<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    known: impl IntoIterator<Item = Labels<N>>,
) -> Counters<N> {
    let family = Counters::default();
    for labels in known {
        let _ = family.get_or_create(&labels);
    }
    registry.register(name, help, family.clone());
    family
}

/// Registers histograms of seconds with these bounds, that begin at 0 for all these labels. The unit is added to the
/// name.
fn seconds<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    make: fn() -> Histogram,
    known: impl IntoIterator<Item = Labels<N>>,
) -> Histograms<N> {
    let family = Histograms::new_with_constructor(make);
    for labels in known {
        let _ = family.get_or_create(&labels);
    }
    registry.register_with_unit(name, help, Unit::Seconds, family.clone());
    family
}

#[cfg(test)]
mod tests;
