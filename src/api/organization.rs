//! `Organization`: one Pulumi organization and how to reach it.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, Duration,
    deployment::Operation,
    reference::{KEY_RULE, Refused, SecretKeyRef},
    time::is_duration,
};

/// The backend when none is written: Pulumi Cloud itself.
pub const DEFAULT_BACKEND: &str = "https://api.pulumi.com";

/// What an `Organization` declares.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "deployments.pulumi.com",
    version = "v1alpha1",
    kind = "Organization",
    plural = "organizations",
    shortname = "porg",
    category = "pulumi",
    namespaced,
    status = "OrganizationStatus",
    derive = "PartialEq",
    doc = "One Pulumi organization and how to reach it: backend, access token, who may use it for what, request budget, organization-wide pause.",
    printcolumn(
        name = "Organization",
        type_ = "string",
        json_path = ".status.name",
        description = "Name in Pulumi Cloud"
    ),
    printcolumn(
        name = "User",
        type_ = "string",
        json_path = ".status.user.login",
        description = "Whom the access token belongs to"
    ),
    printcolumn(
        name = "Paused",
        type_ = "boolean",
        json_path = ".status.paused",
        description = "Whether deployments are paused organization-wide"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Backend", type_ = "string", json_path = ".spec.backendURL", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)")
        .message("name cannot be changed, added or removed: what runs for the old organization would be lost; create another Organization instead"),
    // On the parent, because of a field the message of a refusal shows the value, which may have a password in it.
    validation = Rule::new("self.backendURL.matches('^https?://[^/?#@]+(/[^?#@]*)?$')").field_path(".backendURL")
        .message("write the service's base URL, such as https://api.pulumi.com, without user, password, query or fragment; the token goes into accessToken")
)]
pub struct OrganizationSpec {
    /// Name of the organization in Pulumi Cloud. Default: `metadata.name`. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = Rule::new("self.matches('^[-A-Za-z0-9_]+$')").message("write the organization's name alone, of letters, digits, '-' and '_'"))]
    pub name: Option<String>,
    /// Base URL of the service. It must be on the operator's `--allowed-backend` list. Default: `https://api.pulumi.com`.
    #[serde(rename = "backendURL", default = "default_backend")]
    #[schemars(length(min = 1, max = 2048))]
    pub backend_url: String,
    /// The form in which the backend speaks the API. `Stacks`: the API as it is. `Preview`: only the deprecated routes
    /// below `/api/preview`, which know deployments and settings, but no pauses, no schedules, no drift, no counts and no
    /// list of the organization's deployments. Default: `Stacks`.
    #[serde(default)]
    pub dialect: Dialect,
    /// The access token that every call for this organization carries: one that is kept in a Secret, or one that the
    /// operator gets for the identity of a ServiceAccount.
    pub access_token: AccessToken,
    /// Pause (`true`) or resume (`false`) deployments organization-wide. Absent: left alone. Needs an organization admin's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// `true`: the operator writes nothing remotely for any resource that uses this organization; observing goes on. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
    /// Who may use this organization for what; a use that any rule allows is allowed. Absent: this namespace, everything. `[]`: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub access: Option<Vec<AccessRule>>,
    /// Request budget, shared by everything that uses this token. Several Organizations with one token: the lowest holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

fn default_backend() -> String {
    DEFAULT_BACKEND.to_owned()
}

/// Where an access token comes from. Exactly one of `secretKeyRef` and `serviceAccount`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.secret)")
        .message("a secret value is never written into a resource: write secretKeyRef: {name, key}, which names a Secret in this namespace"),
    validation = Rule::new("has(self.secretKeyRef) != has(self.serviceAccount)")
        .message("write secretKeyRef: {name, key} for a token in a Secret of this namespace, or serviceAccount: {name} for one that the operator gets for that identity: exactly one of the two"),
    validation = Rule::new(KEY_RULE).message("write which key of the Secret holds the access token: secretKeyRef: {name, key}")
)]
pub struct AccessToken {
    /// The Secret's key that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// The ServiceAccount for whose identity the service gives a token. No token is kept anywhere but in the operator's
    /// memory. Pulumi Cloud has to trust the cluster's issuer, and the operator needs `create` on `serviceaccounts/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountToken>,
    /// Always refused: write `secretKeyRef` or `serviceAccount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Refused>,
}

/// A token for the identity of a ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.tokenType != 'organization' || !has(self.scope) || self.scope == 'admin'")
        .message("a token of the organization has no scope, or scope: admin; for another one write tokenType: team or personal"),
    validation = Rule::new("self.tokenType != 'team' || (has(self.scope) && self.scope.matches('^team:[^:]+$'))")
        .message("tokenType: team needs to know which team: write scope: team:NAME"),
    validation = Rule::new("self.tokenType != 'personal' || (has(self.scope) && self.scope.matches('^user:[^:]+$'))")
        .message("tokenType: personal needs to know whose token: write scope: user:LOGIN"),
    validation = Rule::new(format!("!has(self.expiration) || !{} || duration(self.expiration) >= duration('1m')", is_duration("self.expiration")))
        .message("expiration must be at least 1m; leave it out for tokens that live as long as the service likes")
)]
pub struct ServiceAccountToken {
    /// Name of the ServiceAccount, in the namespace of this resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// What the token is for. `organization`: the organization. `team`: a team of it, named by `scope`. `personal`: a
    /// member of it, named by `scope`. Default: `organization`.
    #[serde(default)]
    pub token_type: TokenType,
    /// What the token may do: `admin`, for an organization admin's rights, `team:NAME` or `user:LOGIN`. Default: what the
    /// type says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub scope: Option<String>,
    /// For how long a token is good. It is renewed before it ends. Default: as the service likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Duration>,
}

/// What an access token is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TokenType {
    /// The organization.
    #[default]
    Organization,
    /// A team of the organization.
    Team,
    /// A member of the organization.
    Personal,
}

/// The form in which a backend speaks the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Dialect {
    /// The API as it is.
    #[default]
    Stacks,
    /// The deprecated preview routes, where there are no others.
    Preview,
}

/// One rule of who may use an organization for what. What a rule leaves out, it does not restrict.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRule {
    /// The namespaces that the rule is for. Default: the Organization's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<NamespaceRule>,
    /// Globs of `project/stack`; `*` does not cross `/`, `**` does. Default: every stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub stacks: Option<Vec<String>>,
    /// Operations that Deployments may run. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    pub operations: Option<Vec<Operation>>,
    /// Id of the Pulumi role that their runs have, whatever their settings say.
    #[serde(default, rename = "roleID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub role_id: Option<String>,
}

/// The namespaces that an access rule is for, as listeners of the Gateway API choose theirs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
        .message("selector goes with from: Selector, and from: Selector needs one: write selector: {matchLabels: {…}}")
)]
pub struct NamespaceRule {
    /// `Same`: the Organization's own namespace. `All`: every namespace. `Selector`: those whose labels match.
    pub from: NamespacesFrom,
    /// Which labels a namespace must have, with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Where the namespaces of an access rule come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// The Organization's own namespace.
    Same,
    /// Every namespace.
    All,
    /// Namespaces with matching labels.
    Selector,
}

/// A label selector. All its requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels and the values they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)")
        .message("In and NotIn need values; Exists and DoesNotExist have none")
)]
pub struct LabelRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How its value must relate to `values`. `In`: it is one of them. `NotIn`: it is none of them, or the label is
    /// missing. `Exists`: the label is there. `DoesNotExist`: it is missing.
    pub operator: LabelOperator,
    /// The values, for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label's value must relate to given values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// It is one of them.
    In,
    /// It is none of them, or the label is missing.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

/// A request budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests per second, on average. Default: `10`.
    #[serde(default = "default_rate")]
    #[schemars(range(min = 1, max = 1000))]
    pub requests_per_second: u32,
    /// Requests that may come at once. Default: `20`.
    #[serde(default = "default_burst")]
    #[schemars(range(min = 1, max = 1000))]
    pub burst: u32,
}

const fn default_rate() -> u32 {
    10
}

const fn default_burst() -> u32 {
    20
}

impl Organization {
    /// Its name in Pulumi Cloud.
    #[must_use]
    pub fn remote_name(&self) -> String {
        self.spec.name.clone().unwrap_or_else(|| self.name_any())
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { requests_per_second: default_rate(), burst: default_burst() }
    }
}

/// What is known of an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of `reconcile.fluxcd.io/requestedAt` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Ready`, `Reconciling`, `Stalled`, and this kind's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Name of the organization in Pulumi Cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whom the access token belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<TokenUser>,
    /// Whether deployments are paused organization-wide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// How many deployments may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How many deployments there are, by their status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_counts: Option<DeploymentCounts>,
}

/// Whom an access token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TokenUser {
    /// The login.
    pub login: String,
    /// The name that people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How many deployments there are, by their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentCounts {
    /// Waiting in a queue.
    pub not_started: u64,
    /// Accepted by a runner.
    pub accepted: u64,
    /// Running.
    pub running: u64,
    /// Ended badly.
    pub failed: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Never ran, because a newer one took their place or they waited too long.
    pub skipped: u64,
    /// All of them.
    pub total: u64,
}
