//! A creation is sent once, whatever happens, and its error says whether there may be a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pulumi_cloud_simulator::{Fault, FaultAnswer};
use pulumi_deployments_operator::pulumi::{Class, Node, Timeouts};
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Cloud, client, permit, stack, update};

fn fault() -> Fault {
    Fault::on("CreateDeployment")
}

#[rstest]
#[case::dropped_before(fault().drop_before(), Class::Ambiguous, 0)]
#[case::dropped_after(fault().drop_after(), Class::Ambiguous, 1)]
#[case::truncated(fault().truncate_body(), Class::Ambiguous, 1)]
#[case::garbage(fault().garbage(), Class::Ambiguous, 1)]
#[case::no_id(fault().answer_after(FaultAnswer::status(202).json(json!({"version": 1}))), Class::Ambiguous, 1)]
#[case::bare_500(fault().answer(500), Class::Ambiguous, 0)]
#[case::proxy_502(fault().answer_after(FaultAnswer::status(502).text("bad gateway")), Class::Ambiguous, 1)]
#[case::proxy_504(fault().answer_after(504), Class::Ambiguous, 1)]
#[case::no_answer_in_time(fault().hold_answer(), Class::Ambiguous, 1)]
#[case::redirected(fault().answer(FaultAnswer::status(307).header("Location", "/api/user")), Class::Ambiguous, 0)]
#[case::proxy_408(fault().answer_after(408), Class::Ambiguous, 1)]
#[case::too_large(fault().answer_after(FaultAnswer::status(202).text("x".repeat(9 << 20))), Class::Ambiguous, 1)]
#[case::refused_400(fault().answer(400), Class::Invalid, 0)]
#[case::refused_401(fault().answer(401), Class::Unauthorized, 0)]
#[case::refused_402(fault().answer(402), Class::Invalid, 0)]
#[case::refused_403(fault().answer(403), Class::Forbidden, 0)]
#[case::refused_404(fault().answer(404), Class::NotFound, 0)]
#[case::throttled(fault().answer(FaultAnswer::status(429).header("Retry-After", "5")), Class::Throttled, 0)]
#[tokio::test]
async fn is_sent_once(#[case] fault: Fault, #[case] class: Class, #[case] runs: usize) {
    let timeouts = Timeouts { total: Duration::from_secs(2), ..Timeouts::default() };
    let cloud = Cloud::with_timeouts(timeouts).await;
    cloud.simulator.set_organization_paused("acme", true).unwrap();
    // Another attempt would succeed, and be seen.
    let handle = cloud.simulator.inject(fault);
    let error = cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap_err();
    assert_eq!(error.class(), class, "{error}");
    assert_eq!(error.to_string().contains("unknown whether it was created"), class == Class::Ambiguous);
    assert_eq!(cloud.requests("CreateDeployment").len(), 1);
    assert_eq!(cloud.simulator.deployments("acme/web/dev").len(), runs);
    handle.remove();
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_does_no_harm() {
    let cloud = Cloud::new().await;
    cloud.simulator.set_organization_paused("acme", true).unwrap();
    for version in 1..=5 {
        // Leaves idle connections behind, and closes their other end.
        cloud.client.user(&mut permit()).await.unwrap();
        cloud.simulator.stop_listening().await;
        cloud.simulator.listen_again().await.unwrap();
        let created = cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap();
        assert_eq!(created.version, version);
    }
    assert_eq!(cloud.requests("CreateDeployment").len(), 5);
}

#[tokio::test]
async fn many_at_once_are_as_many() {
    let cloud = Arc::new(Cloud::new().await);
    cloud.simulator.set_organization_paused("acme", true).unwrap();
    let creations = (0..40).map(|_| {
        let cloud = Arc::clone(&cloud);
        tokio::spawn(async move {
            cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap().version
        })
    });
    let versions = futures::future::try_join_all(creations).await.unwrap();
    let distinct: std::collections::BTreeSet<u64> = versions.into_iter().collect();
    assert_eq!(distinct, (1..=40).collect());
    assert_eq!(cloud.requests("CreateDeployment").len(), 40);
}

#[tokio::test]
async fn a_stack_is_created_once_too() {
    let cloud = Cloud::new().await;
    cloud.simulator.inject(Fault::on("CreateStack").drop_after());
    let new = stack("acme/web/new");
    let error = cloud.client.create_stack(&mut permit(), &new).await.unwrap_err();
    assert_eq!(error.class(), Class::Ambiguous);
    assert_eq!(cloud.requests("CreateStack").len(), 1);
    assert!(cloud.simulator.has_stack("acme/web/new"));
}

#[tokio::test]
async fn what_may_be_repeated_is() {
    let cloud = Cloud::new().await;
    cloud.simulator.hold("acme/web/dev").unwrap();
    let mut settings = update();
    settings.remove(&["operation"]);
    for operation in ["PatchSettings", "PauseStack", "ResumeStack", "CancelDeployment"] {
        cloud.simulator.inject(Fault::on(operation).answer(503));
    }
    cloud.client.patch_settings(&mut permit(), &cloud.stack, &settings).await.unwrap();
    let created = cloud.client.create_deployment(&mut permit(), &cloud.stack, &update()).await.unwrap();
    cloud.client.pause_stack(&mut permit(), &cloud.stack).await.unwrap();
    cloud.client.resume_stack(&mut permit(), &cloud.stack).await.unwrap();
    cloud.client.cancel(&mut permit(), &cloud.stack, &created.id).await.unwrap();
    for operation in ["PatchSettings", "PauseStack", "ResumeStack", "CancelDeployment"] {
        assert_eq!(cloud.requests(operation).len(), 2, "{operation}");
    }
}

#[tokio::test]
async fn each_creation_has_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    let server = tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = vec![0; 64 << 10];
                // The requests here fit into one segment.
                while connection.read(&mut request).await.unwrap_or(0) > 0 {
                    let body = r#"{"id":"x","consoleUrl":"","version":1,"githubLogin":"me"}"#;
                    let answer = format!("HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    connection.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let client = client(&format!("http://{address}"), "token", Timeouts::default());
    for _ in 0..3 {
        client.create_deployment(&mut permit(), &stack("acme/web/dev"), &Node::object()).await.unwrap();
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 3);
    for _ in 0..3 {
        client.user(&mut permit()).await.unwrap();
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 4, "reads share theirs");
    server.abort();
}
