//! Every method, when all is well.

use pulumi_deployments_operator::pulumi::wire::{Status, StepStatus};
use pulumi_deployments_operator::pulumi::{Class, ListQuery, Node, StackId, StepLogQuery};
use serde_json::json;

use super::{Cloud, eventually, permit, secret, stack, update};

impl Cloud {
    /// Creates a run and waits for its end.
    async fn finished(&self, request: &Node) -> String {
        let created = self.client.create_deployment(&mut permit(), &self.stack, request).await.unwrap();
        eventually("the run's end", async || {
            let run = self.client.deployment(&mut permit(), &self.stack, &created.id).await.unwrap();
            run.status.is_terminal().then_some(())
        })
        .await;
        created.id
    }
}

#[tokio::test]
async fn requests_carry_what_they_should() {
    let cloud = Cloud::new().await;
    let user = cloud.client.user(&mut permit()).await.unwrap();
    assert_eq!(user.organizations[0].login, "acme");
    assert_eq!(user.organizations[0].role.as_deref(), Some("admin"));
    cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap();

    let agent = concat!("pulumi-deployments-operator/", env!("CARGO_PKG_VERSION"));
    for request in cloud.simulator.requests() {
        assert_eq!(request.header("accept"), Some("application/vnd.pulumi+8"));
        assert_eq!(request.header("user-agent"), Some(agent));
        assert_eq!(request.user.as_deref(), Some("simulator"), "the token was understood");
        let content_type = (request.method == "POST").then_some("application/json");
        assert_eq!(request.header("content-type"), content_type);
    }
}

#[tokio::test]
async fn the_service_s_clock_is_known_from_the_first_answer_on() {
    let cloud = Cloud::new().await;
    assert_eq!(cloud.client.server_date(), None);
    cloud.client.user(&mut permit()).await.unwrap();
    let date = cloud.client.server_date().unwrap();
    let off = jiff::Timestamp::now().duration_since(date).abs();
    assert!(off < jiff::SignedDuration::from_secs(30), "{date}");
}

#[tokio::test]
async fn stacks() {
    let cloud = Cloud::new().await;
    let new = stack("acme/web/a stack?/#%2e");
    let new = StackId { stack: "odd %2e name".into(), ..new };
    assert_eq!(cloud.client.stack(&mut permit(), &new).await.unwrap_err().class(), Class::NotFound);

    let seen = cloud.client.stack(&mut permit(), &cloud.stack).await.unwrap();
    assert_eq!((seen.organization, seen.project, seen.stack), ("acme".into(), "web".into(), "dev".into()));

    let fresh = stack("acme/web/fresh");
    cloud.client.create_stack(&mut permit(), &fresh).await.unwrap();
    assert!(cloud.simulator.has_stack("acme/web/fresh"));
    let error = cloud.client.create_stack(&mut permit(), &fresh).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Invalid, Some(409)));
}

#[tokio::test]
async fn settings() {
    let cloud = Cloud::new().await;
    let error = cloud.client.settings(&mut permit(), &cloud.stack).await.unwrap_err();
    assert_eq!((error.class(), error.is_service_answer()), (Class::NotFound, true));

    let mut patch = Node::object();
    patch.insert(&["sourceContext", "git", "repoURL"], "https://github.com/acme/web.git");
    patch.insert(&["sourceContext", "git", "branch"], "main");
    patch.insert(&["operationContext", "environmentVariables", "A"], "plain");
    patch.insert(&["operationContext", "environmentVariables", "B"], secret("hunter2"));
    let first = cloud.client.patch_settings(&mut permit(), &cloud.stack, &patch).await.unwrap();
    let variables = &first.document["operationContext"]["environmentVariables"];
    assert_eq!(variables["A"], "plain");
    assert_eq!(variables["B"]["secret"], "[secret]");
    assert!(first.document.get("version").is_none() && first.document.get("source").is_none());
    let stored = cloud.simulator.settings("acme/web/dev").unwrap();
    assert_eq!(stored["operationContext"]["environmentVariables"]["B"], json!({"secret": "hunter2"}));

    let mut patch = Node::object();
    patch.insert(&["operationContext", "environmentVariables", "A"], Node::Null);
    cloud.client.patch_settings(&mut permit(), &cloud.stack, &patch).await.unwrap();
    let second = cloud.client.settings(&mut permit(), &cloud.stack).await.unwrap();
    assert!(second.version > first.version);
    assert_eq!(second.document["operationContext"]["environmentVariables"].get("A"), None);

    cloud.client.delete_settings(&mut permit(), &cloud.stack).await.unwrap();
    assert_eq!(cloud.simulator.settings("acme/web/dev"), None);
}

#[tokio::test]
async fn a_run_from_its_creation_to_its_logs() {
    let cloud = Cloud::new().await;
    let mut request = update();
    request.insert(&["operationContext", "environmentVariables", "MARKER_1"], secret("hunter2"));
    request.insert(&["operationContext", "environmentVariables", "SIMULATOR_LOG_LINES"], "30");
    let created = cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap();
    assert_eq!(created.version, 1);
    assert!(created.console_url.contains("acme"), "{}", created.console_url);

    let run = eventually("the run's end", async || {
        let run = cloud.client.deployment(&mut permit(), &cloud.stack, &created.id).await.unwrap();
        run.status.is_terminal().then_some(run)
    })
    .await;
    assert_eq!((run.status, run.latest_version, run.operation), (Status::Succeeded, Some(1), Some("update".into())));
    assert!(run.created.is_some() && run.modified > run.created);
    let configuration = run.configuration.unwrap();
    assert!(configuration.environment_names.contains("MARKER_1"));
    assert_eq!(configuration.source.unwrap().repo_url.as_deref(), Some("https://github.com/acme/web.git"));
    let steps = &run.jobs[0].steps;
    assert!(steps.iter().all(|step| step.status == StepStatus::Succeeded && step.started.is_some()));

    let by_version = cloud.client.deployment_by_version(&mut permit(), &cloud.stack, 1).await.unwrap();
    assert_eq!(by_version.id, created.id);
    let error = cloud.client.deployment_by_version(&mut permit(), &cloud.stack, 2).await.unwrap_err();
    assert_eq!((error.class(), error.is_service_answer()), (Class::NotFound, true));

    let updates = cloud.client.updates(&mut permit(), &cloud.stack, &created.id).await.unwrap();
    assert_eq!(updates[0].result.as_deref(), Some("succeeded"));
    assert!(updates[0].resource_changes.values().sum::<u64>() > 0);

    let mut lines = Vec::new();
    let mut token = None;
    loop {
        let part = cloud.client.logs(&mut permit(), &cloud.stack, &created.id, token.as_deref()).await.unwrap();
        lines.extend(part.lines);
        match part.next_token {
            Some(next) => token = Some(next),
            None => break,
        }
    }
    assert!(lines.iter().any(|line| line.header.as_deref() == Some("pulumi update")));
    assert!(lines.iter().any(|line| line.line.ends_with('\n') && line.timestamp.is_some()));

    let step = u32::try_from(steps.iter().position(|step| step.name == "pulumi update").unwrap()).unwrap();
    let query = StepLogQuery { job: 0, step, offset: 0, count: 10 };
    let part = cloud.client.step_logs(&mut permit(), &cloud.stack, &created.id, query).await.unwrap();
    assert_eq!((part.name.as_deref(), part.lines.len()), (Some("pulumi update"), 10));
    let query = StepLogQuery { offset: part.next_offset.unwrap(), count: 499, ..query };
    let rest = cloud.client.step_logs(&mut permit(), &cloud.stack, &created.id, query).await.unwrap();
    assert_eq!(rest.next_offset, None);
    assert!(rest.lines.len() > 20);
}

#[tokio::test]
async fn lists() {
    let cloud = Cloud::new().await;
    cloud.simulator.add_stack("acme/web/other").unwrap();
    cloud.simulator.set_organization_paused("acme", true).unwrap();
    let mut ids = Vec::new();
    for stack in ["acme/web/dev", "acme/web/other", "acme/web/dev"] {
        ids.push(cloud.simulator.create_deployment(stack, &json!({"operation": "refresh"})).unwrap().id);
    }
    let query = |page, page_size, ascending| ListQuery { page, page_size, ascending, ..ListQuery::default() };
    let of_stack = async |query| {
        let page = cloud.client.list_stack_deployments(&mut permit(), &cloud.stack, query).await.unwrap();
        (page.items.into_iter().map(|run| run.id).collect::<Vec<_>>(), page.total)
    };
    assert_eq!(of_stack(query(1, 10, false)).await, (vec![ids[2].clone(), ids[0].clone()], Some(2)));
    assert_eq!(of_stack(query(1, 1, true)).await, (vec![ids[0].clone()], Some(2)));
    assert_eq!(of_stack(query(2, 1, true)).await, (vec![ids[2].clone()], Some(2)));
    assert_eq!(of_stack(query(9, 10, false)).await, (vec![], Some(2)));

    let page = cloud.client.list_organization_deployments(&mut permit(), "acme", query(1, 100, false)).await.unwrap();
    let runs: Vec<_> = page.items.iter().map(|run| (run.stack.as_deref().unwrap(), &run.id)).collect();
    assert_eq!(runs, [("dev", &ids[2]), ("other", &ids[1]), ("dev", &ids[0])]);
    assert!(page.items.iter().all(|run| run.project.as_deref() == Some("web") && run.jobs.is_empty()));

    let queries: Vec<String> = cloud.requests("ListDeployments").into_iter().map(|request| request.query).collect();
    assert_eq!(queries[..2], ["page=1&pageSize=10", "asc=true&page=1&pageSize=1"]);
}

#[tokio::test]
async fn canceling() {
    let cloud = Cloud::new().await;
    cloud.simulator.hold("acme/web/dev").unwrap();
    let running = cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap();
    let queued = cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap();
    eventually("the run runs", async || {
        let run = cloud.client.deployment(&mut permit(), &cloud.stack, &running.id).await.unwrap();
        (run.status == Status::Running).then_some(())
    })
    .await;
    cloud.client.cancel(&mut permit(), &cloud.stack, &queued.id).await.unwrap();
    let error = cloud.client.deployment(&mut permit(), &cloud.stack, &queued.id).await.unwrap_err();
    assert_eq!((error.class(), error.is_service_answer()), (Class::NotFound, true));
    cloud.client.cancel(&mut permit(), &cloud.stack, &running.id).await.unwrap();
    let run = cloud.client.deployment(&mut permit(), &cloud.stack, &running.id).await.unwrap();
    assert_eq!(run.status, Status::Failed);
}

#[tokio::test]
async fn pausing() {
    let cloud = Cloud::new().await;
    // A stack can be paused only when it has settings.
    let error = cloud.client.pause_stack(&mut permit(), &cloud.stack).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Invalid, Some(400)));
    cloud.client.patch_settings(&mut permit(), &cloud.stack, &Node::object()).await.unwrap();

    cloud.client.pause_stack(&mut permit(), &cloud.stack).await.unwrap();
    let stack = cloud.client.stack_metadata(&mut permit(), &cloud.stack).await.unwrap();
    assert!(stack.paused && stack.stack_paused && !stack.organization_paused);
    cloud.client.resume_stack(&mut permit(), &cloud.stack).await.unwrap();

    cloud.client.pause_organization(&mut permit(), "acme").await.unwrap();
    cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap();
    let stack = cloud.client.stack_metadata(&mut permit(), &cloud.stack).await.unwrap();
    assert!(stack.paused && !stack.stack_paused && stack.organization_paused);
    let organization = cloud.client.organization_metadata(&mut permit(), "acme").await.unwrap();
    assert!(organization.paused && organization.concurrency.is_some());
    assert_eq!((organization.counts.not_started, organization.counts.total), (1, 1));
    cloud.client.resume_organization(&mut permit(), "acme").await.unwrap();
    let organization = cloud.client.organization_metadata(&mut permit(), "acme").await.unwrap();
    assert!(!organization.paused);
}

#[tokio::test]
async fn a_run_that_fails_says_where() {
    let cloud = Cloud::new().await;
    let mut request = update();
    request.insert(&["operationContext", "environmentVariables", "SIMULATOR_FAIL_STEP"], "Get source");
    let id = cloud.finished(&request).await;
    let run = cloud.client.deployment(&mut permit(), &cloud.stack, &id).await.unwrap();
    assert_eq!(run.status, Status::Failed);
    let failed: Vec<_> = run.jobs[0].steps.iter().filter(|step| step.status == StepStatus::Failed).collect();
    assert_eq!(failed[0].name, "Get source");
}
