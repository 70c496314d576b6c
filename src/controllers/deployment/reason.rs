//! Pure: the one list of reasons of this kind.

use strum::VariantNames;

/// Why a Deployment stands where it stands. A run that has ended has its phase as reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, VariantNames)]
pub enum Reason {
    /// The Organization is missing, or its token is not accepted.
    OrganizationNotReady,
    /// The Organization does not let this namespace run this operation on this stack.
    AccessDenied,
    /// The stack does not exist.
    StackNotFound,
    /// Everything that the run uses must stay the same for a while first.
    Settling,
    /// The settings are missing or not in sync yet.
    SettingsNotReady,
    /// A Deployment that must come first is missing, or is not Ready for its current request.
    DependencyNotReady,
    /// Deployments wait for each other in a circle.
    DependencyCycle,
    /// A Secret, ConfigMap or key is not there.
    SourceMissing,
    /// Nothing new is started, or nothing is written remotely.
    Suspended,
    /// A person must approve what is to run.
    AwaitingApproval,
    /// What is to run can't be approved: its commit is not known.
    CommitUnknown,
    /// A person has rejected what was to run.
    ApprovalRejected,
    /// A run has failed, and the next attempt is not due yet.
    Retrying,
    /// The request budget has no room.
    AwaitingBudget,
    /// A create may still be on its way.
    CreatePending,
    /// It cannot be told whether a create happened.
    CreateOutcomeUnknown,
    /// The service refused the request.
    CreateRefused,
    /// The backend's form of the API lacks what is asked for.
    UnsupportedByBackend,
    /// The reference leads to another stack than before.
    TargetChanged,
    /// The service has the run in its queue.
    Queued,
    /// The run is under way.
    Running,
    /// The run ended well.
    Succeeded,
    /// The run ended badly.
    Failed,
    /// The resource is being deleted, and its stack is destroyed first.
    Destroying,
    /// The resource is being deleted, and its stack could not be destroyed.
    DestroyFailed,
    /// The service skipped the run.
    Skipped,
    /// The run was canceled.
    Canceled,
    /// The run was canceled because it waited or ran for too long.
    TimedOut,
    /// The service does not know the run any more.
    RunDisappeared,
    /// What is really there is not what the stack's state says.
    DriftDetected,
    /// It was not, and has been put right.
    DriftRemediated,
    /// It is what the stack's state says.
    NoDrift,
    /// It could not be read what was found.
    DriftUnknown,
    /// The outputs of the newest update are not written yet.
    OutputsPending,
    /// The outputs of the newest update are where they are declared to be.
    OutputsWritten,
    /// They are, but for some that cannot be written as declared.
    OutputsIncomplete,
    /// The Secret or ConfigMap for them is not this Deployment's or cannot be written, or they cannot be had for good.
    OutputsRefused,
    /// The status was taken over from a backup or another operator, or a person says that the request needs no run.
    Adopted,
    /// There is no run of the name that a person gave, so none can be taken for the request's.
    AdoptionRefused,
}
