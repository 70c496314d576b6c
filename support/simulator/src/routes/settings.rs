//! Deployment settings.

use serde_json::Value;

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::settings::{self, StoredSettings};
use crate::world::organization::Subscription;
use crate::world::stack::Stack;
use crate::world::{StackKey, World};

/// The header by which the provider says what it is.
const SOURCE: &str = "x-pulumi-source";

pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    // The service answers the same when the stack itself is missing.
    let missing = || ApiError::not_found(format!("Stack '{}' not found", stack.name));
    let stored = stack.settings.as_ref().ok_or_else(missing)?;
    Ok(Answer::ok(&rendered(&world, stack, stored)))
}

fn rendered(world: &World, stack: &Stack, stored: &StoredSettings) -> Value {
    let mut body = settings::rendered(stored, &world.cipher);
    let organization = &world.organizations[&stack.name.organization];
    if let Some(url) = organization.templates.get(&stack.name.project)
        && let Some(template) = body.pointer_mut("/sourceContext/template").and_then(Value::as_object_mut)
    {
        template.insert("projectSourceUrl".to_owned(), url.clone().into());
    }
    if let Some(role) = body.pointer_mut("/operationContext/role").and_then(Value::as_object_mut)
        && let Some(name) = organization.roles.get(role["id"].as_str().unwrap_or_default())
    {
        role.entry("name").or_insert_with(|| name.clone().into());
    }
    body
}

pub(super) fn patch(call: &Call) -> Outcome {
    save(call, true)
}

pub(super) fn put(call: &Call) -> Outcome {
    save(call, false)
}

fn save(call: &Call, is_patch: bool) -> Outcome {
    let body = call.json()?;
    let mut world = call.world();
    let key = call.stack(&world)?;
    let is_provider = call.headers.get(SOURCE).is_some_and(|source| source == "provider");
    let stored = write(&mut world, key, &body, is_patch, if is_provider { "provider" } else { "api" })?;
    Ok(Answer::ok(&rendered(&world, &world.stacks[&key], &stored)))
}

/// Merges the body into the stack's settings, or puts it in their place.
pub(crate) fn write(
    world: &mut World,
    key: StackKey,
    body: &Value,
    is_patch: bool,
    source: &'static str,
) -> Result<StoredSettings, ApiError> {
    let stack = &world.stacks[&key];
    let organization = &world.organizations[&stack.name.organization];
    if organization.subscription < Subscription::TeamGrowth {
        return Err(ApiError::payment_required("Pulumi Deployments requires Team Growth subscription"));
    }
    if stack.is_terraform {
        return Err(ApiError::bad_request("Pulumi Deployments cannot be configured for Terraform stacks"));
    }
    let decoded = world.decoder().settings(body)?;
    let current = stack.settings.as_ref();
    let base = current.filter(|_| is_patch).map(|current| &current.value);
    let value = settings::complete(settings::merged(base, decoded), organization, &stack.name.project)?;
    let stored = StoredSettings { value, version: current.map_or(0, |current| current.version) + 1, source };
    if let Some(stack) = world.stacks.get_mut(&key) {
        stack.settings = Some(stored.clone());
    }
    Ok(stored)
}

/// The body tells whether there was something to delete.
pub(super) fn delete(call: &Call) -> Outcome {
    let mut world = call.world();
    let key = call.stack(&world)?;
    let had_settings = world.stacks.get_mut(&key).is_some_and(|stack| stack.settings.take().is_some());
    Ok(Answer::ok(&Value::from(had_settings)))
}

/// Turns a value into a ciphertext that settings accept in its place. Older clients send the bare value.
pub(super) fn encrypt(call: &Call) -> Outcome {
    let body = call.json()?;
    let world = call.world();
    call.stack(&world)?;
    let value = world.decoder().secret(&body, "value")?;
    let value = settings::text(&value).or_else(|| settings::text(&value["secret"]));
    let value = value.ok_or_else(|| ApiError::bad_request("Invalid empty value"))?;
    Ok(Answer::ok(&world.cipher.masked(value)))
}
