//! Runs: creating, reading, listing, logs, canceling.

use super::answer::Nature;
use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{CreatedDeployment, Deployment, DeploymentPage, Logs, StepLogs, Update};

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// The page, counted from 1. A page past the end is empty.
    pub page: u32,
    /// Runs per page: 1 to 100.
    pub page_size: u32,
    /// True: the oldest first; false: the newest first.
    pub ascending: bool,
}

impl Default for ListQuery {
    /// The newest 10, as the service's own default.
    fn default() -> Self {
        Self { page: 1, page_size: 10, ascending: false }
    }
}

impl ListQuery {
    fn pairs(self) -> Vec<(&'static str, String)> {
        let ascending = self.ascending.then(|| ("asc", "true".to_owned()));
        ascending
            .into_iter()
            .chain([("page", self.page.to_string()), ("pageSize", self.page_size.to_string())])
            .collect()
    }
}

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
    /// `CreateDeployment`: starts a run. The document holds `operation`, `inheritSettings` and settings that override
    /// the stored ones.
    ///
    /// It is sent once, over a connection of its own, and never again. Only `NotSent` and a 4xx say that there is no
    /// run; after [`Class::Ambiguous`](super::Class::Ambiguous) there may be one.
    pub async fn create_deployment(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        request: &Node,
    ) -> Result<CreatedDeployment, Error> {
        let call = Call {
            body: Some(request),
            nature: Nature::Creation,
            ..Call::post("CreateDeployment", Route::stack(stack).deployments())
        };
        self.transport.fetch(permit, call).await
    }

    /// `GetDeployment`: a run by its id, with its configuration.
    pub async fn deployment(&self, permit: &mut Permit, stack: &StackId, id: &str) -> Result<Deployment, Error> {
        self.transport.fetch(permit, Call::get("GetDeployment", Route::deployment(stack, id))).await
    }

    /// `GetDeploymentByVersion`: a run by its number within the stack, with its configuration.
    pub async fn deployment_by_version(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        version: u64,
    ) -> Result<Deployment, Error> {
        let route = Route::deployment(stack, "version").then(&[&version.to_string()]);
        self.transport.fetch(permit, Call::get("GetDeploymentByVersion", route)).await
    }

    /// `ListStackDeployments`: a stack's runs.
    pub async fn list_stack_deployments(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        query: ListQuery,
    ) -> Result<DeploymentPage, Error> {
        let call =
            Call { query: query.pairs(), ..Call::get("ListStackDeployments", Route::stack(stack).deployments()) };
        self.transport.fetch(permit, call).await
    }

    /// `ListOrganizationDeployments`: the runs of all stacks of an organization that the token may see.
    pub async fn list_organization_deployments(
        &self,
        permit: &mut Permit,
        organization: &str,
        query: ListQuery,
    ) -> Result<DeploymentPage, Error> {
        let route = Route::organization(organization).deployments();
        let call = Call { query: query.pairs(), ..Call::get("ListOrganizationDeployments", route) };
        self.transport.fetch(permit, call).await
    }

    /// `GetLogs`: a run's log from the beginning, or from a token of an earlier answer on.
    pub async fn logs(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        id: &str,
        token: Option<&str>,
    ) -> Result<Logs, Error> {
        let token = token.map(|token| ("continuationToken", token.to_owned()));
        let call = Call {
            query: token.into_iter().collect(),
            ..Call::get("GetLogs", Route::deployment(stack, id).then(&["logs"]))
        };
        self.transport.fetch(permit, call).await
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

    /// `ListUpdates`: the updates that a run made, with their resource changes.
    pub async fn updates(&self, permit: &mut Permit, stack: &StackId, id: &str) -> Result<Vec<Update>, Error> {
        let route = Route::deployment(stack, id).then(&["updates"]);
        self.transport.fetch(permit, Call::get("ListUpdates", route)).await
    }

    /// `CancelDeployment`: takes a queued run out of the queue, or stops a running one at once, which the API calls
    /// very dangerous. The answer comes before the effect.
    ///
    /// When an answer was lost and the call is repeated, a run that was queued is a 404 by then.
    pub async fn cancel(&self, permit: &mut Permit, stack: &StackId, id: &str) -> Result<(), Error> {
        let route = Route::deployment(stack, id).then(&["cancel"]);
        self.transport.perform(permit, Call::post("CancelDeployment", route)).await
    }
}
