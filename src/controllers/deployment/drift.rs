//! Pure: what the service says of a search for drift → how status shows it.

use std::collections::BTreeMap;

use super::reason::Reason;
use crate::{
    api::{
        ConditionStatus, DeploymentStatus, Time,
        deployment::{DriftFinding, DriftRemediation, Operation, Phase, Run},
    },
    controllers::conditions::{DRIFTED, condition, remove, set},
    pulumi::wire::{DriftRun, Status},
};

/// Whether a run that ended like this may have looked for drift, or dealt with what was found.
#[must_use]
pub fn is_about(operation: Operation, result: Phase) -> bool {
    matches!(operation, Operation::DetectDrift | Operation::RemediateDrift)
        && matches!(result, Phase::Succeeded | Phase::Failed)
}

/// What the stack's drift runs, newest first, say of a run that has ended: what was found, or why nobody knows; nothing
/// when none of them is about it.
#[must_use]
pub fn finding(drift_runs: &[DriftRun], run: &Run, now: Time) -> Option<Result<DriftFinding, String>> {
    // A remediation of its own belongs to the drift run whose finding it dealt with.
    let remediated = |drift: &&DriftRun| {
        let modified = drift.remediate_update.as_ref().and_then(|update| update.modified).map(Time::from);
        run.operation == Operation::RemediateDrift
            && modified.is_some_and(|modified| run.queued_at.is_none_or(|queued| modified >= queued))
    };
    let drift = drift_runs
        .iter()
        .find(|drift| drift.deployment_id.as_ref() == Some(&run.id))
        .or_else(|| drift_runs.iter().find(remediated))
        .filter(|drift| matches!(drift.status, Status::Succeeded | Status::Failed | Status::Skipped))?;
    if !drift.drift_detected && drift.status != Status::Succeeded {
        return Some(Err(format!("the detection itself failed (drift run {})", drift.id)));
    }
    Some(Ok(DriftFinding {
        detected: drift.drift_detected,
        run: drift.id.clone(),
        version: drift.deployment_version,
        resource_changes: drift
            .detect_update
            .as_ref()
            .map(|update| update.resource_changes.clone())
            .unwrap_or_default(),
        remediation: drift.remediate_update.as_ref().map(|update| DriftRemediation {
            result: update.status.as_str().to_owned(),
            resource_changes: update.resource_changes.clone(),
        }),
        seen_at: now,
    }))
}

/// Shows what a run that has ended found: a finding, or why there is none; nothing when the run was about something
/// else.
pub fn show(status: &mut DeploymentStatus, found: Option<&Result<DriftFinding, String>>, generation: i64, now: Time) {
    status.drift = found.and_then(|found| found.as_ref().ok()).cloned();
    let (value, reason, message) = match (found, &status.run) {
        (Some(Ok(finding)), Some(run)) => {
            let (value, reason) = verdict(finding);
            (value, reason, message(finding, run))
        }
        (Some(Err(why)), Some(run)) => {
            let message = format!("{} has ended, and what it found is not known: {why}", name(run));
            (ConditionStatus::Unknown, Reason::DriftUnknown, message)
        }
        (None, _) | (_, None) => return remove(&mut status.conditions, DRIFTED),
    };
    set(&mut status.conditions, condition(DRIFTED, value, &format!("{reason:?}"), &message, generation, now));
}

/// Whether drift is there still.
#[must_use]
pub fn remains(finding: &DriftFinding) -> bool {
    verdict(finding).0 == ConditionStatus::True
}

fn verdict(finding: &DriftFinding) -> (ConditionStatus, Reason) {
    let is_remediated =
        finding.remediation.as_ref().is_some_and(|remediation| remediation.result == Status::Succeeded.as_str());
    match (finding.detected, is_remediated) {
        (false, _) => (ConditionStatus::False, Reason::NoDrift),
        (true, true) => (ConditionStatus::False, Reason::DriftRemediated),
        (true, false) => (ConditionStatus::True, Reason::DriftDetected),
    }
}

/// What was found, for people.
#[must_use]
pub fn message(finding: &DriftFinding, run: &Run) -> String {
    let name = name(run);
    let found = changes(&finding.resource_changes);
    match (finding.detected, &finding.remediation) {
        (false, _) => format!("{name} found no drift"),
        (true, None) => format!(
            "{name} found drift{found}; operation remediate-drift takes it back, refresh takes it into the stack's state"
        ),
        (true, Some(remediation)) => {
            let done = changes(&remediation.resource_changes);
            format!("{name}: drift was found{found}, and its remediation {}{done}", remediation.result)
        }
    }
}

fn name(run: &Run) -> String {
    format!("{} {} of {}", run.operation, run.version, run.target)
}

/// As ` (2 delete, 1 update)`, without what stayed the same.
fn changes(counts: &BTreeMap<String, u64>) -> String {
    let changed: Vec<String> = counts
        .iter()
        .filter(|(kind, count)| kind.as_str() != "same" && **count > 0)
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    if changed.is_empty() { String::new() } else { format!(" ({})", changed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{api::condition::find, controllers::deployment::plan::tests::run};

    fn of(operation: Operation) -> Run {
        Run { operation, queued_at: Some(Time::from_seconds(1_778_000_000)), ..run(1) }
    }

    fn drift_run(deployment: &str, more: &Value) -> DriftRun {
        let mut body = json!({
            "id": "d", "created": "2026-05-13 10:51:00.000", "status": "succeeded", "driftDetected": true,
            "deploymentId": deployment, "deploymentVersion": 7,
            "detectUpdate": {
                "updateId": "u", "status": "succeeded", "modified": "2026-05-13T10:52:00Z",
                "resourceChanges": {"update": 1, "delete": 2, "same": 4},
            },
        });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    fn told(finding: Option<&Result<DriftFinding, String>>, run: Run) -> Option<(ConditionStatus, String, String)> {
        let mut status = DeploymentStatus { run: Some(run), ..DeploymentStatus::default() };
        show(&mut status, finding, 1, Time::from_seconds(1));
        find(&status.conditions, DRIFTED).map(|it| (it.status, it.reason.clone(), it.message.clone()))
    }

    const REMEDIATION: &str = "2026-05-13T10:53:00Z";

    #[rstest]
    #[case::drift(json!({}), ConditionStatus::True, "DriftDetected", "found drift (2 delete, 1 update); operation remediate-drift")]
    #[case::none(json!({"driftDetected": false}), ConditionStatus::False, "NoDrift", "found no drift")]
    #[case::remediated(
        json!({"remediateUpdate": {"updateId": "v", "status": "succeeded", "modified": REMEDIATION, "resourceChanges": {"create": 2}}}),
        ConditionStatus::False, "DriftRemediated", "drift was found (2 delete, 1 update), and its remediation succeeded (2 create)"
    )]
    #[case::not_remediated(
        json!({"remediateUpdate": {"updateId": "v", "status": "failed", "modified": REMEDIATION}}),
        ConditionStatus::True, "DriftDetected", "and its remediation failed"
    )]
    fn what_was_found_is_told(
        #[case] more: Value,
        #[case] value: ConditionStatus,
        #[case] reason: &str,
        #[case] words: &str,
    ) {
        let run = of(Operation::DetectDrift);
        let runs = [drift_run("another", &json!({})), drift_run(&run.id, &more)];
        let found = finding(&runs, &run, Time::from_seconds(9)).unwrap().unwrap();
        assert_eq!((found.version, remains(&found)), (Some(7), value == ConditionStatus::True));
        let (told_value, told_reason, message) = told(Some(&Ok(found)), run).unwrap();
        assert_eq!((told_value, told_reason.as_str()), (value, reason));
        assert!(message.contains(words), "{message}");
    }

    #[test]
    fn a_detection_that_failed_has_not_found_that_there_is_none() {
        let run = of(Operation::DetectDrift);
        let failed = drift_run(&run.id, &json!({"status": "failed", "driftDetected": false, "detectUpdate": null}));
        let why = finding(&[failed], &run, Time::from_seconds(9)).unwrap().unwrap_err();
        assert_eq!(why, "the detection itself failed (drift run d)");
    }

    #[test]
    fn a_drift_run_of_another_deployment_or_under_way_is_no_finding() {
        let run = of(Operation::DetectDrift);
        let now = Time::from_seconds(9);
        assert_eq!(finding(&[drift_run("another", &json!({}))], &run, now), None);
        assert_eq!(finding(&[drift_run(&run.id, &json!({"status": "running"}))], &run, now), None);
    }

    #[rstest]
    #[case::of_this_run(REMEDIATION, true)]
    #[case::of_an_earlier_one("2026-05-01T00:00:00Z", false)]
    fn a_remediation_is_known_by_its_time(#[case] modified: &str, #[case] is_its: bool) {
        let runs = [drift_run(
            "the one that looked",
            &json!({"remediateUpdate": {"updateId": "v", "status": "succeeded", "modified": modified}}),
        )];
        let found = finding(&runs, &of(Operation::RemediateDrift), Time::from_seconds(9));
        assert_eq!(found.map(|found| verdict(&found.unwrap()).1), is_its.then_some(Reason::DriftRemediated));
        assert_eq!(finding(&runs, &of(Operation::DetectDrift), Time::from_seconds(9)), None);
    }

    #[test]
    fn what_could_not_be_read_is_said_and_other_runs_say_nothing() {
        let (value, reason, message) = told(Some(&Err("503".into())), of(Operation::DetectDrift)).unwrap();
        assert_eq!((value, reason.as_str()), (ConditionStatus::Unknown, "DriftUnknown"));
        assert!(message.ends_with("is not known: 503"), "{message}");
        assert_eq!(told(None, of(Operation::Update)), None);
        let ended = [Phase::Succeeded, Phase::Failed, Phase::Canceled, Phase::TimedOut, Phase::Skipped];
        let about = |operation| ended.map(|result| is_about(operation, result));
        assert_eq!(about(Operation::RemediateDrift), [true, true, false, false, false]);
        assert_eq!(about(Operation::Update), [false; 5]);
    }
}
