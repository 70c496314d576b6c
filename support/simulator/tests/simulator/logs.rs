use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, bench_with, stack_path, with_source, with_variables};

async fn logs(bench: &Bench, id: &str, query: &str) -> Value {
    bench.api.get(&stack_path(&format!("/deployments/{id}/logs{query}"))).await.expect(200)
}

#[tokio::test]
async fn a_queued_deployment_has_no_lines_but_a_token() {
    let bench = bench().await;
    bench.simulator.set_stack_paused(STACK, true).unwrap();
    let id = bench.create(with_source("update")).await;
    let body = logs(&bench, &id, "").await;
    assert_eq!(body, json!({"__type": "DeploymentLogs", "lines": [], "nextToken": "0.0.0"}));
    bench.api.get(&stack_path(&format!("/deployments/{id}/logs?job=0&step=0"))).await.expect_error(404);
}

#[tokio::test]
async fn the_stream_is_complete_and_ends() {
    let bench = bench().await;
    let id = bench.create(with_variables("update", &json!({"SIMULATOR_LOG_LINES": "250"}))).await;
    let mut followed = Vec::new();
    let mut query = String::new();
    loop {
        let body = logs(&bench, &id, &query).await;
        assert_eq!(body["__type"], "DeploymentLogs");
        followed.extend(body["lines"].as_array().unwrap().clone());
        let Some(token) = body["nextToken"].as_str() else { break };
        query = format!("?continuationToken={token}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let headers: Vec<&str> = followed.iter().filter_map(|line| line["header"].as_str()).collect();
    let names = ["Setup", "Download deployment executor", "Get source", "Download dependencies", "pulumi update"];
    assert_eq!(headers, names);
    assert!(
        followed
            .iter()
            .filter(|line| line["header"].is_string())
            .all(|line| line["timestamp"] == "0001-01-01T00:00:00Z")
    );
    let lines: Vec<&str> = followed.iter().filter_map(|line| line["line"].as_str()).collect();
    assert!(lines.iter().all(|line| line.ends_with('\n')));
    assert_eq!(lines.iter().filter(|line| line.starts_with("    line ")).count(), 250);
    let times: Vec<jiff::Timestamp> = followed
        .iter()
        .filter(|line| line["line"].is_string())
        .map(|line| line["timestamp"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(times.is_sorted());
    // Read at once it is the same.
    let mut read = Vec::new();
    let mut query = "?count=300".to_owned();
    while let body = logs(&bench, &id, &query).await
        && !body["lines"].as_array().unwrap().is_empty()
    {
        read.extend(body["lines"].as_array().unwrap().clone());
        let Some(token) = body["nextToken"].as_str() else { break };
        query = format!("?count=300&continuationToken={token}");
    }
    assert_eq!(read, followed);
}

#[tokio::test]
async fn a_header_comes_before_its_lines_and_only_once() {
    let bench = bench().await;
    bench.simulator.hold(STACK).unwrap();
    let id = bench.create(with_source("update")).await;
    bench.wait_status(1, "running").await;
    let body = logs(&bench, &id, "").await;
    assert_eq!(body["lines"], json!([{"header": "Setup", "timestamp": "0001-01-01T00:00:00Z"}]));
    assert_eq!(body["nextToken"], "0.0.1");
    let body = logs(&bench, &id, "?continuationToken=0.0.1").await;
    assert_eq!((&body["lines"], &body["nextToken"]), (&json!([]), &json!("0.0.1")));
}

#[tokio::test]
async fn steps_are_read_one_by_one() {
    let bench = bench().await;
    let id = bench.create(with_variables("update", &json!({"SIMULATOR_LOG_LINES": "120"}))).await;
    bench.wait_status(1, "succeeded").await;
    let body = logs(&bench, &id, "?job=0&step=2").await;
    assert_eq!((&body["__type"], &body["name"]), (&json!("DeploymentLogsStep"), &json!("Get source")));
    assert_eq!(body["lines"].as_array().unwrap().len(), 2);
    assert_eq!(body.get("nextOffset"), None);
    let first = logs(&bench, &id, "/?step=4&count=10&offset=0").await;
    assert_eq!((first["lines"].as_array().unwrap().len(), &first["nextOffset"]), (10, &json!(10)));
    let second = logs(&bench, &id, "?step=4&offset=10").await;
    assert_eq!((second["lines"].as_array().unwrap().len(), &second["nextOffset"]), (100, &json!(110)));
    let past = logs(&bench, &id, "?step=4&offset=5000").await;
    assert_eq!((&past["lines"], past.get("nextOffset")), (&json!([]), None));
    for missing in ["?step=5", "?job=1&step=0"] {
        bench.api.get(&stack_path(&format!("/deployments/{id}/logs{missing}"))).await.expect_error(404);
    }
}

#[tokio::test]
async fn a_running_step_has_a_next_offset() {
    let bench = bench().await;
    bench.simulator.hold_at(STACK, "Get source").unwrap();
    let id = bench.create(with_source("update")).await;
    bench.wait(1, |view| view.step.as_deref() == Some("Get source")).await;
    assert_eq!(logs(&bench, &id, "?step=2").await["nextOffset"], 0);
    assert_eq!(logs(&bench, &id, "?step=4").await["nextOffset"], 0);
    assert_eq!(logs(&bench, &id, "?step=0").await.get("nextOffset"), None);
}

#[tokio::test]
async fn steps_may_be_counted_from_one() {
    let bench = bench_with(|builder| builder.speed(200.0).first_step(1)).await;
    let id = bench.create(with_source("update")).await;
    bench.wait_status(1, "succeeded").await;
    assert_eq!(logs(&bench, &id, "?step=1").await["name"], "Setup");
    bench.api.get(&stack_path(&format!("/deployments/{id}/logs?step=0"))).await.expect_error(400);
}

#[tokio::test]
async fn wrong_queries_are_refused() {
    let bench = bench().await;
    let id = bench.create(with_source("update")).await;
    for query in ["count=0", "count=500", "count=x", "step=-1", "step=0&offset=x", "continuationToken=junk"] {
        let path = stack_path(&format!("/deployments/{id}/logs?{query}"));
        let message = bench.api.get(&path).await.expect_error(400);
        assert!(!query.starts_with("count") || message.contains("Count must be less than 500"), "{message}");
    }
}

#[tokio::test]
async fn a_canceled_run_keeps_what_it_printed() {
    let bench = bench().await;
    bench.simulator.hold_at(STACK, "Download dependencies").unwrap();
    let id = bench.create(with_source("update")).await;
    bench.wait(1, |view| view.step.as_deref() == Some("Download dependencies")).await;
    bench.simulator.cancel(STACK, &id).unwrap();
    let body = logs(&bench, &id, "").await;
    let headers: Vec<&Value> =
        body["lines"].as_array().unwrap().iter().filter(|line| line["header"].is_string()).collect();
    assert_eq!(headers.len(), 4);
    assert_eq!(body.get("nextToken"), None);
    assert!(body.to_string().contains("Successfully cloned"));
}
