//! How to get into a repository.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::reference::{KEY_RULE, SecretSource};

/// Credentials for a repository: exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.sshAuth), has(self.basicAuth), has(self.accessToken)].filter(x, x).size() <= 1")
        .message("only one kind of credentials at a time: write sshAuth, basicAuth or accessToken")
)]
pub struct GitAuth {
    /// An SSH key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_auth: Option<SshAuth>,
    /// User name and password (or a token in the password's place).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// A personal access token of the server. No type of Secret has a standard key for it, so `key` must be written.
    #[x_kube(validation = Rule::new(KEY_RULE).message("write which key of the Secret holds the token: secretKeyRef: {name, key}"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<SecretSource>,
}

/// An SSH key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SshAuth {
    /// The private key. The key `ssh-privatekey` is taken from a Secret of type `kubernetes.io/ssh-auth`.
    pub ssh_private_key: SecretSource,
    /// The private key's passphrase. Default: none. The key `password` is taken from a Secret of type
    /// `kubernetes.io/ssh-auth` or `kubernetes.io/basic-auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.userName) != has(self.userNameFrom)")
        .message("write exactly one of userName and userNameFrom: {secretKeyRef: {name, key}}")
)]
pub struct BasicAuth {
    /// The user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub user_name: Option<String>,
    /// The user name, from a Secret. The key `username` is taken from a Secret of type `kubernetes.io/basic-auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name_from: Option<SecretSource>,
    /// The password. The key `password` is taken from a Secret of type `kubernetes.io/basic-auth`.
    pub password: SecretSource,
}
