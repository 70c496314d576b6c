//! What the service answers, decoded tolerantly.
//!
//! Unknown fields are ignored and unknown enum values kept as `Other`; absent, `null` and empty mean the same; a
//! timestamp that can't be read is no timestamp. Names and shapes are those of the REST API's GA page and of the
//! service's OpenAPI document.

mod account;
mod deployment;
mod lenient;
mod logs;
mod metadata;
mod schedule;
mod settings;
mod status;
mod time;
mod update;

pub use account::{Membership, Stack, TokenInfo, User};
pub use deployment::{Configuration, CreatedDeployment, Deployment, DeploymentPage, Job, Source, Step};
pub use logs::{LogLine, Logs, StepLogs};
pub use metadata::{DeploymentCounts, Drift, OrganizationMetadata, StackMetadata};
pub use schedule::{Schedule, ScheduleEvent};
pub(super) use schedule::{ScheduleHistory, ScheduleList};
pub use settings::RemoteSettings;
pub use status::{Status, StepStatus};
pub use update::Update;
