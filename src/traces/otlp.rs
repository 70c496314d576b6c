//! IO: a trace → OTLP, by OpenTelemetry's own exporter.

use std::{
    env,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use opentelemetry::{
    InstrumentationScope, Key, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{self, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::EnvResourceDetector,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};

use super::{
    Settings,
    post::{Post, Refusal},
};
use crate::{
    api::Time,
    controllers::deployment::trace::{Attribute, Ended, Event, Span, Trace},
};

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Sends traces.
pub struct Exporter {
    otlp: SpanExporter,
    post: Arc<Post>,
    scope: InstrumentationScope,
}

impl Exporter {
    /// The headers are read from the environment by the exporter itself.
    pub fn new(settings: &Settings) -> Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(settings.timeout)
            // The headers are for this endpoint and no other.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("the HTTP client for traces can't be set up")?;
        let post = Arc::new(Post::new(client));
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_shared_http_client(Arc::clone(&post) as Arc<dyn HttpClient>)
            .with_endpoint(settings.endpoint.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(settings.timeout)
            // What is tried again is up to the worker, which stops when it is told to.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .context("the exporter for traces can't be set up")?;
        exporter.set_resource(&resource(settings));
        Ok(Self { otlp: exporter, post, scope: InstrumentationScope::builder(NAME).with_version(VERSION).build() })
    }

    /// Sends one trace.
    pub async fn export(&self, trace: &Trace) -> Result<(), Refusal> {
        let sent = self.otlp.export(trace.spans.iter().map(|span| self.data(trace, span)).collect()).await;
        let refusal = self.post.take_refusal();
        sent.map_err(|error| refusal.unwrap_or_else(|| Refusal { why: error.to_string(), is_final: true }))
    }

    fn data(&self, trace: &Trace, span: &Span) -> SpanData {
        let id = TraceId::from_bytes(trace.id.bytes());
        let context =
            SpanContext::new(id, SpanId::from_bytes(span.id), TraceFlags::SAMPLED, false, TraceState::default());
        let mut events = SpanEvents::default();
        events.events = span.events.iter().map(event).collect();
        SpanData {
            span_context: context,
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: false,
            span_kind: if span.parent.is_none() { SpanKind::Server } else { SpanKind::Internal },
            name: span.name.clone().into(),
            start_time: time(span.start),
            end_time: time(span.end),
            attributes: span.attributes.iter().map(|(name, value)| KeyValue::new(*name, self::value(value))).collect(),
            dropped_attributes_count: 0,
            events,
            links: SpanLinks::default(),
            status: match &span.ended {
                Ended::Well => Status::Ok,
                Ended::Badly(how) => Status::error(how.clone()),
                Ended::Neither => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// What a person has set counts for more than what is known here.
fn resource(settings: &Settings) -> Resource {
    let pod = env::var("POD_NAME").ok().map(|pod| KeyValue::new("k8s.pod.name", pod));
    let known = [KeyValue::new("service.name", NAME), KeyValue::new("service.version", VERSION)];
    let given = settings.service.clone().map(|name| KeyValue::new("service.name", name));
    Resource::builder_empty()
        .with_attributes(known.into_iter().chain(pod))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(given)
        .build()
}

fn event(event: &Event) -> trace::Event {
    let attributes =
        event.attributes.iter().map(|(name, value)| KeyValue::new(Key::from(name.clone()), self::value(value)));
    trace::Event::new(event.name.clone(), time(event.at), attributes.collect(), 0)
}

fn value(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::Text(text) => text.clone().into(),
        Attribute::Number(number) => (*number).into(),
        Attribute::Truth(truth) => (*truth).into(),
    }
}

fn time(time: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.seconds().try_into().unwrap_or(0))
}
