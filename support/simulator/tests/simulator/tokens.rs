use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use crate::support::{bench, stack_path};

#[tokio::test]
async fn an_organization_has_tokens_of_its_own() {
    let bench = bench().await;
    let path = "/api/orgs/acme/tokens";
    let body = json!({"name": "ci", "description": "for CI", "expires": 0, "admin": false});
    let created = bench.api.post(path, body.clone()).await.expect(200);
    let value = created["tokenValue"].as_str().unwrap();
    let user = bench.api.with_token(value).get("/api/user").await.expect(200);
    assert_eq!(user["tokenInfo"], json!({"name": "ci", "organization": "acme", "team": ""}));
    bench.api.with_token(value).get(&stack_path("")).await.expect(200);
    // It is no administrator's.
    bench.api.with_token(value).post("/api/orgs/acme/deployments/pause", json!({})).await.expect_error(403);
    bench.api.post(path, body).await.expect_error(409);
    bench.api.post(path, json!({"name": "no spaces"})).await.expect_error(400);
    bench.api.post(path, json!({"name": "past", "expires": 1})).await.expect_error(400);
    let list = bench.api.get(path).await.expect(200);
    let shown = &list["tokens"][0];
    assert_eq!((&shown["id"], &shown["name"], &shown["type"]), (&created["id"], &json!("ci"), &json!("organization")));
    assert!(shown["lastUsed"].as_i64().unwrap() > 0);
    assert!(!list.to_string().contains(value));
    bench.simulator.add_member_token("acme", "m", "joe").unwrap();
    bench.api.with_token("m").get(path).await.expect_error(403);
}

#[tokio::test]
async fn a_person_has_tokens_too() {
    let bench = bench().await;
    let created = bench.api.post("/api/user/tokens", json!({"description": "laptop", "expires": 0})).await.expect(200);
    let value = created["tokenValue"].as_str().unwrap();
    assert!(value.starts_with("pul-"));
    let user = bench.api.with_token(value).get("/api/user").await.expect(200);
    assert_eq!((&user["githubLogin"], &user["tokenInfo"]), (&json!("simulator"), &json!(null)));
    let list = bench.api.get("/api/user/tokens").await.expect(200);
    assert_eq!(list["tokens"][0]["description"], "laptop");
    assert_eq!(bench.api.get("/api/orgs/acme/tokens").await.expect(200)["tokens"], json!([]));
}

#[tokio::test]
async fn tokens_expire() {
    let bench = bench().await;
    let expires = Timestamp::now().as_second() + 2;
    let created = bench.api.post("/api/user/tokens", json!({"description": "", "expires": expires})).await.expect(200);
    let api = bench.api.with_token(created["tokenValue"].as_str().unwrap());
    api.get("/api/user").await.expect(200);
    let deadline = Instant::now() + Duration::from_secs(20);
    while api.get("/api/user").await.status == 200 {
        assert!(Instant::now() < deadline, "the token does not expire");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    api.get("/api/user").await.expect_error(401);
    for (filter, count) in [("active", 0), ("expired", 1), ("all", 1)] {
        let list = bench.api.get(&format!("/api/user/tokens?filter={filter}")).await.expect(200);
        assert_eq!(list["tokens"].as_array().unwrap().len(), count, "{filter}");
    }
}

#[tokio::test]
async fn lists_of_tokens_come_in_pages() {
    let bench = bench().await;
    for number in 0..3 {
        bench.api.post("/api/orgs/acme/tokens", json!({"name": format!("t{number}")})).await.expect(200);
    }
    let first = bench.api.get("/api/orgs/acme/tokens?maxResults=2").await.expect(200);
    let token = first["continuationToken"].as_str().unwrap();
    let second =
        bench.api.get(&format!("/api/orgs/acme/tokens?maxResults=2&continuationToken={token}")).await.expect(200);
    assert_eq!(second["tokens"].as_array().unwrap().len(), 1);
    assert!(second["continuationToken"].is_null());
    bench.api.get("/api/orgs/acme/tokens?maxResults=0").await.expect_error(400);
    bench.api.get("/api/orgs/acme/tokens?continuationToken=x").await.expect_error(400);
    bench.api.get("/api/orgs/acme/tokens?filter=some").await.expect_error(400);
}
