//! What a stack gives out.

use std::fmt;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{Ciphertext, Plaintexts};

/// The property that tells Pulumi's special objects from others, and its value for secrets.
const SIGNATURE: &str = "4dabf18193072939515e22adb298388d";
const SECRET: &str = "1b47061264138c4ac30d75fd1eb44270";

/// A stack's outputs by name, as its state holds them: secrets are sealed.
#[derive(Clone, Default, PartialEq, Deserialize)]
pub struct StackOutputs(Map<String, Value>);

/// An output as text: a string as it is, everything else as JSON.
#[derive(Clone, Debug)]
pub enum Opened {
    /// Anybody may see it.
    Plain(String),
    /// There is a secret in it.
    Secret(SecretString),
}

impl StackOutputs {
    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is such an output.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there is a secret anywhere in an output. False when there is no such output.
    #[must_use]
    pub fn is_secret(&self, name: &str) -> bool {
        let mut found = vec![];
        self.0.get(name).into_iter().for_each(|value| collect(value, &mut found));
        !found.is_empty()
    }

    /// What must be decrypted before the outputs with these names can be opened; each once.
    pub fn ciphertexts<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<Ciphertext> {
        let mut found = vec![];
        names.into_iter().filter_map(|name| self.0.get(name)).for_each(|value| collect(value, &mut found));
        found.sort();
        found.dedup();
        found
    }

    /// An output with its secrets in clear; none when there is no such output, or when one of its secrets is not among
    /// the plaintexts or is no JSON.
    #[must_use]
    pub fn open(&self, name: &str, plaintexts: &Plaintexts) -> Option<Opened> {
        let value = self.0.get(name)?;
        if !self.is_secret(name) {
            return Some(Opened::Plain(match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }));
        }
        let size = plaintexts.values.values().map(|text| text.expose_secret().len()).sum::<usize>();
        // Large enough that nothing is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(size.saturating_add(value.to_string().len())));
        write(value, plaintexts, &mut text)?;
        if text.starts_with('"') {
            let unquoted: Zeroizing<String> = Zeroizing::new(serde_json::from_str(&text).ok()?);
            return Some(Opened::Secret(SecretString::from(unquoted.as_str())));
        }
        Some(Opened::Secret(SecretString::from(text.as_str())))
    }
}

impl fmt::Debug for StackOutputs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values that nobody has marked as secret can be anything all the same.
        out.debug_tuple("StackOutputs").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

/// The ciphertext of a value that is a secret.
fn sealed(value: &Value) -> Option<&str> {
    let fields = value.as_object()?;
    if fields.get(SIGNATURE)?.as_str()? != SECRET {
        return None;
    }
    // A secret in a form that is not known is one that can't be opened, not one that may be seen.
    Some(fields.get("ciphertext").and_then(Value::as_str).unwrap_or_default())
}

fn collect(value: &Value, found: &mut Vec<Ciphertext>) {
    if let Some(ciphertext) = sealed(value) {
        found.push(Ciphertext(ciphertext.to_owned()));
        return;
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Writes a value as JSON with its secrets in clear.
fn write(value: &Value, plaintexts: &Plaintexts, text: &mut String) -> Option<()> {
    if let Some(ciphertext) = sealed(value) {
        let plain = plaintexts.values.get(&Ciphertext(ciphertext.to_owned()))?.expose_secret();
        serde_json::from_str::<IgnoredAny>(plain).ok()?;
        text.push_str(plain.trim());
        return Some(());
    }
    let separate = |at: usize, text: &mut String| {
        if at > 0 {
            text.push(',');
        }
    };
    match value {
        Value::Object(fields) => {
            text.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                separate(at, text);
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, plaintexts, text)?;
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, value) in items.iter().enumerate() {
                separate(at, text);
                write(value, plaintexts, text)?;
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn secret(ciphertext: &str) -> Value {
        json!({SIGNATURE: SECRET, "ciphertext": ciphertext})
    }

    fn outputs() -> StackOutputs {
        serde_json::from_value(json!({
            "url": "https://example.com", "count": 3, "list": [1, {"a": null}], "asset": {SIGNATURE: "another", "path": "p"},
            "password": secret("C1"), "number": secret("C2"),
            "deep": {"z": [secret("C1"), 1], "a\"": "b"}, "broken": secret("C3"), "strange": {SIGNATURE: SECRET},
        }))
        .unwrap()
    }

    fn plaintexts() -> Plaintexts {
        let encoded = |text: &str| STANDARD.encode(text);
        let values = json!({"C1": encoded("\"hunter2\\n\""), "C2": encoded("42"), "C3": encoded("{")});
        serde_json::from_value(json!({"plaintexts": values})).unwrap()
    }

    #[rstest]
    #[case("url", "https://example.com", false)]
    #[case("count", "3", false)]
    #[case("list", r#"[1,{"a":null}]"#, false)]
    #[case("password", "hunter2\n", true)]
    #[case("number", "42", true)]
    #[case("deep", r#"{"a\"":"b","z":["hunter2\n",1]}"#, true)]
    fn outputs_as_text(#[case] name: &str, #[case] expected: &str, #[case] is_secret: bool) {
        assert_eq!(outputs().is_secret(name), is_secret);
        let (text, shown) = match outputs().open(name, &plaintexts()).unwrap() {
            Opened::Plain(text) => (text, false),
            Opened::Secret(text) => (text.expose_secret().to_owned(), true),
        };
        assert_eq!((text.as_str(), shown), (expected, is_secret));
    }

    #[test]
    fn what_can_not_be_opened_is_not_shown() {
        for name in ["broken", "strange", "missing"] {
            assert!(outputs().open(name, &plaintexts()).is_none(), "{name}");
        }
        assert!(outputs().is_secret("strange") && !outputs().is_secret("asset") && !outputs().is_secret("missing"));
        let asked = outputs().ciphertexts(["password", "number", "deep", "url", "missing"]);
        assert_eq!(asked.iter().map(Ciphertext::as_str).collect::<Vec<_>>(), ["C1", "C2"]);
    }

    #[test]
    fn nothing_shows_in_logs() {
        let opened = outputs().open("deep", &plaintexts()).unwrap();
        let shown = format!("{:?} {opened:?}", outputs());
        assert!(!shown.contains("hunter2") && !shown.contains("example.com") && !shown.contains("C1"), "{shown}");
    }
}
