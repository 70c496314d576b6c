//! Runs that wait for other Deployments.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use pulumi_cloud_simulator::DeploymentView;
use pulumi_deployments_operator::api::{
    Deployment, DeploymentStatus,
    condition::{find, types},
    deployment::Phase,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

/// A world in which each Deployment has a stack of its own name.
async fn world_of(prefix: &str, names: &[&str]) -> World {
    let world = World::without_operator(prefix).await;
    for name in names {
        world.simulator.add_stack(&stack(&world, name)).unwrap();
    }
    world.start_operator(|_| ());
    world.put_organization(json!({})).await;
    world
}

fn stack(world: &World, name: &str) -> String {
    world.stack(&format!("web/{name}"))
}

async fn put(world: &World, name: &str, after: &[&str], more: Value) {
    let mut spec = json!({"stack": {"name": name}, "dependsOn": list(after)});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.put_deployment(name, spec).await;
}

fn list(after: &[&str]) -> Value {
    after.iter().map(|name| json!({"name": name})).collect()
}

fn runs(world: &World, name: &str) -> Vec<DeploymentView> {
    world.simulator.deployments(&stack(world, name))
}

/// Run number `number` of `then` began when that of `first` had ended.
fn assert_order(world: &World, first: &str, then: &str, number: usize) {
    let (first, then) = (&runs(world, first)[number - 1], &runs(world, then)[number - 1]);
    assert!(first.status == "succeeded" && then.created >= first.modified, "{first:#?} {then:#?}");
}

/// Waits until `Ready` has this reason and says this.
async fn says(world: &World, name: &str, reason: &str, text: &str) -> DeploymentStatus {
    world
        .deployment(name, &format!("{reason}: {text}"), |status| {
            find(&status.conditions, types::READY)
                .is_some_and(|ready| ready.reason == reason && ready.message.contains(text))
        })
        .await
}

#[rstest]
#[case::chain("chain", &["c>b", "b>a"])]
#[case::diamond("diamond", &["d>b", "d>c", "b>a", "c>a"])]
#[tokio::test]
async fn runs_start_in_the_order_of_their_dependencies(#[case] prefix: &str, #[case] edges: &[&str]) {
    let edges: Vec<_> = edges.iter().map(|edge| edge.split_once('>').unwrap()).collect();
    let mut names: Vec<_> = edges.iter().flat_map(|(then, first)| [*then, *first]).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    names.dedup();
    let world = world_of(prefix, &names).await;
    // The last comes first, and waits for what is not there yet.
    for name in &names {
        let after: Vec<_> = edges.iter().filter(|(then, _)| then == name).map(|(_, first)| *first).collect();
        put(&world, name, &after, json!({})).await;
        if let Some(first) = after.first() {
            let missing = format!("/{first}, which comes first, does not exist; create it, and this goes on by itself");
            let status = says(&world, name, "DependencyNotReady", &missing).await;
            assert_eq!(status.phase, Some(Phase::Pending));
            assert!(find(&status.conditions, types::STALLED).is_none());
        }
    }
    for name in &names {
        assert_eq!(world.ended(name, 1).await.phase, Some(Phase::Succeeded));
        assert_eq!(runs(&world, name).len(), 1);
    }
    for (then, first) in edges {
        assert_order(&world, first, then, 1);
    }
}

#[tokio::test]
async fn a_failed_dependency_is_shown_as_failed_and_waited_for() {
    let world = world_of("recovers", &["first", "then"]).await;
    let fails = json!({"settings": {"operationContext": {"preRunCommands": ["exit 1"]}}});
    put(&world, "then", &["first"], json!({})).await;
    put(&world, "first", &[], fails).await;
    let status =
        says(&world, "then", "DependencyNotReady", "/first, which comes first, has failed (Failed): update 1 of").await;
    let message = &find(&status.conditions, types::READY).unwrap().message;
    assert!(
        message.contains("failed at step") && message.ends_with("This goes on by itself when it is Ready"),
        "{message}"
    );
    put(&world, "first", &[], json!({"settings": {"operationContext": {"preRunCommands": []}}})).await;
    assert_eq!(world.ended("then", 1).await.phase, Some(Phase::Succeeded));
    let (first, then) = (runs(&world, "first"), runs(&world, "then"));
    assert_eq!((first.len(), then.len()), (2, 1));
    assert!(then[0].created >= first[1].modified, "{first:#?} {then:#?}");

    // One that holds back what it is to run is not Ready, whatever it ran before.
    world.merge::<Deployment>("first", json!({"spec": {"suspend": true, "rerun": "3"}})).await;
    says(&world, "first", "Suspended", "spec.suspend").await;
    world.merge::<Deployment>("then", json!({"spec": {"rerun": "2"}})).await;
    says(
        &world,
        "then",
        "DependencyNotReady",
        "/first, which comes first, is suspended, and what it asks for now has not run",
    )
    .await;
    world.merge::<Deployment>("first", json!({"spec": {"suspend": false}})).await;
    world.ended("then", 2).await;
    assert!(runs(&world, "then")[1].created >= runs(&world, "first")[2].modified);
}

#[tokio::test]
async fn a_circle_is_named_by_each_that_is_in_it_and_ends_when_it_is_broken() {
    let world = world_of("circle", &["a", "b", "c", "beside", "itself"]).await;
    put(&world, "a", &["b"], json!({})).await;
    put(&world, "b", &["c"], json!({})).await;
    put(&world, "c", &["a"], json!({})).await;
    put(&world, "beside", &["b"], json!({})).await;
    put(&world, "itself", &["itself"], json!({})).await;
    for (name, circle) in [("a", "a -> b -> c -> a"), ("b", "b -> c -> a -> b"), ("c", "c -> a -> b -> c")] {
        let status = says(&world, name, "DependencyCycle", &format!("wait for each other: {circle}; take one")).await;
        assert!(find(&status.conditions, types::STALLED).is_some() && status.phase == Some(Phase::Pending));
    }
    says(&world, "beside", "DependencyNotReady", "/b, which comes first, has failed (DependencyCycle)").await;
    says(&world, "itself", "DependencyCycle", "spec.dependsOn names this Deployment itself: take it out").await;

    world.merge::<Deployment>("c", json!({"spec": {"dependsOn": null}})).await;
    world.merge::<Deployment>("itself", json!({"spec": {"dependsOn": null}})).await;
    for name in ["a", "b", "c", "beside", "itself"] {
        assert_eq!(world.ended(name, 1).await.phase, Some(Phase::Succeeded));
        assert_eq!(runs(&world, name).len(), 1);
    }
    assert_order(&world, "c", "b", 1);
    assert_order(&world, "b", "a", 1);
    assert_order(&world, "b", "beside", 1);
}

#[tokio::test]
async fn one_change_of_both_runs_the_dependency_first() {
    let world = world_of("both", &["first", "then", "probe"]).await;
    let settle = json!({"settle": "2s"});
    put(&world, "first", &[], settle.clone()).await;
    put(&world, "then", &["first"], settle).await;
    world.ended("then", 1).await;

    // By a field, which makes a new generation, and by the annotation, which makes none. The dependent is told first.
    for (number, change) in [
        (2, json!({"spec": {"rerun": "2"}})),
        (3, json!({"metadata": {"annotations": {"deployments.pulumi.com/rerun": "3"}}})),
    ] {
        world.merge::<Deployment>("then", change.clone()).await;
        world.merge::<Deployment>("first", change).await;
        world.ended("then", number).await;
        assert_order(&world, "first", "then", usize::try_from(number).unwrap());
    }

    // Only starts wait: neither the list nor a run of the dependency starts anything.
    world.merge::<Deployment>("then", json!({"spec": {"dependsOn": list(&["first", "missing"])}})).await;
    world.merge::<Deployment>("first", json!({"spec": {"rerun": "4"}})).await;
    world.ended("first", 4).await;
    put(&world, "probe", &["first"], json!({"settle": "2s"})).await;
    world.ended("probe", 1).await;
    let status = world.phase("then", Phase::Succeeded).await;
    assert_eq!((runs(&world, "then").len(), status.request.unwrap().number), (3, 3));

    // Nor does it keep a resource from being deleted.
    world.merge::<Deployment>("then", json!({"spec": {"rerun": "4"}})).await;
    says(&world, "then", "DependencyNotReady", "/missing, which comes first, does not exist").await;
    world.delete::<Deployment>("then").await;
    world.gone::<Deployment>("then").await;
}
