//! Every class of error, and what the governor learns from it.

use std::time::Duration;

use pulumi_cloud_simulator::{Fault, FaultAnswer};
use pulumi_deployments_operator::pulumi::{
    CallClass, Class, Client, ClientConfig, Dialect, Error, Gate, Governor, Rate, StackId, Timeouts,
};
use rstest::rstest;
use serde_json::json;

use super::{Cloud, TOKEN, client, permit, secret, stack};

impl Cloud {
    /// What reading the stack fails with, under a fault that always hits.
    async fn failure(&self, fault: Fault) -> Error {
        let handle = self.simulator.inject(fault.always());
        let error = self.client.stack(&mut permit(), &self.stack).await.unwrap_err();
        handle.remove();
        error
    }
}

fn fault() -> Fault {
    Fault::on("GetStack")
}

#[rstest]
#[case(400, Class::Invalid)]
#[case(401, Class::Unauthorized)]
#[case(402, Class::Invalid)]
#[case(403, Class::Forbidden)]
#[case(404, Class::NotFound)]
#[case(409, Class::Invalid)]
#[case(422, Class::Invalid)]
#[case(500, Class::Unavailable)]
#[case(502, Class::Unavailable)]
#[case(503, Class::Unavailable)]
#[case(504, Class::Unavailable)]
#[tokio::test]
async fn statuses(#[case] status: u16, #[case] class: Class) {
    let cloud = Cloud::new().await;
    let error = cloud.failure(fault().answer(status)).await;
    assert_eq!((error.class(), error.status(), error.operation()), (class, Some(status), "GetStack"));
    assert!(error.is_service_answer());
    assert!(error.request_id().is_some());
    let sentence = error.to_string();
    assert!(sentence.starts_with(&format!("GetStack: Pulumi Cloud answered {status}: ")), "{sentence}");
    assert!(sentence.ends_with(&format!("(request {})", error.request_id().unwrap())), "{sentence}");
    // Only what may help is tried again, and not for long.
    let tries = if class == Class::Unavailable { 3 } else { 1 };
    assert_eq!(cloud.requests("GetStack").len(), tries);
}

#[tokio::test]
async fn real_refusals() {
    let cloud = Cloud::new().await;
    let wrong = client(&cloud.simulator.url(), "wrong", Timeouts::default());
    let error = wrong.user(&mut permit()).await.unwrap_err();
    assert_eq!((error.class(), error.is_service_answer()), (Class::Unauthorized, true));
    assert_eq!(wrong.governor().snapshot().gate, Gate::Rejected);

    let missing = stack("acme/web/none");
    let error = cloud.client.stack(&mut permit(), &missing).await.unwrap_err();
    assert_eq!((error.class(), error.is_service_answer()), (Class::NotFound, true));
    assert!(error.message().starts_with("Not Found"), "{error}");
}

#[tokio::test]
async fn what_is_not_the_service_s_own_answer_never_counts_as_one() {
    let cloud = Cloud::new().await;
    for answer in [
        FaultAnswer::status(404).text("404 page not found\n"),
        FaultAnswer::status(404).text("<html>internal-host-17</html>"),
        FaultAnswer::status(404).json(json!({"message": "Not Found"})),
        FaultAnswer::status(404).json(json!({"code": 500, "message": "Not Found"})),
        FaultAnswer::status(404).json(json!({"error": "internal-host-17"})),
    ] {
        let error = cloud.failure(fault().answer(answer)).await;
        assert_eq!((error.class(), error.is_service_answer()), (Class::NotFound, false), "{error}");
        assert!(!error.to_string().contains("internal-host-17"), "{error}");
    }
}

#[tokio::test]
async fn messages_are_one_bounded_line() {
    let cloud = Cloud::new().await;
    let long = format!("Bad Request: line one\nline two {}", "x".repeat(2000));
    let answer = FaultAnswer::status(400).json(json!({"code": 400, "message": long}));
    let error = cloud.failure(fault().answer(answer)).await;
    assert_eq!(error.message().chars().count(), 512);
    assert!(error.message().starts_with("Bad Request: line one line two xxx"));
}

#[tokio::test]
async fn reads_survive_a_short_trouble() {
    for fault in [
        fault().answer(502),
        fault().answer(FaultAnswer::status(500).text("oops")),
        fault().drop_before(),
        fault().drop_after(),
        fault().truncate_body(),
        fault().garbage(),
    ] {
        let cloud = Cloud::new().await;
        let handle = cloud.simulator.inject(fault.times(2));
        cloud.client.stack(&mut permit(), &cloud.stack).await.unwrap();
        assert_eq!(handle.hits(), 2);
        assert_eq!(cloud.requests("GetStack").len(), 3);
    }
}

#[tokio::test]
async fn trouble_that_stays_is_unavailable() {
    let cloud = Cloud::new().await;
    for (fault, status, message) in [
        (fault().drop_before(), None, "the connection broke"),
        (fault().drop_after(), None, "the connection broke"),
        (fault().truncate_body(), Some(200), "the answer broke off"),
        (fault().garbage(), Some(200), "the answer can't be understood"),
        (fault().answer(FaultAnswer::status(200).json(json!([]))), Some(200), "the answer can't be understood"),
    ] {
        let error = cloud.failure(fault).await;
        assert_eq!((error.class(), error.status()), (Class::Unavailable, status), "{error}");
        assert!(error.message().starts_with(message), "{error}");
        assert!(!error.is_service_answer());
    }
}

#[tokio::test]
async fn silence_ends() {
    let timeouts = Timeouts { total: Duration::from_millis(200), ..Timeouts::default() };
    let cloud = Cloud::with_timeouts(timeouts).await;
    let error = cloud.failure(fault().hold_answer()).await;
    assert_eq!((error.class(), error.status()), (Class::Unavailable, None));
    assert!(error.message().starts_with("no answer in time"), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let cloud = Cloud::new().await;
    let elsewhere = FaultAnswer::status(307).header("Location", format!("{}/api/user", cloud.simulator.url()));
    let error = cloud.failure(fault().answer(elsewhere)).await;
    assert_eq!((error.class(), error.status()), (Class::Unavailable, Some(307)));
    assert!(error.message().contains("redirect"), "{error}");
    assert!(cloud.requests("GetUser").is_empty());
}

#[tokio::test]
async fn answers_are_bounded() {
    let cloud = Cloud::new().await;
    let huge = json!({"stackName": "x".repeat(9 << 20)});
    let error = cloud.failure(fault().answer(FaultAnswer::status(200).json(huge))).await;
    assert_eq!((error.class(), error.status()), (Class::Unavailable, Some(200)));
    assert!(error.message().contains("larger than 8 MiB"), "{error}");

    let huge = json!({"code": 400, "message": "x".repeat(1 << 20)});
    let error = cloud.failure(fault().answer(FaultAnswer::status(400).json(huge))).await;
    assert_eq!((error.class(), error.is_service_answer()), (Class::Invalid, false));
    assert!(error.message().len() < 100, "{error}");
}

#[tokio::test]
async fn what_can_not_be_reached_was_not_sent() {
    let cloud = Cloud::new().await;
    let nowhere = cloud.simulator.url();
    cloud.simulator.stop_listening().await;
    let port = cloud.simulator.address().port();
    for backend in [nowhere, format!("https://127.0.0.1:{port}"), "http://pulumi.invalid".to_owned()] {
        let client = client(&backend, TOKEN, Timeouts::default());
        let error = client.user(&mut permit()).await.unwrap_err();
        assert_eq!((error.class(), error.status()), (Class::NotSent, None), "{backend}: {error}");
        let created = client.create_deployment(&mut permit(), &cloud.stack, &super::update()).await.unwrap_err();
        assert_eq!(created.class(), Class::NotSent, "{backend}: {created}");
    }
}

#[tokio::test]
async fn a_failed_handshake_was_not_sent() {
    let cloud = Cloud::new().await;
    // The simulator speaks no TLS.
    let client = client(&cloud.simulator.url().replace("http:", "https:"), TOKEN, Timeouts::default());
    let error = client.create_deployment(&mut permit(), &cloud.stack, &super::update()).await.unwrap_err();
    assert_eq!(error.class(), Class::NotSent, "{error}");
    assert!(cloud.simulator.requests().is_empty());
}

#[tokio::test]
async fn names_that_can_not_be_addressed_are_refused() {
    let cloud = Cloud::new().await;
    for name in ["", ".", "..", "a\tb"] {
        let odd = StackId { stack: name.to_owned(), ..cloud.stack.clone() };
        let error = cloud.client.delete_settings(&mut permit(), &odd).await.unwrap_err();
        assert_eq!((error.class(), error.operation()), (Class::Invalid, "DeleteSettings"));
        let error = cloud.client.cancel(&mut permit(), &cloud.stack, name).await.unwrap_err();
        assert_eq!(error.class(), Class::Invalid);
    }
    assert!(cloud.simulator.requests().is_empty());
}

#[rstest]
#[case::seconds(Some("7"), 7)]
#[case::none(None, 60)]
#[tokio::test]
async fn a_429_closes_the_gate(#[case] retry_after: Option<&str>, #[case] seconds: u64) {
    let cloud = Cloud::new().await;
    let mut answer = FaultAnswer::status(429);
    if let Some(retry_after) = retry_after {
        answer = answer.header("Retry-After", retry_after);
    }
    let error = cloud.failure(fault().answer(answer)).await;
    assert_eq!(error.class(), Class::Throttled);
    assert_eq!(error.retry_after(), retry_after.map(|_| Duration::from_secs(seconds)));
    assert_eq!(cloud.requests("GetStack").len(), 1, "never tried again at once");

    let governor = cloud.client.governor();
    let Gate::Throttled { remaining } = governor.snapshot().gate else { panic!("the gate is open") };
    assert!(remaining > Duration::from_secs(seconds - 5) && remaining <= Duration::from_secs(seconds));
    assert!((governor.snapshot().rate.per_second - 5_000.0).abs() < 1.0, "half the rate");
}

#[tokio::test]
async fn permits_of_before_are_held_back_too() {
    let cloud = Cloud::new().await;
    let mut early = cloud.client.governor().acquire(CallClass::Create, "team", 2).await;
    cloud.failure(fault().answer(FaultAnswer::status(429).header("Retry-After", "60"))).await;
    cloud.simulator.clear_requests();
    let error = cloud.client.create_deployment(&mut early, &cloud.stack, &super::update()).await.unwrap_err();
    assert_eq!((error.class(), error.operation(), error.status()), (Class::Throttled, "CreateDeployment", None));
    assert!(error.retry_after().is_some());
    assert!(cloud.simulator.requests().is_empty());
}

#[tokio::test]
async fn a_token_that_is_accepted_again_opens_the_gate() {
    let cloud = Cloud::new().await;
    cloud.failure(fault().answer(401)).await;
    assert_eq!(cloud.client.governor().snapshot().gate, Gate::Rejected);
    cloud.client.user(&mut permit()).await.unwrap();
    assert_eq!(cloud.client.governor().snapshot().gate, Gate::Open);
}

#[tokio::test]
async fn every_request_costs_one_unit() {
    let cloud = Cloud::new().await;
    let config = ClientConfig {
        backend: cloud.simulator.url(),
        token: secret(TOKEN),
        dialect: Dialect::Stacks,
        timeouts: Timeouts::default(),
        governor: Governor::new(Rate { per_second: 0.01, burst: 10 }),
    };
    let client = Client::new(config).unwrap();
    cloud.simulator.inject(fault().answer(503).always());

    let mut permit = client.governor().acquire(CallClass::Create, "team", 2).await;
    let error = client.stack(&mut permit, &cloud.stack).await.unwrap_err();
    // One retry, then the units are used up; what is reported is what the service said.
    assert_eq!((error.class(), error.status(), permit.remaining()), (Class::Unavailable, Some(503), 0));
    assert_eq!(cloud.requests("GetStack").len(), 2);

    let error = client.user(&mut permit).await.unwrap_err();
    assert_eq!((error.class(), error.operation(), error.status()), (Class::NotSent, "GetUser", None));
    assert!(cloud.requests("GetUser").is_empty());
    drop(permit);
    assert_eq!(client.governor().snapshot().available, 8);
}
