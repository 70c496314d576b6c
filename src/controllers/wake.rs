//! Wakes resources: everything that happens outside a controller's own watch comes in here.

use std::sync::Arc;

use kube::runtime::reflector::{Lookup, ObjectRef};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    caches::Scope,
    links::{Kind, Link, Links, Resource},
};
use crate::pulumi::{Waiter, Wake};

/// Sends resources to the controller that owns them.
#[derive(Default)]
pub struct Wakers {
    routes: Vec<(Kind, Scope, UnboundedSender<Resource>)>,
    /// Who depends on what.
    pub links: Links,
}

impl Wakers {
    /// Opens the way to the controller of a kind in a scope.
    pub fn route(&mut self, kind: Kind, scope: Scope) -> UnboundedReceiver<Resource> {
        let (sender, receiver) = unbounded_channel();
        self.routes.push((kind, scope, sender));
        receiver
    }

    /// Makes a resource look again now.
    pub fn wake(&self, resource: &Resource) {
        for (kind, scope, sender) in &self.routes {
            if *kind == resource.kind && scope.covers(&resource.namespace) {
                // The receiver is gone only while the operator stops.
                let _ = sender.send(resource.clone());
            }
        }
    }

    /// Makes everything that depends on something look again now.
    pub fn wake_dependents(&self, link: &Link) {
        for dependent in self.links.dependents(link) {
            self.wake(&dependent);
        }
    }

    /// Forgets a resource that is gone; who it depended on may have waited for that.
    pub fn gone(&self, resource: &Resource) {
        for link in self.links.remove(resource) {
            match &link {
                Link::Resource(upstream) => self.wake(upstream),
                Link::Stack(_) => self.wake_dependents(&link),
                Link::Source { .. } => {}
            }
        }
    }

    /// A callback that wakes a resource.
    #[must_use]
    pub fn callback(self: &Arc<Self>, resource: Resource) -> Wake {
        let wakers = Arc::clone(self);
        Arc::new(move || wakers.wake(&resource))
    }

    /// A resource as a waiter for the request budget.
    #[must_use]
    pub fn waiter(self: &Arc<Self>, resource: &Resource) -> Waiter {
        Waiter {
            key: format!("{:?}/{}/{}", resource.kind, resource.namespace, resource.name),
            wake: self.callback(resource.clone()),
        }
    }
}

/// A resource as kube's controllers name it.
#[must_use]
pub fn object_ref<K: Lookup<DynamicType = ()>>(resource: &Resource) -> ObjectRef<K> {
    ObjectRef::new(&resource.name).within(&resource.namespace)
}
