use jiff::{SignedDuration, Timestamp};
use pulumi_cloud_simulator::{SimulatorError, Subscription};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, stack_path};

const SCHEDULES: &str = "/deployments/schedules";
const DRIFT: &str = "/deployments/drift/schedules";
const TTL: &str = "/deployments/ttl/schedules";

/// A bench whose stack has settings, as schedules need them.
async fn configured() -> Bench {
    let bench = bench().await;
    let settings = json!({"sourceContext": {"git": {"repoUrl": "https://example.com/repo.git", "branch": "main"}}});
    bench.simulator.patch_settings(STACK, &settings).unwrap();
    bench
}

fn cron(cron: &str, operation: &str) -> Value {
    json!({"scheduleCron": cron, "request": {"operation": operation}})
}

async fn create(bench: &Bench, path: &str, body: Value) -> Value {
    bench.api.post(&stack_path(path), body).await.expect(200)
}

fn of(path: &str, schedule: &Value, rest: &str) -> String {
    stack_path(&format!("{path}/{}{rest}", schedule["id"].as_str().unwrap()))
}

/// The form of all times on schedules.
fn short(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

fn in_an_hour() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + 3600).unwrap()
}

#[tokio::test]
async fn a_schedule_shows_when_and_what() {
    let bench = configured().await;
    let body = json!({
        "scheduleCron": "30 4 * * *",
        "scheduleOnce": null,
        "request": {
            "operation": "update",
            "agentPoolID": null,
            "operationContext": {"environmentVariables": {"A": "1", "B": {"secret": "s3cret"}}, "preRunCommands": null},
        },
    });
    let schedule = create(&bench, SCHEDULES, body).await;
    assert_eq!((&schedule["kind"], &schedule["paused"]), (&json!("deployment"), &json!(false)));
    assert_eq!((&schedule["scheduleCron"], schedule.get("scheduleOnce")), (&json!("30 4 * * *"), None));
    assert_eq!(schedule["lastExecuted"], "");
    assert!(schedule["nextExecution"].as_str().unwrap().ends_with(" 04:30:00.000"), "{schedule}");
    assert_eq!(schedule["created"].as_str().unwrap().len(), 23);
    let stack = bench.api.get(&stack_path("")).await.expect(200);
    assert_eq!(schedule["definition"]["programID"], stack["id"]);
    let request = &schedule["definition"]["request"];
    assert_eq!((&request["operation"], &request["inheritSettings"]), (&json!("update"), &json!(true)));
    let variables = &request["operationContext"]["environmentVariables"];
    assert_eq!((&variables["A"], &variables["B"]["secret"]), (&json!("1"), &json!("[secret]")));
    assert_eq!((request.get("agentPoolID"), request["operationContext"].get("preRunCommands")), (None, None));

    let read = bench.api.get(&of(SCHEDULES, &schedule, "")).await.expect(200);
    assert_eq!((&read["id"], &read["nextExecution"]), (&schedule["id"], &schedule["nextExecution"]));
    let plain = create(&bench, SCHEDULES, cron("0 0 1 1 *", "preview")).await;
    assert_eq!(plain["definition"]["request"], json!({"operation": "preview", "inheritSettings": true}));
    assert_eq!(plain["orgID"], schedule["orgID"]);
    let list = bench.api.get(&stack_path(SCHEDULES)).await.expect(200);
    let ids: Vec<&Value> = list["schedules"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [&schedule["id"], &plain["id"]]);
    assert_eq!(bench.simulator.schedules(STACK)[1]["id"], plain["id"]);
}

#[tokio::test]
async fn drift_and_ttl_are_requests_of_their_own() {
    let bench = configured().await;
    let drift = create(&bench, DRIFT, json!({"scheduleCron": "0 */4 * * *", "autoRemediate": true})).await;
    let options = |value: &Value| value["definition"]["request"]["operationContext"]["options"].clone();
    assert_eq!(drift["definition"]["request"]["operation"], "detect-drift");
    assert_eq!(options(&drift), json!({"remediateIfDriftDetected": true}));
    // What an update leaves out is false.
    let drift = bench.api.post(&of(DRIFT, &drift, ""), json!({"scheduleCron": "5 * * * *"})).await.expect(200);
    assert_eq!(options(&drift), json!({"remediateIfDriftDetected": false}));
    assert_eq!(drift["scheduleCron"], "5 * * * *");

    let time = in_an_hour();
    let ttl = create(&bench, TTL, json!({"timestamp": time.to_string(), "deleteAfterDestroy": true})).await;
    assert_eq!(ttl["definition"]["request"]["operation"], "destroy");
    assert_eq!(options(&ttl), json!({"deleteAfterDestroy": true}));
    assert_eq!((&ttl["scheduleOnce"], &ttl["nextExecution"]), (&json!(short(time)), &json!(short(time))));
    let later = time + SignedDuration::from_hours(2);
    let body = json!({"timestamp": later.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()});
    let ttl = bench.api.post(&of(TTL, &ttl, ""), body).await.expect(200);
    assert_eq!(options(&ttl), json!({"deleteAfterDestroy": false}));
    assert_eq!(ttl["nextExecution"], short(later));

    let custom = create(&bench, SCHEDULES, cron("0 0 * * *", "update")).await;
    for (path, schedule) in [(DRIFT, &custom), (TTL, &custom), (TTL, &drift), (DRIFT, &ttl)] {
        let body = json!({"scheduleCron": "5 * * * *", "timestamp": time.to_string()});
        bench.api.post(&of(path, schedule, ""), body).await.expect_error(404);
    }
}

#[tokio::test]
async fn an_update_replaces_the_whole_schedule() {
    let bench = configured().await;
    let mut body = cron("0 0 * * *", "update");
    body["request"]["operationContext"] = json!({"environmentVariables": {"A": "1"}});
    let schedule = create(&bench, SCHEDULES, body).await;
    let time = in_an_hour();
    let body = json!({"scheduleOnce": time.to_string(), "request": {"operation": "destroy", "inheritSettings": false}});
    let changed = bench.api.post(&of(SCHEDULES, &schedule, ""), body).await.expect(200);
    assert_eq!((&changed["id"], &changed["created"]), (&schedule["id"], &schedule["created"]));
    assert_eq!((changed.get("scheduleCron"), &changed["scheduleOnce"]), (None, &json!(short(time))));
    assert_eq!(changed["definition"]["request"], json!({"operation": "destroy", "inheritSettings": false}));
    let unknown = stack_path(&format!("{SCHEDULES}/none"));
    bench.api.post(&unknown, cron("0 0 * * *", "update")).await.expect_error(404);
    bench.simulator.replace_settings(STACK, None).unwrap();
    let refused = bench.api.post(&of(SCHEDULES, &schedule, ""), cron("0 0 * * *", "update")).await.expect_error(400);
    assert!(refused.contains("does not have deployment settings configured"), "{refused}");
}

#[tokio::test]
async fn bad_schedules_are_refused() {
    let bench = configured().await;
    let request = json!({"operation": "update"});
    let time = in_an_hour().to_string();
    for (path, body, part) in [
        (SCHEDULES, json!({"request": request}), "exactly one"),
        (SCHEDULES, json!({"scheduleCron": "", "request": request}), "exactly one"),
        (SCHEDULES, json!({"scheduleCron": "0 0 * * *", "scheduleOnce": time, "request": request}), "exactly one"),
        (SCHEDULES, json!({"scheduleCron": "0 0 * * *"}), "request is required"),
        (SCHEDULES, json!({"scheduleCron": "0 0 * * *", "request": {}}), "required field 'operation'"),
        (SCHEDULES, cron("0 0 * * *", "explode"), "explode"),
        (SCHEDULES, cron("every day", "update"), "Invalid schedule"),
        (SCHEDULES, cron("@daily", "update"), "Invalid schedule"),
        (SCHEDULES, cron("0 0 0 * * *", "update"), "Invalid schedule"),
        (SCHEDULES, cron("0 24 * * *", "update"), "Invalid schedule"),
        (SCHEDULES, cron("0 0 30 2 *", "update"), "Invalid schedule"),
        (SCHEDULES, json!({"scheduleOnce": "2020-01-01T00:00:00Z", "request": request}), "in the future"),
        (SCHEDULES, json!({"scheduleOnce": "2099-01-01 00:00:00Z", "request": request}), "scheduleOnce"),
        (SCHEDULES, json!({"scheduleOnce": "2099-01-01T00:00:00", "request": request}), "scheduleOnce"),
        (SCHEDULES, json!({"scheduleOnce": 5, "request": request}), "scheduleOnce"),
        (
            SCHEDULES,
            json!({"scheduleCron": "0 0 * * *", "request": {"operation": "update", "agentPoolID": "x"}}),
            "pool",
        ),
        (DRIFT, json!({}), "scheduleCron is required"),
        (DRIFT, json!({"scheduleCron": "nonsense"}), "Invalid schedule"),
        (DRIFT, json!({"scheduleCron": "0 0 * * *", "autoRemediate": "yes"}), "autoRemediate"),
        (TTL, json!({}), "Timestamp needs to be set"),
        (TTL, json!({"timestamp": null, "deleteAfterDestroy": true}), "Timestamp needs to be set"),
        (TTL, json!({"timestamp": "2020-01-01T00:00:00Z"}), "in the future"),
        (TTL, json!({"timestamp": "soon"}), "timestamp"),
    ] {
        let message = bench.api.post(&stack_path(path), body.clone()).await.expect_error(400);
        assert!(message.contains(part), "{body}: {message}");
    }
    assert!(bench.simulator.schedules(STACK).is_empty());
    bench.simulator.replace_settings(STACK, None).unwrap();
    for (path, body) in [
        (SCHEDULES, cron("0 0 * * *", "update")),
        (DRIFT, json!({"scheduleCron": "0 0 * * *"})),
        (TTL, json!({"timestamp": time})),
    ] {
        let message = bench.api.post(&stack_path(path), body.clone()).await.expect_error(400);
        assert_eq!(message, "Bad Request: Stack does not have deployment settings configured");
        bench.api.post(&format!("/api/stacks/acme/web/none{path}"), body).await.expect_error(404);
    }
}

#[tokio::test]
async fn remediation_must_be_paid_for() {
    let bench = configured().await;
    bench.simulator.set_subscription("acme", Subscription::TeamGrowth).unwrap();
    let drift = json!({"scheduleCron": "0 0 * * *", "autoRemediate": true});
    let message = bench.api.post(&stack_path(DRIFT), drift.clone()).await.expect_error(402);
    assert!(message.contains("Drift remediation requires Business Critical subscription"), "{message}");
    let schedule = create(&bench, DRIFT, json!({"scheduleCron": "0 0 * * *"})).await;
    bench.api.post(&of(DRIFT, &schedule, ""), drift).await.expect_error(402);
    let option = json!({"options": {"remediateIfDriftDetected": true}});
    for body in
        [json!({"operation": "remediate-drift"}), json!({"operation": "detect-drift", "operationContext": option})]
    {
        bench.api.post(&stack_path("/deployments"), body.clone()).await.expect_error(402);
        let scheduled = json!({"scheduleCron": "0 0 * * *", "request": body});
        bench.api.post(&stack_path(SCHEDULES), scheduled).await.expect_error(402);
    }
    bench.api.post(&stack_path("/deployments"), json!({"operation": "detect-drift"})).await.expect(202);
}

#[tokio::test]
async fn deleting_twice_is_fine() {
    let bench = configured().await;
    let schedule = create(&bench, SCHEDULES, cron("0 0 * * *", "update")).await;
    let metadata = stack_path("/deployments/metadata");
    assert_eq!(bench.api.get(&metadata).await.expect(200)["hasSchedules"], true);
    let path = of(SCHEDULES, &schedule, "");
    bench.api.delete(&path).await.expect(200);
    assert_eq!(bench.api.delete(&path).await.text, "");
    bench.api.delete(&path).await.expect(200);
    bench.api.get(&path).await.expect_error(404);
    bench.api.get(&format!("{path}/history")).await.expect_error(404);
    for action in ["pause", "resume"] {
        bench.api.send(Method::POST, &format!("{path}/{action}"), None).await.expect_error(404);
    }
    assert_eq!(bench.api.get(&metadata).await.expect(200)["hasSchedules"], false);
    bench.api.delete(&format!("/api/stacks/acme/web/none{SCHEDULES}/x")).await.expect_error(404);
}

#[tokio::test]
async fn its_time_creates_a_deployment() {
    let bench = configured().await;
    let body = json!({
        "scheduleCron": "0 0 * * *",
        "request": {"operation": "preview", "operationContext": {"environmentVariables": {"A": "1"}}},
    });
    let schedule = create(&bench, SCHEDULES, body).await;
    let id = schedule["id"].as_str().unwrap();
    let before = short(Timestamp::now());
    let view = bench.simulator.fire_schedule(STACK, id).unwrap().unwrap();
    assert_eq!((view.operation.as_str(), view.initiator.as_str()), ("preview", "scheduled"));
    assert_eq!(view.requested_by, "simulator");
    assert_eq!(view.environment["A"].0, "1");
    bench.wait_status(1, "succeeded").await;
    let read = bench.api.get(&of(SCHEDULES, &schedule, "")).await.expect(200);
    assert!(read["lastExecuted"].as_str().unwrap() >= before.as_str(), "{read}");
    assert!(read["nextExecution"].as_str().unwrap() > read["lastExecuted"].as_str().unwrap(), "{read}");
    // A change counts, and shows in what happens after it.
    bench.api.post(&of(SCHEDULES, &schedule, ""), cron("0 1 * * *", "update")).await.expect(200);
    bench.simulator.hold(STACK).unwrap();
    bench.simulator.fire_schedule(STACK, id).unwrap();
    bench.wait_status(2, "running").await;
    let history = bench.api.get(&of(SCHEDULES, &schedule, "/history")).await.expect(200);
    let events = history["scheduleHistoryEvents"].as_array().unwrap();
    let shown: Vec<_> = events.iter().map(|event| (&event["version"], &event["result"])).collect();
    assert_eq!(shown, [(&json!(1), &json!("succeeded")), (&json!(2), &json!("running"))]);
    assert_eq!((&events[0]["scheduledActionID"], &events[0]["executed"]), (&schedule["id"], &read["lastExecuted"]));
}

#[tokio::test]
async fn a_refused_deployment_is_a_failed_turn() {
    let bench = configured().await;
    let pool = bench.simulator.add_agent_pool("acme", "mine").unwrap();
    let body = json!({"scheduleCron": "0 0 * * *", "request": {"operation": "remediate-drift", "agentPoolID": pool}});
    let schedule = create(&bench, SCHEDULES, body).await;
    bench.simulator.set_subscription("acme", Subscription::TeamGrowth).unwrap();
    assert!(bench.simulator.fire_schedule(STACK, schedule["id"].as_str().unwrap()).unwrap().is_none());
    let history = bench.api.get(&of(SCHEDULES, &schedule, "/history")).await.expect(200);
    assert_eq!(history["scheduleHistoryEvents"][0]["result"], "failed");
    assert!(bench.simulator.deployments(STACK).is_empty());
}

#[tokio::test]
async fn a_paused_schedule_lets_its_time_pass() {
    let bench = configured().await;
    let schedule = create(&bench, SCHEDULES, cron("0 0 * * *", "update")).await;
    let id = schedule["id"].as_str().unwrap();
    for action in ["pause", "pause"] {
        let reply = bench.api.send(Method::POST, &of(SCHEDULES, &schedule, &format!("/{action}")), None).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    }
    assert_eq!(bench.api.get(&of(SCHEDULES, &schedule, "")).await.expect(200)["paused"], true);
    assert!(bench.simulator.fire_schedule(STACK, id).unwrap().is_none());
    assert!(bench.simulator.deployments(STACK).is_empty());
    bench.api.send(Method::POST, &of(SCHEDULES, &schedule, "/resume"), None).await.expect(200);
    assert_eq!(bench.simulator.schedules(STACK)[0]["paused"], false);
    assert!(bench.simulator.fire_schedule(STACK, id).unwrap().is_some());
}

#[tokio::test]
async fn a_single_time_comes_by_itself() {
    let bench = configured().await;
    let soon = Timestamp::now() + SignedDuration::from_millis(300);
    let body = json!({"scheduleOnce": soon.to_string(), "request": {"operation": "update"}});
    let schedule = create(&bench, SCHEDULES, body).await;
    assert!(bench.simulator.deployments(STACK).is_empty());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while bench.simulator.deployments(STACK).is_empty() {
        assert!(std::time::Instant::now() < deadline, "it did not come");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let view = bench.simulator.deployment(STACK, 1).unwrap();
    assert_eq!(view.created, soon);
    // It had its only turn: it is gone, and deleting it is fine.
    bench.api.get(&of(SCHEDULES, &schedule, "")).await.expect_error(404);
    bench.api.delete(&of(SCHEDULES, &schedule, "")).await.expect(200);
}

#[tokio::test]
async fn a_ttl_ends_the_stack() {
    let bench = configured().await;
    bench.api.post(&stack_path("/deployments"), json!({"operation": "update"})).await.expect(202);
    bench.wait_status(1, "succeeded").await;
    let body = json!({"timestamp": in_an_hour().to_string(), "deleteAfterDestroy": false});
    let kept = create(&bench, TTL, body.clone()).await;
    bench.simulator.fire_schedule(STACK, kept["id"].as_str().unwrap()).unwrap();
    let view = bench.wait_status(2, "succeeded").await;
    assert_eq!(view.operation, "destroy");
    assert!(bench.simulator.has_stack(STACK));

    let mut body = body;
    body["deleteAfterDestroy"] = true.into();
    let failing = json!({"operationContext": {"environmentVariables": {"SIMULATOR_FAIL_STEP": "pulumi destroy"}}});
    bench.simulator.patch_settings(STACK, &failing).unwrap();
    let last = create(&bench, TTL, body.clone()).await;
    bench.simulator.fire_schedule(STACK, last["id"].as_str().unwrap()).unwrap();
    bench.wait_status(3, "failed").await;
    assert!(bench.simulator.has_stack(STACK));

    bench.simulator.patch_settings(STACK, &json!({"operationContext": null})).unwrap();
    let last = create(&bench, TTL, body).await;
    bench.simulator.fire_schedule(STACK, last["id"].as_str().unwrap()).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while bench.simulator.has_stack(STACK) {
        assert!(std::time::Instant::now() < deadline, "it is still there");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    bench.api.get(&stack_path("")).await.expect_error(404);
    assert!(bench.simulator.schedules(STACK).is_empty());
}

#[tokio::test]
async fn the_console_has_schedules_too() {
    let bench = configured().await;
    let drift = bench.simulator.create_schedule(STACK, &json!({"scheduleCron": "0 0 * * *"})).unwrap();
    let ttl = bench.simulator.create_schedule(STACK, &json!({"timestamp": in_an_hour().to_string()})).unwrap();
    let custom = bench.simulator.create_schedule(STACK, &cron("0 0 * * *", "update")).unwrap();
    let list = bench.api.get(&stack_path(SCHEDULES)).await.expect(200);
    let operations: Vec<_> =
        list["schedules"].as_array().unwrap().iter().map(|item| &item["definition"]["request"]["operation"]).collect();
    assert_eq!(operations, ["detect-drift", "destroy", "update"]);
    let id = |schedule: &Value| schedule["id"].as_str().unwrap().to_owned();
    bench.simulator.set_schedule_paused(STACK, &id(&drift), true).unwrap();
    assert_eq!(bench.api.get(&of(SCHEDULES, &drift, "")).await.expect(200)["paused"], true);
    let view = bench.simulator.fire_schedule(STACK, &id(&custom)).unwrap().unwrap();
    assert_eq!(view.requested_by, "console-user");
    bench.simulator.remove_schedule(STACK, &id(&ttl)).unwrap();
    bench.api.get(&of(SCHEDULES, &ttl, "")).await.expect_error(404);
    let unknown = bench.simulator.remove_schedule(STACK, &id(&ttl)).unwrap_err();
    assert!(matches!(unknown, SimulatorError::UnknownSchedule(_)), "{unknown}");
    let refused = bench.simulator.create_schedule(STACK, &json!({"scheduleCron": "x"})).unwrap_err();
    assert!(matches!(refused, SimulatorError::Refused { status: 400, .. }), "{refused}");
}
