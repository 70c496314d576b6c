//! What the engine tells of an update while it runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::lenient::{Item, good_items, non_empty, or_default};
use super::time;

/// A part of an update's events.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "RawEvents")]
pub struct EngineEvents {
    /// The events, in order.
    pub events: Vec<EngineEvent>,
    /// How to ask for more; none: those were the last.
    pub continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEvents {
    #[serde(deserialize_with = "or_default")]
    events: Vec<Item<EngineEvent>>,
    #[serde(default, deserialize_with = "non_empty")]
    continuation_token: Option<String>,
}

impl From<RawEvents> for EngineEvents {
    fn from(raw: RawEvents) -> Self {
        let (events, _) = good_items(raw.events);
        Self { events, continuation_token: raw.continuation_token }
    }
}

/// Something that happened in an update.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "RawEvent")]
pub struct EngineEvent {
    /// When, to the second.
    pub timestamp: Option<Timestamp>,
    /// What.
    pub payload: EventPayload,
}

/// What happened. Inputs and outputs of resources and the stack's configuration are dropped when it is decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EventPayload {
    /// The update began.
    Prelude,
    /// A message, of the engine or of a resource.
    Diagnostic {
        /// `info`, `info#err`, `warning`, `error`, `debug`, …
        severity: String,
        /// The resource.
        urn: Option<String>,
        /// The message, with the engine's marks for colors.
        message: String,
    },
    /// The program's own output.
    Stdout(String),
    /// Work on a resource begins.
    ResourcePre(ResourceStep),
    /// Work on a resource is done.
    ResourceOutputs(ResourceStep),
    /// Work on a resource failed.
    ResourceFailed(ResourceStep),
    /// The update ended.
    Summary {
        /// How many resources there were of each kind of change.
        resource_changes: BTreeMap<String, u64>,
        /// How long it took, in seconds.
        seconds: u64,
        /// `succeeded`, `failed`, `canceled`; not every server says.
        result: Option<String>,
    },
    /// The engine itself failed.
    Error(String),
    /// The update was canceled, or there is nothing more to come.
    Cancel,
    /// Anything else, by its type: policies, progress, debugging, and what this version does not know.
    Other(String),
}

/// Work on a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct ResourceStep {
    /// `create`, `update`, `same`, `delete`, `replace`, …
    #[serde(deserialize_with = "or_default")]
    pub op: String,
    /// Which resource.
    #[serde(deserialize_with = "or_default")]
    pub urn: String,
    /// Its type.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
}

#[derive(Deserialize)]
struct RawEvent {
    #[serde(default, deserialize_with = "time::unix")]
    timestamp: Option<Timestamp>,
    #[serde(rename = "type", default, deserialize_with = "non_empty")]
    kind: Option<String>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    #[serde(deserialize_with = "or_default")]
    severity: String,
    #[serde(deserialize_with = "non_empty")]
    urn: Option<String>,
    #[serde(deserialize_with = "or_default")]
    message: String,
    #[serde(deserialize_with = "or_default")]
    error: String,
    #[serde(deserialize_with = "or_default")]
    metadata: ResourceStep,
    #[serde(deserialize_with = "or_default")]
    resource_changes: BTreeMap<String, u64>,
    #[serde(deserialize_with = "or_default")]
    duration_seconds: u64,
    #[serde(deserialize_with = "non_empty")]
    result: Option<String>,
}

impl TryFrom<RawEvent> for EngineEvent {
    type Error = serde_json::Error;

    fn try_from(mut raw: RawEvent) -> Result<Self, Self::Error> {
        // The type names the payload's key. The CLI leaves the type out when it sends events.
        let kind = raw.kind.or_else(|| raw.rest.keys().find(|key| key.ends_with("Event")).cloned()).unwrap_or_default();
        let body = |rest: &mut serde_json::Map<String, Value>| match rest.remove(&kind) {
            None | Some(Value::Null) => Ok(Body::default()),
            Some(body) => serde_json::from_value::<Body>(body),
        };
        let payload = match kind.as_str() {
            "preludeEvent" => EventPayload::Prelude,
            "cancelEvent" => EventPayload::Cancel,
            "diagnosticEvent" => {
                let Body { severity, urn, message, .. } = body(&mut raw.rest)?;
                EventPayload::Diagnostic { severity, urn, message }
            }
            "stdoutEvent" => EventPayload::Stdout(body(&mut raw.rest)?.message),
            "resourcePreEvent" => EventPayload::ResourcePre(body(&mut raw.rest)?.metadata),
            "resOutputsEvent" => EventPayload::ResourceOutputs(body(&mut raw.rest)?.metadata),
            "resOpFailedEvent" => EventPayload::ResourceFailed(body(&mut raw.rest)?.metadata),
            "summaryEvent" => {
                let Body { resource_changes, duration_seconds: seconds, result, .. } = body(&mut raw.rest)?;
                EventPayload::Summary { resource_changes, seconds, result }
            }
            "errorEvent" => EventPayload::Error(body(&mut raw.rest)?.error),
            _ => EventPayload::Other(kind),
        };
        Ok(Self { timestamp: raw.timestamp, payload })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_and_unknown_events() {
        let part: EngineEvents = serde_json::from_value(json!({
            "events": [
                {"type": "preludeEvent", "timestamp": 1_694_820_531, "preludeEvent": {"config": {"web:password": "hunter2"}}},
                {"type": "resourcePreEvent", "timestamp": 1, "resourcePreEvent": {"metadata": {
                    "op": "create", "urn": "urn:pulumi:dev::web::aws:s3/bucket:Bucket::site", "type": "aws:s3/bucket:Bucket",
                    "new": {"inputs": {"password": "hunter2"}}, "old": null,
                }}},
                {"type": "diagnosticEvent", "timestamp": 1, "diagnosticEvent": {"severity": "warning", "message": "old\n", "color": "raw"}},
                {"timestamp": 1, "sequence": 4, "stdoutEvent": {"message": "hello", "color": "never"}},
                {"type": "summaryEvent", "timestamp": 2, "summaryEvent": {
                    "resourceChanges": {"create": 2}, "durationSeconds": 5, "maybeCorrupt": false, "PolicyPacks": {},
                }},
                {"type": "policyEvent", "timestamp": 2, "policyEvent": {"message": "no"}},
                {"type": "resOutputsEvent", "resOutputsEvent": {"metadata": 7}},
                {"type": "cancelEvent", "cancelEvent": {}},
            ],
            "continuationToken": "8",
        }))
        .unwrap();
        let payloads: Vec<_> = part.events.iter().map(|event| event.payload.clone()).collect();
        assert_eq!(
            payloads,
            [
                EventPayload::Prelude,
                EventPayload::ResourcePre(ResourceStep {
                    op: "create".into(),
                    urn: "urn:pulumi:dev::web::aws:s3/bucket:Bucket::site".into(),
                    kind: "aws:s3/bucket:Bucket".into(),
                }),
                EventPayload::Diagnostic { severity: "warning".into(), urn: None, message: "old\n".into() },
                EventPayload::Stdout("hello".into()),
                EventPayload::Summary { resource_changes: [("create".into(), 2)].into(), seconds: 5, result: None },
                EventPayload::Other("policyEvent".into()),
                // The odd one does not spoil the others.
                EventPayload::Cancel,
            ]
        );
        assert!(!format!("{part:?}").contains("hunter2"));
        assert_eq!(part.events[0].timestamp, Some("2023-09-15T23:28:51Z".parse().unwrap()));
        assert_eq!(part.continuation_token.as_deref(), Some("8"));
    }

    #[test]
    fn the_last_part() {
        let part: EngineEvents = serde_json::from_value(json!({"events": null, "continuationToken": null})).unwrap();
        assert_eq!(part, EngineEvents { events: vec![], continuation_token: None });
        assert!(serde_json::from_value::<EngineEvents>(json!({})).is_err());
    }
}
