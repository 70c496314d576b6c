//! IO, reads only: the secret values that a run's log may show, so that they can be redacted.
//!
//! They are those of the run's own overrides and those of all settings of its stack. Versions are compared, not
//! values: what a Secret held when the run began is not kept anywhere.

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde_json::json;

use crate::{
    api::{
        Deployment,
        condition::is_ready,
        deployment::{Run, Target},
        settings::SourceKind,
    },
    controllers::{
        Context, Error,
        connections::Connection,
        digest,
        document::{ValueRef, references},
        links::{Kind, Link},
        sources,
    },
    pulumi::Redactor,
};

/// The values that may be shown, by the namespace that they come from.
struct Exposed {
    values: Vec<(String, BTreeSet<ValueRef>)>,
    /// Whether the service has the settings as they are declared now.
    in_sync: bool,
}

fn exposed(deployment: &Deployment, target: &Target, context: &Context) -> Exposed {
    let own = deployment.spec.settings.as_ref().map(references).unwrap_or_default();
    let mut exposed = Exposed { values: vec![(deployment.namespace().unwrap_or_default(), own)], in_sync: true };
    for dependent in context.wakers.links.dependents(&Link::Stack(target.key())) {
        if dependent.kind != Kind::Settings {
            continue;
        }
        let Some(settings) = context.settings.get(&dependent.namespace, &dependent.name) else { continue };
        let values = references(&settings.spec.settings);
        let status = settings.status.clone().unwrap_or_default();
        let sources_pushed = sources::objects(&values).into_iter().all(|(kind, name)| {
            let pushed = status.sources.iter().find(|source| source.kind == kind && source.name == name);
            pushed.map(|source| source.resource_version.clone())
                == context.sources.get(kind, &dependent.namespace, &name)
        });
        exposed.in_sync &=
            sources_pushed && is_ready(&status.conditions, settings.metadata.generation.unwrap_or_default());
        exposed.values.push((dependent.namespace, values));
    }
    exposed.values.sort();
    exposed
}

impl Exposed {
    fn digest(&self, context: &Context) -> Option<String> {
        let versions = self.values.iter().flat_map(|(namespace, values)| {
            sources::objects(values)
                .into_iter()
                .filter(|(kind, _)| *kind == SourceKind::Secret)
                .map(move |(kind, name)| json!([namespace, name, context.sources.get(kind, namespace, &name)]))
        });
        let versions: Vec<_> = versions.collect();
        self.in_sync.then(|| digest::plain(&json!(versions)))
    }
}

/// Digest of the versions of all Secrets that a run's log may show values of; nothing when the service may have others.
pub fn fingerprint(deployment: &Deployment, target: &Target, context: &Context) -> Option<String> {
    exposed(deployment, target, context).digest(context)
}

/// Redacts every secret value that went into the run by way of this operator; nothing when not all are known any more.
///
/// # Errors
/// When the Kubernetes API does not answer.
pub async fn redactor(
    deployment: &Deployment,
    run: &Run,
    connection: &Connection,
    context: &Context,
) -> Result<Option<Redactor>, Error> {
    let exposed = exposed(deployment, &run.target, context);
    if run.secrets.is_none() || run.secrets != exposed.digest(context) {
        return Ok(None);
    }
    let mut secrets = vec![connection.token.clone()];
    for (namespace, values) in &exposed.values {
        let found = sources::read(&context.kube, &context.key, namespace, values).await?;
        // What is known may lag behind what is there.
        if found.missing.is_some() || !context.sources.agree(namespace, &found.versions) {
            return Ok(None);
        }
        secrets.extend(found.secrets());
    }
    Ok(Some(Redactor::new(secrets)))
}
