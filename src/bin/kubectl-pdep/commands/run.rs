//! `run`: what is declared, now.

use std::process::ExitCode;

use jiff::Timestamp;
use pulumi_deployments_operator::api::{
    Deployment,
    condition::{find, types},
    deployment::Phase,
    names::REQUESTED_AT,
};
use serde_json::json;

use super::{rerun, status};
use crate::{
    cli::Run,
    cluster::{Cluster, Kind, Seen},
    failure::Failure,
};

/// What is to be done, as the resource stands.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// The request has run: once more.
    Again,
    /// It has not run yet: look at it now. With why it waits.
    Look(String),
    /// Nothing, and why.
    Refuse(String),
}

pub async fn run(args: &Run, cluster: &Cluster) -> Result<ExitCode, Failure> {
    let deployment = cluster.get::<Deployment>(&args.name).await?;
    match decide(&deployment.typed) {
        Decision::Again => rerun::again(args, &deployment, cluster).await,
        Decision::Refuse(why) => Err(Failure::new(why)),
        Decision::Look(why) => look(args, &deployment, &why, cluster).await,
    }
}

async fn look(args: &Run, deployment: &Seen<Deployment>, why: &str, cluster: &Cluster) -> Result<ExitCode, Failure> {
    let name = &args.name;
    let asked = cluster.annotate(Kind::Deployment, name, json!({REQUESTED_AT: Timestamp::now().to_string()})).await?;
    let said = format!("deployment/{name}: its request has not run yet, and is looked at now ({why})\n");
    args.answer.give(&said, &asked)?;
    if !args.watch {
        return Ok(ExitCode::SUCCESS);
    }
    status::until_it_ends(name, status::handled(&deployment.typed), cluster).await
}

fn decide(deployment: &Deployment) -> Decision {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    let is_current = status.observed_generation == deployment.metadata.generation;
    match status.phase {
        _ if deployment.spec.suspend => Decision::Refuse(format!(
            "deployment {name} is suspended, so nothing is started; `kubectl pdep resume {name}` takes that back"
        )),
        Some(Phase::Queued | Phase::Running) => Decision::Refuse(format!(
            "deployment {name} has a run under way; `kubectl pdep status {name} -w` shows it, and `kubectl pdep rerun {name}` \
             asks for another one"
        )),
        Some(phase) if phase.is_terminal() && is_current => Decision::Again,
        Some(phase) if phase.is_terminal() => Decision::Look("its newest spec has not been looked at yet".to_owned()),
        Some(_) => {
            let ready = find(&status.conditions, types::READY);
            Decision::Look(ready.map_or_else(
                || "nothing is known of it yet".to_owned(),
                |ready| format!("{}: {}", ready.reason, ready.message),
            ))
        }
        None => Decision::Look("the operator has not looked at it yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn decided(suspend: bool, generation: i64, status: &Value) -> Decision {
        decide(
            &serde_json::from_value(json!({
                "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Deployment",
                "metadata": {"name": "web", "generation": generation},
                "spec": {"settingsRef": {"name": "web"}, "operation": "update", "suspend": suspend}, "status": status,
            }))
            .unwrap(),
        )
    }

    #[test]
    fn only_a_request_that_has_run_is_run_again() {
        let ended = json!({"phase": "Failed", "observedGeneration": 1});
        assert_eq!(decided(false, 1, &ended), Decision::Again);
        assert!(matches!(decided(false, 2, &ended), Decision::Look(_)));
        assert!(matches!(decided(true, 1, &ended), Decision::Refuse(why) if why.contains("kubectl pdep resume web")));
        let running = json!({"phase": "Running", "observedGeneration": 1});
        assert!(matches!(decided(false, 1, &running), Decision::Refuse(why) if why.contains("rerun web")));
        let waiting = json!({"phase": "Pending", "conditions": [{"type": "Ready", "status": "Unknown",
            "reason": "StackNotFound", "message": "no stack", "lastTransitionTime": "2030-01-01T00:00:00Z"}]});
        assert_eq!(decided(false, 1, &waiting), Decision::Look("StackNotFound: no stack".to_owned()));
        assert!(matches!(decided(false, 1, &Value::Null), Decision::Look(_)));
    }
}
