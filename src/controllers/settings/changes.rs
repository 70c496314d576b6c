//! What a push would change remotely, shown to a person: the controller's own merge, without any secret. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    desired::desired,
    equality::{declared_leaves, is_masked, is_unset, path_of_pointer, remote_leaves},
    merge::{Merge, Merged},
    schedules::{self, Seen, Step},
};
use crate::{
    api::{
        StackDeploymentSettings, Time,
        condition::is_ready,
        document::SettingsDocument,
        settings::{SourceKind, SourceVersion},
    },
    controllers::{
        digest::{InstallKey, without_secrets},
        document::{FoundValue, Values, references},
    },
    pulumi::{SecretValue, wire},
};

/// What stands for a secret in the remote settings.
const MASK: &str = "[secret]";

/// What is compared.
pub struct Sides<'a> {
    /// The resource.
    pub settings: &'a StackDeploymentSettings,
    /// The values of ConfigMaps that it refers to.
    pub plain: &'a Values,
    /// The Secrets and ConfigMaps that it refers to, at their current versions.
    pub sources: &'a [SourceVersion],
    /// The role that the Organization forces.
    pub role_id: Option<&'a str>,
    /// The remote document; `null` when there is none.
    pub remote: &'a Value,
    /// The service's counter of its changes.
    pub version: Option<u64>,
}

/// A field that a push would change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The field's path, as it is spelled on the wire.
    pub path: Vec<String>,
    /// What is there, a secret masked. Nothing: the field is not set.
    pub before: Option<Value>,
    /// What will be there, a secret as where it comes from. Nothing: the field is unset.
    pub after: Option<Value>,
    /// Whether it can be seen to differ. A secret can't: it is sent to be sure.
    pub is_certain: bool,
}

/// What a push would change, in the order of the fields' paths.
#[must_use]
pub fn changes(sides: &Sides<'_>) -> Vec<Change> {
    let Sides { settings, plain, sources, role_id, remote, version } = sides;
    // Digests of values are keyed, and the key is the operator's: here no secret counts as the one that was pushed.
    let key = InstallKey::new(vec![].into());
    let declared = desired(&settings.spec.settings, &placeholders(&settings.spec.settings, plain), *role_id, &key);
    let status = settings.status.clone().unwrap_or_default();
    let Merged { touched, visible, patch: _, applied: _, leaves_nothing: _ } = Merge {
        declared: &declared.document,
        last_applied: &status.last_applied,
        remote,
        distrust_masked: false,
        unmanaged: settings.spec.unmanaged,
    }
    .run(&key);
    let pushed: BTreeSet<_> = status
        .last_applied
        .iter()
        .filter(|field| field.digest.is_some())
        .map(|field| path_of_pointer(&field.path))
        .collect();
    let nothing_moved = status.remote.as_ref().is_some_and(|known| known.version == *version)
        && is_ready(&status.conditions, settings.metadata.generation.unwrap_or_default())
        && status.sources.iter().collect::<BTreeSet<_>>() == sources.iter().collect();
    let (declared, there) = (declared_leaves(&declared.document), remote_leaves(remote));
    touched
        .iter()
        .filter_map(|pointer| {
            let (path, is_certain) = (path_of_pointer(pointer), visible.contains(pointer));
            if !is_certain && nothing_moved && pushed.contains(&path) {
                return None;
            }
            let (ours, theirs) = (declared.get(&path), there.get(&path));
            let spelling = ours.map(|leaf| &leaf.spelling).or(theirs.map(|leaf| &leaf.spelling));
            let after = ours.map(|leaf| without_secrets(&leaf.value)).filter(|value| !is_unset(value));
            let becomes_secret = after.as_ref().is_some_and(is_masked);
            let before = theirs.map(|leaf| if becomes_secret { Value::from(MASK) } else { shown(&leaf.value) });
            Some(Change {
                path: spelling.unwrap_or(&path).clone(),
                before,
                after: after.as_ref().map(shown),
                is_certain,
            })
        })
        .collect()
}

/// What a push would do to a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleChange {
    /// The schedule's name in the resource.
    pub name: String,
    /// `create`, `update`, `remove`, `pause` or `resume`.
    pub change: &'static str,
}

/// What a push would do to the stack's schedules.
#[must_use]
pub fn schedule_changes(
    settings: &StackDeploymentSettings,
    remote: Vec<wire::Schedule>,
    now: Time,
) -> Vec<ScheduleChange> {
    let known = settings.status.as_ref().map(|status| status.schedules.as_slice()).unwrap_or_default();
    let seen =
        Seen { remote, unreadable: None, rivals: BTreeMap::new(), denied: BTreeMap::new(), ripe: BTreeSet::new() };
    let steps = schedules::plan(&settings.spec.schedules, known, &seen, now).steps;
    steps
        .into_iter()
        .map(|Step { name, change, corrects: _ }| {
            let change = match change {
                schedules::Change::Create(..) => "create",
                schedules::Change::Update(..) => "update",
                schedules::Change::Delete(_) => "remove",
                schedules::Change::Pause(_, true) => "pause",
                schedules::Change::Pause(_, false) => "resume",
            };
            ScheduleChange { name, change }
        })
        .collect()
}

/// Where each secret comes from, in the place of its value.
fn placeholders(settings: &SettingsDocument, plain: &Values) -> Values {
    let mut values = plain.clone();
    for reference in references(settings) {
        if reference.kind == SourceKind::Secret {
            let key = reference.key.as_deref().or(reference.standard_key).unwrap_or_default();
            let origin = format!("(from Secret {}, key {key})", reference.name);
            values.insert(reference, FoundValue::Secret(SecretValue::new("".into(), origin)));
        }
    }
    values
}

/// A value for people: a secret of theirs masked, one of ours as where it comes from.
fn shown(value: &Value) -> Value {
    match value {
        Value::Object(fields) if is_masked(value) => match fields.get("secret").and_then(Value::as_str) {
            Some(origin) if origin.starts_with("(from Secret ") => origin.into(),
            _ => MASK.into(),
        },
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), shown(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(settings: &Value, last_applied: &[&str]) -> StackDeploymentSettings {
        let applied: Vec<Value> = last_applied.iter().map(|path| json!({"path": path, "digest": "d"})).collect();
        serde_json::from_value(json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "StackDeploymentSettings",
            "metadata": {"name": "web", "generation": 2},
            "spec": {"stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"}, "settings": settings},
            "status": {
                "lastApplied": applied, "remote": {"digest": "r", "version": 7},
                "sources": [{"kind": "Secret", "name": "db", "resourceVersion": "1"}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "Synced", "message": "", "observedGeneration": 2,
                    "lastTransitionTime": "2030-01-01T00:00:00Z"}],
            },
        }))
        .unwrap()
    }

    fn seen(settings: &StackDeploymentSettings, remote: &Value, version: u64, secret: &str) -> Vec<Change> {
        let source = SourceVersion { kind: SourceKind::Secret, name: "db".into(), resource_version: secret.into() };
        let plain = Values::new();
        changes(&Sides { settings, plain: &plain, sources: &[source], role_id: None, remote, version: Some(version) })
    }

    fn with_secret() -> StackDeploymentSettings {
        let variable = json!({"name": "DB", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}});
        let settings = json!({"operationContext": {"environmentVariables": [variable]}});
        resource(&settings, &["/operationContext/environmentVariables/DB"])
    }

    #[test]
    fn a_secret_is_sent_again_only_when_something_has_moved() {
        let masked =
            json!({"operationContext": {"environmentVariables": {"DB": {"secret": "[secret]", "ciphertext": "AAAB"}}}});
        let sent = vec![Change {
            path: ["operationContext", "environmentVariables", "DB"].map(str::to_owned).to_vec(),
            before: Some(json!("[secret]")),
            after: Some(json!("(from Secret db, key password)")),
            is_certain: false,
        }];
        assert_eq!(seen(&with_secret(), &masked, 7, "1"), vec![]);
        assert_eq!(seen(&with_secret(), &masked, 8, "1"), sent);
        assert_eq!(seen(&with_secret(), &masked, 7, "2"), sent);
    }

    #[test]
    fn a_value_that_is_to_be_a_secret_is_not_shown() {
        let plain = json!({"operationContext": {"environmentVariables": {"DB": "in the clear"}}});
        let shown = seen(&with_secret(), &plain, 7, "1");
        assert_eq!(shown[0].before, Some(json!("[secret]")));
        assert!(shown[0].is_certain);

        let image = json!({"executorContext": {"executorImage": {"reference": "i:2", "credentials": {"username": "u",
            "password": {"secretKeyRef": {"name": "db", "key": "password"}}}}}});
        let there = json!({"executorContext": {"executorImage": {"reference": "i:1", "credentials": {"username": "u",
            "password": {"secret": "[secret]", "ciphertext": "AAAB"}}}}});
        let shown = seen(&resource(&image, &[]), &there, 7, "1");
        let credentials = |password: &str| json!({"username": "u", "password": password});
        assert_eq!(shown[0].before, Some(json!({"reference": "i:1", "credentials": credentials("[secret]")})));
        let ours = credentials("(from Secret db, key password)");
        assert_eq!(shown[0].after, Some(json!({"reference": "i:2", "credentials": ours})));
    }

    #[test]
    fn what_is_not_declared_any_more_is_unset_and_what_others_set_is_left_alone() {
        let remote = json!({"agentPoolID": "ours", "tag": "theirs"});
        let shown = seen(&resource(&json!({}), &["/agentPoolID"]), &remote, 7, "1");
        let unset =
            Change { path: vec!["agentPoolID".to_owned()], before: Some(json!("ours")), after: None, is_certain: true };
        assert_eq!(shown, [unset]);
    }
}
