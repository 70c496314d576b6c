//! What happens for some minutes, and what goes on: counted and measured as the operator does it, at times that no test
//! could wait for.

use super::{alerts::Story, page::Page};

/// A story; the alerts are named without what all their names begin with.
pub fn told(name: &'static str, scenes: Vec<(Page, u64)>, fires: &[&str], silent: Option<&[&str]>) -> Story {
    Story { name, scenes, fires: names(fires), silent: silent.map(names) }
}

fn names(short: &[&str]) -> Vec<String> {
    short.iter().map(|name| format!("PulumiDeployments{name}")).collect()
}

/// A page for each minute.
fn minutes(count: u32, page: impl Fn(f64) -> Page) -> Vec<(Page, u64)> {
    (0..count).map(|minute| (page(f64::from(minute)), 1)).collect()
}

/// Stories that begin well.
pub fn on(well: &Page) -> Vec<Story> {
    [before_the_first_scrape(well), pauses(well), renewals(well), looks(well), errors(well)]
        .into_iter()
        .flatten()
        .collect()
}

fn panics(well: &Page) -> Page {
    well.with("reconcile_errors_total{controller=\"deployment\",class=\"panic\"}", 1.0)
}

fn gave_up(well: &Page) -> Page {
    well.with("finalizers_given_up_total{kind=\"deployment\"}", 1.0)
}

fn before_the_first_scrape(well: &Page) -> Vec<Story> {
    let well_first = |page| vec![(well.clone(), 10), (page, 10)];
    vec![
        told("a panic", well_first(panics(well)), &["Panic"], None),
        told("a panic before the first scrape", vec![(panics(well), 10)], &["Panic"], None),
        told("one is let go", well_first(gave_up(well)), &["FinalizerGaveUp"], None),
        told("one is let go before the first scrape", vec![(gave_up(well), 10)], &["FinalizerGaveUp"], None),
    ]
}

/// The service has asked for so many pauses, and one goes on.
fn paused(well: &Page, times: f64) -> Page {
    rested(well, times).with("budgets{state=\"open\"}", 0.0).with("budgets{state=\"throttled\"}", 1.0)
}

/// The service has asked for so many pauses, and none goes on.
fn rested(well: &Page, times: f64) -> Page {
    well.with("budget_throttles_total", times)
}

fn pauses(well: &Page) -> Vec<Story> {
    let one = |scrapes| vec![(well.clone(), 10), (paused(well, 1.0), scrapes), (rested(well, 1.0), 40)];
    let mut again = vec![(well.clone(), 10)];
    again.extend([1.0, 2.0, 3.0, 4.0].map(|times| (rested(well, times), 5)));
    vec![
        told("a pause of three minutes", one(3), &[], None),
        told("a pause of ten minutes", one(10), &[], None),
        told("a pause of ten minutes when it begins", one(10).split_off(1), &[], None),
        told("a pause of twenty minutes", one(20), &["Throttled"], None),
        told("a pause every five minutes, over before the next scrape", again, &["Throttled"], None),
    ]
}

fn renewals(well: &Page) -> Vec<Story> {
    let over = well.with("token_exchanges_total{outcome=\"failed\"}", 4.0);
    let failing = over.with("organizations_token_not_renewed", 1.0);
    vec![told("a token is renewed at the fifth attempt", vec![(well.clone(), 10), (failing, 3), (over, 40)], &[], None)]
}

fn looks(well: &Page) -> Vec<Story> {
    let retrying = |page: &Page| page.with("resources_retrying{kind=\"organization\"}", 1.0);
    let for_minutes = |scrapes| vec![(well.clone(), 10), (retrying(well), scrapes), (well.clone(), 10)];
    let pause = vec![(well.clone(), 10), (retrying(&paused(well, 1.0)), 45)];
    vec![
        told("an Organization can't be looked at for ten minutes", for_minutes(10), &[], None),
        told("an Organization can't be looked at for long", for_minutes(40), &["OrganizationRetries"], None),
        told("an Organization is not looked at in a pause", pause, &["Throttled"], None),
    ]
}

fn errors(well: &Page) -> Vec<Story> {
    let reconciles = "reconciles_total{controller=\"deployment\"}";
    let begun = well.value(reconciles).unwrap();
    let page = |all: f64, failed: f64| {
        well.with(reconciles, begun + all)
            .with("reconcile_errors_total{controller=\"deployment\",class=\"kubernetes\"}", failed)
    };
    vec![
        told("Kubernetes does not answer for a moment", vec![(well.clone(), 10), (page(20.0, 20.0), 40)], &[], None),
        told(
            "Kubernetes is upgraded for eight minutes",
            minutes(50, |minute| page(20.0 * minute, 20.0 * minute.min(8.0))),
            &[],
            None,
        ),
        told("one reconcile in a hundred fails", minutes(40, |minute| page(100.0 * minute, minute)), &[], None),
        told("a right is missing", minutes(40, |minute| page(10.0 * minute, minute)), &["ReconcileErrors"], None),
    ]
}

/// The same outage for five minutes, and for long. `failures` is what is counted in it.
pub fn of_outage([first, down, over]: &[Page; 3], failures: &str) -> Vec<Story> {
    let begun = down.value(failures).unwrap();
    let mut short = vec![(first.clone(), 5), (down.clone(), 5)];
    short.push((over.clone(), 40));
    let mut long = vec![(first.clone(), 5)];
    long.extend(minutes(30, |minute| down.with(failures, begun + 2.0 * minute)));
    let alert = "ApiErrors";
    vec![
        told("an outage of five minutes", short, &[], Some(&[alert])),
        told("an outage that goes on", long, &[alert], Some(&[])),
    ]
}
