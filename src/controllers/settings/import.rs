//! The wire document → `spec.settings` that declare the same, secrets as references to be filled in. Pure.
//!
//! The way back of [`document`](crate::controllers::document). The schema of the custom resource says which fields there
//! are and how they are spelled, so a new field needs nothing here.

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::{
    equality::{Path, go_duration, is_derived, is_masked, is_read_only, is_unset, pointer, remote_leaves, unify},
    schedules::Definition,
};
use crate::{
    api::{
        StackDeploymentSettings, Time,
        document::SettingsDocument,
        schedule::{Schedule, ScheduledDeployment, ScheduledDrift, ScheduledTtl},
    },
    controllers::one_of::ONE_OF,
    pulumi::wire,
};

/// What became of a wire document.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// What declares the same.
    pub settings: SettingsDocument,
    /// The secrets that it refers to: they can't be read, so a person must put them there.
    pub secrets: Vec<ImportedSecret>,
    /// What is set remotely and can't be declared, as sentences.
    pub left_out: Vec<String>,
}

/// A secret that a person must put into the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedSecret {
    /// The key in the Secret.
    pub key: String,
    /// The remote field, as a JSON pointer.
    pub field: String,
}

/// Declares what a wire document says. `secret` is the name of the Secret that its secrets are to be put into.
///
/// # Errors
/// When the document holds a value that no field can hold.
pub fn import(remote: &Value, secret: &str) -> Result<Imported, serde_json::Error> {
    let mut importer = Importer { secret, secrets: vec![], left_out: vec![], beaten: beaten_arms(remote) };
    let schema = serde_json::to_value(StackDeploymentSettings::crd())?;
    let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let document = importer.walk(remote, &schema["settings"], &Path::new(), &Path::new()).unwrap_or_else(|| json!({}));
    Ok(Imported { settings: serde_json::from_value(document)?, secrets: importer.secrets, left_out: importer.left_out })
}

/// Declares the schedules that a stack has: those that a resource can declare, and a sentence for each other one.
/// Applied, they serve as they are, and none is made a second time.
#[must_use]
pub fn import_schedules(remote: &[wire::Schedule], now: Time) -> (Vec<Schedule>, Vec<String>) {
    let (mut declared, mut left_out) = (vec![], vec![]);
    for (index, schedule) in remote.iter().enumerate() {
        let there = Definition::of_remote(schedule);
        if there.is_over(now) {
            continue;
        }
        let operation = schedule.operation().unwrap_or_default();
        let twin = forms(schedule)
            .into_iter()
            .map(|form| Schedule { name: format!("{}-{}", operation, index + 1), ..form })
            .find(|form| Definition::of_declared(form) == there);
        match twin {
            Some(twin) => declared.push(Schedule { paused: schedule.paused.then_some(true), ..twin }),
            None => left_out.push(format!("schedule {}: it runs something that can't be declared", schedule.id)),
        }
    }
    (declared, left_out)
}

/// Every form that a schedule on the wire could have in a resource.
fn forms(schedule: &wire::Schedule) -> Vec<Schedule> {
    let blank = Schedule { name: String::new(), paused: None, deployment: None, drift: None, ttl: None };
    let option = |name: &str| {
        let value = schedule.request().pointer(&format!("/operationContext/options/{name}"));
        value.and_then(Value::as_bool).filter(|set| *set)
    };
    let once = schedule.once.map(Time::from);
    let operation = schedule.operation().and_then(|operation| serde_json::from_value(operation.into()).ok());
    let deployment = operation.map(|operation| Schedule {
        deployment: Some(ScheduledDeployment { cron: schedule.cron.clone(), once, operation }),
        ..blank.clone()
    });
    let drift = schedule.cron.clone().map(|cron| Schedule {
        drift: Some(ScheduledDrift { cron, auto_remediate: option("remediateIfDriftDetected") }),
        ..blank.clone()
    });
    let ttl = once.map(|time| Schedule {
        ttl: Some(ScheduledTtl { time, delete_after_destroy: option("deleteAfterDestroy") }),
        ..blank.clone()
    });
    drift.into_iter().chain(ttl).chain(deployment).collect()
}

/// The arms that are set beside another one of the same one-of, which a resource can't declare.
fn beaten_arms(remote: &Value) -> Vec<Path> {
    let leaves = remote_leaves(remote);
    let unified = |arm: &&[&str]| arm.iter().map(|segment| segment.to_lowercase()).collect::<Path>();
    let is_set = |arm: &Path| leaves.keys().any(|path| path.starts_with(arm));
    ONE_OF.iter().flat_map(|arms| arms.iter().map(unified).filter(is_set).skip(1).collect::<Vec<_>>()).collect()
}

struct Importer<'a> {
    secret: &'a str,
    secrets: Vec<ImportedSecret>,
    left_out: Vec<String>,
    beaten: Vec<Path>,
}

impl Importer<'_> {
    /// `path` in one spelling, `spelling` as the resource spells it.
    fn walk(&mut self, value: &Value, schema: &Value, path: &Path, spelling: &Path) -> Option<Value> {
        let field = spelling.last().map(String::as_str).unwrap_or_default();
        if is_unset(value) || is_read_only(path) || is_derived(path) {
            return None;
        }
        if self.beaten.contains(path) {
            return self
                .leave_out(spelling, "it is set beside another field that excludes it here, and would be unset");
        }
        match value {
            _ if !schema["properties"]["secretKeyRef"].is_null() => Some(self.reference(spelling)),
            Value::Object(variables) if field == "environmentVariables" => {
                let variables =
                    variables.iter().filter_map(|(name, value)| self.variable(name, value, path, spelling)).collect();
                Some(Value::Array(variables))
            }
            Value::String(reference) if field == "executorImage" => Some(json!({"reference": reference})),
            _ if is_masked(value) => self.leave_out(spelling, "it is a secret there, and has no form for one here"),
            Value::Object(fields) => {
                let mut declared = Map::new();
                for (key, value) in fields {
                    let path = extended(path, unify(path, key));
                    match property(schema, key, value) {
                        Some((name, schema)) => {
                            if let Some(value) = self.walk(value, schema, &path, &extended(spelling, name.clone())) {
                                declared.insert(name, value);
                            }
                        }
                        None if is_unset(value)
                            || is_read_only(&path)
                            || (field == "executorImage" && key == "isDefault") => {}
                        None => {
                            self.leave_out(&extended(spelling, key.clone()), "there is no such field here");
                        }
                    }
                }
                (!declared.is_empty()).then_some(Value::Object(declared))
            }
            Value::String(text) => Some(plain(text, spelling).into()),
            other => Some(other.clone()),
        }
    }

    fn variable(&mut self, name: &str, value: &Value, path: &Path, spelling: &Path) -> Option<Value> {
        let spelling = extended(spelling, name.to_owned());
        let shown = value.get("value").filter(|_| value["isSecret"] == Value::Bool(false)).unwrap_or(value);
        if is_unset(shown) || self.beaten.contains(&extended(path, name.to_owned())) {
            return None;
        }
        if !is_allowed(name) {
            return self.leave_out(
                &spelling,
                "the name of the variable is reserved or has other than letters, digits and '_'",
            );
        }
        if let Value::String(text) = shown {
            return Some(json!({"name": name, "value": text}));
        }
        self.secrets.push(ImportedSecret { key: name.to_owned(), field: pointer(&spelling) });
        Some(json!({"name": name, "valueFrom": {"secretKeyRef": {"name": self.secret, "key": name}}}))
    }

    /// Two words name a key, such as `sshAuth.password`: no variable has a dot in its name.
    fn reference(&mut self, spelling: &Path) -> Value {
        let key = spelling[spelling.len().saturating_sub(2)..].join(".");
        self.secrets.push(ImportedSecret { key: key.clone(), field: pointer(spelling) });
        json!({"secretKeyRef": {"name": self.secret, "key": key}})
    }

    fn leave_out(&mut self, spelling: &Path, why: &str) -> Option<Value> {
        self.left_out.push(format!("{}: {why}", pointer(spelling)));
        None
    }
}

/// The field of the resource for a key on the wire, whose case does not matter.
fn property<'a>(schema: &'a Value, key: &str, value: &Value) -> Option<(String, &'a Value)> {
    // A user name is the one value that has two fields.
    let key = if key.eq_ignore_ascii_case("userName") && is_masked(value) { "userNameFrom" } else { key };
    schema["properties"]
        .as_object()?
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(key) && name.as_str() != "secret")
        .map(|(name, schema)| (name.clone(), schema))
}

/// A text as a person would write it, and as the schema takes it.
fn plain(text: &str, spelling: &[String]) -> String {
    let place: Vec<&str> = spelling.iter().map(String::as_str).collect();
    match place[..] {
        [.., "git" | "hg", "branch"] => text.strip_prefix("refs/heads/").unwrap_or(text).to_owned(),
        [.., "git", "tag"] => text.strip_prefix("refs/tags/").unwrap_or(text).to_owned(),
        [.., "aws", "duration"] | [.., "gcp", "tokenLifetime"] if text.contains('.') => go_duration(text).map_or_else(
            || text.to_owned(),
            |milliseconds| format!("{}s{}ms", milliseconds / 1000, milliseconds % 1000),
        ),
        _ => text.to_owned(),
    }
}

/// What the rules of the custom resource say of a variable's name.
fn is_allowed(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_reserved = ["PULUMI_ACCESS_TOKEN", "PULUMI_BACKEND_URL"].contains(&name)
        || name.starts_with("PULUMI_CI_")
        || name.starts_with("PULUMI_DEPLOYMENTS_OPERATOR_");
    name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit()) && !is_reserved
}

fn extended(path: &[String], segment: String) -> Path {
    path.iter().cloned().chain([segment]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{
        super::{
            changes::{Sides, changes},
            merge::tests::{
                documents::any_document,
                service::{Service, any_habits},
            },
        },
        *,
    };
    use crate::controllers::document::Values;

    fn resource(settings: SettingsDocument) -> StackDeploymentSettings {
        let mut resource: StackDeploymentSettings = serde_json::from_value(json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "StackDeploymentSettings", "metadata": {"name": "web"},
            "spec": {"stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"}},
        }))
        .unwrap();
        resource.spec.settings = settings;
        resource
    }

    fn certain(imported: &Imported, remote: &Value) -> Vec<super::super::changes::Change> {
        let settings = resource(imported.settings.clone());
        let plain = Values::new();
        let sides = Sides { settings: &settings, plain: &plain, sources: &[], role_id: None, remote, version: Some(1) };
        changes(&sides).into_iter().filter(|change| change.is_certain).collect()
    }

    #[test]
    fn what_is_configured_is_declared() {
        let masked = json!({"secret": "[secret]", "ciphertext": "AAAB"});
        let remote = json!({
            "sourceContext": {"git": {"repoUrl": "https://example.com/r.git", "branch": "refs/heads/main",
                "gitAuth": {"basicAuth": {"userName": masked, "password": masked}}},
                "template": {"projectSourceUrl": "https://example.com/t"}},
            "executorContext": {"executorImage": "i:1"},
            "operationContext": {
                "environmentVariables": {"A": "1", "DB_PASSWORD": masked, "PULUMI_CI_X": "no", "N": {"isSecret": false, "value": "new"}},
                "oidc": {"aws": {"roleArn": "arn", "sessionName": "s", "duration": "1.5s"}},
                "role": {"id": "r", "name": "the role"},
                "options": {"skipInstallDependencies": false, "fromTheFuture": true},
            },
        });
        let imported = import(&remote, "web-secrets").unwrap();
        let reference = |key: &str| json!({"secretKeyRef": {"name": "web-secrets", "key": key}});
        assert_eq!(
            serde_json::to_value(&imported.settings).unwrap(),
            json!({
                "sourceContext": {"git": {"repoURL": "https://example.com/r.git", "branch": "main", "gitAuth": {"basicAuth": {
                    "userNameFrom": reference("basicAuth.userNameFrom"), "password": reference("basicAuth.password")}}}},
                "executorContext": {"executorImage": {"reference": "i:1"}},
                "operationContext": {
                    "environmentVariables": [
                        {"name": "A", "value": "1"},
                        {"name": "DB_PASSWORD", "valueFrom": reference("DB_PASSWORD")},
                        {"name": "N", "value": "new"},
                    ],
                    "oidc": {"aws": {"roleArn": "arn", "sessionName": "s", "duration": "1s500ms"}},
                    "role": {"id": "r"},
                },
            })
        );
        assert_eq!(
            imported.left_out,
            [
                "/operationContext/environmentVariables/PULUMI_CI_X: the name of the variable is reserved or has other than \
                 letters, digits and '_'",
                "/operationContext/options/fromTheFuture: there is no such field here",
            ]
        );
        assert_eq!(
            imported.secrets.iter().map(|secret| secret.key.as_str()).collect::<Vec<_>>(),
            ["DB_PASSWORD", "basicAuth.password", "basicAuth.userNameFrom",]
        );
    }

    #[test]
    fn of_two_arms_one_is_declared() {
        let remote = json!({"sourceContext": {"git": {"repoUrl": "r", "branch": "main", "commit": "c0ffee"}}});
        let imported = import(&remote, "s").unwrap();
        assert_eq!(imported.left_out.len(), 1, "{imported:?}");
        assert!(imported.left_out[0].starts_with("/sourceContext/git/commit: "), "{imported:?}");
    }

    #[test]
    fn schedules_are_declared_as_what_they_are() {
        let options = |options: Value| json!({"operation": "x", "inheritSettings": true, "operationContext": {"options": options}});
        let mut drift = options(json!({"remediateIfDriftDetected": true}));
        drift["operation"] = "detect-drift".into();
        let mut ttl = options(json!({"deleteAfterDestroy": false}));
        ttl["operation"] = "destroy".into();
        let mut odd = options(json!({"shell": "fish"}));
        odd["operation"] = "update".into();
        let remote: Vec<wire::Schedule> = serde_json::from_value(json!([
            {"id": "a", "scheduleCron": "0 1 * * *", "paused": true, "definition": {"request": {"operation": "update"}}},
            {"id": "b", "scheduleCron": "0 2 * * *", "definition": {"request": drift}},
            {"id": "c", "scheduleOnce": "2040-01-01 00:00:00.000", "definition": {"request": ttl}},
            {"id": "d", "scheduleOnce": "2000-01-01 00:00:00.000", "definition": {"request": ttl}},
            {"id": "e", "scheduleCron": "0 3 * * *", "definition": {"request": odd}},
        ]))
        .unwrap();
        let (declared, left_out) = import_schedules(&remote, Time::from_seconds(1_900_000_000));
        assert_eq!(
            serde_json::to_value(declared).unwrap(),
            json!([
                {"name": "update-1", "paused": true, "deployment": {"cron": "0 1 * * *", "operation": "update"}},
                {"name": "detect-drift-2", "drift": {"cron": "0 2 * * *", "autoRemediate": true}},
                {"name": "destroy-3", "ttl": {"time": "2040-01-01T00:00:00Z"}},
            ])
        );
        assert_eq!(left_out, ["schedule e: it runs something that can't be declared"]);
    }

    proptest! {
        /// Whatever is configured, and however the service words it: applying what was imported changes nothing.
        #[test]
        fn what_is_imported_is_in_sync(document in any_document(), habits in any_habits()) {
            let mut service = Service::new(habits);
            service.patch(&document);
            let remote = service.read();
            let imported = import(&remote, "web-secrets").unwrap();
            prop_assert_eq!(certain(&imported, &remote), vec![]);
            let keys: BTreeSet<_> = imported.secrets.iter().map(|secret| &secret.key).collect();
            prop_assert_eq!(keys.len(), imported.secrets.len(), "{:?}", imported);
        }
    }
}
