//! One organization: its board, its connection, and when to look next. Pure: the time is a parameter.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::look::Outcome;
use super::{Health, ObserverConfig};
use crate::pulumi::client::Client;
use crate::pulumi::governor::Wake;

/// How often a list may fail to answer in a row before the runs are read by id instead, for a while.
const PATIENCE: u32 = 3;
/// How often the time between two looks doubles while they fail, at most.
const MOST_DOUBLINGS: u32 = 4;

/// An organization whose runs are followed.
pub(super) struct Organization {
    epoch: u64,
    pub board: Board,
    connection: Option<Connection>,
    /// Whether its task is there.
    watched: bool,
    /// Something is different: the task should think again about when to look.
    bell: Arc<Notify>,
    pub look_now: bool,
    looked_at: Option<Instant>,
    complete_at: Option<Instant>,
    failures: u32,
    list_refused_at: Option<Instant>,
    degraded: Option<String>,
    /// Who wants to know of trouble that lasts.
    pub listener: Option<Wake>,
    /// The trouble that it was last told of.
    told: Option<String>,
}

/// What to read with.
#[derive(Clone)]
pub(super) struct Connection {
    pub organization: String,
    pub client: Client,
    /// Ends a look when another client takes over.
    pub replaced: CancellationToken,
}

/// What an organization's task does next.
pub(super) enum Next {
    End,
    Wait(Instant, Arc<Notify>),
    Look(Order),
}

/// How to look.
pub(super) struct Order {
    pub connection: Connection,
    /// Whether the list is worth a try.
    pub with_list: bool,
    /// The list has not answered for so long that it is given up for a while if it does not now.
    pub impatient: bool,
}

impl Organization {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            board: Board::default(),
            connection: None,
            watched: false,
            bell: Arc::default(),
            look_now: false,
            looked_at: None,
            complete_at: None,
            failures: 0,
            list_refused_at: None,
            degraded: None,
            listener: None,
            told: None,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn client(&self) -> Option<&Client> {
        self.connection.as_ref().map(|connection| &connection.client)
    }

    /// Reads with another client from now on; false when it is the same.
    pub(super) fn connect(&mut self, organization: &str, client: Client) -> bool {
        let same = |it: &Connection| it.organization == organization && it.client.is(&client);
        if self.connection.as_ref().is_some_and(same) {
            return false;
        }
        self.disconnect();
        let organization = organization.to_owned();
        self.connection = Some(Connection { organization, client, replaced: CancellationToken::new() });
        // What another client could not do, this one may.
        self.failures = 0;
        self.list_refused_at = None;
        self.degraded = None;
        self.look_now = true;
        true
    }

    pub(super) fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.replaced.cancel();
        }
        self.bell.notify_one();
    }

    /// True when its task is to be started; one that is there is told to think again.
    pub(super) fn needs_task(&mut self) -> bool {
        if self.watched {
            self.bell.notify_one();
            return false;
        }
        self.watched = self.is_connected() && self.board.has_active();
        self.watched
    }

    /// What the task of that epoch does next.
    pub(super) fn next(&mut self, epoch: u64, config: &ObserverConfig, now: Instant) -> Next {
        if epoch != self.epoch {
            return Next::End;
        }
        let connection = match &self.connection {
            Some(connection) if self.board.has_active() => connection.clone(),
            _ => {
                self.watched = false;
                self.complete_at = None;
                // That the list is refused is known for longer; a failure may have passed by the next time.
                self.degraded = self.degraded.take().filter(|_| self.list_refused_at.is_some());
                return Next::End;
            }
        };
        let pace = if self.look_now {
            config.least
        } else {
            self.board.pace(config, now) * 2_u32.pow(self.failures.min(MOST_DOUBLINGS))
        };
        if let Some(at) = self.looked_at.map(|at| at + pace).filter(|at| now < *at) {
            return Next::Wait(at, Arc::clone(&self.bell));
        }
        self.look_now = false;
        self.looked_at = Some(now);
        let rested = |at: Instant| now.saturating_duration_since(at) >= config.list_retry;
        let with_list = self.list_refused_at.is_none_or(rested);
        Next::Look(Order { connection, with_list, impatient: self.failures >= PATIENCE })
    }

    /// Notes what a look came to, and says whom to tell of it.
    pub(super) fn conclude(&mut self, key: &str, order: &Order, outcome: Outcome) -> Option<Wake> {
        if order.connection.replaced.is_cancelled() {
            return None;
        }
        let Outcome { complete, list_refused, failure } = outcome;
        if order.with_list {
            self.list_refused_at = list_refused.as_ref().and(self.looked_at);
        }
        if complete {
            self.complete_at = self.looked_at;
        }
        self.failures = if complete { 0 } else { self.failures.saturating_add(1) };
        let reason = match (&list_refused, &failure) {
            (Some(error), _) => {
                Some(format!("runs are read one by one, since their list is refused: {}", error.summary()))
            }
            (None, Some(error)) => Some(format!("runs can't all be read: {}", error.summary())),
            // Between two attempts to read the list, what was said about it still holds.
            (None, None) if self.list_refused_at.is_some() => self.degraded.clone(),
            (None, None) => (!complete).then(|| "a look at the runs failed unexpectedly".to_owned()),
        };
        if reason.is_some() && reason != self.degraded {
            tracing::warn!(organization = key, reason, "following runs is degraded");
        }
        self.degraded = reason;
        self.news()
    }

    /// Whom to tell that trouble that lasts has begun, changed or ended.
    pub(super) fn news(&mut self) -> Option<Wake> {
        let lasting = self.lasting();
        let before = std::mem::replace(&mut self.told, lasting);
        self.listener.clone().filter(|_| self.told != before)
    }

    /// Trouble that will not have passed by the next look, when there is a next one.
    fn lasting(&self) -> Option<String> {
        let lasts = self.board.has_active() && (self.list_refused_at.is_some() || self.failures >= PATIENCE);
        self.degraded.clone().filter(|_| lasts)
    }

    pub(super) fn health(&self, now: Instant) -> Health {
        Health {
            degraded: self.degraded.clone(),
            lasting: self.lasting(),
            lag: self.complete_at.map(|at| now.saturating_duration_since(at)),
            blind: self
                .board
                .tracked_since()
                .map(|since| now.saturating_duration_since(self.complete_at.map_or(since, |at| at.max(since)))),
            active: self.board.active().count(),
        }
    }
}
