//! The simulator as a program.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use pulumi_cloud_simulator::{AutoSecrets, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// Pulumi Cloud's Deployments API, simulated: organizations, stacks, settings and deployments in memory.
///
/// The first line on the standard output is `listening on http://HOST:PORT`. SIGTERM and SIGINT stop it.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Address to listen on; port 0 takes any free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Access token that opens the organizations, as an administrator; may be repeated.
    #[arg(long, value_name = "TOKEN", required = true, env = "PULUMI_ACCESS_TOKEN", hide_env_values = true)]
    token: Vec<String>,
    /// Organization to begin with; may be repeated.
    #[arg(long, value_name = "ORG", required = true)]
    organization: Vec<String>,
    /// Stack to begin with; may be repeated.
    #[arg(long, value_name = "ORG/PROJECT/STACK")]
    stack: Vec<String>,
    /// How many times faster than the service deployments run: at 1 one takes about 40 seconds.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = positive)]
    speed: f64,
    /// How many deployments each organization may run at once.
    #[arg(long, value_name = "N", default_value_t = 5)]
    concurrency: usize,
    /// URL to write into answers, when clients reach the simulator under another one than its address.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Which routes for deployments to offer: both, stacks (today's alone) or preview (the deprecated ones alone).
    #[arg(long, value_name = "DIALECT", default_value = "both", value_parser = dialect)]
    dialect: pulumi_cloud_simulator::Dialect,
    /// Role of an organization, for deployments to run with; may be repeated.
    #[arg(long, value_name = "ORG/ID", value_parser = role)]
    role: Vec<(String, String)>,
    /// Keep environment variables as they were sent, even when they look like secrets.
    #[arg(long)]
    no_auto_secrets: bool,
}

fn dialect(text: &str) -> Result<pulumi_cloud_simulator::Dialect, String> {
    use pulumi_cloud_simulator::Dialect;

    match text {
        "both" => Ok(Dialect::Both),
        "stacks" => Ok(Dialect::StacksOnly),
        "preview" => Ok(Dialect::PreviewOnly),
        _ => Err("must be both, stacks or preview".to_owned()),
    }
}

fn role(text: &str) -> Result<(String, String), String> {
    let (organization, id) = text.split_once('/').ok_or("must be ORG/ID")?;
    Ok((organization.to_owned(), id.to_owned()))
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("must be a number greater than 0".to_owned()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // Not returned from here: that would print a backtrace, if the environment asks for one.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    // Before anything is announced, so that an early signal is not lost.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;

    let mut builder = Simulator::builder().listen(options.listen).speed(options.speed).dialect(options.dialect);
    for token in options.token {
        builder = builder.token(token);
    }
    for organization in &options.organization {
        builder = builder.organization(organization);
    }
    for stack in options.stack {
        builder = builder.stack(stack);
    }
    for (organization, id) in options.role {
        builder = builder.role(organization, &id, &id);
    }
    if let Some(url) = options.public_url {
        builder = builder.public_url(url);
    }
    if options.no_auto_secrets {
        builder = builder.auto_secrets(AutoSecrets::Off);
    }
    let simulator = builder.start().await?;
    for organization in &options.organization {
        simulator.set_concurrency(organization, options.concurrency)?;
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on {}", simulator.url()).context("cannot write to the standard output")?;
    stdout.flush().context("cannot write to the standard output")?;

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.stop().await;
    Ok(())
}
