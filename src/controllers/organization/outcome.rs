//! Pure: what came of a plan, for `status` to tell.

use super::plan::Seen;
use crate::controllers::requeue::Consequence;

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is gone, or as it was.
    Nothing,
    /// It waits for these to be gone.
    AwaitingUsers(Vec<String>),
    /// Its backend is not allowed.
    BackendRefused,
    /// Its access token is missing.
    AwaitingToken(String),
    /// It waits for the request budget.
    AwaitingBudget,
    /// The service could not be asked, or refused.
    Failed(Consequence),
    /// The service answered.
    Accepted {
        /// What it says, after the pause was set.
        seen: Seen,
        /// What came of setting the pause, when that was to be done.
        pause: Option<Result<bool, Consequence>>,
    },
}
