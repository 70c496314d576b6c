//! The simulator as a program.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use pulumi_cloud_simulator::{Allowance, AutoSecrets, OidcIssuer, Simulator};
use serde_json::Value;
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
    /// What a stack's program gives out: a JSON object, in it `{"secret": …}` for secrets; may be repeated.
    #[arg(long, value_name = "ORG/PROJECT/STACK=JSON", value_parser = outputs)]
    outputs: Vec<(String, Value)>,
    /// Lets bearers of an issuer's ID tokens with this subject (`*` stands for anything) have tokens of the
    /// organization; may be repeated. Signatures are not checked.
    #[arg(long, value_name = "ORG,ISSUER,SUBJECT", value_parser = trust)]
    trust: Vec<(String, String, String)>,
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

fn outputs(text: &str) -> Result<(String, Value), String> {
    let (stack, outputs) = text.split_once('=').ok_or("write ORGANIZATION/PROJECT/STACK=JSON")?;
    match serde_json::from_str(outputs) {
        Ok(outputs @ Value::Object(_)) => Ok((stack.to_owned(), outputs)),
        _ => Err("the outputs must be a JSON object".to_owned()),
    }
}

fn trust(text: &str) -> Result<(String, String, String), String> {
    let parts: Vec<&str> = text.splitn(3, ',').collect();
    let [organization, issuer, subject] = parts.as_slice() else {
        return Err("write ORGANIZATION,ISSUER,SUBJECT".to_owned());
    };
    Ok(((*organization).to_owned(), (*issuer).to_owned(), (*subject).to_owned()))
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
    for (stack, outputs) in &options.outputs {
        simulator.set_outputs(stack, outputs)?;
    }
    let mut issuers: BTreeMap<(String, String), OidcIssuer> = BTreeMap::new();
    for (organization, url, subject) in options.trust {
        let place = (organization, url);
        let issuer = issuers.remove(&place).unwrap_or_else(|| OidcIssuer::new(place.1.as_str()));
        issuers.insert(place, issuer.allow(subject, Allowance::Organization { admin: true }));
    }
    for ((organization, _), issuer) in issuers {
        simulator.trust_issuer(&organization, issuer)?;
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
