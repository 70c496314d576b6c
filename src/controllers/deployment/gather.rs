//! IO, reads only: what the decision about a Deployment needs, from both sides.

mod dependencies;
mod destroy;
mod road;

use std::{collections::HashSet, sync::Arc};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt};

use super::{
    approval::Word,
    mirror::View,
    outputs::{self, Declared},
    plan::{Adoptee, FailedCancel, Inputs, Reach, Recovery, Road, Sighting, could_start, outputs_due, outputs_first},
    reason::Reason,
    request::{self, Asked, Settings},
};
use crate::{
    api::{
        Deployment, DeploymentStatus, Duration, Organization, StackDeploymentSettings, Time,
        approval::ApprovalMode,
        condition::{find, types},
        deployment::{Run, RunDeletionPolicy, Target},
        names::{ADOPT, APPROVE, APPROVED_BY, REJECT, REQUESTED_AT, RESOLVE_CREATE},
        reference::StackRef,
        settings::SourceKind,
    },
    controllers::{
        Context, Error,
        access::Verdict,
        conditions::Words,
        connections::Connection,
        context::Way,
        document::references,
        links::{Kind, Link, Resource},
        on_heap, sources, write,
    },
    pulumi::{Permit, TrackedRun},
};

/// What `act` needs to carry the plan out.
#[derive(Default)]
pub struct Means {
    /// The way to the organization of what is recorded, or of what is to be started.
    pub connection: Option<Arc<Connection>>,
    /// For the create.
    pub permit: Option<Permit>,
}

pub use dependencies::request_state;

/// The name under which this object is woken.
#[must_use]
pub fn resource(deployment: &Deployment) -> Resource {
    Kind::Deployment.named(deployment.namespace().unwrap_or_default(), deployment.name_any())
}

/// Reads what the decision needs, and as little of it as will do.
pub async fn gather(deployment: &Deployment, context: &Context, now: Time) -> Result<(Inputs, Means), Error> {
    let this = resource(deployment);
    let empty = DeploymentStatus::default();
    let status = deployment.status.as_ref().unwrap_or(&empty);
    let spec = &deployment.spec;
    let deleting = deployment.metadata.deletion_timestamp.is_some();
    let owner = owner(deployment, context);
    let organization = owner.as_ref().and_then(|owner| context.organizations.get(&owner.namespace, &owner.name));
    let mut inputs = Inputs {
        generation: deployment.metadata.generation.unwrap_or_default(),
        uid: deployment.uid().unwrap_or_default(),
        requested_at: deployment.annotations().get(REQUESTED_AT).cloned(),
        request: request::digest(deployment),
        asked: Asked {
            operation: spec.operation,
            digest_without_rerun: request::digest_without_rerun(deployment),
            // What is being deleted follows nothing any more.
            settings: if deleting { Settings::Ignored } else { settings(deployment, status, context).await? },
        },
        history_limit: spec.history_limit,
        adopt: adoptee(deployment, status),
        suspend: spec.suspend,
        supersede: spec.supersede,
        timeout: spec.timeout.as_ref().map(Duration::value),
        queue_timeout: spec.queue_timeout.as_ref().map(Duration::value),
        retry: spec.retry.clone(),
        approval: spec.approval.as_ref().map_or(ApprovalMode::Automatic, |approval| approval.mode),
        word: word(deployment),
        resource: format!("--namespace={} pulumideployment/{}", this.namespace, this.name),
        now,
        service_now: now,
        random: rand::random(),
        deletion: deleting.then_some(spec.deletion_policy),
        give_up: false,
        suspended: context.suspend_all || organization.as_deref().is_some_and(|organization| organization.spec.suspend),
        reach: Reach::Open,
        recovery: recovery(deployment, status, context),
        road: Road::NotRead,
        sighting: Sighting::None,
        cancel_sent: false,
        cancel_failed: None,
        outputs: declared_outputs(deployment, status, context).await?,
    };
    let mut means = Means::default();

    let active = status.run.as_ref().filter(|run| run.result.is_none());
    let recorded = status.intent.as_ref().map(|intent| &intent.target).or(active.map(|run| &run.target));
    if let Some(target) = recorded {
        (inputs.reach, means.connection) = reached(reach(context, &this, owner.as_ref(), target).await?);
        if let Some(connection) = &means.connection {
            inputs.service_now = connection.client.server_time().map_or(now, Time::from);
            // The reference may lead to no Organization any more; its brake holds all the same.
            inputs.suspended |= organization_of(connection, context).is_some_and(|it| it.spec.suspend);
        }
        if deleting && means.connection.is_none() {
            inputs.give_up = context.gives_up(deployment).await?;
        }
        if let (Some(run), Some(connection)) = (active, &means.connection) {
            inputs.sighting = sight(context, &this, run, connection);
            inputs.cancel_sent = context.memory.cancel_sent(&run.id);
            inputs.cancel_failed = context
                .memory
                .failed_cancel(&run.id, &inputs.latest_word())
                .map(|(standing, remaining)| FailedCancel { standing, remaining });
        }
        return Ok((inputs, means));
    }
    if let (Some(run), false) = (outputs_due(&inputs, status), deleting) {
        (inputs.reach, means.connection) = reached(reach(context, &this, owner.as_ref(), &run.target).await?);
    }
    if deleting && could_start(&inputs, status) {
        inputs.road = on_heap(|| destroy::look(deployment, status, context, &this, &inputs, &mut means)).await?;
    } else if inputs.adopt.is_some() || (could_start(&inputs, status) && outputs_first(&inputs, status).is_none()) {
        let organization = organization.as_deref();
        inputs.road =
            on_heap(|| road::look(deployment, status, context, &this, organization, &inputs, &mut means)).await?;
    }
    Ok((inputs, means))
}

/// How much of a user's name is kept.
const LONGEST_NAME: usize = 253;

/// What a person has written about approval.
fn word(deployment: &Deployment) -> Word {
    let written = |name: &str| {
        let text = deployment.annotations().get(name).map(|text| text.trim());
        text.filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    };
    // It goes into status, which has no room for everything that fits into an annotation.
    let by = written(APPROVED_BY).map(|by| by.chars().take(LONGEST_NAME).collect());
    Word { approve: written(APPROVE), reject: written(REJECT), by }
}

/// Where outputs are to be written. Whether they are still there is looked up where nothing else is left to do.
async fn declared_outputs(
    deployment: &Deployment,
    status: &DeploymentStatus,
    context: &Context,
) -> Result<Option<Declared>, Error> {
    let Some(spec) = &deployment.spec.outputs else { return Ok(None) };
    let uid = deployment.uid().unwrap_or_default();
    let tried = outputs::current(status).and_then(|run| context.memory.outputs_tried(&uid, &run.id));
    let is_untried = tried.is_none_or(|ago| ago >= context.timings.resync);
    let mut declared = Declared { spec: spec.clone(), is_gone: false, is_untried };
    if outputs::is_written(spec, status) {
        let this = resource(deployment);
        for (kind, target) in outputs::targets(spec) {
            let version = match kind {
                SourceKind::Secret => road::version::<Secret>(context, &this, &target.name).await?,
                SourceKind::ConfigMap => road::version::<ConfigMap>(context, &this, &target.name).await?,
            };
            declared.is_gone |= version.is_none();
        }
    }
    Ok(Some(declared))
}

/// Whether outputs are to be written, as far as the caches tell.
fn outputs_are_due(deployment: &Deployment, status: &DeploymentStatus, context: &Context) -> bool {
    let Some(spec) = &deployment.spec.outputs else { return status.outputs.is_some() };
    let namespace = deployment.namespace().unwrap_or_default();
    let is_gone =
        outputs::targets(spec).any(|(kind, target)| context.sources.get(kind, &namespace, &target.name).is_none());
    let declared = Declared { spec: spec.clone(), is_gone, is_untried: true };
    outputs::due(&declared, deployment.annotations().get(REQUESTED_AT).map(String::as_str), status).is_some()
}

/// What is known of the content of the settings that count for the request. A cache may be behind what a run has used,
/// so what it shows to be another content is read again.
async fn settings(deployment: &Deployment, status: &DeploymentStatus, context: &Context) -> Result<Settings, Error> {
    let seen = request::settings(deployment, cached_settings(deployment, context).as_deref(), &context.key);
    let noted = status.request.as_ref().and_then(|handled| handled.settings_digest.as_ref());
    let (Settings::Known(digest), Some(reference)) = (&seen, &deployment.spec.settings_ref) else { return Ok(seen) };
    if noted == Some(digest) {
        return Ok(seen);
    }
    let live = live_settings(context, &deployment.namespace().unwrap_or_default(), &reference.name).await?;
    Ok(request::settings(deployment, live.as_ref(), &context.key))
}

/// A person's word counts only while nothing was handled.
fn adoptee(deployment: &Deployment, status: &DeploymentStatus) -> Option<Adoptee> {
    let is_heeded = status.request.is_none() && status.intent.is_none() && status.run.is_none();
    let word = deployment.annotations().get(ADOPT).filter(|_| is_heeded)?.trim();
    Some(if word == "latest" { Adoptee::Latest } else { Adoptee::Named(word.to_owned()) })
}

/// Settings as they are now.
async fn live_settings(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<StackDeploymentSettings>, Error> {
    Ok(Api::namespaced(context.kube.clone(), namespace).get_opt(name).await?)
}

/// The settings that the Deployment refers to, as last seen.
fn cached_settings(deployment: &Deployment, context: &Context) -> Option<Arc<StackDeploymentSettings>> {
    let reference = deployment.spec.settings_ref.as_ref()?;
    context.settings.get(&deployment.namespace().unwrap_or_default(), &reference.name)
}

/// The Organization that the Deployment's stack belongs to, as far as it can be told.
fn owner(deployment: &Deployment, context: &Context) -> Option<Resource> {
    let namespace = deployment.namespace().unwrap_or_default();
    let of = |stack: &StackRef| {
        let reference = &stack.organization_ref;
        Kind::Organization
            .named(reference.namespace.clone().unwrap_or_else(|| namespace.clone()), reference.name.clone())
    };
    deployment
        .spec
        .stack
        .as_ref()
        .map(of)
        .or_else(|| cached_settings(deployment, context).map(|settings| of(&settings.spec.stack)))
}

/// What the Deployment depends on.
pub fn links(deployment: &Deployment, context: &Context) -> HashSet<Link> {
    let this = resource(deployment);
    let values = deployment.spec.settings.as_ref().map(references).unwrap_or_default();
    let settings =
        deployment.spec.settings_ref.as_ref().map(|reference| Kind::Settings.named(&this.namespace, &reference.name));
    // One that is gone is written again, and one that stood in the way and is gone is written at last.
    let targets = deployment.spec.outputs.iter().flat_map(outputs::targets).map(|(kind, target)| Link::Source {
        kind,
        namespace: this.namespace.clone(),
        name: target.name.clone(),
    });
    sources::links(&values, &this.namespace)
        .chain(targets)
        .chain(dependencies::links(deployment, context))
        .chain(
            settings.into_iter().chain(owner(deployment, context)).chain(ways(deployment, context)).map(Link::Resource),
        )
        .collect()
}

/// The Organizations that lead to what is recorded and not over, or to be destroyed in the end: they are needed even when
/// the settings that named one of them are gone.
fn ways(deployment: &Deployment, context: &Context) -> Vec<Resource> {
    let Some(status) = &deployment.status else { return vec![] };
    let is_destroyed = deployment.spec.deletion_policy == RunDeletionPolicy::Destroy;
    let needed = status.run.as_ref().filter(|run| run.result.is_none() || is_destroyed).map(|run| &run.target);
    let Some(target) = status.intent.as_ref().map(|intent| &intent.target).or(needed) else { return vec![] };
    let found = context.organizations.filter(|organization| leads_to(organization, target));
    found.iter().map(|way| Kind::Organization.named(way.namespace().unwrap_or_default(), way.name_any())).collect()
}

fn leads_to(organization: &Organization, target: &Target) -> bool {
    organization.remote_name() == target.organization
        && organization.spec.backend_url.trim_end_matches('/') == target.backend_url
}

/// The way to a recorded target: the record decides, since a reference may be gone or lead elsewhere by now.
/// Only an Organization that lets this namespace use the stack is a way.
async fn reach(context: &Context, this: &Resource, owner: Option<&Resource>, target: &Target) -> Result<Way, Error> {
    let mut ways = context.connections.to(&target.backend_url, &target.organization);
    let first = owner.map(Resource::key);
    ways.sort_by_key(|connection| (Some(&connection.key) != first.as_ref(), connection.key.clone()));
    for connection in ways {
        let Some(organization) = organization_of(&connection, context) else { continue };
        let verdict = context.judge(&organization, &this.namespace, (&target.project, &target.stack), None).await?;
        if matches!(verdict, Verdict::Allowed { .. }) {
            return Ok(Way::Open(connection));
        }
    }
    let organization = owner.and_then(|owner| context.organizations.get(&owner.namespace, &owner.name));
    if let (Some(owner), Some(organization)) = (owner, organization)
        && matches!(context.way(owner, Some(&organization)), Way::NotYet)
    {
        return Ok(Way::NotYet);
    }
    Ok(Way::Closed(format!(
        "no Organization gives this namespace access to {target} at {} any more; this goes on as soon as one does \
         (deletionPolicy: Orphan lets a resource that is being deleted go at once)",
        target.backend_url
    )))
}

/// What a way means for what is recorded.
fn reached(way: Way) -> (Reach, Option<Arc<Connection>>) {
    match way {
        Way::Open(connection) => (Reach::Open, Some(connection)),
        Way::NotYet => (Reach::NotYet, None),
        Way::Closed(why) => (Reach::Blocked(Words::new(Reason::OrganizationNotReady, why)), None),
    }
}

/// The Organization that a connection is of, as last seen.
fn organization_of(connection: &Connection, context: &Context) -> Option<Arc<Organization>> {
    let (home, name) = connection.key.split_once('/')?;
    context.organizations.get(home, name)
}

/// Has the run followed, and returns the latest look at it.
fn sight(context: &Context, this: &Resource, run: &Run, connection: &Connection) -> Sighting {
    context.observer.track(
        &connection.key,
        TrackedRun {
            id: run.id.clone(),
            stack: connection.stack(&run.target.project, &run.target.stack),
            version: run.version,
            created: run.queued_at.and_then(|time| jiff::Timestamp::from_second(time.seconds()).ok()),
            wake: context.wakers.callback(this.clone()),
        },
    );
    match context.observer.snapshot(&run.id) {
        Some(sighting) if sighting.missing > 0 => {
            Sighting::Missing(context.memory.missed(&run.id, context.timings.miss))
        }
        Some(sighting) => sighting.run.map_or(Sighting::None, |deployment| {
            context.memory.seen(&run.id);
            Sighting::Seen(Box::new(View::of(&deployment)))
        }),
        None => Sighting::None,
    }
}

fn recovery(deployment: &Deployment, status: &DeploymentStatus, context: &Context) -> Recovery {
    let Some(intent) = &status.intent else { return Recovery::None };
    if context.memory.is_never_sent(&intent.nonce) {
        return Recovery::NotCreated;
    }
    let waited = context.memory.recovery(&intent.nonce).first_seen.elapsed();
    match context.timings.recovery_wait().checked_sub(waited).filter(|remaining| !remaining.is_zero()) {
        Some(remaining) => Recovery::Wait(remaining),
        None => match deployment.annotations().get(RESOLVE_CREATE).filter(|_| asked_for(status)).map(String::as_str) {
            Some("retry") => Recovery::DeclaredLost,
            Some(id) => Recovery::Named(id.to_owned()),
            None => Recovery::Look,
        },
    }
}

/// A person's word counts only after a search has failed: one that was left from an earlier create would repeat this
/// one blindly.
fn asked_for(status: &DeploymentStatus) -> bool {
    let unknown = format!("{:?}", Reason::CreateOutcomeUnknown);
    find(&status.conditions, types::READY).is_some_and(|ready| ready.reason == unknown)
}

/// Whether the object as cached needs nothing at all: its request has run to its end.
#[must_use]
pub fn is_quiescent(deployment: &Deployment, context: &Context) -> bool {
    let Some(status) = &deployment.status else { return false };
    deployment.metadata.deletion_timestamp.is_none()
        && write::has_finalizer(deployment)
        && status.observed_generation == deployment.metadata.generation
        && status.last_handled_reconcile_at.as_ref() == deployment.annotations().get(REQUESTED_AT)
        && find(&status.conditions, types::RECONCILING).is_none()
        && status.run.as_ref().is_none_or(|run| run.result.is_some() && run.result == status.phase)
        && request::is_handled(deployment, cached_settings(deployment, context).as_deref(), &context.key)
        && !outputs_are_due(deployment, status, context)
}
