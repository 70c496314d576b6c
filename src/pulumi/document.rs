//! The document that goes over the wire, with secrets in their places.

use std::collections::BTreeMap;
use std::io::{self, Write};

use secrecy::zeroize::Zeroizing;

use super::redact::percent_encoded;
use super::secret::SecretValue;

/// A JSON document in which a value may be a secret.
///
/// It can be compared, hashed and logged: a secret counts by its fingerprint and shows as `[secret]`. There is no
/// `Serialize`; only the HTTP client can turn it into bytes, a secret becoming `{"secret": "…"}`, the form in which
/// the service takes values that it must encrypt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// `null`; in a merge patch: remove.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A text that is not secret.
    String(String),
    /// A value that only the encoder may see.
    Secret(SecretValue),
    /// A list; a merge patch replaces it as a whole.
    Array(Vec<Node>),
    /// An object; a merge patch goes into it.
    Object(BTreeMap<String, Node>),
}

impl Node {
    /// An empty object.
    #[must_use]
    pub fn object() -> Self {
        Self::Object(BTreeMap::new())
    }

    /// True for an object without keys.
    #[must_use]
    pub fn is_empty_object(&self) -> bool {
        matches!(self, Self::Object(fields) if fields.is_empty())
    }

    /// Sets the value at a path of keys, creating the objects on the way; whatever stood in their place is replaced.
    /// An empty path replaces the whole document.
    pub fn insert<K: AsRef<str>>(&mut self, path: &[K], value: impl Into<Self>) {
        let mut place = self;
        for key in path {
            if !matches!(place, Self::Object(_)) {
                *place = Self::object();
            }
            let Self::Object(fields) = place else { return };
            place = fields.entry(key.as_ref().to_owned()).or_insert(Self::Null);
        }
        *place = value.into();
    }

    /// The value at a path of keys.
    #[must_use]
    pub fn get<K: AsRef<str>>(&self, path: &[K]) -> Option<&Self> {
        path.iter().try_fold(self, |place, key| match place {
            Self::Object(fields) => fields.get(key.as_ref()),
            _ => None,
        })
    }

    /// Takes the value at a path of keys out of the document. Objects that become empty by it stay.
    pub fn remove<K: AsRef<str>>(&mut self, path: &[K]) -> Option<Self> {
        let (last, parents) = path.split_last()?;
        let mut place = self;
        for key in parents {
            place = match place {
                Self::Object(fields) => fields.get_mut(key.as_ref())?,
                _ => return None,
            };
        }
        match place {
            Self::Object(fields) => fields.remove(last.as_ref()),
            _ => None,
        }
    }

    /// Every secret in the document, for a [`Redactor`](super::Redactor).
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretValue> {
        let mut found = Vec::new();
        self.collect_secrets(&mut found);
        found
    }

    fn collect_secrets(&self, found: &mut Vec<SecretValue>) {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::String(_) => {}
            Self::Secret(secret) => found.push(secret.clone()),
            Self::Array(items) => items.iter().for_each(|item| item.collect_secrets(found)),
            Self::Object(fields) => fields.values().for_each(|field| field.collect_secrets(found)),
        }
    }

    /// The document as JSON, secrets included: the only way out, for the HTTP client only.
    pub(super) fn encode(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        // Measured first: a buffer that grows leaves its old contents behind in freed memory.
        let mut size = Size(0);
        self.write(&mut size)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(size.0));
        self.write(&mut *bytes)?;
        Ok(bytes)
    }

    /// The document, an object of texts and numbers, as an HTML form sends it, secrets as they are: for the HTTP client
    /// only.
    pub(super) fn encode_form(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let unfit = || io::Error::new(io::ErrorKind::InvalidInput, "a form holds texts and numbers only");
        let Self::Object(fields) = self else { return Err(unfit()) };
        let mut pairs = Vec::with_capacity(fields.len());
        for (key, value) in fields {
            let value = Zeroizing::new(match value {
                Self::String(text) => percent_encoded(text),
                Self::Secret(secret) => percent_encoded(secret.expose()),
                Self::Integer(number) => number.to_string(),
                Self::Bool(value) => value.to_string(),
                Self::Null | Self::Array(_) | Self::Object(_) => return Err(unfit()),
            });
            pairs.push((percent_encoded(key), value));
        }
        let size = pairs.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(size));
        for (key, value) in &pairs {
            if !bytes.is_empty() {
                bytes.push(b'&');
            }
            write!(&mut *bytes, "{key}=")?;
            bytes.extend_from_slice(value.as_bytes());
        }
        Ok(bytes)
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Null => out.write_all(b"null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Integer(value) => write!(out, "{value}"),
            Self::String(text) => write_string(out, text),
            Self::Secret(secret) => {
                out.write_all(b"{\"secret\":")?;
                write_string(out, secret.expose())?;
                out.write_all(b"}")
            }
            Self::Array(items) => {
                out.write_all(b"[")?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.write_all(b",")?;
                    }
                    item.write(out)?;
                }
                out.write_all(b"]")
            }
            Self::Object(fields) => {
                out.write_all(b"{")?;
                for (index, (key, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.write_all(b",")?;
                    }
                    write_string(out, key)?;
                    out.write_all(b":")?;
                    value.write(out)?;
                }
                out.write_all(b"}")
            }
        }
    }
}

fn write_string(out: &mut impl Write, text: &str) -> io::Result<()> {
    serde_json::to_writer(out, text).map_err(io::Error::from)
}

/// Counts bytes instead of keeping them.
struct Size(usize);

impl Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<bool> for Node {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Node {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Node {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Node {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<SecretValue> for Node {
    fn from(value: SecretValue) -> Self {
        Self::Secret(value)
    }
}

impl<T: Into<Node>> From<Vec<T>> for Node {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<K: Into<String>, V: Into<Node>> FromIterator<(K, V)> for Node {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self::Object(fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn secret(value: &str) -> SecretValue {
        SecretValue::new(value.into(), "f".to_owned())
    }

    fn decoded(node: &Node) -> Value {
        serde_json::from_slice(&node.encode().unwrap()).unwrap()
    }

    #[test]
    fn encodes_secrets_in_the_form_the_service_encrypts() {
        let mut node = Node::object();
        node.insert(&["operation"], "update");
        node.insert(&["inheritSettings"], true);
        node.insert(&["agentPoolID"], Node::Null);
        node.insert(&["operationContext", "environmentVariables", "A"], secret("a\"\n\u{1}ü"));
        node.insert(&["operationContext", "preRunCommands"], vec!["x", "y"]);
        node.insert(&["n"], 7_i64);
        assert_eq!(
            decoded(&node),
            json!({
                "operation": "update", "inheritSettings": true, "agentPoolID": null, "n": 7,
                "operationContext": {
                    "environmentVariables": {"A": {"secret": "a\"\n\u{1}ü"}},
                    "preRunCommands": ["x", "y"],
                },
            })
        );
    }

    #[test]
    fn forms_hold_texts_and_numbers_only() {
        let mut form = Node::object();
        form.insert(&["b c"], secret("a&b=ü"));
        form.insert(&["a"], 7_i64);
        assert_eq!(form.encode_form().unwrap().as_slice(), b"a=7&b%20c=a%26b%3D%C3%BC");
        form.insert(&["c"], Node::object());
        assert!(form.encode_form().is_err());
        assert!(Node::Null.encode_form().is_err());
    }

    #[test]
    fn the_buffer_never_grows() {
        let mut node = Node::object();
        node.insert(&["key"], secret(&"long".repeat(10_000)));
        let bytes = node.encode().unwrap();
        assert_eq!(bytes.len(), bytes.capacity());
    }

    #[test]
    fn debug_hides_secrets() {
        let mut node = Node::object();
        node.insert(&["a", "b"], secret("hunter2"));
        let shown = format!("{node:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("[secret]"), "{shown}");
    }

    #[test]
    fn paths() {
        let mut node = Node::from("in the way");
        node.insert(&["a", "b"], 1_i64);
        node.insert(&["a", "c"], secret("s"));
        assert_eq!(node.get(&["a", "b"]), Some(&Node::Integer(1)));
        assert_eq!(node.get(&["a", "x"]), None);
        assert_eq!(node.get(&["a", "b", "c"]), None);
        assert_eq!(node.secrets().len(), 1);
        assert_eq!(node.remove(&["a", "c"]), Some(Node::Secret(secret("s"))));
        assert_eq!(node.remove(&["a", "b"]), Some(Node::Integer(1)));
        assert_eq!(node.remove(&["a", "b"]), None);
        assert!(node.get(&["a"]).unwrap().is_empty_object());
        node.insert::<&str>(&[], Node::object());
        assert!(node.is_empty_object());
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            Just(Node::Null),
            any::<bool>().prop_map(Node::Bool),
            any::<i64>().prop_map(Node::Integer),
            ".{0,12}".prop_map(Node::String),
            ".{0,12}".prop_map(|value| Node::Secret(secret(&value))),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Node::Array),
                proptest::collection::btree_map(".{0,6}", inner, 0..5).prop_map(Node::Object),
            ]
        })
    }

    fn expected(node: &Node) -> Value {
        match node {
            Node::Null => Value::Null,
            Node::Bool(value) => (*value).into(),
            Node::Integer(value) => (*value).into(),
            Node::String(text) => text.as_str().into(),
            Node::Secret(secret) => json!({"secret": secret.expose()}),
            Node::Array(items) => items.iter().map(expected).collect(),
            Node::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), expected(value))).collect(),
        }
    }

    proptest! {
        #[test]
        fn the_encoder_writes_json(node in any_node()) {
            prop_assert_eq!(decoded(&node), expected(&node));
        }
    }
}
