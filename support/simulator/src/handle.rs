//! The handle by which tests drive the simulator.

mod surroundings;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::builder::Builder;
use crate::errors::SimulatorError;
use crate::faults::{Fault, FaultHandle};
use crate::names::StackName;
use crate::recording::Recorded;
use crate::routes;
use crate::server::Command;
use crate::settings;
use crate::shared::Shared;
use crate::world::agent_pool::AgentPool;
use crate::world::deployment::Deployment;
use crate::world::people::{Role, User};
use crate::world::stack::Hold;
use crate::world::{StackKey, World};

mod schedules;

/// A running simulator. Clones are handles to the same one.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

struct Server {
    address: SocketAddr,
    /// The server ends when this is dropped.
    commands: Mutex<Option<mpsc::UnboundedSender<Command>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Who acts through the library.
    console_user: Arc<User>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("address", &self.server.address).finish_non_exhaustive()
    }
}

/// A deployment as the simulator knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentView {
    /// Its UUID.
    pub id: String,
    /// Its number within the stack, from 1.
    pub version: usize,
    /// `update`, `preview`, …
    pub operation: String,
    /// `not-started`, `accepted`, `running`, `failed`, `succeeded` or `skipped`.
    pub status: String,
    /// Somebody asked to stop it.
    pub canceled: bool,
    /// Taken out of the queue: the API does not show it any more.
    pub removed: bool,
    /// When it was created.
    pub created: Timestamp,
    /// When something last happened to it.
    pub modified: Timestamp,
    /// The login of the user who asked for it.
    pub requested_by: String,
    /// What started it.
    pub initiator: String,
    /// The variables of its settings: name → value in the clear, and whether it is secret.
    pub environment: BTreeMap<String, (String, bool)>,
    /// The commit that it got, once its run has begun.
    pub commit: Option<String>,
    /// The settings it runs with, merged, secrets in the clear as `{"secret": "value"}`.
    pub settings: Value,
    /// The step that runs or ran last; none before it runs.
    pub step: Option<String>,
    /// The names and states of all steps.
    pub steps: Vec<(String, String)>,
}

impl DeploymentView {
    fn of(deployment: &Deployment) -> Self {
        let run = deployment.run.as_ref();
        let steps = run.map_or(&[][..], |run| &run.steps);
        Self {
            id: deployment.id.clone(),
            version: deployment.version,
            operation: deployment.operation.name().to_owned(),
            status: deployment.status.name().to_owned(),
            canceled: deployment.canceled,
            removed: deployment.removed,
            created: deployment.created,
            modified: deployment.modified,
            requested_by: deployment.requested_by.login.clone(),
            initiator: deployment.initiator.clone(),
            environment: settings::environment(&deployment.settings),
            commit: deployment.commit.clone(),
            settings: deployment.settings.clone(),
            step: run.and_then(|run| Some(run.steps.get(run.current)?.name.clone())),
            steps: steps.iter().map(|step| (step.name.clone(), step.status().to_owned())).collect(),
        }
    }
}

impl Simulator {
    /// Begins to build a simulator.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        address: SocketAddr,
        commands: mpsc::UnboundedSender<Command>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self {
            shared,
            server: Arc::new(Server {
                address,
                commands: Mutex::new(Some(commands)),
                thread: Mutex::new(Some(thread)),
                console_user: Arc::new(User::new("console-user")),
            }),
        }
    }

    /// `http://HOST:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    // ---- organizations, tokens, stacks ----

    /// Adds an organization if there is none of that name, and makes the token an administrator's of it. A new token
    /// belongs to a new user, `<organization>-admin`.
    pub fn add_organization(&self, name: &str, token: &str) {
        let mut world = self.shared.world();
        world.add_organization(name);
        world.add_token(token, &format!("{name}-admin"));
        world.grant(token, name, Role::Admin);
    }

    /// Opens an organization to a token, as an administrator. A new token belongs to a new user of that login.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn add_token(&self, organization: &str, token: &str, login: &str) -> Result<(), SimulatorError> {
        self.grant(organization, token, login, Role::Admin)
    }

    /// Like [`Simulator::add_token`], but for a member who is no administrator.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn add_member_token(&self, organization: &str, token: &str, login: &str) -> Result<(), SimulatorError> {
        self.grant(organization, token, login, Role::Member)
    }

    fn grant(&self, organization: &str, token: &str, login: &str, role: Role) -> Result<(), SimulatorError> {
        let mut world = self.shared.world();
        world.organization_mut(organization)?;
        world.add_token(token, login);
        world.grant(token, organization, role);
        Ok(())
    }

    /// Makes a token worthless.
    pub fn revoke_token(&self, token: &str) {
        self.shared.world().tokens.remove(token);
    }

    /// Adds a stack, `organization/project/stack`, unless it exists.
    ///
    /// # Errors
    ///
    /// When the name is none, or the organization is not known.
    pub fn add_stack(&self, stack: &str) -> Result<(), SimulatorError> {
        let name: StackName = stack.parse()?;
        self.shared.world().add_stack(&name, BTreeMap::new()).map(|_| ())
    }

    /// Removes a stack with its settings and deployments.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn remove_stack(&self, stack: &str) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| world.remove_stack(key, Timestamp::now()))
    }

    /// Whether the stack exists.
    #[must_use]
    pub fn has_stack(&self, stack: &str) -> bool {
        self.with_stack(stack, |_, _| ()).is_ok()
    }

    /// Adds an agent pool to an organization; the answer is its id. The simulator plays an agent of it, so that
    /// deployments for it run; a pool that is created over the API has none until one asks for work.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn add_agent_pool(&self, organization: &str, name: &str) -> Result<String, SimulatorError> {
        let mut world = self.shared.world();
        let id = Uuid::new_v4().to_string();
        world.organization_mut(organization)?.agent_pools.insert(id.clone(), AgentPool::new(name, "", true));
        Ok(id)
    }

    /// Makes the simulator play an agent of the pool, or no longer.
    ///
    /// # Errors
    ///
    /// When there is no such organization or pool.
    pub fn play_agent(&self, organization: &str, pool: &str, plays: bool) -> Result<(), SimulatorError> {
        self.shared.world().play_agent(organization, pool, plays, Timestamp::now())
    }

    /// Adds a role to an organization, for deployments to run with.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn add_role(&self, organization: &str, id: &str, name: &str) -> Result<(), SimulatorError> {
        let mut world = self.shared.world();
        world.organization_mut(organization)?.roles.insert(id.to_owned(), name.to_owned());
        Ok(())
    }

    /// Gives a project a template of its own, or takes it away: stacks whose settings name none use it.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn set_project_template(
        &self,
        organization: &str,
        project: &str,
        url: Option<&str>,
    ) -> Result<(), SimulatorError> {
        let mut world = self.shared.world();
        let templates = &mut world.organization_mut(organization)?.templates;
        match url {
            Some(url) => templates.insert(project.to_owned(), url.to_owned()),
            None => templates.remove(project),
        };
        Ok(())
    }

    /// Makes the stack one whose state Terraform keeps: it cannot have deployment settings.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn make_terraform_stack(&self, stack: &str) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| {
            if let Some(stack) = world.stacks.get_mut(&key) {
                stack.is_terraform = true;
            }
        })
    }

    /// How many deployments the organization may run at once.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn set_concurrency(&self, organization: &str, count: usize) -> Result<(), SimulatorError> {
        let mut world = self.shared.world();
        world.organization_mut(organization)?.concurrency = count;
        world.schedule(organization, Timestamp::now());
        Ok(())
    }

    /// Changes the speed of the steps that begin from now on in deployments that are not running yet.
    pub fn set_speed(&self, factor: f64) {
        self.shared.world().speed = factor;
    }

    // ---- what is there ----

    /// The stack's settings, secrets in the clear as `{"secret": "value"}`; none when it has none or does not exist.
    #[must_use]
    pub fn settings(&self, stack: &str) -> Option<Value> {
        self.with_stack(stack, |world, key| {
            let settings = world.stacks[&key].settings.as_ref();
            settings.map(|settings| settings.value.clone())
        })
        .ok()
        .flatten()
    }

    /// The number of the latest write of the stack's settings.
    #[must_use]
    pub fn settings_version(&self, stack: &str) -> Option<i64> {
        self.with_stack(stack, |world, key| {
            let settings = world.stacks[&key].settings.as_ref();
            settings.map(|settings| settings.version)
        })
        .ok()
        .flatten()
    }

    /// All the stack's deployments, oldest first, also those that were taken out of the queue.
    #[must_use]
    pub fn deployments(&self, stack: &str) -> Vec<DeploymentView> {
        self.with_stack(stack, |world, key| {
            let deployments = &world.stacks[&key].deployments;
            let known = deployments.iter().filter_map(|key| world.deployments.get(key));
            known.map(DeploymentView::of).collect()
        })
        .unwrap_or_default()
    }

    /// The stack's deployment of that version.
    #[must_use]
    pub fn deployment(&self, stack: &str, version: usize) -> Option<DeploymentView> {
        self.with_stack(stack, |world, key| {
            let deployment = world.stacks[&key].deployments.get(version.checked_sub(1)?)?;
            world.deployments.get(deployment).map(DeploymentView::of)
        })
        .ok()
        .flatten()
    }

    // ---- what someone else does in the console ----

    /// Merges a patch into the stack's settings. Answers the settings then stored.
    ///
    /// # Errors
    ///
    /// When there is no such stack, or the service would refuse the patch.
    pub fn patch_settings(&self, stack: &str, patch: &Value) -> Result<Value, SimulatorError> {
        self.with_stack(stack, |world, key| {
            let stored = routes::write_settings(world, key, patch, true, "console")?;
            Ok(stored.value)
        })?
    }

    /// Replaces the stack's settings, or with `None` deletes them.
    ///
    /// # Errors
    ///
    /// When there is no such stack, or the service would refuse the settings.
    pub fn replace_settings(&self, stack: &str, settings: Option<&Value>) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| {
            match settings {
                Some(settings) => {
                    routes::write_settings(world, key, settings, false, "console")?;
                }
                None => {
                    if let Some(stack) = world.stacks.get_mut(&key) {
                        stack.settings = None;
                    }
                }
            }
            Ok(())
        })?
    }

    /// Creates a deployment from a request body like `{"operation": "update"}`.
    ///
    /// # Errors
    ///
    /// When there is no such stack, or the service would refuse the request.
    pub fn create_deployment(&self, stack: &str, body: &Value) -> Result<DeploymentView, SimulatorError> {
        let user = Arc::clone(&self.server.console_user);
        self.with_stack(stack, |world, key| {
            let created = routes::create_deployment(world, key, body, user, "console", Timestamp::now())?;
            Ok(DeploymentView::of(&world.deployments[&created]))
        })?
    }

    /// Cancels a deployment by its id.
    ///
    /// # Errors
    ///
    /// When there is no such stack or deployment, or it has come to its end.
    pub fn cancel(&self, stack: &str, id: &str) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| {
            let deployment = world.stacks[&key].by_id.get(id).copied();
            // No deployment has this key: the same answer as for one that is gone.
            world.cancel(deployment.unwrap_or_default(), Timestamp::now())?;
            Ok(())
        })?
    }

    /// Pauses or resumes the stack's queue, whether or not it has settings.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn set_stack_paused(&self, stack: &str, paused: bool) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| world.set_stack_paused(key, paused, Timestamp::now()))
    }

    /// Pauses or resumes the organization's queue.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn set_organization_paused(&self, organization: &str, paused: bool) -> Result<(), SimulatorError> {
        self.shared.world().set_organization_paused(organization, paused, Timestamp::now())
    }

    // ---- time ----

    /// Makes the stack's run stand still in the step it is in; a run that starts later stands in its first step.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn hold(&self, stack: &str) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| world.hold(key, &Hold::Anywhere, Timestamp::now()))
    }

    /// Makes the stack's runs stand still as soon as they are in the step of that name.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn hold_at(&self, stack: &str, step: &str) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| {
            world.hold(key, &Hold::At(step.to_owned()), Timestamp::now());
        })
    }

    /// Lets the stack's runs go on.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn release(&self, stack: &str) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| world.release(key, Timestamp::now()))
    }

    // ---- requests and faults ----

    /// The requests received, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.recorder.all(|_| true)
    }

    /// The requests received whose path names this organization, oldest first.
    #[must_use]
    pub fn requests_of(&self, organization: &str) -> Vec<Recorded> {
        self.requests_where(|request| request.organization.as_deref() == Some(organization))
    }

    /// The requests received for which this holds, oldest first.
    #[must_use]
    pub fn requests_where(&self, predicate: impl Fn(&Recorded) -> bool) -> Vec<Recorded> {
        self.shared.recorder.all(predicate)
    }

    /// Forgets all requests.
    pub fn clear_requests(&self) {
        self.shared.recorder.clear(|_| true);
    }

    /// Forgets the requests whose path names this organization.
    pub fn clear_requests_of(&self, organization: &str) {
        let is_of = |request: &Recorded| request.organization.as_deref() == Some(organization);
        self.shared.recorder.clear(is_of);
    }

    /// Puts a fault in force.
    #[allow(clippy::must_use_candidate, reason = "most faults need no further watching")]
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        self.shared.faults.inject(fault)
    }

    /// Takes all faults away, and lets go what they hold.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    // ---- the server ----

    /// Closes the port and all connections; the state and the runs live on.
    pub async fn stop_listening(&self) {
        let (done, ready) = oneshot::channel();
        if self.command(Command::StopListening(done)) {
            let _ = ready.await;
        }
    }

    /// Opens the same port again.
    ///
    /// # Errors
    ///
    /// When the port was taken in the meantime, or the simulator was stopped.
    pub async fn listen_again(&self) -> Result<(), SimulatorError> {
        let (done, ready) = oneshot::channel();
        let stopped = || SimulatorError::Server("it was stopped".to_owned());
        if !self.command(Command::Listen(done)) {
            return Err(stopped());
        }
        let result = ready.await.map_err(|_| stopped())?;
        result.map_err(|reason| SimulatorError::Listen { address: self.server.address.to_string(), reason })
    }

    fn command(&self, command: Command) -> bool {
        let commands = self.server.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.as_ref().is_some_and(|commands| commands.send(command).is_ok())
    }

    /// Stops the server for good and waits until its port is free. The state can still be read.
    pub async fn stop(&self) {
        self.stop_listening().await;
        let end = |server: &Server| {
            server.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
            server.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        if let Some(thread) = end(&self.server) {
            // Short: the runtime does not wait for what still runs in it.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn with_stack<T>(&self, stack: &str, act: impl FnOnce(&mut World, StackKey) -> T) -> Result<T, SimulatorError> {
        let name: StackName = stack.parse()?;
        let mut world = self.shared.world();
        let key = world.known_stack(&name)?;
        Ok(act(&mut world, key))
    }
}
