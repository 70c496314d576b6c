//! IO, writes: the steps of an agenda → what is known of each schedule afterwards.

use tokio::time::Instant;
use tracing::info;

use super::{Agenda, Change, Definition, Step, complain, refresh};
use crate::{
    api::schedule::ScheduleStatus,
    controllers::{
        requeue::{Consequence, consequence},
        settings::gather::Means,
    },
    pulumi::{self, Class},
};

/// What a person can do who reads that a schedule was refused.
const REMEDY: &str = "A stack can have schedules only when it has deployment settings, and some sorts need a subscription: \
    correct the schedule, or take it out.";

/// Calls that one step may take.
const CALLS_PER_STEP: u32 = 2;

/// What came of an agenda.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Done {
    /// What is known of each schedule.
    pub entries: Vec<ScheduleStatus>,
    /// What was done.
    pub changes: Vec<Step>,
    /// What went wrong and is tried again; a refusal is not.
    pub failed: Option<Consequence>,
}

/// Carries the steps out, one after the other. A schedule that the service refuses does not keep the others from being
/// made. Trouble with the service itself, an empty permit, or the time `until` which an intent is good leave the rest for
/// the next look.
pub async fn act(agenda: &Agenda, means: &mut Means, until: Instant) -> Done {
    let mut done = Done { entries: agenda.entries.clone(), changes: vec![], failed: unreadable(agenda) };
    let mut steps = agenda.steps.iter();
    while let Some(step) = steps.as_slice().first() {
        if Instant::now() >= until || means.permit.remaining() < CALLS_PER_STEP {
            break;
        }
        steps.next();
        let Err(error) = carry_out(step, &mut done.entries, means).await else {
            info!(stack = %means.stack, "{step}");
            done.changes.push(step.clone());
            continue;
        };
        let consequence = consequence(&error, REMEDY);
        let is_refused = matches!(error.class(), Class::Invalid | Class::Forbidden | Class::Unsupported);
        if let Some(entry) = entry(&mut done.entries, &step.name) {
            complain(entry, consequence.standing.words().clone());
            entry.refused = definition(step).filter(|_| is_refused).map(Definition::digest);
            if error.class() != Class::Ambiguous {
                entry.intent = None;
            }
        }
        if !is_refused {
            done.failed.get_or_insert(consequence);
        }
        if !is_refused && error.class() != Class::NotFound {
            break;
        }
    }
    // What was not even tried is not under way either.
    for Step { name, change, corrects: _ } in steps {
        if let (Change::Create(..), Some(entry)) = (change, entry(&mut done.entries, name)) {
            entry.intent = None;
        }
    }
    done
}

/// What the backend does not have does not come by asking again.
fn unreadable(agenda: &Agenda) -> Option<Consequence> {
    agenda.unreadable.clone().filter(|consequence| consequence.class != Class::Unsupported)
}

fn definition(step: &Step) -> Option<&Definition> {
    match &step.change {
        Change::Create(definition, _) | Change::Update(_, definition) => Some(definition),
        Change::Delete(_) | Change::Pause(..) => None,
    }
}

async fn carry_out(step: &Step, entries: &mut Vec<ScheduleStatus>, means: &mut Means) -> Result<(), pulumi::Error> {
    let Means { connection, permit, stack } = means;
    let client = &connection.client;
    match &step.change {
        Change::Create(definition, paused) => {
            let made = client.create_schedule(permit, stack, &definition.request()).await?;
            record(entries, step, definition, &made);
            if *paused {
                client.pause_schedule(permit, stack, &made.id).await?;
                set_paused(entries, &step.name, true);
            }
        }
        Change::Update(id, definition) => {
            let made = client.update_schedule(permit, stack, id, &definition.request()).await?;
            record(entries, step, definition, &made);
        }
        Change::Delete(id) => {
            client.delete_schedule(permit, stack, id).await?;
            entries.retain(|entry| entry.id.as_ref() != Some(id));
        }
        Change::Pause(id, paused) => {
            if *paused {
                client.pause_schedule(permit, stack, id).await?;
            } else {
                client.resume_schedule(permit, stack, id).await?;
            }
            set_paused(entries, &step.name, *paused);
        }
    }
    Ok(())
}

fn entry<'a>(entries: &'a mut [ScheduleStatus], name: &str) -> Option<&'a mut ScheduleStatus> {
    entries.iter_mut().find(|entry| entry.name == name)
}

fn set_paused(entries: &mut [ScheduleStatus], name: &str, paused: bool) {
    if let Some(entry) = entry(entries, name) {
        entry.paused = Some(paused);
    }
}

pub(super) fn record(
    entries: &mut [ScheduleStatus],
    step: &Step,
    definition: &Definition,
    made: &pulumi::wire::Schedule,
) {
    let Some(entry) = entry(entries, &step.name) else { return };
    entry.id = Some(made.id.clone());
    (entry.intent, entry.refused) = (None, None);
    entry.corrections = step.corrects.clone().unwrap_or_default();
    entry.definition = Some(definition.digest());
    entry.remote = Some(Definition::of_remote(made).digest());
    refresh(entry, made);
}
