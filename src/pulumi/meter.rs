//! Who is told what happens on the Pulumi side, so that it can be counted. What becomes of it is none of this side's
//! business.

use std::fmt;
use std::time::Duration;

use super::governor::CallClass;

/// Is told what happens. It is called from everywhere and must not block.
pub trait Meter: fmt::Debug + Send + Sync {
    /// A request has come to its end; each retry is one of its own. `operation` is one of
    /// [`OPERATIONS`](super::client::OPERATIONS).
    fn requested(&self, operation: &'static str, end: End, took: Duration);
    /// A unit of a request budget was used.
    fn spent(&self, class: CallClass);
    /// A turn has come, at once or after this time in line.
    fn waited(&self, class: CallClass, waited: Duration);
    /// The service has asked for a pause (429), and a request budget closes. Answers that say nothing new are left out.
    fn throttled(&self);
}

/// Nobody counts.
#[derive(Debug)]
pub struct Unmetered;

impl Meter for Unmetered {
    fn requested(&self, _: &'static str, _: End, _: Duration) {}
    fn spent(&self, _: CallClass) {}
    fn waited(&self, _: CallClass, _: Duration) {}
    fn throttled(&self) {}
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// With an answer of this HTTP status, read to its end.
    Status(u16),
    /// No connection came about.
    Unreachable,
    /// There was no answer in time.
    TimedOut,
    /// The connection broke, or the answer is of no use.
    Broken,
    /// Nobody waits for the answer any more.
    Abandoned,
}

impl End {
    /// The words that stand for those without a status.
    pub const WORDS: [&'static str; 4] = ["unreachable", "timeout", "broken", "abandoned"];

    /// The word, where there is no status.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        let [unreachable, timeout, broken, abandoned] = Self::WORDS;
        match self {
            Self::Status(_) => None,
            Self::Unreachable => Some(unreachable),
            Self::TimedOut => Some(timeout),
            Self::Broken => Some(broken),
            Self::Abandoned => Some(abandoned),
        }
    }
}
