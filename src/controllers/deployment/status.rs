//! Pure: old status × outcome × now → new status, and the events that this makes.

use super::{
    drift,
    mirror::{Stage, step_column},
    outcome::Outcome,
    outputs,
    plan::{Adoption, Inputs},
    reason::Reason,
};
use crate::{
    api::{
        ConditionStatus, DeploymentStatus, Time,
        condition::{find, types},
        deployment::{CancelReason, Phase, Retry, Run, Update},
    },
    controllers::{
        conditions::{AWAITING_BUDGET, OUTPUTS_WRITTEN, Standing, Words, set_standing},
        context::Happening,
        requeue::Consequence,
    },
};

/// The new status.
#[must_use]
pub fn status(old: &DeploymentStatus, inputs: &Inputs, outcome: &Outcome, now: Time) -> DeploymentStatus {
    let mut next = old.clone();
    if !matches!(outcome, Outcome::Released | Outcome::Held) {
        next.observed_generation = Some(inputs.generation);
        next.last_handled_reconcile_at.clone_from(&inputs.requested_at);
    }
    let standing = match outcome {
        Outcome::Released | Outcome::Held => return next,
        // The request has been handled; whatever waited since is as if it had never been asked for.
        Outcome::Nothing | Outcome::Outputs(..) => match next.run.as_ref().map(|run| run.result) {
            Some(Some(result)) => {
                // Policy has taken it back, and can't ask for it again.
                next.retry = None;
                next.phase = Some(result);
                ended(&next, result)
            }
            Some(None) => return next,
            // Only what was taken over is handled without a run.
            None => {
                next.phase = None;
                adopted()
            }
        },
        Outcome::Adopted(Adoption::Restored(request)) => {
            next.uid = Some(inputs.uid.clone());
            next.request = Some(request.clone());
            next.intent = None;
            next.run = next.run.filter(|run| run.result.is_some());
            next.retry = None;
            next.phase = next.run.as_ref().and_then(|run| run.result);
            adopted()
        }
        Outcome::Adopted(Adoption::Redigested(request)) => {
            next.request = Some(request.clone());
            // What is asked for may not be what failed.
            next.retry = None;
            return next;
        }
        Outcome::Waiting(words) => pending(&mut next, Standing::InProgress(words.clone())),
        Outcome::Refused(words) => pending(&mut next, Standing::Stalled(words.clone())),
        Outcome::Settling(_) => pending(&mut next, on_its_way(Reason::Settling, SETTLING)),
        Outcome::AwaitingBudget => {
            pending(&mut next, Standing::Retrying(Words::new(Reason::AwaitingBudget, AWAITING_BUDGET)))
        }
        Outcome::AwaitingRetry(_) => awaits_retry(&mut next),
        Outcome::CreatePending(_) => pending(&mut next, on_its_way(Reason::CreatePending, CREATE_PENDING)),
        Outcome::CreateUnknown { why, needs_person } => pending(&mut next, unknown(why, *needs_person)),
        Outcome::StackMissing(stack) => {
            let message = format!("stack {stack} does not exist yet; create it, and the run starts by itself");
            pending(&mut next, on_its_way(Reason::StackNotFound, &message))
        }
        Outcome::CreateRefused(refusal) => {
            next.refusal = Some(refusal.clone());
            pending(&mut next, Standing::Stalled(Words::new(Reason::CreateRefused, refusal.message.clone())))
        }
        Outcome::Withdrawn => {
            pending(&mut next, on_its_way(Reason::Settling, "the run was not created; it is planned anew"))
        }
        Outcome::Created => {
            next.phase = Some(Phase::Queued);
            running(&next, Reason::Queued)
        }
        Outcome::CancelSent => running(&next, Reason::Running),
        Outcome::Following(view) => {
            if let (Some(view), Some(run)) = (view, &mut next.run) {
                view.show(run);
                next.phase = Some(if view.stage == Stage::Queued { Phase::Queued } else { Phase::Running });
            }
            running(&next, if next.phase == Some(Phase::Running) { Reason::Running } else { Reason::Queued })
        }
        Outcome::Concluded { result, view, failure, drift, retry } => {
            if let Some(run) = &mut next.run {
                if let Some(view) = view {
                    view.show(run);
                }
                run.finished_at = Some(view.as_ref().and_then(|view| view.modified_at).unwrap_or(now));
                run.result = Some(*result);
                run.failure.clone_from(failure);
            }
            next.retry.clone_from(retry);
            drift::show(&mut next, drift.as_ref(), inputs.generation, now);
            if next.request.as_ref().is_some_and(|handled| handled.digest != inputs.request) {
                // The end is that of an earlier request; this one has not run.
                pending(
                    &mut next,
                    on_its_way(Reason::Settling, "the run of the request before has ended; this one is next"),
                )
            } else if next.retry.is_some() {
                awaits_retry(&mut next)
            } else {
                next.phase = Some(*result);
                ended(&next, *result)
            }
        }
        Outcome::Failed(Consequence { class: _, standing, retry: _, detail: _ }) => {
            pending(&mut next, standing.clone())
        }
    };
    let report = if let Outcome::Outputs(report, _) = outcome { Some(report) } else { None };
    outputs::show(&mut next, inputs, report, now);
    next.step = next.run.as_ref().filter(|_| next.phase != Some(Phase::Pending)).and_then(step_column);
    set_standing(&mut next.conditions, &standing, inputs.generation, now);
    next
}

const SETTLING: &str = "the request and all that it uses must stay the same for spec.settle before it runs";
const CREATE_PENDING: &str = "the answer to the creation of the run was lost; \
    the stack's deployments are searched for it once it can't be on its way any more";

/// A new request waits. A run that is under way keeps its phase: what waits then is not the run.
fn pending(next: &mut DeploymentStatus, standing: Standing) -> Standing {
    if next.run.as_ref().is_none_or(|run| run.result.is_some()) {
        next.phase = Some(Phase::Pending);
    }
    standing
}

/// What failed stays to be seen in the run; as a whole it is on its way.
fn awaits_retry(next: &mut DeploymentStatus) -> Standing {
    let message = ended(next, Phase::Failed).words().message.clone();
    pending(next, on_its_way(Reason::Retrying, &message))
}

fn on_its_way(reason: Reason, message: &str) -> Standing {
    Standing::InProgress(Words::new(reason, message))
}

fn unknown(why: &str, needs_person: bool) -> Standing {
    let words = |then: &str| {
        Words::new(
            Reason::CreateOutcomeUnknown,
            format!("{why}, so it is not known whether the run was created. {then}"),
        )
    };
    if needs_person {
        Standing::Stalled(words(
            "Look for it in the Pulumi console, then annotate this resource: \
             deployments.pulumi.com/resolve-create=<the run's id>, or =retry when there is none",
        ))
    } else {
        Standing::InProgress(words("It is looked for again"))
    }
}

fn running(next: &DeploymentStatus, reason: Reason) -> Standing {
    let Some(run) = &next.run else { return Standing::InProgress(Words::new(reason, "")) };
    let name = name(run);
    let message = match &run.cancel {
        Some(cancel) => format!("{name} is being canceled: {}", cause(cancel.reason)),
        None if reason == Reason::Queued => format!("{name} is in the queue"),
        None => format!("{name} is running"),
    };
    Standing::InProgress(Words::new(reason, message))
}

fn adopted() -> Standing {
    Standing::Done(Words::new(
        Reason::Adopted,
        "this status belongs to an earlier object of this name (a restored backup): its request counts as handled, nothing is run",
    ))
}

fn ended(next: &DeploymentStatus, result: Phase) -> Standing {
    let Some(run) = &next.run else { return Standing::Done(Words::new(result, "")) };
    let name = name(run);
    match result {
        Phase::Succeeded => Standing::Done(Words::new(Reason::Succeeded, format!("{name} succeeded"))),
        Phase::Canceled => {
            let cause = run.cancel.as_ref().map_or("on request", |cancel| cause(cancel.reason));
            Standing::Stalled(Words::new(Reason::Canceled, format!("{name} was canceled: {cause}")))
        }
        Phase::TimedOut => {
            let cause = run.cancel.as_ref().map_or("it took too long", |cancel| cause(cancel.reason));
            Standing::Stalled(Words::new(
                Reason::TimedOut,
                format!("{name} was canceled: {cause}; set spec.rerun to run it again"),
            ))
        }
        Phase::Skipped => Standing::Stalled(Words::new(
            Reason::Skipped,
            format!(
                "{name} was skipped by the service: a newer one took its place, or it waited too long; set spec.rerun to run it again"
            ),
        )),
        // It ended without ever having been seen to.
        _ if run.status != "failed" => Standing::Stalled(Words::new(
            Reason::RunDisappeared,
            format!(
                "the service does not know {name} any more (somebody canceled it while it was queued, or its stack is gone); set spec.rerun to run it again"
            ),
        )),
        _ => Standing::Stalled(Words::new(Reason::Failed, failed(next, run, &name))),
    }
}

/// What failed of a run: the wait in the queue, the Pulumi operation, or another step.
fn failed(next: &DeploymentStatus, run: &Run, name: &str) -> String {
    let step = run.failure.as_ref().and_then(|failure| failure.step.as_deref());
    let update = run.updates.iter().find(|update| update.result == "failed");
    let what = match (step, update) {
        (Some(step), Some(Update { kind, version, .. })) => format!(
            "failed at step `{step}`: the Pulumi operation ({kind} {version} of the stack) failed; \
             status.run.failure.log has the end of its log"
        ),
        (Some(step), None) => format!("failed at step `{step}`; status.run.failure.log has the end of its log"),
        (None, Some(Update { kind, version, .. })) => {
            format!("failed: the Pulumi operation ({kind} {version} of the stack) failed")
        }
        (None, None) if run.started_at.is_none() => "failed in the queue, before its job began".to_owned(),
        (None, None) => "failed before any step did".to_owned(),
    };
    match &next.retry {
        Some(Retry { attempt, at }) => format!("{name} {what}. Attempt {attempt} follows at {at}"),
        None => format!("{name} {what}. Set spec.rerun to run it again"),
    }
}

fn name(run: &Run) -> String {
    format!("{} {} of {}", run.operation, run.version, run.target)
}

const fn cause(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::Superseded => "a newer request takes its place",
        CancelReason::Deleted => "its resource was deleted",
        CancelReason::QueueTimeout => "it has waited in the queue for longer than spec.queueTimeout",
        CancelReason::Timeout => "it has run for longer than spec.timeout",
    }
}

/// What a person wants to see in the timeline: each transition once.
#[must_use]
pub fn events(old: &DeploymentStatus, new: &DeploymentStatus) -> Vec<Happening> {
    let mut happenings = vec![];
    let id = |status: &DeploymentStatus| status.run.as_ref().map(|run| run.id.clone());
    let result = |status: &DeploymentStatus| status.run.as_ref().and_then(|run| run.result);
    if let Some(run) = new.run.as_ref().filter(|run| Some(&run.id) != id(old).as_ref()) {
        happenings.push(Happening {
            warning: false,
            reason: "Triggered",
            action: "Create",
            note: format!("triggered {}", name(run)),
        });
    }
    let end = result(new).filter(|ended| Some(*ended) != result(old) || id(old) != id(new));
    // Not what the condition says: that may speak of the next request already.
    let note = end.map(|result| ended(new, result).words().message.clone()).unwrap_or_default();
    if let (Some(_), Some(finding), Some(run)) = (end, new.drift.as_ref().filter(|it| drift::remains(it)), &new.run) {
        happenings.push(Happening {
            warning: true,
            reason: "DriftDetected",
            action: "Follow",
            note: drift::message(finding, run),
        });
    }
    if let Some(happening) = outputs_event(old, new) {
        happenings.push(happening);
    }
    match end {
        Some(Phase::Succeeded) => {
            happenings.push(Happening { warning: false, reason: "Succeeded", action: "Follow", note });
        }
        Some(Phase::Canceled) => {
            happenings.push(Happening { warning: true, reason: "Canceled", action: "Cancel", note });
        }
        Some(Phase::TimedOut) => {
            happenings.push(Happening { warning: true, reason: "TimedOut", action: "Cancel", note });
        }
        Some(Phase::Skipped) => happenings.push(Happening { warning: true, reason: "Skipped", action: "Follow", note }),
        Some(Phase::Failed) => happenings.push(Happening { warning: true, reason: "Failed", action: "Follow", note }),
        Some(Phase::Pending | Phase::Queued | Phase::Running) | None => {
            let stalled = find(&new.conditions, types::STALLED).filter(|stalled| {
                find(&old.conditions, types::STALLED).map(|before| &before.reason) != Some(&stalled.reason)
            });
            if let Some(stalled) = stalled {
                happenings.push(Happening {
                    warning: true,
                    reason: "Stalled",
                    action: "Reconcile",
                    note: stalled.message.clone(),
                });
            }
        }
    }
    happenings
}

/// Outputs were written anew, or something else than before is wrong with them.
fn outputs_event(old: &DeploymentStatus, new: &DeploymentStatus) -> Option<Happening> {
    let told = |status| find(status, OUTPUTS_WRITTEN).filter(|told| told.status != ConditionStatus::Unknown);
    let (before, after) = (told(&old.conditions), told(&new.conditions)?);
    let is_news = before.is_none_or(|before| (before.status, &before.message) != (after.status, &after.message));
    let is_written = after.status == ConditionStatus::True;
    is_news.then(|| Happening {
        warning: !is_written,
        reason: if is_written { "OutputsWritten" } else { "OutputsNotWritten" },
        action: "WriteOutputs",
        note: after.message.clone(),
    })
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
