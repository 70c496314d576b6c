//! Deployments: creating, reading, listing, canceling.

use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::invalid_query;
use super::time::short_time;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::request::{Form, Request};
use crate::run::{self, Run};
use crate::settings;
use crate::world::deployment::{Deployment, Status};
use crate::world::people::User;
use crate::world::stack::{Stack, Update};
use crate::world::{DeploymentKey, StackKey, World};

/// The header by which clients say what they are.
const INITIATOR: &str = "x-pulumi-deployment-initiator";

pub(super) fn post(call: &Call) -> Outcome {
    post_as(call, Form::Stacks)
}

pub(super) fn post_as(call: &Call, form: Form) -> Outcome {
    let body = call.json()?;
    let initiator = call.headers.get(INITIATOR).and_then(|value| value.to_str().ok());
    let mut world = call.world();
    let stack = call.stack(&world)?;
    let user = Arc::clone(&call.access.user);
    let order = Request::read(&world, stack, &body, form)?.order(&world, stack, user, initiator.unwrap_or("api"))?;
    let key = world.enqueue(stack, order, call.now);
    let deployment = &world.deployments[&key];
    let body = json!({
        "id": deployment.id,
        "consoleUrl": run::console_url(&world, &world.stacks[&stack], deployment.version),
        "version": deployment.version,
    });
    Ok(Answer::json(StatusCode::ACCEPTED, &body))
}

/// Does what a request in today's form does.
pub(crate) fn create(
    world: &mut World,
    stack: StackKey,
    body: &Value,
    requested_by: Arc<User>,
    initiator: &str,
    now: Timestamp,
) -> Result<DeploymentKey, ApiError> {
    let order = Request::read(world, stack, body, Form::Stacks)?.order(world, stack, requested_by, initiator)?;
    Ok(world.enqueue(stack, order, now))
}

/// The deployment of the path. One that was taken out of the queue is not there any more.
pub(super) fn find<'w>(call: &Call, world: &'w World) -> Result<(DeploymentKey, &'w Deployment), ApiError> {
    let stack = &world.stacks[&call.stack(world)?];
    let key = stack.by_id.get(call.parameter("id"));
    existing(world, key)
}

fn existing<'w>(world: &'w World, key: Option<&DeploymentKey>) -> Result<(DeploymentKey, &'w Deployment), ApiError> {
    let found = key.and_then(|key| Some((*key, world.deployments.get(key)?)));
    found.filter(|(_, deployment)| !deployment.removed).ok_or_else(|| ApiError::not_found("Deployment not found"))
}

pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let (_, deployment) = find(call, &world)?;
    Ok(Answer::ok(&details(&world, deployment, call.now)))
}

pub(super) fn get_by_version(call: &Call) -> Outcome {
    let world = call.world();
    let deployment = find_version(call, &world)?;
    Ok(Answer::ok(&details(&world, deployment, call.now)))
}

/// The deployment whose version is in the path.
pub(super) fn find_version<'w>(call: &Call, world: &'w World) -> Result<&'w Deployment, ApiError> {
    let stack = &world.stacks[&call.stack(world)?];
    let version: Option<usize> = call.parameter("version").parse().ok();
    let key = version.and_then(|version| version.checked_sub(1)).and_then(|place| stack.deployments.get(place));
    existing(world, key).map(|(_, deployment)| deployment)
}

/// What both reading and listing show.
fn summary(deployment: &Deployment) -> Value {
    json!({
        "id": deployment.id,
        "created": short_time(deployment.created),
        "modified": short_time(deployment.modified),
        "status": deployment.status.name(),
        "version": deployment.version,
        "requestedBy": deployment.requested_by.info(),
        "pulumiOperation": deployment.operation.name(),
        "initiator": deployment.initiator,
    })
}

pub(super) fn details(world: &World, deployment: &Deployment, now: Timestamp) -> Value {
    let stack = &world.stacks[&deployment.stack];
    let mut body = summary(deployment);
    body["latestVersion"] = stack.latest_deployment().into();
    if let Some(run) = &deployment.run {
        body["jobs"] = json!([job(deployment, run, now)]);
    }
    body["configuration"] = configuration(world, stack, deployment);
    body
}

fn job(deployment: &Deployment, run: &Run, now: Timestamp) -> Value {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    let time = |time: Option<Timestamp>| time.map_or_else(|| NEVER.to_owned(), |time| time.to_string());
    let steps: Vec<Value> = run
        .steps
        .iter()
        .map(|step| {
            json!({
                "name": step.name,
                "status": step.status(),
                "started": time(step.started),
                "lastUpdated": time(step.last_updated(now)),
            })
        })
        .collect();
    json!({
        "status": deployment.status.name(),
        "started": time(run.started()),
        "lastUpdated": time(run.last_updated(now)),
        "steps": steps,
    })
}

fn configuration(world: &World, stack: &Stack, deployment: &Deployment) -> Value {
    let variables: Vec<Value> = run::environment(world, stack, deployment)
        .into_iter()
        .map(|(name, (value, secret))| {
            let mut variable = json!({"name": name, "secret": secret});
            if !secret {
                variable["value"] = value.into();
            }
            variable
        })
        .collect();
    let mut body = json!({"environmentVariables": variables});
    let context = &deployment.settings["sourceContext"];
    if let Some(url) = settings::text(&context["template"]["sourceUrl"]) {
        body["source"] = json!({"template": {"sourceUrl": url}});
    } else if let Some(url) = settings::source_url(&deployment.settings) {
        let mut git = json!({"repoURL": url});
        for name in ["branch", "repoDir", "commit"] {
            if let Some(value) = settings::text(&context["git"][name]) {
                git[name] = value.into();
            }
        }
        body["source"] = json!({"git": git});
    }
    body
}

/// An item of a list.
fn listed(world: &World, deployment: &Deployment, now: Timestamp) -> Value {
    let stack = &world.stacks[&deployment.stack];
    let organization = &world.organizations[&stack.name.organization];
    let mut body = summary(deployment);
    body["projectName"] = stack.name.project.clone().into();
    body["stackName"] = stack.name.stack.clone().into();
    body["paused"] = (stack.paused || organization.paused).into();
    let jobs: Vec<Value> = deployment.run.iter().map(|run| job(deployment, run, now)).collect();
    body["jobs"] = jobs.into();
    body["updates"] = updates_of(deployment, stack).map(nested_update).collect();
    let pool = settings::agent_pool(&deployment.settings);
    if let Some((id, pool)) = pool.and_then(|id| organization.agent_pools.get_key_value(id)) {
        body["agentPool"] = json!({"id": id, "name": pool.name});
    }
    body
}

/// What Pulumi did to the stack in this deployment.
fn updates_of<'w>(deployment: &Deployment, stack: &'w Stack) -> impl Iterator<Item = &'w Update> {
    deployment.updates.iter().filter_map(|place| stack.updates.get(*place))
}

fn nested_update(update: &Update) -> Value {
    json!({
        "id": update.id,
        "updateID": update.engine_id,
        "version": update.version,
        "startTime": update.started.as_second(),
        "endTime": update.ended.map_or(0, Timestamp::as_second),
        "result": update.result,
        "kind": update.kind,
        "message": update.message,
        "environment": update.environment,
    })
}

pub(super) fn list(call: &Call) -> Outcome {
    let page = Page::of(call)?;
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    Ok(page.answer(&world, &stack.deployments, call.now))
}

/// Which part of a list is asked for.
pub(super) struct Page {
    number: usize,
    size: usize,
    ascending: bool,
    sort: Sort,
    status: Option<Status>,
}

enum Sort {
    Created,
    Modified,
    Version,
    Status,
}

impl Page {
    pub(super) fn of(call: &Call) -> Result<Self, ApiError> {
        let (number, size) = call.page()?;
        let sort = match call.query("sort") {
            None | Some("created") => Sort::Created,
            Some("modified") => Sort::Modified,
            Some("version") => Sort::Version,
            Some("status") => Sort::Status,
            Some(_) => return Err(invalid_query("sort")),
        };
        let status = match call.query("status") {
            None => None,
            Some(name) => {
                let known = Status::ALL.into_iter().find(|status| status.name() == name);
                Some(known.ok_or_else(|| invalid_query("status"))?)
            }
        };
        Ok(Self { number, size, ascending: call.flag("asc")?, sort, status })
    }

    /// The part of `keys`, which are ordered by creation.
    pub(super) fn answer(&self, world: &World, keys: &[DeploymentKey], now: Timestamp) -> Answer {
        let mut found: Vec<&Deployment> = keys
            .iter()
            .filter_map(|key| world.deployments.get(key))
            .filter(|deployment| !deployment.removed)
            .filter(|deployment| self.status.is_none_or(|status| deployment.status == status))
            .collect();
        match self.sort {
            Sort::Created => {}
            Sort::Modified => found.sort_by_key(|deployment| deployment.modified),
            Sort::Version => found.sort_by_key(|deployment| deployment.version),
            Sort::Status => found.sort_by_key(|deployment| deployment.status.name()),
        }
        if !self.ascending {
            found.reverse();
        }
        let deployments: Vec<Value> = found
            .iter()
            .skip((self.number - 1).saturating_mul(self.size))
            .take(self.size)
            .map(|deployment| listed(world, deployment, now))
            .collect();
        Answer::ok(&json!({
            "deployments": deployments,
            "itemsPerPage": self.size,
            "total": found.len(),
        }))
    }
}

pub(super) fn updates(call: &Call) -> Outcome {
    let world = call.world();
    let (_, deployment) = find(call, &world)?;
    let stack = &world.stacks[&deployment.stack];
    let body: Vec<Value> = updates_of(deployment, stack).map(|update| super::updates::info(update, stack)).collect();
    Ok(Answer::ok(&body.into()))
}

pub(super) fn cancel(call: &Call) -> Outcome {
    let mut world = call.world();
    let (key, _) = find(call, &world)?;
    world.cancel(key, call.now)?;
    Ok(Answer::empty(StatusCode::OK))
}
