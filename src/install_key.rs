//! The key of this installation: a Secret of the operator's own, made once and kept.

use anyhow::{Context as _, ensure};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};
use secrecy::SecretSlice;

use crate::controllers::digest::InstallKey;

/// Name of the Secret, in the operator's namespace.
pub const SECRET: &str = "pulumi-deployments-operator-key";

const FIELD: &str = "key";
const BYTES: usize = 32;

/// Reads the key, or makes it. Of several operators that start at once, one makes it and all use it.
///
/// # Errors
/// When the Kubernetes API refuses or does not answer, or the Secret holds no usable key.
pub async fn load_or_create(client: &Client, namespace: &str) -> anyhow::Result<InstallKey> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = match secrets.get_opt(SECRET).await? {
        Some(secret) => secret,
        None => match secrets.create(&PostParams::default(), &fresh()).await {
            Ok(secret) => secret,
            Err(kube::Error::Api(status)) if status.code == 409 => secrets.get(SECRET).await?,
            Err(error) => return Err(error).with_context(|| format!("cannot create Secret {namespace}/{SECRET}")),
        },
    };
    let key = secret.data.and_then(|mut data| data.remove(FIELD)).with_context(|| {
        format!("Secret {namespace}/{SECRET} has no `{FIELD}`; restore it from a backup, or delete the Secret to have a new key made (secrets are pushed again then)")
    })?;
    ensure!(
        key.0.len() >= BYTES,
        "the key in Secret {namespace}/{SECRET} is shorter than {BYTES} bytes; restore it from a backup, or delete the Secret"
    );
    Ok(InstallKey::new(SecretSlice::from(key.0)))
}

fn fresh() -> Secret {
    let key: [u8; BYTES] = rand::random();
    Secret {
        metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
        data: Some([(FIELD.to_owned(), ByteString(key.to_vec()))].into()),
        immutable: Some(true),
        ..Secret::default()
    }
}
