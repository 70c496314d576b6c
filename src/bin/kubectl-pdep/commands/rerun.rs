//! `rerun`: the same request once more.

use std::process::ExitCode;

use jiff::Timestamp;
use pulumi_deployments_operator::api::{Deployment, deployment::Phase, names::RERUN};
use serde_json::json;

use super::status;
use crate::{
    cli::Run,
    cluster::{Cluster, Kind, Seen},
    failure::Failure,
};

pub async fn run(args: &Run, cluster: &Cluster) -> Result<ExitCode, Failure> {
    let deployment = cluster.get::<Deployment>(&args.name).await?;
    again(args, &deployment, cluster).await
}

/// Asks for one more run, and watches it where that is wanted.
pub async fn again(args: &Run, deployment: &Seen<Deployment>, cluster: &Cluster) -> Result<ExitCode, Failure> {
    let name = &args.name;
    let asked = cluster.annotate(Kind::Deployment, name, json!({RERUN: Timestamp::now().to_string()})).await?;
    let phase = deployment.typed.status.as_ref().and_then(|status| status.phase);
    let when = match phase {
        _ if deployment.typed.spec.suspend => format!("; it is suspended, and runs after `kubectl pdep resume {name}`"),
        Some(Phase::Queued | Phase::Running) => {
            format!(
                "; a run is under way, and spec.supersede ({:?}) says what becomes of it",
                deployment.typed.spec.supersede
            )
        }
        _ => String::new(),
    };
    args.answer.give(&format!("deployment/{name}: its request runs once more{when}\n"), &asked)?;
    if !args.watch {
        return Ok(ExitCode::SUCCESS);
    }
    status::until_it_ends(name, status::handled(&deployment.typed), cluster).await
}
