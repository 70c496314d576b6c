//! The whole thing on this machine, in one command: `cargo run --example demo`.
//!
//! A real Kubernetes control plane, a simulated Pulumi Cloud and the operator are started, the stories in `examples/`
//! are applied, and their runs are shown until they have ended.
//!
//! | question | file |
//! |---|---|
//! | what is started, and how is it stopped? | [`stage`] |
//! | what is in the YAML files? | [`stories`] |
//! | what became of it in the cluster? | [`board`] |
//! | how is it shown? | [`screen`], [`table`], [`report`] |
//! | where does the operator log to? | [`log`] |

mod board;
mod log;
mod report;
mod screen;
mod stage;
mod stories;
mod table;

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    screen::{Screen, say},
    stage::Stage,
    stories::{Place, Story},
};

/// Shows the operator at work, on this machine: a real Kubernetes control plane, a simulated Pulumi Cloud, and the
/// examples of this directory.
///
/// The first time, the control plane is compiled, which takes some minutes. Nothing is left behind at the end but what
/// was compiled, in the user's cache directory.
///
/// The exit status is 0 if every run ended as its story says.
#[derive(Parser)]
struct Arguments {
    /// Keep everything running at the end, and say how to try more, until Ctrl-C
    #[arg(long)]
    stay: bool,

    /// Show the operator's log lines as well, on standard error
    #[arg(long)]
    verbose: bool,

    /// How many seconds the runs may take
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    deadline: u64,
}

/// Where the stories are.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// Between two looks at the cluster.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Longer than any story's `spec.settle`: a run that the second apply asked for would be there by then.
const QUIET: Duration = Duration::from_secs(8);

/// As shells say it of a program that was interrupted.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            say(&format!("\nerror: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode> {
    // kube and reqwest would each choose a provider of their own, and then neither can build a client.
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.install_default().map_err(|_| anyhow!("a TLS provider is installed already"))?;
    let stop = stop_on_signals()?;
    let stories = stories::read(Path::new(EXAMPLES))?;
    let dir = tempfile::tempdir().context("no temporary directory")?;
    let log = log::start(&dir.path().join("operator.log"), arguments.verbose)?;

    say("Starting, on this machine:");
    // Dropping a start that is under way stops what it has started.
    let started = stop.run_until_cancelled(Stage::start(&dir.path().join("cluster"), &stories)).await;
    let Some(mut stage) = started.transpose()? else {
        say("Stopped before everything was there.");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    say(&format!("  operator     in this process; its log: {}", log.display()));

    let mut result = perform(&mut stage, &stories, arguments, &stop).await;
    if arguments.stay && matches!(result, Ok(Some(_))) {
        report::how_to_go_on(&stage);
        if let Some(error) = stop.run_until_cancelled(stage.failure()).await {
            result = Err(error);
        }
    }
    if matches!(result, Ok(Some(false)) | Err(_)) {
        report::end_of_log(&log);
    }
    say("\nStopping…");
    stage.stop().await;
    dir.close().context("the temporary directory could not be removed")?;
    say("Everything is stopped, and nothing is left behind.");
    Ok(match result? {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => ExitCode::from(INTERRUPTED),
    })
}

/// Plays the stories. Says whether they ended as expected, and nothing when they were interrupted.
async fn perform(
    stage: &mut Stage,
    stories: &[Story],
    arguments: &Arguments,
    stop: &CancellationToken,
) -> Result<Option<bool>> {
    let place = Place { backend: &stage.simulator.url(), namespace: stage::NAMESPACE, agent_pool: &stage.agent_pool };
    let stories: Vec<Story> = stories.iter().map(|story| story.placed(&place)).collect();
    let play = async {
        report::stories(&stories);
        stage.apply(&stories).await?;
        let board = watch(stage, Duration::from_secs(arguments.deadline), arguments.verbose).await?;
        // Runs that are still to come would be taken for duplicates.
        Ok(report::ended(&board, stage.created()) && once_only(stage, &stories).await?)
    };
    stop.run_until_cancelled(play).await.transpose()
}

/// Shows the runs until all have ended, or the time is over.
async fn watch(stage: &mut Stage, deadline: Duration, verbose: bool) -> Result<Board> {
    let start = Instant::now();
    // A table that is drawn again and again would be torn apart by log lines.
    let mut screen = Screen::new(!verbose);
    loop {
        let board = Board::look(&stage.client).await?;
        screen.show(&board, start.elapsed());
        if board.has_ended() || start.elapsed() > deadline {
            screen.finish();
            return Ok(board);
        }
        stage.goes_on_for(LOOK_INTERVAL).await?;
    }
}

/// Applies everything a second time, to a restarted operator, and says whether that started anything.
async fn once_only(stage: &mut Stage, stories: &[Story]) -> Result<bool> {
    let before = stage.created();
    stage.restart_operator().await;
    stage.apply(stories).await?;
    stage.goes_on_for(QUIET).await?;
    Ok(report::once_only(before, stage.created()))
}

/// A token that is canceled when this process is asked to stop.
fn stop_on_signals() -> Result<CancellationToken> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            stop.cancel();
        }
    });
    Ok(stop)
}
