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
mod cli;
mod conformance;
mod creating;
mod description;
mod drift;
mod events;
mod exchange;
mod faults;
mod listing;
mod load;
mod logs;
mod organizations;
mod preview;
mod queue;
mod requests;
mod runs;
mod schedules;
mod sdk;
mod secrets;
mod settings;
mod stacks;
mod state;
mod support;
mod tags;
mod tokens;
mod updates;
mod usage;
