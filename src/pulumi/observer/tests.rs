//! Tests of the board: what is known, what is new, what is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::board::Board;
use super::difference::tests::run;
use super::look::Outcome;
use super::organization::{Next, Order, Organization};
use super::{ObserverConfig, TrackedRun};
use crate::pulumi::client::{Client, ClientConfig, Dialect, Timeouts};
use crate::pulumi::error::{Class, Error};
use crate::pulumi::governor::{Governor, Rate};
use crate::pulumi::secret::SecretValue;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::Status;

const S: Duration = Duration::from_secs(1);

/// A board and a clock that a test moves.
struct Scene {
    board: Board,
    now: Instant,
    clock: Timestamp,
    woken: Arc<AtomicUsize>,
}

impl Scene {
    fn new() -> Self {
        Self {
            board: Board::default(),
            now: Instant::now(),
            clock: "2026-01-01T12:00:00Z".parse().unwrap(),
            woken: Arc::default(),
        }
    }

    fn track(&mut self, id: &str, created: Option<&str>) -> bool {
        let woken = Arc::clone(&self.woken);
        let run = TrackedRun {
            id: id.to_owned(),
            stack: StackId { organization: "acme".into(), project: "web".into(), stack: "dev".into() },
            version: 1,
            created: created.map(|created| created.parse().unwrap()),
            wake: Arc::new(move || {
                woken.fetch_add(1, Ordering::Relaxed);
            }),
        };
        self.board.track(run, self.now)
    }

    /// Records a look; whether somebody is to be woken.
    fn record(&mut self, look: Value) -> bool {
        match self.board.record(run(look), self.now) {
            Some(wake) => {
                wake();
                true
            }
            None => false,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.clock += time;
    }

    fn due(&self) -> Vec<String> {
        let active: Vec<String> = self.board.active().map(str::to_owned).collect();
        self.board.due(active.iter().map(String::as_str), 2 * S, self.now, self.clock)
    }

    fn status(&self, id: &str) -> Option<Status> {
        self.board.sighting(id)?.run.map(|run| run.status.clone())
    }
}

#[test]
fn only_news_wakes() {
    let mut scene = Scene::new();
    assert!(scene.track("a", None));
    assert_eq!(scene.board.sighting("a"), None);
    assert!(!scene.record(json!({"id": "other", "status": "running"})));
    assert!(scene.record(json!({"id": "a", "status": "not-started"})));
    assert!(!scene.record(json!({"id": "a", "status": "not-started"})));
    assert!(scene.record(json!({"id": "a", "status": "running"})));
    assert!(!scene.track("a", None), "known already");
    assert_eq!(scene.status("a"), Some(Status::Running));
    assert_eq!(scene.woken.load(Ordering::Relaxed), 2);
}

#[test]
fn what_has_ended_is_kept_and_not_read_again() {
    let mut scene = Scene::new();
    scene.track("a", None);
    scene.record(json!({"id": "a", "status": "failed"}));
    assert_eq!(scene.board.active().count(), 0);
    assert!(!scene.record(json!({"id": "a", "status": "running"})));
    assert_eq!(scene.status("a"), Some(Status::Failed));
    scene.board.untrack("a");
    assert_eq!(scene.board.sighting("a"), None);
    assert!(scene.board.is_empty());
}

#[test]
fn a_list_that_lags_does_not_turn_time_back() {
    let mut scene = Scene::new();
    scene.track("a", None);
    scene.record(json!({"id": "a", "status": "running", "modified": "2026-01-01 12:00:01.000"}));
    assert!(!scene.record(json!({"id": "a", "status": "not-started", "modified": "2026-01-01 12:00:00.000"})));
    assert_eq!(scene.status("a"), Some(Status::Running));
    // Without the time nobody can tell.
    assert!(scene.record(json!({"id": "a", "status": "succeeded"})));
}

#[test]
fn values_of_variables_never_stay() {
    let mut scene = Scene::new();
    scene.track("a", None);
    let configuration = json!({"environmentVariables": [{"name": "A", "value": "hunter2", "secret": false}]});
    scene.record(json!({"id": "a", "status": "running", "configuration": configuration}));
    let sighting = scene.board.sighting("a").unwrap();
    assert_eq!(sighting.run.as_ref().unwrap().configuration, None);
    assert!(!format!("{sighting:?}").contains("hunter2"));
}

#[test]
fn missing_counts_in_a_row_only() {
    let mut scene = Scene::new();
    scene.track("a", None);
    for count in 1..=3 {
        scene.board.note_missing("a").unwrap()();
        assert_eq!(scene.board.sighting("a").unwrap().missing, count);
        assert_eq!(scene.board.sighting("a").unwrap().run, None);
    }
    assert!(scene.record(json!({"id": "a", "status": "not-started"})), "that it is there again is news");
    assert_eq!(scene.board.sighting("a").unwrap().missing, 0);
    assert!(!scene.record(json!({"id": "a", "status": "not-started"})));
    assert!(scene.board.note_missing("unknown").is_none());
}

#[test]
fn how_far_back_the_list_must_be_read() {
    let mut scene = Scene::new();
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    scene.track("a", Some("2026-01-01T11:00:00Z"));
    scene.track("b", Some("2026-01-01T10:00:00Z"));
    assert_eq!(scene.board.oldest(["a", "b"]), at("2026-01-01T09:59:00Z"));
    assert_eq!(scene.board.oldest(["a"]), at("2026-01-01T10:59:00Z"));
    // What the service says counts more than what the caller knew.
    scene.record(json!({"id": "a", "status": "running", "created": "2026-01-01 08:00:00.000"}));
    assert_eq!(scene.board.oldest(["a", "b"]), at("2026-01-01T07:59:00Z"));
    scene.track("c", None);
    assert_eq!(scene.board.oldest(["a", "c"]), None);
    assert_eq!(scene.board.oldest([]), None);
}

#[rstest]
#[case::just_created("2026-01-01T12:00:00Z", 2000)]
#[case::for_ten_minutes("2026-01-01T11:50:00Z", 10_000)]
#[case::for_days("2025-12-24T12:00:00Z", 60_000)]
fn the_older_the_rarer(#[case] created: &str, #[case] milliseconds: u64) {
    let mut scene = Scene::new();
    scene.track("a", Some(created));
    assert_eq!(scene.due(), ["a"], "never read");
    scene.board.note_attempt("a", scene.now);
    scene.pass(Duration::from_millis(milliseconds - 1500));
    assert_eq!(scene.due(), [""; 0]);
    scene.pass(3 * S / 2);
    assert_eq!(scene.due(), ["a"]);
}

#[test]
fn what_is_missing_is_sought_eagerly_at_first() {
    let mut scene = Scene::new();
    scene.track("a", Some("2025-12-24T12:00:00Z"));
    for _ in 0..5 {
        scene.board.note_attempt("a", scene.now);
        scene.board.note_missing("a");
        scene.pass(2 * S);
        assert_eq!(scene.due(), ["a"]);
    }
    scene.board.note_attempt("a", scene.now);
    scene.board.note_missing("a");
    scene.pass(2 * S);
    assert_eq!(scene.due(), [""; 0]);
}

#[test]
fn the_longest_unread_come_first() {
    let mut scene = Scene::new();
    for id in ["a", "b", "c"] {
        scene.track(id, None);
    }
    scene.board.note_attempt("b", scene.now);
    scene.pass(S);
    scene.board.note_attempt("a", scene.now);
    scene.pass(10 * S);
    assert_eq!(scene.due(), ["c", "b", "a"]);
}

#[test]
fn looks_are_slow_only_while_everything_waits_quietly() {
    let config = ObserverConfig::default();
    let mut scene = Scene::new();
    scene.track("a", None);
    assert_eq!(scene.board.pace(&config, scene.now), config.fast, "never seen");
    scene.record(json!({"id": "a", "status": "not-started"}));
    assert_eq!(scene.board.pace(&config, scene.now), config.fast, "it may start any moment");
    scene.pass(config.calm);
    assert_eq!(scene.board.pace(&config, scene.now), config.slow);
    scene.track("b", None);
    assert_eq!(scene.board.pace(&config, scene.now), config.fast);
    scene.record(json!({"id": "b", "status": "running"}));
    scene.pass(config.calm);
    assert_eq!(scene.board.pace(&config, scene.now), config.fast);
    scene.record(json!({"id": "b", "status": "succeeded"}));
    assert_eq!(scene.board.pace(&config, scene.now), config.slow);
}

const CONFIG: ObserverConfig =
    ObserverConfig { fast: Duration::from_secs(2), slow: Duration::from_secs(10), calm: S, list_retry: S, least: S };

/// An organization with a run that is tracked; nothing is ever sent.
fn organization(now: Instant) -> Organization {
    let mut organization = Organization::new(7);
    let config = ClientConfig {
        backend: "http://pulumi.invalid".into(),
        token: SecretValue::new("token".into(), String::new()),
        dialect: Dialect::Stacks,
        timeouts: Timeouts::default(),
        governor: Governor::new(Rate::default()),
    };
    let client = Client::new(config).unwrap();
    assert!(organization.connect("acme", client.clone()));
    assert!(!organization.connect("acme", client), "the same one");
    let mut scene = Scene::new();
    scene.track("a", None);
    let run = scene.board.run("a").unwrap().clone();
    organization.board.track(run, now);
    organization
}

fn look(organization: &mut Organization, now: Instant) -> Order {
    match organization.next(7, &CONFIG, now) {
        Next::Look(order) => order,
        Next::End | Next::Wait(..) => panic!("no look"),
    }
}

#[test]
fn there_is_one_task_at_a_time() {
    let now = Instant::now();
    let mut organization = organization(now);
    assert!(organization.needs_task());
    assert!(!organization.needs_task());
    assert!(matches!(organization.next(6, &CONFIG, now), Next::End), "one of an organization of before");
    look(&mut organization, now);
    organization.board.untrack("a");
    assert!(!organization.needs_task());
    assert!(matches!(organization.next(7, &CONFIG, now), Next::End));
    assert!(!organization.needs_task(), "nothing to look for");
}

#[test]
fn looks_that_fail_are_further_and_further_apart() {
    let mut now = Instant::now();
    let mut organization = organization(now);
    for (failures, seconds) in [(1, 4), (2, 8), (3, 16), (4, 32), (5, 32)] {
        let order = look(&mut organization, now);
        assert_eq!(order.impatient, failures > 3);
        let failure = Some(Error::local(Class::Unavailable, "Test", "it broke"));
        organization.conclude("acme", &order, Outcome { failure, ..Outcome::default() });
        assert!(organization.health(now).degraded.is_some_and(|reason| reason.contains("it broke")));
        let Next::Wait(until, _) = organization.next(7, &CONFIG, now) else { panic!("no wait") };
        assert_eq!(until, now + seconds * S);
        now = until;
    }
    let order = look(&mut organization, now);
    organization.conclude("acme", &order, Outcome { complete: true, ..Outcome::default() });
    now += 2 * S;
    look(&mut organization, now);
    let health = organization.health(now);
    assert_eq!((health.degraded, health.lag, health.blind, health.active), (None, Some(2 * S), Some(2 * S), 1));
}

#[test]
fn a_refused_list_is_tried_again_later() {
    let now = Instant::now();
    let mut organization = organization(now);
    let order = look(&mut organization, now);
    assert!(order.with_list);
    let list_refused = Some(Error::local(Class::Forbidden, "Test", "no"));
    organization.conclude("acme", &order, Outcome { complete: true, list_refused, failure: None });
    let reason = organization.health(now).degraded;
    assert!(reason.is_some());
    assert_eq!(organization.health(now).lasting, reason, "at once, since it is not tried again soon");

    let config = ObserverConfig { list_retry: 3 * S, ..CONFIG };
    let Next::Look(order) = organization.next(7, &config, now + 2 * S) else { panic!("no look") };
    assert!(!order.with_list);
    organization.conclude("acme", &order, Outcome { complete: true, ..Outcome::default() });
    assert_eq!(organization.health(now).degraded, reason, "it still holds");
    let Next::Look(order) = organization.next(7, &config, now + 4 * S) else { panic!("no look") };
    assert!(order.with_list);
    organization.conclude("acme", &order, Outcome { complete: true, ..Outcome::default() });
    assert_eq!(organization.health(now).degraded, None);
}

#[test]
fn trouble_that_lasts_is_told_when_it_begins_and_when_it_ends() {
    let mut now = Instant::now();
    let mut organization = organization(now);
    organization.listener = Some(Arc::new(|| ()));
    let mut told = vec![];
    for fails in [true, true, true, true, false, false] {
        now += 60 * S;
        let order = look(&mut organization, now);
        let failure = fails.then(|| Error::local(Class::Unavailable, "Test", "no"));
        let outcome = Outcome { complete: !fails, failure, ..Outcome::default() };
        told.push(organization.conclude("acme", &order, outcome).is_some());
        assert_eq!(organization.health(now).degraded.is_some(), fails);
    }
    assert_eq!(told, [false, false, true, false, true, false]);
}

#[test]
fn what_a_replaced_client_found_out_no_longer_counts() {
    let now = Instant::now();
    let mut organization = organization(now);
    let order = look(&mut organization, now);
    organization.disconnect();
    let failure = Some(Error::local(Class::Unauthorized, "Test", "no"));
    organization.conclude("acme", &order, Outcome { failure, ..Outcome::default() });
    assert_eq!(organization.health(now).degraded, None);
}
