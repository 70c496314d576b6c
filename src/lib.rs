//! A Kubernetes operator that drives the Pulumi Deployments REST API declaratively.
//!
//! ```text
//!             Kubernetes                                        Pulumi Cloud
//!  CRs, Secrets ──watch──► queue ─────────────┐        ┌──── observer ◄── list org deployments
//!                                             ▼        ▼
//!    gather ──► desired ──► plan ──► act ──► status ──► one patch (if changed), event, metric, requeue
//!    (reads)    (pure)      (pure)   (writes) (pure)
//! ```
//!
//! * [`api`]: the custom resources. No IO.
//! * [`pulumi`]: the Pulumi side. Knows HTTP, and nothing of Kubernetes.
//! * [`controllers`]: where the two meet; one controller per kind, with the same rooms in each.
//! * [`operator`] puts them together; [`cli`], [`server`], [`metrics`], [`telemetry`], [`traces`] and [`install_key`] are
//!   its shell.

pub mod api;
pub mod cli;
pub mod controllers;
pub mod install_key;
pub mod metrics;
pub mod operator;
pub mod pulumi;
pub mod server;
pub mod telemetry;
pub mod traces;

#[cfg(test)]
mod properties;
