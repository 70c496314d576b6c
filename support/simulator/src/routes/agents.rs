//! What the agents of a pool ask. They show the pool's token, not a user's.

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::World;
use crate::world::agent_pool::Agent;

/// The organization and the pool of the agent that asks.
fn pool(call: &Call, world: &World) -> Result<(String, String), ApiError> {
    let token = call.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("token ")).ok_or_else(ApiError::unauthorized)?;
    world.pool_of_token(token.trim()).ok_or_else(|| ApiError::forbidden("not an agent pool's token"))
}

/// Hands out the next deployment, which then runs as all do: the simulator works in the agent's place.
pub(super) fn poll(call: &Call) -> Outcome {
    let mut world = call.world();
    let (organization, pool) = pool(call, &world)?;
    let version = call.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = Agent { version: version.unwrap_or_default().to_owned(), last_seen: call.now };
    let Some(deployment) = world.poll(&organization, &pool, agent, call.now) else {
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    };
    let id = &world.deployments[&deployment].id;
    let secret = || format!("pul-{}", Uuid::new_v4().simple());
    Ok(Answer::ok(&json!({
        "typeSpecificID": id,
        "deploymentID": id,
        "jobID": Uuid::new_v4().to_string(),
        "runID": Uuid::new_v4().to_string(),
        "jobToken": secret(),
        "oidcToken": secret(),
    })))
}

/// Stands for the program that works in a deployment's container.
pub(super) fn executor(call: &Call) -> Outcome {
    pool(call, &call.world())?;
    Ok(Answer::binary("#!/bin/sh\n# The simulated service needs no executor.\nexit 0\n"))
}

pub(super) fn status(call: &Call) -> Outcome {
    let world = call.world();
    let (_, pool) = pool(call, &world)?;
    let mut deployments = world.deployments.iter().filter(|(_, deployment)| !deployment.removed);
    let found = deployments.find(|(key, deployment)| {
        deployment.id == call.parameter("id") && world.pool_of(**key).is_some_and(|(id, _)| id == pool)
    });
    let (_, deployment) = found.ok_or_else(|| ApiError::not_found("Deployment not found"))?;
    Ok(Answer::ok(&Value::from(deployment.status.name())))
}
