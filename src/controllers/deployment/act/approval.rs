//! IO, reads only: what is to be approved, and whether an approval still holds.

use std::sync::Arc;

use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tracing::{debug, info};

use super::Outcome;
use crate::{
    api::{
        Deployment, Time,
        approval::{Basis, GivenApproval, Moved},
        deployment::{Purpose, Run},
        names::{APPROVE, APPROVED_BY},
    },
    controllers::{
        Context,
        conditions::{Standing, Words},
        connections::Connection,
        deployment::{
            approval::{Latest, Look, offer},
            plan::{Inputs, Start},
            reason::Reason,
            request::identity,
        },
        digest::hex,
        requeue::{Consequence, Retry, consequence},
        write,
    },
    pulumi::{Class, Error, Permit, StackId},
};

/// How many calls it takes to read what a preview has shown.
pub const LOOK: u32 = 3;

const REMEDY: &str = "Without it nothing can be approved; let the organization's token read this stack.";

/// Says what is to be approved.
pub async fn offer_for_approval(
    start: Start,
    inputs: &Inputs,
    deployment: &Deployment,
    connection: &Connection,
    permit: Option<Permit>,
    context: &Context,
) -> Outcome {
    let status = deployment.status.clone().unwrap_or_default();
    let run = status.run.as_ref().filter(|run| start.purpose == Purpose::Preview && run.purpose == Purpose::Preview);
    let preview = match (run, permit) {
        (Some(run), Some(mut permit)) => match look(run, connection, &mut permit).await {
            Ok(look) if look.latest.is_under_way() => return under_way(),
            Ok(look) => Some((run, look)),
            Err(error) => return Outcome::Failed(consequence(&error, REMEDY)),
        },
        (Some(_), None) => return Outcome::AwaitingBudget,
        (None, _) => None,
    };
    let start = Start { purpose: start.subject.purpose, ..start };
    let request = identity(inputs, &start, &status).request;
    let policed = is_policed(deployment, context).await;
    let before = status.approval.as_ref();
    Outcome::Offered(Box::new(offer(&start.subject, request, &start.target, preview, before, policed, &context.key)))
}

fn under_way() -> Outcome {
    let words = Words::new(
        Reason::AwaitingApproval,
        "another update of the stack is under way; whether the preview has seen what it does is known when it has ended",
    );
    let detail = words.message.clone();
    Outcome::Failed(Consequence {
        class: Class::Unavailable,
        standing: Standing::Retrying(words),
        retry: Retry::Backoff,
        detail,
    })
}

async fn look(run: &Run, connection: &Connection, permit: &mut Permit) -> Result<Look, Error> {
    let stack = connection.stack(&run.target.project, &run.target.stack);
    let updates = connection.client.updates(permit, &stack, &run.id).await?;
    let found = connection.client.deployment(permit, &stack, &run.id).await?;
    let latest = latest(&stack, connection, permit).await?;
    let last = updates.last();
    // A program that does not come from Git has no commit to pin, whatever else says one.
    let source = found.configuration.and_then(|configuration| configuration.source);
    let noted = last.and_then(|update| update.commit.clone());
    Ok(Look {
        commit: source.and_then(|source| noted.or(source.commit)),
        resource_changes: last.map(|update| update.resource_changes.clone()).unwrap_or_default(),
        began: updates.iter().filter_map(|update| update.started).min().map(Time::from).or(run.started_at),
        latest,
    })
}

async fn latest(stack: &StackId, connection: &Connection, permit: &mut Permit) -> Result<Latest, Error> {
    match connection.client.latest_stack_update(permit, stack).await {
        Ok(update) => {
            Ok(Latest { version: update.version.unwrap_or_default(), ended: update.finished.map(Time::from) })
        }
        // If it is the stack that is missing, its run is refused.
        Err(error) if error.is_gone() => Ok(Latest::NONE),
        Err(error) => Err(error),
    }
}

/// What a run that has to do with approval carries.
#[derive(Default)]
pub struct Papers {
    /// What a preview goes by.
    pub basis: Option<Basis>,
    /// Who approved it.
    pub approval: Option<GivenApproval>,
}

/// The last look before a run that has to do with approval is created; nothing else is read for any other.
pub async fn papers(
    start: &Start,
    deployment: &Deployment,
    connection: &Arc<Connection>,
    permit: &mut Permit,
    context: &Context,
) -> Result<Papers, Box<Outcome>> {
    let stack = connection.stack(&start.target.project, &start.target.stack);
    let is_preview = start.purpose == Purpose::Preview;
    let approved_version = start.approved.as_ref().and_then(|approved| approved.stack_version);
    let mut basis = None;
    if is_preview || approved_version.is_some() {
        let latest = latest(&stack, connection, permit)
            .await
            .map_err(|error| Box::new(Outcome::Failed(consequence(&error, REMEDY))))?;
        if approved_version.is_some_and(|version| version != latest.version) {
            return Err(Box::new(Outcome::Outdated(Moved::StackUpdate)));
        }
        basis = is_preview.then(|| Basis { stack_version: Some(latest.settled()), ..start.subject.basis.clone() });
    }
    let approval = match start.approved.clone() {
        Some(approved) => {
            let given = approved.given(is_policed(deployment, context).await);
            info!(by = %given.approved_by, verified = given.verified, "approved");
            Some(given)
        }
        None => None,
    };
    Ok(Papers { basis, approval })
}

/// Whether an admission policy limits who may approve. It is not believed but tried: in a dry run this operator, which
/// is nobody who approves, approves in the name of somebody who does not exist.
///
/// Only the policy's own refusal proves it, so its message must name one of the annotations. Anything else proves nothing.
async fn is_policed(deployment: &Deployment, context: &Context) -> bool {
    let nobody = format!("nobody-{}", hex(&rand::random::<[u8; 8]>()));
    let patch = Patch::Merge(json!({
        "metadata": {"uid": deployment.uid(), "annotations": {APPROVE: nobody, APPROVED_BY: nobody}},
    }));
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    match write::api(&context.kube, deployment).patch_metadata(&deployment.name_any(), &params, &patch).await {
        Err(kube::Error::Api(status)) => {
            let refused = status.message.contains("ValidatingAdmissionPolicy") && status.message.contains(APPROVE);
            debug!(refused, message = %status.message, "tried to approve");
            refused
        }
        Err(error) => {
            debug!(%error, "tried to approve, and got no answer");
            false
        }
        Ok(_) => false,
    }
}
