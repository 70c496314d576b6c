//! The custom resources: types, schema and validation rules. No IO, and nothing of HTTP.
//!
//! | question | file |
//! |---|---|
//! | what does an `Organization` declare? | [`organization`] |
//! | what does a `StackDeploymentSettings` declare? | [`settings`] |
//! | what does a `Deployment` declare? | [`deployment`] |
//! | what does a person approve? | [`approval`] |
//! | the document under `spec.settings` | [`document`] |
//! | the schedules of a stack, and its drift | [`schedule`] |
//! | secrets, config maps, organizations, stacks: how they are referred to | [`mod@reference`] |
//! | conditions and times in every status | [`condition`], [`time`] |
//! | annotations, labels and the finalizer | [`names`] |
//! | the finished CRD documents | [`crd`] |

#![allow(clippy::duplicated_attributes, reason = "each printer column has a type, and most have the same")]

pub mod approval;
pub mod condition;
pub mod crd;
pub mod deployment;
pub mod document;
pub mod names;
pub mod organization;
pub mod reference;
pub mod schedule;
pub mod settings;
pub mod time;

pub use condition::{Condition, ConditionStatus};
pub use deployment::{Deployment, DeploymentSpec, DeploymentStatus};
pub use organization::{Organization, OrganizationSpec, OrganizationStatus};
pub use settings::{StackDeploymentSettings, StackDeploymentSettingsSpec, StackDeploymentSettingsStatus};
pub use time::{Duration, Time};
