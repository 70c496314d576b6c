//! What cannot be changed once it is there, removed or added later included.

use rstest::rstest;

use super::{DEPLOYMENT, ORGANIZATION, SETTINGS, Server, Validation, assert_invalid, resource};

const TOKEN: &str = "accessToken: {secretKeyRef: {name: pulumi, key: token}}";

/// A spec that begins with `head` and has `tail` as well.
fn spec(head: &str, tail: &str) -> String {
    format!("{head}\n{tail}")
}

#[rstest]
#[case::name_changed(
    ORGANIZATION,
    spec(TOKEN, "name: acme"),
    spec(TOKEN, "name: other"),
    "create another Organization"
)]
#[case::name_removed(
    ORGANIZATION,
    spec(TOKEN, "name: acme"),
    spec(TOKEN, ""),
    "name cannot be changed, added or removed"
)]
#[case::name_added(
    ORGANIZATION,
    spec(TOKEN, ""),
    spec(TOKEN, "name: subject"),
    "name cannot be changed, added or removed"
)]
#[case::stack_of_settings(
    SETTINGS,
    "stack: {organizationRef: {name: acme}, project: web, name: prod}",
    "stack: {organizationRef: {name: acme}, project: web, name: dev}",
    "create another StackDeploymentSettings and delete this one"
)]
#[case::organization_of_settings(
    SETTINGS,
    "stack: {organizationRef: {name: acme}, project: web, name: prod}",
    "stack: {organizationRef: {name: acme, namespace: other}, project: web, name: prod}",
    "stack cannot be changed"
)]
#[case::stack_changed(
    DEPLOYMENT,
    "{operation: update, stack: {organizationRef: {name: acme}, project: web, name: prod}}",
    "{operation: update, stack: {organizationRef: {name: acme}, project: web, name: dev}}",
    "create another Deployment for another stack"
)]
#[case::settings_changed(
    DEPLOYMENT,
    "{operation: update, settingsRef: {name: web-prod}}",
    "{operation: update, settingsRef: {name: web-dev}}",
    "create another Deployment for another stack"
)]
#[case::from_stack_to_settings(
    DEPLOYMENT,
    "{operation: update, stack: {organizationRef: {name: acme}, project: web, name: prod}}",
    "{operation: update, settingsRef: {name: web-prod}}",
    "settingsRef cannot be changed, added or removed"
)]
#[case::from_settings_to_stack(
    DEPLOYMENT,
    "{operation: update, settingsRef: {name: web-prod}}",
    "{operation: update, stack: {organizationRef: {name: acme}, project: web, name: prod}}",
    "stack cannot be changed, added or removed"
)]
#[tokio::test]
async fn a_change_is_refused(
    #[case] kind: &str,
    #[case] before: impl AsRef<str>,
    #[case] after: impl AsRef<str>,
    #[case] expected: &str,
) {
    let server = Server::new().await;
    let mut resource_after = server.create(&resource(kind, before.as_ref()), Validation::Strict).await.unwrap();
    resource_after["spec"] = resource(kind, after.as_ref())["spec"].clone();
    for validation in Validation::BOTH {
        assert_invalid(server.replace(&resource_after, validation).await, expected);
    }
}

/// The same by server-side apply: who owned the field leaves it out, or adds it.
#[rstest]
#[case::name_removed(ORGANIZATION, spec(TOKEN, "name: acme"), spec(TOKEN, ""))]
#[case::name_added(ORGANIZATION, spec(TOKEN, ""), spec(TOKEN, "name: acme"))]
#[case::from_stack_to_settings(
    DEPLOYMENT,
    "{operation: update, stack: {organizationRef: {name: acme}, project: web, name: prod}}",
    "{operation: update, settingsRef: {name: web-prod}}"
)]
#[tokio::test]
async fn a_change_by_server_side_apply_is_refused(
    #[case] kind: &str,
    #[case] before: impl AsRef<str>,
    #[case] after: impl AsRef<str>,
) {
    let server = Server::new().await;
    server.apply("someone", &resource(kind, before.as_ref()), Validation::Strict).await.unwrap();
    for validation in Validation::BOTH {
        let answer = server.apply("someone", &resource(kind, after.as_ref()), validation).await;
        assert_invalid(answer, "cannot be changed, added or removed");
    }
}

#[rstest]
#[case::organization(
    ORGANIZATION,
    spec(TOKEN, "name: acme"),
    "{name: acme, accessToken: {secretKeyRef: {name: other, key: token}}, backendURL: 'https://example.com', suspend: true}"
)]
#[case::settings(
    SETTINGS,
    "stack: {organizationRef: {name: acme}, project: web, name: prod}",
    "{stack: {organizationRef: {name: acme}, project: web, name: prod}, settings: {agentPoolID: a}, interval: 5m}"
)]
#[case::deployment(
    DEPLOYMENT,
    "{operation: update, settingsRef: {name: web-prod}}",
    "{operation: destroy, settingsRef: {name: web-prod}, inheritSettings: false, settings: {agentPoolID: a}, rerun: again}"
)]
#[tokio::test]
async fn all_else_can_be_changed(#[case] kind: &str, #[case] before: impl AsRef<str>, #[case] after: &str) {
    let server = Server::new().await;
    let mut existing = server.create(&resource(kind, before.as_ref()), Validation::Strict).await.unwrap();
    existing["spec"] = resource(kind, after)["spec"].clone();
    let changed = server.replace(&existing, Validation::Strict).await.unwrap();
    assert_eq!(changed["metadata"]["generation"], 2);
}
