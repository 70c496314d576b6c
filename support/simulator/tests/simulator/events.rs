use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, bench_with, stack_path, with_source, with_variables};

/// The engine's name for the update of the deployment of that version.
async fn update_of(bench: &Bench, version: usize) -> String {
    let id = bench.simulator.deployment(STACK, version).unwrap().id;
    let updates = bench.api.get(&stack_path(&format!("/deployments/{id}/updates"))).await.expect(200);
    updates[0]["updateID"].as_str().unwrap().to_owned()
}

/// Follows the events to their end.
async fn follow(bench: &Bench, kind: &str, update: &str) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut events, mut query) = (Vec::new(), String::new());
    loop {
        assert!(Instant::now() < deadline, "the events never end: {events:#?}");
        let page = bench.api.get(&stack_path(&format!("/{kind}/{update}/events{query}"))).await.expect(200);
        events.extend(page["events"].as_array().unwrap().clone());
        let Some(token) = page["continuationToken"].as_str() else {
            return events;
        };
        query = format!("?continuationToken={token}");
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_update_tells_each_resource_and_ends() {
    let bench = bench_with(|builder| builder.speed(50.0)).await;
    let variables = json!({"SIMULATOR_RESOURCES": "2", "SIMULATOR_LOG_LINES": "1"});
    bench.create(with_variables("update", &variables)).await;
    bench.wait(1, |view| view.step.as_deref() == Some("pulumi update")).await;
    let update = update_of(&bench, 1).await;
    // From its middle on.
    let events = follow(&bench, "update", &update).await;
    let expected = [
        "preludeEvent",
        "resourcePreEvent",
        "resOutputsEvent",
        "resourcePreEvent",
        "resOutputsEvent",
        "diagnosticEvent",
        "summaryEvent",
        "cancelEvent",
    ];
    assert_eq!(types(&events), expected);
    for event in &events {
        assert!(event[event["type"].as_str().unwrap()].is_object(), "{event}");
        assert!(event["timestamp"].as_i64().unwrap() > 1_600_000_000);
    }
    let step = &events[3]["resourcePreEvent"]["metadata"];
    assert_eq!((&step["op"], &step["old"]), (&json!("create"), &Value::Null));
    assert_eq!(step["urn"], "urn:pulumi:prod::web::random:index:RandomId::resource-1");
    assert_eq!(events[5]["diagnosticEvent"]["message"], "line 1\n");
    assert_eq!(events[6]["summaryEvent"]["resourceChanges"], json!({"create": 2}));
    assert_eq!(follow(&bench, "update", &update).await, events);
    let path = stack_path(&format!("/update/{update}/events?urn={}", step["urn"].as_str().unwrap()));
    assert_eq!(bench.api.get(&path).await.expect(200)["events"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn many_events_come_in_pages() {
    let bench = bench().await;
    bench.create(with_variables("preview", &json!({"SIMULATOR_RESOURCES": "120"}))).await;
    bench.wait_status(1, "succeeded").await;
    let update = update_of(&bench, 1).await;
    let page = bench.api.get(&stack_path(&format!("/preview/{update}/events"))).await.expect(200);
    assert_eq!(page["events"].as_array().unwrap().len(), 100);
    let events = follow(&bench, "preview", &update).await;
    assert_eq!(events.len(), 1 + 240 + 2);
    assert_eq!(events[241]["summaryEvent"]["isPreview"], true);
    let path = stack_path(&format!("/preview/{update}/events?continuationToken=x"));
    assert_eq!(bench.api.get(&path).await.expect_error(400), "Bad Request: Invalid continuation token.");
    bench.api.get(&stack_path("/update/none/events")).await.expect_error(404);
}

#[tokio::test]
async fn a_failed_update_says_so() {
    let bench = bench().await;
    bench.create(with_variables("update", &json!({"SIMULATOR_FAIL_STEP": "pulumi update"}))).await;
    bench.wait_status(1, "failed").await;
    let events = follow(&bench, "update", &update_of(&bench, 1).await).await;
    let [.., diagnostic, summary, cancel] = events.as_slice() else { panic!("{events:#?}") };
    assert_eq!(diagnostic["diagnosticEvent"]["severity"], "error");
    assert_eq!(summary["summaryEvent"]["result"], "failed");
    assert_eq!(cancel["type"], "cancelEvent");
}

#[tokio::test]
async fn a_destroy_begins_with_the_last_resource() {
    let bench = bench().await;
    bench.create(with_source("update")).await;
    bench.create(with_source("destroy")).await;
    bench.wait_status(2, "succeeded").await;
    let events = follow(&bench, "destroy", &update_of(&bench, 2).await).await;
    let urns: Vec<&str> = events
        .iter()
        .filter_map(|event| event["resourcePreEvent"]["metadata"]["urn"].as_str())
        .map(|urn| urn.rsplit("::").next().unwrap())
        .collect();
    assert_eq!(urns, ["resource-3", "resource-2", "resource-1", "web-prod"]);
}

#[tokio::test]
async fn sent_events_are_kept() {
    let bench = bench().await;
    bench.simulator.hold_at(STACK, "pulumi update").unwrap();
    bench.create(with_source("update")).await;
    bench.wait(1, |view| view.step.as_deref() == Some("pulumi update")).await;
    let update = update_of(&bench, 1).await;
    let path = stack_path(&format!("/update/{update}/events"));
    let event = json!({"sequence": 3, "timestamp": 1_700_000_000, "stdoutEvent": {"message": "hello", "color": "raw"}});
    bench.api.post(&path, event).await.expect(200);
    bench.api.post(&path, json!({"sequence": 4})).await.expect_error(400);
    bench.api.post(&stack_path("/update/none/events"), json!({"cancelEvent": {}})).await.expect_error(404);
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(1, "succeeded").await;
    let events = follow(&bench, "update", &update).await;
    let sent = events.iter().find(|event| event["type"] == "stdoutEvent").unwrap();
    let expected = json!({
        "type": "stdoutEvent", "timestamp": 1_700_000_000, "stdoutEvent": {"message": "hello", "color": "raw"},
    });
    assert_eq!(*sent, expected);
}
