//! Pure: status before × status after → the spans that can be told now.
//!
//! A request is one trace with one root. The spans of a run are told when its end is written, and the root when nothing more
//! follows for the request. All of it is in status by then, so a restart in between loses nothing.

use super::{TraceId, first};
use crate::api::{
    DeploymentStatus, Time,
    deployment::{Phase, Purpose, Run, Step, Trigger, Update},
};

/// Whose runs they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

/// Spans of one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace that they belong to.
    pub id: TraceId,
    /// The spans, parents before their children.
    pub spans: Vec<Span>,
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Well,
    /// Badly, and how.
    Badly(String),
    /// Neither: nobody wanted it any more.
    Neither,
}

/// What is said of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Truth(bool),
}

/// Something without a length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub name: String,
    /// When.
    pub at: Time,
    /// What is said of it.
    pub attributes: Vec<(String, Attribute)>,
}

/// A part of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Made of what it stands for, so that a span that is sent twice is the same one.
    pub id: [u8; 8],
    /// The span that it is part of; nothing of a root.
    pub parent: Option<[u8; 8]>,
    /// What it stands for.
    pub name: String,
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// How it ended.
    pub ended: Ended,
    /// What is said of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// What happened in it.
    pub events: Vec<Event>,
}

/// What can be told of a Deployment's runs once its status has become `new`; nothing, when it was let go.
#[must_use]
pub fn ended(who: &Who, old: &DeploymentStatus, new: Option<&DeploymentStatus>, now: Time) -> Vec<Trace> {
    // What is in the status of a backup was told, or not, of the object that it was made of.
    if old.uid.as_ref().is_some_and(|uid| *uid != who.uid) {
        return vec![];
    }
    let (before, after) = (old.run.as_ref(), new.and_then(|it| it.run.as_ref()));
    let was_told = |run: &Run| before.is_some_and(|before| before.id == run.id && before.result.is_some());
    let mut traces = vec![];
    if let Some(run) = before {
        let is_replaced = after.is_none_or(|after| !is_same_request(run, after));
        if is_replaced && is_open(old, run) {
            let mut request = Request::new(who, old, run, Some(now));
            request.root(if new.is_some() { "Replaced" } else { "Released" });
            traces.push(request.trace);
        }
    }
    if let (Some(new), Some(run)) = (new, after) {
        let was_open = before.is_some_and(|before| is_same_request(before, run) && is_open(old, before));
        let is_told = run.result.is_some() && !was_told(run);
        let is_over = (is_told || was_open) && !is_open(new, run);
        if is_told || is_over {
            let mut request = Request::new(who, new, run, (!is_told).then_some(now));
            if is_over {
                let is_rejected = new.approval.as_ref().is_some_and(|it| it.rejected.is_some());
                request.root(if is_rejected { "Rejected" } else { "Replaced" });
            }
            if is_told {
                request.run();
            }
            traces.push(request.trace);
        }
    }
    traces
}

fn is_same_request(one: &Run, other: &Run) -> bool {
    (one.request.number, &one.request.digest, one.purpose == Purpose::Destroy)
        == (other.request.number, &other.request.digest, other.purpose == Purpose::Destroy)
}

/// Whether something may follow for the request of the newest run: its end, another attempt, or what a preview of it showed.
fn is_open(status: &DeploymentStatus, run: &Run) -> bool {
    let awaits_approval = || {
        let number = run.request.number;
        run.purpose == Purpose::Preview
            && run.result == Some(Phase::Succeeded)
            && status.approval.as_ref().is_none_or(|it| it.rejected.is_none() && it.request.number == number)
    };
    run.result.is_none() || status.retry.is_some() || awaits_approval()
}

/// The request of a run, with what it is made into.
struct Request<'a> {
    who: &'a Who,
    run: &'a Run,
    status: &'a DeploymentStatus,
    root: [u8; 8],
    start: Time,
    end: Time,
    trace: Trace,
}

impl<'a> Request<'a> {
    /// `given_up`: when it came to an end without a run that did.
    fn new(who: &'a Who, status: &'a DeploymentStatus, run: &'a Run, given_up: Option<Time>) -> Self {
        let id = TraceId::of_run(&who.uid, run);
        let earlier = status.history.iter().filter(|it| is_before(it.request_number, it.purpose, run));
        let earliest = earlier.filter_map(|it| it.queued_at).chain(times(run)).min();
        let start = run.asked_at.into_iter().chain(earliest).min();
        let end = times(run).chain(given_up).max().or(start).unwrap_or(Time::from_seconds(0));
        let start = start.unwrap_or(end);
        let root = first(&format!("span {id}"));
        Self { who, run, status, root, start, end, trace: Trace { id, spans: vec![] } }
    }

    fn span(&self, name: &str, what: &str, parent: [u8; 8], (start, end): (Time, Time)) -> Span {
        let end = end.clamp(self.start, self.end);
        Span {
            id: first(&format!("span {} {} {what}", self.trace.id, self.run.id)),
            parent: Some(parent),
            name: name.to_owned(),
            start: start.clamp(self.start, end),
            end,
            ended: Ended::Neither,
            attributes: vec![],
            events: vec![],
        }
    }

    /// The whole way of a request. `otherwise`: what became of it when its newest run was not its end.
    fn root(&mut self, otherwise: &str) {
        let run = self.run;
        let is_preview = run.purpose == Purpose::Preview;
        // What a preview showed was never done.
        let result = run.result.filter(|result| !is_preview || *result != Phase::Succeeded);
        let word = result.map_or_else(|| otherwise.to_owned(), |result| result.to_string());
        let name = if run.purpose == Purpose::Preview { "update".to_owned() } else { run.operation.to_string() };
        let mut root = self.span(&format!("{name} {}", run.target), "", self.root, (self.start, self.end));
        (root.id, root.parent) = (self.root, None);
        root.ended = result.map_or(Ended::Neither, |result| ending(run, result));
        root.attributes = vec![
            ("k8s.namespace.name", Attribute::Text(self.who.namespace.clone())),
            ("k8s.pulumideployment.name", Attribute::Text(self.who.name.clone())),
            ("k8s.pulumideployment.uid", Attribute::Text(self.who.uid.clone())),
            ("cicd.pipeline.name", Attribute::Text(run.target.to_string())),
            ("pulumi.result", Attribute::Text(word)),
        ];
        root.attributes.extend(about(run));
        root.attributes.extend(result.map(|result| ("cicd.pipeline.result", Attribute::Text(result_word(result)))));
        root.attributes.extend(error_type(result));
        self.trace.spans.push(root);
    }

    /// The newest run with its steps, and what it waited for before.
    fn run(&mut self) {
        let run = self.run;
        self.wait();
        let (Some(start), Some(end)) = (times(run).min(), times(run).max()) else { return };
        let mut whole = self.span(&format!("run {}", run.operation), "run", self.root, (start, end));
        whole.attributes = about(run).collect();
        whole.attributes.extend(run.result.map(|it| ("cicd.pipeline.result", Attribute::Text(result_word(it)))));
        whole.attributes.extend(error_type(run.result));
        whole.ended = run.result.map_or(Ended::Neither, |result| ending(run, result));
        whole.events = run.updates.iter().map(|it| made(it, whole.end)).collect();
        let parent = whole.id;
        self.trace.spans.push(whole);
        if let Some(queued) = run.queued_at {
            let until = run.started_at.unwrap_or(end);
            let queue = self.span("queued", "queue", parent, (queued, until));
            self.trace.spans.push(queue);
        }
        for (job_index, job) in run.jobs.iter().enumerate() {
            for (index, step) in job.steps.iter().enumerate() {
                let Some(begun) = step.started_at else { continue };
                let what = format!("step {job_index} {index}");
                let mut span = self.span(&step.name, &what, parent, (begun, step.finished_at.unwrap_or(end)));
                span.ended = step_ended(step);
                span.attributes = vec![
                    ("cicd.pipeline.task.name", Attribute::Text(step.name.clone())),
                    ("pulumi.job", number(job_index)),
                    ("pulumi.step", number(index)),
                    ("pulumi.step.status", Attribute::Text(step.status.clone())),
                ];
                self.trace.spans.push(span);
            }
        }
    }

    /// From the change of the spec, or from the run before, until the service took the run.
    fn wait(&mut self) {
        let run = self.run;
        let mut earlier = self.status.history.iter().filter(|it| is_before(it.request_number, it.purpose, run));
        let before = earlier.find(|it| it.id.is_some() && it.id.as_ref() != Some(&run.id));
        let (name, since) = match before {
            Some(before) if before.purpose == Purpose::Preview && before.result == Phase::Succeeded => {
                ("awaiting approval", before.finished_at)
            }
            Some(before) => ("awaiting retry", before.finished_at),
            None if run.trigger == Some(Trigger::Retry) => return,
            None => ("waiting", run.asked_at),
        };
        let (Some(since), Some(until)) = (since, run.queued_at.or(run.started_at)) else { return };
        let mut span = self.span(name, "wait", self.root, (since, until));
        if let Some(given) = &run.approval {
            span.attributes = vec![
                ("pulumi.approval.by", Attribute::Text(given.approved_by.clone())),
                ("pulumi.approval.verified", Attribute::Truth(given.verified)),
            ];
        }
        self.trace.spans.push(span);
    }
}

/// Whether a remembered run was for the same request as this one. The destruction at the end is told on its own.
fn is_before(number: u64, purpose: Purpose, run: &Run) -> bool {
    number == run.request.number && (purpose == Purpose::Destroy) == (run.purpose == Purpose::Destroy)
}

/// All that is known of when something happened to a run.
fn times(run: &Run) -> impl Iterator<Item = Time> {
    let steps = run.jobs.iter().flat_map(|job| &job.steps).flat_map(|step| [step.started_at, step.finished_at]);
    [run.queued_at, run.started_at, run.finished_at].into_iter().chain(steps).flatten()
}

fn about(run: &Run) -> impl Iterator<Item = (&'static str, Attribute)> {
    let text = |text: &str| Attribute::Text(text.to_owned());
    let written = serde_json::to_value(run.trigger).ok();
    let trigger = written.as_ref().and_then(|it| it.as_str()).map(|trigger| ("pulumi.trigger", text(trigger)));
    let known = [
        ("pulumi.backend", text(&run.target.backend_url)),
        ("pulumi.organization", text(&run.target.organization)),
        ("pulumi.project", text(&run.target.project)),
        ("pulumi.stack", text(&run.target.stack)),
        ("pulumi.operation", text(run.operation.as_str())),
        ("pulumi.purpose", Attribute::Text(format!("{:?}", run.purpose))),
        ("pulumi.request", number(run.request.number)),
        ("pulumi.attempt", number(run.attempt)),
        ("pulumi.version", number(run.version)),
        ("cicd.pipeline.run.id", text(&run.id)),
    ];
    let url = run.url.as_ref().map(|url| ("cicd.pipeline.run.url.full", text(url)));
    known.into_iter().chain(trigger).chain(url).collect::<Vec<_>>().into_iter()
}

fn number(number: impl TryInto<i64>) -> Attribute {
    Attribute::Number(number.try_into().unwrap_or(i64::MAX))
}

/// A Pulumi update of a run. Nothing says when it was made.
fn made(update: &Update, at: Time) -> Event {
    let own = [
        ("pulumi.update.kind", Attribute::Text(update.kind.clone())),
        ("pulumi.update.version", number(update.version)),
        ("pulumi.update.result", Attribute::Text(update.result.clone())),
    ];
    let changes =
        update.resource_changes.iter().map(|(kind, count)| (format!("pulumi.changes.{kind}"), number(*count)));
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    Event { name: "pulumi update".to_owned(), at, attributes: own.chain(changes).collect() }
}

fn ending(run: &Run, result: Phase) -> Ended {
    let step = run.failure.as_ref().and_then(|failure| failure.step.as_ref());
    match result {
        Phase::Succeeded => Ended::Well,
        Phase::Canceled | Phase::Pending | Phase::Queued | Phase::Running => Ended::Neither,
        Phase::Failed => Ended::Badly(step.map_or("failed".to_owned(), |step| format!("failed at step `{step}`"))),
        Phase::TimedOut => Ended::Badly("canceled, since it took too long".to_owned()),
        Phase::Skipped => Ended::Badly("skipped by the service".to_owned()),
    }
}

fn step_ended(step: &Step) -> Ended {
    match step.status.as_str() {
        "succeeded" => Ended::Well,
        "failed" => Ended::Badly("failed".to_owned()),
        _ => Ended::Neither,
    }
}

/// As the semantic conventions for CI/CD name it.
fn result_word(result: Phase) -> String {
    let word = match result {
        Phase::Succeeded => "success",
        Phase::Failed => "failure",
        Phase::Skipped => "skip",
        Phase::Canceled => "cancellation",
        Phase::TimedOut => "timeout",
        Phase::Pending | Phase::Queued | Phase::Running => "error",
    };
    word.to_owned()
}

/// What went wrong, as one word of few.
fn error_type(result: Option<Phase>) -> Option<(&'static str, Attribute)> {
    let is_bad = |result: &Phase| matches!(result, Phase::Failed | Phase::TimedOut | Phase::Skipped);
    result.filter(is_bad).map(|result| ("error.type", Attribute::Text(result.to_string())))
}
