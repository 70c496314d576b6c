//! The schedules of a stack.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::lenient::{non_empty, or_default, required};
use super::time;

/// A schedule, as every route about schedules answers it.
///
/// The service keeps three sorts in one list, told apart by what they run: see [`Schedule::request`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// The service's id of it.
    #[serde(deserialize_with = "required")]
    pub id: String,
    /// When it runs, again and again: a cron expression in UTC.
    #[serde(rename = "scheduleCron", default, deserialize_with = "non_empty")]
    pub cron: Option<String>,
    /// When it runs, once.
    #[serde(rename = "scheduleOnce", default, deserialize_with = "time::text")]
    pub once: Option<Timestamp>,
    /// When it runs next.
    #[serde(default, deserialize_with = "time::text")]
    pub next_execution: Option<Timestamp>,
    /// When it ran last.
    #[serde(default, deserialize_with = "time::text")]
    pub last_executed: Option<Timestamp>,
    /// Whether it is paused.
    #[serde(default, deserialize_with = "or_default")]
    pub paused: bool,
    /// What it does; other than a deployment's for schedules of the service's other products.
    #[serde(default, deserialize_with = "or_default")]
    definition: Definition,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
struct Definition {
    #[serde(deserialize_with = "or_default")]
    request: Value,
}

impl Schedule {
    /// What it sends when its time has come: the body of a create, `null` when it creates no deployment.
    #[must_use]
    pub fn request(&self) -> &Value {
        &self.definition.request
    }

    /// The operation that it runs.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.request().get("operation").and_then(Value::as_str)
    }
}

/// All schedules of a stack. One that can't be decoded spoils the list: whoever took it for missing would make it anew.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::pulumi) struct ScheduleList {
    #[serde(default, deserialize_with = "or_default")]
    pub schedules: Vec<Schedule>,
}

/// One execution of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleEvent {
    /// The service's id of it.
    #[serde(deserialize_with = "required")]
    pub id: String,
    /// When its time had come.
    #[serde(default, deserialize_with = "time::text")]
    pub executed: Option<Timestamp>,
    /// Number of the deployment that it started.
    #[serde(default)]
    pub version: Option<u64>,
    /// What came of it, in the service's words.
    #[serde(default, deserialize_with = "non_empty")]
    pub result: Option<String>,
}

/// The executions of a schedule.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pulumi) struct ScheduleHistory {
    #[serde(default, deserialize_with = "or_default")]
    pub schedule_history_events: Vec<ScheduleEvent>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schedule_as_the_service_answers_it() {
        let schedule: Schedule = serde_json::from_value(json!({
            "id": "bb61b60a", "orgID": "feacc792", "scheduleOnce": "2026-05-13 10:51:00.000", "lastExecuted": "",
            "nextExecution": "2026-05-13 10:51:00.000", "paused": false, "kind": "deployment",
            "definition": {"programID": "5f337707", "request": {"operation": "destroy", "inheritSettings": true}},
        }))
        .unwrap();
        assert_eq!(schedule.once, Some("2026-05-13T10:51:00Z".parse().unwrap()));
        assert_eq!((schedule.last_executed, schedule.cron.as_deref()), (None, None));
        assert_eq!(schedule.operation(), Some("destroy"));
    }

    #[test]
    fn schedules_of_other_products_do_not_hurt() {
        let list: ScheduleList = serde_json::from_value(json!({"schedules": [
            {"id": "a", "kind": "environment_rotation", "definition": null, "scheduleCron": "0 0 * * *", "more": 1},
            {"id": "b", "kind": "new", "definition": {"environmentPath": "x"}},
        ]}))
        .unwrap();
        assert!(list.schedules.iter().all(|schedule| schedule.operation().is_none()));
    }

    #[test]
    fn an_undecodable_schedule_is_not_a_missing_one() {
        assert!(serde_json::from_value::<ScheduleList>(json!({"schedules": [{"id": ""}]})).is_err());
    }
}
