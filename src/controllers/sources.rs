//! Reads the Secrets and ConfigMaps that a document refers to. IO.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt};
use secrecy::SecretString;

use super::{
    Error,
    digest::InstallKey,
    document::{FoundValue, ValueRef, Values},
    links::Link,
};
use crate::{
    api::settings::{SourceKind, SourceVersion},
    pulumi::SecretValue,
};

/// What reading the sources of a document gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sources {
    /// The values that were found.
    pub values: Values,
    /// The objects they came from, at the version they were read at.
    pub versions: Vec<SourceVersion>,
    /// What is missing, as a sentence that says what to do; nothing when all was found.
    pub missing: Option<String>,
}

impl Sources {
    /// The secret values, for redaction.
    pub fn secrets(&self) -> impl Iterator<Item = SecretValue> + '_ {
        self.values.values().filter_map(|value| match value {
            FoundValue::Secret(secret) => Some(secret.clone()),
            FoundValue::Plain(_) => None,
        })
    }
}

/// The objects that references point to.
#[must_use]
pub fn objects(references: &BTreeSet<ValueRef>) -> BTreeSet<(SourceKind, String)> {
    references.iter().map(|reference| (reference.kind, reference.name.clone())).collect()
}

/// The objects that references point to, as links.
pub fn links<'a>(references: &'a BTreeSet<ValueRef>, namespace: &'a str) -> impl Iterator<Item = Link> + 'a {
    objects(references).into_iter().map(|(kind, name)| Link::Source { kind, namespace: namespace.to_owned(), name })
}

/// An object that values come from.
struct Object {
    version: String,
    type_: Option<String>,
    data: BTreeMap<String, FoundValue>,
}

/// Reads every object once, live, and takes the values out of it.
///
/// # Errors
/// When the Kubernetes API does not answer. An object or key that is not there is no error but [`Sources::missing`].
pub async fn read(
    kube: &Client,
    key: &InstallKey,
    namespace: &str,
    references: &BTreeSet<ValueRef>,
) -> Result<Sources, Error> {
    let mut found = BTreeMap::new();
    for (kind, name) in objects(references) {
        let object = match kind {
            SourceKind::Secret => Api::<Secret>::namespaced(kube.clone(), namespace)
                .get_opt(&name)
                .await?
                .map(|secret| of_secret(&secret, key)),
            SourceKind::ConfigMap => {
                Api::<ConfigMap>::namespaced(kube.clone(), namespace).get_opt(&name).await?.map(of_config_map)
            }
        };
        if let Some(object) = object {
            found.insert((kind, name), object);
        }
    }
    let mut sources = Sources {
        versions: found
            .iter()
            .map(|((kind, name), object)| SourceVersion {
                kind: *kind,
                name: name.clone(),
                resource_version: object.version.clone(),
            })
            .collect(),
        ..Sources::default()
    };
    for reference in references {
        match take(&found, reference, namespace) {
            Ok(value) => {
                sources.values.insert(reference.clone(), value);
            }
            Err(missing) => {
                sources.missing.get_or_insert(missing);
            }
        }
    }
    Ok(sources)
}

fn take(
    found: &BTreeMap<(SourceKind, String), Object>,
    reference: &ValueRef,
    namespace: &str,
) -> Result<FoundValue, String> {
    let ValueRef { kind, name, key, standard_key } = reference;
    let Some(object) = found.get(&(*kind, name.clone())) else {
        return Err(format!("{kind:?} {namespace}/{name} does not exist; create it, and this goes on by itself"));
    };
    let keys = || object.data.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let typed = matches!(object.type_.as_deref(), Some("kubernetes.io/ssh-auth" | "kubernetes.io/basic-auth"));
    let Some(key) = key.as_deref().or(standard_key.filter(|_| typed)) else {
        return Err(format!(
            "{kind:?} {namespace}/{name} is of type {}, which has no standard key for this use; \
             write which key: secretKeyRef: {{name: {name}, key: …}} (it has: {})",
            object.type_.as_deref().unwrap_or("Opaque"),
            keys()
        ));
    };
    object.data.get(key).cloned().ok_or_else(|| {
        format!("{kind:?} {namespace}/{name} has no key `{key}` (it has: {}); add the key, or name another one", keys())
    })
}

/// A value that is no UTF-8 text cannot be sent in JSON and counts as missing.
fn of_secret(secret: &Secret, key: &InstallKey) -> Object {
    let data = secret.data.iter().flatten().filter_map(|(name, bytes)| {
        let text = std::str::from_utf8(&bytes.0).ok()?;
        Some((name.clone(), FoundValue::Secret(SecretValue::new(SecretString::from(text), key.mac(text.as_bytes())))))
    });
    Object { version: secret.resource_version().unwrap_or_default(), type_: secret.type_.clone(), data: data.collect() }
}

fn of_config_map(map: ConfigMap) -> Object {
    let version = map.resource_version().unwrap_or_default();
    let data = map.data.into_iter().flatten().map(|(name, text)| (name, FoundValue::Plain(text)));
    Object { version, type_: None, data: data.collect() }
}
