//! A Pulumi update that a run made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::lenient::{non_empty, or_default};
use super::time;

/// An update, preview, refresh or destroy of the stack that was made within a run.
///
/// It comes in two shapes: nested in a list's item, without resource changes, and from `GET …/updates`, with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Raw")]
pub struct Update {
    /// Identifies it among the run's updates; only the nested shape has it.
    pub id: Option<String>,
    /// Identifies the update itself.
    pub update_id: Option<String>,
    /// The stack's version that it made.
    pub version: Option<u64>,
    /// `update`, `preview`, `refresh`, `destroy`, `Pupdate`, …
    pub kind: Option<String>,
    /// `not-started`, `in-progress`, `succeeded`, `failed`.
    pub result: Option<String>,
    /// When it began (to the second).
    pub started: Option<Timestamp>,
    /// When it ended (to the second).
    pub finished: Option<Timestamp>,
    /// Its message; usually the commit's.
    pub message: Option<String>,
    /// The commit it was made from, as the Pulumi CLI noted it (`git.head`).
    pub commit: Option<String>,
    /// How many resources there were of each kind of change: `create`, `update`, `same`, …
    pub resource_changes: BTreeMap<String, u64>,
}

/// The short form of an update of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSummary {
    /// `not-started`, `in-progress`, `succeeded`, `failed`.
    #[serde(deserialize_with = "non_empty")]
    pub result: Option<String>,
    /// When it began (to the second).
    #[serde(rename = "startTime", default, deserialize_with = "time::unix")]
    pub started: Option<Timestamp>,
    /// When it ended (to the second).
    #[serde(rename = "endTime", default, deserialize_with = "time::unix")]
    pub finished: Option<Timestamp>,
    /// How many resources the stack had then.
    #[serde(default, deserialize_with = "or_default")]
    pub resource_count: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    #[serde(deserialize_with = "non_empty")]
    id: Option<String>,
    #[serde(rename = "updateID", deserialize_with = "non_empty")]
    update_id: Option<String>,
    version: Option<u64>,
    #[serde(flatten)]
    facts: Facts,
    info: Option<Facts>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Facts {
    #[serde(deserialize_with = "non_empty")]
    kind: Option<String>,
    #[serde(deserialize_with = "non_empty")]
    result: Option<String>,
    #[serde(deserialize_with = "time::unix")]
    start_time: Option<Timestamp>,
    #[serde(deserialize_with = "time::unix")]
    end_time: Option<Timestamp>,
    #[serde(deserialize_with = "non_empty")]
    message: Option<String>,
    #[serde(deserialize_with = "or_default")]
    environment: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    resource_changes: BTreeMap<String, u64>,
}

impl From<Raw> for Update {
    fn from(raw: Raw) -> Self {
        let mut facts = raw.info.unwrap_or(raw.facts);
        Self {
            id: raw.id,
            update_id: raw.update_id,
            version: raw.version,
            kind: facts.kind,
            result: facts.result,
            started: facts.start_time,
            finished: facts.end_time,
            message: facts.message,
            commit: facts.environment.remove("git.head").filter(|commit| !commit.is_empty()),
            resource_changes: facts.resource_changes,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_shape() {
        let update: Update = serde_json::from_value(json!({
            "id": "a", "updateID": "b", "version": 1217, "startTime": 1_694_820_531, "endTime": 0,
            "result": "in-progress", "kind": "update", "message": "", "environment": {"git.head": "c0ffee"},
        }))
        .unwrap();
        assert_eq!(
            update,
            Update {
                id: Some("a".into()),
                update_id: Some("b".into()),
                version: Some(1217),
                kind: Some("update".into()),
                result: Some("in-progress".into()),
                started: Some("2023-09-15T23:28:51Z".parse().unwrap()),
                finished: None,
                message: None,
                commit: Some("c0ffee".into()),
                resource_changes: BTreeMap::new(),
            }
        );
    }

    #[test]
    fn shape_of_the_updates_route() {
        let update: Update = serde_json::from_value(json!({
            "updateID": "b", "version": 3, "latestVersion": 3, "requestedBy": {"name": "x"},
            "info": {
                "kind": "Pupdate", "startTime": 1, "endTime": 2, "message": "m", "environment": null, "config": {},
                "result": "succeeded", "version": 3, "resourceChanges": {"create": 2, "same": 5},
            },
        }))
        .unwrap();
        assert_eq!(update.kind.as_deref(), Some("Pupdate"));
        assert_eq!(update.version, Some(3));
        assert_eq!(update.finished, Some("1970-01-01T00:00:02Z".parse().unwrap()));
        assert_eq!(update.resource_changes, [("create".into(), 2), ("same".into(), 5)].into());
    }

    #[test]
    fn the_short_form() {
        let summary: UpdateSummary = serde_json::from_value(json!({
            "result": "succeeded", "startTime": 1_694_820_531, "endTime": 0, "resourceCount": 7,
        }))
        .unwrap();
        assert_eq!((summary.result.as_deref(), summary.finished, summary.resource_count), (Some("succeeded"), None, 7));
        assert!(serde_json::from_value::<UpdateSummary>(json!({})).is_err());
    }

    #[test]
    fn an_empty_one() {
        assert_eq!(serde_json::from_value::<Update>(json!({})).unwrap(), Update::default());
    }
}
