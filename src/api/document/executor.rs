//! Where a run is executed.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::reference::SecretSource;

/// Where the Pulumi operation is executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorContext {
    /// The container image. Default: `pulumi/pulumi`. It must hold curl, the Pulumi CLI and the language's runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_image: Option<ExecutorImage>,
    /// Absolute path of the directory in the image that holds the executor's binary and the run's working directory.
    /// Default: the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub executor_root_path: Option<String>,
}

/// A container image and how to pull it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.credentials) || (has(self.reference) && size(self.reference) > 0)").message("credentials need the image they are for: write reference"))]
pub struct ExecutorImage {
    /// Image reference, such as `pulumi/pulumi-nodejs:latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub reference: Option<String>,
    /// Registry credentials, for a private image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<ImageCredentials>,
}

/// Registry credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ImageCredentials {
    /// User at the registry.
    #[schemars(length(min = 1, max = 255))]
    pub username: String,
    /// Password or token at the registry. The key `password` is taken from a Secret of type `kubernetes.io/basic-auth`.
    pub password: SecretSource,
}
