//! A secret that is written into a manifest is refused, and the refusal does not repeat it.

use rstest::rstest;
use serde_json::Value;

use super::{DEPLOYMENT, ORGANIZATION, SETTINGS, Server, Validation, assert_invalid, resource, with_settings};
use crate::control_plane::shared;

/// What must not come back.
const SECRET: &str = "hunter2";

const VALID: [(&str, &str); 3] = [
    (ORGANIZATION, "accessToken: {secretKeyRef: {name: pulumi, key: token}}"),
    (SETTINGS, "stack: {organizationRef: {name: acme}, project: web, name: prod}"),
    (DEPLOYMENT, "{stack: {organizationRef: {name: acme}, project: web, name: prod}, operation: update}"),
];

/// A resource of the same kind and name, with nothing wrong.
async fn create_valid(server: &Server, manifest: &Value) -> Value {
    let (kind, spec) = VALID.into_iter().find(|(kind, _)| manifest["kind"] == *kind).unwrap();
    server.create(&resource(kind, spec), Validation::Strict).await.unwrap()
}

/// In every way in which a manifest gets to the API server.
async fn assert_refused_in_silence(manifest: &Value, expected: &str) {
    assert!(manifest.to_string().contains(SECRET), "there is no secret in {manifest}");
    let server = Server::new().await;
    for validation in Validation::BOTH {
        assert_silent(server.create(manifest, validation).await, expected);
        assert_silent(server.apply("someone", manifest, validation).await, expected);
    }
    let mut existing = create_valid(&server, manifest).await;
    for validation in Validation::BOTH {
        assert_silent(server.merge(manifest, validation).await, expected);
        assert_silent(server.apply("someone", manifest, validation).await, expected);
        existing["spec"] = manifest["spec"].clone();
        assert_silent(server.replace(&existing, validation).await, expected);
    }
}

#[track_caller]
fn assert_silent(answer: Result<Value, kube::core::Status>, expected: &str) {
    let refusal = assert_invalid(answer, expected);
    let whole = serde_json::to_string(&refusal).unwrap();
    assert!(!whole.contains(SECRET), "the secret is in the refusal: {whole}");
}

#[rstest]
#[case::instead("accessToken: {secret: hunter2}")]
#[case::beside("accessToken: {secretKeyRef: {name: pulumi, key: token}, secret: hunter2}")]
#[tokio::test]
async fn the_access_token(#[case] spec: &str) {
    assert_refused_in_silence(&resource(ORGANIZATION, spec), "write secretKeyRef: {name, key}").await;
}

#[tokio::test]
async fn a_password_in_the_backend_url() {
    let spec =
        "{accessToken: {secretKeyRef: {name: pulumi, key: token}}, backendURL: 'https://robot:hunter2@example.com'}";
    assert_refused_in_silence(
        &resource(ORGANIZATION, spec),
        "spec.backendURL: Invalid value: write the service's base URL",
    )
    .await;
}

#[rstest]
#[case::ssh_key("sourceContext: {git: {gitAuth: {sshAuth: {sshPrivateKey: {secret: hunter2}}}}}")]
#[case::ssh_passphrase(
    "sourceContext: {git: {gitAuth: {sshAuth: {sshPrivateKey: {secretKeyRef: {name: a}}, password: {secret: hunter2}}}}}"
)]
#[case::basic_auth_password("sourceContext: {git: {gitAuth: {basicAuth: {userName: u, password: {secret: hunter2}}}}}")]
#[case::basic_auth_user_name(
    "sourceContext: {git: {gitAuth: {basicAuth: {userNameFrom: {secret: hunter2}, password: {secretKeyRef: {name: a}}}}}}"
)]
#[case::git_token("sourceContext: {git: {gitAuth: {accessToken: {secret: hunter2}}}}")]
#[case::git_token_beside(
    "sourceContext: {git: {gitAuth: {accessToken: {secretKeyRef: {name: a, key: b}, secret: hunter2}}}}"
)]
#[case::image_password(
    "executorContext: {executorImage: {reference: i, credentials: {username: u, password: {secret: hunter2}}}}"
)]
#[case::mercurial_ssh_key("sourceContext: {hg: {hgAuth: {sshAuth: {sshPrivateKey: {secret: hunter2}}}}}")]
#[case::mercurial_password("sourceContext: {hg: {hgAuth: {basicAuth: {userName: u, password: {secret: hunter2}}}}}")]
#[case::mercurial_token("sourceContext: {hg: {hgAuth: {accessToken: {secret: hunter2}}}}")]
#[case::template_ssh_key("sourceContext: {template: {gitAuth: {sshAuth: {sshPrivateKey: {secret: hunter2}}}}}")]
#[case::template_password(
    "sourceContext: {template: {gitAuth: {basicAuth: {userName: u, password: {secret: hunter2}}}}}"
)]
#[case::template_token("sourceContext: {template: {gitAuth: {accessToken: {secret: hunter2}}}}")]
#[case::variable("operationContext: {environmentVariables: [{name: A, secret: hunter2}]}")]
#[case::variable_beside_a_value("operationContext: {environmentVariables: [{name: A, value: a, secret: hunter2}]}")]
#[case::variable_source("operationContext: {environmentVariables: [{name: A, valueFrom: {secret: hunter2}}]}")]
#[case::variable_source_beside(
    "operationContext: {environmentVariables: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}, secret: hunter2}}]}"
)]
#[tokio::test]
async fn in_settings(#[case] settings: &str) {
    for manifest in with_settings(settings) {
        assert_refused_in_silence(&manifest, "secretKeyRef: {name, key}").await;
    }
}

#[rstest]
#[case::password("https://robot:hunter2@example.com/web.git")]
#[case::token("https://hunter2@example.com/web.git")]
#[case::token_in_capitals("HTTPS://hunter2@example.com/web.git")]
#[case::ssh("ssh://git:hunter2@example.com/web.git")]
#[tokio::test]
async fn in_the_repository_url(
    #[case] url: &str,
    #[values(("git", "repoURL"), ("hg", "repoURL"), ("template", "sourceUrl"))] place: (&str, &str),
) {
    let (source, field) = place;
    for manifest in with_settings(&format!("sourceContext: {{{source}: {{{field}: '{url}'}}}}")) {
        let expected = format!("{source}.{field}: Invalid value: leave user, password and token out of the URL");
        assert_refused_in_silence(&manifest, &expected).await;
    }
}

#[rstest]
#[case::password("https://robot:hunter2@example.com/web.git")]
#[case::token("https://hunter2@dev.azure.com/acme/web")]
#[tokio::test]
async fn in_the_repository_of_an_integration(#[case] repository: &str) {
    for manifest in with_settings(&format!("vcs: {{provider: custom, repository: '{repository}'}}")) {
        assert_refused_in_silence(&manifest, "vcs.repository: Invalid value: leave user, password and token out").await;
    }
}

/// A value of a wrong type. Here server-side apply is out of our hands: the API server repeats what it cannot merge,
/// before it comes to anything that a definition says.
#[rstest]
#[case::the_form_of_the_api(
    "operationContext: {environmentVariables: [{name: A, value: {secret: hunter2}}]}",
    "value in body must be of type string"
)]
#[case::a_token_as_a_string(
    "sourceContext: {git: {gitAuth: {accessToken: hunter2}}}",
    "accessToken in body must be of type object"
)]
#[tokio::test]
async fn of_a_wrong_type(#[case] settings: &str, #[case] expected: &str) {
    let server = Server::new().await;
    for manifest in with_settings(settings) {
        for validation in Validation::BOTH {
            assert_silent(server.create(&manifest, validation).await, expected);
        }
        let mut existing = create_valid(&server, &manifest).await;
        for validation in Validation::BOTH {
            assert_silent(server.merge(&manifest, validation).await, expected);
            existing["spec"] = manifest["spec"].clone();
            assert_silent(server.replace(&existing, validation).await, expected);
        }
    }
}

/// What a person sees, at the first `kubectl apply` and at a later one.
#[tokio::test]
async fn kubectl_does_not_show_it() {
    let control_plane = shared().await;
    let namespace = format!("--namespace={}", control_plane.namespace("crds").await);
    let wrong = resource(ORGANIZATION, "accessToken: {secret: hunter2}").to_string();
    let right = resource(ORGANIZATION, VALID[0].1).to_string();
    for _ in ["of nothing", "of what exists"] {
        for way in [["apply", "--validate=strict"], ["apply", "--validate=ignore"], ["apply", "--server-side"]] {
            let args = way.into_iter().chain([namespace.as_str(), "--filename=-", "--field-manager=integration-tests"]);
            let message = control_plane.kubectl(args, Some(&wrong)).await.failure();
            assert!(
                message.contains("a secret value is never written into a resource: write secretKeyRef"),
                "{message}"
            );
            assert!(!message.contains(SECRET), "{message}");
        }
        control_plane.kubectl(["apply", &namespace, "--filename=-"], Some(&right)).await.success();
    }
    let stored = control_plane.kubectl(["get", "porg", &namespace, "--output=yaml"], None).await.success();
    assert!(stored.contains("last-applied-configuration") && !stored.contains(SECRET), "{stored}");
}
