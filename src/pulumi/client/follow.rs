//! Follows what is still being written: from token to token, at one's own pace, to the end.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::{Client, Error};
use crate::pulumi::governor::Permit;

/// Something that the service shows part by part, each with a token for the next.
pub trait Feed: Send + Sync {
    /// What a part consists of.
    type Item: Send;

    /// The part behind a token, or the first one; and the token of the next, unless it was the last.
    fn part(
        &self,
        client: &Client,
        permit: &mut Permit,
        token: Option<&str>,
    ) -> impl Future<Output = Result<(Vec<Self::Item>, Option<String>), Error>> + Send;
}

/// Follows a [`Feed`]: it ends when there is no token any more, and pauses while the token stays the same, which means
/// that there is nothing new yet.
pub struct Follow<F> {
    client: Client,
    feed: F,
    pace: Duration,
    token: Option<String>,
    /// Not to be asked before.
    due: Option<Instant>,
    over: bool,
}

impl<F: Feed> Follow<F> {
    pub(super) fn new(client: Client, feed: F, pace: Duration) -> Self {
        Self { client, feed, pace, token: None, due: None, over: false }
    }

    /// Waits until it is time to ask again. [`next`](Self::next) does so too; who waits here first holds no permit
    /// meanwhile.
    pub async fn ready(&self) {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
    }

    /// What has been added, for one unit of the permit: perhaps nothing. `None`: that was all.
    ///
    /// After an error, or when the future was dropped, the same part is asked for again.
    pub async fn next(&mut self, permit: &mut Permit) -> Result<Option<Vec<F::Item>>, Error> {
        if self.over {
            return Ok(None);
        }
        self.ready().await;
        let (items, next) = self.feed.part(&self.client, permit, self.token.as_deref()).await?;
        self.over = next.is_none();
        let unchanged = next == self.token;
        self.due = unchanged.then(|| Instant::now() + self.pace);
        self.token = next;
        Ok(Some(items))
    }

    /// Everything to the end, which may take as long as what is followed.
    pub async fn all(mut self, permit: &mut Permit) -> Result<Vec<F::Item>, Error> {
        let mut all = Vec::new();
        while let Some(items) = self.next(permit).await? {
            all.extend(items);
        }
        Ok(all)
    }
}

impl<F: fmt::Debug> fmt::Debug for Follow<F> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Follow").field("feed", &self.feed).field("over", &self.over).finish_non_exhaustive()
    }
}
