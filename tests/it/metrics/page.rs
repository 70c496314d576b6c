//! A page that was scraped.

use std::{collections::BTreeMap, fmt::Write};

/// What is said of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Its name, with its unit.
    pub name: String,
    /// `counter`, `gauge`, `histogram`.
    pub type_: String,
    /// What it is.
    pub help: String,
    /// Its unit, if it has one.
    pub unit: Option<String>,
    /// Its labels, those of a histogram's buckets left out.
    pub labels: Vec<String>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// What grows by itself as time passes.
pub const AGES: [&str; 3] = ["run_oldest_seconds", "budget_longest_wait_seconds", "observer_lag_seconds"];

/// A page.
#[derive(Clone, Debug)]
pub struct Page(pub String);

/// The metrics on a page, in its order.
pub fn families(page: &str) -> Vec<Family> {
    let mut families: Vec<Family> = vec![];
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            // A full stop is added to what has none.
            let help = help.trim_end_matches('.').replace("\\\"", "\"");
            families.push(Family { name: name.to_owned(), help, ..Family::default() });
            continue;
        }
        let Some(family) = families.last_mut() else { continue };
        if let Some((_, type_)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            type_.clone_into(&mut family.type_);
        } else if let Some((_, unit)) = line.strip_prefix("# UNIT ").and_then(|rest| rest.split_once(' ')) {
            family.unit = Some(unit.to_owned());
        } else if let Some(series) = series(line)
            && family.labels.is_empty()
        {
            family.labels = series.labels.into_keys().filter(|label| label != "le").collect();
        }
    }
    families
}

fn series(line: &str) -> Option<Series> {
    if line.starts_with('#') {
        return None;
    }
    let (series, _) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    // No value has a quotation mark or a comma in it.
    let pairs = labels.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
    let labels = pairs.map(|(label, value)| (label.to_owned(), value.trim_matches('"').to_owned())).collect();
    Some(Series { name: name.to_owned(), labels })
}

impl Page {
    /// All series of a name.
    pub fn series(&self, name: &str) -> Vec<Series> {
        self.all().filter(|series| series.name == name).collect()
    }

    /// All series.
    pub fn all(&self) -> impl Iterator<Item = Series> {
        self.0.lines().filter_map(series)
    }

    /// The value of a series, named without the operator's prefix.
    pub fn value(&self, series: &str) -> Option<f64> {
        let wanted = format!("{}_{series} ", pulumi_deployments_operator::metrics::PREFIX);
        self.0.lines().find_map(|line| line.strip_prefix(&wanted)?.parse().ok())
    }

    /// The same with another value of a series that is there: for what can't be brought about from outside, such as a bug.
    pub fn with(&self, series: &str, value: f64) -> Self {
        let wanted = format!("{}_{series} ", pulumi_deployments_operator::metrics::PREFIX);
        assert!(self.value(series).is_some(), "{series} is not on the page");
        self.map(|line| line.starts_with(&wanted).then_some(value))
    }

    /// What the page says after so many seconds in which nothing else happens: what has an age gets older.
    pub fn aged(&self, seconds: f64) -> Self {
        let is_age = |line: &str| {
            let name = line.strip_prefix(pulumi_deployments_operator::metrics::PREFIX).unwrap_or_default();
            AGES.iter().any(|age| name.strip_prefix('_').is_some_and(|name| name.starts_with(age)))
        };
        self.map(|line| {
            let value: f64 = line.rsplit_once(' ')?.1.parse().ok()?;
            (is_age(line) && value > 0.0).then_some(value + seconds)
        })
    }

    fn map(&self, change: impl Fn(&str) -> Option<f64>) -> Self {
        let mut page = String::new();
        for line in self.0.lines() {
            match (change(line), line.rsplit_once(' ')) {
                (Some(value), Some((series, _))) => writeln!(page, "{series} {value}").unwrap(),
                _ => writeln!(page, "{line}").unwrap(),
            }
        }
        Self(page)
    }
}
