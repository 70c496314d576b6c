//! IO: a stack's outputs → the Secret and the ConfigMap that the Deployment declares for them.
//!
//! Nothing is written into an object that is not this Deployment's. What was written is noted in an annotation of the
//! object itself, in the same write: keys and labels of others are left alone, and those that are not given out any more
//! go, whatever becomes of status. Each write is guarded by the version of the object that was looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    core::{PartialObjectMeta, Request},
};
use secrecy::{ExposeSecret, zeroize::Zeroizing};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, json};
use tracing::info;

use super::{Connection, permit};
use crate::{
    api::{
        Deployment, Time,
        deployment::{OutputsSpec, OutputsTarget, Run, WrittenOutputs},
        names::{OUTPUTS, REQUESTED_AT},
        settings::SourceKind,
    },
    controllers::{
        Context, Error,
        conditions::{Standing, Words},
        deployment::{
            gather::resource,
            outputs::{Report, Selection, digest_of, refused, select, targets},
            reason::Reason,
        },
        requeue::{Consequence, Retry, consequence},
    },
    pulumi::{
        self, CallClass, Class,
        wire::{Opened, Plaintexts, StackOutputs},
    },
};

/// How long it takes until all outputs are read again for an object that the Kubernetes API has refused.
const UNTIL_IT_MAY_BE_TAKEN: Duration = Duration::from_secs(3600);

/// The name under which managed fields show what was written.
const MANAGER: &str = "pulumi-deployments-operator";
/// The export and the decryption, and one more try of the latter.
const CALLS: u32 = 3;

/// What follows from a refusal for good.
const ONCE: &str = "They are not asked for again until there is another run, spec.outputs changes, or the annotation \
                    reconcile.fluxcd.io/requestedAt does";

/// Reads the outputs that a run left, and writes them. Nothing: it is not this Deployment's turn yet, and it is woken
/// when it is.
pub async fn write(
    run: &Run,
    spec: &OutputsSpec,
    deployment: &Deployment,
    connection: &Connection,
    context: &Context,
    now: Time,
) -> Result<Option<Report>, Error> {
    if !context.write_outputs {
        return Ok(targets(spec).next().map(|(kind, target)| Report::Failed(switched_off(kind, target))));
    }
    let this = resource(deployment);
    // Before the service is asked for what may be much.
    for (kind, target) in targets(spec) {
        let refused = match kind {
            SourceKind::Secret => Target::<Secret>::of(deployment, target, context).look().await?.err(),
            SourceKind::ConfigMap => Target::<ConfigMap>::of(deployment, target, context).look().await?.err(),
        };
        if let Some(refused) = refused {
            return Ok(Some(Report::Failed(refused)));
        }
    }
    // A large state takes minutes to read, and there is other work for most who could wait for it.
    let Some(_turn) = context.exports.try_take(context.wakers.waiter(&this)) else { return Ok(None) };
    let Some(mut permit) = permit(CallClass::Observe, CALLS, &this, connection, context) else { return Ok(None) };
    let requested_at = deployment.annotations().get(REQUESTED_AT).map(String::as_str);
    let failed = |error: &pulumi::Error, remedy: &str| {
        Ok(Some(if error.class() == Class::Invalid {
            let message = format!("{}. {remedy}{ONCE}", error.summary().trim_end_matches('.'));
            tracing::warn!(%error, "outputs can't be had");
            Report::Refused(refused(run, spec, requested_at, message))
        } else {
            Report::Failed(consequence(error, "The outputs are read again by themselves."))
        }))
    };
    let stack = connection.stack(&run.target.project, &run.target.stack);
    let outputs = match connection.client.stack_outputs(&mut permit, &stack).await {
        Ok(outputs) => outputs,
        Err(error) => return failed(&error, ""),
    };
    let mut written = WrittenOutputs {
        run: run.id.clone(),
        version: run.version,
        declared: digest_of(spec),
        secret_keys: None,
        config_map_keys: None,
        written_at: now,
    };
    let mut omitted = vec![];
    for (kind, target) in targets(spec) {
        let mut selection = select(kind, target, &outputs);
        let ciphertexts = outputs.ciphertexts(selection.keys.values().map(String::as_str));
        let plaintexts = if ciphertexts.is_empty() {
            Plaintexts::default()
        } else {
            match connection.client.batch_decrypt(&mut permit, &stack, &ciphertexts).await {
                Ok(plaintexts) => plaintexts,
                Err(error) => {
                    let remedy = "Only secrets that Pulumi Cloud itself keeps for a stack can be decrypted; others \
                                  can't be written into a Secret. ";
                    return failed(&error, remedy);
                }
            }
        };
        let data = opened(&outputs, &plaintexts, &mut selection);
        let keys = u32::try_from(data.len()).ok();
        let result = match kind {
            SourceKind::Secret => {
                written.secret_keys = keys;
                Target::<Secret>::of(deployment, target, context).put(data).await?
            }
            SourceKind::ConfigMap => {
                written.config_map_keys = keys;
                Target::<ConfigMap>::of(deployment, target, context).put(data).await?
            }
        };
        if let Err(refused) = result {
            return Ok(Some(Report::Failed(refused)));
        }
        omitted.append(&mut selection.omitted);
    }
    info!(version = run.version, stack = %run.target, keys = ?(written.secret_keys, written.config_map_keys), "wrote outputs");
    Ok(Some(Report::Written(written, omitted)))
}

/// What is said where the operator writes no outputs.
fn switched_off(kind: SourceKind, target: &OutputsTarget) -> Consequence {
    let why = "this operator is run with --write-outputs=false, without the right to write Secrets and ConfigMaps; who \
               runs it can turn that on (outputs.enabled of the Helm chart)";
    // Only a restart can change it, and that begins anew.
    Consequence { retry: Retry::After(UNTIL_IT_MAY_BE_TAKEN), ..not_written(&format!("{kind:?} {}", target.name), why) }
}

/// What is said of outputs that only a person can get written.
fn not_written(into: &str, why: &str) -> Consequence {
    let message = format!("no outputs are written into {into}: {why}");
    Consequence {
        class: Class::Invalid,
        standing: Standing::Stalled(Words::new(Reason::OutputsRefused, &message)),
        retry: Retry::Backoff,
        detail: message,
    }
}

/// What is said while the service can't be reached for outputs.
pub fn out_of_reach(why: Words, context: &Context) -> Report {
    Report::Failed(Consequence {
        class: Class::Unavailable,
        detail: why.message.clone(),
        standing: Standing::InProgress(why),
        retry: Retry::After(context.timings.resync),
    })
}

/// The selected outputs in clear; one that can't be opened is omitted.
fn opened(outputs: &StackOutputs, plaintexts: &Plaintexts, selection: &mut Selection) -> BTreeMap<String, Opened> {
    let mut data = BTreeMap::new();
    for (key, output) in &selection.keys {
        match outputs.open(output, plaintexts) {
            Some(value) => {
                data.insert(key.clone(), value);
            }
            None => selection.omitted.push(format!("output {output:?} can't be decrypted")),
        }
    }
    data
}

/// A Secret or ConfigMap that belongs to a Deployment, or is to.
struct Target<'a, K> {
    declared: &'a OutputsTarget,
    deployment: &'a Deployment,
    kube: &'a kube::Client,
    api: Api<K>,
}

/// What of an object is ours.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Ours {
    keys: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl<'a, K> Target<'a, K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug,
{
    fn of(deployment: &'a Deployment, declared: &'a OutputsTarget, context: &'a Context) -> Self {
        let namespace = deployment.namespace().unwrap_or_default();
        Self { declared, deployment, kube: &context.kube, api: Api::namespaced(context.kube.clone(), &namespace) }
    }

    /// The object, if it is there; refused when it is another's.
    async fn look(&self) -> Result<Result<Option<PartialObjectMeta<K>>, Consequence>, Error> {
        let found = self.api.get_metadata_opt(&self.declared.name).await?;
        let is_foreign = found.as_ref().is_some_and(|object| !self.owns(object));
        Ok(if is_foreign { Err(self.foreign()) } else { Ok(found) })
    }

    /// Makes the object hold the data, and of what was written before nothing else.
    async fn put(&self, data: BTreeMap<String, Opened>) -> Result<Result<(), Consequence>, Error> {
        let labels = &self.declared.labels;
        let ours = Ours { keys: data.keys().cloned().collect(), labels: labels.keys().cloned().collect() };
        let mut annotations = json!({});
        annotations[OUTPUTS] = serde_json::to_string(&ours)?.into();
        let existing = match self.look().await? {
            Ok(existing) => existing,
            Err(foreign) => return Ok(Err(foreign)),
        };
        let mut metadata = json!({"annotations": annotations, "labels": labels});
        let mut entries: BTreeMap<String, Option<Opened>> =
            data.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let kind = K::kind(&()).into_owned();
        let is_secret = kind == "Secret";
        let result = match existing {
            None => {
                metadata["name"] = self.declared.name.as_str().into();
                metadata["ownerReferences"] = json!([self.owner()]);
                let body = Body { api_version: "v1", kind, metadata, data: Data { is_secret, entries } };
                self.create(&body).await
            }
            Some(object) => {
                let before: Ours = object
                    .annotations()
                    .get(OUTPUTS)
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_default();
                for key in before.keys {
                    entries.entry(key).or_insert(None);
                }
                for label in before.labels.difference(&ours.labels) {
                    metadata["labels"][label] = Value::Null;
                }
                metadata["resourceVersion"] = json!(object.resource_version());
                let body = Body { api_version: "v1", kind, metadata, data: Data { is_secret, entries } };
                let patch = Patch::Merge(&body);
                let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
                self.api.patch_metadata(&self.declared.name, &params, &patch).await.map(|_| ())
            }
        };
        match result {
            Ok(()) => Ok(Ok(())),
            Err(kube::Error::Api(status))
                if (400..500).contains(&status.code) && status.code != 409 && status.code != 429 =>
            {
                // Not its message: nobody knows what it repeats.
                let why = format!("the Kubernetes API refused it: {} ({})", status.reason, status.code);
                // All the outputs would be read again each time.
                let retry = Retry::After(UNTIL_IT_MAY_BE_TAKEN);
                Ok(Err(Consequence { retry, ..self.refused(&format!("{why}; it is tried again in an hour")) }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Only what of the answer is no value is decoded.
    async fn create(&self, body: &Body) -> Result<(), kube::Error> {
        let bytes = serde_json::to_vec(body).map_err(kube::Error::SerdeError)?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let request = Request::new(self.api.resource_url());
        let request = request.create(&params, bytes).map_err(kube::Error::BuildRequest)?;
        self.kube.request::<PartialObjectMeta<K>>(request).await.map(|_| ())
    }

    /// What makes the object go with the Deployment.
    fn owner(&self) -> Value {
        json!({
            "apiVersion": Deployment::api_version(&()),
            "kind": Deployment::kind(&()),
            "name": self.deployment.name_any(),
            "uid": self.deployment.uid(),
            "controller": true,
        })
    }

    fn owns(&self, object: &PartialObjectMeta<K>) -> bool {
        let uid = self.deployment.uid().unwrap_or_default();
        object.owner_references().iter().any(|owner| owner.uid == uid && owner.controller == Some(true))
    }

    fn foreign(&self) -> Consequence {
        self.refused("it is there already and does not belong to this Deployment: choose another name, or delete it")
    }

    fn refused(&self, why: &str) -> Consequence {
        not_written(&format!("{} {}", K::kind(&()), self.declared.name), why)
    }
}

/// A Secret or ConfigMap as it is sent. Its values are never shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    api_version: &'static str,
    kind: String,
    metadata: Value,
    data: Data,
}

/// Values by key; those without one go.
struct Data {
    is_secret: bool,
    entries: BTreeMap<String, Option<Opened>>,
}

impl fmt::Debug for Data {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.entries.keys()).finish()
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries.iter().map(|(key, value)| {
            let text = value.as_ref().map(|value| match value {
                // A ConfigMap is given no secret to begin with, and could not take one.
                Opened::Secret(_) if !self.is_secret => Zeroizing::default(),
                Opened::Secret(text) => Zeroizing::new(BASE64_STANDARD.encode(text.expose_secret())),
                Opened::Plain(text) if self.is_secret => Zeroizing::new(BASE64_STANDARD.encode(text)),
                Opened::Plain(text) => Zeroizing::new(text.clone()),
            });
            (key, text.map(Text))
        }))
    }
}

/// Serialized as it is, and cleared afterwards.
struct Text(Zeroizing<String>);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_shows_no_value_and_a_config_map_takes_no_secret() {
        let entries = || {
            BTreeMap::from([
                ("gone".to_owned(), None),
                ("password".to_owned(), Some(Opened::Secret("hunter2".into()))),
                ("url".to_owned(), Some(Opened::Plain("u".into()))),
            ])
        };
        let secret = Data { is_secret: true, entries: entries() };
        assert!(!format!("{secret:?}").contains("hunter2"));
        let encoded = serde_json::to_value(&secret).unwrap();
        assert_eq!(encoded, json!({"gone": null, "password": BASE64_STANDARD.encode("hunter2"), "url": "dQ=="}));
        let config_map = serde_json::to_value(Data { is_secret: false, entries: entries() }).unwrap();
        assert_eq!(config_map, json!({"gone": null, "password": "", "url": "u"}));
    }
}
