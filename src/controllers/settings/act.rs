//! IO, writes: a plan for a stack's settings → what came of it.

use std::time::Duration;

use kube::{ResourceExt, runtime::controller::Action};
use tracing::info;

use super::{
    equality::remote_digest,
    gather::Means,
    outcome::Outcome,
    plan::{Clearance, Convergence, Plan},
    schedule,
};
use crate::{
    api::{StackDeploymentSettings, StackDeploymentSettingsStatus, settings::RemoteVersion},
    controllers::{
        Context, Error,
        links::{Kind, Resource},
        requeue::{Consequence, Retry, consequence},
        write,
    },
    pulumi::{self, Class},
};

/// Carries a plan out. Returns the settings as they are in Kubernetes afterwards.
pub async fn act(
    plan: Plan,
    settings: StackDeploymentSettings,
    means: Option<Means>,
    context: &Context,
) -> Result<(StackDeploymentSettings, Outcome), Error> {
    let this = Kind::Settings.named(settings.namespace().unwrap_or_default(), settings.name_any());
    let outcome = match (plan, means) {
        (Plan::Idle, _) => Outcome::Nothing,
        (Plan::Wait(words), _) => Outcome::Waiting(words),
        (Plan::AwaitStack(words), _) => Outcome::AwaitingStack(words),
        (Plan::Refuse(words), _) => Outcome::Refused(words),
        (Plan::Report(consequence), _) => Outcome::Failed(consequence),
        (Plan::Release, _) => release(&settings, context).await?,
        (Plan::CreateStack, Some(mut means)) => {
            match means.connection.client.create_stack(&mut means.permit, &means.stack).await {
                Ok(()) => {
                    info!(stack = %means.stack, "created the stack");
                    Outcome::StackCreated
                }
                // Whoever made it meanwhile, and whatever became of an unanswered call: the next look tells.
                Err(error) if error.status() == Some(409) || error.class() == Class::Ambiguous => Outcome::StackCreated,
                Err(error) => Outcome::Failed(consequence(
                    &error,
                    "Create the stack, or check what the organization's token may do.",
                )),
            }
        }
        (Plan::Converge(convergence), Some(means)) => {
            let (settings, outcome) = converge(*convergence, settings, means, context).await?;
            report_rejection(&outcome, &settings, &this, context);
            return Ok((settings, outcome));
        }
        (Plan::Clear(clearance), Some(means)) => match clear(clearance, means).await {
            Ok(()) => release(&settings, context).await?,
            Err(error) => Outcome::Failed(consequence(
                &error,
                "What this resource had set is still there; deletionPolicy: Retain would leave it and let the resource go.",
            )),
        },
        // Plans that call the service come out of reads that had the means to.
        (Plan::AwaitBudget, _) | (Plan::CreateStack | Plan::Converge(_) | Plan::Clear(_), None) => {
            Outcome::AwaitingBudget
        }
    };
    report_rejection(&outcome, &settings, &this, context);
    Ok((settings, outcome))
}

/// A token that is not accepted is the Organization's business.
fn report_rejection(outcome: &Outcome, settings: &StackDeploymentSettings, this: &Resource, context: &Context) {
    if let Outcome::Failed(Consequence { class: Class::Unauthorized, .. }) = outcome {
        let reference = &settings.spec.stack.organization_ref;
        context.wakers.wake(
            &Kind::Organization.named(reference.namespace.as_deref().unwrap_or(&this.namespace), &reference.name),
        );
    }
}

async fn release(settings: &StackDeploymentSettings, context: &Context) -> Result<Outcome, Error> {
    write::release(&context.kube, settings).await?;
    info!("released");
    Ok(Outcome::Nothing)
}

async fn converge(
    convergence: Convergence,
    mut settings: StackDeploymentSettings,
    mut means: Means,
    context: &Context,
) -> Result<(StackDeploymentSettings, Outcome), Error> {
    let mut remote = convergence.remote.clone();
    if let Some(patch) = &convergence.patch {
        if !convergence.claim.is_empty() {
            let mut claimed: StackDeploymentSettingsStatus = settings.status.clone().unwrap_or_default();
            claimed.last_applied.extend(convergence.claim.iter().cloned());
            settings = write::status(&context.kube, settings, &claimed).await?;
        }
        match means.connection.client.patch_settings(&mut means.permit, &means.stack, patch).await {
            Ok(answer) => {
                info!(stack = %means.stack, version = answer.version, corrects = convergence.corrects, "pushed settings");
                context.metrics.settings_pushed(convergence.corrects);
                remote = RemoteVersion { digest: remote_digest(&answer.document), version: answer.version };
            }
            Err(error) => {
                return Ok((
                    settings,
                    Outcome::Failed(consequence(
                        &error,
                        "Correct spec.settings as the service asks, or check what the organization's token may do.",
                    )),
                ));
            }
        }
    }
    let mut pause_failed = None;
    if let Some(paused) = convergence.set_paused {
        let Means { connection, permit, stack } = &mut means;
        let done = if paused {
            connection.client.pause_stack(permit, stack).await
        } else {
            connection.client.resume_stack(permit, stack).await
        };
        let remedy =
            "A stack can be paused only when it has deployment settings: declare some, or take spec.paused out.";
        pause_failed = done.err().map(|error| consequence(&error, remedy));
        info!(%stack, paused, done = pause_failed.is_none(), "set the stack's pause");
    }
    context.memory.checked(&settings.uid().unwrap_or_default(), jiff::Timestamp::now().as_second());
    Ok((settings, Outcome::Converged { convergence: Box::new(convergence), remote, pause_failed }))
}

async fn clear(clearance: Clearance, mut means: Means) -> Result<(), pulumi::Error> {
    let Means { connection, permit, stack } = &mut means;
    let done = match &clearance {
        Clearance::Patch(patch) => connection.client.patch_settings(permit, stack, patch).await.map(|_| ()),
        Clearance::Delete => connection.client.delete_settings(permit, stack).await,
    };
    match done {
        Err(error) if error.is_gone() => Ok(()),
        Ok(()) => {
            info!(%stack, "cleared settings");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// When the resource looks again by itself.
pub fn next(outcome: &Outcome, settings: &StackDeploymentSettings, context: &Context) -> Action {
    let uid = settings.uid().unwrap_or_default();
    let due =
        || Action::requeue(schedule::next(&uid, settings.spec.interval.value(), jiff::Timestamp::now().as_second()));
    match outcome {
        Outcome::Failed(consequence) | Outcome::Converged { pause_failed: Some(consequence), .. } => {
            context.failed(&uid, consequence)
        }
        Outcome::AwaitingStack(_) => context.retry(&uid, Retry::Backoff),
        Outcome::StackCreated => Action::requeue(Duration::from_millis(10)),
        Outcome::Waiting(_) | Outcome::Refused(_) | Outcome::AwaitingBudget => Action::requeue(context.timings.resync),
        Outcome::Nothing | Outcome::Converged { .. } => {
            context.memory.succeeded(&uid);
            due()
        }
    }
}
