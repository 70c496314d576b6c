//! `run`, `rerun`, `cancel`, `suspend`, `resume`, `pause` and `adopt`.

use pulumi_deployments_operator::api::{
    Deployment, DeploymentStatus, Organization, StackDeploymentSettings,
    condition::{find, types},
    deployment::{Phase, Trigger},
};
use serde_json::{Value, json};

use super::{Plugin, put_deployment, put_settings, world};
use crate::eventually::{SOON, eventually};

#[tokio::test]
async fn what_is_declared_is_run_again() {
    let (world, _) = world("pdep-run").await;
    let plugin = Plugin::of(&world);

    let said = plugin.success(&["run", "web-prod", "--watch"]).await;
    assert!(
        said.starts_with("deployment/web-prod: its request runs once more\n")
            && said.contains("Succeeded 5/5 pulumi update"),
        "{said}"
    );
    assert_eq!(world.runs().len(), 2);
    plugin.success(&["rerun", "web-prod"]).await;
    world.ended("web-prod", 3).await;

    // One that fails is a failure of the command.
    let failing = json!({"settings": {"operationContext": {"preRunCommands": ["exit 3"]}}});
    put_deployment(&world, failing).await;
    world.ended("web-prod", 4).await;
    let output = plugin.run(&["rerun", "web-prod", "-w"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    assert!(output.stdout.contains("✗ 5 Pre-run command 1") && output.stdout.contains("failed at step"), "{output:#?}");
    assert!(output.stdout.contains("| + exit 3"), "{output:#?}");
    assert_eq!(world.runs().len(), 5);
}

#[tokio::test]
async fn what_is_suspended_is_not_run_on_the_way() {
    let (world, _) = world("pdep-hold").await;
    let plugin = Plugin::of(&world);

    let said = plugin.success(&["suspend", "web-prod"]).await;
    assert!(said.contains("nothing new is started"), "{said}");
    assert!(plugin.success(&["suspend", "deployment/web-prod"]).await.contains("already"));
    let said = plugin.failure(&["run", "web-prod"]).await;
    assert!(said.contains("is suspended") && said.contains("kubectl pdep resume web-prod"), "{said}");
    let said = plugin.success(&["rerun", "web-prod"]).await;
    assert!(said.contains("it is suspended, and runs after"), "{said}");
    world.phase("web-prod", Phase::Pending).await;
    let shown = plugin.success(&["status", "web-prod"]).await;
    assert!(shown.contains("suspended") && shown.contains("Suspended: "), "{shown}");

    let said = plugin.success(&["resume", "web-prod"]).await;
    assert_eq!(said, "deployment/web-prod: goes on (spec.suspend is false)\n");
    world.ended("web-prod", 2).await;
    assert_eq!(plugin.success(&["resume", "web-prod"]).await, "web-prod: nothing is suspended or paused here\n");

    plugin.success(&["suspend", "organization/acme"]).await;
    world.organization_is("Suspended").await;
    plugin.success(&["resume", "acme"]).await;
    world.organization_is("Connected").await;
    assert_eq!(world.api::<Organization>().get("acme").await.unwrap().spec.paused, None);
}

#[tokio::test]
async fn stacks_and_organizations_are_paused() {
    let (world, _) = world("pdep-pause").await;
    let plugin = Plugin::of(&world);

    plugin.success(&["pause", "web-prod"]).await;
    eventually(SOON, "the stack is paused", async || {
        let settings = world.api::<StackDeploymentSettings>().get("web-prod").await.unwrap();
        let status = settings.status.unwrap_or_default();
        if status.paused == Some(true) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert!(plugin.success(&["status"]).await.contains("Settings web-prod  Synced  paused  "));
    // The Deployment of that name is not held.
    let said = plugin.success(&["resume", "web-prod"]).await;
    assert_eq!(said, "settings/web-prod: goes on (spec.paused is false)\n");
    eventually(SOON, "the stack goes on", async || {
        let settings = world.api::<StackDeploymentSettings>().get("web-prod").await.unwrap();
        let status = settings.status.unwrap_or_default();
        if status.paused == Some(false) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;

    plugin.success(&["pause", "organization/acme"]).await;
    eventually(SOON, "the organization is paused", async || {
        let status = world.api::<Organization>().get("acme").await.unwrap().status.unwrap_or_default();
        if status.paused == Some(true) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    plugin.success(&["resume", "organization/acme"]).await;

    // Several are held: which one is meant?
    plugin.success(&["pause", "settings/web-prod"]).await;
    plugin.success(&["suspend", "deployment/web-prod"]).await;
    let said = plugin.failure(&["resume", "web-prod"]).await;
    assert!(said.contains("write deployment/web-prod or settings/web-prod"), "{said}");
    let said = plugin.failure(&["pause", "deployment/web-prod"]).await;
    assert!(said.contains("has no spec.paused: write settings/NAME or organization/NAME"), "{said}");
    let said = plugin.failure(&["suspend", "nobody"]).await;
    assert!(said.contains("there is no deployment or organization nobody in namespace"), "{said}");
}

#[tokio::test]
async fn a_run_is_canceled_and_status_says_what_it_was_told_to() {
    let (world, _) = world("pdep-cancel").await;
    let plugin = Plugin::of(&world);
    let stack = world.stack("web/prod");
    let said = plugin.failure(&["cancel", "web-prod", "--yes"]).await;
    assert!(said.contains("has ended already: run 1 is succeeded"), "{said}");

    world.simulator.hold_at(&stack, "Get source").unwrap();
    put_deployment(&world, json!({"rerun": "held", "retry": {"limit": 3}})).await;
    world
        .deployment("web-prod", "runs again", |status| {
            status.step.as_deref().is_some_and(|step| step.ends_with("Get source"))
        })
        .await;
    let said = plugin.failure(&["run", "web-prod"]).await;
    assert!(said.contains("has a run under way"), "{said}");
    let said = plugin.failure(&["cancel", "web-prod", "--yes"]).await;
    assert!(said.contains("spec.retry") && said.contains("--suspend"), "{said}");
    let said = plugin.failure(&["cancel", "web-prod", "--suspend"]).await;
    assert!(said.contains("there is no terminal to ask at; write --yes"), "{said}");
    assert!(world.requests("CancelDeployment").is_empty());

    let said = plugin.success(&["cancel", "web-prod", "--suspend", "--yes"]).await;
    assert!(said.contains("run 2 of") && said.ends_with("the status will show Failed.\n"), "{said}");
    world.simulator.release(&stack).unwrap();
    world
        .deployment("web-prod", "has failed", |status| {
            status.run.as_ref().is_some_and(|run| run.result == Some(Phase::Failed))
        })
        .await;
    assert!(world.api::<Deployment>().get("web-prod").await.unwrap().spec.suspend);
    assert_eq!(world.runs().len(), 2);
}

#[tokio::test]
async fn a_run_that_is_queued_is_taken_out_of_the_queue() {
    let (world, _) = world("pdep-queued").await;
    let plugin = Plugin::of(&world);
    put_settings(&world, json!({"paused": true})).await;
    world.settings("web-prod", "Synced").await;
    put_deployment(&world, json!({"rerun": "paused"})).await;
    world.phase("web-prod", Phase::Queued).await;

    let said = plugin.success(&["cancel", "web-prod", "--yes"]).await;
    assert!(said.contains("RunDisappeared"), "{said}");
    let status = world.ended("web-prod", 2).await;
    assert_eq!(status.phase, Some(Phase::Failed));
    assert_eq!(find(&status.conditions, types::READY).unwrap().reason, "RunDisappeared");
}

/// What a command prints for programs.
async fn object(plugin: &Plugin, args: &[&str]) -> Value {
    let args = [args, &["-o", "json"]].concat();
    let object: Value = serde_json::from_str(&plugin.success(&args).await).unwrap();
    assert_eq!(object["metadata"].get("managedFields"), None, "{args:?}");
    object
}

#[tokio::test]
async fn what_is_changed_is_printed_for_programs() {
    let (world, _) = world("pdep-output").await;
    let plugin = Plugin::of(&world);
    let rerun = |object: &Value| object["metadata"]["annotations"]["deployments.pulumi.com/rerun"].clone();

    let again = object(&plugin, &["run", "web-prod"]).await;
    assert!(again["kind"] == "Deployment" && rerun(&again).is_string(), "{again:#}");
    world.ended("web-prod", 2).await;
    let yaml = plugin.success(&["rerun", "web-prod", "--output", "yaml"]).await;
    let once_more: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert!(rerun(&once_more).is_string() && rerun(&once_more) != rerun(&again), "{yaml}");
    world.ended("web-prod", 3).await;
    let output = plugin.run(&["run", "web-prod", "--watch", "-o", "json"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:#?}");

    // Whether there was anything to do or not.
    for _ in 0..2 {
        assert_eq!(object(&plugin, &["suspend", "deployment/web-prod"]).await["spec"]["suspend"], true);
    }
    for _ in 0..2 {
        assert_eq!(object(&plugin, &["resume", "deployment/web-prod"]).await["spec"]["suspend"], false);
    }
    let paused = object(&plugin, &["pause", "web-prod"]).await;
    assert_eq!((&paused["kind"], &paused["spec"]["paused"]), (&json!("StackDeploymentSettings"), &json!(true)));
    assert_eq!(object(&plugin, &["resume", "web-prod"]).await["spec"]["paused"], false);
    let both = object(&plugin, &["resume", "web-prod"]).await;
    let kinds: Vec<_> = both["items"].as_array().unwrap().iter().map(|item| item["kind"].clone()).collect();
    assert_eq!(kinds, ["Deployment", "StackDeploymentSettings"]);

    world.put_deployment("restored", json!({"settingsRef": {"name": "web-prod"}, "suspend": true})).await;
    let adopted = object(&plugin, &["adopt", "restored", "latest"]).await;
    assert_eq!(adopted["metadata"]["annotations"]["deployments.pulumi.com/adopt"], "latest");

    let stack = world.stack("web/prod");
    world.simulator.hold_at(&stack, "Get source").unwrap();
    put_deployment(&world, json!({"rerun": "held"})).await;
    world.deployment("web-prod", "runs again", |status| status.phase == Some(Phase::Running)).await;
    let canceled = object(&plugin, &["cancel", "web-prod", "--suspend", "--yes"]).await;
    assert_eq!((&canceled["spec"]["suspend"], world.requests("CancelDeployment").len()), (&json!(true), 1));
    world.simulator.release(&stack).unwrap();
}

#[tokio::test]
async fn a_request_is_adopted() {
    let (world, status) = world("pdep-adopt").await;
    let plugin = Plugin::of(&world);
    let said = plugin.failure(&["adopt", "web-prod", "latest"]).await;
    assert!(said.contains("has handled a request"), "{said}");
    let id = status.run.unwrap().id;
    for (name, run) in [("newest", "latest"), ("named", id.as_str())] {
        let manifest = json!({"apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Deployment",
            "metadata": {"name": name}, "spec": {"settingsRef": {"name": "web-prod"}, "operation": "update", "suspend": true}});
        world.kubectl(&["apply", "--filename=-"], Some(&manifest.to_string())).await;
        plugin.success(&["adopt", name, run]).await;
        let is_adopted = |status: &DeploymentStatus| status.phase == Some(Phase::Succeeded);
        let adopted = world.deployment(name, "is adopted", is_adopted).await.run.unwrap();
        assert_eq!((adopted.id.as_str(), adopted.trigger), (id.as_str(), Some(Trigger::Adopted)));
    }
    assert_eq!(world.runs().len(), 1);
    let said = plugin.failure(&["adopt", "web-prod", "no id"]).await;
    assert!(said.contains("write latest, or an id"), "{said}");
}
