//! Where the control plane's programs come from.

use std::env;
use std::path::{Path, PathBuf};

use crate::go_build::CONTROL_PLANE;
use crate::progress::Reporter;
use crate::{Error, Progress};

const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// The programs of a control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binaries {
    /// The etcd server.
    pub etcd: PathBuf,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The controller manager.
    pub kube_controller_manager: PathBuf,
    /// The command line client, of the same version.
    pub kubectl: PathBuf,
}

impl Binaries {
    /// Those of the directory that `KUBEBUILDER_ASSETS` names, or else compiled ones, which takes
    /// some minutes the first time.
    ///
    /// [`Cluster::start`](crate::Cluster::start) does this as well. Alone it is of use for filling
    /// the cache.
    ///
    /// # Errors
    ///
    /// If the directory lacks one of them, if `go` is missing, or if the build fails.
    pub async fn find_or_build(progress: impl Fn(&Progress) + Send + Sync + 'static) -> Result<Self, Error> {
        Self::find_or_build_reporting(&Reporter::new(progress)).await
    }

    pub(crate) async fn find_or_build_reporting(progress: &Reporter) -> Result<Self, Error> {
        let Some(assets) = env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) else {
            let wanted = ["etcd", "kubectl", "kube-apiserver", CONTROLLER_MANAGER];
            let dir = CONTROL_PLANE.build(&wanted, progress).await?;
            return Ok(Self::in_dir(&dir));
        };
        let mut binaries = Self::in_assets(Path::new(&assets))?;
        // The archives that this variable usually points to come without it.
        if !binaries.kube_controller_manager.is_file() {
            let dir = CONTROL_PLANE.build(&[CONTROLLER_MANAGER], progress).await?;
            binaries.kube_controller_manager = dir.join(CONTROLLER_MANAGER);
        }
        Ok(binaries)
    }

    fn in_dir(dir: &Path) -> Self {
        Self {
            etcd: dir.join("etcd"),
            kube_apiserver: dir.join("kube-apiserver"),
            kube_controller_manager: dir.join(CONTROLLER_MANAGER),
            kubectl: dir.join("kubectl"),
        }
    }

    fn in_assets(dir: &Path) -> Result<Self, Error> {
        for binary in ["etcd", "kube-apiserver", "kubectl"] {
            if !dir.join(binary).is_file() {
                return Err(Error::AssetMissing { dir: dir.to_owned(), binary });
            }
        }
        // Absolute, because it is used from other working directories.
        let dir = dir.canonicalize().map_err(Error::io("find", dir))?;
        Ok(Self::in_dir(&dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn assets_have_to_be_complete_but_for_the_controller_manager() {
        let dir = tempfile::tempdir().unwrap();
        for binary in ["etcd", "kubectl"] {
            fs::write(dir.path().join(binary), "").unwrap();
        }
        let message = Binaries::in_assets(dir.path()).unwrap_err().to_string();
        assert!(message.ends_with("there is no kube-apiserver"), "{message}");

        fs::write(dir.path().join("kube-apiserver"), "").unwrap();
        let binaries = Binaries::in_assets(dir.path()).unwrap();
        assert!(binaries.etcd.is_file());
    }
}
