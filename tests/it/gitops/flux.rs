//! Flux asks a resource to be looked at now by an annotation, and waits for the answer in status.

use std::fmt::Debug;

use kube::{Resource, core::NamespaceResourceScope};
use pulumi_deployments_operator::api::{Deployment, Organization, StackDeploymentSettings, deployment::Phase};
use rstest::rstest;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    eventually::{SOON, eventually},
    world::World,
};

async fn asked<K>(world: &World, name: &str, value: &str)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Serialize,
{
    let annotation = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": value}}});
    world.merge::<K>(name, annotation).await;
    eventually(SOON, &format!("{} {name} answers {value}", K::kind(&())), async || {
        let object: Value = serde_json::to_value(world.api::<K>().get(name).await.unwrap()).unwrap();
        let answer = object["status"]["lastHandledReconcileAt"].as_str();
        if answer == Some(value) { Ok(()) } else { Err(object.to_string()) }
    })
    .await;
}

/// Whether something is in order, and whether nothing may be written, makes no difference.
#[rstest]
#[case::in_order(false)]
#[case::suspended(true)]
#[tokio::test]
async fn every_kind_answers(#[case] suspend: bool) {
    let world = World::new("flux").await;
    world.put_organization(json!({})).await;
    world.put_settings(json!({})).await;
    world.put_deployment("web", json!({})).await;
    world.settings("web", "Synced").await;
    world.phase("web", Phase::Succeeded).await;
    if suspend {
        world.merge::<Organization>("acme", json!({"spec": {"suspend": true}})).await;
        world.organization_is("Suspended").await;
    }
    for value in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"] {
        asked::<Organization>(&world, "acme", value).await;
        asked::<StackDeploymentSettings>(&world, "web", value).await;
        asked::<Deployment>(&world, "web", value).await;
    }
    assert_eq!(world.runs().len(), 1, "asking for a look runs nothing");
}
