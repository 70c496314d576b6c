//! Agent pools, as the organization manages them.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::organizations::administered;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::World;
use crate::world::agent_pool::AgentPool;

fn seconds(time: Option<Timestamp>) -> i64 {
    time.map_or(0, Timestamp::as_second)
}

fn status(is_online: bool) -> &'static str {
    if is_online { "online" } else { "offline" }
}

/// The pool of the path.
fn find<'w>(call: &Call, world: &'w World) -> Result<&'w AgentPool, ApiError> {
    let organization = world.visible_organization(&call.access, call.parameter("organization"))?;
    let pool = organization.agent_pools.get(call.parameter("pool"));
    pool.ok_or_else(|| ApiError::not_found("AgentPool not found"))
}

pub(super) fn list(call: &Call) -> Outcome {
    let world = call.world();
    let organization = world.visible_organization(&call.access, call.parameter("organization"))?;
    let pools: Vec<Value> = organization
        .agent_pools
        .iter()
        .map(|(id, pool)| {
            let mut body = json!({
                "id": id,
                "name": pool.name,
                "description": pool.description,
                "created": pool.created.as_second(),
                "lastSeen": seconds(pool.last_seen(call.now)),
                "status": status(pool.is_online(call.now)),
                "isDefault": false,
            });
            if let Some(time) = pool.last_deployment {
                body["lastDeployment"] = time.as_second().into();
            }
            body
        })
        .collect();
    Ok(Answer::ok(&json!({"agentPools": pools})))
}

/// A text of the body, if it is there.
fn field<'b>(body: &'b Value, name: &str) -> Result<Option<&'b str>, ApiError> {
    match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(ApiError::bad_request(format!("invalid request body: {name} must be a string"))),
    }
}

fn not_empty(name: &str) -> Result<(), ApiError> {
    if name.is_empty() { Err(ApiError::bad_request("Agent pool name is required")) } else { Ok(()) }
}

/// The answer is the only place where the token is ever shown.
pub(super) fn create(call: &Call) -> Outcome {
    let organization = administered(call)?;
    let body = call.json()?;
    let name = field(&body, "name")?.unwrap_or_default();
    not_empty(name)?;
    let pool = AgentPool::new(name, field(&body, "description")?.unwrap_or_default(), false);
    let id = Uuid::new_v4().to_string();
    let answer = json!({"id": id, "tokenValue": pool.token});
    let mut world = call.world();
    if let Some(organization) = world.organizations.get_mut(organization) {
        organization.agent_pools.insert(id, pool);
    }
    Ok(Answer::ok(&answer))
}

pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let pool = find(call, &world)?;
    let agent = |version: &str, last_seen: Timestamp| {
        json!({
            "hostname": "agent",
            "ip": "127.0.0.1",
            "pid": "1",
            "platform": "linux/amd64",
            "version": version,
            "lastSeen": last_seen.as_second(),
            "status": status(pool.is_online(call.now)),
        })
    };
    let played = pool.is_played.then(|| agent("simulated", call.now));
    let seen = pool.agent.as_ref().map(|seen| agent(&seen.version, seen.last_seen));
    let agents: Vec<Value> = played.into_iter().chain(seen).collect();
    Ok(Answer::ok(&json!({
        "id": call.parameter("pool"),
        "name": pool.name,
        "description": pool.description,
        "created": pool.created.as_second(),
        "agents": agents,
    })))
}

pub(super) fn patch(call: &Call) -> Outcome {
    let organization = administered(call)?;
    let body = call.json()?;
    let (name, description) = (field(&body, "name")?, field(&body, "description")?);
    name.map_or(Ok(()), not_empty)?;
    let mut world = call.world();
    find(call, &world)?;
    let organization = world.organizations.get_mut(organization);
    if let Some(pool) = organization.and_then(|organization| organization.agent_pools.get_mut(call.parameter("pool"))) {
        if let Some(name) = name {
            name.clone_into(&mut pool.name);
        }
        if let Some(description) = description {
            description.clone_into(&mut pool.description);
        }
    }
    let pool = find(call, &world)?;
    Ok(Answer::ok(&json!({"name": pool.name, "description": pool.description})))
}

pub(super) fn delete(call: &Call) -> Outcome {
    let force = call.flag("force")?;
    let organization = administered(call)?;
    let mut world = call.world();
    find(call, &world)?;
    let pool = call.parameter("pool");
    if !force && !world.users_of_pool(organization, pool).is_empty() {
        return Err(ApiError::bad_request("Agent pool is in use"));
    }
    world.remove_pool(organization, pool, call.now);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
