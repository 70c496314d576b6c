//! How much an organization's deployments have used.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::lenient::or_default;
use super::time;

/// What deployments used, by period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct UsageSummary {
    /// The periods.
    #[serde(rename = "summary", deserialize_with = "or_default")]
    pub points: Vec<UsagePoint>,
}

/// What deployments used in a period. How finely the period is given depends on what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsagePoint {
    /// The year.
    pub year: u16,
    /// The month, 1 to 12.
    #[serde(default)]
    pub month: Option<u8>,
    /// The day of the month, 1 to 31.
    #[serde(default)]
    pub day: Option<u8>,
    /// The week of the year, 0 to 53; a week begins on Sunday.
    #[serde(default)]
    pub week_number: Option<u8>,
    /// The hour, 0 to 23.
    #[serde(default)]
    pub hour: Option<u8>,
    /// What was used: the service counts deployments' minutes here as it counts resources elsewhere.
    #[serde(default, deserialize_with = "or_default")]
    pub resources: u64,
    /// The same, times hours.
    #[serde(default, deserialize_with = "or_default")]
    pub resource_hours: u64,
}

/// A record of usage, as servers that are not Pulumi's own report it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UsageRecord {
    /// The organization's id.
    #[serde(rename = "OrgID", default, deserialize_with = "or_default")]
    pub organization_id: String,
    /// When it was taken down.
    #[serde(default, deserialize_with = "time::unix")]
    pub timestamp: Option<Timestamp>,
    /// From when.
    #[serde(default, deserialize_with = "time::unix")]
    pub usage_range_start: Option<Timestamp>,
    /// Until when.
    #[serde(default, deserialize_with = "time::unix")]
    pub usage_range_end: Option<Timestamp>,
    /// How much.
    pub value: u64,
    /// How often.
    pub count: u64,
    /// Marks, by key.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_reports() {
        let summary: UsageSummary = serde_json::from_value(json!({
            "summary": [{"year": 2026, "month": 5, "day": 13, "resources": 42, "resourceHours": 7}, {"year": 2026}],
        }))
        .unwrap();
        assert_eq!((summary.points[0].day, summary.points[0].resources), (Some(13), 42));
        assert_eq!(summary.points[1], UsagePoint { year: 2026, ..UsagePoint::default() });

        let records: Vec<UsageRecord> = serde_json::from_value(json!([{
            "OrgID": "o", "Timestamp": 1_694_820_531, "UsageRangeStart": 1_694_800_000, "UsageRangeEnd": 1_694_810_000,
            "Value": 12, "Count": 3,
        }]))
        .unwrap();
        assert_eq!((records[0].value, records[0].count), (12, 3));
        assert!(records[0].usage_range_start < records[0].usage_range_end);
    }
}
