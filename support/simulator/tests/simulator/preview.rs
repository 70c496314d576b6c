use pulumi_cloud_simulator::Dialect;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, bench_with, stack_path, with_source};

/// A path of the deprecated routes.
fn path(rest: &str) -> String {
    format!("/api/preview/{STACK}{rest}")
}

fn request(operation: &str) -> Value {
    json!({
        "sourceContext": {"git": {"repoURL": "https://example.com/repo.git", "branch": "refs/heads/main"}},
        "operationContext": {"operation": operation, "environmentVariables": {"A": "1", "S": {"secret": "2"}}},
    })
}

async fn create(bench: &Bench, body: Value) -> String {
    let reply = bench.api.post(&path("/deployments"), body).await.expect(202);
    reply["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_operation_is_part_of_the_context() {
    let bench = bench().await;
    let reply = bench.api.post(&path("/deployments"), request("preview")).await.expect(202);
    assert_eq!((&reply["version"], reply["id"].as_str().unwrap().len()), (&json!(1), 36));
    let view = &bench.simulator.deployments(STACK)[0];
    assert_eq!(view.operation, "preview");
    // It is the operation's, not a setting.
    assert_eq!(view.settings["operationContext"].get("operation"), None);
    for (body, part) in [
        (with_source("update"), "Missing operationContext required field 'operation'"),
        (json!({}), "Missing operationContext"),
        (json!([]), "Missing operationContext"),
        (json!({"operationContext": {"operation": ""}}), "Missing operationContext"),
        (json!({"operationContext": {"operation": "explode"}}), "explode"),
        (json!({"operationContext": {"operation": "detect-drift"}}), "detect-drift"),
        (json!({"operationContext": {"operation": "update"}, "inheritSettings": 1}), "inheritSettings"),
    ] {
        let message = bench.api.post(&path("/deployments"), body).await.expect_error(400);
        assert!(message.contains(part), "{message}");
    }
    bench.api.post("/api/preview/acme/web/none/deployments", request("update")).await.expect_error(404);
}

#[tokio::test]
async fn settings_are_inherited_only_on_request() {
    let bench = bench().await;
    let settings = path("/deployment/settings");
    bench.api.get(&settings).await.expect_error(404);
    let patch = json!({"sourceContext": {"git": {"repoURL": "https://example.com/r.git", "branch": "main"}}});
    let stored = bench.api.post(&settings, patch).await.expect(200);
    assert_eq!(stored["sourceContext"]["git"]["branch"], "refs/heads/main");
    assert_eq!(bench.api.get(&settings).await.expect(200)["sourceContext"], stored["sourceContext"]);
    let bare = json!({"operationContext": {"operation": "update"}});
    create(&bench, bare.clone()).await;
    let mut inheriting = bare;
    inheriting["inheritSettings"] = true.into();
    create(&bench, inheriting).await;
    let views = bench.simulator.deployments(STACK);
    assert_eq!(views[0].settings.get("sourceContext"), None);
    assert_eq!(views[1].settings["sourceContext"], stored["sourceContext"]);
    assert_eq!(bench.api.delete(&settings).await.expect(200), true);
    assert_eq!(bench.simulator.settings(STACK), None);
    // The whole was never replaced in those days.
    assert_eq!(bench.api.put(&settings, json!({})).await.status, 405);
}

#[tokio::test]
async fn the_list_is_bare_and_begins_with_the_oldest() {
    let bench = bench().await;
    bench.simulator.set_stack_paused(STACK, true).unwrap();
    for _ in 0..12 {
        create(&bench, request("update")).await;
    }
    let list = async |query: &str| bench.api.get(&path(&format!("/deployments{query}"))).await.expect(200);
    let versions = |list: &Value| {
        let items = list.as_array().unwrap().iter();
        items.map(|item| item["version"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(versions(&list("").await), (1..=10).collect::<Vec<_>>());
    assert_eq!(versions(&list("?page=2&pageSize=5").await), [6, 7, 8, 9, 10]);
    assert_eq!(versions(&list("?page=9").await), [0_u64; 0]);
    let mut keys: Vec<String> = list("").await[0].as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["created", "id", "modified", "requestedBy", "status", "version"]);
    bench.api.get(&path("/deployments?pageSize=101")).await.expect_error(400);
}

#[tokio::test]
async fn a_deployment_is_read_and_canceled() {
    let bench = bench().await;
    bench.simulator.hold_at(STACK, "pulumi update").unwrap();
    let id = create(&bench, request("update")).await;
    bench.wait(1, |view| view.step.as_deref() == Some("pulumi update")).await;
    let by_id = bench.api.get(&path(&format!("/deployments/{id}"))).await.expect(200);
    let by_version = bench.api.get(&path("/deployments/version/1")).await.expect(200);
    assert_eq!((&by_id["id"], &by_version["id"]), (&json!(id), &json!(id)));
    assert_eq!((&by_id["latestVersion"], &by_id["status"]), (&json!(1), &json!("running")));
    assert_eq!((by_id.get("pulumiOperation"), by_id.get("initiator")), (None, None));
    let git = &by_id["configuration"]["source"]["git"];
    assert_eq!(git["repoURL"], "https://example.com/repo.git");
    let cancel = path(&format!("/deployments/{id}/cancel"));
    assert_eq!(bench.api.send(Method::POST, &cancel, None).await.status, 200);
    bench.wait_status(1, "failed").await;
    bench.api.send(Method::POST, &cancel, None).await.expect_error(404);
    bench.api.get(&path("/deployments/none")).await.expect_error(404);
    bench.api.get(&path("/deployments/version/2")).await.expect_error(404);
}

#[tokio::test]
async fn logs_are_read_on_with_the_next_token() {
    let bench = bench().await;
    let id = create(&bench, request("update")).await;
    bench.wait_status(1, "succeeded").await;
    let whole = bench.api.get(&stack_path(&format!("/deployments/{id}/logs?count=499"))).await.expect(200);
    for name in ["nextToken", "continuationToken"] {
        let mut lines = Vec::new();
        let mut query = "?count=7".to_owned();
        loop {
            let body = bench.api.get(&path(&format!("/deployments/{id}/logs{query}"))).await.expect(200);
            assert_eq!(body.get("__type"), None);
            lines.extend(body["lines"].as_array().unwrap().clone());
            let Some(token) = body["nextToken"].as_str() else { break };
            query = format!("?count=7&{name}={token}");
        }
        assert_eq!(Value::from(lines), whole["lines"]);
    }
    let step = bench.api.get(&path(&format!("/deployments/{id}/logs/?step=2&count=1"))).await.expect(200);
    assert_eq!((step["lines"].as_array().unwrap().len(), &step["nextOffset"]), (1, &json!(1)));
}

#[tokio::test]
async fn an_old_installation_has_nothing_of_today() {
    let bench = bench_with(|builder| builder.speed(200.0).dialect(Dialect::PreviewOnly)).await;
    for (method, path) in [
        (Method::POST, stack_path("/deployments")),
        (Method::GET, stack_path("/deployments")),
        (Method::GET, stack_path("/deployments/settings")),
        (Method::POST, stack_path("/deployments/settings")),
        (Method::GET, stack_path("/deployments/metadata")),
        (Method::POST, stack_path("/deployments/pause")),
        (Method::DELETE, stack_path("/deployments/cache")),
        (Method::GET, stack_path("/deployments/schedules")),
        (Method::GET, stack_path("/drift/runs")),
        (Method::GET, "/api/orgs/acme/deployments".to_owned()),
        (Method::GET, "/api/orgs/acme/deployments/metadata".to_owned()),
        (Method::GET, path("/deployments/schedules/x/history")),
        (Method::DELETE, path("/deployments/cache/x")),
    ] {
        let reply = bench.api.send(method, &path, None).await;
        assert_eq!((reply.status, reply.text.as_str()), (404, "404 page not found\n"), "{path}");
    }
    // The old routes have no such word: they take it for a deployment's id.
    bench.api.get(&path("/deployments/metadata")).await.expect_error(404);
    assert_eq!(bench.api.send(Method::POST, &path("/deployments/pause"), None).await.status, 405);
    // What is not about deployments is there, and the old routes work.
    bench.api.get(&stack_path("")).await.expect(200);
    bench.api.get("/api/user").await.expect(200);
    create(&bench, request("update")).await;
    bench.wait_status(1, "succeeded").await;
    let unknown = bench.simulator.requests_where(|request| request.path.ends_with("/deployments/settings"));
    assert!(unknown.iter().all(|request| request.operation.is_empty()));
}

#[tokio::test]
async fn the_old_routes_can_be_gone() {
    let bench = bench_with(|builder| builder.speed(200.0).dialect(Dialect::StacksOnly)).await;
    let reply = bench.api.post(&path("/deployments"), request("update")).await;
    assert_eq!((reply.status, reply.text.as_str()), (404, "404 page not found\n"));
    bench.create(with_source("update")).await;
}
