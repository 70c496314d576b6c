//! Runs: creating, reading, listing, canceling.

use super::answer::Nature;
use super::routes::Route;
use super::transport::Call;
use super::{Client, Dialect, Error, preview_list};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{CreatedDeployment, Deployment, DeploymentPage, Status, Update};

/// The name of the call that lists a stack's runs.
pub(super) const LIST: &str = "ListStackDeployments";

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListQuery {
    /// The page, counted from 1. A page past the end is empty.
    pub page: u32,
    /// Runs per page: 1 to 100.
    pub page_size: u32,
    /// True: the oldest first; false: the newest first.
    pub ascending: bool,
    /// What they are ordered by. None: by when they were created.
    pub sort: Option<Sort>,
    /// Only runs in this state. None: all.
    pub status: Option<Status>,
}

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// When a run was created.
    Created,
    /// When it last changed.
    Modified,
    /// Its number within its stack.
    Version,
    /// Its state.
    Status,
}

impl Sort {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Version => "version",
            Self::Status => "status",
        }
    }
}

impl Default for ListQuery {
    /// The newest 10, as the service's own default.
    fn default() -> Self {
        Self { page: 1, page_size: 10, ascending: false, sort: None, status: None }
    }
}

impl ListQuery {
    fn pairs(self) -> Vec<(&'static str, String)> {
        let ascending = self.ascending.then(|| ("asc", "true".to_owned()));
        let sort = self.sort.map(|sort| ("sort", sort.as_str().to_owned()));
        let status = self.status.map(|status| ("status", status.as_str().to_owned()));
        ascending
            .into_iter()
            .chain([("page", self.page.to_string()), ("pageSize", self.page_size.to_string())])
            .chain(sort)
            .chain(status)
            .collect()
    }
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
        const CALL: &str = "CreateDeployment";
        let request = self.dialect().creation(CALL, request)?;
        let call = Call {
            body: Some(&request),
            nature: Nature::Creation,
            ..Call::post(CALL, Route::stack(stack).deployments())
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
    ///
    /// It takes one request; in the preview dialect, which lists the oldest first and does not say how many there are,
    /// up to [`units_of_list`](Self::units_of_list). There is no order and no state to choose there.
    pub async fn list_stack_deployments(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        query: ListQuery,
    ) -> Result<DeploymentPage, Error> {
        if self.dialect() == Dialect::Preview {
            return self.preview_list(permit, stack, &query).await;
        }
        let call = Call { query: query.pairs(), ..Call::get(LIST, Route::stack(stack).deployments()) };
        self.transport.fetch(permit, call).await
    }

    /// How many requests it may take to list a part of a stack's runs.
    #[must_use]
    pub fn units_of_list(&self) -> u32 {
        match self.dialect() {
            Dialect::Stacks => 1,
            Dialect::Preview => preview_list::MOST_REQUESTS,
        }
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
