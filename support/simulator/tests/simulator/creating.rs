use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{STACK, bench, stack_path, with_source, with_variables};

fn path() -> String {
    stack_path("/deployments")
}

#[tokio::test]
async fn the_answer_names_the_deployment() {
    let bench = bench().await;
    let reply = bench.api.post(&path(), with_source("update")).await.expect(202);
    let id = reply["id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(reply["version"], 1);
    assert_eq!(reply["consoleUrl"], format!("{}/{STACK}/deployments/1", bench.simulator.url()));
    assert_eq!(bench.api.post(&path(), with_source("preview")).await.expect(202)["version"], 2);
    let first = bench.api.get(&stack_path(&format!("/deployments/{id}"))).await.expect(200);
    let by_version = bench.api.get(&stack_path("/deployments/version/1")).await.expect(200);
    assert_eq!((&first["id"], &first["latestVersion"]), (&by_version["id"], &json!(2)));
    bench.api.get(&stack_path("/deployments/version/3")).await.expect_error(404);
    bench.api.get(&stack_path("/deployments/version/x")).await.expect_error(404);
    bench.api.get(&stack_path("/deployments/no-such-id")).await.expect_error(404);
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let bench = bench().await;
    for (body, part) in [
        (json!({}), "Missing top level required field 'operation'"),
        (json!({"operation": ""}), "Missing top level"),
        (json!({"operation": null}), "Missing top level"),
        (json!([]), "Missing top level"),
        (json!({"operationContext": {"operation": "update"}}), "Missing top level"),
        (json!({"operation": "explode"}), "explode"),
        (json!({"operation": 5}), "unknown operation"),
        (json!({"operation": "update", "operationContext": {"operation": "update"}}), "only be set at the top level"),
        (json!({"operation": "update", "inheritSettings": "no"}), "inheritSettings"),
        (json!({"operation": "update", "agentPoolID": "nope"}), "nope"),
        (json!({"operation": "update", "operationContext": {"environmentVariables": {"A": 1}}}), "SecretValue"),
    ] {
        let message = bench.api.post(&path(), body).await.expect_error(400);
        assert!(message.contains(part), "{message}");
    }
    bench.api.post("/api/stacks/acme/web/none/deployments", with_source("update")).await.expect_error(404);
    assert!(bench.simulator.deployments(STACK).is_empty());
}

#[tokio::test]
async fn what_the_cli_sends_is_accepted() {
    let bench = bench().await;
    let body = json!({
        "operation": "update",
        "inheritSettings": true,
        "executorContext": {"workingDirectory": "", "executorImage": null},
        "operationContext": {"operation": "", "preRunCommands": [], "environmentVariables": {}},
        "agentPoolID": null,
        "somethingNew": 1,
    });
    bench.api.post(&path(), body).await.expect(202);
}

#[tokio::test]
async fn settings_are_inherited_unless_told_otherwise() {
    let bench = bench().await;
    let pool = bench.simulator.add_agent_pool("acme", "mine").unwrap();
    let stored = json!({
        "agentPoolID": pool,
        "sourceContext": {"git": {"repoUrl": "https://example.com/r.git", "branch": "refs/heads/main"}},
        "operationContext": {"environmentVariables": {"A": "1", "B": {"secret": "2"}}},
    });
    bench.simulator.patch_settings(STACK, &stored).unwrap();
    let change = json!({"environmentVariables": {"A": null, "C": "3"}});
    bench.create(json!({"operation": "update", "operationContext": change})).await;
    bench.create(json!({"operation": "update", "agentPoolID": null})).await;
    bench.create(json!({"operation": "update", "inheritSettings": false, "operationContext": change})).await;
    let deployments = bench.simulator.deployments(STACK);
    let used: Vec<&Value> = deployments.iter().map(|view| &view.settings).collect();
    assert_eq!(used[0]["operationContext"]["environmentVariables"], json!({"B": {"secret": "2"}, "C": "3"}));
    assert_eq!(
        (&used[0]["sourceContext"], &used[0]["agentPoolID"]),
        (&stored["sourceContext"], &stored["agentPoolID"])
    );
    assert_eq!(used[1]["operationContext"], stored["operationContext"]);
    assert_eq!(used[1].get("agentPoolID"), None);
    assert_eq!(used[2], &json!({"operationContext": {"environmentVariables": {"C": "3"}}}));
    // A deployment leaves the stored settings alone.
    assert_eq!(bench.simulator.settings(STACK), Some(stored));
    let list = bench.api.get(&path()).await.expect(200);
    let pools: Vec<&Value> = list["deployments"].as_array().unwrap().iter().map(|item| &item["agentPool"]).collect();
    assert_eq!(pools, [&Value::Null, &Value::Null, &json!({"id": pool, "name": "mine"})]);
}

#[tokio::test]
async fn the_configuration_shows_variables_and_source() {
    let bench = bench().await;
    let body = with_variables("update", &json!({"MARK_abc": "1", "S": {"secret": "hidden"}}));
    let id = bench.create(body).await;
    let reply = bench.api.get(&stack_path(&format!("/deployments/{id}"))).await;
    assert!(!reply.text.contains("hidden"));
    let body = reply.expect(200);
    let variables = body["configuration"]["environmentVariables"].as_array().unwrap();
    let of = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert_eq!(of("MARK_abc"), &json!({"name": "MARK_abc", "value": "1", "secret": false}));
    assert_eq!(of("S"), &json!({"name": "S", "secret": true}));
    assert_eq!(of("PULUMI_CI_BUILD_ID")["value"], id);
    assert_eq!(of("PULUMI_CI_BUILD_NUMBER")["value"], "1");
    assert_eq!(of("PULUMI_CI_SYSTEM")["value"], "Pulumi Deploy");
    assert_eq!(of("PULUMI_ACCESS_TOKEN"), &json!({"name": "PULUMI_ACCESS_TOKEN", "secret": true}));
    assert_eq!(of("PULUMI_BACKEND_URL")["value"], bench.simulator.url());
    let git = json!({"repoURL": "https://example.com/repo.git", "branch": "refs/heads/main"});
    assert_eq!(body["configuration"]["source"]["git"], git);
    assert_eq!(body["requestedBy"]["githubLogin"], "simulator");
    let view = &bench.simulator.deployments(STACK)[0];
    assert_eq!(view.environment["S"], ("hidden".to_owned(), true));
    assert_eq!(view.environment["MARK_abc"], ("1".to_owned(), false));
}

#[tokio::test]
async fn the_initiator_is_what_the_header_says() {
    let bench = bench().await;
    let request = bench.api.request(Method::POST, &path()).header("X-Pulumi-Deployment-Initiator", "automation-api");
    request.json(&with_source("update")).send().await.unwrap();
    bench.create(with_source("update")).await;
    bench.simulator.create_deployment(STACK, &with_source("update")).unwrap();
    let views = bench.simulator.deployments(STACK);
    let initiators: Vec<&str> = views.iter().map(|view| view.initiator.as_str()).collect();
    assert_eq!(initiators, ["automation-api", "api", "console"]);
}

#[tokio::test]
async fn timestamps_have_the_service_s_two_forms() {
    let bench = bench().await;
    let id = bench.create(with_source("update")).await;
    bench.wait_status(1, "succeeded").await;
    let body = bench.api.get(&stack_path(&format!("/deployments/{id}"))).await.expect(200);
    let created = body["created"].as_str().unwrap();
    assert_eq!((created.len(), &created[10..11], &created[19..20]), (23, " ", "."));
    let started = body["jobs"][0]["started"].as_str().unwrap();
    assert!(started.contains('T') && started.ends_with('Z'), "{started}");
}
