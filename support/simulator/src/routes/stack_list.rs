//! The stacks that the caller sees.

use serde_json::{Value, json};

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::stack::Stack;

/// How many stacks one answer has at most.
const PAGE: usize = 100;

pub(super) fn list(call: &Call) -> Outcome {
    let from = call.number("continuationToken").map_err(|_| ApiError::bad_request("Invalid continuation token."))?;
    let from = from.unwrap_or(0);
    let world = call.world();
    let is = |parameter: &str, value: &str| call.query(parameter).is_none_or(|wanted| wanted == value);
    let has_tag = |stack: &Stack| {
        call.query("tagName").is_none_or(|name| stack.tags.get(name).is_some_and(|value| is("tagValue", value)))
    };
    let organizations = call.access.roles.keys().filter_map(|name| world.organizations.get(name));
    let stacks: Vec<&Stack> = organizations
        .flat_map(|organization| organization.stacks.values())
        .filter_map(|key| world.stacks.get(key))
        .filter(|stack| is("organization", &stack.name.organization) && is("project", &stack.name.project))
        .filter(|stack| has_tag(stack))
        .collect();
    let shown: Vec<Value> = stacks.iter().skip(from).take(PAGE).map(|stack| summary(stack, &world.url)).collect();
    let mut body = json!({"stacks": shown});
    if from + PAGE < stacks.len() {
        body["continuationToken"] = (from + PAGE).to_string().into();
    }
    Ok(Answer::ok(&body))
}

fn summary(stack: &Stack, url: &str) -> Value {
    let mut body = json!({
        "id": stack.id,
        "orgName": stack.name.organization,
        "projectName": stack.name.project,
        "stackName": stack.name.stack,
        "links": {"self": format!("{url}/{}", stack.name)},
    });
    if let Some(update) = stack.updates.iter().rev().find(|update| !update.only_looks()) {
        body["lastUpdate"] = update.started.as_second().into();
        body["resourceCount"] = stack.resources.into();
    }
    body
}
