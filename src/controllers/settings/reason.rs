//! Pure: the one list of reasons of this kind.

use strum::VariantNames;

/// Why the settings of a stack stand where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, VariantNames)]
pub enum Reason {
    /// The remote settings are as declared.
    Synced,
    /// The Organization is missing, or its token is not accepted.
    OrganizationNotReady,
    /// The Organization does not let this namespace use this stack.
    AccessDenied,
    /// An older resource owns the settings of this stack.
    Conflict,
    /// A Secret, ConfigMap or key is not there.
    SourceMissing,
    /// The stack does not exist.
    StackNotFound,
    /// The stack was just created.
    StackCreated,
    /// Nothing is written remotely.
    Suspended,
    /// Something else keeps changing the same fields.
    Contested,
    /// The Organization leads to another stack than before.
    TargetChanged,
    /// The backend's API lacks it.
    UnsupportedByBackend,
    /// The stack's ttl has passed, and the stack is gone.
    Ended,
    /// The latest drift detection failed.
    DriftUnknown,
    /// The time of a schedule has passed.
    TimePassed,
    /// The answer to the creation of a schedule was lost.
    CreateOutcomeUnknown,
    /// The latest drift detection found drift.
    DriftDetected,
    /// The latest drift detection found drift, and repaired it.
    DriftRemediated,
    /// The latest drift detection found none.
    NoDrift,
    /// It is being deleted and waits for its turn.
    Finalizing,
    /// The request budget has no room.
    AwaitingBudget,
}
