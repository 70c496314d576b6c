//! The commands, one file each.

mod adopt;
mod cancel;
mod decide;
mod diff;
mod history;
mod hold;
mod import;
mod logs;
mod lookup;
mod rerun;
mod run;
mod status;
mod watch;

use std::{io, process::ExitCode};

use clap::CommandFactory;

use crate::{
    cli::{Cli, Command},
    cluster::Cluster,
    failure::Failure,
};

/// Does what was asked for.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let place = cli.place;
    let command = match cli.command {
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command().bin_name("kubectl-pdep"),
                "kubectl-pdep",
                &mut io::stdout(),
            );
            return Ok(ExitCode::SUCCESS);
        }
        command => command,
    };
    let (kubeconfig, context) = (place.kubeconfig.as_deref(), place.context.as_deref());
    let cluster = Cluster::connect(kubeconfig, context, place.namespace.as_deref()).await?;
    match command {
        Command::Status(args) => return status::run(&args, &cluster).await,
        Command::Run(args) => return run::run(&args, &cluster).await,
        Command::Rerun(args) => return rerun::run(&args, &cluster).await,
        Command::Logs(args) => logs::run(&args, &cluster).await?,
        Command::Cancel(args) => cancel::run(&args, &cluster).await?,
        Command::Suspend(args) => hold::suspend(&args, &cluster).await?,
        Command::Resume(args) => hold::resume(&args, &cluster).await?,
        Command::Pause(args) => hold::pause(&args, &cluster).await?,
        Command::Approve(args) => decide::run(&args, true, &cluster).await?,
        Command::Reject(args) => decide::run(&args, false, &cluster).await?,
        Command::History(args) => history::run(&args, &cluster).await?,
        Command::Adopt(args) => adopt::run(&args, &cluster).await?,
        Command::Diff(args) => diff::run(&args, &cluster).await?,
        Command::Import(args) => import::run(&args, &cluster).await?,
        Command::Completion { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}
