//! Whom an organization trusts to say who somebody is, and what it lets them have.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

/// An issuer of ID tokens that an organization trusts, with the policies by which it lets their bearers in.
///
/// ```
/// use pulumi_cloud_simulator::{Allowance, OidcIssuer};
///
/// let cluster = OidcIssuer::new("https://kubernetes.default.svc.cluster.local")
///     .allow("system:serviceaccount:pulumi:operator", Allowance::Organization { admin: false });
/// ```
#[derive(Debug, Clone)]
#[must_use = "an issuer is trusted when it is given to an organization"]
pub struct OidcIssuer {
    pub(crate) url: String,
    jwks: Option<Value>,
    policies: Vec<Policy>,
    /// How long a token lives at most, in seconds.
    pub(crate) longest_life: i64,
}

#[derive(Debug, Clone)]
struct Policy {
    subject: String,
    audience: Option<String>,
    allowance: Allowance,
}

/// What kind of token a policy allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowance {
    /// A token of the organization.
    Organization {
        /// Whether it may be asked for with the rights of an administrator.
        admin: bool,
    },
    /// A token of this team.
    Team(String),
    /// A token of the member with this login.
    Personal(String),
}

impl OidcIssuer {
    /// An issuer that is known by what its tokens have in `iss`. It allows nothing yet.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), jwks: None, policies: Vec::new(), longest_life: 25 * 3600 }
    }

    /// The issuer's keys, a JSON Web Key Set. With them signatures are checked (RS256, RS384, RS512, ES256 and ES384);
    /// without them tokens are believed.
    pub fn jwks(mut self, keys: Value) -> Self {
        self.jwks = Some(keys);
        self
    }

    /// Lets the bearer of a token with this `sub` have something. A `*` in the subject stands for anything. The token
    /// must be meant for the organization: `aud` must have `urn:pulumi:org:ORGANIZATION`.
    pub fn allow(mut self, subject: impl Into<String>, allowance: Allowance) -> Self {
        self.policies.push(Policy { subject: subject.into(), audience: None, allowance });
        self
    }

    /// The same for a token that is meant for somebody else: its `aud` must have this audience.
    pub fn allow_audience(
        mut self,
        subject: impl Into<String>,
        audience: impl Into<String>,
        allowance: Allowance,
    ) -> Self {
        self.policies.push(Policy { subject: subject.into(), audience: Some(audience.into()), allowance });
        self
    }

    /// How many seconds a token lives at most: 25 hours unless it is set.
    pub fn longest_life(mut self, seconds: i64) -> Self {
        self.longest_life = seconds;
        self
    }

    /// Whether the bearer of the token may have that, by the policies. The organization's name is its own audience.
    pub(crate) fn allows(&self, token: &IdToken, organization: &str, wanted: &Allowance) -> bool {
        self.policies.iter().any(|policy| {
            let own = format!("urn:pulumi:org:{organization}");
            matches(&policy.subject, &token.subject)
                && token.audiences.contains(policy.audience.as_ref().unwrap_or(&own))
                && (policy.allowance == *wanted
                    // Who may be an administrator may be less.
                    || policy.allowance == Allowance::Organization { admin: true }
                        && *wanted == Allowance::Organization { admin: false })
        })
    }

    /// Checks the signature, if there are keys to check it with.
    pub(crate) fn check_signature(&self, token: &IdToken) -> Result<(), String> {
        let Some(keys) = &self.jwks else {
            return Ok(());
        };
        let keys = keys["keys"].as_array().into_iter().flatten();
        let mut candidates =
            keys.filter(|key| token.key_id.is_none() || key["kid"].as_str() == token.key_id.as_deref()).peekable();
        if candidates.peek().is_none() {
            return Err("no key of the issuer has the token's key id".to_owned());
        }
        if candidates.any(|key| token.is_signed_with(key) == Some(true)) {
            Ok(())
        } else {
            Err("the token's signature is invalid".to_owned())
        }
    }
}

/// Whether the text is of the pattern, in which each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|end| text.is_char_boundary(end) && matches(rest, &text[end..]))),
    }
}

/// A JSON Web Token that somebody presents as theirs.
#[derive(Debug)]
pub(crate) struct IdToken {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    audiences: Vec<String>,
    expires: Timestamp,
    not_before: Option<Timestamp>,
    algorithm: String,
    key_id: Option<String>,
    signed: String,
    signature: Vec<u8>,
}

impl IdToken {
    /// Reads the token, believing what it says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let malformed = || "the token is no JSON Web Token".to_owned();
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [header, claims, signature] = parts.as_slice() else {
            return Err(malformed());
        };
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)?).map_err(|_| malformed());
        let signed = format!("{header}.{claims}");
        let (header, claims, signature) = (json(header)?, json(claims)?, bytes(signature)?);
        let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
        let claim = |name: &str| text(&claims, name).ok_or_else(|| format!("the token has no claim {name:?}"));
        let time = |name: &str| {
            let seconds = claims[name].as_f64()?;
            Timestamp::from_duration(jiff::SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
        };
        let audiences = match &claims["aud"] {
            Value::String(audience) => vec![audience.clone()],
            Value::Array(audiences) => audiences.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return Err("the token has no claim \"aud\"".to_owned()),
        };
        Ok(Self {
            issuer: claim("iss")?,
            subject: claim("sub")?,
            audiences,
            expires: time("exp").ok_or("the token has no claim \"exp\"")?,
            not_before: time("nbf"),
            algorithm: text(&header, "alg").ok_or_else(malformed)?,
            key_id: text(&header, "kid"),
            signed,
            signature,
        })
    }

    pub(crate) fn check_time(&self, now: Timestamp) -> Result<(), String> {
        if self.expires <= now {
            return Err("the token has expired".to_owned());
        }
        if self.not_before.is_some_and(|not_before| not_before > now) {
            return Err("the token is not valid yet".to_owned());
        }
        Ok(())
    }

    /// Whether the key made the signature; none when it is not a key for that.
    fn is_signed_with(&self, key: &Value) -> Option<bool> {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
        let (message, signature) = (self.signed.as_bytes(), &self.signature[..]);
        let rsa = |parameters| {
            let key = RsaPublicKeyComponents { n: part("n")?, e: part("e")? };
            Some(key.verify(parameters, message, signature).is_ok())
        };
        let elliptic = |algorithm| {
            let point = [&[4][..], &part("x")?, &part("y")?].concat();
            Some(UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok())
        };
        match self.algorithm.as_str() {
            "RS256" => rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => rsa(&RSA_PKCS1_2048_8192_SHA512),
            "ES256" => elliptic(&ECDSA_P256_SHA256_FIXED),
            "ES384" => elliptic(&ECDSA_P384_SHA384_FIXED),
            _ => None,
        }
    }
}

/// The issuers that an organization trusts, by their URLs.
pub(crate) type Issuers = BTreeMap<String, OidcIssuer>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_match_patterns() {
        assert!(matches("system:serviceaccount:a:b", "system:serviceaccount:a:b"));
        assert!(!matches("system:serviceaccount:a:b", "system:serviceaccount:a:bc"));
        assert!(matches("system:serviceaccount:*:b", "system:serviceaccount:a:b"));
        assert!(!matches("system:serviceaccount:*:b", "system:serviceaccount:a:c"));
        assert!(matches("*", ""));
        assert!(matches("a*b*c", "a-b-b-c"));
    }
}
