//! Users and what their tokens open.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::tokens::Issued;

/// What a user may do in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Admin,
    Member,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }
}

#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) login: String,
    pub(crate) name: String,
    pub(crate) email: String,
}

impl User {
    pub(crate) fn new(login: &str) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            login: login.to_owned(),
            name: format!("{login} (simulated)"),
            email: format!("{login}@example.com"),
        }
    }

    pub(crate) fn avatar_url(&self) -> String {
        avatar_url(&self.login)
    }

    /// The short form, as deployments and updates carry it.
    pub(crate) fn info(&self) -> Value {
        json!({
            "name": self.name,
            "githubLogin": self.login,
            "avatarUrl": self.avatar_url(),
            "email": self.email,
        })
    }
}

pub(crate) fn avatar_url(login: &str) -> String {
    format!("https://api.pulumi.com/static/avatars/{login}.png")
}

/// What a token opens: a user, and that user's organizations.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) user: Arc<User>,
    pub(crate) roles: BTreeMap<String, Role>,
    /// None for the tokens that the simulator was given.
    pub(crate) issued: Option<Issued>,
}

impl Access {
    pub(crate) fn new(login: &str) -> Self {
        Self { user: Arc::new(User::new(login)), roles: BTreeMap::new(), issued: None }
    }
}
