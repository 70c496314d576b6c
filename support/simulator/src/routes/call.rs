//! What a handler gets and what it gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use jiff::Timestamp;
use serde_json::Value;

use crate::errors::ApiError;
use crate::names::StackName;
use crate::shared::{Shared, WorldGuard};
use crate::world::people::Access;
use crate::world::{StackKey, World};

pub(crate) type Outcome = Result<Answer, ApiError>;

/// An answer that can still be tampered with before it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))], body: body.into() }
    }

    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::typed(status, "application/json", body.to_string())
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(crate) fn binary(body: impl Into<Bytes>) -> Self {
        Self::typed(StatusCode::OK, "application/octet-stream", body)
    }

    pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self::typed(status, "text/plain; charset=utf-8", body.into())
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        Self::json(error.status, &error.body())
    }
}

/// A request of a known user, at a known time.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) access: Access,
    pub(crate) now: Timestamp,
    /// The variable parts of the path.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// The world at the time of the call.
    pub(crate) fn world(&self) -> WorldGuard<'_> {
        self.shared.world_at(self.now)
    }

    /// A variable part of the path.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        let mut parameters = self.parameters.iter();
        parameters.find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// A value of the query; empty ones count as not given, as in the service.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter();
        query.find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A number in the query.
    pub(crate) fn number(&self, name: &str) -> Result<Option<usize>, ApiError> {
        self.query(name).map(str::parse).transpose().map_err(|_| invalid_query(name))
    }

    /// A flag in the query, in any of the forms that Go reads.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.query(name) {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(_) => Err(invalid_query(name)),
        }
    }

    /// The part of a list that is asked for: its number, from 1, and its size.
    pub(crate) fn page(&self) -> Result<(usize, usize), ApiError> {
        let within = |name, default, most| match self.number(name)? {
            None => Ok(default),
            Some(number) if (1..=most).contains(&number) => Ok(number),
            Some(_) => Err(invalid_query(name)),
        };
        Ok((within("page", 1, usize::MAX)?, within("pageSize", 10, 100)?))
    }

    pub(crate) fn stack_name(&self) -> StackName {
        StackName {
            organization: self.parameter("organization").to_owned(),
            project: self.parameter("project").to_owned(),
            stack: self.parameter("stack").to_owned(),
        }
    }

    /// The stack of the path, if the caller may see it.
    pub(crate) fn stack(&self, world: &World) -> Result<StackKey, ApiError> {
        world.visible_stack(&self.access, &self.stack_name())
    }

    pub(crate) fn content_type(&self) -> &str {
        self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The fields of a body that is a form; a body that is none has no fields.
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        let text = String::from_utf8_lossy(&self.body);
        let uri = format!("/?{text}").parse::<Uri>().ok();
        let fields = uri.and_then(|uri| Query::<BTreeMap<String, String>>::try_from_uri(&uri).ok());
        fields.map(|Query(fields)| fields).unwrap_or_default()
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::bad_request(format!("invalid request body: {error}")))
    }
}

pub(crate) fn invalid_query(name: &str) -> ApiError {
    ApiError::bad_request(format!("Invalid query parameter: {name}"))
}
