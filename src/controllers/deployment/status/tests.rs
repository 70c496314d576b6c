//! What each outcome says, that it says it once, that the columns tell the same as the conditions, and the timeline.

mod destroy;

use std::collections::BTreeMap;

use proptest::{option, prelude::*, sample::select};
use rstest::rstest;

use super::{
    super::{
        mirror::View,
        outputs::{Declared, Report},
        plan::tests::{digest_of, handled, inputs, intent, outputs_spec, run, view},
    },
    *,
};
use crate::{
    api::deployment::{
        Cancel, DriftFinding, DriftRemediation, Failure, HandledRequest, Job, Refusal, Step, WrittenOutputs,
    },
    controllers::kstatus::{Reading, any_consequence, any_words, assert_transitions, read},
};

fn at(seconds: i64) -> Time {
    Time::from_seconds(seconds)
}

/// Request 1 has a run, as `act` records it.
fn with_run(result: Option<Phase>) -> DeploymentStatus {
    DeploymentStatus {
        uid: Some("uid".into()),
        request: Some(handled(1)),
        run: Some(Run { result, ..run(1) }),
        phase: result,
        ..DeploymentStatus::default()
    }
}

fn any_view() -> impl Strategy<Value = View> {
    select(vec![Stage::Queued, Stage::Running]).prop_map(view)
}

fn any_finding() -> impl Strategy<Value = Option<Result<DriftFinding, String>>> {
    let found = (any::<bool>(), option::of(select(vec!["succeeded", "failed"]))).prop_map(|(detected, result)| {
        let remediation =
            result.map(|result| DriftRemediation { result: result.into(), resource_changes: BTreeMap::new() });
        let resource_changes = BTreeMap::new();
        Ok(DriftFinding { detected, run: "d".into(), version: None, resource_changes, remediation, seen_at: at(1) })
    });
    prop_oneof![3 => Just(None), 2 => found.prop_map(Some), 1 => Just(Some(Err("no".to_owned())))]
}

fn any_end() -> impl Strategy<Value = Outcome> {
    let failure = option::of(option::of(Just("pulumi update".to_owned())));
    let seen = |stage| Some(Box::new(view(stage)));
    prop_oneof![
        Just((Phase::Succeeded, seen(Stage::Succeeded))),
        Just((Phase::Failed, seen(Stage::Failed))),
        Just((Phase::Failed, None)),
        Just((Phase::Canceled, seen(Stage::Failed))),
        Just((Phase::Canceled, None)),
        Just((Phase::TimedOut, seen(Stage::Failed))),
        Just((Phase::TimedOut, None)),
        Just((Phase::Skipped, seen(Stage::Skipped))),
    ]
    .prop_flat_map(move |(result, view)| {
        let failed = result == Phase::Failed;
        let retry = option::of((2_u32..4).prop_map(|attempt| Retry { attempt, at: at(100) }));
        (failure.clone(), any_finding(), retry).prop_map(move |(step, drift, retry)| Outcome::Concluded {
            result,
            view: view.clone(),
            failure: failed.then(|| Failure { step: step.flatten(), log: vec![] }),
            drift: drift.clone(),
            retry: retry.filter(|_| failed && view.is_some()),
        })
    })
}

/// What can come of a plan while a run is under way, or when none is.
fn any_outcome(is_active: bool) -> BoxedStrategy<Outcome> {
    let always = prop_oneof![
        1 => Just(Outcome::Held),
        2 => any_words().prop_map(Outcome::Waiting),
        2 => any_consequence().prop_map(Outcome::Failed),
        1 => Just(Outcome::AwaitingBudget),
    ];
    if is_active {
        let follows = option::of(any_view()).prop_map(|view| Outcome::Following(view.map(Box::new)));
        let remaining = std::time::Duration::from_secs(1);
        let awaits = any_consequence().prop_map(move |it| FailedCancel { standing: it.standing, remaining });
        let cancels = prop_oneof![Just(Outcome::CancelSent), awaits.prop_map(Outcome::AwaitingCancel)];
        prop_oneof![1 => always, 2 => follows, 1 => cancels, 1 => any_end()].boxed()
    } else {
        let unknown = any::<bool>().prop_map(|needs_person| Outcome::CreateUnknown { why: "it".into(), needs_person });
        let refusal = Refusal { digest: "d".into(), message: "no".into() };
        let waits = prop_oneof![
            any_words().prop_map(Outcome::Refused),
            select(vec![
                Outcome::Nothing,
                Outcome::Settling(std::time::Duration::from_secs(1)),
                Outcome::AwaitingRetry(std::time::Duration::from_secs(1)),
                Outcome::CreatePending(std::time::Duration::from_secs(1)),
                Outcome::StackMissing("acme/web/prod".into()),
                Outcome::CreateRefused(refusal),
                Outcome::Withdrawn,
                Outcome::Adopted(Adoption::Restored(handled(1))),
                Outcome::Adopted(Adoption::Redigested(handled(1))),
            ]),
            unknown,
        ];
        prop_oneof![1 => always, 3 => waits].boxed()
    }
}

/// Whatever came before: nothing, a run under way, one that ended.
fn any_past() -> impl Strategy<Value = (DeploymentStatus, bool)> {
    let ends = select(vec![Phase::Succeeded, Phase::Failed, Phase::Canceled, Phase::TimedOut, Phase::Skipped]);
    prop_oneof![
        Just((DeploymentStatus::default(), false)),
        any::<bool>().prop_map(|cancel| {
            let mut status = with_run(None);
            let reason = CancelReason::Superseded;
            status.run.as_mut().unwrap().cancel = cancel.then_some(Cancel { reason, requested_at: at(0) });
            (super::status(&status, &inputs(1), &Outcome::Created, at(0)), true)
        }),
        ends.prop_map(|end| (super::status(&with_run(Some(end)), &inputs(1), &Outcome::Nothing, at(0)), false)),
    ]
}

fn any_history() -> impl Strategy<Value = (DeploymentStatus, Vec<Outcome>)> {
    any_past().prop_flat_map(|(past, is_active)| {
        (Just(past), prop::collection::vec(any_outcome(is_active), 1..6)).prop_map(|(past, mut outcomes)| {
            // With its end a run is over.
            if let Some(end) = outcomes.iter().position(|outcome| matches!(outcome, Outcome::Concluded { .. })) {
                outcomes.truncate(end + 1);
            }
            (past, outcomes)
        })
    })
}

fn is_under_way(status: &DeploymentStatus) -> bool {
    status.run.as_ref().is_some_and(|run| run.result.is_none())
}

proptest! {
    #![proptest_config(crate::properties::cases(512))]

    #[test]
    fn status_is_consistent_after_every_outcome_and_stays_when_it_is_repeated(
        (mut known, outcomes) in any_history(),
        request in 1_u8..3,
    ) {
        for (now, outcome) in (1..).zip(outcomes) {
            let inputs = Inputs { generation: now, requested_at: Some(format!("asked {now}")), ..inputs(request) };
            let next = status(&known, &inputs, &outcome, at(now));
            let reading = read(&next.conditions);
            assert_transitions(&known.conditions, &next.conditions, at(now));
            if outcome == Outcome::Held {
                prop_assert_eq!(&next, &known);
            } else {
                prop_assert_eq!(next.observed_generation, Some(now));
                prop_assert_eq!(next.last_handled_reconcile_at.clone(), Some(format!("asked {now}")));
            }
            let shows_run = matches!(next.phase, Some(Phase::Queued | Phase::Running));
            prop_assert!(!shows_run || is_under_way(&next), "{:?} without a run", next.phase);
            if let (Some(phase), false) = (next.phase.filter(|phase| phase.is_terminal()), reading == Reading::Retrying) {
                let expected = if phase == Phase::Succeeded { Reading::Done } else { Reading::Stalled };
                let adopted = find(&next.conditions, types::READY).is_some_and(|ready| ready.reason == "Adopted");
                prop_assert!(reading == expected || adopted, "{phase} and {reading:?}");
            }
            let later = if matches!(outcome, Outcome::Concluded { .. }) { now } else { now + 100 };
            prop_assert_eq!(status(&next, &inputs, &outcome, at(later)), next.clone());
            known = next;
        }
    }

    #[test]
    fn an_end_says_the_same_when_it_is_looked_at_again((past, outcomes) in any_history(), request in 1_u8..3) {
        let ended = (1..).zip(&outcomes).fold(past, |known, (now, outcome)| status(&known, &inputs(request), outcome, at(now)));
        let is_handled = ended.request.as_ref().is_some_and(|handled| handled.digest == digest_of(request));
        if is_handled && matches!(outcomes.last(), Some(Outcome::Concluded { .. })) {
            let looked_at_again = match &ended.retry {
                Some(_) => Outcome::AwaitingRetry(std::time::Duration::from_secs(1)),
                None => Outcome::Nothing,
            };
            prop_assert_eq!(status(&ended, &inputs(request), &looked_at_again, at(99)), ended);
        }
    }

    #[test]
    fn what_happened_is_told_once((mut known, outcomes) in any_history(), request in 1_u8..3) {
        prop_assert_eq!(events(&known, &known).len(), 0);
        for (now, outcome) in (1..).zip(outcomes) {
            let next = status(&known, &inputs(request), &outcome, at(now));
            let told = events(&known, &next);
            let ends = matches!(outcome, Outcome::Concluded { .. });
            let drifts = matches!(&outcome, Outcome::Concluded { drift: Some(Ok(found)), .. } if drift::remains(found));
            let of_the_run = told.iter().filter(|it| it.action != "Reconcile" && it.action != "Adopt");
            prop_assert_eq!(of_the_run.count(), usize::from(ends) + usize::from(drifts));
            prop_assert_eq!(events(&next, &next).len(), 0);
            known = next;
        }
    }
}

fn reasons(status: &DeploymentStatus) -> (Reading, String) {
    (read(&status.conditions), find(&status.conditions, types::READY).map(|it| it.reason.clone()).unwrap_or_default())
}

/// What a run leaves is part of what is declared: until it is written the resource is on its way, and what is refused for
/// good is for a person. The phase is that of the run.
#[test]
fn outputs_are_part_of_what_is_declared() {
    let declared = Declared { spec: outputs_spec(), is_gone: false, is_untried: true };
    let with = |request| Inputs { outputs: Some(declared.clone()), ..inputs(request) };
    let active = status(&with_run(None), &with(1), &Outcome::Created, at(0));
    let ended = status(&active, &with(1), &ended_as(Phase::Succeeded, Some(Stage::Succeeded)), at(1));
    assert_eq!(
        (ended.phase, reasons(&ended)),
        (Some(Phase::Succeeded), (Reading::InProgress, "OutputsPending".to_owned()))
    );
    assert!(told(&active, &ended)[0].starts_with("Succeeded: "), "the run has ended well all the same");

    let trouble = Consequence {
        class: crate::pulumi::Class::Unavailable,
        standing: Standing::Retrying(Words::new(Reason::OutputsPending, "503")),
        retry: crate::controllers::requeue::Retry::Backoff,
        detail: String::new(),
    };
    let failed = status(&ended, &with(1), &Outcome::Outputs(Report::Failed(trouble)), at(2));
    assert_eq!((failed.phase, reasons(&failed).0), (Some(Phase::Succeeded), Reading::Retrying));

    let refusal = outputs::refused(ended.run.as_ref().unwrap(), &declared.spec, None, "too large".into());
    let refused = status(&failed, &with(1), &Outcome::Outputs(Report::Refused(refusal)), at(3));
    assert_eq!(
        (refused.phase, reasons(&refused)),
        (Some(Phase::Succeeded), (Reading::Stalled, "OutputsRefused".to_owned()))
    );
    assert_eq!(told(&failed, &refused), ["! OutputsNotWritten: too large"], "it is told once");
    assert_eq!(status(&refused, &with(1), &Outcome::Nothing, at(4)), refused);

    let run = ended.run.as_ref().unwrap();
    let written = WrittenOutputs {
        run: run.id.clone(),
        version: run.version,
        declared: outputs::digest_of(&declared.spec),
        secret_keys: Some(1),
        config_map_keys: None,
        written_at: at(5),
    };
    let report = Outcome::Outputs(Report::Written(written, vec![]));
    let done = status(&refused, &with(1), &report, at(5));
    assert_eq!((done.phase, reasons(&done)), (Some(Phase::Succeeded), (Reading::Done, "Succeeded".to_owned())));
    assert_eq!(done.outputs_refusal, None);

    // Something else is asked for meanwhile: that has not run.
    let next = status(&ended, &with(2), &report, at(5));
    assert_eq!((next.phase, reasons(&next).0), (Some(Phase::Pending), Reading::InProgress));
    let suspended = status(&ended, &with(2), &Outcome::Waiting(Words::new(Reason::Suspended, "")), at(5));
    let next = status(&suspended, &with(2), &report, at(6));
    assert_eq!(reasons(&next).1, "Suspended", "what it waits for stays told");
    assert_eq!(find(&next.conditions, OUTPUTS_WRITTEN).unwrap().status, ConditionStatus::True);
}

/// A request that has not run yet, after an earlier one has and without any.
#[rstest]
#[case::waiting(Outcome::Waiting(Words::new(Reason::SourceMissing, "")), Reading::InProgress, "SourceMissing")]
#[case::refused(Outcome::Refused(Words::new(Reason::AccessDenied, "")), Reading::Stalled, "AccessDenied")]
#[case::settling(Outcome::Settling(std::time::Duration::ZERO), Reading::InProgress, "Settling")]
#[case::lost(Outcome::CreatePending(std::time::Duration::ZERO), Reading::InProgress, "CreatePending")]
#[case::unknown(Outcome::CreateUnknown { why: "x".into(), needs_person: false }, Reading::InProgress, "CreateOutcomeUnknown")]
#[case::for_a_person(Outcome::CreateUnknown { why: "x".into(), needs_person: true }, Reading::Stalled, "CreateOutcomeUnknown")]
#[case::no_stack(Outcome::StackMissing("s".into()), Reading::InProgress, "StackNotFound")]
#[case::rejected(Outcome::CreateRefused(Refusal { digest: "d".into(), message: "m".into() }), Reading::Stalled, "CreateRefused")]
#[case::withdrawn(Outcome::Withdrawn, Reading::InProgress, "Settling")]
fn a_request_that_waits_is_pending(#[case] outcome: Outcome, #[case] reading: Reading, #[case] reason: &str) {
    for old in [DeploymentStatus::default(), with_run(Some(Phase::Succeeded))] {
        let next = status(&old, &inputs(2), &outcome, at(1));
        assert_eq!(next.phase, Some(Phase::Pending));
        assert_eq!(next.step, None);
        assert_eq!(reasons(&next), (reading, reason.to_owned()));
    }
    let next = status(&status(&with_run(None), &inputs(1), &Outcome::Created, at(0)), &inputs(2), &outcome, at(1));
    assert_eq!(next.phase, Some(Phase::Queued), "what waits is not the run");
}

/// The create of a new request fails, or the budget has no room: the earlier run is not what status speaks of.
#[rstest]
#[case(Outcome::AwaitingBudget)]
#[case(Outcome::Failed(Consequence {
    class: crate::pulumi::Class::Forbidden,
    standing: Standing::Stalled(Words::new(Reason::AccessDenied, "")),
    retry: crate::controllers::requeue::Retry::Backoff,
    detail: String::new(),
}))]
fn a_request_that_could_not_be_sent_is_pending_too(#[case] outcome: Outcome) {
    for old in [DeploymentStatus::default(), with_run(Some(Phase::Succeeded))] {
        assert_eq!(status(&old, &inputs(2), &outcome, at(1)).phase, Some(Phase::Pending));
    }
    let active = status(&with_run(None), &inputs(1), &Outcome::Created, at(0));
    assert_eq!(status(&active, &inputs(2), &outcome, at(1)).phase, Some(Phase::Queued));
}

#[rstest]
#[case::queued(Outcome::Created, Phase::Queued, Reading::InProgress, "Queued")]
#[case::still_queued(
    Outcome::Following(Some(Box::new(view(Stage::Queued)))),
    Phase::Queued,
    Reading::InProgress,
    "Queued"
)]
#[case::running(
    Outcome::Following(Some(Box::new(view(Stage::Running)))),
    Phase::Running,
    Reading::InProgress,
    "Running"
)]
#[case::succeeded(ended_as(Phase::Succeeded, Some(Stage::Succeeded)), Phase::Succeeded, Reading::Done, "Succeeded")]
#[case::failed(ended_as(Phase::Failed, Some(Stage::Failed)), Phase::Failed, Reading::Stalled, "Failed")]
#[case::skipped(ended_as(Phase::Skipped, Some(Stage::Skipped)), Phase::Skipped, Reading::Stalled, "Skipped")]
#[case::canceled(ended_as(Phase::Canceled, Some(Stage::Failed)), Phase::Canceled, Reading::Stalled, "Canceled")]
#[case::canceled_in_the_queue(ended_as(Phase::Canceled, None), Phase::Canceled, Reading::Stalled, "Canceled")]
#[case::timed_out(ended_as(Phase::TimedOut, Some(Stage::Failed)), Phase::TimedOut, Reading::Stalled, "TimedOut")]
#[case::timed_out_in_the_queue(ended_as(Phase::TimedOut, None), Phase::TimedOut, Reading::Stalled, "TimedOut")]
#[case::gone(ended_as(Phase::Failed, None), Phase::Failed, Reading::Stalled, "RunDisappeared")]
fn a_run_has_a_phase(#[case] outcome: Outcome, #[case] phase: Phase, #[case] reading: Reading, #[case] reason: &str) {
    let next = status(&with_run(None), &inputs(1), &outcome, at(9));
    assert_eq!(next.phase, Some(phase));
    assert_eq!(reasons(&next), (reading, reason.to_owned()));
    let run = next.run.unwrap();
    assert_eq!(run.result, Some(phase).filter(|phase| phase.is_terminal()));
    let has_view = matches!(&outcome, Outcome::Concluded { view: Some(_), .. });
    assert_eq!(run.finished_at, run.result.map(|_| if has_view { at(3) } else { at(9) }));
}

/// A run that fails, as `ended_as`, and an attempt that follows at 60 s.
fn failed_and_owed() -> Outcome {
    match ended_as(Phase::Failed, Some(Stage::Failed)) {
        Outcome::Concluded { result, view, failure, drift, retry: _ } => {
            Outcome::Concluded { result, view, failure, drift, retry: Some(Retry { attempt: 2, at: at(60) }) }
        }
        other => other,
    }
}

#[test]
fn between_two_attempts_it_is_on_its_way() {
    let active = status(&with_run(None), &inputs(1), &Outcome::Created, at(0));
    let failed = status(&active, &inputs(1), &failed_and_owed(), at(1));
    assert_eq!((failed.phase, reasons(&failed)), (Some(Phase::Pending), (Reading::InProgress, "Retrying".to_owned())));
    assert_eq!(failed.run.as_ref().unwrap().result, Some(Phase::Failed));
    let message = &find(&failed.conditions, types::READY).unwrap().message;
    assert!(message.contains("failed") && message.ends_with("Attempt 2 follows at 1970-01-01T00:01:00Z"), "{message}");
    assert_eq!(told(&active, &failed), [format!("! Failed: {message}")]);

    // Suspended and taken up again, it says the same.
    let suspended = status(&failed, &inputs(1), &Outcome::Waiting(Words::new(Reason::Suspended, "")), at(2));
    assert_eq!(reasons(&suspended).1, "Suspended");
    let wait = Outcome::AwaitingRetry(std::time::Duration::from_secs(1));
    assert_eq!(reasons(&status(&suspended, &inputs(1), &wait, at(3))), reasons(&failed));

    // Taken back, it is what it would have been without.
    let taken_back = status(&failed, &inputs(1), &Outcome::Nothing, at(2));
    let plain = status(&active, &inputs(1), &ended_as(Phase::Failed, Some(Stage::Failed)), at(1));
    assert_eq!((taken_back.phase, &taken_back.retry), (Some(Phase::Failed), &None));
    assert_eq!(reasons(&taken_back), reasons(&plain));

    for adoption in [Adoption::Restored(handled(1)), Adoption::Redigested(handled(1))] {
        assert_eq!(status(&failed, &inputs(1), &Outcome::Adopted(adoption), at(2)).retry, None, "nothing is run");
    }
    let other = status(&active, &inputs(2), &failed_and_owed(), at(1));
    assert_eq!(reasons(&other).1, "Settling", "another request comes first");
}

/// (the steps, the update that failed, whether the job began) → what failed.
#[rstest]
#[case::a_step("Get source failed", None, true, "failed at step `Get source`; status.run.failure.log")]
#[case::the_operation(
    "pulumi update failed",
    Some("update"),
    true,
    "failed at step `pulumi update`: the Pulumi operation (update 7 of the stack) failed; status.run.failure.log"
)]
#[case::the_operation_without_a_step("", Some("update"), true, "failed: the Pulumi operation (update 7 of the stack)")]
#[case::no_step("", None, true, "failed before any step did.")]
#[case::the_queue("", None, false, "failed in the queue, before its job began.")]
fn what_failed_is_told_apart(
    #[case] step: &str,
    #[case] update: Option<&str>,
    #[case] began: bool,
    #[case] expected: &str,
) {
    let updates = update.map(|kind| Update {
        version: 7,
        kind: kind.into(),
        result: "failed".into(),
        resource_changes: BTreeMap::new(),
    });
    let view =
        View { started_at: began.then_some(at(2)), updates: updates.into_iter().collect(), ..view(Stage::Failed) };
    let step = step.strip_suffix(" failed").map(ToOwned::to_owned);
    let outcome = Outcome::Concluded {
        result: Phase::Failed,
        view: Some(Box::new(view)),
        failure: Some(Failure { step, log: vec![] }),
        drift: None,
        retry: None,
    };
    let next = status(&with_run(None), &inputs(1), &outcome, at(9));
    let message = &find(&next.conditions, types::READY).unwrap().message;
    assert!(message.starts_with(&format!("update 1 of acme/web/prod {expected}")), "{message}");
}

fn ended_as(result: Phase, stage: Option<Stage>) -> Outcome {
    let failure = (result == Phase::Failed).then(Failure::default);
    Outcome::Concluded { result, view: stage.map(|stage| Box::new(view(stage))), failure, drift: None, retry: None }
}

#[test]
fn the_end_of_an_earlier_request_is_not_that_of_the_next() {
    let outcome = ended_as(Phase::Succeeded, Some(Stage::Succeeded));
    let next = status(&with_run(None), &inputs(2), &outcome, at(1));
    assert_eq!((next.phase, reasons(&next)), (Some(Phase::Pending), (Reading::InProgress, "Settling".to_owned())));
    assert_eq!(next.run.unwrap().result, Some(Phase::Succeeded));
}

#[test]
fn a_request_that_is_taken_back_leaves_the_end_of_the_one_before() {
    let ended = status(&with_run(None), &inputs(1), &ended_as(Phase::Failed, None), at(1));
    let waiting = status(&ended, &inputs(2), &Outcome::Settling(std::time::Duration::ZERO), at(2));
    assert_eq!(waiting.phase, Some(Phase::Pending));
    let back = status(&waiting, &inputs(1), &Outcome::Nothing, at(3));
    assert_eq!((back.phase, reasons(&back)), (ended.phase, reasons(&ended)));
}

/// The first request of a restored resource is handled without a run.
#[test]
fn a_request_that_is_taken_back_leaves_nothing_waiting() {
    let restored = Outcome::Adopted(Adoption::Restored(handled(1)));
    let adopted = status(&DeploymentStatus::default(), &inputs(1), &restored, at(1));
    let waiting = status(&adopted, &inputs(2), &Outcome::Waiting(Words::new(Reason::SourceMissing, "")), at(2));
    assert_eq!(reasons(&waiting).0, Reading::InProgress);
    let back = status(&waiting, &inputs(1), &Outcome::Nothing, at(3));
    assert_eq!((back.phase, reasons(&back)), (adopted.phase, reasons(&adopted)));
}

#[rstest]
#[case::in_the_middle_of_a_create(DeploymentStatus { intent: Some(intent("n", 1)), ..DeploymentStatus::default() }, None)]
#[case::in_the_middle_of_a_run(DeploymentStatus { phase: Some(Phase::Running), ..with_run(None) }, None)]
#[case::after_a_run(with_run(Some(Phase::Failed)), Some(Phase::Failed))]
fn a_restored_status_is_finished(#[case] backup: DeploymentStatus, #[case] phase: Option<Phase>) {
    let backup = DeploymentStatus { uid: Some("before".into()), ..backup };
    let next = status(&backup, &inputs(5), &Outcome::Adopted(Adoption::Restored(handled(5))), at(1));
    assert_eq!(next.uid.as_deref(), Some("uid"));
    assert_eq!(next.request, Some(handled(5)));
    assert_eq!((&next.intent, is_under_way(&next)), (&None, false));
    assert_eq!(next.phase, phase);
    assert_eq!(reasons(&next), (Reading::Done, "Adopted".to_owned()));
}

#[test]
fn another_digest_of_the_same_request_changes_nothing_else() {
    let ended = status(&with_run(None), &inputs(1), &ended_as(Phase::Succeeded, Some(Stage::Succeeded)), at(1));
    let adopted = Outcome::Adopted(Adoption::Redigested(handled(1)));
    let old =
        DeploymentStatus { request: Some(HandledRequest { digest: "v0:x".into(), ..handled(1) }), ..ended.clone() };
    assert_eq!(status(&old, &inputs(1), &adopted, at(2)), ended);
}

/// Jobs written as `Setup succeeded, update running | cleanup not-started`.
fn jobs(written: &str) -> Vec<Job> {
    let step = |step: &str| {
        let (name, status) = step.trim().split_once(' ').unwrap();
        Step { name: name.into(), status: status.into(), started_at: None, finished_at: None }
    };
    let steps = |job: &str| job.split(',').filter(|step| !step.trim().is_empty()).map(step).collect();
    written.split('|').map(|job| Job { status: String::new(), steps: steps(job) }).collect()
}

#[rstest]
#[case::no_step("", None)]
#[case::nothing_begun("Setup not-started", None)]
#[case::first("Setup running, update not-started", Some("1/2 Setup"))]
#[case::between("Setup succeeded, update not-started", Some("1/2 Setup"))]
#[case::last("Setup succeeded, update running", Some("2/2 update"))]
#[case::all_done("Setup succeeded, update succeeded", Some("2/2 update"))]
#[case::failed("Setup failed, update not-started", Some("1/2 Setup"))]
#[case::failed_and_cleaned_up("Setup failed, update not-started, cleanup succeeded", Some("1/3 Setup"))]
#[case::a_word_of_tomorrow("Setup succeeded, update pondering", Some("2/2 update"))]
#[case::second_job("Setup succeeded | update running", Some("2/2 update"))]
fn the_step_column(#[case] steps: &str, #[case] expected: Option<&str>) {
    let view = View { jobs: jobs(steps), ..view(Stage::Running) };
    let next = status(&with_run(None), &inputs(1), &Outcome::Following(Some(Box::new(view))), at(1));
    assert_eq!(next.step.as_deref(), expected);
    let run = next.run.clone().map(|run| Run { result: Some(Phase::Failed), ..run });
    let waiting = status(&DeploymentStatus { run, ..next }, &inputs(2), &Outcome::Withdrawn, at(2));
    assert_eq!(waiting.step, None, "a request that waits is at no step");
}

fn told(old: &DeploymentStatus, new: &DeploymentStatus) -> Vec<String> {
    events(old, new)
        .iter()
        .map(|it| format!("{}{}: {}", if it.warning { "! " } else { "" }, it.reason, it.note))
        .collect()
}

#[rstest]
#[case(ended_as(Phase::Succeeded, Some(Stage::Succeeded)), "Succeeded: update 1 of acme/web/prod succeeded")]
#[case(ended_as(Phase::Canceled, None), "! Canceled: update 1 of acme/web/prod was canceled")]
#[case(ended_as(Phase::TimedOut, None), "! TimedOut: update 1 of acme/web/prod was canceled")]
#[case(ended_as(Phase::Skipped, Some(Stage::Skipped)), "! Skipped: update 1 of acme/web/prod was skipped")]
#[case(ended_as(Phase::Failed, Some(Stage::Failed)), "! Failed: update 1 of acme/web/prod failed")]
#[case(ended_as(Phase::Failed, None), "! Failed: the service does not know update 1 of acme/web/prod")]
fn the_end_of_a_run_is_told_with_its_name(#[case] outcome: Outcome, #[case] expected: &str) {
    let active = status(&with_run(None), &inputs(1), &Outcome::Created, at(0));
    for request in [1, 2] {
        let ended = status(&active, &inputs(request), &outcome, at(1));
        let told = told(&active, &ended);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(expected), "while {request} is asked for: {told:?}");
    }
}

#[test]
fn the_timeline_of_two_requests() {
    let mut timeline = vec![];
    let mut known = DeploymentStatus::default();
    let mut tell = |next: DeploymentStatus| {
        timeline.extend(told(&known, &next).into_iter().map(|it| it.split_once(':').unwrap().0.to_owned()));
        known = next;
        known.clone()
    };
    let status = |known: &DeploymentStatus, request, outcome: &Outcome| status(known, &inputs(request), outcome, at(1));
    let refused = Outcome::Refused(Words::new(Reason::AccessDenied, "no"));
    let known = tell(status(&DeploymentStatus::default(), 1, &refused));
    let known = tell(status(&known, 1, &refused));
    let recorded = DeploymentStatus { run: with_run(None).run, request: with_run(None).request, ..known };
    let known = tell(status(&recorded, 1, &Outcome::Created));
    let known = tell(status(&known, 1, &Outcome::Following(None)));
    let known = tell(status(&known, 1, &ended_as(Phase::Failed, Some(Stage::Failed))));
    let known = tell(status(&known, 1, &Outcome::Nothing));
    let known = tell(status(&known, 2, &Outcome::Settling(std::time::Duration::ZERO)));
    let recorded = DeploymentStatus { run: Some(run(2)), request: Some(handled(2)), ..known };
    let known = tell(status(&recorded, 2, &Outcome::Created));
    tell(status(&known, 2, &ended_as(Phase::Succeeded, Some(Stage::Succeeded))));
    assert_eq!(timeline, ["! Stalled", "Triggered", "! Failed", "Triggered", "Succeeded"]);
}

/// What failed for a moment says nothing of what ran before: nobody who waits for `Ready` is let through.
#[rstest]
#[case(Outcome::AwaitingBudget)]
#[case(Outcome::Failed(Consequence {
    class: crate::pulumi::Class::Throttled,
    standing: Standing::Retrying(Words::new(Reason::Settling, "it is tried again")),
    retry: crate::controllers::requeue::Retry::Backoff,
    detail: String::new(),
}))]
fn ready_does_not_outlive_its_request(#[case] outcome: Outcome) {
    for (result, stage) in [(Phase::Succeeded, Stage::Succeeded), (Phase::Failed, Stage::Failed)] {
        let ended = status(&with_run(None), &inputs(1), &ended_as(result, Some(stage)), at(1));
        let ready = |status: &DeploymentStatus| find(&status.conditions, types::READY).unwrap().status;
        assert_ne!(ready(&ended), ConditionStatus::Unknown);
        let waiting = status(&ended, &inputs(2), &outcome, at(2));
        assert_eq!((waiting.phase, ready(&waiting)), (Some(Phase::Pending), ConditionStatus::Unknown));
        assert!(find(&waiting.conditions, types::RECONCILING).is_some());
        assert_eq!(status(&waiting, &inputs(2), &outcome, at(3)), waiting, "once");
    }
}

/// A preview that was made for approval is nothing that was asked for, here or in the cluster that a backup comes from.
#[test]
fn a_preview_alone_is_not_the_end_of_a_request() {
    let mut before = with_run(None);
    before.run.as_mut().unwrap().purpose = Purpose::Preview;
    let view = Some(Box::new(view(Stage::Succeeded)));
    let ended = Outcome::Concluded { result: Phase::Succeeded, view, failure: None, drift: None, retry: None };
    let after = status(&before, &inputs(1), &ended, at(5));
    let ready = find(&after.conditions, types::READY).unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::Unknown, "AwaitingApproval"));
    assert_eq!(after.phase, Some(Phase::Pending));
    let adopted = Outcome::Adopted(Adoption::Restored(handled(1)));
    let restored = status(&after, &inputs(1), &adopted, at(6));
    assert_eq!((restored.run, restored.approval, restored.phase), (None, None, None));
}
