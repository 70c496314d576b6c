//! One request is one run, wherever the operator dies. It is the real program, and the kill is a real one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{path::PathBuf, time::Duration};

use k8s_openapi::api::rbac::v1::RoleBinding;
use pulumi_cloud_simulator::Fault;
use pulumi_deployments_operator::api::{
    Deployment, DeploymentStatus,
    condition::{find, types},
    deployment::Phase,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rstest::rstest;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    eventually::{SOON, eventually},
    ledger::Ledger,
    world::{Process, World},
};

/// A piece of the world with a stack and an organization, but no operator.
async fn world(prefix: &str) -> World {
    let world = World::without_operator(prefix).await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    world
}

fn start(world: &World, number: u32) -> Process {
    world.start_process(world.plane.kubeconfig(), &number.to_string())
}

/// Starts the operator anew, waits for the end of the run, and counts.
async fn one_run(world: &World) {
    let _operator = start(world, 2);
    let status = world.ended("web", 1).await;
    assert_eq!((status.phase, status.intent), (Some(Phase::Succeeded), None));
    let runs = world.runs();
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0].id, status.run.unwrap().id);
}

#[tokio::test]
async fn killed_before_the_journal() {
    let world = world("kill-before").await;
    let operator = start(&world, 1);
    world.put_secret("s", &[("k", "value-of-k")]).await;
    // What refers to a Secret settles first, which takes longer than the kill.
    let variable = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    world
        .put_deployment(
            "web",
            json!({"settle": "3s", "settings": {"operationContext": {"environmentVariables": variable}}}),
        )
        .await;
    let settling = |status: &pulumi_deployments_operator::api::DeploymentStatus| {
        find(&status.conditions, types::READY).is_some_and(|ready| ready.reason == "Settling")
    };
    world.deployment("web", "settles", settling).await;
    operator.kill().await;
    assert_eq!(world.runs().len(), 0);
    one_run(&world).await;
}

#[tokio::test]
async fn killed_between_journal_and_create() {
    let world = world("kill-journaled").await;
    let operator = start(&world, 1);
    let fault =
        world.simulator.inject(Fault::on("CreateDeployment").organization(world.organization.clone()).drop_before());
    world.put_deployment("web", json!({})).await;
    timeout(SOON, fault.reached()).await.unwrap();
    operator.kill().await;
    let status = world.deployment("web", "has an intent", |status| status.intent.is_some()).await;
    assert_eq!((status.run, world.runs().len()), (None, 0));
    one_run(&world).await;
    assert_eq!(world.requests("CreateDeployment").len(), 2);
}

#[tokio::test]
async fn killed_with_the_answer_on_its_way() {
    let world = world("kill-answer").await;
    let operator = start(&world, 1);
    let fault =
        world.simulator.inject(Fault::on("CreateDeployment").organization(world.organization.clone()).hold_answer());
    world.put_deployment("web", json!({})).await;
    timeout(SOON, fault.reached()).await.unwrap();
    operator.kill().await;
    fault.release();
    assert_eq!(world.runs().len(), 1);
    one_run(&world).await;
    assert_eq!(world.requests("CreateDeployment").len(), 1);
}

#[tokio::test]
async fn killed_before_the_record() {
    let world = world("kill-record").await;
    let user = Restricted::new(&world).await;
    let operator = world.start_process(&user.kubeconfig, "1");
    let fault =
        world.simulator.inject(Fault::on("CreateDeployment").organization(world.organization.clone()).hold_answer());
    world.put_deployment("web", json!({})).await;
    timeout(SOON, fault.reached()).await.unwrap();
    // The answer arrives, and the record is refused.
    user.revoke(&world).await;
    fault.release();
    eventually(SOON, "the answer has arrived", async || {
        let log = operator.log();
        if log.contains("triggered id=") { Ok(()) } else { Err(log) }
    })
    .await;
    operator.kill().await;
    let status = world.deployment("web", "has an intent", |status| status.intent.is_some()).await;
    assert_eq!((status.run, world.runs().len()), (None, 1));
    one_run(&world).await;
    assert_eq!(world.requests("CreateDeployment").len(), 1);
}

/// Its cancel is journaled. Whether it was made or only about to be: the run was canceled, and has not failed.
#[rstest]
#[case::running_and_not_made(false, false)]
#[case::running_and_made(false, true)]
#[case::queued_and_not_made(true, false)]
#[case::queued_and_made(true, true)]
#[tokio::test]
async fn killed_at_a_cancel(#[case] is_queued: bool, #[case] is_made: bool) {
    let world = world("kill-cancel").await;
    let stack = world.stack("web/prod");
    let operator = start(&world, 1);
    if is_queued {
        world.simulator.patch_settings(&stack, &json!({})).unwrap();
        world.simulator.set_stack_paused(&stack, true).unwrap();
    } else {
        world.simulator.hold(&stack).unwrap();
    }
    let retry = json!({"limit": 3, "backoff": {"initial": "1s", "max": "1s"}});
    world.put_deployment("web", json!({"retry": retry})).await;
    world.phase("web", if is_queued { Phase::Queued } else { Phase::Running }).await;
    let cancel = Fault::on("CancelDeployment").organization(world.organization.clone());
    let fault = world.simulator.inject(if is_made { cancel.hold_answer() } else { cancel.drop_before() });
    world.merge::<Deployment>("web", json!({"spec": {"timeout": "1s", "queueTimeout": "1s"}})).await;
    timeout(SOON, fault.reached()).await.unwrap();
    operator.kill().await;
    fault.release();
    let run = world.api::<Deployment>().get("web").await.unwrap().status.unwrap().run.unwrap();
    assert!(run.cancel.is_some() && run.result.is_none(), "{run:#?}");
    let first = &world.runs()[0];
    assert_eq!(first.canceled || first.removed, is_made, "{first:#?}");

    let _operator = start(&world, 2);
    let status = world.ended("web", 1).await;
    assert_eq!((status.phase, &status.retry), (Some(Phase::TimedOut), &None));
    let runs = world.runs();
    assert_eq!(runs.len(), 1, "it was not tried again: {runs:#?}");
    assert!(runs[0].canceled || runs[0].removed);
}

#[tokio::test]
async fn killed_at_any_moment() {
    let world = world("kill-random").await;
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut operator = start(&world, 0);
    // Requests that never run have a place in the history, too.
    world.put_deployment("web", json!({"historyLimit": 50})).await;
    for request in 2..=12 {
        sleep(Duration::from_millis(random.random_range(0..600))).await;
        operator.kill().await;
        operator = start(&world, request);
        sleep(Duration::from_millis(random.random_range(0..600))).await;
        world.merge::<Deployment>("web", json!({"spec": {"rerun": request.to_string()}})).await;
    }
    let newest = |status: &pulumi_deployments_operator::api::DeploymentStatus| {
        status.intent.is_none()
            && status.phase == Some(Phase::Succeeded)
            && status.run.as_ref().is_some_and(|run| run.result.is_some())
    };
    let status = world.deployment("web", "has ended its newest request", newest).await;
    // Requests that were replaced before they ran were never run; every other one was, once.
    let mut ids: Vec<_> =
        status.history.iter().filter_map(|run| run.id.clone()).chain(status.run.map(|run| run.id)).collect();
    let mut runs: Vec<_> = world.runs().into_iter().map(|run| run.id).collect();
    ids.sort();
    runs.sort();
    assert_eq!(runs, ids, "seed {seed}");
}

#[tokio::test]
async fn two_operators_at_once_run_it_once() {
    let world = world("kill-two").await;
    let _operators = [start(&world, 1), start(&world, 2)];
    world.put_deployment("web", json!({})).await;
    for request in 1..=6 {
        let status = world.ended("web", request).await;
        assert_eq!((status.phase, world.runs().len() as u64), (Some(Phase::Succeeded), request));
        world.merge::<Deployment>("web", json!({"spec": {"rerun": (request + 1).to_string()}})).await;
    }
}

#[tokio::test]
async fn two_operators_at_once_retry_and_cancel_it_once() {
    let world = world("kill-two-more").await;
    let stack = world.stack("web/prod");
    let ledger = Ledger::new(world.api()).await;
    let _operators = [start(&world, 1), start(&world, 2)];
    let ends = |status: &DeploymentStatus| {
        let earlier = status.history.iter().rev().map(|run| (run.request_number, run.attempt, run.result));
        let last = status.run.iter().map(|run| (run.request.number, run.attempt, run.result.unwrap()));
        earlier.chain(last).collect::<Vec<_>>()
    };

    // It fails, and is tried again once.
    let fails = json!([{"name": "SIMULATOR_FAIL_STEP", "value": "Get source"}]);
    let retry = json!({"limit": 1, "backoff": {"initial": "1s", "max": "1s"}});
    let more = json!({"retry": retry, "settings": {"operationContext": {"environmentVariables": fails}}});
    world.put_deployment("web", more).await;
    let mut expected = vec![(1, 1, Phase::Failed), (1, 2, Phase::Failed)];
    assert_eq!(ends(&world.ended("web", 1).await), expected);

    // It is replaced in the queue.
    world.simulator.patch_settings(&stack, &json!({})).unwrap();
    world.simulator.set_stack_paused(&stack, true).unwrap();
    let works = json!({"spec": {"rerun": "2", "settings": {"operationContext": null}}});
    world.merge::<Deployment>("web", works).await;
    world.phase("web", Phase::Queued).await;
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "3"}})).await;
    let is_third = |status: &DeploymentStatus| status.run.as_ref().is_some_and(|run| run.request.number == 3);
    world.deployment("web", "is replaced", is_third).await;

    // It is replaced while it runs.
    world.simulator.hold(&stack).unwrap();
    world.simulator.set_stack_paused(&stack, false).unwrap();
    world.phase("web", Phase::Running).await;
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "4", "supersede": "Cancel"}})).await;
    let is_fourth = |status: &DeploymentStatus| status.run.as_ref().is_some_and(|run| run.request.number == 4);
    world.deployment("web", "is replaced", is_fourth).await;
    world.simulator.release(&stack).unwrap();
    expected.extend([(2, 1, Phase::Canceled), (3, 1, Phase::Canceled), (4, 1, Phase::Succeeded)]);
    assert_eq!(ends(&world.ended("web", 4).await), expected);
    assert_eq!(world.requests("CreateDeployment").len(), expected.len());
    // A watch tells a moment later what a read has shown.
    let has_ended = |deployment: Option<&Deployment>| {
        let run = deployment.and_then(|it| it.status.as_ref()?.run.as_ref());
        run.is_some_and(|run| run.request.number == 4 && run.result.is_some())
    };
    ledger.wait(SOON, "web", "the end is seen", has_ended).await.unwrap();
    assert_eq!(ledger.problems("web", &world.runs()), Vec::<String>::new());

    // It is deleted while it runs.
    world.simulator.hold(&stack).unwrap();
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "5", "deletionPolicy": "Cancel"}})).await;
    world.deployment("web", "runs again", |status| status.phase == Some(Phase::Running)).await;
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    let runs = world.runs();
    assert_eq!((runs.len(), runs[5].canceled), (6, true), "{runs:#?}");
}

#[tokio::test]
async fn it_stops_cleanly_and_soon() {
    let world = world("stop").await;
    let operator = start(&world, 1);
    let address = operator.address().await;
    let get = async |path: &str| reqwest::get(format!("http://{address}/{path}")).await.unwrap();
    assert_eq!(get("healthz").await.text().await.unwrap(), "ok");
    assert_eq!(get("readyz").await.status(), 200);
    world.put_deployment("web", json!({})).await;
    world.ended("web", 1).await;
    let counted =
        "pulumi_deployments_operator_runs_ended_total{operation=\"update\",result=\"Succeeded\",retried=\"false\"} 1";
    // It is counted when status has been written, so it may be seen there first.
    eventually(SOON, "the run is counted", async || {
        let metrics = get("metrics").await.text().await.unwrap();
        if metrics.contains(counted) { Ok(()) } else { Err(metrics) }
    })
    .await;
    assert!(operator.terminate(Duration::from_secs(10)).await);
}

/// A user of its own, whose right to write can be taken away.
struct Restricted {
    kubeconfig: PathBuf,
    user: String,
}

impl Restricted {
    async fn new(world: &World) -> Self {
        let user = format!("operator-of-{}", world.namespace);
        let bind = |name: &str, role: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            })
        };
        world.put::<RoleBinding>(bind("write", "cluster-admin")).await;
        let key = bind(&user, "cluster-admin").to_string();
        world.plane.kubectl(["apply", "--namespace=default", "--filename=-"], Some(&key)).await.success();
        // The administrator, in that user's name.
        let administrator = std::fs::read_to_string(world.plane.kubeconfig()).unwrap();
        let mut kubeconfig: serde_json::Value = serde_saphyr::from_str(&administrator).unwrap();
        kubeconfig["users"][0]["user"]["as"] = json!(user);
        let path = world.plane.kubeconfig().with_file_name(format!("{user}.kubeconfig"));
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        Self { kubeconfig: path, user }
    }

    async fn revoke(&self, world: &World) {
        world.delete::<RoleBinding>("write").await;
        eventually(SOON, "the right is gone", async || {
            let check = [
                "auth",
                "can-i",
                "patch",
                "pulumideployments",
                "--subresource=status",
                "--as",
                &self.user,
                "--namespace",
                &world.namespace,
            ];
            let answer = world.plane.kubectl(check, None).await.stdout;
            if answer.trim() == "no" { Ok(()) } else { Err(answer) }
        })
        .await;
    }
}
