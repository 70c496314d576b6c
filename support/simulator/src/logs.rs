//! Logs of deployments, in the two forms in which they are read: as one stream, and step by step.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::errors::ApiError;
use crate::run::Step;
use crate::world::deployment::Deployment;

/// Header lines have no time of their own.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// A place in the stream, written `job.step.item`. Item 0 of a step is its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    step: usize,
    item: usize,
}

impl Position {
    fn parse(token: &str) -> Option<Self> {
        let mut parts = token.split('.').map(str::parse::<usize>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(0)), Some(Ok(step)), Some(Ok(item)), None) => Some(Self { step, item }),
            _ => None,
        }
    }

    fn token(self) -> String {
        format!("0.{}.{}", self.step, self.item)
    }
}

/// The next lines of the stream after `token`.
pub(crate) fn stream(
    deployment: &Deployment,
    token: Option<&str>,
    count: usize,
    now: Timestamp,
) -> Result<Value, ApiError> {
    let mut position = match token {
        None | Some("") => Position { step: 0, item: 0 },
        Some(token) => Position::parse(token).ok_or_else(|| ApiError::bad_request("invalid continuation token"))?,
    };
    let steps = deployment.run.as_ref().map_or(&[][..], |run| &run.steps);
    let mut lines = Vec::new();
    while let Some(step) = steps.get(position.step).filter(|step| step.started.is_some()) {
        let items = items(step, now);
        let rest = items.get(position.item..).unwrap_or_default();
        let length = rest.len().min(count - lines.len());
        lines.extend_from_slice(&rest[..length]);
        position.item += length;
        if length < rest.len() || step.ended.is_none() {
            break;
        }
        if steps.get(position.step + 1).is_none_or(|next| next.started.is_none()) {
            if deployment.status.is_final() {
                return Ok(json!({"__type": "DeploymentLogs", "lines": lines}));
            }
            break;
        }
        position = Position { step: position.step + 1, item: 0 };
    }
    if deployment.status.is_final() && steps.is_empty() {
        return Ok(json!({"__type": "DeploymentLogs", "lines": lines}));
    }
    Ok(json!({"__type": "DeploymentLogs", "lines": lines, "nextToken": position.token()}))
}

fn items(step: &Step, now: Timestamp) -> Vec<Value> {
    let header = json!({"header": step.name, "timestamp": NO_TIME});
    std::iter::once(header).chain(lines(step, now)).collect()
}

fn lines(step: &Step, now: Timestamp) -> impl Iterator<Item = Value> {
    step.printed(now).map(|(time, line)| json!({"timestamp": time.to_string(), "line": line}))
}

/// A part of the lines of one step.
pub(crate) fn of_step(
    deployment: &Deployment,
    step: usize,
    offset: usize,
    count: usize,
    now: Timestamp,
) -> Result<Value, ApiError> {
    let run = deployment.run.as_ref();
    let step = run.and_then(|run| run.steps.get(step)).ok_or_else(|| ApiError::not_found("Run not found"))?;
    let printed: Vec<Value> = lines(step, now).collect();
    let rest = printed.get(offset..).unwrap_or_default();
    let length = rest.len().min(count);
    let mut body = json!({
        "__type": "DeploymentLogsStep",
        "name": step.name,
        "lines": &rest[..length],
    });
    let may_grow = step.ended.is_none() && !deployment.status.is_final();
    if length < rest.len() || may_grow {
        body["nextOffset"] = (offset.min(printed.len()) + length).into();
    }
    Ok(body)
}
