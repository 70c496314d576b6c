//! The command lines of the servers.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Binaries;
use crate::credentials::Credentials;
use crate::ports::Ports;
use crate::process;

pub(crate) const ETCD: &str = "etcd";
pub(crate) const API_SERVER: &str = "kube-apiserver";
pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// Without the last one, the roles `view`, `edit` and `admin` stay empty.
const CONTROLLERS: [&str; 3] =
    ["garbage-collector-controller", "namespace-controller", "clusterrole-aggregation-controller"];

/// In the answer from [`Servers::controllers_url`], once the controllers are made.
pub(crate) const GARBAGE_COLLECTOR_RUNS: &str = "[+]garbage-collector-controller ok";

/// What the command lines are made of.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) binaries: Binaries,
    pub(crate) ports: Ports,
    pub(crate) state_dir: PathBuf,
    pub(crate) credentials: Credentials,
    pub(crate) api_server_args: Vec<String>,
}

impl Servers {
    pub(crate) fn etcd(&self) -> Command {
        let url = self.etcd_url();
        let mut command = server(&self.binaries.etcd);
        command
            .arg(flag("data-dir", self.state_dir.join("etcd")))
            .arg(flag("listen-client-urls", &url))
            .arg(flag("advertise-client-urls", &url))
            // A lone member has no peers: any port will do.
            .arg("--listen-peer-urls=http://127.0.0.1:0")
            // The data has to survive its process, not the machine.
            .arg("--unsafe-no-fsync");
        command
    }

    pub(crate) fn api_server(&self) -> Command {
        let credentials = &self.credentials;
        let mut command = server(&self.binaries.kube_apiserver);
        command
            .arg(flag("etcd-servers", self.etcd_url()))
            .arg("--bind-address=127.0.0.1")
            .arg(flag("secure-port", self.ports.api_server.to_string()))
            .arg(flag("tls-cert-file", credentials.server_certificate()))
            .arg(flag("tls-private-key-file", credentials.server_key()))
            .arg(flag("token-auth-file", credentials.tokens()))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(flag("service-account-signing-key-file", credentials.service_account_key()))
            .arg(flag("service-account-key-file", credentials.service_account_public_key()))
            .arg("--service-cluster-ip-range=10.0.0.0/24")
            // Pods may be created without the service account that a controller would make.
            .arg("--disable-admission-plugins=ServiceAccount")
            // A loopback address is no valid endpoint of the `kubernetes` service.
            .arg("--endpoint-reconciler-type=none")
            .args(&self.api_server_args);
        command
    }

    pub(crate) fn controller_manager(&self, kubeconfig: &Path) -> Command {
        let credentials = &self.credentials;
        let mut command = server(&self.binaries.kube_controller_manager);
        command
            .arg(flag("kubeconfig", kubeconfig))
            .arg(flag("controllers", CONTROLLERS.join(",")))
            .arg("--leader-elect=false")
            .arg("--bind-address=127.0.0.1")
            .arg(flag("secure-port", self.ports.controller_manager.to_string()))
            .arg(flag("tls-cert-file", credentials.server_certificate()))
            .arg(flag("tls-private-key-file", credentials.server_key()))
            // Deleting a namespace asks for each kind of object: do not ration that.
            .args(["--kube-api-qps=500", "--kube-api-burst=1000"]);
        command
    }

    pub(crate) fn api_server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api_server)
    }

    /// Lists the controllers, each on a line such as [`GARBAGE_COLLECTOR_RUNS`].
    pub(crate) fn controllers_url(&self) -> String {
        format!("https://127.0.0.1:{}/healthz?verbose", self.ports.controller_manager)
    }

    fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.etcd)
    }
}

/// A server sees none of the caller's environment, where etcd would look for its options.
fn server(program: &Path) -> Command {
    let mut command = process::command(program);
    command.env_clear();
    command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

fn flag(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(value);
    flag
}
