//! Helm, for what installs charts into the cluster.

use std::path::PathBuf;

use crate::go_build::HELM;
use crate::progress::Reporter;
use crate::{Error, Progress};

/// The `helm` program: compiled from a pinned Go module, once, and kept like the control plane's binaries.
///
/// # Errors
///
/// If `go` is missing, or if the build fails.
pub async fn find_or_build(progress: impl Fn(&Progress) + Send + Sync + 'static) -> Result<PathBuf, Error> {
    Ok(HELM.build(&["helm"], &Reporter::new(progress)).await?.join("helm"))
}
