//! The document under `spec.settings`: the deployment settings of a stack, with the names of the API's page.
//!
//! It differs from the API's own document where Kubernetes has a better form: a secret is always a reference,
//! environment variables are a list keyed by name, as a Pod's, and an image is always an object.
//! An explicit empty value (`""`, `[]`, `{}`) means that the field must be unset remotely.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration,
    reference::{ConfigMapKeyRef, KEY_RULE, Refused, SecretKeyRef, SecretSource},
};

/// Deployment settings, as far as they are declared. What is absent is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.gitHub) && has(self.gitHub.repository) && size(self.gitHub.repository) > 0 && has(self.sourceContext) && has(self.sourceContext.git) && has(self.sourceContext.git.repoURL) && size(self.sourceContext.git.repoURL) > 0)")
        .message("gitHub.repository and sourceContext.git.repoURL exclude each other: keep gitHub.repository for the GitHub integration, or repoURL for any git server")
)]
pub struct SettingsDocument {
    /// Where the Pulumi operation is executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_context: Option<ExecutorContext>,
    /// Where the program's source code is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_context: Option<SourceContext>,
    /// How the program is executed: commands, environment, options, cloud credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_context: Option<OperationContext>,
    /// The GitHub integration: push to deploy, pull request previews, review stacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_hub: Option<GitHub>,
    /// Id of the self-hosted agent pool that runs the deployments. Default: Pulumi's own runners. `""` goes back to them.
    #[serde(default, rename = "agentPoolID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub agent_pool_id: Option<String>,
    /// Dependency caching between runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_options: Option<CacheOptions>,
}

/// Where the Pulumi operation is executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorContext {
    /// The container image. Default: `pulumi/pulumi`. It must hold curl, the Pulumi CLI and the language's runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_image: Option<ExecutorImage>,
    /// The directory in the image that the run works in.
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
    /// Password or token at the registry.
    pub password: SecretSource,
}

/// Where the program's source code is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SourceContext {
    /// A git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

/// A git repository, what to check out of it, and how to get in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.branch) && size(self.branch) > 0, has(self.commit) && size(self.commit) > 0, has(self.tag) && size(self.tag) > 0].filter(x, x).size() <= 1")
        .message("branch, commit and tag exclude each other: write exactly one of them"),
    // On the parent, because of a field the message of a refusal shows the value.
    validation = Rule::new("!has(self.repoURL) || !self.repoURL.matches('(?i)^(https?://[^/?#]*@|[a-z][-+.a-z0-9]*://[^/?#@]*:[^/?#]*@)')").field_path(".repoURL")
        .message("leave user, password and token out of the URL: write gitAuth, which takes them from a Secret in this namespace")
)]
pub struct Git {
    /// URL of the repository. Leave it out when `gitHub.repository` is given.
    #[serde(default, rename = "repoURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub repo_url: Option<String>,
    /// Branch to check out, `main` and `refs/heads/main` alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub branch: Option<String>,
    /// Hash of the commit to check out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
    /// Tag to check out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub tag: Option<String>,
    /// Directory of `Pulumi.yaml`, when it is not the repository's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub repo_dir: Option<String>,
    /// Credentials. Without them the repository is taken to be public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_auth: Option<GitAuth>,
}

/// Credentials for a git repository: exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.sshAuth), has(self.basicAuth), has(self.accessToken)].filter(x, x).size() <= 1")
        .message("only one kind of gitAuth at a time: write sshAuth, basicAuth or accessToken")
)]
pub struct GitAuth {
    /// An SSH key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_auth: Option<SshAuth>,
    /// User name and password (or a token in the password's place).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// A personal access token of the git server.
    #[x_kube(validation = Rule::new(KEY_RULE).message("write which key of the Secret holds the token: secretKeyRef: {name, key}"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<SecretSource>,
}

/// An SSH key for git.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SshAuth {
    /// The private key. The key `ssh-privatekey` is taken from a Secret of type `kubernetes.io/ssh-auth`.
    pub ssh_private_key: SecretSource,
    /// The private key's passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
}

/// User name and password for git.
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
    validation = Rule::new("!(self.name in ['PULUMI_ACCESS_TOKEN', 'PULUMI_BACKEND_URL', 'PULUMI_CI_BUILD_URL', 'PULUMI_CI_SYSTEM', 'PULUMI_CI_BUILD_NUMBER', 'PULUMI_CI_BUILD_ID'])")
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
    /// Skip the automatic installation of dependencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_install_dependencies: Option<bool>,
    /// When a run finishes, skip all queued runs of the same operation except the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_intermediate_deployments: Option<bool>,
    /// The shell that pre-run commands run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub shell: Option<String>,
    /// Delete the stack after a successful destroy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_destroy: Option<bool>,
    /// Run a remediation when drift detection finds drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_if_drift_detected: Option<bool>,
}

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
    /// Name of the session.
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

/// A Pulumi role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Role {
    /// Id of the role.
    #[schemars(length(min = 1, max = 100))]
    pub id: String,
}

/// The GitHub integration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitHub {
    /// Repository with the program, as `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = Rule::new("self == '' || self.matches('^[-A-Za-z0-9_.]+/[-A-Za-z0-9_.]+$')").message("write owner/name, without the server and without .git; a repository elsewhere than in the GitHub integration goes into sourceContext.git.repoURL"))]
    pub repository: Option<String>,
    /// Run an `update` for each commit on the branch. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_commits: Option<bool>,
    /// Run a `preview` for each pull request to the branch. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_pull_requests: Option<bool>,
    /// Use this stack as the template of review stacks. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request_template: Option<bool>,
    /// Path filters; `!` excludes. The list replaces the remote one as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 1024)))]
    pub paths: Option<Vec<String>>,
}

/// Dependency caching.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CacheOptions {
    /// Whether dependencies are cached between runs. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<bool>,
}
