//! A stack's outputs, in a Secret and a ConfigMap.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use pulumi_cloud_simulator::{Fault, Simulator};
use pulumi_deployments_operator::api::{
    Condition, ConditionStatus, Deployment, DeploymentStatus,
    condition::{find, types},
    deployment::Phase,
};
use serde_json::{Value, json};

use crate::{
    eventually::{SOON, eventually},
    world::World,
};

const CANARY: &str = "canary-output-81c5e2";

fn told(status: &DeploymentStatus) -> Option<&Condition> {
    find(&status.conditions, "OutputsWritten")
}

/// Waits until outputs of a version were written, or left out, with this reason.
async fn written(world: &World, version: u64, reason: &str) -> DeploymentStatus {
    world
        .deployment("web", &format!("has outputs of {version}: {reason}"), |status| {
            status.outputs.as_ref().is_some_and(|outputs| outputs.version == version)
                && told(status).is_some_and(|told| told.reason == reason)
        })
        .await
}

async fn secret(world: &World, name: &str) -> BTreeMap<String, String> {
    let data = world.api::<Secret>().get(name).await.unwrap().data.unwrap_or_default();
    data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect()
}

async fn config_map(world: &World, name: &str) -> BTreeMap<String, String> {
    world.api::<ConfigMap>().get(name).await.unwrap().data.unwrap_or_default()
}

fn put(world: &World, outputs: &Value) {
    world.simulator.set_outputs(&world.stack("web/prod"), outputs).unwrap();
}

#[tokio::test]
async fn outputs_are_written_and_follow_the_stack() {
    let world = World::new("outputs").await;
    world.put_organization(json!({})).await;
    put(
        &world,
        &json!({
            "url": "https://example.com", "count": 3, "password": {"secret": CANARY},
            "deep": {"users": [{"name": "a", "password": {"secret": CANARY}}]}, "old": true, "odd name": "x",
        }),
    );
    let outputs = json!({
        "secret": {"name": "all", "labels": {"tier": "gold", "old": "1"}, "keys": [
            {"output": "url"}, {"output": "count"}, {"output": "password", "key": "PASSWORD"},
            {"output": "deep", "key": "deep.json"}, {"output": "old"}, {"output": "odd name", "key": "odd"},
        ]},
        "configMap": {"name": "open", "keys": [{"output": "url", "key": "URL"}, {"output": "count"}, {"output": "old"}]},
    });
    world.put_deployment("web", json!({"outputs": outputs})).await;
    let status = written(&world, 1, "OutputsWritten").await;
    let message = "the outputs of update 1 are in 3 keys of ConfigMap open and 6 keys of Secret all";
    assert_eq!(
        (told(&status).unwrap().status, told(&status).unwrap().message.as_str()),
        (ConditionStatus::True, message)
    );
    assert_eq!(status.phase, Some(Phase::Succeeded));
    assert_eq!(
        json!(secret(&world, "all").await),
        json!({
            "url": "https://example.com", "count": "3", "PASSWORD": CANARY, "old": "true", "odd": "x",
            "deep.json": format!(r#"{{"users":[{{"name":"a","password":"{CANARY}"}}]}}"#),
        })
    );
    assert_eq!(
        json!(config_map(&world, "open").await),
        json!({"URL": "https://example.com", "count": "3", "old": "true"})
    );

    // What others add stays; what the stack gives out no more goes; what it gives out now comes.
    let more =
        json!({"metadata": {"labels": {"mine": "1"}, "annotations": {"mine": "1"}}, "stringData": {"mine": "1"}});
    world.merge::<Secret>("all", more).await;
    let labels = json!({"spec": {"outputs": {"secret": {"labels": {"tier": "silver", "old": null}}}}});
    world.merge::<Deployment>("web", labels).await;
    eventually(SOON, "new labels", async || {
        let labels = world.api::<Secret>().get("all").await.unwrap().labels().clone();
        if json!(labels) == json!({"tier": "silver", "mine": "1"}) { Ok(()) } else { Err(labels) }
    })
    .await;
    assert_eq!(world.runs().len(), 1, "a change of outputs is no request");
    put(&world, &json!({"url": "https://example.org", "count": 4, "password": {"secret": CANARY}, "odd name": [1]}));
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    let status = written(&world, 2, "OutputsIncomplete").await;
    let message = &told(&status).unwrap().message;
    assert!(message.contains("the stack has no output \"deep\"; the stack has no output \"old\""), "{message}");
    assert_eq!(find(&status.conditions, types::READY).unwrap().status, ConditionStatus::True);
    assert_eq!(
        json!(secret(&world, "all").await),
        json!({"url": "https://example.org", "count": "4", "PASSWORD": CANARY, "odd": "[1]", "mine": "1"})
    );
    assert_eq!(json!(config_map(&world, "open").await), json!({"URL": "https://example.org", "count": "4"}));
    assert_eq!(world.api::<Secret>().get("all").await.unwrap().annotations()["mine"], "1");

    // One that is deleted comes back, and all of them go with the Deployment.
    world.delete::<ConfigMap>("open").await;
    eventually(SOON, "it is written again", async || {
        world.api::<ConfigMap>().get_opt("open").await.unwrap().map(|_| ()).ok_or("not there")
    })
    .await;
    assert_eq!(world.requests("ExportStack").len(), 4, "first, labels, rerun, deleted");
    world.delete::<Deployment>("web").await;
    // The garbage collector learns of new kinds every half minute.
    eventually(SOON * 3, "Secret and ConfigMap are gone", async || {
        let secret = world.api::<Secret>().get_opt("all").await.unwrap();
        let config_map = world.api::<ConfigMap>().get_opt("open").await.unwrap();
        if secret.is_none() && config_map.is_none() { Ok(()) } else { Err((secret, config_map)) }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_written_into_what_belongs_to_others() {
    let world = World::new("foreign").await;
    world.put_organization(json!({})).await;
    put(&world, &json!({"url": "https://example.com", "password": {"secret": CANARY}}));
    world.put_secret("web", &[("mine", "1")]).await;
    let before = world.api::<Secret>().get("web").await.unwrap().resource_version();
    let all = json!({"secret": {"name": "web"}, "configMap": {"name": "web"}});
    world.put_deployment("web", json!({"outputs": all})).await;
    let status = world
        .deployment("web", "is refused", |status| told(status).is_some_and(|told| told.reason == "OutputsRefused"))
        .await;
    let message = &told(&status).unwrap().message;
    assert!(message.contains("Secret web: it is there already and does not belong to this Deployment"), "{message}");
    let ready = find(&status.conditions, types::READY).unwrap();
    assert_eq!((status.phase, ready.status), (Some(Phase::Succeeded), ConditionStatus::False));
    assert_eq!(find(&status.conditions, types::STALLED).unwrap().reason, "OutputsRefused", "only a person can help");
    assert_eq!(world.api::<Secret>().get("web").await.unwrap().resource_version(), before);
    assert!(world.requests("ExportStack").is_empty(), "it is known before the service is asked");

    world.delete::<Secret>("web").await;
    let status = written(&world, 1, "OutputsWritten").await;
    assert_eq!(find(&status.conditions, types::READY).unwrap().status, ConditionStatus::True);
    assert_eq!(json!(secret(&world, "web").await), json!({"url": "https://example.com", "password": CANARY}));
    assert_eq!(json!(config_map(&world, "web").await), json!({"url": "https://example.com"}), "all that is not secret");
    assert_eq!(world.runs().len(), 1);

    // What is not declared any more is not told any more.
    world.merge::<Deployment>("web", json!({"spec": {"outputs": null}})).await;
    world.deployment("web", "says nothing", |status| told(status).is_none() && status.outputs.is_none()).await;
}

/// Nothing is read of the stack's state, which may hold secrets, and nothing is tried that is not allowed.
#[tokio::test]
async fn an_operator_that_may_write_none_says_so() {
    let world = World::without_operator("outputs-off").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.start_operator(|options| options.write_outputs = false);
    world.put_organization(json!({})).await;
    put(&world, &json!({"url": "https://example.com", "password": {"secret": CANARY}}));
    world.put_deployment("web", json!({"outputs": {"secret": {"name": "web"}, "configMap": {"name": "web"}}})).await;
    let status = world
        .deployment("web", "is refused", |status| told(status).is_some_and(|told| told.reason == "OutputsRefused"))
        .await;
    assert_eq!(
        told(&status).unwrap().message,
        "no outputs are written into ConfigMap web: this operator is run with --write-outputs=false, without the right to \
         write Secrets and ConfigMaps; who runs it can turn that on (outputs.enabled of the Helm chart)"
    );
    let ready = find(&status.conditions, types::READY).unwrap();
    assert_eq!((status.phase, ready.status), (Some(Phase::Succeeded), ConditionStatus::False));
    assert!(world.requests("ExportStack").is_empty());
    assert!(world.api::<Secret>().get_opt("web").await.unwrap().is_none());

    // The next request runs all the same.
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    world.ended("web", 2).await;
}

#[tokio::test]
async fn what_can_not_be_read_is_told_and_read_again() {
    let world = World::new("unread").await;
    world.put_organization(json!({})).await;
    put(&world, &json!({"large": "x".repeat(1 << 20)}));
    world.put_deployment("web", json!({"outputs": {"configMap": {"name": "web"}}})).await;
    let refused = |text: &'static str| {
        move |status: &DeploymentStatus| told(status).is_some_and(|told| told.message.contains(text))
    };
    let status = world.deployment("web", "is too large", refused("outputs are larger than 1 MiB")).await;
    assert_eq!((told(&status).unwrap().status, status.phase), (ConditionStatus::False, Some(Phase::Succeeded)));
    assert_eq!(find(&status.conditions, types::STALLED).unwrap().reason, "OutputsRefused");

    // Nothing but a change makes it ask again; another process and a label are none.
    let log = |number: u32| format!("refused-{number}");
    let operator = world.start_process(world.plane.kubeconfig(), &log(1));
    world.merge::<Deployment>("web", json!({"metadata": {"labels": {"a": "b"}}, "spec": {"historyLimit": 3}})).await;
    world.deployment("web", "is still too large", refused("outputs are larger than 1 MiB")).await;
    world.put_deployment("another", json!({})).await;
    world.ended("another", 1).await;
    operator.kill().await;
    assert_eq!(world.requests("ExportStack").len(), 1, "it is not asked for again");
    let ask = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
    world.merge::<Deployment>("web", ask).await;
    eventually(SOON, "somebody asked", async || match world.requests("ExportStack").len() {
        2 => Ok(()),
        count => Err(count),
    })
    .await;
    world.delete::<Deployment>("another").await;
    world.gone::<Deployment>("another").await;

    put(&world, &json!({"small": "x"}));
    let fault = || Fault::on("ExportStack").organization(world.organization.clone());
    let broken = world.simulator.inject(fault().truncate_body());
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    written(&world, 3, "OutputsWritten").await;
    assert_eq!(broken.hits(), 1);
    assert_eq!(json!(config_map(&world, "web").await), json!({"small": "x"}));
    let unavailable = world.simulator.inject(fault().answer(503));
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "3"}})).await;
    written(&world, 4, "OutputsWritten").await;
    assert_eq!(unavailable.hits(), 1);
}

/// Secrets that another provider keeps: the service says 400, and will again.
#[tokio::test]
async fn secrets_that_can_not_be_decrypted_are_asked_for_once_per_run_and_declaration() {
    let world = World::new("foreign-secrets").await;
    world.put_organization(json!({})).await;
    put(&world, &json!({"url": "https://example.com", "password": {"secret": CANARY}}));
    let fault = Fault::on("BatchDecryptValue").organization(world.organization.clone()).answer(400).always();
    let refused = world.simulator.inject(fault);
    let all = json!({"secret": {"name": "web"}, "configMap": {"name": "web"}});
    world.put_deployment("web", json!({"outputs": all})).await;
    let is_refused = |status: &DeploymentStatus| told(status).is_some_and(|told| told.reason == "OutputsRefused");
    let status = world.deployment("web", "is refused", is_refused).await;
    let message = &told(&status).unwrap().message;
    assert!(
        message.contains("Only secrets that Pulumi Cloud itself keeps") && message.contains("until there is"),
        "{message}"
    );
    assert_eq!(
        json!(config_map(&world, "web").await),
        json!({"url": "https://example.com"}),
        "this needs none of them"
    );
    world.merge::<Deployment>("web", json!({"spec": {"historyLimit": 3}})).await;
    world.deployment("web", "is still refused", is_refused).await;
    assert_eq!(refused.hits(), 1);

    let open = json!({"secret": {"keys": [{"output": "url"}]}});
    world.merge::<Deployment>("web", json!({"spec": {"outputs": open}})).await;
    let status = written(&world, 1, "OutputsWritten").await;
    assert_eq!((refused.hits(), status.outputs_refusal), (1, None));
    assert_eq!(json!(secret(&world, "web").await), json!({"url": "https://example.com"}));
}

/// A new request does not keep what the run before has left from being written, and what can't be written does not keep
/// a new request from running.
#[tokio::test]
async fn outputs_and_requests_hold_back_each_other_only_for_a_moment() {
    let world = World::new("beside").await;
    world.put_organization(json!({})).await;
    put(&world, &json!({"url": "https://example.com"}));
    let fault = || Fault::on("ExportStack").organization(world.organization.clone());
    let unavailable = world.simulator.inject(fault().answer(503).always());
    world.put_deployment("web", json!({"outputs": {"secret": {"name": "web"}}})).await;
    let status = world
        .deployment("web", "can't read", |status| {
            find(&status.conditions, types::RECONCILING).is_some_and(|it| it.reason == "ProgressingWithRetry")
        })
        .await;
    let ready = find(&status.conditions, types::READY).unwrap();
    assert_eq!((status.phase, ready.reason.as_str()), (Some(Phase::Succeeded), "OutputsPending"));
    world.merge::<Deployment>("web", json!({"spec": {"suspend": true, "rerun": "2"}})).await;
    let suspended = |status: &DeploymentStatus| {
        find(&status.conditions, types::READY).is_some_and(|ready| ready.reason == "Suspended")
    };
    world.deployment("web", "is suspended", suspended).await;
    unavailable.remove();
    written(&world, 1, "OutputsWritten").await;
    let status = world.deployment("web", "is still suspended", suspended).await;
    assert_eq!((status.phase, world.runs().len()), (Some(Phase::Pending), 1));

    let unavailable = world.simulator.inject(fault().answer(503).always());
    world.merge::<Deployment>("web", json!({"spec": {"suspend": false}})).await;
    world
        .deployment("web", "request 2 has ended", |status| {
            status.run.as_ref().is_some_and(|run| run.version == 2 && run.result.is_some())
        })
        .await;
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "3"}})).await;
    eventually(SOON, "the third run", async || if world.runs().len() == 3 { Ok(()) } else { Err(world.runs()) }).await;
    unavailable.remove();
    written(&world, 3, "OutputsWritten").await;

    // One that fails leaves nothing, and it stays told whose outputs there are.
    let fails = json!({"settings": {"operationContext": {"preRunCommands": ["exit 1"]}}, "outputs": {"configMap": {"name": "web"}}});
    world.merge::<Deployment>("web", json!({"spec": fails})).await;
    let status = world.ended("web", 4).await;
    assert_eq!(status.phase, Some(Phase::Failed));
    let told = told(&status).unwrap();
    assert_eq!((told.status, told.reason.as_str()), (ConditionStatus::Unknown, "OutputsPending"));
    assert!(told.message.starts_with("what was last written are the outputs of update 3"), "{}", told.message);
}

/// Whoever is told first that the token is not accepted tells the Organization.
#[tokio::test]
async fn a_token_that_is_rejected_is_the_organizations_business() {
    let world = World::without_operator("rejected").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    // At this pace nobody looks again by himself while this test runs.
    world.start_operator(|options| options.speed = 1.0);
    world.put_organization(json!({})).await;
    put(&world, &json!({"url": "https://example.com"}));
    let rejected =
        world.simulator.inject(Fault::on("ExportStack").organization(world.organization.clone()).answer(401));
    world.put_deployment("web", json!({"outputs": {"secret": {"name": "web"}}})).await;
    world.deployment("web", "is rejected", |status| told(status).is_some_and(|it| it.reason == "TokenRejected")).await;
    let rejection = world.requests("ExportStack")[0].number;
    eventually(SOON, "the Organization looks again", async || {
        let looks = world.requests("GetOrganizationMetadata");
        if looks.iter().any(|look| look.number > rejection) { Ok(()) } else { Err(looks.len()) }
    })
    .await;
    assert_eq!(rejected.hits(), 1);
}

/// A state of 200 MB goes through the operator, which needs no more memory for it than for a small one.
#[tokio::test]
async fn a_large_state_takes_no_memory() {
    /// Each byte of the ballast is in the state twice: among a resource's inputs and among its outputs.
    const BALLAST: usize = 100_000_000;
    const MOST: u64 = 16 << 20;
    let cloud = Simulator::builder().speed(100.0).start().await.unwrap();
    let world = World::in_cloud("large", cloud).await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    put(&world, &json!({"url": "https://example.com", "password": {"secret": CANARY}}));
    let operator = world.start_process(world.plane.kubeconfig(), "large");
    let all = json!({"secret": {"name": "web"}, "configMap": {"name": "web"}});
    world.put_deployment("web", json!({"outputs": all})).await;
    written(&world, 1, "OutputsWritten").await;

    let before = operator.peak_memory();
    world.simulator.set_state_ballast(&world.stack("web/prod"), BALLAST).unwrap();
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    eventually(Duration::from_secs(300), "the outputs of a large state", async || {
        let status = world.api::<Deployment>().get("web").await.unwrap().status.unwrap_or_default();
        if status.outputs.as_ref().is_some_and(|outputs| outputs.version == 2) { Ok(()) } else { Err(status) }
    })
    .await;
    let grown = operator.peak_memory() - before;
    assert!(grown < MOST, "{grown} bytes more");
    assert_eq!(secret(&world, "web").await["password"], CANARY);

    // An operator that is started again has nothing to do.
    let version = async || world.api::<Deployment>().get("web").await.unwrap().resource_version();
    let (reads, at) = (world.requests("ExportStack").len(), version().await);
    let log = operator.log();
    operator.kill().await;
    let operator = world.start_process(world.plane.kubeconfig(), "again");
    world.simulator.set_state_ballast(&world.stack("web/prod"), 0).unwrap();
    world.put_deployment("another", json!({})).await;
    world.ended("another", 1).await;
    assert_eq!((world.requests("ExportStack").len(), version().await), (reads, at));

    let everywhere = [
        ("the logs", log + &operator.log()),
        (
            "the resources",
            world.kubectl(&["get", "pulumi,configmaps", "--output=yaml", "--show-managed-fields"], None).await,
        ),
        ("the events", world.kubectl(&["get", "events.events.k8s.io", "--output=yaml"], None).await),
    ];
    assert!(everywhere[0].1.contains("wrote outputs"), "the log is the right one");
    assert!(everywhere[2].1.contains("reason: OutputsWritten"), "{}", everywhere[2].1);
    for canary in [CANARY.to_owned(), BASE64_STANDARD.encode(CANARY)] {
        for (place, text) in &everywhere {
            assert!(!text.contains(&canary), "{canary} is in {place}:\n{text}");
        }
    }
}
