//! A token bucket that counts what it has lent. Pure: the time is a parameter.

use std::time::Duration;

use tokio::time::Instant;

use super::rate::Rate;

/// Forgives rounding when fractions of units are compared.
const EPSILON: f64 = 1e-6;

/// A token bucket. Units that were lent and not yet spent still count as its content, so that it fills no further
/// than the burst with them: however long permits are kept, as long as the rate stays the same no window of time sees
/// more than `burst + rate × time` units spent. (With the largest single loan for `burst`, where that is more: the debt
/// it leaves is paid off from when it is spent, not while it is kept.)
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    available: f64,
    lent: u32,
    filled_at: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let rate = rate.sane();
        Self { rate, available: f64::from(rate.burst), lent: 0, filled_at: now }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn available(&self) -> f64 {
        self.available.max(0.0)
    }

    pub(super) fn lent(&self) -> u32 {
        self.lent
    }

    pub(super) fn set_rate(&mut self, now: Instant, rate: Rate) {
        self.refill(now);
        self.rate = rate.sane();
        // What is lent was lent at the old rate: it makes no debt.
        self.available = self.available.min(self.room().max(0.0));
    }

    pub(super) fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        if passed > 0.0 {
            self.fill(passed * self.rate.per_second);
            self.filled_at = now;
        }
    }

    /// Empties it until a point in time.
    pub(super) fn drain(&mut self, until: Instant) {
        self.available = self.available.min(0.0);
        self.filled_at = self.filled_at.max(until);
    }

    pub(super) fn has(&self, units: u32) -> bool {
        self.available + EPSILON >= self.needed(units)
    }

    /// How long until it has so many. `None`: not before something that was lent is spent or returned.
    pub(super) fn wait(&self, units: u32) -> Option<Duration> {
        let missing = self.needed(units) - self.available;
        if missing <= EPSILON {
            return Some(Duration::ZERO);
        }
        (self.needed(units) <= self.room() + EPSILON)
            .then(|| Duration::from_secs_f64(missing / self.rate.per_second) + Duration::from_micros(1))
    }

    pub(super) fn lend(&mut self, units: u32) {
        self.available -= f64::from(units);
        self.lent += units;
    }

    /// Units that were lent are not needed after all.
    pub(super) fn take_back(&mut self, units: u32) {
        self.spent(units);
        self.fill(f64::from(units));
    }

    /// Units that were lent are used up.
    pub(super) fn spent(&mut self, units: u32) {
        self.lent = self.lent.saturating_sub(units);
    }

    /// A loan larger than the burst needs a full bucket and leaves a debt.
    fn needed(&self, units: u32) -> f64 {
        f64::from(units.min(self.rate.burst))
    }

    /// Adds what there is room for, and takes nothing away: after a change of the rate it may hold more than that.
    fn fill(&mut self, units: f64) {
        self.available = (self.available + units).min(self.room()).max(self.available);
    }

    /// How much may be available beside what is lent. Below zero while a loan larger than the burst is kept.
    fn room(&self) -> f64 {
        f64::from(self.rate.burst) - f64::from(self.lent)
    }
}
