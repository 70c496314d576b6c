//! IO, reads only: what a run that was about drift found.

use crate::{
    api::{
        Time,
        deployment::{DriftFinding, Operation, Run},
    },
    controllers::{
        conditions::{Standing, Words},
        connections::Connection,
        deployment::{drift::finding, mirror::View, reason::Reason},
        requeue::{Consequence, Retry, consequence},
    },
    pulumi::{Class, Permit},
};

/// How many of the stack's drift runs are looked at, from the newest. The one that is looked for has just ended.
const NEWEST: u32 = 20;

/// What came of a look.
pub enum Reading {
    /// What was found.
    Found(DriftFinding),
    /// There was no drift to deal with.
    Nothing,
    /// It may be there in a moment.
    NotYet(Consequence),
    /// It is not to be had, and why.
    Refused(String),
}

/// Looks once. `view` is the last look at the run, which status does not show yet.
pub async fn read(run: &Run, view: Option<&View>, connection: &Connection, permit: &mut Permit, now: Time) -> Reading {
    let mut run = run.clone();
    if let Some(view) = view {
        view.show(&mut run);
    }
    let stack = connection.stack(&run.target.project, &run.target.stack);
    match connection.client.list_drift_runs(permit, &stack, 1, NEWEST).await {
        Ok(page) => match finding(&page.items, &run, now) {
            Some(Ok(found)) => Reading::Found(found),
            Some(Err(why)) => Reading::Refused(why),
            None if run.operation == Operation::RemediateDrift => Reading::Nothing,
            None => {
                let why = "the service has no drift run of it".to_owned();
                let words = Words::new(Reason::DriftUnknown, format!("{why} yet; it is looked for again"));
                Reading::NotYet(Consequence {
                    class: Class::NotFound,
                    standing: Standing::Retrying(words),
                    retry: Retry::Backoff,
                    detail: why,
                })
            }
        },
        Err(error) => match error.class() {
            Class::Throttled | Class::Unavailable | Class::Ambiguous | Class::NotSent => {
                let asked = consequence(&error, "");
                Reading::NotYet(Consequence { detail: error.summary(), ..asked })
            }
            // Nobody's right to see drift runs may hold back the end of a run.
            _ => Reading::Refused(error.summary()),
        },
    }
}
