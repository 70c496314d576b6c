//! Stacks and what concerns all of a stack's deployments.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Call, Outcome, drift};
use crate::errors::ApiError;
use crate::names::StackName;

pub(super) fn project_exists(call: &Call) -> Outcome {
    let world = call.world();
    let organization = world.visible_organization(&call.access, call.parameter("organization"))?;
    let project = call.parameter("project");
    if organization.stacks.keys().any(|(known, _)| known == project) {
        Ok(Answer::ok(&Value::from(project)))
    } else {
        Err(ApiError::not_found("Project not found"))
    }
}

pub(super) fn create(call: &Call) -> Outcome {
    let body = call.json()?;
    let stack = body["stackName"].as_str().unwrap_or_default();
    if !is_valid_name(stack) {
        return Err(ApiError::bad_request(
            "a stack name may only contain alphanumeric, hyphens, underscores, or periods",
        ));
    }
    let tags = super::tags::read(&body["tags"])?;
    let name = StackName { stack: stack.to_owned(), ..call.stack_name() };
    let mut world = call.world();
    world.visible_organization(&call.access, &name.organization)?;
    if world.stack_key(&name).is_some() {
        return Err(ApiError::conflict(format!("Stack '{stack}' already exists")));
    }
    world.add_stack(&name, tags).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(Answer::ok(&json!({})))
}

fn is_valid_name(name: &str) -> bool {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=100).contains(&name.len()) && name.chars().all(is_valid)
}

pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let latest = stack.updates.last();
    let mut body = json!({
        "id": stack.id,
        "orgName": stack.name.organization,
        "projectName": stack.name.project,
        "stackName": stack.name.stack,
        "activeUpdate": latest.map_or("", |update| &update.engine_id),
        "tags": stack.tags,
        "version": stack.version(),
    });
    if let Some(update) = latest.filter(|update| update.ended.is_none()) {
        body["currentOperation"] = json!({
            "author": update.requested_by.login,
            "kind": update.kind,
            "started": update.started.as_second(),
        });
    }
    Ok(Answer::ok(&body))
}

pub(super) fn delete(call: &Call) -> Outcome {
    let force = call.flag("force")?;
    let mut world = call.world();
    let key = call.stack(&world)?;
    if world.stacks[&key].resources > 0 && !force {
        return Err(ApiError::bad_request("Stack still contains resources."));
    }
    world.remove_stack(key, call.now);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) fn pause(call: &Call) -> Outcome {
    set_paused(call, true)
}

pub(super) fn resume(call: &Call) -> Outcome {
    set_paused(call, false)
}

fn set_paused(call: &Call, paused: bool) -> Outcome {
    let mut world = call.world();
    let key = call.stack(&world)?;
    if world.stacks[&key].settings.is_none() {
        return Err(ApiError::bad_request(
            "Attempted to pause or resume deployments on stack before it has been configured for deployments",
        ));
    }
    world.set_stack_paused(key, paused, call.now);
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) fn metadata(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let organization = world.visible_organization(&call.access, &stack.name.organization)?;
    let mut body = json!({
        "paused": stack.paused || organization.paused,
        "stackPaused": stack.paused,
        "organizationPaused": organization.paused,
        "hasSchedules": !stack.schedules.is_empty(),
    });
    if let Some(drift) = drift::status_of(&world, stack) {
        body["drift"] = drift;
    }
    Ok(Answer::ok(&body))
}

pub(super) fn clear_cache(call: &Call) -> Outcome {
    let mut world = call.world();
    let key = call.stack(&world)?;
    if let Some(stack) = world.stacks.get_mut(&key) {
        stack.has_cache = false;
    }
    Ok(Answer::empty(StatusCode::OK))
}
