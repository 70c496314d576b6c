//! Why a cluster could not be started.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why a cluster could not be started, or stopped running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state directory belongs to a cluster that is running.
    #[error("{} is in use by a local cluster that is running (process {pid}); stop it or choose another directory", dir.display())]
    InUse {
        /// The state directory.
        dir: PathBuf,
        /// The process that uses it, as far as known.
        pid: String,
    },
    /// Go is needed for the build and is not installed.
    #[error(
        "`go` was not found: install Go 1.26 or newer (https://go.dev/dl/), with which the programs are compiled once; for the control plane it is not needed if KUBEBUILDER_ASSETS is set to a directory with etcd, kube-apiserver, kube-controller-manager and kubectl"
    )]
    GoMissing,
    /// A program that ties the servers to this process is not installed.
    #[error("`setpriv` was not found: install util-linux 2.33 or newer")]
    SetprivMissing,
    /// There is no place for the compiled binaries.
    #[error("no place for the compiled binaries: set HOME, XDG_CACHE_HOME or KUBEBUILDER_ASSETS to a directory")]
    NoCacheDir,
    /// The directory of `KUBEBUILDER_ASSETS` lacks a binary.
    #[error("KUBEBUILDER_ASSETS is set to {}, where there is no {binary}", dir.display())]
    AssetMissing {
        /// The value of the variable.
        dir: PathBuf,
        /// The name of the binary.
        binary: &'static str,
    },
    /// `go build` failed.
    #[error("building {binary} failed ({status}); the end of {}:\n{tail}", log.display())]
    Build {
        /// The name of the binary.
        binary: &'static str,
        /// How `go build` ended.
        status: ExitStatus,
        /// The output of `go build`.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// A server ended by itself.
    #[error("{server} ended ({status}); the end of {}:\n{tail}", log.display())]
    Exited {
        /// The name of the server.
        server: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A server runs and did not become ready in time.
    #[error("{server} was not ready after {seconds} s; the end of {}:\n{tail}", log.display())]
    NotReady {
        /// The name of the server.
        server: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Two users have the same name, or one has a name that the cluster itself uses.
    #[error("there is already a user {name:?}")]
    DuplicateUser {
        /// The name.
        name: String,
    },
    /// A key or a certificate could not be made.
    #[error("could not make the certificates: {0}")]
    Certificates(#[from] rcgen::Error),
    /// The client that asks the servers for their health could not be made.
    #[error("could not make an HTTP client: {0}")]
    HttpClient(#[from] reqwest::Error),
    /// The operating system refused something.
    #[error("could not {action}: {source}")]
    Io {
        /// What was attempted.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was being done to which path.
    pub(crate) fn io(action: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let action = format!("{action} {}", path.display());
        move |source| Self::Io { action, source }
    }

    /// Whether another process took a port between the choice of the port and its use.
    pub(crate) fn is_port_taken(&self) -> bool {
        matches!(self, Self::Exited { tail, .. } if tail.contains("address already in use"))
    }
}
