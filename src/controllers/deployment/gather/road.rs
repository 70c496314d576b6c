//! IO, reads only: what stands between a new request and its run, nearest first.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{Means, cached_settings};
use crate::{
    api::{
        Deployment, DeploymentStatus, Organization, StackDeploymentSettings,
        condition::{find, is_ready, types},
        deployment::{Purpose, Target},
        reference::StackRef,
        settings::SourceKind,
    },
    controllers::{
        Context, Error,
        access::Verdict,
        conditions::Words,
        context::Way,
        deployment::{
            desired,
            plan::{Inputs, Road, Start},
            reason::Reason,
        },
        digest::{self, without_secrets},
        document::references,
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
    if let Some(remaining) = settling(deployment, context, this, inputs) {
        return Ok(Road::Settling(remaining));
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
    match connection.governor.try_acquire(CallClass::Create, &this.namespace, &context.wakers.waiter(this), 1) {
        Admission::Ticket => return Ok(Road::AwaitingBudget),
        Admission::Granted(permit) => means.permit = Some(permit),
    }
    means.connection = Some(connection);
    let (purpose, operation) = (Purpose::Main, deployment.spec.operation);
    let body = desired::body(&deployment.spec, operation, &found.values, role.as_deref());
    let digest = context.key.digest(&json!({
        "request": inputs.request,
        "target": target,
        "body": without_secrets(&body),
        "settings": settings_digest,
        "requestedAt": inputs.requested_at,
    }));
    Ok(Road::Open(Box::new(Start { purpose, operation, target, body, digest })))
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
    if settings.is_none() && objects.is_empty() {
        return None;
    }
    objects.extend(settings.iter().flat_map(|settings| sources::objects(&references(&settings.spec.settings))));
    let versions: Vec<_> =
        objects.into_iter().map(|(kind, name)| context.sources.get(kind, &this.namespace, &name)).collect();
    let settings = settings.map(|settings| (settings.uid(), settings.metadata.generation));
    let fingerprint = digest::plain(&json!([inputs.request, settings, versions]));
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
    let api: Api<StackDeploymentSettings> = Api::namespaced(context.kube.clone(), &this.namespace);
    let not_ready = |why: String| {
        Ok(Err(Words::new(
            Reason::SettingsNotReady,
            format!("StackDeploymentSettings {}/{} {why}", this.namespace, reference.name),
        )))
    };
    let Some(settings) = api.get_opt(&reference.name).await? else {
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
