//! IO, reads only: the last lines of a failed step's log, with every secret value that the operator knows redacted.

use kube::ResourceExt;
use tracing::debug;

use crate::{
    api::{Deployment, StackDeploymentSettings, deployment::Run},
    controllers::{Context, Error, connections::Connection, document::references, sources},
    pulumi::{Permit, Redactor, StepLogQuery, wire::LogLine},
};

/// The most that a page of a log holds.
const PAGE: u32 = 499;
/// A log is read up to this many pages; what lies behind them is not shown.
pub const PAGES: u32 = 20;
/// What is kept of a line, in characters.
const LINE: usize = 300;

/// Reads the last lines. A log that cannot be read is no reason to keep a run's end from being told.
pub async fn read(
    deployment: &Deployment,
    run: &Run,
    (job, step, name): (u32, u32, &str),
    connection: &Connection,
    permit: &mut Permit,
    context: &Context,
) -> Result<Vec<String>, Error> {
    let wanted = usize::try_from(deployment.spec.failure_log_lines).unwrap_or(0);
    if wanted == 0 {
        return Ok(vec![]);
    }
    // The documents disagree on whether steps count from 0 or from 1; the answer names its step.
    let mut lines = vec![];
    for index in [step, step + 1] {
        if let Some(found) = tail(run, (job, index, name), wanted, connection, permit).await {
            lines = found;
            break;
        }
    }
    let redactor = redactor(deployment, connection, context).await?;
    Ok(lines
        .iter()
        .map(|line| {
            redactor.redact(line.trim_end()).chars().filter(|c| !c.is_control() || *c == '\t').take(LINE).collect()
        })
        .collect())
}

async fn tail(
    run: &Run,
    (job, step, name): (u32, u32, &str),
    wanted: usize,
    connection: &Connection,
    permit: &mut Permit,
) -> Option<Vec<String>> {
    let stack = connection.stack(&run.target.project, &run.target.stack);
    let mut lines: Vec<String> = vec![];
    let mut offset = 0;
    for _ in 0..PAGES {
        let query = StepLogQuery { job, step, offset, count: PAGE };
        let page = match connection.client.step_logs(permit, &stack, &run.id, query).await {
            Ok(page) => page,
            Err(error) => {
                debug!(%error, "the log of the failed step could not be read");
                break;
            }
        };
        if page.name.as_ref().is_some_and(|named| !named.eq_ignore_ascii_case(name)) {
            return None;
        }
        lines.extend(page.lines.into_iter().map(|LogLine { line, .. }| line).filter(|line| !line.trim().is_empty()));
        lines.drain(..lines.len().saturating_sub(wanted));
        match page.next_offset {
            Some(next) if next > offset => offset = next,
            _ => break,
        }
    }
    Some(lines)
}

/// Knows every secret value that went into the run by way of this operator.
async fn redactor(deployment: &Deployment, connection: &Connection, context: &Context) -> Result<Redactor, Error> {
    let namespace = deployment.namespace().unwrap_or_default();
    let settings: Option<std::sync::Arc<StackDeploymentSettings>> =
        deployment.spec.settings_ref.as_ref().and_then(|reference| context.settings.get(&namespace, &reference.name));
    let documents = deployment.spec.settings.iter().chain(settings.iter().map(|settings| &settings.spec.settings));
    let values = documents.flat_map(references).collect();
    let found = sources::read(&context.kube, &context.key, &namespace, &values).await?;
    Ok(Redactor::new(found.secrets().chain([connection.token.clone()])))
}
