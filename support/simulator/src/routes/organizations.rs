//! What concerns the deployments of a whole organization.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::deployments::Page;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::deployment::Status;
use crate::world::people::Role;

pub(super) fn deployments(call: &Call) -> Outcome {
    let page = Page::of(call)?;
    let world = call.world();
    let organization = world.visible_organization(&call.access, call.parameter("organization"))?;
    Ok(page.answer(&world, &organization.deployments, call.now))
}

pub(super) fn pause(call: &Call) -> Outcome {
    set_paused(call, true)
}

pub(super) fn resume(call: &Call) -> Outcome {
    set_paused(call, false)
}

/// The organization of the path, if the caller is an administrator of it.
pub(super) fn administered(call: &Call) -> Result<&str, ApiError> {
    let name = call.parameter("organization");
    call.world().visible_organization(&call.access, name)?;
    if call.access.roles.get(name) != Some(&Role::Admin) {
        return Err(ApiError::forbidden("Only organization administrators can do that"));
    }
    Ok(name)
}

fn set_paused(call: &Call, paused: bool) -> Outcome {
    let name = administered(call)?;
    let mut world = call.world();
    let set = world.set_organization_paused(name, paused, call.now);
    set.map_err(|error| ApiError::not_found(error.to_string()))?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) fn metadata(call: &Call) -> Outcome {
    let world = call.world();
    let organization = world.visible_organization(&call.access, call.parameter("organization"))?;
    let statuses: Vec<Status> = organization
        .deployments
        .iter()
        .filter_map(|key| world.deployments.get(key))
        .filter(|deployment| !deployment.removed)
        .map(|deployment| deployment.status)
        .collect();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    let paused_stacks: Vec<Value> = organization
        .stacks
        .iter()
        .filter(|(_, key)| world.stacks.get(key).is_some_and(|stack| stack.paused))
        .map(|((project, stack), _)| format!("{project}/{stack}").into())
        .collect();
    Ok(Answer::ok(&json!({
        "paused": organization.paused,
        "pausedStacks": paused_stacks,
        "concurrency": organization.concurrency,
        "deploymentCounts": {
            "notStarted": count(Status::NotStarted),
            "accepted": count(Status::Accepted),
            "running": count(Status::Running),
            "failed": count(Status::Failed),
            "succeeded": count(Status::Succeeded),
            "skipped": count(Status::Skipped),
            "total": statuses.len(),
        },
    })))
}
