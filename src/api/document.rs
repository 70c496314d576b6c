//! The document under `spec.settings`: the deployment settings of a stack, with the names of the API's page.
//!
//! It differs from the API's own document where Kubernetes has a better form: a secret is always a reference,
//! environment variables are a list keyed by name, as a Pod's, and an image is always an object.
//! An explicit empty value (`""`, `[]`, `{}`) means that the field must be unset remotely.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod auth;
pub mod executor;
pub mod integration;
pub mod oidc;
pub mod operation;
pub mod source;

use self::{
    executor::ExecutorContext,
    integration::{GitHub, Vcs},
    operation::OperationContext,
    source::SourceContext,
};

/// Deployment settings, as far as they are declared. What is absent is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.gitHub) && has(self.vcs) && has(self.vcs.provider)) || [has(self.gitHub.repository), has(self.gitHub.deployCommits), has(self.gitHub.previewPullRequests), has(self.gitHub.pullRequestTemplate), has(self.gitHub.deployPullRequest), has(self.gitHub.paths), has(self.gitHub.installationId), has(self.gitHub.deployTags), has(self.gitHub.tagFilters), has(self.gitHub.reviewStackLabels)].all(x, !x)")
        .message("gitHub and vcs exclude each other: keep gitHub for the GitHub integration, or vcs for one of another provider, and write the other one as {} or not at all"),
    validation = Rule::new("!(has(self.vcs) && has(self.vcs.repository) && size(self.vcs.repository) > 0 && has(self.sourceContext) && has(self.sourceContext.git) && has(self.sourceContext.git.repoURL) && size(self.sourceContext.git.repoURL) > 0)")
        .message("vcs.repository and sourceContext.git.repoURL exclude each other: keep vcs.repository for the provider's integration, or repoURL for any git server"),
    validation = Rule::new("!(has(self.gitHub) && has(self.gitHub.repository) && size(self.gitHub.repository) > 0 && has(self.sourceContext) && has(self.sourceContext.git) && has(self.sourceContext.git.repoURL) && size(self.sourceContext.git.repoURL) > 0)")
        .message("gitHub.repository and sourceContext.git.repoURL exclude each other: keep gitHub.repository for the GitHub integration, or repoURL for any git server")
)]
pub struct SettingsDocument {
    /// A word of your own that identifies these settings in Pulumi Cloud. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub tag: Option<String>,
    /// Where the Pulumi operation is executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_context: Option<ExecutorContext>,
    /// Where the program's source code is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_context: Option<SourceContext>,
    /// How the program is executed: commands, environment, options, cloud credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_context: Option<OperationContext>,
    /// The GitHub integration: push to deploy, pull request previews, review stacks. Not together with `vcs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_hub: Option<GitHub>,
    /// The integration of any provider, GitHub included. Not together with `gitHub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcs: Option<Vcs>,
    /// Id of the self-hosted agent pool that runs the deployments. `""` goes back to Pulumi's own runners; left out, the
    /// pool stays as it is. Default: Pulumi's own runners.
    #[serde(default, rename = "agentPoolID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub agent_pool_id: Option<String>,
    /// Dependency caching between runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_options: Option<CacheOptions>,
}

/// Dependency caching.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CacheOptions {
    /// Whether dependencies are cached between runs. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<bool>,
}
