//! The lock and the task around the state machine, in real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::pulumi::error::Class;
use crate::pulumi::governor::{Admission, CallClass, Gate, Governor, Permit, Rate, Waiter};

const PATIENCE: Duration = Duration::from_secs(10);

fn rate(per_second: f64, burst: u32) -> Rate {
    Rate { per_second, burst }
}

fn granted(admission: Admission) -> Permit {
    match admission {
        Admission::Granted(permit) => permit,
        Admission::Ticket => panic!("a ticket"),
    }
}

/// A waiter, and what its wake rings.
fn waiter(key: &str) -> (Waiter, Arc<Notify>) {
    let bell = Arc::new(Notify::new());
    let rung = Arc::clone(&bell);
    (Waiter { key: key.to_owned(), wake: Arc::new(move || rung.notify_one()) }, bell)
}

#[tokio::test]
async fn a_ticket_becomes_a_permit() {
    let governor = Governor::new(rate(100.0, 1));
    let (x, bell) = waiter("x");
    let mut permit = granted(governor.try_acquire(CallClass::Create, "a", &x, 1));
    assert!(matches!(governor.try_acquire(CallClass::Create, "a", &x, 1), Admission::Ticket));
    permit.spend().unwrap();
    timeout(PATIENCE, bell.notified()).await.unwrap();
    granted(governor.try_acquire(CallClass::Create, "a", &x, 1));
}

#[tokio::test]
async fn unspent_units_go_back() {
    let governor = Governor::new(rate(0.01, 5));
    let (x, _) = waiter("x");
    let mut permit = granted(governor.try_acquire(CallClass::Create, "a", &x, 5));
    permit.spend().unwrap();
    permit.spend().unwrap();
    assert_eq!(permit.remaining(), 3);
    assert_eq!((governor.snapshot().available, governor.snapshot().lent), (0, 3));
    drop(permit);
    assert_eq!((governor.snapshot().available, governor.snapshot().lent), (3, 0));
}

#[tokio::test]
async fn a_permit_is_good_for_its_units_only() {
    let governor = Governor::new(rate(100.0, 5));
    let mut permit = governor.acquire(CallClass::Create, "a", 1).await;
    permit.spend().unwrap();
    assert_eq!(permit.spend().unwrap_err().class(), Class::NotSent);
    let mut unlimited = Permit::unlimited();
    for _ in 0..1000 {
        unlimited.spend().unwrap();
    }
}

#[tokio::test]
async fn a_permit_is_worth_nothing_while_the_gate_is_closed() {
    let governor = Governor::new(rate(100.0, 5));
    let mut permit = governor.acquire(CallClass::Create, "a", 2).await;
    governor.throttled(Instant::now(), Some(Duration::from_secs(7)));
    let error = permit.spend().unwrap_err();
    assert_eq!(error.class(), Class::Throttled);
    assert!(error.retry_after().unwrap() > Duration::from_secs(5));
    governor.rejected(Instant::now());
    assert_eq!(permit.spend().unwrap_err().class(), Class::Unauthorized);
    assert_eq!(permit.remaining(), 2);
    assert_eq!(governor.snapshot().gate, Gate::Rejected);
    Permit::unlimited().spend().unwrap();
}

#[tokio::test]
async fn background_tasks_wait_and_all_get_through() {
    let governor = Governor::new(rate(500.0, 2));
    let tasks = (0..50).map(|task| {
        let governor = Arc::clone(&governor);
        tokio::spawn(async move {
            let mut permit = governor.acquire(CallClass::Observe, &format!("t{}", task % 3), 2).await;
            permit.spend().unwrap();
        })
    });
    timeout(PATIENCE, futures::future::join_all(tasks)).await.unwrap();
    assert_eq!(governor.snapshot().lent, 0);
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_the_line() {
    let governor = Governor::new(rate(0.01, 1));
    let mut permit = governor.acquire(CallClass::Create, "a", 1).await;
    permit.spend().unwrap();
    let wait = governor.acquire(CallClass::Observe, "a", 1);
    assert!(timeout(Duration::from_millis(10), wait).await.is_err());
    assert_eq!(governor.snapshot().queued[&CallClass::Observe], 0);
}

#[tokio::test]
async fn a_new_token_wakes_those_who_waited_for_it() {
    let governor = Governor::new(rate(100.0, 5));
    governor.rejected(Instant::now());
    let (x, bell) = waiter("x");
    assert!(matches!(governor.try_acquire(CallClass::Create, "a", &x, 1), Admission::Ticket));
    assert_eq!(governor.snapshot().queued[&CallClass::Create], 1);
    governor.token_changed();
    timeout(PATIENCE, bell.notified()).await.unwrap();

    governor.rejected(Instant::now());
    assert!(matches!(governor.try_acquire(CallClass::Drift, "a", &x, 1), Admission::Ticket));
    governor.retire();
    timeout(PATIENCE, bell.notified()).await.unwrap();
}

#[tokio::test]
async fn who_makes_sure_of_a_rejection_is_not_told_of_it_again() {
    let governor = Governor::new(rate(100.0, 5));
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let wake = move || {
        count.fetch_add(1, Ordering::Relaxed);
    };
    governor.on_rejection("a", Arc::new(wake));
    for _ in 0..3 {
        governor.rejected(Instant::now());
    }
    assert_eq!(told.load(Ordering::Relaxed), 1);
    let sent_before = Instant::now();
    governor.token_changed();
    governor.rejected(sent_before);
    assert_eq!((governor.snapshot().gate, told.load(Ordering::Relaxed)), (Gate::Open, 1));
    governor.rejected(Instant::now());
    assert_eq!((governor.snapshot().gate, told.load(Ordering::Relaxed)), (Gate::Rejected, 2));
}

#[tokio::test]
async fn a_waiter_that_panics_does_not_cost_the_others_their_turn() {
    let governor = Governor::new(rate(200.0, 1));
    let mut permit = governor.acquire(CallClass::Create, "a", 1).await;
    let bad = Waiter { key: "bad".into(), wake: Arc::new(|| panic!("on purpose")) };
    let (good, bell) = waiter("good");
    assert!(matches!(governor.try_acquire(CallClass::Create, "a", &bad, 1), Admission::Ticket));
    assert!(matches!(governor.try_acquire(CallClass::Create, "a", &good, 1), Admission::Ticket));
    permit.spend().unwrap();
    // The bad one's turn runs out after 5 s; forgetting it is what its owner would do.
    let woken = async {
        while governor.snapshot().queued[&CallClass::Create] > 1 {
            tokio::task::yield_now().await;
        }
        governor.forget("bad");
        bell.notified().await;
    };
    timeout(PATIENCE, woken).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_lost_under_contention() {
    let governor = Governor::new(rate(5000.0, 10));
    let done = Arc::new(AtomicUsize::new(0));
    let tasks = (0..200).map(|task| {
        let (governor, done) = (Arc::clone(&governor), Arc::clone(&done));
        tokio::spawn(async move {
            let (waiter, bell) = waiter(&format!("w{task}"));
            let class = CallClass::ALL[task % 4];
            loop {
                match governor.try_acquire(class, &format!("t{}", task % 7), &waiter, 1) {
                    Admission::Granted(mut permit) => {
                        permit.spend().unwrap();
                        break;
                    }
                    Admission::Ticket => bell.notified().await,
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
        })
    });
    timeout(PATIENCE, futures::future::join_all(tasks)).await.unwrap();
    assert_eq!(done.load(Ordering::Relaxed), 200);
    assert_eq!(governor.snapshot().lent, 0);
}
