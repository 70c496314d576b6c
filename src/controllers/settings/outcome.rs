//! Pure: what came of a plan, for `status` to tell.

use super::{plan::Convergence, schedules::act::Done};
use crate::{
    api::settings::RemoteVersion,
    controllers::{conditions::Words, requeue::Consequence},
};

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is gone, or as it was.
    Nothing,
    /// It waits and goes on by itself.
    Waiting(Words),
    /// It waits for the stack.
    AwaitingStack(Words),
    /// It waits for a person.
    Refused(Words),
    /// It waits for the request budget.
    AwaitingBudget,
    /// The service could not be asked, or refused.
    Failed(Consequence),
    /// The stack was created, and is looked at again at once.
    StackCreated,
    /// The remote side is as declared.
    Converged {
        /// What was done.
        convergence: Box<Convergence>,
        /// The remote document as the service left it.
        remote: RemoteVersion,
        /// Why the stack's pause could not be set, when it could not.
        pause_failed: Option<Consequence>,
        /// What came of the schedules, when there was something about them.
        schedules: Option<Done>,
    },
}
