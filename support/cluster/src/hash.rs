//! SHA-256, where a name or a secret is derived from other data.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The hash of the parts, in hexadecimal. Where one part ends and the next begins counts.
pub(crate) fn sha256_hex(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut hex = String::with_capacity(64);
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_the_parts_count() {
        assert_eq!(sha256_hex(&["ab", "c"]).len(), 64);
        assert_ne!(sha256_hex(&["ab", "c"]), sha256_hex(&["a", "bc"]));
    }
}
