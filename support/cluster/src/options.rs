//! What the caller chooses.

use std::path::PathBuf;

use crate::Progress;
use crate::progress::Reporter;

/// How to start a [`Cluster`](crate::Cluster).
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) users: Vec<User>,
    pub(crate) api_server_args: Vec<String>,
    pub(crate) progress: Reporter,
}

impl Options {
    /// A cluster whose data, certificates, logs and kubeconfigs are in `dir`, which is created.
    ///
    /// A later start in the same directory finds the same objects and the same users again.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), users: Vec::new(), api_server_args: Vec::new(), progress: Reporter::new(|_| {}) }
    }

    /// Adds a user next to the administrator. RBAC decides what it may do.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// Adds an argument to the command line of kube-apiserver, such as `--audit-log-path=…`.
    #[must_use]
    pub fn api_server_arg(mut self, argument: impl Into<String>) -> Self {
        self.api_server_args.push(argument.into());
        self
    }

    /// Calls `callback` at each step of the start.
    #[must_use]
    pub fn progress(mut self, callback: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.progress = Reporter::new(callback);
        self
    }
}

/// A user of the cluster, who authenticates with a random token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

impl User {
    /// A user in no group but `system:authenticated`.
    ///
    /// The name may be one that Kubernetes gives a meaning to, such as
    /// `system:serviceaccount:default:builder`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), groups: Vec::new() }
    }

    /// Adds the user to a group. The name of a group must not contain a comma.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }
}
