//! What the detection of drift found.

use serde_json::{Value, json};

use super::time::short_time;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::World;
use crate::world::deployment::Deployment;
use crate::world::drift::DriftRun;
use crate::world::stack::{Stack, Update};

/// The stack's runs with their deployments, newest first. One that was taken out of the queue never was a run.
fn runs<'w>(world: &'w World, stack: &'w Stack) -> impl Iterator<Item = (&'w DriftRun, &'w Deployment)> {
    let runs = stack.drift.runs.iter().rev().filter_map(|run| Some((run, world.deployments.get(&run.deployment)?)));
    runs.filter(|(_, deployment)| !deployment.removed)
}

/// The state of the drift; none before anyone looked for it.
pub(super) fn status_of(world: &World, stack: &Stack) -> Option<Value> {
    let (latest, _) = runs(world, stack).next()?;
    Some(json!({
        "driftDetected": stack.drift.is_known,
        "latestDriftRun": latest.id,
        "runInProgress": runs(world, stack).any(|(_, deployment)| !deployment.status.is_final()),
    }))
}

pub(super) fn status(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let unknown = || json!({"driftDetected": false, "latestDriftRun": "", "runInProgress": false});
    Ok(Answer::ok(&status_of(&world, stack).unwrap_or_else(unknown)))
}

pub(super) fn list(call: &Call) -> Outcome {
    let (number, size) = call.page()?;
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let shown = runs(&world, stack).skip((number - 1).saturating_mul(size)).take(size);
    let shown: Vec<Value> = shown.map(|(run, deployment)| rendered(stack, run, deployment)).collect();
    Ok(Answer::ok(&json!({"driftRuns": shown, "itemsPerPage": size, "total": runs(&world, stack).count()})))
}

pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let found = runs(&world, stack).find(|(run, _)| run.id == call.parameter("run"));
    let (run, deployment) = found.ok_or_else(|| ApiError::not_found("Drift run not found"))?;
    Ok(Answer::ok(&rendered(stack, run, deployment)))
}

fn rendered(stack: &Stack, run: &DriftRun, deployment: &Deployment) -> Value {
    let mut body = json!({
        "id": run.id,
        "created": short_time(deployment.created),
        "status": deployment.status.name(),
        "driftDetected": run.found,
        "deploymentId": deployment.id,
        "deploymentVersion": deployment.version,
    });
    let mut updates = deployment.updates.iter().copied();
    let (detection, in_the_same_run) = (updates.next(), updates.next());
    for (name, place) in [("detectUpdate", detection), ("remediateUpdate", run.remediation.or(in_the_same_run))] {
        if let Some(update) = place.and_then(|place| stack.updates.get(place)) {
            body[name] = rendered_update(update);
        }
    }
    body
}

fn rendered_update(update: &Update) -> Value {
    json!({
        "updateId": update.engine_id,
        "status": if update.ended.is_none() { "running" } else { update.result },
        "modified": short_time(update.ended.unwrap_or(update.started)),
        "resourceChanges": update.changes,
    })
}
