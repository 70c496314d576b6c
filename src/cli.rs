//! The command line.

use std::net::SocketAddr;

use clap::{ArgAction, Parser, Subcommand};

use crate::{api::organization::DEFAULT_BACKEND, operator, telemetry::LogFormat};

/// A Kubernetes operator that drives the Pulumi Deployments REST API declaratively.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator, with in-cluster credentials or those of KUBECONFIG.
    Run(Run),
    /// Print the CRDs as YAML.
    Crds,
}

/// How to run the operator.
#[derive(Debug, Parser)]
pub struct Run {
    /// Watch this namespace only; may be given several times. Default: all namespaces.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE")]
    pub watch_namespaces: Vec<String>,

    /// A backend that Organizations may name; may be given several times. It replaces the default.
    #[arg(long = "allowed-backend", value_name = "URL", default_value = DEFAULT_BACKEND)]
    pub allowed_backends: Vec<String>,

    /// Write nothing remotely for any resource; observing goes on. For restores, migrations and incidents.
    #[arg(long)]
    pub suspend_all: bool,

    /// Watch Secrets. `false` needs no right to list them: those that something refers to are looked at by name every few
    /// minutes, and whenever a run begins.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub watch_secrets: bool,

    /// Write stacks' outputs into Secrets and ConfigMaps. `false` needs no right to create and patch them: a Deployment
    /// that declares outputs says so.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub write_outputs: bool,

    /// Address of /healthz, /readyz and /metrics; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// How log lines are written. RUST_LOG chooses what is logged.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Divides the times that the operator waits for safety's sake. For tests only: a create that is still on its
    /// way could be taken for lost.
    #[arg(long, hide = true, default_value_t = 1.0)]
    pub unsafe_speed: f64,
}

impl From<Run> for operator::Options {
    fn from(run: Run) -> Self {
        let Run {
            watch_namespaces,
            allowed_backends,
            suspend_all,
            watch_secrets,
            write_outputs,
            listen,
            log_format: _,
            unsafe_speed,
        } = run;
        Self {
            watch_namespaces,
            allowed_backends,
            suspend_all,
            watch_secrets,
            write_outputs,
            listen,
            traces: None,
            speed: unsafe_speed,
        }
    }
}
