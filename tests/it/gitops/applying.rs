//! What the operator and the API server write into a resource is no difference to what is in Git.

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use pulumi_deployments_operator::api::{
    Deployment, Organization, StackDeploymentSettings,
    condition::{find, types},
};
use serde_json::{Value, json};

use super::root;
use crate::{
    eventually::{SOON, eventually},
    examples::stories::{self, Place, Story, kind},
    world::{World, settings_manifest},
};

/// Who Argo CD is in managed fields.
const ARGO_CD: &str = "argocd-controller";

fn api(world: &World, object: &DynamicObject) -> Api<DynamicObject> {
    let resource = match kind(object) {
        "Organization" => ApiResource::erase::<Organization>(&()),
        "StackDeploymentSettings" => ApiResource::erase::<StackDeploymentSettings>(&()),
        "Deployment" => ApiResource::erase::<Deployment>(&()),
        "Secret" => ApiResource::erase::<Secret>(&()),
        "ConfigMap" => ApiResource::erase::<ConfigMap>(&()),
        "ServiceAccount" => ApiResource::erase::<ServiceAccount>(&()),
        other => panic!("an example has a {other}"),
    };
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

async fn apply(world: &World, object: &DynamicObject, dry_run: bool) -> DynamicObject {
    let params = PatchParams { dry_run, ..PatchParams::apply(ARGO_CD).force() };
    api(world, object).patch(&object.name_any(), &params, &Patch::Apply(object)).await.unwrap()
}

/// What comparing can't leave out: all but who wrote which field when.
fn comparable(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    serde_json::to_value(object).unwrap()
}

/// Asserts that an apply of the same manifest would change nothing once the operator has nothing more to say.
async fn settles(world: &World, object: &DynamicObject) -> DynamicObject {
    eventually(SOON.saturating_mul(3), &format!("{} is as applied", object.name_any()), async || {
        let live = api(world, object).get(&object.name_any()).await.unwrap();
        let is_ours = live.types.as_ref().is_some_and(|it| it.api_version.starts_with("deployments.pulumi.com/"));
        if is_ours && live.data["status"]["observedGeneration"] != json!(live.metadata.generation) {
            return Err(format!("not looked at yet: {live:#?}"));
        }
        let predicted = apply(world, object, true).await;
        let (live_now, predicted) = (comparable(live.clone()), comparable(predicted));
        if live_now == predicted { Ok(live) } else { Err(format!("{live_now:#}\nwould become\n{predicted:#}")) }
    })
    .await
}

/// The paths at which `live` has another list than `written`. Argo CD compares lists as a whole.
fn other_lists(written: &Value, live: &Value, path: &str) -> Vec<String> {
    match (written, live) {
        (Value::Object(written), Value::Object(live)) => {
            let of = |(name, value): (&String, &Value)| {
                other_lists(value, live.get(name).unwrap_or(&Value::Null), &format!("{path}.{name}"))
            };
            written.iter().flat_map(of).collect()
        }
        (Value::Array(_), _) if written != live => vec![format!("{path}: {written} became {live}")],
        _ => vec![],
    }
}

/// A world per story, as two of them may use one name.
async fn settles_as_written(story: &Story) {
    let world = World::without_operator("argo").await;
    for stack in story.existing_stacks() {
        world.simulator.add_stack(&world.stack(&stack)).unwrap();
    }
    let pool = world.simulator.add_agent_pool(&world.organization, "machines").unwrap();
    let place = Place { backend: &world.simulator.url(), namespace: &world.namespace, agent_pool: &pool };
    let mut objects = story.placed(&place).objects;
    // Of Organizations the test has its own, and all of it is in one namespace.
    objects.retain(|object| kind(object) != "Organization" && !stories::is_for_the_whole_cluster(object));
    objects.push(serde_json::from_value(world.organization_manifest(&json!({}))).unwrap());
    world.start_operator(|_| ());
    for object in &mut objects {
        object.metadata.namespace = Some(world.namespace.clone());
        apply(&world, object, false).await;
    }
    for object in &objects {
        let live = settles(&world, object).await;
        let written = serde_json::to_value(object).unwrap();
        let others = other_lists(&written, &serde_json::to_value(&live).unwrap(), kind(object));
        assert!(others.is_empty(), "{}: {}: {others:#?}", story.file, object.name_any());
    }
}

#[tokio::test]
async fn no_example_differs_from_git_once_it_is_applied() {
    let stories = stories::read(&root().join("examples")).unwrap();
    stream::iter(&stories).for_each_concurrent(5, settles_as_written).await;
}

/// Where the operator itself writes metadata: the console of this backend is known, though nothing answers there.
#[tokio::test]
async fn the_link_to_the_console_is_no_difference() {
    let world = World::without_operator("console").await;
    let backend = "https://api.pulumi.invalid";
    world.start_operator(|options| options.allowed_backends = vec![backend.to_owned()]);
    let settings: DynamicObject = serde_json::from_value(settings_manifest("web", &json!({}))).unwrap();
    apply(&world, &settings, false).await;
    // GitOps applies in any order.
    eventually(SOON, "the settings wait for their Organization", async || {
        let live = world.api::<StackDeploymentSettings>().get("web").await.unwrap();
        let conditions = live.status.map(|status| status.conditions).unwrap_or_default();
        let ready = find(&conditions, types::READY).map(|ready| ready.reason.clone());
        if ready.as_deref() == Some("OrganizationNotReady") { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
    world.put_organization(json!({"backendURL": backend})).await;
    let expected = format!("https://app.pulumi.invalid/{}/web/prod/deployments", world.organization);
    let link = "link.argocd.argoproj.io/external-link";
    eventually(SOON, "the settings have a link", async || {
        let live = world.api::<StackDeploymentSettings>().get("web").await.unwrap();
        if live.annotations().get(link) == Some(&expected) { Ok(()) } else { Err(format!("{live:#?}")) }
    })
    .await;
    let live = settles(&world, &settings).await;
    assert_eq!(live.annotations().get(link), Some(&expected), "an apply takes it away");

    // Somebody's own link stays.
    let own =
        json!({"metadata": {"annotations": {link: "https://example.com", "reconcile.fluxcd.io/requestedAt": "now"}}});
    world.merge::<StackDeploymentSettings>("web", own).await;
    eventually(SOON, "the settings were looked at", async || {
        let live = world.api::<StackDeploymentSettings>().get("web").await.unwrap();
        let status = live.status.unwrap_or_default();
        if status.last_handled_reconcile_at.as_deref() == Some("now") { Ok(()) } else { Err(format!("{status:#?}")) }
    })
    .await;
    let live = world.api::<StackDeploymentSettings>().get("web").await.unwrap();
    assert_eq!(live.annotations()[link], "https://example.com");
}
