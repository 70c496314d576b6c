//! What the service tells everybody of itself and of the command line tool.

use serde_json::json;

use super::{Answer, Call, Outcome};

/// The newest release of the tool that the simulator was tried with, and the oldest that it should work with.
const LATEST_VERSION: &str = "3.250.0";
const OLDEST_VERSION: &str = "3.150.0";

/// What the simulator can do of what clients do not take for granted.
#[allow(clippy::unnecessary_wraps, reason = "all handlers have the same type")]
pub(super) fn capabilities(_: &Call) -> Outcome {
    Ok(Answer::ok(&json!({
        "capabilities": [
            {"capability": "batch-encrypt"},
            {"capability": "deployment-schema-version", "version": 1, "configuration": {"version": 3}},
        ],
    })))
}

#[allow(clippy::unnecessary_wraps, reason = "all handlers have the same type")]
pub(super) fn cli_version(_: &Call) -> Outcome {
    Ok(Answer::ok(&json!({
        "latestVersion": LATEST_VERSION,
        "oldestWithoutWarning": OLDEST_VERSION,
        "latestDevVersion": LATEST_VERSION,
    })))
}
