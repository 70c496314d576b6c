//! The way of a request: noted down, through the faults, to its handler and back.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::errors::ApiError;
use crate::faults::{Action, FaultAnswer, FaultBody};
use crate::recording::Recorded;
use crate::routes::{Answer, Call, Route};
use crate::shared::Shared;
use crate::world::people::Access;

/// What goes back over the connection.
pub(crate) enum Reply {
    Answer(Answer),
    /// The answer's head and half of its body.
    Truncated(Answer),
    /// The connection is closed.
    Nothing,
}

pub(crate) async fn dispatch(
    shared: Arc<Shared>,
    route: Option<&'static Route>,
    parameters: Vec<(String, String)>,
    parts: Parts,
    body: Bytes,
) -> Reply {
    // A route that is not offered is none.
    let route = route.filter(|route| shared.dialect.offers(route.path));
    let mut recorded = record(&shared, route, &parameters, &parts, &body);
    shared.recorder.begin(&mut recorded);
    let number = recorded.number;
    let hit = shared.faults.hit(&recorded);

    let apply = || apply(&shared, route, parameters.clone(), &parts, body.clone());
    let reply = match hit {
        None => Reply::Answer(apply()),
        Some(hit) => match hit.action.clone() {
            Action::Nothing => {
                hit.count();
                Reply::Answer(apply())
            }
            Action::AnswerBefore(answer) => {
                hit.count();
                Reply::Answer(wrong(answer))
            }
            Action::AnswerAfter(answer) => {
                apply();
                hit.count();
                Reply::Answer(wrong(answer))
            }
            Action::DelayBefore(time) => {
                hit.count();
                tokio::time::sleep(time).await;
                Reply::Answer(apply())
            }
            Action::DelayAfter(time) => {
                let answer = apply();
                hit.count();
                tokio::time::sleep(time).await;
                Reply::Answer(answer)
            }
            Action::DropBefore => {
                hit.count();
                Reply::Nothing
            }
            Action::DropAfter => {
                apply();
                hit.count();
                Reply::Nothing
            }
            Action::TruncateBody => {
                let answer = apply();
                hit.count();
                // There is nothing to cut off from an empty body.
                if answer.body.is_empty() { Reply::Nothing } else { Reply::Truncated(answer) }
            }
            Action::Garbage => {
                apply();
                hit.count();
                Reply::Answer(garbage())
            }
            Action::Duplicate => {
                apply();
                hit.count();
                Reply::Answer(apply())
            }
            Action::HoldBefore => {
                hit.count();
                hit.released().await;
                Reply::Answer(apply())
            }
            Action::HoldAnswer => {
                let answer = apply();
                hit.count();
                hit.released().await;
                Reply::Answer(answer)
            }
        },
    };
    if let Reply::Answer(answer) | Reply::Truncated(answer) = &reply {
        shared.recorder.answered(number, answer.status.as_u16());
    }
    reply
}

fn record(
    shared: &Shared,
    route: Option<&'static Route>,
    parameters: &[(String, String)],
    parts: &Parts,
    body: &Bytes,
) -> Recorded {
    let parameter = |name: &str| {
        let mut parameters = parameters.iter();
        parameters.find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let organization = parameter("organization");
    let stack = match (&organization, parameter("project"), parameter("stack")) {
        (Some(organization), Some(project), Some(stack)) => Some(format!("{organization}/{project}/{stack}")),
        _ => None,
    };
    let headers = parts.headers.iter().filter(|(name, _)| *name != AUTHORIZATION);
    let body = serde_json::from_slice(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        if text.is_empty() { Value::Null } else { text.into() }
    });
    Recorded {
        number: 0,
        time: Timestamp::now(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        operation: route.map_or("", |route| route.name),
        organization,
        stack,
        user: access(shared, &parts.headers).map(|access| access.user.login.clone()),
        headers: headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
        status: None,
    }
}

/// What the request's token opens.
fn access(shared: &Shared, headers: &HeaderMap) -> Option<Access> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("token ")?;
    let now = Timestamp::now();
    shared.world_at(now).opened_by(token.trim(), now)
}

/// Has the request done.
fn apply(
    shared: &Arc<Shared>,
    route: Option<&'static Route>,
    parameters: Vec<(String, String)>,
    parts: &Parts,
    body: Bytes,
) -> Answer {
    let Some(route) = route else {
        return Answer::text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    let access = match access(shared, &parts.headers) {
        Some(access) => access,
        None if route.is_open => Access::new(""),
        None => return ApiError::unauthorized().into(),
    };
    let Ok(Query(query)) = Query::try_from_uri(&parts.uri) else {
        return ApiError::bad_request("Invalid query parameter").into();
    };
    let call = Call {
        shared: Arc::clone(shared),
        access,
        now: Timestamp::now(),
        parameters,
        query,
        headers: parts.headers.clone(),
        body,
    };
    (route.handler)(&call).unwrap_or_else(Answer::from)
}

fn wrong(answer: FaultAnswer) -> Answer {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut built = match answer.body {
        FaultBody::Usual => {
            let reason = status.canonical_reason().unwrap_or("Error");
            Answer::json(status, &json!({"code": status.as_u16(), "message": reason}))
        }
        FaultBody::Json(body) => Answer::json(status, &body),
        FaultBody::Text(body) => Answer::text(status, body),
    };
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            built.headers.push((name, value));
        }
    }
    built
}

fn garbage() -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body: Bytes::from_static(b"{\"id\": \"5f1c\", <html>\x00"),
    }
}
