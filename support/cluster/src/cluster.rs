//! A running cluster.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::credentials::Credentials;
use crate::ports::Ports;
use crate::probe::Probe;
use crate::process::{self, Process};
use crate::progress::Reporter;
use crate::servers::{API_SERVER, CONTROLLER_MANAGER, ETCD, GARBAGE_COLLECTOR_RUNS, Servers};
use crate::state_dir::StateDir;
use crate::{Binaries, Error, Options, Progress, User, kubeconfig};

const ADMIN: &str = "admin";
/// Apart from the administrator, so that an audit log tells the two apart.
const CONTROLLER_MANAGER_USER: &str = "system:kube-controller-manager";

/// A few seconds are usual; the rest is for a machine that is busy.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const READY_INTERVAL: Duration = Duration::from_millis(50);
const WATCH_INTERVAL: Duration = Duration::from_millis(200);
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often a start chooses new ports, if others take those it has chosen.
const PORT_ATTEMPTS: u32 = 5;

/// A running control plane. Dropping it kills its processes; [`stop`](Self::stop) is gentler.
//
// The fields are dropped in this order: a server before the one that it depends on, and the
// directory's lock last.
#[derive(Debug)]
pub struct Cluster {
    controller_manager: Option<Process>,
    api_server: Option<Process>,
    etcd: Option<Process>,
    servers: Servers,
    probe: Probe,
    url: String,
    kubeconfig: PathBuf,
    user_kubeconfigs: Vec<(String, PathBuf)>,
    progress: Reporter,
    state_dir: StateDir,
}

impl Cluster {
    /// Starts a control plane and waits until it can be used: the API server is ready, the
    /// `default` namespace exists and the controllers run. That takes a few seconds, and some
    /// minutes if the binaries have to be compiled first.
    ///
    /// # Errors
    ///
    /// If the directory is in use by a running cluster, if the binaries cannot be had, or if a
    /// server does not start; the error then has the end of the server's log.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let users = with_own_users(&options.users)?;
        let mut attempt = 1;
        loop {
            // Taken before a build, so that a directory in use is refused at once.
            let state_dir = StateDir::open(&options.dir)?;
            let mut cluster = Self::prepare(&options, &users, state_dir).await?;
            match cluster.launch().await {
                Ok(()) => {
                    options.progress.report(&Progress::Ready);
                    return Ok(cluster);
                }
                Err(error) if error.is_port_taken() && attempt < PORT_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The administrator's kubeconfig, in the state directory.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubeconfig of a user of the [`Options`], by name.
    #[must_use]
    pub fn kubeconfig_for(&self, user: &str) -> Option<&Path> {
        let mut kubeconfigs = self.user_kubeconfigs.iter();
        kubeconfigs.find(|(name, _)| name == user).map(|(_, path)| path.as_path())
    }

    /// The `kubectl` of the cluster's version.
    #[must_use]
    pub fn kubectl(&self) -> &Path {
        &self.servers.binaries.kubectl
    }

    /// The address of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file with the certificate authority of the API server.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.servers.credentials.ca()
    }

    /// The state directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.state_dir.path()
    }

    /// Stops the API server only, and does nothing if it is stopped.
    pub async fn stop_api_server(&mut self) {
        if let Some(api_server) = self.api_server.take() {
            api_server.stop(STOP_GRACE).await;
        }
    }

    /// Starts the API server again at the same address, unless it runs, and waits until it is
    /// ready.
    ///
    /// # Errors
    ///
    /// If it does not start, for example because another process took its port meanwhile.
    pub async fn start_api_server(&mut self) -> Result<(), Error> {
        if self.api_server.is_none() {
            self.api_server = Some(self.spawn(API_SERVER, self.servers.api_server())?);
        }
        self.wait_for_api_server().await
    }

    /// Stops the API server and starts it again at the same address.
    ///
    /// # Errors
    ///
    /// As for [`start_api_server`](Self::start_api_server).
    pub async fn restart_api_server(&mut self) -> Result<(), Error> {
        self.stop_api_server().await;
        self.start_api_server().await
    }

    /// Waits until a server ends by itself, and returns the error that says so.
    pub async fn failure(&mut self) -> Error {
        loop {
            if let Err(error) = self.check() {
                return error;
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }

    /// Stops all processes: asks each to end, and kills it if it has not after a few seconds.
    pub async fn stop(mut self) {
        let processes = [self.controller_manager.take(), self.api_server.take(), self.etcd.take()];
        for process in processes.into_iter().flatten() {
            process.stop(STOP_GRACE).await;
        }
    }

    /// Everything up to the launch of the servers.
    async fn prepare(options: &Options, users: &[User], state_dir: StateDir) -> Result<Self, Error> {
        let binaries = Binaries::find_or_build_reporting(&options.progress).await?;
        let credentials = Credentials::load_or_create(state_dir.path())?;
        credentials.write_tokens(users)?;
        let ports = Ports::free().map_err(|source| Error::Io { action: "find free ports".into(), source })?;
        let servers = Servers {
            binaries,
            ports,
            state_dir: state_dir.path().to_owned(),
            credentials,
            api_server_args: options.api_server_args.clone(),
        };

        let url = servers.api_server_url();
        let mut user_kubeconfigs = Vec::new();
        for User { name, .. } in users {
            let path = kubeconfig_path(state_dir.path(), name);
            kubeconfig::write(&path, &url, &servers.credentials, name)?;
            user_kubeconfigs.push((name.clone(), path));
        }
        let probe = Probe::new(servers.credentials.ca_pem(), servers.credentials.token(ADMIN))?;
        Ok(Self {
            controller_manager: None,
            api_server: None,
            etcd: None,
            servers,
            probe,
            url,
            kubeconfig: kubeconfig_path(state_dir.path(), ADMIN),
            user_kubeconfigs,
            progress: options.progress.clone(),
            state_dir,
        })
    }

    async fn launch(&mut self) -> Result<(), Error> {
        for server in [ETCD, API_SERVER, CONTROLLER_MANAGER] {
            let log = self.log(server);
            File::create(&log).map_err(Error::io("create", &log))?;
        }
        self.etcd = Some(self.spawn(ETCD, self.servers.etcd())?);
        // It waits for etcd by itself.
        self.start_api_server().await?;
        let kubeconfig = kubeconfig_path(self.dir(), CONTROLLER_MANAGER_USER);
        let command = self.servers.controller_manager(&kubeconfig);
        self.controller_manager = Some(self.spawn(CONTROLLER_MANAGER, command)?);
        let url = self.servers.controllers_url();
        self.wait_for(CONTROLLER_MANAGER, &url, GARBAGE_COLLECTOR_RUNS).await
    }

    async fn wait_for_api_server(&mut self) -> Result<(), Error> {
        // The namespace is created a moment after the API server calls itself ready.
        for path in ["/readyz", "/api/v1/namespaces/default"] {
            let url = format!("{}{path}", self.url);
            self.wait_for(API_SERVER, &url, "").await?;
        }
        Ok(())
    }

    /// Waits until a GET finds `expected`, as long as no server has ended.
    async fn wait_for(&mut self, server: &'static str, url: &str, expected: &str) -> Result<(), Error> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while !self.probe.finds(url, expected).await {
            self.check()?;
            if Instant::now() > deadline {
                let log = self.log(server);
                return Err(Error::NotReady {
                    server,
                    seconds: READY_TIMEOUT.as_secs(),
                    tail: process::tail(&log),
                    log,
                });
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
        Ok(())
    }

    /// An error if a server that was started has ended.
    fn check(&mut self) -> Result<(), Error> {
        // etcd first: without it, the others end as well.
        let servers = [&mut self.etcd, &mut self.api_server, &mut self.controller_manager];
        servers.into_iter().flatten().try_for_each(Process::check)
    }

    fn spawn(&self, server: &'static str, command: Command) -> Result<Process, Error> {
        self.progress.report(&Progress::Starting { server });
        Process::spawn(server, command, self.log(server))
    }

    fn log(&self, server: &str) -> PathBuf {
        self.dir().join(format!("{server}.log"))
    }
}

fn kubeconfig_path(state_dir: &Path, user: &str) -> PathBuf {
    match user {
        ADMIN => state_dir.join("kubeconfig"),
        CONTROLLER_MANAGER_USER => state_dir.join("pki").join("controller-manager.kubeconfig"),
        _ => kubeconfig::path_for(state_dir, user),
    }
}

/// The users of the options, and those that the cluster itself needs.
fn with_own_users(users: &[User]) -> Result<Vec<User>, Error> {
    let mut all = [ADMIN, CONTROLLER_MANAGER_USER].map(|name| User::new(name).group("system:masters")).to_vec();
    for user in users {
        if all.iter().any(|other| other.name == user.name) {
            return Err(Error::DuplicateUser { name: user.name.clone() });
        }
        all.push(user.clone());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_can_be_started_in_a_task_and_shared() {
        fn is_send<T: Send>(_: &T) {}
        fn is_sync<T: Send + Sync>() {}
        is_send(&Cluster::start(Options::new("unused")));
        is_sync::<Cluster>();
    }

    #[test]
    fn a_user_can_be_named_once_only() {
        let names =
            |users: &[User]| with_own_users(users).map(|all| all.into_iter().map(|user| user.name).collect::<Vec<_>>());
        assert_eq!(names(&[User::new("alice")]).unwrap(), [ADMIN, CONTROLLER_MANAGER_USER, "alice"]);
        for users in [vec![User::new("alice"), User::new("alice")], vec![User::new(ADMIN)]] {
            assert!(matches!(names(&users), Err(Error::DuplicateUser { .. })));
        }
    }
}
