use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, stack_path, with_source};

async fn listed(bench: &Bench, query: &str) -> (Vec<u64>, Value) {
    let body = bench.api.get(&stack_path(&format!("/deployments{query}"))).await.expect(200);
    let items = body["deployments"].as_array().unwrap();
    (items.iter().map(|item| item["version"].as_u64().unwrap()).collect(), body)
}

#[tokio::test]
async fn lists_come_in_pages() {
    let bench = bench().await;
    bench.simulator.set_stack_paused(STACK, true).unwrap();
    for _ in 0..25 {
        bench.simulator.create_deployment(STACK, &with_source("update")).unwrap();
    }
    let (versions, body) = listed(&bench, "").await;
    assert_eq!(versions, (16..=25).rev().collect::<Vec<_>>());
    assert_eq!((&body["itemsPerPage"], &body["total"]), (&json!(10), &json!(25)));
    assert_eq!(body["deployments"][0]["jobs"], json!([]));
    assert_eq!(body["deployments"][0]["updates"], json!([]));
    assert_eq!(body["deployments"][0]["paused"], true);
    assert_eq!(listed(&bench, "?asc=true&page=2&pageSize=7&sort=created").await.0, (8..=14).collect::<Vec<_>>());
    assert_eq!(listed(&bench, "?page=3").await.0, [5, 4, 3, 2, 1]);
    let (past, body) = listed(&bench, "?page=4").await;
    assert_eq!((past.len(), &body["total"]), (0, &json!(25)));
    assert_eq!(listed(&bench, "?pageSize=100").await.0.len(), 25);
}

#[tokio::test]
async fn wrong_queries_are_refused() {
    let bench = bench().await;
    for query in ["page=0", "page=-1", "page=x", "pageSize=0", "pageSize=101", "asc=maybe", "sort=color", "status=odd"]
    {
        for path in [stack_path("/deployments"), "/api/orgs/acme/deployments".to_owned()] {
            let message = bench.api.get(&format!("{path}?{query}")).await.expect_error(400);
            assert!(message.contains("Invalid query parameter"), "{message}");
        }
    }
    bench.api.get("/api/stacks/acme/web/none/deployments").await.expect_error(404);
}

#[tokio::test]
async fn lists_are_filtered_by_status() {
    let bench = bench().await;
    bench.create(with_source("update")).await;
    bench.create(json!({"operation": "update"})).await;
    bench.wait_status(2, "failed").await;
    assert_eq!(listed(&bench, "?status=succeeded").await.0, [1]);
    let (versions, body) = listed(&bench, "?status=failed").await;
    assert_eq!((versions, &body["total"]), (vec![2], &json!(1)));
    assert_eq!(listed(&bench, "?status=running").await.0.len(), 0);
}

#[tokio::test]
async fn an_organization_lists_all_its_stacks() {
    let bench = bench().await;
    bench.simulator.add_stack("acme/shop/dev").unwrap();
    bench.simulator.add_organization("other", "o");
    bench.simulator.add_stack("other/a/b").unwrap();
    for stack in [STACK, "acme/shop/dev", "other/a/b", STACK] {
        bench.simulator.create_deployment(stack, &with_source("update")).unwrap();
    }
    let body = bench.api.get("/api/orgs/acme/deployments?asc=true").await.expect(200);
    let names: Vec<(&str, &str, u64)> = body["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let text = |name: &str| item[name].as_str().unwrap();
            (text("projectName"), text("stackName"), item["version"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(names, [("web", "prod", 1), ("shop", "dev", 1), ("web", "prod", 2)]);
    assert_eq!(body["total"], 3);
}
