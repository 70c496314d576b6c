//! The simulator, driven over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail like the tests themselves"
)]

mod agents;
mod auth;
mod binary;
mod conformance;
mod creating;
mod description;
mod drift;
mod faults;
mod listing;
mod load;
mod logs;
mod preview;
mod queue;
mod requests;
mod runs;
mod schedules;
mod secrets;
mod settings;
mod stacks;
mod support;
mod usage;
