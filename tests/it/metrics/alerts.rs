//! The alerts: none while all is well, and each where its trouble is.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    chart,
    page::{AGES, Page},
    promql::{Answer, INTERVAL, Query, Timelines},
    unknown,
};

/// A rule.
#[derive(Clone, Debug)]
pub struct Alert {
    pub name: String,
    pub expr: String,
    /// How long it has to hold, in seconds.
    pub hold: u64,
    pub rule: Value,
}

/// All rules.
pub fn all() -> Vec<Alert> {
    let file: Value = serde_saphyr::from_str(&chart("alerts.yaml")).unwrap();
    let rules = file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| Alert {
            name: rule["alert"].as_str().unwrap().to_owned(),
            expr: rule["expr"].as_str().unwrap().to_owned(),
            hold: rule["for"].as_str().map_or(0, seconds),
            rule: rule.clone(),
        })
        .collect()
}

fn seconds(duration: &str) -> u64 {
    let (number, unit) = duration.split_at(duration.len() - 1);
    number.parse::<u64>().unwrap()
        * match unit {
            "m" => 60,
            "h" => 3600,
            _ => panic!("{duration}"),
        }
}

/// Whether the alert fires: some series of it is there at every evaluation, for as long as it has to hold.
fn fires(alert: &Alert, answer: &Answer) -> bool {
    let wanted = usize::try_from(alert.hold / INTERVAL).unwrap() + 1;
    answer.series.iter().flatten().any(|series| {
        let times: Vec<u64> = series.points.iter().map(|(at, _)| at.parse().unwrap()).collect();
        let mut row = 0;
        times.iter().enumerate().any(|(index, at)| {
            row = if index > 0 && at - times[index - 1] == INTERVAL { row + 1 } else { 1 };
            row >= wanted
        })
    })
}

/// What was scraped one time after the other, and what may be said of it.
pub struct Story {
    pub name: &'static str,
    /// Pages, and for how many scrapes each is there.
    pub scenes: Vec<(Page, u64)>,
    /// The alerts that fire at some time.
    pub fires: Vec<String>,
    /// Those that never do; `None`: all others.
    pub silent: Option<Vec<String>>,
}

impl Story {
    fn expects(&self, alert: &str) -> Option<bool> {
        let is_in = |names: &[String]| names.iter().any(|name| name == alert);
        if is_in(&self.fires) {
            return Some(true);
        }
        self.silent.as_ref().is_none_or(|silent| is_in(silent)).then_some(false)
    }
}

/// How long a healthy day is, in scrapes: longer than every alert has to hold.
const DAY: u64 = 13 * 60;

/// Asserts that no alert fires while what the healthy pages show goes on, and that each fires when what its pages show
/// does. Without a page the operator is gone. Of the stories, each has its alerts and no others.
pub async fn check(healthy: &[&Page], troubles: &[(&str, Vec<Page>)], stories: &[Story]) {
    let alerts = all();
    let mut timelines = Timelines::default();
    for page in healthy {
        timelines.hold("healthy", Some(page), 30);
    }
    let end = timelines.hold("healthy", healthy.last().copied(), DAY);
    let query = |timeline: &str, alert: &Alert, start, end| Query {
        timeline: timeline.to_owned(),
        expr: alert.expr.clone(),
        start,
        end,
        step: INTERVAL,
    };
    // Not before the first scrape.
    let mut queries: Vec<_> = alerts.iter().map(|alert| query("healthy", alert, 1, end)).collect();

    let by_name: BTreeMap<_, _> = alerts.iter().map(|alert| (alert.name.as_str(), alert)).collect();
    let before = healthy.last().unwrap();
    for (name, pages) in troubles {
        let alert = by_name.get(name).unwrap_or_else(|| panic!("there is no alert {name}"));
        timelines.hold(name, Some(before), 10);
        // What came before the last one is over by then.
        for page in pages.iter().rev().skip(1).rev() {
            timelines.hold(name, Some(page), 12);
        }
        let is_of_age = AGES.iter().any(|age| alert.expr.contains(age));
        let scrapes = alert.hold / INTERVAL + 15;
        let mut end = 0;
        for count in 0..scrapes {
            // Two hours a minute, so that four hours need not be gone through minute by minute.
            let hours = f64::from(u32::try_from(2 * count).unwrap());
            let aged = pages.last().map(|page| if is_of_age { page.aged(hours * 3600.0) } else { page.clone() });
            end = timelines.hold(name, aged.as_ref(), 1);
        }
        queries.push(query(name, alert, 0, end));
    }
    let mut expected = vec![];
    for story in stories {
        let named = story.fires.iter().chain(story.silent.iter().flatten());
        named.for_each(|name| assert!(by_name.contains_key(name.as_str()), "there is no alert {name}"));
        let ends = story.scenes.iter().map(|(page, scrapes)| timelines.hold(story.name, Some(page), *scrapes));
        let end = ends.max().unwrap();
        for alert in &alerts {
            if let Some(fires) = story.expects(&alert.name) {
                expected.push(fires);
                queries.push(query(story.name, alert, 0, end));
            }
        }
    }
    let of_stories = queries.len() - expected.len();
    let answers = timelines.evaluate(&chart("alerts.yaml"), &queries).await;

    let mut problems = vec![];
    let pages: Vec<_> = healthy.iter().copied().chain(troubles.iter().flat_map(|(_, pages)| pages)).collect();
    let mut fired = vec![];
    for (index, (query, answer)) in queries.iter().zip(&answers).enumerate() {
        let alert = alerts.iter().find(|alert| alert.expr == query.expr).unwrap();
        if !answer.error.is_empty() || !answer.notes.is_empty() {
            problems.push(format!("{}: {} {:?}", alert.name, answer.error, answer.notes));
        }
        let is_well = query.timeline == "healthy";
        if is_well {
            let unknown = unknown(answer.selectors.as_ref().unwrap(), answer.grouping.as_ref().unwrap(), &pages);
            problems.extend(unknown.into_iter().map(|what| format!("{}: {what}", alert.name)));
        }
        let expects = index.checked_sub(of_stories).map_or(!is_well, |index| expected[index]);
        match (fires(alert, answer), expects) {
            (true, false) => problems.push(format!("{}: {} fires: {answer:?}", query.timeline, alert.name)),
            (false, true) => problems.push(format!("{}: {} does not fire: {answer:?}", query.timeline, alert.name)),
            (true, true) => fired.push(alert.name.clone()),
            (false, false) => {}
        }
    }
    problems.extend(
        alerts.iter().filter(|alert| !fired.contains(&alert.name)).map(|alert| format!("{} has not fired", alert.name)),
    );
    assert!(problems.is_empty(), "{problems:#?}");
}

/// What a person reads: a severity, a summary, what to do, and where more is said. The link is held by the test of the
/// page itself.
#[test]
fn each_alert_says_what_to_do() {
    let alerts = all();
    assert!(alerts.len() > 10);
    for Alert { name, rule, .. } in alerts {
        assert!(name.starts_with("PulumiDeployments"), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let annotation = |of: &str| rule["annotations"][of].as_str().unwrap().to_owned();
        assert!(annotation("summary").len() < 60, "{name}");
        assert!(annotation("description").len() > 80, "{name}");
        // A release fills in its owner, and its tag.
        let page = "https://github.com/OWNER/pulumi-deployments-operator/blob/main/docs/alerts.md";
        assert_eq!(annotation("runbook_url"), format!("{page}#{}", name.to_lowercase()));
    }
}
