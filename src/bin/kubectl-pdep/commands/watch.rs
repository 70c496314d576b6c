//! What there is in the cluster, followed.

use std::collections::BTreeMap;

use futures::{StreamExt, stream::BoxStream};
use kube::{
    ResourceExt,
    api::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};

use crate::{
    cluster::{Cluster, Kind, Seen, attempt},
    failure::Failure,
    render::tree::Resources,
};

/// A change of an object of a kind, or why there are none.
pub type Change = (Kind, Result<Event<DynamicObject>, Failure>);

/// The objects of a kind as they come, change and go.
pub fn follow(cluster: &Cluster, kind: Kind, everywhere: bool) -> BoxStream<'static, Change> {
    let (api, place) = cluster.scope(kind, everywhere);
    let what = attempt("watch", kind, place);
    watcher(api, watcher::Config::default())
        .default_backoff()
        .map(move |event| (kind, event.map_err(|error| failure(error, &what))))
        .boxed()
}

fn failure(error: watcher::Error, what: &str) -> Failure {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Failure::of_cluster(&error, what),
        watcher::Error::WatchError(status) => Failure::of_cluster(&kube::Error::Api(status), what),
        watcher::Error::NoResourceVersion => Failure::new(format!("the cluster can't be followed to {what}")),
    }
}

/// The objects, by namespace and name.
type Objects = BTreeMap<(Option<String>, String), DynamicObject>;

/// What there is as far as it is known.
#[derive(Default)]
pub struct Kept(BTreeMap<Kind, Known>);

#[derive(Default)]
struct Known {
    objects: Objects,
    /// A list that is being read.
    listed: Objects,
    is_listed: bool,
}

impl Kept {
    /// Takes a change in. What fails once everything has been seen is tried again by itself.
    pub fn take(&mut self, kind: Kind, event: Result<Event<DynamicObject>, Failure>) -> Result<(), Failure> {
        let known = self.0.entry(kind).or_default();
        let key = |object: &DynamicObject| (object.namespace(), object.name_any());
        match event {
            Err(_) if known.is_listed => {}
            Err(failure) => return Err(failure),
            Ok(Event::Init) => known.listed.clear(),
            Ok(Event::InitApply(object)) => {
                known.listed.insert(key(&object), object);
            }
            Ok(Event::InitDone) => {
                known.objects = std::mem::take(&mut known.listed);
                known.is_listed = true;
            }
            Ok(Event::Apply(object)) => {
                known.objects.insert(key(&object), object);
            }
            Ok(Event::Delete(object)) => {
                known.objects.remove(&key(&object));
            }
        }
        Ok(())
    }

    /// What there is; nothing before every kind has been listed once.
    pub fn resources(&self) -> Result<Option<Resources>, Failure> {
        let known =
            |kind| self.0.get(&kind).filter(|known| known.is_listed).map(|known| known.objects.values().cloned());
        let (Some(organizations), Some(settings), Some(deployments)) =
            (known(Kind::Organization), known(Kind::Settings), known(Kind::Deployment))
        else {
            return Ok(None);
        };
        Ok(Some(Resources {
            organizations: organizations.map(Seen::of).collect::<Result<_, _>>()?,
            settings: settings.map(Seen::of).collect::<Result<_, _>>()?,
            deployments: deployments.map(Seen::of).collect::<Result<_, _>>()?,
        }))
    }
}
