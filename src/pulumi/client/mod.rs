//! The Pulumi Deployments REST API over HTTP.
//!
//! One file per group of resources; `transport` sends requests and says what their answers mean, `routes` knows
//! the paths. Every method takes a [`Permit`](super::governor::Permit) and spends one unit of it per request, retries
//! included; reads and writes that may be repeated are retried twice at most, while units are left. Every method fails
//! with an [`Error`] whose class says what that means.
#![expect(clippy::missing_errors_doc, reason = "all methods fail alike: see the module")]

mod account;
mod agent_pools;
mod answer;
mod decryption;
mod deployments;
mod dialect;
mod drift;
mod export;
mod follow;
mod logs;
mod metadata;
mod operations;
mod pages;
mod preview_list;
mod routes;
mod schedules;
mod settings;
mod token_exchange;
mod transport;
mod updates;
mod usage;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Url;

use super::error::{Class, Error};
use super::governor::Governor;
use super::secret::SecretValue;

pub use agent_pools::AgentPoolChange;
pub use deployments::{ListQuery, Sort};
pub use dialect::Dialect;
pub use follow::{Feed, Follow};
pub use logs::{RunLog, StepLog, StepLogQuery};
pub use operations::OPERATIONS;
pub use pages::{Listing, Pages};
pub use schedules::{ScheduleRequest, ScheduleTiming};
pub use token_exchange::{RequestedToken, TokenExchange, TokenExchangeConfig, TokenRequest};
pub use updates::{EventsOf, UpdateEvents};
pub use usage::{Granularity, Lookback};

use transport::{Transport, TransportConfig};

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From looking the name up to the end of the TLS handshake.
    pub connect: Duration,
    /// How long the service may be silent in the midst of an answer to a call that may be repeated.
    pub read: Duration,
    /// From the beginning to the last byte of the answer.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 5 s, 15 s, 30 s.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(15), total: Duration::from_secs(30) }
    }
}

/// What a client needs.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The service's URL, such as `https://api.pulumi.com`; a path in it is kept.
    pub backend: String,
    /// The access token.
    pub token: SecretValue,
    /// The form in which the backend speaks the API.
    pub dialect: Dialect,
    /// How long calls may take.
    pub timeouts: Timeouts,
    /// Whose budget the calls count against; it is told of every 429, 401 and success, and its meter of every request.
    pub governor: Arc<Governor>,
}

/// A client of one backend with one token. Clones share connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
}

impl Client {
    /// Makes a client; nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Class::Invalid`] when the URL or the token can't be used, [`Class::NotSent`] when TLS can't be set up.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        let ClientConfig { backend, token, dialect, timeouts, governor } = config;
        let config = TransportConfig { backend, token: Some(token), dialect, timeouts, governor };
        Ok(Self { transport: Arc::new(Transport::new(config)?) })
    }

    /// The form in which the backend speaks the API.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.transport.dialect()
    }

    /// The backend's URL.
    #[must_use]
    pub fn backend(&self) -> &Url {
        self.transport.backend()
    }

    /// The budget that this client's calls count against.
    #[must_use]
    pub fn governor(&self) -> &Arc<Governor> {
        self.transport.governor()
    }

    /// The time by the service's own clock (to the second), from its most recent answer to this client.
    #[must_use]
    pub fn server_date(&self) -> Option<Timestamp> {
        self.transport.server_date()
    }

    /// What the service's own clock shows now (to a second or two), told from its most recent answer to this client.
    #[must_use]
    pub fn server_time(&self) -> Option<Timestamp> {
        self.transport.server_time()
    }

    /// Knows the service's clock from what another client of the same backend has last seen of it.
    pub fn inherit_clock(&self, predecessor: &Self) {
        self.transport.inherit_clock(&predecessor.transport);
    }

    /// True for clones of one client.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.transport, &other.transport)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Client({})", self.backend())
    }
}

/// The most recent `Date` of an answer, and when it came.
#[derive(Debug, Default)]
struct ServerDate(Mutex<Option<(Timestamp, Instant)>>);

impl ServerDate {
    fn get(&self) -> Option<(Timestamp, Instant)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inherit(&self, other: &Self) {
        let known = other.get();
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *own = own.or(known);
    }

    fn set(&self, date: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, Instant::now()));
    }
}
