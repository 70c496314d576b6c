//! IO, writes: a plan for an organization → what came of it.

use std::sync::{Arc, atomic::Ordering};

use kube::{ResourceExt, runtime::controller::Action};
use tracing::info;

use super::{
    outcome::Outcome,
    plan::{Plan, Renewal},
};
use crate::{
    api::Organization,
    controllers::{
        Context, Error,
        connections::Connection,
        links::{Kind, Link, Resource},
        requeue::{Consequence, consequence},
        write,
    },
    pulumi::{Class, Permit},
};

/// Carries a plan out.
pub async fn act(
    plan: Plan,
    organization: &Organization,
    permit: Option<Permit>,
    context: &Arc<Context>,
) -> Result<Outcome, Error> {
    let this = Kind::Organization.named(organization.namespace().unwrap_or_default(), organization.name_any());
    Ok(match plan {
        Plan::Release => {
            write::release(&context.kube, organization).await?;
            info!("released");
            Outcome::Nothing
        }
        Plan::AwaitUsers(users) => Outcome::AwaitingUsers(users),
        Plan::RefuseBackend => {
            accept(context, &this, false);
            Outcome::BackendRefused
        }
        Plan::AwaitToken(missing) => {
            accept(context, &this, false);
            Outcome::AwaitingToken(missing)
        }
        Plan::ReportNoToken(consequence) => {
            accept(context, &this, false);
            Outcome::Failed(consequence)
        }
        Plan::AwaitBudget => Outcome::AwaitingBudget,
        Plan::Idle => Outcome::Nothing,
        Plan::Report(consequence) => {
            if matches!(consequence.class, Class::Unauthorized | Class::Forbidden) {
                accept(context, &this, false);
            }
            Outcome::Failed(consequence)
        }
        Plan::Accept { mut seen, set_paused } => {
            context.memory.checked(&organization.uid().unwrap_or_default(), jiff::Timestamp::now().as_second());
            let connection = accept(context, &this, true);
            let pause = match (set_paused, connection, permit) {
                (Some(paused), Some(connection), Some(mut permit)) => {
                    Some(set_pause(&connection, &mut permit, paused).await)
                }
                _ => None,
            };
            if let Some(Ok(paused)) = &pause {
                seen.paused = Some(*paused);
            }
            Outcome::Accepted { seen, pause }
        }
    })
}

/// Notes whether the service takes the token, and tells those who wait for that.
fn accept(context: &Context, this: &Resource, accepted: bool) -> Option<Arc<Connection>> {
    let connection = context.connections.get(&this.key())?;
    if connection.accepted.swap(accepted, Ordering::Relaxed) != accepted {
        info!(accepted, organization = %connection.organization, "access token");
        context.wakers.wake_dependents(&Link::Resource(this.clone()));
    }
    if accepted {
        connection.governor.token_changed();
        context.observer.connect(&connection.key, &connection.organization, connection.client.clone());
        context.observer.on_trouble(&connection.key, context.wakers.callback(this.clone()));
    }
    Some(connection)
}

async fn set_pause(connection: &Connection, permit: &mut Permit, paused: bool) -> Result<bool, Consequence> {
    let Connection { client, organization, .. } = connection;
    let done = if paused {
        client.pause_organization(permit, organization).await
    } else {
        client.resume_organization(permit, organization).await
    };
    match done {
        Ok(()) => {
            info!(paused, %organization, "set the organization's pause");
            Ok(paused)
        }
        Err(error) => Err(consequence(
            &error,
            "Pausing an organization needs an organization admin's token; give one, or take spec.paused out.",
        )),
    }
}

/// When the resource looks again by itself.
pub fn next(outcome: &Outcome, renewal: &Renewal, context: &Context, uid: &str) -> Action {
    let failed = match outcome {
        Outcome::Failed(consequence) | Outcome::Accepted { pause: Some(Err(consequence)), .. } => Some(consequence),
        Outcome::AwaitingBudget
        | Outcome::AwaitingToken(_)
        | Outcome::BackendRefused
        | Outcome::Nothing
        | Outcome::AwaitingUsers(_)
        | Outcome::Accepted { .. } => None,
    };
    match (failed, renewal) {
        (Some(consequence), _) | (None, Renewal::Failed { consequence, until: _ }) => context.failed(uid, consequence),
        (None, Renewal::NotNeeded) => {
            context.memory.succeeded(uid);
            Action::requeue(context.timings.resync)
        }
        (None, Renewal::In(delay)) => {
            context.memory.succeeded(uid);
            Action::requeue(context.timings.resync.min(*delay))
        }
    }
}
