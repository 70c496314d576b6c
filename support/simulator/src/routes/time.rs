//! Times as the API writes and reads them.

use jiff::Timestamp;
use serde_json::Value;

use crate::errors::ApiError;

/// `2022-10-17 22:12:34.834`: UTC, without saying so.
pub(super) fn short_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

/// A point in time in a request body, as strictly as Go reads it: `2026-05-13T10:51:00Z`, or with an offset.
pub(super) fn read_time(value: &Value, field: &str) -> Result<Option<Timestamp>, ApiError> {
    let invalid = || ApiError::bad_request(format!("invalid request body: {field}: cannot parse {value} as a time"));
    let written = match value {
        Value::Null => return Ok(None),
        Value::String(written) => written,
        _ => return Err(invalid()),
    };
    let is_rfc3339 = written.as_bytes().get(10) == Some(&b'T') && !written.contains('[');
    written.parse().ok().filter(|_| is_rfc3339).map(Some).ok_or_else(invalid)
}
