//! Everything the simulated service knows, and the passing of time in it.
//!
//! There is no task per run. Whoever looks at the world first lets it catch up: every event that is due happens, in
//! order, at the time at which it was due.

pub(crate) mod agent_pool;
pub(crate) mod deployment;
pub(crate) mod drift;
pub(crate) mod organization;
pub(crate) mod people;
mod repositories;
pub(crate) mod schedule;
pub(crate) mod stack;
mod state;
pub(crate) mod tokens;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::errors::{ApiError, SimulatorError};
use crate::names::StackName;
use crate::secrets::{AutoSecrets, Cipher};
use crate::settings::Decoder;
use deployment::Deployment;
use organization::Organization;
use people::{Access, Role};
use repositories::Repositories;
use schedule::ScheduleKey;
use stack::Stack;

/// Names a stack for as long as it exists: a stack created anew under the same name is another one.
pub(crate) type StackKey = u64;
/// Names a deployment; later ones have larger keys.
pub(crate) type DeploymentKey = u64;

pub(crate) struct World {
    /// How many times faster than the service things happen.
    pub(crate) speed: f64,
    /// How the outside reaches the simulator.
    pub(crate) url: String,
    pub(crate) auto_secrets: AutoSecrets,
    /// How long a deployment may wait in the queue.
    pub(crate) queue_expiry: SignedDuration,
    /// The number of a deployment's first step in the logs' query.
    pub(crate) first_step: usize,
    pub(crate) cipher: Cipher,
    pub(crate) organizations: BTreeMap<String, Organization>,
    pub(crate) tokens: HashMap<String, Access>,
    pub(crate) stacks: BTreeMap<StackKey, Stack>,
    pub(crate) deployments: BTreeMap<DeploymentKey, Deployment>,
    pub(crate) repositories: Repositories,
    agenda: BinaryHeap<Reverse<Entry>>,
    next_key: u64,
}

/// Something that will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// The deployment's next step; void unless the number is the deployment's current one.
    Progress(DeploymentKey, u64),
    /// It waited in the queue for too long.
    Expire(DeploymentKey),
    /// The stack's schedule has its turn; void unless the number is the schedule's current one.
    Fire(StackKey, ScheduleKey, u64),
}

/// Ordered by time, then by the order of writing.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Timestamp,
    number: u64,
    event: Event,
}

impl World {
    pub(crate) fn new(url: String, speed: f64) -> Self {
        Self {
            speed,
            url,
            auto_secrets: AutoSecrets::default(),
            queue_expiry: SignedDuration::from_hours(7 * 24),
            first_step: 0,
            cipher: Cipher::new(),
            organizations: BTreeMap::new(),
            tokens: HashMap::new(),
            stacks: BTreeMap::new(),
            deployments: BTreeMap::new(),
            repositories: Repositories::default(),
            agenda: BinaryHeap::new(),
            next_key: 1,
        }
    }

    /// Lets everything happen that is due.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        while let Some(Reverse(entry)) = self.agenda.peek()
            && entry.at <= now
        {
            let Some(Reverse(entry)) = self.agenda.pop() else {
                return;
            };
            match entry.event {
                Event::Progress(key, generation) => self.progress(key, generation, entry.at),
                Event::Expire(key) => self.expire(key, entry.at),
                Event::Fire(stack, key, generation) => self.fire_due(stack, key, generation, entry.at),
            }
        }
    }

    pub(crate) fn plan_event(&mut self, at: Timestamp, event: Event) {
        let number = self.next_key();
        self.agenda.push(Reverse(Entry { at, number, event }));
    }

    pub(crate) fn next_key(&mut self) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// A span of the real service's time, at the simulator's speed.
    pub(crate) fn scaled(&self, seconds: f64) -> SignedDuration {
        SignedDuration::try_from_secs_f64(seconds / self.speed).unwrap_or(SignedDuration::MAX)
    }

    pub(crate) fn decoder(&self) -> Decoder<'_> {
        Decoder { cipher: &self.cipher, auto_secrets: self.auto_secrets }
    }

    /// The stack of that name, wherever it is.
    pub(crate) fn stack_key(&self, name: &StackName) -> Option<StackKey> {
        let organization = self.organizations.get(&name.organization)?;
        let place = (name.project.clone(), name.stack.clone());
        organization.stacks.get(&place).copied()
    }

    pub(crate) fn known_stack(&self, name: &StackName) -> Result<StackKey, SimulatorError> {
        self.stack_key(name).ok_or_else(|| SimulatorError::UnknownStack(name.to_string()))
    }

    pub(crate) fn organization_mut(&mut self, name: &str) -> Result<&mut Organization, SimulatorError> {
        self.organizations.get_mut(name).ok_or_else(|| SimulatorError::UnknownOrganization(name.to_owned()))
    }

    /// The organization, if the caller is a member of it. The service does not tell an organization that is not
    /// there from one that is not the caller's.
    pub(crate) fn visible_organization(&self, access: &Access, name: &str) -> Result<&Organization, ApiError> {
        self.organizations
            .get(name)
            .filter(|organization| access.roles.contains_key(&organization.name))
            .ok_or_else(|| ApiError::not_found(format!("Organization {name} not found")))
    }

    /// The stack, if the caller may see it.
    pub(crate) fn visible_stack(&self, access: &Access, name: &StackName) -> Result<StackKey, ApiError> {
        self.visible_organization(access, &name.organization)?;
        self.stack_key(name).ok_or_else(|| ApiError::not_found(format!("Stack '{name}' not found")))
    }

    pub(crate) fn add_organization(&mut self, name: &str) {
        self.organizations.entry(name.to_owned()).or_insert_with(|| Organization::new(name));
    }

    /// Makes the token known; a new one belongs to a new user of that login.
    pub(crate) fn add_token(&mut self, token: &str, login: &str) {
        self.tokens.entry(token.to_owned()).or_insert_with(|| Access::new(login));
    }

    /// Opens the organization to a known token.
    pub(crate) fn grant(&mut self, token: &str, organization: &str, role: Role) {
        if let Some(access) = self.tokens.get_mut(token) {
            access.roles.insert(organization.to_owned(), role);
        }
    }

    pub(crate) fn add_stack(
        &mut self,
        name: &StackName,
        tags: BTreeMap<String, String>,
    ) -> Result<StackKey, SimulatorError> {
        if let Some(key) = self.stack_key(name) {
            return Ok(key);
        }
        let key = self.next_key();
        let organization = self.organization_mut(&name.organization)?;
        let place = (name.project.clone(), name.stack.clone());
        organization.stacks.insert(place, key);
        self.stacks.insert(key, Stack::new(name.clone(), Uuid::new_v4().to_string(), tags));
        Ok(key)
    }

    /// Removes the stack with its settings and its deployments.
    pub(crate) fn remove_stack(&mut self, key: StackKey, now: Timestamp) {
        let Some(stack) = self.stacks.remove(&key) else {
            return;
        };
        for deployment in &stack.deployments {
            self.deployments.remove(deployment);
        }
        let name = stack.name;
        if let Some(organization) = self.organizations.get_mut(&name.organization) {
            organization.stacks.remove(&(name.project, name.stack));
            let is_left = |key: &DeploymentKey| self.deployments.contains_key(key);
            organization.ready.retain(|(key, _)| is_left(key));
            organization.active.retain(is_left);
            organization.deployments.retain(is_left);
            self.schedule(&name.organization, now);
        }
    }
}
