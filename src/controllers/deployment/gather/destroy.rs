//! IO, reads only: what stands between a resource that is being deleted and the run that destroys its stack.
//!
//! Less than before any other run: nothing settles, and the settings need not be in sync. What they need may have gone
//! before this resource, and the service has what the last run ran with.

use std::sync::Arc;

use kube::ResourceExt;
use serde_json::json;

use super::{Means, leads_to, live_settings, owner};
use crate::{
    api::{
        Deployment, DeploymentStatus, Organization,
        approval::Basis,
        deployment::{Operation, Purpose, Target},
    },
    controllers::{
        Context, Error,
        access::Verdict,
        conditions::Words,
        connections::Connection,
        context::Way,
        deployment::{
            approval::Subject,
            desired,
            destroy::LETS_GO,
            plan::{Inputs, Road, Start},
            reason::Reason,
        },
        digest::without_secrets,
        document::references,
        links::{Kind, Resource},
        sources, sweep,
    },
    pulumi::{Admission, CallClass},
};

const OPERATION: Operation = Operation::Destroy;

/// Looks down the road.
pub async fn look(
    deployment: &Deployment,
    status: &DeploymentStatus,
    context: &Context,
    this: &Resource,
    inputs: &Inputs,
    means: &mut Means,
) -> Result<Road, Error> {
    let target = match target(deployment, status, context, this).await? {
        Ok(target) => target,
        Err(road) => return Ok(road),
    };
    let (connection, role) = match way(deployment, &target, context, this).await? {
        Ok(way) => way,
        Err(road) => return Ok(road),
    };
    if !connection.client.dialect().runs(OPERATION.as_str()) {
        let message = format!(
            "the preview API, which is all that {} speaks (dialect: Preview in the Organization), lacks the operation \
             {OPERATION}; {LETS_GO}",
            connection.backend
        );
        return Ok(Road::Refused(Words::new(Reason::UnsupportedByBackend, message)));
    }
    let values = deployment.spec.settings.as_ref().map(references).unwrap_or_default();
    let found = sources::read(&context.kube, &context.key, &this.namespace, &values).await?;
    sweep::learn(context, &this.namespace, &found.versions);
    if let Some(missing) = found.missing {
        // There nothing can be created any more, so the destroy runs without it.
        if !context.namespace_is_terminating(&this.namespace).await? {
            return Ok(Road::Waiting(Words::new(Reason::SourceMissing, format!("{missing}; {LETS_GO}"))));
        }
    }
    match connection.governor.try_acquire(CallClass::Create, &this.namespace, &context.wakers.waiter(this), 1) {
        Admission::Ticket => return Ok(Road::AwaitingBudget),
        Admission::Granted(permit) => means.permit = Some(permit),
    }
    means.connection = Some(connection);
    let body = desired::body(&deployment.spec, OPERATION, &found.values, role.as_deref());
    let digest = context.key.digest(&json!({
        "purpose": Purpose::Destroy,
        "request": inputs.request,
        "target": target,
        "body": without_secrets(&body),
        "requestedAt": inputs.requested_at,
    }));
    let (purpose, operation) = (Purpose::Destroy, OPERATION);
    // It follows no settings, and nobody has to approve it.
    let basis = Basis { settings: None, overrides: digest.clone(), stack_version: None };
    let subject = Subject { purpose, operation, basis };
    let (settings_digest, approved) = (None, None);
    Ok(Road::Open(Box::new(Start { purpose, operation, target, body, settings_digest, digest, subject, approved })))
}

/// The stack. The record decides where there is one: a reference may be gone or lead elsewhere by now.
async fn target(
    deployment: &Deployment,
    status: &DeploymentStatus,
    context: &Context,
    this: &Resource,
) -> Result<Result<Target, Road>, Error> {
    if let Some(run) = &status.run {
        return Ok(Ok(run.target.clone()));
    }
    let stack = match (&deployment.spec.stack, &deployment.spec.settings_ref) {
        (Some(stack), _) => stack.clone(),
        (None, Some(reference)) => match live_settings(context, &this.namespace, &reference.name).await? {
            Some(settings) => settings.spec.stack,
            None => return Ok(Err(Road::Nowhere)),
        },
        (None, None) => return Ok(Err(Road::Nowhere)),
    };
    let reference = &stack.organization_ref;
    let home = reference.namespace.as_deref().unwrap_or(&this.namespace);
    let Some(organization) = context.organizations.get(home, &reference.name) else {
        let message = format!(
            "Organization {home}/{} does not exist (or is outside the watched namespaces), and without it the stack \
             cannot be destroyed; create it, and this goes on by itself; {LETS_GO}",
            reference.name
        );
        return Ok(Err(Road::Waiting(Words::new(Reason::OrganizationNotReady, message))));
    };
    Ok(Ok(Target {
        backend_url: organization.spec.backend_url.trim_end_matches('/').to_owned(),
        organization: organization.remote_name(),
        project: stack.project,
        stack: stack.name,
    }))
}

/// The way to the stack, through an Organization that lets this namespace destroy it; and the role that it forces.
async fn way(
    deployment: &Deployment,
    target: &Target,
    context: &Context,
    this: &Resource,
) -> Result<Result<(Arc<Connection>, Option<String>), Road>, Error> {
    let waiting = |why: &str| {
        let message =
            format!("{why}. Until then the stack {target} is not destroyed, and this resource stays; {LETS_GO}");
        Road::Waiting(Words::new(Reason::OrganizationNotReady, message))
    };
    let mut road =
        waiting(&format!("no Organization leads to {} at {} any more", target.organization, target.backend_url));
    let first = owner(deployment, context);
    let mut ways: Vec<_> = context
        .organizations
        .filter(|organization| leads_to(organization, target))
        .into_iter()
        .map(|organization| (resource(&organization), organization))
        .collect();
    ways.sort_by_key(|(way, _)| (Some(way) != first.as_ref(), way.key()));
    for (way, organization) in ways {
        let stack = (target.project.as_str(), target.stack.as_str());
        let role = match context.judge(&organization, &this.namespace, stack, Some(OPERATION)).await? {
            Verdict::Denied(why) => {
                road = Road::Refused(Words::new(Reason::AccessDenied, format!("{why}; {LETS_GO}")));
                continue;
            }
            Verdict::Allowed { role_id } => role_id,
        };
        if organization.spec.suspend {
            let message = format!(
                "spec.suspend of Organization {} holds: the stack is not destroyed, and this resource stays; {LETS_GO}",
                way.key()
            );
            return Ok(Err(Road::Waiting(Words::new(Reason::Suspended, message))));
        }
        let kept = || {
            let is_deleted = organization.metadata.deletion_timestamp.is_some();
            context.connections.get(&way.key()).filter(|_| is_deleted)
        };
        match (context.way(&way, Some(&organization)), kept()) {
            // The last good token is kept for those who still need it.
            (Way::Open(connection), _) | (_, Some(connection)) => return Ok(Ok((connection, role))),
            (Way::NotYet, None) => return Ok(Err(Road::NotYet)),
            (Way::Closed(why), None) => road = waiting(&why),
        }
    }
    Ok(Err(road))
}

fn resource(organization: &Organization) -> Resource {
    Kind::Organization.named(organization.namespace().unwrap_or_default(), organization.name_any())
}
