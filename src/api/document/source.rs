//! Where the program's source code is: git, Mercurial or a template.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::auth::GitAuth;

/// A rule that a URL holds no user, password or token. It stands on the parent, because of a field the message of a
/// refusal shows the value.
fn without_credentials(field: &str) -> String {
    format!(
        "!has(self.{field}) || !self.{field}.matches('(?i)^(https?://[^/?#]*@|[a-z][-+.a-z0-9]*://[^/?#@]*:[^/?#]*@)')"
    )
}

/// Where the program's source code is: exactly one kind of source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("[has(self.git) && [has(self.git.repoURL), has(self.git.branch), has(self.git.commit), has(self.git.tag), has(self.git.repoDir), has(self.git.gitAuth)].exists(x, x), has(self.hg) && [has(self.hg.repoURL), has(self.hg.branch), has(self.hg.revision), has(self.hg.repoDir), has(self.hg.hgAuth)].exists(x, x), has(self.template) && [has(self.template.sourceUrl), has(self.template.gitAuth)].exists(x, x)].filter(x, x).size() <= 1")
        .message("git, hg and template exclude each other: keep the one that has the program, and write the others as {} or not at all")
)]
pub struct SourceContext {
    /// A git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// A Mercurial repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hg: Option<Mercurial>,
    /// A template, from Pulumi's registry or from a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

/// A git repository, what to check out of it, and how to get in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.branch) && size(self.branch) > 0, has(self.commit) && size(self.commit) > 0, has(self.tag) && size(self.tag) > 0].filter(x, x).size() <= 1")
        .message("branch, commit and tag exclude each other: write exactly one of them"),
    validation = Rule::new(without_credentials("repoURL")).field_path(".repoURL")
        .message("leave user, password and token out of the URL: write gitAuth, which takes them from a Secret in this namespace")
)]
pub struct Git {
    /// URL of the repository. Leave it out when `gitHub.repository` or `vcs.repository` is given.
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
    /// Directory of `Pulumi.yaml` in the repository. Default: its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub repo_dir: Option<String>,
    /// Credentials. Default: none, for a public repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_auth: Option<GitAuth>,
}

/// A Mercurial repository, what to check out of it, and how to get in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.branch) && size(self.branch) > 0 && has(self.revision) && size(self.revision) > 0)")
        .message("branch and revision exclude each other: write exactly one of them"),
    validation = Rule::new(without_credentials("repoURL")).field_path(".repoURL")
        .message("leave user, password and token out of the URL: write hgAuth, which takes them from a Secret in this namespace")
)]
pub struct Mercurial {
    /// URL of the repository.
    #[serde(default, rename = "repoURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub repo_url: Option<String>,
    /// Branch to check out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub branch: Option<String>,
    /// Hash of the changeset to check out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub revision: Option<String>,
    /// Directory of `Pulumi.yaml` in the repository. Default: its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub repo_dir: Option<String>,
    /// Credentials. Default: none, for a public repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hg_auth: Option<GitAuth>,
}

/// A template that the program is made from, and how to get at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(without_credentials("sourceUrl")).field_path(".sourceUrl")
        .message("leave user, password and token out of the URL: write gitAuth, which takes them from a Secret in this namespace"),
    validation = Rule::new("!has(self.sourceUrl) || !self.sourceUrl.startsWith('registry://') || self.sourceUrl.matches('^registry://templates/[^/@]+/[^/@]+/[^/@]+(@[^/@]+)?$')").field_path(".sourceUrl")
        .message("write registry://templates/source/publisher/name, with @version behind it for another version than the latest")
)]
pub struct Template {
    /// URL of the template: `registry://templates/source/publisher/name`, with `@version` behind it for another version
    /// than the latest, or the URL of a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub source_url: Option<String>,
    /// Credentials for the template's repository. As of now the service uses an `accessToken` only. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_auth: Option<GitAuth>,
}
