//! Secrets that are not watched: those that something refers to are looked at by name, every few minutes. IO.
//!
//! A watch needs the right to list all Secrets there are; this needs only to get each by its name. Only metadata is
//! read. A change is seen later, but not where it matters at once: a run's gate and every push read for themselves, and
//! what they find is [learned](learn) here.

use std::{collections::HashSet, sync::Arc};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use tracing::warn;

use super::{Context, caches::Scope, links::Link};
use crate::api::settings::{SourceKind, SourceVersion};

/// How many Secrets are looked at at once.
const AT_ONCE: usize = 8;

/// Looks at every Secret that something refers to, and calls `changed` with namespace and name of what moved.
pub async fn once(context: &Context, changed: impl Fn(&str, &str)) {
    let wanted = context.wakers.links.sources(SourceKind::Secret);
    stream::iter(&wanted)
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
    // Others may be wanted by now, and known.
    let wanted: HashSet<_> = context.wakers.links.sources(SourceKind::Secret).into_iter().collect();
    context.sources.forget_unlisted(SourceKind::Secret, &Scope::All, &wanted, |_, _| ());
}

/// Looks at them for ever, and has those look again who refer to one that moved.
pub async fn forever(context: Arc<Context>) {
    loop {
        let pause = context.timings.resync.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        tokio::time::sleep(pause).await;
        once(&context, |namespace, name| wake(&context, namespace, name)).await;
    }
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
    let link = Link::Source { kind: SourceKind::Secret, namespace: namespace.to_owned(), name: name.to_owned() };
    context.wakers.wake_dependents(&link);
}
