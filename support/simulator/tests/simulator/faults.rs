use std::time::{Duration, Instant};

use pulumi_cloud_simulator::{Fault, FaultAnswer};
use reqwest::Method;
use serde_json::json;

use crate::support::{Bench, STACK, stack_path, with_source};

/// What faults make of the answers is not the service's.
async fn bench() -> Bench {
    let mut bench = crate::support::bench().await;
    bench.api.is_strict = false;
    bench
}

async fn create(bench: &Bench) -> reqwest::Result<crate::support::Reply> {
    bench.api.try_send(Method::POST, &stack_path("/deployments"), Some(with_source("update"))).await
}

fn created(bench: &Bench) -> usize {
    bench.simulator.deployments(STACK).len()
}

#[tokio::test]
async fn answers_are_replaced_before_anything_happens() {
    let bench = bench().await;
    let fault = bench.simulator.inject(Fault::on("CreateDeployment").answer(503));
    let reply = create(&bench).await.unwrap();
    assert_eq!(reply.expect(503), json!({"code": 503, "message": "Service Unavailable"}));
    assert!(reply.headers.contains_key("x-pulumi-request-id"));
    assert_eq!((created(&bench), fault.hits()), (0, 1));
    create(&bench).await.unwrap().expect(202);

    let answer = FaultAnswer::status(429).header("Retry-After", "2").json(json!({"code": 429, "message": "slow down"}));
    bench.simulator.inject(Fault::on("CreateDeployment").answer(answer));
    let reply = create(&bench).await.unwrap();
    assert_eq!((reply.status, reply.headers["retry-after"].to_str().unwrap()), (429, "2"));
    bench
        .simulator
        .inject(Fault::on("CreateDeployment").answer(FaultAnswer::status(502).text("<html>bad gateway</html>")));
    let reply = create(&bench).await.unwrap();
    assert_eq!((reply.status, reply.text.as_str()), (502, "<html>bad gateway</html>"));
    let statuses: Vec<_> = bench.simulator.requests().iter().map(|request| request.status.unwrap()).collect();
    assert_eq!(statuses, [503, 202, 429, 502]);
}

#[tokio::test]
async fn answers_are_replaced_after_the_fact() {
    let bench = bench().await;
    bench.simulator.inject(Fault::on("CreateDeployment").answer_after(504));
    create(&bench).await.unwrap().expect(504);
    assert_eq!(created(&bench), 1);
}

#[tokio::test]
async fn connections_are_closed_before_and_after() {
    let bench = bench().await;
    let fault = bench.simulator.inject(Fault::on("CreateDeployment").drop_before());
    assert!(create(&bench).await.is_err());
    assert_eq!((created(&bench), fault.hits()), (0, 1));
    bench.simulator.inject(Fault::on("CreateDeployment").drop_after());
    assert!(create(&bench).await.is_err());
    assert_eq!(created(&bench), 1);
    create(&bench).await.unwrap().expect(202);
    let statuses: Vec<_> = bench.simulator.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [None, None, Some(202)]);
}

#[tokio::test]
async fn a_dropped_connection_sends_not_one_byte() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let bench = bench().await;
    bench.simulator.inject(Fault::on("GetUser").drop_after());
    let mut stream = tokio::net::TcpStream::connect(bench.simulator.address()).await.unwrap();
    stream.write_all(b"GET /api/user HTTP/1.1\r\nHost: x\r\nAuthorization: token t\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn bodies_are_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let bench = bench().await;
    bench.simulator.inject(Fault::on("CreateDeployment").truncate_body());
    let error = create(&bench).await.map(|_| ()).unwrap_err();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(created(&bench), 1);

    bench.simulator.inject(Fault::on("GetUser").truncate_body());
    let mut stream = tokio::net::TcpStream::connect(bench.simulator.address()).await.unwrap();
    stream.write_all(b"GET /api/user HTTP/1.1\r\nHost: x\r\nAuthorization: token t\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body.len(), length / 2);
}

#[tokio::test]
async fn garbage_is_answered() {
    let bench = bench().await;
    bench.simulator.inject(Fault::on("CreateDeployment").garbage());
    let reply = create(&bench).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&reply.text).is_err());
    assert_eq!(created(&bench), 1);
}

#[tokio::test]
async fn a_request_is_delivered_twice() {
    let bench = bench().await;
    bench.simulator.hold(STACK).unwrap();
    let fault = bench.simulator.inject(Fault::on("CreateDeployment").duplicate());
    let reply = create(&bench).await.unwrap().expect(202);
    assert_eq!((created(&bench), fault.hits(), bench.simulator.requests().len()), (2, 1, 1));
    assert_eq!(reply["version"], 2, "the answer is that of the second time");

    // What was done the first time can't be done again.
    bench.simulator.inject(Fault::on("CancelDeployment").duplicate());
    let path = stack_path(&format!("/deployments/{}/cancel", reply["id"].as_str().unwrap()));
    bench.api.post(&path, json!(null)).await.expect(404);
    assert!(bench.simulator.deployment(STACK, 2).unwrap().removed);
}

#[tokio::test]
async fn answers_are_delayed() {
    let bench = bench().await;
    let delay = Duration::from_millis(150);
    for fault in [Fault::on("GetUser").delay_before(delay), Fault::on("GetUser").delay_after(delay)] {
        bench.simulator.inject(fault);
        let start = Instant::now();
        bench.api.get("/api/user").await.expect(200);
        assert!(start.elapsed() >= delay);
    }
}

#[tokio::test]
async fn an_answer_is_held_after_the_request_was_applied() {
    let bench = bench().await;
    let fault = bench.simulator.inject(Fault::on("CreateDeployment").hold_answer());
    let api = bench.api.clone();
    let request = tokio::spawn(async move { api.post(&stack_path("/deployments"), with_source("update")).await });
    fault.reached().await;
    assert_eq!(created(&bench), 1);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!request.is_finished());
    fault.release();
    request.await.unwrap().expect(202);
}

#[tokio::test]
async fn a_held_request_is_applied_though_the_client_has_gone() {
    let bench = bench().await;
    let fault = bench.simulator.inject(Fault::on("CreateDeployment").hold_before());
    let request = bench.api.request(Method::POST, &stack_path("/deployments")).json(&with_source("update"));
    let client = tokio::spawn(request.send());
    fault.reached().await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    assert_eq!(created(&bench), 0);
    fault.release();
    while created(&bench) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(bench.simulator.requests()[0].operation, "CreateDeployment");
}

#[tokio::test]
async fn faults_choose_their_requests() {
    let bench = bench().await;
    bench.simulator.add_stack("acme/web/dev").unwrap();
    let status = async |path: &str| bench.api.get(path).await.status;
    bench.simulator.inject(Fault::on("GetStack").stack("acme/web/dev").skip(1).times(2).answer(500));
    for expected in [200, 500, 500, 200] {
        assert_eq!(status(&stack_path("")).await, 200);
        assert_eq!(status("/api/stacks/acme/web/dev").await, expected);
    }
    let fault = bench.simulator.inject(Fault::any().organization("acme").method("GET").always().answer(500));
    for _ in 0..3 {
        assert_eq!(status(&stack_path("/deployments")).await, 500);
    }
    assert_eq!(status("/api/user").await, 200);
    bench.api.post(&stack_path("/deployments"), with_source("update")).await.expect(202);
    fault.remove();
    assert_eq!((status(&stack_path("/deployments")).await, fault.hits()), (200, 3));

    bench.simulator.inject(Fault::any().when(|request| request.query.contains("page=3")).answer(500));
    assert_eq!(status(&stack_path("/deployments?page=2")).await, 200);
    assert_eq!(status(&stack_path("/deployments?page=3")).await, 500);
}

#[tokio::test]
async fn the_first_injected_fault_goes_first() {
    let bench = bench().await;
    bench.simulator.inject(Fault::on("GetUser").answer(500));
    bench.simulator.inject(Fault::on("GetUser").answer(429));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(bench.api.get("/api/user").await.status);
    }
    assert_eq!(statuses, [500, 429, 200]);
    bench.simulator.inject(Fault::any().always().answer(500));
    bench.simulator.clear_faults();
    bench.api.get("/api/user").await.expect(200);
}

#[test]
#[should_panic(expected = "no route is called \"CreateDeploymint\"")]
fn a_fault_for_no_route_is_a_mistake() {
    let _ = Fault::on("CreateDeploymint");
}

#[tokio::test]
async fn the_port_is_closed_and_opened_again() {
    let bench = bench().await;
    bench.simulator.hold(STACK).unwrap();
    create(&bench).await.unwrap().expect(202);
    bench.simulator.stop_listening().await;
    assert!(create(&bench).await.is_err());
    bench.simulator.release(STACK).unwrap();
    bench.wait_status(1, "succeeded").await;
    bench.simulator.listen_again().await.unwrap();
    create(&bench).await.unwrap().expect(202);
    bench.simulator.stop().await;
    assert!(create(&bench).await.is_err());
    assert!(bench.simulator.listen_again().await.is_err());
    assert_eq!(created(&bench), 2);
}

#[tokio::test]
async fn closing_the_port_closes_connections_in_use() {
    let bench = bench().await;
    let fault = bench.simulator.inject(Fault::on("GetUser").hold_answer());
    let api = bench.api.clone();
    let request = tokio::spawn(async move { api.try_send(Method::GET, "/api/user", None).await.is_err() });
    fault.reached().await;
    bench.simulator.stop_listening().await;
    assert!(request.await.unwrap());
}
