//! Pure: what came of a plan, for `status` to tell.

use std::time::Duration;

use super::{
    approval::Unsaid,
    mirror::View,
    outputs::Report,
    plan::{Adoption, FailedCancel},
};
use crate::{
    api::approval::{Moved, PendingApproval, Rejection},
    api::deployment::{DriftFinding, Failure, Phase, Refusal, Retry},
    controllers::{conditions::Words, requeue::Consequence},
};

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was let go.
    Released,
    /// Its request has been handled.
    Nothing,
    /// It stays as it is until the organization has been looked at.
    Held,
    /// The status of another object or operator was taken over.
    Adopted(Adoption),
    /// A run that was there already counts as that of the request, or the request counts as handled without one.
    TakenOver,
    /// It waits and goes on by itself.
    Waiting(Words),
    /// It waits for a person.
    Refused(Words),
    /// It waits until nothing has changed for a while.
    Settling(Duration),
    /// It waits for the request budget.
    AwaitingBudget,
    /// It waits until it is time for the next attempt.
    AwaitingRetry(Duration),
    /// It is known what is to be approved.
    Offered(Box<PendingApproval>),
    /// What was offered for approval is worth nothing any more.
    Outdated(Moved),
    /// It waits for a person's word.
    AwaitingApproval(Unsaid),
    /// A person has rejected what was offered.
    Rejected(Rejection),
    /// The run was created, or found again, and recorded.
    Created,
    /// A create may still be on its way.
    CreatePending(Duration),
    /// It cannot be told whether a create happened.
    CreateUnknown {
        /// What stands in the way of knowing.
        why: String,
        /// Whether a person is needed by now.
        needs_person: bool,
    },
    /// The stack does not exist.
    StackMissing(String),
    /// The service refused the request.
    CreateRefused(Refusal),
    /// The create certainly did not happen; everything is planned anew.
    Withdrawn,
    /// The run goes on.
    Following(Option<Box<View>>),
    /// The run has ended.
    Concluded {
        /// The result.
        result: Phase,
        /// The last look, unless the run is gone.
        view: Option<Box<View>>,
        /// Where and how it failed.
        failure: Option<Failure>,
        /// What a run that was about drift found, or why that is not known.
        drift: Option<Result<DriftFinding, String>>,
        /// The attempt that follows it.
        retry: Option<Retry>,
    },
    /// The stack's outputs were written, or could not be.
    Outputs(Report),
    /// The run's cancel was sent.
    CancelSent,
    /// The run's cancel has failed, and it is too early to try again.
    AwaitingCancel(FailedCancel),
    /// The service could not be asked, or refused.
    Failed(Consequence),
}
