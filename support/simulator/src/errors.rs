//! The error bodies that the service answers, and the errors of the library.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A refusal as it goes over the wire: `{"code", "message", "errors"?}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// Entries of the optional `errors` list.
    errors: Vec<Value>,
    /// The code by which OAuth calls it.
    oauth: Option<&'static str>,
}

impl ApiError {
    /// The service writes `<reason phrase>: <detail>` for every status.
    fn new(status: StatusCode, detail: &str) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        Self { status, message: format!("{reason}: {detail}"), errors: Vec::new(), oauth: None }
    }

    pub(crate) fn bad_request(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail.as_ref())
    }

    /// A refused property of a request body, named in the `errors` list as well.
    pub(crate) fn invalid(resource: &str, attribute: &str, detail: &str) -> Self {
        let mut error = Self::bad_request(detail);
        error.errors.push(json!({
            "resource": resource,
            "attribute": attribute,
            "errorType": "invalid",
            "customMessage": detail,
        }));
        error
    }

    /// A refused exchange of tokens, with OAuth's code for the reason as well.
    pub(crate) fn oauth(code: &'static str, detail: &str) -> Self {
        Self { oauth: Some(code), ..Self::bad_request(detail) }
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "No credentials provided or are invalid.")
    }

    pub(crate) fn payment_required(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, detail.as_ref())
    }

    pub(crate) fn forbidden(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail.as_ref())
    }

    pub(crate) fn not_found(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail.as_ref())
    }

    pub(crate) fn conflict(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::CONFLICT, detail.as_ref())
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({"code": self.status.as_u16(), "message": self.message});
        if !self.errors.is_empty() {
            body["errors"] = Value::Array(self.errors.clone());
        }
        if let Some(code) = self.oauth {
            body["error"] = code.into();
            let detail = self.message.split_once(": ").map_or("", |(_, detail)| detail);
            body["error_description"] = detail.into();
        }
        body
    }
}

/// What a call of the library can fail with.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The organization was never added.
    #[error("organization {0:?} is not known: add it first")]
    UnknownOrganization(String),
    /// The stack does not exist (any more).
    #[error("stack {0:?} is not known: add it first")]
    UnknownStack(String),
    /// The organization has no such agent pool.
    #[error("the organization has no agent pool {0:?}")]
    UnknownAgentPool(String),
    /// The stack has no such schedule (any more).
    #[error("the stack has no schedule {0:?}")]
    UnknownSchedule(String),
    /// The name is not of the form `organization/project/stack`.
    #[error("{0:?} is not a stack's name: write ORGANIZATION/PROJECT/STACK")]
    BadStackName(String),
    /// The service would refuse the same request over HTTP.
    #[error("refused with {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `message` of the error body.
        message: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address asked for.
        address: String,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The server's thread could not be started or died.
    #[error("the server could not be started: {0}")]
    Server(String),
}

impl From<ApiError> for SimulatorError {
    fn from(error: ApiError) -> Self {
        Self::Refused { status: error.status.as_u16(), message: error.message }
    }
}
