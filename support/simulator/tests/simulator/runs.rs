use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, bench_with, stack_path, with_source, with_variables};

/// Runs a deployment to its end: its last step, and its answer of a GET.
async fn run(bench: &Bench, body: Value) -> Value {
    let id = bench.create(body).await;
    let version = bench.simulator.deployments(STACK).len();
    bench.wait(version, |view| ["succeeded", "failed"].contains(&view.status.as_str())).await;
    bench.api.get(&stack_path(&format!("/deployments/{id}"))).await.expect(200)
}

fn steps(body: &Value) -> Vec<(&str, &str)> {
    let steps = body["jobs"][0]["steps"].as_array().unwrap();
    steps.iter().map(|step| (step["name"].as_str().unwrap(), step["status"].as_str().unwrap())).collect()
}

async fn log(bench: &Bench, body: &Value) -> String {
    let path = stack_path(&format!("/deployments/{}/logs?count=499", body["id"].as_str().unwrap()));
    let log = bench.api.get(&path).await.expect(200);
    log["lines"].as_array().unwrap().iter().filter_map(|line| line["line"].as_str()).collect()
}

#[tokio::test]
async fn the_steps_follow_the_settings() {
    let bench = bench().await;
    let body = run(&bench, with_source("update")).await;
    let names = ["Setup", "Download deployment executor", "Get source", "Download dependencies", "pulumi update"];
    assert_eq!(steps(&body), names.map(|name| (name, "succeeded")));
    assert_eq!(body["status"], "succeeded");

    let mut request = with_source("preview");
    request["operationContext"] = json!({
        "preRunCommands": ["echo one", "echo two"],
        "options": {"skipInstallDependencies": true},
        "oidc": {"aws": {"roleArn": "r", "sessionName": "s"}},
    });
    let body = run(&bench, request).await;
    let names = [
        "Setup",
        "Download deployment executor",
        "Fetch provider credentials via OIDC",
        "Get source",
        "Pre-run command 1",
        "Pre-run command 2",
        "pulumi preview",
    ];
    assert_eq!(steps(&body), names.map(|name| (name, "succeeded")));
}

#[tokio::test]
async fn every_operation_has_its_step() {
    let bench = bench().await;
    for (operation, step, kind) in [
        ("update", "pulumi update", "update"),
        ("preview", "pulumi preview", "preview"),
        ("refresh", "pulumi refresh", "refresh"),
        ("detect-drift", "Drift detection", "Prefresh"),
        ("remediate-drift", "Drift remediation", "update"),
        ("destroy", "pulumi destroy", "destroy"),
    ] {
        let body = run(&bench, with_source(operation)).await;
        assert_eq!(steps(&body).last(), Some(&(step, "succeeded")));
        assert_eq!(body["pulumiOperation"], operation);
        let list = bench.api.get(&stack_path("/deployments?pageSize=1")).await.expect(200);
        assert_eq!(list["deployments"][0]["updates"][0]["kind"], kind);
    }
    // Looking does not count: update, refresh, remediation, destroy.
    assert_eq!(bench.api.get(&stack_path("")).await.expect(200)["version"], 4);
}

#[tokio::test]
async fn a_run_gets_the_commit_that_its_branch_is_at() {
    let bench = bench().await;
    let commit = async |request: Value| {
        let body = run(&bench, request).await;
        let path = stack_path(&format!("/deployments/{}/updates", body["id"].as_str().unwrap()));
        let told = bench.api.get(&path).await.expect(200)[0]["info"]["environment"]["git.head"].clone();
        let view = bench.simulator.deployments(STACK).pop().unwrap();
        assert_eq!(view.commit.as_deref(), told.as_str());
        view.commit
    };
    let first = commit(with_source("preview")).await.unwrap();
    assert_eq!(first.len(), 40);
    assert_eq!(commit(with_source("update")).await.as_deref(), Some(first.as_str()));

    let request = with_source("update");
    let repository = request["sourceContext"]["git"]["repoUrl"].as_str().unwrap().to_owned();
    let branch = request["sourceContext"]["git"]["branch"].as_str().unwrap().to_owned();
    bench.simulator.push_commit(&repository, &branch, "c0ffee");
    assert_eq!(commit(request.clone()).await.as_deref(), Some("c0ffee"));

    let mut pinned = request.clone();
    pinned["sourceContext"]["git"] = json!({"repoUrl": repository, "commit": first});
    assert_eq!(commit(pinned).await, Some(first));

    bench.simulator.hide_commits(&repository);
    assert_eq!(commit(request).await, None);
}

#[tokio::test]
async fn the_update_is_shown() {
    let bench = bench().await;
    bench.simulator.hold_at(STACK, "pulumi update").unwrap();
    let id = bench.create(with_variables("update", &json!({"SIMULATOR_RESOURCES": "7"}))).await;
    bench.wait(1, |view| view.step.as_deref() == Some("pulumi update")).await;
    let updates = stack_path(&format!("/deployments/{id}/updates"));
    let update = bench.api.get(&updates).await.expect(200)[0].clone();
    assert_eq!((&update["info"]["result"], &update["info"]["endTime"]), (&json!("in-progress"), &json!(0)));
    let stack = bench.api.get(&stack_path("")).await.expect(200);
    assert_eq!((&stack["activeUpdate"], &stack["currentOperation"]["kind"]), (&update["updateID"], &json!("update")));
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(1, "succeeded").await;
    let update = bench.api.get(&updates).await.expect(200)[0].clone();
    assert_eq!(update["info"]["resourceChanges"], json!({"create": 7}));
    assert_eq!(update["info"]["environment"]["ci.build.id"], id);
    assert_eq!(update["info"]["environment"]["exec.agent"], "pulumi-deploy-executor");
    assert!(update["info"]["endTime"].as_i64() >= update["info"]["startTime"].as_i64());
    let listed = bench.api.get(&stack_path("/deployments")).await.expect(200);
    let nested = &listed["deployments"][0]["updates"][0];
    assert_eq!((&nested["updateID"], &nested["result"]), (&update["updateID"], &json!("succeeded")));
    assert!(nested["startTime"].as_i64().unwrap() > 1_700_000_000);
    bench.create(with_variables("update", &json!({"SIMULATOR_RESOURCES": "5"}))).await;
    let second = bench.wait_status(2, "succeeded").await;
    let updates = bench.api.get(&stack_path(&format!("/deployments/{}/updates", second.id))).await.expect(200);
    assert_eq!(updates[0]["info"]["resourceChanges"], json!({"delete": 2, "same": 5}));
    assert_eq!((&updates[0]["version"], &updates[0]["latestVersion"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn a_failing_pre_run_command_fails_its_step() {
    let bench = bench().await;
    for command in ["exit 1", "false", "make build || exit 3"] {
        let mut request = with_source("update");
        request["operationContext"] = json!({"preRunCommands": ["echo fine", command, "echo never"]});
        let body = run(&bench, request).await;
        assert_eq!(body["status"], "failed");
        let steps = steps(&body);
        let last: Vec<_> = steps[steps.len() - 4..].to_vec();
        let expected = [
            ("Pre-run command 1", "succeeded"),
            ("Pre-run command 2", "failed"),
            ("Pre-run command 3", "not-started"),
            ("pulumi update", "not-started"),
        ];
        assert_eq!(last, expected);
        assert_eq!(body["jobs"][0]["steps"][6]["started"], "0001-01-01T00:00:00Z");
        let log = log(&bench, &body).await;
        assert!(log.contains("fine") && log.contains("exit status ") && !log.contains("never"), "{log}");
        let updates = stack_path(&format!("/deployments/{}/updates", body["id"].as_str().unwrap()));
        assert_eq!(bench.api.get(&updates).await.expect(200), json!([]));
    }
    let mut request = with_source("update");
    request["operationContext"] = json!({"preRunCommands": ["test -f x || exit 0"]});
    assert_eq!(run(&bench, request).await["status"], "succeeded");
}

#[tokio::test]
async fn without_source_getting_it_fails() {
    let bench = bench().await;
    let body = run(&bench, json!({"operation": "update"})).await;
    assert_eq!(body["status"], "failed");
    assert_eq!(steps(&body)[2], ("Get source", "failed"));
    assert_eq!(body["configuration"].get("source"), None);
    for source in [
        json!({"gitHub": {"repository": "acme/web"}}),
        json!({"vcs": {"provider": "gitlab", "repository": "acme/web"}}),
        json!({"sourceContext": {"template": {"sourceUrl": "registry://templates/a/b/c"}}}),
    ] {
        let mut request = source;
        request["operation"] = "update".into();
        assert_eq!(run(&bench, request).await["status"], "succeeded");
    }
}

#[tokio::test]
async fn a_step_fails_on_request() {
    let bench = bench().await;
    for step in ["Setup", "Get source", "pulumi update"] {
        let body = run(&bench, with_variables("update", &json!({"SIMULATOR_FAIL_STEP": step}))).await;
        let steps = steps(&body);
        let failed: Vec<_> = steps.iter().filter(|(_, status)| *status == "failed").collect();
        assert_eq!(failed, [&(step, "failed")]);
    }
    let list = bench.api.get(&stack_path("/deployments?pageSize=1")).await.expect(200);
    assert_eq!(list["deployments"][0]["updates"][0]["result"], "failed");
}

#[tokio::test]
async fn a_careless_program_prints_secrets() {
    let bench = bench().await;
    let mut request =
        with_variables("update", &json!({"PW": {"secret": "hunter2"}, "OPEN": "sesame", "SIMULATOR_ECHO": "PW,OPEN"}));
    request["operationContext"]["preRunCommands"] = json!(["echo pw=$PW"]);
    let body = run(&bench, request).await;
    let log = log(&bench, &body).await;
    assert!(log.contains("pw=hunter2\n") && log.contains("    hunter2\n") && log.contains("    sesame\n"), "{log}");
}

#[tokio::test]
async fn a_run_is_held_at_a_step_and_goes_on() {
    let bench = bench().await;
    bench.simulator.hold_at(STACK, "Get source").unwrap();
    bench.create(with_source("update")).await;
    bench.wait(1, |view| view.step.as_deref() == Some("Get source")).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let view = bench.simulator.deployment(STACK, 1).unwrap();
    assert_eq!((view.status.as_str(), view.step.as_deref()), ("running", Some("Get source")));
    bench.simulator.hold_at(STACK, "pulumi update").unwrap();
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(1, "succeeded").await;
}

#[tokio::test]
async fn steps_last_as_long_as_they_are_told() {
    let bench = bench_with(|builder| builder.speed(100.0)).await;
    let body =
        run(&bench, with_variables("update", &json!({"SIMULATOR_STEP_SECONDS": "Setup=0;pulumi update=40"}))).await;
    let lasted = |step: usize| {
        let step = &body["jobs"][0]["steps"][step];
        let time = |name: &str| step[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        time("lastUpdated").duration_since(time("started")).as_millis()
    };
    assert_eq!((lasted(0), lasted(4)), (0, 400));
}
