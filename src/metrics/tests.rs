use std::{collections::BTreeSet, sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::{convergence::Exchange, labels::values, *};
use crate::{
    api::{
        Deployment, DeploymentStatus, Organization, StackDeploymentSettings, StackDeploymentSettingsStatus, Time,
        deployment::{Operation, Retry, Run},
    },
    controllers::links::Kind,
    pulumi::{Admission, CallClass, End, Gate, Governor, Meter, OPERATIONS, Rate, Waiter},
};

/// A line of the page without the prefix.
fn value(metrics: &Metrics, now: &Now, series: &str) -> Option<f64> {
    let page = metrics.page(now).unwrap();
    let wanted = format!("{PREFIX}_{series} ");
    page.lines().find_map(|line| line.strip_prefix(&wanted)?.parse().ok())
}

/// The same without what is behind the point.
fn counted(metrics: &Metrics, series: &str) -> u64 {
    let page = metrics.page(&Now::nothing()).unwrap();
    let wanted = format!("{PREFIX}_{series} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&wanted)).unwrap_or_else(|| panic!("no {series}"));
    value.split('.').next().unwrap().parse().unwrap()
}

#[test]
fn what_is_known_begins_at_zero() {
    let metrics = Metrics::default();
    for series in [
        "reconciles_total{controller=\"deployment\"}",
        "reconcile_errors_total{controller=\"organization\",class=\"panic\"}",
        "finalizers_given_up_total{kind=\"stackdeploymentsettings\"}",
        "budget_throttles_total",
        "budget_wait_seconds_count{purpose=\"create\"}",
        "runs_ended_total{operation=\"update\",result=\"Failed\",retried=\"false\"}",
        "creates_unanswered_total{operation=\"destroy\"}",
        "token_exchanges_total{outcome=\"refused\"}",
        "drift_found_total{of=\"settings\"}",
        "runs_ended_total{operation=\"update\",result=\"Failed\",retried=\"true\"}",
        "organizations_token_not_renewed",
        "budgets{state=\"rejected\"}",
        "deployments{operation=\"refresh\",phase=\"Queued\"}",
        "observer_lag_seconds",
    ] {
        assert_eq!(counted(&metrics, series), 0, "{series}");
    }
}

#[test]
fn calls_are_told_apart_by_how_they_ended() {
    let metrics = Metrics::default();
    let calls = metrics.calls.clone();
    for end in [
        End::Status(200),
        End::Status(200),
        End::Status(429),
        End::TimedOut,
        End::Unreachable,
        End::Broken,
        End::Abandoned,
        // No status of HTTP.
        End::Status(700),
        End::Status(7),
    ] {
        calls.requested("GetUser", end, Duration::from_millis(30));
    }
    let total = |code: &str| counted(&metrics, &format!("api_requests_total{{call=\"GetUser\",code=\"{code}\"}}"));
    assert_eq!(["200", "429", "timeout", "unreachable", "abandoned"].map(total), [2, 1, 1, 1, 1]);
    assert_eq!(total("broken"), 3);
    assert_eq!(counted(&metrics, "api_request_duration_seconds_bucket{le=\"0.05\",call=\"GetUser\"}"), 9);
    assert_eq!(counted(&metrics, "api_request_duration_seconds_bucket{le=\"0.025\",call=\"GetUser\"}"), 0);
}

fn run(more: &serde_json::Value) -> DeploymentStatus {
    let mut run = json!({
        "request": {"number": 1, "digest": "d"},
        "purpose": "Main",
        "attempt": 1,
        "nonce": "n",
        "operation": "update",
        "target": {"backendURL": "https://h", "organization": "acme", "project": "web", "stack": "prod"},
        "id": "1",
        "version": 1,
        "status": "running",
    });
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    DeploymentStatus { run: Some(serde_json::from_value::<Run>(run).unwrap()), ..DeploymentStatus::default() }
}

/// The life of a run, as status tells it.
#[test]
fn a_run_is_counted_once() {
    let metrics = Metrics::default();
    let at = |seconds| json!(Time::from_seconds(seconds));
    let queued = json!({"queuedAt": at(100)});
    let started = json!({"queuedAt": at(100), "startedAt": at(107)});
    let mut ended = json!({"queuedAt": at(100), "startedAt": at(107), "finishedAt": at(150), "result": "Failed"});
    let life = [json!({}), queued, started.clone(), started, ended.clone(), ended.clone()];
    for pair in life.windows(2) {
        metrics.runs.told(&run(&pair[0]), &run(&pair[1]));
    }
    let see = |metrics: &Metrics| {
        let failed = counted(metrics, "runs_ended_total{operation=\"update\",result=\"Failed\",retried=\"false\"}");
        let sum = |what: &str| value(metrics, &Now::nothing(), &format!("{what}_sum{{operation=\"update\"}}"));
        (failed, sum("run_queue_seconds"), sum("run_duration_seconds"))
    };
    assert_eq!(see(&metrics), (1, Some(7.0), Some(43.0)));

    // One that had ended when it was adopted is nothing that happened now, and neither is the next one's beginning.
    metrics.runs.told(&DeploymentStatus::default(), &run(&ended));
    let next = run(&json!({"id": "2"}));
    metrics.runs.told(&run(&ended), &next);
    ended["id"] = json!("3");
    metrics.runs.told(&next, &run(&ended));
    assert_eq!(see(&metrics), (1, Some(7.0), Some(43.0)));

    // One that never began has neither time.
    metrics.runs.told(&run(&json!({})), &run(&json!({"finishedAt": at(150), "result": "Canceled"})));
    assert_eq!(counted(&metrics, "runs_ended_total{operation=\"update\",result=\"Canceled\",retried=\"false\"}"), 1);
    assert_eq!(see(&metrics), (1, Some(7.0), Some(43.0)));
}

/// What another run follows is told apart from the end of a request.
#[test]
fn a_run_that_is_tried_again_is_counted_as_such() {
    let metrics = Metrics::default();
    let begun = run(&json!({}));
    let mut failed = run(&json!({"result": "Failed"}));
    metrics.runs.told(&begun, &failed);
    failed.retry = Some(Retry { attempt: 2, at: Time::from_seconds(9) });
    metrics.runs.told(&begun, &failed);
    metrics.runs.told(&begun, &failed);
    let see = |retried| {
        counted(&metrics, &format!("runs_ended_total{{operation=\"update\",result=\"Failed\",retried=\"{retried}\"}}"))
    };
    assert_eq!(["false", "true"].map(see), [1, 2]);
}

/// Only an open gate makes a line one for the budget: behind a closed one there is another reason to wait.
#[tokio::test]
async fn a_closed_gate_is_no_want_of_budget() {
    let governor = Governor::new(Rate { per_second: 0.001, burst: 1 });
    governor.acquire(CallClass::Create, "a", 1).await.spend().unwrap();
    let waiter = Waiter { key: "x".into(), wake: Arc::new(|| {}) };
    assert!(matches!(governor.try_acquire(CallClass::Create, "a", &waiter, 1), Admission::Ticket));
    let waits = |gate| {
        let mut now = Now::nothing();
        now.budget(gate, &governor);
        let see = |series: &str| value(&Metrics::default(), &now, series).unwrap();
        (see("budget_waiting{purpose=\"create\"}"), see("budget_longest_wait_seconds{purpose=\"create\"}") > 0.0)
    };
    assert_eq!(waits(Gate::Open), (1.0, true));
    assert_eq!(waits(Gate::Rejected), (1.0, false));
    assert_eq!(waits(Gate::Throttled { remaining: Duration::from_secs(60) }), (1.0, false));
}

/// The condition is there only while a token could not be renewed.
#[test]
fn an_organization_whose_token_could_not_be_renewed_is_counted() {
    let mut now = Now::nothing();
    for type_ in ["Ready", "TokenRenewed"] {
        let mut organization = resource("Organization", "a", "TokenExchangeRefused", "False");
        organization["status"]["conditions"][0]["type"] = type_.into();
        now.organization(&serde_json::from_value::<Organization>(organization).unwrap());
    }
    assert_eq!(value(&Metrics::default(), &now, "organizations_token_not_renewed"), Some(1.0));
}

/// What a stack's settings tell of drift, one after the other: found and corrected, in all.
#[test]
fn each_finding_counts_once() {
    let metrics = Metrics::default();
    let told = |finding: Option<(&str, &str)>| {
        let drift = finding.map(|(run, result)| {
            json!({"detected": result == "Drifted", "result": result, "run": run, "seenAt": Time::from_seconds(1)})
        });
        serde_json::from_value::<StackDeploymentSettingsStatus>(json!({"drift": drift, "conditions": []})).unwrap()
    };
    let see = || {
        let of = |what: &str| counted(&metrics, &format!("drift_{what}_total{{of=\"stack\"}}"));
        (of("found"), of("corrected"))
    };
    for (before, after, expected) in [
        (None, Some(("a", "NoDrift")), (0, 0)),
        (Some(("a", "NoDrift")), Some(("b", "Drifted")), (1, 0)),
        (Some(("b", "Drifted")), Some(("b", "Drifted")), (1, 0)),
        (Some(("b", "Drifted")), Some(("b", "Remediated")), (1, 1)),
        (Some(("b", "Remediated")), Some(("c", "Remediated")), (2, 2)),
        (Some(("c", "Remediated")), Some(("d", "Unknown")), (2, 2)),
        (Some(("d", "Unknown")), None, (2, 2)),
    ] {
        metrics.convergence.settings_told(&told(before), &told(after));
        assert_eq!(see(), expected, "{before:?} → {after:?}");
    }
}

#[test]
fn a_contest_is_drift_that_is_not_corrected() {
    let metrics = Metrics::default();
    let status = |reason: &str| {
        let ready = json!({"type": "Ready", "status": "False", "reason": reason, "message": "", "lastTransitionTime": Time::from_seconds(1)});
        serde_json::from_value::<StackDeploymentSettingsStatus>(json!({"conditions": [ready]})).unwrap()
    };
    let see =
        || ["found", "corrected"].map(|what| counted(&metrics, &format!("drift_{what}_total{{of=\"settings\"}}")));
    metrics.convergence.settings_pushed(false);
    assert_eq!(see(), [0, 0]);
    metrics.convergence.settings_pushed(true);
    assert_eq!(see(), [1, 1]);
    metrics.convergence.settings_told(&status("Synced"), &status("Contested"));
    metrics.convergence.settings_told(&status("Contested"), &status("Contested"));
    assert_eq!(see(), [2, 1]);
}

/// A Deployment that looked for drift found it; the one that dealt with it found nothing new.
#[test]
fn a_remediation_corrects_what_another_run_had_found() {
    let metrics = Metrics::default();
    let with = |looked: u64, remediation: serde_json::Value, seen: i64| {
        let drift = json!({"detected": true, "run": "d", "version": looked, "remediation": remediation, "seenAt": Time::from_seconds(seen)});
        DeploymentStatus { drift: serde_json::from_value(drift).unwrap(), ..run(&json!({"version": 1})) }
    };
    let nothing = run(&json!({"version": 1}));
    let see = || ["found", "corrected"].map(|what| counted(&metrics, &format!("drift_{what}_total{{of=\"stack\"}}")));
    let found = with(1, json!(null), 5);
    metrics.convergence.deployment_told(&nothing, &found);
    metrics.convergence.deployment_told(&found, &found);
    assert_eq!(see(), [1, 0]);
    metrics.convergence.deployment_told(&nothing, &with(0, json!({"result": "failed"}), 6));
    assert_eq!(see(), [1, 0]);
    metrics.convergence.deployment_told(&nothing, &with(0, json!({"result": "succeeded"}), 7));
    assert_eq!(see(), [1, 1]);
}

/// Every label, and the values that it has, on a page.
fn labels(page: &str) -> BTreeSet<(String, String)> {
    let series = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('{'));
    let sets = series.filter_map(|(_, rest)| rest.split_once('}')).map(|(labels, _)| labels);
    let pairs = sets.flat_map(|labels| labels.split("\",")).filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(label, value)| (label.to_owned(), value.trim_end_matches('"').to_owned())).collect()
}

fn assert_known(page: &str) {
    for (label, value) in labels(page) {
        assert!(label == "le" || values(&label).contains(&&*value), "{label}={value}");
    }
}

#[test]
fn every_value_of_a_label_is_known() {
    let metrics = Metrics::default();
    for call in OPERATIONS {
        metrics.calls.requested(call, End::TimedOut, Duration::ZERO);
    }
    for status in 0..1000 {
        metrics.calls.requested("GetUser", End::Status(status), Duration::ZERO);
    }
    for class in CallClass::ALL {
        metrics.calls.spent(class);
    }
    for kind in Kind::ALL {
        metrics.reconciles.reconciled(kind, Duration::ZERO, Some("conflict"));
    }
    metrics.runs.triggered(Operation::Update);
    metrics.convergence.exchanged(Exchange::Refused);
    assert_known(&metrics.page(&Now::nothing()).unwrap());
    for (label, _) in labels::ALL {
        let values = values(label);
        assert!(!values.is_empty(), "{label}");
        assert!(values.iter().all(|value| !value.is_empty()), "{label}");
    }
}

fn resource(kind: &str, name: &str, reason: &str, status: &str) -> serde_json::Value {
    json!({
        "apiVersion": "deployments.pulumi.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": name},
        "spec": {
            "stack": {"organizationRef": {"name": name}, "project": name, "name": name},
            "operation": "update",
            "name": name,
            "accessToken": {"secretKeyRef": {"name": name, "key": name}},
        },
        "status": {"conditions": [
            {"type": "Ready", "status": status, "reason": reason, "message": name, "lastTransitionTime": Time::from_seconds(1)},
        ]},
    })
}

proptest! {
    /// Whatever is in the cluster, and whoever has written status: labels have known values, and no more.
    #[test]
    fn no_object_makes_a_label(
        objects in prop::collection::vec(("[a-z]{1,9}", "[A-Za-z]{1,9}", prop::sample::select(vec!["True", "False", "Unknown"])), 0..30)
    ) {
        let mut now = Now::nothing();
        for (name, reason, status) in &objects {
            now.organization(&serde_json::from_value::<Organization>(resource("Organization", name, reason, status)).unwrap());
            now.settings(&serde_json::from_value::<StackDeploymentSettings>(resource("StackDeploymentSettings", name, reason, status)).unwrap());
            now.deployment(&serde_json::from_value::<Deployment>(resource("Deployment", name, reason, status)).unwrap(), Time::from_seconds(9));
        }
        let metrics = Metrics::default();
        let page = metrics.page(&now).unwrap();
        assert_known(&page);
        let resources = page.lines().filter_map(|line| line.strip_prefix("pulumi_deployments_operator_resources{"));
        let counts: u64 = resources.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        prop_assert_eq!(counts, 3 * u64::try_from(objects.len()).unwrap());
    }
}

#[test]
fn what_goes_on_has_an_age() {
    let clock = Time::from_seconds(1000);
    let deployment = |more| {
        let mut object =
            serde_json::from_value::<Deployment>(resource("Deployment", "a", "Running", "Unknown")).unwrap();
        object.status = Some(run(&more));
        object
    };
    let mut now = Now::nothing();
    for more in [
        json!({"queuedAt": Time::from_seconds(990)}),
        json!({"queuedAt": Time::from_seconds(940)}),
        json!({"queuedAt": Time::from_seconds(1), "startedAt": Time::from_seconds(700)}),
        // It is over.
        json!({"queuedAt": Time::from_seconds(1), "startedAt": Time::from_seconds(2), "result": "Succeeded"}),
    ] {
        now.deployment(&deployment(more), clock);
    }
    let metrics = Metrics::default();
    let age = |phase| value(&metrics, &now, &format!("run_oldest_seconds{{phase=\"{phase}\"}}"));
    assert_eq!((age("Queued"), age("Running")), (Some(60.0), Some(300.0)));
}
