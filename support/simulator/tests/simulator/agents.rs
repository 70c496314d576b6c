use pulumi_cloud_simulator::SimulatorError;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, Bench, STACK, bench, stack_path, with_source};

const POOLS: &str = "/api/orgs/acme/agent-pools";
const POLL: &str = "/api/deployments/poll";

/// A new pool: its id and what its agents talk through.
async fn pool(bench: &Bench, name: &str) -> (String, Api) {
    let created = bench.api.post(POOLS, json!({"name": name, "description": "for tests"})).await.expect(200);
    let text = |name: &str| created[name].as_str().unwrap().to_owned();
    (text("id"), bench.api.with_token(&text("tokenValue")))
}

fn meant_for(pool: &str) -> Value {
    let mut body = with_source("update");
    body["agentPoolID"] = pool.into();
    body
}

#[tokio::test]
async fn pools_are_created_read_changed_and_deleted() {
    let bench = bench().await;
    let (id, agent) = pool(&bench, "mine").await;
    let path = format!("{POOLS}/{id}");
    let list = bench.api.get(POOLS).await;
    assert!(!list.text.contains(&agent.token), "the token is shown once");
    let list = list.expect(200);
    let listed = &list["agentPools"][0];
    assert_eq!((&listed["id"], &listed["name"]), (&json!(id), &json!("mine")));
    assert_eq!((&listed["status"], &listed["lastSeen"]), (&json!("offline"), &json!(0)));
    assert_eq!((listed.get("lastDeployment"), list.get("defaultAgentPoolID")), (None, None));
    let read = bench.api.get(&path).await.expect(200);
    assert_eq!((&read["description"], &read["agents"]), (&json!("for tests"), &json!([])));
    let changed = bench.api.send(Method::PATCH, &path, Some(json!({"name": "ours"}))).await.expect(200);
    assert_eq!(changed, json!({"name": "ours", "description": "for tests"}));
    assert_eq!(bench.api.delete(&path).await.status, 204);
    for method in [Method::GET, Method::DELETE] {
        bench.api.send(method, &path, None).await.expect_error(404);
    }
    bench.api.send(Method::PATCH, &path, Some(json!({"name": "x"}))).await.expect_error(404);
    assert_eq!(bench.api.get(POOLS).await.expect(200), json!({"agentPools": []}));
    for body in [json!({"description": "x"}), json!({"name": "", "description": "x"}), json!({"name": 1})] {
        bench.api.post(POOLS, body).await.expect_error(400);
    }
    bench.api.get("/api/orgs/other/agent-pools").await.expect_error(404);
}

#[tokio::test]
async fn only_administrators_change_pools() {
    let bench = bench().await;
    let (id, _) = pool(&bench, "mine").await;
    bench.simulator.add_member_token("acme", "member", "someone").unwrap();
    let member = bench.api.with_token("member");
    let path = format!("{POOLS}/{id}");
    member.get(&path).await.expect(200);
    member.post(POOLS, json!({"name": "x", "description": ""})).await.expect_error(403);
    member.send(Method::PATCH, &path, Some(json!({"name": "x"}))).await.expect_error(403);
    member.delete(&path).await.expect_error(403);
}

#[tokio::test]
async fn a_pool_in_use_is_only_deleted_by_force() {
    let bench = bench().await;
    let (id, agent) = pool(&bench, "mine").await;
    let settings = stack_path("/deployments/settings");
    let mut body = meant_for(&id);
    body.as_object_mut().unwrap().remove("operation");
    bench.api.post(&settings, body).await.expect(200);
    bench.create(json!({"operation": "update"})).await;
    let path = format!("{POOLS}/{id}");
    let message = bench.api.delete(&path).await.expect_error(400);
    assert!(message.contains("Agent pool is in use"), "{message}");
    bench.api.delete(&format!("{path}?force=perhaps")).await.expect_error(400);
    assert_eq!(bench.statuses(STACK), ["not-started"]);
    assert_eq!(bench.api.delete(&format!("{path}?force=true")).await.status, 204);
    // The stack is left to the service now, and so is what waited.
    let settings = bench.api.get(&settings).await.expect(200);
    assert_eq!((settings.get("agentPoolID"), &settings["version"]), (None, &json!(2)));
    bench.wait_status(1, "succeeded").await;
    agent.get(POLL).await.expect_error(403);
}

#[tokio::test]
async fn what_is_meant_for_agents_waits_for_one() {
    let bench = bench().await;
    bench.simulator.add_stack("acme/web/other").unwrap();
    let (id, agent) = pool(&bench, "mine").await;
    let (_, stranger) = pool(&bench, "other").await;
    assert_eq!(agent.get(POLL).await.status, 204);
    let first = bench.create(meant_for(&id)).await;
    let second = bench.create(meant_for(&id)).await;
    // Others are not held up, except on the same stack.
    bench.simulator.create_deployment("acme/web/other", &with_source("update")).unwrap();
    bench.wait_of("acme/web/other", 1, |view| view.status == "succeeded").await;
    bench.create(with_source("preview")).await;
    assert_eq!(bench.statuses(STACK), ["not-started", "not-started", "not-started"]);
    assert_eq!(stranger.get(POLL).await.status, 204);

    let work = agent.get(POLL).await.expect(200);
    assert_eq!((&work["typeSpecificID"], &work["deploymentID"]), (&json!(first), &json!(first)));
    for name in ["jobID", "jobToken", "oidcToken", "runID"] {
        assert!(!work[name].as_str().unwrap().is_empty(), "{name}");
    }
    // One at a time on a stack.
    assert_eq!(agent.get(POLL).await.status, 204);
    bench.wait_status(1, "succeeded").await;
    let status = format!("/api/deployments/{first}/status");
    assert_eq!(agent.get(&status).await.expect(200), "succeeded");
    stranger.get(&status).await.expect_error(404);
    assert_eq!(agent.get(POLL).await.expect(200)["typeSpecificID"], second);
    bench.wait_status(3, "succeeded").await;

    let list = bench.api.get(POOLS).await.expect(200);
    let listed = list["agentPools"].as_array().unwrap().iter().find(|pool| pool["id"] == id).unwrap();
    assert_eq!(listed["status"], "online");
    assert!(listed["lastDeployment"].as_i64().unwrap() >= listed["created"].as_i64().unwrap());
    let detail = bench.api.get(&format!("{POOLS}/{id}")).await.expect(200);
    assert_eq!(detail["agents"][0]["status"], "online");
}

#[tokio::test]
async fn a_pause_holds_agents_back_too() {
    let bench = bench().await;
    let (id, agent) = pool(&bench, "mine").await;
    bench.create(meant_for(&id)).await;
    bench.simulator.set_stack_paused(STACK, true).unwrap();
    assert_eq!(agent.get(POLL).await.status, 204);
    bench.simulator.set_stack_paused(STACK, false).unwrap();
    bench.simulator.set_organization_paused("acme", true).unwrap();
    assert_eq!(agent.get(POLL).await.status, 204);
    bench.simulator.set_organization_paused("acme", false).unwrap();
    bench.simulator.set_concurrency("acme", 0).unwrap();
    assert_eq!(agent.get(POLL).await.status, 204);
    bench.simulator.set_concurrency("acme", 1).unwrap();
    agent.get(POLL).await.expect(200);
    bench.wait_status(1, "succeeded").await;
}

#[tokio::test]
async fn agents_show_the_token_of_their_pool() {
    let bench = bench().await;
    let (_, agent) = pool(&bench, "mine").await;
    assert!(agent.get("/api/deployments/executor").await.text.starts_with("#!"));
    for path in [POLL, "/api/deployments/executor", "/api/deployments/x/status"] {
        // A user's token is none.
        bench.api.get(path).await.expect_error(403);
        let reply = bench.api.client.get(format!("{}{path}", bench.api.url)).send().await.unwrap();
        assert_eq!(reply.status(), 401);
    }
    agent.get(&stack_path("")).await.expect_error(401);
}

#[tokio::test]
async fn the_simulator_plays_agents() {
    let bench = bench().await;
    let played = bench.simulator.add_agent_pool("acme", "played").unwrap();
    bench.create(meant_for(&played)).await;
    bench.wait_status(1, "succeeded").await;
    let detail = bench.api.get(&format!("{POOLS}/{played}")).await.expect(200);
    assert_eq!(detail["agents"][0]["status"], "online");

    let (id, _) = pool(&bench, "mine").await;
    bench.create(meant_for(&id)).await;
    assert_eq!(bench.statuses(STACK), ["succeeded", "not-started"]);
    bench.simulator.play_agent("acme", &id, true).unwrap();
    bench.wait_status(2, "succeeded").await;
    bench.simulator.play_agent("acme", &id, false).unwrap();
    bench.create(meant_for(&id)).await;
    assert_eq!(bench.simulator.deployment(STACK, 3).unwrap().status, "not-started");
    let unknown = bench.simulator.play_agent("acme", "none", true).unwrap_err();
    assert!(matches!(unknown, SimulatorError::UnknownAgentPool(_)), "{unknown}");
}
