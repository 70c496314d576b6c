//! What is about to be approved or rejected. Pure.

use pulumi_deployments_operator::api::Deployment;

use crate::{
    later::{Approval, Preview},
    output::Paint,
};

/// What a person must know before deciding.
#[must_use]
pub fn approval(deployment: &Deployment, approval: &Approval, paint: Paint) -> String {
    let Approval { token, request_number, preview, commit, resource_changes } = approval;
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let spec = &deployment.spec;
    let stack = match (&spec.settings_ref, &spec.stack) {
        (Some(settings), _) => format!("the stack of settings {}", settings.name),
        (None, Some(stack)) => format!("stack {}/{}", stack.project, stack.name),
        (None, None) => "its stack".to_owned(),
    };
    let mut lines = vec![paint.strong(&format!("{} {stack}, by Deployment {name}", spec.operation))];
    let mut say = |what: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("  {what:<9} {value}")));
    };
    say("request", request_number.map(|number| number.to_string()));
    say("commit", commit.clone());
    let shown = preview.as_ref().map(|Preview { version, url }| {
        let version = version.map(|version| format!("run {version}"));
        [version, url.clone()].into_iter().flatten().collect::<Vec<_>>().join("  ")
    });
    say("preview", shown);
    let changes: Vec<String> = resource_changes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    say("changes", (!changes.is_empty()).then(|| changes.join(", ")));
    say("token", Some(token.clone()));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_is_known_is_said() {
        let deployment: Deployment = serde_json::from_value(json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Deployment", "metadata": {"name": "web-prod"},
            "spec": {"settingsRef": {"name": "web"}, "operation": "update"},
        }))
        .unwrap();
        let waiting = Approval {
            token: "4f1c".into(),
            request_number: Some(3),
            preview: Some(Preview { version: Some(12), url: Some("https://app.pulumi.com/12".into()) }),
            commit: Some("c0ffee".into()),
            resource_changes: [("create".to_owned(), 2), ("delete".to_owned(), 1)].into(),
        };
        insta::assert_snapshot!(approval(&deployment, &waiting, Paint::PLAIN), @r"
        update the stack of settings web, by Deployment web-prod
          request   3
          commit    c0ffee
          preview   run 12  https://app.pulumi.com/12
          changes   2 create, 1 delete
          token     4f1c
        ");
    }
}
