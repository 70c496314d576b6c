//! Pure: what is asked for, what was offered for approval, and a person's word → what is next for a request.
//!
//! ```text
//!                 ┌──────────────── what it stands on has moved: Outdated ◄──────────────┐
//!                 ▼                                                                      │
//!   update ──► Run(Preview) ──succeeded──► Offer ──► Wait ──── approve: its token ──► Approved ──► the run
//!   other operations ───────────────────────┘          └────── reject: its token ──► Reject
//! ```
//!
//! Without `Required` there is one step only: `Run(Main)`.

use serde_json::json;

use super::{plan::Inputs, reason::Reason};
use crate::{
    api::{
        DeploymentStatus, Time,
        approval::{ApprovalMode, Basis, GivenApproval, Moved, PendingApproval, PreviewRun, Rejection},
        deployment::{HandledRequest, Operation, Phase, Purpose, Run, Target},
        names::{APPROVE, APPROVED_BY, REJECT},
    },
    controllers::{
        conditions::{Standing, Words},
        digest::{InstallKey, canonical},
    },
};

/// What a person has written into the annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Word {
    /// The token that is approved.
    pub approve: Option<String>,
    /// The token that is rejected.
    pub reject: Option<String>,
    /// Who says so.
    pub by: Option<String>,
}

/// What would run, if nobody had to approve it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What it is for.
    pub purpose: Purpose,
    /// The operation.
    pub operation: Operation,
    /// What an approval of it would stand on; the stack's version is read when it is needed.
    pub basis: Basis,
}

/// What is next for a request that nothing else stands in the way of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step<'a> {
    /// A run for this purpose.
    Run(Purpose),
    /// To say what is to be approved: what this preview showed, or the request itself.
    Offer(Option<&'a Run>),
    /// What was offered is worth nothing any more.
    Outdated(Moved),
    /// To wait for a person's word.
    Wait(Unsaid),
    /// A person's no, and whose.
    Reject(Option<String>),
    /// A person's yes.
    Approved(&'a PendingApproval, String),
}

impl Step<'_> {
    /// What the run that is made now is for, if one is.
    #[must_use]
    pub fn purpose(&self) -> Option<Purpose> {
        match self {
            Self::Run(purpose) => Some(*purpose),
            Self::Approved(pending, _) => Some(pending.purpose),
            Self::Offer(_) | Self::Outdated(_) | Self::Wait(_) | Self::Reject(_) => None,
        }
    }
}

/// What is missing from a person's word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unsaid {
    /// Nobody has said anything.
    Everything,
    /// Who approves.
    Name,
    /// The right token; this is the one that is there.
    Token(String),
    /// Nobody can: the commit that the preview got is not known.
    Commit,
}

/// An approval that was heeded, on its way to the run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Approved {
    /// Who gave it.
    pub by: String,
    /// What was approved.
    pub token: String,
    /// The commit.
    pub commit: Option<String>,
    /// The stack's latest update that the preview knew.
    pub stack_version: Option<u64>,
    /// Whether who may approve was limited when it was offered.
    pub policed: bool,
}

impl Approved {
    /// What the approval says, by whom.
    #[must_use]
    pub fn of(pending: &PendingApproval, by: String) -> Self {
        Self {
            by,
            token: pending.token.clone().unwrap_or_default(),
            commit: pending.commit.clone(),
            stack_version: pending.basis.stack_version,
            policed: pending.policed,
        }
    }

    /// What the run records of it. `policed_still`: who may approve is limited now.
    #[must_use]
    pub fn given(self, policed_still: bool) -> GivenApproval {
        GivenApproval {
            approved_by: self.by,
            verified: self.policed && policed_still,
            token: self.token,
            commit: self.commit,
        }
    }
}

/// The API has a preview of an update, and of nothing else.
fn has_preview(subject: &Subject) -> bool {
    subject.purpose == Purpose::Main && subject.operation == Operation::Update
}

/// The preview that has shown what the request would do.
fn previewed<'a>(request: &str, status: &'a DeploymentStatus) -> Option<&'a Run> {
    let handled = status.request.as_ref().filter(|handled| handled.digest == request)?;
    status.run.as_ref().filter(|run| {
        run.purpose == Purpose::Preview && run.request.number == handled.number && run.result == Some(Phase::Succeeded)
    })
}

/// What was offered for approval of a request as it is asked for.
fn offered<'a>(request: &str, status: &'a DeploymentStatus) -> Option<&'a PendingApproval> {
    let pending = status.approval.as_ref()?;
    let is_it = match (&pending.preview, previewed(request, status)) {
        (Some(preview), Some(run)) => preview.id == run.id,
        // The same that was asked for, taken back and asked for again is another request.
        (None, None) => {
            let number = status.pending.as_ref().map_or(pending.request.number, |waiting| waiting.number);
            pending.request.digest == request && pending.request.number == number
        }
        (Some(_), None) | (None, Some(_)) => false,
    };
    is_it.then_some(pending)
}

/// Whether a request has had its preview, and nobody has rejected it: what was asked for has not run yet.
#[must_use]
pub fn awaits(request: &str, status: &DeploymentStatus) -> bool {
    previewed(request, status).is_some() && rejected(request, status).is_none()
}

/// What was offered of a request as it is asked for, when somebody has rejected that.
#[must_use]
pub fn rejected<'a>(request: &str, status: &'a DeploymentStatus) -> Option<&'a PendingApproval> {
    offered(request, status).filter(|pending| pending.rejected.is_some())
}

/// Whether something is offered, as far as status knows: then nothing has to settle first.
#[must_use]
pub fn is_offered(request: &str, status: &DeploymentStatus) -> bool {
    offered(request, status).is_some_and(|pending| pending.outdated.is_none())
}

/// What is next for a request.
#[must_use]
pub fn step<'a>(inputs: &Inputs, status: &'a DeploymentStatus, subject: &Subject) -> Step<'a> {
    if inputs.approval == ApprovalMode::Automatic {
        return Step::Run(subject.purpose);
    }
    let preview = previewed(&inputs.request, status).filter(|_| has_preview(subject));
    if has_preview(subject) && preview.is_none() {
        return Step::Run(Purpose::Preview);
    }
    let offered = offered(&inputs.request, status).filter(|pending| {
        (pending.purpose, pending.operation) == (subject.purpose, subject.operation)
            && pending.preview.is_some() == preview.is_some()
    });
    let Some(pending) = offered else { return Step::Offer(preview) };
    if pending.outdated.is_some() {
        return if has_preview(subject) { Step::Run(Purpose::Preview) } else { Step::Offer(None) };
    }
    if let Some(moved) = moved(&pending.basis, &subject.basis) {
        return Step::Outdated(moved);
    }
    let Some(token) = &pending.token else { return Step::Wait(Unsaid::Commit) };
    let Word { approve, reject, by } = &inputs.word;
    match (approve, by) {
        _ if reject.as_ref() == Some(token) => Step::Reject(by.clone()),
        (None, _) => Step::Wait(Unsaid::Everything),
        (Some(approve), _) if approve != token => Step::Wait(Unsaid::Token(approve.clone())),
        (Some(_), None) => Step::Wait(Unsaid::Name),
        (Some(_), Some(by)) => Step::Approved(pending, by.clone()),
    }
}

/// What of a basis has moved. Of the stack's version that is told by whoever reads it.
fn moved(before: &Basis, now: &Basis) -> Option<Moved> {
    if before.settings != now.settings {
        Some(Moved::Settings)
    } else if before.overrides != now.overrides {
        Some(Moved::Overrides)
    } else {
        None
    }
}

/// What was seen of a preview that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// The commit that it got.
    pub commit: Option<String>,
    /// What it would change.
    pub resource_changes: std::collections::BTreeMap<String, u64>,
    /// When Pulumi began to look at the stack, by the service's clock.
    pub began: Option<Time>,
    /// The stack's latest update.
    pub latest: Latest,
}

/// A stack's latest update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Latest {
    /// Its version; 0 when there was none.
    pub version: u64,
    /// When it ended, by the service's clock.
    pub ended: Option<Time>,
}

impl Latest {
    /// The stack has had no update.
    pub const NONE: Self = Self { version: 0, ended: None };

    /// Whether it is still at work.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.version > 0 && self.ended.is_none()
    }

    /// The latest version that whoever looks at the stack from now on can have seen all of.
    #[must_use]
    pub const fn settled(&self) -> u64 {
        if self.is_under_way() { self.version - 1 } else { self.version }
    }
}

/// What is offered for approval: what a preview showed, or the request itself. `policed`: who may approve is limited.
#[must_use]
pub fn offer(
    subject: &Subject,
    request: HandledRequest,
    target: &Target,
    preview: Option<(&Run, Look)>,
    before: Option<&PendingApproval>,
    policed: bool,
    key: &InstallKey,
) -> PendingApproval {
    let replaces = before.and_then(|before| {
        before.outdated.or_else(|| (before.request.number != request.number).then_some(Moved::Request))
    });
    let mut pending = PendingApproval {
        token: None,
        request,
        purpose: subject.purpose,
        operation: subject.operation,
        target: target.clone(),
        preview: None,
        commit: None,
        resource_changes: [].into(),
        basis: subject.basis.clone(),
        policed,
        outdated: None,
        replaces,
        rejected: None,
    };
    if let Some((run, look)) = preview {
        let Look { commit, resource_changes, began, latest } = look;
        pending.preview = Some(PreviewRun { id: run.id.clone(), version: run.version, url: run.url.clone() });
        pending.commit = commit.filter(|commit| is_commit(commit));
        pending.resource_changes = resource_changes;
        let basis = run.basis.as_ref();
        // It may have waited in the queue for another update to end, and have seen all that it left.
        let has_seen_it = basis.and_then(|basis| basis.stack_version) == Some(latest.version)
            || latest.ended.zip(began).is_some_and(|(ended, began)| ended < began);
        pending.outdated = basis
            .map_or(Some(Moved::Overrides), |basis| moved(basis, &subject.basis))
            .or((!has_seen_it).then_some(Moved::StackUpdate));
        pending.basis.stack_version = Some(latest.version);
        if pending.outdated.is_some() || pending.commit.is_none() {
            return pending;
        }
    }
    pending.token = Some(token(&pending, key));
    pending
}

/// Something that can be pinned: not a branch, and not something with which anything else could be written.
fn is_commit(text: &str) -> bool {
    (6..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// It can't be made up by somebody who only knows what is to be approved.
fn token(pending: &PendingApproval, key: &InstallKey) -> String {
    let PendingApproval { request, purpose, operation, target, preview, commit, basis, .. } = pending;
    let bound = json!([
        "approval",
        request,
        purpose,
        operation,
        target,
        preview.as_ref().map(|preview| &preview.id),
        commit,
        basis
    ]);
    key.mac(canonical(&bound).as_bytes())[..16].to_owned()
}

/// What is left of what was offered when a run is recorded.
#[must_use]
pub fn after_record(before: Option<PendingApproval>, run: &Run) -> Option<PendingApproval> {
    let before = before.filter(|_| run.purpose == Purpose::Preview)?;
    if before.request.number == run.request.number {
        return Some(before);
    }
    Some(PendingApproval { token: None, outdated: Some(Moved::Request), rejected: None, ..before })
}

/// How it is told that something awaits approval. `resource` is what kubectl calls it.
#[must_use]
pub fn standing(pending: &PendingApproval, unsaid: &Unsaid, resource: &str) -> Standing {
    let before = pending.replaces.map_or_else(String::new, |moved| {
        format!(" What was to be approved before is worth nothing: {}.", cause(moved))
    });
    let what = subject(pending);
    let Some(token) = &pending.token else {
        return Standing::Stalled(Words::new(
            Reason::CommitUnknown,
            format!(
                "{what} can't be approved, because Pulumi Cloud does not tell which commit it got: only a program in a \
                 Git repository whose commit is known can be. Change its source, or take approval: {{mode: Required}} \
                 away.{before}"
            ),
        ));
    };
    let said = match unsaid {
        Unsaid::Everything | Unsaid::Commit => String::new(),
        Unsaid::Name => format!(" The approval that is there counts for nothing: {APPROVED_BY} must say who gives it."),
        Unsaid::Token(other) => {
            format!(" The approval that is there counts for nothing: its token {} is not this one.", shortened(other))
        }
    };
    let policed = if pending.policed {
        ""
    } else {
        " No admission policy limits who may do that, so an approval will be called unverified."
    };
    Standing::InProgress(Words::new(
        Reason::AwaitingApproval,
        format!(
            "{what} awaits approval.{said}{before} To approve it: kubectl annotate --overwrite {resource} \
             {APPROVE}={token} {APPROVED_BY}=<you>; to reject it, write {REJECT}={token} in place of the first.{policed}"
        ),
    ))
}

/// How a rejection is told.
#[must_use]
pub fn rejection(pending: &PendingApproval, rejected: &Rejection) -> Words {
    let who = rejected.rejected_by.as_deref().map_or("somebody who did not say who", shortened);
    Words::new(
        Reason::ApprovalRejected,
        format!(
            "{} was rejected by {who}: nothing runs until something else is asked for; set spec.rerun to ask for the same again",
            subject(pending)
        ),
    )
}

/// Who approved a run, for people.
#[must_use]
pub fn approval(given: &GivenApproval) -> String {
    let GivenApproval { approved_by, verified, token: _, commit } = given;
    let commit = commit.as_ref().map_or_else(String::new, |commit| format!(" at commit {commit}"));
    let how = if *verified { "verified" } else { "unverified: no admission policy vouches for the name" };
    format!("approved by {} ({how}){commit}", shortened(approved_by))
}

/// Why something was to be approved anew.
#[must_use]
pub const fn cause(moved: Moved) -> &'static str {
    match moved {
        Moved::Request => "something else is asked for since",
        Moved::Settings => "the content of the StackDeploymentSettings has changed since",
        Moved::Overrides => "the target, the role or a value that the overrides refer to has changed since",
        Moved::StackUpdate => "another update of the stack came in between",
    }
}

/// What is to be approved.
fn subject(pending: &PendingApproval) -> String {
    let PendingApproval { operation, target, preview, commit, resource_changes, .. } = pending;
    let Some(PreviewRun { id: _, version, url }) = preview else { return format!("{operation} of {target}") };
    let url = url.as_ref().map_or_else(String::new, |url| format!(" ({url})"));
    let commit = commit.as_ref().map_or_else(String::new, |commit| format!(" at commit {commit}"));
    let changes: Vec<_> = resource_changes.iter().map(|(change, count)| format!("{change} {count}")).collect();
    let changes = if changes.is_empty() { "no changes".to_owned() } else { changes.join(", ") };
    format!("what preview {version} of {target}{url} shows{commit} [{changes}]")
}

/// Somebody else's text, in a message of ours.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(128).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
