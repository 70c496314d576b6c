//! The deprecated routes below `/api/preview`, where they differ from today's.

use serde_json::{Value, json};

use super::time::short_time;
use super::{Answer, Call, Outcome, deployments, logs};
use crate::request::Form;
use crate::world::World;
use crate::world::deployment::Deployment;

pub(super) fn create(call: &Call) -> Outcome {
    deployments::post_as(call, Form::Preview)
}

/// All there is to see in a list: neither jobs nor updates.
fn summary(deployment: &Deployment) -> Value {
    json!({
        "id": deployment.id,
        "created": short_time(deployment.created),
        "modified": short_time(deployment.modified),
        "status": deployment.status.name(),
        "version": deployment.version,
        "requestedBy": deployment.requested_by.info(),
    })
}

/// A bare list, oldest first.
pub(super) fn list(call: &Call) -> Outcome {
    let (number, size) = call.page()?;
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let known = stack.deployments.iter().filter_map(|key| world.deployments.get(key));
    let shown = known.filter(|deployment| !deployment.removed).skip((number - 1).saturating_mul(size)).take(size);
    Ok(Answer::ok(&shown.map(summary).collect()))
}

pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let (_, deployment) = deployments::find(call, &world)?;
    Ok(Answer::ok(&details(&world, deployment, call)))
}

pub(super) fn get_by_version(call: &Call) -> Outcome {
    let world = call.world();
    let deployment = deployments::find_version(call, &world)?;
    Ok(Answer::ok(&details(&world, deployment, call)))
}

fn details(world: &World, deployment: &Deployment, call: &Call) -> Value {
    let mut body = deployments::details(world, deployment, call.now);
    if let Some(body) = body.as_object_mut() {
        for later in ["pulumiOperation", "initiator"] {
            body.remove(later);
        }
    }
    body
}

pub(super) fn get_logs(call: &Call) -> Outcome {
    // The official clients of that time sent the later name already.
    let token = call.query("nextToken").or_else(|| call.query("continuationToken"));
    let mut body = logs::read(call, token)?;
    if let Some(body) = body.as_object_mut() {
        body.remove("__type");
    }
    Ok(Answer::ok(&body))
}
