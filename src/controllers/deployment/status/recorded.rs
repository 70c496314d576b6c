//! Every state of a Deployment.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{
    super::{
        outputs::{Declared, Report},
        plan::tests::{handled, inputs, run, view},
    },
    *,
};
use crate::{
    api::deployment::{Cancel, DriftFinding, DriftRemediation, Failure, Operation, OutputsSpec, Refusal},
    controllers::recorded::{FAILURES, Health, State, assert_recorded, failed},
    pulumi::Class,
};

const NOW: Time = Time::from_seconds(1_800_000_000);

/// Request 1 has a run of this operation, as `act` records it.
fn recorded_run(operation: Operation, cancel: Option<CancelReason>) -> DeploymentStatus {
    let cancel = cancel.map(|reason| Cancel { reason, requested_at: NOW });
    DeploymentStatus {
        uid: Some("uid".into()),
        request: Some(handled(1)),
        run: Some(Run { operation, cancel, ..run(1) }),
        ..DeploymentStatus::default()
    }
}

fn end(result: Phase, stage: Option<Stage>, retry: Option<Retry>) -> Outcome {
    let failure = (result == Phase::Failed).then(|| Failure { step: Some("pulumi update".into()), log: vec![] });
    Outcome::Concluded { result, view: stage.map(|stage| Box::new(view(stage))), failure, drift: None, retry }
}

fn looked(found: Result<(bool, Option<&str>), &str>) -> Outcome {
    let drift = found.map_err(ToOwned::to_owned).map(|(detected, remediated)| DriftFinding {
        detected,
        run: "7b0c".into(),
        version: Some(4),
        resource_changes: BTreeMap::new(),
        remediation: remediated
            .map(|result| DriftRemediation { result: result.into(), resource_changes: BTreeMap::new() }),
        seen_at: NOW,
    });
    let view = Some(Box::new(view(Stage::Succeeded)));
    Outcome::Concluded { result: Phase::Succeeded, view, failure: None, drift: Some(drift), retry: None }
}

/// What waits by itself or for somebody, and why.
fn waits() -> Vec<(Words, Health)> {
    let words = |reason: Reason| Words::new(reason, "what stands in the way, and what to do");
    let mut waits = vec![(words(Reason::Suspended), Health::Suspended)];
    let by_itself =
        [Reason::OrganizationNotReady, Reason::SettingsNotReady, Reason::SourceMissing, Reason::DependencyNotReady];
    waits.extend(by_itself.map(|reason| (words(reason), Health::Progressing)));
    waits
}

fn state(name: &str, health: Health, status: &DeploymentStatus) -> State {
    let spec = json!({"settingsRef": {"name": "web-prod"}, "operation": "update"});
    State::new(name, health, "Deployment", &spec, status)
}

#[test]
fn every_state_is_recorded() {
    use Health::{Degraded, Healthy, Progressing};
    let new = DeploymentStatus::default();
    let after = |old: &DeploymentStatus, outcome: &Outcome| status(old, &inputs(1), outcome, NOW);
    let update = |cancel| recorded_run(Operation::Update, cancel);
    let queued = after(&update(None), &Outcome::Created);
    let running = after(&queued, &Outcome::Following(Some(Box::new(view(Stage::Running)))));
    let succeeded = after(&running, &end(Phase::Succeeded, Some(Stage::Succeeded), None));
    let stopped = after(&running, &end(Phase::Failed, Some(Stage::Failed), None));
    let retry = Retry { attempt: 2, at: NOW };
    let refusal = Refusal { digest: "d".into(), message: "the service refused the run".into() };
    let unknown = |needs_person| Outcome::CreateUnknown { why: "the service does not answer".into(), needs_person };
    let canceled = |reason, result| after(&update(Some(reason)), &end(result, Some(Stage::Failed), None));
    let is_canceled = after(&update(Some(CancelReason::Superseded)), &Outcome::CancelSent);
    let mut states = vec![
        state("not looked at yet", Progressing, &new),
        state("settling", Progressing, &after(&new, &Outcome::Settling(Duration::ZERO))),
        state("no budget yet", Progressing, &after(&new, &Outcome::AwaitingBudget)),
        state("no stack", Progressing, &after(&new, &Outcome::StackMissing("acme/web/prod".into()))),
        state("create on its way", Progressing, &after(&new, &Outcome::CreatePending(Duration::ZERO))),
        state("create unknown", Progressing, &after(&new, &unknown(false))),
        state("create unknown for long", Degraded, &after(&new, &unknown(true))),
        state("create refused", Degraded, &after(&new, &Outcome::CreateRefused(refusal))),
        state("withdrawn", Progressing, &after(&new, &Outcome::Withdrawn)),
        state("restored from a backup", Healthy, &after(&new, &Outcome::Adopted(Adoption::Restored(handled(1))))),
        state("queued", Progressing, &queued),
        state("running", Progressing, &running),
        state("being canceled", Progressing, &is_canceled),
        state("succeeded", Healthy, &succeeded),
        state("succeeded", Healthy, &succeeded).and_then("and changed", &json!({"generation": 2})),
        state("succeeded", Healthy, &succeeded)
            .and_then("and deleted", &json!({"deletionTimestamp": "2027-01-15T08:00:00Z"})),
        state("failed", Degraded, &stopped),
        state("failed, and looked at again", Degraded, &after(&stopped, &Outcome::Nothing)),
        state(
            "failed, to be tried again",
            Progressing,
            &after(&running, &end(Phase::Failed, Some(Stage::Failed), Some(retry))),
        ),
        state("skipped", Degraded, &after(&queued, &end(Phase::Skipped, Some(Stage::Skipped), None))),
        state("disappeared", Degraded, &after(&queued, &end(Phase::Failed, None, None))),
        state("canceled", Degraded, &canceled(CancelReason::Superseded, Phase::Canceled)),
        state("timed out", Degraded, &canceled(CancelReason::Timeout, Phase::TimedOut)),
        state("timed out in the queue", Degraded, &canceled(CancelReason::QueueTimeout, Phase::TimedOut)),
    ];
    for (words, health) in waits() {
        let name = format!("waiting: {}", words.reason);
        states.push(state(&name, health, &after(&succeeded, &Outcome::Waiting(words))));
    }
    let refusals = [
        Reason::AccessDenied,
        Reason::TargetChanged,
        Reason::UnsupportedByBackend,
        Reason::DependencyCycle,
        Reason::AdoptionRefused,
    ];
    for reason in refusals {
        let refused = Outcome::Refused(Words::new(reason, "what is not allowed, and what to do"));
        states.push(state(&format!("refused: {reason:?}"), Degraded, &after(&new, &refused)));
    }
    for (class, reason, health) in FAILURES {
        let outcome = Outcome::Failed(failed(class, reason));
        states.push(state(&format!("{reason} at first"), health, &after(&new, &outcome)));
        let health = if health == Degraded { Degraded } else { Progressing };
        states.push(state(&format!("{reason} while it runs"), health, &after(&running, &outcome)));
    }
    let detection = recorded_run(Operation::DetectDrift, None);
    for (name, found) in [
        ("drift", Ok((true, None))),
        ("no drift", Ok((false, None))),
        ("drift, put right", Ok((true, Some("succeeded")))),
        ("nobody knows about drift", Err("the detection itself failed")),
    ] {
        states.push(state(name, Healthy, &after(&detection, &looked(found))));
    }
    states.extend(outputs(&running, &succeeded));
    states.extend(approvals());
    states.extend(ends());
    let table = "src/controllers/deployment/status/recorded.rs";
    assert_recorded("pulumideployments.yaml", (include_str!("../reason.rs"), table), &states);
}

/// `Ready` speaks of the run, and so does its health.
fn outputs(running: &DeploymentStatus, succeeded: &DeploymentStatus) -> Vec<State> {
    let spec: OutputsSpec = serde_json::from_value(json!({"secret": {"name": "web"}})).unwrap();
    let declared = outputs::digest_of(&spec);
    let refused = outputs::refused(&run(1), &spec, None, "its secrets can't be decrypted".into());
    let inputs = Inputs { outputs: Some(Declared { spec, is_gone: false, is_untried: true }), ..inputs(1) };
    let written = json!({"run": "id 1", "version": 1, "declared": declared, "secretKeys": 2, "writtenAt": NOW});
    let written = serde_json::from_value::<crate::api::deployment::WrittenOutputs>(written).unwrap();
    let omitted = vec!["the stack has no output \"url\"".to_owned()];
    let foreign = Consequence {
        standing: Standing::Stalled(Words::new(Reason::OutputsRefused, "Secret web is not this Deployment's")),
        ..failed(Class::Invalid, "")
    };
    let wrote = |report| status(succeeded, &inputs, &Outcome::Outputs(report), NOW);
    let pending = status(running, &inputs, &end(Phase::Succeeded, Some(Stage::Succeeded), None), NOW);
    vec![
        state("outputs to come", Health::Progressing, &pending),
        state("outputs written", Health::Healthy, &wrote(Report::Written(written.clone(), vec![]))),
        state("outputs written in part", Health::Healthy, &wrote(Report::Written(written, omitted))),
        state("outputs not to be had", Health::Degraded, &wrote(Report::Failed(foreign))),
        state("outputs refused", Health::Degraded, &wrote(Report::Refused(refused))),
    ]
}

/// What a person has to say yes to.
fn approvals() -> Vec<State> {
    let after = |old: &DeploymentStatus, outcome: &Outcome| status(old, &inputs(1), outcome, NOW);
    let preview = Run { purpose: Purpose::Preview, ..run(1) };
    let previewing = DeploymentStatus { run: Some(preview), ..recorded_run(Operation::Update, None) };
    let previewed = after(&previewing, &end(Phase::Succeeded, Some(Stage::Succeeded), None));
    let offered = |token: serde_json::Value| {
        let offered = json!({
            "token": token, "request": handled(1), "purpose": "Main", "operation": "update",
            "target": {"backendURL": "https://api.pulumi.com", "organization": "acme", "project": "web", "stack": "prod"},
            "preview": {"id": "id 1", "version": 1}, "commit": "c0ffee", "resourceChanges": {"create": 2},
            "basis": {"overrides": "digest"}, "policed": true,
        });
        after(&previewed, &Outcome::Offered(Box::new(serde_json::from_value(offered).unwrap())))
    };
    let awaiting = offered(json!("token"));
    let rejected = Outcome::Rejected(Rejection { rejected_by: Some("anna".into()), at: NOW });
    vec![
        state("previewed", Health::Suspended, &previewed),
        state("awaiting approval", Health::Suspended, &awaiting),
        state("rejected", Health::Degraded, &after(&awaiting, &rejected)),
        state("nothing that could be approved", Health::Degraded, &offered(json!(null))),
    ]
}

/// A stack that ends with its resource.
fn ends() -> Vec<State> {
    let inputs = Inputs { deletion: Some(RunDeletionPolicy::Destroy), ..inputs(1) };
    let after = |old: &DeploymentStatus, outcome: &Outcome| status(old, &inputs, outcome, NOW);
    let deleted = json!({"deletionTimestamp": "2027-01-15T08:00:00Z"});
    let destroy = Run { purpose: Purpose::Destroy, operation: Operation::Destroy, ..run(1) };
    let begun = DeploymentStatus { run: Some(destroy), ..recorded_run(Operation::Destroy, None) };
    let destroying = after(&begun, &Outcome::Created);
    let failed = after(&destroying, &end(Phase::Failed, Some(Stage::Failed), None));
    [("destroying", &destroying), ("not destroyed", &failed)]
        .map(|(name, status)| state(name, Health::Progressing, status).and_then("deleted", &deleted))
        .into()
}
