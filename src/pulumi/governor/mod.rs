//! The request budget that everything using one token shares.
//!
//! A reconcile never waits for it: it gets a [`Permit`], or a ticket and is woken when its turn has come. The decisions
//! are made by a state machine that knows no clock and no runtime (`budget`); around it there is only a lock and
//! one task, which exists while somebody waits.
//!
//! (The `governor` crate on crates.io can't change its rate in place, take back what was not used, or hold a turn.)

mod bucket;
mod budget;
mod gate;
mod permit;
mod queue;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use budget::{Answer, Budget};

use super::meter::{Meter, Unmetered};

pub use gate::Gate;
pub use permit::Permit;
pub use rate::{CallClass, Rate};

/// How a waiter is told that its turn has come. It is called outside any lock and must not block.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Someone who can be woken.
#[derive(Clone)]
pub struct Waiter {
    /// Who it is; a waiter is in each class's line at most once.
    pub key: String,
    /// Called when its turn has come. It then has 5 s to ask again.
    pub wake: Wake,
}

impl fmt::Debug for Waiter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Waiter").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The answer to a request for units.
#[derive(Debug)]
pub enum Admission {
    /// Go ahead.
    Granted(Permit),
    /// Not now; the waiter will be woken.
    Ticket,
}

/// What a budget looks like from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct GovernorSnapshot {
    /// Whole units that could be granted now.
    pub available: u32,
    /// Units that are granted and not yet used, turns that are being held included.
    pub lent: u32,
    /// The rate in force: the lowest of those that were set, lowered further after a 429.
    pub rate: Rate,
    /// How many wait, by class.
    pub queued: BTreeMap<CallClass, usize>,
    /// Whether calls may be made at all.
    pub gate: Gate,
}

/// What is in line, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// How many wait.
    pub waiting: usize,
    /// How long the one has waited who has waited longest.
    pub longest: Duration,
}

/// The request budget of one token at one backend.
///
/// Its methods must be called within a Tokio runtime.
pub struct Governor {
    state: Mutex<State>,
    changed: Notify,
    /// Who wants to know that the token is rejected, by the names under which they set rates.
    on_rejection: Mutex<BTreeMap<String, Wake>>,
    meter: Arc<dyn Meter>,
}

struct State {
    budget: Budget<Wake>,
    /// Whether the task that lets time pass is there.
    ticking: bool,
}

impl Governor {
    /// A budget with this rate as long as no other is [set](Self::set_rate).
    #[must_use]
    pub fn new(rate: Rate) -> Arc<Self> {
        Self::metered(rate, Arc::new(Unmetered))
    }

    /// The same for somebody who counts what becomes of it, and the requests that are made with its permits.
    #[must_use]
    pub fn metered(rate: Rate, meter: Arc<dyn Meter>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { budget: Budget::new(rate, Instant::now()), ticking: false }),
            changed: Notify::new(),
            on_rejection: Mutex::default(),
            meter,
        })
    }

    /// Sets what one of the users of the token allows. The lowest of all holds.
    pub fn set_rate(self: &Arc<Self>, source: &str, rate: Rate) {
        self.change(|budget, now| budget.set_rate(now, source, rate));
    }

    /// Has one of the users of the token told when the service rejects it.
    pub fn on_rejection(&self, source: &str, wake: Wake) {
        self.on_rejection.lock().unwrap_or_else(PoisonError::into_inner).insert(source.to_owned(), wake);
    }

    /// Forgets what one of the users of the token allowed, and tells it nothing any more.
    pub fn remove_rate(self: &Arc<Self>, source: &str) {
        self.on_rejection.lock().unwrap_or_else(PoisonError::into_inner).remove(source);
        self.change(|budget, now| budget.remove_rate(now, source));
    }

    /// Asks for a number of requests. Never waits.
    ///
    /// With [`Admission::Ticket`] the waiter stands in line, once per key and class, however often it asks. Its
    /// `wake` is called when its turn has come; the units are then kept for it for 5 s, for the next call with the
    /// same key and class. Within a class, tenants take turns. More units than the burst are granted when nothing
    /// else is lent.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>, class: CallClass, tenant: &str, waiter: &Waiter, units: u32) -> Admission {
        let answer = self.change(|budget, now| budget.ask(now, class, tenant, &waiter.key, units, waiter.wake.clone()));
        match answer {
            Answer::Granted => Admission::Granted(Permit::new(Arc::clone(self), class, units)),
            Answer::Queued => Admission::Ticket,
        }
    }

    /// Waits for a number of requests: for background tasks. Dropping the future leaves the line.
    pub async fn acquire(self: &Arc<Self>, class: CallClass, tenant: &str, units: u32) -> Permit {
        static TASKS: AtomicU64 = AtomicU64::new(0);
        let turn = Arc::new(Notify::new());
        let rung = Arc::clone(&turn);
        let place = Place {
            governor: self,
            waiter: Waiter {
                // Can't be the name of anything in Kubernetes.
                key: format!("task {}", TASKS.fetch_add(1, Ordering::Relaxed)),
                wake: Arc::new(move || rung.notify_one()),
            },
        };
        loop {
            match self.try_acquire(class, tenant, &place.waiter, units) {
                Admission::Granted(permit) => return permit,
                Admission::Ticket => turn.notified().await,
            }
        }
    }

    /// Takes a waiter out of every line, and back what was set aside for it.
    pub fn forget(self: &Arc<Self>, key: &str) {
        self.change(|budget, now| budget.forget(now, key));
    }

    /// There is another token: a gate that a 401 closed opens.
    pub fn token_changed(self: &Arc<Self>) {
        self.change(Budget::token_changed);
    }

    /// Another governor takes over: everyone in line is woken at once, to ask there.
    pub fn retire(self: &Arc<Self>) {
        self.change(|budget, _| budget.retire());
    }

    /// Whether calls may be made at all. Looking changes nothing.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.lock().budget.gate(Instant::now())
    }

    /// Who waits, by class. Looking changes nothing.
    #[must_use]
    pub fn lines(&self) -> BTreeMap<CallClass, Line> {
        let (state, now) = (self.lock(), Instant::now());
        let line = |class| Line { waiting: state.budget.queued(class), longest: state.budget.longest_wait(now, class) };
        CallClass::ALL.map(|class| (class, line(class))).into()
    }

    /// Who counts.
    pub(super) fn meter(&self) -> &dyn Meter {
        &*self.meter
    }

    /// What it looks like now; whoever can gets a turn first.
    #[must_use]
    pub fn snapshot(self: &Arc<Self>) -> GovernorSnapshot {
        self.change(|budget, now| {
            budget.advance(now);
            GovernorSnapshot {
                available: whole(budget.available()),
                lent: budget.lent(),
                rate: budget.rate(),
                queued: CallClass::ALL.map(|class| (class, budget.queued(class))).into(),
                gate: budget.gate(now),
            }
        })
    }

    /// The service answered 429 to what was sent then.
    pub(super) fn throttled(self: &Arc<Self>, sent_at: Instant, retry_after: Option<Duration>) {
        if self.change(|budget, now| budget.throttled(now, sent_at, retry_after)) {
            self.meter.throttled();
        }
    }

    /// The service answered 401 to what was sent then. Whoever is told may call again with the same token to make
    /// sure: the answer to that is no news.
    pub(super) fn rejected(self: &Arc<Self>, sent_at: Instant) {
        if !self.change(|budget, now| budget.rejected(now, sent_at)) {
            return;
        }
        let told =
            self.on_rejection.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect::<Vec<_>>();
        ring(&told);
    }

    /// The service accepted what was sent then.
    pub(super) fn succeeded(self: &Arc<Self>, sent_at: Instant) {
        self.change(|budget, now| budget.succeeded(now, sent_at));
    }

    fn spend(self: &Arc<Self>) -> Result<(), Gate> {
        self.change(Budget::spend)
    }

    fn give_back(self: &Arc<Self>, units: u32) {
        self.change(|budget, now| budget.give_back(now, units));
    }

    /// Every change goes through here: whoever got a turn by it is woken, and the task that lets time pass is told.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut Budget<Wake>, Instant) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.budget, Instant::now());
        let (woken, waits) = (state.budget.take_woken(), state.budget.take_waits());
        let busy = !state.budget.is_idle();
        let start = busy && !state.ticking;
        state.ticking |= start;
        drop(state);
        if start {
            tokio::spawn(Arc::clone(self).tick());
        } else if busy {
            self.changed.notify_one();
        }
        self.tell(waits);
        ring(&woken);
        result
    }

    /// Lets time pass as long as somebody waits.
    async fn tick(self: Arc<Self>) {
        loop {
            let (woken, waits, deadline) = {
                let mut state = self.lock();
                let now = Instant::now();
                state.budget.advance(now);
                let (woken, waits) = (state.budget.take_woken(), state.budget.take_waits());
                let deadline = state.budget.deadline(now);
                state.ticking = !state.budget.is_idle();
                if !state.ticking {
                    return;
                }
                (woken, waits, deadline)
            };
            self.tell(waits);
            ring(&woken);
            match deadline {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.changed.notified()).await;
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn tell(&self, waits: Vec<(CallClass, Duration)>) {
        for (class, waited) in waits {
            self.meter.waited(class, waited);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        out.debug_struct("Governor")
            .field("rate", &state.budget.rate())
            .field("available", &state.budget.available())
            .field("lent", &state.budget.lent())
            .finish_non_exhaustive()
    }
}

/// A background task's place in the line.
struct Place<'a> {
    governor: &'a Arc<Governor>,
    waiter: Waiter,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.governor.forget(&self.waiter.key);
    }
}

/// One waiter that panics must not cost the others their turn.
fn ring(woken: &[Wake]) {
    for wake in woken {
        if catch_unwind(AssertUnwindSafe(|| wake())).is_err() {
            tracing::error!("a waiter of the request budget panicked when it was woken");
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; `as` saturates")]
fn whole(units: f64) -> u32 {
    (units + 1e-6) as u32
}
