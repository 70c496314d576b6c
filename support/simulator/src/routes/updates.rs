//! What Pulumi did to a stack.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::invalid_query;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::stack::{Stack, Update};

const DEFAULT_SIZE: usize = 10;

/// An update among what is around it.
pub(super) fn info(update: &Update, stack: &Stack) -> Value {
    json!({
        "updateID": update.engine_id,
        "version": update.version,
        "latestVersion": stack.version(),
        "requestedBy": update.requested_by.info(),
        "info": plain(update),
    })
}

fn plain(update: &Update) -> Value {
    json!({
        "kind": update.kind,
        "version": update.version,
        "startTime": update.started.as_second(),
        "endTime": seconds(update.ended),
        "result": update.result,
        "message": update.message,
        "environment": update.environment,
        "config": {},
        "resourceChanges": update.changes,
        "resourceCount": update.resources,
    })
}

/// How it went.
pub(super) fn brief(update: &Update) -> Value {
    json!({
        "result": update.result,
        "startTime": update.started.as_second(),
        "endTime": seconds(update.ended),
        "resourceCount": update.resources,
    })
}

/// 0 until it has ended.
fn seconds(time: Option<Timestamp>) -> i64 {
    time.map_or(0, Timestamp::as_second)
}

/// The stack's history, newest first. Previews are not part of it: they share the version of what they looked at.
fn history(stack: &Stack) -> impl Iterator<Item = &Update> {
    stack.updates.iter().rev().filter(|update| !update.only_looks())
}

/// Without `output-type` the older form, in which an update is not told who asked for it.
pub(super) fn list(call: &Call) -> Outcome {
    let page = call.number("page").map_err(|_| ApiError::bad_request("Invalid 'page' value."))?.unwrap_or(0);
    let size = call.number("pageSize").map_err(|_| ApiError::bad_request("Invalid 'pageSize' value."))?;
    let size = size.unwrap_or(DEFAULT_SIZE);
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let skipped = page.saturating_sub(1).saturating_mul(size);
    let taken = if page == 0 { usize::MAX } else { size };
    let shown = history(stack).skip(skipped).take(taken);
    Ok(Answer::ok(&if call.query("output-type").is_none() {
        json!({"updates": shown.map(plain).collect::<Vec<_>>()})
    } else {
        json!({
            "updates": shown.map(|update| info(update, stack)).collect::<Vec<_>>(),
            "itemsPerPage": size,
            "total": history(stack).count(),
        })
    }))
}

pub(super) fn latest(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let update = history(stack).next().ok_or_else(not_found)?;
    Ok(Answer::ok(&info(update, stack)))
}

pub(super) fn get(call: &Call) -> Outcome {
    one(call, info)
}

pub(super) fn summary(call: &Call) -> Outcome {
    one(call, |update, _| {
        let mut body = brief(update);
        body["kind"] = update.kind.into();
        body["resourceChanges"] = json!(update.changes);
        body
    })
}

fn one(call: &Call, show: impl Fn(&Update, &Stack) -> Value) -> Outcome {
    let version: i64 = call.parameter("version").parse().map_err(|_| invalid_query("version"))?;
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let update = history(stack).find(|update| update.version == version).ok_or_else(not_found)?;
    Ok(Answer::ok(&show(update, stack)))
}

fn not_found() -> ApiError {
    ApiError::not_found("Version not found")
}
