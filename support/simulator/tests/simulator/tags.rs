use reqwest::Method;
use serde_json::json;

use crate::support::{bench, stack_path};

#[tokio::test]
async fn tags_are_added_changed_and_removed() {
    let bench = bench().await;
    let api = &bench.api;
    let path = stack_path("/tags");
    assert_eq!(api.post(&path, json!({"name": "team", "value": "a"})).await.status, 204);
    api.post(&path, json!({"name": "team", "value": "b"})).await.expect_error(400);
    let one = stack_path("/tags/team");
    let change = json!({"name": "team", "value": "c"});
    assert_eq!(api.send(Method::PATCH, &one, Some(change.clone())).await.status, 204);
    assert_eq!(api.get(&stack_path("")).await.expect(200)["tags"], json!({"team": "c"}));
    assert_eq!(api.delete(&one).await.status, 204);
    api.delete(&one).await.expect_error(404);
    api.send(Method::PATCH, &one, Some(change)).await.expect_error(404);
    assert_eq!(api.get(&stack_path("")).await.expect(200)["tags"], json!({}));
}

#[tokio::test]
async fn all_tags_are_replaced_at_once() {
    let bench = bench().await;
    let path = stack_path("/tags");
    bench.api.post(&path, json!({"name": "old", "value": "1"})).await.expect(204);
    let tags = json!({"pulumi:project": "web", "new": "2"});
    bench.api.send(Method::PATCH, &path, Some(tags.clone())).await.expect(204);
    assert_eq!(bench.api.get(&stack_path("")).await.expect(200)["tags"], tags);
    let message = bench.api.send(Method::PATCH, &path, Some(json!({"pulumi:project": "x"}))).await.expect_error(400);
    assert_eq!(message, "Bad Request: Cannot change project's name");
}

#[tokio::test]
async fn what_is_no_tag_is_refused() {
    let bench = bench().await;
    let path = stack_path("/tags");
    for name in ["", "no spaces", &"x".repeat(41)] {
        bench.api.post(&path, json!({"name": name, "value": "v"})).await.expect_error(400);
    }
    bench.api.post(&path, json!({"name": "long", "value": "v".repeat(257)})).await.expect_error(400);
    let message = bench.api.delete(&stack_path("/tags/pulumi:project")).await.expect_error(400);
    assert_eq!(message, "Bad Request: built-in tags cannot be deleted");
    let body = json!({"stackName": "dev", "tags": {"a tag": "v"}});
    bench.api.post("/api/stacks/acme/shop", body).await.expect_error(400);
    bench.api.post("/api/stacks/acme/web/none/tags", json!({"name": "a", "value": "b"})).await.expect_error(404);
}
