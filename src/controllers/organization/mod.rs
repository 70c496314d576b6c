//! The controller of `Organization`: keeps the way to a Pulumi organization open for everything that uses it.

mod act;
mod gather;
mod keyless;
mod outcome;
mod plan;
mod reason;
mod status;

use std::{collections::HashSet, sync::Arc};

use kube::{ResourceExt, runtime::controller::Action};
use tracing::debug;

pub use self::{keyless::Keyless, reason::Reason};
use super::{
    Context, Error,
    caches::Cached,
    links::{Kind, Link},
    runner::Reconcile,
    write::{self, Object},
};
use crate::api::{Organization, OrganizationStatus, Time};

impl Object for Organization {
    type Status = OrganizationStatus;

    fn status(&self) -> Option<&OrganizationStatus> {
        self.status.as_ref()
    }
}

impl Cached for Organization {}

impl Reconcile for Organization {
    const KIND: Kind = Kind::Organization;

    fn relevance(&self) -> String {
        format!("{:?} {:?}", self.metadata.generation, self.metadata.deletion_timestamp.is_some())
    }

    fn links(&self, _: &Context) -> HashSet<Link> {
        gather::links(self)
    }

    fn forget(&self, context: &Context) {
        let key = format!("{}/{}", self.namespace().unwrap_or_default(), self.name_any());
        context.memory.forget(&self.uid().unwrap_or_default());
        context.connections.remove(&key);
        context.keyless.forget(&key);
        context.observer.disconnect(&key);
    }

    async fn reconcile(self: Arc<Self>, context: Arc<Context>) -> Result<Action, Error> {
        let Some(mut organization) = write::live(&context.kube, &*self).await? else {
            return Ok(Action::await_change());
        };
        if organization.metadata.deletion_timestamp.is_none() {
            organization = write::ensure_metadata(&context.kube, organization, None).await?;
        }
        let uid = organization.uid().unwrap_or_default();
        let old = organization.status.clone().unwrap_or_default();

        let (inputs, permit) = gather::gather(&organization, &context).await?;
        let plan = plan::plan(&inputs);
        debug!(?plan, "planned");
        let outcome = act::act(plan, &organization, permit, &context).await?;
        let new = status::status(&old, &inputs, &outcome, Time::from(jiff::Timestamp::now()));

        let events = status::events(&old, &new);
        write::status(&context.kube, organization, &new).await?;
        context.publish(&*self, events).await;
        Ok(act::next(&outcome, &inputs.renewal, &context, &uid))
    }
}
