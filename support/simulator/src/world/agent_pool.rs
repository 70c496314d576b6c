//! Agent pools: who runs the deployments that are not left to the service.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{DeploymentKey, StackKey, World};
use crate::errors::SimulatorError;
use crate::settings;

/// An agent that was not heard of for that long is offline.
const SILENCE: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug)]
pub(crate) struct AgentPool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created: Timestamp,
    /// What its agents show to be let in.
    pub(crate) token: String,
    /// Whether the simulator plays an agent: what is meant for the pool then runs by itself.
    pub(crate) is_played: bool,
    /// The agent that asked for work last.
    pub(crate) agent: Option<Agent>,
    /// When it got its last deployment.
    pub(crate) last_deployment: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct Agent {
    /// As its requests tell it.
    pub(crate) version: String,
    pub(crate) last_seen: Timestamp,
}

impl AgentPool {
    pub(crate) fn new(name: &str, description: &str, is_played: bool) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            created: Timestamp::now(),
            token: format!("pul-{}", Uuid::new_v4().simple()),
            is_played,
            agent: None,
            last_deployment: None,
        }
    }

    /// When an agent was heard of last.
    pub(crate) fn last_seen(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_played { Some(now) } else { self.agent.as_ref().map(|agent| agent.last_seen) }
    }

    pub(crate) fn is_online(&self, now: Timestamp) -> bool {
        self.last_seen(now).is_some_and(|seen| now.duration_since(seen) < SILENCE)
    }
}

impl World {
    /// The organization and the id of the pool whose agents have this token.
    pub(crate) fn pool_of_token(&self, token: &str) -> Option<(String, String)> {
        self.organizations.values().find_map(|organization| {
            let (id, _) = organization.agent_pools.iter().find(|(_, pool)| pool.token == token)?;
            Some((organization.name.clone(), id.clone()))
        })
    }

    /// The pool that the deployment is for, as long as there is such a pool.
    pub(crate) fn pool_of(&self, deployment: DeploymentKey) -> Option<(&str, &AgentPool)> {
        let deployment = self.deployments.get(&deployment)?;
        let organization = &self.stacks.get(&deployment.stack)?.name.organization;
        let pool = settings::agent_pool(&deployment.settings)?;
        let (id, pool) = self.organizations.get(organization)?.agent_pools.get_key_value(pool)?;
        Some((id, pool))
    }

    /// Gives an agent of the pool the oldest deployment that is meant for it and whose turn it is.
    pub(crate) fn poll(
        &mut self,
        organization: &str,
        pool: &str,
        agent: Agent,
        now: Timestamp,
    ) -> Option<DeploymentKey> {
        let place = self.organizations.get_mut(organization)?;
        place.agent_pools.get_mut(pool)?.agent = Some(agent);
        if place.paused || place.active.len() >= place.concurrency {
            return None;
        }
        let is_its = |key: &DeploymentKey| self.pool_of(*key).is_some_and(|(id, _)| id == pool);
        let stacks = self.organizations.get(organization)?.stacks.values();
        let (key, stack) = stacks
            .filter_map(|key| {
                let stack = self.stacks.get(key).filter(|stack| !stack.paused && stack.active.is_none())?;
                Some((*stack.waiting.first()?, *key))
            })
            .filter(|(deployment, _)| is_its(deployment))
            .min()?;
        self.organizations.get_mut(organization)?.active.insert(key);
        self.accept(key, stack, now);
        Some(key)
    }

    /// Whether the simulator plays an agent of the pool.
    pub(crate) fn play_agent(
        &mut self,
        organization: &str,
        pool: &str,
        plays: bool,
        now: Timestamp,
    ) -> Result<(), SimulatorError> {
        let pools = &mut self.organization_mut(organization)?.agent_pools;
        let found = pools.get_mut(pool).ok_or_else(|| SimulatorError::UnknownAgentPool(pool.to_owned()))?;
        found.is_played = plays;
        self.line_up_all(organization, now);
        Ok(())
    }

    /// The stacks whose settings choose the pool.
    pub(crate) fn users_of_pool(&self, organization: &str, pool: &str) -> HashSet<StackKey> {
        let stacks = self.organizations.get(organization).map(|organization| organization.stacks.values());
        let uses = |key: &&StackKey| {
            let settings = self.stacks.get(*key).and_then(|stack| stack.settings.as_ref());
            settings.is_some_and(|settings| settings::agent_pool(&settings.value) == Some(pool))
        };
        stacks.into_iter().flatten().filter(uses).copied().collect()
    }

    /// Removes a pool. Stacks that use it are left to the service from now on.
    pub(crate) fn remove_pool(&mut self, organization: &str, pool: &str, now: Timestamp) {
        for key in self.users_of_pool(organization, pool) {
            if let Some(settings) = self.stacks.get_mut(&key).and_then(|stack| stack.settings.as_mut()) {
                if let Some(value) = settings.value.as_object_mut() {
                    value.remove("agentPoolID");
                }
                settings.version += 1;
            }
        }
        if let Some(organization) = self.organizations.get_mut(organization) {
            organization.agent_pools.remove(pool);
        }
        self.line_up_all(organization, now);
    }

    fn line_up_all(&mut self, organization: &str, now: Timestamp) {
        let stacks = self.organizations.get(organization).map(|organization| organization.stacks.values());
        let stacks: Vec<StackKey> = stacks.into_iter().flatten().copied().collect();
        for stack in stacks {
            self.line_up(stack);
        }
        self.schedule(organization, now);
    }
}
