//! What is known about the runs of one organization, and which to look at next. Pure: the time is a parameter.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::difference::{combined, shows_difference};
use super::{ObserverConfig, Sighting, TrackedRun};
use crate::pulumi::governor::Wake;
use crate::pulumi::wire::Deployment;

/// Our clocks and the service's may differ by so much before a run is sought on too few pages.
const CLOCK_MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// The longest time between two reads of a run by its id.
const RAREST: Duration = Duration::from_secs(60);
/// A run that is missing is sought at full speed so many times.
const EAGER: u32 = 5;

/// A run on the board.
struct Entry {
    run: TrackedRun,
    seen: Option<Arc<Deployment>>,
    missing: u32,
    /// Since when it is followed.
    tracked_at: Instant,
    /// When it was last read, on whichever way.
    read_at: Option<Instant>,
    /// When something was last new about it; first of all, that it is there.
    news_at: Instant,
}

impl Entry {
    fn is_active(&self) -> bool {
        self.seen.as_ref().is_none_or(|seen| !seen.status.is_terminal())
    }

    fn created(&self) -> Option<Timestamp> {
        let seen = self.seen.as_ref().and_then(|seen| seen.created);
        seen.or(self.run.created)
    }
}

/// All runs of one organization that are followed.
#[derive(Default)]
pub(super) struct Board {
    entries: HashMap<String, Entry>,
}

impl Board {
    /// Puts a run on the board; true when it is new. What is known about it stays.
    pub(super) fn track(&mut self, run: TrackedRun, now: Instant) -> bool {
        if let Some(entry) = self.entries.get_mut(&run.id) {
            entry.run = run;
            return false;
        }
        let entry = Entry { seen: None, missing: 0, tracked_at: now, read_at: None, news_at: now, run };
        self.entries.insert(entry.run.id.clone(), entry);
        true
    }

    pub(super) fn untrack(&mut self, id: &str) {
        self.entries.remove(id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn sighting(&self, id: &str) -> Option<Sighting> {
        let entry = self.entries.get(id)?;
        (entry.seen.is_some() || entry.missing > 0)
            .then(|| Sighting { run: entry.seen.clone(), missing: entry.missing })
    }

    /// The runs that have not ended.
    pub(super) fn active(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, entry)| entry.is_active()).map(|(id, _)| id.as_str())
    }

    pub(super) fn has_active(&self) -> bool {
        self.entries.values().any(Entry::is_active)
    }

    /// Since when the one of the runs that have not ended is followed that has been for the longest.
    pub(super) fn tracked_since(&self) -> Option<Instant> {
        self.entries.values().filter(|entry| entry.is_active()).map(|entry| entry.tracked_at).min()
    }

    pub(super) fn run(&self, id: &str) -> Option<&TrackedRun> {
        self.entries.get(id).map(|entry| &entry.run)
    }

    /// Since when the one of these runs that is the oldest may be in the list. `None`: for one of them, nobody knows.
    pub(super) fn oldest<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Option<Timestamp> {
        let created =
            ids.into_iter().filter_map(|id| self.entries.get(id)).map(Entry::created).collect::<Option<Vec<_>>>()?;
        created.into_iter().min()?.checked_sub(CLOCK_MARGIN).ok()
    }

    /// Takes a look at a run into account; whom to wake, if it shows something new.
    pub(super) fn record(&mut self, run: Deployment, now: Instant) -> Option<Wake> {
        let entry = self.entries.get_mut(&run.id)?;
        entry.read_at = Some(now);
        let was_missing = std::mem::take(&mut entry.missing) > 0;
        let mut run = Deployment { configuration: None, ..run };
        let mut changed = was_missing;
        if let Some(seen) = &entry.seen {
            // A list may lag behind what a GET has shown, and what has ended stays so.
            let lags = matches!((run.modified, seen.modified), (Some(new), Some(old)) if new < old);
            if seen.status.is_terminal() || lags {
                return was_missing.then(|| entry.run.wake.clone());
            }
            run = combined(seen, run);
            changed |= shows_difference(seen, &run);
        } else {
            changed = true;
        }
        entry.seen = Some(Arc::new(run));
        if changed {
            entry.news_at = now;
        }
        changed.then(|| entry.run.wake.clone())
    }

    /// A read by id came to nothing.
    pub(super) fn note_attempt(&mut self, id: &str, now: Instant) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.read_at = Some(now);
        }
    }

    /// The service says, to an accepted token, that there is no such run; whom to wake.
    pub(super) fn note_missing(&mut self, id: &str) -> Option<Wake> {
        let entry = self.entries.get_mut(id)?;
        entry.missing = entry.missing.saturating_add(1);
        Some(entry.run.wake.clone())
    }

    /// Which of the runs that no list showed are due to be read by id, the longest unread first. The older a run, the
    /// rarer it is read: at intervals of a 60th of its age, but at least every minute.
    pub(super) fn due<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a str>,
        fast: Duration,
        now: Instant,
        clock: Timestamp,
    ) -> Vec<String> {
        let mut due: Vec<(Option<Instant>, &str)> = ids
            .into_iter()
            .filter_map(|id| Some((self.entries.get(id)?, id)))
            .filter(|(entry, _)| {
                let age = entry.created().map_or(SignedDuration::ZERO, |at| clock.duration_since(at));
                let age = Duration::try_from(age).unwrap_or_default();
                let rest = match entry.missing {
                    1..=EAGER => fast,
                    0 => (age / 60).clamp(fast, RAREST.max(fast)),
                    _ => RAREST.max(fast),
                };
                // A tick's worth of slack: ticks are not exactly as far apart as they should be.
                entry.read_at.is_none_or(|at| now + fast / 2 >= at + rest)
            })
            .map(|(entry, id)| (entry.read_at, id))
            .collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id.to_owned()).collect()
    }

    /// How far apart looks should be: slow while everything waits in queues and nothing has been new for a while.
    pub(super) fn pace(&self, config: &ObserverConfig, now: Instant) -> Duration {
        let waits = |entry: &Entry| {
            let queued = entry.seen.as_ref().is_some_and(|seen| seen.status.is_queued());
            queued && now.saturating_duration_since(entry.news_at) >= config.calm
        };
        if self.entries.values().filter(|entry| entry.is_active()).all(waits) { config.slow } else { config.fast }
    }
}
