//! How much an organization has used: the minutes that its deployments ran.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::{Value, json};

use super::call::invalid_query;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::run::Run;
use crate::world::World;
use crate::world::organization::Organization;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// What the report covers when it is not told.
const DEFAULT_DAYS: i64 = 30;

/// The runs that started since then: when, and for how many minutes of the service's time, of which every one begun
/// counts.
fn runs(world: &World, organization: &Organization, since: Timestamp, now: Timestamp) -> Vec<(Zoned, i64)> {
    let runs = organization.deployments.iter().filter_map(|key| world.deployments.get(key)?.run.as_ref());
    let minutes = |run: &Run, started: Timestamp| {
        let lasted = run.last_updated(now).unwrap_or(now).duration_since(started);
        #[allow(clippy::cast_possible_truncation, reason = "a run lasts minutes")]
        let minutes = (lasted.as_secs_f64() * world.speed / 60.0).ceil() as i64;
        minutes.max(1)
    };
    let started = runs.filter_map(|run| Some((run, run.started().filter(|started| *started >= since)?)));
    started.map(|(run, started)| (started.to_zoned(TimeZone::UTC), minutes(run, started))).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Granularity {
    Yearly,
    Monthly,
    Weekly,
    Daily,
    Hourly,
}

impl Granularity {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "yearly" => Self::Yearly,
            "monthly" => Self::Monthly,
            "weekly" => Self::Weekly,
            "daily" => Self::Daily,
            "hourly" => Self::Hourly,
            _ => return None,
        })
    }

    /// The parts of the date that name a span of this length.
    fn span(self, time: &Zoned) -> Vec<(&'static str, i64)> {
        let year = ("year", i64::from(time.year()));
        let month = ("month", i64::from(time.month()));
        let day = ("day", i64::from(time.day()));
        match self {
            Self::Yearly => vec![year],
            Self::Monthly => vec![year, month],
            // Weeks begin with a Sunday.
            Self::Weekly => vec![year, ("weekNumber", time.strftime("%U").to_string().parse().unwrap_or(0))],
            Self::Daily => vec![year, month, day],
            Self::Hourly => vec![year, month, day, ("hour", i64::from(time.hour()))],
        }
    }
}

fn whole(call: &Call, name: &str) -> Result<Option<i64>, ApiError> {
    call.query(name).map(str::parse).transpose().map_err(|_| invalid_query(name))
}

fn days_before(now: Timestamp, days: i64) -> Option<Timestamp> {
    now.checked_sub(DAY.checked_mul(i32::try_from(days).ok()?)?).ok()
}

/// Since when the summary is wanted.
fn lookback(call: &Call, granularity: Granularity) -> Result<Timestamp, ApiError> {
    let refused =
        |detail: &str| ApiError::bad_request(format!("invalid lookbackDays/lookbackStart parameter: {detail}"));
    let since = match (whole(call, "lookbackDays")?, whole(call, "lookbackStart")?) {
        (Some(days), None) if days > 0 => {
            days_before(call.now, days).ok_or_else(|| refused("lookbackDays is too large"))?
        }
        (None, Some(start)) if start > 0 => {
            let start = Timestamp::from_second(start).ok().filter(|start| *start < call.now);
            let start = start.ok_or_else(|| refused("lookbackStart must be in the past"))?;
            if call.now.duration_since(start) > DAY * 366 {
                return Err(refused("lookbackStart must be within the last year"));
            }
            start
        }
        (Some(_), Some(_)) | (None, None) => return Err(refused("exactly one must be provided")),
        _ => return Err(refused("it must be positive")),
    };
    if granularity == Granularity::Hourly && call.now.duration_since(since) > DAY * 2 {
        return Err(refused("hourly granularity is limited to two days"));
    }
    Ok(since)
}

pub(super) fn summary(call: &Call) -> Outcome {
    let granularity = call.query("granularity").and_then(Granularity::parse);
    let granularity = granularity.ok_or_else(|| ApiError::bad_request("Bad granularity value"))?;
    let since = lookback(call, granularity)?;
    let world = call.world();
    let organization = world.visible_organization(&call.access, call.parameter("organization"))?;
    let mut spans: BTreeMap<Vec<(&str, i64)>, i64> = BTreeMap::new();
    for (started, minutes) in runs(&world, organization, since, call.now) {
        *spans.entry(granularity.span(&started)).or_default() += minutes;
    }
    if spans.is_empty() {
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    }
    let spans: Vec<Value> = spans
        .into_iter()
        .map(|(span, minutes)| {
            // The service counts minutes where its schema, made for something else, speaks of resources.
            let mut body = json!({"resources": minutes, "resourceHours": minutes});
            for (name, value) in span {
                body[name] = value.into();
            }
            body
        })
        .collect();
    Ok(Answer::ok(&json!({"summary": spans})))
}

/// One record for each day on which something ran.
pub(super) fn report(call: &Call) -> Outcome {
    let days = whole(call, "lookbackDays")?.unwrap_or(DEFAULT_DAYS);
    let since = Some(days).filter(|days| *days > 0).and_then(|days| days_before(call.now, days));
    let since = since.ok_or_else(|| invalid_query("lookbackDays"))?;
    let world = call.world();
    let organization = world.visible_organization(&call.access, call.parameter("organization"))?;
    let mut days: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for (started, minutes) in runs(&world, organization, since, call.now) {
        let second = started.timestamp().as_second();
        let day = days.entry(second - second.rem_euclid(DAY.as_secs())).or_default();
        *day = (day.0 + minutes, day.1 + 1);
    }
    let records = days.into_iter().map(|(day, (minutes, count))| {
        json!({
            "OrgID": organization.id,
            "Timestamp": call.now.as_second(),
            "UsageRangeStart": day,
            "UsageRangeEnd": day + DAY.as_secs(),
            "Value": minutes,
            "Count": count,
        })
    });
    Ok(Answer::ok(&records.collect()))
}
