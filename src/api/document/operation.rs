//! How a program is executed.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::oidc::Oidc;
use crate::api::reference::{ConfigMapKeyRef, Refused, SecretKeyRef};

/// How the program is executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationContext {
    /// Shell commands that run before Pulumi, each in a shell of its own. The list replaces the remote one as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(max = 8192)))]
    pub pre_run_commands: Option<Vec<String>>,
    /// Environment variables of the run. Each is owned by itself: variables that others set remotely are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub environment_variables: Option<Vec<EnvironmentVariable>>,
    /// Options of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<OperationOptions>,
    /// Short-lived cloud credentials, by exchange of the run's OIDC token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    /// The Pulumi role that the run has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// One environment variable of the run, as in a Pod: a value, or where to take it from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.secret)")
        .message("a secret value is never written into a resource: write valueFrom: {secretKeyRef: {name, key}}, which names a Secret in this namespace"),
    validation = Rule::new("has(self.value) != has(self.valueFrom)")
        .message("write exactly one of value and valueFrom"),
    validation = Rule::new("!(self.name in ['PULUMI_ACCESS_TOKEN', 'PULUMI_BACKEND_URL'] || self.name.startsWith('PULUMI_CI_'))")
        .message("this name is reserved: Pulumi Deployments sets PULUMI_ACCESS_TOKEN, PULUMI_BACKEND_URL and PULUMI_CI_… itself and would overwrite it; choose another name"),
    validation = Rule::new("!self.name.startsWith('PULUMI_DEPLOYMENTS_OPERATOR_')")
        .message("names that begin with PULUMI_DEPLOYMENTS_OPERATOR_ are reserved: the operator finds its own runs by them; choose another name")
)]
pub struct EnvironmentVariable {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_]*$')").message("write a name of letters, digits and '_' that does not begin with a digit"))]
    pub name: String,
    /// A plain value. Anyone who may read this resource can read it.
    //
    // A string, whose "unknown fields" are to be preserved: the API's own form of a secret, `value: {secret: …}`, is
    // then refused for its type. As an unknown field it would be refused with a copy of the whole object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768), extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub value: Option<String>,
    /// A Secret's or ConfigMap's key that holds the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
    /// Always refused: write `valueFrom.secretKeyRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Refused>,
}

/// Where the value of an environment variable comes from: exactly one source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.secret)")
        .message("a secret value is never written into a resource: write secretKeyRef: {name, key}, which names a Secret in this namespace"),
    validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)")
        .message("write exactly one of secretKeyRef: {name, key} and configMapKeyRef: {name, key}")
)]
pub struct ValueFrom {
    /// A Secret's key. The value is sent, and kept remotely, as a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("has(self.key)").message("write which key of the Secret holds the value: secretKeyRef: {name, key}"))]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// A ConfigMap's key. The value is sent as a plain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
    /// Always refused: write `secretKeyRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Refused>,
}

/// Options of a run. An absent option is left as it is remotely; `false` is the service's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationOptions {
    /// Skip the automatic installation of dependencies. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_install_dependencies: Option<bool>,
    /// When a run finishes, skip all queued runs of the same operation except the newest. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_intermediate_deployments: Option<bool>,
    /// The shell that pre-run commands run in. Default: the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub shell: Option<String>,
    /// Delete the stack after a successful destroy. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_destroy: Option<bool>,
    /// Run a remediation when drift detection finds drift. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_if_drift_detected: Option<bool>,
}

/// A Pulumi role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Id of the role.
    #[schemars(length(min = 1, max = 100))]
    pub id: String,
    /// Name of the role. Default: the one that the service knows for the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub name: Option<String>,
    /// The service's identifier of a role that exists by default. Default: the one that the service knows for the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub default_identifier: Option<String>,
}
