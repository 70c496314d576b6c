//! The state machine: every way through it by table, what must always hold by property, and the whole of it together
//! with a world that crashes and loses things by exhaustive search (`model`).

mod destroy;
mod model;

use proptest::{option, prelude::*, sample::select};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    api::{
        Time,
        approval::Basis,
        deployment::{Cancel, Job, OutputsSpec, Refusal, Step},
    },
    controllers::deployment::request::{Identity, Settings, identity},
};

/// The digest of a request, as status keeps it.
pub(in crate::controllers::deployment) fn digest_of(request: u8) -> String {
    format!("v1:{request}")
}

pub(in crate::controllers::deployment) fn handled(request: u8) -> HandledRequest {
    HandledRequest { number: request.into(), digest: digest_of(request), ..HandledRequest::default() }
}

pub(in crate::controllers::deployment) fn target() -> Target {
    Target {
        backend_url: "https://api.pulumi.com".into(),
        organization: "acme".into(),
        project: "web".into(),
        stack: "prod".into(),
    }
}

pub(in crate::controllers::deployment) fn intent(nonce: &str, request: u8) -> Intent {
    let written = json!({
        "nonce": nonce, "request": handled(request), "purpose": "Main", "attempt": 1, "operation": "update",
        "target": target(), "holder": "a process", "time": Time::from_seconds(0),
    });
    serde_json::from_value(written).unwrap()
}

/// A run that is under way.
pub(in crate::controllers::deployment) fn run(request: u8) -> Run {
    let written = json!({
        "nonce": format!("nonce {request}"), "request": handled(request), "purpose": "Main", "attempt": 1,
        "operation": "update", "target": target(), "id": format!("id {request}"), "version": request,
        "status": "not-started",
    });
    serde_json::from_value(written).unwrap()
}

pub(in crate::controllers::deployment) fn view(stage: Stage) -> View {
    let status = match stage {
        Stage::Queued => "not-started",
        Stage::Running => "running",
        Stage::Succeeded => "succeeded",
        Stage::Failed => "failed",
        Stage::Skipped => "skipped",
    };
    let has_begun = stage != Stage::Queued && stage != Stage::Skipped;
    View {
        status: status.into(),
        stage,
        queued_at: Some(Time::from_seconds(1)),
        started_at: has_begun.then_some(Time::from_seconds(2)),
        modified_at: Some(Time::from_seconds(3)),
        jobs: vec![],
        updates: vec![],
    }
}

pub(in crate::controllers::deployment) fn inputs(request: u8) -> Inputs {
    Inputs {
        generation: 1,
        uid: "uid".into(),
        requested_at: None,
        request: digest_of(request),
        asked: Asked {
            operation: Operation::Update,
            digest_without_rerun: digest_of(request),
            settings: Settings::Ignored,
        },
        history_limit: 10,
        adopt: None,
        suspend: false,
        supersede: Supersede::CancelQueued,
        timeout: None,
        queue_timeout: None,
        retry: None,
        approval: ApprovalMode::Automatic,
        word: Word::default(),
        resource: "--namespace=team pulumideployment/web".into(),
        now: Time::from_seconds(0),
        service_now: Time::from_seconds(0),
        random: u32::MAX,
        deletion: None,
        give_up: false,
        suspended: false,
        reach: Reach::Open,
        recovery: Recovery::None,
        road: Road::NotRead,
        sighting: Sighting::None,
        cancel_sent: false,
        cancel_failed: None,
        outputs: None,
    }
}

pub(in crate::controllers::deployment) fn outputs_spec() -> OutputsSpec {
    serde_json::from_value(json!({"secret": {"name": "s"}})).unwrap()
}

fn words() -> Words {
    Words { reason: "Why".into(), message: String::new() }
}

/// An update, of settings whose content nobody has changed.
pub(in crate::controllers::deployment) fn subject() -> Subject {
    let basis = Basis { settings: Some("settings".into()), overrides: "overrides".into(), stack_version: None };
    Subject { purpose: Purpose::Main, operation: Operation::Update, basis }
}

pub(in crate::controllers::deployment) fn open_road(request: u8) -> Road {
    Road::Open(Box::new(Start {
        purpose: Purpose::Main,
        operation: Operation::Update,
        target: target(),
        body: Node::object(),
        settings_digest: None,
        digest: format!("start {request}"),
        subject: subject(),
        approved: None,
    }))
}

/// The open road, with what is next for the request at its end, as `gather` reads it.
fn road_to_approval(inputs: &Inputs, status: &DeploymentStatus, request: u8, content: u8) -> Road {
    let mut subject = subject();
    subject.basis.settings = Some(format!("settings {content}"));
    let step = approval::step(inputs, status, &subject);
    let purpose = if matches!(step, approval::Step::Offer(Some(_))) { Some(Purpose::Preview) } else { step.purpose() };
    let purpose = purpose.unwrap_or(subject.purpose);
    let approved = match step {
        approval::Step::Approved(pending, by) => Some(Approved::of(pending, by)),
        _ => None,
    };
    let Road::Open(start) = open_road(request) else { return Road::NotRead };
    let operation = if purpose == Purpose::Preview { Operation::Preview } else { subject.operation };
    Road::Open(Box::new(Start { purpose, operation, subject, approved, ..*start }))
}

fn seen(stage: Stage) -> Sighting {
    Sighting::Seen(Box::new(view(stage)))
}

fn with_intent() -> DeploymentStatus {
    DeploymentStatus { uid: Some("uid".into()), intent: Some(intent("nonce", 1)), ..DeploymentStatus::default() }
}

/// The run of request 1; `cancel`: its cancel is journaled.
fn with_run(result: Option<Phase>, cancel: bool) -> DeploymentStatus {
    let cancel = cancel.then_some(Cancel { reason: CancelReason::Superseded, requested_at: Time::from_seconds(0) });
    DeploymentStatus {
        uid: Some("uid".into()),
        request: Some(handled(1)),
        run: Some(Run { cancel, result, ..run(1) }),
        ..DeploymentStatus::default()
    }
}

/// A plan in few words.
fn word(plan: &Plan) -> String {
    match plan {
        Plan::Idle => "idle".into(),
        Plan::Adopt(Adoption::Restored(_)) => "adopt restored".into(),
        Plan::Adopt(Adoption::Redigested(_)) => "adopt redigested".into(),
        Plan::Adopt(Adoption::SettingsDigest(_)) => "adopt settings".into(),
        Plan::TakeOver(Adoptee::Latest, _) => "take over latest".into(),
        Plan::TakeOver(Adoptee::Named(id), _) => format!("take over {id}"),
        Plan::Hold => "hold".into(),
        Plan::Wait(words) => format!("wait: {}", words.reason),
        Plan::Refuse(words) => format!("refuse: {}", words.reason),
        Plan::Settle(_) => "settle".into(),
        Plan::AwaitBudget => "await budget".into(),
        Plan::AwaitRetry(_) => "await retry".into(),
        Plan::Create(start) if start.purpose != Purpose::Main => format!("create {:?}", start.purpose),
        Plan::Create(_) => "create".into(),
        Plan::Offer(_) => "offer".into(),
        Plan::Outdate(moved) => format!("outdate: {moved:?}"),
        Plan::AwaitApproval(unsaid) => format!("await approval: {unsaid:?}"),
        Plan::Reject(by) => format!("reject: {by:?}"),
        Plan::AwaitOutcome(_) => "await outcome".into(),
        Plan::Recover(_) => "recover".into(),
        Plan::AdoptNamed(_, id) => format!("adopt {id}"),
        Plan::Withdraw => "withdraw".into(),
        Plan::Follow(view) => if view.is_some() { "follow" } else { "follow blindly" }.into(),
        Plan::Conclude(conclusion) => match &conclusion.retry {
            Some(Retry { attempt, at }) => {
                format!("conclude: {}, and attempt {attempt} at {}", conclusion.result, at.seconds())
            }
            None => format!("conclude: {}", conclusion.result),
        },
        Plan::Cancel { reason, only_queued } => {
            format!("cancel {}: {reason:?}", if *only_queued { "if queued" } else { "anyway" })
        }
        Plan::AwaitCancel(_) => "await cancel".into(),
        Plan::WriteOutputs(run) => format!("write outputs of {}", run.version),
        Plan::AwaitOutputs(words) => format!("await outputs: {}", words.reason),
        Plan::Release => "release".into(),
    }
}

const SOON: Duration = Duration::from_secs(1);

#[rstest]
#[case::not_read(Road::NotRead, "hold")]
#[case::not_yet(Road::NotYet, "hold")]
#[case::waiting(Road::Waiting(words()), "wait: Why")]
#[case::refused(Road::Refused(words()), "refuse: Why")]
#[case::settling(Road::Settling(SOON), "settle")]
#[case::no_budget(Road::AwaitingBudget, "await budget")]
#[case::open(open_road(2), "create")]
fn a_new_request_takes_the_road(#[case] road: Road, #[case] expected: &str) {
    let inputs = Inputs { road, ..inputs(2) };
    assert_eq!(word(&plan(&inputs, &DeploymentStatus::default())), expected);
    assert_eq!(word(&plan(&inputs, &with_run(Some(Phase::Failed), false))), expected, "after another");
    assert_eq!(word(&plan(&Inputs { request: digest_of(1), ..inputs }, &with_run(Some(Phase::Failed), false))), "idle");
}

#[rstest]
#[case::by_itself(true, false)]
#[case::by_the_brake(false, true)]
#[case::by_both(true, true)]
fn nothing_new_starts_while_suspended(#[case] suspend: bool, #[case] suspended: bool) {
    let inputs = Inputs { suspend, suspended, road: open_road(2), ..inputs(2) };
    assert_eq!(word(&plan(&inputs, &DeploymentStatus::default())), "wait: Suspended");
    assert_eq!(word(&plan(&inputs, &with_run(Some(Phase::Succeeded), false))), "wait: Suspended");
    assert_eq!(word(&plan(&inputs, &with_run(None, false))), "follow blindly", "what is under way goes on");
}

/// Outputs are read once everything else is done, and what stands in their way stands in nothing else's.
#[rstest]
#[case::after_an_update(Some(Phase::Succeeded), "write outputs of 1")]
#[case::not_after_a_failure(Some(Phase::Failed), "idle")]
#[case::not_during_a_run(None, "follow blindly")]
fn outputs_are_written_after_a_run_that_succeeded(#[case] result: Option<Phase>, #[case] expected: &str) {
    let spec = outputs_spec();
    let declared = |is_gone| Some(Declared { spec: spec.clone(), is_gone, is_untried: true });
    let status = with_run(result, false);
    let inputs = Inputs { outputs: declared(false), ..inputs(1) };
    assert_eq!(word(&plan(&inputs, &status)), expected);
    if result != Some(Phase::Succeeded) {
        return;
    }
    for held in [false, true] {
        let newer = Inputs { request: digest_of(2), road: open_road(2), suspend: held, ..inputs.clone() };
        assert_eq!(word(&plan(&newer, &status)), expected, "they are written before anything else");
        let otherwise = if held { "wait: Suspended" } else { "create" };
        let tried = Declared { is_untried: false, ..declared(false).unwrap() };
        let tried = Inputs { outputs: Some(tried), ..newer.clone() };
        assert_eq!(word(&plan(&tried, &status)), otherwise, "what can't be written holds back nothing");
        let blocked = Inputs { reach: Reach::Blocked(words()), ..newer };
        assert_eq!(word(&plan(&blocked, &status)), otherwise);
    }
    assert_eq!(word(&plan(&Inputs { suspend: true, suspended: true, ..inputs.clone() }, &status)), expected);
    assert_eq!(word(&plan(&Inputs { reach: Reach::NotYet, ..inputs.clone() }, &status)), "hold");
    let blocked = Inputs { reach: Reach::Blocked(words()), ..inputs.clone() };
    assert_eq!(word(&plan(&blocked, &status)), "await outputs: Why");
    let deleted = Inputs { deletion: Some(RunDeletionPolicy::Orphan), ..inputs.clone() };
    assert_eq!(word(&plan(&deleted, &status)), "release");

    let run = status.run.as_ref().unwrap();
    let refusal = outputs::refused(run, &spec, None, "no".into());
    let refused = DeploymentStatus { outputs_refusal: Some(refusal), ..status.clone() };
    assert_eq!(word(&plan(&inputs, &refused)), "idle", "what was refused is not asked for again");
    assert_eq!(word(&plan(&Inputs { outputs: declared(true), ..inputs.clone() }, &refused)), "idle");
    let asked = Inputs { requested_at: Some("now".into()), ..inputs.clone() };
    assert_eq!(word(&plan(&asked, &refused)), expected, "unless somebody asks");

    let written = json!({
        "run": run.id, "version": run.version, "declared": digest::plain(&json!(spec)),
        "writtenAt": Time::from_seconds(1),
    });
    let status = DeploymentStatus { outputs: serde_json::from_value(written).unwrap(), ..status };
    assert_eq!(word(&plan(&inputs, &status)), "idle");
    assert_eq!(
        word(&plan(&Inputs { outputs: declared(true), ..inputs }, &status)),
        expected,
        "one that is gone comes back"
    );
}

#[test]
fn what_was_refused_once_is_asked_again_only_when_something_is_different() {
    let refusal = Refusal { digest: "start 2".into(), message: "no".into() };
    let status = DeploymentStatus { refusal: Some(refusal), ..DeploymentStatus::default() };
    assert_eq!(word(&plan(&Inputs { road: open_road(2), ..inputs(2) }, &status)), "refuse: CreateRefused");
    assert_eq!(word(&plan(&Inputs { road: open_road(3), ..inputs(3) }, &status)), "create");
}

#[rstest]
#[case::unseen(Recovery::None, "recover")]
#[case::too_early(Recovery::Wait(SOON), "await outcome")]
#[case::time_to_look(Recovery::Look, "recover")]
#[case::not_created(Recovery::NotCreated, "withdraw")]
#[case::named(Recovery::Named("x".into()), "adopt x")]
#[case::declared_lost(Recovery::DeclaredLost, "withdraw")]
fn an_intent_is_settled_whatever_else_is_asked_for(
    #[case] recovery: Recovery,
    #[case] expected: &str,
    #[values(false, true)] suspended: bool,
    #[values(None, Some(RunDeletionPolicy::Orphan), Some(RunDeletionPolicy::Cancel), Some(RunDeletionPolicy::Destroy))]
    deletion: Option<RunDeletionPolicy>,
) {
    let inputs =
        Inputs { recovery, deletion, suspended, suspend: suspended, supersede: Supersede::Cancel, ..inputs(2) };
    assert_eq!(word(&plan(&inputs, &with_intent())), expected);
    let is_known = expected == "withdraw";
    let out_of_reach = |otherwise: &'static str| match deletion {
        _ if is_known => expected,
        // Whatever becomes of it is nobody's business any more.
        Some(RunDeletionPolicy::Orphan) => "release",
        _ => otherwise,
    };
    let blocked = Inputs { reach: Reach::Blocked(words()), ..inputs.clone() };
    assert_eq!(word(&plan(&blocked, &with_intent())), out_of_reach("wait: Why"));
    let unseen = Inputs { reach: Reach::NotYet, ..inputs };
    assert_eq!(word(&plan(&unseen, &with_intent())), out_of_reach("hold"));
    let given_up = Inputs { give_up: true, ..blocked };
    let lets_go = !is_known && deletion.is_some_and(|policy| policy != RunDeletionPolicy::Destroy);
    assert_eq!(word(&plan(&given_up, &with_intent())) == "release", lets_go);
}

/// What becomes of run 1 when request 2 comes: by policy, and by where the run stands.
#[rstest]
#[case(Supersede::Wait, seen(Stage::Queued), "follow")]
#[case(Supersede::Wait, seen(Stage::Running), "follow")]
#[case(Supersede::CancelQueued, seen(Stage::Queued), "cancel if queued: Superseded")]
#[case(Supersede::CancelQueued, seen(Stage::Running), "follow")]
#[case(Supersede::CancelQueued, Sighting::None, "cancel if queued: Superseded")]
#[case(Supersede::Cancel, seen(Stage::Queued), "cancel anyway: Superseded")]
#[case(Supersede::Cancel, seen(Stage::Running), "cancel anyway: Superseded")]
#[case(Supersede::Cancel, seen(Stage::Succeeded), "conclude: Succeeded")]
#[case(Supersede::Cancel, Sighting::Missing(1), "cancel anyway: Superseded")]
fn a_newer_request_supersedes_by_policy(
    #[case] supersede: Supersede,
    #[case] sighting: Sighting,
    #[case] expected: &str,
) {
    let inputs = Inputs { supersede, sighting, ..inputs(2) };
    let status = with_run(None, false);
    assert_eq!(word(&plan(&inputs, &status)), expected);
    let followed = word(&plan(&Inputs { request: digest_of(1), ..inputs.clone() }, &status));
    assert!(!followed.starts_with("cancel"), "the request that runs supersedes nothing: {followed}");
    for held in [Inputs { suspend: true, ..inputs.clone() }, Inputs { suspended: true, ..inputs.clone() }] {
        assert_eq!(word(&plan(&held, &status)), followed, "what holds back the new run cancels no other for it");
    }
    let blocked = Inputs { reach: Reach::Blocked(words()), ..inputs };
    let has_ended = expected.starts_with("conclude");
    assert_eq!(word(&plan(&blocked, &status)), if has_ended { expected } else { "wait: Why" });
}

/// A cancel that was journaled by a process that is gone. Only `Cancel` may hit a run that has begun meanwhile.
#[rstest]
#[case(Supersede::Wait, seen(Stage::Queued), "cancel if queued: Superseded")]
#[case(Supersede::CancelQueued, Sighting::None, "cancel if queued: Superseded")]
#[case(Supersede::CancelQueued, seen(Stage::Running), "cancel if queued: Superseded")]
#[case(Supersede::Cancel, seen(Stage::Running), "cancel anyway: Superseded")]
#[case(Supersede::Cancel, seen(Stage::Failed), "conclude: Canceled")]
#[case(Supersede::Cancel, seen(Stage::Succeeded), "conclude: Succeeded")]
fn a_journaled_cancel_is_sent_again(#[case] supersede: Supersede, #[case] sighting: Sighting, #[case] expected: &str) {
    for request in [1, 2] {
        let inputs = Inputs { supersede, sighting: sighting.clone(), ..inputs(request) };
        let status = with_run(None, true);
        assert_eq!(word(&plan(&inputs, &status)), expected);
        for held in [Inputs { cancel_sent: true, ..inputs.clone() }, Inputs { suspended: true, ..inputs }] {
            assert!(!word(&plan(&held, &status)).starts_with("cancel"));
        }
    }
}

#[rstest]
#[case::not_seen(Sighting::None, false, false, "follow blindly")]
#[case::queued(seen(Stage::Queued), false, false, "follow")]
#[case::running(seen(Stage::Running), true, false, "follow")]
#[case::succeeded(seen(Stage::Succeeded), true, false, "conclude: Succeeded")]
#[case::succeeded_all_the_same(seen(Stage::Succeeded), true, true, "conclude: Succeeded")]
#[case::failed(seen(Stage::Failed), true, false, "conclude: Failed")]
#[case::canceled(seen(Stage::Failed), true, true, "conclude: Canceled")]
#[case::skipped(seen(Stage::Skipped), false, false, "conclude: Skipped")]
#[case::missed_once(Sighting::Missing(1), false, false, "follow blindly")]
#[case::missed_almost_enough(Sighting::Missing(MISSES - 1), true, false, "follow blindly")]
#[case::disappeared(Sighting::Missing(MISSES), false, false, "conclude: Failed")]
#[case::canceled_in_the_queue(Sighting::Missing(1), false, true, "conclude: Canceled")]
#[case::missed_once_after_it_began(Sighting::Missing(1), true, true, "follow blindly")]
#[case::disappeared_after_it_was_canceled(Sighting::Missing(MISSES), true, true, "conclude: Canceled")]
fn a_run_ends_when_the_service_says_so(
    #[case] sighting: Sighting,
    #[case] has_begun: bool,
    #[case] cancel: bool,
    #[case] expected: &str,
) {
    let mut status = with_run(None, cancel);
    status.run.as_mut().unwrap().started_at = has_begun.then_some(Time::from_seconds(2));
    let inputs = Inputs { sighting, cancel_sent: cancel, ..inputs(1) };
    assert_eq!(word(&plan(&inputs, &status)), expected);
}

#[test]
fn the_failed_step_is_named_for_its_log() {
    let step = |name: &str, status: &str| Step {
        name: name.into(),
        status: status.into(),
        started_at: None,
        finished_at: None,
    };
    let steps = vec![step("Setup", "succeeded"), step("pulumi update", "failed")];
    let view = View { jobs: vec![Job { status: "failed".into(), steps }], ..view(Stage::Failed) };
    let inputs = Inputs { sighting: Sighting::Seen(Box::new(view)), ..inputs(1) };
    let failed_step = |status| match plan(&inputs, &status) {
        Plan::Conclude(conclusion) => conclusion.failed_step,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed_step(with_run(None, false)), Some((0, 1, "pulumi update".to_owned())));
    assert_eq!(failed_step(with_run(None, true)), None, "nobody needs the log of what was canceled");
}

fn at(seconds: i64) -> Time {
    Time::from_seconds(seconds)
}

/// `1s` and `8s`, so that the waits are 1, 2, 4, 8, 8, … seconds when none is left out.
fn retries(limit: u32) -> RetryPolicy {
    let written = json!({"limit": limit, "backoff": {"initial": "1s", "max": "8s"}});
    serde_json::from_value(written).unwrap()
}

/// A run that was queued at 1 and began at 2, under `queueTimeout: 10s` and `timeout: 100s`.
#[rstest]
#[case::queued(seen(Stage::Queued), 10, "follow", Some(1))]
#[case::queued_for_too_long(seen(Stage::Queued), 11, "cancel if queued: QueueTimeout", None)]
#[case::running(seen(Stage::Running), 11, "follow", Some(91))]
#[case::running_on(seen(Stage::Running), 101, "follow", Some(1))]
#[case::running_for_too_long(seen(Stage::Running), 102, "cancel anyway: Timeout", None)]
#[case::ended_late(seen(Stage::Succeeded), 999, "conclude: Succeeded", None)]
#[case::failed_late(seen(Stage::Failed), 999, "conclude: Failed", None)]
#[case::not_seen_yet(Sighting::None, 999, "follow blindly", None)]
fn a_run_may_take_so_long(
    #[case] sighting: Sighting,
    #[case] service_now: i64,
    #[case] expected: &str,
    #[case] left: Option<u64>,
    #[values(Supersede::Wait, Supersede::Cancel)] supersede: Supersede,
    #[values(false, true)] suspend: bool,
) {
    let limits = |timeout, queue_timeout| Inputs {
        timeout: Some(Duration::from_secs(timeout)),
        queue_timeout: Some(Duration::from_secs(queue_timeout)),
        service_now: at(service_now),
        // Another clock is not asked.
        now: at(1_000_000),
        sighting: sighting.clone(),
        supersede,
        suspend,
        ..inputs(1)
    };
    let status = with_run(None, false);
    assert_eq!(word(&plan(&limits(100, 10), &status)), expected);
    let left = left.map(Duration::from_secs);
    assert_eq!(due_in(&limits(100, 10), &status).filter(|_| expected == "follow"), left);

    let unlimited = Inputs { timeout: None, queue_timeout: None, ..limits(100, 10) };
    assert!(!word(&plan(&unlimited, &status)).starts_with("cancel"), "a limit is taken away");
    assert_eq!(due_in(&unlimited, &status), None);
    assert!(!word(&plan(&limits(10_000, 10_000), &status)).starts_with("cancel"), "a limit is raised");
    let braked = Inputs { suspended: true, ..limits(100, 10) };
    assert!(!word(&plan(&braked, &status)).starts_with("cancel"), "under the brake");
    assert!(due_in(&braked, &status).is_none_or(|left| !left.is_zero()), "nobody spins until the brake is off");
}

/// After a restart nothing was seen yet, but status knows the service's times.
#[test]
fn time_runs_on_across_a_restart() {
    let timeout = Some(Duration::from_secs(100));
    let inputs = Inputs { timeout, queue_timeout: timeout, service_now: at(101), ..inputs(1) };
    let mut status = with_run(None, false);
    status.run.as_mut().unwrap().queued_at = Some(at(1));
    assert_eq!(word(&plan(&inputs, &status)), "cancel if queued: QueueTimeout");
    status.run.as_mut().unwrap().started_at = Some(at(2));
    assert_eq!(word(&plan(&inputs, &status)), "follow blindly");
    assert_eq!(due_in(&inputs, &status), Some(Duration::from_secs(1)));
    let late = Inputs { service_now: at(500), ..inputs };
    assert_eq!(word(&plan(&late, &status)), "follow blindly", "it may have ended by itself since it was last seen");
    assert_eq!(due_in(&late, &status), None);
}

/// A time-out that was journaled by a process that is gone: it is sent again, whatever the policy says by now, and one
/// for the queue never hits a run that has begun.
#[rstest]
#[case(CancelReason::QueueTimeout, seen(Stage::Queued), "cancel if queued: QueueTimeout")]
#[case(CancelReason::QueueTimeout, seen(Stage::Running), "cancel if queued: QueueTimeout")]
#[case(CancelReason::Timeout, seen(Stage::Running), "cancel anyway: Timeout")]
#[case(CancelReason::Timeout, seen(Stage::Failed), "conclude: TimedOut")]
#[case(CancelReason::Timeout, seen(Stage::Succeeded), "conclude: Succeeded")]
#[case(CancelReason::QueueTimeout, Sighting::Missing(1), "conclude: TimedOut")]
fn a_journaled_time_out_is_sent_again(
    #[case] reason: CancelReason,
    #[case] sighting: Sighting,
    #[case] expected: &str,
    #[values(Supersede::Wait, Supersede::Cancel)] supersede: Supersede,
) {
    let inputs = Inputs { sighting, supersede, retry: Some(retries(5)), ..inputs(1) };
    let mut status = with_run(None, false);
    status.run.as_mut().unwrap().cancel = Some(Cancel { reason, requested_at: at(0) });
    assert_eq!(word(&plan(&inputs, &status)), expected);
}

#[rstest]
#[case::first(1, u32::MAX, "conclude: Failed, and attempt 2 at 101")]
#[case::second(2, u32::MAX, "conclude: Failed, and attempt 3 at 102")]
#[case::fifth(5, u32::MAX, "conclude: Failed, and attempt 6 at 108")]
#[case::fifth_with_half_of_it_left_out(5, 0, "conclude: Failed, and attempt 6 at 104")]
#[case::last(6, u32::MAX, "conclude: Failed")]
fn a_run_that_fails_is_tried_again(#[case] attempt: u32, #[case] random: u32, #[case] expected: &str) {
    let inputs = Inputs { retry: Some(retries(5)), random, now: at(100), sighting: seen(Stage::Failed), ..inputs(1) };
    let mut status = with_run(None, false);
    status.run.as_mut().unwrap().attempt = attempt;
    assert_eq!(word(&plan(&inputs, &status)), expected);
    assert_eq!(word(&plan(&Inputs { retry: Some(retries(0)), ..inputs.clone() }, &status)), "conclude: Failed");
    assert_eq!(word(&plan(&Inputs { retry: None, ..inputs.clone() }, &status)), "conclude: Failed");
    let mut may_be_canceled = status.clone();
    may_be_canceled.run.as_mut().unwrap().cancel_taken_back = true;
    assert_eq!(word(&plan(&inputs, &may_be_canceled)), "conclude: Failed", "that may have been canceled");
    status.run.as_mut().unwrap().request.digest = "v0:1".into();
    assert_eq!(word(&plan(&inputs, &status)), "conclude: Failed", "that was taken over");
}

#[rstest]
#[case::succeeded(seen(Stage::Succeeded), false, "conclude: Succeeded")]
#[case::skipped(seen(Stage::Skipped), false, "conclude: Skipped")]
#[case::canceled(seen(Stage::Failed), true, "conclude: Canceled")]
#[case::disappeared(Sighting::Missing(MISSES), false, "conclude: Failed")]
fn nothing_else_is_tried_again(#[case] sighting: Sighting, #[case] cancel: bool, #[case] expected: &str) {
    let inputs = Inputs { retry: Some(retries(5)), sighting, ..inputs(1) };
    assert_eq!(word(&plan(&inputs, &with_run(None, cancel))), expected);
}

/// Request 1 has failed, and its second attempt is due at 10.
fn with_retry() -> DeploymentStatus {
    DeploymentStatus { retry: Some(Retry { attempt: 2, at: at(10) }), ..with_run(Some(Phase::Failed), false) }
}

#[rstest]
#[case::too_early(Inputs { now: at(9), ..inputs(1) }, "await retry")]
#[case::due(Inputs { now: at(10), ..inputs(1) }, "create")]
#[case::late(Inputs { now: at(999), ..inputs(1) }, "create")]
#[case::in_the_way(Inputs { now: at(10), road: Road::Waiting(words()), ..inputs(1) }, "wait: Why")]
#[case::suspended(Inputs { now: at(9), suspend: true, ..inputs(1) }, "wait: Suspended")]
#[case::due_while_suspended(Inputs { now: at(10), suspend: true, ..inputs(1) }, "wait: Suspended")]
#[case::under_the_brake(Inputs { now: at(10), suspended: true, ..inputs(1) }, "wait: Suspended")]
#[case::deleted(Inputs { now: at(9), deletion: Some(RunDeletionPolicy::Cancel), ..inputs(1) }, "release")]
#[case::another_request(Inputs { now: at(9), ..inputs(2) }, "create")]
#[case::restored(Inputs { now: at(10), uid: "another".into(), ..inputs(1) }, "adopt restored")]
fn the_next_attempt_waits_for_its_time(#[case] inputs: Inputs, #[case] expected: &str) {
    let road = if inputs.road == Road::NotRead { open_road(1) } else { inputs.road.clone() };
    let inputs = Inputs { retry: Some(retries(1)), road, ..inputs };
    let status = with_retry();
    assert_eq!(word(&plan(&inputs, &status)), expected);
    assert_eq!(could_start(&inputs, &status), matches!(expected, "create" | "wait: Why") || inputs.uid != "uid");
}

#[rstest]
#[case::taken_away(None)]
#[case::lowered(Some(retries(0)))]
fn policy_takes_an_attempt_back(#[case] retry: Option<RetryPolicy>) {
    let inputs = Inputs { retry, now: at(999), road: open_road(1), ..inputs(1) };
    assert_eq!(word(&plan(&inputs, &with_retry())), "idle");
    assert!(!could_start(&inputs, &with_retry()));
}

#[test]
fn each_run_has_an_identity_of_its_own() {
    let identity = |request: u8, purpose: Purpose, status: &DeploymentStatus| {
        let start = Start { purpose, ..start_of(request) };
        let Identity { request, attempt, trigger } = identity(&inputs(request), &start, status);
        (request.number, request.digest, attempt, trigger)
    };
    let (main, preview) = (Purpose::Main, Purpose::Preview);
    assert_eq!(identity(1, main, &DeploymentStatus::default()), (1, digest_of(1), 1, Some(Trigger::Created)));
    assert_eq!(identity(1, main, &with_retry()), (1, digest_of(1), 2, Some(Trigger::Retry)));
    assert_eq!(identity(2, main, &with_retry()), (2, digest_of(2), 1, Some(Trigger::Changed)));
    let mut previewed = with_run(Some(Phase::Succeeded), false);
    let run = previewed.run.as_mut().unwrap();
    (run.purpose, run.trigger) = (preview, Some(Trigger::Rerun));
    assert_eq!(identity(1, preview, &previewed), (1, digest_of(1), 2, Some(Trigger::Rerun)), "another look");
    assert_eq!(identity(1, main, &previewed), (1, digest_of(1), 1, Some(Trigger::Rerun)));
}

/// What a second attempt would do is not what was approved; a preview harms nobody.
#[test]
fn an_approval_is_good_for_one_run() {
    let required = ApprovalMode::Required;
    let fails = Inputs { retry: Some(retries(5)), sighting: seen(Stage::Failed), ..inputs(1) };
    let status = with_run(None, false);
    assert_eq!(word(&plan(&Inputs { approval: required, ..fails.clone() }, &status)), "conclude: Failed");
    let mut approved = status.clone();
    let given = json!({"approvedBy": "anna", "verified": true, "token": "t"});
    approved.run.as_mut().unwrap().approval = serde_json::from_value(given).unwrap();
    assert_eq!(word(&plan(&fails, &approved)), "conclude: Failed", "whatever the mode is by then");
    let mut preview = status;
    preview.run.as_mut().unwrap().purpose = Purpose::Preview;
    let again = word(&plan(&Inputs { approval: required, ..fails }, &preview));
    assert!(again.starts_with("conclude: Failed, and attempt 2"), "{again}");

    let due = Inputs { retry: Some(retries(1)), now: at(10), road: open_road(1), ..inputs(1) };
    assert_eq!(word(&plan(&due, &with_retry())), "create");
    assert_eq!(word(&plan(&Inputs { approval: required, ..due }, &with_retry())), "idle", "it is taken back");
}

fn start_of(request: u8) -> Start {
    let Road::Open(start) = open_road(request) else { unreachable!("it is open") };
    *start
}

/// (policy, sighting, cancel sent by this process) → plan; then under the brake; then with the service out of reach.
#[rstest]
#[case(RunDeletionPolicy::Orphan, seen(Stage::Queued), false, "release", "release", "release")]
#[case(RunDeletionPolicy::Orphan, seen(Stage::Running), false, "release", "release", "release")]
#[case(
    RunDeletionPolicy::CancelQueued,
    seen(Stage::Queued),
    false,
    "cancel if queued: Deleted",
    "wait: Suspended",
    "wait: Why"
)]
#[case(
    RunDeletionPolicy::CancelQueued,
    Sighting::None,
    false,
    "cancel if queued: Deleted",
    "wait: Suspended",
    "wait: Why"
)]
#[case(RunDeletionPolicy::CancelQueued, seen(Stage::Queued), true, "release", "release", "release")]
#[case(RunDeletionPolicy::CancelQueued, seen(Stage::Running), false, "release", "release", "release")]
#[case(
    RunDeletionPolicy::CancelQueued,
    seen(Stage::Succeeded),
    false,
    "conclude: Succeeded",
    "conclude: Succeeded",
    "conclude: Succeeded"
)]
#[case(RunDeletionPolicy::Cancel, seen(Stage::Queued), false, "cancel anyway: Deleted", "wait: Suspended", "wait: Why")]
#[case(
    RunDeletionPolicy::Cancel,
    seen(Stage::Running),
    false,
    "cancel anyway: Deleted",
    "wait: Suspended",
    "wait: Why"
)]
#[case(RunDeletionPolicy::Cancel, seen(Stage::Running), true, "follow", "follow", "wait: Why")]
#[case(
    RunDeletionPolicy::Cancel,
    seen(Stage::Failed),
    true,
    "conclude: Failed",
    "conclude: Failed",
    "conclude: Failed"
)]
fn deletion_ends_a_run_by_policy(
    #[case] policy: RunDeletionPolicy,
    #[case] sighting: Sighting,
    #[case] cancel_sent: bool,
    #[case] expected: &str,
    #[case] braked: &str,
    #[case] unreachable: &str,
) {
    let inputs = Inputs { deletion: Some(policy), sighting, cancel_sent, ..inputs(2) };
    let status = with_run(None, false);
    assert_eq!(word(&plan(&inputs, &status)), expected);
    assert_eq!(word(&plan(&Inputs { suspended: true, ..inputs.clone() }, &status)), braked, "under the brake");
    let blocked = Inputs { reach: Reach::Blocked(words()), ..inputs.clone() };
    assert_eq!(word(&plan(&blocked, &status)), unreachable, "out of reach");
    assert_eq!(word(&plan(&Inputs { give_up: true, ..blocked }, &status)), "release", "given up");
    assert_eq!(word(&plan(&inputs, &with_run(Some(Phase::Failed), false))), "release", "nothing runs");
    assert_eq!(word(&plan(&inputs, &DeploymentStatus::default())), "release", "nothing ever ran");
}

#[rstest]
#[case::same(Some("uid"), Some("v1:1"), "idle")]
#[case::another_object(Some("before"), Some("v1:1"), "adopt restored")]
#[case::another_object_that_asked_for_something_else(Some("before"), Some("v1:7"), "adopt restored")]
#[case::another_object_that_never_ran(Some("before"), None, "adopt restored")]
#[case::an_unknown_digest(Some("uid"), Some("v2:1"), "adopt redigested")]
#[case::a_digest_without_version(None, Some("1"), "adopt redigested")]
#[case::nothing_yet(None, None, "create")]
fn a_status_from_elsewhere_is_taken_over(
    #[case] uid: Option<&str>,
    #[case] request: Option<&str>,
    #[case] expected: &str,
) {
    let request = request.map(|digest| HandledRequest { number: 4, digest: digest.to_owned(), ..handled(4) });
    let status = DeploymentStatus { uid: uid.map(Into::into), request, ..DeploymentStatus::default() };
    let inputs = Inputs { road: open_road(1), ..inputs(1) };
    let decided = plan(&inputs, &status);
    assert_eq!(word(&decided), expected);
    if let Plan::Adopt(Adoption::Restored(taken) | Adoption::Redigested(taken)) = decided {
        assert_eq!(taken.digest, digest_of(1));
        assert_eq!(taken.number, status.request.map_or(1, |handled| handled.number));
    }
}

/// The settings that were noted with the last run, and what is known of them now.
#[rstest]
#[case::ignored(Some("v1:k:1"), Settings::Ignored, "idle")]
#[case::unknown(Some("v1:k:1"), Settings::Unknown, "idle")]
#[case::the_same(Some("v1:k:1"), Settings::Known("v1:k:1".into()), "idle")]
#[case::others(Some("v1:k:1"), Settings::Known("v1:k:2".into()), "create")]
#[case::another_key(Some("v1:lost:1"), Settings::Known("v1:k:2".into()), "adopt settings")]
#[case::another_form(Some("v0:k:1"), Settings::Known("v1:k:2".into()), "adopt settings")]
#[case::never_noted(None, Settings::Known("v1:k:2".into()), "adopt settings")]
fn other_settings_are_another_request(#[case] noted: Option<&str>, #[case] settings: Settings, #[case] expected: &str) {
    let with = |request: u8| {
        let asked = Asked { settings: settings.clone(), ..inputs(1).asked };
        Inputs { asked, road: open_road(1), ..inputs(request) }
    };
    let mut status = with_run(Some(Phase::Succeeded), false);
    status.request.as_mut().unwrap().settings_digest = noted.map(Into::into);
    let decided = plan(&with(1), &status);
    assert_eq!(word(&decided), expected);
    if let Plan::Adopt(Adoption::SettingsDigest(request)) = decided {
        assert_eq!((request.number, request.settings_digest.as_ref()), (1, settings.digest()));
        status.request = Some(request);
        assert_eq!(word(&plan(&with(1), &status)), "idle");
    }
    status.run.as_mut().unwrap().result = None;
    let superseding = Inputs { supersede: Supersede::Cancel, ..with(1) };
    assert_eq!(word(&plan(&superseding, &status)).starts_with("cancel"), expected == "create");
}

/// A person's word for the first request, by what stands in the way.
#[rstest]
#[case::not_read(Road::NotRead, "hold")]
#[case::not_yet(Road::NotYet, "hold")]
#[case::waiting(Road::Waiting(words()), "wait: Why")]
#[case::refused(Road::Refused(words()), "refuse: Why")]
#[case::known(Road::Known(Box::new(target())), "take over x")]
#[case::open(open_road(1), "hold")]
fn nothing_runs_until_the_word_is_heeded(
    #[case] road: Road,
    #[case] expected: &str,
    #[values(false, true)] brake: bool,
) {
    let adopt =
        |adoptee| Inputs { adopt: Some(adoptee), suspend: brake, suspended: brake, road: road.clone(), ..inputs(1) };
    let named = adopt(Adoptee::Named("x".into()));
    assert_eq!(word(&plan(&named, &DeploymentStatus::default())), expected);
    assert_eq!(word(&plan(&named, &with_run(Some(Phase::Failed), false))), "idle", "something was handled");
    assert_eq!(word(&plan(&named, &with_intent())), "recover", "a create is open");
    let deleted = Inputs { deletion: Some(RunDeletionPolicy::Cancel), ..named };
    assert_eq!(word(&plan(&deleted, &DeploymentStatus::default())), "release");
    let empty = adopt(Adoptee::Named(String::new()));
    assert_eq!(word(&plan(&empty, &DeploymentStatus::default())), "refuse: AdoptionRefused");
}

#[test]
fn an_adopted_run_that_fails_is_not_tried_again() {
    let inputs = Inputs { retry: Some(retries(5)), sighting: seen(Stage::Failed), ..inputs(1) };
    let mut status = with_run(None, false);
    assert!(word(&plan(&inputs, &status)).contains("attempt 2"));
    status.run.as_mut().unwrap().trigger = Some(Trigger::Adopted);
    assert_eq!(word(&plan(&inputs, &status)), "conclude: Failed");
}

fn any_stage() -> impl Strategy<Value = Stage> {
    select(vec![Stage::Queued, Stage::Running, Stage::Succeeded, Stage::Failed, Stage::Skipped])
}

fn any_inputs() -> impl Strategy<Value = Inputs> {
    let sighting = prop_oneof![
        1 => Just(Sighting::None),
        3 => any_stage().prop_map(seen),
        1 => select(vec![1, 2, MISSES - 1, MISSES, MISSES + 1]).prop_map(Sighting::Missing),
    ];
    let reach = prop_oneof![3 => Just(Reach::Open), 1 => Just(Reach::NotYet), 1 => Just(Reach::Blocked(words()))];
    let recovery = select(vec![
        Recovery::None,
        Recovery::NotCreated,
        Recovery::Wait(SOON),
        Recovery::Look,
        Recovery::Named("x".into()),
        Recovery::DeclaredLost,
    ]);
    let road = prop_oneof![
        3 => (1_u8..3).prop_map(open_road),
        1 => select(vec![Road::NotRead, Road::NotYet, Road::Waiting(words()), Road::Refused(words()), Road::Settling(SOON), Road::AwaitingBudget]),
    ];
    let policies = (
        select(vec![Supersede::Wait, Supersede::CancelQueued, Supersede::Cancel]),
        option::weighted(
            0.3,
            select(vec![
                RunDeletionPolicy::Orphan,
                RunDeletionPolicy::CancelQueued,
                RunDeletionPolicy::Cancel,
                RunDeletionPolicy::Destroy,
            ]),
        ),
        prop::bool::weighted(0.2),
    );
    let flags = [prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.5)];
    let limit = || option::of((1_u64..4).prop_map(Duration::from_secs));
    let times = (limit(), limit(), option::of(0_u32..3), 0_i64..6, 0_i64..6, any::<u32>());
    (1_u8..3, policies, flags, reach, recovery, road, sighting, times).prop_map(
        |(
            request,
            (supersede, deletion, give_up),
            [suspend, suspended, cancel_sent],
            reach,
            recovery,
            road,
            sighting,
            (timeout, queue_timeout, limit, now, service_now, random),
        )| {
            Inputs {
                timeout,
                queue_timeout,
                retry: limit.map(retries),
                now: at(now),
                service_now: at(service_now),
                random,
                suspend,
                supersede,
                deletion,
                give_up,
                suspended,
                reach,
                recovery,
                road,
                sighting,
                cancel_sent,
                ..inputs(request)
            }
        },
    )
}

fn any_status() -> impl Strategy<Value = DeploymentStatus> {
    let uid = prop_oneof![4 => Just("uid"), 1 => Just("before")];
    let digest = prop_oneof![8 => Just("v1:1"), 4 => Just("v1:2"), 1 => Just("v0:1")];
    let result = option::of(select(vec![Phase::Succeeded, Phase::Failed, Phase::Canceled, Phase::TimedOut]));
    let reasons = [CancelReason::Superseded, CancelReason::Deleted, CancelReason::QueueTimeout, CancelReason::Timeout];
    let cancel = option::of(select(reasons.to_vec()));
    let retry = option::of((2_u32..4, 0_i64..6).prop_map(|(attempt, due)| Retry { attempt, at: at(due) }));
    let purpose = prop_oneof![3 => Just(Purpose::Main), 1 => Just(Purpose::Destroy)];
    let run =
        (result, cancel, any::<bool>(), 1_u32..4, purpose).prop_map(|(result, cancel, has_begun, attempt, purpose)| {
            Run {
                result,
                attempt,
                purpose,
                cancel: cancel.map(|reason| Cancel { reason, requested_at: Time::from_seconds(0) }),
                started_at: has_begun.then_some(Time::from_seconds(1)),
                ..run(1)
            }
        });
    let intent_there = option::weighted(0.3, Just(()));
    (option::of(uid), option::of(digest), intent_there, option::weighted(0.8, run), any::<bool>(), retry).prop_map(
        |(uid, digest, has_intent, run, refused, retry)| DeploymentStatus {
            retry: retry.filter(|_| run.as_ref().is_some_and(|run| run.result == Some(Phase::Failed))),
            uid: uid.map(Into::into),
            request: digest.map(|digest| HandledRequest { digest: digest.into(), ..handled(1) }),
            intent: has_intent.map(|()| intent("nonce", 1)),
            refusal: refused.then(|| Refusal { digest: "start 1".into(), message: "no".into() }),
            run,
            ..DeploymentStatus::default()
        },
    )
}

/// The questions that the rules of the state machine are made of.
struct Facts<'a> {
    inputs: &'a Inputs,
    status: &'a DeploymentStatus,
}

impl Facts<'_> {
    fn is_from_elsewhere(&self) -> bool {
        self.status.uid.as_ref().is_some_and(|uid| uid != "uid")
            || self.status.request.as_ref().is_some_and(|request| !request.digest.starts_with("v1:"))
    }

    fn active(&self) -> Option<&Run> {
        self.status.run.as_ref().filter(|run| run.result.is_none())
    }

    fn is_new(&self) -> bool {
        self.status.request.as_ref().is_none_or(|request| request.digest != self.inputs.request)
    }

    /// The run has ended, by all that can be known.
    fn has_ended(&self) -> bool {
        self.active().is_some_and(|run| match &self.inputs.sighting {
            Sighting::None => false,
            Sighting::Seen(view) => !matches!(view.stage, Stage::Queued | Stage::Running),
            Sighting::Missing(times) => *times >= MISSES || (run.cancel.is_some() && run.started_at.is_none()),
        })
    }

    /// An attempt is due, and policy still wants it.
    fn is_owed(&self) -> bool {
        let limit = self.inputs.retry.as_ref().map_or(0, |policy| policy.limit);
        self.status.retry.as_ref().is_some_and(|retry| retry.attempt <= limit + 1 && retry.at <= self.inputs.now)
    }

    /// The time that the service gives for a beginning is longer ago than this.
    fn is_over(&self, since: Option<Time>, limit: Option<Duration>) -> bool {
        since.zip(limit).is_some_and(|(since, limit)| self.inputs.service_now >= since.after(limit))
    }

    fn lets_the_run_be(&self) -> bool {
        self.inputs.deletion.is_some_and(|policy| match policy {
            RunDeletionPolicy::Orphan => true,
            RunDeletionPolicy::Destroy => false,
            RunDeletionPolicy::CancelQueued | RunDeletionPolicy::Cancel => self.inputs.give_up,
        })
    }

    fn destroys(&self) -> bool {
        self.inputs.deletion == Some(RunDeletionPolicy::Destroy)
    }

    /// The run that destroys the stack, when it is the newest.
    fn destroy(&self) -> Option<&Run> {
        self.status.run.as_ref().filter(|run| run.purpose == Purpose::Destroy)
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(4096))]

    #[test]
    fn the_rules_of_the_state_machine(inputs in any_inputs(), status in any_status()) {
        let plan = plan(&inputs, &status);
        let it = Facts { inputs: &inputs, status: &status };
        let writes = matches!(plan, Plan::Create(_) | Plan::Cancel { .. });
        let calls = writes || matches!(plan, Plan::Recover(_) | Plan::AdoptNamed(..));

        prop_assert_eq!(matches!(plan, Plan::Adopt(_)), it.is_from_elsewhere());
        if it.is_from_elsewhere() {
            return Ok(());
        }
        if status.intent.is_some() {
            let settles = matches!(
                plan,
                Plan::Withdraw | Plan::Hold | Plan::Wait(_) | Plan::AwaitOutcome(_) | Plan::Recover(_) | Plan::AdoptNamed(..)
            );
            prop_assert!(settles || plan == Plan::Release, "an intent comes first: {}", word(&plan));
        }
        prop_assert!(!writes || !inputs.suspended, "under the brake nothing is written");
        prop_assert!(!calls || matches!(plan, Plan::Create(_)) || inputs.reach == Reach::Open);

        if let Plan::Create(start) = &plan {
            prop_assert!(status.intent.is_none() && it.active().is_none());
            let is_first = it.destroys() && it.destroy().is_none();
            prop_assert!(is_first || it.is_new() || it.is_owed());
            let purpose = if it.destroys() { Purpose::Destroy } else { Purpose::Main };
            let start = Start { purpose, ..(**start).clone() };
            let Identity { request, attempt, trigger } = identity(&inputs, &start, &status);
            prop_assert_eq!(&request.digest, &inputs.request);
            prop_assert_eq!(trigger == Some(Trigger::Retry), attempt > 1);
            let follows = status.run.as_ref().is_none_or(|run| run.purpose == purpose) && status.retry.is_some();
            prop_assert_eq!(attempt > 1, !it.is_new() && follows);
            prop_assert!(!inputs.suspend && (inputs.deletion.is_none() || it.destroys()));
            prop_assert!(it.destroy().is_none_or(|run| !it.destroys() || run.result != Some(Phase::Succeeded)));
            prop_assert!(status.refusal.as_ref().is_none_or(|refusal| refusal.digest != start.digest));
        }
        if let Plan::AwaitRetry(remaining) = plan {
            prop_assert!(!it.is_new() && !it.is_owed() && it.active().is_none() && !remaining.is_zero());
        }
        if let Plan::Conclude(conclusion) = &plan && let Some(retry) = &conclusion.retry {
            let run = it.active().unwrap();
            prop_assert!(conclusion.result == Phase::Failed && run.cancel.is_none() && retry.attempt == run.attempt + 1);
            prop_assert!(inputs.deletion.is_none() || (it.destroys() && it.destroy().is_some()));
            prop_assert!(run.attempt <= inputs.retry.as_ref().unwrap().limit);
            prop_assert!(retry.at > inputs.now && retry.at <= inputs.now.after(Duration::from_secs(9)));
        }
        if let Plan::Cancel { only_queued, reason } = plan {
            let run = it.active().unwrap();
            prop_assert!(!inputs.cancel_sent && !it.has_ended());
            let superseded = it.is_new() && inputs.supersede != Supersede::Wait && !inputs.suspend;
            let (queued_at, started_at) = match &inputs.sighting {
                Sighting::Seen(view) => (view.queued_at, view.started_at),
                Sighting::None | Sighting::Missing(_) => (run.queued_at, run.started_at),
            };
            let timed_out = match reason {
                CancelReason::QueueTimeout => started_at.is_none() && it.is_over(queued_at, inputs.queue_timeout),
                CancelReason::Timeout => it.is_over(started_at, inputs.timeout),
                CancelReason::Superseded | CancelReason::Deleted => false,
            };
            prop_assert!(inputs.deletion.is_some() || run.cancel.is_some() || superseded || timed_out);
            let by_policy = match reason {
                CancelReason::Superseded | CancelReason::Deleted => inputs.supersede == Supersede::Cancel,
                CancelReason::QueueTimeout => false,
                CancelReason::Timeout => true,
            };
            let may_hit_what_runs = inputs.deletion.map_or(by_policy, |policy| {
                policy == RunDeletionPolicy::Cancel || (it.destroys() && reason == CancelReason::Timeout)
            });
            prop_assert!(only_queued || may_hit_what_runs, "cancelling what runs must have been asked for");
        }
        if plan == Plan::Release {
            prop_assert!(inputs.deletion.is_some());
            let is_orphaned = inputs.deletion == Some(RunDeletionPolicy::Orphan) && inputs.reach != Reach::Open;
            prop_assert!(status.intent.is_none() || inputs.give_up || is_orphaned);
            let is_destroyed = it.destroy().is_some_and(|run| run.result == Some(Phase::Succeeded));
            prop_assert!(!it.destroys() || (status.intent.is_none() && is_destroyed), "let go before it is destroyed");
        }
        let concludes = matches!(plan, Plan::Conclude(_));
        prop_assert_eq!(concludes, status.intent.is_none() && it.has_ended() && !it.lets_the_run_be());
        if let Some(run) = it.active().filter(|run| run.cancel.is_some() && status.intent.is_none() && !concludes) {
            let can_be_sent = inputs.reach == Reach::Open && !inputs.suspended && !inputs.cancel_sent;
            let is_wanted = inputs.deletion.is_none_or(|policy| match policy {
                RunDeletionPolicy::Cancel => !inputs.give_up,
                RunDeletionPolicy::Destroy => true,
                RunDeletionPolicy::Orphan | RunDeletionPolicy::CancelQueued => false,
            });
            if can_be_sent && is_wanted {
                prop_assert!(matches!(plan, Plan::Cancel { .. }), "the cancel of {} is journaled: {}", run.id, word(&plan));
            }
        }
    }

    #[test]
    fn policy_alone_starts_nothing(inputs in any_inputs(), status in any_status()) {
        // An attempt that is owed since the run failed is no matter of policy.
        let status = DeploymentStatus { uid: Some("uid".into()), request: Some(handled(1)), retry: None, ..status };
        // The end of a stack is.
        let deletion = inputs.deletion.filter(|policy| *policy != RunDeletionPolicy::Destroy);
        let inputs = Inputs { request: digest_of(1), deletion, ..inputs };
        prop_assert!(!matches!(plan(&inputs, &status), Plan::Create(_)));
    }
}
