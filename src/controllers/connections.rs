//! The organizations that can be reached: one client each, and one request budget per token or identity.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::pulumi::{Client, Governor, Meter, Rate, SecretValue, StackId};

/// A way to an organization.
pub struct Connection {
    /// `namespace/name` of the Organization resource.
    pub key: String,
    /// Name of the organization in Pulumi Cloud.
    pub organization: String,
    /// Base URL of the service.
    pub backend: String,
    /// Carries the token.
    pub client: Client,
    /// The budget of the token.
    pub governor: Arc<Governor>,
    /// The token, for its fingerprint and so that it can be redacted.
    pub token: SecretValue,
    /// Whether the service accepts the token, as last seen. Even one that it does not accept any more is kept:
    /// finalizers have nothing better.
    pub accepted: AtomicBool,
}

impl Connection {
    /// Whether the service accepts the token, as last seen.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    /// A stack of this organization.
    #[must_use]
    pub fn stack(&self, project: &str, stack: &str) -> StackId {
        StackId { organization: self.organization.clone(), project: project.to_owned(), stack: stack.to_owned() }
    }
}

/// All connections, by `namespace/name` of their Organization resource.
pub struct Connections {
    state: Mutex<State>,
    meter: Arc<dyn Meter>,
}

#[derive(Default)]
struct State {
    by_organization: HashMap<String, Arc<Connection>>,
    /// By backend and token: who shares a token shares its budget. A token that is renewed is known by whom it stands for,
    /// so that its successor has the same budget.
    governors: HashMap<(String, String), Weak<Governor>>,
}

impl Connections {
    /// None yet. `meter` is told what becomes of their budgets and calls.
    #[must_use]
    pub fn new(meter: Arc<dyn Meter>) -> Self {
        Self { state: Mutex::default(), meter }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of an Organization resource.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<Connection>> {
        self.lock().by_organization.get(key).cloned()
    }

    /// All connections to an organization at a backend.
    #[must_use]
    pub fn to(&self, backend: &str, organization: &str) -> Vec<Arc<Connection>> {
        let fits =
            |connection: &&Arc<Connection>| connection.backend == backend && connection.organization == organization;
        self.lock().by_organization.values().filter(fits).cloned().collect()
    }

    /// Puts a connection in place. The budget of the token that was used before no longer heeds this Organization.
    pub fn put(&self, connection: Connection) -> Arc<Connection> {
        let connection = Arc::new(connection);
        let previous = self.lock().by_organization.insert(connection.key.clone(), Arc::clone(&connection));
        if let Some(previous) = previous.filter(|previous| !Arc::ptr_eq(&previous.governor, &connection.governor)) {
            previous.governor.remove_rate(&previous.key);
            // Who waits there for a turn asks the new one.
            previous.governor.retire();
        }
        connection
    }

    /// Forgets the connection of an Organization resource that is gone.
    pub fn remove(&self, key: &str) {
        if let Some(connection) = self.lock().by_organization.remove(key) {
            connection.governor.remove_rate(key);
        }
    }

    /// All request budgets that somebody uses.
    #[must_use]
    pub fn governors(&self) -> Vec<Arc<Governor>> {
        self.lock().governors.values().filter_map(Weak::upgrade).collect()
    }

    /// The budget of a token at a backend. `token` is its fingerprint, or the name of the identity that it is renewed for.
    #[must_use]
    pub fn governor(&self, backend: &str, token: &str, key: &str, rate: Rate) -> Arc<Governor> {
        let mut state = self.lock();
        state.governors.retain(|_, governor| governor.strong_count() > 0);
        let place = state.governors.entry((backend.to_owned(), token.to_owned())).or_default();
        let governor = place.upgrade().unwrap_or_else(|| {
            let governor = Governor::metered(rate, Arc::clone(&self.meter));
            *place = Arc::downgrade(&governor);
            governor
        });
        drop(state);
        governor.set_rate(key, rate);
        governor
    }
}
