//! Values that the service encrypts and decrypts.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::lenient::{or_default, required, secret};

/// A value that only the service can read: base64 text. It can be stored in settings as `{"ciphertext": …}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Ciphertext(#[serde(deserialize_with = "required")] pub String);

impl Ciphertext {
    /// The base64 text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Ciphertext")
    }
}

/// The answer to `EncryptSecret`; whatever else it holds is not looked at.
#[derive(Deserialize)]
pub(in crate::pulumi) struct Encrypted {
    pub ciphertext: Ciphertext,
}

/// The answer to `DecryptValue`.
#[derive(Clone, Debug, Deserialize)]
pub struct Plaintext {
    /// The value; of a stack's output or configuration, JSON.
    #[serde(rename = "plaintext", deserialize_with = "decoded")]
    pub value: SecretString,
}

/// The answer to `BatchDecrypt`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Plaintexts {
    /// The values, by their ciphertexts; of a stack's outputs, JSON.
    #[serde(rename = "plaintexts", deserialize_with = "all_decoded")]
    pub values: BTreeMap<Ciphertext, SecretString>,
}

fn plain(encoded: &SecretString) -> Option<SecretString> {
    let bytes = Zeroizing::new(STANDARD.decode(encoded.expose_secret()).ok()?);
    Some(SecretString::from(std::str::from_utf8(&bytes).ok()?))
}

fn decoded<'de, D: Deserializer<'de>>(input: D) -> Result<SecretString, D::Error> {
    plain(&secret(input)?).ok_or_else(|| D::Error::custom("it is not base64 of a text"))
}

fn all_decoded<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<Ciphertext, SecretString>, D::Error> {
    #[derive(Deserialize)]
    struct Encoded(#[serde(deserialize_with = "decoded")] SecretString);
    let values: BTreeMap<String, Encoded> = or_default(input)?;
    Ok(values.into_iter().map(|(ciphertext, value)| (Ciphertext(ciphertext), value.0)).collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::of_today(json!({"secret": "[secret]", "ciphertext": "AAAB"}), true)]
    #[case::of_tomorrow(json!({"isSecret": true, "value": "[secret]", "ciphertext": "AAAB"}), true)]
    #[case::of_yesterday(json!({"ciphertext": "AAAB"}), true)]
    #[case::not_encrypted(json!({"secret": "[secret]"}), false)]
    #[case::empty(json!({"ciphertext": ""}), false)]
    #[case::plain(json!("AAAB"), false)]
    fn encrypted_values(#[case] answer: Value, #[case] good: bool) {
        let ciphertext = serde_json::from_value(answer).ok().map(|Encrypted { ciphertext }| ciphertext);
        assert_eq!(ciphertext, good.then(|| Ciphertext("AAAB".into())));
    }

    #[test]
    fn decrypted_values_do_not_show() {
        let encoded = STANDARD.encode("\"hunter2\"");
        let one: Plaintext = serde_json::from_value(json!({"plaintext": encoded})).unwrap();
        assert_eq!(one.value.expose_secret(), "\"hunter2\"");
        let many: Plaintexts = serde_json::from_value(json!({"plaintexts": {"AAAB": encoded}})).unwrap();
        assert_eq!(many.values[&Ciphertext("AAAB".into())].expose_secret(), "\"hunter2\"");
        let shown = format!("{one:?} {many:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(&encoded), "{shown}");
        for odd in [json!({"plaintext": "?"}), json!({"plaintext": ""}), json!({"plaintext": "gIA="}), json!({})] {
            assert!(serde_json::from_value::<Plaintext>(odd).is_err());
        }
    }
}
