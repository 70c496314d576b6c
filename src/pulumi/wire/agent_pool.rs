//! Pools of self-hosted agents that run deployments.

use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::lenient::{non_empty, or_default, required, secret};
use super::time;

/// An organization's agent pools.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct AgentPools {
    /// The pools.
    #[serde(rename = "agentPools", deserialize_with = "or_default")]
    pub pools: Vec<AgentPool>,
    /// The pool of deployments that name none. None: Pulumi's own agents.
    #[serde(rename = "defaultAgentPoolID", default, deserialize_with = "non_empty")]
    pub default_id: Option<String>,
}

/// A pool, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentPool {
    /// Identifies it; what deployment settings name.
    #[serde(deserialize_with = "required")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// When it was made.
    #[serde(default, deserialize_with = "time::unix")]
    pub created: Option<Timestamp>,
    /// When one of its agents was last heard of.
    #[serde(default, deserialize_with = "time::unix")]
    pub last_seen: Option<Timestamp>,
    /// When it last ran something.
    #[serde(default, deserialize_with = "time::unix")]
    pub last_deployment: Option<Timestamp>,
    /// Whether one of its agents is there.
    #[serde(default)]
    pub status: AgentStatus,
    /// Whether it is the organization's default.
    #[serde(default, deserialize_with = "or_default")]
    pub is_default: bool,
}

/// A pool with its agents.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct AgentPoolDetail {
    /// Identifies it.
    #[serde(deserialize_with = "required")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// When it was made.
    #[serde(default, deserialize_with = "time::unix")]
    pub created: Option<Timestamp>,
    /// Its agents.
    #[serde(default, deserialize_with = "or_default")]
    pub agents: Vec<Agent>,
}

/// An agent of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// The machine that it runs on.
    #[serde(default, deserialize_with = "or_default")]
    pub hostname: String,
    /// Its address.
    #[serde(default, deserialize_with = "or_default")]
    pub ip: String,
    /// Its process there.
    #[serde(default, deserialize_with = "or_default")]
    pub pid: String,
    /// Its platform.
    #[serde(default, deserialize_with = "or_default")]
    pub platform: String,
    /// Its version.
    #[serde(default, deserialize_with = "or_default")]
    pub version: String,
    /// When it was last heard of.
    #[serde(default, deserialize_with = "time::unix")]
    pub last_seen: Option<Timestamp>,
    /// Whether it is there.
    #[serde(default)]
    pub status: AgentStatus,
}

/// Whether an agent, or one of a pool's agents, is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Option<String>")]
pub enum AgentStatus {
    /// It has been heard of lately.
    Online,
    /// It has not.
    Offline,
    /// Something that this version does not know.
    Other(String),
}

impl AgentStatus {
    /// The service's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Other(word) => word,
        }
    }
}

impl Default for AgentStatus {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl From<Option<String>> for AgentStatus {
    fn from(word: Option<String>) -> Self {
        match word.as_deref() {
            Some("online") => Self::Online,
            Some("offline") => Self::Offline,
            _ => Self::Other(word.unwrap_or_default()),
        }
    }
}

impl fmt::Display for AgentStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A pool that was just made.
#[derive(Clone, Debug, Deserialize)]
pub struct CreatedAgentPool {
    /// Identifies it.
    #[serde(deserialize_with = "required")]
    pub id: String,
    /// What its agents prove themselves with. It is shown this once.
    #[serde(rename = "tokenValue", deserialize_with = "secret")]
    pub token: SecretString,
}

/// What a change left of a pool's name and description.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct AgentPoolSummary {
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// What it is for.
    #[serde(deserialize_with = "or_default")]
    pub description: String,
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    #[test]
    fn lists() {
        let pools: AgentPools = serde_json::from_value(json!({
            "agentPools": [
                {"id": "a", "name": "build", "description": "", "created": 1_694_820_531, "lastSeen": 0, "status": "online", "isDefault": true},
                {"id": "b", "lastDeployment": null, "status": "asleep", "more": {}},
            ],
            "defaultAgentPoolID": "a",
        }))
        .unwrap();
        let [one, other] = pools.pools.as_slice() else { panic!("{pools:?}") };
        assert_eq!(one.created, Some("2023-09-15T23:28:51Z".parse().unwrap()));
        assert_eq!((one.last_seen, &one.status, one.is_default), (None, &AgentStatus::Online, true));
        assert_eq!((other.status.to_string().as_str(), other.is_default), ("asleep", false));
        assert_eq!(pools.default_id.as_deref(), Some("a"));
        let none: AgentPools = serde_json::from_value(json!({"agentPools": null})).unwrap();
        assert_eq!((none.pools.len(), none.default_id), (0, None));
        assert!(serde_json::from_value::<AgentPools>(json!({})).is_err());
    }

    #[test]
    fn the_token_does_not_show() {
        let made: CreatedAgentPool = serde_json::from_value(json!({"id": "a", "tokenValue": "pul-hunter2"})).unwrap();
        assert!(!format!("{made:?}").contains("hunter2"));
        assert_eq!(made.token.expose_secret(), "pul-hunter2");
    }
}
