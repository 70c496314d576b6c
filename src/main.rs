//! The operator's binary.

use anyhow::{Context, anyhow};
use clap::Parser;
use pulumi_deployments_operator::{
    api::crd,
    cli::{Cli, Command},
    operator, telemetry, traces,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // kube and reqwest would each choose a provider of their own, and then neither can build a client.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow!("a TLS provider is installed already"))?;
    match Cli::parse().command {
        Command::Crds => {
            print!("{}", crd::yaml()?);
            Ok(())
        }
        Command::Run(run) => {
            telemetry::start(run.log_format);
            let stop = CancellationToken::new();
            let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
            let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
            tokio::spawn({
                let stop = stop.clone();
                async move {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                    stop.cancel();
                }
            });
            let options = operator::Options { traces: traces::Settings::from_env()?, ..run.into() };
            let config = operator::kube_config().await?;
            operator::run(options, config, stop).await
        }
    }
}
