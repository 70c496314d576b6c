//! Secret values: what the service gives out instead of them, and which plain values it takes for secrets.

use std::collections::HashMap;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Turns secrets into ciphertexts and back. The key lives as long as the simulator.
pub(crate) struct Cipher {
    aead: Aes256Gcm,
}

/// Every ciphertext begins with this: the version of the format, as the service's do.
const HEADER: [u8; 3] = [0, 0, 1];
const NONCE_LENGTH: usize = 12;
/// The context of the ciphertexts that open everywhere.
const ANYWHERE: &str = "";

impl Cipher {
    pub(crate) fn new() -> Self {
        let key: [u8; 32] = rand::random();
        Self { aead: Aes256Gcm::new(&Key::<Aes256Gcm>::from(key)) }
    }

    /// A ciphertext that was never given out before, even for the same secret.
    pub(crate) fn seal(&self, secret: &str) -> String {
        self.seal_for(ANYWHERE, secret.as_bytes())
    }

    /// The secret in a ciphertext that this simulator gave out.
    pub(crate) fn open(&self, ciphertext: &str) -> Option<String> {
        let bytes = STANDARD.decode(ciphertext).ok()?;
        String::from_utf8(self.open_for(ANYWHERE, &bytes)?).ok()
    }

    /// A ciphertext that only opens in the same context: each stack has its own.
    pub(crate) fn seal_for(&self, context: &str, plaintext: &[u8]) -> String {
        let nonce: [u8; NONCE_LENGTH] = rand::random();
        let payload = Payload { msg: plaintext, aad: context.as_bytes() };
        // Sealing can only fail for messages of many gigabytes.
        let sealed = self.aead.encrypt(&Nonce::from(nonce), payload).unwrap_or_default();
        STANDARD.encode([&HEADER[..], &nonce, &sealed].concat())
    }

    /// The plaintext of a ciphertext, given as bytes, that was sealed in this context.
    pub(crate) fn open_for(&self, context: &str, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let rest = ciphertext.strip_prefix(&HEADER[..])?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LENGTH)?;
        let nonce: [u8; NONCE_LENGTH] = nonce.try_into().ok()?;
        self.aead.decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: context.as_bytes() }).ok()
    }

    /// The form in which a secret leaves the service.
    pub(crate) fn masked(&self, secret: &str) -> Value {
        json!({"secret": "[secret]", "ciphertext": self.seal(secret)})
    }
}

/// Which environment variables are taken for secrets although they were sent in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoSecrets {
    /// By key terms in the name and the entropy of the value, as the service documents it.
    #[default]
    NameAndEntropy,
    /// Never.
    Off,
}

const TELLING_NAMES: [&str; 10] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
];

/// Shorter values never carry enough entropy to be told from words.
const SHORTEST_SECRET: usize = 12;
/// Bits per character; English words stay below, random keys above.
const ENTROPY_THRESHOLD: f64 = 3.2;

impl AutoSecrets {
    pub(crate) fn applies(self, name: &str, value: &str) -> bool {
        if self == Self::Off || value.len() < SHORTEST_SECRET {
            return false;
        }
        let name = name.to_uppercase();
        TELLING_NAMES.iter().any(|term| name.contains(term)) && entropy(value) >= ENTROPY_THRESHOLD
    }
}

/// Shannon entropy in bits per character.
#[allow(clippy::cast_precision_loss, reason = "lengths of environment variables are small")]
fn entropy(value: &str) -> f64 {
    let mut counts: HashMap<char, usize> = HashMap::new();
    for character in value.chars() {
        *counts.entry(character).or_default() += 1;
    }
    let length = value.chars().count() as f64;
    counts
        .values()
        .map(|&count| {
            let share = count as f64 / length;
            -share * share.log2()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciphertext_is_fresh_and_opens_again() {
        let cipher = Cipher::new();
        let (first, second) = (cipher.seal("hunter2"), cipher.seal("hunter2"));
        assert_ne!(first, second);
        assert_eq!(cipher.open(&first).as_deref(), Some("hunter2"));
        assert_eq!(cipher.open(&second).as_deref(), Some("hunter2"));
        assert_eq!(cipher.open("bm90IG91cnM="), None);
        assert_eq!(Cipher::new().open(&first), None);
    }

    #[test]
    fn names_and_entropy_tell_secrets() {
        let marks = |name, value| AutoSecrets::NameAndEntropy.applies(name, value);
        assert!(marks("DB_PASSWORD", "q8Zt-4rT9!xLmPw2"));
        assert!(marks("github_token", "ghp_A1b2C3d4E5f6G7h8"));
        assert!(!marks("AWS_REGION", "q8Zt-4rT9!xLmPw2"));
        assert!(!marks("DB_PASSWORD", "aaaaaaaaaaaaaaaa"));
        assert!(!marks("DB_PASSWORD", "short"));
        assert!(!AutoSecrets::Off.applies("DB_PASSWORD", "q8Zt-4rT9!xLmPw2"));
    }
}
