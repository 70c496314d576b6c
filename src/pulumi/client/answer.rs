//! What an answer means: its class, its message, its delay. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::Class;

/// How a call may be treated when its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Sending it twice is the same as sending it once.
    Repeatable,
    /// It makes something new each time.
    Creation,
}

/// What a status other than success means.
pub(super) fn class_of(status: u16, nature: Nature) -> Class {
    match status {
        401 => Class::Unauthorized,
        403 => Class::Forbidden,
        404 => Class::NotFound,
        429 => Class::Throttled,
        // 408: a proxy gave up waiting; what the service does with it is unknown.
        400..=407 | 409..=499 => Class::Invalid,
        _ => class_of_silence(nature),
    }
}

/// What it means when nothing usable came back to something that may have arrived.
pub(super) fn class_of_silence(nature: Nature) -> Class {
    match nature {
        Nature::Repeatable => Class::Unavailable,
        Nature::Creation => Class::Ambiguous,
    }
}

/// The service's error body: `{"code": 404, "message": "Not Found: …", "errors": […]}`.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: Option<u64>,
    message: String,
    #[serde(default)]
    errors: Option<Vec<FieldError>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct FieldError {
    resource: Option<String>,
    attribute: Option<String>,
    error_type: Option<String>,
    custom_message: Option<String>,
}

/// What an error's body says, not yet redacted; and whether it is the service speaking.
pub(super) fn message_of(status: u16, body: &[u8]) -> (String, bool) {
    let Ok(body) = serde_json::from_slice::<ErrorBody>(body) else {
        return ("the answer is not an error of the service".to_owned(), false);
    };
    let mut message = body.message;
    for error in body.errors.unwrap_or_default() {
        let what = [error.resource, error.attribute];
        let why = error.custom_message.or(error.error_type);
        let words: Vec<String> = what.into_iter().flatten().chain(why).filter(|word| !word.is_empty()).collect();
        if !words.is_empty() {
            message.push_str("; ");
            message.push_str(&words.join(" "));
        }
    }
    (message, body.code == Some(u64::from(status)))
}

/// What the refusal of a form says, as RFC 6749 has it; when it is one.
pub(super) fn refusal_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: Option<String>,
    }
    let Refusal { error, error_description } = serde_json::from_slice(body).ok()?;
    Some(error_description.map_or(error.clone(), |description| format!("{error}: {description}")))
}

/// The service's clock.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// `Retry-After`: seconds, or a date, which is compared with the service's own clock where it shows one.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(text)?;
    let now = date(headers).unwrap_or(now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// The service's name for the request, if it is fit to be shown.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-pulumi-request-id")?.to_str().ok()?.trim();
    (!id.is_empty() && id.len() <= 128).then(|| id.to_owned())
}

fn http_date(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(400, Class::Invalid, Class::Invalid)]
    #[case(401, Class::Unauthorized, Class::Unauthorized)]
    #[case(402, Class::Invalid, Class::Invalid)]
    #[case(403, Class::Forbidden, Class::Forbidden)]
    #[case(404, Class::NotFound, Class::NotFound)]
    #[case(408, Class::Unavailable, Class::Ambiguous)]
    #[case(409, Class::Invalid, Class::Invalid)]
    #[case(429, Class::Throttled, Class::Throttled)]
    #[case(500, Class::Unavailable, Class::Ambiguous)]
    #[case(503, Class::Unavailable, Class::Ambiguous)]
    #[case(302, Class::Unavailable, Class::Ambiguous)]
    fn classes(#[case] status: u16, #[case] repeatable: Class, #[case] creation: Class) {
        assert_eq!(class_of(status, Nature::Repeatable), repeatable);
        assert_eq!(class_of(status, Nature::Creation), creation);
    }

    #[rstest]
    #[case(r#"{"code":404,"message":"Not Found: Stack 'x'"}"#, "Not Found: Stack 'x'", true)]
    #[case(r#"{"code":404,"message":"m","errors":[{"resource":"S","attribute":"a","errorType":"required"},{"customMessage":"c"},{}]}"#, "m; S a required; c", true)]
    #[case(r#"{"code":500,"message":"m"}"#, "m", false)]
    #[case(r#"{"message":"Not Found"}"#, "Not Found", false)]
    #[case("404 page not found", "the answer is not an error of the service", false)]
    #[case("<html>token pul-123</html>", "the answer is not an error of the service", false)]
    #[case("", "the answer is not an error of the service", false)]
    fn messages(#[case] body: &str, #[case] message: &str, #[case] service: bool) {
        assert_eq!(message_of(404, body.as_bytes()), (message.to_owned(), service));
    }

    #[rstest]
    #[case(r#"{"error":"invalid_grant","error_description":"it is over"}"#, Some("invalid_grant: it is over"))]
    #[case(r#"{"error":"invalid_request"}"#, Some("invalid_request"))]
    #[case(r#"{"code":404,"message":"m"}"#, None)]
    #[case("<html>", None)]
    fn refusals(#[case] body: &str, #[case] message: Option<&str>) {
        assert_eq!(refusal_of(body.as_bytes()).as_deref(), message);
    }

    #[rstest]
    #[case(Some("30"), None, Some(30))]
    #[case(Some(" 0 "), None, Some(0))]
    #[case(Some("Wed, 21 Oct 2015 07:28:30 GMT"), Some("Wed, 21 Oct 2015 07:28:00 GMT"), Some(30))]
    #[case(Some("Wed, 21 Oct 2015 07:28:30 GMT"), None, Some(10))]
    #[case(Some("Wed, 21 Oct 2015 07:27:00 GMT"), Some("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0))]
    #[case(Some("soon"), None, None)]
    #[case(Some("-5"), None, None)]
    #[case(None, None, None)]
    fn delays(#[case] retry: Option<&'static str>, #[case] date: Option<&'static str>, #[case] seconds: Option<u64>) {
        let mut headers = HeaderMap::new();
        if let Some(retry) = retry {
            headers.insert(RETRY_AFTER, retry.parse().unwrap());
        }
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        let now = "2015-10-21T07:28:20Z".parse().unwrap();
        assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs));
    }

    #[test]
    fn request_ids() {
        let mut headers = HeaderMap::new();
        assert_eq!(request_id(&headers), None);
        headers.insert("X-Pulumi-Request-ID", "4711".parse().unwrap());
        assert_eq!(request_id(&headers).as_deref(), Some("4711"));
        headers.insert("X-Pulumi-Request-ID", "x".repeat(200).parse().unwrap());
        assert_eq!(request_id(&headers), None);
    }
}
