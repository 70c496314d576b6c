//! The events of updates.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::events;
use crate::world::stack::Stack;

/// How many events one answer has at most.
const PAGE: usize = 100;

/// Marks the tokens as this route's own.
const TOKEN: &str = "event-";

/// There is a token as long as there is, or may yet be, more to read.
pub(super) fn get(call: &Call) -> Outcome {
    let from = match call.query("continuationToken") {
        None => 0,
        Some(token) => {
            let place = token.strip_prefix(TOKEN).and_then(|place| place.parse::<usize>().ok());
            place.ok_or_else(|| ApiError::bad_request("Invalid continuation token."))?
        }
    };
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let update = &stack.updates[place(call, stack)?];
    let told = events::told(update, stack, call.now);
    let rest = told.get(from..).unwrap_or_default();
    let page = &rest[..rest.len().min(PAGE)];
    let wanted = call.query("urn");
    let shown: Vec<&Value> =
        page.iter().filter(|event| wanted.is_none_or(|wanted| urn(event) == Some(wanted))).collect();
    let is_last = update.ended.is_some() && page.len() == rest.len();
    let token = (!is_last).then(|| format!("{TOKEN}{}", from + page.len()));
    Ok(Answer::ok(&json!({"events": shown, "continuationToken": token})))
}

/// The resource that an event is about.
fn urn(event: &Value) -> Option<&str> {
    let payload = &event[event["type"].as_str()?];
    payload["metadata"]["urn"].as_str().or_else(|| payload["urn"].as_str())
}

/// Where the update of the path is in the stack's history. Clients ask for the events of updates of all kinds below
/// the name of one.
fn place(call: &Call, stack: &Stack) -> Result<usize, ApiError> {
    let id = call.parameter("update");
    let place = stack.updates.iter().position(|update| update.engine_id == id);
    place.ok_or_else(|| ApiError::not_found(format!("Update '{id}' not found")))
}

/// Records an event, or a batch of them.
pub(super) fn post(call: &Call) -> Outcome {
    let body = call.json()?;
    let sent: Vec<Value> = match &body["events"] {
        Value::Array(events) => events.clone(),
        _ => vec![body],
    };
    let events: Vec<Value> =
        sent.iter().map(named).collect::<Option<_>>().ok_or_else(|| ApiError::bad_request("No events provided."))?;
    let mut world = call.world();
    let key = call.stack(&world)?;
    let place = place(call, &world.stacks[&key])?;
    if let Some(update) = world.stacks.get_mut(&key).and_then(|stack| stack.updates.get_mut(place)) {
        update.script.recorded.extend(events.into_iter().map(|event| (call.now, event)));
    }
    Ok(Answer::empty(StatusCode::OK))
}

/// The event as it is given out: by the name of its payload, and without its number.
fn named(event: &Value) -> Option<Value> {
    let (kind, payload) =
        event.as_object()?.iter().find(|(name, value)| name.ends_with("Event") && value.is_object())?;
    let mut named = Map::from_iter([("type".to_owned(), kind.clone().into()), (kind.clone(), payload.clone())]);
    if let Some(time) = event.get("timestamp").filter(|time| time.is_i64()) {
        named.insert("timestamp".to_owned(), time.clone());
    }
    Some(Value::Object(named))
}
