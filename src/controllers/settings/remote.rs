//! IO, reads only: what the service has of a stack, as far as somebody wants to know it.

use serde_json::Value;

use super::{
    plan::{DriftSeen, DriftView},
    schedules,
};
use crate::{
    api::{
        StackDeploymentSettings,
        schedule::{DriftResult, DriftStatus},
    },
    controllers::connections::Connection,
    pulumi::{
        self, Class, Permit, StackId,
        console::deployment_url,
        wire::{Drift, Schedule, StackMetadata, Status},
    },
};

/// What the service has of a stack.
pub struct Remote {
    /// The settings; `null` when there are none.
    pub document: Value,
    /// The service's counter of changes.
    pub version: Option<u64>,
    /// Whether the stack is paused, where somebody wants to know.
    pub paused: Option<bool>,
    /// The schedules, when some are declared or were made; or why they can't be read.
    pub schedules: Option<Result<Vec<Schedule>, pulumi::Error>>,
    /// The latest drift detection, when somebody wants to know.
    pub drift: DriftView,
}

/// The remote settings; nothing when the stack does not exist. The service answers 404 for both a missing stack and
/// missing settings, so the stack is asked for when there are none.
pub async fn remote(
    connection: &Connection,
    permit: &mut Permit,
    stack: &StackId,
    settings: &StackDeploymentSettings,
) -> Result<Option<Remote>, pulumi::Error> {
    let deleting = settings.metadata.deletion_timestamp.is_some();
    let (document, version) = match connection.client.settings(permit, stack).await {
        Ok(settings) => (settings.document, settings.version),
        Err(error) if error.is_gone() => match connection.client.stack(permit, stack).await {
            Ok(_) => (Value::Null, None),
            Err(error) if error.is_gone() => return Ok(None),
            Err(error) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let status = settings.status.as_ref();
    let known = status.map(|status| status.schedules.as_slice()).unwrap_or_default();
    let (declared, wants_pause) = (!settings.spec.schedules.is_empty(), settings.spec.paused.is_some());
    let metadata = if !deleting && (declared || wants_pause) {
        Some(tolerated(connection.client.stack_metadata(permit, stack).await)?)
    } else {
        None
    };
    let wants_schedules = schedules::leave_anything(known) || (declared && !deleting);
    let schedules =
        if wants_schedules { Some(tolerated(connection.client.schedules(permit, stack).await)?) } else { None };
    // Where nobody can tell whether it is paused, the attempt to set it does.
    let paused = metadata.as_ref().and_then(|metadata| metadata.as_ref().ok()).map(|metadata| metadata.stack_paused);
    let drift = match metadata {
        None | Some(Ok(StackMetadata { drift: None, .. })) => DriftView::NotAsked,
        Some(Err(_)) => DriftView::Unreadable,
        Some(Ok(StackMetadata { drift: Some(drift), .. })) => {
            let known = status.and_then(|status| status.drift.as_ref());
            seen(connection, permit, stack, drift, known).await?
        }
    };
    Ok(Some(Remote { document, version, paused, schedules, drift }))
}

/// Settings are pushed whether or not the rest can be read: what stands in the way of one feature is said there. What
/// stands in the way of everything is trouble.
fn tolerated<T>(answer: Result<T, pulumi::Error>) -> Result<Result<T, pulumi::Error>, pulumi::Error> {
    match answer {
        Err(error) if matches!(error.class(), Class::Unauthorized | Class::Throttled | Class::NotSent) => Err(error),
        answer => Ok(answer),
    }
}

/// The latest drift detection, with the deployment that it was. That is asked for once for each.
async fn seen(
    connection: &Connection,
    permit: &mut Permit,
    stack: &StackId,
    drift: Drift,
    known: Option<&DriftStatus>,
) -> Result<DriftView, pulumi::Error> {
    let is_known =
        |run: &str| known.is_some_and(|known| known.run.as_deref() == Some(run) && known.detected == drift.detected);
    let latest = drift.latest_run.as_deref().filter(|run| !drift.in_progress && !is_known(run));
    let Some(run) = latest else {
        return Ok(DriftView::Seen(DriftSeen { drift, result: DriftResult::Unknown, version: None, url: None }));
    };
    let run = match tolerated(connection.client.drift_run(permit, stack, run).await)? {
        Ok(run) => run,
        Err(error) if error.is_gone() => return Ok(DriftView::NotAsked),
        Err(_) => return Ok(DriftView::Unreadable),
    };
    let is_remediated = run.remediate_update.is_some_and(|update| update.status == Status::Succeeded);
    let result = match (drift.detected, run.status == Status::Succeeded) {
        _ if is_remediated => DriftResult::Remediated,
        (true, _) => DriftResult::Drifted,
        (false, true) => DriftResult::NoDrift,
        (false, false) => DriftResult::Unknown,
    };
    let version = run.deployment_version;
    let url = version.and_then(|version| deployment_url(connection.client.backend(), stack, version));
    Ok(DriftView::Seen(DriftSeen { drift, result, version, url }))
}
