//! What is counted. No object names in labels: there may be thousands of them.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::api::deployment::{Operation, Phase};

/// All metrics, and the registry that exposes them.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Controller, Counter>,
    errors: Family<ControllerError, Counter>,
    durations: Family<Controller, Histogram, fn() -> Histogram>,
    triggered: Family<Run, Counter>,
    ended: Family<RunEnd, Counter>,
    pushes: Family<Push, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerError {
    controller: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Run {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunEnd {
    operation: &'static str,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Push {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

const PREFIX: &str = "pulumi_deployments_operator";

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let metrics = Self {
            reconciles: Family::default(),
            errors: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 9))),
            triggered: Family::default(),
            ended: Family::default(),
            pushes: Family::default(),
            registry: Registry::default(),
        };
        registry.register("reconciles", "Reconciles, by controller", metrics.reconciles.clone());
        registry.register(
            "reconcile_errors",
            "Reconciles that could not be finished, by controller and class",
            metrics.errors.clone(),
        );
        registry.register("reconcile_duration_seconds", "How long reconciles take", metrics.durations.clone());
        registry.register("runs_triggered", "Runs that were created", metrics.triggered.clone());
        registry.register("runs_ended", "Runs that ended, by result", metrics.ended.clone());
        registry.register(
            "settings_pushes",
            "Pushes of settings: declared here, or a correction of drift",
            metrics.pushes.clone(),
        );
        let build: Family<Build, Gauge<u64, AtomicU64>> = Family::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version that runs", build);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts a reconcile, and the class of what went wrong in it.
    pub fn reconciled(&self, controller: &'static str, took: Duration, failure: Option<&'static str>) {
        self.reconciles.get_or_create(&Controller { controller }).inc();
        self.durations.get_or_create(&Controller { controller }).observe(took.as_secs_f64());
        if let Some(class) = failure {
            self.errors.get_or_create(&ControllerError { controller, class }).inc();
        }
    }

    /// Counts a run that was created.
    pub fn run_triggered(&self, operation: Operation) {
        self.triggered.get_or_create(&Run { operation: operation.as_str() }).inc();
    }

    /// Counts a run that ended.
    pub fn run_ended(&self, operation: Operation, result: Phase) {
        self.ended.get_or_create(&RunEnd { operation: operation.as_str(), result: result.to_string() }).inc();
    }

    /// Counts a push of settings.
    pub fn settings_pushed(&self, corrects: bool) {
        self.pushes.get_or_create(&Push { cause: if corrects { "drift" } else { "declared" } }).inc();
    }

    /// All metrics in `OpenMetrics` text.
    ///
    /// # Errors
    /// When a metric cannot be written, which would be a bug.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_exposed() {
        let metrics = Metrics::default();
        metrics.run_triggered(Operation::Update);
        metrics.run_ended(Operation::Update, Phase::Failed);
        metrics.settings_pushed(true);
        metrics.reconciled("deployment", Duration::from_millis(5), Some("conflict"));
        let page = metrics.encode().unwrap();
        for line in [
            "pulumi_deployments_operator_runs_triggered_total{operation=\"update\"} 1",
            "pulumi_deployments_operator_runs_ended_total{operation=\"update\",result=\"Failed\"} 1",
            "pulumi_deployments_operator_settings_pushes_total{cause=\"drift\"} 1",
            "pulumi_deployments_operator_reconcile_errors_total{controller=\"deployment\",class=\"conflict\"} 1",
        ] {
            assert!(page.contains(line), "{line} is missing in:\n{page}");
        }
    }
}
