//! A run is one trace, and one id leads through everything that is logged of it. The collector decodes what really arrives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, http::HeaderMap, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::{Span, span::SpanKind, status::StatusCode as Ended},
};
use prost::Message;
use pulumi_deployments_operator::{
    api::{Deployment, DeploymentStatus, deployment::Phase},
    controllers::{deployment::trace::TraceId, digest::hex},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command};

use crate::{
    eventually::{SOON, eventually},
    world::{Process, World},
};

/// What a collector has been sent, as long as it takes it.
#[derive(Clone, Default)]
struct Received {
    bodies: Vec<Bytes>,
    headers: Vec<HeaderMap>,
    refused: usize,
}

/// A collector of the test's own.
struct Collector {
    url: String,
    received: Arc<Mutex<Received>>,
    answer: Arc<Mutex<StatusCode>>,
}

impl Collector {
    async fn start(answer: StatusCode) -> Self {
        let (received, answer) = (Arc::new(Mutex::new(Received::default())), Arc::new(Mutex::new(answer)));
        let take = {
            let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
            move |headers: HeaderMap, body: Bytes| async move {
                let (mut received, answer) = (received.lock().unwrap(), *answer.lock().unwrap());
                if answer.is_success() {
                    received.headers.push(headers);
                    received.bodies.push(body);
                } else {
                    received.refused += 1;
                }
                (answer, ExportTraceServiceResponse::default().encode_to_vec())
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, received, answer }
    }

    fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }

    /// All spans, by their traces.
    fn traces(&self) -> BTreeMap<String, Vec<Span>> {
        let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for body in self.received().bodies {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            for resource in request.resource_spans {
                let service = text(&resource.resource.unwrap().attributes, "service.name");
                assert_eq!(service.as_deref(), Some("pulumi-deployments-operator"));
                for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    traces.entry(hex(&span.trace_id)).or_default().push(span);
                }
            }
        }
        traces
    }

    /// Waits until so many traces have a root, and returns them. None may have two.
    async fn roots(&self, wanted: usize) -> BTreeMap<String, Vec<Span>> {
        eventually(SOON, "the roots of traces have arrived", async || {
            let traces = self.traces();
            let roots: Vec<_> = traces.values().flatten().filter(|span| span.parent_span_id.is_empty()).collect();
            if roots.len() == wanted && traces.len() == wanted { Ok(traces) } else { Err(traces) }
        })
        .await
    }
}

fn text(attributes: &[KeyValue], wanted: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == wanted)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

/// The one root of a trace, after a look at how the others hang together.
fn root(spans: &[Span]) -> &Span {
    let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{spans:#?}");
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "{spans:#?}");
    for span in spans.iter().filter(|span| !span.parent_span_id.is_empty()) {
        let parent = spans.iter().find(|parent| parent.span_id == span.parent_span_id).unwrap();
        let is_within = parent.start_time_unix_nano <= span.start_time_unix_nano
            && span.start_time_unix_nano <= span.end_time_unix_nano
            && span.end_time_unix_nano <= parent.end_time_unix_nano;
        assert!(is_within, "{span:#?} in {parent:#?}");
    }
    roots[0]
}

/// The names of the steps, as the trace has them.
fn steps(spans: &[Span]) -> Vec<String> {
    spans.iter().filter_map(|span| text(&span.attributes, "cicd.pipeline.task.name")).collect()
}

/// The names of the steps that began, as status has them.
fn begun(status: &DeploymentStatus) -> Vec<String> {
    let steps = status.run.iter().flat_map(|run| &run.jobs).flat_map(|job| &job.steps);
    steps.filter(|step| step.started_at.is_some()).map(|step| step.name.clone()).collect()
}

async fn world(prefix: &str) -> World {
    let world = World::without_operator(prefix).await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    world
}

fn start(world: &World, log: &str, endpoint: &str) -> Process {
    world.start_process_with(log, |command: &mut Command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    })
}

const CANARY: &str = "canary-value-81c0e2";
const HEADER: &str = "canary-header-4471aa";

#[tokio::test]
async fn one_run_is_one_trace_without_secrets() {
    let world = world("trace").await;
    let collector = Collector::start(StatusCode::OK).await;
    let operator = world.start_process_with("1", |command| {
        let headers = format!("authorization=Bearer%20{HEADER},x-team=platform");
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).env("OTEL_EXPORTER_OTLP_HEADERS", headers);
    });
    world.put_secret("s", &[("k", CANARY)]).await;
    let password = json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    world
        .put_deployment(
            "web",
            json!({"settings": {"operationContext": {
            "environmentVariables": password, "preRunCommands": ["printenv PASSWORD && exit 1"]}}}),
        )
        .await;
    let status = world.ended("web", 1).await;
    assert_eq!(status.phase, Some(Phase::Failed));

    let traces = collector.roots(1).await;
    let (id, spans) = traces.first_key_value().unwrap();
    let (root, run) = (root(spans), status.run.as_ref().unwrap());
    let created = world.api::<Deployment>().get("web").await.unwrap().metadata.creation_timestamp.unwrap();
    assert_eq!(
        i128::from(root.start_time_unix_nano),
        created.0.as_nanosecond(),
        "it begins with the change of the spec"
    );
    assert_eq!((root.name.as_str(), root.kind()), (&*format!("update {}", world.stack("web/prod")), SpanKind::Server));
    for (name, value) in [
        ("k8s.namespace.name", world.namespace.as_str()),
        ("k8s.pulumideployment.name", "web"),
        ("cicd.pipeline.run.id", &run.id),
        ("cicd.pipeline.result", "failure"),
    ] {
        assert_eq!(text(&root.attributes, name).as_deref(), Some(value), "{name}");
    }
    let ended = root.status.as_ref().unwrap();
    let step = run.failure.as_ref().unwrap().step.as_ref().unwrap();
    assert_eq!((ended.code(), &ended.message), (Ended::Error, &format!("failed at step `{step}`")));
    assert_eq!((steps(spans), steps(spans).is_empty()), (begun(&status), false));

    world.told_of("web", &format!("trace {id}")).await;
    let log = operator.log();
    let ended = log.lines().find(|line| line.contains("run ended")).unwrap();
    assert!(ended.contains(&format!("trace_id={id}")), "{ended}");
    let received = collector.received();
    assert_eq!(received.headers[0]["authorization"], format!("Bearer {HEADER}"));
    assert_eq!(received.headers[0]["x-team"], "platform");
    assert!(log.contains("traces are sent") && !log.contains(HEADER), "{log}");
    for body in &received.bodies {
        let body = String::from_utf8_lossy(body);
        for secret in [CANARY, HEADER, &world.token] {
            assert!(!body.contains(secret), "{secret} is in {body}");
        }
    }
}

#[tokio::test]
async fn a_run_that_outlives_its_operator_is_one_trace() {
    let world = world("trace-kill").await;
    let (collector, stack) = (Collector::start(StatusCode::OK).await, world.stack("web/prod"));
    let operator = start(&world, "1", &collector.url);
    world.simulator.hold(&stack).unwrap();
    world.put_deployment("web", json!({})).await;
    world.phase("web", Phase::Running).await;
    let log = operator.log();
    operator.kill().await;
    let operator = start(&world, "2", &collector.url);
    operator.address().await;
    world.simulator.release(&stack).unwrap();
    let status = world.ended("web", 1).await;

    let traces = collector.roots(1).await;
    let (id, spans) = traces.first_key_value().unwrap();
    let created = world.api::<Deployment>().get("web").await.unwrap().metadata.creation_timestamp.unwrap();
    assert_eq!(i128::from(root(spans).start_time_unix_nano), created.0.as_nanosecond());
    assert_eq!(steps(spans), begun(&status));
    for (log, wanted) in [(log, "triggered"), (operator.log(), "run ended")] {
        let line = log.lines().find(|line| line.contains(wanted)).unwrap();
        assert!(line.contains(&format!("trace_id={id}")), "{line}");
    }
    // Nothing is sent again when there is nothing new.
    assert!(operator.terminate(SOON).await);
    let operator = start(&world, "3", &collector.url);
    operator.address().await;
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    world.ended("web", 2).await;
    assert_eq!(collector.roots(2).await[id].len(), spans.len());
}

/// It answers with an error, or is not there at all.
#[tokio::test]
async fn a_collector_that_fails_stops_nothing_and_is_told_once() {
    let world = world("trace-down").await;
    let collector = Collector::start(StatusCode::INTERNAL_SERVER_ERROR).await;
    let operator = start(&world, "1", &collector.url);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for request in 1..=3 {
        assert_eq!(world.ended_again("web", request).await, Some(Phase::Succeeded));
    }
    let is_refused = async || match collector.received().refused {
        0..=2 => Err(operator.log()),
        _ => Ok(()),
    };
    eventually(SOON, "it was tried again", is_refused).await;
    let warnings =
        |operator: &Process| operator.log().lines().filter(|line| line.contains("traces can't be sent")).count();
    assert_eq!((warnings(&operator), operator.log().contains("traces arrive again")), (1, false));
    // What is kept arrives when it works again.
    *collector.answer.lock().unwrap() = StatusCode::OK;
    collector.roots(3).await;
    assert!(operator.log().contains("traces arrive again") && warnings(&operator) == 1, "{}", operator.log());
    operator.kill().await;

    let operator = start(&world, "2", &format!("http://{gone}"));
    assert_eq!(world.ended_again("web", 4).await, Some(Phase::Succeeded));
    eventually(SOON, "it is told", async || if warnings(&operator) == 1 { Ok(()) } else { Err(operator.log()) }).await;
    // What can't be sent holds up no stop.
    assert!(operator.terminate(Duration::from_secs(20)).await);
}

impl World {
    /// Asks for the same once more, or for the first time, and waits for the end.
    async fn ended_again(&self, name: &str, request: u64) -> Option<Phase> {
        self.put_deployment(name, json!({"rerun": request.to_string()})).await;
        self.ended(name, request).await.phase
    }
}

#[tokio::test]
async fn a_wrong_value_is_told_at_the_start() {
    let world = World::without_operator("trace-wrong").await;
    let mut operator = start(&world, "1", "collector:4318");
    assert!(!operator.ended(SOON).await);
    let told = "OTEL_EXPORTER_OTLP_ENDPOINT begins with neither http:// nor https://; write where the collector takes \
                OTLP over HTTP, such as http://collector.observability:4318";
    assert!(operator.log().contains(told), "{}", operator.log());
}

#[tokio::test]
async fn everything_that_is_logged_of_a_run_has_its_id() {
    let world = world("trace-log").await;
    world.simulator.add_stack(&world.stack("other/prod")).unwrap();
    let operator = world.start_process_with("1", |command| {
        command.args(["--log-format", "json"]);
    });
    world.organization_is("Connected").await;
    let outputs = json!({"secret": {"name": "web-outputs"}});
    world.put_deployment("web", json!({"settle": "1s", "outputs": outputs})).await;
    let other = json!({"organizationRef": {"name": "acme"}, "project": "other", "name": "prod"});
    world.put_deployment("other", json!({"stack": other})).await;
    world.ended("web", 1).await;
    world.ended("other", 1).await;
    // The next request waits for the end of the one before, and has an id of its own.
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2", "supersede": "Wait"}})).await;
    world.deployment("web", "runs again", |status| status.phase == Some(Phase::Running)).await;
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "3"}})).await;
    world.deployment("web", "has a request that waits", |status| status.pending.is_some()).await;
    world.simulator.release(&world.stack("web/prod")).unwrap();
    let status = world.ended("web", 3).await;
    let uid = world.api::<Deployment>().get("web").await.unwrap().metadata.uid.unwrap();
    let last = TraceId::of_run(&uid, &status.run.unwrap()).to_string();

    let wanted = eventually(SOON, "the last outputs are written", async || {
        let (web, other) = (lines(&operator.log(), "web"), lines(&operator.log(), "other"));
        let is_written =
            web.get(&last).is_some_and(|lines| lines.iter().any(|line| line["message"] == "wrote outputs"));
        if is_written { Ok((web, other)) } else { Err(web) }
    });
    let (web, other) = wanted.await;
    assert_eq!((web.len(), other.len()), (3, 1), "one id for each request: {web:#?} {other:#?}");
    assert!(other.keys().all(|id| !web.contains_key(id)));
    for (id, lines) in web.iter().chain(&other) {
        let said: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        let one = |wanted: &str| {
            let found: Vec<_> = lines.iter().filter(|line| line["message"] == wanted).collect();
            assert_eq!(found.len(), 1, "{wanted} in {id}: {said:?}");
            found[0]
        };
        one("journaled a create");
        assert_eq!(one("triggered")["id"], one("run ended")["id"]);
        assert!(web.contains_key(id) == said.contains(&"wrote outputs"), "{said:?}");
    }
    let waited = &web[&last];
    assert!(waited.iter().any(|line| line["message"] == "asked for, and has to wait"), "{waited:#?}");
    let stood: Vec<_> = web.values().flatten().filter(|line| line["message"] == "stands").collect();
    assert!(stood.iter().any(|line| line["reason"] == "Settling"), "{stood:#?}");
}

/// The lines about a Deployment that nobody has to ask for, by their id. Each of them has one.
fn lines(log: &str, name: &str) -> BTreeMap<String, Vec<Value>> {
    let mut lines: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let span = &line["span"];
        if span["kind"] == "Deployment" && span["resource"] == name {
            let id = span["trace_id"].as_str().unwrap_or_else(|| panic!("no id: {line}")).to_owned();
            lines.entry(id).or_default().push(line);
        }
    }
    lines
}
