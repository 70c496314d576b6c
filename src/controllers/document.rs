//! `spec.settings` and the values it refers to → the document on the wire. Pure.
//!
//! The names under `settings` are those of the API, so the conversion walks the serialized document and only
//! knows the places where the two forms differ: references to values, the list of environment variables, the image.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    api::{document::SettingsDocument, settings::SourceKind},
    pulumi::{Node, SecretValue},
};

/// One value that a document refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueRef {
    /// Secret or ConfigMap.
    pub kind: SourceKind,
    /// Its name.
    pub name: String,
    /// The key, where one is written.
    pub key: Option<String>,
    /// The key that the Secret's type has for this use, taken when none is written.
    pub standard_key: Option<&'static str>,
}

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FoundValue {
    /// From a Secret; it stays one.
    Secret(SecretValue),
    /// From a ConfigMap.
    Plain(String),
}

/// The values that a document refers to.
pub type Values = BTreeMap<ValueRef, FoundValue>;

/// Everything that a document refers to.
#[must_use]
pub fn references(document: &SettingsDocument) -> BTreeSet<ValueRef> {
    let mut found = BTreeSet::new();
    walk(&serialized(document), "", &mut |reference| {
        found.insert(reference);
        Node::Null
    });
    found
}

/// The document as it goes over the wire.
///
/// `values` holds what [`references`] names; a value that is missing there is left out, so the caller must
/// not get here before all are found.
#[must_use]
pub fn wire(document: &SettingsDocument, values: &Values) -> Node {
    walk(&serialized(document), "", &mut |reference| match values.get(&reference) {
        Some(FoundValue::Secret(secret)) => Node::Secret(secret.clone()),
        Some(FoundValue::Plain(text)) => Node::String(text.clone()),
        None => Node::Null,
    })
}

/// Types of the API serialize without fail; a document that did not would be an empty one.
fn serialized(document: &SettingsDocument) -> Value {
    serde_json::to_value(document).unwrap_or_default()
}

fn walk(value: &Value, field: &str, resolve: &mut dyn FnMut(ValueRef) -> Node) -> Node {
    match (field, value) {
        ("environmentVariables", Value::Array(variables)) => Node::Object(
            variables
                .iter()
                .filter_map(|variable| {
                    let value = variable.get("value").or_else(|| variable.get("valueFrom"))?;
                    Some((variable.get("name")?.as_str()?.to_owned(), walk(value, "", resolve)))
                })
                .collect(),
        ),
        ("executorImage", Value::Object(image)) if !image.contains_key("credentials") => image
            .get("reference")
            .map_or_else(|| Node::Object(BTreeMap::new()), |reference| walk(reference, "", resolve)),
        (_, Value::Object(fields)) => match reference(fields, field) {
            Some(reference) => resolve(reference),
            None => Node::Object(
                fields.iter().map(|(key, value)| (wire_name(key).to_owned(), walk(value, key, resolve))).collect(),
            ),
        },
        (_, Value::Array(items)) => Node::Array(items.iter().map(|item| walk(item, "", resolve)).collect()),
        (_, Value::String(text)) => Node::String(text.clone()),
        (_, Value::Bool(value)) => Node::Bool(*value),
        (_, Value::Number(number)) => number.as_i64().map_or(Node::Null, Node::Integer),
        (_, Value::Null) => Node::Null,
    }
}

fn reference(fields: &Map<String, Value>, field: &str) -> Option<ValueRef> {
    let (kind, target) = fields
        .get("secretKeyRef")
        .map(|target| (SourceKind::Secret, target))
        .or_else(|| fields.get("configMapKeyRef").map(|target| (SourceKind::ConfigMap, target)))?;
    let text = |key| target.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let standard_key = match field {
        "sshPrivateKey" => Some("ssh-privatekey"),
        "userNameFrom" => Some("username"),
        "password" => Some("password"),
        _ => None,
    };
    Some(ValueRef { kind, name: text("name")?, key: text("key"), standard_key })
}

/// Names that the wire spells differently from the API's page.
fn wire_name(field: &str) -> &str {
    match field {
        "repoURL" => "repoUrl",
        "userNameFrom" => "userName",
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::controllers::digest::without_secrets;

    fn document(json: Value) -> SettingsDocument {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn plain_settings_are_the_same_on_the_wire() {
        let written = json!({
            "executorContext": {"executorImage": {"reference": "pulumi/pulumi-nodejs:latest"}},
            "sourceContext": {"git": {"repoURL": "https://example.com/r.git", "branch": "main"}},
            "operationContext": {
                "preRunCommands": ["npm test"],
                "environmentVariables": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
                "options": {"skipInstallDependencies": false},
                "oidc": {"aws": {"roleArn": "arn", "sessionName": "s", "duration": "1h"}},
            },
            "gitHub": {"deployCommits": true, "paths": []},
            "agentPoolID": "",
        });
        assert_eq!(
            without_secrets(&wire(&document(written), &Values::new())),
            json!({
                "executorContext": {"executorImage": "pulumi/pulumi-nodejs:latest"},
                "sourceContext": {"git": {"repoUrl": "https://example.com/r.git", "branch": "main"}},
                "operationContext": {
                    "preRunCommands": ["npm test"],
                    "environmentVariables": {"A": "1", "B": ""},
                    "options": {"skipInstallDependencies": false},
                    "oidc": {"aws": {"roleArn": "arn", "sessionName": "s", "duration": "1h"}},
                },
                "gitHub": {"deployCommits": true, "paths": []},
                "agentPoolID": "",
            })
        );
    }

    #[test]
    fn other_sources_and_integrations_have_the_names_of_the_wire() {
        let written = json!({
            "tag": "web",
            "sourceContext": {
                "hg": {"repoURL": "https://hg.example.com/r", "revision": "c0ffee", "hgAuth": {}},
                "template": {"sourceUrl": "registry://templates/a/b/c"},
            },
            "operationContext": {"role": {"id": "r", "name": "n", "defaultIdentifier": "d"}},
            "gitHub": {
                "deployPullRequest": 7, "deployTags": true, "tagFilters": ["v*"], "installationId": "4711",
                "reviewStackLabels": ["review"],
            },
            "vcs": {"provider": "azure_devops", "repository": "p/r", "deployPullRequest": 0},
        });
        let mut expected = written.clone();
        expected["sourceContext"]["hg"] =
            json!({"repoUrl": "https://hg.example.com/r", "revision": "c0ffee", "hgAuth": {}});
        assert_eq!(without_secrets(&wire(&document(written), &Values::new())), expected);
    }

    #[test]
    fn references_are_found_and_filled_in() {
        let document = document(json!({
            "executorContext": {"executorImage": {"reference": "r.example.com/i", "credentials": {"username": "u", "password": {"secretKeyRef": {"name": "registry", "key": "token"}}}}},
            "sourceContext": {"git": {"gitAuth": {"sshAuth": {"sshPrivateKey": {"secretKeyRef": {"name": "git"}}}}}},
            "operationContext": {"environmentVariables": [
                {"name": "S", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "tier"}}},
            ]},
        }));
        let values: Values = references(&document)
            .into_iter()
            .map(|reference| {
                let found = match reference.kind {
                    SourceKind::Secret => {
                        let key = reference.key.clone().or(reference.standard_key.map(ToOwned::to_owned)).unwrap();
                        FoundValue::Secret(SecretValue::new(
                            SecretString::from("value"),
                            format!("{}/{key}", reference.name),
                        ))
                    }
                    SourceKind::ConfigMap => FoundValue::Plain("gold".into()),
                };
                (reference, found)
            })
            .collect();
        assert_eq!(
            without_secrets(&wire(&document, &values)),
            json!({
                "executorContext": {"executorImage": {"reference": "r.example.com/i", "credentials": {"username": "u", "password": {"secret": "registry/token"}}}},
                "sourceContext": {"git": {"gitAuth": {"sshAuth": {"sshPrivateKey": {"secret": "git/ssh-privatekey"}}}}},
                "operationContext": {"environmentVariables": {"S": {"secret": "db/password"}, "C": "gold"}},
            })
        );
    }

    #[test]
    fn every_kind_of_source_takes_its_credentials_from_secrets() {
        let auth = json!({
            "sshAuth": {"sshPrivateKey": {"secretKeyRef": {"name": "s"}}, "password": {"secretKeyRef": {"name": "s"}}},
        });
        let document = document(json!({"sourceContext": {
            "git": {"gitAuth": auth}, "hg": {"hgAuth": auth}, "template": {"gitAuth": auth},
        }}));
        let secret = FoundValue::Secret(SecretValue::new(SecretString::from("v"), "f".into()));
        let values = references(&document).into_iter().map(|reference| (reference, secret.clone())).collect();
        let sent = json!({"sshAuth": {"sshPrivateKey": {"secret": "f"}, "password": {"secret": "f"}}});
        assert_eq!(
            without_secrets(&wire(&document, &values)),
            json!({"sourceContext": {"git": {"gitAuth": sent}, "hg": {"hgAuth": sent}, "template": {"gitAuth": sent}}})
        );
    }

    #[test]
    fn a_user_name_from_a_secret_takes_the_place_of_a_plain_one() {
        let document = document(json!({"sourceContext": {"git": {"gitAuth": {"basicAuth": {
            "userNameFrom": {"secretKeyRef": {"name": "git"}}, "password": {"secretKeyRef": {"name": "git"}}}}}}}));
        let keys: Vec<_> = references(&document).into_iter().map(|reference| reference.standard_key.unwrap()).collect();
        assert_eq!(keys, ["password", "username"]);
        let secret = FoundValue::Secret(SecretValue::new(SecretString::from("v"), "f".into()));
        let values = references(&document).into_iter().map(|reference| (reference, secret.clone())).collect();
        assert_eq!(
            without_secrets(&wire(&document, &values))["sourceContext"]["git"]["gitAuth"]["basicAuth"],
            json!({"userName": {"secret": "f"}, "password": {"secret": "f"}})
        );
    }
}
