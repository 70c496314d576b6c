//! Reconciles, and what they let go without having done what they should.

use std::time::Duration;

use prometheus_client::{
    metrics::histogram::{Histogram, exponential_buckets},
    registry::Registry,
};

use super::{
    Counters, Histograms, counters,
    labels::{CLASS, CONTROLLER, KIND},
    seconds,
};
use crate::controllers::{Error, links::Kind};

/// Reconciles.
pub struct Reconciles {
    all: Counters<1>,
    errors: Counters<2>,
    durations: Histograms<1>,
    given_up: Counters<1>,
}

impl Reconciles {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let controllers = || Kind::ALL.map(|kind| [(CONTROLLER, kind.label())]);
        let classes = |kind: Kind| Error::CLASSES.map(move |class| [(CONTROLLER, kind.label()), (CLASS, class)]);
        Self {
            all: counters(registry, "reconciles", "Reconciles, by controller", controllers()),
            errors: counters(
                registry,
                "reconcile_errors",
                "Reconciles that could not be finished, by controller and class: `conflict` (the object had changed, \
                 and everything is planned anew: nothing to worry about), `kubernetes` (its API failed), `serialize` \
                 and `panic` (bugs)",
                Kind::ALL.into_iter().flat_map(classes),
            ),
            durations: seconds(
                registry,
                "reconcile_duration",
                "How long reconciles took, by controller",
                || Histogram::new(exponential_buckets(0.001, 4.0, 9)),
                controllers(),
            ),
            given_up: counters(
                registry,
                "finalizers_given_up",
                "Resources that were let go in a namespace that is being deleted, although the service could not be \
                 reached any more: what they had made there is still there. By kind",
                Kind::ALL.map(|kind| [(KIND, kind.label())]),
            ),
        }
    }

    /// Counts a reconcile, and the class of what went wrong in it.
    pub fn reconciled(&self, kind: Kind, took: Duration, failure: Option<&'static str>) {
        let controller = (CONTROLLER, kind.label());
        self.all.get_or_create(&[controller]).inc();
        self.durations.get_or_create(&[controller]).observe(took.as_secs_f64());
        if let Some(class) = failure {
            self.errors.get_or_create(&[controller, (CLASS, class)]).inc();
        }
    }

    /// Counts a resource that was let go although its work was not done.
    pub fn gave_up(&self, kind: Kind) {
        self.given_up.get_or_create(&[(KIND, kind.label())]).inc();
    }
}
