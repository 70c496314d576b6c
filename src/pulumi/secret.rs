//! Secret values that can be compared, hashed and logged without being shown.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

/// A secret value together with a fingerprint of it.
///
/// Everything but the HTTP encoder and the [`Redactor`](super::Redactor) sees the fingerprint only: `Eq` and `Hash`
/// look at it, `Debug` prints `[secret]`, and there is no `Display` and no `Serialize`. Clones share one buffer, which
/// is cleared when the last of them is dropped.
#[derive(Clone)]
pub struct SecretValue {
    value: Arc<SecretString>,
    fingerprint: Arc<str>,
}

impl SecretValue {
    /// Pairs a value with its fingerprint.
    ///
    /// The fingerprint stands for the value in every comparison, so it must be a keyed digest of it (or of where and
    /// in which version it is kept), never something from which the value could be found again.
    #[must_use]
    pub fn new(value: SecretString, fingerprint: String) -> Self {
        Self { value: Arc::new(value), fingerprint: fingerprint.into() }
    }

    /// What stands for the value wherever it is compared or stored.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The value itself: for the encoder and the redactor only.
    pub(super) fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[secret]")
    }
}

impl PartialEq for SecretValue {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for SecretValue {}

impl Hash for SecretValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;

    fn secret(value: &str, fingerprint: &str) -> SecretValue {
        SecretValue::new(value.into(), fingerprint.to_owned())
    }

    fn hash(value: &SecretValue) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn only_the_fingerprint_is_compared() {
        assert_eq!(secret("one", "f"), secret("two", "f"));
        assert_eq!(hash(&secret("one", "f")), hash(&secret("two", "f")));
        assert_ne!(secret("one", "f"), secret("one", "g"));
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?} {:#?}", secret("hunter2", "f"), vec![secret("hunter2", "f")]);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.starts_with("[secret]"), "{shown}");
    }
}
