use pulumi_cloud_simulator::{Simulator, operations};
use serde_json::json;

use crate::support::{Api, STACK, bench, stack_path, with_source};

#[tokio::test]
async fn requests_are_recorded_as_they_came() {
    let bench = bench().await;
    let body = json!({"operationContext": {"environmentVariables": {"S": {"secret": "in the clear"}}}});
    bench.api.post(&stack_path("/deployments/settings"), body.clone()).await.expect(200);
    bench.api.get(&stack_path("/deployments?page=2&asc=true")).await.expect(200);
    bench.api.with_token("wrong").get("/api/user").await.expect_error(401);
    bench.api.get("/api/nothing").await;
    let requests = bench.simulator.requests();
    let operations: Vec<&str> = requests.iter().map(|request| request.operation).collect();
    assert_eq!(operations, ["PatchSettings", "ListDeployments", "GetUser", ""]);
    let statuses: Vec<Option<u16>> = requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(200), Some(200), Some(401), Some(404)]);
    let patch = &requests[0];
    assert_eq!((patch.method.as_str(), patch.path.as_str()), ("POST", stack_path("/deployments/settings").as_str()));
    assert_eq!((patch.organization.as_deref(), patch.stack.as_deref()), (Some("acme"), Some(STACK)));
    assert_eq!((patch.user.as_deref(), &patch.body), (Some("simulator"), &body));
    assert_eq!(patch.header("Content-Type"), Some("application/json"));
    assert_eq!(patch.header("authorization"), None);
    assert_eq!(requests[1].query, "page=2&asc=true");
    assert_eq!(requests[2].user, None);
    assert!(requests.windows(2).all(|pair| pair[0].time <= pair[1].time && pair[0].number < pair[1].number));
}

#[tokio::test]
async fn requests_are_told_apart_by_organization() {
    let bench = bench().await;
    bench.simulator.add_organization("other", "o");
    bench.api.get(&stack_path("")).await;
    bench.api.with_token("o").get("/api/orgs/other/deployments").await;
    assert_eq!(bench.simulator.requests_of("acme").len(), 1);
    assert_eq!(bench.simulator.requests_of("other")[0].operation, "ListOrganizationDeployments");
    assert_eq!(bench.simulator.requests_where(|request| request.method == "GET").len(), 2);
    bench.simulator.clear_requests_of("acme");
    assert_eq!(bench.simulator.requests().len(), 1);
    bench.simulator.clear_requests();
    assert!(bench.simulator.requests().is_empty());
}

#[tokio::test]
async fn what_is_done_through_the_library_is_no_request() {
    let bench = bench().await;
    bench.simulator.create_deployment(STACK, &with_source("update")).unwrap();
    assert!(bench.simulator.requests().is_empty());
}

#[test]
fn operations_have_names_of_their_own() {
    let mut names: Vec<&str> = operations().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn a_simulator_outlives_the_runtime_that_started_it() {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = async { Simulator::builder().token("t").organization("acme").start().await.unwrap() };
    let simulator = run().block_on(start);
    run().block_on(async {
        Api::new(simulator.url(), "t").get("/api/user").await.expect(200);
        simulator.stop().await;
    });
}

#[tokio::test]
async fn the_port_is_free_when_the_last_handle_is_gone() {
    let bench = bench().await;
    let address = bench.simulator.address();
    drop(bench);
    let refused = async || tokio::net::TcpStream::connect(address).await.is_err();
    while !refused().await {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn an_organization_that_is_not_there_is_a_mistake() {
    let builder = Simulator::builder().token("t").organization("acme").stack("other/web/prod");
    let error = builder.start().await.unwrap_err();
    assert_eq!(error.to_string(), "organization \"other\" is not known: add it first");
}
