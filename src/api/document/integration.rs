//! What starts runs by itself: the GitHub integration, and those of other providers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The GitHub integration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitHub {
    /// Repository with the program, as `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = Rule::new("self == '' || self.matches('^[-A-Za-z0-9_.]+/[-A-Za-z0-9_.]+$')").message("write owner/name, without the server and without .git; a repository elsewhere than in the GitHub integration goes into sourceContext.git.repoURL"))]
    pub repository: Option<String>,
    /// Run an `update` for each commit on the branch. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_commits: Option<bool>,
    /// Run a `preview` for each pull request to the branch. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_pull_requests: Option<bool>,
    /// Use this stack as the template of review stacks. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request_template: Option<bool>,
    /// Number of the one pull request to deploy, instead of what the other fields say. `0`: none. Default: `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub deploy_pull_request: Option<u32>,
    /// Path filters; `!` excludes. The list replaces the remote one as a whole. Default: every path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 1024)))]
    pub paths: Option<Vec<String>>,
    /// Id of the GitHub App's installation. Default: the one that has the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub installation_id: Option<String>,
    /// Run an `update` for each tag that is pushed and that `tagFilters` lets through. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_tags: Option<bool>,
    /// Globs of the tags that `deployTags` is about; `!` excludes. The list replaces the remote one as a whole.
    /// Default: every tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 255)))]
    pub tag_filters: Option<Vec<String>>,
    /// Only pull requests with one of these labels get a review stack. Exact, and case counts. The list replaces the
    /// remote one as a whole. Default: every pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 255)))]
    pub review_stack_labels: Option<Vec<String>>,
}

/// The provider of version control. `azure_devops`: Azure `DevOps`. `bitbucket`: Bitbucket. `custom`: an integration of
/// the organization's own. `github`: GitHub. `gitlab`: GitLab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Azure `DevOps`.
    #[serde(rename = "azure_devops")]
    AzureDevOps,
    /// Bitbucket.
    Bitbucket,
    /// An integration of the organization's own.
    Custom,
    /// GitHub.
    #[serde(rename = "github")]
    GitHub,
    /// GitLab.
    #[serde(rename = "gitlab")]
    GitLab,
}

/// The integration of a provider of version control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.provider) || [has(self.repository), has(self.deployCommits), has(self.previewPullRequests), has(self.pullRequestTemplate), has(self.deployPullRequest), has(self.paths), has(self.installationId), has(self.deployTags), has(self.tagFilters), has(self.reviewStackLabels)].all(x, !x)")
        .message("write whose integration this is: provider: azure_devops, bitbucket, custom, github or gitlab"),
    validation = Rule::new("!has(self.reviewStackLabels) || size(self.reviewStackLabels) == 0 || (has(self.provider) && self.provider == 'github')")
        .message("reviewStackLabels are GitHub's alone: leave them out, or write provider: github"),
    validation = Rule::new("!has(self.repository) || !self.repository.matches('(?i)^[a-z][-+.a-z0-9]*://[^/?#]*@')").field_path(".repository")
        .message("leave user, password and token out: the provider's integration has its own credentials")
)]
pub struct Vcs {
    /// The provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Repository with the program, in the provider's own form, such as `group/name` for GitLab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub repository: Option<String>,
    /// Run an `update` for each commit on the branch. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_commits: Option<bool>,
    /// Run a `preview` for each pull request to the branch. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_pull_requests: Option<bool>,
    /// Use this stack as the template of review stacks. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request_template: Option<bool>,
    /// Number of the one pull request to deploy, instead of what the other fields say. `0`: none. Default: `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub deploy_pull_request: Option<u32>,
    /// Path filters; `!` excludes. The list replaces the remote one as a whole. Default: every path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 1024)))]
    pub paths: Option<Vec<String>>,
    /// Id of the provider's integration in Pulumi Cloud. Default: the one that has the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub installation_id: Option<String>,
    /// Run an `update` for each tag that is pushed and that `tagFilters` lets through. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_tags: Option<bool>,
    /// Globs of the tags that `deployTags` is about; `!` excludes. The list replaces the remote one as a whole.
    /// Default: every tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 255)))]
    pub tag_filters: Option<Vec<String>>,
    /// Only pull requests with one of these labels get a review stack (`provider: github` only). Exact, and case counts. The list replaces the
    /// remote one as a whole. Default: every pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 255)))]
    pub review_stack_labels: Option<Vec<String>>,
}
