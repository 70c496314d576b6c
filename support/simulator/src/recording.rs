//! The requests that were received.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

/// One request, as it came, and what was answered.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Counts the requests.
    pub number: u64,
    /// When it came.
    pub time: Timestamp,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query as sent, without the question mark; empty when there is none.
    pub query: String,
    /// The name of the route, such as `CreateDeployment`; empty for unknown routes.
    pub operation: &'static str,
    /// The organization in the path.
    pub organization: Option<String>,
    /// The full name of the stack in the path: `organization/project/stack`.
    pub stack: Option<String>,
    /// The login of the token's user; none for unknown tokens.
    pub user: Option<String>,
    /// The request's headers, names in lower case. The token is left out.
    pub headers: Vec<(String, String)>,
    /// The body: JSON, else a string; null when there is none. Secrets are in it as they were sent.
    pub body: Value,
    /// The status answered; none while the answer is outstanding, and for ever if the connection was closed instead.
    pub status: Option<u16>,
}

impl Recorded {
    /// The value of a header of the request.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Keeps the latest requests.
pub(crate) struct Recorder {
    inner: Mutex<Inner>,
    capacity: usize,
}

#[derive(Default)]
struct Inner {
    requests: VecDeque<Recorded>,
    count: u64,
}

impl Recorder {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { inner: Mutex::default(), capacity }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and gives it its number.
    pub(crate) fn begin(&self, request: &mut Recorded) {
        let mut inner = self.inner();
        inner.count += 1;
        request.number = inner.count;
        if inner.requests.len() >= self.capacity {
            inner.requests.pop_front();
        }
        inner.requests.push_back(request.clone());
    }

    pub(crate) fn answered(&self, number: u64, status: u16) {
        let mut inner = self.inner();
        let place = inner.requests.binary_search_by_key(&number, |request| request.number);
        if let Some(request) = place.ok().and_then(|place| inner.requests.get_mut(place)) {
            request.status = Some(status);
        }
    }

    pub(crate) fn all(&self, matches: impl Fn(&Recorded) -> bool) -> Vec<Recorded> {
        self.inner().requests.iter().filter(|request| matches(request)).cloned().collect()
    }

    pub(crate) fn clear(&self, matches: impl Fn(&Recorded) -> bool) {
        self.inner().requests.retain(|request| !matches(request));
    }
}
