//! Short-lived cloud credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Duration;

/// The cloud accounts that a run gets short-lived credentials for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Oidc {
    /// AWS, by assuming a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsOidc>,
    /// Azure, by a federated workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureOidc>,
    /// Google Cloud, by a workload identity pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp: Option<GcpOidc>,
}

/// AWS credentials by assuming a role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsOidc {
    /// ARN of the role to assume.
    #[schemars(length(min = 1, max = 2048))]
    pub role_arn: String,
    /// Name of the session. The service fills in `${organization.name}`, `${project.name}`, `${stack.name}`,
    /// `${operation}`, `${deployment.version}` and `${deployment.id}`, and keeps the result below AWS' 64 characters.
    #[schemars(length(min = 1, max = 255))]
    pub session_name: String,
    /// How long the session lasts. Default: the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// ARNs of policies that restrict the session further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), inner(length(max = 2048)))]
    pub policy_arns: Option<Vec<String>>,
}

/// Azure credentials by a federated workload identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureOidc {
    /// Client id of the workload identity.
    #[schemars(length(min = 1, max = 255))]
    pub client_id: String,
    /// Tenant id of the workload identity.
    #[schemars(length(min = 1, max = 255))]
    pub tenant_id: String,
    /// Id of the subscription.
    #[schemars(length(min = 1, max = 255))]
    pub subscription_id: String,
}

/// Google Cloud credentials by a workload identity pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpOidc {
    /// Numerical id of the project.
    #[schemars(length(min = 1, max = 255))]
    pub project_id: String,
    /// Region of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub region: Option<String>,
    /// Id of the workload identity pool.
    #[schemars(length(min = 1, max = 255))]
    pub workload_pool_id: String,
    /// Id of the identity provider in the pool.
    #[schemars(length(min = 1, max = 255))]
    pub provider_id: String,
    /// Email address of the service account to act as.
    #[schemars(length(min = 1, max = 255))]
    pub service_account: String,
    /// How long the credentials last. Default: the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_lifetime: Option<Duration>,
}
