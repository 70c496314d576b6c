//! What a schedule runs and when, in one form for both sides. Pure.

use serde_json::{Map, Value, json};

use crate::{
    api::{
        Time,
        deployment::Operation,
        schedule::{Schedule, ScheduledDrift, ScheduledTtl},
    },
    controllers::{digest, settings::equality::is_unset},
    pulumi::{
        Node,
        client::{ScheduleRequest, ScheduleTiming},
        wire,
    },
};

/// What a schedule runs and when. Two are equal when they mean the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Definition {
    sort: Sort,
    cron: Option<String>,
    once: Option<Time>,
    /// The body of the create that the service sends, without what says nothing.
    request: Value,
}

/// The sorts of schedules that the service has routes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sort {
    Deployment,
    Drift,
    Ttl,
}

impl Definition {
    /// As it is declared.
    #[must_use]
    pub fn of_declared(schedule: &Schedule) -> Self {
        let request = |operation: Operation, options: Value| {
            stripped(&json!({"operation": operation.as_str(), "operationContext": {"options": options}}))
        };
        let deployment = schedule.deployment.as_ref().map(|deployment| Self {
            sort: Sort::Deployment,
            cron: deployment.cron.clone(),
            once: deployment.once,
            request: request(deployment.operation, json!({})),
        });
        let drift = schedule.drift.as_ref().map(|ScheduledDrift { cron, auto_remediate }| Self {
            sort: Sort::Drift,
            cron: Some(cron.clone()),
            once: None,
            request: request(Operation::DetectDrift, json!({"remediateIfDriftDetected": auto_remediate})),
        });
        let ttl = schedule.ttl.as_ref().map(|ScheduledTtl { time, delete_after_destroy }| Self {
            sort: Sort::Ttl,
            cron: None,
            once: Some(*time),
            request: request(Operation::Destroy, json!({"deleteAfterDestroy": delete_after_destroy})),
        });
        // The schema asks for exactly one of the three.
        deployment.or(drift).or(ttl).unwrap_or(Self {
            sort: Sort::Deployment,
            cron: None,
            once: None,
            request: Value::Null,
        })
    }

    /// As the service has it. It tells the sorts apart by what they run; so do its own clients.
    #[must_use]
    pub fn of_remote(schedule: &wire::Schedule) -> Self {
        let request = schedule.request();
        let has_options = request.get("operationContext").is_some_and(Value::is_object);
        let sort = match schedule.operation() {
            Some("detect-drift") if schedule.cron.is_some() => Sort::Drift,
            Some("destroy") if schedule.once.is_some() && has_options => Sort::Ttl,
            _ => Sort::Deployment,
        };
        Self { sort, cron: schedule.cron.clone(), once: schedule.once.map(Time::from), request: stripped(request) }
    }

    /// Names it in status.
    #[must_use]
    pub fn digest(&self) -> String {
        let once = self.once.map(Time::seconds);
        digest::plain(&json!([format!("{:?}", self.sort), self.cron, once, self.request]))
    }

    /// The time at which it runs, when it runs once.
    #[must_use]
    pub fn once(&self) -> Option<Time> {
        self.once
    }

    /// Whether it would never run (again).
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        self.once.is_some_and(|once| once <= now)
    }

    /// Whether the one can be made the other by an update.
    #[must_use]
    pub fn is_updated_like(&self, other: &Self) -> bool {
        self.sort == other.sort
    }

    /// What is sent to make it true.
    #[must_use]
    pub fn request(&self) -> ScheduleRequest {
        let option = |name: &str| {
            self.request
                .pointer(&format!("/operationContext/options/{name}"))
                .and_then(Value::as_bool)
                .unwrap_or_default()
        };
        let cron = || self.cron.clone().unwrap_or_default();
        let once = || self.once.and_then(|time| jiff::Timestamp::from_second(time.seconds()).ok()).unwrap_or_default();
        match self.sort {
            Sort::Deployment => {
                let operation = self.request.get("operation").and_then(Value::as_str).unwrap_or_default();
                ScheduleRequest::Deployment {
                    timing: if self.once.is_some() {
                        ScheduleTiming::Once(once())
                    } else {
                        ScheduleTiming::Cron(cron())
                    },
                    request: [("operation", Node::from(operation)), ("inheritSettings", Node::from(true))]
                        .into_iter()
                        .collect(),
                }
            }
            Sort::Drift => ScheduleRequest::Drift { cron: cron(), auto_remediate: option("remediateIfDriftDetected") },
            Sort::Ttl => ScheduleRequest::Ttl { time: once(), delete_after_destroy: option("deleteAfterDestroy") },
        }
    }
}

/// A request without what says nothing: what is unset, and `inheritSettings: true`, which is the service's default.
fn stripped(request: &Value) -> Value {
    let Value::Object(fields) = request else { return request.clone() };
    let stripped = fields
        .iter()
        .filter(|(key, value)| match (key.as_str(), value) {
            ("inheritSettings", Value::Bool(inherits)) => !inherits,
            (_, value) => !is_unset(value),
        })
        .map(|(key, value)| (key.clone(), stripped(value)));
    Value::Object(stripped.collect::<Map<_, _>>())
}
