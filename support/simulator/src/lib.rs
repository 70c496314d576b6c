//! Pulumi Cloud's Deployments API, simulated over HTTP.
//!
//! The simulator keeps organizations, stacks, deployment settings and deployments in memory, runs deployments in
//! (scaled) real time, and answers the REST API that the service documents. Tests start one in their own process:
//!
//! ```
//! # async fn example() -> Result<(), pulumi_cloud_simulator::SimulatorError> {
//! use pulumi_cloud_simulator::Simulator;
//!
//! let simulator = Simulator::builder()
//!     .token("t")
//!     .organization("acme")
//!     .stack("acme/web/prod")
//!     .speed(50.0)
//!     .start()
//!     .await?;
//! println!("send requests to {}", simulator.url());
//! assert!(simulator.deployments("acme/web/prod").is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! A [`Simulator`] is a handle that is cheap to clone. Its calls do not block and may be made from any thread and any
//! runtime; the server runs in a thread of its own, so one simulator can serve many tests, each with its own
//! organization and token ([`Simulator::add_organization`]).
//!
//! # What a deployment does
//!
//! It waits in its stack's queue, one at a time per stack and so many at once per organization, and then walks the
//! steps `Setup`, `Download deployment executor`, `Fetch provider credentials via OIDC` (with OIDC), `Get source`,
//! `Download dependencies` (unless skipped), `Pre-run command N` (each), and `pulumi update` (`preview`, `destroy`,
//! `refresh`; `Drift detection` and `Drift remediation` for the drift operations). About 40 seconds at speed 1.
//!
//! It fails where a real one would: at a pre-run command that is `false` or contains `exit N`, and at `Get source`
//! when there is no source. Environment variables tell the simulated program what else to do:
//!
//! | Variable | Effect |
//! |---|---|
//! | `SIMULATOR_FAIL_STEP=Get source` | the step of that name fails |
//! | `SIMULATOR_STEP_SECONDS=60` | Pulumi's step takes that long, at speed 1 |
//! | `SIMULATOR_STEP_SECONDS=Setup=9;Get source=1` | those steps take that long |
//! | `SIMULATOR_ECHO=NAME,OTHER` | the program prints the values of these variables, secret ones too |
//! | `SIMULATOR_LOG_LINES=500` | the program prints that many more lines |
//! | `SIMULATOR_RESOURCES=7` | the program has that many resources (4 unless it says so) |
//! | `SIMULATOR_OUTPUTS={"url": "x", "password": {"secret": "y"}}` | what a successful update writes into the state |
//!
//! Pre-run commands know `echo` (with variables, `$NAME` and `${NAME}`) and `printenv NAME`.
//! [`Simulator::hold`] and [`Simulator::hold_at`] make a run stand still until [`Simulator::release`].
//!
//! # Schedules and drift
//!
//! Schedules create deployments at their times, which are those of the real clock, whatever the speed.
//! [`Simulator::fire_schedule`] makes the time of one come now. [`Simulator::set_drift`] makes reality differ from a
//! stack's state: detections find it, and updates, refreshes and remediations end it.
//!
//! # Agents
//!
//! A deployment for an agent pool waits until one of the pool's agents asks for it. The simulator plays an agent of the
//! pools that a test adds ([`Simulator::add_agent_pool`]), and of others on request ([`Simulator::play_agent`]).
//!
//! # Looking on, and interfering
//!
//! [`Simulator::requests`] has every request with what was answered, [`Simulator::settings`] and
//! [`Simulator::deployments`] the state behind the API. [`Simulator::inject`] makes answers go wrong in the ways of real
//! networks and services; see [`Fault`].

mod builder;
mod dialect;
mod dispatch;
mod errors;
mod events;
mod faults;
mod handle;
mod logs;
mod names;
mod oidc;
mod recording;
mod request;
mod routes;
mod run;
mod secrets;
mod server;
mod settings;
mod shared;
mod world;

pub use builder::Builder;
pub use dialect::Dialect;
pub use errors::SimulatorError;
pub use faults::{Fault, FaultAnswer, FaultHandle};
pub use handle::{DeploymentView, Simulator};
pub use oidc::{Allowance, OidcIssuer};
pub use recording::Recorded;
pub use secrets::AutoSecrets;
pub use world::organization::Subscription;

/// The names of the operations, as [`Recorded::operation`] and [`Fault::on`] use them.
pub fn operations() -> impl Iterator<Item = &'static str> {
    routes().map(|(_, _, name)| name)
}

/// The routes that are served: method, path with the names of its variable parts in braces, name of the operation.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    routes::all()
}
