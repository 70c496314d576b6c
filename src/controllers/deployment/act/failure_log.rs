//! IO, reads only: the last lines of a failed step's log, with every secret value that the operator knows redacted.

use crate::{
    api::{Deployment, deployment::Run},
    controllers::{Context, Error, connections::Connection, deployment::secrets},
    pulumi::{self, Class, Permit, StepLogQuery, wire::LogLine},
};

/// The most that a page of a log holds.
const PAGE: u32 = 499;
/// A log is read up to this many pages; what lies behind them is not shown.
pub const PAGES: u32 = 20;
/// What is kept of a line, in characters.
const LINE: usize = 300;

/// What is shown instead of a log whose secrets can't all be redacted.
const WITHHELD: &str = "(the log is not shown here: Secrets that it may hold have changed since the run began, or were \
    not in sync then, so they can't be redacted for certain; see the run's URL)";

/// Reads the last lines. `Err` within `Ok` is the service's answer instead of a log.
pub async fn read(
    deployment: &Deployment,
    run: &Run,
    (job, step, name): (u32, u32, &str),
    connection: &Connection,
    permit: &mut Permit,
    context: &Context,
) -> Result<Result<Vec<String>, pulumi::Error>, Error> {
    let wanted = usize::try_from(deployment.spec.failure_log_lines).unwrap_or(0);
    if wanted == 0 {
        return Ok(Ok(vec![]));
    }
    let Some(redactor) = secrets::redactor(deployment, run, connection, context).await? else {
        return Ok(Ok(vec![WITHHELD.to_owned()]));
    };
    // The documents disagree on whether steps count from 0 or from 1; the answer names its step.
    let mut lines = vec![];
    for index in [step, step + 1] {
        match tail(run, (job, index, name), wanted, connection, permit).await {
            Ok(Some(found)) => {
                lines = found;
                break;
            }
            Ok(None) => {}
            Err(error) if matches!(error.class(), Class::Invalid | Class::NotFound) && index == step => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    let clean = |line: &String| {
        redactor.redact(line.trim_end()).chars().filter(|c| !c.is_control() || *c == '\t').take(LINE).collect()
    };
    Ok(Ok(lines.iter().map(clean).collect()))
}

/// The last lines of a step's log; nothing when the answer is about another step.
async fn tail(
    run: &Run,
    (job, step, name): (u32, u32, &str),
    wanted: usize,
    connection: &Connection,
    permit: &mut Permit,
) -> Result<Option<Vec<String>>, pulumi::Error> {
    let stack = connection.stack(&run.target.project, &run.target.stack);
    let mut lines: Vec<String> = vec![];
    let mut offset = 0;
    for _ in 0..PAGES {
        let query = StepLogQuery { job, step, offset, count: PAGE };
        let page = connection.client.step_logs(permit, &stack, &run.id, query).await?;
        if page.name.as_ref().is_some_and(|named| !named.eq_ignore_ascii_case(name)) {
            return Ok(None);
        }
        lines.extend(page.lines.into_iter().map(|LogLine { line, .. }| line).filter(|line| !line.trim().is_empty()));
        lines.drain(..lines.len().saturating_sub(wanted));
        match page.next_offset {
            Some(next) if next > offset => offset = next,
            _ => break,
        }
    }
    Ok(Some(lines))
}
