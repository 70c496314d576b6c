//! Tests of the governor: the state machine without a clock, and the shell around it.

mod properties;
mod shell;

use std::time::Duration;

use rstest::rstest;
use tokio::time::Instant;

use super::budget::{Answer, Budget, TURN};
use super::{CallClass, Gate, Rate};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A budget and a clock that a test moves.
struct Scene {
    budget: Budget<String>,
    now: Instant,
}

impl Scene {
    fn new(per_second: f64, burst: u32) -> Self {
        let now = Instant::now();
        Self { budget: Budget::new(Rate { per_second, burst }, now), now }
    }

    fn ask(&mut self, class: CallClass, tenant: &str, key: &str, units: u32) -> Answer {
        self.budget.ask(self.now, class, tenant, key, units, key.to_owned())
    }

    /// Grants and uses up everything there is.
    fn empty(&mut self) {
        while self.ask(CallClass::Cancel, "", "emptier", 1) == Answer::Granted {
            self.budget.spend(self.now).unwrap();
        }
        self.budget.forget(self.now, "emptier");
    }

    fn wait(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.budget.advance(self.now);
        self.budget.take_woken()
    }

    /// Waits for the next thing that happens by itself.
    fn step(&mut self) -> Option<Vec<String>> {
        self.now = self.now.max(self.budget.deadline(self.now)?);
        Some(self.wait(Duration::ZERO))
    }
}

#[test]
fn a_burst_and_then_the_rate() {
    let mut scene = Scene::new(10.0, 3);
    for _ in 0..3 {
        assert_eq!(scene.ask(CallClass::Create, "a", "x", 1), Answer::Granted);
        scene.budget.spend(scene.now).unwrap();
    }
    assert_eq!(scene.ask(CallClass::Create, "a", "x", 1), Answer::Queued);
    assert_eq!(scene.wait(99 * MS), [""; 0]);
    assert_eq!(scene.wait(2 * MS), ["x"]);
    assert_eq!(scene.ask(CallClass::Create, "a", "x", 1), Answer::Granted);
}

#[test]
fn what_is_lent_counts_as_there() {
    let mut scene = Scene::new(10.0, 2);
    assert_eq!(scene.ask(CallClass::Create, "a", "x", 2), Answer::Granted);
    // However long they are kept, nothing fills up behind them.
    assert_eq!(scene.wait(60 * S), [""; 0]);
    assert_eq!(scene.ask(CallClass::Create, "a", "y", 1), Answer::Queued);
    assert_eq!(scene.budget.deadline(scene.now), None);
    scene.budget.give_back(scene.now, 2);
    assert_eq!(scene.wait(Duration::ZERO), ["y"]);
}

#[test]
fn more_than_the_burst_leaves_a_debt() {
    let mut scene = Scene::new(1.0, 2);
    assert_eq!(scene.ask(CallClass::Create, "a", "x", 5), Answer::Granted);
    for _ in 0..5 {
        scene.budget.spend(scene.now).unwrap();
    }
    assert_eq!(scene.ask(CallClass::Create, "a", "y", 1), Answer::Queued);
    assert_eq!(scene.wait(3900 * MS), [""; 0]);
    assert_eq!(scene.wait(200 * MS), ["y"]);
}

#[test]
fn a_debt_is_paid_off_from_when_it_is_spent() {
    let mut scene = Scene::new(5.0, 1);
    for _ in 0..2 {
        assert_eq!(scene.ask(CallClass::Create, "a", "x", 2), Answer::Granted);
        // Nothing is paid off while the loan is kept: otherwise the second one would follow too soon on its heels.
        assert_eq!(scene.wait(60 * S), [""; 0]);
        scene.budget.spend(scene.now).unwrap();
        scene.budget.spend(scene.now).unwrap();
        assert_eq!(scene.ask(CallClass::Create, "a", "x", 2), Answer::Queued);
        assert_eq!(scene.wait(399 * MS), [""; 0]);
        assert_eq!(scene.wait(2 * MS), ["x"]);
    }
}

#[test]
fn a_turn_is_kept_for_five_seconds() {
    let mut scene = Scene::new(1.0, 1);
    scene.empty();
    scene.ask(CallClass::Create, "a", "x", 1);
    scene.ask(CallClass::Create, "a", "y", 1);
    assert_eq!(scene.wait(1001 * MS), ["x"]);
    assert_eq!(scene.wait(4999 * MS), [""; 0], "nobody else gets it meanwhile");
    assert_eq!(scene.ask(CallClass::Create, "a", "x", 1), Answer::Granted);
    scene.budget.spend(scene.now).unwrap();

    assert_eq!(scene.wait(1001 * MS), ["y"]);
    assert_eq!(scene.wait(TURN), [""; 0]);
    assert!(scene.budget.is_idle(), "a waiter that does not come is forgotten");
    assert_eq!(scene.ask(CallClass::Drift, "b", "z", 1), Answer::Granted);
}

#[test]
fn a_turn_may_be_used_for_less_or_more() {
    let mut scene = Scene::new(10.0, 10);
    scene.empty();
    scene.ask(CallClass::Create, "a", "x", 4);
    assert_eq!(scene.wait(401 * MS), ["x"]);
    assert_eq!(scene.ask(CallClass::Create, "a", "x", 1), Answer::Granted);
    assert_eq!(scene.budget.lent(), 1);
    scene.budget.spend(scene.now).unwrap();

    scene.ask(CallClass::Create, "a", "y", 4);
    assert_eq!(scene.wait(101 * MS), ["y"]);
    assert_eq!(scene.ask(CallClass::Create, "a", "y", 6), Answer::Queued, "not enough for that yet");
    assert_eq!(scene.wait(200 * MS), ["y"]);
    assert_eq!(scene.ask(CallClass::Create, "a", "y", 6), Answer::Granted);
}

#[test]
fn a_waiter_stands_in_line_once() {
    let mut scene = Scene::new(1.0, 1);
    scene.empty();
    for _ in 0..5 {
        assert_eq!(scene.ask(CallClass::Create, "a", "x", 1), Answer::Queued);
    }
    scene.ask(CallClass::Create, "a", "y", 1);
    assert_eq!(scene.budget.queued(CallClass::Create), 2);
    // Asking again keeps the place; as another tenant it is another line.
    scene.ask(CallClass::Create, "b", "x", 1);
    assert_eq!(scene.budget.queued(CallClass::Create), 2);
    assert_eq!(scene.wait(1001 * MS), ["y"]);
}

#[test]
fn the_urgent_go_first() {
    let mut scene = Scene::new(1.0, 1);
    scene.empty();
    for (class, key) in
        [(CallClass::Drift, "d"), (CallClass::Observe, "o"), (CallClass::Create, "c"), (CallClass::Cancel, "x")]
    {
        scene.ask(class, "a", key, 1);
    }
    let mut order = Vec::new();
    while let Some(woken) = scene.step() {
        for key in woken {
            scene.budget.forget(scene.now, &key);
            scene.empty();
            order.push(key);
        }
    }
    assert_eq!(order, ["x", "c", "o", "d"]);
}

#[test]
fn someone_who_wants_much_is_not_overtaken() {
    let mut scene = Scene::new(10.0, 10);
    scene.empty();
    scene.ask(CallClass::Create, "a", "much", 10);
    assert_eq!(scene.ask(CallClass::Drift, "a", "little", 1), Answer::Queued);
    assert_eq!(scene.wait(900 * MS), [""; 0]);
    assert_eq!(scene.wait(101 * MS), ["much"]);
}

#[test]
fn whoever_is_forgotten_is_not_woken() {
    let mut scene = Scene::new(1.0, 1);
    scene.empty();
    scene.ask(CallClass::Create, "a", "x", 1);
    scene.ask(CallClass::Observe, "a", "x", 1);
    scene.ask(CallClass::Create, "a", "y", 1);
    scene.budget.forget(scene.now, "x");
    assert_eq!(scene.wait(1001 * MS), ["y"]);
    // Its turn goes to the next one.
    scene.ask(CallClass::Create, "a", "z", 1);
    scene.budget.forget(scene.now, "y");
    assert_eq!(scene.wait(Duration::ZERO), ["z"]);
}

#[test]
fn the_lowest_of_several_rates_holds() {
    let mut scene = Scene::new(10.0, 20);
    let rate = |per_second, burst| Rate { per_second, burst };
    scene.budget.set_rate(scene.now, "a", rate(100.0, 5));
    scene.budget.set_rate(scene.now, "b", rate(50.0, 50));
    assert_eq!(scene.budget.rate(), rate(50.0, 5));
    scene.budget.remove_rate(scene.now, "b");
    assert_eq!(scene.budget.rate(), rate(100.0, 5));
    scene.budget.remove_rate(scene.now, "a");
    assert_eq!(scene.budget.rate(), rate(10.0, 20));
}

#[rstest]
#[case(f64::NAN, 0)]
#[case(-1.0, 1)]
#[case(f64::INFINITY, u32::MAX)]
#[case(0.0, 7)]
fn rates_that_make_no_sense_still_work(#[case] per_second: f64, #[case] burst: u32) {
    let mut scene = Scene::new(per_second, burst);
    assert_eq!(scene.ask(CallClass::Create, "a", "x", 1), Answer::Granted);
    scene.budget.spend(scene.now).unwrap();
    scene.ask(CallClass::Create, "a", "y", u32::MAX);
    let _ = scene.budget.deadline(scene.now);
}

#[test]
fn a_lower_rate_does_not_punish_for_what_is_lent() {
    let mut scene = Scene::new(10.0, 20);
    scene.ask(CallClass::Create, "a", "x", 20);
    scene.budget.set_rate(scene.now, "a", Rate { per_second: 1.0, burst: 2 });
    for _ in 0..20 {
        scene.budget.spend(scene.now).unwrap();
    }
    scene.ask(CallClass::Create, "a", "y", 1);
    assert_eq!(scene.wait(1001 * MS), ["y"]);
}

#[test]
fn a_lower_rate_does_not_punish_for_what_is_returned() {
    let mut scene = Scene::new(10.0, 20);
    scene.ask(CallClass::Create, "a", "x", 20);
    scene.budget.set_rate(scene.now, "a", Rate { per_second: 1.0, burst: 2 });
    for _ in 0..20 {
        scene.budget.give_back(scene.now, 1);
    }
    assert_eq!(scene.ask(CallClass::Create, "a", "y", 2), Answer::Granted);
    assert_eq!(scene.ask(CallClass::Create, "a", "z", 1), Answer::Queued, "and no more than the new burst is there");
}

#[test]
fn nothing_goes_out_until_retry_after() {
    let mut scene = Scene::new(10.0, 20);
    scene.ask(CallClass::Create, "a", "holder", 5);
    scene.budget.throttled(scene.now, scene.now, Some(7 * S));
    assert_eq!(scene.budget.spend(scene.now), Err(Gate::Throttled { remaining: 7 * S }));
    scene.budget.give_back(scene.now, 5);
    assert_eq!(scene.ask(CallClass::Cancel, "a", "x", 1), Answer::Queued);
    assert_eq!(scene.budget.deadline(scene.now), Some(scene.now + 7 * S));
    assert_eq!(scene.wait(6999 * MS), [""; 0]);
    // Neither a burst nor the full rate right after it: half of 10 per second.
    assert_eq!(scene.wait(MS), [""; 0]);
    assert_eq!(scene.wait(201 * MS), ["x"]);
    assert!((scene.budget.rate().per_second - 5.0).abs() < 1e-9);
}

#[test]
fn nothing_goes_out_with_a_rejected_token() {
    let mut scene = Scene::new(10.0, 20);
    scene.ask(CallClass::Create, "a", "holder", 1);
    assert!(scene.budget.rejected(scene.now, scene.now));
    assert_eq!(scene.budget.spend(scene.now), Err(Gate::Rejected));
    assert_eq!(scene.ask(CallClass::Create, "a", "x", 1), Answer::Queued);
    assert_eq!(scene.budget.deadline(scene.now), None);
    assert_eq!(scene.wait(3600 * S), [""; 0]);
    scene.budget.token_changed(scene.now);
    assert_eq!(scene.budget.take_woken(), ["x"]);
}

#[test]
fn a_successor_takes_everyone_over() {
    let mut scene = Scene::new(1.0, 1);
    scene.budget.rejected(scene.now, scene.now);
    scene.ask(CallClass::Create, "a", "x", 1);
    scene.ask(CallClass::Drift, "b", "y", 1);
    scene.budget.retire();
    assert_eq!(scene.budget.take_woken(), ["x", "y"]);
    assert!(scene.budget.is_idle());
}
