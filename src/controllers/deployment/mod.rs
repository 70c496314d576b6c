//! The controller of `Deployment`: one run per request, at most once, followed to its end.

mod act;
mod approval;
mod desired;
mod destroy;
mod drift;
mod gather;
mod history;
mod mirror;
mod outcome;
mod outputs;
mod plan;
mod reason;
mod request;
mod secrets;
mod status;
mod told;
pub mod trace;

use std::{collections::HashSet, sync::Arc};

use kube::{ResourceExt, runtime::controller::Action};
use tracing::{Span, debug, field::display};

pub use self::{drift::remains as drift_remains, reason::Reason};
use self::{
    outcome::Outcome,
    trace::{Trace, Who},
};
use super::{
    Context, Error,
    caches::Cached,
    links::{Kind, Link},
    on_heap,
    runner::Reconcile,
    write::{self, Object},
};
use crate::api::{
    Deployment, DeploymentStatus, Time,
    condition::{find, types},
    deployment::RunDeletionPolicy,
};

impl Object for Deployment {
    type Status = DeploymentStatus;

    fn status(&self) -> Option<&DeploymentStatus> {
        self.status.as_ref()
    }
}

impl Cached for Deployment {
    fn drop_bulk(&mut self) {
        if let Some(status) = &mut self.status {
            status.history = vec![];
            if let Some(run) = &mut status.run {
                (run.jobs, run.updates, run.failure) = (vec![], vec![], None);
            }
        }
    }
}

impl Reconcile for Deployment {
    const KIND: Kind = Kind::Deployment;

    fn relevance(&self) -> String {
        let ready = self.status.as_ref().and_then(|status| find(&status.conditions, types::READY));
        let ready = ready.map(|ready| (ready.status, &ready.reason, ready.observed_generation));
        let deleting = self.metadata.deletion_timestamp.is_some();
        format!("{:?} {deleting} {ready:?} {:?}", self.metadata.generation, gather::request_state(self))
    }

    fn links(&self, context: &Context) -> HashSet<Link> {
        gather::links(self, context)
    }

    fn forget(&self, context: &Context) {
        context.memory.forget(&self.uid().unwrap_or_default());
        act::forget_run(self, context);
    }

    async fn reconcile(self: Arc<Self>, context: Arc<Context>) -> Result<Action, Error> {
        context.wakers.links.set(&gather::resource(&self), gather::links(&self, &context));
        if gather::is_quiescent(&self, &context) {
            return Ok(Action::await_change());
        }
        let Some(mut deployment) = write::live(&context.kube, &*self).await? else { return Ok(Action::await_change()) };
        match deployment.metadata.deletion_timestamp {
            // It was let go, and is only there because others have not let it go yet.
            Some(_) if !write::has_finalizer(&deployment) => return Ok(Action::await_change()),
            None if holds_on(&deployment) => {
                deployment = write::ensure_metadata(&context.kube, deployment, None).await?;
            }
            Some(_) | None => {}
        }
        let old = deployment.status.clone().unwrap_or_default();
        let now = Time::from(jiff::Timestamp::now());

        let (inputs, means) = on_heap(|| gather::gather(&deployment, &context, now)).await?;
        let plan = plan::plan(&inputs, &old);
        Span::current().record("trace_id", display(trace::subject(&inputs, &old, &plan)));
        debug!(?plan, "planned");
        let (deployment, outcome) = on_heap(|| act::act(plan, &inputs, deployment, means, &context, now)).await?;
        if inputs.give_up
            && deployment.spec.deletion_policy != RunDeletionPolicy::Orphan
            && matches!(outcome, Outcome::Released)
        {
            context.gave_up(Self::KIND);
        }
        let before = deployment.status.clone().unwrap_or_default();
        let new = status::status(&before, &inputs, &outcome, now);

        let events = status::events(&old, &new);
        let traces = traces(&context, &deployment, &old, (&new, &outcome), now);
        let action = act::next(&outcome, &inputs, &deployment, &context);
        on_heap(|| write::status(&context.kube, deployment, &new)).await?;
        context.metrics.runs.told(&before, &new);
        context.metrics.convergence.deployment_told(&before, &new);
        told::tell(&self, &inputs, &old, &new);
        for trace in traces {
            context.traces.send(trace);
        }
        context.publish(&*self, events).await;
        Ok(action)
    }
}

/// What can be told of runs once the status is written; nothing where nobody wants to know.
fn traces(
    context: &Context,
    deployment: &Deployment,
    old: &DeploymentStatus,
    (new, outcome): (&DeploymentStatus, &Outcome),
    now: Time,
) -> Vec<Trace> {
    if !context.traces.are_sent() {
        return vec![];
    }
    let who = Who {
        namespace: deployment.namespace().unwrap_or_default(),
        name: deployment.name_any(),
        uid: deployment.uid().unwrap_or_default(),
    };
    trace::ended(&who, old, Some(new).filter(|_| *outcome != Outcome::Released), now)
}

/// Whether it must not be gone before its end was told: a run of it was made, or its end is one.
fn holds_on(deployment: &Deployment) -> bool {
    deployment.status.as_ref().is_some_and(|status| status.run.is_some())
        || deployment.spec.deletion_policy == RunDeletionPolicy::Destroy
}
