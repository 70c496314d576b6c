//! Stacks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::DeploymentKey;
use super::drift::Drift;
use super::people::User;
use super::schedule::{Schedule, ScheduleKey};
use super::state::State;
use crate::events::Script;
use crate::names::StackName;
use crate::settings::StoredSettings;

#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) name: StackName,
    pub(crate) id: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Its state is Terraform's: nothing can be deployed to it.
    pub(crate) is_terraform: bool,
    pub(crate) settings: Option<StoredSettings>,
    pub(crate) paused: bool,
    pub(crate) hold: Option<Hold>,
    /// In the order of their versions, which begin at 1.
    pub(crate) deployments: Vec<DeploymentKey>,
    pub(crate) by_id: HashMap<String, DeploymentKey>,
    /// What waits, oldest first.
    pub(crate) waiting: BTreeSet<DeploymentKey>,
    /// The one that the organization's queue knows as ready.
    pub(crate) ready: Option<DeploymentKey>,
    /// The one that is accepted or running.
    pub(crate) active: Option<DeploymentKey>,
    /// What Pulumi did to the stack, oldest first, previews included.
    pub(crate) updates: Vec<Update>,
    /// How many resources the stack has.
    pub(crate) resources: u64,
    pub(crate) state: State,
    /// Runs with caching have left their dependencies behind for the next.
    pub(crate) has_cache: bool,
    pub(crate) schedules: BTreeMap<ScheduleKey, Schedule>,
    pub(crate) drift: Drift,
}

/// Where a run is made to stop until it is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Wherever it is.
    Anywhere,
    /// At the beginning of this step.
    At(String),
}

impl Hold {
    pub(crate) fn applies_to(&self, step: &str) -> bool {
        match self {
            Self::Anywhere => true,
            Self::At(name) => name.eq_ignore_ascii_case(step),
        }
    }
}

impl Stack {
    pub(super) fn new(name: StackName, id: String, tags: BTreeMap<String, String>) -> Self {
        Self {
            name,
            id,
            tags,
            is_terraform: false,
            settings: None,
            paused: false,
            hold: None,
            deployments: Vec::new(),
            by_id: HashMap::new(),
            waiting: BTreeSet::new(),
            ready: None,
            active: None,
            updates: Vec::new(),
            resources: 0,
            state: State::default(),
            has_cache: false,
            schedules: BTreeMap::new(),
            drift: Drift::default(),
        }
    }

    /// The version of the newest deployment, 0 when there was none.
    pub(crate) fn latest_deployment(&self) -> usize {
        self.deployments.len()
    }

    pub(crate) fn schedule_by_id(&self, id: &str) -> Option<ScheduleKey> {
        self.schedules.iter().find(|(_, schedule)| schedule.id == id).map(|(key, _)| *key)
    }

    /// The stack's own version: the number of updates that may have changed it.
    pub(crate) fn version(&self) -> i64 {
        self.updates.last().map_or(0, |update| update.version)
    }
}

/// One run of Pulumi on the stack.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) id: String,
    /// The `updateID` of the API.
    pub(crate) engine_id: String,
    pub(crate) version: i64,
    pub(crate) kind: &'static str,
    pub(crate) result: &'static str,
    pub(crate) message: String,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) changes: BTreeMap<&'static str, u64>,
    /// Resources of the stack afterwards.
    pub(crate) resources: u64,
    pub(crate) requested_by: Arc<User>,
    /// What the engine tells while it works.
    pub(crate) script: Script,
}

impl Update {
    /// Whether it left the stack as it was.
    pub(crate) fn only_looks(&self) -> bool {
        self.kind == "preview" || self.kind.starts_with('P')
    }
}
