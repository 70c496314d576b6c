use reqwest::Method;

use crate::support::{STACK, bench, stack_path};

#[tokio::test]
async fn a_token_is_needed() {
    let bench = bench().await;
    let message = bench.api.with_token("wrong").get("/api/user").await.expect_error(401);
    assert_eq!(message, "Unauthorized: No credentials provided or are invalid.");
    let bare = bench.api.client.get(format!("{}/api/user", bench.api.url)).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    let bearer = bench.api.client.get(format!("{}/api/user", bench.api.url)).bearer_auth("t").send().await.unwrap();
    assert_eq!(bearer.status(), 401);
}

#[tokio::test]
async fn the_user_is_told() {
    let bench = bench().await;
    let user = bench.api.get("/api/user").await.expect(200);
    assert_eq!(user["githubLogin"], "simulator");
    assert_eq!(user["organizations"][0]["githubLogin"], "acme");
    assert_eq!(user["organizations"][0]["role"], "admin");
    let organization = bench.api.get("/api/user/organizations/default").await.expect(200);
    assert_eq!(organization["GitHubLogin"], "acme");
}

#[tokio::test]
async fn organizations_are_kept_apart() {
    let bench = bench().await;
    bench.simulator.add_organization("other", "o");
    bench.simulator.add_stack("other/web/prod").unwrap();
    let other = bench.api.with_token("o");
    other.get("/api/stacks/other/web/prod").await.expect(200);
    bench.api.get(&stack_path("")).await.expect(200);
    let message = other.get(&stack_path("")).await.expect_error(404);
    assert_eq!(message, "Not Found: Organization acme not found");
    other.get(&stack_path("/deployments/settings")).await.expect_error(404);
    other.get("/api/orgs/acme/deployments").await.expect_error(404);
    assert_eq!(other.get("/api/user").await.expect(200)["githubLogin"], "other-admin");
}

#[tokio::test]
async fn tokens_come_and_go() {
    let bench = bench().await;
    bench.simulator.add_token("acme", "second", "jane").unwrap();
    let jane = bench.api.with_token("second");
    assert_eq!(jane.get("/api/user").await.expect(200)["githubLogin"], "jane");
    jane.get(&stack_path("")).await.expect(200);
    bench.simulator.revoke_token("second");
    jane.get("/api/user").await.expect_error(401);
    bench.api.get("/api/user").await.expect(200);
    assert!(bench.simulator.add_token("nowhere", "x", "y").is_err());
}

#[tokio::test]
async fn only_administrators_pause_an_organization() {
    let bench = bench().await;
    bench.simulator.add_member_token("acme", "m", "joe").unwrap();
    let member = bench.api.with_token("m");
    member.get(&format!("/api/stacks/{STACK}")).await.expect(200);
    member.send(Method::POST, "/api/orgs/acme/deployments/pause", None).await.expect_error(403);
    bench.api.send(Method::POST, "/api/orgs/acme/deployments/pause", None).await.expect(200);
}

#[tokio::test]
async fn every_answer_has_an_id_and_a_date() {
    let bench = bench().await;
    for path in ["/api/user", "/api/nothing", "/api/stacks/acme/web/none"] {
        let reply = bench.api.get(path).await;
        assert!(reply.headers.contains_key("x-pulumi-request-id"), "{path}");
        assert!(reply.headers.contains_key("date"), "{path}");
    }
}

#[tokio::test]
async fn unknown_routes_are_no_json() {
    let bench = bench().await;
    let reply = bench.api.get("/api/nothing/here").await;
    assert_eq!((reply.status, reply.text.as_str()), (404, "404 page not found\n"));
    assert!(reply.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(bench.api.send(Method::PATCH, "/api/user", None).await.status, 405);
}
