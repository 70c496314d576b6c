//! Sends requests, counts them against the budget, and turns whatever comes back into a value or an [`Error`].

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};
use secrecy::zeroize::Zeroizing;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::answer::{self, Nature};
use super::routes::Route;
use super::{Class, Dialect, Error, ServerDate, Timeouts};
use crate::pulumi::document::Node;
use crate::pulumi::error::{Detail, one_line};
use crate::pulumi::governor::{Governor, Permit};
use crate::pulumi::meter::{End, Meter};
use crate::pulumi::redact::Redactor;
use crate::pulumi::secret::SecretValue;

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 8 << 20;
/// The largest error body that is read.
const LARGEST_ERROR: usize = 64 << 10;

/// A call, before it is sent.
pub(super) struct Call<'a> {
    pub operation: &'static str,
    pub method: Method,
    pub route: Route,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<&'a Node>,
    /// Whether the body, an object without objects in it, goes out as an HTML form would and not as JSON.
    pub form: bool,
    pub nature: Nature,
}

impl Call<'_> {
    pub(super) fn get(operation: &'static str, route: Route) -> Self {
        Self {
            operation,
            method: Method::GET,
            route,
            query: Vec::new(),
            body: None,
            form: false,
            nature: Nature::Repeatable,
        }
    }

    pub(super) fn post(operation: &'static str, route: Route) -> Self {
        Self { method: Method::POST, ..Self::get(operation, route) }
    }

    pub(super) fn delete(operation: &'static str, route: Route) -> Self {
        Self { method: Method::DELETE, ..Self::get(operation, route) }
    }
}

/// A call as it goes out; the retries share it.
struct Outgoing<'a> {
    call: &'a Call<'a>,
    url: Url,
    body: Option<Bytes>,
}

/// What a transport needs.
pub(super) struct TransportConfig {
    pub backend: String,
    /// None: the calls are made by nobody in particular.
    pub token: Option<SecretValue>,
    pub dialect: Dialect,
    pub timeouts: Timeouts,
    pub governor: Arc<Governor>,
}

pub(super) struct Transport {
    backend: Url,
    token: Option<SecretValue>,
    dialect: Dialect,
    /// For everything that may be repeated.
    pooled: reqwest::Client,
    /// For creations: a new connection each time, so that none fails merely because an idle one was closed.
    fresh: reqwest::Client,
    governor: Arc<Governor>,
    date: ServerDate,
}

impl Transport {
    pub(super) fn new(config: TransportConfig) -> Result<Self, Error> {
        let TransportConfig { backend, token, dialect, timeouts, governor } = config;
        let backend = checked(&backend)?;
        let headers = headers(token.as_ref())?;
        let builder = || {
            let Timeouts { connect, read: _, total } = timeouts;
            reqwest::Client::builder()
                .default_headers(headers.clone())
                .user_agent(concat!("pulumi-deployments-operator/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(connect)
                .timeout(total)
                .redirect(reqwest::redirect::Policy::none())
                // Only this module decides what is sent again.
                .retry(reqwest::retry::never())
        };
        let failed = |error: reqwest::Error| {
            let detail = without_answer(Class::NotSent, "Connect", "the HTTP client can't be set up");
            Error::caused_by(detail, error)
        };
        Ok(Self {
            pooled: builder().read_timeout(timeouts.read).build().map_err(failed)?,
            fresh: builder().pool_max_idle_per_host(0).http1_only().build().map_err(failed)?,
            backend,
            token,
            dialect,
            governor,
            date: ServerDate::default(),
        })
    }

    pub(super) fn backend(&self) -> &Url {
        &self.backend
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn governor(&self) -> &Arc<Governor> {
        &self.governor
    }

    pub(super) fn server_date(&self) -> Option<Timestamp> {
        self.date.get().map(|(date, _)| date)
    }

    pub(super) fn server_time(&self) -> Option<Timestamp> {
        self.date.get().and_then(|(date, came)| date.checked_add(came.elapsed()).ok())
    }

    pub(super) fn inherit_clock(&self, predecessor: &Self) {
        self.date.inherit(&predecessor.date);
    }

    /// Makes a call whose answer matters.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, permit: &mut Permit, call: Call<'_>) -> Result<T, Error> {
        self.attempts(permit, &call, |answer| self.decode(&call, answer)).await
    }

    /// Makes a call that may be answered with nothing at all (204).
    pub(super) async fn fetch_if_any<T: DeserializeOwned>(
        &self,
        permit: &mut Permit,
        call: Call<'_>,
    ) -> Result<Option<T>, Error> {
        let decode = |answer: &Answer| match answer.status {
            204 => Ok(None),
            _ => self.decode(&call, answer).map(Some),
        };
        self.attempts(permit, &call, decode).await
    }

    fn decode<T: DeserializeOwned>(&self, call: &Call<'_>, answer: &Answer) -> Result<T, Error> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            // Where it went wrong, not what stood there: that could be anything.
            let at = format!("at line {} column {}", error.line(), error.column());
            self.unusable(call, answer, &format!("the answer can't be understood {at}"))
        })
    }

    /// Makes a call of whose answer only the success matters.
    pub(super) async fn perform(&self, permit: &mut Permit, call: Call<'_>) -> Result<(), Error> {
        self.attempts(permit, &call, |_| Ok(())).await
    }

    async fn attempts<T>(
        &self,
        permit: &mut Permit,
        call: &Call<'_>,
        decode: impl Fn(&Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let outgoing = self.prepare(call)?;
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(2)
            .with_jitter_seed(rand::random())
            .with_jitter()
            .build();
        loop {
            let result = self.once(permit, &outgoing).await.and_then(|answer| decode(&answer));
            let Err(error) = result else { return result };
            if call.nature == Nature::Creation || !error.is_transient() || permit.remaining() == 0 {
                return Err(error);
            }
            let Some(delay) = delays.next() else { return Err(error) };
            tracing::debug!(%error, "trying again");
            tokio::time::sleep(delay).await;
        }
    }

    fn prepare<'a>(&self, call: &'a Call<'a>) -> Result<Outgoing<'a>, Error> {
        let mut url = call.route.url(&self.backend, self.dialect, call.operation)?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let body = match call.body {
            Some(document) => {
                let bytes = if call.form { document.encode_form() } else { document.encode() };
                let bytes =
                    bytes.map_err(|_| Error::local(Class::Invalid, call.operation, "the document can't be encoded"))?;
                // Not copied, and cleared when the last request that holds it is gone.
                Some(Bytes::from_owner(bytes))
            }
            None => None,
        };
        Ok(Outgoing { call, url, body })
    }

    /// Makes a call, once, whose answer is too large to be held: its body is for the caller to read, who is given `total`
    /// instead of the time that other calls have. The service may still be silent for no longer than in other answers.
    pub(super) async fn open(&self, permit: &mut Permit, call: &Call<'_>, total: Duration) -> Result<Response, Error> {
        let outgoing = self.prepare(call)?;
        self.exchange(permit, &outgoing, Some(total), async |response, sent_at| {
            self.accept(call, response, sent_at).await.map(|(_, response)| response)
        })
        .await
    }

    /// Sends it once.
    async fn once(&self, permit: &mut Permit, outgoing: &Outgoing<'_>) -> Result<Answer, Error> {
        self.exchange(permit, outgoing, None, async |response, sent_at| {
            self.receive(outgoing.call, response, sent_at).await
        })
        .await
    }

    /// Sends it, and has the answer read.
    async fn exchange<T>(
        &self,
        permit: &mut Permit,
        outgoing: &Outgoing<'_>,
        total: Option<Duration>,
        read: impl AsyncFnOnce(Response, Instant) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let call = outgoing.call;
        permit.spend().map_err(|error| error.during(call.operation))?;
        let client = match call.nature {
            Nature::Repeatable => &self.pooled,
            Nature::Creation => &self.fresh,
        };
        let mut request = client.request(call.method.clone(), outgoing.url.clone());
        if let Some(body) = &outgoing.body {
            let content_type = if call.form { "application/x-www-form-urlencoded" } else { "application/json" };
            request = request.header(CONTENT_TYPE, content_type).body(body.clone());
        }
        if let Some(total) = total {
            request = request.timeout(total);
        }
        let mut tally = Tally::new(self.governor.meter(), call.operation);
        let sent_at = tally.sent_at;
        let mut status = None;
        let result = match request.send().await {
            Ok(response) => {
                let code = response.status();
                status = Some(code.as_u16());
                let result = read(response, sent_at).await;
                // What an error's body says is not needed to the end, that of a success is.
                tally.end = if code.is_success() && result.is_err() { End::Broken } else { End::Status(code.as_u16()) };
                result
            }
            Err(error) => {
                tally.end = end_of_silence(&error);
                Err(self.silence(call, error))
            }
        };
        drop(tally);
        tracing::debug!(
            operation = call.operation,
            path = outgoing.url.path(),
            status,
            milliseconds = sent_at.elapsed().as_millis(),
            "called Pulumi Cloud"
        );
        result
    }

    /// Reads an answer; everything but a 2xx is an error.
    async fn receive(&self, call: &Call<'_>, response: Response, sent_at: Instant) -> Result<Answer, Error> {
        let (mut answer, mut response) = self.accept(call, response, sent_at).await?;
        match read(&mut response, LARGEST_ANSWER).await {
            Ok(body) => answer.body = body,
            Err(Unread::TooLarge) => {
                let message = format!("the answer is larger than {} MiB", LARGEST_ANSWER >> 20);
                return Err(self.unusable(call, &answer, &message));
            }
            Err(Unread::Broken(error)) => {
                let detail = self.unusable_detail(call, &answer, "the answer broke off");
                return Err(Error::caused_by(detail, error));
            }
        }
        Ok(answer)
    }

    /// Looks at an answer's status and headers, and tells the budget. A 2xx is returned with its body unread.
    async fn accept(
        &self,
        call: &Call<'_>,
        mut response: Response,
        sent_at: Instant,
    ) -> Result<(Answer, Response), Error> {
        let status = response.status();
        let headers = response.headers();
        let request_id = answer::request_id(headers);
        let retry_after = answer::retry_after(headers, Timestamp::now());
        if let Some(date) = answer::date(headers) {
            self.date.set(date);
        }
        match status.as_u16() {
            429 => self.governor.throttled(sent_at, retry_after),
            // Without a token of one's own it is what the call carries that was not accepted.
            401 if self.token.is_some() => self.governor.rejected(sent_at),
            200..=299 => self.governor.succeeded(sent_at),
            _ => {}
        }
        let answer = Answer { status: status.as_u16(), request_id, body: Zeroizing::default() };
        if status.is_success() {
            return Ok((answer, response));
        }
        let body = read(&mut response, LARGEST_ERROR).await.unwrap_or_default();
        let (message, service_answer) = if status.is_redirection() {
            ("it redirects, which is not followed: check the backend's URL".to_owned(), false)
        } else if let Some(refusal) = answer::refusal_of(&body).filter(|_| call.form) {
            (refusal, true)
        } else {
            answer::message_of(answer.status, &body)
        };
        Err(Error::new(Detail {
            class: answer::class_of(answer.status, call.nature),
            operation: call.operation,
            status: Some(answer.status),
            message: self.presentable(call, &message),
            request_id: answer.request_id,
            retry_after,
            service_answer,
        }))
    }

    /// A success whose body is of no use.
    fn unusable(&self, call: &Call<'_>, answer: &Answer, message: &str) -> Error {
        Error::new(self.unusable_detail(call, answer, message))
    }

    fn unusable_detail(&self, call: &Call<'_>, answer: &Answer, message: &str) -> Detail {
        Detail {
            class: answer::class_of_silence(call.nature),
            operation: call.operation,
            status: Some(answer.status),
            message: self.presentable(call, message),
            request_id: answer.request_id.clone(),
            retry_after: None,
            service_answer: false,
        }
    }

    /// No answer at all.
    fn silence(&self, call: &Call<'_>, error: reqwest::Error) -> Error {
        let unknown = answer::class_of_silence(call.nature);
        let (class, what) = match end_of_silence(&error) {
            End::Unreachable => (Class::NotSent, "no connection to Pulumi Cloud"),
            End::TimedOut => (unknown, "no answer in time"),
            End::Status(_) | End::Broken | End::Abandoned => {
                (unknown, "the connection broke before there was an answer")
            }
        };
        let message = self.presentable(call, &format!("{what}: {}", root_cause(&error)));
        Error::caused_by(without_answer(class, call.operation, &message), error)
    }

    /// A text that others wrote, as it may be shown: without this call's secrets, on one line, bounded.
    fn presentable(&self, call: &Call<'_>, text: &str) -> String {
        let secrets = call.body.map(Node::secrets).unwrap_or_default();
        // Redacted first: half a secret is not recognized.
        one_line(&Redactor::new(secrets.into_iter().chain(self.token.clone())).redact(text))
    }
}

/// Tells of a request when it is over, however that comes about.
struct Tally<'a> {
    meter: &'a dyn Meter,
    operation: &'static str,
    sent_at: Instant,
    end: End,
}

impl<'a> Tally<'a> {
    fn new(meter: &'a dyn Meter, operation: &'static str) -> Self {
        Self { meter, operation, sent_at: Instant::now(), end: End::Abandoned }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.meter.requested(self.operation, self.end, self.sent_at.elapsed());
    }
}

/// A connection that never came about is the one kind of silence that proves that nothing was sent.
fn end_of_silence(error: &reqwest::Error) -> End {
    if error.is_connect() || error.is_builder() {
        End::Unreachable
    } else if error.is_timeout() {
        End::TimedOut
    } else {
        End::Broken
    }
}

/// A 2xx.
struct Answer {
    status: u16,
    request_id: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

enum Unread {
    TooLarge,
    Broken(reqwest::Error),
}

async fn read(response: &mut Response, largest: usize) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let announced = response.content_length().unwrap_or_default();
    let announced = usize::try_from(announced).ok().filter(|size| *size <= largest);
    let mut body = Zeroizing::new(Vec::with_capacity(announced.ok_or(Unread::TooLarge)?));
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > largest {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn without_answer(class: Class, operation: &'static str, message: &str) -> Detail {
    Detail {
        class,
        operation,
        status: None,
        message: message.to_owned(),
        request_id: None,
        retry_after: None,
        service_answer: false,
    }
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn checked(backend: &str) -> Result<Url, Error> {
    let refuse = |why: &str| Error::local(Class::Invalid, "Connect", format!("the backend's URL {why}"));
    let url = Url::parse(backend).map_err(|_| refuse("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refuse("is not an http or https URL with a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds credentials"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("has a query or a fragment"));
    }
    Ok(url)
}

fn headers(token: Option<&SecretValue>) -> Result<HeaderMap, Error> {
    let accept = HeaderValue::from_static("application/vnd.pulumi+8");
    let Some(token) = token else { return Ok(HeaderMap::from_iter([(ACCEPT, accept)])) };
    let value = Zeroizing::new(format!("token {}", token.expose()).into_bytes());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).map_err(|_| {
        Error::local(Class::Invalid, "Connect", "the access token holds characters that a header can't carry")
    })?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value), (ACCEPT, accept)]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://api.pulumi.com", true)]
    #[case("http://localhost:8080/base", true)]
    #[case("ftp://api.pulumi.com", false)]
    #[case("https://me:hunter2@api.pulumi.com", false)]
    #[case("https://api.pulumi.com?x=1", false)]
    #[case("https://api.pulumi.com#x", false)]
    #[case("api.pulumi.com", false)]
    #[case("mailto:x@example.com", false)]
    fn backends(#[case] url: &str, #[case] good: bool) {
        match checked(url) {
            Ok(_) => assert!(good, "{url}"),
            Err(error) => {
                assert!(!good, "{error}");
                assert_eq!(error.class(), Class::Invalid);
                assert!(!format!("{error:?}").contains("hunter2"));
            }
        }
    }

    #[test]
    fn the_token_is_sensitive_and_must_fit_a_header() {
        let shown = format!("{:?}", headers(Some(&SecretValue::new("hunter2".into(), String::new()))).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        let error = headers(Some(&SecretValue::new("hunter2\n".into(), String::new()))).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
