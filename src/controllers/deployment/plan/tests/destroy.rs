//! Deletion with `deletionPolicy: Destroy`, and cancels that fail.

use super::*;

fn deleted(request: u8) -> Inputs {
    Inputs { deletion: Some(RunDeletionPolicy::Destroy), ..inputs(request) }
}

fn end_of_the_stack(request: u8) -> Road {
    Road::Open(Box::new(start(request)))
}

fn start(request: u8) -> Start {
    Start {
        purpose: Purpose::Destroy,
        operation: Operation::Destroy,
        digest: format!("end {request}"),
        ..start_of(request)
    }
}

/// The run of request 1 that destroys the stack.
fn with_destroy(result: Option<Phase>) -> DeploymentStatus {
    let mut status = with_run(result, false);
    let run = status.run.as_mut().unwrap();
    (run.purpose, run.operation) = (Purpose::Destroy, Operation::Destroy);
    status
}

/// What is under way when the resource is deleted.
#[rstest]
#[case::queued(seen(Stage::Queued), false, "cancel if queued: Deleted", "wait: Suspended")]
#[case::not_seen_yet(Sighting::None, false, "cancel if queued: Deleted", "wait: Suspended")]
#[case::running(seen(Stage::Running), false, "follow", "follow")]
#[case::canceled(seen(Stage::Queued), true, "follow", "follow")]
#[case::ended(seen(Stage::Failed), false, "conclude: Failed", "conclude: Failed")]
fn what_is_under_way_comes_to_its_end(
    #[case] sighting: Sighting,
    #[case] cancel_sent: bool,
    #[case] expected: &str,
    #[case] braked: &str,
) {
    let inputs = Inputs { sighting, cancel_sent, retry: Some(retries(5)), ..deleted(2) };
    let status = with_run(None, false);
    assert_eq!(word(&plan(&inputs, &status)), expected);
    assert_eq!(word(&plan(&Inputs { suspended: true, ..inputs.clone() }, &status)), braked, "under the brake");
    assert!(!could_start(&inputs, &status));
    let blocked = Inputs { reach: Reach::Blocked(words()), give_up: true, ..inputs.clone() };
    let concludes = expected.starts_with("conclude");
    assert_eq!(word(&plan(&blocked, &status)), if concludes { expected } else { "wait: Why" }, "it never gives up");
    let orphaned = Inputs { deletion: Some(RunDeletionPolicy::Orphan), ..inputs };
    assert_eq!(word(&plan(&orphaned, &status)), "release", "a change of mind acts at once");
}

/// A run that is waited for still has its own limits.
#[test]
fn what_takes_too_long_is_not_waited_for() {
    let inputs = Inputs {
        timeout: Some(SOON),
        queue_timeout: Some(SOON),
        service_now: at(100),
        sighting: seen(Stage::Running),
        ..deleted(1)
    };
    assert_eq!(word(&plan(&inputs, &with_run(None, false))), "cancel anyway: Timeout");
    assert_eq!(word(&plan(&inputs, &with_destroy(None))), "cancel anyway: Timeout");
    let queued = Inputs { sighting: seen(Stage::Queued), ..inputs };
    assert_eq!(word(&plan(&queued, &with_destroy(None))), "cancel if queued: QueueTimeout");
    assert_eq!(word(&plan(&Inputs { suspended: true, ..queued }, &with_destroy(None))), "follow");
}

#[rstest]
#[case::never_ran(DeploymentStatus::default())]
#[case::ran(with_run(Some(Phase::Succeeded), false))]
#[case::failed(with_run(Some(Phase::Failed), false))]
#[case::owed_another_attempt(with_retry())]
fn the_stack_is_destroyed_once_and_then_the_resource_is_let_go(#[case] status: DeploymentStatus) {
    for request in [1, 2] {
        let inputs = Inputs { road: end_of_the_stack(request), retry: Some(retries(5)), ..deleted(request) };
        assert!(could_start(&inputs, &status));
        assert_eq!(word(&plan(&inputs, &status)), "create Destroy");
        let identity = identity(&inputs, &start(request), &status);
        assert_eq!(
            (identity.attempt, identity.trigger),
            (1, Some(Trigger::Deleted)),
            "an attempt of another purpose does not count"
        );
        for (suspend, suspended) in [(true, false), (false, true)] {
            let held = Inputs { suspend, suspended, ..inputs.clone() };
            assert!(!could_start(&held, &status));
            assert_eq!(word(&plan(&held, &status)), "wait: Suspended");
        }
        for (road, expected) in [
            (Road::NotYet, "hold"),
            (Road::Waiting(words()), "wait: Why"),
            (Road::Refused(words()), "refuse: Why"),
            (Road::Nowhere, "release"),
        ] {
            assert_eq!(word(&plan(&Inputs { road, ..inputs.clone() }, &status)), expected);
        }
        for policy in [RunDeletionPolicy::Orphan, RunDeletionPolicy::CancelQueued, RunDeletionPolicy::Cancel] {
            let inputs = Inputs { deletion: Some(policy), ..inputs.clone() };
            assert_eq!(word(&plan(&inputs, &status)), "release");
        }
    }
    let refusal = Some(Refusal { digest: "end 1".into(), message: "no".into() });
    let refused = DeploymentStatus { refusal, ..status };
    assert_eq!(word(&plan(&Inputs { road: end_of_the_stack(1), ..deleted(1) }, &refused)), "refuse: CreateRefused");
}

#[rstest]
#[case::succeeded(Phase::Succeeded, "release", "release")]
#[case::failed(Phase::Failed, "idle", "create Destroy")]
#[case::canceled(Phase::Canceled, "idle", "create Destroy")]
#[case::timed_out(Phase::TimedOut, "idle", "create Destroy")]
#[case::skipped(Phase::Skipped, "idle", "create Destroy")]
fn a_destroy_that_did_not_succeed_keeps_the_resource_until_a_person_asks_again(
    #[case] result: Phase,
    #[case] same: &str,
    #[case] asked_again: &str,
) {
    let status = with_destroy(Some(result));
    let inputs = |request| Inputs { road: end_of_the_stack(request), retry: Some(retries(5)), ..deleted(request) };
    assert_eq!(word(&plan(&inputs(1), &status)), same);
    assert_eq!(word(&plan(&inputs(2), &status)), asked_again);
    assert_eq!(
        (could_start(&inputs(1), &status), could_start(&inputs(2), &status)),
        (false, asked_again == "create Destroy")
    );
    let orphaned = Inputs { deletion: Some(RunDeletionPolicy::Orphan), ..inputs(1) };
    assert_eq!(word(&plan(&orphaned, &status)), "release");
}

#[test]
fn a_destroy_that_fails_is_tried_again_under_the_policy() {
    let failed = Inputs { sighting: seen(Stage::Failed), retry: Some(retries(1)), now: at(100), ..deleted(1) };
    assert_eq!(word(&plan(&failed, &with_destroy(None))), "conclude: Failed, and attempt 2 at 101");
    assert_eq!(word(&plan(&failed, &with_run(None, false))), "conclude: Failed", "what it was deleted with is over");
    let owed = DeploymentStatus { retry: with_retry().retry, ..with_destroy(Some(Phase::Failed)) };
    let inputs = Inputs { retry: Some(retries(1)), road: end_of_the_stack(1), ..deleted(1) };
    let early = Inputs { now: at(9), ..inputs.clone() };
    assert_eq!((word(&plan(&early, &owed)).as_str(), could_start(&early, &owed)), ("await retry", false));
    let due = Inputs { now: at(10), ..inputs };
    assert_eq!((word(&plan(&due, &owed)).as_str(), could_start(&due, &owed)), ("create Destroy", true));
    let Identity { request, attempt, trigger } = identity(&due, &start(1), &owed);
    assert_eq!((request.number, attempt, trigger), (1, 2, Some(Trigger::Retry)));
    assert_eq!(word(&plan(&Inputs { suspend: true, ..due.clone() }, &owed)), "wait: Suspended");
    assert_eq!(word(&plan(&Inputs { retry: None, ..due }, &owed)), "idle");
}

/// The policy was `Cancel` for a moment, and the cancel was journaled and not sent.
#[test]
fn a_destroy_that_runs_is_canceled_only_by_its_policy() {
    let mut status = with_destroy(None);
    let cancels = Inputs { deletion: Some(RunDeletionPolicy::Cancel), sighting: seen(Stage::Running), ..inputs(1) };
    assert_eq!(word(&plan(&cancels, &status)), "cancel anyway: Deleted");
    assert_eq!(word(&plan(&Inputs { sighting: seen(Stage::Running), ..deleted(1) }, &status)), "follow");
    status.run.as_mut().unwrap().cancel = Some(Cancel { reason: CancelReason::Deleted, requested_at: at(0) });
    let inputs = Inputs { sighting: seen(Stage::Running), ..deleted(1) };
    assert_eq!(word(&plan(&inputs, &status)), "cancel if queued: Deleted");
}

/// It is tried again when it is time, and not with every look.
#[rstest]
#[case::superseded(Inputs { supersede: Supersede::Cancel, ..inputs(2) })]
#[case::deleted(Inputs { deletion: Some(RunDeletionPolicy::Cancel), ..inputs(1) })]
#[case::taken_out_of_the_queue(Inputs { sighting: seen(Stage::Queued), ..deleted(1) })]
#[case::timed_out(Inputs { sighting: seen(Stage::Running), timeout: Some(SOON), service_now: at(100), ..inputs(1) })]
fn a_cancel_that_failed_waits(#[case] inputs: Inputs) {
    let cancel_failed = Some(FailedCancel { standing: Standing::Stalled(words()), remaining: SOON });
    for status in [with_run(None, false), with_run(None, true)] {
        assert!(word(&plan(&inputs, &status)).starts_with("cancel "));
        let inputs = Inputs { cancel_failed: cancel_failed.clone(), ..inputs.clone() };
        assert_eq!(word(&plan(&inputs, &status)), "await cancel");
        let ended = Inputs { sighting: seen(Stage::Succeeded), ..inputs.clone() };
        assert_eq!(word(&plan(&ended, &status)), "conclude: Succeeded");
        let orphaned = Inputs { deletion: Some(RunDeletionPolicy::Orphan), ..inputs };
        assert_eq!(word(&plan(&orphaned, &status)), "release");
    }
}
