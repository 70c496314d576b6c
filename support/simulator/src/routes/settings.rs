//! Deployment settings.

use serde_json::Value;

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::settings::{self, StoredSettings};
use crate::world::{StackKey, World};

pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    // The service answers the same when the stack itself is missing.
    let missing = || ApiError::not_found(format!("Stack '{}' not found", stack.name));
    let stored = stack.settings.as_ref().ok_or_else(missing)?;
    Ok(Answer::ok(&settings::rendered(stored, &world.cipher)))
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
    let stored = write(&mut world, key, &body, is_patch, "api")?;
    Ok(Answer::ok(&settings::rendered(&stored, &world.cipher)))
}

/// Merges the body into the stack's settings, or puts it in their place.
pub(crate) fn write(
    world: &mut World,
    key: StackKey,
    body: &Value,
    is_patch: bool,
    source: &'static str,
) -> Result<StoredSettings, ApiError> {
    let decoded = world.decoder().settings(body)?;
    let stack = &world.stacks[&key];
    let current = stack.settings.as_ref();
    let base = current.filter(|_| is_patch).map(|current| &current.value);
    let value = settings::merged(base, decoded);
    settings::check(&value, &world.organizations[&stack.name.organization].agent_pools)?;
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
