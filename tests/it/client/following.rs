//! Logs and events, from token to token.

use std::time::Duration;

use pulumi_deployments_operator::pulumi::wire::{EventPayload, LogLine, Status};
use pulumi_deployments_operator::pulumi::{EventsOf, StepLogQuery};
use tokio::time::Instant;

use super::{Cloud, eventually, permit, update};

/// The pause of these tests.
const PACE: Duration = Duration::from_millis(60);

impl Cloud {
    /// A run that stands at Pulumi's own step, and the update that it makes.
    async fn held(&self) -> (String, String) {
        self.simulator.hold_at("acme/web/dev", "pulumi update").unwrap();
        let mut request = update();
        request.insert(&["operationContext", "environmentVariables", "SIMULATOR_LOG_LINES"], "1200");
        let id = self.client.create_deployment(&mut permit(), &self.stack, &request).await.unwrap().id;
        let update = eventually("the update has begun", async || {
            let updates = self.client.updates(&mut permit(), &self.stack, &id).await.unwrap();
            updates.into_iter().find_map(|update| update.update_id)
        })
        .await;
        (id, update)
    }
}

#[tokio::test]
async fn a_log_is_followed_to_its_end() {
    let cloud = Cloud::new().await;
    let (id, _) = cloud.held().await;
    let mut log = cloud.client.follow_logs(&cloud.stack, &id, PACE);
    let mut lines: Vec<LogLine> = Vec::new();
    // Until there is nothing new.
    loop {
        let part = log.next(&mut permit()).await.unwrap().unwrap();
        if part.is_empty() {
            break;
        }
        lines.extend(part);
    }
    assert!(lines.iter().any(|line| line.header.as_deref() == Some("Get source")));
    let (asked, began) = (cloud.requests("GetDeploymentLogs").len(), Instant::now());
    for _ in 0..3 {
        assert!(log.next(&mut permit()).await.unwrap().unwrap().is_empty());
    }
    assert_eq!(cloud.requests("GetDeploymentLogs").len(), asked + 3);
    assert!(began.elapsed() >= 3 * PACE, "it pauses while there is nothing new");

    cloud.simulator.release("acme/web/dev").unwrap();
    while let Some(part) = log.next(&mut permit()).await.unwrap() {
        lines.extend(part);
    }
    let run = cloud.client.deployment(&mut permit(), &cloud.stack, &id).await.unwrap();
    assert_eq!(run.status, Status::Succeeded);
    assert!(lines.len() > 1200, "{}", lines.len());
    assert!(log.next(&mut permit()).await.unwrap().is_none());
    let again = cloud.client.follow_logs(&cloud.stack, &id, PACE).all(&mut permit()).await.unwrap();
    assert_eq!(again, lines, "nothing is told twice, and nothing is left out");
}

#[tokio::test]
async fn a_step_s_log_is_followed_to_its_end() {
    let cloud = Cloud::new().await;
    let (id, _) = cloud.held().await;
    let run = cloud.client.deployment(&mut permit(), &cloud.stack, &id).await.unwrap();
    let step = run.jobs[0].steps.iter().position(|step| step.name == "pulumi update").unwrap();
    let query = StepLogQuery { job: 0, step: u32::try_from(step).unwrap(), offset: 5, count: 499 };
    let mut log = cloud.client.follow_step_logs(&cloud.stack, &id, query, PACE);
    let mut lines = Vec::new();
    loop {
        let part = log.next(&mut permit()).await.unwrap().unwrap();
        if part.is_empty() {
            break;
        }
        lines.extend(part);
    }
    let began = Instant::now();
    assert!(log.next(&mut permit()).await.unwrap().unwrap().is_empty());
    assert!(log.next(&mut permit()).await.unwrap().unwrap().is_empty());
    assert!(began.elapsed() >= PACE, "it pauses while there is nothing new");
    cloud.simulator.release("acme/web/dev").unwrap();
    lines.extend(log.all(&mut permit()).await.unwrap());

    let whole = cloud.client.follow_logs(&cloud.stack, &id, PACE).all(&mut permit()).await.unwrap();
    let header = whole.iter().position(|line| line.header.as_deref() == Some("pulumi update")).unwrap();
    let texts = |lines: &[LogLine]| lines.iter().map(|line| line.line.clone()).collect::<Vec<_>>();
    assert!(lines.len() > 1000);
    assert_eq!(texts(&lines), texts(&whole[header + 1 + 5..]));
    let asked = cloud.requests("GetDeploymentLogs").into_iter().filter(|request| request.query.contains("count=499"));
    assert!(asked.count() >= 4);
}

#[tokio::test]
async fn events_are_followed_to_their_end() {
    let cloud = Cloud::new().await;
    let (_, update) = cloud.held().await;
    let mut events = cloud.client.follow_events(&cloud.stack, EventsOf::Update, &update, PACE);
    let mut seen = events.next(&mut permit()).await.unwrap().unwrap();
    assert!(!seen.iter().any(|event| matches!(event.payload, EventPayload::Summary { .. })));
    cloud.simulator.release("acme/web/dev").unwrap();
    while let Some(part) = events.next(&mut permit()).await.unwrap() {
        seen.extend(part);
    }
    assert_eq!(seen[0].payload, EventPayload::Prelude);
    let created = |event: &EventPayload| matches!(event, EventPayload::ResourceOutputs(step) if step.op == "create");
    assert!(seen.iter().filter(|event| created(&event.payload)).count() >= 4, "{seen:?}");
    let changes = seen.iter().find_map(|event| match &event.payload {
        EventPayload::Summary { resource_changes, .. } => Some(resource_changes["create"]),
        _ => None,
    });
    assert_eq!(changes, Some(4));
    assert!(seen.iter().all(|event| event.timestamp.is_some()));
    let unknown = cloud.client.engine_events(&mut permit(), &cloud.stack, EventsOf::Preview, "none", None).await;
    assert!(unknown.unwrap_err().is_service_answer());
}
