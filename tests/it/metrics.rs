//! What the operator exposes for Prometheus, and what the chart makes of it: every expression of the alerts and of the
//! dashboard is evaluated by Prometheus' own engine, on pages that a real operator has served while all went well and
//! while everything that there is an alert for went wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

pub mod alerts;
mod dashboard;
mod given_up;
mod page;
mod promql;
mod stories;
mod trouble;

pub use page::{Family, families};

use std::{collections::BTreeSet, fs};

use pulumi_deployments_operator::metrics::labels::values;

use self::{page::Page, promql::Selector};

/// A file of the chart.
fn chart(file: &str) -> String {
    fs::read_to_string(format!("{}/charts/pulumi-deployments-operator/files/{file}", env!("CARGO_MANIFEST_DIR")))
        .unwrap()
}

/// Labels that Prometheus gives to what it scrapes.
const TARGET: [(&str, &str); 3] =
    [("job", "pulumi-deployments-operator"), ("instance", "10.0.0.1:8080"), ("namespace", "pulumi-deployments")];

/// What is wrong with the names in an expression, as far as the pages tell.
fn unknown(selectors: &[Selector], grouping: &[String], pages: &[&Page]) -> Vec<String> {
    let mut problems = vec![];
    let mut all = BTreeSet::from(["le".to_owned()]);
    for Selector { name, matchers } in selectors {
        let series: Vec<_> = pages.iter().flat_map(|page| page.series(name)).collect();
        if series.is_empty() {
            problems.push(format!("nothing is called {name}"));
        }
        let labels: BTreeSet<_> = series.iter().flat_map(|series| series.labels.keys()).cloned().collect();
        for matcher in matchers {
            let (label, value) = (&matcher.label, &matcher.value);
            if TARGET.iter().any(|(of, _)| of == label) {
                continue;
            }
            if !labels.contains(label) {
                problems.push(format!("{name} has no label {label}"));
            }
            let words = if matcher.operator.contains('~') { value.split('|').collect() } else { vec![value.as_str()] };
            let known = values(label);
            // `5..` is the one pattern.
            let fits = |word: &str| known.iter().any(|it| *it == word || (word == "5.." && it.starts_with('5')));
            problems
                .extend(words.into_iter().filter(|word| !fits(word)).map(|word| format!("{label} is never {word}")));
        }
        all.extend(labels);
    }
    problems.extend(
        grouping.iter().filter(|label| !all.contains(*label)).map(|label| format!("nothing has a label {label}")),
    );
    problems
}
