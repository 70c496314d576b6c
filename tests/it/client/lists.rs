//! Lists, page by page to their end.

use pulumi_cloud_simulator::{Fault, FaultAnswer};
use pulumi_deployments_operator::pulumi::wire::{Deployment, Status};
use pulumi_deployments_operator::pulumi::{CallClass, Class, ListQuery, Sort};
use serde_json::{Value, json};

use super::{Cloud, permit};

impl Cloud {
    /// Somebody creates so many runs, none of which starts. Their ids, the newest first.
    fn create(&self, count: usize) -> Vec<String> {
        self.simulator.set_organization_paused("acme", true).unwrap();
        let create = || self.simulator.create_deployment("acme/web/dev", &json!({"operation": "refresh"})).unwrap().id;
        let mut ids: Vec<String> = (0..count).map(|_| create()).collect();
        ids.reverse();
        ids
    }
}

fn ids(runs: Vec<Deployment>) -> Vec<String> {
    runs.into_iter().map(|run| run.id).collect()
}

#[tokio::test]
async fn a_list_is_read_to_its_end_and_no_further() {
    let cloud = Cloud::new().await;
    let created = cloud.create(200);
    let of_stack = cloud.client.stack_deployments(&cloud.stack, ListQuery::default());
    assert_eq!(ids(of_stack.all(&mut permit()).await.unwrap()), created);
    let queries: Vec<String> = cloud.requests("ListDeployments").into_iter().map(|request| request.query).collect();
    assert_eq!(queries, ["page=1&pageSize=100", "page=2&pageSize=100"]);

    let query = ListQuery { ascending: true, ..ListQuery::default() };
    let of_organization = cloud.client.organization_deployments("acme", query);
    let mut oldest_first = ids(of_organization.all(&mut permit()).await.unwrap());
    oldest_first.reverse();
    assert_eq!(oldest_first, created);
}

#[tokio::test]
async fn what_is_new_meanwhile_shows_nothing_twice() {
    let cloud = Cloud::new().await;
    let created = cloud.create(150);
    let mut pages = cloud.client.stack_deployments(&cloud.stack, ListQuery::default());
    let mut seen = ids(pages.next(&mut permit()).await.unwrap().unwrap());
    assert_eq!(seen, created[..100]);
    cloud.create(60);
    while let Some(runs) = pages.next(&mut permit()).await.unwrap() {
        seen.extend(ids(runs));
    }
    assert_eq!(seen, created);
    assert!(pages.is_over());
    assert!(pages.next(&mut permit()).await.unwrap().is_none());
    assert_eq!(cloud.requests("ListDeployments").len(), 3);
}

#[tokio::test]
async fn without_a_count_the_end_is_an_empty_page() {
    let cloud = Cloud::new().await;
    let run = |id: &str| json!({"id": id, "status": "running"});
    let answer = |runs: Vec<Value>| FaultAnswer::status(200).json(json!({"deployments": runs}));
    let handle = cloud.simulator.inject(Fault::on("ListDeployments").answer(answer(vec![run("a"), json!(7)])));
    let mut pages = cloud.client.stack_deployments(&cloud.stack, ListQuery::default());
    assert_eq!(ids(pages.next(&mut permit()).await.unwrap().unwrap()), ["a"]);
    assert_eq!(pages.undecodable(), 1);
    handle.remove();
    assert!(pages.next(&mut permit()).await.unwrap().is_none());
    assert_eq!(cloud.requests("ListDeployments").len(), 2);
}

#[tokio::test]
async fn each_page_takes_a_unit() {
    let cloud = Cloud::new().await;
    let created = cloud.create(250);
    let mut pages = cloud.client.stack_deployments(&cloud.stack, ListQuery::default());
    let mut two = cloud.client.governor().acquire(CallClass::Observe, "team", 2).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.extend(ids(pages.next(&mut two).await.unwrap().unwrap()));
    }
    assert_eq!(pages.next(&mut two).await.unwrap_err().class(), Class::NotSent);
    // It goes on where it was.
    seen.extend(ids(pages.all(&mut permit()).await.unwrap()));
    assert_eq!(seen, created);
}

#[tokio::test]
async fn a_state_and_an_order_to_choose() {
    let cloud = Cloud::new().await;
    let created = cloud.create(3);
    let queued = ListQuery { status: Some(Status::NotStarted), sort: Some(Sort::Version), ..ListQuery::default() };
    let page = cloud.client.list_stack_deployments(&mut permit(), &cloud.stack, queued.clone()).await.unwrap();
    assert_eq!(ids(page.items), created);
    let failed = ListQuery { status: Some(Status::Failed), ..ListQuery::default() };
    let page = cloud.client.list_stack_deployments(&mut permit(), &cloud.stack, failed.clone()).await.unwrap();
    assert_eq!((page.len(), page.total), (0, Some(0)));
    let runs = cloud.client.organization_deployments("acme", queued).all(&mut permit()).await.unwrap();
    assert_eq!(ids(runs), created);
    assert!(cloud.client.organization_deployments("acme", failed).all(&mut permit()).await.unwrap().is_empty());
    let query = &cloud.requests("ListDeployments")[0].query;
    assert_eq!(query, "page=1&pageSize=10&sort=version&status=not-started");
}
