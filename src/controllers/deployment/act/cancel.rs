//! IO: cancels a run: look → journal → call; and takes the journal back when the service has refused the call.

use std::sync::Arc;

use kube::ResourceExt;
use tracing::info;

use super::{Outcome, journal, permit, release};
use crate::{
    api::{
        Deployment, Time,
        deployment::{Cancel, CancelReason, RunDeletionPolicy},
    },
    controllers::{
        Context, Error,
        connections::Connection,
        deployment::{gather::resource, mirror::View, plan::Inputs},
        requeue::{Retry, backoff, consequence},
    },
    pulumi::{self, CallClass, Class},
};

/// Looks at the run, writes down that it is to be canceled, and cancels it. One that has ended is never canceled, nor one
/// that has begun and is only to be canceled while it is queued; the moment between the look and the call cannot be
/// closed, the API has no such condition.
pub async fn cancel(
    reason: CancelReason,
    only_queued: bool,
    inputs: &Inputs,
    mut deployment: Deployment,
    connection: &Arc<Connection>,
    context: &Context,
    now: Time,
) -> Result<(Deployment, Outcome), Error> {
    let Some(run) = deployment.status.as_ref().and_then(|status| status.run.clone()) else {
        return Ok((deployment, Outcome::Nothing));
    };
    let stack = connection.stack(&run.target.project, &run.target.stack);
    // One for the look and one for the call, which is therefore made once.
    let Some(mut permit) = permit(CallClass::Cancel, 2, &resource(&deployment), connection, context) else {
        return Ok((deployment, Outcome::AwaitingBudget));
    };
    match connection.client.deployment(&mut permit, &stack, &run.id).await {
        Ok(found) if found.status.is_terminal() || (only_queued && !found.status.is_queued()) => {
            if reason == CancelReason::Deleted && inputs.deletion == Some(RunDeletionPolicy::CancelQueued) {
                return release(deployment, context).await;
            }
            context.observer.poke(&connection.key);
            // It was to be canceled and began before it could be: how it ends is its own doing now. One that has
            // ended may have been hit by a call whose answer was lost.
            if run.cancel.is_some() && !found.status.is_terminal() {
                deployment = journal::take_back_cancel(context, deployment, true).await?;
            }
            return Ok((deployment, Outcome::Following(Some(Box::new(View::of(&found))))));
        }
        Err(error) if !error.is_gone() => {
            return Ok((deployment.clone(), failed(&error, &run.id, reason, inputs, &deployment, context)));
        }
        Ok(_) | Err(_) => {}
    }
    if run.cancel.is_none() {
        let cancel = Cancel { reason, requested_at: now };
        deployment = journal::journal_cancel(context, deployment, cancel).await?;
    }
    match connection.client.cancel(&mut permit, &stack, &run.id).await {
        Ok(()) => info!(id = %run.id, version = run.version, ?reason, "canceled the run"),
        Err(error) if error.is_gone() => info!(id = %run.id, ?reason, "the run to cancel is not there any more"),
        Err(error) => {
            if is_refusal(error.class()) {
                // One that was journaled before may have been sent before.
                deployment = journal::take_back_cancel(context, deployment, run.cancel.is_some()).await?;
            }
            let outcome = failed(&error, &run.id, reason, inputs, &deployment, context);
            return Ok((deployment, outcome));
        }
    }
    context.memory.note_cancel(&run.id);
    context.observer.poke(&connection.key);
    Ok((deployment, Outcome::CancelSent))
}

/// Whether a call that failed in this way certainly had no effect.
const fn is_refusal(class: Class) -> bool {
    match class {
        Class::Unauthorized
        | Class::Forbidden
        | Class::Invalid
        | Class::Throttled
        | Class::NotSent
        | Class::Unsupported => true,
        // A proxy's 404 says nothing of what is behind it.
        Class::NotFound | Class::Unavailable | Class::Ambiguous => false,
    }
}

/// What is said of it; and it is tried again in time, however often somebody looks at the resource meanwhile.
fn failed(
    error: &pulumi::Error,
    run: &str,
    reason: CancelReason,
    inputs: &Inputs,
    deployment: &Deployment,
    context: &Context,
) -> Outcome {
    let remedy = match reason {
        CancelReason::Deleted => {
            "The run is still there; it can be canceled in the Pulumi console, or left to itself by deletionPolicy: Orphan."
        }
        CancelReason::Superseded | CancelReason::QueueTimeout | CancelReason::Timeout => {
            "The run is still there, and is followed; it can be canceled in the Pulumi console."
        }
    };
    let consequence = consequence(error, remedy);
    // A token that is not accepted closes the way, and a new one opens it.
    if consequence.class != Class::Unauthorized {
        let delay = match consequence.retry {
            Retry::Backoff => backoff(context.memory.failures(&deployment.uid().unwrap_or_default()) + 1, 0.0),
            Retry::After(delay) => delay,
        };
        context.memory.cancel_failed(run, inputs.latest_word(), consequence.standing.clone(), delay);
    }
    Outcome::Failed(consequence)
}
