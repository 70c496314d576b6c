//! Runs. What became of one is read off its status before and after a write, once that has succeeded, so that each is
//! counted once.

use prometheus_client::{metrics::histogram::Histogram, registry::Registry};

use super::{
    Counters, Histograms, counters,
    labels::{Labels, OPERATION, RESULT, RETRIED, operations, phases, yes_or_no},
    seconds,
};
use crate::api::{
    DeploymentStatus,
    deployment::{Operation, Phase, Run},
};

/// Runs.
pub struct Runs {
    triggered: Counters<1>,
    ended: Counters<3>,
    unknown: Counters<1>,
    durations: Histograms<1>,
    queued: Histograms<1>,
}

impl Runs {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let each = || operations().map(|operation| [(OPERATION, operation)]);
        let results = |operation| {
            let ends = phases().filter(|phase| phase.is_terminal()).map(|end| (end, false));
            // Only one that failed by itself is tried again.
            ends.chain([(Phase::Failed, true)]).map(move |(end, retried)| ended(operation, end, retried))
        };
        Self {
            triggered: counters(registry, "runs_triggered", "Runs that were created, by Pulumi operation", each()),
            ended: counters(
                registry,
                "runs_ended",
                "Runs that ended, by Pulumi operation, by result, and by whether another run of the same request \
                 follows; one that was adopted while it went on too",
                operations().flat_map(results),
            ),
            unknown: counters(
                registry,
                "creates_unanswered",
                "Creates whose answer was lost, so that it has to be found out whether the run exists, by Pulumi \
                 operation",
                each(),
            ),
            durations: seconds(
                registry,
                "run_duration",
                "How long runs took that began, from the start of their first job to their end, by Pulumi operation",
                || {
                    let minutes = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0];
                    Histogram::new([10.0].into_iter().chain(minutes.map(|minutes| minutes * 60.0)))
                },
                each(),
            ),
            queued: seconds(
                registry,
                "run_queue",
                "How long runs waited in the service's queue before they began, by Pulumi operation",
                || Histogram::new([1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0]),
                each(),
            ),
        }
    }

    /// Counts a run that was created, or found after the answer to its create was lost.
    pub fn triggered(&self, operation: Operation) {
        self.triggered.get_or_create(&[(OPERATION, operation.as_str())]).inc();
    }

    /// Counts a create whose answer was lost.
    pub fn unanswered(&self, operation: Operation) {
        self.unknown.get_or_create(&[(OPERATION, operation.as_str())]).inc();
    }

    /// Counts what a status tells that was just written, and the one before it did not.
    pub fn told(&self, before: &DeploymentStatus, now: &DeploymentStatus) {
        let Some(run) = &now.run else { return };
        let Some(known) = before.run.as_ref().filter(|known| known.id == run.id) else { return };
        if let (Some(queued), Some(started), None) = (run.queued_at, run.started_at, known.started_at) {
            self.queued
                .get_or_create(&[(OPERATION, run.operation.as_str())])
                .observe(started.since(queued).as_secs_f64());
        }
        if let (Some(result), None) = (run.result, known.result) {
            self.ended(run, result, now.retry.is_some());
        }
    }

    /// Counts a run that ended, and whether it is tried again.
    pub fn ended(&self, run: &Run, result: Phase, retried: bool) {
        let operation = run.operation.as_str();
        self.ended.get_or_create(&ended(operation, result, retried)).inc();
        if let (Some(started), Some(finished)) = (run.started_at, run.finished_at) {
            self.durations.get_or_create(&[(OPERATION, operation)]).observe(finished.since(started).as_secs_f64());
        }
    }
}

fn ended(operation: &'static str, result: Phase, retried: bool) -> Labels<3> {
    [(OPERATION, operation), (RESULT, result.into()), (RETRIED, yes_or_no(retried))]
}
