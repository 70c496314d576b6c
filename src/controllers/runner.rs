//! Runs a controller: kube's own, with the watch shared, panics caught, and one bound on concurrency for all.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use kube::{
    ResourceExt,
    runtime::{
        Controller, Predicate, PredicateConfig, WatchStreamExt,
        controller::{self, Action},
        predicates,
        reflector::{ObjectRef, store::Writer},
        watcher::Event,
    },
};
use tokio::sync::{Semaphore, mpsc::UnboundedReceiver};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, error, error_span, field, warn};

use super::{
    Context, Error,
    caches::{self, Cached, FirstLists, Scope, Stores},
    links::{Kind, Link, Resource},
    requeue::backoff,
    wake::object_ref,
    write::{Object, has_finalizer},
};

/// One of the three controllers.
pub trait Reconcile: Object + Cached {
    /// Which one.
    const KIND: Kind;

    /// What of an object matters to others: when it changes, those that depend on the object look again.
    fn relevance(&self) -> String;

    /// What the object depends on, as far as the caches tell.
    fn links(&self, context: &Context) -> HashSet<Link>;

    /// Forgets what this process keeps about an object that is gone, however it went.
    fn forget(&self, context: &Context) {
        context.memory.forget(&self.uid().unwrap_or_default());
    }

    /// Brings one object further.
    fn reconcile(self: Arc<Self>, context: Arc<Context>) -> impl Future<Output = Result<Action, Error>> + Send;
}

/// Reconciles of all controllers together that may be under way at once.
pub const CONCURRENCY: usize = 64;

/// How many of them may be reading the whole state of a stack, which can take minutes.
pub const EXPORTS: usize = 8;

/// Runs the controller of one kind in one scope until `stop`, and then until what is under way is finished.
pub async fn run<K: Reconcile>(
    context: Arc<Context>,
    scope: Scope,
    writer: Writer<K>,
    woken: UnboundedReceiver<Resource>,
    (slots, first_lists): (Arc<Semaphore>, Arc<FirstLists>),
    stop: CancellationToken,
) {
    let reader = writer.as_reader();
    let mut told = HashMap::new();
    let mut is_first = true;
    let observing = Arc::clone(&context);
    let objects = caches::watch::<K>(context.watching.clone(), &scope)
        .reflect(writer)
        .inspect(move |event| {
            let is_read = match event {
                Ok(event) => {
                    tell(event, &mut told, &observing);
                    matches!(event, Event::InitDone)
                }
                Err(error) => caches::is_forbidden(error),
            };
            if is_read && std::mem::take(&mut is_first) {
                first_lists.done();
            }
        })
        .applied_objects()
        // What this operator writes into status is no reason to look again, or a failing call would be repeated at once.
        .predicate_filter(predicates::generation.combine(predicates::annotations), PredicateConfig::default());
    let finished = Controller::for_stream(objects, reader)
        .with_config(controller::Config::default().concurrency(u16::try_from(CONCURRENCY).unwrap_or(u16::MAX)))
        .reconcile_on(UnboundedReceiverStream::new(woken).map(|resource| object_ref(&resource)))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            move |object: Arc<K>, context: Arc<Context>| guarded(object, context, Arc::clone(&slots)),
            |_, error: &std::convert::Infallible, _| match *error {},
            context,
        );
    finished
        .for_each(|result| async move {
            if let Err(error) = result {
                match error {
                    controller::Error::ObjectNotFound(object) => debug!(%object, "woken, but gone"),
                    controller::Error::QueueError(error) => {
                        warn!(kind = ?K::KIND, %error, "watch failed and is started again");
                    }
                    other => debug!(error = %other, "controller"),
                }
            }
        })
        .await;
}

/// Notes again what all objects depend on: when the first of them were read, the others were not known yet.
pub fn link_all<K: Reconcile>(context: &Context, store: &Stores<K>) {
    for object in store.filter(|_| true) {
        let resource = K::KIND.named(object.namespace().unwrap_or_default(), object.name_any());
        context.wakers.links.set(&resource, object.links(context));
    }
}

/// Tells dependents what they want to know, and only that.
fn tell<K: Reconcile>(event: &Event<K>, told: &mut HashMap<ObjectRef<K>, Told>, context: &Context) {
    let resource = |object: &K| K::KIND.named(object.namespace().unwrap_or_default(), object.name_any());
    match event {
        Event::Init => told.values_mut().for_each(|told| told.listed = false),
        Event::InitDone => {
            // Deletions that happened while nothing was watched are told by their absence.
            let gone: Vec<_> = told.extract_if(|_, told| !told.listed).map(|(key, _)| key).collect();
            for key in gone {
                is_gone(&K::KIND.named(key.namespace.unwrap_or_default(), key.name), context);
            }
        }
        Event::InitApply(object) | Event::Apply(object) => {
            // Those that it does not need any more are told as well.
            let upstream: Vec<_> = context.wakers.links.upstream_of(&resource(object)).collect();
            context.wakers.links.set(&resource(object), object.links(context));
            let relevance = object.relevance();
            let key = ObjectRef::from_obj(object);
            let finalized = has_finalizer(object);
            let before = told.insert(key, Told { relevance: relevance.clone(), listed: true, finalized });
            // `kubectl replace` takes away what its manifest lacks, and nothing else need have changed.
            if object.meta().deletion_timestamp.is_none()
                && !finalized
                && before.as_ref().is_some_and(|it| it.finalized)
            {
                context.wakers.wake(&resource(object));
            }
            if before.is_none_or(|before| before.relevance != relevance) {
                let resource = resource(object);
                context.wakers.wake_dependents(&Link::Resource(resource.clone()));
                wake_deleted(upstream.into_iter().chain(context.wakers.links.upstream_of(&resource)), context);
            }
        }
        Event::Delete(object) => {
            told.remove(&ObjectRef::from_obj(object));
            object.forget(context);
            is_gone(&resource(object), context);
        }
    }
}

/// What others were told of an object.
struct Told {
    relevance: String,
    listed: bool,
    finalized: bool,
}

fn is_gone(resource: &Resource, context: &Context) {
    context.wakers.wake_dependents(&Link::Resource(resource.clone()));
    context.wakers.gone(resource);
}

/// An Organization that is being deleted waits for runs to end, and settings for stacks to be destroyed.
fn wake_deleted(upstream: impl Iterator<Item = Resource>, context: &Context) {
    for Resource { kind, namespace, name } in upstream {
        let deleted = match kind {
            Kind::Organization => context.organizations.get(&namespace, &name).map(|it| it.metadata.clone()),
            Kind::Settings => context.settings.get(&namespace, &name).map(|it| it.metadata.clone()),
            Kind::Deployment => None,
        };
        if deleted.is_some_and(|metadata| metadata.deletion_timestamp.is_some()) {
            context.wakers.wake(&kind.named(namespace, name));
        }
    }
}

/// What all log lines about a resource are in, also those of somebody who wants errors only. `trace_id` is recorded where
/// they are about a request. A field `name` would hide behind the span's own in JSON.
#[must_use]
pub fn span(Resource { kind, namespace, name }: &Resource) -> Span {
    error_span!(parent: None, "reconcile", ?kind, %namespace, resource = %name, trace_id = field::Empty)
}

/// One reconcile: within the bound, with a panic caught, and every error turned into a delay.
async fn guarded<K: Reconcile>(
    object: Arc<K>,
    context: Arc<Context>,
    slots: Arc<Semaphore>,
) -> Result<Action, std::convert::Infallible> {
    context.all_known.all().await;
    let _slot = slots.acquire().await;
    let uid = object.uid().unwrap_or_default();
    let span = span(&K::KIND.named(object.namespace().unwrap_or_default(), object.name_any()));
    let started = tokio::time::Instant::now();
    let result = AssertUnwindSafe(object.reconcile(Arc::clone(&context)).instrument(span.clone())).catch_unwind().await;
    let result = result.unwrap_or_else(|panic| Err(Error::Panic(message(&*panic))));
    context.metrics.reconciles.reconciled(K::KIND, started.elapsed(), result.as_ref().err().map(Error::class));
    Ok(result.unwrap_or_else(|failure| {
        let _inside = span.enter();
        match failure {
            Error::Conflict => {
                debug!("the object has changed meanwhile; planning anew");
                Action::requeue(Duration::from_millis(20))
            }
            failure => {
                let delay = backoff(context.memory.failed(&uid), rand::random());
                if matches!(failure, Error::Panic(_)) {
                    error!(error = %failure, ?delay, "reconcile failed");
                } else {
                    warn!(error = %failure, ?delay, "reconcile failed");
                }
                Action::requeue(delay)
            }
        }
    }))
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
