//! Secrets that are not watched: those that something refers to are looked at by name, every few minutes, and those that
//! something waits for more often. IO.
//!
//! A watch needs the right to list all Secrets there are; this needs only to get each by its name. Only metadata is
//! read. A change is seen later, but not where it matters at once: a run's gate and every push read for themselves, and
//! what they find is [learned](learn) here.

use std::{collections::HashSet, sync::Arc};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use tracing::warn;

use super::{
    Context,
    caches::Scope,
    links::{Kind, Link, Resource},
};
use crate::api::settings::{SourceKind, SourceVersion};

/// How many Secrets are looked at at once.
const AT_ONCE: usize = 8;

/// So often what something waits for is looked at while all are looked at once.
const LOOKS: u32 = 16;

/// Looks at every Secret that something refers to, and calls `changed` with namespace and name of what moved.
pub async fn once(context: &Context, changed: impl Fn(&str, &str)) {
    look_at(context, &context.wakers.links.sources(SourceKind::Secret), changed).await;
    // Others may be wanted by now, and known.
    let wanted: HashSet<_> = context.wakers.links.sources(SourceKind::Secret).into_iter().collect();
    context.sources.forget_unlisted(SourceKind::Secret, &Scope::All, &wanted, |_, _| ());
}

async fn look_at(context: &Context, secrets: &[(String, String)], changed: impl Fn(&str, &str)) {
    stream::iter(secrets)
        .for_each_concurrent(AT_ONCE, |(namespace, name)| {
            let changed = &changed;
            async move {
                match Api::<Secret>::namespaced(context.kube.clone(), namespace).get_metadata_opt(name).await {
                    Ok(found) => {
                        let version = found.and_then(|found| found.resource_version());
                        if context.sources.note(SourceKind::Secret, namespace, name, version) {
                            changed(namespace, name);
                        }
                    }
                    // As with a watch that fails: what was known of it still holds.
                    Err(error) => warn!(namespace, name, %error, "a Secret could not be looked at"),
                }
            }
        })
        .await;
}

/// Looks at them for ever, and has those look again who refer to one that moved.
pub async fn forever(context: Arc<Context>) {
    let wake = |namespace: &str, name: &str| wake(&context, namespace, name);
    let pause = async || {
        let pause = context.timings.resync / LOOKS;
        tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
    };
    loop {
        for _ in 1..LOOKS {
            pause().await;
            look_at(&context, &awaited(&context), wake).await;
        }
        pause().await;
        once(&context, wake).await;
    }
}

/// The Secrets that something waits for: those that were not there, and access tokens that are not accepted.
fn awaited(context: &Context) -> Vec<(String, String)> {
    let is_accepted = |organization: &Resource| {
        context.connections.get(&organization.key()).is_some_and(|connection| connection.is_accepted())
    };
    let mut wanted = context.wakers.links.sources(SourceKind::Secret);
    wanted.retain(|(namespace, name)| {
        let dependents = context.wakers.links.dependents(&link(namespace, name));
        context.sources.get(SourceKind::Secret, namespace, name).is_none()
            || dependents.iter().any(|it| it.kind == Kind::Organization && !is_accepted(it))
    });
    wanted
}

/// Notes at which versions Secrets were just read, where no watch tells; others that refer to them look again.
pub fn learn(context: &Context, namespace: &str, sources: &[SourceVersion]) {
    if context.watch_secrets {
        return;
    }
    for source in sources.iter().filter(|source| source.kind == SourceKind::Secret) {
        let SourceVersion { kind, name, resource_version } = source;
        if context.sources.note(*kind, namespace, name, Some(resource_version.clone())) {
            wake(context, namespace, name);
        }
    }
}

fn wake(context: &Context, namespace: &str, name: &str) {
    context.wakers.wake_dependents(&link(namespace, name));
}

fn link(namespace: &str, name: &str) -> Link {
    Link::Source { kind: SourceKind::Secret, namespace: namespace.to_owned(), name: name.to_owned() }
}
