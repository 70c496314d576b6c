//! The run of one deployment: its steps, what they print, and how far they are at a given time.

mod engine;
mod output;
mod plan;
mod queue;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

pub(crate) use plan::{console_url, environment};
pub(crate) use queue::Order;

use crate::world::deployment::Operation;

/// The run of a deployment that was started.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) steps: Vec<Step>,
    /// The step that runs or ran last.
    pub(crate) current: usize,
    /// When the event that ends the current step is due.
    due: Timestamp,
    /// Since when the run is held.
    held_since: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// How long it takes, at the simulator's speed.
    duration: SignedDuration,
    fails: bool,
    /// Pulumi itself runs in it.
    pulumi: Option<PulumiWork>,
    lines: Vec<String>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    failed: bool,
    /// When it was held: from, until.
    pauses: Vec<(Timestamp, Option<Timestamp>)>,
}

/// What Pulumi does in a step.
#[derive(Debug, Clone)]
struct PulumiWork {
    operation: Operation,
    changes: BTreeMap<&'static str, u64>,
    /// Resources of the stack afterwards.
    resources: u64,
}

impl PulumiWork {
    /// Whether it is a detection that found something.
    fn finds_drift(&self) -> bool {
        self.operation == Operation::DetectDrift && self.changes.contains_key("update")
    }
}

impl Step {
    fn new(name: impl Into<String>, duration: SignedDuration, lines: Vec<String>) -> Self {
        Self {
            name: name.into(),
            duration,
            fails: false,
            pulumi: None,
            lines,
            started: None,
            ended: None,
            failed: false,
            pauses: Vec::new(),
        }
    }

    pub(crate) fn status(&self) -> &'static str {
        match (self.started, self.ended) {
            (None, _) => "not-started",
            (Some(_), None) => "running",
            (Some(_), Some(_)) if self.failed => "failed",
            (Some(_), Some(_)) => "succeeded",
        }
    }

    /// When the step has worked for that long, or nothing if a pause lasts over it.
    fn time_of(&self, work: SignedDuration) -> Option<Timestamp> {
        let mut time = self.started?.checked_add(work).ok()?;
        for (from, until) in &self.pauses {
            if *from >= time {
                break;
            }
            time = time.checked_add(until.as_ref()?.duration_since(*from)).ok()?;
        }
        Some(time)
    }

    /// The lines printed until `now`, with their times.
    pub(crate) fn printed(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, &str)> {
        let until = self.ended.map_or(now, |ended| ended.min(now));
        let pace = self.duration / i32::try_from(self.lines.len() + 1).unwrap_or(i32::MAX);
        let mut work = SignedDuration::ZERO;
        self.lines.iter().map_while(move |line| {
            work = work.saturating_add(pace);
            let time = self.time_of(work)?;
            // The last lines of a step that has ended were printed, whatever the rounding says.
            (time <= until).then_some((time, line.as_str()))
        })
    }

    /// The time of the last thing that happened in it.
    pub(crate) fn last_updated(&self, now: Timestamp) -> Option<Timestamp> {
        let printed = || self.printed(now).last().map(|(time, _)| time);
        self.ended.or_else(printed).or(self.started)
    }
}

impl Run {
    fn new(steps: Vec<Step>, now: Timestamp) -> Self {
        Self { steps, current: 0, due: now, held_since: None }
    }

    /// What Pulumi does in the current step.
    fn pulumi(&self) -> Option<&PulumiWork> {
        self.steps.get(self.current)?.pulumi.as_ref()
    }

    pub(crate) fn started(&self) -> Option<Timestamp> {
        self.steps.first()?.started
    }

    pub(crate) fn last_updated(&self, now: Timestamp) -> Option<Timestamp> {
        self.steps.iter().rev().find_map(|step| step.last_updated(now))
    }

    /// Begins the current step.
    fn enter(&mut self, at: Timestamp) {
        if let Some(step) = self.steps.get_mut(self.current) {
            step.started = Some(at);
            self.due = at.checked_add(step.duration).unwrap_or(Timestamp::MAX);
        }
    }

    /// Ends the current step.
    fn leave(&mut self, at: Timestamp, failed: bool) {
        self.held_since = None;
        if let Some(step) = self.steps.get_mut(self.current) {
            step.ended = Some(at);
            step.failed = failed;
            if let Some((_, until @ None)) = step.pauses.last_mut() {
                *until = Some(at);
            }
        }
    }

    /// Stops the clock of the current step.
    fn hold(&mut self, at: Timestamp) {
        if self.held_since.is_none() {
            self.held_since = Some(at);
            if let Some(step) = self.steps.get_mut(self.current) {
                step.pauses.push((at, None));
            }
        }
    }

    /// Lets the clock go on; the answer tells whether it stood.
    fn release(&mut self, at: Timestamp) -> bool {
        let Some(since) = self.held_since.take() else {
            return false;
        };
        let held = at.duration_since(since);
        self.due = self.due.checked_add(held).unwrap_or(Timestamp::MAX);
        if let Some(step) = self.steps.get_mut(self.current)
            && let Some((_, until)) = step.pauses.last_mut()
        {
            *until = Some(at);
        }
        true
    }
}
