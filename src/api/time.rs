//! Points in time and durations as they are written in a resource.

use std::{borrow::Cow, fmt, time};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time with whole seconds, written in RFC 3339 as Kubernetes writes its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// Seconds since the Unix epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The time that is this much later.
    #[must_use]
    pub fn after(self, delay: time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(delay.as_secs()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was, nothing when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> time::Duration {
        time::Duration::from_secs(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl From<Timestamp> for Time {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_second())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Timestamp::from_second(self.0).unwrap_or_default())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<Timestamp>().map(Self::from).map_err(de::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// The rule that `what` is what Gateway API's pattern for a duration accepts.
///
/// A rule and not a pattern, because of a pattern that does not match a user would see the pattern only.
pub(super) fn is_duration(what: &str) -> String {
    format!("{what}.matches('^([0-9]{{1,5}}(h|m|s|ms)){{1,4}}$')")
}

/// What a user reads who wrote something else.
const DURATION_MESSAGE: &str = "write a duration with the units h, m, s or ms, such as 90s or 1h30m (a day is 24h)";

/// A duration such as `90s`, `1h30m` or `500ms`, in the form that Gateway API fixed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Duration {
    written: String,
    value: time::Duration,
}

impl Duration {
    /// The duration itself.
    #[must_use]
    pub const fn value(&self) -> time::Duration {
        self.value
    }
}

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write numbers with the units h, m, s or ms, such as 90s or 1h30m")]
pub struct NotADuration(String);

impl std::str::FromStr for Duration {
    type Err = NotADuration;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let fail = || NotADuration(written.to_owned());
        let (mut value, mut rest) = (time::Duration::ZERO, written);
        if rest.is_empty() {
            return Err(fail());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fail)?;
            let number: u64 = rest[..digits].parse().map_err(|_| fail())?;
            rest = &rest[digits..];
            let (unit, milliseconds) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
                .into_iter()
                .find(|(unit, _)| rest.starts_with(unit))
                .ok_or_else(fail)?;
            rest = &rest[unit.len()..];
            value += time::Duration::from_millis(number.saturating_mul(milliseconds));
        }
        Ok(Self { written: written.to_owned(), value })
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 40,
            "x-kubernetes-validations": [{"rule": is_duration("self"), "message": DURATION_MESSAGE}],
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("5s", 5_000)]
    #[case("1h30m", 5_400_000)]
    #[case("1m500ms", 60_500)]
    #[case("0s", 0)]
    fn reads_durations(#[case] written: &str, #[case] milliseconds: u64) {
        let duration: Duration = written.parse().unwrap();
        assert_eq!(duration.value(), time::Duration::from_millis(milliseconds));
        assert_eq!(serde_json::to_value(&duration).unwrap(), written);
    }

    #[rstest]
    #[case("")]
    #[case("5")]
    #[case("h")]
    #[case("5 s")]
    #[case("1d")]
    fn refuses_what_is_no_duration(#[case] written: &str) {
        let message = written.parse::<Duration>().unwrap_err().to_string();
        assert!(message.contains("such as 90s"), "{message}");
    }

    #[test]
    fn a_time_survives_json() {
        let time = Time::from_seconds(1_700_000_000);
        let json = serde_json::to_value(time).unwrap();
        assert_eq!(json, "2023-11-14T22:13:20Z");
        assert_eq!(serde_json::from_value::<Time>(json).unwrap(), time);
    }
}
