use reqwest::Method;
use serde_json::json;

use crate::support::{STACK, bench, with_source};

#[tokio::test]
async fn the_service_speaks_of_itself_to_everybody() {
    let bench = bench().await;
    for token in ["t", "wrong"] {
        let api = bench.api.with_token(token);
        let version = api.get("/api/cli/version").await.expect(200);
        assert!(version["latestVersion"].as_str().unwrap().starts_with("3."));
        let capabilities = api.get("/api/capabilities").await.expect(200);
        assert!(capabilities["capabilities"].is_array());
    }
}

#[tokio::test]
async fn stacks_are_listed_by_what_is_asked_for() {
    let bench = bench().await;
    bench.simulator.add_organization("other", "o");
    bench.simulator.add_stack("other/web/prod").unwrap();
    let tagged = json!({"stackName": "dev", "tags": {"team": "a"}});
    bench.api.post("/api/stacks/acme/shop", tagged).await.expect(200);
    bench.create(with_source("update")).await;
    bench.wait_status(1, "succeeded").await;
    for (query, expected) in [
        ("", vec!["acme/shop/dev", STACK]),
        ("?organization=acme&project=web", vec![STACK]),
        ("?organization=other", vec![]),
        ("?tagName=team", vec!["acme/shop/dev"]),
        ("?tagName=team&tagValue=b", vec![]),
    ] {
        let list = bench.api.get(&format!("/api/user/stacks{query}")).await.expect(200);
        let names: Vec<String> = list["stacks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stack| {
                let part = |name: &str| stack[name].as_str().unwrap().to_owned();
                format!("{}/{}/{}", part("orgName"), part("projectName"), part("stackName"))
            })
            .collect();
        assert_eq!(names, expected, "{query}");
    }
    let list = bench.api.get("/api/user/stacks?project=web").await.expect(200);
    assert_eq!(list["stacks"][0]["resourceCount"], 4);
    assert!(list["stacks"][0]["lastUpdate"].is_i64());
}

#[tokio::test]
async fn long_lists_of_stacks_come_in_pages() {
    let bench = bench().await;
    for number in 0..150 {
        bench.simulator.add_stack(&format!("acme/many/s{number}")).unwrap();
    }
    let first = bench.api.get("/api/user/stacks?project=many").await.expect(200);
    let token = first["continuationToken"].as_str().unwrap();
    let path = format!("/api/user/stacks?project=many&continuationToken={token}");
    let second = bench.api.get(&path).await.expect(200);
    let count = |reply: &serde_json::Value| reply["stacks"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second)), (100, 50));
    assert!(second["continuationToken"].is_null());
}

#[tokio::test]
async fn an_organization_is_shown_and_changed() {
    let bench = bench().await;
    bench.simulator.patch_settings(STACK, &json!({})).unwrap();
    let shown = bench.api.get("/api/orgs/acme").await.expect(200);
    let project = &shown["repos"][0]["projects"][0];
    assert_eq!(project["name"], "web");
    assert_eq!(
        (&project["stacks"][0]["name"], &project["stacks"][0]["hasDeploymentSettings"]),
        (&json!("prod"), &json!(true))
    );
    let patch = |body| bench.api.send(Method::PATCH, "/api/orgs/acme", Some(body));
    let changed = patch(json!({"setMembersCanDeleteStacks": false})).await.expect(200);
    assert_eq!(changed["membersCanDeleteStacks"], false);
    let again = patch(json!({})).await.expect(200);
    assert_eq!((&again["membersCanDeleteStacks"], &again["stackCount"]), (&json!(false), &json!(1)));
    patch(json!({"setMembersCanDeleteStacks": "no"})).await.expect_error(400);
    bench.simulator.add_member_token("acme", "m", "joe").unwrap();
    let member = bench.api.with_token("m");
    member.get("/api/orgs/acme").await.expect(200);
    member.send(Method::PATCH, "/api/orgs/acme", Some(json!({}))).await.expect_error(403);
    bench.api.get("/api/orgs/none").await.expect_error(404);
    let app = bench.api.get("/api/console/orgs/acme/integrations/github-app").await.expect(200);
    assert_eq!(app, json!({"installed": true}));
}
