//! Calls to Pulumi Cloud, and the request budgets that they count against.

use std::{fmt, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

use super::{
    Counters, Histograms, counters,
    labels::{CALL, CODE, PURPOSE, code},
    seconds,
};
use crate::pulumi::{CallClass, End, Meter};

/// Calls to Pulumi Cloud. Clones count together.
#[derive(Clone)]
pub struct Calls {
    requests: Counters<2>,
    durations: Histograms<1>,
    units: Counters<1>,
    waits: Histograms<1>,
    throttles: Counter,
}

impl Calls {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let purposes = || CallClass::ALL.map(|class| [(PURPOSE, class.as_str())]);
        let throttles = Counter::default();
        registry.register(
            "budget_throttles",
            "How often Pulumi Cloud asked for a pause (429), so that a request budget closed. Several answers to what \
             was under way count once",
            throttles.clone(),
        );
        Self {
            requests: counters(
                registry,
                "api_requests",
                "Requests to Pulumi Cloud, each retry counted, by the API's name of the call and by HTTP status; \
                 without one: `unreachable` (no connection), `timeout`, `broken` (the answer broke off or was of no \
                 use), `abandoned` (nobody waits for it any more)",
                [],
            ),
            durations: seconds(
                registry,
                "api_request_duration",
                "How long requests to Pulumi Cloud took, to the end of the answer, by the API's name of the call",
                || Histogram::new([0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
                [],
            ),
            units: counters(
                registry,
                "budget_units",
                "Units of the request budgets that were used, one a request, by what it is for",
                purposes(),
            ),
            waits: seconds(
                registry,
                "budget_wait",
                "How long calls stood in line for the request budget before their turn came, by what they are for",
                // The first has those that did not wait.
                || Histogram::new([0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0]),
                purposes(),
            ),
            throttles,
        }
    }
}

impl Meter for Calls {
    fn requested(&self, operation: &'static str, end: End, took: Duration) {
        self.requests.get_or_create(&[(CALL, operation), (CODE, code(end))]).inc();
        self.durations.get_or_create(&[(CALL, operation)]).observe(took.as_secs_f64());
    }

    fn spent(&self, class: CallClass) {
        self.units.get_or_create(&[(PURPOSE, class.as_str())]).inc();
    }

    fn waited(&self, class: CallClass, waited: Duration) {
        self.waits.get_or_create(&[(PURPOSE, class.as_str())]).observe(waited.as_secs_f64());
    }

    fn throttled(&self) {
        self.throttles.inc();
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Calls").finish_non_exhaustive()
    }
}
