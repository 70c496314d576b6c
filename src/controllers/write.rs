//! The few ways in which the operator writes to its own resources. IO.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{Error, patch::merge_patch};
use crate::api::names::FINALIZER;

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

/// Adds the finalizer when it is not there yet. It is a write of its own: one sent to `/status` is silently ignored.
///
/// # Errors
/// When the object has changed since it was read, or the Kubernetes API does not answer.
pub async fn ensure_finalizer<K: Object>(kube: &Client, object: K) -> Result<K, Error> {
    if has_finalizer(&object) {
        return Ok(object);
    }
    let finalizers: Vec<_> = object.finalizers().iter().map(String::as_str).chain([FINALIZER]).collect();
    metadata(kube, &object, &json!({"finalizers": finalizers})).await
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

async fn metadata<K: Object>(kube: &Client, object: &K, change: &serde_json::Value) -> Result<K, Error> {
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
