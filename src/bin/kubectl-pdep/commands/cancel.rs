//! `cancel`: the remote run, by the user's own word.

use pulumi_deployments_operator::api::{Deployment, deployment::Run};
use serde_json::json;

use super::lookup::organization_of;
use crate::{
    cli::Cancel,
    cluster::{Cluster, Kind},
    failure::Failure,
    screen::confirm,
    service::Service,
};

pub async fn run(args: &Cancel, cluster: &Cluster) -> Result<(), Failure> {
    let Cancel { name, yes, suspend, answer } = args;
    let deployment = cluster.get::<Deployment>(name).await?;
    let spec = &deployment.typed.spec;
    let status = deployment.typed.status.clone().unwrap_or_default();
    let run = match status.run {
        Some(run) if run.result.is_none() => run,
        Some(run) => {
            return Err(Failure::new(format!(
                "the run of deployment {name} has ended already: run {} is {}; there is nothing to cancel",
                run.version, run.status
            )));
        }
        None => return Err(Failure::new(format!("deployment {name} has no run yet; there is nothing to cancel"))),
    };
    let is_tried_again = spec.retry.as_ref().is_some_and(|retry| retry.limit >= run.attempt);
    if is_tried_again && !spec.suspend && !suspend {
        return Err(Failure::new(format!(
            "a run that is canceled from here counts as failed, and spec.retry of deployment {name} would try it again; write \
             --suspend, which sets spec.suspend first"
        )));
    }
    let organization = organization_of(cluster, &deployment).await?;
    let service = Service::of(cluster, &organization).await?;
    let stack = service.stack_of(&run.target)?;
    if !yes && !confirm(&question(&run), "write --yes to cancel it without being asked")? {
        return Err(Failure::new("nothing was canceled"));
    }
    if *suspend && !spec.suspend {
        cluster.merge(Kind::Deployment, name, &json!({"spec": {"suspend": true}})).await?;
        answer.say(&format!(
            "deployment/{name}: nothing new is started, until `kubectl pdep resume deployment/{name}`\n"
        ))?;
    }
    match service.client.cancel(&mut Service::permit(), &stack, &run.id).await {
        Ok(()) => {
            let said = format!(
                "deployment/{name}: run {} of {} is canceled. The operator did not decide on it, so the status will show {}\n",
                run.version,
                run.target,
                outcome(&run)
            );
            answer.give(&said, &cluster.get::<Deployment>(name).await?.raw)
        }
        Err(error) if error.is_gone() => Err(Failure::new(format!(
            "run {} of {} has left the queue or has ended meanwhile",
            run.version, run.target
        ))),
        Err(error) => Err(service.failure(&error)),
    }
}

fn question(run: &Run) -> String {
    let danger = match run.started_at {
        Some(_) => "It is under way: canceling it can leave the stack inconsistent. ",
        None => "",
    };
    format!("{danger}Cancel run {} ({}) of {}?", run.version, run.operation, run.target)
}

/// How the operator tells of a run that somebody else canceled.
fn outcome(run: &Run) -> &'static str {
    match run.started_at {
        Some(_) => "Failed.",
        None => "Failed, with the reason RunDisappeared, once it is certain that the run has left the queue.",
    }
}
