//! The dashboard: every panel has a result, or would have one if something had happened.

use serde_json::Value;

use super::{
    chart,
    page::Page,
    promql::{INTERVAL, Query, Timelines},
    unknown,
};

/// A query of a panel.
struct Target {
    panel: String,
    expr: String,
    legend: String,
}

fn targets() -> Vec<Target> {
    let dashboard: Value = serde_json::from_str(&chart("dashboard.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut targets = vec![];
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            targets.push(Target {
                panel: text(&panel["title"]),
                expr: text(&target["expr"]),
                legend: text(&target["legendFormat"]),
            });
        }
    }
    targets
}

/// As Grafana asks when all namespaces are chosen.
fn asked(expr: &str) -> String {
    expr.replace("$namespace", ".*").replace("$__rate_interval", "4m")
}

/// Asserts that each expression is one, that what it is about is there, and that it says something of a day on which
/// much happened, in a legend that it has the labels for.
pub async fn check(pages: &[&Page]) {
    let mut timelines = Timelines::default();
    for page in pages {
        timelines.hold("day", Some(page), 5);
    }
    let end = timelines.hold("day", pages.last().copied(), 1);
    let targets = targets();
    assert!(targets.len() > 30, "{}", targets.len());
    let query = |expr: &str| Query { timeline: "day".into(), expr: asked(expr), start: 0, end, step: INTERVAL };
    let queries: Vec<_> = targets.iter().map(|target| query(&target.expr)).collect();
    let mut problems = vec![];
    for (Target { panel, expr, legend }, answer) in targets.iter().zip(timelines.evaluate("", &queries).await) {
        let mut complain = |what: String| problems.push(format!("{panel}: {expr}: {what}"));
        if !answer.error.is_empty() || !answer.notes.is_empty() {
            complain(format!("{} {:?}", answer.error, answer.notes));
            continue;
        }
        unknown(&answer.selectors.unwrap(), &answer.grouping.unwrap(), pages).into_iter().for_each(&mut complain);
        let series = answer.series.unwrap();
        if series.is_empty() {
            complain("it has no result".to_owned());
        }
        for label in legend.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0)) {
            if !series.iter().all(|series| series.labels.contains_key(label)) {
                complain(format!("the legend has {label}, the result has not"));
            }
        }
        if legend.is_empty() && series.len() > 1 {
            complain("without a legend its results can't be told apart".to_owned());
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}
