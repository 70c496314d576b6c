//! The schedules of a stack: made, changed, paused, removed, found again after a lost answer; and what drift they find.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use pulumi_cloud_simulator::Fault;
use pulumi_deployments_operator::api::{
    Condition, ConditionStatus, Organization, StackDeploymentSettings, StackDeploymentSettingsStatus,
    condition::{find, types},
    names::REQUESTED_AT,
    schedule::ScheduleStatus,
};
use serde_json::{Value, json};

use crate::{
    eventually::{SOON, eventually},
    world::{World, settings_manifest},
};

const SOURCE: &str = "https://example.com/web.git";

fn spec(schedules: &Value) -> Value {
    json!({"settings": {"sourceContext": {"git": {"repoURL": SOURCE, "branch": "main"}}}, "schedules": schedules})
}

async fn connected(prefix: &str) -> World {
    let world = World::new(prefix).await;
    world.put_organization(json!({})).await;
    world
}

/// Waits until the status is as wanted.
async fn status(
    world: &World,
    what: &str,
    wanted: impl Fn(&StackDeploymentSettingsStatus) -> bool,
) -> StackDeploymentSettingsStatus {
    eventually(SOON, what, async || {
        let settings = world.api::<StackDeploymentSettings>().get("web").await.map_err(|error| error.to_string())?;
        let status = settings.status.clone().unwrap_or_default();
        let is_current = status.observed_generation == settings.metadata.generation;
        if is_current && wanted(&status) { Ok(status) } else { Err(format!("{settings:#?}")) }
    })
    .await
}

/// Waits until every declared schedule is there, and nothing is left to be said about them.
async fn scheduled(world: &World, names: &[&str]) -> Vec<ScheduleStatus> {
    let what = format!("the schedules are {names:?}");
    let status = status(world, &what, |status| {
        status.schedules.iter().map(|entry| entry.name.as_str()).eq(names.iter().copied())
            && status.schedules.iter().all(|entry| entry.intent.is_none() && entry.reason.is_none())
    });
    status.await.schedules
}

fn remote(world: &World) -> Vec<Value> {
    world.simulator.schedules(&world.stack("web/prod"))
}

fn condition(status: &StackDeploymentSettingsStatus, type_: &str) -> Option<Condition> {
    find(&status.conditions, type_).cloned()
}

/// A schedule that somebody else makes, on a stack that has settings.
fn theirs(world: &World, cron: &str, operation: &str) -> Value {
    let stack = world.stack("web/prod");
    world.simulator.patch_settings(&stack, &json!({"sourceContext": {"git": {"repoDir": "infra"}}})).unwrap();
    let body = json!({"scheduleCron": cron, "request": {"operation": operation, "inheritSettings": true}});
    world.simulator.create_schedule(&stack, &body).unwrap()
}

async fn look_now(world: &World, token: &str) {
    let patch = json!({"metadata": {"annotations": {REQUESTED_AT: token}}});
    world.merge::<StackDeploymentSettings>("web", patch).await;
    status(world, "it was looked at", |status| status.last_handled_reconcile_at.as_deref() == Some(token)).await;
}

#[tokio::test]
async fn what_is_declared_is_there_and_what_others_made_stays() {
    let world = connected("schedules").await;
    let theirs = theirs(&world, "7 7 * * *", "refresh");
    world
        .put_settings(spec(&json!([
            {"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}},
            {"name": "drift", "paused": true, "drift": {"cron": "0 * * * *", "autoRemediate": true}},
            {"name": "end", "ttl": {"time": "2040-01-01T00:00:00Z", "deleteAfterDestroy": true}},
        ])))
        .await;
    let entries = scheduled(&world, &["nightly", "drift", "end"]).await;
    assert!(entries.iter().all(|entry| entry.id.is_some() && entry.next_execution.is_some()), "{entries:#?}");
    assert_eq!(entries.iter().map(|entry| entry.paused).collect::<Vec<_>>(), [Some(false), Some(true), Some(false)]);
    let there = remote(&world);
    assert_eq!(there.len(), 4);
    assert_eq!(there[1]["definition"]["request"]["operation"], "update");
    let options = |index: usize| &there[index]["definition"]["request"]["operationContext"]["options"];
    assert_eq!(options(2)["remediateIfDriftDetected"], true);
    assert_eq!(options(3)["deleteAfterDestroy"], true);
    assert_eq!(there[2]["paused"], true);

    // One is changed, one resumed, one removed, one becomes another sort; an update keeps the id.
    world
        .put_settings(spec(&json!([
            {"name": "nightly", "deployment": {"cron": "30 4 * * *", "operation": "refresh"}},
            {"name": "drift", "paused": false, "drift": {"cron": "0 * * * *"}},
            {"name": "more", "drift": {"cron": "5 5 * * *"}},
        ])))
        .await;
    let changed = scheduled(&world, &["nightly", "drift", "more"]).await;
    assert_eq!((&changed[0].id, &changed[1].id), (&entries[0].id, &entries[1].id));
    let there = remote(&world);
    assert_eq!(
        there.iter().map(|it| it["scheduleCron"].as_str().unwrap()).collect::<Vec<_>>(),
        ["7 7 * * *", "30 4 * * *", "0 * * * *", "5 5 * * *"]
    );
    assert_eq!(there[2]["paused"], false);

    // The same manifest again: nothing is written.
    let writes = || world.requests("CreateSchedule").len() + world.requests("UpdateSchedule").len();
    let before = writes();
    look_now(&world, "again").await;
    assert_eq!(writes(), before);

    // What this resource made goes with it.
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    assert_eq!(remote(&world), [theirs]);
}

#[tokio::test]
async fn a_change_made_elsewhere_is_corrected() {
    let world = connected("rescheduled").await;
    let stack = world.stack("web/prod");
    world
        .put_settings(spec(&json!([{"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}}])))
        .await;
    let made = scheduled(&world, &["nightly"]).await;
    world.simulator.remove_schedule(&stack, made[0].id.as_ref().unwrap()).unwrap();
    look_now(&world, "now").await;
    let again = scheduled(&world, &["nightly"]).await;
    assert_ne!(made[0].id, again[0].id);
    assert_eq!(remote(&world).len(), 1);
    assert_eq!(again[0].corrections.len(), 1);
}

#[tokio::test]
async fn an_equal_schedule_of_somebody_else_serves() {
    let world = connected("twin").await;
    let theirs = theirs(&world, "0 3 * * *", "update");
    world
        .put_settings(spec(&json!([{"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}}])))
        .await;
    let entries = scheduled(&world, &["nightly"]).await;
    assert_eq!((entries[0].foreign_id.as_deref(), &entries[0].id), (theirs["id"].as_str(), &None));
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    assert_eq!(remote(&world), [theirs]);
    assert!(world.requests("CreateSchedule").is_empty());
}

/// Whatever becomes of the answer, there is one schedule in the end.
#[rstest::rstest]
#[case::dropped_before(Fault::drop_before)]
#[case::dropped_after(Fault::drop_after)]
#[case::truncated(Fault::truncate_body)]
#[case::garbage(Fault::garbage)]
#[case::unavailable_before(|fault: Fault| fault.answer(503))]
#[case::unavailable_after(|fault: Fault| fault.answer_after(502))]
#[tokio::test]
async fn a_lost_answer_makes_no_second_schedule(#[case] fault: fn(Fault) -> Fault) {
    let world = connected("lost").await;
    let fault = world.simulator.inject(fault(Fault::on("CreateSchedule").organization(world.organization.clone())));
    world
        .put_settings(spec(&json!([{"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}}])))
        .await;
    let entries = scheduled(&world, &["nightly"]).await;
    assert_eq!(fault.hits(), 1);
    let there = remote(&world);
    assert_eq!(there.len(), 1, "{there:#?}");
    assert_eq!(there[0]["id"].as_str(), entries[0].id.as_deref());
}

#[tokio::test]
async fn what_the_organization_does_not_allow_is_not_made_until_it_does() {
    let world = World::new("denied").await;
    world.put_organization(json!({"access": [{"operations": ["update"]}]})).await;
    world
        .put_settings(spec(&json!([
            {"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}},
            {"name": "end", "ttl": {"time": "2040-01-01T00:00:00Z"}},
        ])))
        .await;
    let denied = status(&world, "one is refused", |status| condition(status, "SchedulesApplied").is_some()).await;
    let told = condition(&denied, "SchedulesApplied").unwrap();
    assert_eq!((told.status, told.reason.as_str()), (ConditionStatus::False, "AccessDenied"));
    assert!(told.message.starts_with("end: no rule") && told.message.contains("destroy"), "{}", told.message);
    assert_eq!(condition(&denied, types::READY).unwrap().status, ConditionStatus::True, "runs go on");
    assert_eq!(remote(&world).len(), 1);

    world.merge::<Organization>("acme", json!({"spec": {"access": [{"operations": ["update", "destroy"]}]}})).await;
    let allowed = status(&world, "all are there", |status| condition(status, "SchedulesApplied").is_none()).await;
    assert_eq!((allowed.schedules.len(), remote(&world).len()), (2, 2));
}

#[tokio::test]
async fn what_the_service_refuses_is_told_in_its_words_and_the_rest_is_made() {
    let world = connected("refused").await;
    world
        .put_settings(spec(&json!([
            {"name": "wrong", "deployment": {"cron": "99 99 * * *", "operation": "update"}},
            {"name": "past", "deployment": {"once": "2020-01-01T00:00:00Z", "operation": "update"}},
            {"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}},
        ])))
        .await;
    let status = status(&world, "one is refused", |status| condition(status, "SchedulesApplied").is_some()).await;
    let told = condition(&status, "SchedulesApplied").unwrap();
    assert_eq!(told.reason, "Rejected");
    assert!(told.message.contains("wrong: ") && told.message.contains("400"), "{}", told.message);
    assert!(told.message.contains("past: 2020-01-01T00:00:00Z has passed"), "{}", told.message);
    assert_eq!(remote(&world).len(), 1);
}

#[tokio::test]
async fn what_drift_detection_finds_is_told() {
    let world = connected("drift").await;
    let stack = world.stack("web/prod");
    world.put_settings(spec(&json!([{"name": "drift", "drift": {"cron": "0 0 1 1 *"}}]))).await;
    let entries = scheduled(&world, &["drift"]).await;
    let unknown = status(&world, "nobody has looked yet", |status| status.drift.is_none()).await;
    assert!(condition(&unknown, "Drifted").is_none());

    for (drifted, expected, reason) in
        [(true, ConditionStatus::True, "DriftDetected"), (false, ConditionStatus::False, "NoDrift")]
    {
        world.simulator.set_drift(&stack, drifted).unwrap();
        let run = world.simulator.fire_schedule(&stack, entries[0].id.as_ref().unwrap()).unwrap().unwrap();
        eventually(SOON, "the run has ended", async || {
            let runs = world.runs();
            runs.iter().find(|it| it.id == run.id && it.status == "succeeded").map(|_| ()).ok_or(runs)
        })
        .await;
        look_now(&world, reason).await;
        let status = status(&world, reason, |status| {
            condition(status, "Drifted").is_some_and(|condition| condition.reason == reason)
        })
        .await;
        let told = condition(&status, "Drifted").unwrap();
        let drift = status.drift.unwrap();
        assert_eq!((told.status, drift.detected), (expected, drifted));
        assert_eq!(drift.version, Some(run.version as u64));
        assert!(
            told.message.contains(drift.run.as_ref().unwrap()) && told.message.contains("seen at"),
            "{}",
            told.message
        );
    }
}

/// A detection that fails has found nothing, and not that there is nothing.
#[tokio::test]
async fn a_failed_detection_is_no_all_clear() {
    let world = connected("blind").await;
    let stack = world.stack("web/prod");
    let mut spec = spec(&json!([{"name": "drift", "drift": {"cron": "0 0 1 1 *"}}]));
    spec["settings"]["operationContext"] =
        json!({"environmentVariables": [{"name": "SIMULATOR_FAIL_STEP", "value": "Drift detection"}]});
    world.put_settings(spec).await;
    let entries = scheduled(&world, &["drift"]).await;
    let run = world.simulator.fire_schedule(&stack, entries[0].id.as_ref().unwrap()).unwrap().unwrap();
    eventually(SOON, "the run has failed", async || {
        let runs = world.runs();
        runs.iter().find(|it| it.id == run.id && it.status == "failed").map(|_| ()).ok_or(runs)
    })
    .await;
    look_now(&world, "now").await;
    let status = status(&world, "nobody knows", |status| condition(status, "Drifted").is_some()).await;
    let told = condition(&status, "Drifted").unwrap();
    assert_eq!((told.status, told.reason.as_str()), (ConditionStatus::Unknown, "DriftUnknown"), "{}", told.message);
}

#[tokio::test]
async fn what_keeps_schedules_from_being_read_keeps_nothing_else_back() {
    let world = connected("unseen").await;
    let fault = world
        .simulator
        .inject(Fault::on("ListSchedules").organization(world.organization.clone()).answer(403).always());
    world
        .put_settings(spec(&json!([{"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}}])))
        .await;
    world.settings("web", "Synced").await;
    assert_eq!(world.stored().unwrap()["sourceContext"]["git"]["repoUrl"], SOURCE);
    let unseen = status(&world, "it is said", |status| condition(status, "SchedulesApplied").is_some()).await;
    assert_eq!(condition(&unseen, "SchedulesApplied").unwrap().reason, "Forbidden");
    fault.remove();
    look_now(&world, "now").await;
    scheduled(&world, &["nightly"]).await;
}

/// GitOps renames a resource: the new one is applied, the old one pruned.
#[tokio::test]
async fn a_resource_that_takes_over_has_schedules_of_its_own() {
    let world = connected("renamed").await;
    let spec = spec(&json!([{"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}}]));
    let made = world.put_settings(spec.clone()).await.metadata.creation_timestamp.unwrap().0.as_second();
    let old = scheduled(&world, &["nightly"]).await;
    // Which of two is older is told by their creation timestamps, which have seconds only.
    eventually(SOON, "the second is over", async || {
        let now = jiff::Timestamp::now().as_second();
        if now > made { Ok(()) } else { Err(now) }
    })
    .await;
    world.put::<StackDeploymentSettings>(settings_manifest("renamed", &spec)).await;
    world.settings("renamed", "Conflict").await;
    world.delete::<StackDeploymentSettings>("web").await;
    world.gone::<StackDeploymentSettings>("web").await;
    let renamed = world.settings("renamed", "Synced").await.status.unwrap();
    let there = remote(&world);
    assert_eq!(there.len(), 1, "{there:#?}");
    assert_eq!(renamed.schedules[0].id.as_deref(), there[0]["id"].as_str());
    assert_ne!(renamed.schedules[0].id, old[0].id);
}

#[tokio::test]
async fn a_schedule_does_not_get_around_a_role() {
    let world = World::new("roles").await;
    for role in ["wide", "narrow"] {
        world.simulator.add_role(&world.organization, role, role).unwrap();
    }
    world
        .put_organization(json!({"access": [
            {"operations": ["update"], "roleID": "wide"},
            {"operations": ["destroy"], "roleID": "narrow"},
        ]}))
        .await;
    world
        .put_settings(spec(&json!([
            {"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}},
            {"name": "end", "ttl": {"time": "2040-01-01T00:00:00Z"}},
        ])))
        .await;
    let denied = status(&world, "one is refused", |status| condition(status, "SchedulesApplied").is_some()).await;
    let told = condition(&denied, "SchedulesApplied").unwrap();
    assert!(told.message.starts_with("end: ") && told.message.contains("another role"), "{}", told.message);
    assert_eq!(remote(&world).len(), 1);
}

#[tokio::test]
async fn a_schedule_that_runs_is_seen_to_have_run() {
    let world = connected("once").await;
    let soon = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 4).unwrap();
    world
        .put_settings(spec(
            &json!([{"name": "once", "deployment": {"once": soon.to_string(), "operation": "preview"}}]),
        ))
        .await;
    scheduled(&world, &["once"]).await;
    let status = status(&world, "it has run", |status| {
        status.schedules.first().is_some_and(|entry| entry.last_executed.is_some())
    })
    .await;
    assert_eq!(status.schedules[0].last_executed.unwrap().seconds(), soon.as_second());
    assert_eq!(world.runs().len(), 1);
    look_now(&world, "again").await;
    assert_eq!(world.requests("CreateSchedule").len(), 1, "what has run is not made again");
}

/// A ttl destroys the stack and deletes it; it is not created again, whatever `createStack` says.
#[tokio::test]
async fn a_stack_whose_end_has_come_stays_gone() {
    let world = connected("ttl").await;
    let soon = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 3).unwrap();
    let mut spec = spec(&json!([{"name": "end", "ttl": {"time": soon.to_string(), "deleteAfterDestroy": true}}]));
    spec["createStack"] = json!(true);
    world.put_settings(spec).await;
    scheduled(&world, &["end"]).await;
    let gone = status(&world, "the stack is gone", |status| {
        condition(status, types::READY).is_some_and(|ready| ready.reason == "Ended")
    })
    .await;
    let told = condition(&gone, types::READY).unwrap();
    assert!(told.message.contains("its ttl has passed"), "{}", told.message);
    assert!(world.requests("CreateStack").is_empty());
}
