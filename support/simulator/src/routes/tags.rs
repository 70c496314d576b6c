//! The tags of stacks.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::Value;

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;

const PROJECT: &str = "pulumi:project";
const LONGEST_NAME: usize = 40;
const LONGEST_VALUE: usize = 256;

/// The tags in a request body.
pub(super) fn read(body: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let entries = match body {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(entries) => entries,
        _ => return Err(ApiError::bad_request("invalid request body: tags must be an object")),
    };
    entries
        .iter()
        .map(|(name, value)| {
            let value =
                value.as_str().ok_or_else(|| ApiError::bad_request(format!("stack tag {name:?} must be a string")))?;
            check(name, value)?;
            Ok((name.clone(), value.to_owned()))
        })
        .collect()
}

fn check(name: &str, value: &str) -> Result<(), ApiError> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if !(1..=LONGEST_NAME).contains(&name.len()) {
        return Err(ApiError::bad_request(format!(
            "stack tag {name:?} is empty or too long (max length 40 characters)"
        )));
    }
    if !name.chars().all(is_valid) {
        return Err(ApiError::bad_request(
            "stack tag names may only contain alphanumerics, hyphens, underscores, periods, or colons",
        ));
    }
    if value.chars().count() > LONGEST_VALUE {
        return Err(ApiError::bad_request(format!("stack tag {name:?} value is too long (max length 256 characters)")));
    }
    Ok(())
}

/// Those that the clients keep themselves.
fn is_built_in(name: &str) -> bool {
    ["pulumi:", "vcs:", "gitHub:"].iter().any(|prefix| name.starts_with(prefix))
}

/// The name and the value in a request body.
fn tag(call: &Call) -> Result<(String, String), ApiError> {
    let body = call.json()?;
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (name, value) = (text("name"), text("value"));
    check(&name, &value)?;
    Ok((name, value))
}

pub(super) fn add(call: &Call) -> Outcome {
    let (name, value) = tag(call)?;
    change(call, |tags| {
        if tags.contains_key(&name) {
            return Err(ApiError::bad_request(format!("stack tag {name:?} already exists")));
        }
        tags.insert(name, value);
        Ok(())
    })
}

/// All tags at once: those that are not sent go away.
pub(super) fn replace(call: &Call) -> Outcome {
    let sent = read(&call.json()?)?;
    let project = call.parameter("project").to_owned();
    if sent.get(PROJECT).is_some_and(|name| *name != project) {
        return Err(ApiError::bad_request("Cannot change project's name"));
    }
    change(call, |tags| {
        *tags = sent;
        Ok(())
    })
}

pub(super) fn update(call: &Call) -> Outcome {
    let name = call.parameter("tag").to_owned();
    if is_built_in(&name) {
        return Err(ApiError::bad_request("built-in tags cannot be updated"));
    }
    let (sent, value) = tag(call)?;
    change(call, |tags| {
        tags.remove(&name).ok_or_else(not_found)?;
        tags.insert(sent, value);
        Ok(())
    })
}

pub(super) fn delete(call: &Call) -> Outcome {
    let name = call.parameter("tag").to_owned();
    if is_built_in(&name) {
        return Err(ApiError::bad_request("built-in tags cannot be deleted"));
    }
    change(call, |tags| tags.remove(&name).map(drop).ok_or_else(not_found))
}

fn not_found() -> ApiError {
    ApiError::not_found("Tag not found")
}

fn change(call: &Call, act: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError>) -> Outcome {
    let mut world = call.world();
    let key = call.stack(&world)?;
    if let Some(stack) = world.stacks.get_mut(&key) {
        act(&mut stack.tags)?;
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
