//! IO: access tokens that the service gives for the identity of a ServiceAccount. They are kept in memory only.
//!
//! Kubernetes vouches for the ServiceAccount with a token for the organization (the TokenRequest API), and the service
//! takes that in exchange for an access token. It is renewed when between 60 and 80 % of its life are over, so that
//! many do not come at once and there is time to try again. Until its end it is used, whatever becomes of its renewal: even
//! one that the service has rejected is kept until there is another, because the rejection may have been a mistake.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest as IdentityRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, api::PostParams, core::Status};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{plan::Renewal, reason::Reason};
use crate::{
    api::{
        Time,
        organization::{ServiceAccountToken, TokenType},
    },
    controllers::{
        Context, Error,
        conditions::{Standing, Words},
        links::Resource,
        requeue::{Consequence, Retry, consequence},
    },
    metrics::convergence::Exchange,
    pulumi::{
        Admission, CallClass, Class, Gate, Governor, Permit, RequestedToken, SecretValue, Timeouts, TokenExchange,
        TokenExchangeConfig, TokenRequest,
    },
};

/// For how long Kubernetes vouches for the ServiceAccount, in seconds: the least that it does. It is used at once.
const VOUCHED_FOR: i64 = 600;
/// How long a token is taken to live when the service does not say.
const ASSUMED_LIFE: Duration = Duration::from_secs(3600);
/// The longest life that is believed: a time that is further off may not be a time at all.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The tokens in use, by `namespace/name` of their Organization resource.
#[derive(Default)]
pub struct Keyless(Mutex<HashMap<String, Held>>);

/// What is known of one identity.
struct Held {
    identity: String,
    /// Kept with its gate even while there is no token: what the service said of the rate holds for the next attempt.
    _governor: Arc<Governor>,
    token: Option<Issued>,
    /// Whether the service had rejected the token when another one was last asked for.
    is_doubted: bool,
}

/// A token that was given in exchange.
#[derive(Clone)]
struct Issued {
    token: SecretValue,
    at: Instant,
    renewal: Instant,
    end: Instant,
    /// The same by the clock, to be told.
    until: Time,
}

impl Issued {
    /// Plans the life of a token that was asked for then. `random` is uniform between 0 and 1.
    fn new(token: SecretValue, at: Instant, life: Duration, clock: Time, random: f64) -> Self {
        let life = life.min(LONGEST_LIFE);
        let renewal = at + life.mul_f64(0.6 + 0.2 * random.clamp(0.0, 1.0));
        Self { token, at, renewal, end: at + life, until: clock.after(life) }
    }
}

impl Keyless {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the token of an Organization that is gone, or has another one.
    pub fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    /// The token, and whether it is doubted.
    fn get(&self, key: &str, identity: &str) -> Option<(Issued, bool)> {
        let held = self.lock();
        let held = held.get(key).filter(|held| held.identity == identity)?;
        Some((held.token.clone()?, held.is_doubted))
    }

    fn put(&self, key: &str, identity: &str, governor: &Arc<Governor>, token: Option<Issued>, is_doubted: bool) {
        let held = Held { identity: identity.to_owned(), _governor: Arc::clone(governor), token, is_doubted };
        self.lock().insert(key.to_owned(), held);
    }
}

/// The token that is wanted, and for whom.
pub struct Wanted {
    /// The ServiceAccount, and what its token is for.
    pub account: ServiceAccountToken,
    /// Its namespace.
    pub namespace: String,
    /// The organization in Pulumi Cloud.
    pub organization: String,
    /// The service.
    pub backend: String,
}

impl Wanted {
    /// What stays the same when the token is renewed. Another Organization resource has an identity of its own.
    pub fn identity(&self, key: &str) -> String {
        let Self { account, namespace: _, organization, backend } = self;
        format!("{key} {account:?} {organization} {backend}")
    }

    fn audience(&self) -> String {
        format!("urn:pulumi:org:{}", self.organization)
    }

    fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account.name)
    }

    fn requested(&self) -> RequestedToken {
        let scope = self.account.scope.clone().unwrap_or_default();
        let name = || scope.split_once(':').map_or(scope.as_str(), |(_, name)| name).to_owned();
        match self.account.token_type {
            TokenType::Organization => RequestedToken::Organization { admin: scope == "admin" },
            TokenType::Team => RequestedToken::Team(name()),
            TokenType::Personal => RequestedToken::Personal(name()),
        }
    }
}

/// What came of the attempt to have a token.
pub enum Obtained {
    /// There is one that is good.
    Token(SecretValue, Renewal),
    /// There is none, and the request budget has no room yet to get one.
    AwaitingBudget,
    /// There is none, and it was refused.
    Refused(Consequence),
}

/// The token in use, or a new one when there is none, when it is time, or when the service does not accept it any more.
/// `is_accepted`: whether the service accepted the one in use when it was last looked at.
///
/// # Errors
/// When the Kubernetes API does not answer.
pub async fn obtain(
    wanted: &Wanted,
    context: &Context,
    this: &Resource,
    governor: &Arc<Governor>,
    is_accepted: bool,
) -> Result<Obtained, Error> {
    let (key, now) = (this.key(), Instant::now());
    let identity = wanted.identity(&key);
    let (held, is_doubted) = context.keyless.get(&key, &identity).unzip();
    let is_rejected = governor.gate() == Gate::Rejected;
    let is_due = held.as_ref().is_none_or(|held| {
        // One that was rejected from the beginning is not exchanged again and again.
        let is_old = is_accepted || is_doubted == Some(true) || now - held.at >= context.timings.resync;
        let gives_up_on = is_rejected && is_old;
        now >= held.renewal || gives_up_on
    });
    if let Some(held) = held.as_ref().filter(|_| !is_due) {
        return Ok(Obtained::Token(held.token.clone(), Renewal::In(held.renewal - now)));
    }
    // What was accepted before may be accepted again: a proxy answers 401 as well. The next look tells, and once is enough.
    let good = held.filter(|held| now < held.end && (!is_rejected || is_accepted));
    context.keyless.put(&key, &identity, governor, good.clone(), is_rejected);
    // Before everything else, since all else needs it. A closed gate opens only with another token.
    let admission = if is_rejected {
        Admission::Granted(Permit::unlimited())
    } else {
        governor.try_acquire(CallClass::Cancel, &this.namespace, &context.wakers.waiter(this), 1)
    };
    let Admission::Granted(mut permit) = admission else {
        return Ok(match good {
            Some(held) => Obtained::Token(held.token, Renewal::In(held.end - now)),
            None => Obtained::AwaitingBudget,
        });
    };
    let exchanged = exchange(wanted, context, governor, &mut permit).await?;
    context.metrics.convergence.exchanged(match &exchanged {
        Ok(_) => Exchange::Succeeded,
        Err(Consequence { standing: Standing::Stalled(_), .. }) => Exchange::Refused,
        Err(_) => Exchange::Failed,
    });
    Ok(match exchanged {
        Ok(issued) => {
            governor.token_changed();
            info!(organization = %wanted.organization, account = %wanted.subject(), until = %issued.until, "exchanged a token");
            let renewal = Renewal::In(issued.renewal.saturating_duration_since(Instant::now()));
            context.keyless.put(&key, &identity, governor, Some(issued.clone()), false);
            Obtained::Token(issued.token, renewal)
        }
        Err(consequence) => {
            // A rejected token and a refused exchange agree.
            let agree = is_rejected && matches!(consequence.standing, Standing::Stalled(_));
            if let Some(held) = good.filter(|_| !agree) {
                warn!(error = %consequence.detail, until = %held.until, "an access token could not be renewed");
                Obtained::Token(held.token, Renewal::Failed { consequence, until: held.until })
            } else {
                context.keyless.put(&key, &identity, governor, None, is_rejected);
                Obtained::Refused(consequence)
            }
        }
    })
}

async fn exchange(
    wanted: &Wanted,
    context: &Context,
    governor: &Arc<Governor>,
    permit: &mut Permit,
) -> Result<Result<Issued, Consequence>, Error> {
    let (at, clock) = (Instant::now(), Time::from(jiff::Timestamp::now()));
    let vouched = match vouched_for(wanted, context).await? {
        Ok(vouched) => vouched,
        Err(consequence) => return Ok(Err(consequence)),
    };
    let issuer = issuer(&vouched);
    let expiration = wanted.account.expiration.as_ref().map(crate::api::Duration::value);
    let request = TokenRequest {
        organization: wanted.organization.clone(),
        // It is never compared.
        subject_token: SecretValue::new(vouched, String::new()),
        requested: wanted.requested(),
        expiration,
    };
    let config = TokenExchangeConfig {
        backend: wanted.backend.clone(),
        timeouts: Timeouts { total: context.timings.request, ..Timeouts::default() },
        governor: Arc::clone(governor),
    };
    let answer = match TokenExchange::new(config) {
        Ok(exchange) => exchange.exchange(permit, &request).await,
        Err(error) => Err(error),
    };
    Ok(match answer {
        Ok(given) => {
            let fingerprint = context.key.mac(given.access_token.expose_secret().as_bytes());
            let token = SecretValue::new(given.access_token, fingerprint);
            let life = given.expires_in.or(expiration).unwrap_or(ASSUMED_LIFE);
            Ok(Issued::new(token, at, life, clock, rand::random()))
        }
        Err(error) => Err(refusal(consequence(&error, &remedy(wanted, issuer.as_deref(), &error.summary())))),
    })
}

/// A refusal of the exchange is not one of what the token would be good for, and a policy may be made any time.
fn refusal(consequence: Consequence) -> Consequence {
    if !matches!(consequence.class, Class::Unauthorized | Class::Forbidden | Class::Invalid | Class::NotFound) {
        return consequence;
    }
    let message = consequence.standing.words().message.clone();
    let standing = Standing::Stalled(Words::new(Reason::TokenExchangeRefused, message));
    Consequence { standing, retry: Retry::Backoff, ..consequence }
}

/// What a person can do about a refusal, by what the service says of it.
fn remedy(wanted: &Wanted, issuer: Option<&str>, said: &str) -> String {
    let said = said.to_ascii_lowercase();
    let account = "spec.accessToken.serviceAccount";
    if wanted.account.expiration.is_some() && said.contains("expiration") {
        return format!("Write a shorter {account}.expiration, or take it out.");
    }
    if said.contains("scope") {
        let TokenType::Organization = wanted.account.token_type else {
            return format!("Correct {account}.scope: it names a team or a member that the organization has.");
        };
        return format!("Correct {account}.scope, or take it out.");
    }
    format!(
        "In Pulumi Cloud, let the organization {} trust the issuer {}, with a policy that allows audience {} and subject {} \
         to have a token of the type that spec.accessToken.serviceAccount asks for; then this goes on by itself.",
        wanted.organization,
        issuer.unwrap_or("of this cluster's ServiceAccount tokens"),
        wanted.audience(),
        wanted.subject(),
    )
}

/// What Kubernetes says of the ServiceAccount, as a token for the organization; or why it does not say it.
async fn vouched_for(wanted: &Wanted, context: &Context) -> Result<Result<SecretString, Consequence>, Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(context.kube.clone(), &wanted.namespace);
    let request = IdentityRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![wanted.audience()]),
            expiration_seconds: Some(VOUCHED_FOR),
            ..TokenRequestSpec::default()
        }),
        ..IdentityRequest::default()
    };
    match accounts.create_token_request(&wanted.account.name, &PostParams::default(), &request).await {
        Ok(answer) => Ok(Ok(SecretString::from(answer.status.and_then(|status| status.token).unwrap_or_default()))),
        Err(kube::Error::Api(status)) => Ok(Err(not_vouched_for(wanted, &status))),
        Err(error) => Err(error.into()),
    }
}

/// What follows when Kubernetes does not vouch for the ServiceAccount. Nothing tells when that changes.
fn not_vouched_for(wanted: &Wanted, status: &Status) -> Consequence {
    let account = format!("ServiceAccount {}/{}", wanted.namespace, wanted.account.name);
    let (class, standing) = match status.code {
        404 => {
            let message = format!("{account} does not exist; create it, and this goes on by itself");
            (Class::NotFound, Standing::InProgress(Words::new(Reason::TokenMissing, message)))
        }
        403 => {
            let message = format!(
                "the operator may not request tokens for {account}; allow it to create serviceaccounts/token there (with \
                 the Helm chart: keyless.enabled, and the name in keyless.serviceAccountNames unless that is empty), and \
                 this goes on by itself"
            );
            (Class::Forbidden, Standing::Stalled(Words::new(Reason::TokenRequestForbidden, message)))
        }
        _ => {
            let message = format!("Kubernetes gave no token for {account}: {}; it is tried again", status.message);
            (Class::Unavailable, Standing::Retrying(Words::new(Reason::TokenRequestFailed, message)))
        }
    };
    let detail = format!("no token for {account}: {}", status.message);
    Consequence { class, standing, retry: Retry::Backoff, detail }
}

/// The issuer that a token names. It is no secret; nothing is verified.
fn issuer(token: &SecretString) -> Option<String> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.expose_secret().split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn wanted(token_type: TokenType, scope: Option<&str>) -> Wanted {
        Wanted {
            account: ServiceAccountToken {
                name: "pulumi".into(),
                token_type,
                scope: scope.map(str::to_owned),
                expiration: None,
            },
            namespace: "platform".into(),
            organization: "acme".into(),
            backend: "https://api.pulumi.com".into(),
        }
    }

    #[rstest]
    #[case(TokenType::Organization, None, RequestedToken::Organization { admin: false })]
    #[case(TokenType::Organization, Some("admin"), RequestedToken::Organization { admin: true })]
    #[case(TokenType::Team, Some("team:web"), RequestedToken::Team("web".into()))]
    #[case(TokenType::Personal, Some("user:jane"), RequestedToken::Personal("jane".into()))]
    fn what_is_asked_for(#[case] token_type: TokenType, #[case] scope: Option<&str>, #[case] expected: RequestedToken) {
        assert_eq!(wanted(token_type, scope).requested(), expected);
    }

    #[test]
    fn an_identity_is_of_one_organization_resource_and_one_request() {
        let one = wanted(TokenType::Organization, None);
        assert_eq!(one.identity("a/b"), wanted(TokenType::Organization, None).identity("a/b"));
        assert_ne!(one.identity("a/b"), one.identity("a/c"));
        assert_ne!(one.identity("a/b"), wanted(TokenType::Organization, Some("admin")).identity("a/b"));
    }

    #[rstest]
    #[case(0.0, 60)]
    #[case(0.5, 70)]
    #[case(1.0, 80)]
    fn a_token_is_renewed_well_before_its_end(#[case] random: f64, #[case] expected: u128) {
        let at = Instant::now();
        let token = SecretValue::new("t".into(), "f".into());
        let issued = Issued::new(token, at, Duration::from_secs(100), Time::from_seconds(1000), random);
        assert_eq!(issued.renewal.duration_since(at).as_millis().div_ceil(1000), expected);
        assert_eq!((issued.end - at, issued.until), (Duration::from_secs(100), Time::from_seconds(1100)));
    }

    #[test]
    fn a_life_that_no_clock_can_count_is_cut() {
        let token = SecretValue::new("t".into(), "f".into());
        let at = Instant::now();
        let issued = Issued::new(token, at, Duration::from_secs(u64::MAX), Time::from_seconds(0), 1.0);
        assert_eq!((issued.end - at, issued.until), (LONGEST_LIFE, Time::from_seconds(30 * 24 * 3600)));
    }

    #[rstest]
    #[case(
        TokenType::Organization,
        "400: invalid_scope: invalid scope",
        "Correct spec.accessToken.serviceAccount.scope, or"
    )]
    #[case(TokenType::Team, "400: invalid_scope: no", "Correct spec.accessToken.serviceAccount.scope: it names a team")]
    #[case(
        TokenType::Organization,
        "400: invalid_request: expiration must not be greater than 60 seconds",
        "Write a shorter spec.accessToken.serviceAccount.expiration, or take it out"
    )]
    #[case(
        TokenType::Organization,
        "400: invalid_grant: the token has expired",
        "In Pulumi Cloud, let the organization acme"
    )]
    fn what_to_do_about_a_refusal(#[case] token_type: TokenType, #[case] said: &str, #[case] expected: &str) {
        let mut wanted = wanted(token_type, Some("team:web"));
        wanted.account.expiration = Some(serde_json::from_value("90m".into()).unwrap());
        let told = remedy(&wanted, None, said);
        assert!(told.starts_with(expected), "{told}");
    }

    #[rstest]
    #[case(404, "TokenMissing", "ServiceAccount platform/pulumi does not exist; create it")]
    #[case(
        403,
        "TokenRequestForbidden",
        "the operator may not request tokens for ServiceAccount platform/pulumi; allow"
    )]
    #[case(
        500,
        "TokenRequestFailed",
        "Kubernetes gave no token for ServiceAccount platform/pulumi: why; it is tried again"
    )]
    fn what_kubernetes_refuses(#[case] code: u16, #[case] reason: &str, #[case] message: &str) {
        let status = Status::failure("why", "Why").with_code(code);
        let told = not_vouched_for(&wanted(TokenType::Organization, None), &status);
        let words = told.standing.words();
        assert_eq!((words.reason.as_str(), told.retry), (reason, Retry::Backoff));
        assert!(words.message.starts_with(message), "{}", words.message);
    }

    #[test]
    fn the_issuer_is_read_from_the_token() {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"https://kubernetes.default.svc"}"#);
        let read = |token: String| issuer(&SecretString::from(token));
        assert_eq!(read(format!("head.{claims}.sign")).as_deref(), Some("https://kubernetes.default.svc"));
        assert_eq!(read("nonsense".into()), None);
        assert_eq!(read("a.%%%.c".into()), None);
    }
}
