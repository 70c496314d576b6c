//! Access tokens: what is known of them, and what they open.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;
use super::people::{Access, Role, User};

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Personal,
    Organization { admin: bool },
    Team(String),
}

impl TokenKind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Organization { .. } => "organization",
            Self::Team(_) => "team",
        }
    }

    /// The service marks what it issues by its kind.
    fn prefix(&self) -> &'static str {
        match self {
            Self::Personal => "pul-",
            Self::Organization { .. } => "pul-org-",
            Self::Team(_) => "pul-team-",
        }
    }
}

/// What the service notes down of a token that it issued.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) id: String,
    pub(crate) kind: TokenKind,
    pub(crate) name: String,
    pub(crate) description: String,
    /// The organization that the token belongs to; none for a person's.
    pub(crate) organization: Option<String>,
    pub(crate) created_by: String,
    pub(crate) created: Timestamp,
    /// None: it does not expire.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) last_used: Option<Timestamp>,
}

impl Issued {
    pub(crate) fn new(kind: TokenKind, created_by: &str, created: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            kind,
            name: String::new(),
            description: String::new(),
            organization: None,
            created_by: created_by.to_owned(),
            created,
            expires: None,
            last_used: None,
        }
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// As lists show it.
    pub(crate) fn shown(&self) -> Value {
        let seconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_second);
        json!({
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "created": self.created.to_string(),
            "createdBy": self.created_by,
            "lastUsed": seconds(self.last_used),
            "expires": seconds(self.expires),
            "admin": self.kind == TokenKind::Organization { admin: true },
            "type": self.kind.name(),
        })
    }

    /// What the token's user is told of it; nothing about a person's own.
    pub(crate) fn info(&self) -> Option<Value> {
        let team = match &self.kind {
            TokenKind::Personal => return None,
            TokenKind::Organization { .. } => "",
            TokenKind::Team(team) => team,
        };
        Some(json!({"name": self.name, "organization": self.organization, "team": team}))
    }
}

impl World {
    /// What the token opens at that time. An expired one opens nothing.
    pub(crate) fn opened_by(&mut self, token: &str, now: Timestamp) -> Option<Access> {
        let access = self.tokens.get_mut(token)?;
        if let Some(issued) = &mut access.issued {
            if issued.is_expired(now) {
                return None;
            }
            issued.last_used = Some(now);
        }
        Some(access.clone())
    }

    /// Makes a token of the caller's own user and organizations.
    pub(crate) fn issue_personal(&mut self, access: &Access, issued: Issued) -> String {
        self.issue(Access { issued: Some(issued), ..access.clone() })
    }

    /// Makes a token of an organization or of one of its teams.
    pub(crate) fn issue_for_organization(&mut self, organization: &str, mut issued: Issued) -> String {
        let role = if issued.kind == (TokenKind::Organization { admin: true }) { Role::Admin } else { Role::Member };
        issued.organization = Some(organization.to_owned());
        self.issue(Access {
            user: Arc::new(User::new(organization)),
            roles: [(organization.to_owned(), role)].into(),
            issued: Some(issued),
        })
    }

    fn issue(&mut self, access: Access) -> String {
        let prefix = access.issued.as_ref().map_or("pul-", |issued| issued.kind.prefix());
        let value = format!("{prefix}{:032x}{:08x}", rand::random::<u128>(), rand::random::<u32>());
        self.tokens.insert(value.clone(), access);
        value
    }

    /// The issued tokens for which this holds, oldest first.
    pub(crate) fn issued_tokens(&self, is_wanted: impl Fn(&Access, &Issued) -> bool) -> Vec<&Issued> {
        let issued = self.tokens.values().filter_map(|access| Some((access, access.issued.as_ref()?)));
        let mut found: Vec<&Issued> =
            issued.filter(|(access, issued)| is_wanted(access, issued)).map(|(_, issued)| issued).collect();
        found.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        found
    }
}
