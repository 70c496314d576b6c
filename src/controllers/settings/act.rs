//! IO, writes: a plan for a stack's settings → what came of it.

use std::time::Duration;

use kube::{ResourceExt, runtime::controller::Action};
use tokio::time::Instant;
use tracing::info;

use super::{
    equality::remote_digest,
    gather::Means,
    interval,
    outcome::Outcome,
    plan::{Clearance, Convergence, Plan, Unset},
    schedules::{self, Agenda, act::Done},
};
use crate::{
    api::{StackDeploymentSettings, StackDeploymentSettingsStatus, Time, settings::RemoteVersion},
    controllers::{
        Context, Error,
        links::{Kind, Resource},
        requeue::{Consequence, Retry, consequence},
        write,
    },
    pulumi::Class,
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
        (Plan::Clear(clearance), Some(means)) => match clear(clearance, means, context).await {
            Ok(()) => release(&settings, context).await?,
            Err(consequence) => Outcome::Failed(consequence),
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
    let (Outcome::Failed(failed) | Outcome::Converged { schedules: Some(Done { failed: Some(failed), .. }), .. }) =
        outcome
    else {
        return;
    };
    if failed.class == Class::Unauthorized {
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
                context.metrics.convergence.settings_pushed(convergence.corrects);
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
    let mut done = None;
    if let Some(agenda) = &convergence.schedules {
        // What is created after this could be taken for lost by somebody else.
        let until = Instant::now() + context.timings.send_window;
        settings = journal(agenda, settings, context).await?;
        done = Some(schedules::act::act(agenda, &mut means, until).await);
    }
    context.memory.checked(&settings.uid().unwrap_or_default(), jiff::Timestamp::now().as_second());
    Ok((settings, Outcome::Converged { convergence: Box::new(convergence), remote, pause_failed, schedules: done }))
}

/// Writes into status what must not be lost, before anything is done.
async fn journal(
    agenda: &Agenda,
    settings: StackDeploymentSettings,
    context: &Context,
) -> Result<StackDeploymentSettings, Error> {
    let uid = settings.uid().unwrap_or_default();
    let mut noted = settings.status.clone().unwrap_or_default();
    for entry in &noted.schedules {
        if let Some(key) = schedules::intent_key(&uid, entry).filter(|_| !agenda.entries.contains(entry)) {
            context.memory.recovered(&key);
        }
    }
    if !agenda.is_noted_first(&noted.schedules) {
        return Ok(settings);
    }
    noted.schedules.clone_from(&agenda.entries);
    write::status(&context.kube, settings, &noted).await
}

async fn clear(clearance: Clearance, mut means: Means, context: &Context) -> Result<(), Consequence> {
    const REMEDY: &str =
        "What this resource had set is still there; deletionPolicy: Retain would leave it and let the resource go.";
    if let Some(failed) =
        schedules::act::act(&clearance.schedules, &mut means, Instant::now() + context.timings.request).await.failed
    {
        return Err(failed);
    }
    let Means { connection, permit, stack } = &mut means;
    let done = match &clearance.settings {
        Unset::Nothing => return Ok(()),
        Unset::Patch(patch) => connection.client.patch_settings(permit, stack, patch).await.map(|_| ()),
        Unset::Delete => connection.client.delete_settings(permit, stack).await,
    };
    match done {
        Err(error) if error.is_gone() => Ok(()),
        Ok(()) => {
            info!(%stack, "cleared settings");
            Ok(())
        }
        Err(error) => Err(consequence(&error, REMEDY)),
    }
}

/// When the resource looks again by itself.
pub fn next(
    outcome: &Outcome,
    settings: &StackDeploymentSettings,
    status: &StackDeploymentSettingsStatus,
    context: &Context,
) -> Action {
    let uid = settings.uid().unwrap_or_default();
    let now = jiff::Timestamp::now().as_second();
    let due = || {
        let slot = interval::next(&uid, settings.spec.interval.value(), now);
        let looks = schedules::looks(status, Time::from_seconds(now), context.timings.resync)
            .filter_map(|time| u64::try_from(time.seconds() - now).ok().filter(|left| *left > 0));
        Action::requeue(looks.min().map_or(slot, |look| slot.min(Duration::from_secs(look))))
    };
    match outcome {
        Outcome::Failed(consequence)
        | Outcome::Converged { pause_failed: Some(consequence), .. }
        | Outcome::Converged { schedules: Some(Done { failed: Some(consequence), .. }), .. } => {
            context.failed(&uid, consequence)
        }
        Outcome::Converged { schedules: Some(Done { entries, .. }), .. } if schedules::await_an_answer(entries) => {
            context.retry(&uid, Retry::Backoff)
        }
        Outcome::Converged { schedules: Some(Done { entries, .. }), .. }
            if schedules::are_unfinished(&settings.spec.schedules, entries) =>
        {
            Action::requeue(Duration::from_millis(10))
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
