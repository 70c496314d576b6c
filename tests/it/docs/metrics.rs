//! `docs/reference/metrics.md`: every metric, written from the operator's own registry; and `docs/alerts.md`, which has
//! an entry for every alert.

use std::{collections::BTreeSet, env, fmt::Write, fs, time::Duration};

use pulumi_deployments_operator::{
    api::Organization,
    metrics::{
        Metrics,
        labels::{self, values},
        now::Now,
    },
    pulumi::{End, Meter},
};
use serde_json::json;

use super::{Page, assert_none, root};
use crate::metrics::{Family, alerts, families};

const HOW: &str = "BLESS=1 cargo test --test it docs::metrics";
const PAGE: &str = "docs/reference/metrics.md";

/// Every metric, each with an example, so that it shows its labels.
fn all() -> Vec<Family> {
    let metrics = Metrics::default();
    metrics.calls.requested("GetUser", End::Status(200), Duration::ZERO);
    let mut now = Now::nothing();
    let token = json!({"secretKeyRef": {"name": "pulumi", "key": "accessToken"}});
    let manifest = json!({"apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Organization", "metadata": {}, "spec": {"accessToken": token}});
    now.organization(&serde_json::from_value::<Organization>(manifest).unwrap());
    let mut families = families(&metrics.page(&now).unwrap());
    families.sort_by(|one, other| one.name.cmp(&other.name));
    families
}

/// The names of the page, without what a counter's series has at its end.
pub fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(PAGE)).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("| `pulumi_deployments_operator_"));
    let names = names.filter_map(|rest| rest.split_once('`')).map(|(name, _)| name);
    names.map(|name| format!("pulumi_deployments_operator_{}", name.trim_end_matches("_total"))).collect()
}

fn page() -> String {
    let mut text = format!(
        "# Metrics\n\n<!-- Written by a test from the operator's registry: {HOW} -->\n\n\
         What `/metrics` on port 8080 exposes, as OpenMetrics text. [Alerts](../alerts.md) and a dashboard come with the\n\
         chart. No metric has the name of an object in its labels: there may be thousands of them.\n\n\
         Counters whose labels are known begin at 0. A histogram has series that end in `_bucket`, `_sum` and `_count`.\n\n\
         | metric | type | labels | what it is |\n|---|---|---|---|\n"
    );
    for Family { name, type_, help, unit, labels } in all() {
        let end = if type_ == "counter" { "_total" } else { "" };
        let type_ = unit.map_or(type_.clone(), |unit| format!("{type_}, in {unit}"));
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(text, "| `{name}{end}` | {type_} | {} | {help} |", labels.join(", ")).unwrap();
    }
    text.push_str("\n## Labels\n\n| label | what it is | values |\n|---|---|---|\n");
    for (label, about) in labels::ALL {
        let known = match label {
            labels::CODE => format!("`100` to `599`, {}", words(&End::WORDS)),
            labels::REASON => "those of [troubleshooting](../troubleshooting.md), and `Other`".to_owned(),
            labels::VERSION => "that of the release".to_owned(),
            _ => words(&values(label)),
        };
        writeln!(text, "| `{label}` | {about} | {known} |").unwrap();
    }
    text
}

fn words(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_reference_is_what_the_registry_says() {
    let path = root().join(PAGE);
    let page = page();
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let is_current = fs::read_to_string(&path).unwrap_or_default() == page;
    assert!(is_current, "{} is not up to date: {HOW}", path.display());
}

/// As Prometheus' own conventions have it.
#[test]
fn names_and_helps_are_in_order() {
    let mut problems = vec![];
    for Family { name, type_, help, unit, labels } in all() {
        if help.len() < 15 || help.contains('\n') {
            problems.push(format!("{name}: {help}"));
        }
        if name.ends_with("_total") || (unit.is_some() && !name.ends_with("_seconds")) {
            problems.push(format!("{name} ends in the wrong word"));
        }
        if type_ == "histogram" && unit.is_none() {
            problems.push(format!("{name} has no unit"));
        }
        let known = labels::ALL.map(|(label, _)| label);
        problems.extend(labels.iter().filter(|it| !known.contains(&it.as_str())).map(|it| format!("{name}: {it}")));
    }
    assert_none(&problems);
}

#[test]
fn every_alert_has_an_entry_and_every_entry_an_alert() {
    let page = Page::of("docs/alerts.md");
    let entries: Vec<_> = page.prose().into_iter().filter_map(|line| line.strip_prefix("## Pulumi")).collect();
    let entries: Vec<_> = entries.into_iter().map(|rest| format!("Pulumi{rest}")).collect();
    let alerts: Vec<_> = alerts::all().into_iter().map(|alert| alert.name).collect();
    assert_eq!(entries, alerts, "docs/alerts.md: a heading for each alert, in the order of the rules");
}
