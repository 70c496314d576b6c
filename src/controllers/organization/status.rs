//! Pure: old status × outcome × now → new status, and the events that this makes.

use super::{
    outcome::Outcome,
    plan::{Inputs, Renewal},
    reason::Reason,
};
use crate::{
    api::{
        Condition, ConditionStatus, OrganizationStatus, Time,
        condition::{find, types},
    },
    controllers::{
        conditions::{
            AWAITING_BUDGET, OBSERVING, Standing, TOKEN_RENEWED, Words, condition, remove, set, set_pause_applied,
            set_standing,
        },
        context::Happening,
        requeue::Consequence,
    },
};

/// The new status.
#[must_use]
pub fn status(old: &OrganizationStatus, inputs: &Inputs, outcome: &Outcome, now: Time) -> OrganizationStatus {
    let mut next = old.clone();
    set_token_renewed(&mut next.conditions, inputs, now);
    set_observing(&mut next.conditions, inputs, now);
    next.name = Some(inputs.name.clone());
    let standing = match outcome {
        Outcome::Nothing => return OrganizationStatus { conditions: next.conditions, ..old.clone() },
        Outcome::AwaitingUsers(users) => Standing::InProgress(Words::new(
            Reason::InUse,
            format!("deletion waits for {} that still need this organization: {}", users.len(), listed(users)),
        )),
        Outcome::BackendRefused => Standing::Stalled(Words::new(
            Reason::BackendNotAllowed,
            format!(
                "{} is not on the operator's --allowed-backend list; add it there, or correct spec.backendURL",
                inputs.backend
            ),
        )),
        Outcome::AwaitingToken(missing) => Standing::InProgress(Words::new(Reason::TokenMissing, missing)),
        Outcome::AwaitingBudget => Standing::Retrying(Words::new(Reason::AwaitingBudget, AWAITING_BUDGET)),
        Outcome::Failed(Consequence { class: _, standing, retry: _, detail: _ }) => standing.clone(),
        Outcome::Accepted { seen, pause } => {
            next.user = Some(seen.user.clone());
            next.paused = seen.paused;
            next.concurrency = seen.concurrency;
            next.deployment_counts = seen.counts;
            let failed = pause.as_ref().and_then(|pause| pause.as_ref().err()).map(|failed| &failed.standing);
            set_pause_applied(&mut next.conditions, failed, inputs.generation, now);
            if inputs.suspended {
                Standing::InProgress(Words::new(
                    Reason::Suspended,
                    "nothing is written remotely for this organization; observing goes on",
                ))
            } else {
                Standing::Done(Words::new(
                    Reason::Connected,
                    format!("{} accepts the token of {}", inputs.backend, seen.user.login),
                ))
            }
        }
    };
    next.observed_generation = Some(inputs.generation);
    next.last_handled_reconcile_at.clone_from(&inputs.requested_at);
    set_standing(&mut next.conditions, &standing, inputs.generation, now);
    next
}

/// Says that the access token could not be renewed, as long as there is one that is still good.
fn set_token_renewed(conditions: &mut Vec<Condition>, inputs: &Inputs, now: Time) {
    match &inputs.renewal {
        Renewal::Failed { consequence, until } => {
            let Words { reason, message } = consequence.standing.words();
            let message = format!("the access token is good until {until} and could not be renewed: {message}");
            let failed = condition(TOKEN_RENEWED, ConditionStatus::False, reason, &message, inputs.generation, now);
            set(conditions, failed);
        }
        Renewal::NotNeeded | Renewal::In(_) => remove(conditions, TOKEN_RENEWED),
    }
}

/// Says that runs can't be followed as they should be.
fn set_observing(conditions: &mut Vec<Condition>, inputs: &Inputs, now: Time) {
    match &inputs.trouble {
        Some(trouble) => {
            let words = Words::new(Reason::Degraded, trouble);
            let Words { reason, message } = &words;
            set(conditions, condition(OBSERVING, ConditionStatus::False, reason, message, inputs.generation, now));
        }
        None => remove(conditions, OBSERVING),
    }
}

fn listed(users: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = users.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if users.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

/// What a person wants to see in the timeline: that the token was accepted or is not any more.
#[must_use]
pub fn events(old: &OrganizationStatus, new: &OrganizationStatus) -> Vec<Happening> {
    let ready = |status: &OrganizationStatus| {
        find(&status.conditions, types::READY).map(|ready| (ready.status, ready.reason.clone(), ready.message.clone()))
    };
    let begins = |condition: &str, reason: &'static str, action: &'static str| {
        let there = find(&new.conditions, condition).filter(|_| find(&old.conditions, condition).is_none());
        there.map(|there| Happening { warning: true, reason, action, note: there.message.clone() })
    };
    let warnings =
        [begins(TOKEN_RENEWED, "TokenNotRenewed", "Renew"), begins(OBSERVING, "ObservingDegraded", "Observe")];
    let (before, after) = (ready(old), ready(new));
    let told = match (before, after) {
        (before, Some((ConditionStatus::True, _, note)))
            if before.as_ref().is_none_or(|(status, ..)| *status != ConditionStatus::True) =>
        {
            Some(Happening { warning: false, reason: "Connected", action: "Verify", note })
        }
        (before, Some((ConditionStatus::False, reason, note)))
            if before
                .as_ref()
                .is_none_or(|(status, known, _)| *status != ConditionStatus::False || *known != reason) =>
        {
            let reason = if reason == "TokenRejected" { "TokenRejected" } else { "NotConnected" };
            Some(Happening { warning: true, reason, action: "Verify", note })
        }
        _ => None,
    };
    warnings.into_iter().flatten().chain(told).collect()
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
