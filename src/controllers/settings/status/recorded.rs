//! Every state of StackDeploymentSettings.

use serde_json::json;

use super::{
    super::{plan::tests::inputs, schedules::act::Done},
    *,
};
use crate::{
    api::settings::RemoteVersion,
    controllers::recorded::{FAILURES, Health, State, assert_recorded, failed},
    pulumi::Class,
};

const NOW: Time = Time::from_seconds(1_800_000_000);

fn converged(pause: Option<Consequence>, schedules: Vec<ScheduleStatus>, drift: Option<DriftStatus>) -> Outcome {
    let remote = RemoteVersion { digest: "v1:remote".into(), version: Some(2) };
    let convergence = Convergence {
        patch: None,
        claim: vec![],
        set_paused: None,
        paused: None,
        applied: vec![],
        remote: remote.clone(),
        content_digest: "v1:content".into(),
        sources: vec![],
        corrections: vec![],
        corrects: false,
        schedules: None,
        drift,
    };
    let done = Done { entries: schedules, changes: vec![], failed: None };
    Outcome::Converged { convergence: Box::new(convergence), remote, pause_failed: pause, schedules: Some(done) }
}

fn schedule(reason: Reason) -> ScheduleStatus {
    let entry = json!({"name": "nightly", "reason": format!("{reason:?}"), "message": "why it is not as declared"});
    serde_json::from_value(entry).unwrap()
}

fn drift(result: DriftResult) -> DriftStatus {
    let written = json!({"detected": true, "result": result, "run": "7b0c", "seenAt": NOW});
    serde_json::from_value(written).unwrap()
}

fn state(name: &str, health: Health, status: &StackDeploymentSettingsStatus) -> State {
    let spec = json!({"stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"}});
    State::new(name, health, "StackDeploymentSettings", &spec, status)
}

#[test]
fn every_state_is_recorded() {
    use Health::{Degraded, Healthy, Progressing, Suspended};
    let new = StackDeploymentSettingsStatus::default();
    let after = |old: &StackDeploymentSettingsStatus, outcome: &Outcome| status(old, &inputs(), outcome, NOW);
    let words = |reason: Reason| Words::new(reason, "what stands in the way, and what to do");
    let synced = after(&new, &converged(None, vec![], None));
    let mut states = vec![
        state("not looked at yet", Progressing, &new),
        state("synced", Healthy, &synced),
        state("synced", Healthy, &synced).and_then("and changed", &json!({"generation": 2})),
        state("synced", Healthy, &synced)
            .and_then("and deleted", &json!({"deletionTimestamp": "2027-01-15T08:00:00Z"})),
        state("stack created", Progressing, &after(&new, &Outcome::StackCreated)),
        state("no stack", Progressing, &after(&new, &Outcome::AwaitingStack(words(Reason::StackNotFound)))),
        state("no budget yet", Progressing, &after(&new, &Outcome::AwaitingBudget)),
        state("no budget after it was synced", Progressing, &after(&synced, &Outcome::AwaitingBudget)),
    ];
    for (reason, health) in [
        (Reason::OrganizationNotReady, Progressing),
        (Reason::SourceMissing, Progressing),
        (Reason::Conflict, Progressing),
        (Reason::Finalizing, Progressing),
        (Reason::Suspended, Suspended),
    ] {
        let waiting = after(&synced, &Outcome::Waiting(words(reason)));
        states.push(state(&format!("waiting: {reason:?}"), health, &waiting));
    }
    for reason in [Reason::AccessDenied, Reason::Conflict, Reason::TargetChanged, Reason::Contested, Reason::Ended] {
        let refused = after(&synced, &Outcome::Refused(words(reason)));
        states.push(state(&format!("refused: {reason:?}"), Degraded, &refused));
    }
    for (class, reason, health) in FAILURES {
        let outcome = Outcome::Failed(failed(class, reason));
        states.push(state(&format!("{reason} at first"), health, &after(&new, &outcome)));
        states.push(state(&format!("{reason} after it was synced"), health, &after(&synced, &outcome)));
    }
    let forbidden = failed(Class::Forbidden, "Forbidden");
    states.push(state("pause not applied", Healthy, &after(&new, &converged(Some(forbidden), vec![], None))));
    for reason in [
        Reason::TimePassed,
        Reason::CreateOutcomeUnknown,
        Reason::UnsupportedByBackend,
        Reason::AccessDenied,
        Reason::Conflict,
        Reason::Contested,
    ] {
        let outcome = converged(None, vec![schedule(reason)], None);
        states.push(state(&format!("a schedule is not applied: {reason:?}"), Healthy, &after(&new, &outcome)));
    }
    for result in [DriftResult::Drifted, DriftResult::NoDrift, DriftResult::Remediated, DriftResult::Unknown] {
        let outcome = converged(None, vec![], Some(drift(result)));
        states.push(state(&format!("drift: {result:?}"), Healthy, &after(&new, &outcome)));
    }
    let table = "src/controllers/settings/status/recorded.rs";
    assert_recorded("stackdeploymentsettings.yaml", (include_str!("../reason.rs"), table), &states);
}
