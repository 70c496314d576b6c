//! What the operator costs, as ratios to a bare program that does the same writes in the same run.
//!
//! The bare program writes a finalizer, then a status, then sends the create, per resource and without watching
//! anything: nobody who wants a journal can do less.

mod stats;
mod world;

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use pulumi_deployments_operator::operator;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::{
    stats::{Sample, ratio},
    world::{World, patiently},
};

/// What the operator costs, as ratios to a bare program that does the same writes in the same run.
#[derive(Parser)]
struct Cli {
    /// Resources that are created one after the other.
    #[arg(long, default_value_t = 100)]
    single: usize,

    /// Resources that are created at once.
    #[arg(long, default_value_t = 200)]
    burst: usize,
}

/// How many creations the burst has under way at once.
const PARALLEL: usize = 16;

#[tokio::main]
async fn main() -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow!("a TLS provider is installed already"))?;
    let Cli { single, burst } = Cli::parse();
    let world = World::start(2 * (single + burst)).await?;
    let stop = CancellationToken::new();

    let floor_single = one_by_one(&world, 0..single, true).await?;
    let (_, floor_burst) = at_once(&world, single..single + burst, true).await?;
    world.clear().await?;

    let options = operator::Options {
        watch_namespaces: vec!["default".to_owned()],
        allowed_backends: vec![world.simulator.url()],
        suspend_all: false,
        watch_secrets: true,
        write_outputs: true,
        listen: ([127, 0, 0, 1], 0).into(),
        traces: None,
        speed: 1.0,
    };
    let running = tokio::spawn(operator::run(options, world.config.clone(), stop.clone()));
    let first = single + burst;
    one_by_one(&world, first..first + 1, false).await.context("the operator does not work")?;
    let operator_single = one_by_one(&world, first + 1..first + single, false).await?;
    world.simulator.clear_requests();
    let (began, operator_burst) = at_once(&world, first + single..first + single + burst, false).await?;
    let ended = all_ended(&world).await?;
    let polls = world.simulator.requests_where(|request| request.operation == "ListOrganizationDeployments").len();
    let creates = world.simulator.requests_where(|request| request.operation == "CreateDeployment").len();
    let others = world.simulator.requests().len() - polls - creates;
    stop.cancel();
    running.await??;

    println!("create -> first remote POST, one at a time ({single} resources)");
    println!("  bare program  {floor_single}");
    println!("  operator      {operator_single}");
    println!(
        "  ratio         p50 {:.2}   p99 {:.2}",
        ratio(operator_single.quantile(0.5), floor_single.quantile(0.5)),
        ratio(operator_single.quantile(0.99), floor_single.quantile(0.99))
    );
    println!("burst of {burst}, all POSTed");
    println!("  bare program  {:.2} s", floor_burst.as_secs_f64());
    println!("  operator      {:.2} s", operator_burst.as_secs_f64());
    println!("  ratio         {:.2}", ratio(operator_burst, floor_burst));
    println!("remote calls for the burst, from its beginning to the last run's end ({:.1} s)", seconds(began, ended));
    println!("  creates {creates}   list calls {polls}   others {others}");
    Ok(())
}

/// Creates resources one after the other; how long each took to its POST.
async fn one_by_one(world: &World, numbers: std::ops::Range<usize>, bare: bool) -> Result<Sample> {
    let mut took = Vec::new();
    for number in numbers {
        let name = format!("d{number}");
        let began = world.create(&name, number).await?;
        if bare {
            write_and_post(world, &name, number).await?;
        }
        took.push(between(began, world.arrival(number).await?));
    }
    Ok(Sample::new(took))
}

/// Creates resources at once; when that began, and how long it took until all were POSTed.
async fn at_once(world: &World, numbers: std::ops::Range<usize>, bare: bool) -> Result<(Timestamp, Duration)> {
    let began = Timestamp::now();
    stream::iter(numbers.clone())
        .map(|number| async move {
            let name = format!("d{number}");
            world.create(&name, number).await?;
            if bare { write_and_post(world, &name, number).await } else { Ok(()) }
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    let mut last = began;
    for number in numbers {
        last = last.max(world.arrival(number).await?);
    }
    Ok((began, between(began, last)))
}

/// The least that anybody with a finalizer and a journal does.
async fn write_and_post(world: &World, name: &str, number: usize) -> Result<()> {
    let api = world.deployments();
    let finalizer = Patch::Merge(json!({"metadata": {"finalizers": ["bench.example.com/finalizer"]}}));
    api.patch(name, &PatchParams::default(), &finalizer).await?;
    let status = Patch::Merge(json!({"status": {"phase": "Pending"}}));
    api.patch_status(name, &PatchParams::default(), &status).await?;
    let body = json!({"operation": "update", "sourceContext": {"git": {"repoURL": "https://example.com/r.git", "branch": "main"}}});
    let request = reqwest::Client::new()
        .post(world.create_url(number))
        .header("Authorization", World::authorization())
        .json(&body);
    request.send().await?.error_for_status()?;
    Ok(())
}

/// Waits until the status of every Deployment says that its run has ended.
async fn all_ended(world: &World) -> Result<Timestamp> {
    patiently(async || {
        let all = world.deployments().list(&kube::api::ListParams::default()).await?;
        let open = all.iter().filter(|deployment| {
            let run = deployment.status.as_ref().and_then(|status| status.run.as_ref());
            run.is_none_or(|run| run.result.is_none())
        });
        anyhow::ensure!(open.count() == 0, "some runs have not ended");
        Ok(Timestamp::now())
    })
    .await
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).unsigned_abs()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    between(from, to).as_secs_f64()
}
