//! IO: creates a run at most once: journal → POST → record.

use std::sync::Arc;

use kube::ResourceExt;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Outcome,
    approval::{Papers, papers},
    destroy::{self, Stack},
    journal::{journal, record, run_of, withdraw},
};
use crate::{
    api::{
        Deployment, DeploymentStatus, Time,
        deployment::{Intent, Purpose, Refusal},
    },
    controllers::{
        Context, Error,
        connections::Connection,
        deployment::{
            desired::mark,
            destroy::LETS_GO,
            gather::resource,
            plan::{Inputs, Start},
            request::{Identity, identity},
            secrets, trace,
        },
        digest::hex,
        on_heap,
        requeue::consequence,
        write,
    },
    pulumi::{Class, Permit, console},
};

/// Creates the run. The permit was there before, so that nothing waits between the journal and the POST.
pub async fn create(
    start: Start,
    inputs: &Inputs,
    deployment: Deployment,
    connection: &Arc<Connection>,
    permit: &mut Permit,
    context: &Context,
    now: Time,
) -> Result<(Deployment, Outcome), Error> {
    let Papers { basis, approval } = match on_heap(|| papers(&start, &deployment, connection, permit, context)).await {
        Ok(papers) => papers,
        Err(outcome) => return Ok((deployment, *outcome)),
    };
    let identity = identity(inputs, &start, deployment.status.as_ref().unwrap_or(&DeploymentStatus::default()));
    let asked_at = trace::asked_at(&deployment, &identity, start.purpose, now);
    let Identity { request, attempt, trigger } = identity;
    let Start { purpose, operation, target, mut body, settings_digest: _, digest, subject: _, approved: _ } = start;
    let stack = connection.stack(&target.project, &target.stack);
    let link = console::deployments_url(&target.backend_url, &stack);
    let deployment = write::ensure_metadata(&context.kube, deployment, link.as_deref()).await?;
    let stack_key = target.key();
    let secrets = secrets::fingerprint(&deployment, &target, context);
    let intent = Intent {
        nonce: hex(&rand::random::<[u8; 16]>()),
        request,
        purpose,
        attempt,
        trigger,
        asked_at,
        operation,
        target,
        holder: context.holder.clone(),
        time: now,
        version_floor: context.memory.latest_version(&stack_key),
        server_date: connection.client.server_date().map(Time::from),
        secrets,
        basis,
        approval,
    };
    mark(&mut body, &intent.nonce);

    let started = Instant::now();
    let journaled = match on_heap(|| journal(context, deployment, inputs, &intent)).await {
        Ok(journaled) => journaled,
        // It may have been written all the same; nothing is sent for it.
        Err(error) => {
            context.memory.not_created(&intent.nonce);
            return Err(error);
        }
    };
    info!(nonce = %intent.nonce, purpose = ?intent.purpose, attempt = intent.attempt, "journaled a create");
    if started.elapsed() > context.timings.send_window {
        warn!(elapsed = ?started.elapsed(), "the journal took too long; the create is not sent");
        context.memory.not_created(&intent.nonce);
        return Ok((withdrawn(context, &journaled, &intent).await?, Outcome::Failed(super::not_sent_in_time())));
    }
    match connection.client.create_deployment(permit, &stack, &body).await {
        Ok(created) => {
            context.memory.saw_version(&stack_key, created.version);
            let url = Some(created.console_url).filter(|url| !url.is_empty());
            let run = run_of(&intent, created.id, created.version, url, "not-started");
            info!(id = %run.id, version = run.version, stack = %intent.target, operation = %intent.operation, "triggered");
            let recorded = on_heap(|| record(context, &journaled, &run)).await?;
            context.metrics.runs.triggered(run.operation);
            context.memory.recovered(&intent.nonce);
            Ok((recorded, Outcome::Created))
        }
        Err(error) if error.class() == Class::Ambiguous => {
            warn!(%error, nonce = %intent.nonce, "the outcome of a create is unknown");
            context.metrics.runs.unanswered(intent.operation);
            // From here on the clock of the recovery runs.
            context.memory.recovery(&intent.nonce);
            Ok((journaled, Outcome::CreatePending(context.timings.recovery_wait())))
        }
        Err(error) => {
            context.memory.not_created(&intent.nonce);
            let deployment = withdrawn(context, &journaled, &intent).await?;
            let is_last = purpose == Purpose::Destroy;
            let way_out = if is_last { format!("; {LETS_GO}") } else { String::new() };
            let remedy = format!("Check what the organization's token may do for this stack{way_out}.");
            if is_last && error.is_gone() {
                return match destroy::look(&intent.target, &resource(&deployment), connection, context).await {
                    Stack::Gone => destroy::release(&intent.target, deployment, context).await,
                    Stack::There => Ok((deployment, Outcome::Failed(consequence(&error, &remedy)))),
                    Stack::AwaitingBudget => Ok((deployment, Outcome::AwaitingBudget)),
                    Stack::Unknown(consequence) => Ok((deployment, Outcome::Failed(consequence))),
                };
            }
            let outcome = match error.class() {
                Class::NotFound if is_last => Outcome::Failed(consequence(&error, &remedy)),
                Class::NotFound => Outcome::StackMissing(intent.target.to_string()),
                Class::Invalid => {
                    let message = format!(
                        "the service refused the run and is not asked again until something changes here: {}{way_out}",
                        error.message()
                    );
                    Outcome::CreateRefused(Refusal { digest, message })
                }
                _ => Outcome::Failed(consequence(&error, &remedy)),
            };
            info!(%error, name = %deployment.name_any(), "the run was not created");
            Ok((deployment, outcome))
        }
    }
}

async fn withdrawn(context: &Context, journaled: &Deployment, intent: &Intent) -> Result<Deployment, Error> {
    let deployment = withdraw(context, journaled, &intent.nonce).await?;
    context.memory.recovered(&intent.nonce);
    Ok(deployment)
}
