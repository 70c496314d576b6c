//! Schedules and drift, as tests see and make them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{DeploymentView, Simulator};
use crate::errors::SimulatorError;
use crate::routes;
use crate::world::organization::Subscription;
use crate::world::schedule::ScheduleKey;
use crate::world::{StackKey, World};

impl Simulator {
    /// The stack's schedules of all kinds as the API shows them, oldest first.
    #[must_use]
    pub fn schedules(&self, stack: &str) -> Vec<Value> {
        self.with_stack(stack, |world, key| routes::all_schedules(world, &world.stacks[&key])).unwrap_or_default()
    }

    /// Creates a schedule as somebody does in the console, and answers it. The body is one of the API's: with
    /// `request` for a schedule of one's own, with `timestamp` for a TTL, otherwise for the detection of drift.
    ///
    /// # Errors
    ///
    /// When there is no such stack, or the service would refuse the body.
    pub fn create_schedule(&self, stack: &str, body: &Value) -> Result<Value, SimulatorError> {
        let owner = Arc::clone(&self.server.console_user);
        self.with_stack(stack, |world, key| {
            routes::create_schedule(world, key, body, owner, Timestamp::now()).map_err(SimulatorError::from)
        })?
    }

    /// Removes a schedule of any kind.
    ///
    /// # Errors
    ///
    /// When there is no such stack or schedule.
    pub fn remove_schedule(&self, stack: &str, id: &str) -> Result<(), SimulatorError> {
        self.with_schedule(stack, id, |world, stack, key| {
            if let Some(stack) = world.stacks.get_mut(&stack) {
                stack.schedules.remove(&key);
            }
        })
    }

    /// Pauses or resumes a schedule.
    ///
    /// # Errors
    ///
    /// When there is no such stack or schedule.
    pub fn set_schedule_paused(&self, stack: &str, id: &str, paused: bool) -> Result<(), SimulatorError> {
        self.with_schedule(stack, id, |world, stack, key| {
            world.set_schedule_paused(stack, key, paused, Timestamp::now());
        })
    }

    /// The schedule's time has come, now. Answers the deployment created; none when the schedule is paused or the
    /// service refuses its request by now.
    ///
    /// # Errors
    ///
    /// When there is no such stack or schedule.
    pub fn fire_schedule(&self, stack: &str, id: &str) -> Result<Option<DeploymentView>, SimulatorError> {
        self.with_schedule(stack, id, |world, stack, key| {
            let deployment = world.fire(stack, key, Timestamp::now())?;
            world.deployments.get(&deployment).map(DeploymentView::of)
        })
    }

    fn with_schedule<T>(
        &self,
        stack: &str,
        id: &str,
        act: impl FnOnce(&mut World, StackKey, ScheduleKey) -> T,
    ) -> Result<T, SimulatorError> {
        self.with_stack(stack, |world, key| {
            let schedule = world.stacks[&key].schedule_by_id(id);
            let schedule = schedule.ok_or_else(|| SimulatorError::UnknownSchedule(id.to_owned()))?;
            Ok(act(world, key, schedule))
        })?
    }

    /// Makes reality differ from the stack's state, or agree with it again. Runs that start from now on see it.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn set_drift(&self, stack: &str, exists: bool) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| {
            if let Some(stack) = world.stacks.get_mut(&key) {
                stack.drift.exists = exists;
            }
        })
    }

    /// What the organization pays for: everything, unless it is set.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn set_subscription(&self, organization: &str, subscription: Subscription) -> Result<(), SimulatorError> {
        self.shared.world().organization_mut(organization)?.subscription = subscription;
        Ok(())
    }
}
