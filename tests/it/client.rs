//! The client, its governor and its observer over real HTTP, against the simulated Pulumi Cloud and its faults.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

mod creations;
mod errors;
mod following;
mod lists;
mod metering;
mod methods;
mod observer;
mod preview;
mod schedules;
mod secrets;
mod surroundings;

use std::sync::Arc;
use std::time::Duration;

use pulumi_cloud_simulator::{Builder, Recorded, Simulator};
use pulumi_deployments_operator::pulumi::{
    Client, ClientConfig, Dialect, Governor, Node, Permit, Rate, SecretValue, StackId, Timeouts,
};

const TOKEN: &str = "pul-0123456789abcdef";
/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A simulated Pulumi Cloud with the stack `acme/web/dev`, and a client of it.
struct Cloud {
    simulator: Simulator,
    client: Client,
    stack: StackId,
}

impl Cloud {
    async fn new() -> Self {
        Self::with_timeouts(Timeouts::default()).await
    }

    async fn with_timeouts(timeouts: Timeouts) -> Self {
        let simulator = builder().start().await.unwrap();
        let client = client(&simulator.url(), TOKEN, timeouts);
        Self { simulator, client, stack: stack("acme/web/dev") }
    }

    /// One that has the deprecated preview routes and no others.
    async fn preview() -> Self {
        let simulator = builder().dialect(pulumi_cloud_simulator::Dialect::PreviewOnly).start().await.unwrap();
        let config = ClientConfig { dialect: Dialect::Preview, ..config(&simulator.url(), TOKEN) };
        let client = Client::new(config).unwrap();
        Self { simulator, client, stack: stack("acme/web/dev") }
    }

    fn requests(&self, operation: &str) -> Vec<Recorded> {
        self.simulator.requests_where(|request| request.operation == operation)
    }
}

fn builder() -> Builder {
    Simulator::builder().token(TOKEN).organization("acme").stack("acme/web/dev").speed(400.0)
}

fn config(backend: &str, token: &str) -> ClientConfig {
    ClientConfig {
        backend: backend.to_owned(),
        token: secret(token),
        dialect: Dialect::Stacks,
        timeouts: Timeouts::default(),
        governor: Governor::new(Rate { per_second: 10_000.0, burst: 1000 }),
    }
}

fn client(backend: &str, token: &str, timeouts: Timeouts) -> Client {
    Client::new(ClientConfig { timeouts, ..config(backend, token) }).unwrap()
}

fn stack(name: &str) -> StackId {
    let mut parts = name.split('/').map(str::to_owned);
    let mut part = || parts.next().unwrap();
    StackId { organization: part(), project: part(), stack: part() }
}

fn permit() -> Permit {
    Permit::unlimited()
}

fn secret(value: &str) -> SecretValue {
    SecretValue::new(value.into(), "fingerprint".to_owned())
}

/// A request to run an update that needs nothing stored.
fn update() -> Node {
    let mut request = Node::object();
    request.insert(&["operation"], "update");
    request.insert(&["sourceContext", "git", "repoURL"], "https://github.com/acme/web.git");
    request.insert(&["sourceContext", "git", "branch"], "main");
    request
}

/// Waits until something holds.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A counter, and a wake that counts.
fn counting() -> (Arc<std::sync::atomic::AtomicUsize>, Arc<dyn Fn() + Send + Sync>) {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let wake = Arc::new(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    (count, wake)
}
