//! The schedules of a stack.

use jiff::{SignedDuration, Timestamp};
use pulumi_deployments_operator::pulumi::client::{ScheduleRequest, ScheduleTiming};
use pulumi_deployments_operator::pulumi::{Class, Node};
use rstest::rstest;
use serde_json::json;

use super::{Cloud, eventually, permit};

const STACK: &str = "acme/web/dev";

/// A stack can have schedules when it has settings.
async fn configured() -> Cloud {
    let cloud = Cloud::new().await;
    let settings = json!({"sourceContext": {"git": {"repoUrl": "https://example.com/web.git", "branch": "main"}}});
    cloud.simulator.patch_settings(STACK, &settings).unwrap();
    cloud
}

fn deployment(timing: ScheduleTiming) -> ScheduleRequest {
    let request = [("operation", Node::from("update")), ("inheritSettings", Node::from(true))];
    ScheduleRequest::Deployment { timing, request: request.into_iter().collect() }
}

fn tomorrow() -> Timestamp {
    Timestamp::from_second((Timestamp::now() + SignedDuration::from_hours(24)).as_second()).unwrap()
}

fn cron(cron: &str) -> ScheduleTiming {
    ScheduleTiming::Cron(cron.to_owned())
}

fn drift(cron: &str) -> ScheduleRequest {
    ScheduleRequest::Drift { cron: cron.to_owned(), auto_remediate: true }
}

fn ttl(hours: i64) -> ScheduleRequest {
    let time = tomorrow() + SignedDuration::from_hours(hours);
    ScheduleRequest::Ttl { time, delete_after_destroy: true }
}

#[rstest]
#[case::again_and_again("update", deployment(cron("0 3 * * *")), deployment(cron("1 3 * * *")))]
#[case::once("update", deployment(ScheduleTiming::Once(tomorrow())), deployment(cron("0 3 * * *")))]
#[case::drift("detect-drift", drift("0 * * * *"), drift("1 * * * *"))]
#[case::the_end("destroy", ttl(0), ttl(1))]
#[tokio::test]
async fn each_sort_is_made_read_changed_and_removed(
    #[case] operation: &str,
    #[case] first: ScheduleRequest,
    #[case] second: ScheduleRequest,
) {
    let cloud = configured().await;
    let (client, stack, permit) = (&cloud.client, &cloud.stack, &mut permit());
    assert!(!client.stack_metadata(permit, stack).await.unwrap().has_schedules);
    let made = client.create_schedule(permit, stack, &first).await.unwrap();
    assert_eq!((made.operation(), made.paused, made.last_executed), (Some(operation), false, None));
    assert!(made.next_execution.unwrap() > Timestamp::now());
    assert_eq!(client.schedule(permit, stack, &made.id).await.unwrap(), made);
    assert_eq!(client.schedules(permit, stack).await.unwrap().as_slice(), std::slice::from_ref(&made));
    assert!(client.stack_metadata(permit, stack).await.unwrap().has_schedules);

    let changed = client.update_schedule(permit, stack, &made.id, &second).await.unwrap();
    assert_eq!(changed.id, made.id);
    assert_ne!((&changed.cron, changed.once), (&made.cron, made.once));

    client.pause_schedule(permit, stack, &made.id).await.unwrap();
    assert!(client.schedule(permit, stack, &made.id).await.unwrap().paused);
    client.resume_schedule(permit, stack, &made.id).await.unwrap();
    assert!(!client.schedule(permit, stack, &made.id).await.unwrap().paused);

    for _ in 0..2 {
        client.delete_schedule(permit, stack, &made.id).await.unwrap();
    }
    assert_eq!(client.schedules(permit, stack).await.unwrap(), []);
    let error = client.schedule(permit, stack, &made.id).await.unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[tokio::test]
async fn an_execution_is_in_the_history() {
    let cloud = configured().await;
    let (client, stack, permit) = (&cloud.client, &cloud.stack, &mut permit());
    let made = client.create_schedule(permit, stack, &deployment(cron("0 3 * * *"))).await.unwrap();
    assert_eq!(client.schedule_history(permit, stack, &made.id).await.unwrap(), []);
    let run = cloud.simulator.fire_schedule(STACK, &made.id).unwrap().unwrap();
    let event = eventually("the execution is told", async || {
        client.schedule_history(&mut super::permit(), stack, &made.id).await.unwrap().pop()
    })
    .await;
    assert!(event.executed.is_some() && event.result.is_some() && event.version.is_some(), "{event:?}");
    let told = client.deployment(permit, stack, &run.id).await.unwrap();
    assert_eq!(told.operation.as_deref(), Some("update"));
    assert!(client.schedule(permit, stack, &made.id).await.unwrap().last_executed.is_some());
}

#[tokio::test]
async fn a_stack_without_settings_has_none() {
    let cloud = Cloud::new().await;
    let error = cloud.client.create_schedule(&mut permit(), &cloud.stack, &drift("0 * * * *")).await.unwrap_err();
    assert_eq!(error.class(), Class::Invalid);
    assert!(error.message().contains("deployment settings"), "{error}");
}
