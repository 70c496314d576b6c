//! The schedules of a stack: deployments, drift detection, and the end of the stack (TTL).

use jiff::Timestamp;
use reqwest::Method;

use super::answer::Nature;
use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{Schedule, ScheduleEvent, ScheduleHistory, ScheduleList};

/// What a schedule is to be. Each sort has routes of its own for creating and updating, and shares the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ScheduleRequest {
    /// Deployments.
    Deployment {
        /// When.
        timing: ScheduleTiming,
        /// The body of the create that is sent then.
        request: Node,
    },
    /// Drift detection.
    Drift {
        /// When: a cron expression in UTC.
        cron: String,
        /// Whether drift that was found is repaired at once. 402 where the subscription does not cover it.
        auto_remediate: bool,
    },
    /// The end of the stack.
    Ttl {
        /// When it is destroyed.
        time: Timestamp,
        /// Whether the stack itself is deleted after that.
        delete_after_destroy: bool,
    },
}

/// When deployments are scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ScheduleTiming {
    /// Again and again: a cron expression in UTC.
    Cron(String),
    /// Once.
    Once(Timestamp),
}

impl ScheduleRequest {
    fn route(&self, stack: &StackId) -> Route {
        let deployments = Route::stack(stack).deployments();
        match self {
            Self::Deployment { .. } => deployments.then(&["schedules"]),
            Self::Drift { .. } => deployments.then(&["drift", "schedules"]),
            Self::Ttl { .. } => deployments.then(&["ttl", "schedules"]),
        }
    }

    fn body(&self) -> Node {
        match self {
            Self::Deployment { timing, request } => {
                let timing = match timing {
                    ScheduleTiming::Cron(cron) => ("scheduleCron", Node::from(cron.as_str())),
                    ScheduleTiming::Once(time) => ("scheduleOnce", Node::from(time.to_string())),
                };
                [timing, ("request", request.clone())].into_iter().collect()
            }
            Self::Drift { cron, auto_remediate } => {
                [("scheduleCron", Node::from(cron.as_str())), ("autoRemediate", Node::from(*auto_remediate))]
                    .into_iter()
                    .collect()
            }
            Self::Ttl { time, delete_after_destroy } => {
                [("timestamp", Node::from(time.to_string())), ("deleteAfterDestroy", Node::from(*delete_after_destroy))]
                    .into_iter()
                    .collect()
            }
        }
    }
}

impl Client {
    /// `ListSchedules`: all schedules of a stack, of every sort.
    pub async fn schedules(&self, permit: &mut Permit, stack: &StackId) -> Result<Vec<Schedule>, Error> {
        let route = Route::stack(stack).deployments().then(&["schedules"]);
        let list: ScheduleList = self.transport.fetch(permit, Call::get("ListSchedules", route)).await?;
        Ok(list.schedules)
    }

    /// `GetSchedule`: one schedule, of whichever sort.
    pub async fn schedule(&self, permit: &mut Permit, stack: &StackId, id: &str) -> Result<Schedule, Error> {
        self.transport.fetch(permit, Call::get("GetSchedule", schedule(stack, id))).await
    }

    /// `CreateSchedule`: makes a new one each time, and is never repeated: after
    /// [`Class::Ambiguous`](super::Class::Ambiguous) there may be one. 400 when the stack has no deployment settings.
    pub async fn create_schedule(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        request: &ScheduleRequest,
    ) -> Result<Schedule, Error> {
        let body = request.body();
        let call =
            Call { body: Some(&body), nature: Nature::Creation, ..Call::post("CreateSchedule", request.route(stack)) };
        self.transport.fetch(permit, call).await
    }

    /// `UpdateSchedule`: replaces what a schedule of the same sort is; its id and its pause stay.
    pub async fn update_schedule(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        id: &str,
        request: &ScheduleRequest,
    ) -> Result<Schedule, Error> {
        let body = request.body();
        let call = Call { body: Some(&body), ..Call::post("UpdateSchedule", request.route(stack).then(&[id])) };
        self.transport.fetch(permit, call).await
    }

    /// `DeleteSchedule`: removes a schedule of whichever sort; one that is gone already is fine.
    pub async fn delete_schedule(&self, permit: &mut Permit, stack: &StackId, id: &str) -> Result<(), Error> {
        let call = Call { method: Method::DELETE, ..Call::get("DeleteSchedule", schedule(stack, id)) };
        self.transport.perform(permit, call).await
    }

    /// `PauseSchedule`: it does not run until it is resumed.
    pub async fn pause_schedule(&self, permit: &mut Permit, stack: &StackId, id: &str) -> Result<(), Error> {
        self.transport.perform(permit, Call::post("PauseSchedule", schedule(stack, id).then(&["pause"]))).await
    }

    /// `ResumeSchedule`: it runs again at its times.
    pub async fn resume_schedule(&self, permit: &mut Permit, stack: &StackId, id: &str) -> Result<(), Error> {
        self.transport.perform(permit, Call::post("ResumeSchedule", schedule(stack, id).then(&["resume"]))).await
    }

    /// `GetScheduleHistory`: when a schedule ran, and what came of it.
    pub async fn schedule_history(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        id: &str,
    ) -> Result<Vec<ScheduleEvent>, Error> {
        let route = schedule(stack, id).then(&["history"]);
        let history: ScheduleHistory = self.transport.fetch(permit, Call::get("GetScheduleHistory", route)).await?;
        Ok(history.schedule_history_events)
    }
}

/// The routes that all sorts share.
fn schedule(stack: &StackId, id: &str) -> Route {
    Route::stack(stack).deployments().then(&["schedules", id])
}
