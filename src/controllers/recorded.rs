//! For the tests: every state that a resource can be in, as its controller's `status` tells it, written into files that
//! the tests of GitOps tools read. So those tests see what is really told, and not what somebody once copied.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    conditions::{Standing, Words},
    requeue::{Consequence, Retry},
};
use crate::pulumi::Class;

/// Set, the files are written instead of compared.
const BLESS: &str = "BLESS";

/// What Argo CD should make of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Health {
    /// It is what its spec says.
    Healthy,
    /// It is on its way there by itself.
    Progressing,
    /// It goes on when somebody lets it.
    Suspended,
    /// Only a person can get it further.
    Degraded,
}

/// A state that a resource can be in.
#[derive(Debug, Serialize)]
pub struct State {
    name: String,
    health: Health,
    resource: Value,
}

impl State {
    /// A resource of some kind with this status, seen at the generation that the status is about.
    pub fn new(name: &str, health: Health, kind: &str, spec: &Value, status: &impl Serialize) -> Self {
        let resource = json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1",
            "kind": kind,
            "metadata": {"name": "subject", "namespace": "default", "generation": 1},
            "spec": spec,
            "status": serde_json::to_value(status).unwrap(),
        });
        Self { name: name.to_owned(), health, resource }
    }

    /// The same, changed as somebody changes it whom the operator has not answered yet.
    #[must_use]
    pub fn and_then(mut self, what: &str, metadata: &Value) -> Self {
        self.name = format!("{}, {what}", self.name);
        self.health = Health::Progressing;
        for (field, value) in metadata.as_object().unwrap() {
            self.resource["metadata"][field] = value.clone();
        }
        self
    }

    fn reasons(&self) -> impl Iterator<Item = &str> {
        let of = |list: &'static str| self.resource.pointer(list).and_then(Value::as_array).into_iter().flatten();
        of("/status/conditions").chain(of("/status/schedules")).filter_map(|it| it["reason"].as_str())
    }
}

/// A failed call of a class, as the table of failed calls tells it.
pub fn failed(class: Class, reason: &str) -> Consequence {
    let words = Words { reason: reason.to_owned(), message: "what the service answered".to_owned() };
    let is_for_people = matches!(class, Class::Unauthorized | Class::Forbidden | Class::Invalid | Class::Unsupported);
    let standing = if is_for_people { Standing::Stalled(words) } else { Standing::Retrying(words) };
    Consequence { class, standing, retry: Retry::Backoff, detail: String::new() }
}

/// Every class of failed calls, what it is called in a condition, and what Argo CD should make of it.
pub const FAILURES: [(Class, &str, Health); 8] = [
    (Class::Unauthorized, "TokenRejected", Health::Degraded),
    (Class::Forbidden, "Forbidden", Health::Degraded),
    (Class::Invalid, "Rejected", Health::Degraded),
    (Class::Unsupported, "UnsupportedByBackend", Health::Degraded),
    (Class::NotFound, "NotFound", Health::Progressing),
    (Class::Throttled, "Throttled", Health::Progressing),
    (Class::Unavailable, "Unavailable", Health::Progressing),
    (Class::NotSent, "Unreachable", Health::Progressing),
];

/// Asserts that every reason of a kind is in some state, and that the file has these states.
///
/// # Panics
/// When one of the two is not so; the message says what to do.
pub fn assert_recorded(file: &str, (reasons, table): (&str, &str), states: &[State]) {
    let told: BTreeSet<&str> = states.iter().flat_map(State::reasons).collect();
    let untold: Vec<_> = variants(reasons).filter(|reason| !told.contains(reason)).collect();
    assert!(untold.is_empty(), "add a state for each of the reasons {untold:?} to the table in {table}");
    let mut text = format!("# Written by a test from the states in {table}; `{BLESS}=1 cargo test --lib` writes it.\n");
    for state in states {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(state).unwrap());
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/gitops/recorded").join(file);
    if env::var_os(BLESS).is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{} is not up to date: run `{BLESS}=1 cargo test --lib recorded`", path.display());
}

/// The variants of the one enum in a file.
fn variants(source: &str) -> impl Iterator<Item = &str> {
    let body = source.split_once("pub enum Reason {").unwrap().1;
    body.lines().map(str::trim).take_while(|line| *line != "}").filter_map(|line| line.strip_suffix(','))
}
