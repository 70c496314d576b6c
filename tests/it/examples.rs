//! Every YAML file of `examples/`: it does what it says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

#[path = "../../examples/demo/stories.rs"]
pub mod stories;

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt, api::ListParams};
use pulumi_cloud_simulator::{Allowance, DeploymentView};
use pulumi_deployments_operator::api::{
    Deployment, DeploymentStatus, Organization,
    condition::{find, types},
    deployment::{Phase, Trigger},
};
use serde_json::{Value, json};

use self::stories::{Place, Story};
use crate::{
    eventually::{SOON, eventually},
    keyless,
    world::{World, ready_is},
};

/// A story waits until nothing changes for 5 s, and there may be several on a machine that is busy.
const LONG: std::time::Duration = SOON.saturating_mul(3);

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn story(file: &str) -> Story {
    stories::read(&directory()).unwrap().into_iter().find(|story| story.file == file).unwrap()
}

/// A world with an operator, an Organization `acme`, and the stacks that the story takes for granted.
async fn world_for(story: &Story) -> World {
    let world = World::without_operator(story.file.trim_end_matches(".yaml")).await;
    for stack in story.existing_stacks() {
        world.simulator.add_stack(&world.stack(&stack)).unwrap();
    }
    world.put_organization(json!({})).await;
    world.start_operator(|_| ());
    world
}

/// Applies the file itself, as a user does.
async fn apply(world: &World, story: &Story) {
    let path = directory().join(&story.file);
    world.kubectl(&["apply", "--filename", path.to_str().unwrap()], None).await;
}

/// Applies a story with Organizations or an agent pool in it: they lead to those of the test in the simulated Pulumi
/// Cloud. Returns the pool's id.
async fn apply_placed(world: &World, story: &Story) -> String {
    let pool = world.simulator.add_agent_pool(&world.organization, "machines").unwrap();
    let place = Place { backend: &world.simulator.url(), namespace: &world.namespace, agent_pool: &pool };
    let mut placed = story.placed(&place);
    for object in placed.objects.iter_mut().filter(|object| stories::kind(object) == "Organization") {
        object.data["spec"]["name"] = world.organization.as_str().into();
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": placed.objects});
    world.plane.kubectl(["apply", "--filename=-"], Some(&list.to_string())).await.success();
    pool
}

/// Waits until a Deployment has ended as it says itself.
async fn ended_in(world: &World, namespace: &str, name: &str) -> DeploymentStatus {
    let api: Api<Deployment> = Api::namespaced(world.client.clone(), namespace);
    eventually(LONG, &format!("{name} has ended as expected"), async || {
        let deployment = api.get(name).await.map_err(|error| error.to_string())?;
        let expected = stories::expectation(&deployment);
        let status = deployment.status.clone().unwrap_or_default();
        let reason = find(&status.conditions, types::STALLED).map(|stalled| stalled.reason.clone());
        let end = status.phase.filter(|phase| phase.is_terminal()).map(|phase| phase.to_string()).or(reason);
        if status.observed_generation == deployment.metadata.generation && end.as_ref() == Some(&expected) {
            Ok(status)
        } else {
            Err(format!("expected {expected}: {status:#?}"))
        }
    })
    .await
}

/// Makes a world, applies the story there, and waits until all its runs have ended.
async fn played(file: &str) -> (World, Vec<DeploymentStatus>) {
    let story = story(file);
    let world = world_for(&story).await;
    apply(&world, &story).await;
    let mut ends = vec![];
    for deployment in story.of_kind("Deployment") {
        ends.push(ended_in(&world, &world.namespace, &deployment.name_any()).await);
    }
    (world, ends)
}

fn stored(world: &World, stack: &str) -> Value {
    world.simulator.settings(&world.stack(stack)).unwrap()
}

/// The only run of a stack.
fn run(world: &World, stack: &str) -> DeploymentView {
    let mut runs = world.simulator.deployments(&world.stack(stack));
    assert_eq!(runs.len(), 1, "{runs:#?}");
    runs.remove(0)
}

#[test]
fn each_is_tested_and_begins_by_saying_what_it_is_about() {
    for story in stories::read(&directory()).unwrap() {
        assert!(include_str!("examples.rs").contains(&format!("(\"{}\")", story.file)), "{} has no test", story.file);
        let listed = format!("[{0}](examples/{0})", story.file);
        assert!(include_str!("../../README.md").contains(&listed), "README.md does not list {}", story.file);
        assert!(story.about.ends_with(['.', '?']), "{}: {:?} is no sentence", story.file, story.about);
    }
}

#[tokio::test]
async fn organization() {
    let story = story("organization.yaml");
    let world = World::without_operator("organization").await;
    world.start_operator(|_| ());
    // The Secret is created by the command in the comment, so it may come after the Organization.
    world.delete::<Secret>("pulumi").await;
    apply_placed(&world, &story).await;
    let conditions = world.organization_is("TokenMissing").await;
    assert!(find(&conditions, types::READY).unwrap().message.contains("create it"), "{conditions:?}");
    let token = format!("--from-literal=accessToken={}", world.token);
    world.kubectl(&["create", "secret", "generic", "pulumi", &token], None).await;
    world.organization_is("Connected").await;
}

#[tokio::test]
async fn web_prod() {
    let (world, ends) = played("web-prod.yaml").await;
    assert_eq!(
        stored(&world, "web/prod"),
        json!({
            "executorContext": {"executorImage": "pulumi/pulumi-nodejs:latest"},
            "sourceContext": {"git": {
                "repoUrl": "https://github.com/acme/web.git", "branch": "refs/heads/main", "repoDir": "infra",
            }},
            "operationContext": {
                "preRunCommands": ["npm test"],
                "environmentVariables": {
                    "AWS_REGION": "eu-central-1",
                    "TIER": "gold",
                    "DB_PASSWORD": {"secret": "correct-horse-battery-staple"},
                },
                "oidc": {"aws": {
                    "roleArn": "arn:aws:iam::123456789012:role/deploy", "sessionName": "web", "duration": "1h0m0s",
                }},
            },
        })
    );
    let run = run(&world, "web/prod");
    assert_eq!((run.operation.as_str(), run.status.as_str()), ("update", "succeeded"));
    assert_eq!(run.environment["RELEASE"], ("42".to_owned(), false));
    assert_eq!(run.environment["DB_PASSWORD"], ("correct-horse-battery-staple".to_owned(), true));
    assert_eq!(ends[0].step.as_deref(), Some("7/7 pulumi update"));
}

#[tokio::test]
async fn preview_stack_target() {
    let (world, _) = played("preview-stack-target.yaml").await;
    let run = run(&world, "web/dev");
    assert_eq!((run.operation.as_str(), run.status.as_str()), ("preview", "succeeded"));
    assert_eq!(run.settings["sourceContext"]["git"]["branch"], "refs/heads/feature/new-menu");
    assert_eq!(world.requests("CreateDeployment")[0].body["inheritSettings"], false);
    assert_eq!(world.simulator.settings(&world.stack("web/dev")), None);
}

#[tokio::test]
async fn failing_run() {
    let (world, ends) = played("failing-run.yaml").await;
    assert_eq!(run(&world, "orders/prod").status, "failed");
    let status = &ends[0];
    assert_eq!((status.phase, status.step.as_deref()), (Some(Phase::Failed), Some("6/7 Pre-run command 2")));
    let failure = status.run.clone().unwrap().failure.unwrap();
    assert_eq!(failure.step.as_deref(), Some("Pre-run command 2"));
    let log = &failure.log;
    assert_eq!(log[log.len() - 2], "cannot migrate the database as orders:[secret]");
    assert_eq!(log[log.len() - 1], "error: pre-run command 2 failed: exit status 3");
}

#[tokio::test]
async fn retry() {
    let (world, ends) = played("retry.yaml").await;
    assert_eq!(world.simulator.deployments(&world.stack("search/prod")).len(), 3);
    assert_eq!((ends[0].phase, &ends[0].retry), (Some(Phase::Failed), &None));
    // The command in the comment.
    let attempts = "jsonpath={.status.history[*].attempt} {.status.run.attempt}";
    assert_eq!(world.kubectl(&["get", "pdep", "search-prod", "-o", attempts], None).await, "2 1 3");
}

#[tokio::test]
async fn run_on_settings_change() {
    let (world, ends) = played("run-on-settings-change.yaml").await;
    assert_eq!(ends[0].request.as_ref().unwrap().number, 1);
    // The command in the comment.
    let patch = r#"--patch={"data": {"tier": "gold"}}"#;
    world.kubectl(&["patch", "configmap", "catalog-prod", "--type=merge", patch], None).await;
    let has_run = |status: &DeploymentStatus| {
        status.phase == Some(Phase::Succeeded) && status.request.as_ref().is_some_and(|request| request.number == 2)
    };
    let status = world.deployment("catalog-prod", "has run again", has_run).await;
    assert_eq!(status.run.unwrap().trigger, Some(Trigger::SettingsChanged));
    let tiers: Vec<_> = world.simulator.deployments(&world.stack("catalog/prod"));
    let tiers: Vec<_> = tiers.iter().map(|run| run.environment["TIER"].0.as_str()).collect();
    assert_eq!(tiers, ["silver", "gold"]);
}

#[tokio::test]
async fn timeouts() {
    let story = story("timeouts.yaml");
    let world = world_for(&story).await;
    let stack = world.stack("payroll/prod");
    world.simulator.add_stack(&stack).unwrap();
    world.simulator.hold(&stack).unwrap();
    apply(&world, &story).await;
    world.phase("payroll-prod", Phase::Running).await;
    // The command in the comment, with less patience.
    let patch = r#"--patch={"spec": {"timeout": "1s"}}"#;
    world.kubectl(&["patch", "pdep", "payroll-prod", "--type=merge", patch], None).await;
    assert_eq!(world.ended("payroll-prod", 1).await.phase, Some(Phase::TimedOut));
    assert!(run(&world, "payroll/prod").canceled);
    world.simulator.release(&stack).unwrap();
}

#[tokio::test]
async fn release() {
    let story = story("release.yaml");
    let world = world_for(&story).await;
    world.simulator.add_stack(&world.stack("storefront/prod")).unwrap();
    apply(&world, &story).await;
    let status = world.deployment("storefront-prod", "is suspended", ready_is("Suspended")).await;
    assert_eq!(status.run, None);
    // The commands in the comment.
    let patch = async |patch: &str| {
        let patch = format!("--patch={patch}");
        world.kubectl(&["patch", "pdep", "storefront-prod", "--type=merge", &patch], None).await;
    };
    patch(r#"{"spec": {"suspend": false}}"#).await;
    world.ended("storefront-prod", 1).await;
    patch(r#"{"spec": {"historyLimit": 5, "supersede": "CancelQueued"}}"#).await;
    let rerun = "deployments.pulumi.com/rerun=1";
    world.kubectl(&["annotate", "pdep", "storefront-prod", rerun, "--overwrite"], None).await;
    let status = world.ended("storefront-prod", 2).await;
    assert_eq!((status.run.unwrap().version, status.history.len()), (2, 1));
}

#[tokio::test]
async fn approval() {
    let story = story("approval.yaml");
    let world = world_for(&story).await;
    apply(&world, &story).await;
    let offered = world
        .deployment("payroll-prod", "awaits approval", |status| {
            status.approval.as_ref().is_some_and(|pending| pending.token.is_some())
        })
        .await;
    let reason = find(&offered.conditions, types::READY).unwrap().reason.clone();
    assert_eq!(Some(reason), story.of_kind("Deployment").next().map(stories::expectation));
    // The commands in the comment.
    let token = "jsonpath={.status.approval.token}";
    let token = world.kubectl(&["get", "pdep", "payroll-prod", "-o", token], None).await;
    let approve = format!("deployments.pulumi.com/approve={token}");
    let by = "deployments.pulumi.com/approved-by=anna@example.com";
    world.kubectl(&["annotate", "pdep", "payroll-prod", &approve, by], None).await;
    let run = world.ended("payroll-prod", 1).await.run.unwrap();
    assert_eq!((run.result, run.approval.unwrap().approved_by.as_str()), (Some(Phase::Succeeded), "anna@example.com"));
}

/// What it does to two users is in `approval`.
#[tokio::test]
async fn approval_policy() {
    let story = story("approval-policy.yaml");
    let world = World::without_operator("approval-policy").await;
    for object in &story.objects {
        let mut object = serde_json::to_value(object).unwrap();
        // It would hold for all other tests.
        object["metadata"]["name"] = world.namespace.as_str().into();
        world
            .kubectl(&["create", "--dry-run=server", "--validate=strict", "--filename=-"], Some(&object.to_string()))
            .await;
    }
    assert_eq!(story.objects.len(), 3);
}

#[tokio::test]
async fn settings_only() {
    let story = story("settings-only.yaml");
    let world = world_for(&story).await;
    apply(&world, &story).await;
    let settings = world.settings("docs-prod", "Synced").await;
    assert_eq!(settings.status.unwrap().paused, Some(true));
    assert_eq!(
        stored(&world, "docs/prod"),
        json!({
            "sourceContext": {"git": {"branch": "refs/heads/main"}},
            "gitHub": {
                "repository": "acme/docs",
                "deployCommits": true,
                "previewPullRequests": true,
                "paths": ["infra/**", "!**/*.md"],
            },
            "cacheOptions": {"enable": true},
        })
    );
    // A push of a commit is one that waits.
    let pushed = world.simulator.create_deployment(&world.stack("docs/prod"), &json!({"operation": "update"})).unwrap();
    assert_eq!(pushed.status, "not-started");
    assert!(world.requests("CreateDeployment").is_empty());
}

#[tokio::test]
async fn private_git() {
    let (world, _) = played("private-git.yaml").await;
    world.settings("billing-dev", "Synced").await;
    let prod = stored(&world, "billing/prod");
    let key = prod["sourceContext"]["git"]["gitAuth"]["sshAuth"]["sshPrivateKey"]["secret"].as_str().unwrap();
    assert!(key.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "{key}");
    assert_eq!(
        prod["executorContext"]["executorImage"],
        json!({
            "reference": "registry.example.com/acme/pulumi:3",
            "credentials": {"username": "puller", "password": {"secret": "a-placeholder-for-the-registry-token"}},
        })
    );
    assert_eq!(
        stored(&world, "billing/dev")["sourceContext"]["git"]["gitAuth"],
        json!({"basicAuth": {
            "userName": {"secret": "billing-bot"}, "password": {"secret": "a-placeholder-for-the-git-token"},
        }})
    );
    assert_eq!(run(&world, "billing/prod").status, "succeeded");
}

/// Where each kind of credentials is, in what is stored for a stack.
fn git_auth(world: &World, stack: &str) -> Value {
    stored(world, stack)["sourceContext"]["git"]["gitAuth"].clone()
}

#[tokio::test]
async fn git_credentials() {
    let (world, _) = played("git-credentials.yaml").await;
    for name in ["ledger-prod", "ledger-staging", "ledger-dev"] {
        world.settings(name, "Synced").await;
    }
    let ssh = git_auth(&world, "ledger/prod")["sshAuth"].clone();
    assert!(ssh["sshPrivateKey"]["secret"].as_str().unwrap().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    assert_eq!(ssh["password"], json!({"secret": "a-placeholder-for-the-passphrase"}));
    assert_eq!(
        git_auth(&world, "ledger/staging"),
        json!({"basicAuth": {"userName": "ledger-bot", "password": {"secret": "a-placeholder-for-the-password"}}})
    );
    assert_eq!(git_auth(&world, "ledger/dev"), json!({"accessToken": {"secret": "a-placeholder-for-the-token"}}));
}

#[tokio::test]
async fn cloud_credentials() {
    let (world, ends) = played("cloud-credentials.yaml").await;
    let oidc = |stack: &str| stored(&world, stack)["operationContext"]["oidc"].clone();
    assert_eq!(
        oidc("shop-aws/prod"),
        json!({"aws": {
            "roleArn": "arn:aws:iam::123456789012:role/shop-deploy",
            "sessionName": "shop-${deployment.version}",
            "duration": "1h30m0s",
            "policyArns": ["arn:aws:iam::aws:policy/AmazonS3FullAccess"],
        }})
    );
    assert_eq!(
        oidc("shop-azure/prod"),
        json!({"azure": {
            "clientId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "tenantId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
            "subscriptionId": "9b2c1e44-6f0a-4c1d-8a53-0d8f4f9d2b11",
        }})
    );
    assert_eq!(
        oidc("shop-gcp/prod"),
        json!({"gcp": {
            "projectId": "123456789012",
            "region": "europe-west3",
            "workloadPoolId": "pulumi",
            "providerId": "pulumi-cloud",
            "serviceAccount": "shop-deploy@acme-shop.iam.gserviceaccount.com",
            "tokenLifetime": "30m0s",
        }})
    );
    for end in ends {
        let steps: Vec<_> = end.run.unwrap().jobs.into_iter().flat_map(|job| job.steps).map(|step| step.name).collect();
        assert!(steps.contains(&"Fetch provider credentials via OIDC".to_owned()), "{steps:?}");
    }
}

#[tokio::test]
async fn github() {
    let (world, _) = played("github.yaml").await;
    world.settings("storefront-prod", "Synced").await;
    assert_eq!(
        stored(&world, "storefront/prod"),
        json!({
            "sourceContext": {"git": {"branch": "refs/heads/main", "repoDir": "infra"}},
            "gitHub": {
                "repository": "acme/storefront",
                "deployCommits": true,
                "previewPullRequests": true,
                "pullRequestTemplate": true,
                "reviewStackLabels": ["review-stack"],
                "deployTags": true,
                "tagFilters": ["v*", "!*-rc*"],
                "paths": ["infra/**", "!**/*.md"],
            },
            "operationContext": {"options": {"skipIntermediateDeployments": true}},
        })
    );
    assert!(world.requests("CreateDeployment").is_empty());
}

#[tokio::test]
async fn gitlab() {
    let (world, _) = played("gitlab.yaml").await;
    world.settings("warehouse-prod", "Synced").await;
    assert_eq!(
        stored(&world, "warehouse/prod"),
        json!({
            "sourceContext": {"git": {"branch": "refs/heads/main"}},
            "vcs": {
                "provider": "gitlab",
                "repository": "acme/logistics/warehouse",
                "installationId": "4711",
                "deployCommits": true,
                "previewPullRequests": true,
                "paths": ["deploy/**"],
            },
        })
    );
}

#[tokio::test]
async fn agent_pool() {
    let story = story("agent-pool.yaml");
    let world = world_for(&story).await;
    let pool = apply_placed(&world, &story).await;
    for name in ["mainframe-update", "mainframe-preview"] {
        ended_in(&world, &world.namespace, name).await;
    }
    assert_eq!(stored(&world, "mainframe/prod")["agentPoolID"], pool);
    let pools: Vec<_> = world
        .simulator
        .deployments(&world.stack("mainframe/prod"))
        .into_iter()
        .map(|run| (run.operation, run.settings.get("agentPoolID").cloned()))
        .collect();
    assert!(pools.contains(&("update".to_owned(), Some(pool.into()))), "{pools:?}");
    assert!(pools.contains(&("preview".to_owned(), None)), "{pools:?}");
}

#[tokio::test]
async fn mercurial() {
    let (world, _) = played("mercurial.yaml").await;
    assert_eq!(
        stored(&world, "archive/prod")["sourceContext"],
        json!({"hg": {
            "repoUrl": "https://hg.example.com/acme/archive",
            "branch": "default",
            "repoDir": "infra",
            "hgAuth": {"basicAuth": {
                "userName": {"secret": "archive-bot"}, "password": {"secret": "a-placeholder-for-the-hg-password"},
            }},
        }})
    );
    assert_eq!(run(&world, "archive/prod").status, "succeeded");
}

#[tokio::test]
async fn template() {
    let (world, _) = played("template.yaml").await;
    world.settings("sandbox-test", "Synced").await;
    assert_eq!(
        stored(&world, "sandbox/dev")["sourceContext"],
        json!({"template": {"sourceUrl": "registry://templates/pulumi/acme/aws-vpc@2.1.0"}})
    );
    assert_eq!(
        stored(&world, "sandbox/test")["sourceContext"],
        json!({"template": {
            "sourceUrl": "https://github.com/acme/templates",
            "gitAuth": {"accessToken": {"secret": "a-placeholder-for-the-template-token"}},
        }})
    );
    assert_eq!(run(&world, "sandbox/dev").status, "succeeded");
}

#[tokio::test]
async fn depends_on() {
    let (world, _) = played("depends-on.yaml").await;
    let [cluster, ingress, database, shop_front] =
        ["cluster/eu", "ingress/eu", "database/eu", "shop-front/eu"].map(|stack| run(&world, stack));
    for (first, then) in
        [(&cluster, &ingress), (&cluster, &database), (&ingress, &shop_front), (&database, &shop_front)]
    {
        assert!(first.status == "succeeded" && then.created >= first.modified, "{first:#?} {then:#?}");
    }
}

#[tokio::test]
async fn outputs() {
    let story = story("outputs.yaml");
    let world = world_for(&story).await;
    let values = json!({"databaseHost": "db.example.com", "databasePassword": {"secret": "a-secret-of-the-stack"}, "ports": [80, 443]});
    world.simulator.set_outputs(&world.stack("shop/prod"), &values).unwrap();
    apply(&world, &story).await;
    // The command in the comment.
    world.kubectl(&["wait", "pdep", "shop", "--for=condition=OutputsWritten", "--timeout=90s"], None).await;
    let secret = world.api::<Secret>().get("shop-database").await.unwrap();
    assert_eq!(secret.labels()["app.kubernetes.io/part-of"], "shop");
    let data = secret.data.unwrap();
    let data: Vec<_> = data.iter().map(|(key, value)| (key.as_str(), str::from_utf8(&value.0).unwrap())).collect();
    assert_eq!(data, [("PGHOST", "db.example.com"), ("PGPASSWORD", "a-secret-of-the-stack")]);
    let config_map = world.api::<ConfigMap>().get("shop").await.unwrap().data.unwrap();
    assert_eq!(json!(config_map), json!({"databaseHost": "db.example.com", "ports": "[80,443]"}));
}

#[tokio::test]
async fn drift() {
    let (world, ends) = played("drift.yaml").await;
    let run = run(&world, "network/staging");
    assert_eq!((run.operation.as_str(), run.status.as_str()), ("detect-drift", "succeeded"));
    assert_eq!(ends[0].step.as_deref(), Some("4/4 Drift detection"));
    let wait = ["wait", "pdep", "network-drift", "--for=condition=Drifted=False", "--timeout=10s"];
    world.kubectl(&wait, None).await;
    assert!(!ends[0].drift.as_ref().unwrap().detected);
    assert!(world.requests("CreateStack").is_empty());

    // The command in the comment asks once more.
    let rerun = "deployments.pulumi.com/rerun=2026-01-01";
    world.kubectl(&["annotate", "--overwrite", "pdep", "network-drift", rerun], None).await;
    world.ended("network-drift", 2).await;
    assert_eq!(world.simulator.deployments(&world.stack("network/staging")).len(), 2);
}

#[tokio::test]
async fn schedules() {
    let story = story("schedules.yaml");
    let world = world_for(&story).await;
    let stack = world.stack("network/prod");
    apply(&world, &story).await;
    world.settings("network-prod", "Synced").await;
    let there = world.simulator.schedules(&stack);
    let told: Vec<_> = there
        .iter()
        .map(|it| (it["scheduleCron"].as_str().unwrap(), it["definition"]["request"]["operation"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("30 4 * * 1-5", "update"), ("0 * * * *", "detect-drift"), ("0 2 * * 0", "refresh")]);
    assert_eq!(there.iter().map(|it| it["paused"] == true).collect::<Vec<_>>(), [false, false, true]);

    // Somebody changes the network by hand: it is found and taken back.
    world.simulator.set_drift(&stack, true).unwrap();
    let id = there[1]["id"].as_str().unwrap();
    world.simulator.fire_schedule(&stack, id).unwrap().unwrap();
    eventually(LONG, "drift was found and repaired", async || {
        let runs = world.simulator.deployments(&stack);
        let steps: Vec<_> = runs.iter().flat_map(|run| run.steps.iter().map(|(name, _)| name.as_str())).collect();
        if runs[0].status == "succeeded" && steps.ends_with(&["Drift detection", "Drift remediation"]) {
            Ok(())
        } else {
            Err(runs)
        }
    })
    .await;
    let now = "reconcile.fluxcd.io/requestedAt=now";
    world.kubectl(&["annotate", "sds", "network-prod", now], None).await;
    eventually(SOON, "the drift is told", async || {
        let described = world.kubectl(&["describe", "sds", "network-prod"], None).await;
        if described.contains("DriftRemediated") { Ok(()) } else { Err(described) }
    })
    .await;
}

#[tokio::test]
async fn ttl_stack() {
    let (world, _) = played("ttl-stack.yaml").await;
    let stack = world.stack("web/experiment");
    assert_eq!(run(&world, "web/experiment").status, "succeeded");
    let end = world.simulator.schedules(&stack).remove(0);
    assert_eq!(end["scheduleOnce"], "2099-12-31 18:00:00.000");

    // Its time has come.
    world.simulator.fire_schedule(&stack, end["id"].as_str().unwrap()).unwrap().unwrap();
    eventually(LONG, "the stack is destroyed and deleted", async || {
        let runs = world.simulator.deployments(&stack);
        if runs.is_empty() { Ok(()) } else { Err(runs) }
    })
    .await;
}

#[tokio::test]
async fn ephemeral_stack() {
    let (world, _) = played("ephemeral-stack.yaml").await;
    assert_eq!(run(&world, "shop/pr-1234").status, "succeeded");
    // The command in the comment.
    let file = directory().join("ephemeral-stack.yaml");
    world.kubectl(&["delete", "--timeout=60s", "--filename", file.to_str().unwrap()], None).await;
    let runs = world.simulator.deployments(&world.stack("shop/pr-1234"));
    let operations: Vec<_> = runs.iter().map(|run| (run.operation.as_str(), run.status.as_str())).collect();
    assert_eq!(operations, [("update", "succeeded"), ("destroy", "succeeded")]);
    assert_eq!(world.simulator.settings(&world.stack("shop/pr-1234")), None);
}

#[tokio::test]
async fn queue() {
    let story = story("queue.yaml");
    let world = world_for(&story).await;
    let stack = world.stack("cache/prod");
    world.simulator.add_stack(&stack).unwrap();
    world.simulator.hold(&stack).unwrap();
    apply(&world, &story).await;
    let phases = async || {
        let deployments = world.api::<Deployment>().list(&ListParams::default()).await.unwrap();
        let mut phases: Vec<_> = deployments.iter().map(|deployment| deployment.status.as_ref()?.phase).collect();
        phases.sort_by_key(|phase| *phase == Some(Phase::Running));
        phases
    };
    eventually(LONG, "one is queued while the other runs", async || match phases().await.as_slice() {
        [Some(Phase::Queued), Some(Phase::Running)] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    world.simulator.release(&stack).unwrap();
    for name in ["cache-update", "cache-refresh"] {
        ended_in(&world, &world.namespace, name).await;
    }
    let mut operations: Vec<_> = world.simulator.deployments(&stack).into_iter().map(|run| run.operation).collect();
    operations.sort();
    assert_eq!(operations, ["refresh", "update"]);
}

#[tokio::test]
async fn keyless() {
    let story = story("keyless.yaml");
    let world = world_for(&story).await;
    let issuer = keyless::cluster(&world)
        .await
        .allow(format!("system:serviceaccount:{}:pulumi", world.namespace), Allowance::Organization { admin: false });
    world.simulator.trust_issuer(&world.organization, issuer).unwrap();
    apply_placed(&world, &story).await;
    ended_in(&world, &world.namespace, "ledger-preview").await;
    let run = run(&world, "ledger/prod");
    assert_eq!((run.operation.as_str(), run.status.as_str()), ("preview", "succeeded"));
    let organization: Organization = world.api().get("acme-keyless").await.unwrap();
    assert_eq!(organization.status.unwrap().user.unwrap().login, world.organization);
}

#[tokio::test]
async fn access_rules() {
    let story = story("access-rules.yaml");
    let world = World::without_operator("access-rules").await;
    world.start_operator(|options| options.watch_namespaces = vec!["platform".to_owned(), "team-shop".to_owned()]);
    let role = story.roles().next().unwrap();
    world.simulator.add_role(&world.organization, &role, "Readers").unwrap();
    apply_placed(&world, &story).await;
    for token in story.tokens() {
        let literal = format!("--from-literal={}={}", token.key, world.token);
        let namespace = token.namespace.unwrap();
        let create = ["create", "secret", "generic", &token.name, "--namespace", &namespace, &literal];
        world.plane.kubectl(create, None).await.success();
    }
    ended_in(&world, "team-shop", "shop-staging-preview").await;
    let refused = ended_in(&world, "team-shop", "shop-staging-update").await;
    let ready = find(&refused.conditions, types::READY).unwrap();
    assert!(ready.message.contains("lets namespace team-shop use the operation update"), "{}", ready.message);

    let run = run(&world, "shop/staging");
    assert_eq!((run.operation.as_str(), run.status.as_str()), ("preview", "succeeded"));
    assert_eq!(run.settings["operationContext"]["role"]["id"], role);
    assert_eq!(stored(&world, "shop/staging")["operationContext"]["role"]["id"], role);
}
