//! What can go wrong with a call, by what it means for the caller.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a failed call means. Exactly one table of the operator turns it into a condition and a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// 401: the token is not accepted. Nothing will work until it is replaced.
    Unauthorized,
    /// 403: the token is accepted and lacks this right.
    Forbidden,
    /// 404. It means "gone" only when [`Error::is_service_answer`] holds.
    NotFound,
    /// Any other 4xx, or a request that can't be expressed: trying again changes nothing.
    Invalid,
    /// 429, or held back here because of one. See [`Error::retry_after`].
    Throttled,
    /// No usable answer to a read or to a write that may be repeated: 5xx, time-out, reset, undecodable.
    Unavailable,
    /// It certainly never left: DNS, connect, TLS, or the call's budget was spent.
    NotSent,
    /// The backend's [dialect](super::Dialect) of the API lacks it. Nothing was sent.
    Unsupported,
    /// A creation whose outcome is unknown. It must not be repeated before someone has looked.
    Ambiguous,
}

/// A call that failed.
///
/// `Display` is one sentence: what was tried, what came back, the request's id. Neither it nor `Debug` nor the source
/// ever holds a header, a request body, or a response body that is not the service's own error message.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    detail: Arc<Detail>,
    #[source]
    source: Option<Arc<reqwest::Error>>,
}

/// Everything about an error but its source.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    pub class: Class,
    pub operation: &'static str,
    pub status: Option<u16>,
    pub message: String,
    pub request_id: Option<String>,
    pub retry_after: Option<Duration>,
    pub service_answer: bool,
}

impl Error {
    /// What it means for the caller.
    #[must_use]
    pub fn class(&self) -> Class {
        self.detail.class
    }

    /// The HTTP status, when there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.detail.status
    }

    /// Which call it was: `CreateDeployment`, `GetSettings`, …
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.detail.operation
    }

    /// What the service said, or what happened instead of an answer: one line without known secrets, of at most 512
    /// characters.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.detail.message
    }

    /// The service's own name for the request (`X-Pulumi-Request-ID`), which its support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.detail.request_id.as_deref()
    }

    /// How long the service wants to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.detail.retry_after
    }

    /// True when the answer's body was an error in the service's own JSON shape, with the same code as the status.
    ///
    /// A proxy, or a route that the service does not have, answers 404 in plain text: that says nothing about the
    /// object that was asked for.
    #[must_use]
    pub fn is_service_answer(&self) -> bool {
        self.detail.service_answer
    }

    /// The sentence of `Display` without the request's id, so that the same trouble reads the same each time: for
    /// what is compared before it is written.
    #[must_use]
    pub fn summary(&self) -> String {
        let anonymous = Detail { request_id: None, ..Detail::clone(&self.detail) };
        anonymous.to_string()
    }

    /// True when the service itself says that what was asked for is not there.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.class() == Class::NotFound && self.is_service_answer()
    }

    /// True when another attempt may help: nothing came back, or nothing usable.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.class(), Class::Unavailable | Class::NotSent)
    }

    pub(super) fn new(detail: Detail) -> Self {
        Self { detail: Arc::new(detail), source: None }
    }

    pub(super) fn caused_by(detail: Detail, source: reqwest::Error) -> Self {
        Self { detail: Arc::new(detail), source: Some(Arc::new(source)) }
    }

    /// An error without an answer behind it.
    pub(super) fn local(class: Class, operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(Detail {
            class,
            operation,
            status: None,
            message: one_line(&message.into()),
            request_id: None,
            retry_after: None,
            service_answer: false,
        })
    }

    /// Something that a dialect of the API lacks.
    pub(super) fn lacking(operation: &'static str, what: &str) -> Self {
        Self::local(Class::Unsupported, operation, format!("this backend's preview API lacks {what}"))
    }

    /// The same error under the name of the call that it happened to.
    pub(super) fn during(mut self, operation: &'static str) -> Self {
        Arc::make_mut(&mut self.detail).operation = operation;
        self
    }

    /// The same error with a delay.
    pub(super) fn not_before(mut self, retry_after: Duration) -> Self {
        Arc::make_mut(&mut self.detail).retry_after = Some(retry_after);
        self
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.operation)?;
        match self.status {
            Some(status) => write!(out, "Pulumi Cloud answered {status}: {}", self.message)?,
            None => out.write_str(&self.message)?,
        }
        if self.class == Class::Ambiguous {
            out.write_str(" (it is unknown whether it was created)")?;
        }
        if let Some(id) = &self.request_id {
            write!(out, " (request {id})")?;
        }
        Ok(())
    }
}

/// How much of a message is kept, in characters.
const LONGEST_MESSAGE: usize = 512;

/// One line of at most 512 characters: control characters become spaces, so that a message can't forge a log line.
pub(super) fn one_line(text: &str) -> String {
    let mut line: String = text
        .trim_matches(is_blank)
        .chars()
        .take(LONGEST_MESSAGE + 1)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if let Some((end, _)) = line.char_indices().nth(LONGEST_MESSAGE) {
        let last = line[..end].char_indices().next_back().map_or(0, |(at, _)| at);
        line.truncate(last);
        line.push('…');
    }
    line
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn detail() -> Detail {
        Detail {
            class: Class::NotFound,
            operation: "GetSettings",
            status: Some(404),
            message: "Not Found: Stack 'dev'".to_owned(),
            request_id: Some("4711".to_owned()),
            retry_after: None,
            service_answer: true,
        }
    }

    #[rstest]
    #[case(detail(), "GetSettings: Pulumi Cloud answered 404: Not Found: Stack 'dev' (request 4711)")]
    #[case(
        Detail { status: None, request_id: None, class: Class::NotSent, message: "connection refused".into(), ..detail() },
        "GetSettings: connection refused"
    )]
    #[case(
        Detail { operation: "CreateDeployment", class: Class::Ambiguous, status: Some(502), message: "no JSON".into(), ..detail() },
        "CreateDeployment: Pulumi Cloud answered 502: no JSON (it is unknown whether it was created) (request 4711)"
    )]
    fn is_one_sentence(#[case] detail: Detail, #[case] expected: &str) {
        let error = Error::new(detail);
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.summary(), expected.trim_end_matches(" (request 4711)"));
    }

    #[test]
    fn lines_can_not_be_forged() {
        assert_eq!(one_line(" a\r\nb\u{1b}[31m\0 "), "a  b [31m");
    }

    proptest! {
        #[test]
        fn messages_are_bounded(text in ".{0,1200}") {
            let line = one_line(&text);
            prop_assert!(line.chars().count() <= LONGEST_MESSAGE);
            prop_assert!(!line.contains(char::is_control));
            if text.trim_matches(is_blank).chars().count() > LONGEST_MESSAGE {
                prop_assert!(line.ends_with('…'));
            }
        }
    }
}
