//! The custom resources, as the real API server and the real kubectl see them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is not seen as a test")]

mod accepted;
mod installed;
mod refused;
mod refused_changes;
mod refused_secrets;
pub mod schema;
mod status;

use std::sync::LazyLock;

use axum::http;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Client, Error,
    api::{Patch, PatchParams, PostParams},
    core::{Request, Status},
};
use pulumi_deployments_operator::api::{crd, names};
use serde_json::{Value, json};

use crate::control_plane::{FIELD_MANAGER, shared};

const ORGANIZATION: &str = "Organization";
const SETTINGS: &str = "StackDeploymentSettings";
const DEPLOYMENT: &str = "Deployment";

/// What the API server does with a field that it does not know.
#[derive(Clone, Copy, Debug)]
enum Validation {
    /// It refuses. What `kubectl` asks for unless it is told otherwise.
    Strict,
    /// It drops it silently. What programs get that do not ask for more, and `kubectl --validate=ignore`.
    Ignore,
}

impl Validation {
    const BOTH: [Self; 2] = [Self::Strict, Self::Ignore];
}

fn crd_of(kind: &str) -> &'static CustomResourceDefinition {
    static CRDS: LazyLock<Vec<CustomResourceDefinition>> = LazyLock::new(|| crd::all().unwrap());
    CRDS.iter().find(|crd| crd.spec.names.kind == kind).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A resource with this spec, written as YAML.
fn resource(kind: &str, spec: &str) -> Value {
    json!({
        "apiVersion": format!("{}/v1alpha1", names::GROUP),
        "kind": kind,
        "metadata": {"name": "subject"},
        "spec": yaml(spec),
    })
}

/// A resource of each kind that has settings, with these, written as YAML.
fn with_settings(settings: &str) -> [Value; 2] {
    let stack = "stack: {organizationRef: {name: acme}, project: web, name: prod}";
    let specs = [(SETTINGS, stack.to_owned()), (DEPLOYMENT, format!("{stack}\noperation: update"))];
    specs.map(|(kind, spec)| {
        let mut resource = resource(kind, &spec);
        resource["spec"]["settings"] = yaml(settings);
        resource
    })
}

/// A namespace of the API server, and what clients send to it.
struct Server {
    client: Client,
    namespace: String,
}

impl Server {
    /// A namespace of this test's own.
    async fn new() -> Self {
        let control_plane = shared().await;
        Self { client: control_plane.client(), namespace: control_plane.namespace("crds").await }
    }

    /// A namespace that is there anyway, for tests that keep nothing in it.
    async fn without_namespace() -> Self {
        Self { client: shared().await.client(), namespace: "default".to_owned() }
    }

    /// `kubectl create`, and `kubectl apply` of what does not exist yet.
    async fn create(&self, resource: &Value, validation: Validation) -> Result<Value, Status> {
        let request = self.requests(resource).create(&post(false), resource.to_string().into_bytes());
        self.send(request.unwrap(), validation).await
    }

    /// The same, but nothing is kept.
    async fn try_create(&self, resource: &Value, validation: Validation) -> Result<Value, Status> {
        let request = self.requests(resource).create(&post(true), resource.to_string().into_bytes());
        self.send(request.unwrap(), validation).await
    }

    /// `kubectl replace`.
    async fn replace(&self, resource: &Value, validation: Validation) -> Result<Value, Status> {
        let request = self.requests(resource).replace(name(resource), &post(false), resource.to_string().into_bytes());
        self.send(request.unwrap(), validation).await
    }

    /// `kubectl apply` of what exists.
    async fn merge(&self, resource: &Value, validation: Validation) -> Result<Value, Status> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = self.requests(resource).patch(name(resource), &params, &Patch::Merge(resource));
        self.send(request.unwrap(), validation).await
    }

    /// `kubectl apply --server-side --force-conflicts --field-manager=…`.
    async fn apply(&self, manager: &str, resource: &Value, validation: Validation) -> Result<Value, Status> {
        let params = PatchParams::apply(manager).force();
        let request = self.requests(resource).patch(name(resource), &params, &Patch::Apply(resource));
        self.send(request.unwrap(), validation).await
    }

    fn requests(&self, resource: &Value) -> Request {
        let plural = &crd_of(resource["kind"].as_str().unwrap()).spec.names.plural;
        Request::new(format!("/apis/{}/v1alpha1/namespaces/{}/{plural}", names::GROUP, self.namespace))
    }

    async fn send(&self, mut request: http::Request<Vec<u8>>, validation: Validation) -> Result<Value, Status> {
        *request.uri_mut() = format!("{}&fieldValidation={validation:?}", request.uri()).parse().unwrap();
        match self.client.request(request).await {
            Ok(answer) => Ok(answer),
            Err(Error::Api(refusal)) => Err(*refusal),
            Err(error) => panic!("{error}"),
        }
    }
}

fn post(dry_run: bool) -> PostParams {
    PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) }
}

fn name(resource: &Value) -> &str {
    resource["metadata"]["name"].as_str().unwrap()
}

/// Asserts that the API server called a resource invalid, in words that contain `expected`.
#[track_caller]
fn assert_invalid(answer: Result<Value, Status>, expected: &str) -> Status {
    let refusal = match answer {
        Ok(accepted) => panic!("this was accepted, and not refused with {expected:?}: {accepted:#}"),
        Err(refusal) => refusal,
    };
    assert_eq!((refusal.code, refusal.reason.as_str()), (422, "Invalid"), "{refusal:#?}");
    assert!(refusal.message.contains(expected), "{expected:?} is not in: {}", refusal.message);
    refusal
}
