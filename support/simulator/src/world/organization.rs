//! Organizations.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::agent_pool::AgentPool;
use super::{DeploymentKey, StackKey};
use crate::oidc::Issuers;

/// What an organization may run at once, unless it is told otherwise.
const DEFAULT_CONCURRENCY: usize = 5;

/// What an organization pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Subscription {
    /// Too small for Pulumi Deployments.
    Team,
    /// Has deployments and their settings.
    TeamGrowth,
    /// Has everything, the remediation of drift too.
    #[default]
    BusinessCritical,
}

#[derive(Debug)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) paused: bool,
    pub(crate) concurrency: usize,
    pub(crate) subscription: Subscription,
    /// By project and stack.
    pub(crate) stacks: BTreeMap<(String, String), StackKey>,
    /// By their ids.
    pub(crate) agent_pools: BTreeMap<String, AgentPool>,
    /// Roles that deployments may run with: their names by their ids.
    pub(crate) roles: BTreeMap<String, String>,
    /// Where the templates of projects come from, for those that have one.
    pub(crate) templates: BTreeMap<String, String>,
    /// What may start as soon as there is a place, oldest first: the first in the queue of each stack whose turn it is.
    pub(crate) ready: BTreeSet<(DeploymentKey, StackKey)>,
    /// What takes one of the places: accepted or running.
    pub(crate) active: BTreeSet<DeploymentKey>,
    /// All deployments of the organization, oldest first.
    pub(crate) deployments: Vec<DeploymentKey>,
    pub(crate) created: Timestamp,
    pub(crate) issuers: Issuers,
    /// What was set of the organization and changes nothing.
    pub(crate) preferences: Map<String, Value>,
}

impl Organization {
    pub(super) fn new(name: &str) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            name: name.to_owned(),
            paused: false,
            concurrency: DEFAULT_CONCURRENCY,
            subscription: Subscription::default(),
            stacks: BTreeMap::new(),
            agent_pools: BTreeMap::new(),
            roles: BTreeMap::new(),
            templates: BTreeMap::new(),
            ready: BTreeSet::new(),
            active: BTreeSet::new(),
            deployments: Vec::new(),
            created: Timestamp::now(),
            issuers: Issuers::new(),
            preferences: Map::new(),
        }
    }
}
