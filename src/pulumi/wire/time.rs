//! The service's several ways to write a time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer};

/// A time as text: `2022-10-17 22:12:34.834` (UTC, no zone; created and modified of a deployment) or RFC 3339 with up
/// to nanoseconds (jobs, steps, log lines). Go's zero time (year 1), an empty text and anything unreadable are `None`.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let time = text
        .parse::<Timestamp>()
        .or_else(|_| {
            text.parse::<DateTime>().and_then(|time| time.to_zoned(TimeZone::UTC)).map(|time| time.timestamp())
        })
        .ok()?;
    (time.to_zoned(TimeZone::UTC).year() > 1).then_some(time)
}

/// For `deserialize_with`: a text.
pub(super) fn text<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.and_then(|text| parse(&text)))
}

/// A time as whole seconds since 1970; 0 is none.
pub(super) fn from_unix(seconds: i64) -> Option<Timestamp> {
    (seconds > 0).then(|| Timestamp::from_second(seconds).ok()).flatten()
}

/// For `deserialize_with`: whole seconds since 1970.
pub(super) fn unix<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<i64>::deserialize(input)?.and_then(from_unix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2022-10-17 22:12:34.834", Some("2022-10-17T22:12:34.834Z"))]
    #[case("2022-10-17 22:12:34", Some("2022-10-17T22:12:34Z"))]
    #[case("2022-10-17T22:12:41.191646Z", Some("2022-10-17T22:12:41.191646Z"))]
    #[case("2023-09-15T23:28:17.644409853Z", Some("2023-09-15T23:28:17.644409853Z"))]
    #[case("2023-09-15T23:28:17+02:00", Some("2023-09-15T21:28:17Z"))]
    #[case("0001-01-01T00:00:00Z", None)]
    #[case("0001-01-01 00:00:00.000", None)]
    #[case("", None)]
    #[case("soon", None)]
    fn texts(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(parse(text), expected.map(|expected| expected.parse().unwrap()));
    }

    #[test]
    fn seconds() {
        assert_eq!(from_unix(1_694_820_531), Some("2023-09-15T23:28:51Z".parse().unwrap()));
        assert_eq!(from_unix(0), None);
        assert_eq!(from_unix(-62_135_596_800), None);
        assert_eq!(from_unix(i64::MAX), None);
    }

    proptest! {
        #[test]
        fn both_forms_of_a_time_are_the_same(ms in 0_i64..4_000_000_000_000) {
            let time = Timestamp::from_millisecond(ms).unwrap();
            prop_assert_eq!(parse(&time.to_string()), Some(time));
            let zoneless = time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
            prop_assert_eq!(parse(&zoneless), Some(time));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
