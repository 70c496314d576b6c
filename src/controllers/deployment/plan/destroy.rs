//! Pure: deletion with `deletionPolicy: Destroy`. What is under way comes to its end, then the stack is destroyed, and
//! only when that has succeeded is the resource let go.

use super::{
    Inputs, Plan, Stage, cancel, conclusion, create, down_the_road, follow, hold, is_new, out_of_time, owed, stage,
    suspended,
};
use crate::{
    api::{
        DeploymentStatus,
        deployment::{CancelReason, Phase, Purpose, Run},
    },
    controllers::{
        conditions::Words,
        deployment::{destroy::LETS_GO, reason::Reason},
    },
};

/// Decides.
pub fn plan(inputs: &Inputs, status: &DeploymentStatus, active: Option<&Run>) -> Plan {
    match active {
        Some(run) => come_to_an_end(inputs, run),
        None => destroy(inputs, status),
    }
}

/// The run that destroys, when one did and has ended.
fn last(status: &DeploymentStatus) -> Option<&Run> {
    status.run.as_ref().filter(|run| run.purpose == Purpose::Destroy)
}

/// Whether the stack is to be destroyed now, if nothing held it back.
pub fn is_due(inputs: &Inputs, status: &DeploymentStatus) -> bool {
    match last(status) {
        None => true,
        Some(run) if run.result == Some(Phase::Succeeded) => false,
        Some(_) => is_new(inputs, status) || owed(inputs, status).is_some_and(|retry| retry.at <= inputs.now),
    }
}

fn destroy(inputs: &Inputs, status: &DeploymentStatus) -> Plan {
    if let Some(run) = last(status) {
        if run.result == Some(Phase::Succeeded) {
            return Plan::Release;
        }
        // A person may ask for another try, as for any other run.
        if !is_new(inputs, status) {
            let Some(retry) = owed(inputs, status) else { return Plan::Idle };
            let remaining = retry.at.since(inputs.now);
            if !remaining.is_zero() && !inputs.suspend && !inputs.suspended {
                return Plan::AwaitRetry(remaining);
            }
        }
    }
    if inputs.suspend {
        let message = format!("spec.suspend holds: the stack is not destroyed, and this resource stays; {LETS_GO}");
        return Plan::Wait(Words::new(Reason::Suspended, message));
    }
    if inputs.suspended {
        return Plan::Wait(suspended(&format!("the stack is not destroyed, and this resource stays; {LETS_GO}")));
    }
    // Who may delete the resource may destroy the stack: its policy says so.
    down_the_road(inputs, |start| create(status, start))
}

/// A run that stands in the way is canceled while it is queued; whatever runs is only ever canceled by its time-out.
fn come_to_an_end(inputs: &Inputs, run: &Run) -> Plan {
    if let Some(conclusion) = conclusion(inputs, run) {
        return conclusion;
    }
    if let Some(hold) = hold(inputs) {
        return hold;
    }
    let stands_in_the_way = run.purpose != Purpose::Destroy && stage(inputs, run) == Stage::Queued;
    let wanted = match &run.cancel {
        Some(cancel) => Some(cancel.reason),
        None if stands_in_the_way => Some(CancelReason::Deleted),
        None => out_of_time(inputs, run),
    };
    match wanted {
        Some(reason) if !inputs.cancel_sent && !inputs.suspended => {
            cancel(inputs, reason, reason != CancelReason::Timeout)
        }
        Some(CancelReason::Deleted) if !inputs.cancel_sent => {
            Plan::Wait(suspended(&format!("the queued run is not canceled; {LETS_GO}")))
        }
        _ => follow(inputs),
    }
}
