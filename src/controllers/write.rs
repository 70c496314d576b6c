//! The few ways in which the operator writes to its own resources. IO.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{Error, patch::merge_patch};
use crate::api::names::{EXTERNAL_LINK, FINALIZER};

/// One of the three kinds.
pub trait Object:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Its status.
    type Status: Serialize + Clone + Default + PartialEq + Send + Sync;
    /// Its status, when it has one.
    fn status(&self) -> Option<&Self::Status>;
}

/// The API for the namespace of an object.
pub fn api<K: Object>(kube: &Client, object: &K) -> Api<K> {
    Api::namespaced(kube.clone(), object.namespace().as_deref().unwrap_or_default())
}

/// The object as it is now; nothing when it is gone or another one has its name.
///
/// # Errors
/// When the Kubernetes API does not answer.
pub async fn live<K: Object>(kube: &Client, seen: &K) -> Result<Option<K>, Error> {
    let found = api(kube, seen).get_opt(&seen.name_any()).await?;
    Ok(found.filter(|object| object.uid() == seen.uid()))
}

/// Whether the object carries this operator's finalizer.
pub fn has_finalizer<K: Object>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Adds the finalizer, and the link to the Pulumi console, when they are not there yet. It is a write of its own: one
/// sent to `/status` is silently ignored.
///
/// # Errors
/// When the object has changed since it was read, or the Kubernetes API does not answer.
pub async fn ensure_metadata<K: Object>(kube: &Client, object: K, link: Option<&str>) -> Result<K, Error> {
    match missing(&object, link) {
        Some(change) => metadata(kube, &object, &change).await,
        None => Ok(object),
    }
}

/// A link that somebody else wrote stays.
fn missing<K: Object>(object: &K, link: Option<&str>) -> Option<Value> {
    let mut change = Map::new();
    if !has_finalizer(object) {
        let finalizers: Vec<_> = object.finalizers().iter().map(String::as_str).chain([FINALIZER]).collect();
        change.insert("finalizers".to_owned(), json!(finalizers));
    }
    if let Some(link) = link.filter(|_| !object.annotations().contains_key(EXTERNAL_LINK)) {
        change.insert("annotations".to_owned(), json!({EXTERNAL_LINK: link}));
    }
    (!change.is_empty()).then(|| change.into())
}

/// Lets the object go.
///
/// # Errors
/// When the object has changed since it was read, or the Kubernetes API does not answer.
pub async fn release<K: Object>(kube: &Client, object: &K) -> Result<(), Error> {
    if !has_finalizer(object) {
        return Ok(());
    }
    let finalizers: Vec<_> = object.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    match metadata(kube, object, &json!({"finalizers": finalizers})).await {
        Ok(_) => Ok(()),
        Err(Error::Kube(kube::Error::Api(status))) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

async fn metadata<K: Object>(kube: &Client, object: &K, change: &Value) -> Result<K, Error> {
    let mut metadata = json!({"resourceVersion": object.resource_version()});
    if let (Some(fields), Some(more)) = (metadata.as_object_mut(), change.as_object()) {
        fields.extend(more.clone());
    }
    let patch = Patch::Merge(json!({"metadata": metadata}));
    api(kube, object).patch(&object.name_any(), &PatchParams::default(), &patch).await.map_err(Error::from)
}

/// Writes the difference between the object's status and `next`, and only if there is one.
///
/// # Errors
/// [`Error::Conflict`] when the object has changed since it was read: then everything is planned anew.
pub async fn status<K: Object>(kube: &Client, object: K, next: &K::Status) -> Result<K, Error> {
    let old = object.status().cloned().unwrap_or_default();
    let Some(change) = merge_patch(&old, next)? else { return Ok(object) };
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": object.resource_version()}, "status": change}));
    api(kube, &object).patch_status(&object.name_any(), &PatchParams::default(), &patch).await.map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::Deployment;

    #[rstest]
    #[case::new(json!({}), Some("url"), Some(json!({"finalizers": [FINALIZER], "annotations": {EXTERNAL_LINK: "url"}})))]
    #[case::no_console(json!({}), None, Some(json!({"finalizers": [FINALIZER]})))]
    #[case::known_later(json!({"finalizers": [FINALIZER]}), Some("url"), Some(json!({"annotations": {EXTERNAL_LINK: "url"}})))]
    #[case::done(json!({"finalizers": [FINALIZER], "annotations": {EXTERNAL_LINK: "url"}}), Some("url"), None)]
    #[case::somebody_elses(json!({"finalizers": [FINALIZER], "annotations": {EXTERNAL_LINK: "mine"}}), Some("url"), None)]
    #[case::another_finalizer(json!({"finalizers": ["a/b"]}), None, Some(json!({"finalizers": ["a/b", FINALIZER]})))]
    fn what_is_missing_is_written_at_once(
        #[case] metadata: Value,
        #[case] link: Option<&str>,
        #[case] expected: Option<Value>,
    ) {
        let stack = json!({"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"});
        let written = json!({"metadata": metadata, "spec": {"stack": stack, "operation": "update"}});
        let object: Deployment = serde_json::from_value(written).unwrap();
        assert_eq!(missing(&object, link), expected);
    }
}
