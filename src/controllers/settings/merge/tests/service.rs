//! A model of how the service keeps deployment settings, from its documentation; none of the code under test is used.
//!
//! A patch: keys in any case (those of a map are data), `null` deletes, objects merge, anything else replaces.
//! What is kept: branches with `refs/heads/`, durations as Go writes them, an image that is only a reference as text.
//! A read: every secret masked, with a ciphertext that was never given out before.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::pulumi::Node;

/// Segments of a path, lower case but for the names of variables.
type Path = Vec<String>;

/// What is set, by its path; a secret is `{"secret": …}`.
pub type Fields = BTreeMap<Path, Value>;

/// What the documentation leaves open: each service in the tests does it one way or the other.
#[allow(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Empty values stay in the document.
    pub keeps_empties: bool,
    /// Plain values of variables that are called as a secret are kept as secrets.
    pub hides_plain_values: bool,
    /// An image that is only a reference is given out as an object.
    pub gives_image_objects: bool,
    /// Some keys are given out in the documentation's spelling or the provider's, and not as they were sent.
    pub spells_keys_otherwise: bool,
    /// Tags get `refs/tags/`, as branches get `refs/heads/`.
    pub qualifies_tags: bool,
    /// A role is given out with the name that the service knows.
    pub names_roles: bool,
    /// What the project has its template from is given out, whatever the stack's source is.
    pub shows_project_template: bool,
}

/// Any of the ways.
pub fn any_habits() -> impl Strategy<Value = Habits> {
    any::<[bool; 7]>().prop_map(
        |[
            keeps_empties,
            hides_plain_values,
            gives_image_objects,
            spells_keys_otherwise,
            qualifies_tags,
            names_roles,
            shows_project_template,
        ]| Habits {
            keeps_empties,
            hides_plain_values,
            gives_image_objects,
            spells_keys_otherwise,
            qualifies_tags,
            names_roles,
            shows_project_template,
        },
    )
}

/// The settings of one stack.
pub struct Service {
    /// Counts the writes.
    pub version: u64,
    stored: Value,
    habits: Habits,
    ciphertexts: u64,
}

impl Service {
    pub fn new(habits: Habits) -> Self {
        Self { version: 0, stored: Value::Null, habits, ciphertexts: 0 }
    }

    pub fn patch(&mut self, patch: &Node) {
        self.stored = merged(&[], self.stored.take(), &written(patch), self.habits).unwrap_or_else(|| json!({}));
        self.version += 1;
    }

    pub fn delete(&mut self) {
        self.stored = Value::Null;
    }

    pub fn read(&mut self) -> Value {
        let stored = self.stored.clone();
        let mut shown = self.rendered(&[], &stored).unwrap_or(if stored.is_null() { Value::Null } else { json!({}) });
        if self.habits.shows_project_template && shown.is_object() {
            // Indexing creates the objects on the way.
            shown["sourceContext"]["template"]["projectSourceUrl"] = "https://example.com/templates".into();
        }
        shown
    }

    /// From now on the same is worded in other ways.
    pub fn reword(&mut self, habits: Habits) {
        // The name of a role is no wording.
        self.habits = Habits { names_roles: self.habits.names_roles, ..habits };
    }

    /// Everything that is set, secrets in the clear.
    pub fn fields(&self) -> Fields {
        let mut fields = flat(&self.stored);
        fields.retain(|_, value| !is_empty(value));
        fields
    }

    /// Everything that is set as others see it: no two secrets can be told apart.
    pub fn visible(&self) -> Fields {
        let mut fields = self.fields();
        for value in fields.values_mut() {
            if value.pointer("/credentials/password/secret").is_some() {
                value["credentials"]["password"] = json!({"secret": ""});
            } else if value.get("secret").is_some() {
                *value = json!({"secret": ""});
            }
        }
        fields
    }

    /// The fields with a secret in them.
    pub fn masked_paths(&self) -> BTreeSet<Path> {
        let is_masked =
            |value: &Value| value.get("secret").is_some() || value.pointer("/credentials/password/secret").is_some();
        self.fields().into_iter().filter(|(_, value)| is_masked(value)).map(|(path, _)| path).collect()
    }

    fn rendered(&mut self, path: &[String], value: &Value) -> Option<Value> {
        match value {
            Value::Object(_) if is_secret(path, value) => {
                self.ciphertexts += 1;
                Some(json!({"secret": "[secret]", "ciphertext": format!("AAAB{}", self.ciphertexts)}))
            }
            Value::Object(fields) => {
                let mut shown = Map::new();
                for (key, value) in fields {
                    if let Some(value) = self.rendered(&below(path, key), value) {
                        let is_key = !ends(path, "environmentvariables") && self.habits.spells_keys_otherwise;
                        shown.insert(if is_key { respelled(key) } else { key }.to_owned(), value);
                    }
                }
                let id = shown.get("id").and_then(Value::as_str).unwrap_or_default();
                if ends(path, "role") && self.habits.names_roles && !id.is_empty() {
                    let name = Value::from(format!("the role {id}"));
                    let there = shown.entry("name").or_insert(Value::Null);
                    if is_empty(there) {
                        *there = name;
                    }
                }
                (self.habits.keeps_empties || !shown.is_empty()).then_some(Value::Object(shown))
            }
            Value::String(reference) if ends(path, "executorimage") && self.habits.gives_image_objects => {
                (self.habits.keeps_empties || !reference.is_empty())
                    .then(|| json!({"reference": reference, "isDefault": false}))
            }
            value => (self.habits.keeps_empties || !is_empty(value)).then(|| value.clone()),
        }
    }
}

/// What a document declares: each field as the service will keep it, nothing for one that must be unset.
pub fn declared(document: &Node, habits: Habits) -> BTreeMap<Path, Option<Value>> {
    let document = written(document);
    flat(&document)
        .into_iter()
        .map(|(path, value)| {
            let kept = merged(&path, Value::Null, &value, habits).filter(|value| !is_empty(value));
            (path, kept)
        })
        .collect()
}

/// Whether `path` is `parent` or below it.
pub fn is_below(path: &[String], parent: &[String]) -> bool {
    path.starts_with(parent)
}

/// Whether an object that is there must have this field.
pub fn is_anchor(path: &[String]) -> bool {
    const FIELDS: &[&str] = &[
        "/vcs/provider",
        "/template/sourceurl",
        "/sshauth/sshprivatekey",
        "/basicauth/username",
        "/basicauth/password",
        "/role/id",
        "/aws/rolearn",
        "/aws/sessionname",
        "/gcp/projectid",
        "/gcp/workloadpoolid",
        "/gcp/providerid",
        "/gcp/serviceaccount",
    ];
    let whole = format!("/{}", path.join("/"));
    FIELDS.iter().any(|field| whole.ends_with(field)) && !whole.contains("/environmentvariables/")
}

/// A key as it counts at its place: the API's own in any case.
pub fn key_of(parent: &[String], key: &str) -> String {
    if ends(parent, "environmentvariables") { key.to_owned() } else { key.to_lowercase() }
}

/// The arms beside the one that a path chooses, all the way up.
pub fn arms_beside(path: &[String]) -> Vec<Path> {
    const CHOICES: [&[&str]; 8] = [
        &["github", "vcs"],
        &["github/repository", "vcs/repository", "sourcecontext/git/repourl"],
        &["sourcecontext/git", "sourcecontext/hg", "sourcecontext/template"],
        &["sourcecontext/git/branch", "sourcecontext/git/commit", "sourcecontext/git/tag"],
        &["sourcecontext/hg/branch", "sourcecontext/hg/revision"],
        &[
            "sourcecontext/git/gitauth/sshauth",
            "sourcecontext/git/gitauth/basicauth",
            "sourcecontext/git/gitauth/accesstoken",
        ],
        &[
            "sourcecontext/hg/hgauth/sshauth",
            "sourcecontext/hg/hgauth/basicauth",
            "sourcecontext/hg/hgauth/accesstoken",
        ],
        &[
            "sourcecontext/template/gitauth/sshauth",
            "sourcecontext/template/gitauth/basicauth",
            "sourcecontext/template/gitauth/accesstoken",
        ],
    ];
    let split = |arm: &&str| arm.split('/').map(ToOwned::to_owned).collect::<Path>();
    CHOICES
        .iter()
        .map(|arms| arms.iter().map(split).collect::<Vec<_>>())
        .filter(|arms| arms.iter().any(|arm| is_below(path, arm)))
        .flat_map(|arms| arms.into_iter().filter(|arm| !is_below(path, arm)))
        .collect()
}

const KEYS: &[&str] = &[
    "accessToken",
    "agentPoolID",
    "aws",
    "azure",
    "basicAuth",
    "branch",
    "cacheOptions",
    "clientId",
    "commit",
    "credentials",
    "defaultIdentifier",
    "deleteAfterDestroy",
    "deployCommits",
    "deployPullRequest",
    "deployTags",
    "duration",
    "enable",
    "environmentVariables",
    "executorContext",
    "executorImage",
    "executorRootPath",
    "gcp",
    "git",
    "gitAuth",
    "gitHub",
    "hg",
    "hgAuth",
    "id",
    "installationId",
    "name",
    "oidc",
    "operationContext",
    "options",
    "password",
    "paths",
    "policyArns",
    "preRunCommands",
    "previewPullRequests",
    "projectId",
    "provider",
    "providerId",
    "pullRequestTemplate",
    "reference",
    "region",
    "remediateIfDriftDetected",
    "repoDir",
    "repoUrl",
    "repository",
    "reviewStackLabels",
    "revision",
    "role",
    "roleArn",
    "serviceAccount",
    "sessionName",
    "shell",
    "skipInstallDependencies",
    "skipIntermediateDeployments",
    "sourceContext",
    "sourceUrl",
    "sshAuth",
    "sshPrivateKey",
    "subscriptionId",
    "tag",
    "tagFilters",
    "template",
    "tenantId",
    "tokenLifetime",
    "userName",
    "username",
    "vcs",
    "workloadPoolId",
];

/// Another spelling of a key that clients have seen.
fn respelled(key: &str) -> &str {
    match key {
        "agentPoolID" => "agentPoolId",
        "gitHub" => "github",
        "repoUrl" => "repoURL",
        same => same,
    }
}

/// The service's own spelling of a key.
fn canonical(parent: &[String], key: &str) -> String {
    if ends(parent, "environmentvariables") {
        return key.to_owned();
    }
    // The one pair of keys that differ by case only, each at a place of its own.
    if ends(parent, "credentials") && key.eq_ignore_ascii_case("username") {
        return "username".to_owned();
    }
    let known = KEYS.iter().find(|known| known.eq_ignore_ascii_case(key));
    (*known.unwrap_or_else(|| panic!("the service has no field {key} in {parent:?}"))).to_owned()
}

fn merged(path: &[String], current: Value, patch: &Value, habits: Habits) -> Option<Value> {
    match patch {
        Value::Null => None,
        Value::Object(changes) if !is_secret(path, patch) => {
            let mut fields = match current {
                Value::Object(fields) => fields,
                Value::String(reference) if ends(path, "executorimage") => {
                    json!({"reference": reference}).as_object().cloned()?
                }
                _ => Map::new(),
            };
            for (key, change) in changes {
                let key = canonical(path, key);
                let before = fields.remove(&key).unwrap_or_default();
                if let Some(after) = merged(&below(path, &key), before, change, habits) {
                    fields.insert(key, after);
                }
            }
            if ends(path, "executorimage") && !fields.contains_key("credentials") {
                return Some(fields.remove("reference").unwrap_or_else(|| "".into()));
            }
            Some(Value::Object(fields))
        }
        patch => Some(kept(path, patch, habits)),
    }
}

fn kept(path: &[String], value: &Value, habits: Habits) -> Value {
    let Some(text) = value.as_str().filter(|text| !text.is_empty()) else { return value.clone() };
    let field = path.last().map_or("", String::as_str);
    match path.get(path.len().saturating_sub(2)).map(String::as_str) {
        Some("environmentvariables") if habits.hides_plain_values && field.contains("PASSWORD") => {
            json!({"secret": text})
        }
        Some("git") if field == "branch" && !text.starts_with("refs/") => format!("refs/heads/{text}").into(),
        Some("git") if field == "tag" && habits.qualifies_tags && !text.starts_with("refs/") => {
            format!("refs/tags/{text}").into()
        }
        Some("aws") if field == "duration" => go_duration(text).into(),
        Some("gcp") if field == "tokenlifetime" => go_duration(text).into(),
        _ => value.clone(),
    }
}

/// Go writes hours, minutes and seconds, from the largest that there is, and decimals of a second.
fn go_duration(written: &str) -> String {
    let mut milliseconds = 0;
    let mut number = String::new();
    let mut rest = written.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '0'..='9' => number.push(next),
            unit => {
                let amount: u64 = std::mem::take(&mut number).parse().unwrap();
                milliseconds += amount
                    * match unit {
                        'h' => 3_600_000,
                        'm' if rest.next_if_eq(&'s').is_some() => 1,
                        'm' => 60_000,
                        's' => 1_000,
                        other => panic!("{other} is no unit"),
                    };
            }
        }
    }
    let (hours, minutes, seconds) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60, milliseconds / 1_000 % 60);
    let decimals = format!("{:03}", milliseconds % 1_000);
    let point = if milliseconds % 1_000 == 0 { "" } else { "." };
    let seconds = format!("{seconds}{point}{}s", decimals.trim_end_matches('0'));
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// A document as it travels.
fn written(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => (*value).into(),
        Node::Integer(value) => (*value).into(),
        Node::String(text) => text.as_str().into(),
        Node::Secret(secret) => json!({"secret": secret.fingerprint()}),
        Node::Array(items) => items.iter().map(written).collect(),
        Node::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), written(value))).collect(),
    }
}

/// The fields of a document; secrets, images and empty objects are one value each.
fn flat(document: &Value) -> Fields {
    fn descend(path: &[String], value: &Value, fields: &mut Fields) {
        match value {
            Value::Object(inner) if !inner.is_empty() && !is_secret(path, value) && !ends(path, "executorimage") => {
                for (key, value) in inner {
                    descend(&below(path, key), value, fields);
                }
            }
            value => {
                fields.insert(path.to_vec(), value.clone());
            }
        }
    }
    let mut fields = Fields::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        descend(&below(&[], key), value, &mut fields);
    }
    fields
}

fn is_secret(path: &[String], value: &Value) -> bool {
    let is_wrapped = value.as_object().is_some_and(|fields| fields.len() == 1 && fields.contains_key("secret"));
    is_wrapped && !ends(path, "environmentvariables")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) => false,
    }
}

/// Whether a path ends with a key of the API; a variable of that name is something else.
fn ends(path: &[String], key: &str) -> bool {
    let is_variable = path.len() > 1 && path[path.len() - 2] == "environmentvariables";
    path.last().is_some_and(|last| last == key) && !is_variable
}

fn below(path: &[String], key: &str) -> Path {
    path.iter().cloned().chain([key_of(path, key)]).collect()
}
