//! Every block of the settings, on its way to the service: as settings of a stack, and as overrides of a run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use k8s_openapi::api::core::v1::Secret;
use pulumi_deployments_operator::api::{
    ConditionStatus, StackDeploymentSettings,
    condition::{find, types},
    deployment::Phase,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    eventually::{SOON, eventually},
    world::World,
};

/// What somebody writes, and what the service then has.
struct Block {
    written: Value,
    stored: Value,
}

fn block(written: Value, stored: Value) -> Block {
    Block { written, stored }
}

fn executor() -> Block {
    block(
        json!({"executorContext": {
            "executorImage": {
                "reference": "registry.example.com/pulumi:3",
                "credentials": {"username": "puller", "password": {"secretKeyRef": {"name": "login"}}},
            },
            "executorRootPath": "/work",
        }}),
        json!({"executorContext": {
            "executorImage": {
                "reference": "registry.example.com/pulumi:3",
                "credentials": {"username": "puller", "password": {"secret": "login-password"}},
            },
            "executorRootPath": "/work",
        }}),
    )
}

fn git_by_ssh() -> Block {
    block(
        json!({"sourceContext": {"git": {
            "repoURL": "git@example.com:web.git", "branch": "main", "repoDir": "infra",
            "gitAuth": {"sshAuth": {
                "sshPrivateKey": {"secretKeyRef": {"name": "key"}}, "password": {"secretKeyRef": {"name": "opaque", "key": "phrase"}},
            }},
        }}}),
        json!({"sourceContext": {"git": {
            "repoUrl": "git@example.com:web.git", "branch": "refs/heads/main", "repoDir": "infra",
            "gitAuth": {"sshAuth": {"sshPrivateKey": {"secret": "the-private-key"}, "password": {"secret": "the-phrase"}}},
        }}}),
    )
}

fn git_by_password() -> Block {
    block(
        json!({"sourceContext": {"git": {
            "repoURL": "https://example.com/web.git", "commit": "c0ffee",
            "gitAuth": {"basicAuth": {
                "userNameFrom": {"secretKeyRef": {"name": "login"}}, "password": {"secretKeyRef": {"name": "login"}},
            }},
        }}}),
        json!({"sourceContext": {"git": {
            "repoUrl": "https://example.com/web.git", "commit": "c0ffee",
            "gitAuth": {"basicAuth": {"userName": {"secret": "login-user"}, "password": {"secret": "login-password"}}},
        }}}),
    )
}

fn git_by_token() -> Block {
    block(
        json!({"sourceContext": {"git": {
            "repoURL": "https://example.com/web.git", "tag": "v1",
            "gitAuth": {"accessToken": {"secretKeyRef": {"name": "opaque", "key": "token"}}},
        }}}),
        json!({"sourceContext": {"git": {
            "repoUrl": "https://example.com/web.git", "tag": "v1",
            "gitAuth": {"accessToken": {"secret": "the-token"}},
        }}}),
    )
}

fn mercurial() -> Block {
    block(
        json!({"sourceContext": {"hg": {
            "repoURL": "https://hg.example.com/web", "revision": "c0ffee", "repoDir": "infra",
            "hgAuth": {"sshAuth": {"sshPrivateKey": {"secretKeyRef": {"name": "key"}}}},
        }}}),
        json!({"sourceContext": {"hg": {
            "repoUrl": "https://hg.example.com/web", "revision": "c0ffee", "repoDir": "infra",
            "hgAuth": {"sshAuth": {"sshPrivateKey": {"secret": "the-private-key"}}},
        }}}),
    )
}

fn template() -> Block {
    block(
        json!({"sourceContext": {"template": {
            "sourceUrl": "registry://templates/pulumi/acme/vpc@2.1.0",
            "gitAuth": {"basicAuth": {"userName": "robot", "password": {"secretKeyRef": {"name": "login"}}}},
        }}}),
        json!({"sourceContext": {"template": {
            "sourceUrl": "registry://templates/pulumi/acme/vpc@2.1.0",
            "gitAuth": {"basicAuth": {"userName": "robot", "password": {"secret": "login-password"}}},
        }}}),
    )
}

fn operation() -> Block {
    block(
        json!({"operationContext": {
            "preRunCommands": ["npm test"],
            "environmentVariables": [
                {"name": "PLAIN", "value": "plain"},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "opaque", "key": "token"}}},
                {"name": "MAPPED", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "tier"}}},
            ],
            "options": {
                "skipInstallDependencies": true, "skipIntermediateDeployments": true, "shell": "bash",
                "deleteAfterDestroy": true, "remediateIfDriftDetected": true,
            },
            "role": {"id": "deployer"},
        }}),
        json!({"operationContext": {
            "preRunCommands": ["npm test"],
            "environmentVariables": {"PLAIN": "plain", "SECRET": {"secret": "the-token"}, "MAPPED": "gold"},
            "options": {
                "skipInstallDependencies": true, "skipIntermediateDeployments": true, "shell": "bash",
                "deleteAfterDestroy": true, "remediateIfDriftDetected": true,
            },
            "role": {"id": "deployer"},
        }}),
    )
}

fn clouds() -> Block {
    let azure = json!({"clientId": "c", "tenantId": "t", "subscriptionId": "s"});
    let gcp = json!({"projectId": "1", "region": "r", "workloadPoolId": "w", "providerId": "p", "serviceAccount": "s", "tokenLifetime": "90m"});
    let mut stored_gcp = gcp.clone();
    stored_gcp["tokenLifetime"] = "1h30m0s".into();
    block(
        json!({"operationContext": {"oidc": {
            "aws": {"roleArn": "arn", "sessionName": "s", "duration": "60m", "policyArns": ["p"]}, "azure": azure, "gcp": gcp,
        }}}),
        json!({"operationContext": {"oidc": {
            "aws": {"roleArn": "arn", "sessionName": "s", "duration": "1h0m0s", "policyArns": ["p"]}, "azure": azure, "gcp": stored_gcp,
        }}}),
    )
}

fn triggers() -> Value {
    json!({
        "repository": "acme/web", "deployCommits": true, "previewPullRequests": true, "pullRequestTemplate": true,
        "deployPullRequest": 7, "paths": ["infra/**"], "installationId": "4711", "deployTags": true, "tagFilters": ["v*"],
        "reviewStackLabels": ["review"],
    })
}

fn git_hub() -> Block {
    let same = json!({"gitHub": triggers(), "sourceContext": {"git": {"branch": "refs/heads/main"}}});
    block(same.clone(), same)
}

fn vcs() -> Block {
    let mut vcs = triggers();
    vcs["provider"] = "github".into();
    let same = json!({"vcs": vcs, "tag": "web", "cacheOptions": {"enable": true}});
    block(same.clone(), same)
}

async fn connected(prefix: &str) -> World {
    let world = World::new(prefix).await;
    world.simulator.add_role(&world.organization, "deployer", "Deployers").unwrap();
    world.put_organization(json!({})).await;
    for (name, kind, data) in [
        ("key", "kubernetes.io/ssh-auth", json!({"ssh-privatekey": "the-private-key"})),
        ("login", "kubernetes.io/basic-auth", json!({"username": "login-user", "password": "login-password"})),
        ("opaque", "Opaque", json!({"token": "the-token", "phrase": "the-phrase"})),
    ] {
        let manifest =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data});
        world.put::<Secret>(manifest).await;
    }
    world.put_config_map("map", &[("tier", "gold")]).await;
    world
}

/// Asks for a look now, and waits for the answer.
async fn asked(world: &World, answer: &str) {
    let annotation = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": answer}}});
    world.merge::<StackDeploymentSettings>("web", annotation).await;
    eventually(SOON, "the answer", async || {
        let status = world.settings("web", "Synced").await.status.unwrap();
        if status.last_handled_reconcile_at.as_deref() == Some(answer) { Ok(()) } else { Err(status) }
    })
    .await;
}

#[rstest]
#[case::executor(executor())]
#[case::git_by_ssh(git_by_ssh())]
#[case::git_by_password(git_by_password())]
#[case::git_by_token(git_by_token())]
#[case::mercurial(mercurial())]
#[case::template(template())]
#[case::operation(operation())]
#[case::clouds(clouds())]
#[case::git_hub(git_hub())]
#[case::vcs(vcs())]
#[tokio::test]
async fn is_pushed_once_read_back_in_sync_and_cleared(#[case] block: Block) {
    let world = connected("block").await;
    // What the project has its template from is in every answer, and is nobody's to unset.
    let (organization, url) = (&world.organization, "https://example.com/templates");
    world.simulator.set_project_template(organization, "web", Some(url)).unwrap();
    world.put_settings(json!({"unmanaged": "Remove", "settings": block.written})).await;
    world.settings("web", "Synced").await;
    assert_eq!(world.stored(), Some(block.stored.clone()));

    asked(&world, "once").await;
    asked(&world, "once more").await;
    assert_eq!(world.requests("PatchSettings").len(), 1);

    // Nothing of it is lost on the way through the server: an equal apply is no change.
    world.put_settings(json!({"unmanaged": "Remove", "settings": block.written})).await;
    asked(&world, "after an apply").await;
    assert_eq!(world.requests("PatchSettings").len(), 1);
    assert_eq!(world.stored(), Some(block.stored));

    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    assert_eq!(world.stored(), None);
}

/// One block takes the place of another, and nothing of the one before is left.
#[tokio::test]
async fn takes_the_place_of_another() {
    let world = connected("arms").await;
    for (written, stored) in [git_by_ssh(), template(), mercurial(), git_by_password(), git_hub(), vcs()]
        .into_iter()
        .map(|block| (block.written, block.stored))
    {
        world.put_settings(json!({"settings": written})).await;
        world.settings("web", "Synced").await;
        assert_eq!(world.stored(), Some(stored));
    }
}

/// What others wrote into an object that can't be without what is ours goes with it; the rest stays.
#[tokio::test]
async fn leaves_what_others_wrote_unless_it_means_nothing_without_it() {
    let world = connected("others").await;
    let settings = json!({
        "vcs": {"provider": "gitlab", "repository": "acme/web"},
        "operationContext": {"oidc": {"aws": {"roleArn": "arn", "sessionName": "s"}}, "preRunCommands": ["npm test"]},
    });
    world.put_settings(json!({"settings": settings})).await;
    world.settings("web", "Synced").await;
    let theirs = json!({
        "vcs": {"deployCommits": true},
        "operationContext": {"oidc": {"aws": {"policyArns": ["p"]}}, "options": {"shell": "bash"}},
        "tag": "theirs",
    });
    world.simulator.patch_settings(&world.stack("web/prod"), &theirs).unwrap();
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    assert_eq!(world.stored(), Some(json!({"operationContext": {"options": {"shell": "bash"}}, "tag": "theirs"})));
}

/// An integration has its own repository: what somebody wrote into the console goes.
#[tokio::test]
async fn of_an_integration_takes_the_url_of_the_repository_away() {
    let world = connected("integration").await;
    let theirs = json!({"sourceContext": {"git": {"repoUrl": "https://example.com/web.git", "branch": "main"}}});
    world.simulator.patch_settings(&world.stack("web/prod"), &theirs).unwrap();
    world.put_settings(json!({"settings": {"gitHub": {"repository": "acme/web"}}})).await;
    world.settings("web", "Synced").await;
    let expected =
        json!({"sourceContext": {"git": {"branch": "refs/heads/main"}}, "gitHub": {"repository": "acme/web"}});
    assert_eq!(world.stored(), Some(expected));
}

#[rstest]
#[case::ssh("sourceContext", json!({"git": {"gitAuth": {"sshAuth": {"sshPrivateKey": {"secretKeyRef": {"name": "opaque"}}}}}}))]
#[case::basic("sourceContext", json!({"hg": {"hgAuth": {"basicAuth": {"userName": "u", "password": {"secretKeyRef": {"name": "opaque"}}}}}}))]
#[case::image("executorContext", json!({"executorImage": {"reference": "i", "credentials": {"username": "u", "password": {"secretKeyRef": {"name": "opaque"}}}}}))]
#[tokio::test]
async fn without_a_key_of_a_secret_without_type_says_what_to_write(#[case] field: &str, #[case] written: Value) {
    let world = connected("keys").await;
    world.put_settings(json!({"settings": {field: written}})).await;
    let settings = world.settings("web", "SourceMissing").await;
    let conditions = settings.status.unwrap().conditions;
    let message = &find(&conditions, types::READY).unwrap().message;
    let expected = "is of type Opaque, which has no standard key for this use; write which key: \
        secretKeyRef: {name: opaque, key: …} (it has: phrase, token)";
    assert!(message.contains(expected), "{message}");
}

/// The body of the only create, without the variable that marks the run.
fn create_body(world: &World) -> Value {
    let mut requests = world.requests("CreateDeployment");
    assert_eq!(requests.len(), 1);
    let mut body = requests.remove(0).body;
    let variables = body["operationContext"]["environmentVariables"].as_object_mut().unwrap();
    let marks: Vec<_> =
        variables.keys().filter(|name| name.starts_with("PULUMI_DEPLOYMENTS_OPERATOR_RUN_")).cloned().collect();
    assert_eq!(marks.len(), 1);
    variables.remove(&marks[0]);
    body
}

/// A Deployment of a stack whose settings somebody else keeps, with these overrides.
async fn create(world: &World, inherit: bool, settings: Value) -> Value {
    let stored = json!({
        "sourceContext": {"git": {"repoUrl": "https://example.com/stored.git", "branch": "stored"}}, "tag": "stored",
        "operationContext": {"options": {"skipInstallDependencies": true}, "environmentVariables": {"STORED": "1"}},
    });
    world.simulator.patch_settings(&world.stack("web/prod"), &stored).unwrap();
    let stack = json!({"organizationRef": {"name": "acme"}, "project": "web", "name": "prod"});
    let manifest = json!({
        "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"operation": "preview", "settle": "0s", "stack": stack, "inheritSettings": inherit, "settings": settings},
    });
    world.put::<pulumi_deployments_operator::api::Deployment>(manifest).await;
    world.ended("web", 1).await;
    create_body(world)
}

/// Nulls in the document say what the stored settings must not add.
#[rstest]
#[case::inherited(true)]
#[case::alone(false)]
#[tokio::test]
async fn overrides_in_every_block_are_in_the_body_of_the_create(#[case] inherit: bool) {
    let world = connected("overrides").await;
    let pool = world.simulator.add_agent_pool(&world.organization, "machines").unwrap();
    let mut written = json!({"agentPoolID": pool});
    let mut expected = json!({"agentPoolID": pool, "operation": "preview", "inheritSettings": inherit});
    for Block { written: more, stored } in [executor(), mercurial(), operation(), clouds(), vcs()] {
        merge(&mut written, more);
        merge(&mut expected, stored);
    }
    // As they are written: the service normalizes when it keeps them.
    let oidc = &mut expected["operationContext"]["oidc"];
    oidc["aws"]["duration"] = "60m".into();
    oidc["gcp"]["tokenLifetime"] = "90m".into();
    if inherit {
        merge(
            &mut expected,
            json!({
                "gitHub": null,
                "sourceContext": {
                    "git": null, "template": null,
                    "hg": {"branch": null, "hgAuth": {"basicAuth": null, "accessToken": null}},
                },
            }),
        );
    }
    assert_eq!(create(&world, inherit, written).await, expected);
    let run = &world.runs()[0];
    assert_eq!((run.operation.as_str(), run.status.as_str()), ("preview", "succeeded"));
    assert_eq!(run.environment.contains_key("STORED"), inherit);
    assert_eq!(run.settings["sourceContext"].as_object().unwrap().keys().collect::<Vec<_>>(), ["hg"]);
    assert_eq!(world.stored().unwrap()["tag"], "stored", "overrides are kept nowhere");
}

/// Left out: the stored one. Empty: none. Written: that one.
#[rstest]
#[case::left_out(true, None, None)]
#[case::reset(true, Some(""), Some(Value::Null))]
#[case::reset_of_nothing(false, Some(""), Some(Value::Null))]
#[case::set(true, Some("other"), Some(json!("other")))]
#[tokio::test]
async fn the_agent_pool_is_kept_reset_or_set(
    #[case] inherit: bool,
    #[case] written: Option<&str>,
    #[case] sent: Option<Value>,
) {
    let world = connected("pool").await;
    let [stored, other] =
        ["stored", "other"].map(|name| world.simulator.add_agent_pool(&world.organization, name).unwrap());
    world.simulator.patch_settings(&world.stack("web/prod"), &json!({"agentPoolID": stored})).unwrap();
    let mut settings = json!({"sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": "main"}}});
    if let Some(written) = written {
        settings["agentPoolID"] = if written.is_empty() { "".into() } else { other.as_str().into() };
    }
    let body = create(&world, inherit, settings).await;
    let sent = sent.map(|sent| if sent.is_null() { sent } else { other.as_str().into() });
    assert_eq!(body.get("agentPoolID").cloned(), sent);
    let used = match (sent, inherit) {
        (None, _) => Some(stored.clone()),
        (Some(Value::String(other)), _) => Some(other),
        _ => None,
    };
    assert_eq!(world.runs()[0].settings.get("agentPoolID").and_then(Value::as_str).map(ToOwned::to_owned), used);
    assert_eq!(world.stored().unwrap()["agentPoolID"], stored);
}

#[rstest]
#[tokio::test]
async fn every_operation_runs(
    #[values("update", "preview", "destroy", "refresh", "detect-drift", "remediate-drift")] operation: &str,
) {
    let world = connected("operation").await;
    world.put_deployment("web", json!({"operation": operation})).await;
    let status = world.ended("web", 1).await;
    assert_eq!(status.phase, Some(Phase::Succeeded));
    let run = &world.runs()[0];
    assert_eq!((run.operation.as_str(), run.status.as_str()), (operation, "succeeded"));
}

/// Status, value and reason of the condition `Drifted`.
async fn drifted(world: &World, request: u64) -> (Option<bool>, Option<(ConditionStatus, String, String)>) {
    let status = world.ended("web", request).await;
    let condition = find(&status.conditions, "Drifted");
    let told = condition.map(|it| (it.status, it.reason.clone(), it.message.clone()));
    (status.drift.map(|drift| drift.detected), told)
}

#[tokio::test]
async fn what_a_search_for_drift_found_is_told() {
    let world = connected("drift").await;
    let stack = world.stack("web/prod");
    world.put_deployment("web", json!({"operation": "detect-drift", "rerun": "1"})).await;
    let (found, told) = drifted(&world, 1).await;
    let (value, reason, message) = told.unwrap();
    assert_eq!((found, value, reason.as_str()), (Some(false), ConditionStatus::False, "NoDrift"), "{message}");

    world.simulator.set_drift(&stack, true).unwrap();
    world.put_deployment("web", json!({"operation": "detect-drift", "rerun": "2"})).await;
    let (found, told) = drifted(&world, 2).await;
    let (value, reason, message) = told.unwrap();
    assert_eq!((found, value, reason.as_str()), (Some(true), ConditionStatus::True, "DriftDetected"), "{message}");
    assert!(message.contains(&format!("detect-drift 2 of {stack} found drift (")), "{message}");
    eventually(SOON, "the event", async || {
        let events = world.kubectl(&["get", "events"], None).await;
        if events.contains("DriftDetected") { Ok(()) } else { Err(events) }
    })
    .await;

    world.put_deployment("web", json!({"operation": "remediate-drift", "rerun": "3"})).await;
    let (found, told) = drifted(&world, 3).await;
    let (value, reason, message) = told.unwrap();
    assert_eq!((found, value, reason.as_str()), (Some(true), ConditionStatus::False, "DriftRemediated"), "{message}");
    assert!(message.contains("and its remediation succeeded"), "{message}");

    // One read for each run that was about drift, and none for others.
    assert_eq!(world.requests("ListDriftRuns").len(), 3);
    world.put_deployment("web", json!({"operation": "refresh", "rerun": "4"})).await;
    assert_eq!(drifted(&world, 4).await, (None, None));
    assert_eq!(world.requests("ListDriftRuns").len(), 3);
}

#[tokio::test]
async fn a_run_ends_when_what_it_found_cannot_be_read() {
    use pulumi_cloud_simulator::Fault;

    let world = connected("drift-lost").await;
    world.simulator.set_drift(&world.stack("web/prod"), true).unwrap();
    // For a while, and it is read after all.
    world.simulator.inject(Fault::on("ListDriftRuns").organization(&world.organization).times(4).answer(503));
    world.put_deployment("web", json!({"operation": "detect-drift", "rerun": "1"})).await;
    let (found, told) = drifted(&world, 1).await;
    assert_eq!((found, told.unwrap().0), (Some(true), ConditionStatus::True));
    // For good.
    world.simulator.inject(Fault::on("ListDriftRuns").organization(&world.organization).always().answer(403));
    world.put_deployment("web", json!({"operation": "detect-drift", "rerun": "2"})).await;
    let (found, told) = drifted(&world, 2).await;
    let (value, reason, message) = told.unwrap();
    assert_eq!((found, value, reason.as_str()), (None, ConditionStatus::Unknown, "DriftUnknown"), "{message}");
    assert!(message.contains("is not known: "), "{message}");
}

/// A merge patch that keeps its nulls.
fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(fields) if target.is_object() => {
            for (key, value) in fields {
                merge(&mut target[&key], value);
            }
        }
        other => *target = other,
    }
}
