//! IO, reads only: what stands between a new request and its run, nearest first.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{Means, cached_settings, dependencies, live_settings};
use crate::{
    api::{
        Deployment, DeploymentStatus, Organization,
        approval::Basis,
        condition::{find, is_ready, types},
        deployment::{Operation, Purpose, Target},
        reference::StackRef,
        settings::SourceKind,
    },
    controllers::{
        Context, Error,
        access::Verdict,
        conditions::Words,
        connections::Connection,
        context::Way,
        deployment::{
            act::LOOK,
            approval::{self, Approved, Step, Subject},
            desired,
            plan::{Inputs, Road, Start},
            reason::Reason,
        },
        digest::{self, without_secrets},
        document::{Values, references},
        links::{Kind, Resource},
        sources, sweep,
    },
    pulumi::{Admission, CallClass},
};

/// Looks down the road.
pub async fn look(
    deployment: &Deployment,
    status: &DeploymentStatus,
    context: &Context,
    this: &Resource,
    organization: Option<&Organization>,
    inputs: &Inputs,
    means: &mut Means,
) -> Result<Road, Error> {
    let Some(stack) = stack(deployment, context) else {
        let name = deployment.spec.settings_ref.as_ref().map(|reference| reference.name.clone()).unwrap_or_default();
        let message = format!(
            "StackDeploymentSettings {}/{name} does not exist; create it, and this goes on by itself",
            this.namespace
        );
        return Ok(Road::Waiting(Words::new(Reason::SettingsNotReady, message)));
    };
    let reference = &stack.organization_ref;
    let home = reference.namespace.as_deref().unwrap_or(&this.namespace);
    let owner = Kind::Organization.named(home, &reference.name);
    let mut role = None;
    if let Some(organization) = organization {
        match context
            .judge(organization, &this.namespace, (&stack.project, &stack.name), Some(deployment.spec.operation))
            .await?
        {
            Verdict::Denied(why) => return Ok(Road::Refused(Words::new(Reason::AccessDenied, why))),
            Verdict::Allowed { role_id } => role = role_id,
        }
    }
    let connection = match context.way(&owner, organization) {
        Way::Open(connection) => connection,
        Way::NotYet => return Ok(Road::NotYet),
        Way::Closed(why) => return Ok(Road::Waiting(Words::new(Reason::OrganizationNotReady, why))),
    };
    if !connection.client.dialect().runs(deployment.spec.operation.as_str()) {
        let message = format!(
            "the preview API, which is all that {} speaks (dialect: Preview in the Organization), lacks the operation {}; \
             choose another, or set dialect: Stacks when the backend has the other API by now",
            connection.backend, deployment.spec.operation
        );
        return Ok(Road::Refused(Words::new(Reason::UnsupportedByBackend, message)));
    }
    let target = Target {
        backend_url: connection.backend.clone(),
        organization: connection.organization.clone(),
        project: stack.project.clone(),
        stack: stack.name.clone(),
    };
    if let Some(run) = status.run.as_ref().filter(|run| run.target != target) {
        let message = format!(
            "earlier runs went to {}, the reference now leads to {target}; create another Deployment for another stack",
            run.target
        );
        return Ok(Road::Refused(Words::new(Reason::TargetChanged, message)));
    }
    if inputs.adopt.is_some() {
        means.connection = Some(connection);
        return Ok(Road::Known(Box::new(target)));
    }
    if let Some(words) = dependencies::cycle(deployment, context) {
        return Ok(Road::Refused(words));
    }
    // What is offered for approval says itself what must be the same.
    if !approval::is_offered(&inputs.request, status)
        && let Some(remaining) = settling(deployment, context, this, inputs)
    {
        return Ok(Road::Settling(remaining));
    }
    if let Some(words) = dependencies::unready(deployment, context).await? {
        return Ok(Road::Waiting(words));
    }
    let settings_digest = match gate(deployment, context, this).await? {
        Ok(digest) => digest,
        Err(words) => return Ok(Road::Waiting(words)),
    };
    let values = deployment.spec.settings.as_ref().map(references).unwrap_or_default();
    let found = sources::read(&context.kube, &context.key, &this.namespace, &values).await?;
    sweep::learn(context, &this.namespace, &found.versions);
    if let Some(missing) = found.missing {
        return Ok(Road::Waiting(Words::new(Reason::SourceMissing, missing)));
    }
    let settled = Settled { target, connection, values: &found.values, role, settings_digest };
    Ok(at_the_end(deployment, status, context, this, inputs, means, settled))
}

/// What is known once nothing stands in the way any more.
struct Settled<'a> {
    target: Target,
    connection: Arc<Connection>,
    values: &'a Values,
    role: Option<String>,
    settings_digest: Option<String>,
}

/// What is next for the request, and the budget that it takes.
fn at_the_end(
    deployment: &Deployment,
    status: &DeploymentStatus,
    context: &Context,
    this: &Resource,
    inputs: &Inputs,
    means: &mut Means,
    settled: Settled<'_>,
) -> Road {
    let Settled { target, connection, values, role, settings_digest } = settled;
    let operation = deployment.spec.operation;
    let mut body = desired::body(&deployment.spec, operation, values, role.as_deref());
    // Of this object: an approval that another one carried is none of this one's.
    let overrides = context.key.digest(&json!({"uid": inputs.uid, "target": target, "body": without_secrets(&body)}));
    let basis = Basis { settings: settings_digest.clone(), overrides, stack_version: None };
    let subject = Subject { purpose: Purpose::Main, operation, basis };
    let step = approval::step(inputs, status, &subject);
    let purpose = match &step {
        Step::Offer(Some(_)) => Purpose::Preview,
        step => step.purpose().unwrap_or(subject.purpose),
    };
    let operation = if purpose == Purpose::Preview { Operation::Preview } else { operation };
    let mut approved = None;
    if purpose == Purpose::Preview {
        body.insert(&["operation"], operation.as_str());
    } else if let Step::Approved(pending, by) = &step {
        approved = Some(Approved::of(pending, by.clone()));
        desired::pin(&mut body, pending.commit.as_deref());
    }
    let call = match &step {
        Step::Run(Purpose::Preview) | Step::Approved(..) => Some((CallClass::Create, 2)),
        Step::Run(_) => Some((CallClass::Create, 1)),
        Step::Offer(Some(_)) => Some((CallClass::Observe, LOOK)),
        Step::Offer(None) | Step::Outdated(_) | Step::Wait(_) | Step::Reject(_) => None,
    };
    if let Some((class, units)) = call {
        match connection.governor.try_acquire(class, &this.namespace, &context.wakers.waiter(this), units) {
            Admission::Ticket => return Road::AwaitingBudget,
            Admission::Granted(permit) => means.permit = Some(permit),
        }
    }
    means.connection = Some(connection);
    let digest = context.key.digest(&json!({
        "request": inputs.request,
        "target": target,
        "body": without_secrets(&body),
        "settings": settings_digest,
        "requestedAt": inputs.requested_at,
    }));
    Road::Open(Box::new(Start { purpose, operation, target, body, settings_digest, digest, subject, approved }))
}

fn stack(deployment: &Deployment, context: &Context) -> Option<StackRef> {
    deployment
        .spec
        .stack
        .clone()
        .or_else(|| cached_settings(deployment, context).map(|settings| settings.spec.stack.clone()))
}

/// How much longer everything that the run uses must stay the same. One commit may change several things, and
/// GitOps tools apply a Deployment before its settings.
fn settling(
    deployment: &Deployment,
    context: &Context,
    this: &Resource,
    inputs: &Inputs,
) -> Option<std::time::Duration> {
    let settings = cached_settings(deployment, context);
    let mut objects =
        deployment.spec.settings.as_ref().map(|settings| sources::objects(&references(settings))).unwrap_or_default();
    let dependencies = dependencies::states(deployment, context);
    if settings.is_none() && objects.is_empty() && dependencies.is_empty() {
        return None;
    }
    objects.extend(settings.iter().flat_map(|settings| sources::objects(&references(&settings.spec.settings))));
    let versions: Vec<_> =
        objects.into_iter().map(|(kind, name)| context.sources.get(kind, &this.namespace, &name)).collect();
    let settings = settings.map(|settings| (settings.uid(), settings.metadata.generation));
    let fingerprint = digest::plain(&json!([inputs.request, settings, versions, dependencies]));
    let waited = context.memory.unchanged_for(&inputs.uid, &fingerprint);
    deployment.spec.settle.value().checked_sub(waited).filter(|remaining| !remaining.is_zero())
}

/// The live gate: reads, not caches, must show the settings in sync with what is declared and with their sources.
/// Returns the settings' content digest.
async fn gate(
    deployment: &Deployment,
    context: &Context,
    this: &Resource,
) -> Result<Result<Option<String>, Words>, Error> {
    let Some(reference) = &deployment.spec.settings_ref else { return Ok(Ok(None)) };
    let not_ready = |why: String| {
        Ok(Err(Words::new(
            Reason::SettingsNotReady,
            format!("StackDeploymentSettings {}/{} {why}", this.namespace, reference.name),
        )))
    };
    let Some(settings) = live_settings(context, &this.namespace, &reference.name).await? else {
        return not_ready("does not exist; create it, and this goes on by itself".to_owned());
    };
    if settings.metadata.deletion_timestamp.is_some() {
        return not_ready("is being deleted; create it anew, or delete this Deployment too".to_owned());
    }
    let settings_resource = Kind::Settings.named(&this.namespace, &reference.name);
    let status = settings.status.clone().unwrap_or_default();
    if !is_ready(&status.conditions, settings.metadata.generation.unwrap_or_default()) {
        let why = find(&status.conditions, types::READY)
            .map_or("it was not looked at yet".to_owned(), |ready| ready.message.clone());
        return not_ready(format!("is not in sync: {why}"));
    }
    for source in &status.sources {
        let live = match source.kind {
            SourceKind::Secret => version::<Secret>(context, this, &source.name).await?,
            SourceKind::ConfigMap => version::<ConfigMap>(context, this, &source.name).await?,
        };
        if live.as_ref() != Some(&source.resource_version) {
            context.memory.nudge(&settings.uid().unwrap_or_default());
            context.wakers.wake(&settings_resource);
            return not_ready(format!("does not have the latest {:?} {} yet", source.kind, source.name));
        }
    }
    Ok(Ok(status.content_digest))
}

/// The live version of an object, unless it does not exist.
pub async fn version<K>(context: &Context, this: &Resource, name: &str) -> Result<Option<String>, Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(context.kube.clone(), &this.namespace);
    Ok(api.get_metadata_opt(name).await?.and_then(|object| object.resource_version()))
}
