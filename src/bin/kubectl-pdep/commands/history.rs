//! `history`.

use pulumi_deployments_operator::api::{Deployment, Time};
use serde_json::{Value, json};

use crate::{
    cli::History,
    cluster::Cluster,
    failure::Failure,
    later,
    output::{Paint, print},
    render,
};

pub async fn run(args: &History, cluster: &Cluster) -> Result<(), Failure> {
    let deployment = cluster.get::<Deployment>(&args.name).await?;
    match args.output {
        None => {
            let now = Time::from(jiff::Timestamp::now());
            print(&render::history::history(&later::runs(&deployment.raw), now, Paint::of_stdout()))
        }
        Some(format) => {
            let part = |pointer: &str| deployment.raw.pointer(pointer).cloned().unwrap_or(Value::Null);
            let history = deployment.raw.pointer("/status/history").cloned().unwrap_or_else(|| json!([]));
            format.print(&json!({"run": part("/status/run"), "history": history}))
        }
    }
}
