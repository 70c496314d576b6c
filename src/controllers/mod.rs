//! The three controllers, and what they share.
//!
//! Each controller has the same rooms, in the order in which data flows through them:
//! `gather` (reads) → `desired` (pure, where there is one) → `plan` (pure) → `act` (writes) → `status` (pure),
//! the words between them in `outcome` and `reason`, and `mod.rs` with the reconcile itself.
//!
//! | question | file |
//! |---|---|
//! | what does every reconcile have at hand? | [`context`] |
//! | what is watched and kept? | [`caches`] |
//! | and what is looked at instead? | [`sweep`] |
//! | who looks again when something changes? | [`links`], [`wake`] |
//! | how do conditions, digests, patches come about? | [`conditions`], [`digest`], [`patch`] |
//! | who may use an organization? | [`access`] |
//! | how does `spec.settings` become a wire document? | [`document`], [`one_of`], [`sources`] |
//! | what follows from a failed call? | [`requeue`] |
//! | how is anything written? | [`mod@write`] |
//! | how does a controller run? | [`runner`] |
//! | who may do what takes long? | [`turns`] |

pub mod access;
pub mod caches;
pub mod conditions;
pub mod connections;
pub mod context;
pub mod deployment;
pub mod digest;
pub mod document;
pub mod links;
pub mod memory;
pub mod one_of;
pub mod organization;
pub mod patch;
pub mod requeue;
pub mod runner;
pub mod settings;
pub mod sources;
pub mod sweep;
pub mod turns;
pub mod wake;
pub mod write;

#[cfg(test)]
mod kstatus;
#[cfg(test)]
mod recorded;

use std::pin::Pin;

pub use context::Context;

/// Why a reconcile could not be finished. What a remote call answered is no such error but part of the outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object changed while it was worked on: everything is planned anew.
    #[error("the object has changed meanwhile")]
    Conflict,
    /// The Kubernetes API refused or did not answer.
    #[error("the Kubernetes API failed: {0}")]
    Kube(#[source] kube::Error),
    /// A status could not be written as JSON.
    #[error("a status could not be serialized: {0}")]
    Serialize(#[from] serde_json::Error),
    /// A bug, caught.
    #[error("the reconcile panicked: {0}")]
    Panic(String),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 409 => Self::Conflict,
            _ => Self::Kube(error),
        }
    }
}

impl Error {
    /// All classes.
    pub const CLASSES: [&'static str; 4] = ["conflict", "kubernetes", "serialize", "panic"];

    /// The class, for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        let [conflict, kubernetes, serialize, panic] = Self::CLASSES;
        match self {
            Self::Conflict => conflict,
            Self::Kube(_) => kubernetes,
            Self::Serialize(_) => serialize,
            Self::Panic(_) => panic,
        }
    }
}

/// Makes a future on the heap, out of the caller's frame: those of a reconcile are large, and all of one function's
/// together would be too much for a thread's stack.
fn on_heap<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(make())
}
