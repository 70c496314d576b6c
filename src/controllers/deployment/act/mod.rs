//! IO, writes: a plan for a Deployment → what came of it.

mod adopt;
mod approval;
mod cancel;
mod create;
mod destroy;
mod drift_run;
mod failure_log;
mod journal;
mod outputs;
mod recover;

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt, runtime::controller::Action};
use tracing::{info, warn};

pub use self::approval::LOOK;
use self::{drift_run::Reading, recover::Search};
use super::{
    gather::{Means, resource},
    outcome::Outcome,
    outputs::Report,
    plan::{Conclusion, FailedCancel, Inputs, Plan, due_in},
    reason::Reason,
    request,
};
use crate::{
    api::{
        Deployment, Time,
        approval::Rejection,
        deployment::{Failure, Intent, Phase, Purpose, Run},
        names::RESOLVE_CREATE,
    },
    controllers::{
        Context, Error,
        conditions::{Standing, Words},
        connections::Connection,
        links::Resource,
        on_heap,
        requeue::{Consequence, Retry, consequence},
        write,
    },
    pulumi::{Admission, CallClass, Class, Permit, console::deployment_url, wire},
};

/// Carries a plan out. Returns the Deployment as it is in Kubernetes afterwards.
pub async fn act(
    plan: Plan,
    inputs: &Inputs,
    deployment: Deployment,
    means: Means,
    context: &Context,
    now: Time,
) -> Result<(Deployment, Outcome), Error> {
    let this = resource(&deployment);
    let Means { connection, permit } = means;
    let (deployment, outcome) = match (plan, connection) {
        (Plan::Idle, _) => (deployment, Outcome::Nothing),
        (Plan::Adopt(adoption), _) => (deployment, Outcome::Adopted(adoption)),
        (Plan::Wait(words), _) => (deployment, Outcome::Waiting(words)),
        (Plan::Refuse(words), _) => (deployment, Outcome::Refused(words)),
        (Plan::Settle(remaining), _) => (deployment, Outcome::Settling(remaining)),
        (Plan::AwaitBudget, _) => (deployment, Outcome::AwaitingBudget),
        (Plan::AwaitRetry(remaining), _) => (deployment, Outcome::AwaitingRetry(remaining)),
        (Plan::Outdate(moved), _) => (deployment, Outcome::Outdated(moved)),
        (Plan::AwaitApproval(unsaid), _) => (deployment, Outcome::AwaitingApproval(unsaid)),
        (Plan::Reject(rejected_by), _) => (deployment, Outcome::Rejected(Rejection { rejected_by, at: now })),
        (Plan::AwaitOutcome(remaining), _) => (deployment, Outcome::CreatePending(remaining)),
        (Plan::Withdraw, _) => on_heap(|| withdraw(deployment, context)).await?,
        (Plan::Follow(view), _) => (deployment, Outcome::Following(view)),
        (Plan::AwaitOutputs(words), _) => (deployment, Outcome::Outputs(outputs::out_of_reach(words, context))),
        (Plan::WriteOutputs(run), Some(connection)) => match &inputs.outputs {
            Some(declared) => {
                let write = || outputs::write(&run, &declared.spec, &deployment, &connection, context, now);
                let report = on_heap(write).await;
                // A request that waits for an attempt waits for no success.
                if !matches!(report, Ok(None)) {
                    context.memory.note_outputs(&inputs.uid, &run.id);
                }
                // Nothing shows of a wait for its turn.
                (deployment, report?.map_or(Outcome::Held, Outcome::Outputs))
            }
            None => (deployment, Outcome::Nothing),
        },
        (Plan::Release, _) => on_heap(|| release(deployment, context)).await?,
        (Plan::Create(start), Some(connection)) => match permit {
            Some(mut permit) => {
                on_heap(|| create::create(*start, inputs, deployment, &connection, &mut permit, context, now)).await?
            }
            None => (deployment, Outcome::AwaitingBudget),
        },
        (Plan::Offer(start), Some(connection)) => {
            let offer = || approval::offer_for_approval(*start, inputs, &deployment, &connection, permit, context);
            let outcome = on_heap(offer).await;
            (deployment, outcome)
        }
        (Plan::Recover(intent), Some(connection)) => {
            on_heap(|| recover(&intent, &this, deployment, &connection, context)).await?
        }
        (Plan::AdoptNamed(intent, id), Some(connection)) => {
            on_heap(|| adopt_named(&intent, &id, &this, deployment, &connection, context)).await?
        }
        (Plan::TakeOver(adoptee, target), Some(connection)) => {
            on_heap(|| adopt::take_over(&adoptee, *target, inputs, &this, deployment, &connection, context)).await?
        }
        (Plan::Conclude(conclusion), connection) => {
            on_heap(|| conclude(*conclusion, &this, deployment, connection, context, now)).await?
        }
        (Plan::Cancel { reason, only_queued }, Some(connection)) => {
            on_heap(|| cancel::cancel(reason, only_queued, inputs, deployment, &connection, context, now)).await?
        }
        (Plan::AwaitCancel(failed), _) => (deployment, Outcome::AwaitingCancel(failed)),
        // Plans that call the service come out of reads that had the means to.
        (Plan::Hold, _)
        | (
            Plan::Create(_)
            | Plan::Offer(_)
            | Plan::Recover(_)
            | Plan::AdoptNamed(..)
            | Plan::TakeOver(..)
            | Plan::Cancel { .. }
            | Plan::WriteOutputs(_),
            None,
        ) => (deployment, Outcome::Held),
    };
    if let Outcome::Failed(Consequence { class: Class::Unauthorized, .. })
    | Outcome::Outputs(Report::Failed(Consequence { class: Class::Unauthorized, .. })) = &outcome
    {
        report_rejection(&this, context);
    }
    Ok((deployment, outcome))
}

/// A token that is not accepted is the Organization's business.
fn report_rejection(this: &Resource, context: &Context) {
    context.wakers.links.organizations_of(this).for_each(|organization| context.wakers.wake(&organization));
}

/// What follows when a create was not sent for a reason of our own: it is planned anew, soon.
fn not_sent_in_time() -> Consequence {
    let why = "the create was not sent in time and is planned anew";
    let standing = Standing::Retrying(Words::new(Reason::Settling, why));
    Consequence { class: Class::NotSent, standing, retry: Retry::Backoff, detail: why.to_owned() }
}

async fn release(deployment: Deployment, context: &Context) -> Result<(Deployment, Outcome), Error> {
    forget_run(&deployment, context);
    write::release(&context.kube, &deployment).await?;
    info!("released");
    Ok((deployment, Outcome::Released))
}

/// The run is not followed any more.
pub fn forget_run(deployment: &Deployment, context: &Context) {
    if let Some(run) = deployment.status.as_ref().and_then(|status| status.run.as_ref()) {
        context.observer.untrack(&run.id);
        context.memory.forget_run(&run.id);
    }
}

async fn withdraw(deployment: Deployment, context: &Context) -> Result<(Deployment, Outcome), Error> {
    let Some(intent) = deployment.status.as_ref().and_then(|status| status.intent.clone()) else {
        return Ok((deployment, Outcome::Nothing));
    };
    let deployment = journal::forget_word(context, deployment, RESOLVE_CREATE).await?;
    let deployment = journal::withdraw(context, &deployment, &intent.nonce).await?;
    context.memory.recovered(&intent.nonce);
    info!(nonce = %intent.nonce, "the create did not happen");
    Ok((deployment, Outcome::Withdrawn))
}

async fn recover(
    intent: &Intent,
    this: &Resource,
    deployment: Deployment,
    connection: &Arc<Connection>,
    context: &Context,
) -> Result<(Deployment, Outcome), Error> {
    match recover::search(intent, this, connection, context).await {
        Search::Found(found) => {
            info!(id = %found.id, version = found.version, "found the run of a create whose answer was lost");
            adopt(intent, &found, deployment, connection, context).await
        }
        Search::NotCreated => {
            context.memory.not_created(&intent.nonce);
            withdraw(deployment, context).await
        }
        Search::Unknown(why) => {
            let needs_person =
                context.memory.recovery(&intent.nonce).first_seen.elapsed() >= context.timings.give_up_recovery;
            warn!(%why, needs_person, "it cannot be told whether a create happened");
            Ok((deployment, Outcome::CreateUnknown { why, needs_person }))
        }
        Search::AwaitingBudget => Ok((deployment, Outcome::AwaitingBudget)),
        Search::Failed(consequence) => Ok((deployment, Outcome::Failed(consequence))),
    }
}

/// Takes a run that was found as the one that the intent became.
async fn adopt(
    intent: &Intent,
    found: &wire::Deployment,
    deployment: Deployment,
    connection: &Connection,
    context: &Context,
) -> Result<(Deployment, Outcome), Error> {
    let stack = connection.stack(&intent.target.project, &intent.target.stack);
    // The create answers with the console's page, reads do not.
    let url = deployment_url(connection.client.backend(), &stack, found.version);
    let run = journal::run_of(intent, found.id.clone(), found.version, url, found.status.as_str());
    let recorded = journal::record(context, &deployment, &run).await?;
    context.metrics.runs.triggered(run.operation);
    context.memory.recovered(&intent.nonce);
    context.memory.saw_version(&intent.target.key(), run.version);
    Ok((recorded, Outcome::Created))
}

async fn adopt_named(
    intent: &Intent,
    id: &str,
    this: &Resource,
    deployment: Deployment,
    connection: &Arc<Connection>,
    context: &Context,
) -> Result<(Deployment, Outcome), Error> {
    let stack = connection.stack(&intent.target.project, &intent.target.stack);
    let Some(mut permit) = permit(CallClass::Create, 1, this, connection, context) else {
        return Ok((deployment, Outcome::AwaitingBudget));
    };
    match connection.client.deployment(&mut permit, &stack, id).await {
        Ok(found) => {
            let deployment = journal::forget_word(context, deployment, RESOLVE_CREATE).await?;
            adopt(intent, &found, deployment, connection, context).await
        }
        Err(error) => Ok((
            deployment,
            Outcome::Failed(consequence(
                &error,
                "The annotation resolve-create must name a deployment of this stack, or say `retry`.",
            )),
        )),
    }
}

fn permit(class: CallClass, units: u32, this: &Resource, connection: &Connection, context: &Context) -> Option<Permit> {
    match connection.governor.try_acquire(class, &this.namespace, &context.wakers.waiter(this), units) {
        Admission::Granted(permit) => Some(permit),
        Admission::Ticket => None,
    }
}

/// How often the log of a failed step, or what was found of drift, is asked for before the run's end is told without it.
const ATTEMPTS: u32 = 4;

async fn conclude(
    conclusion: Conclusion,
    this: &Resource,
    deployment: Deployment,
    connection: Option<Arc<Connection>>,
    context: &Context,
    now: Time,
) -> Result<(Deployment, Outcome), Error> {
    let Conclusion { result, view, failed_step, looked_for_drift, retry } = conclusion;
    let run = deployment.status.as_ref().and_then(|status| status.run.clone());
    let mut failure = (result == Phase::Failed).then(Failure::default);
    let attempts = context.memory.failures(&deployment.uid().unwrap_or_default());
    if let (true, None, Some(run), Some(connection)) = (result == Phase::Failed, &view, &run, &connection)
        && run.purpose == Purpose::Destroy
    {
        // With deleteAfterDestroy the service deletes the stack, and its runs with it.
        match destroy::look(&run.target, this, connection, context).await {
            destroy::Stack::Gone => {
                let released = destroy::release(&run.target, deployment, context).await?;
                context.metrics.runs.ended(run, Phase::Succeeded, false);
                return Ok(released);
            }
            destroy::Stack::AwaitingBudget => return Ok((deployment, Outcome::AwaitingBudget)),
            destroy::Stack::Unknown(consequence) if attempts < ATTEMPTS => {
                return Ok((deployment, Outcome::Failed(consequence)));
            }
            destroy::Stack::Unknown(_) | destroy::Stack::There => {}
        }
    }
    if let (Some((job, step, name)), Some(run), Some(connection)) = (failed_step, &run, &connection) {
        let Some(mut permit) = permit(CallClass::Observe, failure_log::PAGES, this, connection, context) else {
            return Ok((deployment, Outcome::AwaitingBudget));
        };
        let read = failure_log::read(&deployment, run, (job, step, &name), connection, &mut permit, context).await?;
        let log = match read {
            Ok(log) => log,
            Err(error) if attempts < ATTEMPTS => {
                let consequence = consequence(&error, "The log of the failed step is read again.");
                return Ok((deployment, Outcome::Failed(consequence)));
            }
            Err(error) => vec![format!("(the log could not be read: {})", error.summary())],
        };
        failure = Some(Failure { step: Some(name), log });
    }
    let mut drift = None;
    if let (true, Some(run), Some(connection)) = (looked_for_drift, &run, &connection) {
        let Some(mut permit) = permit(CallClass::Observe, 1, this, connection, context) else {
            return Ok((deployment, Outcome::AwaitingBudget));
        };
        match drift_run::read(run, view.as_ref(), connection, &mut permit, now).await {
            Reading::Found(found) => drift = Some(Ok(found)),
            Reading::Nothing => {}
            Reading::NotYet(consequence) if attempts < ATTEMPTS => {
                return Ok((deployment, Outcome::Failed(consequence)));
            }
            Reading::NotYet(Consequence { detail, .. }) | Reading::Refused(detail) => drift = Some(Err(detail)),
        }
    }
    forget_run(&deployment, context);
    if let Some(Run { id, version, target, operation, .. }) = &run {
        info!(%id, version, stack = %target, %operation, %result, "run ended");
    }
    Ok((deployment, Outcome::Concluded { result, view: view.map(Box::new), failure, drift, retry }))
}

/// When the resource looks again by itself.
pub fn next(outcome: &Outcome, inputs: &Inputs, deployment: &Deployment, context: &Context) -> Action {
    const AT_ONCE: Duration = Duration::from_millis(10);
    let uid = deployment.uid().unwrap_or_default();
    match outcome {
        Outcome::CreateUnknown { .. } | Outcome::StackMissing(_) => context.retry(&uid, Retry::Backoff),
        Outcome::Settling(remaining)
        | Outcome::CreatePending(remaining)
        | Outcome::AwaitingRetry(remaining)
        | Outcome::AwaitingCancel(FailedCancel { standing: _, remaining }) => {
            Action::requeue(*remaining + Duration::from_millis(1))
        }
        Outcome::Offered(pending) if pending.outdated.is_some() => Action::requeue(AT_ONCE),
        Outcome::Held
        | Outcome::Offered(_)
        | Outcome::AwaitingApproval(_)
        | Outcome::Rejected(_)
        | Outcome::Waiting(_)
        | Outcome::Refused(_)
        | Outcome::AwaitingBudget
        | Outcome::CreateRefused(_) => Action::requeue(context.timings.resync),
        // The run is followed from the next reconcile on.
        // A new request may have waited for an end.
        Outcome::Created
        | Outcome::Withdrawn
        | Outcome::Adopted(_)
        | Outcome::TakenOver
        | Outcome::CancelSent
        | Outcome::Outdated(_)
        | Outcome::Concluded { .. } => {
            context.memory.succeeded(&uid);
            Action::requeue(AT_ONCE)
        }
        Outcome::Following(_) => {
            context.memory.succeeded(&uid);
            let due = deployment.status.as_ref().and_then(|status| due_in(inputs, status));
            Action::requeue(due.map_or(context.timings.resync, |due| due.min(context.timings.resync)))
        }
        // What is asked for now has waited for the attempt.
        Outcome::Outputs(_) if another_is_next(inputs, deployment) => Action::requeue(AT_ONCE),
        Outcome::Failed(consequence) | Outcome::Outputs(Report::Failed(consequence)) => {
            context.failed(&uid, consequence)
        }
        Outcome::Nothing | Outcome::Released | Outcome::Outputs(Report::Written(..) | Report::Refused(_)) => {
            context.memory.succeeded(&uid);
            Action::await_change()
        }
    }
}

/// Whether something else is asked for than what was handled last.
fn another_is_next(inputs: &Inputs, deployment: &Deployment) -> bool {
    deployment.status.as_ref().is_some_and(|status| status.request.is_some() && request::is_new(inputs, status))
}
