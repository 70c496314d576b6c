//! Pure: the overrides and the values they refer to → the body of the request that creates a run.

use crate::{
    api::{DeploymentSpec, deployment::Operation, names::NONCE_VARIABLE_PREFIX},
    controllers::{
        document::{Values, wire},
        one_of::{spell_out, unset_empty},
    },
    pulumi::Node,
};

/// The body of a run of `operation`, without the nonce. `role_id` is the role that the organization forces on this namespace.
#[must_use]
pub fn body(spec: &DeploymentSpec, operation: Operation, values: &Values, role_id: Option<&str>) -> Node {
    let mut body = spec.settings.as_ref().map_or_else(Node::object, |settings| wire(settings, values));
    if spec.inherit_settings {
        spell_out(&mut body);
    } else {
        unset_empty(&mut body);
    }
    body.insert(&["operation"], operation.as_str());
    body.insert(&["inheritSettings"], spec.inherit_settings);
    if let Some(role_id) = role_id {
        body.insert(&["operationContext", "role"], Node::from_iter([("id", role_id)]));
    }
    body
}

/// Has the run get this commit, whatever its branch is at by then.
pub fn pin(body: &mut Node, commit: Option<&str>) {
    let Some(commit) = commit else { return };
    body.insert(&["sourceContext", "git", "commit"], commit);
    for other in ["branch", "tag"] {
        body.insert(&["sourceContext", "git", other], Node::Null);
    }
}

/// Marks the body, so that the run can be recognised when the answer to its creation is lost.
pub fn mark(body: &mut Node, nonce: &str) {
    body.insert(&["operationContext", "environmentVariables", &variable(nonce)], "1");
}

/// The environment variable whose name carries a nonce.
#[must_use]
pub fn variable(nonce: &str) -> String {
    format!("{NONCE_VARIABLE_PREFIX}{nonce}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controllers::digest::without_secrets;

    #[test]
    fn the_body_has_overrides_operation_role_and_nonce() {
        let spec: DeploymentSpec = serde_json::from_value(json!({
            "settingsRef": {"name": "web"},
            "operation": "detect-drift",
            "inheritSettings": false,
            "settings": {"operationContext": {"environmentVariables": [{"name": "RELEASE", "value": "42"}], "role": {"id": "mine", "name": "admin"}}},
        }))
        .unwrap();
        let mut body = body(&spec, spec.operation, &Values::new(), Some("forced"));
        mark(&mut body, "00ff");
        assert_eq!(
            without_secrets(&body),
            json!({
                "operation": "detect-drift",
                "inheritSettings": false,
                "operationContext": {
                    "environmentVariables": {"RELEASE": "42", "PULUMI_DEPLOYMENTS_OPERATOR_RUN_00ff": "1"},
                    "role": {"id": "forced"},
                },
            })
        );
    }
}
