//! The schedules of a stack: declared × known × remote × now → what is done about them. Pure, except for [`act`].
//!
//! The service has no names for schedules and no key for creating one, so status maps each name to an id, and an
//! intent is written before each creation. After a lost answer the intent finds its schedule again: one of the same
//! definition that was not there before. What status does not record is never touched.

pub mod act;
mod definition;

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, time::Duration};

use super::{
    plan::{CONTEST, CONTEST_WINDOW},
    reason::Reason,
};
use crate::{
    api::{
        StackDeploymentSettingsStatus, Time,
        deployment::Operation,
        schedule::{Schedule, ScheduleIntent, ScheduleStatus},
    },
    controllers::{conditions::Words, requeue::Consequence},
    pulumi::wire,
};

pub use definition::Definition;

/// How long after the time of an execution the service is asked what came of it.
const AFTER_EXECUTION: Duration = Duration::from_secs(10);

/// What was read about schedules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// All schedules of the stack.
    pub remote: Vec<wire::Schedule>,
    /// Why they could not be read, when they could not: then nothing is known of any.
    pub unreadable: Option<Consequence>,
    /// Ids of those that another resource for this stack made, and its name.
    pub rivals: BTreeMap<String, String>,
    /// The declared ones that the Organization does not allow, and why.
    pub denied: BTreeMap<String, String>,
    /// Names of those whose creation is certain not to arrive any more if it has not by now.
    pub ripe: BTreeSet<String>,
}

/// What is done about schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agenda {
    /// What is known of each schedule, with an intent for each one that is about to be created.
    pub entries: Vec<ScheduleStatus>,
    /// What is to be done, in this order.
    pub steps: Vec<Step>,
    /// Why nothing could be decided.
    pub unreadable: Option<Consequence>,
}

/// One change of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The schedule's name.
    pub name: String,
    /// What is done.
    pub change: Change,
    /// When it undoes a change that was made elsewhere: all recent corrections, with this one.
    pub corrects: Option<Vec<Time>>,
}

impl Step {
    /// The reason of the event that tells of it. Events of one reason are counted, so each sort of change has its own.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.words().0
    }

    fn words(&self) -> (&'static str, &'static str) {
        match &self.change {
            Change::Create(..) => ("SchedulesCreated", "created"),
            Change::Update(..) => ("SchedulesUpdated", "updated"),
            Change::Delete(_) => ("SchedulesRemoved", "removed"),
            Change::Pause(_, true) => ("SchedulesPaused", "paused"),
            Change::Pause(_, false) => ("SchedulesResumed", "resumed"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule {} was {}", self.name, self.words().1)
    }
}

/// What is done to a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is made, and paused at once where that is asked for; its entry holds the intent.
    Create(Definition, bool),
    /// It is made to be this.
    Update(String, Definition),
    /// It is removed.
    Delete(String),
    /// It is paused or resumed.
    Pause(String, bool),
}

impl Agenda {
    /// Whether the entries must be written before anything is done: the intents of what is created, and the ids that
    /// intents led to, by which they could not be found again once they are changed.
    #[must_use]
    pub fn is_noted_first(&self, known: &[ScheduleStatus]) -> bool {
        let adopts = known.iter().filter(|entry| entry.intent.is_some()).any(|before| {
            self.entries.iter().any(|entry| entry.name == before.name && entry.id.is_some() && entry.id != before.id)
        });
        adopts || self.steps.iter().any(|step| matches!(step.change, Change::Create(..)))
    }
}

/// Whether the outcome of a creation is still to be found out.
#[must_use]
pub fn await_an_answer(entries: &[ScheduleStatus]) -> bool {
    entries.iter().any(|entry| entry.intent.is_some())
}

/// The operations that a schedule runs, for the Organization's rules.
#[must_use]
pub fn operations(schedule: &Schedule) -> Vec<Operation> {
    let deployment = schedule.deployment.iter().map(|deployment| deployment.operation);
    let drift = schedule.drift.iter().flat_map(|drift| {
        [Operation::DetectDrift]
            .into_iter()
            .chain(drift.auto_remediate.unwrap_or_default().then_some(Operation::RemediateDrift))
    });
    deployment.chain(drift).chain(schedule.ttl.iter().map(|_| Operation::Destroy)).collect()
}

/// Whether any of these is there because of this resource, or may be.
#[must_use]
pub fn leave_anything(entries: &[ScheduleStatus]) -> bool {
    entries.iter().any(|entry| entry.id.is_some() || entry.intent.is_some())
}

/// Whether something is left to do at once: steps were put off, or a schedule is made anew as another sort.
#[must_use]
pub fn are_unfinished(declared: &[Schedule], entries: &[ScheduleStatus]) -> bool {
    declared.iter().any(|schedule| !entries.iter().any(|entry| entry.name == schedule.name))
        || entries.iter().any(|entry| entry.intent.is_none() && entry.reason.is_none() && !is_made(entry))
}

/// It is there, or it was there and has run for the only time.
fn is_made(entry: &ScheduleStatus) -> bool {
    entry.id.is_some() || entry.foreign_id.is_some() || entry.definition.is_some()
}

/// Whether nothing is left to do about schedules as far as can be told without asking the service.
#[must_use]
pub fn are_settled(declared: &[Schedule], entries: &[ScheduleStatus], denied: &BTreeMap<String, String>) -> bool {
    let is_settled = |schedule: &Schedule, entry: &ScheduleStatus| {
        let (is_denied, said) = (denied.contains_key(&entry.name), entry.reason.as_deref());
        let says = |reason: Reason| said == Some(&format!("{reason:?}"));
        let is_refused = || entry.refused.as_ref() == Some(&Definition::of_declared(schedule).digest());
        let rests = says(Reason::TimePassed) || says(Reason::Contested) || (said.is_some() && is_refused());
        says(Reason::UnsupportedByBackend)
            || says(Reason::AccessDenied) && is_denied
            || !is_denied && (rests || said.is_none() && is_made(entry))
    };
    let entry_of = |schedule: &Schedule| entries.iter().find(|entry| entry.name == schedule.name);
    let is_declared = |entry: &ScheduleStatus| declared.iter().any(|schedule| schedule.name == entry.name);
    declared.iter().all(|schedule| entry_of(schedule).is_some_and(|entry| is_settled(schedule, entry)))
        && !await_an_answer(entries)
        // What could not be removed waits for the next comparison.
        && entries.iter().all(|entry| is_declared(entry) || entry.reason.is_some())
}

/// What a process remembers an unanswered creation by.
#[must_use]
pub fn intent_key(uid: &str, entry: &ScheduleStatus) -> Option<String> {
    entry.intent.as_ref().map(|intent| format!("{uid} {} {}", entry.name, intent.time))
}

/// Whether the stack's declared end has come.
#[must_use]
pub fn is_past_its_end(declared: &[Schedule], now: Time) -> bool {
    declared.iter().filter_map(|schedule| schedule.ttl.as_ref()).any(|ttl| ttl.time <= now)
}

/// The times at which the service is asked what its schedules have done: when one has just run, once more when what it
/// started has had `run` to end, and again and again while drift is looked for. `last` is the last time it was asked.
pub fn looks(
    status: &StackDeploymentSettingsStatus,
    last: Time,
    run: Duration,
) -> impl Iterator<Item = Time> + use<'_> {
    let executions = status.schedules.iter().filter(|entry| entry.paused != Some(true)).flat_map(move |entry| {
        let next = entry.next_execution.map(|time| time.after(AFTER_EXECUTION));
        next.into_iter().chain(entry.last_executed.map(|time| time.after(run)))
    });
    let is_detecting = status.drift.as_ref().is_some_and(|drift| drift.in_progress);
    executions.chain(is_detecting.then(|| last.after(run)))
}

/// Decides about the schedules of a stack. Nothing declared means that all that this resource made goes.
#[must_use]
pub fn plan(declared: &[Schedule], known: &[ScheduleStatus], seen: &Seen, now: Time) -> Agenda {
    if let Some(unreadable) = &seen.unreadable {
        return unread(declared, known, unreadable);
    }
    let mut agenda = Agenda::default();
    let mut ours: BTreeSet<&str> = known.iter().filter_map(|entry| entry.id.as_deref()).collect();
    let mut resolved = Vec::new();
    for entry in known {
        let entry = resolve(entry, seen, &ours);
        let found = seen.remote.iter().find(|remote| entry.id.as_deref() == Some(&remote.id));
        ours.extend(found.map(|remote| remote.id.as_str()));
        resolved.push((entry, found));
    }
    for schedule in declared {
        let (entry, found) = resolved
            .iter()
            .find(|(entry, _)| entry.name == schedule.name)
            .cloned()
            .unwrap_or_else(|| (unknown(&schedule.name), None));
        let mut decision = Decision { schedule, seen, ours: &ours, now, entry, agenda: &mut agenda };
        decision.decide(found);
        let entry = decision.entry;
        agenda.entries.push(entry);
    }
    for (entry, found) in resolved {
        if declared.iter().any(|schedule| schedule.name == entry.name) {
            continue;
        }
        if let (Some(_), Some(id)) = (found, entry.id.clone()) {
            agenda.steps.push(Step { name: entry.name.clone(), change: Change::Delete(id), corrects: None });
        }
        if found.is_some() || entry.intent.is_some() {
            agenda.entries.push(entry);
        }
    }
    agenda
}

/// Nothing is known of any schedule: all that was known stays, and each says why it is not looked after.
fn unread(declared: &[Schedule], known: &[ScheduleStatus], why: &Consequence) -> Agenda {
    let is_known = |schedule: &&Schedule| known.iter().any(|entry| entry.name == schedule.name);
    let new = declared.iter().filter(|schedule| !is_known(schedule)).map(|schedule| unknown(&schedule.name));
    let mut entries: Vec<ScheduleStatus> = known.iter().cloned().chain(new).collect();
    for entry in &mut entries {
        complain(entry, why.standing.words().clone());
    }
    Agenda { entries, steps: vec![], unreadable: Some(why.clone()) }
}

fn unknown(name: &str) -> ScheduleStatus {
    ScheduleStatus { name: name.to_owned(), ..ScheduleStatus::default() }
}

/// Settles an intent: its schedule is there, or it is certain never to be.
fn resolve(entry: &ScheduleStatus, seen: &Seen, ours: &BTreeSet<&str>) -> ScheduleStatus {
    let mut entry = ScheduleStatus { reason: None, message: None, ..entry.clone() };
    let Some(intent) = &entry.intent else { return entry };
    let created = seen.remote.iter().find(|remote| {
        !ours.contains(remote.id.as_str())
            && !intent.existing.contains(&remote.id)
            && Definition::of_remote(remote).digest() == intent.definition
    });
    if let Some(created) = created {
        entry.id = Some(created.id.clone());
        entry.definition = Some(intent.definition.clone());
        entry.remote = Some(intent.definition.clone());
        entry.intent = None;
    } else if seen.ripe.contains(&entry.name) {
        entry.intent = None;
    } else {
        let words = Words::new(
            Reason::CreateOutcomeUnknown,
            "the answer to its creation was lost; it is looked for until it is certain not to come, and made again then",
        );
        complain(&mut entry, words);
    }
    entry
}

/// The decision about one declared schedule.
struct Decision<'a> {
    schedule: &'a Schedule,
    seen: &'a Seen,
    ours: &'a BTreeSet<&'a str>,
    now: Time,
    entry: ScheduleStatus,
    agenda: &'a mut Agenda,
}

impl Decision<'_> {
    fn decide(&mut self, found: Option<&wire::Schedule>) {
        let definition = Definition::of_declared(self.schedule);
        if self.entry.intent.is_some() {
            return;
        }
        if let Some(why) = self.seen.denied.get(&self.schedule.name) {
            return self.leave(found, why);
        }
        match (found, self.entry.id.clone()) {
            (Some(remote), Some(id)) => self.maintain(remote, id, definition),
            (_, gone) => self.make(definition, gone.is_some()),
        }
    }

    /// It is not allowed. One that was made when it was is left as it is, but it can still be paused.
    fn leave(&mut self, found: Option<&wire::Schedule>, why: &str) {
        let Some(remote) = found else {
            complain(&mut self.entry, Words::new(Reason::AccessDenied, why));
            return;
        };
        refresh(&mut self.entry, remote);
        let message = format!("{why}; the one that was made before is left as it was: take it out here to delete it");
        complain(&mut self.entry, Words::new(Reason::AccessDenied, message));
        if self.schedule.paused == Some(true) && !remote.paused {
            self.step(Change::Pause(remote.id.clone(), true), None);
        }
    }

    /// It is there.
    fn maintain(&mut self, remote: &wire::Schedule, id: String, definition: Definition) {
        let (wanted, there) = (definition.digest(), Definition::of_remote(remote));
        refresh(&mut self.entry, remote);
        let declared_anew = self.entry.definition.as_deref() != Some(&wanted);
        let moved = self.entry.remote.as_deref() != Some(&there.digest());
        if declared_anew || (moved && there.digest() != wanted) {
            if definition.is_over(self.now) {
                complain(&mut self.entry, over(&definition));
                return;
            }
            let Ok(corrects) = self.correction(!declared_anew) else { return };
            if there.is_updated_like(&definition) {
                self.step(Change::Update(id.clone(), definition), corrects);
            } else {
                // It is made anew in the next look: its entry can hold an id or an intent.
                self.step(Change::Delete(id), None);
                return;
            }
        }
        if let Some(paused) = self.schedule.paused.filter(|wanted| *wanted != remote.paused) {
            self.step(Change::Pause(id, paused), None);
        }
    }

    /// It is not there.
    fn make(&mut self, definition: Definition, vanished: bool) {
        let was_made = self.entry.definition.as_deref() == Some(&definition.digest());
        if definition.is_over(self.now) {
            // One that ran once is removed by the service itself.
            if was_made {
                self.entry.last_executed = self.entry.last_executed.or(definition.once());
                self.entry.next_execution = None;
            } else {
                complain(&mut self.entry, over(&definition));
            }
            self.entry.id = None;
            return;
        }
        let is_paused_alike = |twin: &&wire::Schedule| self.schedule.paused.is_none_or(|paused| paused == twin.paused);
        if let Some(twin) = twins(self.seen, self.ours, &definition).find(is_paused_alike) {
            refresh(&mut self.entry, twin);
            self.entry.foreign_id = Some(twin.id.clone());
            (self.entry.id, self.entry.definition, self.entry.remote) = (None, None, None);
            // It goes with that resource, which wakes this one: then it is made anew.
            if let Some(rival) = self.seen.rivals.get(&twin.id) {
                let message =
                    format!("StackDeploymentSettings {rival}, for the same stack, made an equal one; delete it");
                complain(&mut self.entry, Words::new(Reason::Conflict, message));
            }
            return;
        }
        let Ok(corrects) = self.correction(vanished && was_made) else { return };
        self.entry = ScheduleStatus {
            intent: Some(ScheduleIntent {
                time: self.now,
                definition: definition.digest(),
                existing: twins(self.seen, self.ours, &definition).map(|twin| twin.id.clone()).collect(),
            }),
            corrections: self.entry.corrections.clone(),
            ..unknown(&self.entry.name)
        };
        let paused = self.schedule.paused.unwrap_or_default();
        self.step(Change::Create(definition, paused), corrects);
    }

    /// The corrections that there will be with this one, when it is one; an error when there were too many.
    fn correction(&mut self, is_one: bool) -> Result<Option<Vec<Time>>, Contested> {
        if !is_one {
            self.entry.corrections.clear();
            return Ok(None);
        }
        self.entry.corrections.retain(|time| self.now.since(*time) < CONTEST_WINDOW);
        if self.entry.corrections.len() >= CONTEST {
            let message = format!(
                "it was changed elsewhere and corrected {CONTEST} times within an hour; find out what else sets it. \
                 It is corrected again when an hour has passed, or when it is changed here"
            );
            complain(&mut self.entry, Words::new(Reason::Contested, message));
            return Err(Contested);
        }
        Ok(Some(self.entry.corrections.iter().copied().chain([self.now]).collect()))
    }

    fn step(&mut self, change: Change, corrects: Option<Vec<Time>>) {
        self.agenda.steps.push(Step { name: self.schedule.name.clone(), change, corrects });
    }
}

/// Something else keeps changing it.
struct Contested;

/// Equal schedules that this resource did not make.
fn twins<'a>(
    seen: &'a Seen,
    ours: &BTreeSet<&str>,
    definition: &Definition,
) -> impl Iterator<Item = &'a wire::Schedule> {
    seen.remote
        .iter()
        .filter(|remote| !ours.contains(remote.id.as_str()) && Definition::of_remote(remote) == *definition)
}

/// What a schedule shows.
fn refresh(entry: &mut ScheduleStatus, remote: &wire::Schedule) {
    entry.foreign_id = None;
    entry.paused = Some(remote.paused);
    entry.next_execution = remote.next_execution.map(Time::from);
    entry.last_executed = remote.last_executed.map(Time::from);
}

fn complain(entry: &mut ScheduleStatus, Words { reason, message }: Words) {
    (entry.reason, entry.message) = (Some(reason), Some(message));
}

fn over(definition: &Definition) -> Words {
    let time = definition.once().map(|time| time.to_string()).unwrap_or_default();
    Words::new(Reason::TimePassed, format!("{time} has passed, so it would never run; write a later time"))
}

#[cfg(test)]
mod tests;
