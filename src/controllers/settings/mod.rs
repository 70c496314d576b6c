//! The controller of `StackDeploymentSettings`: makes the remote settings of a stack what is declared, and keeps them so.
//!
//! [`changes`] and [`import`] show what it knows to people who ask from outside.

mod act;
pub mod changes;
mod desired;
mod equality;
mod gather;
pub mod import;
mod interval;
mod merge;
mod outcome;
mod plan;
mod reason;
mod remote;
mod schedules;
mod status;

use std::{collections::HashSet, sync::Arc};

use kube::runtime::controller::Action;
use tracing::debug;

use self::plan::Deletion;
pub use self::reason::Reason;
use super::{
    Context, Error,
    caches::Cached,
    links::{Kind, Link},
    runner::Reconcile,
    write::{self, Object},
};
use crate::api::{
    StackDeploymentSettings, StackDeploymentSettingsStatus, Time,
    condition::{find, types},
};

impl Object for StackDeploymentSettings {
    type Status = StackDeploymentSettingsStatus;

    fn status(&self) -> Option<&StackDeploymentSettingsStatus> {
        self.status.as_ref()
    }
}

impl Cached for StackDeploymentSettings {}

impl Reconcile for StackDeploymentSettings {
    const KIND: Kind = Kind::Settings;

    fn relevance(&self) -> String {
        let status = self.status.as_ref();
        let ready = status
            .and_then(|status| find(&status.conditions, types::READY))
            .map(|ready| (ready.status, ready.observed_generation));
        let content = status.map(|status| (&status.content_digest, &status.sources));
        format!("{:?} {:?} {ready:?} {content:?}", self.metadata.generation, self.metadata.deletion_timestamp.is_some())
    }

    fn links(&self, context: &Context) -> HashSet<Link> {
        gather::links(self, context)
    }

    async fn reconcile(self: Arc<Self>, context: Arc<Context>) -> Result<Action, Error> {
        let Some(mut settings) = write::live(&context.kube, &*self).await? else { return Ok(Action::await_change()) };
        if settings.metadata.deletion_timestamp.is_none() {
            let link = gather::console_page(&settings, &context);
            settings = write::ensure_metadata(&context.kube, settings, link.as_deref()).await?;
        }
        let old = settings.status.clone().unwrap_or_default();
        let now = Time::from(jiff::Timestamp::now());

        let (inputs, means) = gather::gather(&settings, &context).await?;
        let plan = plan::plan(&inputs, &old, &context.key, now);
        debug!(?plan, "planned");
        let gives_up = inputs.deletion == Deletion::GiveUp && write::has_finalizer(&settings);
        let (settings, outcome) = act::act(plan, settings, means, &context).await?;
        if gives_up {
            context.gave_up(Self::KIND);
        }
        let before = settings.status.clone().unwrap_or_default();
        let new = status::status(&before, &inputs, &outcome, now);

        let events = status::events(&old, &new, &outcome);
        let action = act::next(&outcome, &settings, &new, &context);
        write::status(&context.kube, settings, &new).await?;
        context.metrics.convergence.settings_told(&old, &new);
        context.publish(&*self, events).await;
        Ok(action)
    }
}
