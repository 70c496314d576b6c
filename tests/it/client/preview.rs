//! The preview dialect, against a service that has no other routes.

use std::time::Duration;

use pulumi_deployments_operator::pulumi::wire::{Ciphertext, Status};
use pulumi_deployments_operator::pulumi::{
    AgentPoolChange, CallClass, Class, Dialect, Error, Granularity, ListQuery, Lookback, Node, Observer,
    ObserverConfig, StepLogQuery, TrackedRun,
};
use serde_json::json;

use super::{Cloud, counting, eventually, permit, secret, stack, update};

#[tokio::test]
async fn a_run_from_its_creation_to_its_logs() {
    let cloud = Cloud::preview().await;
    let mut request = update();
    request.insert(&["inheritSettings"], false);
    request.insert(&["operationContext", "environmentVariables", "SIMULATOR_LOG_LINES"], "300");
    let created = cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap();
    let sent = &cloud.requests("PreviewCreateDeployment")[0].body;
    assert_eq!((&sent["operationContext"]["operation"], sent.get("operation")), (&json!("update"), None));
    assert_eq!(sent["inheritSettings"], false);

    let run = eventually("the run's end", async || {
        let run = cloud.client.deployment(&mut permit(), &cloud.stack, &created.id).await.unwrap();
        run.status.is_terminal().then_some(run)
    })
    .await;
    assert_eq!((run.status.clone(), run.latest_version), (Status::Succeeded, Some(1)));
    let by_version = cloud.client.deployment_by_version(&mut permit(), &cloud.stack, 1).await.unwrap();
    assert_eq!(by_version, run);

    let pace = Duration::from_millis(20);
    let lines = cloud.client.follow_logs(&cloud.stack, &created.id, pace).all(&mut permit()).await.unwrap();
    assert!(lines.len() > 300);
    let queries: Vec<String> =
        cloud.requests("PreviewGetDeploymentLogs").into_iter().map(|request| request.query).collect();
    assert!(queries.len() > 1 && queries[1..].iter().all(|query| query.contains("nextToken=")), "{queries:?}");
    let step = run.jobs[0].steps.iter().position(|step| step.name == "pulumi update").unwrap();
    let query = StepLogQuery { job: 0, step: u32::try_from(step).unwrap(), offset: 0, count: 10 };
    let part = cloud.client.step_logs(&mut permit(), &cloud.stack, &created.id, query).await.unwrap();
    assert_eq!((part.lines.len(), part.next_offset), (10, Some(10)));
}

#[tokio::test]
async fn runs_inherit_unless_they_say_otherwise() {
    let cloud = Cloud::preview().await;
    let mut settings = update();
    settings.remove(&["operation"]);
    settings.insert(&["operationContext", "environmentVariables", "TIER"], "gold");
    cloud.client.patch_settings(&mut permit(), &cloud.stack, &settings).await.unwrap();
    let request: Node = [("operation", "update")].into_iter().collect();
    cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap();
    assert_eq!(cloud.requests("PreviewCreateDeployment")[0].body["inheritSettings"], true);
    let run = &cloud.simulator.deployments("acme/web/dev")[0];
    assert_eq!(run.environment.get("TIER"), Some(&("gold".to_owned(), false)));
}

#[tokio::test]
async fn settings() {
    let cloud = Cloud::preview().await;
    assert!(cloud.client.settings(&mut permit(), &cloud.stack).await.unwrap_err().is_gone());
    let mut patch = Node::object();
    patch.insert(&["operationContext", "environmentVariables", "A"], secret("hunter2"));
    patch.insert(&["sourceContext", "git", "repoURL"], "https://github.com/acme/web.git");
    let answer = cloud.client.patch_settings(&mut permit(), &cloud.stack, &patch).await.unwrap();
    let read = cloud.client.settings(&mut permit(), &cloud.stack).await.unwrap();
    assert_eq!(read.document["sourceContext"], answer.document["sourceContext"]);
    assert_eq!(cloud.requests("PreviewGetSettings")[1].path, "/api/preview/acme/web/dev/deployment/settings");
    cloud.client.delete_settings(&mut permit(), &cloud.stack).await.unwrap();
    assert_eq!(cloud.simulator.settings("acme/web/dev"), None);
}

#[tokio::test]
async fn canceling() {
    let cloud = Cloud::preview().await;
    cloud.simulator.hold("acme/web/dev").unwrap();
    let running = cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap();
    eventually("the run runs", async || {
        let run = cloud.client.deployment(&mut permit(), &cloud.stack, &running.id).await.unwrap();
        (run.status == Status::Running).then_some(())
    })
    .await;
    cloud.client.cancel(&mut permit(), &cloud.stack, &running.id).await.unwrap();
    let run = cloud.client.deployment(&mut permit(), &cloud.stack, &running.id).await.unwrap();
    assert_eq!(run.status, Status::Failed);
}

#[tokio::test]
async fn the_newest_are_found_in_a_list_that_begins_with_the_oldest() {
    let cloud = Cloud::preview().await;
    cloud.simulator.set_organization_paused("acme", true).unwrap();
    for count in [0_usize, 1, 99, 100, 101, 250, 700] {
        let name = format!("acme/web/with-{count}");
        cloud.simulator.add_stack(&name).unwrap();
        let request = json!({"operation": "refresh"});
        let mut newest_first: Vec<String> =
            (0..count).map(|_| cloud.simulator.create_deployment(&name, &request).unwrap().id).collect();
        newest_first.reverse();
        let target = stack(&name);
        for (page, page_size) in [(1, 1), (1, 10), (2, 7), (3, 100), (30, 100)] {
            cloud.simulator.clear_requests();
            let query = ListQuery { page, page_size, ..ListQuery::default() };
            let units = cloud.client.units_of_list();
            let mut permit = cloud.client.governor().acquire(CallClass::Observe, "team", units).await;
            let list = cloud.client.list_stack_deployments(&mut permit, &target, query).await.unwrap();
            let ids: Vec<String> = list.items.into_iter().map(|run| run.id).collect();
            let first = usize::try_from((page - 1) * page_size).unwrap().min(count);
            let last = (first + page_size as usize).min(count);
            assert_eq!(ids, newest_first[first..last], "{page} of {page_size} of {count}");
            assert_eq!(list.total, Some(count as u64));
            let asked = cloud.requests("PreviewListDeployments").len();
            assert!(asked <= if count < 100 { 1 } else { 8 }, "{asked} requests for {count}");
        }
        let all = cloud.client.stack_deployments(&target, ListQuery::default()).all(&mut permit()).await.unwrap();
        assert_eq!(all.into_iter().map(|run| run.id).collect::<Vec<_>>(), newest_first);
        let query = ListQuery { ascending: true, ..ListQuery::default() };
        let mut all = cloud.client.stack_deployments(&target, query).all(&mut permit()).await.unwrap();
        all.reverse();
        assert_eq!(all.into_iter().map(|run| run.id).collect::<Vec<_>>(), newest_first);
    }
}

#[tokio::test]
async fn what_the_preview_routes_lack_fails_without_a_request() {
    let cloud = Cloud::preview().await;
    let (client, stack) = (&cloud.client, &cloud.stack);
    let permit = &mut permit();
    let mut errors: Vec<(&str, Error)> = Vec::new();
    macro_rules! lacks {
        ($what:literal, $($call:tt)+) => { errors.push(($what, client.$($call)+.await.map(|_| ()).unwrap_err())) };
    }
    let day = (Granularity::Daily, Lookback::Days(1));
    let by_state = ListQuery { status: Some(Status::Running), ..ListQuery::default() };
    let drift: Node = [("operation", "detect-drift")].into_iter().collect();
    lacks!("operation", create_deployment(permit, stack, &drift));
    lacks!("a state to choose", list_stack_deployments(permit, stack, by_state));
    lacks!("list of an organization", list_organization_deployments(permit, "acme", ListQuery::default()));
    lacks!("updates", updates(permit, stack, "id"));
    lacks!("metadata", organization_metadata(permit, "acme"));
    lacks!("metadata", stack_metadata(permit, stack));
    lacks!("pausing", pause_organization(permit, "acme"));
    lacks!("pausing", resume_organization(permit, "acme"));
    lacks!("pausing", pause_stack(permit, stack));
    lacks!("pausing", resume_stack(permit, stack));
    lacks!("usage", deployments_summary(permit, "acme", day.0, day.1));
    lacks!("usage", usage_report(permit, "acme", None));
    lacks!("agent pools", agent_pools(permit, "acme"));
    lacks!("agent pools", agent_pool(permit, "acme", "id"));
    lacks!("agent pools", create_agent_pool(permit, "acme", "name", ""));
    lacks!("agent pools", change_agent_pool(permit, "acme", "id", AgentPoolChange::default()));
    lacks!("agent pools", delete_agent_pool(permit, "acme", "id", true));
    lacks!("replacing", replace_settings(permit, stack, &Node::object()));
    lacks!("encryption", encrypt_secret(permit, stack, &secret("value")));
    lacks!("cache", clear_cache(permit, stack));
    lacks!("drift", drift_status(permit, stack));
    lacks!("drift", list_drift_runs(permit, stack, 1, 10));
    lacks!("drift", drift_run(permit, stack, "id"));
    for (what, error) in errors {
        assert_eq!((error.class(), error.status()), (Class::Unsupported, None), "{error}");
        let (before, after) = error.message().split_once("this backend's preview API lacks ").unwrap();
        assert!(before.is_empty() && after.contains(what), "{error}");
    }
    assert!(cloud.simulator.requests().is_empty());

    // Accounts, stacks and their updates are not below the preview routes, and are there.
    assert_eq!(client.dialect(), Dialect::Preview);
    client.user(permit).await.unwrap();
    client.stack(permit, stack).await.unwrap();
    assert_eq!(client.stack_update(permit, stack, 9999).await.unwrap_err().status(), Some(404));
    assert_eq!(client.decrypt(permit, stack, &Ciphertext("AAAB".into())).await.unwrap_err().status(), Some(400));
}

#[tokio::test]
async fn runs_are_followed_by_their_ids() {
    let cloud = Cloud::preview().await;
    let ms = Duration::from_millis;
    let config = ObserverConfig { fast: ms(20), slow: ms(40), calm: ms(200), list_retry: ms(100), least: ms(10) };
    let observer = Observer::new(config);
    cloud.simulator.hold("acme/web/dev").unwrap();
    let created = cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap();
    let (_, wake) = counting();
    let run = TrackedRun { id: created.id.clone(), stack: cloud.stack.clone(), version: 1, created: None, wake };
    observer.track("platform/acme", run);
    observer.connect("platform/acme", "acme", cloud.client.clone());
    let seen = |status: Status| observer.snapshot(&created.id)?.run.filter(|run| run.status == status);
    eventually("it runs", async || seen(Status::Running)).await;
    let degraded = observer.health("platform/acme").degraded.unwrap();
    assert!(
        degraded.contains("this backend's preview API lacks a list of an organization's deployments"),
        "{degraded}"
    );
    cloud.simulator.release("acme/web/dev").unwrap();
    eventually("its end", async || seen(Status::Succeeded)).await;
    assert!(cloud.simulator.requests_where(|request| request.path.contains("/orgs/")).is_empty());
}
