//! What one process remembers about resources. All of it can be lost: it costs time, never correctness.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::conditions::Standing;

/// What one process remembers, by the resources' uid unless said otherwise.
#[derive(Default)]
pub struct Memory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    failures: HashMap<String, u32>,
    settling: HashMap<String, (String, Instant)>,
    checked: HashMap<String, i64>,
    nudged: HashSet<String>,
    recoveries: HashMap<String, Recovery>,
    never_sent: HashSet<String>,
    cancels: HashSet<String>,
    failed_cancels: HashMap<String, FailedCancel>,
    misses: HashMap<String, (u32, Instant)>,
    versions: HashMap<String, u64>,
    outputs: HashMap<String, (String, Instant)>,
}

/// A cancel that failed.
struct FailedCancel {
    /// What a person had asked for by then.
    asked: String,
    standing: Standing,
    again_at: Instant,
}

/// How far the search for a lost create has come.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// When this process first saw the intent.
    pub first_seen: Instant,
    /// All versions from here upward have been looked at and are not ours.
    pub walked_to: Option<u64>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more failure in a row, and returns how many that makes.
    pub fn failed(&self, uid: &str) -> u32 {
        let mut memory = self.lock();
        let count = memory.failures.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// How many failures there were in a row.
    pub fn failures(&self, uid: &str) -> u32 {
        self.lock().failures.get(uid).copied().unwrap_or(0)
    }

    /// Ends a row of failures.
    pub fn succeeded(&self, uid: &str) {
        self.lock().failures.remove(uid);
    }

    /// How long `fingerprint` has been the same.
    pub fn unchanged_for(&self, uid: &str, fingerprint: &str) -> Duration {
        let mut memory = self.lock();
        let now = Instant::now();
        match memory.settling.get(uid) {
            Some((last, since)) if last == fingerprint => now - *since,
            _ => {
                memory.settling.insert(uid.to_owned(), (fingerprint.to_owned(), now));
                Duration::ZERO
            }
        }
    }

    /// When the remote side was last compared, in seconds since the epoch; `now` when it never was:
    /// a restart is no reason to read everything again.
    pub fn last_checked(&self, uid: &str, now: i64) -> i64 {
        *self.lock().checked.entry(uid.to_owned()).or_insert(now)
    }

    /// Notes a comparison.
    pub fn checked(&self, uid: &str, now: i64) {
        self.lock().checked.insert(uid.to_owned(), now);
    }

    /// Asks a resource to read its sources again, whatever the caches say.
    pub fn nudge(&self, uid: &str) {
        self.lock().nudged.insert(uid.to_owned());
    }

    /// Whether a resource was asked to read its sources again since the last [`Self::heeded`].
    pub fn is_nudged(&self, uid: &str) -> bool {
        self.lock().nudged.contains(uid)
    }

    /// The sources were read again.
    pub fn heeded(&self, uid: &str) {
        self.lock().nudged.remove(uid);
    }

    /// The search for the create with this nonce; it begins with the first call.
    pub fn recovery(&self, nonce: &str) -> Recovery {
        *self
            .lock()
            .recoveries
            .entry(nonce.to_owned())
            .or_insert_with(|| Recovery { first_seen: Instant::now(), walked_to: None })
    }

    /// Notes how far the search has come.
    pub fn walked_to(&self, nonce: &str, version: u64) {
        if let Some(recovery) = self.lock().recoveries.get_mut(nonce) {
            recovery.walked_to = Some(version);
        }
    }

    /// The create with this nonce was not sent, or was refused.
    pub fn not_created(&self, nonce: &str) {
        self.lock().never_sent.insert(nonce.to_owned());
    }

    /// Whether the create with this nonce is known not to have happened.
    pub fn is_never_sent(&self, nonce: &str) -> bool {
        self.lock().never_sent.contains(nonce)
    }

    /// The search is over.
    pub fn recovered(&self, nonce: &str) {
        let mut memory = self.lock();
        memory.recoveries.remove(nonce);
        memory.never_sent.remove(nonce);
    }

    /// Whether this process has sent the cancel of a run.
    pub fn cancel_sent(&self, run: &str) -> bool {
        self.lock().cancels.contains(run)
    }

    /// Notes that the cancel of a run was sent.
    pub fn note_cancel(&self, run: &str) {
        self.lock().cancels.insert(run.to_owned());
    }

    /// Notes that the cancel of a run failed, and is not tried again for so long. `asked` is what a person had asked for.
    pub fn cancel_failed(&self, run: &str, asked: String, standing: Standing, delay: Duration) {
        let failed = FailedCancel { asked, standing, again_at: Instant::now() + delay };
        self.lock().failed_cancels.insert(run.to_owned(), failed);
    }

    /// What is said of a cancel that failed and is not tried again yet, and how long that is: unless a person has asked
    /// for something else since.
    pub fn failed_cancel(&self, run: &str, asked: &str) -> Option<(Standing, Duration)> {
        let memory = self.lock();
        let failed = memory.failed_cancels.get(run).filter(|failed| failed.asked == asked)?;
        let remaining = failed.again_at.saturating_duration_since(Instant::now());
        (!remaining.is_zero()).then(|| (failed.standing.clone(), remaining))
    }

    /// The version of a stack's deployments that was created last. `stack` names backend and stack.
    pub fn latest_version(&self, stack: &str) -> Option<u64> {
        self.lock().versions.get(stack).copied()
    }

    /// Notes a version of a stack's deployments.
    pub fn saw_version(&self, stack: &str, version: u64) {
        self.lock().versions.insert(stack.to_owned(), version);
    }

    /// How long ago this process last tried to write the outputs of a run.
    pub fn outputs_tried(&self, uid: &str, run: &str) -> Option<Duration> {
        self.lock().outputs.get(uid).filter(|(tried, _)| tried == run).map(|(_, at)| at.elapsed())
    }

    /// Notes an attempt to write the outputs of a run.
    pub fn note_outputs(&self, uid: &str, run: &str) {
        self.lock().outputs.insert(uid.to_owned(), (run.to_owned(), Instant::now()));
    }

    /// A resource is gone.
    pub fn forget(&self, uid: &str) {
        let mut memory = self.lock();
        memory.failures.remove(uid);
        memory.settling.remove(uid);
        memory.checked.remove(uid);
        memory.nudged.remove(uid);
        memory.outputs.remove(uid);
    }

    /// Counts that a run is missing, at most once in `apart`: a lagging replica, or a right that is lost for a moment,
    /// looks the same as a run that is gone.
    pub fn missed(&self, run: &str, apart: Duration) -> u32 {
        let mut memory = self.lock();
        let (count, last) = memory.misses.entry(run.to_owned()).or_insert_with(|| (1, Instant::now()));
        if last.elapsed() >= apart {
            (*count, *last) = (*count + 1, Instant::now());
        }
        *count
    }

    /// The run is there.
    pub fn seen(&self, run: &str) {
        self.lock().misses.remove(run);
    }

    /// A run is over.
    pub fn forget_run(&self, run: &str) {
        let mut memory = self.lock();
        memory.misses.remove(run);
        memory.cancels.remove(run);
        memory.failed_cancels.remove(run);
    }
}
