//! Traces: what the controllers tell of runs goes to an OpenTelemetry collector, over OTLP/HTTP. Nothing waits for that,
//! and nothing fails with it.

mod otlp;
mod post;
mod settings;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use self::settings::Settings;
use self::{otlp::Exporter, post::Refusal};
use crate::controllers::deployment::trace::Trace;

/// How many traces wait for the collector at most. Newer ones are lost.
const ROOM: usize = 512;

/// How often a trace is sent before it is given up.
const ATTEMPTS: u32 = 6;

/// How long it waits before the second time; each further wait is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// Where traces are handed in.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    queue: Option<mpsc::Sender<Trace>>,
    lost: Arc<AtomicU64>,
}

impl Traces {
    /// Whether traces go anywhere.
    #[must_use]
    pub const fn are_sent(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands a trace in. It never waits: what there is no room for is lost.
    pub fn send(&self, trace: Trace) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(trace).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends what was handed in.
pub struct Worker {
    queue: mpsc::Receiver<Trace>,
    lost: Arc<AtomicU64>,
    exporter: Exporter,
    works: bool,
}

/// Sets everything up; nothing is sent before the worker runs.
///
/// # Errors
/// When the settings can't be used.
pub fn start(settings: &Settings) -> anyhow::Result<(Traces, Worker)> {
    let exporter = Exporter::new(settings)?;
    let (sender, queue) = mpsc::channel(ROOM);
    let lost = Arc::new(AtomicU64::new(0));
    let traces = Traces { queue: Some(sender), lost: Arc::clone(&lost) };
    Ok((traces, Worker { queue, lost, exporter, works: true }))
}

impl Worker {
    /// Sends until `stop`, and then once what is left. The caller bounds how long that may take.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(trace) = self.next(&stop).await {
            let mut pause = PAUSE;
            for attempt in 1.. {
                let Err(refusal) = self.sends(&trace).await else { break };
                if refusal.is_final || attempt >= ATTEMPTS || stop.is_cancelled() {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                stop.run_until_cancelled(sleep(pause)).await;
                pause *= 2;
            }
        }
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            warn!(lost, "stopped with traces that the collector did not take");
        }
    }

    async fn next(&mut self, stop: &CancellationToken) -> Option<Trace> {
        match stop.run_until_cancelled(self.queue.recv()).await {
            Some(next) => next,
            None => self.queue.try_recv().ok(),
        }
    }

    /// Sends a trace, and says so when that begins to fail or to work.
    async fn sends(&mut self, trace: &Trace) -> Result<(), Refusal> {
        match self.exporter.export(trace).await {
            Ok(()) => {
                if !std::mem::replace(&mut self.works, true) {
                    info!(lost = self.lost.swap(0, Ordering::Relaxed), "traces arrive again");
                }
                debug!(trace_id = %trace.id, spans = trace.spans.len(), "sent a trace");
                Ok(())
            }
            Err(refusal) => {
                let error = &refusal.why;
                if std::mem::replace(&mut self.works, false) {
                    warn!(error, "traces can't be sent; runs go on, and newer traces are kept for a while");
                } else {
                    debug!(error, "traces still can't be sent");
                }
                Err(refusal)
            }
        }
    }
}
