//! Pure: where traces go, by the environment variables that OpenTelemetry has for it.

use std::{collections::BTreeMap, env, fmt, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};

const GENERAL: &str = "OTEL_EXPORTER_OTLP_";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_";

/// How long one request may take, where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces go. Neither the headers nor what an address may hold of a password is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// What is posted to.
    pub endpoint: Url,
    /// How long one request may take.
    pub timeout: Duration,
    /// The name of the service, where one is given.
    pub service: Option<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.shown())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the variables of this process; nothing when no endpoint is set, or traces are switched off.
    ///
    /// # Errors
    /// When a variable has a value that can't be used. The message names the variable, and of headers no value.
    pub fn from_env() -> Result<Option<Self>> {
        let mut variables = BTreeMap::new();
        for (name, value) in env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("OTEL_")) else { continue };
            let value = value.into_string().ok().with_context(|| format!("{name} is not UTF-8"))?;
            variables.insert(name.to_owned(), value);
        }
        Self::read(&variables)
    }

    /// An empty variable is one that is not set.
    fn read(variables: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let variable = |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        // What is said of traces counts for more than what is said of all signals.
        let signal = |name: &str| {
            let names = [format!("{TRACES}{name}"), format!("{GENERAL}{name}")];
            names.into_iter().find_map(|name| variable(&name).map(|value| (name, value)))
        };
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        match variable("OTEL_TRACES_EXPORTER") {
            Some("none") => return Ok(None),
            Some("otlp") | None => {}
            Some(other) => bail!("OTEL_TRACES_EXPORTER: there is no exporter `{other}`; write otlp or none"),
        }
        let Some((name, written)) = signal("ENDPOINT") else { return Ok(None) };
        let mut endpoint = endpoint(&name, written)?;
        if name.starts_with(TRACES) {
            // It is used as it is.
        } else {
            let path = format!("{}/v1/traces", endpoint.path().trim_end_matches('/'));
            endpoint.set_path(&path);
        }
        if let Some((name, protocol)) = signal("PROTOCOL").filter(|(_, protocol)| *protocol != "http/protobuf") {
            bail!("{name}: traces are not sent as `{protocol}`; write http/protobuf, whose usual port is 4318");
        }
        if let Some((name, compression)) = signal("COMPRESSION").filter(|(_, compression)| *compression != "none") {
            bail!("{name}: traces are not compressed with `{compression}`; write none, or leave it out");
        }
        if let Some((name, headers)) = signal("HEADERS") {
            check_headers(&name, headers)?;
        }
        let timeout = match signal("TIMEOUT") {
            Some((name, written)) => {
                let milliseconds = written.parse::<u64>().ok().filter(|milliseconds| *milliseconds > 0);
                let milliseconds = milliseconds.with_context(|| {
                    format!("{name}: `{written}` is no number of milliseconds; write 10000 for 10 s")
                })?;
                Duration::from_millis(milliseconds)
            }
            None => TIMEOUT,
        };
        Ok(Some(Self { endpoint, timeout, service: variable("OTEL_SERVICE_NAME").map(ToOwned::to_owned) }))
    }

    /// The endpoint as it may be shown.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}{}", self.endpoint.origin().ascii_serialization(), self.endpoint.path())
    }
}

fn endpoint(name: &str, written: &str) -> Result<Url> {
    let wanted = "write where the collector takes OTLP over HTTP, such as http://collector.observability:4318";
    // It may hold a password, so it is not repeated.
    let url = Url::parse(written).ok().with_context(|| format!("{name} is no URL; {wanted}"))?;
    ensure!(matches!(url.scheme(), "http" | "https"), "{name} begins with neither http:// nor https://; {wanted}");
    ensure!(url.has_host(), "{name} names no host; {wanted}");
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "{name} holds a user name or a password, which is sent to nobody; write {GENERAL}HEADERS=authorization=… instead"
    );
    Ok(url)
}

/// The exporter would leave out what it can't read.
fn check_headers(name: &str, headers: &str) -> Result<()> {
    for (index, header) in headers.split_terminator(',').enumerate() {
        let is_header = header.split_once('=').is_some_and(|(key, value)| {
            HeaderName::try_from(key.trim()).is_ok()
                && !value.trim().is_empty()
                && HeaderValue::try_from(value.trim()).is_ok()
        });
        ensure!(
            is_header,
            "{name}: the header at place {} is not of the form name=value; separate several with commas, and write a \
             comma in a value as %2C",
            index + 1
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>> {
        Settings::read(&variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[rstest]
    #[case::nothing(&[])]
    #[case::empty(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")])]
    #[case::no_endpoint(&[("OTEL_SERVICE_NAME", "s"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")])]
    #[case::disabled(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")])]
    #[case::no_exporter(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")])]
    fn it_is_off(#[case] variables: &[(&str, &str)]) {
        assert_eq!(read(variables).unwrap(), None);
    }

    #[rstest]
    #[case::general(&[ENDPOINT], "http://collector:4318/v1/traces")]
    #[case::slash(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")], "http://collector:4318/v1/traces")]
    #[case::path(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp")], "https://c/otlp/v1/traces")]
    #[case::of_traces(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/here")], "https://t/here")]
    #[case::of_traces_alone(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t")], "https://t/")]
    fn endpoints(#[case] variables: &[(&str, &str)], #[case] expected: &str) {
        let settings = read(variables).unwrap().unwrap();
        assert_eq!((settings.endpoint.as_str(), settings.timeout), (expected, TIMEOUT));
    }

    #[test]
    fn what_is_said_of_traces_counts_for_more() {
        let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "1"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500")];
        let settings = read(&[ENDPOINT, more[0], more[1], ("OTEL_SERVICE_NAME", "ours")]).unwrap().unwrap();
        assert_eq!((settings.timeout, settings.service.as_deref()), (Duration::from_millis(2500), Some("ours")));
    }

    #[rstest]
    #[case("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "begins with neither http:// nor https://")]
    #[case("OTEL_EXPORTER_OTLP_ENDPOINT", "canary of mine", "is no URL")]
    #[case("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:canary@collector:4318", "write OTEL_EXPORTER_OTLP_HEADERS")]
    #[case("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "write http/protobuf, whose usual port is 4318")]
    #[case("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip", "not compressed with `gzip`")]
    #[case("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "`10s` is no number of milliseconds")]
    #[case("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "is no number of milliseconds")]
    #[case("OTEL_EXPORTER_OTLP_HEADERS", "a=b,canary", "the header at place 2 is not of the form name=value")]
    #[case("OTEL_EXPORTER_OTLP_HEADERS", "not a name=canary", "the header at place 1")]
    #[case("OTEL_TRACES_EXPORTER", "zipkin", "write otlp or none")]
    fn a_wrong_value_is_told_and_no_secret_repeated(#[case] name: &str, #[case] value: &str, #[case] expected: &str) {
        let told = format!("{:#}", read(&[ENDPOINT, (name, value)]).unwrap_err());
        assert!(told.starts_with(name) && told.contains(expected), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }

    #[test]
    fn no_password_is_shown() {
        let url = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318/?key=canary");
        let settings = read(&[url, ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary")]).unwrap().unwrap();
        assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
        assert_eq!(settings.shown(), "https://collector:4318/v1/traces");
    }
}
