//! IO: log lines about where requests stand, each under the id of its request.

use tracing::{field::display, info};

use super::{
    gather::resource,
    plan::Inputs,
    trace::{TraceId, current},
};
use crate::{
    api::{
        Deployment, DeploymentStatus,
        condition::{find, types},
        deployment::{HistoryEntry, Phase, Purpose},
    },
    controllers::runner,
};

/// Says what has changed in where requests stand. What was done says so by itself.
pub fn tell(deployment: &Deployment, inputs: &Inputs, old: &DeploymentStatus, new: &DeploymentStatus) {
    let under = |id: TraceId, line: &dyn Fn()| {
        let span = runner::span(&resource(deployment));
        span.record("trace_id", display(id));
        span.in_scope(line);
    };
    let number = |status: &DeploymentStatus| status.pending.as_ref().map(|pending| pending.number);
    if let (Some(was), true) = (&old.pending, number(old) != number(new))
        && let Some(HistoryEntry { message: Some(why), .. }) =
            new.history.iter().find(|entry| entry.request_number == was.number && entry.id.is_none())
    {
        let id = TraceId::new(&inputs.uid, was.number, &was.digest, Purpose::Main);
        under(id, &|| info!(request = was.number, %why, "never runs"));
    }
    if let (Some(pending), true) = (&new.pending, number(old) != number(new)) {
        let id = TraceId::new(&inputs.uid, pending.number, &pending.digest, Purpose::Main);
        under(id, &|| info!(request = pending.number, trigger = ?pending.trigger, "asked for, and has to wait"));
    }
    let before = find(&old.conditions, types::READY).map(|ready| ready.reason.as_str());
    if let Some((phase, ready)) = new.phase.zip(find(&new.conditions, types::READY)) {
        let (reason, message) = (ready.reason.as_str(), ready.message.as_str());
        let (earlier, now) = (current(inputs, old), current(inputs, new));
        let is_news = (old.phase, before, earlier) != (Some(phase), Some(reason), now);
        // Where a run is created or ends, that says so.
        if is_news && matches!(phase, Phase::Pending | Phase::Running) {
            under(now, &|| info!(%phase, reason, what = message, "stands"));
        }
    }
}
