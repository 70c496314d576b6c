//! The names this project puts on other people's objects.

/// API group of the three kinds.
pub const GROUP: &str = "deployments.pulumi.com";

/// Keeps a resource until what it did remotely has been dealt with.
pub const FINALIZER: &str = "deployments.pulumi.com/finalizer";

/// A new value runs the same request once more.
pub const RERUN: &str = "deployments.pulumi.com/rerun";

/// The way out of a create whose outcome stays unknown: a deployment's id, or `retry`.
pub const RESOLVE_CREATE: &str = "deployments.pulumi.com/resolve-create";

/// Marks the first request as handled without running it: `latest`, or a deployment's id.
pub const ADOPT: &str = "deployments.pulumi.com/adopt";
/// Approves what awaits approval: the token in status.
pub const APPROVE: &str = "deployments.pulumi.com/approve";

/// Rejects what awaits approval: the token in status.
pub const REJECT: &str = "deployments.pulumi.com/reject";

/// Who approves or rejects.
pub const APPROVED_BY: &str = "deployments.pulumi.com/approved-by";

/// On a Secret or ConfigMap that a stack's outputs are written into: which keys and labels of it are this operator's.
pub const OUTPUTS: &str = "deployments.pulumi.com/outputs";

/// Where the stack's deployments are in the Pulumi console; Argo CD shows it as a link.
pub const EXTERNAL_LINK: &str = "link.argocd.argoproj.io/external-link";

/// A new value makes the operator look at a resource now, as Flux's own resources do.
pub const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// Prefix of the environment variable whose *name* carries a create's nonce.
///
/// Names come back when a deployment is read by id, even those of secret variables; values may not.
pub const NONCE_VARIABLE_PREFIX: &str = "PULUMI_DEPLOYMENTS_OPERATOR_RUN_";
