use proptest::{option, prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::{
    api::{
        Time,
        approval::PendingApproval,
        deployment::{Failure, HistoryEntry, Job, Operation, Phase, Retry, Step, Trigger, Update},
    },
    controllers::deployment::{
        history::of_run,
        plan::tests::{handled, inputs, intent, run},
    },
};

fn who() -> Who {
    Who { namespace: "team".into(), name: "web".into(), uid: "uid".into() }
}

fn at(seconds: i64) -> Time {
    Time::from_seconds(seconds)
}

fn step(name: &str, status: &str, started: Option<i64>, finished: Option<i64>) -> Step {
    Step { name: name.into(), status: status.into(), started_at: started.map(at), finished_at: finished.map(at) }
}

/// Asked for at 100, taken at 110, begun at 120.
fn begun() -> Run {
    Run {
        asked_at: Some(at(100)),
        queued_at: Some(at(110)),
        started_at: Some(at(120)),
        trigger: Some(Trigger::Created),
        url: Some("https://app.pulumi.com/acme/web/prod/deployments/1".into()),
        ..run(1)
    }
}

/// The same at its end, at 150.
fn over(result: Phase) -> Run {
    let is_bad = result != Phase::Succeeded;
    let last = if is_bad { "failed" } else { "succeeded" };
    let steps = vec![
        step("Get source", "succeeded", Some(120), Some(130)),
        step("pulumi update", last, Some(130), Some(149)),
        step("Never", "not-started", None, None),
    ];
    let updates = json!([{"version": 7, "kind": "update", "result": last, "resourceChanges": {"create": 2}}]);
    Run {
        finished_at: Some(at(150)),
        jobs: vec![Job { status: last.into(), steps }],
        updates: serde_json::from_value::<Vec<Update>>(updates).unwrap(),
        failure: (result == Phase::Failed)
            .then(|| Failure { step: Some("pulumi update".into()), log: vec!["a line of the log".into()] }),
        result: Some(result),
        ..begun()
    }
}

fn with(run: Run) -> DeploymentStatus {
    DeploymentStatus {
        uid: Some("uid".into()),
        request: Some(run.request.clone()),
        run: Some(run),
        ..DeploymentStatus::default()
    }
}

fn told(old: &DeploymentStatus, new: &DeploymentStatus) -> Vec<Trace> {
    ended(&who(), old, Some(new), at(1000))
}

fn one(old: &DeploymentStatus, new: &DeploymentStatus) -> Trace {
    let mut traces = told(old, new);
    assert_eq!(traces.len(), 1, "{traces:#?}");
    traces.remove(0)
}

/// Each span with the one that it is part of, and its times.
fn drawn(trace: &Trace) -> Vec<String> {
    let name = |id| trace.spans.iter().find(|span| span.id == id).map_or("elsewhere", |span| span.name.as_str());
    let line = |span: &Span| {
        let parent = span.parent.map(|parent| format!("{} > ", name(parent))).unwrap_or_default();
        format!("{parent}{} {}-{}", span.name, span.start.seconds(), span.end.seconds())
    };
    trace.spans.iter().map(line).collect()
}

fn attribute(span: &Span, wanted: &str) -> Option<String> {
    let (_, value) = span.attributes.iter().find(|(name, _)| *name == wanted)?;
    Some(match value {
        Attribute::Text(text) => text.clone(),
        Attribute::Number(number) => number.to_string(),
        Attribute::Truth(truth) => truth.to_string(),
    })
}

#[test]
fn a_success_is_one_trace_from_the_change_to_the_end() {
    let trace = one(&with(begun()), &with(over(Phase::Succeeded)));
    assert_eq!(
        drawn(&trace),
        [
            "update acme/web/prod 100-150",
            "update acme/web/prod > waiting 100-110",
            "update acme/web/prod > run update 110-150",
            "run update > queued 110-120",
            "run update > Get source 120-130",
            "run update > pulumi update 130-149",
        ]
    );
    let [root, _, run, .., update] = &trace.spans[..] else { unreachable!() };
    assert!([root, run, update].iter().all(|span| span.ended == Ended::Well));
    for (name, value) in [
        ("k8s.namespace.name", "team"),
        ("k8s.pulumideployment.name", "web"),
        ("k8s.pulumideployment.uid", "uid"),
        ("pulumi.organization", "acme"),
        ("pulumi.project", "web"),
        ("pulumi.stack", "prod"),
        ("pulumi.operation", "update"),
        ("pulumi.request", "1"),
        ("pulumi.attempt", "1"),
        ("pulumi.version", "1"),
        ("pulumi.trigger", "Created"),
        ("pulumi.result", "Succeeded"),
        ("cicd.pipeline.result", "success"),
        ("cicd.pipeline.run.id", "id 1"),
        ("cicd.pipeline.run.url.full", "https://app.pulumi.com/acme/web/prod/deployments/1"),
    ] {
        assert_eq!(attribute(root, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(attribute(root, "error.type"), None);
    let made = &run.events[0];
    assert!(made.attributes.contains(&("pulumi.changes.create".to_owned(), Attribute::Number(2))), "{made:?}");
}

#[test]
fn a_failure_names_its_step_and_shows_no_log() {
    let trace = one(&with(begun()), &with(over(Phase::Failed)));
    let bad: Vec<_> = trace.spans.iter().filter(|span| matches!(span.ended, Ended::Badly(_))).collect();
    let names: Vec<_> = bad.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["update acme/web/prod", "run update", "pulumi update"]);
    assert_eq!(bad[0].ended, Ended::Badly("failed at step `pulumi update`".into()));
    assert_eq!(attribute(bad[0], "error.type").as_deref(), Some("Failed"));
    assert!(!format!("{trace:?}").contains("a line of the log"));
}

#[test]
fn a_canceled_run_is_no_error() {
    let trace = one(&with(begun()), &with(over(Phase::Canceled)));
    assert_eq!(trace.spans[0].ended, Ended::Neither);
    assert_eq!(attribute(&trace.spans[0], "cicd.pipeline.result").as_deref(), Some("cancellation"));
}

/// The status once another run for a request was recorded.
fn followed(before: &DeploymentStatus, next: Run) -> DeploymentStatus {
    let earlier: HistoryEntry = of_run(before.run.as_ref().unwrap()).unwrap();
    let history = std::iter::once(earlier).chain(before.history.iter().cloned()).collect();
    DeploymentStatus { history, ..with(next) }
}

fn later(run: Run, id: &str, by: i64) -> Run {
    let shift = |time: Option<Time>| time.map(|time| at(time.seconds() + by));
    let shifted = |mut step: Step| {
        (step.started_at, step.finished_at) = (shift(step.started_at), shift(step.finished_at));
        step
    };
    let jobs = run.jobs.into_iter().map(|job| Job { steps: job.steps.into_iter().map(shifted).collect(), ..job });
    Run {
        id: id.into(),
        attempt: run.attempt + 1,
        queued_at: shift(run.queued_at),
        started_at: shift(run.started_at),
        finished_at: shift(run.finished_at),
        jobs: jobs.collect(),
        ..run
    }
}

#[test]
fn attempts_are_runs_of_one_trace_with_one_root() {
    let failed = DeploymentStatus { retry: Some(Retry { attempt: 2, at: at(180) }), ..with(over(Phase::Failed)) };
    let first = one(&with(begun()), &failed);
    assert_eq!(drawn(&first)[..2], ["elsewhere > waiting 100-110", "elsewhere > run update 110-150"]);
    let again = Run { trigger: Some(Trigger::Retry), ..later(begun(), "id 2", 100) };
    let recorded = followed(&failed, again);
    assert_eq!(told(&failed, &recorded), [], "it goes on");
    let succeeded = Run { trigger: Some(Trigger::Retry), ..later(over(Phase::Succeeded), "id 2", 100) };
    let second = one(&recorded, &followed(&failed, succeeded));
    assert_eq!(first.id, second.id);
    assert_eq!(
        drawn(&second)[..3],
        [
            "update acme/web/prod 100-250",
            "update acme/web/prod > awaiting retry 150-210",
            "update acme/web/prod > run update 210-250",
        ]
    );
    let root = second.spans[0].id;
    assert!(first.spans[..2].iter().all(|span| span.parent == Some(root)), "the first run has the same root");
    let mut ids: Vec<_> = first.spans.iter().chain(&second.spans).map(|span| span.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), first.spans.len() + second.spans.len(), "no id is given twice");
}

#[test]
fn a_retry_that_is_taken_back_or_replaced_is_the_end() {
    let failed = DeploymentStatus { retry: Some(Retry { attempt: 2, at: at(180) }), ..with(over(Phase::Failed)) };
    let taken_back = one(&failed, &with(over(Phase::Failed)));
    assert_eq!(drawn(&taken_back), ["update acme/web/prod 100-1000"]);
    let next = Run { request: handled(2), asked_at: None, ..later(begun(), "id 2", 100) };
    let replaced = one(&failed, &followed(&failed, next));
    assert_eq!((drawn(&replaced), replaced.id), (drawn(&taken_back), taken_back.id));
    assert_eq!(attribute(&replaced.spans[0], "pulumi.result").as_deref(), Some("Failed"));
    assert_eq!(ended(&who(), &failed, None, at(1000)).len(), 1, "it was let go");
}

fn preview(result: Option<Phase>) -> DeploymentStatus {
    let run = result.map_or_else(begun, over);
    with(Run { purpose: Purpose::Preview, operation: Operation::Preview, ..run })
}

fn offered(rejected: bool) -> Option<PendingApproval> {
    let mut offered = json!({
        "request": handled(1), "purpose": "Main", "operation": "update", "target": run(1).target,
        "basis": {"overrides": "o"}, "policed": false,
    });
    if rejected {
        offered["rejected"] = json!({"rejectedBy": "anna", "at": at(200)});
    }
    serde_json::from_value(offered).unwrap()
}

#[test]
fn a_preview_and_what_it_shows_are_one_trace() {
    let shown = preview(Some(Phase::Succeeded));
    let first = one(&preview(None), &shown);
    assert_eq!(drawn(&first)[..2], ["elsewhere > waiting 100-110", "elsewhere > run preview 110-150"]);
    let given = json!({"approvedBy": "anna", "verified": true, "token": "t"});
    let approved = |run| Run { approval: serde_json::from_value(given.clone()).unwrap(), ..later(run, "id 2", 100) };
    let recorded = followed(&shown, approved(begun()));
    assert_eq!(told(&shown, &recorded), []);
    let second = one(&recorded, &followed(&shown, approved(over(Phase::Succeeded))));
    assert_eq!((first.id, drawn(&second)[1].as_str()), (second.id, "update acme/web/prod > awaiting approval 150-210"));
    let wait = &second.spans[1];
    assert_eq!(attribute(wait, "pulumi.approval.by").as_deref(), Some("anna"));
    assert_eq!(attribute(wait, "pulumi.approval.verified").as_deref(), Some("true"));
}

#[test]
fn a_rejection_is_the_end() {
    let waits = DeploymentStatus { approval: offered(false), ..preview(Some(Phase::Succeeded)) };
    let rejected = DeploymentStatus { approval: offered(true), ..waits.clone() };
    let trace = one(&waits, &rejected);
    assert_eq!(drawn(&trace), ["update acme/web/prod 100-1000"]);
    let root = &trace.spans[0];
    assert_eq!((attribute(root, "pulumi.result").as_deref(), &root.ended), (Some("Rejected"), &Ended::Neither));
    assert_eq!(attribute(root, "cicd.pipeline.result"), None);
    let next = followed(&rejected, Run { request: handled(2), ..later(begun(), "id 2", 100) });
    assert_eq!(told(&rejected, &next), [], "it was told");
}

#[test]
fn what_nobody_asked_for_at_a_known_time_begins_in_the_queue() {
    let adopted = |run| Run { asked_at: None, trigger: Some(Trigger::Adopted), ..run };
    let trace = one(&with(adopted(begun())), &with(adopted(over(Phase::Succeeded))));
    assert_eq!(drawn(&trace)[..2], ["update acme/web/prod 110-150", "update acme/web/prod > run update 110-150"]);
}

#[test]
fn a_run_of_which_nothing_was_ever_seen_has_an_end() {
    let lost = Run { asked_at: None, queued_at: None, started_at: None, ..begun() };
    let gone = Run { finished_at: Some(at(150)), result: Some(Phase::Failed), ..lost.clone() };
    assert_eq!(
        drawn(&one(&with(lost), &with(gone))),
        ["update acme/web/prod 150-150", "update acme/web/prod > run update 150-150"]
    );
}

#[test]
fn an_end_is_told_once_and_by_nobody_else() {
    let (before, after) = (with(begun()), with(over(Phase::Succeeded)));
    assert_eq!(told(&after, &after), []);
    assert_eq!(told(&before, &before), []);
    assert_eq!(one(&before, &after), one(&before, &after), "twice is the same");
    // A backup, whose run was one of another object.
    for kept in [before, after.clone()] {
        let restored = DeploymentStatus { uid: Some("another".into()), ..kept };
        let run = restored.run.clone().filter(|run| run.result.is_some());
        let adopted = DeploymentStatus { uid: Some("uid".into()), run, ..restored.clone() };
        assert_eq!(told(&restored, &adopted), []);
    }
    assert_eq!(told(&after, &DeploymentStatus { run: None, ..after.clone() }), []);
}

#[test]
fn the_end_of_the_stack_is_a_trace_of_its_own() {
    let main = with(over(Phase::Succeeded));
    let destroy = |run| Run { purpose: Purpose::Destroy, operation: Operation::Destroy, ..later(run, "id 2", 100) };
    let recorded = followed(&main, destroy(begun()));
    let trace = one(&recorded, &followed(&main, destroy(over(Phase::Succeeded))));
    assert_ne!(trace.id, one(&with(begun()), &main).id);
    assert_eq!(drawn(&trace)[0], "destroy acme/web/prod 100-250");
    // With the stack its runs are gone, and nothing is written any more.
    assert_eq!(drawn(&ended(&who(), &recorded, None, at(1000))[0]), ["destroy acme/web/prod 100-1000"]);
}

/// A change of this value would give one request two ids, for as long as operators of both kinds are at work.
#[test]
fn the_id_is_pinned() {
    let id = TraceId::new("5b1c", 3, "v1:89c1", Purpose::Main);
    assert_eq!(id.to_string(), "482bb977a88778db51040861bac3dc89");
    assert_eq!(TraceId::new("5b1c", 3, "v1:89c1", Purpose::Preview), id);
    for other in [
        TraceId::new("5b1c", 3, "v1:89c1", Purpose::Destroy),
        TraceId::new("5b1c", 4, "v1:89c1", Purpose::Main),
        TraceId::new("5b1c", 3, "v1:89c2", Purpose::Main),
        TraceId::new("5b1d", 3, "v1:89c1", Purpose::Main),
    ] {
        assert_ne!(other, id);
    }
}

/// Everything that a request goes through, in order.
#[test]
fn the_id_is_the_same_from_the_change_to_the_end() {
    let request = inputs(1);
    let id = TraceId::of_run("uid", &run(1));
    let deployment = |status: DeploymentStatus| {
        let written =
            json!({"metadata": {"name": "web", "uid": "uid"}, "spec": {"operation": "update"}, "status": status});
        serde_json::from_value::<Deployment>(written).unwrap()
    };
    let pending =
        json!({"number": 1, "digest": request.request, "operation": "update", "trigger": "Created", "since": at(1)});
    let waits = DeploymentStatus { pending: serde_json::from_value(pending).unwrap(), ..DeploymentStatus::default() };
    let journaled = DeploymentStatus { intent: Some(intent("nonce", 1)), ..waits.clone() };
    let all = [
        DeploymentStatus::default(),
        waits,
        journaled.clone(),
        with(begun()),
        DeploymentStatus { retry: Some(Retry { attempt: 2, at: at(180) }), ..with(over(Phase::Failed)) },
        preview(Some(Phase::Succeeded)),
        with(over(Phase::Succeeded)),
    ];
    for status in &all {
        assert_eq!(current(&request, status), id, "{status:#?}");
    }
    assert_eq!([newest(&deployment(journaled)), newest(&deployment(with(begun())))], [Some(id); 2]);
    assert_eq!(newest(&deployment(DeploymentStatus::default())), None);
    // The next request waits for this one's end, and has an id of its own.
    assert_eq!(current(&inputs(2), &with(begun())), id);
    let second = current(&inputs(2), &with(over(Phase::Succeeded)));
    assert_eq!(second, TraceId::of_run("uid", &run(2)));
    let outputs = Plan::WriteOutputs(Box::new(over(Phase::Succeeded)));
    assert_eq!(subject(&inputs(2), &with(over(Phase::Succeeded)), &outputs), id);
    assert_eq!(subject(&inputs(2), &with(over(Phase::Succeeded)), &Plan::Idle), second);
}

fn any_time() -> impl Strategy<Value = Option<Time>> {
    option::of((0..1000_i64).prop_map(at))
}

fn any_run() -> impl Strategy<Value = Run> {
    let steps = prop::collection::vec((any_time(), any_time()), 0..5);
    let result = select(vec![Phase::Succeeded, Phase::Failed, Phase::Canceled, Phase::Skipped, Phase::TimedOut]);
    (any_time(), any_time(), any_time(), any_time(), steps, result).prop_map(
        |(asked, queued, started, end, steps, result)| {
            let step =
                |(started_at, finished_at)| Step { started_at, finished_at, ..step("s", "succeeded", None, None) };
            Run {
                asked_at: asked,
                queued_at: queued,
                started_at: started,
                finished_at: end,
                jobs: vec![Job { status: "succeeded".into(), steps: steps.into_iter().map(step).collect() }],
                result: Some(result),
                ..run(1)
            }
        },
    )
}

proptest! {
    /// Whatever the clocks say, and whatever is not known.
    #[test]
    fn spans_nest(run in any_run()) {
        let before = Run { result: None, ..run.clone() };
        let trace = one(&with(before), &with(run));
        let roots = trace.spans.iter().filter(|span| span.parent.is_none()).count();
        prop_assert_eq!(roots, 1);
        for span in &trace.spans {
            prop_assert!(span.start <= span.end, "{:?}", span);
            if let Some(parent) = span.parent {
                let parent = trace.spans.iter().find(|it| it.id == parent).unwrap();
                prop_assert!(parent.start <= span.start && span.end <= parent.end, "{:?} in {:?}", span, parent);
            }
        }
    }

    /// Nothing of status but the number of the request goes into its id.
    #[test]
    fn the_id_depends_on_nothing_else(mut run in any_run(), attempt in 1_u32.., nonce in ".{0,40}", version in 0_u64..) {
        (run.attempt, run.nonce, run.version, run.id) = (attempt, nonce.clone(), version, nonce);
        let status = with(run.clone());
        prop_assert_eq!(current(&inputs(1), &status), TraceId::of_run("uid", &super::tests::run(1)));
        prop_assert_eq!(one(&with(Run { result: None, ..run.clone() }), &status).id, TraceId::of_run("uid", &run));
    }
}
