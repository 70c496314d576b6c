//! Pure: what is said of a resource whose stack is destroyed before it is let go.

use super::reason::Reason;
use crate::{
    api::{
        DeploymentStatus,
        deployment::{CancelReason, Phase, Purpose, Run},
    },
    controllers::{
        conditions::{Standing, Words},
        context::Happening,
    },
};

/// The way out that always works.
pub const LETS_GO: &str = "deletionPolicy: Orphan lets it go and leaves the stack as it is";

/// The run that destroys, when the newest one does.
pub fn run(status: &DeploymentStatus) -> Option<&Run> {
    status.run.as_ref().filter(|run| run.purpose == Purpose::Destroy)
}

/// A run is under way, and `message` says of it what is said of any.
pub fn under_way(run: &Run, message: &str) -> Standing {
    let then = match run.purpose {
        Purpose::Destroy => "because this resource is deleted (deletionPolicy: Destroy)",
        Purpose::Main | Purpose::Preview => "and the stack is destroyed when it has ended (deletionPolicy: Destroy)",
    };
    Standing::InProgress(Words::new(Reason::Destroying, format!("{message}, {then}")))
}

/// What was under way has ended.
pub fn is_next() -> Standing {
    let message = "what was under way has ended; the stack is destroyed next (deletionPolicy: Destroy)";
    Standing::InProgress(Words::new(Reason::Destroying, message))
}

/// The stack could not be destroyed: `what` of `name` says why.
pub fn failed(name: &str, what: &str) -> Standing {
    let message = format!(
        "{name} {what}. So the stack may not be destroyed, and this resource stays. Put right what is wrong, then set \
         spec.rerun or the annotation deployments.pulumi.com/rerun to destroy it again; {LETS_GO}"
    );
    Standing::Stalled(Words::new(Reason::DestroyFailed, message))
}

/// How a run ended that did not fail by itself, for [`failed`].
pub fn end(run: &Run, result: Phase, cause: impl Fn(CancelReason) -> &'static str) -> Option<String> {
    let cancel = run.cancel.as_ref().map(|cancel| cause(cancel.reason));
    match result {
        Phase::Canceled | Phase::TimedOut => Some(format!("was canceled: {}", cancel.unwrap_or("on request"))),
        Phase::Skipped => {
            Some("was skipped by the service: a newer one took its place, or it waited too long".to_owned())
        }
        _ if run.status != "failed" => {
            Some("is not known to the service any more (somebody canceled it while it was queued)".to_owned())
        }
        _ => None,
    }
}

/// The run began.
pub fn begun(name: &str) -> Happening {
    Happening {
        warning: false,
        reason: "Destroying",
        action: "Create",
        note: format!("triggered {name}, because this resource is deleted (deletionPolicy: Destroy)"),
    }
}

/// The run has ended, and `note` says how.
pub fn ended(result: Phase, note: String) -> Happening {
    if result == Phase::Succeeded {
        let note = format!("{note}: the stack's resources are gone, and this resource is let go");
        Happening { warning: false, reason: "Destroyed", action: "Follow", note }
    } else {
        Happening { warning: true, reason: "DestroyFailed", action: "Follow", note }
    }
}

/// There is no stack, and that is what was wanted.
pub fn nothing_left(stack: &str) -> Happening {
    Happening {
        warning: false,
        reason: "Destroyed",
        action: "Release",
        note: format!("stack {stack} does not exist: nothing is left to destroy, and this resource is let go"),
    }
}
