//! IO, reads only: what the decision about a stack's settings needs, from both sides.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use kube::ResourceExt;

use super::{
    desired::desired,
    interval,
    plan::{Deletion, Inputs, Read, View},
    reason::Reason,
    remote::remote,
    schedules::{self, Seen},
};
use crate::{
    api::{
        Deployment, Organization, StackDeploymentSettings, StackDeploymentSettingsStatus, Time,
        condition::{find, is_ready, types},
        deployment::{Operation, RunDeletionPolicy},
        names::REQUESTED_AT,
        schedule::ScheduleStatus,
        settings::SettingsDeletionPolicy,
    },
    controllers::{
        Context, Error,
        access::Verdict,
        conditions::{PAUSE_APPLIED, Words},
        connections::Connection,
        context::Way,
        document::{ValueRef, references},
        links::{Kind, Link, Resource},
        requeue::consequence,
        sources, sweep, write,
    },
    pulumi::{self, Admission, CallClass, Permit, StackId, console, wire::Schedule},
};

/// Settings, perhaps the stack, a push, the pause read and set.
const CALLS: u32 = 5;

/// The schedules, the latest drift run, and some steps.
const SCHEDULE_CALLS: u32 = 10;

/// What `act` needs to carry the plan out.
pub struct Means {
    /// The way to the organization.
    pub connection: Arc<Connection>,
    /// For what is left to be called.
    pub permit: Permit,
    /// The stack.
    pub stack: StackId,
}

/// Reads what the decision needs, and as little of it as will do.
pub async fn gather(settings: &StackDeploymentSettings, context: &Context) -> Result<(Inputs, Option<Means>), Error> {
    let namespace = settings.namespace().unwrap_or_default();
    let this = Kind::Settings.named(&namespace, settings.name_any());
    let spec = &settings.spec;
    let deleting = settings.metadata.deletion_timestamp.is_some();
    let mut inputs = declared(settings, context);
    let values = references(&spec.settings);
    let owner = owner(settings);
    let organization = context.organizations.get(&owner.namespace, &owner.name);
    let target = organization.as_deref().map(|organization| target(organization, settings));
    context.wakers.links.set(&this, links(settings, context));
    inputs.stack = organization.as_deref().map(|organization| stack_name(organization, settings));
    inputs.suspended |= organization.as_deref().is_some_and(|organization| organization.spec.suspend);

    if deleting {
        let needed = destroyers(settings, context, &this);
        if needed > 0 {
            inputs.deletion = Deletion::Needed(needed);
            return Ok((inputs, None));
        }
    }
    if deleting && spec.deletion_policy == SettingsDeletionPolicy::Retain {
        return Ok((inputs, None));
    }
    if let Some(moved) = moved(settings, inputs.stack.as_deref()) {
        inputs.view = View::Refused(moved);
        return Ok((inputs, None));
    }
    let (rivals, leaving): (Vec<_>, Vec<_>) = rivals(context, &this, target.as_deref())
        .into_iter()
        .partition(|rival| rival.metadata.deletion_timestamp.is_none());
    if deleting {
        inputs.deletion = deletion(settings, context, &this, &rivals);
    }
    let admitted = match organization.as_deref() {
        Some(organization) if !deleting => admitted(settings, context, organization, &rivals).await?,
        _ => Ok(None),
    };
    let role_id = match admitted {
        Ok(role_id) => role_id,
        Err(words) => {
            inputs.view = View::Refused(words);
            return Ok((inputs, None));
        }
    };
    if let Some(words) = predecessor(&leaving).filter(|_| !deleting) {
        inputs.view = View::Waiting(words);
        return Ok((inputs, None));
    }
    let denied = match organization.as_deref() {
        Some(organization) if !deleting => denied(settings, context, organization, role_id.as_deref()).await?,
        _ => BTreeMap::new(),
    };
    let due = Due::of(settings, context, &inputs, &values, &denied);
    if due == Due::Not && !deleting {
        return Ok((inputs, None));
    }
    let Some(connection) = way(settings, context, organization.as_deref(), &mut inputs).await? else {
        return Ok((inputs, None));
    };
    let found = sources::read(&context.kube, &context.key, &namespace, &values).await?;
    sweep::learn(context, &namespace, &found.versions);
    context.memory.heeded(&settings.uid().unwrap_or_default());
    if let Some(missing) = found.missing.filter(|_| !deleting) {
        inputs.view = View::Waiting(Words::new(Reason::SourceMissing, missing));
        return Ok((inputs, None));
    }
    let class = if due == Due::Drift { CallClass::Drift } else { CallClass::Create };
    let Admission::Granted(mut permit) =
        connection.governor.try_acquire(class, &namespace, &context.wakers.waiter(&this), calls(settings))
    else {
        // A comparison that only the interval asks for waits in its own class, and in silence.
        inputs.view = if due == Due::Drift && !deleting { View::Quiet } else { View::AwaitingBudget };
        return Ok((inputs, None));
    };
    let stack = connection.stack(&spec.stack.project, &spec.stack.name);
    inputs.view = match remote(&connection, &mut permit, &stack, settings).await {
        Ok(None) => View::NoStack,
        Ok(Some(remote)) => View::Read(Box::new(Read {
            desired: desired(&spec.settings, &found.values, role_id.as_deref(), &context.key),
            sources: found.versions,
            remote: remote.document,
            version: remote.version,
            paused: remote.paused,
            schedules: remote.schedules.map(|remote| schedules_seen(remote, denied, &rivals, settings, context)),
            drift: remote.drift,
        })),
        Err(error) => View::Failed(consequence(&error, "Check what the organization's token may do for this stack.")),
    };
    Ok((inputs, Some(Means { connection, permit, stack })))
}

/// The way to the organization; the last one that there was is good enough for a deletion. Without one, the inputs say so.
async fn way(
    settings: &StackDeploymentSettings,
    context: &Context,
    organization: Option<&Organization>,
    inputs: &mut Inputs,
) -> Result<Option<Arc<Connection>>, Error> {
    let owner = owner(settings);
    let deleting = settings.metadata.deletion_timestamp.is_some();
    let why = match context.way(&owner, organization) {
        Way::Open(connection) => return Ok(Some(connection)),
        Way::Closed(why) => Some(why),
        Way::NotYet => None,
    };
    let kept = context.connections.get(&owner.key()).filter(|_| deleting);
    if let (None, Some(why)) = (&kept, why) {
        if deleting && context.gives_up(settings).await? {
            inputs.deletion = Deletion::GiveUp;
        }
        inputs.view = View::Waiting(Words::new(Reason::OrganizationNotReady, why));
    }
    Ok(kept)
}

/// What is asked for; nothing has been read yet.
fn declared(settings: &StackDeploymentSettings, context: &Context) -> Inputs {
    let spec = &settings.spec;
    let deleting = settings.metadata.deletion_timestamp.is_some();
    Inputs {
        generation: settings.metadata.generation.unwrap_or_default(),
        requested_at: settings.annotations().get(REQUESTED_AT).cloned(),
        stack: None,
        create_stack: spec.create_stack,
        paused: spec.paused,
        schedules: spec.schedules.clone(),
        unmanaged: spec.unmanaged,
        deletion_policy: spec.deletion_policy,
        suspended: context.suspend_all,
        view: View::Quiet,
        deletion: if deleting { Deletion::Yes } else { Deletion::No },
    }
}

/// `organization/project/stack`.
fn stack_name(organization: &Organization, settings: &StackDeploymentSettings) -> String {
    stack_id(organization, settings).to_string()
}

fn stack_id(organization: &Organization, settings: &StackDeploymentSettings) -> StackId {
    StackId {
        organization: organization.remote_name(),
        project: settings.spec.stack.project.clone(),
        stack: settings.spec.stack.name.clone(),
    }
}

/// The stack's deployments in the Pulumi console, as soon as the Organization is there.
pub fn console_page(settings: &StackDeploymentSettings, context: &Context) -> Option<String> {
    let owner = owner(settings);
    let organization = context.organizations.get(&owner.namespace, &owner.name)?;
    console::deployments_url(&organization.spec.backend_url, &stack_id(&organization, settings))
}

/// The remote stack with its backend: what two resources must not both own.
fn target(organization: &Organization, settings: &StackDeploymentSettings) -> String {
    format!("{} {}", organization.spec.backend_url.trim_end_matches('/'), stack_name(organization, settings))
}

/// What was set in one stack must not be unset in another that an Organization of the same name leads to now.
fn moved(settings: &StackDeploymentSettings, stack: Option<&str>) -> Option<Words> {
    let status = settings.status.as_ref();
    let status =
        status.filter(|status| !status.last_applied.is_empty() || schedules::leave_anything(&status.schedules))?;
    let (before, now) = (status.stack.as_deref()?, stack?);
    (before != now).then(|| {
        let message = format!(
            "these settings were pushed to {before}, and their Organization leads to {now} now; \
             set deletionPolicy: Retain, delete this resource and create it again"
        );
        Words::new(Reason::TargetChanged, message)
    })
}

/// What the settings depend on.
pub fn links(settings: &StackDeploymentSettings, context: &Context) -> HashSet<Link> {
    let namespace = settings.namespace().unwrap_or_default();
    let owner = owner(settings);
    let organization = context.organizations.get(&owner.namespace, &owner.name);
    let target = organization.map(|organization| Link::Stack(target(&organization, settings)));
    sources::links(&references(&settings.spec.settings), &namespace)
        .chain([Link::Resource(owner)])
        .chain(target)
        .collect()
}

fn owner(settings: &StackDeploymentSettings) -> Resource {
    let reference = &settings.spec.stack.organization_ref;
    let home = reference.namespace.clone().or_else(|| settings.namespace()).unwrap_or_default();
    Kind::Organization.named(home, &reference.name)
}

/// Other settings of the same stack.
fn rivals(context: &Context, this: &Resource, target: Option<&str>) -> Vec<Arc<StackDeploymentSettings>> {
    target
        .map(|target| context.wakers.links.dependents(&Link::Stack(target.to_owned())))
        .unwrap_or_default()
        .into_iter()
        .filter(|rival| rival != this)
        .filter_map(|rival| context.settings.get(&rival.namespace, &rival.name))
        .collect()
}

fn deletion(
    settings: &StackDeploymentSettings,
    context: &Context,
    this: &Resource,
    rivals: &[Arc<StackDeploymentSettings>],
) -> Deletion {
    if !rivals.is_empty() {
        return Deletion::HandedOver;
    }
    let is_deleted = |deployment: &Deployment| deployment.metadata.deletion_timestamp.is_some();
    let runs = runs(settings, context, this).filter(|deployment| is_deleted(deployment)).count();
    if runs > 0 { Deletion::AfterRuns(runs) } else { Deletion::Yes }
}

/// Deployments that will destroy the stack of these settings, now or later. They must still be able to tell which it is,
/// and it is destroyed with the settings that it has.
fn destroyers(settings: &StackDeploymentSettings, context: &Context, this: &Resource) -> usize {
    let destroys = |deployment: &Deployment| deployment.spec.deletion_policy == RunDeletionPolicy::Destroy;
    runs(settings, context, this).filter(|deployment| destroys(deployment)).count()
}

/// The Deployments of these settings that are not let go.
fn runs(
    settings: &StackDeploymentSettings,
    context: &Context,
    this: &Resource,
) -> impl Iterator<Item = Arc<Deployment>> {
    context
        .wakers
        .links
        .dependents(&Link::Resource(this.clone()))
        .into_iter()
        .filter(|dependent| dependent.kind == Kind::Deployment)
        .filter_map(|dependent| context.deployments.get(&dependent.namespace, &dependent.name))
        .filter(|deployment| write::has_finalizer(&**deployment))
        .filter(|deployment| {
            deployment.spec.settings_ref.as_ref().is_some_and(|reference| reference.name == settings.name_any())
        })
}

/// The role that the organization forces; or why these settings may not be pushed. Access comes before ownership.
async fn admitted(
    settings: &StackDeploymentSettings,
    context: &Context,
    organization: &Organization,
    rivals: &[Arc<StackDeploymentSettings>],
) -> Result<Result<Option<String>, Words>, Error> {
    let role_id = match judged(context, organization, settings, [None]).await? {
        [Verdict::Denied(why)] => return Ok(Err(Words::new(Reason::AccessDenied, why))),
        [Verdict::Allowed { role_id }] => role_id,
    };
    Ok(winner(context, settings, rivals).await?.map_or(Ok(role_id), |winner| {
        let message = format!("the settings of this stack belong to {winner}, which is older; delete one of the two");
        Err(Words::new(Reason::Conflict, message))
    }))
}

/// Who has to go before these settings have their turn: only it knows which schedules it made.
fn predecessor(leaving: &[Arc<StackDeploymentSettings>]) -> Option<Words> {
    let predecessor = leaving.iter().find(|rival| schedules::leave_anything(known_schedules(rival)))?;
    let message =
        format!("the schedules that StackDeploymentSettings {} made go with it first", predecessor.name_any());
    Some(Words::new(Reason::Conflict, message))
}

/// The rival that owns the stack: the oldest of those that may use the organization.
async fn winner(
    context: &Context,
    settings: &StackDeploymentSettings,
    rivals: &[Arc<StackDeploymentSettings>],
) -> Result<Option<String>, Error> {
    let age = |settings: &StackDeploymentSettings| {
        (settings.metadata.creation_timestamp.as_ref().map(|time| time.0), settings.uid())
    };
    let mut older: Vec<_> = rivals.iter().filter(|rival| age(rival) < age(settings)).collect();
    older.sort_by_key(|rival| age(rival));
    for rival in older {
        let reference = &rival.spec.stack.organization_ref;
        let namespace = rival.namespace().unwrap_or_default();
        let Some(organization) =
            context.organizations.get(reference.namespace.as_deref().unwrap_or(&namespace), &reference.name)
        else {
            continue;
        };
        if matches!(judged(context, &organization, rival, [None]).await?, [Verdict::Allowed { .. }]) {
            return Ok(Some(format!("StackDeploymentSettings {namespace}/{}", rival.name_any())));
        }
    }
    Ok(None)
}

/// What the Organization says of each of these uses of the stack.
async fn judged<const N: usize>(
    context: &Context,
    organization: &Organization,
    settings: &StackDeploymentSettings,
    uses: [Option<Operation>; N],
) -> Result<[Verdict; N], Error> {
    let stack = &settings.spec.stack;
    let namespace = settings.namespace().unwrap_or_default();
    context.judge_each(organization, &namespace, (&stack.project, &stack.name), uses).await
}

/// The declared schedules whose operations the Organization does not allow, and why. `role_id` is the role that it forces
/// on the stack's settings.
async fn denied(
    settings: &StackDeploymentSettings,
    context: &Context,
    organization: &Organization,
    role_id: Option<&str>,
) -> Result<BTreeMap<String, String>, Error> {
    use Operation::{Destroy, DetectDrift, Preview, Refresh, RemediateDrift, Update};
    if settings.spec.schedules.is_empty() {
        return Ok(BTreeMap::new());
    }
    let uses = [Update, Preview, Destroy, Refresh, DetectDrift, RemediateDrift];
    let verdicts = judged(context, organization, settings, uses.map(Some)).await?;
    let why = |operation: &Operation| match uses.iter().zip(&verdicts).find(|(known, _)| *known == operation)?.1 {
        Verdict::Denied(why) => Some(why.clone()),
        // A schedule runs with the role in the stack's settings; a rule may not be got around by it.
        Verdict::Allowed { role_id: forced } if forced.as_deref() != role_id => Some(format!(
            "the Organization forces another role on the operation {operation} than on the stack's settings, \
             and a schedule runs with that of the settings; run it as a Deployment"
        )),
        Verdict::Allowed { .. } => None,
    };
    let denied = settings.spec.schedules.iter().filter_map(|schedule| {
        let why = schedules::operations(schedule).iter().find_map(why)?;
        Some((schedule.name.clone(), why))
    });
    Ok(denied.collect())
}

fn schedules_seen(
    remote: Result<Vec<Schedule>, pulumi::Error>,
    denied: BTreeMap<String, String>,
    rivals: &[Arc<StackDeploymentSettings>],
    settings: &StackDeploymentSettings,
    context: &Context,
) -> Seen {
    const REMEDY: &str = "Let the organization's token see the stack's schedules, or take them out.";
    let unreadable = remote.as_ref().err().map(|error| consequence(error, REMEDY));
    let ids = |rival: &Arc<StackDeploymentSettings>| {
        let name = format!("{}/{}", rival.namespace().unwrap_or_default(), rival.name_any());
        known_schedules(rival)
            .iter()
            .filter_map(move |entry| Some((entry.id.clone()?, name.clone())))
            .collect::<Vec<_>>()
    };
    let rivals = rivals.iter().flat_map(ids).collect();
    Seen { remote: remote.unwrap_or_default(), unreadable, rivals, denied, ripe: ripe(settings, context) }
}

/// The schedules whose creation is certain not to arrive any more if it has not by now.
fn ripe(settings: &StackDeploymentSettings, context: &Context) -> BTreeSet<String> {
    let uid = settings.uid().unwrap_or_default();
    known_schedules(settings)
        .iter()
        .filter(|entry| {
            schedules::intent_key(&uid, entry).is_some_and(|key| {
                context.memory.recovery(&key).first_seen.elapsed() >= context.timings.recovery_wait()
            })
        })
        .map(|entry| entry.name.clone())
        .collect()
}

fn known_schedules(settings: &StackDeploymentSettings) -> &[ScheduleStatus] {
    settings.status.as_ref().map(|status| status.schedules.as_slice()).unwrap_or_default()
}

/// How many calls a look may take. Steps that there is no room for are left for the next one.
fn calls(settings: &StackDeploymentSettings) -> u32 {
    if settings.spec.schedules.is_empty() && known_schedules(settings).is_empty() {
        return CALLS;
    }
    CALLS + SCHEDULE_CALLS
}

/// Why the remote side is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// It is not.
    Not,
    /// Only the interval has passed.
    Drift,
    /// Something changed here, or the last attempt did not succeed.
    Change,
}

impl Due {
    fn of(
        settings: &StackDeploymentSettings,
        context: &Context,
        inputs: &Inputs,
        values: &BTreeSet<ValueRef>,
        denied: &BTreeMap<String, String>,
    ) -> Self {
        let uid = settings.uid().unwrap_or_default();
        let namespace = settings.namespace().unwrap_or_default();
        let Some(status) = &settings.status else { return Self::Change };
        let sources_same = sources::objects(values).into_iter().all(|(kind, name)| {
            let read = status
                .sources
                .iter()
                .find(|source| source.kind == kind && source.name == name)
                .map(|source| source.resource_version.clone());
            read.is_some() && read == context.sources.get(kind, &namespace, &name)
        });
        let settled = (is_ready(&status.conditions, inputs.generation) || has_ended(settings, status, inputs))
            && find(&status.conditions, types::RECONCILING).is_none()
            && find(&status.conditions, PAUSE_APPLIED).is_none()
            && status.last_handled_reconcile_at == inputs.requested_at
            && sources_same
            && status.content_digest.as_ref().is_none_or(|digest| context.key.understands(digest))
            && schedules::are_settled(&settings.spec.schedules, &status.schedules, denied)
            && !context.memory.is_nudged(&uid);
        let now = jiff::Timestamp::now().as_second();
        let last = context.memory.last_checked(&uid, now);
        let look = schedules::looks(status, Time::from_seconds(last), context.timings.resync)
            .any(|time| time.seconds() > last && time.seconds() <= now);
        match (settled, look || interval::is_due(&uid, settings.spec.interval.value(), last, now)) {
            (false, _) => Self::Change,
            (true, true) => Self::Drift,
            (true, false) => Self::Not,
        }
    }
}

/// The stack's ttl has passed and the stack is gone: nothing will change by itself.
fn has_ended(settings: &StackDeploymentSettings, status: &StackDeploymentSettingsStatus, inputs: &Inputs) -> bool {
    schedules::is_past_its_end(&settings.spec.schedules, Time::from(jiff::Timestamp::now()))
        && find(&status.conditions, types::READY).is_some_and(|ready| {
            ready.reason == format!("{:?}", Reason::Ended) && ready.observed_generation == inputs.generation
        })
}
