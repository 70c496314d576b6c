//! The queue: first in, first out, one deployment at a time per stack, so many at once per organization.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::errors::{ApiError, SimulatorError};
use crate::settings;
use crate::world::deployment::{Deployment, Operation, Status};
use crate::world::people::User;
use crate::world::{DeploymentKey, Event, StackKey, World};

/// From accepting a deployment until it runs.
const ACCEPT_SECONDS: f64 = 1.0;

/// A deployment that was asked for.
pub(crate) struct Order {
    pub(crate) operation: Operation,
    /// The settings to run with, merged.
    pub(crate) settings: Value,
    pub(crate) requested_by: Arc<User>,
    pub(crate) initiator: String,
}

impl World {
    /// Puts a deployment into the queue, and starts it if there is a place.
    pub(crate) fn enqueue(&mut self, stack: StackKey, order: Order, now: Timestamp) -> DeploymentKey {
        let key = self.next_key();
        let Some(target) = self.stacks.get_mut(&stack) else {
            return key;
        };
        target.deployments.push(key);
        target.waiting.insert(key);
        let id = Uuid::new_v4().to_string();
        target.by_id.insert(id.clone(), key);
        if order.operation == Operation::DetectDrift {
            target.drift.begin_run(key);
        }
        let organization = target.name.organization.clone();
        let deployment = Deployment {
            id,
            stack,
            version: target.deployments.len(),
            operation: order.operation,
            status: Status::NotStarted,
            canceled: false,
            removed: false,
            created: now,
            modified: now,
            requested_by: order.requested_by,
            initiator: order.initiator,
            settings: order.settings,
            commit: None,
            run: None,
            updates: Vec::new(),
            generation: 0,
        };
        self.deployments.insert(key, deployment);
        if let Some(organization) = self.organizations.get_mut(&organization) {
            organization.deployments.push(key);
        }
        let expiry = now.checked_add(self.queue_expiry).unwrap_or(Timestamp::MAX);
        self.plan_event(expiry, Event::Expire(key));
        self.line_up(stack);
        self.schedule(&organization, now);
        key
    }

    /// Tells the organization which deployment of the stack is the next, if it may start.
    pub(crate) fn line_up(&mut self, key: StackKey) {
        let Some(stack) = self.stacks.get(&key) else {
            return;
        };
        let may_start = !stack.paused && stack.active.is_none();
        // What is meant for agents waits until one of them asks for it.
        let runs_by_itself = |key: &DeploymentKey| self.pool_of(*key).is_none_or(|(_, pool)| pool.is_played);
        let next = stack.waiting.first().copied().filter(|next| may_start && runs_by_itself(next));
        let Some(stack) = self.stacks.get_mut(&key) else {
            return;
        };
        let before = std::mem::replace(&mut stack.ready, next);
        if let Some(organization) = self.organizations.get_mut(&stack.name.organization) {
            if let Some(before) = before {
                organization.ready.remove(&(before, key));
            }
            if let Some(next) = next {
                organization.ready.insert((next, key));
            }
        }
    }

    /// Accepts what may start, oldest first.
    pub(crate) fn schedule(&mut self, organization: &str, now: Timestamp) {
        while let Some(place) = self.organizations.get_mut(organization)
            && !place.paused
            && place.active.len() < place.concurrency
            && let Some((key, stack)) = place.ready.pop_first()
        {
            place.active.insert(key);
            self.accept(key, stack, now);
        }
    }

    pub(crate) fn accept(&mut self, key: DeploymentKey, stack: StackKey, now: Timestamp) {
        if let Some(stack) = self.stacks.get_mut(&stack) {
            stack.waiting.remove(&key);
            stack.active = Some(key);
        }
        self.line_up(stack);
        if let Some(deployment) = self.deployments.get_mut(&key) {
            deployment.status = Status::Accepted;
            deployment.modified = now;
        }
        if let Some(pool) = self.pool_of(key).map(|(id, _)| id.to_owned()) {
            let organization = self.stacks[&stack].name.organization.clone();
            let organization = self.organizations.get_mut(&organization);
            if let Some(pool) = organization.and_then(|organization| organization.agent_pools.get_mut(&pool)) {
                pool.last_deployment = Some(now);
            }
        }
        let start = now.checked_add(self.scaled(ACCEPT_SECONDS));
        self.plan_progress(key, start.unwrap_or(Timestamp::MAX));
    }

    /// The deployment has come to its end: its place is free.
    pub(super) fn finish(&mut self, key: DeploymentKey, status: Status, at: Timestamp) {
        let Some(deployment) = self.deployments.get_mut(&key) else {
            return;
        };
        deployment.status = status;
        deployment.modified = at;
        // Voids what was planned for it.
        deployment.generation += 1;
        let stack = deployment.stack;
        let is_last =
            deployment.operation == Operation::Destroy && settings::option(&deployment.settings, "deleteAfterDestroy");
        let Some(target) = self.stacks.get_mut(&stack) else {
            return;
        };
        target.active = None;
        if status == Status::Succeeded && is_last {
            self.remove_stack(stack, at);
            return;
        }
        let organization = target.name.organization.clone();
        if let Some(organization) = self.organizations.get_mut(&organization) {
            organization.active.remove(&key);
        }
        self.skip_intermediate(stack, at);
        self.line_up(stack);
        self.schedule(&organization, at);
    }

    /// Skips what waits behind for the same operation, where the settings say so.
    fn skip_intermediate(&mut self, stack: StackKey, at: Timestamp) {
        let waiting: Vec<(DeploymentKey, Operation, bool)> = self.stacks[&stack]
            .waiting
            .iter()
            .filter_map(|key| {
                let deployment = self.deployments.get(key)?;
                let skips = settings::option(&deployment.settings, "skipIntermediateDeployments");
                Some((*key, deployment.operation, skips))
            })
            .collect();
        let mut newer = Vec::new();
        for (key, operation, skips) in waiting.into_iter().rev() {
            if skips && newer.contains(&operation) {
                self.skip(key, at);
            } else if !newer.contains(&operation) {
                newer.push(operation);
            }
        }
    }

    fn skip(&mut self, key: DeploymentKey, at: Timestamp) {
        if let Some(deployment) = self.deployments.get_mut(&key) {
            deployment.status = Status::Skipped;
            deployment.modified = at;
        }
        self.unqueue(key);
    }

    fn unqueue(&mut self, key: DeploymentKey) {
        let Some(deployment) = self.deployments.get(&key) else {
            return;
        };
        let stack = deployment.stack;
        if let Some(stack) = self.stacks.get_mut(&stack) {
            stack.waiting.remove(&key);
        }
        self.line_up(stack);
    }

    /// A deployment that still waits is skipped.
    pub(crate) fn expire(&mut self, key: DeploymentKey, at: Timestamp) {
        let waits = |deployment: &Deployment| deployment.status == Status::NotStarted && !deployment.removed;
        if self.deployments.get(&key).is_some_and(waits) {
            self.skip(key, at);
        }
    }

    /// Stops a run, or takes the deployment out of the queue.
    pub(crate) fn cancel(&mut self, key: DeploymentKey, now: Timestamp) -> Result<(), ApiError> {
        let not_found = || ApiError::not_found("Queued Deployment not found");
        let deployment = self.deployments.get_mut(&key).ok_or_else(not_found)?;
        if deployment.status.is_final() || deployment.removed {
            return Err(not_found());
        }
        deployment.canceled = true;
        deployment.modified = now;
        if deployment.status == Status::NotStarted {
            deployment.removed = true;
            self.unqueue(key);
        } else {
            self.stop_run(key, now);
            self.finish(key, Status::Failed, now);
        }
        Ok(())
    }

    /// Pauses or resumes a stack's queue.
    pub(crate) fn set_stack_paused(&mut self, key: StackKey, paused: bool, now: Timestamp) {
        let Some(stack) = self.stacks.get_mut(&key) else {
            return;
        };
        stack.paused = paused;
        let organization = stack.name.organization.clone();
        self.line_up(key);
        self.schedule(&organization, now);
    }

    /// Pauses or resumes an organization's queue.
    pub(crate) fn set_organization_paused(
        &mut self,
        name: &str,
        paused: bool,
        now: Timestamp,
    ) -> Result<(), SimulatorError> {
        self.organization_mut(name)?.paused = paused;
        self.schedule(name, now);
        Ok(())
    }
}
