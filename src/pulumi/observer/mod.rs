//! The informer of the Pulumi side: follows runs and wakes whoever waits for news of them.
//!
//! There is one task per organization with runs that go on. It reads the organization's list, so that the number of
//! calls depends on time and not on the number of runs, and only what the list does not show by id. `board` keeps
//! what is known and decides what is due, `organization` when to look, and `look` does the reading; here is the
//! handle that others use, and the task.

mod board;
mod difference;
mod look;
mod organization;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::time::Instant;

use board::Board;
use look::{Look, Outcome};
use organization::{Next, Organization};

use super::client::Client;
use super::governor::{Gate, Wake};
use super::stack::StackId;
use super::wire::Deployment;

pub use difference::shows_difference;

/// How many runs are read by id in one look.
const BY_ID: usize = 20;

/// How often to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObserverConfig {
    /// Between two looks while something runs, or has just been new.
    pub fast: Duration,
    /// Between two looks while everything waits in queues.
    pub slow: Duration,
    /// How long nothing must have been new before looks are slow.
    pub calm: Duration,
    /// Between two attempts to read a list that was refused.
    pub list_retry: Duration,
    /// Between two looks, however often someone asks for one.
    pub least: Duration,
}

impl Default for ObserverConfig {
    /// 2 s, 10 s, 30 s, 60 s, 250 ms.
    fn default() -> Self {
        Self {
            fast: Duration::from_secs(2),
            slow: Duration::from_secs(10),
            calm: Duration::from_secs(30),
            list_retry: Duration::from_secs(60),
            least: Duration::from_millis(250),
        }
    }
}

/// A run to follow.
#[derive(Clone)]
pub struct TrackedRun {
    /// The run's id.
    pub id: String,
    /// Its stack.
    pub stack: StackId,
    /// Its number within the stack.
    pub version: u64,
    /// When it was created, as far as known: how far back in the list it may stand.
    pub created: Option<Timestamp>,
    /// Called when there is news of it. It must not block.
    pub wake: Wake,
}

impl fmt::Debug for TrackedRun {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TrackedRun({} of {})", self.id, self.stack)
    }
}

/// What is known about a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sighting {
    /// The latest look at it, without its configuration. `None`: it has never been seen, only missed.
    pub run: Option<Arc<Deployment>>,
    /// How often in a row the service has said, in its own JSON and to a token that it accepted at the same time,
    /// that there is no such run. One time never means gone.
    pub missing: u32,
}

/// How well an organization's runs can be followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Health {
    /// Why they can't be followed as they should be, in a sentence.
    pub degraded: Option<String>,
    /// The same, when it will not have passed by the next look: a list that is refused, or look after look that failed.
    pub lasting: Option<String>,
    /// How long ago the last look began that showed all that was due. `None`: there has been none since something
    /// has been followed.
    pub lag: Option<Duration>,
    /// For how long runs that have not ended are followed without such a look. `None`: none is followed.
    pub blind: Option<Duration>,
    /// How many runs that have not ended are followed.
    pub active: usize,
}

/// Follows runs. A cheap handle; its tasks end when the last one is dropped.
///
/// Its methods must be called within a Tokio runtime.
pub struct Observer {
    config: ObserverConfig,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    organizations: HashMap<String, Organization>,
    /// Which organization's board a run is on.
    places: HashMap<String, String>,
    /// Tells an organization from one that had its key before.
    epoch: u64,
}

impl State {
    fn organization(&mut self, key: &str) -> &mut Organization {
        let State { organizations, epoch, .. } = self;
        organizations.entry(key.to_owned()).or_insert_with(|| {
            *epoch += 1;
            Organization::new(*epoch)
        })
    }
}

impl Observer {
    /// An observer that follows nothing yet.
    #[must_use]
    pub fn new(config: ObserverConfig) -> Arc<Self> {
        Arc::new(Self { config, state: Mutex::default() })
    }

    /// Sets, or replaces, the client that an organization's runs are read with. `organization_key` is the name the
    /// caller has for it, `organization` the one in Pulumi Cloud. Nothing happens when it is the same client (or a
    /// clone of it).
    pub fn connect(self: &Arc<Self>, organization_key: &str, organization: &str, client: Client) {
        let mut state = self.lock();
        let office = state.organization(organization_key);
        if office.connect(organization, client) {
            self.watch(organization_key, office);
        }
    }

    /// Has somebody told when lasting trouble with following an organization's runs begins, changes or ends.
    pub fn on_trouble(&self, organization_key: &str, wake: Wake) {
        self.lock().organization(organization_key).listener = Some(wake);
    }

    /// Stops reading an organization's runs. What is known of them stays.
    pub fn disconnect(&self, organization_key: &str) {
        let mut state = self.lock();
        if let Some(office) = state.organizations.get_mut(organization_key) {
            office.disconnect();
            if office.board.is_empty() {
                state.organizations.remove(organization_key);
            }
        }
    }

    /// Follows a run from now on; `wake` is called whenever there is news of it. For a run that is followed already
    /// it replaces `wake` and keeps what is known.
    pub fn track(self: &Arc<Self>, organization_key: &str, run: TrackedRun) {
        let mut state = self.lock();
        let before = state.places.insert(run.id.clone(), organization_key.to_owned());
        if let Some(before) = before.filter(|before| before != organization_key)
            && let Some(office) = state.organizations.get_mut(&before)
        {
            office.board.untrack(&run.id);
        }
        let office = state.organization(organization_key);
        if office.board.track(run, Instant::now()) {
            self.watch(organization_key, office);
        }
    }

    /// Follows a run no longer, and forgets what is known of it.
    pub fn untrack(&self, id: &str) {
        let mut state = self.lock();
        let Some(key) = state.places.remove(id) else { return };
        let Some(office) = state.organizations.get_mut(&key) else { return };
        office.board.untrack(id);
        if office.board.is_empty() && !office.is_connected() {
            state.organizations.remove(&key);
        }
    }

    /// What is known about a run that is followed.
    #[must_use]
    pub fn snapshot(&self, id: &str) -> Option<Sighting> {
        let state = self.lock();
        let key = state.places.get(id)?;
        state.organizations.get(key)?.board.sighting(id)
    }

    /// Looks at an organization's runs soon.
    pub fn poke(self: &Arc<Self>, organization_key: &str) {
        if let Some(office) = self.lock().organizations.get_mut(organization_key) {
            office.look_now = true;
            self.watch(organization_key, office);
        }
    }

    /// How well an organization's runs can be followed.
    #[must_use]
    pub fn health(&self, organization_key: &str) -> Health {
        let noted = self.on(organization_key, |office| (office.health(Instant::now()), office.client().cloned()));
        let Some((mut health, client)) = noted else { return Health::default() };
        if health.active > 0 && health.degraded.is_none() {
            // Not under the lock: a governor has one of its own.
            let trouble = match client.map(|client| client.governor().gate()) {
                None => Some("there is no connection to read runs with"),
                Some(Gate::Open) => None,
                Some(Gate::Throttled { .. }) => Some("Pulumi Cloud has asked for a pause (429)"),
                Some(Gate::Rejected) => Some("Pulumi Cloud has rejected the access token (401)"),
            };
            health.degraded = trouble.map(str::to_owned);
        }
        health
    }

    /// How well the runs of all organizations can be followed.
    #[must_use]
    pub fn health_of_all(&self) -> Vec<Health> {
        let keys: Vec<String> = self.lock().organizations.keys().cloned().collect();
        keys.iter().map(|key| self.health(key)).collect()
    }

    /// Sees to it that the organization's task is there and thinks again.
    fn watch(self: &Arc<Self>, key: &str, office: &mut Organization) {
        if office.needs_task() {
            tokio::spawn(watch(Arc::downgrade(self), key.to_owned(), office.epoch()));
        }
    }

    /// Decides what an organization's task does next.
    fn next(&self, key: &str, epoch: u64) -> Next {
        let next = |office: &mut Organization| office.next(epoch, &self.config, Instant::now());
        self.on(key, next).unwrap_or(Next::End)
    }

    fn active(&self, key: &str) -> HashSet<String> {
        self.on_board(key, |board| board.active().map(str::to_owned).collect())
    }

    fn oldest(&self, key: &str, ids: &HashSet<String>) -> Option<Timestamp> {
        self.on_board(key, |board| board.oldest(ids.iter().map(String::as_str)))
    }

    fn due(&self, key: &str, ids: &HashSet<String>) -> Vec<(String, StackId)> {
        let fast = self.config.fast;
        self.on_board(key, |board| {
            let ids = ids.iter().map(String::as_str);
            let due = board.due(ids, fast, Instant::now(), Timestamp::now());
            due.into_iter()
                .take(BY_ID)
                .filter_map(|id| Some((board.run(&id)?.stack.clone(), id)))
                .map(|(stack, id)| (id, stack))
                .collect()
        })
    }

    fn record(&self, key: &str, runs: Vec<Deployment>) {
        let now = Instant::now();
        let news: Vec<Wake> =
            self.on_board(key, |board| runs.into_iter().filter_map(|run| board.record(run, now)).collect());
        ring(&news);
    }

    fn note_attempt(&self, key: &str, id: &str) {
        self.on_board(key, |board| board.note_attempt(id, Instant::now()));
    }

    fn note_missing(&self, key: &str, ids: &[String]) {
        let news: Vec<Wake> = self.on_board(key, |board| ids.iter().filter_map(|id| board.note_missing(id)).collect());
        ring(&news);
    }

    fn on_board<T: Default>(&self, key: &str, look: impl FnOnce(&mut Board) -> T) -> T {
        self.on(key, |office| look(&mut office.board)).unwrap_or_default()
    }

    fn on<T>(&self, key: &str, look: impl FnOnce(&mut Organization) -> T) -> Option<T> {
        self.lock().organizations.get_mut(key).map(look)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Observer({} runs)", self.lock().places.len())
    }
}

/// An organization's task: looks as long as there is something to look for.
async fn watch(observer: Weak<Observer>, key: String, epoch: u64) {
    loop {
        let Some(observer) = observer.upgrade() else { return };
        match observer.next(&key, epoch) {
            Next::End => {
                // Where nothing is followed, nothing is in trouble.
                let told = observer.on(&key, Organization::news).flatten();
                return ring(told.as_slice());
            }
            Next::Wait(until, bell) => {
                drop(observer);
                let _ = tokio::time::timeout_at(until, bell.notified()).await;
            }
            Next::Look(order) => {
                let connection = &order.connection;
                let look = Look {
                    observer: &observer,
                    key: &key,
                    organization: &connection.organization,
                    client: &connection.client,
                    impatient: order.impatient,
                };
                let looking = AssertUnwindSafe(look.run(order.with_list)).catch_unwind();
                let outcome = match connection.replaced.run_until_cancelled(looking).await {
                    Some(Ok(outcome)) => outcome,
                    Some(Err(_)) => {
                        tracing::error!(organization = key, "a look at the organization's runs panicked");
                        Outcome::default()
                    }
                    None => continue,
                };
                let told = observer.on(&key, |office| office.conclude(&key, &order, outcome)).flatten();
                ring(told.as_slice());
            }
        }
    }
}

/// One waiter that panics must not end the task.
fn ring(news: &[Wake]) {
    for wake in news {
        if catch_unwind(AssertUnwindSafe(|| wake())).is_err() {
            tracing::error!("a waiter of the observer panicked when it was woken");
        }
    }
}
