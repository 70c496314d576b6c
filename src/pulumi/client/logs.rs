//! Logs of runs: as a whole, from token to token, or step by step.

use std::time::Duration;

use super::follow::{Feed, Follow};
use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{LogLine, Logs, StepLogs};

/// Which part of a step's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepLogQuery {
    /// The job, counted from 0; so far there is one only.
    pub job: u32,
    /// The step. The API's page counts from 1, its `OpenAPI` document from 0.
    pub step: u32,
    /// The first line.
    pub offset: u64,
    /// How many lines: 1 to 499.
    pub count: u32,
}

impl Client {
    /// `GetLogs`: a run's log from the beginning, or from a token of an earlier answer on.
    pub async fn logs(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        id: &str,
        token: Option<&str>,
    ) -> Result<Logs, Error> {
        let names = self.dialect().log_tokens().iter();
        let query = token.into_iter().flat_map(|token| names.clone().map(|name| (*name, token.to_owned())));
        let call =
            Call { query: query.collect(), ..Call::get("GetLogs", Route::deployment(stack, id).then(&["logs"])) };
        self.transport.fetch(permit, call).await
    }

    /// A run's whole log, while it is written and to its end. `pace` is the pause while there is nothing new.
    #[must_use]
    pub fn follow_logs(&self, stack: &StackId, id: &str, pace: Duration) -> Follow<RunLog> {
        Follow::new(self.clone(), RunLog { stack: stack.clone(), id: id.to_owned() }, pace)
    }

    /// `GetStepLogs`: one step's log. There is none before the run has started.
    pub async fn step_logs(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        id: &str,
        query: StepLogQuery,
    ) -> Result<StepLogs, Error> {
        let StepLogQuery { job, step, offset, count } = query;
        let call = Call {
            query: vec![
                ("count", count.to_string()),
                ("job", job.to_string()),
                ("offset", offset.to_string()),
                ("step", step.to_string()),
            ],
            ..Call::get("GetStepLogs", Route::deployment(stack, id).then(&["logs"]))
        };
        self.transport.fetch(permit, call).await
    }

    /// One step's log from `query` on, while it is written and to its end. `pace` is the pause while there is nothing
    /// new.
    #[must_use]
    pub fn follow_step_logs(&self, stack: &StackId, id: &str, query: StepLogQuery, pace: Duration) -> Follow<StepLog> {
        Follow::new(self.clone(), StepLog { stack: stack.clone(), id: id.to_owned(), query }, pace)
    }
}

/// A run's log, as it is followed.
#[derive(Clone, Debug)]
pub struct RunLog {
    stack: StackId,
    id: String,
}

impl Feed for RunLog {
    type Item = LogLine;

    async fn part(
        &self,
        client: &Client,
        permit: &mut Permit,
        token: Option<&str>,
    ) -> Result<(Vec<LogLine>, Option<String>), Error> {
        let Logs { lines, next_token } = client.logs(permit, &self.stack, &self.id, token).await?;
        Ok((lines, next_token))
    }
}

/// One step's log, as it is followed. What stands for a token is the number of the next line.
#[derive(Clone, Debug)]
pub struct StepLog {
    stack: StackId,
    id: String,
    query: StepLogQuery,
}

impl Feed for StepLog {
    type Item = LogLine;

    async fn part(
        &self,
        client: &Client,
        permit: &mut Permit,
        token: Option<&str>,
    ) -> Result<(Vec<LogLine>, Option<String>), Error> {
        let offset = token.and_then(|token| token.parse().ok()).unwrap_or(self.query.offset);
        let query = StepLogQuery { offset, ..self.query };
        let StepLogs { lines, next_offset, .. } = client.step_logs(permit, &self.stack, &self.id, query).await?;
        // Never back: lines that are not written yet may have been asked for.
        Ok((lines, next_offset.map(|next| next.max(offset).to_string())))
    }
}
