//! The exchange of somebody else's ID token for an access token (RFC 8693).

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::oidc::{Allowance, IdToken};
use crate::world::people::Role;
use crate::world::tokens::{Issued, TokenKind};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:pulumi:token-type:access_token:";
const AUDIENCE: &str = "urn:pulumi:org:";

/// How long a token lives when nothing is said of it.
const DEFAULT_LIFE: i64 = 2 * 3600;

pub(super) fn token(call: &Call) -> Outcome {
    let request = ExchangeRequest::read(call)?;
    let denied = |reason: String| ApiError::oauth("invalid_grant", &reason);
    let token = IdToken::parse(&request.subject_token).map_err(denied)?;
    token.check_time(call.now).map_err(denied)?;
    let mut world = call.world();
    // An organization that is not there trusts nobody.
    let issuer = world.organizations.get(&request.organization).and_then(|known| known.issuers.get(&token.issuer));
    let issuer = issuer.ok_or_else(|| {
        denied(format!("organization {:?} does not trust issuer {:?}", request.organization, token.issuer))
    })?;
    issuer.check_signature(&token).map_err(denied)?;
    if !issuer.allows(&token, &request.organization, &request.wanted) {
        return Err(denied("no policy of the issuer allows the exchange of this token".to_owned()));
    }
    let life = request.expiration.unwrap_or(DEFAULT_LIFE.min(issuer.longest_life));
    if life > issuer.longest_life {
        return Err(ApiError::oauth(
            "invalid_request",
            &format!("expiration must not be greater than {} seconds", issuer.longest_life),
        ));
    }
    let kind = match &request.wanted {
        Allowance::Organization { admin } => TokenKind::Organization { admin: *admin },
        Allowance::Team(team) => TokenKind::Team(team.clone()),
        Allowance::Personal(_) => TokenKind::Personal,
    };
    let mut issued = Issued::new(kind, &token.subject, call.now);
    issued.name = format!("oidc-{}", issued.id);
    issued.description = format!("OIDC token of {}", token.subject);
    issued.expires = call.now.checked_add(SignedDuration::from_secs(life)).ok();
    let value = match &request.wanted {
        Allowance::Personal(login) => {
            let is_theirs = |role: Option<&Role>, known: &str| known == login && role.is_some();
            let access = world
                .tokens
                .values()
                .find(|access| is_theirs(access.roles.get(&request.organization), &access.user.login))
                .cloned()
                .ok_or_else(|| denied(format!("{login:?} is not a member of the organization")))?;
            world.issue_personal(&access, issued)
        }
        _ => world.issue_for_organization(&request.organization, issued),
    };
    Ok(Answer::ok(&json!({
        "access_token": value,
        "issued_token_type": request.requested_type,
        "token_type": "token",
        "expires_in": life,
        "scope": request.scope,
    })))
}

struct ExchangeRequest {
    organization: String,
    subject_token: String,
    requested_type: String,
    scope: String,
    wanted: Allowance,
    /// In seconds.
    expiration: Option<i64>,
}

impl ExchangeRequest {
    /// Clients send a form; the reference shows JSON.
    fn read(call: &Call) -> Result<Self, ApiError> {
        let fields = fields(call)?;
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let refused = |reason: String| ApiError::oauth("invalid_request", &reason);
        match field("grant_type") {
            EXCHANGE => {}
            "" => return Err(refused("grant_type is required".to_owned())),
            "refresh_token" => {
                return Err(ApiError::oauth("invalid_grant", "the refresh token is not known"));
            }
            other => {
                return Err(ApiError::oauth("unsupported_grant_type", &format!("unsupported grant type {other:?}")));
            }
        }
        if field("subject_token_type") != ID_TOKEN {
            return Err(refused(format!("subject_token_type must be {ID_TOKEN:?}")));
        }
        if field("subject_token").is_empty() {
            return Err(refused("subject_token is required".to_owned()));
        }
        let organization = field("audience").strip_prefix(AUDIENCE).filter(|name| !name.is_empty());
        let organization = organization
            .ok_or_else(|| ApiError::oauth("invalid_target", &format!("audience must be {AUDIENCE:?} and a name")))?;
        let (requested_type, scope) = (field("requested_token_type"), field("scope"));
        let wanted = match (requested_type.strip_prefix(ACCESS_TOKEN), scope.split_once(':')) {
            (Some("organization"), None) if matches!(scope, "" | "admin") => {
                Allowance::Organization { admin: scope == "admin" }
            }
            (Some("team"), Some(("team", team))) if !team.is_empty() => Allowance::Team(team.to_owned()),
            (Some("personal"), Some(("user", login))) if !login.is_empty() => Allowance::Personal(login.to_owned()),
            (Some("organization" | "team" | "personal"), _) => {
                return Err(ApiError::oauth("invalid_scope", &format!("invalid scope {scope:?}")));
            }
            _ => return Err(refused(format!("unsupported requested_token_type {requested_type:?}"))),
        };
        // The command line tool sends 0 when nothing is said of it.
        let expiration = match field("expiration") {
            "" | "0" => None,
            written => {
                let seconds = written.parse().ok().filter(|seconds| *seconds > 0);
                Some(seconds.ok_or_else(|| refused("expiration must be a number of seconds".to_owned()))?)
            }
        };
        Ok(Self {
            organization: organization.to_owned(),
            subject_token: field("subject_token").to_owned(),
            requested_type: requested_type.to_owned(),
            scope: scope.to_owned(),
            wanted,
            expiration,
        })
    }
}

fn fields(call: &Call) -> Result<BTreeMap<String, String>, ApiError> {
    if call.content_type().starts_with("application/x-www-form-urlencoded") {
        return Ok(call.form());
    }
    let body = call.json()?;
    let entries = body.as_object().ok_or_else(|| ApiError::bad_request("body must be a JSON object"))?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Ok(entries.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect())
}
