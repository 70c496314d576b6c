//! Pure: what a Deployment asks for, as a digest. A new digest is a new request, and nothing else is.

use kube::ResourceExt;
use serde_json::json;

use crate::{
    api::{Deployment, names::RERUN},
    controllers::digest,
};

/// The digest of the request that a Deployment makes: target, operation, `inheritSettings`, settings as written,
/// `spec.rerun` and the rerun annotation. Everything else is policy and never starts a run.
///
/// Defaults outside `settings` are filled in by the schema and so are the same whether written or not;
/// inside `settings` everything counts, because an override `false` must beat a stored `true`.
#[must_use]
pub fn digest(deployment: &Deployment) -> String {
    let spec = &deployment.spec;
    digest::plain(&json!({
        "settingsRef": spec.settings_ref,
        "stack": spec.stack,
        "operation": spec.operation,
        "inheritSettings": spec.inherit_settings,
        "settings": spec.settings,
        "rerun": spec.rerun,
        "rerunAnnotation": deployment.annotations().get(RERUN),
    }))
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
    #[case("/spec/outputs", json!({"secret": {"name": "web-outputs"}}))]
    #[case("/metadata/generation", json!(7))]
    #[case("/metadata/labels", json!({"a": "b"}))]
    #[case("/metadata/annotations", json!({"deployments.pulumi.com/resolve-create": "retry"}))]
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

    fn set(written: &mut Value, pointer: &str, value: Value) {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        written.pointer_mut(parent).unwrap()[field] = value;
    }
}
