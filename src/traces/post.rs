//! IO: one POST to the collector. The exporter keeps no causes, so they are kept here, for people.

use std::{
    error::Error,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use reqwest::StatusCode;

/// An answer that is longer is no answer of a collector.
const LONGEST: usize = 64 * 1024;

/// Why the collector did not take something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In words, without addresses, headers or bodies.
    pub why: String,
    /// Whether it would say the same again.
    pub is_final: bool,
}

impl Refusal {
    fn passing(why: String) -> Self {
        Self { why, is_final: false }
    }

    fn answered(status: StatusCode) -> Self {
        let may_pass =
            !status.is_client_error() || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        Self { why: format!("the collector answers {status}"), is_final: !may_pass }
    }
}

/// Posts, and remembers why that went wrong last.
#[derive(Debug)]
pub struct Post {
    client: reqwest::Client,
    refusal: Mutex<Option<Refusal>>,
}

impl Post {
    pub fn new(client: reqwest::Client) -> Self {
        Self { client, refusal: Mutex::default() }
    }

    /// Why the last one went wrong, if it did.
    pub fn take_refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let lost = |error: reqwest::Error| Refusal::passing(causes(&error.without_url()));
        let mut answer = self.client.execute(request.try_into().map_err(lost)?).await.map_err(lost)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Refusal::answered(status));
        }
        let mut body = BytesMut::new();
        while let Some(part) = answer.chunk().await.map_err(lost)? {
            if body.len() + part.len() > LONGEST {
                return Err(Refusal::passing("the answer is too long for a collector's".to_owned()));
            }
            body.extend_from_slice(&part);
        }
        Ok(Response::new(body.freeze()))
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request).await;
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = answer.as_ref().err().cloned();
        answer.map_err(|refusal| refusal.why.into())
    }
}

/// An error with everything that led to it.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(400, true)]
    #[case(401, true)]
    #[case(404, true)]
    #[case(413, true)]
    #[case(408, false)]
    #[case(429, false)]
    #[case(500, false)]
    #[case(503, false)]
    #[case(307, false)]
    fn what_is_not_tried_again(#[case] status: u16, #[case] is_final: bool) {
        assert_eq!(Refusal::answered(StatusCode::from_u16(status).unwrap()).is_final, is_final);
    }

    #[tokio::test]
    async fn the_cause_is_told_and_no_address() {
        let post = Post::new(reqwest::Client::builder().no_proxy().build().unwrap());
        let request = Request::post("http://127.0.0.1:1/?key=canary").body(Bytes::new()).unwrap();
        assert!(post.send_bytes(request).await.is_err());
        let refusal = post.take_refusal().unwrap();
        assert!(refusal.why.contains("refused") && !refusal.why.contains("canary"), "{}", refusal.why);
        assert!(!refusal.is_final);
        assert_eq!(post.take_refusal(), None);
    }
}
