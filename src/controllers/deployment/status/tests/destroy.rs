//! What is said of a resource whose stack is destroyed, and of a run whose cancel has failed.

use super::*;
use crate::api::deployment::Operation;

fn deleted(request: u8) -> Inputs {
    Inputs { deletion: Some(RunDeletionPolicy::Destroy), ..inputs(request) }
}

fn destroying() -> DeploymentStatus {
    let mut status = with_run(None);
    let run = status.run.as_mut().unwrap();
    (run.purpose, run.operation) = (Purpose::Destroy, Operation::Destroy);
    status
}

fn ready(status: &DeploymentStatus) -> (ConditionStatus, &str, &str) {
    let ready = find(&status.conditions, types::READY).unwrap();
    (ready.status, ready.reason.as_str(), ready.message.as_str())
}

#[test]
fn what_is_under_way_says_what_comes_after_it() {
    let active = status(&with_run(None), &deleted(1), &Outcome::Following(Some(Box::new(view(Stage::Running)))), at(1));
    let expected =
        "update 1 of acme/web/prod is running, and the stack is destroyed when it has ended (deletionPolicy: Destroy)";
    assert_eq!(ready(&active), (ConditionStatus::Unknown, "Destroying", expected));
    // Another request that was still owed is of no interest any more.
    for request in [1, 2] {
        let ended = status(&active, &deleted(request), &ended_as(Phase::Succeeded, Some(Stage::Succeeded)), at(2));
        assert_eq!((ended.phase, ready(&ended).1), (Some(Phase::Pending), "Destroying"));
        assert!(ready(&ended).2.contains("the stack is destroyed next"), "{ended:?}");
    }
}

#[rstest]
#[case::succeeded(Phase::Succeeded, Some(Stage::Succeeded), "Succeeded", "succeeded")]
#[case::failed(Phase::Failed, Some(Stage::Failed), "DestroyFailed", "failed before any step did")]
#[case::disappeared(Phase::Failed, None, "DestroyFailed", "is not known to the service any more")]
#[case::skipped(Phase::Skipped, Some(Stage::Skipped), "DestroyFailed", "was skipped by the service")]
#[case::timed_out(Phase::TimedOut, Some(Stage::Failed), "DestroyFailed", "it has run for longer than spec.timeout")]
#[case::canceled(Phase::Canceled, None, "DestroyFailed", "was canceled")]
fn the_end_of_a_destroy_is_told_with_the_ways_out(
    #[case] result: Phase,
    #[case] stage: Option<Stage>,
    #[case] reason: &str,
    #[case] what: &str,
) {
    let begun = status(&destroying(), &deleted(1), &Outcome::Created, at(0));
    assert_eq!(
        told(
            &with_run(Some(Phase::Succeeded)),
            &DeploymentStatus { run: begun.run.clone().map(|run| Run { id: "2".into(), ..run }), ..begun.clone() }
        ),
        [
            "Destroying: triggered destroy 1 of acme/web/prod, because this resource is deleted (deletionPolicy: Destroy); \
             trace 3d51ff582aa1bae00434e9851ec4db82"
        ]
    );
    let mut active = status(&begun, &deleted(1), &Outcome::Following(Some(Box::new(view(Stage::Running)))), at(1));
    let timed_out =
        (result == Phase::TimedOut).then_some(Cancel { reason: CancelReason::Timeout, requested_at: at(1) });
    active.run.as_mut().unwrap().cancel = timed_out;
    let ended = status(&active, &deleted(1), &ended_as(result, stage), at(2));
    let again = status(&ended, &deleted(1), &Outcome::Nothing, at(3));
    assert_eq!(ended.conditions, again.conditions, "it stays told");
    let (_, told_reason, message) = ready(&ended);
    assert_eq!((ended.phase, told_reason), (Some(result), reason));
    assert!(message.contains(what), "{message}");
    let events = told(&active, &ended);
    assert_eq!(events.len(), 1, "{events:?}");
    if result == Phase::Succeeded {
        assert!(events[0].starts_with("Destroyed: destroy 1 of acme/web/prod succeeded"), "{events:?}");
        return;
    }
    for way_out in ["this resource stays", "deployments.pulumi.com/rerun", "spec.rerun", "deletionPolicy: Orphan"] {
        assert!(message.contains(way_out), "{way_out}: {message}");
    }
    assert!(find(&ended.conditions, types::STALLED).is_some());
    assert!(events[0].starts_with("! DestroyFailed: destroy 1 of acme/web/prod"), "{events:?}");
}

#[test]
fn a_destroy_that_is_tried_again_is_on_its_way() {
    let begun = status(&destroying(), &deleted(1), &Outcome::Created, at(0));
    let retry = Some(Retry { attempt: 2, at: at(100) });
    let view = Some(Box::new(view(Stage::Failed)));
    let outcome = Outcome::Concluded { result: Phase::Failed, view, failure: None, drift: None, retry };
    let ended = status(&begun, &deleted(1), &outcome, at(1));
    assert_eq!((ended.phase, ready(&ended).1), (Some(Phase::Pending), "Retrying"));
    assert!(ready(&ended).2.contains("Attempt 2 follows at"), "{ended:?}");
}

/// The end of another object's stack is none of this one's.
#[test]
fn a_restored_status_takes_no_destroy_over() {
    let mut old = destroying();
    old.run.as_mut().unwrap().result = Some(Phase::Succeeded);
    let adopted = status(&old, &inputs(1), &Outcome::Adopted(Adoption::Restored(handled(1))), at(1));
    assert_eq!(adopted.run, None);
    let old = with_run(Some(Phase::Succeeded));
    let adopted = status(&old, &inputs(1), &Outcome::Adopted(Adoption::Restored(handled(1))), at(1));
    assert!(adopted.run.is_some());
}

/// Whatever is said of its cancel: the run goes on, and its steps are shown.
#[rstest]
#[case::too_early(Outcome::AwaitingCancel(FailedCancel {
    standing: Standing::Stalled(Words::new(Reason::AccessDenied, "no")), remaining: std::time::Duration::from_secs(1),
}))]
#[case::sent(Outcome::CancelSent)]
#[case::no_budget(Outcome::AwaitingBudget)]
#[case::under_the_brake(Outcome::Waiting(Words::new(Reason::Suspended, "no")))]
fn a_run_is_shown_while_it_is_to_be_canceled(#[case] outcome: Outcome) {
    let queued = status(&with_run(None), &inputs(1), &Outcome::Created, at(0));
    let view = View { jobs: jobs("Setup succeeded, source running"), ..view(Stage::Running) };
    let inputs = Inputs { sighting: Sighting::Seen(Box::new(view)), ..inputs(2) };
    let next = status(&queued, &inputs, &outcome, at(1));
    assert_eq!((next.phase, next.step.as_deref()), (Some(Phase::Running), Some("2/2 source")));
    if let Outcome::AwaitingCancel(_) = outcome {
        assert_eq!(ready(&next), (ConditionStatus::False, "AccessDenied", "no"));
    }
}
