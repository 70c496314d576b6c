//! What the operator knows of Kubernetes objects: one watch, one store per namespace and kind.
//!
//! Several watches merged into one store would overwrite each other at every re-list, so each watched namespace
//! has stores of its own and a lookup asks them in turn.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, StreamExt, future};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::warn;

use crate::api::{
    names::EXTERNAL_LINK,
    settings::{SourceKind, SourceVersion},
};

/// Where to watch: one namespace, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every namespace.
    All,
    /// One namespace.
    Namespace(String),
}

impl Scope {
    /// An API handle for this scope.
    #[must_use]
    pub fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::All => Api::all(client),
            Self::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }

    /// Whether a namespace is part of it.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(own) => own == namespace,
        }
    }
}

/// All stores of one kind.
#[derive(Clone)]
pub struct Stores<K>(Vec<Store<K>>)
where
    K: Resource<DynamicType = ()> + Clone + 'static;

impl<K> Stores<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// Puts stores of different namespaces together.
    #[must_use]
    pub const fn new(stores: Vec<Store<K>>) -> Self {
        Self(stores)
    }

    /// The object as last seen.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = ObjectRef::new(name).within(namespace);
        self.0.iter().find_map(|store| store.get(&key))
    }

    /// All objects for which `wanted` holds.
    pub fn filter(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.0.iter().flat_map(|store| store.state_filter(|object| wanted(object))).collect()
    }
}

/// Counts the first lists of watches that have not been read yet.
///
/// (kube's own `Store::wait_until_ready` wakes only one of several waiters, and its controllers wait as well.)
pub struct FirstLists(watch::Sender<usize>);

impl FirstLists {
    /// So many lists are to be read.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(watch::Sender::new(count))
    }

    /// One more has been read.
    pub fn done(&self) {
        self.0.send_modify(|left| *left = left.saturating_sub(1));
    }

    /// Waits until all have been read.
    pub async fn all(&self) {
        // The sender lives as long as this does, so waiting ends only with the last list.
        let _ = self.0.subscribe().wait_for(|left| *left == 0).await;
    }
}

/// Whether a watch may not be made. One namespace that cannot be read must not keep all others waiting.
#[must_use]
pub fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 403,
        _ => false,
    }
}

/// An object that is kept in a store.
pub trait Cached {
    /// Drops the large parts of its status that no decision on the stored object needs.
    fn drop_bulk(&mut self) {}
}

/// A watch of one kind in one scope, decoded and cut down to what the operator reads.
///
/// An object that cannot be decoded is reported and passed over: it must not wedge the watch of all others.
pub fn watch<K>(client: Client, scope: &Scope) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Cached
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let api: Api<DeserializeGuard<K>> = scope.api(client);
    watcher::watcher(api, watcher::Config::default())
        .default_backoff()
        .filter_map(|event| future::ready(decoded(event).transpose()))
        .modify(project)
}

fn decoded<K: Resource<DynamicType = ()>>(
    event: watcher::Result<Event<DeserializeGuard<K>>>,
) -> watcher::Result<Option<Event<K>>> {
    let open = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            warn!(
                kind = %K::kind(&()),
                namespace = invalid.metadata.namespace.as_deref().unwrap_or_default(),
                name = invalid.metadata.name.as_deref().unwrap_or_default(),
                error = %invalid.error,
                "object cannot be decoded and is left alone until it is changed"
            );
            None
        }
    };
    Ok(match event? {
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
        Event::InitApply(object) => open(object).map(Event::InitApply),
        Event::Apply(object) => open(object).map(Event::Apply),
        Event::Delete(object) => open(object).map(Event::Delete),
    })
}

/// Drops what only takes memory: a reconcile that writes reads the live object first.
fn project<K: Resource + Cached>(object: &mut K) {
    object.drop_bulk();
    object.managed_fields_mut().clear();
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    // The operator's own word is no reason to look again.
    object.annotations_mut().remove(EXTERNAL_LINK);
}

/// The current versions of all Secrets and ConfigMaps in scope. Values are never kept.
#[derive(Default)]
pub struct SourceVersions(Mutex<HashMap<(SourceKind, String, String), String>>);

impl SourceVersions {
    /// The version of a Secret or ConfigMap as last seen; nothing when it is not there.
    #[must_use]
    pub fn get(&self, kind: SourceKind, namespace: &str, name: &str) -> Option<String> {
        self.lock().get(&(kind, namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Whether all these were read at the version that is known.
    #[must_use]
    pub fn agree(&self, namespace: &str, read: &[SourceVersion]) -> bool {
        let agrees = |source: &SourceVersion| {
            self.get(source.kind, namespace, &source.name).as_ref() == Some(&source.resource_version)
        };
        read.iter().all(agrees)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(SourceKind, String, String), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a version and says whether it is news.
    pub fn note(&self, kind: SourceKind, namespace: &str, name: &str, version: Option<String>) -> bool {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let mut versions = self.lock();
        match version {
            Some(version) => versions.insert(key, version.clone()) != Some(version),
            None => versions.remove(&key).is_some(),
        }
    }

    /// After a list: what is known in this scope and was not listed is gone.
    pub fn forget_unlisted(
        &self,
        kind: SourceKind,
        scope: &Scope,
        listed: &HashSet<(String, String)>,
        changed: impl Fn(&str, &str),
    ) {
        let gone: Vec<_> = self
            .lock()
            .extract_if(|(known, namespace, name), _| {
                *known == kind && scope.covers(namespace) && !listed.contains(&(namespace.clone(), name.clone()))
            })
            .map(|((_, namespace, name), _)| (namespace, name))
            .collect();
        for (namespace, name) in gone {
            changed(&namespace, &name);
        }
    }

    /// Follows one kind in one scope for ever, and calls `changed` with namespace and name of what moved.
    pub async fn follow(
        &self,
        kind: SourceKind,
        client: Client,
        scope: &Scope,
        first_lists: &FirstLists,
        changed: impl Fn(&str, &str) + Send,
    ) {
        match kind {
            SourceKind::Secret => self.follow_kind::<Secret>(kind, client, scope, first_lists, changed).await,
            SourceKind::ConfigMap => self.follow_kind::<ConfigMap>(kind, client, scope, first_lists, changed).await,
        }
    }

    async fn follow_kind<K>(
        &self,
        kind: SourceKind,
        client: Client,
        scope: &Scope,
        first_lists: &FirstLists,
        changed: impl Fn(&str, &str) + Send,
    ) where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
    {
        let stream = watcher::watcher(scope.api::<PartialObjectMeta<K>>(client), watcher::Config::default());
        let mut is_first = true;
        let mut listed = HashSet::new();
        let mut stream = std::pin::pin!(stream.default_backoff());
        while let Some(event) = stream.next().await {
            let (object, version) = match event {
                Err(error) => {
                    warn!(?kind, ?scope, %error, "watch failed and is started again");
                    if is_forbidden(&error) && std::mem::take(&mut is_first) {
                        first_lists.done();
                    }
                    continue;
                }
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitDone) => {
                    self.forget_unlisted(kind, scope, &listed, &changed);
                    listed = HashSet::new();
                    if std::mem::take(&mut is_first) {
                        first_lists.done();
                    }
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    listed.insert((object.namespace().unwrap_or_default(), object.name_any()));
                    let version = object.resource_version();
                    (object, version)
                }
                Ok(Event::Apply(object)) => {
                    let version = object.resource_version();
                    (object, version)
                }
                Ok(Event::Delete(object)) => (object, None),
            };
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            // Everything is reconciled once after the start anyway, so the first list wakes nobody.
            if self.note(kind, &namespace, &name, version) && !is_first {
                changed(&namespace, &name);
            }
        }
    }
}
