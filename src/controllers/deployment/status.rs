//! Pure: old status × outcome × now → new status, and the events that this makes.

use super::{
    approval::{self, Unsaid},
    destroy, drift, history,
    mirror::{Stage, View, step_column},
    outcome::Outcome,
    outputs,
    plan::{Adoption, FailedCancel, Inputs, Sighting},
    reason::Reason,
    request,
    trace::TraceId,
};
use crate::{
    api::{
        Condition, ConditionStatus, DeploymentStatus, Time,
        approval::{Moved, Rejection},
        condition::{find, types},
        deployment::{CancelReason, Phase, Purpose, Retry, Run, RunDeletionPolicy, Trigger, Update},
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
        // A backup must be told from the object that it was made of, whatever that had done by then.
        next.uid = Some(inputs.uid.clone());
        next.last_handled_reconcile_at.clone_from(&inputs.requested_at);
        show_sighting(&mut next, &inputs.sighting);
    }
    let is_new = next.request.is_some() && request::is_new(inputs, &next);
    let standing = match outcome {
        Outcome::Released | Outcome::Held => return next,
        Outcome::Outputs(report) if is_new => return beside_a_request(next, inputs, report, now),
        // The request has been handled; whatever waited since is as if it had never been asked for.
        Outcome::Nothing | Outcome::Outputs(..) => match next.run.as_ref().map(|run| run.result) {
            Some(Some(result)) => {
                // Policy has taken it back, and can't ask for it again; nor does anything await approval any more.
                (next.retry, next.approval) = (None, None);
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
        Outcome::Adopted(adoption) => match adopt(&mut next, inputs, adoption, now) {
            Some(standing) => standing,
            None => return next,
        },
        Outcome::TakenOver if next.run.is_some() => {
            next.phase = Some(Phase::Queued);
            running(inputs, &next, Reason::Queued)
        }
        Outcome::TakenOver => {
            next.phase = None;
            adopted()
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
        Outcome::Offered(offered) => {
            next.approval = Some((**offered).clone());
            awaits_approval(&mut next, &Unsaid::Everything, &inputs.resource)
        }
        Outcome::AwaitingApproval(unsaid) => awaits_approval(&mut next, unsaid, &inputs.resource),
        Outcome::Outdated(moved) => outdates(&mut next, *moved),
        Outcome::Rejected(rejected) => rejects(&mut next, rejected),
        Outcome::Created => {
            next.phase = Some(Phase::Queued);
            running(inputs, &next, Reason::Queued)
        }
        Outcome::CancelSent => running(inputs, &next, Reason::Running),
        Outcome::Following(view) => {
            if let Some(view) = view {
                show(&mut next, view);
            }
            running(inputs, &next, if next.phase == Some(Phase::Running) { Reason::Running } else { Reason::Queued })
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
            outputs::begin(&mut next);
            after_the_end(&mut next, inputs, is_new, *result)
        }
        Outcome::AwaitingCancel(FailedCancel { standing, remaining: _ })
        | Outcome::Failed(Consequence { class: _, standing, retry: _, detail: _ }) => {
            pending(&mut next, standing.clone())
        }
    };
    history::note_pending(&mut next, inputs, waits(outcome), now);
    history::trim(&mut next.history, inputs.history_limit);
    let report = if let Outcome::Outputs(report) = outcome { Some(report) } else { None };
    let standing = outputs::tell(&mut next, standing, inputs, report, now);
    next.step = next.run.as_ref().filter(|_| next.phase != Some(Phase::Pending)).and_then(step_column);
    set_standing(&mut next.conditions, &standing, inputs.generation, now);
    next
}

/// A run has ended; what is next, or how it ended.
fn after_the_end(next: &mut DeploymentStatus, inputs: &Inputs, is_new: bool, result: Phase) -> Standing {
    if inputs.deletion == Some(RunDeletionPolicy::Destroy) && destroy::run(next).is_none() {
        pending(next, destroy::is_next())
    } else if is_new {
        // The end is that of an earlier request; this one has not run.
        pending(next, on_its_way(Reason::Settling, NEXT))
    } else if next.run.as_ref().is_some_and(shows_what_would_be) {
        pending(next, on_its_way(Reason::AwaitingApproval, OFFER_FOLLOWS))
    } else if next.retry.is_some() {
        awaits_retry(next)
    } else {
        next.phase = Some(result);
        ended(next, result)
    }
}

const NEXT: &str = "the run of the request before has ended; this one is next";
const SETTLING: &str = "the request and all that it uses must stay the same for spec.settle before it runs";
const CREATE_PENDING: &str = "the answer to the creation of the run was lost; \
    the stack's deployments are searched for it once it can't be on its way any more";

const OFFER_FOLLOWS: &str = "the preview has succeeded; what it shows is read, and is to be approved";

/// A preview that was made for approval has nothing of what was asked for done yet.
fn shows_what_would_be(run: &Run) -> bool {
    run.purpose == Purpose::Preview && run.result == Some(Phase::Succeeded)
}

fn awaits_approval(next: &mut DeploymentStatus, unsaid: &Unsaid, resource: &str) -> Standing {
    let Some(offered) = &next.approval else { return on_its_way(Reason::AwaitingApproval, OFFER_FOLLOWS) };
    let standing = match offered.outdated {
        Some(moved) => outdated(moved),
        None => approval::standing(offered, unsaid, resource),
    };
    pending(next, standing)
}

fn outdates(next: &mut DeploymentStatus, moved: Moved) -> Standing {
    if let Some(offered) = &mut next.approval {
        (offered.token, offered.outdated) = (None, Some(moved));
    }
    pending(next, outdated(moved))
}

fn rejects(next: &mut DeploymentStatus, rejected: &Rejection) -> Standing {
    let Some(offered) = &mut next.approval else { return on_its_way(Reason::AwaitingApproval, OFFER_FOLLOWS) };
    let words = approval::rejection(offered, rejected);
    (offered.token, offered.rejected) = (None, Some(rejected.clone()));
    pending(next, Standing::Stalled(words))
}

fn outdated(moved: Moved) -> Standing {
    let message = format!(
        "what was to be approved is worth nothing any more: {}; it is put together anew",
        approval::cause(moved)
    );
    on_its_way(Reason::AwaitingApproval, &message)
}

/// A new request waits. A run that is under way keeps its phase: what waits then is not the run.
fn pending(next: &mut DeploymentStatus, standing: Standing) -> Standing {
    if next.run.as_ref().is_none_or(|run| run.result.is_some()) {
        next.phase = Some(Phase::Pending);
        // A retry leaves what was said before, but that was of the request before, or of what is not in the way any
        // more. Of a create that is open a person's word may be asked for.
        let is_open = next.intent.is_some();
        let is_stale = |it: &Condition| match it.status {
            ConditionStatus::True => it.type_ == types::READY,
            ConditionStatus::False => it.type_ == types::READY && !is_open,
            ConditionStatus::Unknown => false,
        };
        if matches!(standing, Standing::Retrying(_)) {
            next.conditions.retain(|it| !is_stale(it));
        }
    }
    standing
}

/// Takes a status over; nothing when it stands as it stood.
fn adopt(next: &mut DeploymentStatus, inputs: &Inputs, adoption: &Adoption, now: Time) -> Option<Standing> {
    match adoption {
        Adoption::Restored(request) => {
            next.uid = Some(inputs.uid.clone());
            next.request = Some(request.clone());
            (next.intent, next.pending, next.retry, next.approval) = (None, None, None, None);
            // The end of another object's stack is no end of this one's, and nobody here awaits what awaited approval there.
            next.run = next.run.take().filter(|run| run.result.is_some() && run.purpose == Purpose::Main);
            next.phase = next.run.as_ref().and_then(|run| run.result);
            Some(adopted())
        }
        Adoption::Redigested(request) => {
            next.request = Some(request.clone());
            // What is asked for may not be what failed.
            next.retry = None;
            history::skip(
                next,
                inputs,
                "it counts as handled, since its digest is in a form that can't be compared",
                now,
            );
            None
        }
        Adoption::SettingsDigest(request) => {
            next.request = Some(request.clone());
            None
        }
    }
}

/// Whether a request that has not run yet waits for more than the next look.
const fn waits(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Waiting(_)
        | Outcome::Refused(_)
        | Outcome::AwaitingBudget
        | Outcome::StackMissing(_)
        | Outcome::CreateRefused(_)
        | Outcome::Following(_)
        | Outcome::CancelSent
        | Outcome::Offered(_)
        | Outcome::AwaitingApproval(_)
        | Outcome::Outdated(_)
        | Outcome::Rejected(_)
        | Outcome::AwaitingCancel(_)
        | Outcome::Failed(_) => true,
        Outcome::Released
        | Outcome::Nothing
        | Outcome::Held
        | Outcome::Adopted(_)
        | Outcome::TakenOver
        | Outcome::Settling(_)
        | Outcome::AwaitingRetry(_)
        | Outcome::Created
        | Outcome::CreatePending(_)
        | Outcome::CreateUnknown { .. }
        | Outcome::Withdrawn
        | Outcome::Concluded { .. }
        | Outcome::Outputs(..) => false,
    }
}

/// What failed stays to be seen in the run; as a whole it is on its way.
fn awaits_retry(next: &mut DeploymentStatus) -> Standing {
    let message = ended(next, Phase::Failed).words().message.clone();
    pending(next, on_its_way(Reason::Retrying, &message))
}

/// The outputs are those of an earlier request. The one that is asked for now has not run, and may have said already what
/// it waits for.
fn beside_a_request(
    mut next: DeploymentStatus,
    inputs: &Inputs,
    report: &outputs::Report,
    now: Time,
) -> DeploymentStatus {
    outputs::show(&mut next, inputs, Some(report), now);
    let ready = find(&next.conditions, types::READY).filter(|ready| ready.observed_generation == inputs.generation);
    if next.phase != Some(Phase::Pending) || ready.is_none_or(|ready| ready.status == ConditionStatus::True) {
        let standing = pending(&mut next, on_its_way(Reason::Settling, NEXT));
        next.step = None;
        set_standing(&mut next.conditions, &standing, inputs.generation, now);
    }
    next
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

/// What is seen of a run that goes on is shown, whatever became of its cancel.
fn show_sighting(next: &mut DeploymentStatus, sighting: &Sighting) {
    if let Sighting::Seen(view) = sighting
        && matches!(view.stage, Stage::Queued | Stage::Running)
    {
        show(next, view);
    }
}

/// A run that goes on, as it was seen.
fn show(next: &mut DeploymentStatus, view: &View) {
    if let Some(run) = next.run.as_mut().filter(|run| run.result.is_none()) {
        view.show(run);
        next.phase = Some(if view.stage == Stage::Queued { Phase::Queued } else { Phase::Running });
    }
}

fn running(inputs: &Inputs, next: &DeploymentStatus, reason: Reason) -> Standing {
    let Some(run) = &next.run else { return Standing::InProgress(Words::new(reason, "")) };
    let name = name(run);
    let message = match &run.cancel {
        Some(cancel) => format!("{name} is being canceled: {}", cause(cancel.reason)),
        None if reason == Reason::Queued => format!("{name} is in the queue"),
        None => format!("{name} is running"),
    };
    if inputs.deletion == Some(RunDeletionPolicy::Destroy) {
        return destroy::under_way(run, &message);
    }
    Standing::InProgress(Words::new(reason, message))
}

fn adopted() -> Standing {
    Standing::Done(Words::new(
        Reason::Adopted,
        "its request counts as handled and nothing is run: this status belongs to an earlier object of this name (a \
         restored backup), or the annotation deployments.pulumi.com/adopt found no run; set spec.rerun to run it",
    ))
}

fn ended(next: &DeploymentStatus, result: Phase) -> Standing {
    let Some(run) = &next.run else { return Standing::Done(Words::new(result, "")) };
    let name = name(run);
    if run.purpose == Purpose::Destroy && result != Phase::Succeeded && next.retry.is_none() {
        let what = destroy::end(run, result, cause).unwrap_or_else(|| what_failed(run));
        return destroy::failed(&name, &what);
    }
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

fn failed(next: &DeploymentStatus, run: &Run, name: &str) -> String {
    let what = what_failed(run);
    match &next.retry {
        Some(Retry { attempt, at }) => format!("{name} {what}. Attempt {attempt} follows at {at}"),
        None => format!("{name} {what}. Set spec.rerun to run it again"),
    }
}

/// What failed of a run: the wait in the queue, the Pulumi operation, or another step.
fn what_failed(run: &Run) -> String {
    let step = run.failure.as_ref().and_then(|failure| failure.step.as_deref());
    let update = run.updates.iter().find(|update| update.result == "failed");
    match (step, update) {
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
        happenings.extend(run.approval.as_ref().map(|given| Happening {
            warning: !given.verified,
            reason: "Approved",
            action: "Create",
            note: format!("{} was {}", name(run), approval::approval(given)),
        }));
        let begun = begun(run);
        let id = new.uid.as_ref().map(|uid| format!("; trace {}", TraceId::of_run(uid, run))).unwrap_or_default();
        happenings.push(Happening { note: format!("{}{id}", begun.note), ..begun });
    }
    // Without a run, only that a request counts as handled can be told: of a new object, or of one that had none yet.
    let is_first = new.request.is_some() && (old.request.is_none() || old.uid != new.uid);
    let ready = find(&new.conditions, types::READY).filter(|ready| ready.reason == format!("{:?}", Reason::Adopted));
    if let Some(ready) = ready.filter(|_| is_first) {
        happenings.push(Happening { warning: false, reason: "Adopted", action: "Adopt", note: ready.message.clone() });
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
    let outputs = outputs_event(old, new);
    let outputs_note = outputs.as_ref().map(|told| told.note.clone());
    happenings.extend(outputs);
    happenings.extend(approval_event(old, new));
    match end {
        Some(result) if destroy::run(new).is_some() => happenings.push(destroy::ended(result, note)),
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
                    && outputs_note.as_ref() != Some(&stalled.message)
                    // That has an event of its own.
                    && stalled.reason != format!("{:?}", Reason::ApprovalRejected)
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

/// A run began, or was taken over.
fn begun(run: &Run) -> Happening {
    let (reason, action, verb) = match (run.purpose, run.trigger) {
        (Purpose::Destroy, _) => return destroy::begun(&name(run)),
        (_, Some(Trigger::Adopted)) => ("Adopted", "Adopt", "adopted"),
        _ => ("Triggered", "Create", "triggered"),
    };
    Happening { warning: false, reason, action, note: format!("{verb} {}", name(run)) }
}

/// Something new is to be approved, or was rejected.
fn approval_event(old: &DeploymentStatus, new: &DeploymentStatus) -> Option<Happening> {
    let (before, after) = (old.approval.as_ref(), new.approval.as_ref()?);
    let is_offered = after.token.is_some() && before.is_none_or(|before| before.token != after.token);
    if is_offered {
        let note = approval::standing(after, &Unsaid::Everything, "pulumideployment/<name>").words().message.clone();
        return Some(Happening { warning: false, reason: "AwaitingApproval", action: "Offer", note });
    }
    let rejected = after.rejected.as_ref().filter(|_| before.is_none_or(|before| before.rejected.is_none()))?;
    let note = approval::rejection(after, rejected).message;
    Some(Happening { warning: true, reason: "Rejected", action: "Reject", note })
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
