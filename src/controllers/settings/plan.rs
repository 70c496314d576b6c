//! Pure: desired × last applied × remote × status → what is done about the settings of a stack.

use std::time::Duration;

use serde_json::Value;

use super::{
    desired::Desired,
    equality::remote_digest,
    merge::{Merge, Merged},
    reason::Reason,
    schedules::{self, Agenda},
};
use crate::{
    api::{
        StackDeploymentSettingsStatus, Time,
        condition::is_ready,
        schedule::{DriftResult, DriftStatus, Schedule},
        settings::{AppliedField, Correction, RemoteVersion, SettingsDeletionPolicy, SourceVersion, Unmanaged},
    },
    controllers::{conditions::Words, digest::InstallKey, requeue::Consequence},
    pulumi::{Node, wire},
};

/// Corrections of the same fields within [`CONTEST_WINDOW`] that make it a contest.
pub(super) const CONTEST: usize = 3;

/// How long a correction is remembered.
pub(super) const CONTEST_WINDOW: Duration = Duration::from_secs(3600);

/// All that the decision looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inputs {
    /// `metadata.generation`.
    pub generation: i64,
    /// The annotation that asks for a look now.
    pub requested_at: Option<String>,
    /// The stack, as `organization/project/stack`, when the organization is known.
    pub stack: Option<String>,
    /// Whether the stack is to be created when it is missing.
    pub create_stack: bool,
    /// The pause that is asked for.
    pub paused: Option<bool>,
    /// The schedules that are asked for.
    pub schedules: Vec<Schedule>,
    /// What happens to fields that nobody declared.
    pub unmanaged: Unmanaged,
    /// What happens when the resource is deleted.
    pub deletion_policy: SettingsDeletionPolicy,
    /// Whether nothing may be written remotely.
    pub suspended: bool,
    /// The way to the decision: what stands in it, or what was read.
    pub view: View,
    /// Whether and how it is being deleted.
    pub deletion: Deletion,
}

/// What was read, as far as reading came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// Nothing has changed and nothing is due.
    Quiet,
    /// It goes on by itself when this has changed.
    Waiting(Words),
    /// A person must change something.
    Refused(Words),
    /// The request budget has no room yet; the governor wakes the resource.
    AwaitingBudget,
    /// The service could not be asked, or refused.
    Failed(Consequence),
    /// The stack does not exist.
    NoStack,
    /// Everything was read.
    Read(Box<Read>),
}

/// Everything that a merge needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// What is to be true.
    pub desired: Desired,
    /// The objects that the values came from.
    pub sources: Vec<SourceVersion>,
    /// The remote document; `null` when there is none.
    pub remote: Value,
    /// The service's counter of changes.
    pub version: Option<u64>,
    /// Whether the stack is paused, read when a pause is asked for.
    pub paused: Option<bool>,
    /// The stack's schedules, read when some are declared or were made.
    pub schedules: Option<schedules::Seen>,
    /// What is known of the stack's drift.
    pub drift: DriftView,
}

/// What was read about drift.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DriftView {
    /// Nobody wants to know.
    NotAsked,
    /// It could not be read; nothing hangs on it.
    Unreadable,
    /// What the service says.
    Seen(DriftSeen),
}

/// What the service says about drift.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DriftSeen {
    /// The latest detection.
    pub drift: wire::Drift,
    /// What became of it.
    pub result: DriftResult,
    /// The version of the deployment that looked, as far as it is known.
    pub version: Option<u64>,
    /// That deployment in the Pulumi console, as far as it is known.
    pub url: Option<String>,
}

/// Whether and how the resource is being deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Deletion {
    /// It is not.
    No,
    /// It is, and Deployments with `deletionPolicy: Destroy` still need it, to destroy the stack that it names.
    Needed(usize),
    /// It is, and another resource declares the settings of this stack.
    HandedOver,
    /// It is, and Deployments that are being deleted as well come first.
    AfterRuns(usize),
    /// It is, its namespace is going, and the service has been out of reach for too long.
    GiveUp,
    /// It is.
    Yes,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Nothing.
    Idle,
    /// Wait; it goes on by itself.
    Wait(Words),
    /// Wait for the stack, which nothing in Kubernetes will tell of.
    AwaitStack(Words),
    /// Wait for a person.
    Refuse(Words),
    /// Wait for the request budget.
    AwaitBudget,
    /// The service could not be asked, or refused.
    Report(Consequence),
    /// Create the stack, then look again.
    CreateStack,
    /// Make it so.
    Converge(Box<Convergence>),
    /// Let the resource go and leave everything as it is.
    Release,
    /// Unset what this resource had set, then let it go.
    Clear(Clearance),
}

/// What makes the remote side as declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Convergence {
    /// The merge patch to send, when one is needed.
    pub patch: Option<Node>,
    /// The fields that are about to be set for the first time. They are written into status before the patch is
    /// sent, so that a crash in between leaves nothing behind that nobody remembers.
    pub claim: Vec<AppliedField>,
    /// The pause to set.
    pub set_paused: Option<bool>,
    /// The pause as it will be.
    pub paused: Option<bool>,
    /// What this resource will have set.
    pub applied: Vec<AppliedField>,
    /// The remote document as it is when no patch is needed.
    pub remote: RemoteVersion,
    /// Digest of what is declared.
    pub content_digest: String,
    /// The objects that the values came from.
    pub sources: Vec<SourceVersion>,
    /// Earlier corrections, and this one when it is one.
    pub corrections: Vec<Correction>,
    /// Whether it undoes a change that was made elsewhere.
    pub corrects: bool,
    /// What is done about schedules; nothing when none are declared and none were made.
    pub schedules: Option<Agenda>,
    /// What the latest drift detection found.
    pub drift: Option<DriftStatus>,
}

/// How what was set is unset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Clearance {
    /// The schedules that go first.
    pub schedules: Agenda,
    /// What becomes of the settings.
    pub settings: Unset,
}

/// How settings are unset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unset {
    /// Nothing of ours is there.
    Nothing,
    /// Others have set something as well: null only what is ours.
    Patch(Node),
    /// Nothing else is left: delete the settings.
    Delete,
}

/// Decides.
#[must_use]
pub fn plan(inputs: &Inputs, status: &StackDeploymentSettingsStatus, key: &InstallKey, now: Time) -> Plan {
    if inputs.deletion != Deletion::No {
        return deletion(inputs, status, key, now);
    }
    match &inputs.view {
        View::Quiet => Plan::Idle,
        View::Waiting(words) => Plan::Wait(words.clone()),
        View::Refused(words) => Plan::Refuse(words.clone()),
        View::AwaitingBudget => Plan::AwaitBudget,
        View::Failed(consequence) => Plan::Report(consequence.clone()),
        View::NoStack if inputs.create_stack && inputs.suspended => Plan::Wait(suspended("the stack is not created")),
        View::NoStack if schedules::is_past_its_end(&inputs.schedules, now) => Plan::Refuse(Words::new(
            Reason::Ended,
            format!(
                "stack {} is gone, as its ttl has passed, and is not created again; delete this resource, \
                 or write a later time",
                inputs.stack.as_deref().unwrap_or_default()
            ),
        )),
        View::NoStack if inputs.create_stack => Plan::CreateStack,
        View::NoStack => Plan::AwaitStack(Words::new(
            Reason::StackNotFound,
            format!(
                "stack {} does not exist yet; create it (pulumi stack init), or set createStack: true",
                inputs.stack.as_deref().unwrap_or_default()
            ),
        )),
        View::Read(read) => converge(inputs, read, status, key, now),
    }
}

fn converge(inputs: &Inputs, read: &Read, status: &StackDeploymentSettingsStatus, key: &InstallKey, now: Time) -> Plan {
    let seen = RemoteVersion { digest: remote_digest(&read.remote), version: read.version };
    let known = status.remote.as_ref();
    let moved = known != Some(&seen);
    let declared_anew = status.content_digest.as_deref() != Some(&read.desired.digest);
    let merged = Merge {
        declared: &read.desired.document,
        last_applied: &status.last_applied,
        remote: &read.remote,
        distrust_masked: known.map(|known| known.version) != Some(read.version),
        unmanaged: inputs.unmanaged,
    }
    .run(key);

    // A value that the service normalizes in a way nobody foresaw must not lead to a patch per interval; what is
    // asked for in another way (unmanaged: Remove) is a reason to look at all again.
    let Merged { patch, touched, visible, applied, leaves_nothing: _ } = merged;
    let settled = is_ready(&status.conditions, inputs.generation);
    let patch = patch.filter(|_| moved || declared_anew || !settled);
    let agenda = read.schedules.as_ref().map(|seen| schedules::plan(&inputs.schedules, &status.schedules, seen, now));
    let corrects = patch.is_some() && known.is_some() && moved && !declared_anew && !visible.is_empty();
    let mut corrections = if declared_anew { vec![] } else { status.corrections.clone() };
    // They are forgotten after the contest, not during it: those that are kept were made within one window.
    if corrects {
        if corrections.iter().filter(|correction| correction.paths == visible).count() >= CONTEST {
            return Plan::Refuse(Words::new(
                Reason::Contested,
                format!(
                    "{} changed elsewhere and was corrected {CONTEST} times within an hour, so nothing is pushed any more; \
                     find out what else sets it, then change something here (an annotation will not do) to go on",
                    visible.join(", ")
                ),
            ));
        }
        corrections.push(Correction { time: now, paths: visible });
    }
    corrections.retain(|correction| now.since(correction.time) < CONTEST_WINDOW);
    let set_paused = inputs.paused.filter(|wanted| read.paused != Some(*wanted));
    if inputs.suspended {
        let fields = if patch.is_some() { touched } else { vec![] };
        let steps = agenda.iter().flat_map(|agenda| &agenda.steps).map(|step| format!("schedule {}", step.name));
        let pause = set_paused.map(|_| "the stack's pause".to_owned());
        let changes: Vec<String> = fields.into_iter().chain(pause).chain(steps).collect();
        if !changes.is_empty() {
            return Plan::Wait(suspended(&format!("{} would be changed", changes.join(", "))));
        }
    }
    let claim = applied
        .iter()
        .filter(|field| !status.last_applied.iter().any(|known| known.path == field.path))
        .map(|field| AppliedField { path: field.path.clone(), digest: None })
        .collect();
    Plan::Converge(Box::new(Convergence {
        claim: if patch.is_some() { claim } else { vec![] },
        patch,
        set_paused,
        paused: inputs.paused.or(read.paused),
        applied,
        remote: seen,
        content_digest: read.desired.digest.clone(),
        sources: read.sources.clone(),
        corrections,
        corrects,
        schedules: agenda,
        drift: drift(&read.drift, status.drift.as_ref(), now),
    }))
}

/// A drift run that is under way has found nothing yet: what the one before it found stands until it has ended.
fn drift(view: &DriftView, known: Option<&DriftStatus>, now: Time) -> Option<DriftStatus> {
    let DriftSeen { drift: wire::Drift { detected, latest_run, in_progress }, result, version, url } = match view {
        DriftView::NotAsked => return None,
        DriftView::Unreadable => return known.cloned(),
        DriftView::Seen(seen) => seen,
    };
    let fresh = |run: Option<String>| DriftStatus {
        detected: *detected && run.is_some(),
        result: *result,
        run,
        in_progress: *in_progress,
        version: *version,
        url: url.clone(),
        seen_at: now,
    };
    if *in_progress {
        return Some(known.map_or_else(|| fresh(None), |known| DriftStatus { in_progress: true, ..known.clone() }));
    }
    let run = latest_run.clone()?;
    Some(match known {
        Some(known) if known.run.as_ref() == Some(&run) && known.detected == *detected => {
            DriftStatus { in_progress: false, ..known.clone() }
        }
        _ => fresh(Some(run)),
    })
}

fn deletion(inputs: &Inputs, status: &StackDeploymentSettingsStatus, key: &InstallKey, now: Time) -> Plan {
    let nothing_set = status.last_applied.is_empty() && !schedules::leave_anything(&status.schedules);
    match &inputs.deletion {
        Deletion::Needed(count) => {
            return Plan::Wait(Words::new(
                Reason::Finalizing,
                format!(
                    "{count} Deployments with deletionPolicy: Destroy need these settings to destroy the stack; delete \
                     those, or give them another deletionPolicy"
                ),
            ));
        }
        // Whoever takes over cannot know which schedules were made here.
        Deletion::HandedOver if !schedules::leave_anything(&status.schedules) => return Plan::Release,
        Deletion::GiveUp => return Plan::Release,
        _ if inputs.deletion_policy == SettingsDeletionPolicy::Retain || nothing_set => return Plan::Release,
        Deletion::AfterRuns(count) => {
            return Plan::Wait(Words::new(
                Reason::Finalizing,
                format!("{count} Deployments that are being deleted as well come first"),
            ));
        }
        Deletion::HandedOver | Deletion::Yes | Deletion::No => {}
    }
    if inputs.suspended {
        return Plan::Wait(suspended("the settings are not cleared; deletionPolicy: Retain would leave them"));
    }
    match &inputs.view {
        View::Quiet => Plan::Idle,
        View::Waiting(words) | View::Refused(words) => Plan::Wait(words.clone()),
        View::AwaitingBudget => Plan::AwaitBudget,
        View::Failed(consequence) => Plan::Report(consequence.clone()),
        View::NoStack => Plan::Release,
        View::Read(read) => clear(inputs, read, status, key, now),
    }
}

fn clear(inputs: &Inputs, read: &Read, status: &StackDeploymentSettingsStatus, key: &InstallKey, now: Time) -> Plan {
    let agenda =
        read.schedules.as_ref().map(|seen| schedules::plan(&[], &status.schedules, seen, now)).unwrap_or_default();
    if let (Some(unreadable), true) = (&agenda.unreadable, schedules::leave_anything(&agenda.entries)) {
        return Plan::Report(unreadable.clone());
    }
    if schedules::await_an_answer(&agenda.entries) {
        return Plan::Wait(Words::new(
            Reason::Finalizing,
            "the answer to the creation of a schedule was lost; it is looked for until it is certain not to come",
        ));
    }
    let merged = Merge {
        declared: &Node::object(),
        last_applied: &status.last_applied,
        remote: &read.remote,
        distrust_masked: false,
        unmanaged: Unmanaged::Keep,
    }
    .run(key);
    let settings = match merged.patch {
        _ if inputs.deletion == Deletion::HandedOver => Unset::Nothing,
        None => Unset::Nothing,
        Some(_) if merged.leaves_nothing => Unset::Delete,
        Some(patch) => Unset::Patch(patch),
    };
    if settings == Unset::Nothing && agenda.steps.is_empty() {
        return Plan::Release;
    }
    Plan::Clear(Clearance { schedules: agenda, settings })
}

fn suspended(what: &str) -> Words {
    Words::new(
        Reason::Suspended,
        format!("nothing is written remotely while spec.suspend of the Organization or --suspend-all holds: {what}"),
    )
}

#[cfg(test)]
pub(super) mod tests;
