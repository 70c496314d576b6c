//! Detections of drift.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::lenient::{non_empty, or_default, required};
use super::status::Status;
use super::time;

/// A detection of drift, and the remediation that followed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftRun {
    /// Identifies it.
    #[serde(deserialize_with = "required")]
    pub id: String,
    /// When it was made.
    #[serde(default, deserialize_with = "time::text")]
    pub created: Option<Timestamp>,
    /// Its state.
    pub status: Status,
    /// True: it found drift.
    #[serde(default, deserialize_with = "or_default")]
    pub drift_detected: bool,
    /// The id of the run that it was.
    #[serde(default, deserialize_with = "non_empty")]
    pub deployment_id: Option<String>,
    /// That run's number within its stack.
    #[serde(default)]
    pub deployment_version: Option<u64>,
    /// The update that looked.
    #[serde(default)]
    pub detect_update: Option<DriftRunUpdate>,
    /// The update that put things right.
    #[serde(default)]
    pub remediate_update: Option<DriftRunUpdate>,
}

/// An update that a detection of drift made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftRunUpdate {
    /// Identifies the update.
    #[serde(default, deserialize_with = "non_empty")]
    pub update_id: Option<String>,
    /// Its state.
    pub status: Status,
    /// When it last changed.
    #[serde(default, deserialize_with = "time::text")]
    pub modified: Option<Timestamp>,
    /// How many resources there were of each kind of change: `create`, `update`, `same`, …
    #[serde(default, deserialize_with = "or_default")]
    pub resource_changes: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pulumi::wire::Page;

    #[test]
    fn lists() {
        let page: Page<DriftRun> = serde_json::from_value(json!({
            "driftRuns": [
                {
                    "id": "d", "created": "2026-05-13 10:51:00.000", "status": "succeeded", "driftDetected": true,
                    "deploymentId": "9e5e1331", "deploymentVersion": 7,
                    "detectUpdate": {
                        "updateId": "u", "status": "succeeded", "modified": "2026-05-13T10:52:00Z",
                        "resourceChanges": {"update": 1, "same": 4},
                    },
                },
                {"id": "e", "status": "pondering", "remediateUpdate": null},
                {"id": ""},
            ],
            "itemsPerPage": 10, "total": 3,
        }))
        .unwrap();
        assert_eq!((page.len(), page.undecodable, page.total), (3, 1, Some(3)));
        let [one, other] = page.items.as_slice() else { panic!("{page:?}") };
        assert_eq!(one.created, Some("2026-05-13T10:51:00Z".parse().unwrap()));
        assert_eq!((one.drift_detected, one.deployment_version), (true, Some(7)));
        let update = one.detect_update.as_ref().unwrap();
        assert_eq!(update.resource_changes.values().sum::<u64>(), 5);
        assert_eq!(update.modified, Some("2026-05-13T10:52:00Z".parse().unwrap()));
        assert_eq!((other.status.as_str(), other.drift_detected, &other.remediate_update), ("pondering", false, &None));
    }
}
