//! Prometheus' own engine.

use std::{collections::BTreeMap, process::Stdio};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{TARGET, page::Page};

/// As the operator says what its pages are.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Between two scrapes, in seconds.
pub const INTERVAL: u64 = 60;

/// What was scraped, in the order of time.
#[derive(Default)]
pub struct Timelines {
    pages: Vec<String>,
    timelines: BTreeMap<String, Vec<Scrape>>,
}

#[derive(Serialize)]
struct Scrape {
    at: u64,
    page: Option<usize>,
}

/// An expression, evaluated at every scrape between two times on a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Query {
    pub timeline: String,
    pub expr: String,
    pub start: u64,
    pub end: u64,
    pub step: u64,
}

/// What is selected in an expression.
#[derive(Debug, Deserialize)]
pub struct Selector {
    pub name: String,
    pub matchers: Vec<Matcher>,
}

#[derive(Debug, Deserialize)]
pub struct Matcher {
    pub label: String,
    pub operator: String,
    pub value: String,
}

/// What came of a query.
#[derive(Debug, Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default)]
    pub series: Option<Vec<Points>>,
    #[serde(default)]
    pub selectors: Option<Vec<Selector>>,
    #[serde(default)]
    pub grouping: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub struct Points {
    pub labels: BTreeMap<String, String>,
    /// Seconds and values.
    pub points: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    rule_errors: Vec<String>,
    results: Vec<Answer>,
}

impl Timelines {
    /// Puts a page on a timeline, for so many scrapes; without one they fail. Returns the time of the last.
    pub fn hold(&mut self, timeline: &str, page: Option<&Page>, scrapes: u64) -> u64 {
        let index = page.map(|page| {
            let known = self.pages.iter().position(|known| *known == page.0);
            known.unwrap_or_else(|| {
                self.pages.push(page.0.clone());
                self.pages.len() - 1
            })
        });
        let line = self.timelines.entry(timeline.to_owned()).or_default();
        let first = line.last().map_or(0, |last| last.at + INTERVAL);
        line.extend((0..scrapes).map(|count| Scrape { at: first + count * INTERVAL, page: index }));
        line.last().map_or(0, |last| last.at)
    }

    /// Has all this evaluated. Each page is read as Prometheus reads it, and the rules are checked as it checks a file.
    ///
    /// # Panics
    /// When a page can't be read, or a rule is not one.
    pub async fn evaluate(&self, rules: &str, queries: &[Query]) -> Vec<Answer> {
        let engine = local_cluster::promql::find_or_build(|event| eprintln!("{event}")).await.unwrap();
        let input = json!({
            "contentType": CONTENT_TYPE,
            "target": BTreeMap::from(TARGET),
            "pages": self.pages,
            "timelines": self.timelines,
            "rules": rules,
            "queries": queries,
        });
        let mut child = Command::new(engine)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = serde_json::to_vec(&input).unwrap();
        // It has read everything before it writes anything.
        stdin.write_all(&input).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output: Output = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.rule_errors, Vec::<String>::new());
        assert_eq!(output.results.len(), queries.len());
        output.results
    }
}
