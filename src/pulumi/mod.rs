//! The Pulumi side: what the operator knows about the Pulumi Deployments REST API. It knows HTTP and no Kubernetes.
//!
//! ```text
//!  document (with secrets) ──► client ──HTTP──► Pulumi Cloud
//!                               │  ▲
//!                      wire, error  permit
//!                               ▼  │
//!                 observer ──► governor          one of each per organization or token, shared by all its users
//! ```

pub mod client;
pub mod console;
pub mod document;
pub mod error;
pub mod governor;
pub mod meter;
pub mod observer;
pub mod redact;
pub mod secret;
pub mod stack;
pub mod wire;

pub use client::{
    AgentPoolChange, Client, ClientConfig, Dialect, EventsOf, Feed, Follow, Granularity, ListQuery, Listing, Lookback,
    OPERATIONS, Pages, RequestedToken, Sort, StepLogQuery, Timeouts, TokenExchange, TokenExchangeConfig, TokenRequest,
};
pub use document::Node;
pub use error::{Class, Error};
pub use governor::{Admission, CallClass, Gate, Governor, GovernorSnapshot, Permit, Rate, Waiter, Wake};
pub use meter::{End, Meter, Unmetered};
pub use observer::{Health, Observer, ObserverConfig, Sighting, TrackedRun};
pub use redact::Redactor;
pub use secret::SecretValue;
pub use stack::StackId;
