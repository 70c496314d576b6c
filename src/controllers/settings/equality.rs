//! When two values of deployment settings mean the same. Pure.
//!
//! The service normalizes what it is given: branches get `refs/heads/`, durations Go's form, an image without
//! credentials becomes a plain string; and absent, `false`, `0`, `""`, `[]` and `{}` all mean "not set".

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{controllers::digest, pulumi::Node};

/// Segments of a field's path. The case of the API's own keys does not matter, that of map keys does.
pub type Path = Vec<String>;

/// The object whose keys are the user's.
const MAP: &str = "environmentvariables";

/// The object that is compared and sent as one value, because its form depends on its content.
const IMAGE: &str = "executorimage";

/// What a read shows and no write takes: where the stack's project has its template from.
const READ_ONLY: &[&str] = &["sourcecontext", "template", "projectsourceurl"];

/// What the service fills in by itself where it knows the role's id.
const DERIVED: [&[&str]; 2] =
    [&["operationcontext", "role", "name"], &["operationcontext", "role", "defaultidentifier"]];

/// The fields that an object can't be without, by the ends of their paths: the rest of it goes with them.
const ANCHORS: [[&str; 2]; 12] = [
    ["vcs", "provider"],
    ["template", "sourceurl"],
    ["sshauth", "sshprivatekey"],
    ["basicauth", "username"],
    ["basicauth", "password"],
    ["role", "id"],
    ["aws", "rolearn"],
    ["aws", "sessionname"],
    ["gcp", "projectid"],
    ["gcp", "workloadpoolid"],
    ["gcp", "providerid"],
    ["gcp", "serviceaccount"],
];

/// How a declared value compares with a remote one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They mean the same.
    Equal,
    /// They do not.
    Differs,
    /// The remote value is masked, and what can be seen of it agrees.
    Masked,
}

/// A field of a document: its path as it is spelled there, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf<T> {
    /// The path with the document's own spelling.
    pub spelling: Path,
    /// The value.
    pub value: T,
}

/// The fields of a document by their path in one spelling.
pub type Leaves<T> = BTreeMap<Path, Leaf<T>>;

/// The fields of a declared document, empty ones included.
#[must_use]
pub fn declared_leaves(document: &Node) -> Leaves<Node> {
    fn descend(node: &Node, path: &Path, spelling: &Path, leaves: &mut Leaves<Node>) {
        match node {
            Node::Object(fields) if !fields.is_empty() && !is_atomic(path) => {
                for (key, value) in fields {
                    descend(value, &extend(path, unify(path, key)), &extend(spelling, key.clone()), leaves);
                }
            }
            Node::Null => {}
            value => {
                leaves.insert(path.clone(), Leaf { spelling: spelling.clone(), value: value.clone() });
            }
        }
    }
    let mut leaves = Leaves::new();
    if let Node::Object(fields) = document {
        for (key, value) in fields {
            descend(value, &vec![unify(&[], key)], &vec![key.clone()], &mut leaves);
        }
    }
    leaves
}

/// The fields of a remote document that are set to something.
#[must_use]
pub fn remote_leaves(document: &Value) -> Leaves<Value> {
    fn descend(value: &Value, path: &Path, spelling: &Path, leaves: &mut Leaves<Value>) {
        match value {
            Value::Object(fields) if (!is_masked(value) || field(path) == MAP) && !is_atomic(path) => {
                for (key, value) in fields {
                    descend(value, &extend(path, unify(path, key)), &extend(spelling, key.clone()), leaves);
                }
            }
            value if is_unset(value) || is_read_only(path) => {}
            value => {
                leaves.insert(path.clone(), Leaf { spelling: spelling.clone(), value: value.clone() });
            }
        }
    }
    let mut leaves = Leaves::new();
    descend(document, &Path::new(), &Path::new(), &mut leaves);
    leaves
}

/// Reads a path as it is kept in status: a JSON pointer.
#[must_use]
pub fn path_of_pointer(pointer: &str) -> Path {
    pointer.split('/').skip(1).fold(Path::new(), |path, segment| {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        let unified = unify(&path, &segment);
        extend(&path, unified)
    })
}

/// A path as a JSON pointer.
#[must_use]
pub fn pointer(path: &[String]) -> String {
    path.iter().fold(String::new(), |pointer, segment| pointer + "/" + &segment.replace('~', "~0").replace('/', "~1"))
}

/// Compares a declared value with what is there.
#[must_use]
pub fn compare(path: &[String], declared: &Node, remote: Option<&Value>) -> Comparison {
    match (declared, remote) {
        (declared, None) if is_empty(declared) => Comparison::Equal,
        (_, Some(remote)) if field(path) == IMAGE => compare_images(declared, remote),
        (Node::Secret(_) | Node::String(_), Some(remote)) if is_masked(remote) => Comparison::Masked,
        (_, None) | (Node::Secret(_), Some(_)) => Comparison::Differs,
        (declared, Some(remote)) => {
            if normal(path, &digest::without_secrets(declared)) == normal(path, remote) {
                Comparison::Equal
            } else {
                Comparison::Differs
            }
        }
    }
}

fn compare_images(declared: &Node, remote: &Value) -> Comparison {
    let visible = |image: &Value| {
        let text = |pointer| image.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let reference = image.as_str().map_or_else(|| text("/reference"), ToOwned::to_owned);
        (reference, text("/credentials/username"), image.pointer("/credentials/password").is_some())
    };
    let (ours, theirs) = (visible(&digest::without_secrets(declared)), visible(remote));
    match (ours == theirs, ours.2) {
        (true, false) => Comparison::Equal,
        (true, true) => Comparison::Masked,
        (false, _) => Comparison::Differs,
    }
}

/// A digest of a remote document that moves only when something in it changes its meaning.
#[must_use]
pub fn remote_digest(document: &Value) -> String {
    let fields: Map<String, Value> = remote_leaves(document)
        .into_iter()
        .map(|(path, leaf)| {
            let value = if is_masked(&leaf.value) {
                Value::from("[secret]")
            } else {
                normal(&path, &without_ciphertext(&leaf.value))
            };
            (pointer(&path), value)
        })
        .collect();
    digest::plain(&Value::Object(fields))
}

/// Whether a declared value asks for the field to be unset.
#[must_use]
pub fn is_empty(node: &Node) -> bool {
    match node {
        Node::Null => true,
        Node::Bool(value) => !value,
        Node::String(text) => text.is_empty(),
        Node::Array(items) => items.is_empty(),
        Node::Object(fields) => fields.values().all(is_empty),
        Node::Integer(number) => *number == 0,
        Node::Secret(_) => false,
    }
}

/// Whether a remote value means the same as none.
#[must_use]
pub fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_unset),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) => false,
    }
}

/// A secret as the service gives it out, in today's form or the announced next one.
#[must_use]
pub fn is_masked(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| {
        fields.contains_key("ciphertext") || fields.contains_key("secret") || fields.contains_key("isSecret")
    })
}

fn without_ciphertext(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, value)| key.as_str() != "ciphertext" && key.as_str() != "isDefault" && !is_unset(value))
            .map(|(key, value)| (key.clone(), without_ciphertext(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn normal(path: &[String], value: &Value) -> Value {
    let parent = field(&path[..path.len().saturating_sub(1)]);
    match value {
        Value::String(text) => Value::String(match (parent, field(path)) {
            ("git" | "hg", "branch") => text.strip_prefix("refs/heads/").unwrap_or(text).to_owned(),
            ("git", "tag") => text.strip_prefix("refs/tags/").unwrap_or(text).to_owned(),
            ("aws", "duration") | ("gcp", "tokenlifetime") => {
                go_duration(text).map_or_else(|| text.clone(), |milliseconds| format!("{milliseconds}ms"))
            }
            _ => text.clone(),
        }),
        Value::Object(fields) if field(path) == IMAGE && fields.keys().all(|key| key == "reference") => {
            fields.get("reference").cloned().unwrap_or_default()
        }
        other => other.clone(),
    }
}

/// Milliseconds of a duration in Go's form, such as `1h`, `1h0m0s` or `1.5s`.
#[must_use]
pub fn go_duration(text: &str) -> Option<u128> {
    let whole = |text: &str| text.parse::<crate::api::Duration>().ok().map(|duration| duration.value().as_millis());
    match text.strip_suffix('s').and_then(|text| text.split_once('.')) {
        Some((seconds, decimals)) if decimals.len() <= 3 => {
            let milliseconds: u128 = format!("{decimals:0<3}").parse().ok()?;
            Some(whole(&format!("{seconds}s"))? + milliseconds)
        }
        _ => whole(text),
    }
}

/// Whether a read shows this field and no write takes it.
#[must_use]
pub fn is_read_only(path: &[String]) -> bool {
    is(path, READ_ONLY)
}

/// Whether the service fills this field in by itself.
#[must_use]
pub fn is_derived(path: &[String]) -> bool {
    DERIVED.iter().any(|derived| is(path, derived))
}

/// Whether the object that this field is in can't be without it.
#[must_use]
pub fn is_anchor(path: &[String]) -> bool {
    let parent = field(&path[..path.len().saturating_sub(1)]);
    ANCHORS.contains(&[parent, field(path)])
}

fn is(path: &[String], place: &[&str]) -> bool {
    path.iter().map(String::as_str).eq(place.iter().copied())
}

fn is_atomic(path: &[String]) -> bool {
    field(path) == IMAGE
}

/// The API's name of a field; none for an entry of a map, whose name may be any.
fn field(path: &[String]) -> &str {
    match path {
        [.., parent, _] if parent == MAP => "",
        [.., field] => field,
        [] => "",
    }
}

/// A key as it counts at its place.
#[must_use]
pub fn unify(parent: &[String], key: &str) -> String {
    if parent.last().is_some_and(|parent| parent == MAP) { key.to_owned() } else { key.to_lowercase() }
}

fn extend(path: &[String], segment: String) -> Path {
    path.iter().cloned().chain([segment]).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn node(value: &Value) -> Node {
        match value {
            Value::Null => Node::Null,
            Value::Bool(value) => Node::Bool(*value),
            Value::Number(number) => Node::Integer(number.as_i64().unwrap()),
            Value::String(text) => Node::String(text.clone()),
            Value::Array(items) => Node::Array(items.iter().map(node).collect()),
            Value::Object(fields) => {
                Node::Object(fields.iter().map(|(key, value)| (key.clone(), node(value))).collect())
            }
        }
    }

    #[rstest]
    #[case("git/branch", json!("main"), json!("refs/heads/main"), Comparison::Equal)]
    #[case("git/branch", json!("main"), json!("refs/heads/dev"), Comparison::Differs)]
    #[case("hg/branch", json!("default"), json!("refs/heads/default"), Comparison::Equal)]
    #[case("git/tag", json!("v1"), json!("refs/tags/v1"), Comparison::Equal)]
    #[case("tag", json!("v1"), json!("refs/tags/v1"), Comparison::Differs)]
    #[case("aws/duration", json!("1h"), json!("1h0m0s"), Comparison::Equal)]
    #[case("gcp/tokenlifetime", json!("90m"), json!("1h30m0s"), Comparison::Equal)]
    #[case("vcs/deploypullrequest", json!(7), json!(7), Comparison::Equal)]
    #[case("vcs/deploypullrequest", json!(7), json!(8), Comparison::Differs)]
    #[case("executorimage", json!("i:1"), json!({"reference": "i:1", "isDefault": false}), Comparison::Equal)]
    #[case("executorimage", json!("i:1"), json!({"reference": "i:1", "credentials": {"username": "u", "password": {"secret": "[secret]"}}}), Comparison::Differs)]
    #[case("x", json!(["a", "b"]), json!(["a", "b"]), Comparison::Equal)]
    #[case("x", json!(["a", "b"]), json!(["b", "a"]), Comparison::Differs)]
    #[case("x", json!("plain"), json!({"secret": "[secret]", "ciphertext": "AA"}), Comparison::Masked)]
    #[case("x", json!(true), json!(true), Comparison::Equal)]
    fn meanings(#[case] path: &str, #[case] declared: Value, #[case] remote: Value, #[case] expected: Comparison) {
        let path: Path = path.split('/').map(ToOwned::to_owned).collect();
        assert_eq!(compare(&path, &node(&declared), Some(&remote)), expected);
    }

    #[rstest]
    #[case(json!(false))]
    #[case(json!(0))]
    #[case(json!(""))]
    #[case(json!([]))]
    #[case(json!({}))]
    fn empty_means_absent(#[case] empty: Value) {
        assert_eq!(compare(&[], &node(&empty), None), Comparison::Equal);
        assert!(remote_leaves(&json!({"field": empty})).is_empty());
    }

    #[test]
    fn the_case_of_keys_matters_in_maps_only() {
        let remote = json!({"operationContext": {"environmentVariables": {"Path": "a", "PATH": "b"}}, "SourceContext": {"GIT": {"repoURL": "r"}}});
        let paths: Vec<_> = remote_leaves(&remote).keys().map(|path| pointer(path)).collect();
        assert_eq!(
            paths,
            [
                "/operationcontext/environmentvariables/PATH",
                "/operationcontext/environmentvariables/Path",
                "/sourcecontext/git/repourl"
            ]
        );
        assert_eq!(
            path_of_pointer("/operationContext/environmentVariables/A~1B"),
            ["operationcontext", "environmentvariables", "A/B"]
        );
    }

    #[test]
    fn the_remote_digest_ignores_what_differs_at_every_read() {
        let one = json!({"a": {"secret": "[secret]", "ciphertext": "AA"}, "git": {"branch": "main"}, "off": false});
        let other = json!({"a": {"secret": "[secret]", "ciphertext": "BB"}, "git": {"branch": "refs/heads/main"}});
        assert_eq!(remote_digest(&one), remote_digest(&other));
        assert_ne!(remote_digest(&one), remote_digest(&json!({"git": {"branch": "main"}})));
    }
}
