//! Digests: what was asked for, what was applied, what is there. Pure.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::pulumi::Node;

/// Version of the form that digests are made from; it prefixes each of them, so that a digest of another
/// version is recognised and adopted instead of being taken for a change.
pub const VERSION: &str = "v1";

/// The key of this installation, under which values are digested.
///
/// Unkeyed digests of short values could be found by trying.
pub struct InstallKey {
    id: String,
    key: SecretSlice<u8>,
}

impl InstallKey {
    /// Takes a key of any length; its id is derived from it and gives nothing away.
    #[must_use]
    pub fn new(key: SecretSlice<u8>) -> Self {
        let nameless = Self { id: String::new(), key };
        Self { id: nameless.mac(b"key id")[..8].to_owned(), ..nameless }
    }

    /// Names the key in digests.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// HMAC-SHA256 of a value, in hexadecimal.
    #[must_use]
    #[allow(clippy::expect_used, clippy::missing_panics_doc, reason = "HMAC takes keys of every length")]
    pub fn mac(&self, value: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret()).expect("any length");
        mac.update(value);
        hex(&mac.finalize().into_bytes())
    }

    /// Digest of a document with values of Secrets and ConfigMaps in it, as `v1:<key id>:<hmac>`.
    #[must_use]
    pub fn digest(&self, document: &Value) -> String {
        format!("{VERSION}:{}:{}", self.id, self.mac(canonical(document).as_bytes()))
    }

    /// Whether a digest was made in today's form and with this key, so that it can be compared at all.
    #[must_use]
    pub fn understands(&self, digest: &str) -> bool {
        digest
            .strip_prefix(VERSION)
            .and_then(|rest| rest.strip_prefix(':'))
            .and_then(|rest| rest.strip_prefix(&self.id))
            .is_some_and(|rest| rest.starts_with(':'))
    }
}

/// Digest of a document that holds nothing but what is written in a resource, as `v1:<sha256>`.
#[must_use]
pub fn plain(document: &Value) -> String {
    format!("{VERSION}:{}", hex(&Sha256::digest(canonical(document).as_bytes())))
}

/// Whether a plain digest was made in today's form.
#[must_use]
pub fn is_current(digest: &str) -> bool {
    digest.strip_prefix(VERSION).is_some_and(|rest| rest.starts_with(':'))
}

/// Whether two keyed digests were made in the same form and with the same key, so that they can be compared.
#[must_use]
pub fn are_comparable(one: &str, other: &str) -> bool {
    let form_and_key = |digest: &str| digest.rsplit_once(':').map(|(prefix, _)| prefix.to_owned());
    form_and_key(one).is_some_and(|prefix| Some(prefix) == form_and_key(other))
}

/// JSON with sorted keys and no white space: the same document is always the same text.
#[must_use]
pub fn canonical(document: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut entries: Vec<_> = fields.iter().collect();
                entries.sort_by_key(|(key, _)| key.as_str());
                Value::Object(
                    entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect::<Map<_, _>>(),
                )
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(document).to_string()
}

/// A wire document for digests: each secret is replaced by its fingerprint.
#[must_use]
pub fn without_secrets(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(*value),
        Node::Integer(value) => Value::from(*value),
        Node::String(value) => Value::String(value.clone()),
        Node::Secret(secret) => serde_json::json!({"secret": secret.fingerprint()}),
        Node::Array(items) => Value::Array(items.iter().map(without_secrets).collect()),
        Node::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), without_secrets(value))).collect())
        }
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(bytes: &[u8]) -> InstallKey {
        InstallKey::new(SecretSlice::from(bytes.to_vec()))
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one = json!({"b": [1, {"y": 1, "x": null}], "a": "é"});
        let other: Value = serde_json::from_str(r#"{"a":"é","b":[1,{"x":null,"y":1}]}"#).unwrap();
        assert_eq!(plain(&one), plain(&other));
        assert_eq!(canonical(&one), r#"{"a":"é","b":[1,{"x":null,"y":1}]}"#);
    }

    /// A change of this value means that every installed operator would run every Deployment again.
    #[test]
    fn digests_are_pinned() {
        assert_eq!(
            plain(&json!({"operation": "update", "n": [1, true, null]})),
            "v1:64058f31b79d34038fce077ee288edfd58c74b76b125525c0ad8340368d0c39b"
        );
    }

    #[test]
    fn a_digest_under_another_key_is_not_understood() {
        let (one, other) = (key(b"one"), key(b"other"));
        let digest = one.digest(&json!({}));
        assert!(one.understands(&digest));
        assert!(!other.understands(&digest));
        assert!(!one.understands(&digest.replacen("v1", "v2", 1)));
        assert_ne!(one.mac(b"value"), other.mac(b"value"));
        assert!(are_comparable(&digest, &one.digest(&json!(1))));
        for incomparable in [other.digest(&json!({})), digest.replacen("v1", "v2", 1), "digest".to_owned()] {
            assert!(!are_comparable(&digest, &incomparable), "{incomparable}");
        }
    }
}
