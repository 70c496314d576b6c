//! The command line of the local cluster.

use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Parser;
use local_cluster::{Binaries, Cluster, Options, Progress};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Runs a real Kubernetes control plane on this machine, until Ctrl-C or SIGTERM.
///
/// It is etcd, kube-apiserver and, of kube-controller-manager, the garbage collector and the
/// controllers of namespaces and aggregated cluster roles. There are no nodes, so no pod ever runs.
///
/// Standard output has the line KUBECONFIG=DIR/kubeconfig, and then KUBECTL= with the path of a
/// kubectl of the same version, as soon as the cluster can be used. Progress goes to standard
/// error.
#[derive(Parser)]
#[command(version, override_usage = USAGE, after_help = ENVIRONMENT)]
struct Arguments {
    /// Where the data, certificates, logs and the kubeconfig are; created if it is not there, and
    /// kept, so that a later start in the same directory finds the same objects
    #[arg(long, required_unless_present = "build_only")]
    dir: Option<PathBuf>,

    /// Stop as well when standard input is closed, which it is when the parent process ends
    #[arg(long)]
    until_stdin_closes: bool,

    /// Only compile the binaries that are missing in the cache, and start nothing
    #[arg(long, conflicts_with_all = ["dir", "until_stdin_closes"])]
    build_only: bool,
}

const USAGE: &str = "\
local-cluster --dir <DIR> [--until-stdin-closes]
       local-cluster --build-only";

const ENVIRONMENT: &str = "\
Environment:
  KUBEBUILDER_ASSETS  A directory with etcd, kube-apiserver, kubectl and kube-controller-manager, to
                      use instead of compiling them. If the last one is missing, it is compiled.
  XDG_CACHE_HOME      Where the compiled binaries are kept, in pulumi-deployments-operator/.
                      [default: ~/.cache]";

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let mut stop = Box::pin(stop_requested(arguments.until_stdin_closes)?);
    let Some(dir) = arguments.dir else {
        let binaries = tokio::select! {
            binaries = Binaries::find_or_build(show) => binaries?,
            () = &mut stop => bail!("stopped before the binaries were there"),
        };
        let kubectl = binaries.kubectl.display();
        say(&format!("the binaries are there, such as {kubectl}"));
        return Ok(());
    };

    let mut cluster = tokio::select! {
        cluster = Cluster::start(Options::new(dir).progress(show)) => cluster?,
        // Dropping the start kills what it has started.
        () = &mut stop => bail!("stopped before the cluster was ready"),
    };
    announce(&cluster).context("could not write to standard output")?;
    let result = tokio::select! {
        () = stop => Ok(()),
        error = cluster.failure() => Err(error.into()),
    };
    say("stopping…");
    cluster.stop().await;
    result
}

fn show(event: &Progress) {
    say(&event.to_string());
}

/// Writes a line for the person who watches, who may be gone.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn announce(cluster: &Cluster) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "KUBECONFIG={}", cluster.kubeconfig().display())?;
    writeln!(out, "KUBECTL={}", cluster.kubectl().display())?;
    out.flush()
}

/// Ends when this process is asked to stop.
fn stop_requested(until_stdin_closes: bool) -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("could not listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let (stdin_end, at_stdin_end) = oneshot::channel();
    if until_stdin_closes {
        // A thread of its own, because a read by the runtime would keep the runtime from ending.
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = stdin_end.send(());
        });
    }
    Ok(async move {
        let stdin_closes = async {
            if !until_stdin_closes {
                std::future::pending::<()>().await;
            }
            let _ = at_stdin_end.await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = stdin_closes => {}
        }
    })
}
