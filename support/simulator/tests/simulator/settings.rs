use pulumi_cloud_simulator::{SimulatorError, Subscription};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, bench_with, stack_path};

fn path() -> String {
    stack_path("/deployments/settings")
}

/// What is left of the answer without what the service adds to every one.
fn stripped(mut settings: Value) -> Value {
    let entries = settings.as_object_mut().unwrap();
    assert_eq!(entries.remove("source"), Some("api".into()));
    assert!(entries.remove("version").unwrap().is_i64());
    settings
}

async fn patched(bench: &Bench, patch: Value) -> Value {
    stripped(bench.api.post(&path(), patch).await.expect(200))
}

#[tokio::test]
async fn there_are_none_at_first() {
    let bench = bench().await;
    let without = bench.api.get(&path()).await.expect_error(404);
    let missing = bench.api.get("/api/stacks/acme/web/none/deployments/settings").await.expect_error(404);
    assert_eq!(without.replace("prod", "none"), missing);
    assert_eq!(bench.simulator.settings(STACK), None);
}

#[tokio::test]
async fn a_patch_merges_as_documented() {
    let bench = bench().await;
    let first = json!({
        "sourceContext": {"git": {
            "repoURL": "https://github.com/pulumi/deploy-demos.git",
            "branch": "refs/heads/demo",
            "repoDir": "pulumi-programs/aws-ts-s3",
        }},
        "operationContext": {
            "preRunCommands": ["echo \"hello world\""],
            "environmentVariables": {"AWS_REGION": "us-west-2", "A": "1", "B": {"secret": "2"}},
        },
    });
    patched(&bench, first).await;
    let second = json!({
        "sourceContext": {"git": {"repoURL": null}},
        "operationContext": {
            "preRunCommands": ["echo \"bonjour\""],
            "environmentVariables": {"A": null, "B": null},
            "oidc": {"aws": {"roleArn": "my-role-arn", "sessionName": "pulumi-deploy"}},
        },
        "gitHub": {"repository": "pulumi/deploy-demos"},
    });
    let expected = json!({
        "sourceContext": {"git": {"branch": "refs/heads/demo", "repoDir": "pulumi-programs/aws-ts-s3"}},
        "operationContext": {
            "preRunCommands": ["echo \"bonjour\""],
            "environmentVariables": {"AWS_REGION": "us-west-2"},
            "oidc": {"aws": {"roleArn": "my-role-arn", "sessionName": "pulumi-deploy"}},
        },
        "gitHub": {"repository": "pulumi/deploy-demos"},
    });
    assert_eq!(patched(&bench, second).await, expected);
    assert_eq!(stripped(bench.api.get(&path()).await.expect(200)), expected);
    assert_eq!(bench.simulator.settings(STACK), Some(expected));
}

#[tokio::test]
async fn null_deletes_whole_objects_and_nested_nulls_leave_nothing() {
    let bench = bench().await;
    patched(
        &bench,
        json!({"cacheOptions": {"enable": true}, "tag": "x", "gitHub": {"repository": "a/b", "paths": null}}),
    )
    .await;
    assert_eq!(bench.simulator.settings(STACK).unwrap()["gitHub"], json!({"repository": "a/b"}));
    assert_eq!(patched(&bench, json!({"cacheOptions": null, "gitHub": null})).await, json!({"tag": "x"}));
}

#[tokio::test]
async fn put_replaces_everything() {
    let bench = bench().await;
    patched(&bench, json!({"tag": "x", "cacheOptions": {"enable": true}})).await;
    let body = json!({"tag": "y", "cacheOptions": null, "sourceContext": {"git": null, "hg": null}});
    let reply = bench.api.put(&path(), body).await.expect(200);
    assert_eq!(stripped(reply), json!({"tag": "y", "sourceContext": {}}));
}

#[tokio::test]
async fn every_write_has_a_new_version() {
    let bench = bench().await;
    for expected in 1..=3 {
        let reply = bench.api.post(&path(), json!({"tag": "same"})).await.expect(200);
        assert_eq!(reply["version"], expected);
    }
    assert_eq!(bench.api.put(&path(), json!({})).await.expect(200)["version"], 4);
    assert_eq!(bench.api.get(&path()).await.expect(200)["version"], 4);
    assert_eq!(bench.simulator.settings_version(STACK), Some(4));
}

#[tokio::test]
async fn deleting_answers_a_boolean() {
    let bench = bench().await;
    patched(&bench, json!({"tag": "x"})).await;
    assert_eq!(bench.api.delete(&path()).await.expect(200), true);
    assert_eq!(bench.api.delete(&path()).await.expect(200), false);
    bench.api.get(&path()).await.expect_error(404);
    bench.api.delete("/api/stacks/acme/web/none/deployments/settings").await.expect_error(404);
}

#[tokio::test]
async fn keys_are_read_in_any_case_but_variables_are_not() {
    let bench = bench().await;
    let settings = patched(
        &bench,
        json!({
            "SOURCEcontext": {"GIT": {"RepoURL": "https://example.com/r.git", "gitauth": {"basicauth": {"username": "u", "PASSWORD": "p"}}}},
            "github": null,
            "AgentPoolId": "",
            "operationcontext": {"environmentvariables": {"lower": "1", "LOWER": "2"}},
            "executorContext": {"executorImage": {"Reference": "img", "Credentials": {"userName": "me", "Password": "p"}}},
            "unknown": {"ignored": true},
        }),
    )
    .await;
    let expected = json!({
        "sourceContext": {"git": {
            "repoUrl": "https://example.com/r.git",
            "gitAuth": {"basicAuth": {"userName": "u", "password": "p"}},
        }},
        "agentPoolID": "",
        "operationContext": {"environmentVariables": {"lower": "1", "LOWER": "2"}},
        "executorContext": {"executorImage": {"reference": "img", "credentials": {"username": "me", "password": "p"}}},
    });
    assert_eq!(settings, expected);
    // A differently written key is still the same property.
    let settings = patched(&bench, json!({"sourceContext": {"git": {"repourl": null}}})).await;
    assert_eq!(settings["sourceContext"]["git"].get("repoUrl"), None);
}

#[tokio::test]
async fn values_are_normalised() {
    let bench = bench().await;
    let settings = patched(
        &bench,
        json!({
            "sourceContext": {"git": {"branch": "main"}},
            "operationContext": {"oidc": {
                "aws": {"roleArn": "r", "sessionName": "s", "duration": "1h"},
                "gcp": {
                    "projectId": "1", "workloadPoolId": "w", "providerId": "p", "serviceAccount": "s",
                    "tokenLifetime": "90s",
                },
            }},
            "executorContext": {"executorImage": {"reference": "pulumi/pulumi:latest", "credentials": null}},
        }),
    )
    .await;
    assert_eq!(settings["sourceContext"]["git"]["branch"], "refs/heads/main");
    assert_eq!(settings["operationContext"]["oidc"]["aws"]["duration"], "1h0m0s");
    assert_eq!(settings["operationContext"]["oidc"]["gcp"]["tokenLifetime"], "1m30s");
    assert_eq!(settings["executorContext"]["executorImage"], "pulumi/pulumi:latest");
    let settings = patched(&bench, json!({"sourceContext": {"git": {"branch": "refs/tags/v1"}}})).await;
    assert_eq!(settings["sourceContext"]["git"]["branch"], "refs/tags/v1");
}

#[tokio::test]
async fn an_image_with_credentials_is_an_object() {
    let bench = bench().await;
    let image = |value: Value| json!({"executorContext": {"executorImage": value}});
    let of = |settings: Value| settings["executorContext"]["executorImage"].clone();
    let credentials = json!({"username": "u", "password": {"secret": "p"}});
    assert_eq!(of(patched(&bench, image("one".into())).await), "one");
    let settings = of(patched(&bench, image(json!({"credentials": credentials}))).await);
    assert_eq!((&settings["reference"], &settings["credentials"]["username"]), (&json!("one"), &json!("u")));
    assert_eq!(settings["credentials"]["password"]["secret"], "[secret]");
    let settings = of(patched(&bench, image(json!({"reference": "two"}))).await);
    assert_eq!(settings["credentials"]["username"], "u");
    assert_eq!(of(patched(&bench, image(json!({"credentials": null}))).await), "two");
    patched(&bench, image(json!({"credentials": credentials}))).await;
    assert_eq!(of(patched(&bench, image("three".into())).await), "three");
}

#[tokio::test]
async fn wrong_types_are_refused() {
    let bench = bench().await;
    for (body, part) in [
        (json!({"operationContext": {"preRunCommands": "echo"}}), "operationContext.preRunCommands"),
        (json!({"operationContext": {"preRunCommands": [1]}}), "operationContext.preRunCommands[0]"),
        (json!({"operationContext": {"environmentVariables": {"A": 5}}}), "operationContext.environmentVariables.A"),
        (json!({"operationContext": {"options": {"skipInstallDependencies": "yes"}}}), "skipInstallDependencies"),
        (json!({"operationContext": {"operation": "explode"}}), "operationContext.operation"),
        (json!({"operationContext": {"oidc": {"aws": {"duration": "soon"}}}}), "operationContext.oidc.aws.duration"),
        (json!({"sourceContext": []}), "sourceContext"),
        (json!({"gitHub": {"deployPullRequest": 1.5}}), "gitHub.deployPullRequest"),
        (json!({"vcs": {"provider": "cvs"}}), "vcs.provider"),
        (json!({"vcs": {"repository": "a/b"}}), "vcs.provider is required"),
        (json!({"operationContext": {"role": {"id": "no-such-role"}}}), "invalid role id"),
        (json!({"operationContext": {"role": {"name": "x"}}}), "invalid role id"),
        (json!({"operationContext": {"oidc": {"aws": {"roleArn": "r"}}}}), "oidc.aws.sessionName is required"),
        (json!({"executorContext": {"executorImage": {"credentials": {"username": "u"}}}}), "reference is required"),
        (
            json!({"executorContext": {"executorImage": {"reference": "i", "credentials": {"username": "u"}}}}),
            "credentials.password is required",
        ),
        (json!({"sourceContext": {"git": {"gitAuth": {"basicAuth": {"userName": "u"}}}}}), "password is required"),
        (json!({"sourceContext": {"hg": {"hgAuth": {"sshAuth": {"password": "p"}}}}}), "sshPrivateKey is required"),
        (json!({"operationContext": {"oidc": {"gcp": {"projectId": "1"}}}}), "oidc.gcp.workloadPoolId is required"),
        (json!({"agentPoolID": "no-such-pool"}), "no-such-pool"),
        (json!({"sourceContext": {"template": {}}}), "sourceContext.template.sourceUrl is required"),
        (json!({"sourceContext": {"template": {"sourceUrl": "registry://templates/a/b"}}}), "registry://templates/"),
        (json!({"sourceContext": {"git": {"branch": "a", "commit": "b"}}}), "mutually exclusive"),
        (json!({"sourceContext": {"git": {"branch": "a", "tag": "b"}}}), "mutually exclusive"),
        (json!({"sourceContext": {"hg": {"branch": "a", "revision": "b"}}}), "mutually exclusive"),
        (json!({"sourceContext": {"git": {"branch": "a"}, "hg": {"repoUrl": "b"}}}), "only one of"),
        (json!({"sourceContext": {"git": {"repoUrl": "u"}}, "gitHub": {"repository": "a/b"}}), "must not be specified"),
    ] {
        let message = bench.api.post(&path(), body).await.expect_error(400);
        assert!(message.contains(part), "{message}");
        assert_eq!(bench.simulator.settings(STACK), None);
    }
    let request = bench.api.request(Method::POST, &path()).body("{not json");
    assert_eq!(request.send().await.unwrap().status(), 400);
    bench.api.post(&path(), json!([1])).await.expect_error(400);
    bench.api.post("/api/stacks/acme/web/none/deployments/settings", json!({})).await.expect_error(404);
}

#[tokio::test]
async fn agent_pools_must_exist() {
    let bench = bench().await;
    let pool = bench.simulator.add_agent_pool("acme", "mine").unwrap();
    let settings = patched(&bench, json!({"agentPoolID": pool})).await;
    assert_eq!(settings["agentPoolID"], pool);
}

/// A block of settings comes back as it was sent, by the stack's settings and by a fresh `PUT` of what was read.
async fn comes_back(bench: &Bench, block: Value) {
    let reply = stripped(bench.api.put(&path(), block.clone()).await.expect(200));
    assert_eq!(reply, block);
    assert_eq!(stripped(bench.api.get(&path()).await.expect(200)), block);
    // Every field can be taken away again.
    for (name, value) in block.as_object().unwrap() {
        for field in value.as_object().into_iter().flatten().map(|(field, _)| field) {
            if ["provider", "enable"].contains(&field.as_str()) {
                continue;
            }
            let reply = patched(bench, json!({name: {field: null}})).await;
            assert_eq!(reply[name].get(field), None, "{name}.{field}");
        }
        assert_eq!(patched(bench, json!({name: null})).await.get(name), None);
    }
}

#[tokio::test]
async fn repositories_are_told_in_the_words_of_every_provider() {
    let bench = bench().await;
    let hosted = json!({
        "repository": "acme/web", "deployCommits": true, "previewPullRequests": false, "pullRequestTemplate": true,
        "deployPullRequest": 7, "paths": ["infra/**", "!infra/README.md"], "installationId": "42", "deployTags": true,
        "tagFilters": ["v*", "!*-rc*"], "reviewStackLabels": ["review"],
    });
    comes_back(&bench, json!({"gitHub": hosted})).await;
    for (provider, host) in [
        ("github", "https://github.com/acme/web.git"),
        ("gitlab", "https://gitlab.com/acme/web.git"),
        ("bitbucket", "https://bitbucket.org/acme/web.git"),
        ("azure_devops", "https://dev.azure.com/acme/web.git"),
        ("custom", "acme/web"),
    ] {
        let mut block = hosted.clone();
        block["provider"] = provider.into();
        if provider != "github" {
            // Only GitHub has review stacks by label: the others do not know the key.
            let reply = stripped(bench.api.put(&path(), json!({"vcs": block})).await.expect(200));
            assert_eq!(reply["vcs"].get("reviewStackLabels"), None);
            block.as_object_mut().unwrap().remove("reviewStackLabels");
        }
        bench.api.put(&path(), json!({"vcs": block})).await.expect(200);
        let created = bench.create(json!({"operation": "update"})).await;
        let body = bench.api.get(&stack_path(&format!("/deployments/{created}"))).await.expect(200);
        assert_eq!(body["configuration"]["source"]["git"]["repoURL"], host);
        comes_back(&bench, json!({"vcs": block})).await;
    }
    // Both may stand side by side.
    let both = json!({"gitHub": {"repository": "a/b"}, "vcs": {"provider": "github", "repository": "a/b"}});
    comes_back(&bench, both).await;
}

#[tokio::test]
async fn sources_of_all_kinds_are_kept() {
    let bench = bench().await;
    let auth = json!({"basicAuth": {"userName": "u", "password": "open"}});
    for source in [
        json!({"git": {"repoUrl": "https://example.com/r.git", "tag": "v1", "commit": "abc", "repoDir": "d", "gitAuth": auth}}),
        json!({"hg": {"repoUrl": "https://example.com/hg", "revision": "abc", "repoDir": "d", "hgAuth": auth}}),
        json!({"hg": {"repoUrl": "https://example.com/hg", "branch": "default"}}),
        json!({"template": {"sourceUrl": "registry://templates/s/p/name@1.0.0", "gitAuth": auth}}),
        json!({"template": {"sourceUrl": "https://github.com/acme/template"}}),
    ] {
        let settings = json!({"sourceContext": source});
        assert_eq!(stripped(bench.api.put(&path(), settings.clone()).await.expect(200)), settings);
        bench.create(json!({"operation": "update"})).await;
    }
    for version in 1..=5 {
        bench.wait_status(version, "succeeded").await;
    }
    let caches = bench.api.put(&path(), json!({"cacheOptions": {}})).await.expect(200);
    assert_eq!(caches["cacheOptions"], json!({"enable": false}));
}

#[tokio::test]
async fn a_project_s_template_stands_in_for_the_stack_s() {
    let bench = bench().await;
    let url = "https://github.com/acme/template";
    bench.simulator.set_project_template("acme", "web", Some(url)).unwrap();
    // What a client sends for the read-only field counts for nothing.
    let settings =
        json!({"sourceContext": {"template": {"sourceUrl": "", "projectSourceUrl": "https://evil.example"}}});
    let settings = patched(&bench, settings).await;
    assert_eq!(settings["sourceContext"]["template"], json!({"sourceUrl": "", "projectSourceUrl": url}));
    let id = bench.create(json!({"operation": "update"})).await;
    let body = bench.api.get(&stack_path(&format!("/deployments/{id}"))).await.expect(200);
    assert_eq!(body["configuration"]["source"], json!({"template": {"sourceUrl": url}}));
    bench.simulator.set_project_template("acme", "web", None).unwrap();
    bench.api.post(&path(), json!({"tag": "x"})).await.expect_error(400);
}

#[tokio::test]
async fn roles_must_exist() {
    let bench = bench_with(|builder| builder.speed(200.0).role("acme", "role-1", "Deployers")).await;
    let role = |role: Value| json!({"operationContext": {"role": role}});
    let settings = patched(&bench, role(json!({"id": "role-1"}))).await;
    assert_eq!(settings["operationContext"]["role"], json!({"id": "role-1", "name": "Deployers"}));
    bench.simulator.add_role("acme", "role-2", "Readers").unwrap();
    let settings = patched(&bench, role(json!({"id": "role-2", "defaultIdentifier": "d"}))).await;
    let expected = json!({"id": "role-2", "name": "Readers", "defaultIdentifier": "d"});
    assert_eq!(settings["operationContext"]["role"], expected);
    let mut request = role(json!({"id": "role-3"}));
    request["operation"] = "update".into();
    let message = bench.api.post(&stack_path("/deployments"), request).await.expect_error(400);
    assert!(message.contains("invalid role id"), "{message}");
    assert_eq!(
        patched(&bench, role(json!({"id": null, "defaultIdentifier": null}))).await["operationContext"],
        json!({})
    );
}

#[tokio::test]
async fn settings_need_a_subscription_and_a_stack_of_pulumi_s() {
    let bench = bench().await;
    bench.simulator.set_subscription("acme", Subscription::Team).unwrap();
    for method in [Method::POST, Method::PUT] {
        let message = bench.api.send(method, &path(), Some(json!({}))).await.expect_error(402);
        assert!(message.contains("requires Team Growth subscription"), "{message}");
    }
    bench.simulator.set_subscription("acme", Subscription::TeamGrowth).unwrap();
    bench.api.post(&path(), json!({})).await.expect(200);
    bench.simulator.make_terraform_stack(STACK).unwrap();
    for method in [Method::POST, Method::PUT] {
        let message = bench.api.send(method, &path(), Some(json!({}))).await.expect_error(400);
        assert!(message.contains("Terraform stacks"), "{message}");
    }
}

#[tokio::test]
async fn the_provider_is_known_by_its_header() {
    let bench = bench().await;
    let request = bench.api.request(Method::POST, &path()).header("X-Pulumi-Source", "provider").json(&json!({}));
    assert_eq!(request.send().await.unwrap().json::<Value>().await.unwrap()["source"], "provider");
    assert_eq!(bench.api.post(&path(), json!({})).await.expect(200)["source"], "api");
}

#[tokio::test]
async fn the_console_writes_too() {
    let bench = bench().await;
    patched(&bench, json!({"tag": "api"})).await;
    let stored = bench.simulator.patch_settings(STACK, &json!({"cacheOptions": {"enable": true}})).unwrap();
    assert_eq!(stored, json!({"tag": "api", "cacheOptions": {"enable": true}}));
    let settings = bench.api.get(&path()).await.expect(200);
    assert_eq!((&settings["source"], &settings["version"]), (&json!("console"), &json!(2)));
    bench.simulator.replace_settings(STACK, None).unwrap();
    bench.api.get(&path()).await.expect_error(404);
    let refused = bench.simulator.patch_settings(STACK, &json!({"tag": 1})).unwrap_err();
    assert!(matches!(refused, SimulatorError::Refused { status: 400, .. }), "{refused}");
    let unknown = bench.simulator.patch_settings("acme/web/none", &json!({})).unwrap_err();
    assert!(matches!(unknown, SimulatorError::UnknownStack(_)), "{unknown}");
}
