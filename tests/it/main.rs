//! The one integration-test binary: the real control plane, the simulated Pulumi Cloud, the real operator.

mod blocks;
mod cancels;
mod chart;
mod client;
mod control_plane;
mod coverage;
mod crds;
mod demo;
mod depends_on;
mod deployments;
mod destroy;
mod eventually;
mod exactly_once;
mod examples;
mod organizations;
mod outputs;
mod policy;
mod preview;
mod regressions;
mod requests;
mod schedules;
mod secrecy;
mod settings;
mod shuffled;
mod world;
