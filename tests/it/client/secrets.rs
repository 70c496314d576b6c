//! Secrets go over the wire and nowhere else.

use std::error::Error as _;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};

use pulumi_cloud_simulator::{Fault, FaultAnswer};
use pulumi_deployments_operator::pulumi::{CallClass, Client, ClientConfig, Dialect, Error, Governor, Rate, Timeouts};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::{Cloud, TOKEN, permit, secret, update};

const SECRET: &str = "hunter2 \"quoted\" and more";

/// Everything that an error shows, its causes included.
fn shown(error: &Error) -> String {
    let own = format!("{error} {error:?} {error:#?} {} {}", error.message(), error.summary());
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let causes: Vec<String> = causes.map(|cause| format!("{cause} {cause:?}")).collect();
    own + &causes.join(" ")
}

#[track_caller]
fn assert_clean(text: &str) {
    for part in ["hunter2", TOKEN] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

fn debug(value: &impl Debug) {
    assert_clean(&format!("{value:?} {value:#?}"));
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn secrets_never_show() {
    let log = Log::default();
    let subscriber = || {
        let builder = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        tracing::Dispatch::new(builder.with_writer(log.clone()).finish())
    };
    // With only one of them alive, a test in another thread could switch logging off here: tracing then asks the
    // subscriber of whichever thread comes first.
    let (dispatch, _second) = (subscriber(), subscriber());
    let _guard = tracing::dispatcher::set_default(&dispatch);

    let cloud = Cloud::new().await;
    cloud.simulator.set_organization_paused("acme", true).unwrap();
    let mut request = update();
    request.insert(&["operationContext", "environmentVariables", "PASSWORD"], secret(SECRET));
    debug(&request);
    debug(&cloud.client);

    // An evil service that sends back all it was sent, in every way there is.
    let echo = format!("Bad Request: {SECRET:?} with token {TOKEN}, {SECRET}");
    for status in [400, 401, 403, 404, 429, 500] {
        let body = json!({"code": status, "message": echo, "errors": [{"attribute": SECRET, "customMessage": TOKEN}]});
        let answers = [
            FaultAnswer::status(status).json(body).header("X-Pulumi-Request-ID", "4711"),
            FaultAnswer::status(status).text(echo.clone()),
        ];
        for answer in answers {
            cloud.simulator.inject(Fault::on("CreateDeployment").answer(answer.clone()));
            let error = cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap_err();
            assert_clean(&shown(&error));
            let handle = cloud.simulator.inject(Fault::on("PatchSettings").answer(answer).always());
            let error = cloud.client.patch_settings(&mut permit(), &cloud.stack, &request).await.unwrap_err();
            assert_clean(&shown(&error));
            handle.remove();
        }
    }

    // Half a secret is one too.
    for padding in 490..515 {
        let message = format!("{}{SECRET}", "x".repeat(padding));
        let answer = FaultAnswer::status(400).json(json!({"code": 400, "message": message}));
        cloud.simulator.inject(Fault::on("CreateDeployment").answer(answer));
        let error = cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap_err();
        assert!(!error.message().contains("xhu"), "{error}");
    }

    // A success that can't be understood.
    let odd = FaultAnswer::status(202).json(json!({"id": [SECRET], "version": TOKEN}));
    cloud.simulator.inject(Fault::on("CreateDeployment").answer(odd));
    let error = cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap_err();
    assert_clean(&shown(&error));

    // No answer at all.
    cloud.simulator.inject(Fault::on("CreateDeployment").drop_before());
    let error = cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap_err();
    assert_clean(&shown(&error));

    // All is well, and the service stored the value as plain text.
    let created = cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap();
    debug(&created);
    let mut plain = update();
    plain.remove(&["operation"]);
    plain.insert(&["operationContext", "environmentVariables", "PLAIN"], SECRET);
    debug(&cloud.client.patch_settings(&mut permit(), &cloud.stack, &plain).await.unwrap());
    debug(&cloud.client.deployment(&mut permit(), &cloud.stack, &created.id).await.unwrap());
    debug(&cloud.client.governor());
    debug(&cloud.client.governor().acquire(CallClass::Cancel, "team", 1).await);

    let config = ClientConfig {
        backend: format!("https://me:{TOKEN}@example.com"),
        token: secret(TOKEN),
        dialect: Dialect::Stacks,
        timeouts: Timeouts::default(),
        governor: Governor::new(Rate::default()),
    };
    assert_clean(&format!("{:?}", config.token));
    assert_clean(&shown(&Client::new(config).unwrap_err()));

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("CreateDeployment"), "calls are logged");
    assert_clean(&log);
}

#[tokio::test]
async fn secrets_do_arrive() {
    let cloud = Cloud::new().await;
    let mut request = update();
    request.insert(&["operationContext", "environmentVariables", "PASSWORD"], secret(SECRET));
    cloud.client.create_deployment(&mut permit(), &cloud.stack, &request).await.unwrap();
    let body = &cloud.requests("CreateDeployment")[0].body;
    assert_eq!(body["operationContext"]["environmentVariables"]["PASSWORD"], json!({"secret": SECRET}));
}
