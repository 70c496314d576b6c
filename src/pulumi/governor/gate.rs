//! When no calls may be made at all. Pure: the time is a parameter.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause after a 429 that does not say how long; it doubles while that repeats.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that is chosen here: the service counts requests over windows of five minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The longest pause that is accepted from a `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// The rate is never lowered below this part of what is configured.
const LOWEST_FACTOR: f64 = 1.0 / 16.0;
/// How much of the configured rate comes back per step.
const RECOVERY: f64 = 0.05;
/// How far apart these steps are at least.
const RECOVERY_STEP: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Throttled { until: Instant },
    Rejected,
}

/// Whether calls may be made, as far as the service's own answers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// They may.
    Open,
    /// The service answered 429.
    Throttled {
        /// How long it still has to be left alone.
        remaining: Duration,
    },
    /// The service answered 401: not before the token changes, or is seen to be accepted after all.
    Rejected,
}

#[derive(Debug)]
pub(super) struct GateKeeper {
    state: State,
    /// The latest closing: answers to what was sent before it tell nothing new.
    closed_at: Option<Instant>,
    /// When a token was taken again after one had been rejected: what was sent before carried the other one.
    reopened_at: Option<Instant>,
    /// How often it closed since the rate was last whole.
    strikes: u32,
    factor: f64,
    stepped_at: Option<Instant>,
}

impl GateKeeper {
    pub(super) fn new() -> Self {
        Self { state: State::Open, closed_at: None, reopened_at: None, strikes: 0, factor: 1.0, stepped_at: None }
    }

    /// The part of the configured rate that may be used.
    pub(super) fn factor(&self) -> f64 {
        self.factor
    }

    pub(super) fn look(&self, now: Instant) -> Gate {
        match self.state {
            State::Throttled { until } if now < until => Gate::Throttled { remaining: until - now },
            State::Open | State::Throttled { .. } => Gate::Open,
            State::Rejected => Gate::Rejected,
        }
    }

    /// When it opens by itself.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        match self.state {
            State::Throttled { until } => Some(until),
            State::Open | State::Rejected => None,
        }
    }

    /// A 429 to a request that was sent then. Several answers to what was sent before the gate closed are one event.
    /// True when it is news.
    pub(super) fn throttled(&mut self, now: Instant, sent_at: Instant, retry_after: Option<Duration>) -> bool {
        let news = self.is_news(sent_at);
        let pause = match retry_after {
            Some(asked) => asked.clamp(Duration::from_secs(1), LONGEST_RETRY_AFTER),
            None if news => FIRST_PAUSE.saturating_mul(1 << self.strikes.min(8)).min(LONGEST_PAUSE),
            None => Duration::ZERO,
        };
        if news {
            self.strikes += 1;
            self.factor = (self.factor / 2.0).max(LOWEST_FACTOR);
            self.closed_at = Some(now);
        }
        let until = now + pause;
        self.state = match self.state {
            State::Rejected => State::Rejected,
            State::Throttled { until: before } => State::Throttled { until: before.max(until) },
            State::Open if until > now => State::Throttled { until },
            State::Open => State::Open,
        };
        self.stepped_at = self.opens_at().or(self.stepped_at);
        news
    }

    /// A 401 to a request that was sent then. True when that is news.
    pub(super) fn rejected(&mut self, now: Instant, sent_at: Instant) -> bool {
        if self.reopened_at.is_some_and(|at| sent_at < at) {
            return false;
        }
        let is_news = self.state != State::Rejected;
        self.state = State::Rejected;
        self.closed_at = Some(now);
        is_news
    }

    /// The service accepted a request that was sent then.
    pub(super) fn succeeded(&mut self, now: Instant, sent_at: Instant) {
        if self.is_news(sent_at) {
            self.token_changed(now);
        }
        let rested = self.stepped_at.is_none_or(|at| now.saturating_duration_since(at) >= RECOVERY_STEP);
        if self.factor < 1.0 && self.look(now) == Gate::Open && rested {
            self.factor = (self.factor + RECOVERY).min(1.0);
            self.stepped_at = Some(now);
            if self.factor >= 1.0 {
                self.strikes = 0;
            }
        }
    }

    /// There is another token.
    pub(super) fn token_changed(&mut self, now: Instant) {
        if self.state == State::Rejected {
            self.state = State::Open;
            self.reopened_at = Some(now);
        }
    }

    fn is_news(&self, sent_at: Instant) -> bool {
        self.closed_at.is_none_or(|closed_at| sent_at > closed_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const S: Duration = Duration::from_secs(1);

    fn remaining(gate: &GateKeeper, now: Instant) -> Duration {
        match gate.look(now) {
            Gate::Throttled { remaining } => remaining,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn stays_closed_as_long_as_asked() {
        let mut gate = GateKeeper::new();
        let now = Instant::now();
        gate.throttled(now, now, Some(7 * S));
        assert_eq!(remaining(&gate, now), 7 * S);
        assert_eq!(gate.look(now + 7 * S), Gate::Open);
    }

    #[test]
    fn absurd_pauses_are_bounded() {
        let now = Instant::now();
        let mut gate = GateKeeper::new();
        gate.throttled(now, now, Some(Duration::MAX));
        assert_eq!(remaining(&gate, now), LONGEST_RETRY_AFTER);
        let mut gate = GateKeeper::new();
        gate.throttled(now, now, Some(Duration::ZERO));
        assert_eq!(remaining(&gate, now), S);
    }

    #[test]
    fn pauses_double_and_the_rate_halves_while_it_repeats() {
        let mut gate = GateKeeper::new();
        let mut now = Instant::now();
        for (pause, factor) in [(60, 0.5), (120, 0.25), (240, 0.125), (300, 0.0625), (300, 0.0625)] {
            gate.throttled(now, now, None);
            assert_eq!(remaining(&gate, now), pause * S);
            assert!((gate.factor() - factor).abs() < 1e-9);
            now += pause * S + MS;
        }
    }

    #[test]
    fn answers_to_what_was_sent_before_are_one_event() {
        let mut gate = GateKeeper::new();
        let sent = Instant::now();
        for late in 1..10 {
            gate.throttled(sent + late * MS, sent, None);
        }
        assert!((gate.factor() - 0.5).abs() < 1e-9);
        assert_eq!(gate.opens_at(), Some(sent + MS + 60 * S));
        // One of them may still ask for more time.
        gate.throttled(sent + 10 * MS, sent, Some(90 * S));
        assert_eq!(gate.opens_at(), Some(sent + 10 * MS + 90 * S));
        // After it opened, a very late one without a wish changes nothing.
        let later = sent + 100 * S;
        gate.throttled(later, sent, None);
        assert_eq!(gate.look(later), Gate::Open);
    }

    #[test]
    fn the_rate_recovers_step_by_step_and_then_pauses_are_short_again() {
        let mut gate = GateKeeper::new();
        let mut now = Instant::now();
        gate.throttled(now, now, None);
        now += 60 * S;
        gate.succeeded(now, now);
        assert!((gate.factor() - 0.5).abs() < 1e-9, "not right after opening");
        for _ in 0..10 {
            now += 10 * S;
            gate.succeeded(now, now);
            gate.succeeded(now, now);
        }
        assert!((gate.factor() - 1.0).abs() < 1e-6);
        now += S;
        gate.throttled(now, now, None);
        assert_eq!(remaining(&gate, now), 60 * S);
    }

    #[test]
    fn a_rejected_token_keeps_it_closed() {
        let mut gate = GateKeeper::new();
        let now = Instant::now();
        assert!(gate.rejected(now, now));
        assert!(!gate.rejected(now, now), "known already");
        assert_eq!(gate.look(now + 3600 * S), Gate::Rejected);
        gate.throttled(now + S, now + S, None);
        assert_eq!(gate.look(now + 3600 * S), Gate::Rejected);
        gate.succeeded(now + 2 * S, now);
        assert_eq!(gate.look(now + 2 * S), Gate::Rejected, "sent before the rejection");
        gate.token_changed(now + 2 * S);
        assert_eq!(gate.look(now + 2 * S), Gate::Open);
        assert!(!gate.rejected(now + 3 * S, now + S), "it carried the other token");
        assert_eq!(gate.look(now + 3 * S), Gate::Open);
        assert!(gate.rejected(now + 4 * S, now + 3 * S));
        assert_eq!(gate.look(now + 4 * S), Gate::Rejected);
    }

    #[test]
    fn a_token_that_is_accepted_again_opens_it() {
        let mut gate = GateKeeper::new();
        let now = Instant::now();
        gate.rejected(now, now);
        gate.succeeded(now + 2 * S, now + S);
        assert_eq!(gate.look(now + 2 * S), Gate::Open);
    }
}
