//! Pure: old status × outcome × now → new status, and the events that this makes.

use super::{
    outcome::Outcome,
    plan::{Convergence, Inputs},
    reason::Reason,
};
use crate::{
    api::{
        ConditionStatus, StackDeploymentSettingsStatus, Time,
        condition::{find, types},
    },
    controllers::{
        conditions::{AWAITING_BUDGET, Standing, Words, set_pause_applied, set_standing},
        context::Happening,
        requeue::Consequence,
    },
};

/// The new status.
#[must_use]
pub fn status(
    old: &StackDeploymentSettingsStatus,
    inputs: &Inputs,
    outcome: &Outcome,
    now: Time,
) -> StackDeploymentSettingsStatus {
    let mut next = old.clone();
    // What was pushed somewhere stays known by the name of where.
    if inputs.stack.is_some() && (next.stack.is_none() || next.last_applied.is_empty()) {
        next.stack.clone_from(&inputs.stack);
    }
    let standing = match outcome {
        Outcome::Nothing => return old.clone(),
        Outcome::Waiting(words) | Outcome::AwaitingStack(words) => Standing::InProgress(words.clone()),
        Outcome::Refused(words) => Standing::Stalled(words.clone()),
        Outcome::AwaitingBudget => Standing::Retrying(Words::new(Reason::AwaitingBudget, AWAITING_BUDGET)),
        Outcome::Failed(Consequence { class: _, standing, retry: _, detail: _ }) => standing.clone(),
        Outcome::StackCreated => Standing::InProgress(Words::new(Reason::StackCreated, "the stack was created")),
        Outcome::Converged { convergence, remote, pause_failed } => {
            let failed = pause_failed.as_ref().map(|failed| &failed.standing);
            set_pause_applied(&mut next.conditions, failed, inputs.generation, now);
            let Convergence {
                patch: _,
                claim: _,
                set_paused: _,
                paused,
                applied,
                remote: _,
                content_digest,
                sources,
                corrections,
                corrects: _,
            } = &**convergence;
            next.content_digest = Some(content_digest.clone());
            next.sources.clone_from(sources);
            next.last_applied.clone_from(applied);
            next.remote = Some(remote.clone());
            next.paused = if failed.is_some() { next.paused } else { *paused };
            next.corrections.clone_from(corrections);
            Standing::Done(Words::new(
                Reason::Synced,
                format!("the settings of {} are as declared", inputs.stack.as_deref().unwrap_or("the stack")),
            ))
        }
    };
    next.observed_generation = Some(inputs.generation);
    next.last_handled_reconcile_at.clone_from(&inputs.requested_at);
    set_standing(&mut next.conditions, &standing, inputs.generation, now);
    next
}

/// What a person wants to see in the timeline.
#[must_use]
pub fn events(
    old: &StackDeploymentSettingsStatus,
    new: &StackDeploymentSettingsStatus,
    outcome: &Outcome,
) -> Vec<Happening> {
    let ready = |status: &StackDeploymentSettingsStatus| {
        find(&status.conditions, types::READY).map(|ready| (ready.status, ready.reason.clone(), ready.message.clone()))
    };
    match outcome {
        Outcome::Converged { convergence, .. } if convergence.corrects => {
            let fields =
                convergence.corrections.last().map(|correction| correction.paths.join(", ")).unwrap_or_default();
            vec![Happening {
                warning: false,
                reason: "DriftCorrected",
                action: "Push",
                note: format!("{fields} had been changed elsewhere"),
            }]
        }
        Outcome::Converged { convergence, .. } if convergence.patch.is_some() => {
            vec![Happening {
                warning: false,
                reason: "Pushed",
                action: "Push",
                note: format!("the settings of {} were pushed", new.stack.as_deref().unwrap_or_default()),
            }]
        }
        _ => match (ready(old), ready(new)) {
            (before, Some((ConditionStatus::False, reason, note)))
                if before
                    .as_ref()
                    .is_none_or(|(status, known, _)| *status != ConditionStatus::False || *known != reason) =>
            {
                vec![Happening { warning: true, reason: stalled(&reason), action: "Reconcile", note }]
            }
            _ => vec![],
        },
    }
}

/// Events have a fixed set of reasons; the condition has the particular one.
fn stalled(reason: &str) -> &'static str {
    match reason {
        "AccessDenied" => "AccessDenied",
        "Conflict" => "Conflict",
        "Contested" => "Contested",
        "TokenRejected" => "TokenRejected",
        "Rejected" => "Rejected",
        _ => "Stalled",
    }
}

#[cfg(test)]
mod tests;
