//! Who must look again when something changes: the references between objects, as last read.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::api::settings::SourceKind;

/// A resource of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Which of the three kinds.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Resource {
    /// `namespace/name`, as connections are named.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// One of the three kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `Organization`.
    Organization,
    /// `StackDeploymentSettings`.
    Settings,
    /// `Deployment`.
    Deployment,
}

impl Kind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Organization, Self::Settings, Self::Deployment];

    /// The kind as metrics call its controller.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Settings => "stackdeploymentsettings",
            Self::Deployment => "deployment",
        }
    }

    /// A resource of this kind.
    pub fn named(self, namespace: impl Into<String>, name: impl Into<String>) -> Resource {
        Resource { kind: self, namespace: namespace.into(), name: name.into() }
    }
}

/// Something that a resource depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// Another resource of ours.
    Resource(Resource),
    /// A Secret or ConfigMap.
    Source {
        /// Secret or ConfigMap.
        kind: SourceKind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A remote stack, which one settings resource may own.
    Stack(String),
}

/// The references between objects.
#[derive(Default)]
pub struct Links(Mutex<Index>);

#[derive(Default)]
struct Index {
    forward: HashMap<Resource, HashSet<Link>>,
    backward: HashMap<Link, HashSet<Resource>>,
}

impl Links {
    /// Replaces what a resource depends on.
    pub fn set(&self, dependent: &Resource, links: HashSet<Link>) {
        let mut index = self.lock();
        if index.forward.get(dependent) == Some(&links) {
            return;
        }
        index.unlink(dependent);
        for link in &links {
            index.backward.entry(link.clone()).or_default().insert(dependent.clone());
        }
        index.forward.insert(dependent.clone(), links);
    }

    /// Forgets a resource, and returns what it depended on.
    pub fn remove(&self, dependent: &Resource) -> HashSet<Link> {
        self.lock().unlink(dependent)
    }

    /// The Organizations that a resource depends on.
    pub fn organizations_of(&self, dependent: &Resource) -> impl Iterator<Item = Resource> + use<> {
        self.upstream_of(dependent).filter(|upstream| upstream.kind == Kind::Organization)
    }

    /// The resources that a resource depends on.
    pub fn upstream_of(&self, dependent: &Resource) -> impl Iterator<Item = Resource> + use<> {
        let links = self.lock().forward.get(dependent).cloned().unwrap_or_default();
        links.into_iter().filter_map(|link| match link {
            Link::Resource(upstream) => Some(upstream),
            Link::Source { .. } | Link::Stack(_) => None,
        })
    }

    /// The Secrets or ConfigMaps that any resource depends on, as namespace and name.
    #[must_use]
    pub fn sources(&self, wanted: SourceKind) -> Vec<(String, String)> {
        let index = self.lock();
        let sources = index.backward.keys().filter_map(|link| match link {
            Link::Source { kind, namespace, name } if *kind == wanted => Some((namespace.clone(), name.clone())),
            Link::Resource(_) | Link::Source { .. } | Link::Stack(_) => None,
        });
        sources.collect()
    }

    /// The resources that depend on something.
    #[must_use]
    pub fn dependents(&self, link: &Link) -> Vec<Resource> {
        self.lock().backward.get(link).into_iter().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn unlink(&mut self, dependent: &Resource) -> HashSet<Link> {
        let links = self.forward.remove(dependent).unwrap_or_default();
        for link in &links {
            if let Some(dependents) = self.backward.get_mut(link) {
                dependents.remove(dependent);
                if dependents.is_empty() {
                    self.backward.remove(link);
                }
            }
        }
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_replaced_and_removed() {
        let links = Links::default();
        let (a, b) = (Kind::Settings.named("ns", "a"), Kind::Settings.named("ns", "b"));
        let stack = |name: &str| Link::Stack(name.to_owned());
        links.set(&a, HashSet::from([stack("one"), stack("two")]));
        links.set(&b, HashSet::from([stack("two")]));
        links.set(&a, HashSet::from([stack("two")]));
        assert_eq!(links.dependents(&stack("one")), []);
        assert_eq!(links.dependents(&stack("two")).len(), 2);
        assert_eq!(links.remove(&a), HashSet::from([stack("two")]));
        assert_eq!(links.dependents(&stack("two")), [b]);
    }

    #[test]
    fn sources_are_listed_once_each() {
        let links = Links::default();
        let source = |kind| Link::Source { kind, namespace: "ns".to_owned(), name: "db".to_owned() };
        for name in ["a", "b"] {
            let both = HashSet::from([source(SourceKind::Secret), source(SourceKind::ConfigMap)]);
            links.set(&Kind::Settings.named("ns", name), both);
        }
        assert_eq!(links.sources(SourceKind::Secret), [("ns".to_owned(), "db".to_owned())]);
        links.remove(&Kind::Settings.named("ns", "a"));
        assert_eq!(links.sources(SourceKind::Secret).len(), 1);
        links.remove(&Kind::Settings.named("ns", "b"));
        assert_eq!(links.sources(SourceKind::Secret), []);
    }
}
