//! What a person approves, and what is known of it: parts of a `Deployment`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Time,
    deployment::{HandledRequest, Operation, Purpose, Target},
};

/// Whether a person must approve what runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalPolicy {
    /// `Automatic`: nobody has to. `Required`: a request runs only once a person has approved it. An `update` runs its
    /// preview first, and what is approved is what that preview shows, at the commit that it got; of the other operations
    /// the request itself is approved. An approval is good for one run.
    pub mode: ApprovalMode,
}

/// Whether a person must approve what runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalMode {
    /// Nobody has to.
    #[default]
    Automatic,
    /// A request runs only once a person has approved it.
    Required,
}

/// What an approval stands on. When any of it has moved, the approval is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Basis {
    /// Digest of the content of the `StackDeploymentSettings`. Absent when the target is a stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// Digest of the run's target, role and overrides, with the values that they refer to.
    pub overrides: String,
    /// The stack's latest update, by its version; 0 when it has had none. Absent where no preview looked at the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_version: Option<u64>,
}

/// What of an approval's basis has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Moved {
    /// Something else is asked for.
    Request,
    /// The content of the `StackDeploymentSettings`.
    Settings,
    /// The target, the role, or a value that the overrides refer to.
    Overrides,
    /// Another update of the stack came in between.
    StackUpdate,
}

/// What awaits a person's approval.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingApproval {
    /// What the annotation `deployments.pulumi.com/approve` or `deployments.pulumi.com/reject` must carry. Absent when
    /// this cannot be approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The request that is to be approved.
    pub request: HandledRequest,
    /// What the run would be for.
    pub purpose: Purpose,
    /// What would run.
    pub operation: Operation,
    /// The stack that it would run on.
    pub target: Target,
    /// The preview that shows what would happen. Absent where the operation has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<PreviewRun>,
    /// The commit that the preview got, and the update will get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How many resources would be created, updated, deleted, replaced, left the same, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_changes: BTreeMap<String, u64>,
    /// What the approval stands on.
    pub basis: Basis,
    /// Whether an admission policy limited who may approve when this was offered.
    pub policed: bool,
    /// What has moved since, so that this is worth nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outdated: Option<Moved>,
    /// What made the one before this worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Moved>,
    /// Somebody has rejected it: nothing runs until something else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejection>,
}

/// A preview that shows what would happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PreviewRun {
    /// The service's id.
    pub id: String,
    /// The stack's number of this run.
    pub version: u64,
    /// Where people look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A person's no.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Who, by the annotation `deployments.pulumi.com/approved-by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_by: Option<String>,
    /// When it was heeded.
    pub at: Time,
}

/// A person's yes, as a run carries it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenApproval {
    /// Who, by the annotation `deployments.pulumi.com/approved-by`.
    pub approved_by: String,
    /// `true`: an admission policy limited who may approve, from when it was offered until it was heeded. `false`
    /// (unverified): anybody who may change this resource could have written that name.
    pub verified: bool,
    /// What was approved.
    pub token: String,
    /// The commit that was approved and is run. Absent where no preview was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}
