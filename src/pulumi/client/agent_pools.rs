//! An organization's pools of self-hosted agents.

use reqwest::Method;

use super::answer::Nature;
use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::wire::{AgentPoolDetail, AgentPoolSummary, AgentPools, CreatedAgentPool};

/// What is changed about a pool; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentPoolChange<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// What it is for.
    pub description: Option<&'a str>,
}

impl Client {
    /// `ListAgentPools`: an organization's pools.
    pub async fn agent_pools(&self, permit: &mut Permit, organization: &str) -> Result<AgentPools, Error> {
        self.transport.fetch(permit, Call::get("ListAgentPools", Route::agent_pools(organization))).await
    }

    /// `CreateAgentPool`: makes a pool, and the token that its agents prove themselves with. Never repeated.
    pub async fn create_agent_pool(
        &self,
        permit: &mut Permit,
        organization: &str,
        name: &str,
        description: &str,
    ) -> Result<CreatedAgentPool, Error> {
        let body: Node = [("name", name), ("description", description)].into_iter().collect();
        let call = Call {
            body: Some(&body),
            nature: Nature::Creation,
            ..Call::post("CreateAgentPool", Route::agent_pools(organization))
        };
        self.transport.fetch(permit, call).await
    }

    /// `GetAgentPool`: a pool with its agents.
    pub async fn agent_pool(
        &self,
        permit: &mut Permit,
        organization: &str,
        id: &str,
    ) -> Result<AgentPoolDetail, Error> {
        let route = Route::agent_pools(organization).then(&[id]);
        self.transport.fetch(permit, Call::get("GetAgentPool", route)).await
    }

    /// `PatchAgentPool`: changes a pool's name or description.
    pub async fn change_agent_pool(
        &self,
        permit: &mut Permit,
        organization: &str,
        id: &str,
        change: AgentPoolChange<'_>,
    ) -> Result<AgentPoolSummary, Error> {
        let AgentPoolChange { name, description } = change;
        let fields = [("name", name), ("description", description)];
        let body: Node = fields.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let route = Route::agent_pools(organization).then(&[id]);
        let call = Call { method: Method::PATCH, body: Some(&body), ..Call::get("PatchAgentPool", route) };
        self.transport.fetch(permit, call).await
    }

    /// `DeleteAgentPool`: deletes a pool. 400 when stacks use it, unless it is forced.
    pub async fn delete_agent_pool(
        &self,
        permit: &mut Permit,
        organization: &str,
        id: &str,
        force: bool,
    ) -> Result<(), Error> {
        let query = force.then(|| ("force", "true".to_owned())).into_iter().collect();
        let route = Route::agent_pools(organization).then(&[id]);
        self.transport.perform(permit, Call { query, ..Call::delete("DeleteAgentPool", route) }).await
    }
}
