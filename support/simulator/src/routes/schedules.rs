//! Schedules: deployments at set times, the detection of drift, and the end of a stack's time.

use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::time::{read_time, short_time};
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::request::{Form, Request};
use crate::settings;
use crate::world::deployment::Operation;
use crate::world::people::User;
use crate::world::schedule::{Firing, Schedule, ScheduleKey, When};
use crate::world::stack::Stack;
use crate::world::{StackKey, World};

/// The kinds of schedules. All are deployments at set times; they differ in how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Custom,
    Drift,
    Ttl,
}

impl Kind {
    /// Whether the routes of this kind may change the schedule.
    fn covers(self, schedule: &Schedule) -> bool {
        match self {
            Self::Custom => true,
            Self::Drift => schedule.request.operation == Operation::DetectDrift,
            Self::Ttl => matches!(schedule.when, When::Once(_)) && schedule.request.is_expiry(),
        }
    }
}

/// What a body asks for: when, for the first time when, and what.
type Plan = ((When, Timestamp), Request);

fn read(world: &World, stack: StackKey, kind: Kind, body: &Value, now: Timestamp) -> Result<Plan, ApiError> {
    let empty = Map::new();
    let entries = body.as_object().unwrap_or(&empty);
    let field = |name| settings::property(entries, name).unwrap_or(&Value::Null);
    let cron = || match field("scheduleCron") {
        Value::Null => Ok(None),
        Value::String(written) => Ok(Some(written.as_str()).filter(|written| !written.is_empty())),
        _ => Err(invalid("scheduleCron must be a string")),
    };
    let flag = |name: &'static str| match field(name) {
        Value::Null => Ok(false),
        Value::Bool(value) => Ok(*value),
        _ => Err(ApiError::bad_request(format!("invalid request body: {name} must be a bool"))),
    };
    let plan = match kind {
        Kind::Custom => {
            let when = match (cron()?, read_time(field("scheduleOnce"), "scheduleOnce")?) {
                (Some(cron), None) => parse_cron(cron)?,
                (None, Some(time)) => When::Once(time),
                _ => return Err(invalid("exactly one of scheduleCron and scheduleOnce must be set")),
            };
            if !field("request").is_object() {
                return Err(invalid("request is required"));
            }
            (when, Request::read(world, stack, field("request"), Form::Stacks)?)
        }
        Kind::Drift => {
            let cron = cron()?.ok_or_else(|| ApiError::bad_request("Invalid schedule: scheduleCron is required"))?;
            let remediate = flag("autoRemediate")?;
            let organization = &world.organizations[&world.stacks[&stack].name.organization];
            if remediate {
                organization.subscription.includes_remediation()?;
            }
            (parse_cron(cron)?, Request::drift_detection(remediate))
        }
        Kind::Ttl => {
            let time = read_time(field("timestamp"), "timestamp")?;
            let time = time.ok_or_else(|| ApiError::bad_request("Timestamp needs to be set"))?;
            (When::Once(time), Request::expiry(flag("deleteAfterDestroy")?))
        }
    };
    let (when, request) = plan;
    let next = when.next(now).filter(|next| *next > now);
    let next = next.ok_or_else(|| ApiError::bad_request("Invalid schedule: its time must be in the future"))?;
    Ok(((when, next), request))
}

fn invalid(detail: &str) -> ApiError {
    ApiError::bad_request(format!("Invalid definition for scheduled deployment: {detail}"))
}

fn parse_cron(written: &str) -> Result<When, ApiError> {
    written
        .parse()
        .map(|times| When::Cron(Box::new(times)))
        .map_err(|error| ApiError::bad_request(format!("Invalid schedule: {error}")))
}

fn needs_settings(stack: &Stack) -> Result<(), ApiError> {
    let missing = || ApiError::bad_request("Stack does not have deployment settings configured");
    stack.settings.as_ref().map(|_| ()).ok_or_else(missing)
}

/// Adds the schedule that a body asks for. Whoever asks in the library's way need not say which kind it is.
pub(crate) fn create_any(
    world: &mut World,
    stack: StackKey,
    body: &Value,
    owner: Arc<User>,
    now: Timestamp,
) -> Result<Value, ApiError> {
    let kind = match body {
        Value::Object(entries) if entries.contains_key("request") => Kind::Custom,
        Value::Object(entries) if entries.contains_key("timestamp") => Kind::Ttl,
        _ => Kind::Drift,
    };
    create(world, stack, kind, body, owner, now)
}

fn create(
    world: &mut World,
    stack: StackKey,
    kind: Kind,
    body: &Value,
    owner: Arc<User>,
    now: Timestamp,
) -> Result<Value, ApiError> {
    needs_settings(&world.stacks[&stack])?;
    let (times, request) = read(world, stack, kind, body, now)?;
    let key = world.add_schedule(stack, times, request, owner, now);
    let stack = &world.stacks[&stack];
    Ok(rendered(world, stack, &stack.schedules[&key]))
}

fn post(call: &Call, kind: Kind) -> Outcome {
    let body = call.json()?;
    let mut world = call.world();
    let stack = call.stack(&world)?;
    create(&mut world, stack, kind, &body, Arc::clone(&call.access.user), call.now).map(|body| Answer::ok(&body))
}

pub(super) fn post_custom(call: &Call) -> Outcome {
    post(call, Kind::Custom)
}

pub(super) fn post_drift(call: &Call) -> Outcome {
    post(call, Kind::Drift)
}

pub(super) fn post_ttl(call: &Call) -> Outcome {
    post(call, Kind::Ttl)
}

fn update(call: &Call, kind: Kind) -> Outcome {
    let body = call.json()?;
    let mut world = call.world();
    let stack = call.stack(&world)?;
    let key = find(call, &world.stacks[&stack])?;
    if !kind.covers(&world.stacks[&stack].schedules[&key]) {
        return Err(not_found("ScheduledDeployment"));
    }
    if kind == Kind::Custom {
        needs_settings(&world.stacks[&stack])?;
    }
    let (times, request) = read(&world, stack, kind, &body, call.now)?;
    world.change_schedule(stack, key, times, request, call.now);
    let stack = &world.stacks[&stack];
    Ok(Answer::ok(&rendered(&world, stack, &stack.schedules[&key])))
}

pub(super) fn update_custom(call: &Call) -> Outcome {
    update(call, Kind::Custom)
}

pub(super) fn update_drift(call: &Call) -> Outcome {
    update(call, Kind::Drift)
}

pub(super) fn update_ttl(call: &Call) -> Outcome {
    update(call, Kind::Ttl)
}

fn not_found(what: &str) -> ApiError {
    ApiError::not_found(format!("{what} not found"))
}

/// The schedule of the path.
fn find(call: &Call, stack: &Stack) -> Result<ScheduleKey, ApiError> {
    stack.schedule_by_id(call.parameter("schedule")).ok_or_else(|| not_found("ScheduledAction"))
}

pub(super) fn list(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    Ok(Answer::ok(&json!({"schedules": all(&world, stack)})))
}

/// All schedules of the stack, oldest first.
pub(crate) fn all(world: &World, stack: &Stack) -> Vec<Value> {
    stack.schedules.values().map(|schedule| rendered(world, stack, schedule)).collect()
}

pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    Ok(Answer::ok(&rendered(&world, stack, &stack.schedules[&find(call, stack)?])))
}

/// What is gone already is as good as deleted.
pub(super) fn delete(call: &Call) -> Outcome {
    let mut world = call.world();
    let stack = call.stack(&world)?;
    if let (Ok(key), Some(stack)) = (find(call, &world.stacks[&stack]), world.stacks.get_mut(&stack)) {
        stack.schedules.remove(&key);
    }
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) fn pause(call: &Call) -> Outcome {
    set_paused(call, true)
}

pub(super) fn resume(call: &Call) -> Outcome {
    set_paused(call, false)
}

fn set_paused(call: &Call, paused: bool) -> Outcome {
    let mut world = call.world();
    let stack = call.stack(&world)?;
    let key = find(call, &world.stacks[&stack])?;
    world.set_schedule_paused(stack, key, paused, call.now);
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) fn history(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let schedule = &stack.schedules[&find(call, stack)?];
    let event = |firing: &Firing| {
        let deployment = firing.deployment.and_then(|key| world.deployments.get(&key));
        json!({
            "id": firing.id,
            "scheduledActionID": schedule.id,
            "executed": short_time(firing.at),
            "version": firing.version,
            "result": deployment.map_or("failed", |deployment| deployment.status.name()),
        })
    };
    let events: Vec<Value> = schedule.history.iter().map(event).collect();
    Ok(Answer::ok(&json!({"scheduleHistoryEvents": events})))
}

fn rendered(world: &World, stack: &Stack, schedule: &Schedule) -> Value {
    let mut body = json!({
        "id": schedule.id,
        "orgID": world.organizations[&stack.name.organization].id,
        "nextExecution": short_time(schedule.next),
        "paused": schedule.paused,
        "kind": "deployment",
        "definition": {"programID": stack.id, "request": schedule.request.rendered(&world.cipher)},
        "created": short_time(schedule.created),
        "modified": short_time(schedule.modified),
        // Never null: the official clients take it for a string.
        "lastExecuted": schedule.last.map(short_time).unwrap_or_default(),
    });
    match &schedule.when {
        When::Cron(times) => body["scheduleCron"] = times.written.clone().into(),
        When::Once(time) => body["scheduleOnce"] = short_time(*time).into(),
    }
    body
}
