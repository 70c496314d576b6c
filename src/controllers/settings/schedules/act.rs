//! IO, writes: the steps of an agenda → what is known of each schedule afterwards.

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

/// What came of an agenda.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Done {
    /// What is known of each schedule.
    pub entries: Vec<ScheduleStatus>,
    /// The first failure.
    pub failed: Option<Consequence>,
}

/// Carries the steps out, one after the other. A schedule that the service refuses does not keep the others from being
/// made; trouble with the service itself leaves the rest for later.
pub async fn act(agenda: &Agenda, means: &mut Means) -> Done {
    let mut done = Done { entries: agenda.entries.clone(), failed: None };
    let mut steps = agenda.steps.iter();
    for step in steps.by_ref() {
        let Err(error) = carry_out(step, &mut done.entries, means).await else {
            info!(stack = %means.stack, "{step}");
            continue;
        };
        let consequence = consequence(&error, REMEDY);
        if let Some(entry) = entry(&mut done.entries, &step.name) {
            complain(entry, consequence.standing.words().clone());
            if error.class() != Class::Ambiguous {
                entry.intent = None;
            }
        }
        done.failed.get_or_insert(consequence);
        if !matches!(error.class(), Class::Invalid | Class::Forbidden | Class::NotFound) {
            break;
        }
    }
    // What was not even tried is not under way either.
    for Step { name, change } in steps {
        if let (Change::Create(..), Some(entry)) = (change, entry(&mut done.entries, name)) {
            entry.intent = None;
        }
    }
    done
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
    entry.intent = None;
    entry.definition = Some(definition.digest());
    entry.remote = Some(Definition::of_remote(made).digest());
    refresh(entry, made);
}
