use serde_json::json;

use crate::support::{bench, stack_path, with_source, with_variables};

#[tokio::test]
async fn the_history_tells_what_was_changed() {
    let bench = bench().await;
    bench.api.get(&stack_path("/updates/latest")).await.expect_error(404);
    bench.create(with_source("update")).await;
    bench.create(with_source("preview")).await;
    bench.create(with_variables("update", &json!({"SIMULATOR_RESOURCES": "6"}))).await;
    bench.wait_status(3, "succeeded").await;
    let latest = bench.api.get(&stack_path("/updates/latest")).await.expect(200);
    assert_eq!((&latest["version"], &latest["latestVersion"]), (&json!(2), &json!(2)));
    assert_eq!(latest["info"]["resourceChanges"], json!({"create": 2, "same": 4}));
    assert_eq!(latest["info"]["resourceCount"], 6);
    assert_eq!(latest["requestedBy"]["githubLogin"], "simulator");
    let first = bench.api.get(&stack_path("/updates/1")).await.expect(200);
    assert_eq!(first["info"]["resourceChanges"], json!({"create": 4}));
    assert_eq!((&first["version"], &first["latestVersion"]), (&json!(1), &json!(2)));
    let summary = bench.api.get(&stack_path("/updates/1/summary")).await.expect(200);
    assert_eq!((&summary["result"], &summary["resourceCount"]), (&json!("succeeded"), &json!(4)));
    assert_eq!(summary["resourceChanges"], json!({"create": 4}));
    for path in ["/updates/3", "/updates/3/summary", "/updates/0"] {
        let message = bench.api.get(&stack_path(path)).await.expect_error(404);
        assert_eq!(message, "Not Found: Version not found");
    }
    bench.api.get(&stack_path("/updates/x")).await.expect_error(400);
}

#[tokio::test]
async fn the_history_comes_in_two_forms_and_in_pages() {
    let bench = bench().await;
    for version in 1..=3 {
        bench.create(with_source("update")).await;
        bench.wait_status(version, "succeeded").await;
    }
    let all = bench.api.get(&stack_path("/updates")).await.expect(200);
    let versions = |reply: &serde_json::Value| -> Vec<i64> {
        reply["updates"].as_array().unwrap().iter().map(|update| update["version"].as_i64().unwrap()).collect()
    };
    assert_eq!(versions(&all), [3, 2, 1]);
    assert_eq!(all["updates"][0]["kind"], "update");
    let page = bench.api.get(&stack_path("/updates?page=2&pageSize=2")).await.expect(200);
    assert_eq!(versions(&page), [1]);
    let page = bench.api.get(&stack_path("/updates?output-type=service&page=1&pageSize=2")).await.expect(200);
    assert_eq!(versions(&page), [3, 2]);
    assert_eq!((&page["total"], &page["itemsPerPage"]), (&json!(3), &json!(2)));
    assert_eq!(page["updates"][0]["info"]["result"], "succeeded");
    for (query, name) in [("page=x", "page"), ("pageSize=-1", "pageSize")] {
        let message = bench.api.get(&stack_path(&format!("/updates?{query}"))).await.expect_error(400);
        assert_eq!(message, format!("Bad Request: Invalid '{name}' value."));
    }
}
