//! Who is asking, and the stack itself.

use serde::Deserialize;

use super::lenient::{non_empty, or_default, required};

/// `GET /api/user`: whom the token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct User {
    /// The login; for an organization's token, the organization's.
    #[serde(rename = "githubLogin", deserialize_with = "required")]
    pub login: String,
    /// The name to show.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The organizations that the token can see.
    #[serde(default, deserialize_with = "or_default")]
    pub organizations: Vec<Membership>,
    /// What kind of token it is; only machine tokens have this.
    #[serde(rename = "tokenInfo", default)]
    pub token: Option<TokenInfo>,
}

/// An organization that a user is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Membership {
    /// The organization's name, as in a stack's.
    #[serde(rename = "githubLogin", default, deserialize_with = "or_default")]
    pub login: String,
    /// The name to show.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// `admin`, `member`, …
    #[serde(default, deserialize_with = "non_empty")]
    pub role: Option<String>,
}

/// What the service says about a machine token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct TokenInfo {
    /// The token's name (not the token).
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The organization it is for.
    #[serde(default, deserialize_with = "non_empty")]
    pub organization: Option<String>,
    /// The team it is for.
    #[serde(default, deserialize_with = "non_empty")]
    pub team: Option<String>,
}

/// `GET /api/user/organizations/default`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct DefaultOrganization {
    /// The organization that is meant when none is named; none: the user is in no organization.
    #[serde(rename = "GitHubLogin", deserialize_with = "non_empty")]
    pub login: Option<String>,
}

/// `GET` of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Stack {
    /// The organization's name.
    #[serde(rename = "orgName", default, deserialize_with = "or_default")]
    pub organization: String,
    /// The project's name.
    #[serde(rename = "projectName", default, deserialize_with = "or_default")]
    pub project: String,
    /// The stack's own name.
    #[serde(rename = "stackName", deserialize_with = "required")]
    pub stack: String,
    /// The version that its last update left.
    #[serde(default)]
    pub version: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_of_something_else_is_no_stack_and_no_user() {
        for odd in [json!({}), json!([]), json!({"status": "ok"})] {
            assert!(serde_json::from_value::<Stack>(odd.clone()).is_err());
            assert!(serde_json::from_value::<User>(odd).is_err());
        }
        let user: User = serde_json::from_value(json!({"githubLogin": "me", "organizations": null})).unwrap();
        assert_eq!((user.login.as_str(), user.organizations.len()), ("me", 0));
    }
}
