use reqwest::Method;
use serde_json::json;

use crate::support::{bench, stack_path, with_source};

#[tokio::test]
async fn stacks_are_created_read_and_deleted() {
    let bench = bench().await;
    let api = &bench.api;
    assert_eq!(api.send(Method::HEAD, "/api/stacks/acme/shop", None).await.status, 404);
    api.get("/api/stacks/acme/shop/dev").await.expect_error(404);
    let body = json!({"stackName": "dev", "tags": {"team": "a"}});
    api.post("/api/stacks/acme/shop", body.clone()).await.expect(200);
    api.post("/api/stacks/acme/shop", body).await.expect_error(409);
    api.post("/api/stacks/acme/shop", json!({"stackName": "no/good"})).await.expect_error(400);
    api.post("/api/stacks/acme/shop", json!({})).await.expect_error(400);
    assert_eq!(api.send(Method::HEAD, "/api/stacks/acme/shop", None).await.status, 200);
    let stack = api.get("/api/stacks/acme/shop/dev").await.expect(200);
    assert_eq!(stack["tags"]["team"], "a");
    assert_eq!((&stack["projectName"], &stack["version"]), (&json!("shop"), &json!(0)));
    assert!(bench.simulator.has_stack("acme/shop/dev"));
    assert_eq!(api.delete("/api/stacks/acme/shop/dev").await.status, 204);
    api.get("/api/stacks/acme/shop/dev").await.expect_error(404);
    api.delete("/api/stacks/acme/shop/dev").await.expect_error(404);
}

#[tokio::test]
async fn a_stack_with_resources_is_only_deleted_by_force() {
    let bench = bench().await;
    bench.create(with_source("update")).await;
    bench.wait_status(1, "succeeded").await;
    let stack = bench.api.get(&stack_path("")).await.expect(200);
    assert_eq!(stack["version"], 1);
    assert_ne!(stack["activeUpdate"], "");
    bench.api.delete(&stack_path("")).await.expect_error(400);
    assert_eq!(bench.api.delete(&stack_path("?force=true")).await.status, 204);
    assert!(!bench.simulator.has_stack("acme/web/prod"));
}

#[tokio::test]
async fn a_destroyed_stack_is_deleted_and_starts_anew() {
    let bench = bench().await;
    bench.create(with_source("update")).await;
    bench.create(with_source("destroy")).await;
    bench.wait_status(2, "succeeded").await;
    assert_eq!(bench.api.delete(&stack_path("")).await.status, 204);
    bench.api.get(&stack_path("/deployments")).await.expect_error(404);
    bench.simulator.add_stack("acme/web/prod").unwrap();
    let list = bench.api.get(&stack_path("/deployments")).await.expect(200);
    assert_eq!(list["total"], 0);
    bench.create(with_source("update")).await;
    assert_eq!(bench.simulator.deployments("acme/web/prod")[0].version, 1);
}

#[tokio::test]
async fn removing_a_stack_in_the_middle_of_a_run_frees_its_place() {
    let bench = bench().await;
    bench.simulator.set_concurrency("acme", 1).unwrap();
    bench.simulator.add_stack("acme/web/dev").unwrap();
    bench.simulator.hold("acme/web/prod").unwrap();
    bench.create(with_source("update")).await;
    bench.wait_status(1, "running").await;
    bench.simulator.create_deployment("acme/web/dev", &with_source("update")).unwrap();
    assert_eq!(bench.statuses("acme/web/dev"), ["not-started"]);
    bench.simulator.remove_stack("acme/web/prod").unwrap();
    bench.wait_of("acme/web/dev", 1, |view| view.status == "succeeded").await;
    assert!(bench.simulator.remove_stack("acme/web/prod").is_err());
}

#[tokio::test]
async fn the_cache_can_be_cleared() {
    let bench = bench().await;
    let path = stack_path("/deployments/cache");
    bench.api.delete(&path).await.expect(200);
    bench.api.delete("/api/stacks/acme/web/none/deployments/cache").await.expect_error(404);

    let caching = json!({"cacheOptions": {"enable": true}});
    bench.simulator.patch_settings("acme/web/prod", &caching).unwrap();
    let mut restored = Vec::new();
    for version in 1..=4 {
        let mut body = with_source("update");
        if version == 3 {
            body["cacheOptions"] = json!({"enable": false});
        }
        let id = bench.create(body).await;
        bench.wait_status(version, "succeeded").await;
        let log = bench.api.get(&stack_path(&format!("/deployments/{id}/logs?count=499"))).await;
        restored.push(log.text.contains("from the cache"));
        if version == 3 {
            bench.api.delete(&path).await.expect(200);
        }
    }
    // Filled by the first; not used by the third; gone before the fourth.
    assert_eq!(restored, [false, true, false, false]);
}

#[tokio::test]
async fn names_in_paths_are_decoded() {
    let bench = bench().await;
    bench.simulator.add_stack("acme/my project/dev").unwrap();
    let stack = bench.api.get("/api/stacks/acme/my%20project/dev").await.expect(200);
    assert_eq!(stack["projectName"], "my project");
}
