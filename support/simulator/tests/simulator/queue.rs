use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{STACK, bench, bench_with, stack_path, with_source};

#[tokio::test]
async fn a_stack_runs_one_deployment_at_a_time_in_order() {
    let bench = bench().await;
    bench.simulator.hold(STACK).unwrap();
    for _ in 0..3 {
        bench.create(with_source("update")).await;
    }
    bench.wait_status(1, "running").await;
    assert_eq!(bench.statuses(STACK), ["running", "not-started", "not-started"]);
    let queued = bench.api.get(&stack_path("/deployments/version/2")).await.expect(200);
    assert_eq!(queued.get("jobs"), None);
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(3, "succeeded").await;
    let views = bench.simulator.deployments(STACK);
    assert!(views.windows(2).all(|pair| pair[0].modified <= pair[1].modified));
    assert_eq!(bench.statuses(STACK), ["succeeded", "succeeded", "succeeded"]);
}

#[tokio::test]
async fn an_organization_has_so_many_places() {
    let bench = bench().await;
    bench.simulator.set_concurrency("acme", 2).unwrap();
    let stacks: Vec<String> = (1..=4).map(|number| format!("acme/web/s{number}")).collect();
    for stack in &stacks {
        bench.simulator.add_stack(stack).unwrap();
        bench.simulator.hold(stack).unwrap();
        bench.simulator.create_deployment(stack, &with_source("update")).unwrap();
    }
    bench.wait_of(&stacks[1], 1, |view| view.status == "running").await;
    let all = || stacks.iter().flat_map(|stack| bench.statuses(stack)).collect::<Vec<_>>();
    assert_eq!(all(), ["running", "running", "not-started", "not-started"]);
    let metadata = bench.api.get("/api/orgs/acme/deployments/metadata").await.expect(200);
    assert_eq!(metadata["concurrency"], 2);
    let counts =
        json!({"notStarted": 2, "accepted": 0, "running": 2, "failed": 0, "succeeded": 0, "skipped": 0, "total": 4});
    assert_eq!(metadata["deploymentCounts"], counts);
    bench.simulator.set_concurrency("acme", 3).unwrap();
    bench.wait_of(&stacks[2], 1, |view| view.status == "running").await;
    bench.simulator.release(&stacks[0]).unwrap();
    bench.wait_of(&stacks[3], 1, |view| view.status == "running").await;
    assert_eq!(all(), ["succeeded", "running", "running", "running"]);
}

#[tokio::test]
async fn a_stack_is_paused_and_resumed() {
    let bench = bench().await;
    let post =
        async |action: &str| bench.api.send(Method::POST, &stack_path(&format!("/deployments/{action}")), None).await;
    assert!(post("pause").await.expect_error(400).contains("before it has been configured"));
    bench.simulator.patch_settings(STACK, &json!({"tag": "x"})).unwrap();
    bench.simulator.hold(STACK).unwrap();
    bench.create(with_source("update")).await;
    bench.wait_status(1, "running").await;
    assert_eq!(post("pause").await.expect(200), json!(null));
    bench.create(with_source("update")).await;
    let metadata = bench.api.get(&stack_path("/deployments/metadata")).await.expect(200);
    let expected = json!({"paused": true, "stackPaused": true, "organizationPaused": false, "hasSchedules": false});
    assert_eq!(metadata, expected);
    let organization = bench.api.get("/api/orgs/acme/deployments/metadata").await.expect(200);
    assert_eq!(organization["pausedStacks"], json!(["web/prod"]));
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(1, "succeeded").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bench.statuses(STACK), ["succeeded", "not-started"]);
    post("resume").await.expect(200);
    bench.wait_status(2, "succeeded").await;
}

#[tokio::test]
async fn an_organization_is_paused_and_resumed() {
    let bench = bench().await;
    let post =
        async |action: &str| bench.api.send(Method::POST, &format!("/api/orgs/acme/deployments/{action}"), None).await;
    post("pause").await.expect(200);
    bench.create(with_source("update")).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(bench.statuses(STACK), ["not-started"]);
    let metadata = bench.api.get(&stack_path("/deployments/metadata")).await.expect(200);
    assert_eq!((&metadata["paused"], &metadata["organizationPaused"]), (&json!(true), &json!(true)));
    assert_eq!(bench.api.get("/api/orgs/acme/deployments/metadata").await.expect(200)["paused"], true);
    post("resume").await.expect(200);
    bench.wait_status(1, "succeeded").await;
}

#[tokio::test]
async fn a_queued_deployment_disappears_when_canceled() {
    let bench = bench().await;
    bench.simulator.hold(STACK).unwrap();
    bench.create(with_source("update")).await;
    let queued = bench.create(with_source("update")).await;
    let cancel = stack_path(&format!("/deployments/{queued}/cancel"));
    let reply = bench.api.send(Method::POST, &cancel, None).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    bench.api.get(&stack_path(&format!("/deployments/{queued}"))).await.expect_error(404);
    bench.api.get(&stack_path("/deployments/version/2")).await.expect_error(404);
    bench.api.get(&stack_path(&format!("/deployments/{queued}/logs"))).await.expect_error(404);
    bench.api.send(Method::POST, &cancel, None).await.expect_error(404);
    let list = bench.api.get(&stack_path("/deployments")).await.expect(200);
    assert_eq!((&list["total"], &list["deployments"][0]["version"]), (&json!(1), &json!(1)));
    let view = &bench.simulator.deployments(STACK)[1];
    assert!(view.canceled && view.removed);
    // Its number is not given out again.
    let reply = bench.api.post(&stack_path("/deployments"), with_source("update")).await.expect(202);
    assert_eq!(reply["version"], 3);
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(3, "succeeded").await;
}

#[tokio::test]
async fn a_running_deployment_fails_when_canceled() {
    let bench = bench().await;
    bench.simulator.hold_at(STACK, "pulumi update").unwrap();
    let id = bench.create(with_source("update")).await;
    bench.wait(1, |view| view.step.as_deref() == Some("pulumi update")).await;
    bench.create(with_source("preview")).await;
    let cancel = stack_path(&format!("/deployments/{id}/cancel"));
    bench.api.send(Method::POST, &cancel, None).await.expect(200);
    let body = bench.api.get(&stack_path(&format!("/deployments/{id}"))).await.expect(200);
    assert_eq!((&body["status"], &body["jobs"][0]["status"]), (&json!("failed"), &json!("failed")));
    let steps = body["jobs"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["status"], "failed");
    let updates = bench.api.get(&stack_path(&format!("/deployments/{id}/updates"))).await.expect(200);
    assert_eq!(updates[0]["info"]["result"], "failed");
    bench.api.send(Method::POST, &cancel, None).await.expect_error(404);
    assert!(bench.simulator.deployments(STACK)[0].canceled);
    bench.wait_status(2, "succeeded").await;
}

#[tokio::test]
async fn an_accepted_deployment_fails_when_canceled() {
    let bench = bench_with(|builder| builder.speed(1.0)).await;
    let id = bench.create(with_source("update")).await;
    assert_eq!(bench.statuses(STACK), ["accepted"]);
    bench.simulator.cancel(STACK, &id).unwrap();
    let body = bench.api.get(&stack_path(&format!("/deployments/{id}"))).await.expect(200);
    assert_eq!((&body["status"], body.get("jobs")), (&json!("failed"), None));
    assert!(bench.simulator.cancel(STACK, &id).is_err());
    assert!(bench.simulator.cancel(STACK, "no-such-id").is_err());
    let logs = bench.api.get(&stack_path(&format!("/deployments/{id}/logs"))).await.expect(200);
    assert_eq!(logs.get("nextToken"), None);
}

#[tokio::test]
async fn intermediate_deployments_are_skipped() {
    let bench = bench().await;
    let options = json!({"operationContext": {"options": {"skipIntermediateDeployments": true}}});
    bench.simulator.patch_settings(STACK, &options).unwrap();
    bench.simulator.hold(STACK).unwrap();
    for operation in ["update", "update", "preview", "update", "update"] {
        bench.create(with_source(operation)).await;
    }
    bench.wait_status(1, "running").await;
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(5, "succeeded").await;
    assert_eq!(bench.statuses(STACK), ["succeeded", "skipped", "succeeded", "skipped", "succeeded"]);
}

#[tokio::test]
async fn what_waits_too_long_is_skipped() {
    let bench = bench_with(|builder| builder.speed(200.0).queue_expiry(Duration::from_millis(40))).await;
    bench.simulator.set_stack_paused(STACK, true).unwrap();
    bench.create(with_source("update")).await;
    bench.wait_status(1, "skipped").await;
    bench.simulator.set_stack_paused(STACK, false).unwrap();
    bench.create(with_source("update")).await;
    bench.wait_status(2, "succeeded").await;
    assert_eq!(bench.statuses(STACK), ["skipped", "succeeded"]);
}
