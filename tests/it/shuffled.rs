//! The manifests of one commit in any order, and the same manifests again and again.
//!
//! Each test prints the seed of its order; `SHUFFLE_SEED` repeats it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::collections::BTreeMap;

use kube::ResourceExt;
use pulumi_cloud_simulator::Recorded;
use pulumi_deployments_operator::api::{Deployment, Organization, StackDeploymentSettings, deployment::Phase};
use rand::{
    RngExt, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::{Value, json};

use crate::{
    eventually::{SOON, eventually},
    world::{World, deployment_manifest, settings_manifest},
};

/// Much longer than between two manifests of a commit, on a machine that is busy.
const SETTLE: &str = "4s";

/// Random, and told, so that what it led to can be repeated.
fn random_numbers() -> StdRng {
    let given = std::env::var("SHUFFLE_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(rand::random::<u64>);
    println!("SHUFFLE_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// All manifests of a commit; whatever can be different in them from commit to commit is.
fn commit(world: &World, number: u32) -> Vec<Value> {
    let secret = |name: &str, key: &str, value: String| {
        let mut manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {}});
        manifest["stringData"][key] = value.into();
        manifest
    };
    let from = |name: &str, kind: &str, source: &str| {
        let mut variable = json!({"name": name, "valueFrom": {}});
        variable["valueFrom"][kind] = json!({"name": source, "key": "value"});
        variable
    };
    let mut organization = world.organization_manifest(&json!({}));
    organization["spec"]["accessToken"]["secretKeyRef"] = json!({"name": "token", "key": "token"});
    let settings = json!({"settings": {
        "sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": format!("release-{number}")}},
        "operationContext": {"environmentVariables": [
            {"name": "COMMIT", "value": number.to_string()},
            from("PASSWORD", "secretKeyRef", "database"),
            from("TIER", "configMapKeyRef", "tier"),
        ]},
    }});
    let own = json!({"operationContext": {"environmentVariables": [
        {"name": "RELEASE", "value": number.to_string()},
        from("TOKEN", "secretKeyRef", "release"),
    ]}});
    let web = json!({"settingsRef": {"name": "web"}, "settle": SETTLE, "settings": own});
    let after = json!({"stack": {"name": "after"}, "settle": SETTLE, "dependsOn": [{"name": "web"}], "settings": own});
    vec![
        organization,
        secret("token", "token", world.token.clone()),
        secret("database", "value", format!("password-{number}")),
        secret("release", "value", format!("token-{number}")),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tier"}, "data": {"value": format!("tier-{number}")}}),
        settings_manifest("web", &settings),
        deployment_manifest("web", &web),
        deployment_manifest("after", &after),
    ]
}

/// How a manifest is applied.
#[derive(Clone, Copy, Debug)]
enum Way {
    ServerSide,
    ClientSide,
    Replace,
}

async fn apply(world: &World, manifest: &Value, way: Way) {
    let args: &[&str] = match way {
        Way::ServerSide => &["apply", "--server-side", "--force-conflicts", "--filename=-"],
        Way::ClientSide => &["apply", "--filename=-"],
        Way::Replace => &["replace", "--filename=-"],
    };
    world.kubectl(args, Some(&manifest.to_string())).await;
}

async fn world_with_stacks(prefix: &str) -> World {
    let world = World::without_operator(prefix).await;
    for stack in ["web/prod", "web/after", "web/probe"] {
        world.simulator.add_stack(&world.stack(stack)).unwrap();
    }
    world
}

#[tokio::test]
async fn each_run_uses_the_newest_of_everything_that_its_commit_brings() {
    let mut random = random_numbers();
    let world = world_with_stacks("commits").await;
    world.start_operator(|_| ());
    for number in 1..=4 {
        let mut manifests = commit(&world, number);
        manifests.shuffle(&mut random);
        let order: Vec<_> = manifests.iter().map(|it| format!("{} {}", it["kind"], it["metadata"]["name"])).collect();
        println!("commit {number}: {}", order.join(", "));
        for manifest in &manifests {
            apply(&world, manifest, Way::ServerSide).await;
        }
        for name in ["web", "after"] {
            let status = ended(&world, name, number.into()).await;
            assert_eq!(status, Phase::Succeeded, "{name} of commit {number}");
        }
        let runs = |stack: &str| world.simulator.deployments(&world.stack(stack));
        let (web, after) = (runs("web/prod"), runs("web/after"));
        assert_eq!((web.len(), after.len()), (number as usize, number as usize), "one run per commit: {order:?}");
        let (web, after) = (web.last().unwrap(), after.last().unwrap());
        let used = |names: &[&str], all: &BTreeMap<String, (String, bool)>| -> Vec<String> {
            names.iter().map(|name| all[*name].0.clone()).collect()
        };
        let n = number.to_string();
        let expected = [n.clone(), format!("password-{n}"), format!("tier-{n}"), n.clone(), format!("token-{n}")];
        assert_eq!(used(&["COMMIT", "PASSWORD", "TIER", "RELEASE", "TOKEN"], &web.environment), expected, "{order:?}");
        assert_eq!(used(&["RELEASE", "TOKEN"], &after.environment), expected[3..], "{order:?}");
        let branch = web.settings["sourceContext"]["git"]["branch"].as_str().unwrap();
        assert!(branch.ends_with(&format!("release-{number}")), "{branch}");
        assert!(after.created >= web.modified, "what comes after began too early: {order:?}");
    }
}

/// How the request with this number ended. Longer than [`World::ended`]: two settle one after the other.
async fn ended(world: &World, name: &str, request: u64) -> Phase {
    eventually(SOON * 3, &format!("{name}: request {request} has ended"), async || {
        let status = world.api::<Deployment>().get(name).await.unwrap().status.unwrap_or_default();
        let result = status.run.as_ref().filter(|run| run.request.number == request).and_then(|run| run.result);
        result.filter(|_| status.phase.is_some_and(Phase::is_terminal)).ok_or(status)
    })
    .await
}

#[tokio::test]
async fn the_same_manifests_again_start_nothing_and_push_nothing() {
    let mut random = random_numbers();
    let world = world_with_stacks("again").await;
    let mut starts = 0;
    let mut start = || {
        starts += 1;
        world.start_process(world.plane.kubeconfig(), &format!("{starts}"))
    };
    let mut operator = start();
    let mut manifests = commit(&world, 1);
    manifests.shuffle(&mut random);
    for manifest in &manifests {
        apply(&world, manifest, Way::ClientSide).await;
    }
    ended(&world, "after", 1).await;
    world.settings("web", "Synced").await;
    let writes = || -> Vec<Recorded> {
        let all = world.simulator.requests_of(&world.organization);
        all.into_iter().filter(|request| request.method != "GET").collect()
    };
    let before = writes().len();

    for step in 1..=40 {
        if random.random_range(0..10) == 0 {
            println!("{step}: restart");
            operator.kill().await;
            operator = start();
        }
        let manifest = manifests.choose(&mut random).unwrap();
        let way = *[Way::ServerSide, Way::ClientSide, Way::Replace].choose(&mut random).unwrap();
        println!("{step}: {way:?} {} {}", manifest["kind"], manifest["metadata"]["name"]);
        apply(&world, manifest, way).await;
    }
    // What any of that had started would have been started before this.
    world.put_deployment("probe", json!({"stack": {"name": "probe"}, "settle": "5s"})).await;
    assert_eq!(ended(&world, "probe", 1).await, Phase::Succeeded);
    let since: Vec<_> = writes().into_iter().skip(before).map(|it| (it.method, it.path)).collect();
    assert!(since.len() == 1 && since[0].1.contains("web/probe/"), "only the probe writes anything: {since:#?}");
    for name in ["web", "after"] {
        let status = world.deployment(name, "is as it was", |status| status.phase == Some(Phase::Succeeded)).await;
        assert_eq!(status.request.unwrap().number, 1);
    }

    // A replace takes the finalizers away; they come back, so that a deletion is still dealt with.
    eventually(SOON, "all have their finalizers", async || {
        let organization = world.api::<Organization>().get("acme").await.unwrap();
        let settings = world.api::<StackDeploymentSettings>().get("web").await.unwrap();
        let mut counts = vec![organization.finalizers().len(), settings.finalizers().len()];
        for name in ["web", "after"] {
            counts.push(world.api::<Deployment>().get(name).await.unwrap().finalizers().len());
        }
        if counts == [1; 4] { Ok(()) } else { Err(counts) }
    })
    .await;
    operator.kill().await;
}
