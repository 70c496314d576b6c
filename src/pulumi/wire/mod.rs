//! What the service answers, decoded tolerantly.
//!
//! Unknown fields are ignored and unknown enum values kept as `Other`; absent, `null` and empty mean the same; a
//! timestamp that can't be read is no timestamp. Names and shapes are those of the REST API's GA page and of the
//! service's OpenAPI document.

mod account;
mod agent_pool;
mod deployment;
mod drift;
mod event;
mod lenient;
mod logs;
mod metadata;
mod outputs;
mod page;
mod schedule;
mod secret;
mod settings;
mod status;
mod time;
mod token;
mod update;
mod usage;

pub use account::{DefaultOrganization, Membership, Stack, TokenInfo, User};
pub use agent_pool::{Agent, AgentPool, AgentPoolDetail, AgentPoolSummary, AgentPools, AgentStatus, CreatedAgentPool};
pub use deployment::{Configuration, CreatedDeployment, Deployment, DeploymentPage, Job, Source, Step};
pub use drift::{DriftRun, DriftRunUpdate};
pub use event::{EngineEvent, EngineEvents, EventPayload, ResourceStep};
pub use logs::{LogLine, Logs, StepLogs};
pub use metadata::{DeploymentCounts, Drift, OrganizationMetadata, StackMetadata};
pub use outputs::{Opened, StackOutputs};
pub use page::Page;
pub use schedule::{Schedule, ScheduleEvent};
pub(super) use schedule::{ScheduleHistory, ScheduleList};
pub use secret::{Ciphertext, Plaintext, Plaintexts};
pub use settings::RemoteSettings;
pub use status::{Status, StepStatus};
pub use token::ExchangedToken;
pub use update::{Update, UpdateSummary};
pub use usage::{UsagePoint, UsageRecord, UsageSummary};

pub(super) use page::BareList;
pub(super) use secret::Encrypted;
