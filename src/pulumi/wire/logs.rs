//! A run's logs.

use jiff::Timestamp;
use serde::Deserialize;

use super::lenient::{non_empty, or_default};
use super::time;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct LogLine {
    /// The name of the step that begins here; such a line has no text of its own.
    #[serde(default, deserialize_with = "non_empty")]
    pub header: Option<String>,
    /// When it was written.
    #[serde(default, deserialize_with = "time::text")]
    pub timestamp: Option<Timestamp>,
    /// The text, with its line break.
    #[serde(default, deserialize_with = "or_default")]
    pub line: String,
}

/// A part of a run's whole log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Logs {
    /// The lines.
    #[serde(default, deserialize_with = "or_default")]
    pub lines: Vec<LogLine>,
    /// How to ask for more. While the run goes on there is always one, even if there is nothing new yet.
    #[serde(rename = "nextToken", default, deserialize_with = "non_empty")]
    pub next_token: Option<String>,
}

/// A part of one step's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct StepLogs {
    /// The step's name.
    #[serde(default, deserialize_with = "non_empty")]
    pub name: Option<String>,
    /// The lines.
    #[serde(default, deserialize_with = "or_default")]
    pub lines: Vec<LogLine>,
    /// Where the next lines begin; none: that was all.
    #[serde(rename = "nextOffset", default)]
    pub next_offset: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms() {
        let logs: Logs = serde_json::from_value(json!({
            "__type": "DeploymentLogs", "nextToken": "0.2.1",
            "lines": [
                {"header": "Get Source", "timestamp": "0001-01-01T00:00:00Z"},
                {"timestamp": "2022-10-06T22:34:22.732527584Z", "line": "cloned\n"},
            ],
        }))
        .unwrap();
        assert_eq!(logs.next_token.as_deref(), Some("0.2.1"));
        assert_eq!(logs.lines[0].header.as_deref(), Some("Get Source"));
        assert_eq!(logs.lines[0].timestamp, None);
        assert_eq!(logs.lines[1].line, "cloned\n");

        let step: StepLogs =
            serde_json::from_value(json!({"nextOffset": 10, "lines": [{"line": "x", "timestamp": ""}]})).unwrap();
        assert_eq!(step.next_offset, Some(10));
        assert_eq!(step.lines.len(), 1);

        let last: Logs = serde_json::from_value(json!({"lines": null, "nextToken": ""})).unwrap();
        assert_eq!((last.lines.len(), last.next_token), (0, None));
    }
}
