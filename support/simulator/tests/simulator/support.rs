//! What the tests have in common.

use std::time::{Duration, Instant};

use pulumi_cloud_simulator::{Allowance, Builder, DeploymentView, OidcIssuer, Simulator};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::description::Description;

pub const STACK: &str = "acme/web/prod";

/// An ID token that says
/// `{"iss":"https://i","sub":"s","aud":"urn:pulumi:org:acme","exp":99999999999}` and that nobody has signed.
pub const UNSIGNED_TOKEN: &str = concat!(
    "eyJhbGciOiJub25lIn0.",
    "eyJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJzIiwiYXVkIjoidXJuOnB1bHVtaTpvcmc6YWNtZSIsImV4cCI6OTk5OTk5OTk5OTl9.",
);

/// The issuer that believes it.
pub fn unsigned_issuer() -> OidcIssuer {
    OidcIssuer::new("https://i").allow("s", Allowance::Organization { admin: false })
}

/// A simulator with the stack [`STACK`], and a client with its token.
pub struct Bench {
    pub simulator: Simulator,
    pub api: Api,
}

/// Fast enough for a run to take a fifth of a second.
pub async fn bench() -> Bench {
    bench_with(|builder| builder.speed(200.0)).await
}

pub async fn bench_with(adjust: impl FnOnce(Builder) -> Builder) -> Bench {
    let builder = Simulator::builder().token("t").organization("acme").stack(STACK);
    let simulator = adjust(builder).start().await.unwrap();
    let api = Api::new(simulator.url(), "t");
    Bench { simulator, api }
}

impl Bench {
    /// Creates a deployment of [`STACK`] and answers its id.
    pub async fn create(&self, body: Value) -> String {
        let reply = self.api.post(&stack_path("/deployments"), body).await.expect(202);
        reply["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the deployment of that version satisfies the condition.
    pub async fn wait(&self, version: usize, condition: impl Fn(&DeploymentView) -> bool) -> DeploymentView {
        self.wait_of(STACK, version, condition).await
    }

    pub async fn wait_of(
        &self,
        stack: &str,
        version: usize,
        condition: impl Fn(&DeploymentView) -> bool,
    ) -> DeploymentView {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let view = self.simulator.deployment(stack, version).unwrap();
            if condition(&view) {
                return view;
            }
            assert!(Instant::now() < deadline, "waited in vain: {view:#?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn wait_status(&self, version: usize, status: &str) -> DeploymentView {
        self.wait(version, |view| view.status == status).await
    }

    pub fn statuses(&self, stack: &str) -> Vec<String> {
        self.simulator.deployments(stack).into_iter().map(|view| view.status).collect()
    }
}

/// A path below [`STACK`].
pub fn stack_path(rest: &str) -> String {
    format!("/api/stacks/{STACK}{rest}")
}

/// A request body with a source to run.
pub fn with_source(operation: &str) -> Value {
    json!({
        "operation": operation,
        "sourceContext": {"git": {"repoUrl": "https://example.com/repo.git", "branch": "main"}},
    })
}

/// The same with environment variables.
pub fn with_variables(operation: &str, variables: &Value) -> Value {
    let mut body = with_source(operation);
    body["operationContext"] = json!({"environmentVariables": variables});
    body
}

/// A client with a token.
#[derive(Clone)]
pub struct Api {
    /// Whether answers must be as the service describes them.
    pub is_strict: bool,
    pub url: String,
    pub token: String,
    pub client: reqwest::Client,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Api {
    pub fn new(url: String, token: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { is_strict: true, url, token: token.to_owned(), client }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.client.request(method, url).header("Authorization", format!("token {}", self.token))
    }

    pub async fn try_send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Reply> {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        if let Some(description) = Description::get().filter(|_| self.is_strict) {
            let path = path.split('?').next().unwrap_or_default();
            let faults = description.faults_in(method.as_str(), path, status, &text);
            assert!(faults.is_empty(), "{faults:#?}");
        }
        Ok(Reply { status, headers, text })
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.try_send(method, path, body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// Checks that it is an error in the service's form, and answers its message.
    #[track_caller]
    pub fn expect_error(&self, status: u16) -> String {
        let body = self.expect(status);
        assert_eq!(body["code"], status, "{body}");
        let message = body["message"].as_str().unwrap();
        let reason = reqwest::StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
        assert!(message.starts_with(&format!("{reason}: ")), "{message}");
        message.to_owned()
    }
}
