//! Pure: what is known of a Deployment → what is done about it. The state machine of a run, top to bottom.

mod destroy;

use std::time::Duration;

use super::{
    approval::{self, Approved, Step, Subject, Unsaid, Word},
    drift,
    mirror::View,
    outputs::{self, Declared},
    reason::Reason,
    request::{self, Asked, is_new},
};
use crate::{
    api::{
        DeploymentStatus, Time,
        approval::{ApprovalMode, Moved},
        deployment::{
            CancelReason, HandledRequest, Intent, Operation, Phase, Purpose, Retry, RetryPolicy, Run,
            RunDeletionPolicy, Supersede, Target, Trigger,
        },
    },
    controllers::{
        conditions::{Standing, Words},
        digest,
        requeue::grown,
    },
    pulumi::Node,
};

use super::mirror::Stage;

/// Misses in a row, by an accepted token and each well after the one before, that make a run count as gone.
const MISSES: u32 = 3;

/// All that the decision looks at.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, read from another place")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inputs {
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.uid`.
    pub uid: String,
    /// The annotation that asks for a look now.
    pub requested_at: Option<String>,
    /// Digest of what is asked for.
    pub request: String,
    /// What is asked for, apart from that.
    pub asked: Asked,
    /// How many earlier runs are remembered.
    pub history_limit: u32,
    /// The run that a person wants to have taken for the first request's.
    pub adopt: Option<Adoptee>,
    /// Whether new runs are held back by the resource itself.
    pub suspend: bool,
    /// What happens to a run that a new request finds under way.
    pub supersede: Supersede,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// How long a run may wait in the service's queue.
    pub queue_timeout: Option<Duration>,
    /// Whether and when a run that failed is tried again.
    pub retry: Option<RetryPolicy>,
    /// Whether a person must approve what runs.
    pub approval: ApprovalMode,
    /// What a person has written about that.
    pub word: Word,
    /// What kubectl calls the resource.
    pub resource: String,
    /// The operator's clock.
    pub now: Time,
    /// The service's clock, which its times are compared with; the operator's as long as it is not known.
    pub service_now: Time,
    /// Uniform over all numbers, for the wait before the next attempt.
    pub random: u32,
    /// The policy to follow, when the resource is being deleted.
    pub deletion: Option<RunDeletionPolicy>,
    /// Whether the service has been out of reach for so long, in a terminating namespace, that the resource is let go.
    pub give_up: bool,
    /// Whether nothing may be written remotely.
    pub suspended: bool,
    /// Whether the service can be reached for the run or intent that is recorded.
    pub reach: Reach,
    /// Where the search for a lost create stands.
    pub recovery: Recovery,
    /// What stands between a new request and its run. Read only when a run could start.
    pub road: Road,
    /// The latest look at the run.
    pub sighting: Sighting,
    /// Whether this process has sent the run's cancel.
    pub cancel_sent: bool,
    /// The last cancel of the run failed, and it is too early to try again.
    pub cancel_failed: Option<FailedCancel>,
    /// Where the stack's outputs are to be written, if anywhere.
    pub outputs: Option<Declared>,
}

impl Inputs {
    /// What a person has asked for so far, in few words: something new may put right what failed before.
    #[must_use]
    pub fn latest_word(&self) -> String {
        format!("{} {}", self.generation, self.requested_at.as_deref().unwrap_or_default())
    }
}

/// The run that is taken for the first request's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Adoptee {
    /// The newest of the stack, if it has any.
    Latest,
    /// The one with this id.
    Named(String),
}

/// Whether the service can be reached for what is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Yes, or nothing is recorded.
    Open,
    /// This process has not looked yet.
    NotYet,
    /// No, and why.
    Blocked(Words),
}

/// Where the search for a lost create stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// Nothing is lost.
    None,
    /// This process knows that the create was never accepted.
    NotCreated,
    /// It may still be on its way.
    Wait(Duration),
    /// It is time to look.
    Look,
    /// A person has found the run, and named its id.
    Named(String),
    /// A person says that there is no run.
    DeclaredLost,
}

/// What stands between a new request and its run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Road {
    /// It was not read.
    NotRead,
    /// This process has not looked at the organization yet.
    NotYet,
    /// It goes on by itself when this has changed.
    Waiting(Words),
    /// A person must change something.
    Refused(Words),
    /// Everything must stay the same for this long.
    Settling(Duration),
    /// The request budget has no room yet.
    AwaitingBudget,
    /// The stack is known; a person wants no run, but one of this stack taken for it.
    Known(Box<Target>),
    /// It leads nowhere: nothing ever ran, and what would name the stack of a resource that is being deleted is not there.
    Nowhere,
    /// Nothing.
    Open(Box<Start>),
}

/// Everything that a run needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Start {
    /// What it is for.
    pub purpose: Purpose,
    /// The operation, which follows from the purpose.
    pub operation: Operation,
    /// The stack.
    pub target: Target,
    /// The body of the request that creates the run, without its nonce.
    pub body: Node,
    /// Content digest of the settings that are used.
    pub settings_digest: Option<String>,
    /// Digest of all that goes into the request; what was refused once is not sent again.
    pub digest: String,
    /// What is asked for, which the run may only be the preview of.
    pub subject: Subject,
    /// Who approved it, where somebody had to.
    pub approved: Option<Approved>,
}

/// The latest look at the run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sighting {
    /// Nothing was seen yet.
    None,
    /// It was seen.
    Seen(Box<View>),
    /// The service says, this often in a row and each time well after the one before, that there is no such run.
    Missing(u32),
}

/// A cancel that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FailedCancel {
    /// What is said of it.
    pub standing: Standing,
    /// When it is tried again.
    pub remaining: Duration,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// All is done; nothing happens until something changes.
    Idle,
    /// The status comes from another object or another version of the operator: take it over, and run nothing.
    Adopt(Adoption),
    /// Take a run that is there already for that of the request, and run nothing.
    TakeOver(Adoptee, Box<Target>),
    /// Nothing, until the organization has been looked at.
    Hold,
    /// Wait; it goes on by itself.
    Wait(Words),
    /// Wait for a person.
    Refuse(Words),
    /// Wait until nothing has changed for a while.
    Settle(Duration),
    /// Wait for the request budget.
    AwaitBudget,
    /// Wait until it is time for the next attempt.
    AwaitRetry(Duration),
    /// Create the run: journal, POST, record.
    Create(Box<Start>),
    /// Say what is to be approved.
    Offer(Box<Start>),
    /// What was offered for approval is worth nothing any more.
    Outdate(Moved),
    /// Wait for a person's word.
    AwaitApproval(Unsaid),
    /// A person has rejected what was offered.
    Reject(Option<String>),
    /// A create may still be on its way: wait.
    AwaitOutcome(Duration),
    /// Look for the run of a lost create.
    Recover(Box<Intent>),
    /// A person has named the run of a lost create.
    AdoptNamed(Box<Intent>, String),
    /// The create certainly did not happen: forget the intent.
    Withdraw,
    /// The run goes on: show what was seen of it.
    Follow(Option<Box<View>>),
    /// The run has ended: show how.
    Conclude(Box<Conclusion>),
    /// Cancel the run.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// Leave it alone when it has begun meanwhile.
        only_queued: bool,
    },
    /// Follow the run, whose cancel has failed, until it is time to try that again.
    AwaitCancel(FailedCancel),
    /// Read the outputs that this run left, and write them where they are declared to be.
    WriteOutputs(Box<Run>),
    /// Outputs are to be written, and the service can't be reached for them.
    AwaitOutputs(Words),
    /// Let the resource go.
    Release,
}

/// How the status of another object or operator is taken over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Adoption {
    /// A restored backup: its request counts as handled.
    Restored(HandledRequest),
    /// A digest in a form that this operator does not know: the request counts as handled.
    Redigested(HandledRequest),
    /// A digest of the settings that says nothing under today's key: their content counts as that of the last run.
    SettingsDigest(HandledRequest),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conclusion {
    /// The result.
    pub result: Phase,
    /// The last look, unless the run is gone.
    pub view: Option<View>,
    /// The job, the step and the step's name, when a log is to be read.
    pub failed_step: Option<(u32, u32, String)>,
    /// Whether what it found of drift is to be read.
    pub looked_for_drift: bool,
    /// The attempt that follows it.
    pub retry: Option<Retry>,
}

/// Decides.
#[must_use]
pub fn plan(inputs: &Inputs, status: &DeploymentStatus) -> Plan {
    if let Some(adoption) = adoption(inputs, status) {
        return Plan::Adopt(adoption);
    }
    // A create whose outcome is open comes before everything else: supersede, suspend, delete.
    if let Some(intent) = &status.intent {
        return unresolved(inputs, intent);
    }
    let active = status.run.as_ref().filter(|run| run.result.is_none());
    if let Some(policy) = inputs.deletion {
        return match policy {
            RunDeletionPolicy::Destroy => destroy::plan(inputs, status, active),
            policy => deletion(inputs, policy, active),
        };
    }
    if let Some(adoptee) = inputs.adopt.as_ref().filter(|_| status.request.is_none() && active.is_none()) {
        return take_over(inputs, adoptee);
    }
    let is_new = is_new(inputs, status);
    match active {
        Some(run) => active_run(inputs, run, is_new),
        None if let Some(words) = rejection(inputs, status) => {
            outputs_first(inputs, status).unwrap_or(Plan::Refuse(words))
        }
        None if is_new || approval::awaits(&inputs.request, status) => {
            outputs_first(inputs, status).unwrap_or_else(|| start(inputs, status))
        }
        None => match owed(inputs, status) {
            None => handled(inputs, status),
            Some(retry) => again(inputs, status, retry),
        },
    }
}

/// The attempt that is still to come of the request that was handled, as far as policy lets it.
fn owed<'a>(inputs: &Inputs, status: &'a DeploymentStatus) -> Option<&'a Retry> {
    let limit = inputs.retry.as_ref().map_or(0, |policy| policy.limit);
    let may_follow = status.run.as_ref().is_none_or(|run| is_tried_again(inputs, run));
    status.retry.as_ref().filter(|retry| may_follow && retry.attempt.saturating_sub(1) <= limit)
}

/// An approval is good for one run: what another one would do is not what was approved.
fn is_tried_again(inputs: &Inputs, run: &Run) -> bool {
    let needs_approval = inputs.approval == ApprovalMode::Required && run.purpose == Purpose::Main;
    !needs_approval && run.approval.is_none()
}

/// What is said of a request that somebody has rejected.
fn rejection(inputs: &Inputs, status: &DeploymentStatus) -> Option<Words> {
    let pending = approval::rejected(&inputs.request, status)?;
    if request::has_other_settings(inputs, &pending.request) {
        return None;
    }
    pending.rejected.as_ref().map(|rejected| approval::rejection(pending, rejected))
}

/// Whether a run could start now, if nothing held it back.
#[must_use]
pub fn could_start(inputs: &Inputs, status: &DeploymentStatus) -> bool {
    let nothing_is_open = status.intent.is_none() && status.run.as_ref().is_none_or(|run| run.result.is_some());
    let is_owed = || owed(inputs, status).is_some_and(|retry| retry.at <= inputs.now);
    let is_due = match inputs.deletion {
        None => {
            let is_open = is_new(inputs, status) || approval::awaits(&inputs.request, status) || is_owed();
            is_open && rejection(inputs, status).is_none()
        }
        Some(policy) => policy == RunDeletionPolicy::Destroy && destroy::is_due(inputs, status),
    };
    nothing_is_open && is_due && !inputs.suspend && !inputs.suspended
}

fn again(inputs: &Inputs, status: &DeploymentStatus, retry: &Retry) -> Plan {
    let remaining = retry.at.since(inputs.now);
    if remaining.is_zero() || inputs.suspend || inputs.suspended {
        start(inputs, status)
    } else {
        Plan::AwaitRetry(remaining)
    }
}

/// The request has run to its end. What the stack gives out since then is written down.
fn handled(inputs: &Inputs, status: &DeploymentStatus) -> Plan {
    let Some(run) = outputs_due(inputs, status) else { return Plan::Idle };
    match &inputs.reach {
        Reach::Open => Plan::WriteOutputs(Box::new(run.clone())),
        Reach::NotYet => Plan::Hold,
        Reach::Blocked(words) => Plan::AwaitOutputs(words.clone()),
    }
}

/// The run whose outputs are to be written.
#[must_use]
pub fn outputs_due<'a>(inputs: &Inputs, status: &'a DeploymentStatus) -> Option<&'a Run> {
    outputs::due(inputs.outputs.as_ref()?, inputs.requested_at.as_deref(), status)
}

/// What the run before left is written before a new request goes its way, however long that waits. It waits for one
/// attempt at it, not for its success.
#[must_use]
pub fn outputs_first(inputs: &Inputs, status: &DeploymentStatus) -> Option<Plan> {
    let is_due = inputs.reach == Reach::Open && inputs.outputs.as_ref().is_some_and(|declared| declared.is_untried);
    let run = outputs_due(inputs, status).filter(|_| is_due)?;
    Some(Plan::WriteOutputs(Box::new(run.clone())))
}

/// A status that was written for another object, or by an operator that digests differently.
fn adoption(inputs: &Inputs, status: &DeploymentStatus) -> Option<Adoption> {
    let number = status.request.as_ref().map_or(1, |handled| handled.number);
    let taken_over = request::handled(inputs, number, inputs.asked.settings.digest().cloned());
    if status.uid.as_ref().is_some_and(|uid| *uid != inputs.uid) {
        return Some(Adoption::Restored(taken_over));
    }
    let is_foreign = status.request.as_ref().is_some_and(|handled| !digest::is_current(&handled.digest));
    if is_foreign {
        return Some(Adoption::Redigested(taken_over));
    }
    status.request.as_ref().and_then(|handled| request::with_settings(inputs, handled)).map(Adoption::SettingsDigest)
}

/// A person says that the request needs no run of its own. Until that can be heeded, nothing runs.
fn take_over(inputs: &Inputs, adoptee: &Adoptee) -> Plan {
    if *adoptee == Adoptee::Named(String::new()) {
        return Plan::Refuse(Words::new(
            Reason::AdoptionRefused,
            "the annotation deployments.pulumi.com/adopt is empty: write `latest`, or the id of a deployment of the stack; \
             nothing runs until then",
        ));
    }
    match &inputs.road {
        Road::Known(target) => Plan::TakeOver(adoptee.clone(), target.clone()),
        Road::Waiting(words) => Plan::Wait(words.clone()),
        Road::Refused(words) => Plan::Refuse(words.clone()),
        Road::NotRead | Road::NotYet | Road::Settling(_) | Road::AwaitingBudget | Road::Nowhere | Road::Open(_) => {
            Plan::Hold
        }
    }
}

fn unresolved(inputs: &Inputs, intent: &Intent) -> Plan {
    if inputs.recovery == Recovery::NotCreated || inputs.recovery == Recovery::DeclaredLost {
        return Plan::Withdraw;
    }
    // Destroy never gives up.
    if inputs.deletion.is_some_and(|policy| policy != RunDeletionPolicy::Destroy) && inputs.give_up {
        return Plan::Release;
    }
    if let Some(hold) = hold(inputs) {
        return if inputs.deletion == Some(RunDeletionPolicy::Orphan) { Plan::Release } else { hold };
    }
    match &inputs.recovery {
        Recovery::Wait(remaining) => Plan::AwaitOutcome(*remaining),
        Recovery::Named(id) => Plan::AdoptNamed(Box::new(intent.clone()), id.clone()),
        Recovery::Look | Recovery::None | Recovery::NotCreated | Recovery::DeclaredLost => {
            Plan::Recover(Box::new(intent.clone()))
        }
    }
}

/// What is recorded cannot be reached.
fn hold(inputs: &Inputs) -> Option<Plan> {
    match &inputs.reach {
        Reach::Open => None,
        Reach::NotYet => Some(Plan::Hold),
        Reach::Blocked(words) => Some(Plan::Wait(words.clone())),
    }
}

fn deletion(inputs: &Inputs, policy: RunDeletionPolicy, active: Option<&Run>) -> Plan {
    let Some(run) = active else { return Plan::Release };
    if policy == RunDeletionPolicy::Orphan || inputs.give_up {
        return Plan::Release;
    }
    if let Some(conclusion) = conclusion(inputs, run) {
        return conclusion;
    }
    if policy == RunDeletionPolicy::CancelQueued && (stage(inputs, run) != Stage::Queued || inputs.cancel_sent) {
        return Plan::Release;
    }
    if let Some(hold) = hold(inputs) {
        return hold;
    }
    if inputs.cancel_sent {
        return follow(inputs);
    }
    if inputs.suspended {
        return Plan::Wait(suspended("the run is not canceled; deletionPolicy: Orphan would leave it to itself"));
    }
    cancel(inputs, CancelReason::Deleted, policy == RunDeletionPolicy::CancelQueued)
}

/// Cancels the run, unless the service has just failed to do so.
fn cancel(inputs: &Inputs, reason: CancelReason, only_queued: bool) -> Plan {
    match &inputs.cancel_failed {
        Some(failed) => Plan::AwaitCancel(failed.clone()),
        None => Plan::Cancel { reason, only_queued },
    }
}

fn active_run(inputs: &Inputs, run: &Run, is_new: bool) -> Plan {
    if let Some(conclusion) = conclusion(inputs, run) {
        return conclusion;
    }
    if let Some(hold) = hold(inputs) {
        return hold;
    }
    // Decided before a crash, or just now: a cancel that this process has not sent is sent.
    let superseded = is_new
        && match inputs.supersede {
            Supersede::Wait => false,
            Supersede::CancelQueued => stage(inputs, run) == Stage::Queued,
            Supersede::Cancel => true,
        };
    let wanted = match &run.cancel {
        Some(cancel) => Some(cancel.reason),
        None if superseded && !inputs.suspend => Some(CancelReason::Superseded),
        None => out_of_time(inputs, run),
    };
    match wanted {
        // It may have begun since that was decided.
        Some(reason) if !inputs.cancel_sent && !inputs.suspended => {
            let only_queued = match reason {
                CancelReason::Superseded | CancelReason::Deleted => inputs.supersede != Supersede::Cancel,
                CancelReason::QueueTimeout => true,
                CancelReason::Timeout => false,
            };
            cancel(inputs, reason, only_queued)
        }
        _ => follow(inputs),
    }
}

/// Which time of the run is over, if one is.
fn out_of_time(inputs: &Inputs, run: &Run) -> Option<CancelReason> {
    deadline(inputs, run).filter(|(_, remaining)| remaining.is_zero()).map(|(reason, _)| reason)
}

/// Which time is running for the run, and how much of it is left: by the service's own times, and by its clock.
fn deadline(inputs: &Inputs, run: &Run) -> Option<(CancelReason, Duration)> {
    let view = match &inputs.sighting {
        Sighting::Seen(view) => Some(view),
        Sighting::None | Sighting::Missing(_) => None,
    };
    let (reason, since, limit) = match stage(inputs, run) {
        Stage::Queued => {
            let queued_at = view.and_then(|view| view.queued_at).or(run.queued_at);
            (CancelReason::QueueTimeout, queued_at, inputs.queue_timeout)
        }
        Stage::Running => {
            let started_at = view.and_then(|view| view.started_at).or(run.started_at);
            (CancelReason::Timeout, started_at, inputs.timeout)
        }
        Stage::Succeeded | Stage::Failed | Stage::Skipped => return None,
    };
    let remaining = limit?.saturating_sub(inputs.service_now.since(since?));
    // What was running when it was last seen may have ended by itself since: it is looked at before it is canceled.
    let is_blind = reason == CancelReason::Timeout && view.is_none();
    (!(is_blind && remaining.is_zero())).then_some((reason, remaining))
}

/// When the run that is followed runs out of time, if nothing else happens before.
#[must_use]
pub fn due_in(inputs: &Inputs, status: &DeploymentStatus) -> Option<Duration> {
    let run = status.run.as_ref().filter(|run| run.result.is_none() && run.cancel.is_none())?;
    deadline(inputs, run).map(|(_, remaining)| remaining).filter(|remaining| !remaining.is_zero())
}

fn start(inputs: &Inputs, status: &DeploymentStatus) -> Plan {
    if inputs.suspend {
        return Plan::Wait(Words::new(Reason::Suspended, "spec.suspend holds: nothing new is started"));
    }
    if inputs.suspended {
        return Plan::Wait(suspended("the run is not started"));
    }
    down_the_road(inputs, |start| once_approved(inputs, status, start))
}

fn down_the_road(inputs: &Inputs, at_its_end: impl FnOnce(&Start) -> Plan) -> Plan {
    match &inputs.road {
        Road::NotRead | Road::NotYet | Road::Known(_) => Plan::Hold,
        Road::Waiting(words) => Plan::Wait(words.clone()),
        Road::Refused(words) => Plan::Refuse(words.clone()),
        Road::Settling(remaining) => Plan::Settle(*remaining),
        Road::AwaitingBudget => Plan::AwaitBudget,
        Road::Nowhere => Plan::Release,
        Road::Open(start) => at_its_end(start),
    }
}

/// Nothing stands in the way but a person's word, where it takes one.
fn once_approved(inputs: &Inputs, status: &DeploymentStatus, start: &Start) -> Plan {
    match approval::step(inputs, status, &start.subject) {
        Step::Run(_) | Step::Approved(..) => create(status, start),
        Step::Offer(_) => Plan::Offer(Box::new(start.clone())),
        Step::Outdated(moved) => Plan::Outdate(moved),
        Step::Wait(unsaid) => Plan::AwaitApproval(unsaid),
        Step::Reject(by) => Plan::Reject(by),
    }
}

fn create(status: &DeploymentStatus, start: &Start) -> Plan {
    match &status.refusal {
        Some(refusal) if refusal.digest == start.digest => {
            Plan::Refuse(Words::new(Reason::CreateRefused, refusal.message.clone()))
        }
        _ => Plan::Create(Box::new(start.clone())),
    }
}

/// How the run ended, when it has.
fn conclusion(inputs: &Inputs, run: &Run) -> Option<Plan> {
    let conclude = |result, view: Option<View>| {
        let failed_step = (result == Phase::Failed)
            .then(|| view.as_ref()?.failed_step().map(|(job, step, name)| (job, step, name.to_owned())))
            .flatten();
        let looked_for_drift = view.is_some() && drift::is_about(run.operation, result);
        // One that is gone may have been canceled by somebody.
        let is_still_wanted = match inputs.deletion {
            None => true,
            Some(policy) => policy == RunDeletionPolicy::Destroy && run.purpose == Purpose::Destroy,
        };
        let goes_on = result == Phase::Failed && is_still_wanted;
        let retry = view.as_ref().filter(|_| goes_on).and_then(|_| retry(inputs, run));
        Plan::Conclude(Box::new(Conclusion { result, view, failed_step, looked_for_drift, retry }))
    };
    let cancel = run.cancel.as_ref().map(|cancel| cancel.reason);
    match &inputs.sighting {
        Sighting::None => None,
        Sighting::Seen(view) => view.result(cancel).map(|result| conclude(result, Some((**view).clone()))),
        // The service forgets a run that is canceled while it waits in the queue.
        Sighting::Missing(times) => {
            let is_gone = *times >= MISSES || (cancel.is_some() && run.started_at.is_none());
            is_gone.then(|| conclude(cancel.map_or(Phase::Failed, CancelReason::end), None))
        }
    }
}

/// The attempt that follows a run that failed by itself.
fn retry(inputs: &Inputs, run: &Run) -> Option<Retry> {
    let RetryPolicy { limit, backoff } = inputs.retry.as_ref()?;
    // Of a request that was taken over it is not known whether it is still what is asked for.
    let is_taken_over = !digest::is_current(&run.request.digest) || run.trigger == Some(Trigger::Adopted);
    if is_taken_over || run.cancel_taken_back || !is_tried_again(inputs, run) {
        return None;
    }
    let random = f64::from(inputs.random) / f64::from(u32::MAX);
    let delay = grown(backoff.initial.value(), backoff.max.value(), run.attempt, random);
    // In whole seconds, and not too early.
    let at = inputs.now.after(delay + Duration::from_millis(999));
    (run.attempt <= *limit).then_some(Retry { attempt: run.attempt.saturating_add(1), at })
}

fn follow(inputs: &Inputs) -> Plan {
    Plan::Follow(match &inputs.sighting {
        Sighting::Seen(view) => Some(view.clone()),
        Sighting::None | Sighting::Missing(_) => None,
    })
}

/// Where the run stands, as far as known.
fn stage(inputs: &Inputs, run: &Run) -> Stage {
    match &inputs.sighting {
        Sighting::Seen(view) => view.stage,
        Sighting::None | Sighting::Missing(_) if run.started_at.is_none() => Stage::Queued,
        Sighting::None | Sighting::Missing(_) => Stage::Running,
    }
}

fn suspended(what: &str) -> Words {
    Words::new(
        Reason::Suspended,
        format!("nothing is written remotely while spec.suspend of the Organization or --suspend-all holds: {what}"),
    )
}

#[cfg(test)]
pub(super) mod tests;
