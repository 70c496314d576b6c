//! Binaries compiled once from pinned Go modules and kept in the user's cache directory.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::hash::sha256_hex;
use crate::process::{self, Process};
use crate::progress::Reporter;
use crate::{Error, Progress};

/// A Go module that pins the versions of some binaries.
#[derive(Debug)]
pub(crate) struct Module {
    /// The name of its directory in the cache.
    name: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// Its main package, where a binary is a program of our own around libraries of others.
    main_go: Option<&'static str>,
    ldflags: &'static str,
    /// How long a build of all its binaries takes on a small machine.
    estimate: &'static str,
    binaries: &'static [Binary],
}

#[derive(Debug)]
struct Binary {
    name: &'static str,
    package: &'static str,
}

pub(crate) const CONTROL_PLANE: Module = Module {
    name: "control-plane",
    go_mod: include_str!("../assets/control-plane/go.mod"),
    go_sum: include_str!("../assets/control-plane/go.sum"),
    main_go: None,
    // The version that a build from a source tree would take from git.
    ldflags: "-s -w \
        -X k8s.io/component-base/version.gitVersion=v1.36.3 \
        -X k8s.io/component-base/version.gitMajor=1 \
        -X k8s.io/component-base/version.gitMinor=36",
    estimate: "about 6 minutes",
    binaries: &[
        Binary { name: "etcd", package: "go.etcd.io/etcd/server/v3" },
        Binary { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" },
        Binary { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" },
        Binary { name: "kube-controller-manager", package: "k8s.io/kubernetes/cmd/kube-controller-manager" },
    ],
};

pub(crate) const HELM: Module = Module {
    name: "helm",
    go_mod: include_str!("../assets/helm/go.mod"),
    go_sum: include_str!("../assets/helm/go.sum"),
    main_go: None,
    // What its Makefile sets. Charts that are rendered without a cluster are for this Kubernetes version.
    ldflags: "-s -w \
        -X helm.sh/helm/v3/internal/version.version=v3.22.0 \
        -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 \
        -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=37 \
        -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
        -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37",
    estimate: "about 2 minutes",
    binaries: &[Binary { name: "helm", package: "helm.sh/helm/v3/cmd/helm" }],
};

pub(crate) const PROMQL: Module = Module {
    name: "promql",
    go_mod: include_str!("../assets/promql/go.mod"),
    go_sum: include_str!("../assets/promql/go.sum"),
    main_go: Some(include_str!("../assets/promql/main.go")),
    ldflags: "-s -w",
    estimate: "about a minute",
    binaries: &[Binary { name: "promql", package: "." }],
};

const FLAGS: [&str; 3] = ["-mod=readonly", "-trimpath", "-buildvcs=false"];

/// How often a process looks whether the other one's build is over.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

impl Module {
    /// Compiles those of the `wanted` binaries that the cache lacks, and returns their directory.
    pub(crate) async fn build(&self, wanted: &[&str], progress: &Reporter) -> Result<PathBuf, Error> {
        let cache = cache_dir(|variable| env::var_os(variable).map(PathBuf::from))?;
        let dir = cache.join(self.name).join(self.key());
        if self.missing(wanted, &dir).is_empty() {
            return Ok(dir);
        }

        let source = dir.join("module");
        fs::create_dir_all(&source).map_err(Error::io("create", &source))?;
        let _lock = lock(&dir.join("lock"), progress).await?;
        // Another process may have built them before the lock was ours.
        let missing = self.missing(wanted, &dir);
        if missing.is_empty() {
            return Ok(dir);
        }
        require_go()?;
        let main_go = self.main_go.map(|content| ("main.go", content));
        for (name, content) in [("go.mod", self.go_mod), ("go.sum", self.go_sum)].into_iter().chain(main_go) {
            let path = source.join(name);
            fs::write(&path, content).map_err(Error::io("write", &path))?;
        }
        let count = missing.len();
        for (index, binary) in (1..).zip(missing) {
            progress.report(&Progress::Building { binary: binary.name, index, count, estimate: self.estimate });
            self.compile(binary, &source, &dir).await?;
        }
        Ok(dir)
    }

    async fn compile(&self, binary: &Binary, source: &Path, dir: &Path) -> Result<(), Error> {
        let partial = dir.join(format!("{}.partial", binary.name));
        let log = dir.join(format!("{}.log", binary.name));
        File::create(&log).map_err(Error::io("create", &log))?;

        let mut command = process::command(Path::new("go"));
        command
            .arg("build")
            .args(FLAGS)
            .args(["-ldflags", self.ldflags, "-o"])
            .arg(&partial)
            .arg(binary.package)
            .current_dir(source)
            // No C compiler is needed, and no workspace around the cache matters.
            .envs([("CGO_ENABLED", "0"), ("GOWORK", "off")])
            // The binaries run here.
            .env_remove("GOOS")
            .env_remove("GOARCH");
        let status = Process::spawn("go build", command, log.clone())?.wait().await?;
        if !status.success() {
            return Err(Error::Build { binary: binary.name, status, tail: process::tail(&log), log });
        }
        // Renamed, so that a binary which is there is a whole one.
        let complete = dir.join(binary.name);
        fs::rename(&partial, &complete).map_err(Error::io("rename", &partial))
    }

    fn missing(&self, wanted: &[&str], dir: &Path) -> Vec<&'static Binary> {
        self.binaries
            .iter()
            .filter(|binary| wanted.contains(&binary.name) && !dir.join(binary.name).is_file())
            .collect()
    }

    /// Changes with everything that decides what the build gives.
    fn key(&self) -> String {
        let flags = FLAGS.join(" ");
        let (os, arch) = (env::consts::OS, env::consts::ARCH);
        let mut parts = vec![self.go_mod, self.go_sum, &flags, self.ldflags, os, arch];
        parts.extend(self.main_go);
        let mut key = sha256_hex(&parts);
        key.truncate(16);
        key
    }
}

/// Where the compiled binaries are kept: outside `target/`, which `cargo clean` removes.
fn cache_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    // The specification of XDG_CACHE_HOME says to ignore a relative path.
    variable("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .filter(|path| path.is_absolute())
        .map(|cache| cache.join("pulumi-deployments-operator"))
        .ok_or(Error::NoCacheDir)
}

/// Waits until no other process builds in the same directory.
//
// Polled: a blocking wait could not be cancelled, which would keep Ctrl-C from working.
async fn lock(path: &Path, progress: &Reporter) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("create", path))?;
    let mut reported = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !reported {
                    progress.report(&Progress::WaitingForOtherBuild);
                    reported = true;
                }
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", path)(source)),
        }
    }
}

fn require_go() -> Result<(), Error> {
    match Command::new("go").arg("version").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::GoMissing),
        // Anything else that is wrong with it, the build says better.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: Module = Module {
        name: "example",
        go_mod: "module example",
        go_sum: "",
        main_go: None,
        ldflags: "",
        estimate: "a second",
        binaries: &[Binary { name: "one", package: "example/one" }, Binary { name: "two", package: "example/two" }],
    };

    #[test]
    fn the_key_changes_with_the_sources_and_the_flags() {
        let key = EXAMPLE.key();
        assert_eq!(key.len(), 16);
        for other in [
            Module { go_mod: "module other", ..EXAMPLE },
            Module { go_sum: "h1:", ..EXAMPLE },
            Module { main_go: Some("package main"), ..EXAMPLE },
            Module { ldflags: "-s", ..EXAMPLE },
        ] {
            assert_ne!(other.key(), key);
        }
    }

    #[test]
    fn the_version_that_a_binary_tells_is_the_pinned_one() {
        for (module, variable, package) in
            [(CONTROL_PLANE, "gitVersion=", "k8s.io/kubernetes"), (HELM, "version.version=", "helm.sh/helm/v3")]
        {
            let told = module.ldflags.split(variable).nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            let pinned = format!("\t{package} {told} ");
            assert!(module.go_mod.contains(&pinned), "{} has another version of {package} than {told}", module.name);
        }
    }

    #[test]
    fn only_what_is_wanted_and_not_there_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("one"), "").unwrap();
        fs::write(dir.path().join("two.partial"), "").unwrap();
        let missing = |wanted: &[&str]| -> Vec<&str> {
            let missing = EXAMPLE.missing(wanted, dir.path());
            missing.iter().map(|binary| binary.name).collect()
        };
        assert_eq!(missing(&["one", "two"]), ["two"]);
        assert!(missing(&["one"]).is_empty());
    }

    #[test]
    fn the_cache_is_where_the_user_wants_caches() {
        let dir = |xdg: Option<&str>, home: Option<&str>| {
            cache_dir(|variable| match variable {
                "XDG_CACHE_HOME" => xdg.map(PathBuf::from),
                _ => home.map(PathBuf::from),
            })
        };
        let in_home = Path::new("/home/a/.cache/pulumi-deployments-operator");
        assert_eq!(dir(Some("/cache"), Some("/home/a")).unwrap(), Path::new("/cache/pulumi-deployments-operator"));
        assert_eq!(dir(None, Some("/home/a")).unwrap(), in_home);
        assert_eq!(dir(Some("relative"), Some("/home/a")).unwrap(), in_home);
        assert!(matches!(dir(None, None), Err(Error::NoCacheDir)));
    }

    #[tokio::test]
    async fn a_second_builder_waits_for_the_first_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = lock(&path, &Reporter::new(|_| {})).await.unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let reporter = Reporter::new(move |event| sender.send(event.clone()).unwrap());
        let second = tokio::spawn(async move { lock(&path, &reporter).await });
        while receiver.try_recv() != Ok(Progress::WaitingForOtherBuild) {
            tokio::task::yield_now().await;
        }
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap().unwrap();
    }
}
