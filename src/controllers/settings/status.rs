//! Pure: old status × outcome × now → new status, and the events that this makes.

use std::collections::BTreeMap;

use super::{
    outcome::Outcome,
    plan::{Convergence, Inputs},
    reason::Reason,
    schedules,
};
use crate::{
    api::{
        Condition, ConditionStatus, StackDeploymentSettingsStatus, Time,
        condition::{find, types},
        schedule::{DriftResult, DriftStatus, ScheduleStatus},
    },
    controllers::{
        conditions::{
            AWAITING_BUDGET, DRIFTED, SCHEDULES_APPLIED, Standing, Words, condition, remove, set, set_pause_applied,
            set_standing,
        },
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
    if inputs.stack.is_some()
        && (next.stack.is_none() || (next.last_applied.is_empty() && !schedules::leave_anything(&next.schedules)))
    {
        next.stack.clone_from(&inputs.stack);
    }
    let standing = match outcome {
        Outcome::Nothing => return old.clone(),
        Outcome::Waiting(words) | Outcome::AwaitingStack(words) => Standing::InProgress(words.clone()),
        Outcome::Refused(words) => Standing::Stalled(words.clone()),
        Outcome::AwaitingBudget => Standing::Retrying(Words::new(Reason::AwaitingBudget, AWAITING_BUDGET)),
        Outcome::Failed(Consequence { class: _, standing, retry: _, detail: _ }) => standing.clone(),
        Outcome::StackCreated => Standing::InProgress(Words::new(Reason::StackCreated, "the stack was created")),
        Outcome::Converged { convergence, remote, pause_failed, schedules } => {
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
                schedules: _,
                drift,
            } = &**convergence;
            next.content_digest = Some(content_digest.clone());
            next.sources.clone_from(sources);
            next.last_applied.clone_from(applied);
            next.remote = Some(remote.clone());
            next.paused = if failed.is_some() { next.paused } else { *paused };
            next.corrections.clone_from(corrections);
            next.schedules = schedules.as_ref().map(|done| done.entries.clone()).unwrap_or_default();
            next.drift.clone_from(drift);
            set_schedules_applied(&mut next.conditions, &next.schedules, inputs.generation, now);
            set_drifted(&mut next.conditions, next.drift.as_ref(), inputs.generation, now);
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

/// Says which schedules are not as declared. It does not take the rest down: runs do not need them.
fn set_schedules_applied(conditions: &mut Vec<Condition>, entries: &[ScheduleStatus], generation: i64, now: Time) {
    let complaints: Vec<_> = entries.iter().filter_map(|entry| Some((entry, entry.reason.as_deref()?))).collect();
    let Some((_, reason)) = complaints.first() else {
        remove(conditions, SCHEDULES_APPLIED);
        return;
    };
    let message: Vec<String> = complaints
        .iter()
        .map(|(entry, _)| format!("{}: {}", entry.name, entry.message.as_deref().unwrap_or_default()))
        .collect();
    let failed = condition(SCHEDULES_APPLIED, ConditionStatus::False, reason, &message.join("; "), generation, now);
    set(conditions, failed);
}

fn set_drifted(conditions: &mut Vec<Condition>, drift: Option<&DriftStatus>, generation: i64, now: Time) {
    let Some((drift, run)) = drift.and_then(|drift| Some((drift, drift.run.as_ref()?))) else {
        remove(conditions, DRIFTED);
        return;
    };
    let (status, reason, what) = match drift.result {
        DriftResult::Drifted => (ConditionStatus::True, Reason::DriftDetected, "the stack has drifted from its state"),
        DriftResult::NoDrift => (ConditionStatus::False, Reason::NoDrift, "the stack is as its state says"),
        DriftResult::Remediated => {
            let what = "the stack had drifted from its state and was repaired";
            (ConditionStatus::False, Reason::DriftRemediated, what)
        }
        DriftResult::Unknown => {
            let what = "the detection itself failed, so it is not known whether the stack has drifted";
            (ConditionStatus::Unknown, Reason::DriftUnknown, what)
        }
    };
    let link = drift.url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
    let message = format!("{what}; seen at {} in drift run {run}{link}", drift.seen_at);
    set(conditions, condition(DRIFTED, status, &format!("{reason:?}"), &message, generation, now));
}

/// What a person wants to see in the timeline.
#[must_use]
pub fn events(
    old: &StackDeploymentSettingsStatus,
    new: &StackDeploymentSettingsStatus,
    outcome: &Outcome,
) -> Vec<Happening> {
    let mut happenings = settings_events(old, new, outcome);
    happenings.extend(schedule_events(old, new, outcome));
    happenings
}

fn schedule_events(
    old: &StackDeploymentSettingsStatus,
    new: &StackDeploymentSettingsStatus,
    outcome: &Outcome,
) -> Vec<Happening> {
    let Outcome::Converged { schedules, .. } = outcome else { return vec![] };
    let mut changed: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for step in schedules.iter().flat_map(|done| &done.changes) {
        changed.entry(step.reason()).or_default().push(step.to_string());
    }
    let pushed = changed.into_iter().map(|(reason, notes)| Happening {
        warning: false,
        reason,
        action: "Push",
        note: notes.join(", "),
    });
    let told = |status: &StackDeploymentSettingsStatus, type_| find(&status.conditions, type_).cloned();
    let turned = |type_, to| {
        told(new, type_).filter(|now| now.status == to && told(old, type_).is_none_or(|before| before.status != to))
    };
    let failed = turned(SCHEDULES_APPLIED, ConditionStatus::False).map(|condition| Happening {
        warning: true,
        reason: "SchedulesFailed",
        action: "Push",
        note: condition.message,
    });
    let drifted = turned(DRIFTED, ConditionStatus::True).map(|condition| Happening {
        warning: true,
        reason: "DriftDetected",
        action: "Observe",
        note: condition.message,
    });
    pushed.chain(failed).chain(drifted).collect()
}

fn settings_events(
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
mod recorded;
#[cfg(test)]
mod tests;
