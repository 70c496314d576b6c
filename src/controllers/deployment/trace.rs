//! Pure: the one id of a request, and the trace that is told of its runs.
//!
//! The id is made of nothing but what the request is, so that it is the same after a restart, for a second operator, and
//! before anything was written of it. It is the trace's id and a field of every log line about the request.

mod beginning;
mod spans;

use std::fmt;

use sha2::{Digest, Sha256};

pub use self::{
    beginning::asked_at,
    spans::{Attribute, Ended, Event, Span, Trace, Who, ended},
};
use super::{
    plan::{Inputs, Plan},
    request::{is_new, successor},
};
use crate::{
    api::{
        Deployment, DeploymentStatus,
        deployment::{HandledRequest, Purpose, Run, RunDeletionPolicy},
    },
    controllers::digest::hex,
};

/// Names a request among all of all clusters: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The id of a request: that of a resource with this uid, with this number, for what has this digest. The destruction of
    /// the stack at the resource's end is told apart from what was asked for before.
    #[must_use]
    pub fn new(uid: &str, number: u64, digest: &str, purpose: Purpose) -> Self {
        let is_end = purpose == Purpose::Destroy;
        Self(first(&format!("trace {uid} {number} {digest} {is_end}")))
    }

    fn of_request(uid: &str, request: &HandledRequest, purpose: Purpose) -> Self {
        Self::new(uid, request.number, &request.digest, purpose)
    }

    /// The id of the request that a run is for.
    #[must_use]
    pub fn of_run(uid: &str, run: &Run) -> Self {
        Self::of_request(uid, &run.request, run.purpose)
    }

    /// The bytes that it is made of.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The first bytes of a digest.
fn first<const N: usize>(text: &str) -> [u8; N] {
    let digest = Sha256::digest(text.as_bytes());
    std::array::from_fn(|index| digest[index])
}

/// The id of the newest run, or of the one that is being created; nothing before there is one.
#[must_use]
pub fn newest(deployment: &Deployment) -> Option<TraceId> {
    let (status, uid) = (deployment.status.as_ref()?, deployment.metadata.uid.as_deref()?);
    let intent = status.intent.as_ref().map(|intent| TraceId::of_request(uid, &intent.request, intent.purpose));
    intent.or_else(|| status.run.as_ref().map(|run| TraceId::of_run(uid, run)))
}

/// The id of the request that a plan is about.
#[must_use]
pub fn subject(inputs: &Inputs, status: &DeploymentStatus, plan: &Plan) -> TraceId {
    match plan {
        // What a stack gives out is written beside a request that waits.
        Plan::WriteOutputs(run) => TraceId::of_run(&inputs.uid, run),
        _ => current(inputs, status),
    }
}

/// The id of what a status is about: what is open of an earlier request comes before the one that is asked for now.
#[must_use]
pub fn current(inputs: &Inputs, status: &DeploymentStatus) -> TraceId {
    let uid = &inputs.uid;
    if let Some(intent) = &status.intent {
        return TraceId::of_request(uid, &intent.request, intent.purpose);
    }
    if let Some(run) = status.run.as_ref().filter(|run| run.result.is_none()) {
        return TraceId::of_run(uid, run);
    }
    let is_destroyed = inputs.deletion == Some(RunDeletionPolicy::Destroy);
    let purpose = if is_destroyed { Purpose::Destroy } else { Purpose::Main };
    match &status.request {
        Some(handled) if !is_new(inputs, status) => {
            // A digest in another form was taken for that of the request; the run goes by its own.
            let run = status.run.as_ref().filter(|run| run.request.number == handled.number);
            TraceId::of_request(uid, run.map_or(handled, |run| &run.request), purpose)
        }
        _ => TraceId::new(uid, successor(inputs, status).0, &inputs.request, purpose),
    }
}

#[cfg(test)]
mod tests;
