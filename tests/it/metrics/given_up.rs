//! A finalizer that gives up is counted: what it leaves behind is for a person to find.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, api::DeleteParams};
use pulumi_deployments_operator::api::StackDeploymentSettings;
use serde_json::json;

use super::page::Page;
use crate::{
    eventually::{SOON, eventually},
    world::World,
};

/// Divides the operator's waiting times: it gives up after 2 s instead of 10 minutes.
const SPEED: f64 = 300.0;

#[tokio::test]
async fn what_is_let_go_in_a_namespace_that_is_deleted_is_counted() {
    let world = World::without_operator("given-up").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    let first = world.start_process(world.plane.kubeconfig(), "before");
    world.put_organization(json!({})).await;
    let settings = json!({"operationContext": {"preRunCommands": ["npm test"]}});
    // After a restart they look again at their next turn.
    world.put_settings(json!({"interval": "10s", "settings": settings})).await;
    world.settings("web", "Synced").await;
    first.kill().await;

    // The token's Secret is gone at once, and so nobody can reach the service any more.
    let namespaces = Api::<Namespace>::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    eventually(SOON, "the Secret is gone", async || match world.api::<Secret>().get_opt("pulumi").await.unwrap() {
        None => Ok(()),
        Some(_) => Err(()),
    })
    .await;
    assert!(world.api::<StackDeploymentSettings>().get_opt("web").await.unwrap().is_some(), "it is held");

    let second = world.start_busy_process("after", SPEED);
    let metrics = format!("http://{}/metrics", second.address().await);
    world.gone::<StackDeploymentSettings>("web").await;
    let series = |kind: &str| format!("finalizers_given_up_total{{kind=\"{kind}\"}}");
    eventually(SOON, "it is counted", async || {
        let page = Page(reqwest::get(&metrics).await.unwrap().text().await.unwrap());
        if page.value(&series("stackdeploymentsettings")) == Some(1.0) { Ok(()) } else { Err(page.0) }
    })
    .await;
    assert!(world.stored().unwrap().to_string().contains("npm test"), "what was made is still there");
    assert!(second.log().contains("what it had made in Pulumi Cloud is still there"));
}
