//! The budget: bucket, gate and queue as one state machine. Pure: the time is a parameter.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;
use super::gate::{Gate, GateKeeper};
use super::queue::{Entry, Queue};
use super::rate::{CallClass, Rate};

/// How long a turn is kept for whoever was woken for it.
pub(super) const TURN: Duration = Duration::from_secs(5);

/// What someone who asks gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Granted,
    Queued,
}

/// Units set aside for someone whose turn has come.
#[derive(Debug)]
struct Turn {
    units: u32,
    until: Instant,
}

/// Everything that decides who may call when. `W` is how a waiter is woken.
#[derive(Debug)]
pub(super) struct Budget<W> {
    bucket: Bucket,
    gate: GateKeeper,
    queue: Queue<W>,
    turns: HashMap<(String, CallClass), Turn>,
    fallback: Rate,
    rates: BTreeMap<String, Rate>,
    woken: Vec<(String, CallClass, W)>,
    /// How long those stood in line whose turn has come.
    waits: Vec<(CallClass, Duration)>,
}

impl<W> Budget<W> {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            bucket: Bucket::new(rate, now),
            gate: GateKeeper::new(),
            queue: Queue::new(),
            turns: HashMap::new(),
            fallback: rate,
            rates: BTreeMap::new(),
            woken: Vec::new(),
            waits: Vec::new(),
        }
    }

    /// Asks for units. Without a turn, the waiter joins the line, or keeps its place in it.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        class: CallClass,
        tenant: &str,
        key: &str,
        units: u32,
        wake: W,
    ) -> Answer {
        self.advance(now);
        let id = (key.to_owned(), class);
        if let Some(turn) = self.turns.remove(&id) {
            self.release(now, turn.units);
            if self.is_open(now) && self.bucket.has(units) {
                self.bucket.lend(units);
                return Answer::Granted;
            }
        }
        let key = key.to_owned();
        self.queue.join(class, tenant, Entry { key, units, since: now, wake });
        self.dispatch(now);
        if self.turns.remove(&id).is_some() {
            self.woken.retain(|(key, class, _)| (key, class) != (&id.0, &id.1));
            Answer::Granted
        } else {
            Answer::Queued
        }
    }

    /// Lets time pass: the bucket fills, the gate opens, turns expire, and whoever can gets a turn.
    pub(super) fn advance(&mut self, now: Instant) {
        self.bucket.refill(now);
        let expired = self.turns.extract_if(|_, turn| now >= turn.until);
        let units = expired.map(|(_, turn)| turn.units).sum();
        self.release(now, units);
        self.dispatch(now);
    }

    /// When `advance` should be called next, if nothing else happens.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let expiry = self.turns.values().map(|turn| turn.until).min();
        let next = self.queue.next().and_then(|(_, units)| match self.gate.look(now) {
            Gate::Open => self.bucket.wait(units).map(|wait| now + wait),
            Gate::Throttled { .. } => self.gate.opens_at(),
            Gate::Rejected => None,
        });
        expiry.into_iter().chain(next).min()
    }

    /// Who has been given a turn since the last time, for the caller to wake.
    pub(super) fn take_woken(&mut self) -> Vec<W> {
        self.woken.drain(..).map(|(_, _, wake)| wake).collect()
    }

    /// How long those stood in line whose turn has come since the last time.
    pub(super) fn take_waits(&mut self) -> Vec<(CallClass, Duration)> {
        std::mem::take(&mut self.waits)
    }

    /// A unit is about to be used. Not while the gate is closed.
    pub(super) fn spend(&mut self, now: Instant) -> Result<(), Gate> {
        match self.gate.look(now) {
            Gate::Open => {
                self.bucket.refill(now);
                self.bucket.spent(1);
                Ok(())
            }
            closed => Err(closed),
        }
    }

    /// Units that were granted are not needed.
    pub(super) fn give_back(&mut self, now: Instant, units: u32) {
        self.bucket.refill(now);
        self.release(now, units);
        self.dispatch(now);
    }

    /// True when that is news.
    pub(super) fn throttled(&mut self, now: Instant, sent_at: Instant, retry_after: Option<Duration>) -> bool {
        self.bucket.refill(now);
        let is_news = self.gate.throttled(now, sent_at, retry_after);
        if let Some(until) = self.gate.opens_at() {
            self.bucket.drain(until);
        }
        self.apply_rate(now);
        is_news
    }

    pub(super) fn rejected(&mut self, now: Instant, sent_at: Instant) -> bool {
        self.gate.rejected(now, sent_at)
    }

    pub(super) fn succeeded(&mut self, now: Instant, sent_at: Instant) {
        let before = (self.gate.look(now), self.gate.factor());
        self.gate.succeeded(now, sent_at);
        if before != (self.gate.look(now), self.gate.factor()) {
            self.apply_rate(now);
            self.advance(now);
        }
    }

    pub(super) fn token_changed(&mut self, now: Instant) {
        self.gate.token_changed(now);
        self.advance(now);
    }

    pub(super) fn set_rate(&mut self, now: Instant, source: &str, rate: Rate) {
        self.rates.insert(source.to_owned(), rate);
        self.apply_rate(now);
        self.advance(now);
    }

    pub(super) fn remove_rate(&mut self, now: Instant, source: &str) {
        self.rates.remove(source);
        self.apply_rate(now);
        self.advance(now);
    }

    /// Wakes everyone without a turn: they will ask elsewhere.
    pub(super) fn retire(&mut self) {
        for (class, entry) in self.queue.drain() {
            self.woken.push((entry.key, class, entry.wake));
        }
    }

    /// Takes a waiter out of every line and returns the turns set aside for it.
    pub(super) fn forget(&mut self, now: Instant, key: &str) {
        self.queue.leave(key);
        for class in CallClass::ALL {
            if let Some(turn) = self.turns.remove(&(key.to_owned(), class)) {
                self.release(now, turn.units);
            }
        }
        self.woken.retain(|(woken, _, _)| woken != key);
        self.advance(now);
    }

    /// True when nobody waits and nothing is set aside: then nothing happens by itself.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.turns.is_empty()
    }

    pub(super) fn gate(&self, now: Instant) -> Gate {
        self.gate.look(now)
    }

    pub(super) fn rate(&self) -> Rate {
        self.bucket.rate()
    }

    pub(super) fn available(&self) -> f64 {
        self.bucket.available()
    }

    pub(super) fn lent(&self) -> u32 {
        self.bucket.lent()
    }

    pub(super) fn queued(&self, class: CallClass) -> usize {
        self.queue.len(class)
    }

    /// How long the one who has waited longest has been in line.
    pub(super) fn longest_wait(&self, now: Instant, class: CallClass) -> Duration {
        self.queue.oldest(class).map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn is_open(&self, now: Instant) -> bool {
        self.gate.look(now) == Gate::Open
    }

    fn release(&mut self, now: Instant, units: u32) {
        if self.is_open(now) {
            self.bucket.take_back(units);
        } else {
            // Not saved for later: when the gate opens, calls should start slowly.
            self.bucket.spent(units);
        }
    }

    fn apply_rate(&mut self, now: Instant) {
        let configured = self.rates.values().copied().reduce(Rate::lowest).unwrap_or(self.fallback);
        let usable = Rate { per_second: configured.per_second * self.gate.factor(), burst: configured.burst };
        if usable.sane() != self.bucket.rate() {
            self.bucket.set_rate(now, usable);
        }
    }

    /// Gives turns to waiters as long as there are units. Who is next is never overtaken by someone who wants less.
    fn dispatch(&mut self, now: Instant) {
        while self.is_open(now) {
            let Some((class, units)) = self.queue.next() else { return };
            if !self.bucket.has(units) {
                return;
            }
            let Some(entry) = self.queue.pop(class) else { return };
            self.bucket.lend(units);
            self.waits.push((class, now.saturating_duration_since(entry.since)));
            let until = now + TURN;
            self.turns.insert((entry.key.clone(), class), Turn { units, until });
            self.woken.push((entry.key, class, entry.wake));
        }
    }
}
