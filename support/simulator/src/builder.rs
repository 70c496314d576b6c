//! Building a simulator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::dialect::Dialect;
use crate::errors::SimulatorError;
use crate::handle::Simulator;
use crate::names::StackName;
use crate::recording::Recorder;
use crate::secrets::AutoSecrets;
use crate::server;
use crate::shared::Shared;
use crate::world::World;
use crate::world::people::Role;

/// What a simulator begins with. Made by [`Simulator::builder`].
#[must_use = "a builder does nothing until it is started"]
#[derive(Debug, Clone)]
pub struct Builder {
    listen: String,
    public_url: Option<String>,
    tokens: Vec<String>,
    organizations: Vec<String>,
    stacks: Vec<String>,
    roles: Vec<(String, String, String)>,
    speed: f64,
    auto_secrets: AutoSecrets,
    queue_expiry: Duration,
    first_step: usize,
    dialect: Dialect,
    kept_requests: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            public_url: None,
            tokens: Vec::new(),
            organizations: Vec::new(),
            stacks: Vec::new(),
            roles: Vec::new(),
            speed: 1.0,
            auto_secrets: AutoSecrets::default(),
            queue_expiry: Duration::from_secs(7 * 24 * 3600),
            first_step: 0,
            dialect: Dialect::default(),
            kept_requests: 100_000,
        }
    }
}

impl Builder {
    /// A token; it opens all the builder's organizations, as an administrator of them.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.tokens.push(token.into());
        self
    }

    /// An organization.
    pub fn organization(mut self, name: impl Into<String>) -> Self {
        self.organizations.push(name.into());
        self
    }

    /// A stack, `organization/project/stack`.
    pub fn stack(mut self, name: impl Into<String>) -> Self {
        self.stacks.push(name.into());
        self
    }

    /// A role of an organization, for deployments to run with.
    pub fn role(mut self, organization: impl Into<String>, id: impl Into<String>, name: impl Into<String>) -> Self {
        self.roles.push((organization.into(), id.into(), name.into()));
        self
    }

    /// How many times faster than the service runs go: at 1 one takes about 40 seconds.
    pub fn speed(mut self, factor: f64) -> Self {
        self.speed = factor;
        self
    }

    /// The address to listen on; `127.0.0.1:0` unless it is set. Port 0 takes any free one.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// The URL to write into answers, when clients reach the simulator under another one than its address.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into().trim_end_matches('/').to_owned());
        self
    }

    /// Which environment variables sent in the clear are made secret.
    pub fn auto_secrets(mut self, rule: AutoSecrets) -> Self {
        self.auto_secrets = rule;
        self
    }

    /// How long a deployment may wait in the queue before it is skipped, in real time: seven days unless it is set.
    pub fn queue_expiry(mut self, time: Duration) -> Self {
        self.queue_expiry = time;
        self
    }

    /// The number by which the logs' query calls a deployment's first step: 0, or 1 (the documents disagree).
    pub fn first_step(mut self, number: usize) -> Self {
        self.first_step = number;
        self
    }

    /// Which routes for deployments are offered: today's and the deprecated ones, unless it is set.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// How many requests are kept for [`Simulator::requests`]: the latest 100,000 unless it is set.
    pub fn keep_requests(mut self, count: usize) -> Self {
        self.kept_requests = count;
        self
    }

    /// Starts the simulator. It runs in a thread of its own, independent of the caller's runtime, until
    /// [`Simulator::stop`] or until the last handle is dropped.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or a stack or a role is named whose organization is not.
    pub async fn start(self) -> Result<Simulator, SimulatorError> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (started, ready) = oneshot::channel();
        let listen = self.listen.clone();
        let thread = std::thread::Builder::new().name("pulumi-cloud-simulator".to_owned());
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("pulumi-cloud-simulator")
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(SimulatorError::Server(error.to_string())));
                    return;
                }
            };
            runtime.block_on(async {
                let bound = self.bind().await;
                let result = bound.and_then(|(listener, address)| {
                    let shared = Arc::new(self.shared(address)?);
                    Ok((listener, address, shared))
                });
                match result {
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                    Ok((listener, address, shared)) => {
                        let _ = started.send(Ok((address, Arc::clone(&shared))));
                        server::run(listener, address, shared, receiver).await;
                    }
                }
            });
            runtime.shutdown_background();
        };
        let thread = thread.spawn(serve).map_err(|error| SimulatorError::Server(error.to_string()))?;
        let (address, shared) = ready
            .await
            .map_err(|_| SimulatorError::Server(format!("its thread ended before listening on {listen}")))??;
        Ok(Simulator::new(shared, address, commands, thread))
    }

    async fn bind(&self) -> Result<(TcpListener, SocketAddr), SimulatorError> {
        let failed = |reason| SimulatorError::Listen { address: self.listen.clone(), reason };
        let listener = TcpListener::bind(&self.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok((listener, address))
    }

    fn shared(&self, address: SocketAddr) -> Result<Shared, SimulatorError> {
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let mut world = World::new(url, self.speed);
        world.auto_secrets = self.auto_secrets;
        world.first_step = self.first_step;
        world.queue_expiry = SignedDuration::try_from(self.queue_expiry).unwrap_or(SignedDuration::MAX);
        for organization in &self.organizations {
            world.add_organization(organization);
        }
        for (index, token) in self.tokens.iter().enumerate() {
            let login = match index {
                0 => "simulator".to_owned(),
                _ => format!("simulator-{}", index + 1),
            };
            world.add_token(token, &login);
            for organization in &self.organizations {
                world.grant(token, organization, Role::Admin);
            }
        }
        for stack in &self.stacks {
            let name: StackName = stack.parse()?;
            world.add_stack(&name, std::collections::BTreeMap::new())?;
        }
        for (organization, id, name) in &self.roles {
            world.organization_mut(organization)?.roles.insert(id.clone(), name.clone());
        }
        Ok(Shared::new(world, Recorder::new(self.kept_requests), self.dialect))
    }
}
