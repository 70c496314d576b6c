//! An organization whose backend has the deprecated preview routes and no others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use pulumi_cloud_simulator::{Dialect, Fault, Simulator};
use pulumi_deployments_operator::api::{
    Condition, ConditionStatus, Deployment, Organization, StackDeploymentSettings,
    condition::{find, types},
    deployment::Phase,
};
use serde_json::json;

use crate::world::World;

#[track_caller]
fn assert_unsupported(conditions: &[Condition], type_: &str, what: &str) {
    let condition = find(conditions, type_).unwrap_or_else(|| panic!("no {type_} in {conditions:#?}"));
    assert_eq!((condition.status, condition.reason.as_str()), (ConditionStatus::False, "UnsupportedByBackend"));
    assert!(condition.message.contains("preview API") && condition.message.contains(what), "{}", condition.message);
}

#[tokio::test]
async fn deployments_and_settings_work_and_the_rest_says_that_it_does_not() {
    let simulator = Simulator::builder().speed(100.0).dialect(Dialect::PreviewOnly).start().await.unwrap();
    let world = World::in_cloud("preview", simulator).await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.start_operator(|_| ());
    world.put_organization(json!({"dialect": "Preview", "paused": true})).await;
    assert_unsupported(&world.organization_is("Connected").await, "PauseApplied", "lacks pausing");

    let git = json!({"repoURL": "https://example.com/web.git", "branch": "main"});
    let document = json!({
        "sourceContext": {"git": git},
        "operationContext": {"environmentVariables": [{"name": "TIER", "value": "gold"}]},
    });
    let nightly = json!({"name": "nightly", "drift": {"cron": "0 3 * * *"}});
    world.put_settings(json!({"paused": false, "schedules": [nightly], "settings": document})).await;
    let conditions = world.settings("web", "Synced").await.status.unwrap().conditions;
    assert_unsupported(&conditions, "PauseApplied", "lacks pausing");
    assert_unsupported(&conditions, "SchedulesApplied", "lacks schedules");
    assert_eq!(world.stored().unwrap()["operationContext"]["environmentVariables"]["TIER"], "gold");
    assert_eq!(world.requests("PreviewPatchSettings").len(), 1);

    world.put_deployment("web", json!({"settingsRef": {"name": "web"}})).await;
    let status = world.ended("web", 1).await;
    assert_eq!(status.phase, Some(Phase::Succeeded));
    assert!(status.run.unwrap().jobs.iter().all(|job| !job.steps.is_empty()));
    let created = world.requests("PreviewCreateDeployment");
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].body["operationContext"]["operation"], "update");
    assert_eq!(created[0].body["inheritSettings"], true);
    assert_eq!(world.runs()[0].environment["TIER"], ("gold".to_owned(), false));
    assert!(!world.requests("PreviewGetDeployment").is_empty(), "it is followed by its id");

    // The answer to a create is lost, and its run is found again.
    world.simulator.inject(Fault::on("PreviewCreateDeployment").drop_after());
    world.put_deployment("lost", json!({"operation": "preview"})).await;
    assert_eq!(world.ended("lost", 1).await.phase, Some(Phase::Succeeded));
    assert_eq!(world.runs().len(), 2);

    // A run that is under way is canceled.
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("long", json!({"deletionPolicy": "Cancel"})).await;
    world.phase("long", Phase::Running).await;
    world.delete::<Deployment>("long").await;
    world.gone::<Deployment>("long").await;
    assert_eq!(world.requests("PreviewCancelDeployment").len(), 1);
    assert_eq!(world.runs()[2].status, "failed");

    for operation in ["detect-drift", "remediate-drift"] {
        world.put_deployment(operation, json!({"operation": operation})).await;
        let status = world.phase(operation, Phase::Pending).await;
        assert_unsupported(&status.conditions, types::READY, operation);
    }
    assert_eq!(world.runs().len(), 3);

    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    assert_eq!(world.stored(), None);
    for name in ["web", "lost", "detect-drift", "remediate-drift"] {
        world.delete::<Deployment>(name).await;
        world.gone::<Deployment>(name).await;
    }
    world.delete::<Organization>("acme").await;
    world.gone::<Organization>("acme").await;
    let strays = world.simulator.requests_where(|request| request.operation.is_empty());
    assert!(strays.is_empty(), "{strays:#?}");
}
