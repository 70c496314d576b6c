//! Access tokens that are given for another proof of who one is.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::Deserializer;

use super::lenient::{non_empty, secret};

/// An access token that was given for an identity token.
#[derive(Clone, Debug, Deserialize)]
pub struct ExchangedToken {
    /// The access token.
    #[serde(rename = "access_token", deserialize_with = "secret")]
    pub access_token: SecretString,
    /// What kind of token it is, as a URN.
    #[serde(rename = "issued_token_type", default, deserialize_with = "non_empty")]
    pub issued_token_type: Option<String>,
    /// For how long it is good; none: the service does not say.
    #[serde(rename = "expires_in", default, deserialize_with = "seconds")]
    pub expires_in: Option<Duration>,
    /// What it is good for; none: what the kind of token says.
    #[serde(default, deserialize_with = "non_empty")]
    pub scope: Option<String>,
}

fn seconds<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(input)?.filter(|seconds| *seconds > 0).map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_token_does_not_show() {
        let token: ExchangedToken = serde_json::from_value(json!({
            "access_token": "pul-hunter2", "token_type": "token", "expires_in": 7200, "scope": "",
            "issued_token_type": "urn:pulumi:token-type:access_token:organization",
        }))
        .unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
        assert_eq!(token.access_token.expose_secret(), "pul-hunter2");
        assert_eq!((token.expires_in, token.scope), (Some(Duration::from_secs(7200)), None));
        assert!(serde_json::from_value::<ExchangedToken>(json!({"token_type": "token"})).is_err());
    }
}
