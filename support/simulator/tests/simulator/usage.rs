use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, with_source, with_variables};

const SUMMARY: &str = "/api/orgs/acme/deployments/summary";
const REPORT: &str = "/api/orgs/acme/deployments/usagereport";

/// Runs something that takes about a minute and a half of the service's time: two count.
async fn run(bench: &Bench) {
    let body = with_variables("update", &json!({"SIMULATOR_STEP_SECONDS": "pulumi update=60"}));
    bench.create(body).await;
    let version = bench.simulator.deployments(STACK).len();
    bench.wait_status(version, "succeeded").await;
}

#[tokio::test]
async fn minutes_are_summed_up_over_spans_of_time() {
    let bench = bench().await;
    assert_eq!(bench.api.get(&format!("{SUMMARY}?granularity=daily&lookbackDays=7")).await.status, 204);
    run(&bench).await;
    run(&bench).await;
    bench.simulator.set_stack_paused(STACK, true).unwrap();
    bench.create(with_source("update")).await;
    let start = Timestamp::now().as_second() - 3600;
    let today = Timestamp::now().to_zoned(TimeZone::UTC);
    for (query, names) in [
        ("granularity=yearly&lookbackDays=400".to_owned(), &["year"][..]),
        ("granularity=monthly&lookbackDays=30".to_owned(), &["month", "year"]),
        ("granularity=weekly&lookbackDays=7".to_owned(), &["weekNumber", "year"]),
        ("granularity=daily&lookbackDays=1".to_owned(), &["day", "month", "year"]),
        (format!("granularity=hourly&lookbackStart={start}"), &["day", "hour", "month", "year"]),
    ] {
        let body = bench.api.get(&format!("{SUMMARY}?{query}")).await.expect(200);
        let spans = body["summary"].as_array().unwrap();
        // Two, should the clock strike between the runs.
        let minutes: i64 = spans.iter().map(|span| span["resources"].as_i64().unwrap()).sum();
        assert_eq!(minutes, 4, "{body}");
        let mut keys: Vec<&str> = spans[0].as_object().unwrap().keys().map(String::as_str).collect();
        keys.retain(|key| !key.starts_with("resource"));
        keys.sort_unstable();
        assert_eq!(keys, names);
        assert_eq!(spans[0]["year"], today.year());
    }
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let bench = bench().await;
    let now = Timestamp::now().as_second();
    for query in [
        "lookbackDays=7".to_owned(),
        "granularity=minutely&lookbackDays=7".to_owned(),
        "granularity=daily".to_owned(),
        "granularity=daily&lookbackDays=0".to_owned(),
        "granularity=daily&lookbackDays=x".to_owned(),
        "granularity=hourly&lookbackDays=3".to_owned(),
        format!("granularity=daily&lookbackDays=7&lookbackStart={}", now - 60),
        format!("granularity=daily&lookbackStart={}", now + 60),
        format!("granularity=daily&lookbackStart={}", now - 400 * 24 * 3600),
        format!("granularity=hourly&lookbackStart={}", now - 3 * 24 * 3600),
        "granularity=daily&lookbackStart=-5".to_owned(),
    ] {
        bench.api.get(&format!("{SUMMARY}?{query}")).await.expect_error(400);
    }
    for query in ["lookbackDays=0", "lookbackDays=-1", "lookbackDays=x", "lookbackDays=99999999999"] {
        let message = bench.api.get(&format!("{REPORT}?{query}")).await.expect_error(400);
        assert!(message.contains("Invalid query parameter"), "{message}");
    }
    bench.api.get("/api/orgs/none/deployments/usagereport").await.expect_error(404);
}

#[tokio::test]
async fn the_report_has_a_record_for_every_day() {
    let bench = bench().await;
    assert_eq!(bench.api.get(REPORT).await.expect(200), json!([]));
    run(&bench).await;
    run(&bench).await;
    let report = bench.api.get(&format!("{REPORT}?lookbackDays=2")).await.expect(200);
    let records = report.as_array().unwrap();
    let sum = |name: &str| records.iter().map(|record| record[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!((sum("Value"), sum("Count")), (4, 2));
    let field = |record: &Value, name: &str| record[name].as_i64().unwrap();
    for record in records {
        assert_eq!(field(record, "UsageRangeStart") % 86400, 0);
        assert_eq!(field(record, "UsageRangeEnd") - field(record, "UsageRangeStart"), 86400);
    }
}
