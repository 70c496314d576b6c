use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, stack_path, with_source};

/// Runs a deployment until it has succeeded.
async fn run(bench: &Bench, body: Value) -> String {
    let id = bench.create(body).await;
    let version = bench.simulator.deployments(STACK).len();
    bench.wait_status(version, "succeeded").await;
    id
}

async fn status(bench: &Bench) -> Value {
    bench.api.get(&stack_path("/drift/status")).await.expect(200)
}

async fn latest(bench: &Bench) -> Value {
    let list = bench.api.get(&stack_path("/drift/runs?pageSize=1")).await.expect(200);
    list["driftRuns"][0].clone()
}

fn detection(remediate: bool) -> Value {
    let mut body = with_source("detect-drift");
    body["operationContext"] = json!({"options": {"remediateIfDriftDetected": remediate}});
    body
}

#[tokio::test]
async fn before_anyone_looked_there_is_none() {
    let bench = bench().await;
    let nothing = json!({"driftDetected": false, "latestDriftRun": "", "runInProgress": false});
    assert_eq!(status(&bench).await, nothing);
    let list = bench.api.get(&stack_path("/drift/runs")).await.expect(200);
    assert_eq!(list, json!({"driftRuns": [], "itemsPerPage": 10, "total": 0}));
    let metadata = bench.api.get(&stack_path("/deployments/metadata")).await.expect(200);
    assert_eq!(metadata.get("drift"), None);
    for path in ["/drift/runs?page=0", "/drift/runs?pageSize=101", "/drift/runs?page=x"] {
        bench.api.get(&stack_path(path)).await.expect_error(400);
    }
    for path in ["/drift/runs", "/drift/runs/x", "/drift/status"] {
        bench.api.get(&format!("/api/stacks/acme/web/none{path}")).await.expect_error(404);
    }
}

#[tokio::test]
async fn a_detection_finds_what_is_there() {
    let bench = bench().await;
    run(&bench, with_source("update")).await;
    run(&bench, with_source("detect-drift")).await;
    let run_of = latest(&bench).await;
    assert_eq!((&run_of["driftDetected"], &run_of["status"]), (&json!(false), &json!("succeeded")));
    assert_eq!(run_of["detectUpdate"]["resourceChanges"], json!({"same": 4}));

    bench.simulator.set_drift(STACK, true).unwrap();
    bench.simulator.hold_at(STACK, "Drift detection").unwrap();
    let id = bench.create(detection(false)).await;
    bench.wait(3, |view| view.step.as_deref() == Some("Drift detection")).await;
    let first = run_of["id"].clone();
    let run_of = latest(&bench).await;
    assert_eq!((&run_of["driftDetected"], &run_of["status"]), (&json!(false), &json!("running")));
    assert_eq!(run_of["detectUpdate"]["status"], "running");
    let expected = json!({"driftDetected": false, "latestDriftRun": run_of["id"], "runInProgress": true});
    assert_eq!(status(&bench).await, expected);
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(3, "succeeded").await;

    let path = stack_path(&format!("/drift/runs/{}", run_of["id"].as_str().unwrap()));
    let run_of = bench.api.get(&path).await.expect(200);
    assert_eq!((&run_of["driftDetected"], &run_of["status"]), (&json!(true), &json!("succeeded")));
    assert_eq!((&run_of["deploymentId"], &run_of["deploymentVersion"]), (&json!(id), &json!(3)));
    assert_eq!(run_of["detectUpdate"]["resourceChanges"], json!({"same": 3, "update": 1}));
    let updates = bench.api.get(&stack_path(&format!("/deployments/{id}/updates"))).await.expect(200);
    assert_eq!(run_of["detectUpdate"]["updateId"], updates[0]["updateID"]);
    assert_eq!(run_of.get("remediateUpdate"), None);
    let expected = json!({"driftDetected": true, "latestDriftRun": run_of["id"], "runInProgress": false});
    assert_eq!(status(&bench).await, expected);
    let metadata = bench.api.get(&stack_path("/deployments/metadata")).await.expect(200);
    assert_eq!(metadata["drift"], expected);
    let second_page = bench.api.get(&stack_path("/drift/runs?page=2&pageSize=1")).await.expect(200);
    assert_eq!((&second_page["driftRuns"][0]["id"], &second_page["total"]), (&first, &json!(2)));
    bench.api.get(&stack_path("/drift/runs/none")).await.expect_error(404);
}

#[tokio::test]
async fn a_detection_remediates_when_told_to() {
    let bench = bench().await;
    run(&bench, with_source("update")).await;
    // Nothing to remediate: one step.
    let id = run(&bench, detection(true)).await;
    let steps = |body: &Value| {
        let steps = body["jobs"][0]["steps"].as_array().unwrap().iter();
        steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let body = bench.api.get(&stack_path(&format!("/deployments/{id}"))).await.expect(200);
    assert_eq!(steps(&body).last().unwrap(), "Drift detection");

    bench.simulator.set_drift(STACK, true).unwrap();
    let id = run(&bench, detection(true)).await;
    let body = bench.api.get(&stack_path(&format!("/deployments/{id}"))).await.expect(200);
    assert_eq!(steps(&body)[4..], ["Drift detection", "Drift remediation"]);
    let updates = bench.api.get(&stack_path(&format!("/deployments/{id}/updates"))).await.expect(200);
    let kinds: Vec<&Value> = updates.as_array().unwrap().iter().map(|update| &update["info"]["kind"]).collect();
    assert_eq!(kinds, ["Prefresh", "update"]);
    let run_of = latest(&bench).await;
    assert_eq!(run_of["driftDetected"], true);
    assert_eq!(run_of["remediateUpdate"]["updateId"], updates[1]["updateID"]);
    assert_eq!(run_of["remediateUpdate"]["resourceChanges"], json!({"same": 3, "update": 1}));
    assert_eq!(status(&bench).await["driftDetected"], false);
    // It is gone for good.
    run(&bench, detection(false)).await;
    assert_eq!(latest(&bench).await["driftDetected"], false);
}

#[tokio::test]
async fn what_touches_the_stack_ends_its_drift() {
    let bench = bench().await;
    run(&bench, with_source("update")).await;
    for operation in ["update", "refresh", "remediate-drift"] {
        bench.simulator.set_drift(STACK, true).unwrap();
        run(&bench, detection(false)).await;
        run(&bench, with_source("preview")).await;
        assert_eq!(status(&bench).await["driftDetected"], true);
        run(&bench, with_source(operation)).await;
        assert_eq!(status(&bench).await["driftDetected"], false, "{operation}");
        let remediated = latest(&bench).await.get("remediateUpdate").is_some();
        assert_eq!(remediated, operation == "remediate-drift");
        run(&bench, detection(false)).await;
        assert_eq!(latest(&bench).await["driftDetected"], false);
    }
}

#[tokio::test]
async fn a_failed_detection_says_nothing_new() {
    let bench = bench().await;
    run(&bench, with_source("update")).await;
    bench.simulator.set_drift(STACK, true).unwrap();
    run(&bench, detection(false)).await;
    let mut body = detection(false);
    body["operationContext"]["environmentVariables"] = json!({"SIMULATOR_FAIL_STEP": "Drift detection"});
    bench.create(body).await;
    bench.wait_status(3, "failed").await;
    let run_of = latest(&bench).await;
    assert_eq!((&run_of["status"], &run_of["detectUpdate"]["status"]), (&json!("failed"), &json!("failed")));
    assert_eq!(run_of["driftDetected"], false);
    assert_eq!(status(&bench).await["driftDetected"], true);
    // One that never left the queue is none of the runs.
    bench.simulator.set_stack_paused(STACK, true).unwrap();
    let waiting = bench.create(detection(false)).await;
    assert_eq!(latest(&bench).await["status"], "not-started");
    bench.simulator.cancel(STACK, &waiting).unwrap();
    assert_eq!(latest(&bench).await["id"], run_of["id"]);
}
