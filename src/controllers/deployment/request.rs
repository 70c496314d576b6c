//! Pure: what a Deployment asks for, as a digest, and how that compares with what was handled. A new digest is a new
//! request, and so are other settings where `runOnSettingsChange` holds; nothing else is.

use kube::ResourceExt;
use serde_json::{Value, json};

use super::plan::{Inputs, Start};
use crate::{
    api::{
        Deployment, DeploymentStatus, StackDeploymentSettings,
        condition::is_ready,
        deployment::{HandledRequest, Operation, PendingRequest, Purpose, Run, Trigger},
        names::RERUN,
    },
    controllers::digest::{self, InstallKey},
};

/// What is asked for, apart from its digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The operation.
    pub operation: Operation,
    /// Digest of the request without the words that ask for it once more.
    pub digest_without_rerun: String,
    /// What is known of the content of its settings.
    pub settings: Settings,
}

/// What is known of the content of the settings that a Deployment refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Settings {
    /// It is no part of the request.
    Ignored,
    /// It is, and nobody knows it at the moment: the settings are missing, going, or not in sync with what is declared.
    Unknown,
    /// Its digest.
    Known(String),
}

impl Settings {
    /// The digest, when it counts and is known.
    #[must_use]
    pub fn digest(&self) -> Option<&String> {
        match self {
            Self::Known(digest) => Some(digest),
            Self::Ignored | Self::Unknown => None,
        }
    }
}

/// The digest of the request that a Deployment makes: target, operation, `inheritSettings`, settings as written,
/// `spec.rerun` and the rerun annotation. Everything else is policy and never starts a run.
///
/// Defaults outside `settings` are filled in by the schema and so are the same whether written or not;
/// inside `settings` everything counts, because an override `false` must beat a stored `true`.
///
/// The content of the referenced settings is no part of it, so that it is the same with and without
/// `runOnSettingsChange`, and under every key: it is compared on its own.
#[must_use]
pub fn digest(deployment: &Deployment) -> String {
    let mut written = asked(deployment);
    written["rerun"] = json!(deployment.spec.rerun);
    written["rerunAnnotation"] = json!(deployment.annotations().get(RERUN));
    digest::plain(&written)
}

/// The same without the words that ask for it once more.
#[must_use]
pub fn digest_without_rerun(deployment: &Deployment) -> String {
    digest::plain(&asked(deployment))
}

fn asked(deployment: &Deployment) -> Value {
    let spec = &deployment.spec;
    json!({
        "settingsRef": spec.settings_ref,
        "stack": spec.stack,
        "operation": spec.operation,
        "inheritSettings": spec.inherit_settings,
        "settings": spec.settings,
    })
}

/// What is known of the content of the settings that a Deployment refers to: only what is in sync with what is declared
/// now, and was digested in today's form under today's key.
#[must_use]
pub fn settings(deployment: &Deployment, settings: Option<&StackDeploymentSettings>, key: &InstallKey) -> Settings {
    if !deployment.spec.run_on_settings_change {
        return Settings::Ignored;
    }
    let content = |settings: &StackDeploymentSettings| {
        let status = settings.status.as_ref()?;
        let is_current = is_ready(&status.conditions, settings.metadata.generation.unwrap_or_default());
        let digest = status.content_digest.clone().filter(|digest| key.understands(digest));
        digest.filter(|_| is_current && settings.metadata.deletion_timestamp.is_none())
    };
    settings.and_then(content).map_or(Settings::Unknown, Settings::Known)
}

/// Whether what a Deployment asks for now, as far as its objects tell, has been handled; not whether it ended well.
#[must_use]
pub fn is_handled(deployment: &Deployment, referenced: Option<&StackDeploymentSettings>, key: &InstallKey) -> bool {
    let Some(status) = &deployment.status else { return false };
    let Some(handled) = &status.request else { return false };
    let has_same_settings = match settings(deployment, referenced, key) {
        Settings::Ignored => true,
        Settings::Unknown => false,
        Settings::Known(digest) => handled.settings_digest == Some(digest),
    };
    status.intent.is_none()
        && status.pending.is_none()
        && status.uid == deployment.uid()
        && handled.digest == digest(deployment)
        && has_same_settings
}

/// Whether what is asked for is another request than the one that was handled last.
#[must_use]
pub fn is_new(inputs: &Inputs, status: &DeploymentStatus) -> bool {
    let Some(handled) = &status.request else { return true };
    let other_settings = match &inputs.asked.settings {
        Settings::Ignored => false,
        // What is not known makes no request, and takes none back.
        Settings::Unknown => status.pending.as_ref().is_some_and(|pending| pending.trigger == Trigger::SettingsChanged),
        Settings::Known(digest) => differ(handled.settings_digest.as_ref(), Some(digest)),
    };
    handled.digest != inputs.request || other_settings
}

/// Whether the settings that are followed are others than those of a request.
#[must_use]
pub fn has_other_settings(inputs: &Inputs, request: &HandledRequest) -> bool {
    differ(request.settings_digest.as_ref(), inputs.asked.settings.digest())
}

/// Whether two digests of content say that it differs. Under another key, or in another form, they say nothing.
fn differ(one: Option<&String>, other: Option<&String>) -> bool {
    one.zip(other).is_some_and(|(one, other)| digest::are_comparable(one, other) && one != other)
}

/// What was handled, with the digest of the settings as it is now, where the one that was noted says nothing.
#[must_use]
pub fn with_settings(inputs: &Inputs, handled: &HandledRequest) -> Option<HandledRequest> {
    let current = inputs.asked.settings.digest()?;
    let says_nothing = handled.settings_digest.as_ref().is_none_or(|noted| !digest::are_comparable(noted, current));
    says_nothing.then(|| HandledRequest { settings_digest: Some(current.clone()), ..handled.clone() })
}

/// Whether a request that waits is what is asked for now.
#[must_use]
pub fn is_current(pending: &PendingRequest, inputs: &Inputs) -> bool {
    pending.digest == inputs.request && !differ(pending.settings_digest.as_ref(), inputs.asked.settings.digest())
}

/// The number of a new request, and what made it.
#[must_use]
pub fn successor(inputs: &Inputs, status: &DeploymentStatus) -> (u64, Trigger) {
    if let Some(pending) = status.pending.as_ref().filter(|pending| is_current(pending, inputs)) {
        return (pending.number, pending.trigger);
    }
    let handled = status.request.as_ref().map(|handled| handled.number);
    let pending = status.pending.as_ref().map(|pending| pending.number);
    let given = handled.max(pending).max(status.last_skipped);
    let trigger = match &status.request {
        None if given.is_none() => Trigger::Created,
        Some(handled) if handled.digest == inputs.request => Trigger::SettingsChanged,
        Some(handled) if handled.digest_without_rerun.as_ref() == Some(&inputs.asked.digest_without_rerun) => {
            Trigger::Rerun
        }
        None | Some(_) => Trigger::Changed,
    };
    (given.unwrap_or_default() + 1, trigger)
}

/// What is asked for, as status keeps it once it is handled.
#[must_use]
pub fn handled(inputs: &Inputs, number: u64, settings_digest: Option<String>) -> HandledRequest {
    HandledRequest {
        number,
        digest: inputs.request.clone(),
        digest_without_rerun: Some(inputs.asked.digest_without_rerun.clone()),
        settings_digest,
    }
}

/// What a run is known by, and what makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The request that it is for.
    pub request: HandledRequest,
    /// Counts the runs for this request and purpose from 1.
    pub attempt: u32,
    /// What makes the run.
    pub trigger: Option<Trigger>,
}

/// Which request the next run is for, and which attempt at it.
#[must_use]
pub fn identity(inputs: &Inputs, start: &Start, status: &DeploymentStatus) -> Identity {
    let settings_digest = start.settings_digest.clone();
    let (request, attempt, trigger) = match &status.request {
        Some(handled) if !is_new(inputs, status) => {
            // One that failed is tried again, and a preview that is worth nothing any more is made anew.
            let is_before = |run: &&Run| run.purpose == start.purpose && run.request.number == handled.number;
            let before = status.run.as_ref().filter(is_before);
            let settings_digest = settings_digest.or_else(|| handled.settings_digest.clone());
            let request = HandledRequest { settings_digest, ..handled.clone() };
            (request, before.map_or(1, |run| run.attempt.saturating_add(1)), first_trigger(status))
        }
        _ => {
            let (number, trigger) = successor(inputs, status);
            (self::handled(inputs, number, settings_digest), 1, Some(trigger))
        }
    };
    let trigger = match start.purpose {
        _ if status.retry.is_some() && attempt > 1 => Some(Trigger::Retry),
        Purpose::Destroy => Some(Trigger::Deleted),
        Purpose::Main | Purpose::Preview => trigger,
    };
    Identity { request, attempt, trigger }
}

/// What made the request that is handled: not what made another attempt at it.
fn first_trigger(status: &DeploymentStatus) -> Option<Trigger> {
    let run = status.run.as_ref()?;
    let earlier = status.history.iter().filter(|entry| entry.request_number == run.request.number);
    let mut triggers = std::iter::once(run.trigger).chain(earlier.map(|entry| entry.trigger)).flatten();
    triggers.find(|trigger| *trigger != Trigger::Retry)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn deployment(change: impl FnOnce(&mut Value)) -> Deployment {
        let mut written = json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "ns", "generation": 1},
            "spec": {
                "stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"},
                "operation": "update",
                "settings": {"operationContext": {"options": {"skipInstallDependencies": false}}},
            },
        });
        change(&mut written);
        serde_json::from_value(written).unwrap()
    }

    /// A change of this value means that every installed operator would run every Deployment again.
    #[test]
    fn the_digest_is_pinned() {
        assert_eq!(digest(&deployment(|_| ())), "v1:89c13623c9d030f2bf5fb14815599a3c8f1feb3ffaa33722edff57958c1cfd0f");
    }

    #[rstest]
    #[case("/spec/suspend", json!(true))]
    #[case("/spec/settle", json!("1m"))]
    #[case("/spec/supersede", json!("Cancel"))]
    #[case("/spec/deletionPolicy", json!("Orphan"))]
    #[case("/spec/timeout", json!("1h"))]
    #[case("/spec/queueTimeout", json!("1h"))]
    #[case("/spec/retry", json!({"limit": 3}))]
    #[case("/spec/approval", json!({"mode": "Required"}))]
    #[case("/spec/historyLimit", json!(3))]
    #[case("/spec/failureLogLines", json!(0))]
    #[case("/spec/inheritSettings", json!(true))]
    #[case("/spec/dependsOn", json!([{"name": "network"}]))]
    #[case("/spec/outputs", json!({"secret": {"name": "web-outputs"}}))]
    #[case("/spec/runOnSettingsChange", json!(true))]
    #[case("/metadata/generation", json!(7))]
    #[case("/metadata/labels", json!({"a": "b"}))]
    #[case("/metadata/annotations", json!({"deployments.pulumi.com/resolve-create": "retry"}))]
    #[case("/metadata/annotations", json!({"deployments.pulumi.com/adopt": "latest"}))]
    #[case("/metadata/annotations", json!({"deployments.pulumi.com/approve": "x", "deployments.pulumi.com/approved-by": "anna"}))]
    fn policy_is_no_part_of_a_request(#[case] pointer: &str, #[case] value: Value) {
        assert_eq!(digest(&deployment(|written| set(written, pointer, value))), digest(&deployment(|_| ())));
    }

    #[rstest]
    #[case("/spec/operation", json!("preview"))]
    #[case("/spec/inheritSettings", json!(false))]
    #[case("/spec/rerun", json!("1"))]
    #[case("/spec/stack/name", json!("dev"))]
    #[case("/spec/settings", json!({"operationContext": {"options": {}}}))]
    #[case("/spec/settings", json!({"operationContext": {"environmentVariables": [{"name": "A", "value": "1"}]}}))]
    #[case("/metadata/annotations", json!({"deployments.pulumi.com/rerun": "1"}))]
    fn what_is_asked_for_is_part_of_a_request(#[case] pointer: &str, #[case] value: Value) {
        assert_ne!(digest(&deployment(|written| set(written, pointer, value))), digest(&deployment(|_| ())));
    }

    #[test]
    fn asking_once_more_asks_for_the_same() {
        let once_more = deployment(|written| set(written, "/spec/rerun", json!("1")));
        assert_ne!(digest(&once_more), digest(&deployment(|_| ())));
        assert_eq!(digest_without_rerun(&once_more), digest_without_rerun(&deployment(|_| ())));
        let another = deployment(|written| set(written, "/spec/operation", json!("preview")));
        assert_ne!(digest_without_rerun(&another), digest_without_rerun(&deployment(|_| ())));
    }

    const GENERATION: i64 = 3;

    fn referenced(content: &str, observed: i64) -> StackDeploymentSettings {
        serde_json::from_value(json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1",
            "kind": "StackDeploymentSettings",
            "metadata": {"name": "web", "namespace": "ns", "generation": GENERATION},
            "spec": {"stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"}},
            "status": {"contentDigest": content, "conditions": [{
                "type": "Ready", "status": "True", "reason": "Synced", "message": "",
                "lastTransitionTime": "2026-05-01T12:00:00Z", "observedGeneration": observed,
            }]},
        }))
        .unwrap()
    }

    fn key(secret: &str) -> InstallKey {
        InstallKey::new(secret.as_bytes().to_vec().into())
    }

    #[test]
    fn settings_have_a_content_only_while_they_are_in_sync() {
        let ours = key("ours");
        let content = ours.digest(&json!("content"));
        let follower = deployment(|written| set(written, "/spec/runOnSettingsChange", json!(true)));
        let known = |seen: Option<&StackDeploymentSettings>, key: &InstallKey| settings(&follower, seen, key);
        let seen = referenced(&content, GENERATION);
        assert_eq!(settings(&deployment(|_| ()), Some(&seen), &ours), Settings::Ignored);
        assert_eq!(known(Some(&seen), &ours), Settings::Known(content.clone()));
        assert_eq!(known(Some(&seen), &key("another")), Settings::Unknown);
        assert_eq!(known(Some(&referenced(&content, GENERATION - 1)), &ours), Settings::Unknown);
        assert_eq!(known(None, &ours), Settings::Unknown);
        let mut going = seen;
        going.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-05-01T12:00:00Z")).unwrap());
        assert_eq!(known(Some(&going), &ours), Settings::Unknown);
    }

    #[test]
    fn it_can_be_told_from_the_objects_whether_a_request_was_handled() {
        let ours = key("ours");
        let [one, two] = ["one", "two"].map(|content| referenced(&ours.digest(&json!(content)), GENERATION));
        let mut follower = deployment(|written| set(written, "/spec/runOnSettingsChange", json!(true)));
        assert!(!is_handled(&follower, Some(&one), &ours));
        let request = HandledRequest {
            digest: digest(&follower),
            settings_digest: one.status.as_ref().unwrap().content_digest.clone(),
            ..HandledRequest::default()
        };
        follower.status = Some(DeploymentStatus { request: Some(request), ..DeploymentStatus::default() });
        assert!(is_handled(&follower, Some(&one), &ours));
        assert!(!is_handled(&follower, Some(&two), &ours), "other settings");
        assert!(!is_handled(&follower, None, &ours), "nobody knows");
        let restored = {
            let mut it = follower.clone();
            it.metadata.uid = Some("another".into());
            it
        };
        assert!(!is_handled(&restored, Some(&one), &ours), "the status of another object");
        follower.spec.run_on_settings_change = false;
        assert!(is_handled(&follower, Some(&two), &ours));
        follower.spec.rerun = Some("1".into());
        assert!(!is_handled(&follower, Some(&one), &ours), "another request");
    }

    fn set(written: &mut Value, pointer: &str, value: Value) {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        written.pointer_mut(parent).unwrap()[field] = value;
    }
}
