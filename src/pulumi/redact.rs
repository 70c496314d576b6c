//! Takes known secret values out of a text that someone else wrote: an error message, a log line.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;

use super::secret::SecretValue;

/// What a secret is replaced by.
const MARK: &str = "[secret]";
/// A shorter value is left alone: replacing every `1` would destroy the text and hide nothing.
const SHORTEST_VALUE: usize = 3;
/// A shorter line of a multi-line value is left alone: it is far more often a bracket or a keyword than a secret.
const SHORTEST_LINE: usize = 4;

/// Replaces every known secret value in a text by `[secret]`.
///
/// Known are, for each secret: the whole value (also without surrounding white space), each line of a multi-line one,
/// and of both the base64 forms (standard and URL-safe, padded or not), the form inside a JSON string and the
/// percent-encoded form. Values of fewer than 3 characters and lines of fewer than 4 are left alone. A value that was
/// transformed in another way (reversed, hashed, part of a longer base64 text) can't be recognized.
pub struct Redactor {
    needles: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// A redactor that knows these secrets.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = SecretValue>) -> Self {
        let mut redactor = Self { needles: Vec::new() };
        for secret in secrets {
            redactor.learn(secret.expose());
        }
        redactor.needles.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        redactor.needles.dedup_by(|a, b| a == b);
        redactor
    }

    fn learn(&mut self, value: &str) {
        let trimmed = value.trim();
        if trimmed.chars().count() < SHORTEST_VALUE {
            return;
        }
        self.add_forms(value);
        if trimmed.len() < value.len() {
            self.add_forms(trimmed);
        }
        if trimmed.contains(['\n', '\r']) {
            for line in trimmed.split(['\n', '\r']).map(str::trim) {
                if line.chars().count() >= SHORTEST_LINE && line.contains(char::is_alphanumeric) {
                    self.add_forms(line);
                }
            }
        }
    }

    fn add_forms(&mut self, text: &str) {
        for form in [
            text.to_owned(),
            STANDARD.encode(text),
            STANDARD_NO_PAD.encode(text),
            URL_SAFE_NO_PAD.encode(text),
            inside_json(text),
            percent_encoded(text),
        ] {
            self.needles.push(Zeroizing::new(form));
        }
    }

    /// The text with `[secret]` in the place of every known value. Values that overlap or touch become one mark.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut hits: Vec<(usize, usize)> = Vec::new();
        for needle in &self.needles {
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| rest.find(needle.as_str())) {
                let start = from + at;
                hits.push((start, start + needle.len()));
                // One character further, not behind the hit: a value can overlap itself.
                from = start + text[start..].chars().next().map_or(1, char::len_utf8);
            }
        }
        hits.sort_unstable();
        let mut clean = String::with_capacity(text.len());
        let mut copied = 0;
        let mut hits = hits.into_iter().peekable();
        while let Some((start, mut end)) = hits.next() {
            while let Some((_, further)) = hits.next_if(|(next, _)| *next <= end) {
                end = end.max(further);
            }
            clean.push_str(&text[copied..start]);
            clean.push_str(MARK);
            copied = end;
        }
        clean.push_str(&text[copied..]);
        clean
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Redactor({} forms)", self.needles.len())
    }
}

fn inside_json(text: &str) -> String {
    let quoted = Zeroizing::new(serde_json::Value::from(text).to_string());
    quoted.trim_start_matches('"').strip_suffix('"').unwrap_or(&quoted).to_owned()
}

/// The text as a URL or a form carries it.
pub(super) fn percent_encoded(text: &str) -> String {
    use std::fmt::Write;
    // A buffer that grows leaves its old contents behind in freed memory.
    let mut encoded = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn redactor(values: &[&str]) -> Redactor {
        Redactor::new(values.iter().map(|value| SecretValue::new((*value).into(), String::new())))
    }

    #[rstest]
    #[case::plain(&["hunter2"], "password hunter2 is wrong", "password [secret] is wrong")]
    #[case::every_time(&["abc"], "abc-abc", "[secret]-[secret]")]
    #[case::newline_at_the_end(&["hunter2\n"], "password hunter2!", "password [secret]!")]
    #[case::base64(&["hunter2"], "Basic aHVudGVyMg==", "Basic [secret]")]
    #[case::base64_without_padding(&["hunter2"], "Basic aHVudGVyMg", "Basic [secret]")]
    #[case::base64_url(&["??>>"], "Pz8-Pg", "[secret]")]
    #[case::a_line(&["first line\nsecond line"], "echo second line", "echo [secret]")]
    #[case::json(&["a\"b\\c"], r#"{"v":"a\"b\\c"}"#, r#"{"v":"[secret]"}"#)]
    #[case::in_a_url(&["p@ss/word"], "https://me:p%40ss%2Fword@host", "https://me:[secret]@host")]
    #[case::too_short(&["ab"], "ab", "ab")]
    #[case::short_lines(&["{\n  longer\n}"], "{ longer }", "{ [secret] }")]
    #[case::overlap(&["abcd", "cdef"], "abcdef", "[secret]")]
    #[case::overlap_with_itself(&["aba"], "xababax", "x[secret]x")]
    #[case::touching(&["abc", "def"], "abcdef", "[secret]")]
    #[case::not_ascii(&["pässwörd"], "das pässwörd!", "das [secret]!")]
    #[case::nothing_known(&[], "hunter2", "hunter2")]
    fn replaces(#[case] secrets: &[&str], #[case] text: &str, #[case] expected: &str) {
        assert_eq!(redactor(secrets).redact(text), expected);
    }

    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?}", redactor(&["hunter2"])).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_value_survives(
            // Letters that the mark itself does not have.
            secrets in proptest::collection::vec("[g-qu-z]{3,8}", 1..5),
            pieces in proptest::collection::vec(("[ g-qu-z]{0,6}", 0_usize..5), 0..8),
        ) {
            let values: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let mut text = String::new();
            for (between, which) in &pieces {
                text.push_str(between);
                text.push_str(&secrets[which % secrets.len()]);
            }
            let clean = redactor(&values).redact(&text);
            for secret in &secrets {
                prop_assert!(!clean.contains(secret.as_str()), "{secret} in {clean}");
            }
        }

        #[test]
        fn text_without_secrets_is_kept(text in "\\PC{0,80}") {
            prop_assert_eq!(redactor(&["\u{1}\u{2}\u{3}\u{4}"]).redact(&text), text);
        }
    }
}
