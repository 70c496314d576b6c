//! Updates of a stack, and what the engine told of them.

use std::time::Duration;

use super::follow::{Feed, Follow};
use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{EngineEvent, EngineEvents, Update, UpdateSummary};

/// What the events are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventsOf {
    /// An update, refresh or destroy.
    Update,
    /// A preview of one.
    Preview,
}

impl EventsOf {
    fn segment(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Preview => "preview",
        }
    }
}

impl Client {
    /// `GetLatestUpdate`: the stack's latest update. 404 when it has had none.
    pub async fn latest_stack_update(&self, permit: &mut Permit, stack: &StackId) -> Result<Update, Error> {
        self.transport.fetch(permit, Call::get("GetLatestUpdate", Route::stack_update(stack, &["latest"]))).await
    }

    /// `GetUpdate`: an update by the version of the stack that it made.
    pub async fn stack_update(&self, permit: &mut Permit, stack: &StackId, version: u64) -> Result<Update, Error> {
        let route = Route::stack_update(stack, &[&version.to_string()]);
        self.transport.fetch(permit, Call::get("GetUpdate", route)).await
    }

    /// `GetUpdateSummary`: an update in short, by the version of the stack that it made.
    pub async fn stack_update_summary(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        version: u64,
    ) -> Result<UpdateSummary, Error> {
        let route = Route::stack_update(stack, &[&version.to_string(), "summary"]);
        self.transport.fetch(permit, Call::get("GetUpdateSummary", route)).await
    }

    /// `GetEngineEvents`: what the engine told of an update, from the beginning or from a token of an earlier answer on.
    pub async fn engine_events(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        of: EventsOf,
        update_id: &str,
        token: Option<&str>,
    ) -> Result<EngineEvents, Error> {
        let query = token.map(|token| ("continuationToken", token.to_owned())).into_iter().collect();
        let route = Route::stack(stack).then(&[of.segment(), update_id, "events"]);
        self.transport.fetch(permit, Call { query, ..Call::get("GetEngineEvents", route) }).await
    }

    /// All that the engine tells of an update, while it runs and to its end. `pace` is the pause while there is nothing
    /// new.
    #[must_use]
    pub fn follow_events(
        &self,
        stack: &StackId,
        of: EventsOf,
        update_id: &str,
        pace: Duration,
    ) -> Follow<UpdateEvents> {
        let feed = UpdateEvents { stack: stack.clone(), of, update_id: update_id.to_owned() };
        Follow::new(self.clone(), feed, pace)
    }
}

/// The events of an update, as they are followed.
#[derive(Clone, Debug)]
pub struct UpdateEvents {
    stack: StackId,
    of: EventsOf,
    update_id: String,
}

impl Feed for UpdateEvents {
    type Item = EngineEvent;

    async fn part(
        &self,
        client: &Client,
        permit: &mut Permit,
        token: Option<&str>,
    ) -> Result<(Vec<EngineEvent>, Option<String>), Error> {
        let part = client.engine_events(permit, &self.stack, self.of, &self.update_id, token).await?;
        Ok((part.events, part.continuation_token))
    }
}
