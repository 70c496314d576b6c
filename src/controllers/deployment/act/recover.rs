//! IO, reads only: looks for the run of a create whose answer was lost.
//!
//! The stack's deployments are walked from the latest downward, to the last one known before the intent or to
//! before the intent by the service's own clock. Each is ours, not ours, or unknown; only a walk that found none
//! of ours and nothing unknown says that the run does not exist.

use std::sync::Arc;

use jiff::SignedDuration;

use super::permit;

use crate::{
    api::deployment::Intent,
    controllers::{
        Context,
        connections::Connection,
        deployment::desired::variable,
        links::Resource,
        requeue::{Consequence, consequence},
    },
    pulumi::{self, CallClass, Class, ListQuery, Permit, wire},
};

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Search {
    /// The run.
    Found(Box<wire::Deployment>),
    /// There is no such run.
    NotCreated,
    /// A deployment that cannot be told apart from ours; the sentence says which.
    Unknown(String),
    /// The request budget has no room yet; the search goes on where it stopped.
    AwaitingBudget,
    /// The service could not be asked.
    Failed(Consequence),
}

/// Clocks of different servers of the service may differ by this much.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Looks for the run.
pub async fn search(intent: &Intent, this: &Resource, connection: &Arc<Connection>, context: &Context) -> Search {
    let stack = connection.stack(&intent.target.project, &intent.target.stack);
    // A look at one version, and a list when it is missing.
    let units = 1 + connection.client.units_of_list();
    let permit = || permit(CallClass::Create, units, this, connection, context);
    let top = if let Some(walked_to) = context.memory.recovery(&intent.nonce).walked_to {
        walked_to.saturating_sub(1)
    } else {
        let Some(mut permit) = permit() else { return Search::AwaitingBudget };
        let newest = ListQuery { page: 1, page_size: 1, ..ListQuery::default() };
        match connection.client.list_stack_deployments(&mut permit, &stack, newest).await {
            Ok(page) if page.undecodable > 0 => {
                return Search::Unknown("the latest deployment of the stack could not be read".to_owned());
            }
            Ok(page) => page.items.first().map_or(0, |newest| newest.version),
            // These are over soon, or the Organization's business.
            Err(error) if matches!(error.class(), Class::Throttled | Class::Unauthorized | Class::NotSent) => {
                let remedy = "The outcome of the create is open until the stack's deployments can be listed.";
                return Search::Failed(consequence(&error, remedy));
            }
            // It may be gone with its stack, or only out of the token's sight: no answer is proof of anything.
            Err(error) => {
                return Search::Unknown(format!(
                    "the deployments of {stack} could not be listed ({})",
                    error.summary()
                ));
            }
        }
    };
    // Versions begin anew when a stack is deleted and created again, the service's clock does not.
    let floor = if intent.server_date.is_some() { 0 } else { intent.version_floor.unwrap_or(0).min(top) };
    for version in (floor + 1..=top).rev() {
        let Some(mut permit) = permit() else { return Search::AwaitingBudget };
        match look(&mut permit, connection, &stack, version, intent).await {
            Verdict::Ours(deployment) => return Search::Found(deployment),
            Verdict::BeforeIntent => break,
            Verdict::NotOurs => context.memory.walked_to(&intent.nonce, version),
            Verdict::Unknown(why) => return Search::Unknown(format!("deployment {version} of {stack} {why}")),
        }
    }
    Search::NotCreated
}

enum Verdict {
    Ours(Box<wire::Deployment>),
    NotOurs,
    BeforeIntent,
    Unknown(String),
}

async fn look(
    permit: &mut Permit,
    connection: &Connection,
    stack: &pulumi::StackId,
    version: u64,
    intent: &Intent,
) -> Verdict {
    match connection.client.deployment_by_version(permit, stack, version).await {
        Ok(deployment) => judge(deployment, intent),
        Err(error) if error.is_gone() => missing(permit, connection, stack, version).await,
        Err(error) => Verdict::Unknown(format!("could not be read: {}", error.message())),
    }
}

/// A version that is not there: a run that was taken out of the queue, whoever's it was, never runs. Two reads must
/// agree on that.
async fn missing(permit: &mut Permit, connection: &Connection, stack: &pulumi::StackId, version: u64) -> Verdict {
    let newest = ListQuery { page: 1, page_size: 100, ..ListQuery::default() };
    match connection.client.list_stack_deployments(permit, stack, newest).await {
        Ok(page) if page.undecodable == 0 && page.items.iter().all(|deployment| deployment.version != version) => {
            Verdict::NotOurs
        }
        Ok(_) => Verdict::Unknown("is listed and can't be read".to_owned()),
        Err(error) => Verdict::Unknown(format!("could not be read: {}", error.summary())),
    }
}

fn judge(deployment: wire::Deployment, intent: &Intent) -> Verdict {
    match &deployment.configuration {
        Some(configuration) if configuration.environment_names.contains(&variable(&intent.nonce)) => {
            Verdict::Ours(Box::new(deployment))
        }
        _ if is_older(&deployment, intent) => Verdict::BeforeIntent,
        Some(_) => Verdict::NotOurs,
        None => Verdict::Unknown("does not show its environment variables".to_owned()),
    }
}

/// Only the service's own clock is compared with itself.
fn is_older(deployment: &wire::Deployment, intent: &Intent) -> bool {
    let before = intent.server_date.and_then(|date| jiff::Timestamp::from_second(date.seconds()).ok());
    deployment.created.zip(before).is_some_and(|(created, before)| created + SKEW < before)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn verdict(configuration: &Value, created: &str) -> &'static str {
        let intent: Intent = serde_json::from_value(json!({
            "nonce": "00ff", "request": {"number": 1, "digest": "v1:"}, "purpose": "Main", "attempt": 1, "operation": "update",
            "target": {"backendURL": "b", "organization": "o", "project": "p", "stack": "s"}, "holder": "h",
            "time": "2020-01-01T00:00:00Z", "serverDate": "2026-05-01T12:00:00Z",
        }))
        .unwrap();
        let deployment = serde_json::from_value(json!({
            "id": "i", "version": 3, "status": "running", "created": created, "configuration": configuration,
        }))
        .unwrap();
        match judge(deployment, &intent) {
            Verdict::Ours(_) => "ours",
            Verdict::NotOurs => "not ours",
            Verdict::BeforeIntent => "before",
            Verdict::Unknown(_) => "unknown",
        }
    }

    #[rstest]
    #[case(json!({"environmentVariables": [{"name": "PULUMI_DEPLOYMENTS_OPERATOR_RUN_00ff", "secret": true}]}), "2026-05-01 12:00:03.000", "ours")]
    #[case(json!({"environmentVariables": [{"name": "PULUMI_DEPLOYMENTS_OPERATOR_RUN_00fe", "secret": false}]}), "2026-05-01 12:00:03.000", "not ours")]
    #[case(Value::Null, "2026-05-01 12:00:03.000", "unknown")]
    #[case(json!({"environmentVariables": []}), "2026-05-01 11:59:30.000", "not ours")]
    #[case(json!({"environmentVariables": []}), "2026-05-01 11:58:00.000", "before")]
    #[case(Value::Null, "2026-05-01 11:58:00.000", "before")]
    fn verdicts(#[case] configuration: Value, #[case] created: &str, #[case] expected: &str) {
        assert_eq!(verdict(&configuration, created), expected);
    }
}
