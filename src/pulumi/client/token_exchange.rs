//! Gets access tokens for identity tokens of another issuer (RFC 8693), such as those of Kubernetes service accounts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::routes::Route;
use super::transport::{Call, Transport, TransportConfig};
use super::{Dialect, Error, Timeouts};
use crate::pulumi::document::Node;
use crate::pulumi::governor::{Governor, Permit};
use crate::pulumi::secret::SecretValue;
use crate::pulumi::wire::ExchangedToken;

/// What an exchange needs.
#[derive(Clone, Debug)]
pub struct TokenExchangeConfig {
    /// The service's URL, such as `https://api.pulumi.com`; a path in it is kept.
    pub backend: String,
    /// How long calls may take.
    pub timeouts: Timeouts,
    /// Whose budget the calls count against. It is told of every 429; an identity token that is not accepted does not
    /// close it.
    pub governor: Arc<Governor>,
}

/// Exchanges tokens at one backend, without a token of its own.
pub struct TokenExchange {
    transport: Transport,
}

/// What is exchanged for what.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The organization that trusts the identity token's issuer.
    pub organization: String,
    /// The identity token.
    pub subject_token: SecretValue,
    /// The access token that is wanted.
    pub requested: RequestedToken,
    /// For how long it should be good. None: as the service likes.
    pub expiration: Option<Duration>,
}

/// The access token that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestedToken {
    /// One of the organization.
    Organization {
        /// With an admin's rights.
        admin: bool,
    },
    /// One of a team, by its name.
    Team(String),
    /// One of a user, by the login.
    Personal(String),
}

impl RequestedToken {
    fn kind(&self) -> &'static str {
        match self {
            Self::Organization { .. } => "urn:pulumi:token-type:access_token:organization",
            Self::Team(_) => "urn:pulumi:token-type:access_token:team",
            Self::Personal(_) => "urn:pulumi:token-type:access_token:personal",
        }
    }

    fn scope(&self) -> Option<String> {
        match self {
            Self::Organization { admin } => admin.then(|| "admin".to_owned()),
            Self::Team(name) => Some(format!("team:{name}")),
            Self::Personal(login) => Some(format!("user:{login}")),
        }
    }
}

impl TokenRequest {
    /// The form that is sent.
    fn form(&self) -> Node {
        let mut form: Node = [
            ("audience", format!("urn:pulumi:org:{}", self.organization)),
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("requested_token_type", self.requested.kind().to_owned()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token".to_owned()),
        ]
        .into_iter()
        .collect();
        form.insert(&["subject_token"], self.subject_token.clone());
        if let Some(scope) = self.requested.scope() {
            form.insert(&["scope"], scope);
        }
        if let Some(expiration) = self.expiration {
            form.insert(&["expiration"], i64::try_from(expiration.as_secs()).unwrap_or(i64::MAX));
        }
        form
    }
}

impl TokenExchange {
    /// Makes an exchange; nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Class::Invalid`](super::Class::Invalid) when the URL can't be used, [`Class::NotSent`](super::Class::NotSent)
    /// when TLS can't be set up.
    pub fn new(config: TokenExchangeConfig) -> Result<Self, Error> {
        let TokenExchangeConfig { backend, timeouts, governor } = config;
        let config = TransportConfig { backend, token: None, dialect: Dialect::Stacks, timeouts, governor };
        Ok(Self { transport: Transport::new(config)? })
    }

    /// `ExchangeToken`: an access token for an identity token. It may be repeated: a token that nobody uses expires.
    pub async fn exchange(&self, permit: &mut Permit, request: &TokenRequest) -> Result<ExchangedToken, Error> {
        let form = request.form();
        let call = Call { body: Some(&form), form: true, ..Call::post("ExchangeToken", Route::token()) };
        self.transport.fetch(permit, call).await
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TokenExchange({})", self.transport.backend())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(RequestedToken::Organization { admin: false }, None, "organization", None)]
    #[case(RequestedToken::Organization { admin: true }, None, "organization", Some("admin"))]
    #[case(RequestedToken::Team("a b".into()), Some(7200), "team", Some("team%3Aa%20b"))]
    #[case(RequestedToken::Personal("me".into()), None, "personal", Some("user%3Ame"))]
    fn forms(
        #[case] requested: RequestedToken,
        #[case] seconds: Option<u64>,
        #[case] kind: &str,
        #[case] scope: Option<&str>,
    ) {
        let request = TokenRequest {
            organization: "acme".into(),
            subject_token: SecretValue::new("head.body+/=.sign".into(), String::new()),
            requested,
            expiration: seconds.map(Duration::from_secs),
        };
        let form = String::from_utf8(request.form().encode_form().unwrap().to_vec()).unwrap();
        let expiration = seconds.map(|seconds| format!("expiration={seconds}&")).unwrap_or_default();
        let scope = scope.map(|scope| format!("scope={scope}&")).unwrap_or_default();
        assert_eq!(
            form,
            format!(
                "audience=urn%3Apulumi%3Aorg%3Aacme&{expiration}\
                 grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&\
                 requested_token_type=urn%3Apulumi%3Atoken-type%3Aaccess_token%3A{kind}&{scope}\
                 subject_token=head.body%2B%2F%3D.sign&\
                 subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token"
            )
        );
        assert!(!format!("{request:?}").contains("body"));
    }
}
