//! The one integration-test binary: the real control plane, the simulated Pulumi Cloud, the real operator.

mod blocks;
mod chart;
mod client;
mod control_plane;
mod coverage;
mod crds;
mod demo;
mod deployments;
mod docs;
mod eventually;
mod exactly_once;
mod examples;
mod gitops;
mod organizations;
mod outputs;
mod policy;
mod preview;
mod regressions;
mod release;
mod schedules;
mod secrecy;
mod settings;
mod world;
