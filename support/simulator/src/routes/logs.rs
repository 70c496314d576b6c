//! Logs of deployments.

use serde_json::Value;

use super::call::invalid_query;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::logs;

const DEFAULT_COUNT: usize = 100;

pub(super) fn get(call: &Call) -> Outcome {
    read(call, call.query("continuationToken")).map(|body| Answer::ok(&body))
}

/// What the query asks for; `token` is the place in the stream.
pub(super) fn read(call: &Call, token: Option<&str>) -> Result<Value, ApiError> {
    let count = call.number("count");
    let count = count
        .ok()
        .map(|count| count.unwrap_or(DEFAULT_COUNT))
        .filter(|count| (1..500).contains(count))
        .ok_or_else(|| ApiError::bad_request("Count must be less than 500 and more than 0"))?;
    let (job, step, offset) = (call.number("job")?, call.number("step")?, call.number("offset")?);
    let world = call.world();
    let (_, deployment) = super::deployments::find(call, &world)?;
    if job.is_none() && step.is_none() {
        return logs::stream(deployment, token, count, call.now);
    }
    if job.unwrap_or(0) != 0 {
        return Err(ApiError::not_found("Run not found"));
    }
    let step = step.unwrap_or(world.first_step).checked_sub(world.first_step).ok_or_else(|| invalid_query("step"))?;
    logs::of_step(deployment, step, offset.unwrap_or(0), count, call.now)
}
