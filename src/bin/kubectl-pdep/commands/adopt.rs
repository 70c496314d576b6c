//! `adopt`: the request counts as handled.

use pulumi_deployments_operator::api::{Deployment, names::ADOPT};
use serde_json::json;

use crate::{
    cli::Adopt,
    cluster::{Cluster, Kind},
    failure::Failure,
};

pub async fn run(args: &Adopt, cluster: &Cluster) -> Result<(), Failure> {
    let Adopt { name, run, answer } = args;
    let is_id = run.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !run.is_empty();
    if !is_id {
        return Err(Failure::new(format!("`{run}` is no id of a run: write latest, or an id from the Pulumi console")));
    }
    let deployment = cluster.get::<Deployment>(name).await?;
    if deployment.raw.pointer("/status/request").is_some() {
        return Err(Failure::new(format!(
            "deployment/{name} has handled a request already: only one that has handled none yet can take a run over"
        )));
    }
    let adopted = cluster.annotate(Kind::Deployment, name, json!({ADOPT: run})).await?;
    let which = if run == "latest" { "the newest run of its stack".to_owned() } else { format!("run {run}") };
    let said = format!(
        "deployment/{name}: the operator takes {which} for the one that its request asked for, and starts none; \
         `kubectl pdep history {name}` shows it\n"
    );
    answer.give(&said, &adopted)
}
