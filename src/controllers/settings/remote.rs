//! IO, reads only: what the service has of a stack, as far as somebody wants to know it.

use serde_json::Value;

use super::plan::DriftSeen;
use crate::{
    api::{StackDeploymentSettings, schedule::DriftStatus},
    controllers::connections::Connection,
    pulumi::{
        self, Class, Permit, StackId,
        console::deployment_url,
        wire::{Drift, Schedule, Status},
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
    /// The schedules, when some are declared or were made; or why the backend has none.
    pub schedules: Option<Result<Vec<Schedule>, pulumi::Error>>,
    /// The latest drift detection, when it is scheduled here.
    pub drift: Option<DriftSeen>,
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
    let with_drift = settings.spec.schedules.iter().any(|schedule| schedule.drift.is_some());
    let metadata = if !deleting && (with_drift || settings.spec.paused.is_some()) {
        supported(connection.client.stack_metadata(permit, stack).await)?.ok()
    } else {
        None
    };
    let paused = metadata.as_ref().map(|metadata| metadata.stack_paused);
    let with_schedules = !(known.is_empty() && (deleting || settings.spec.schedules.is_empty()));
    let schedules =
        if with_schedules { Some(supported(connection.client.schedules(permit, stack).await)?) } else { None };
    let drift = match metadata.and_then(|metadata| metadata.drift).filter(|_| with_drift) {
        Some(drift) => {
            Some(seen(connection, permit, stack, drift, status.and_then(|status| status.drift.as_ref())).await?)
        }
        None => None,
    };
    Ok(Some(Remote { document, version, paused, schedules, drift }))
}

/// What the backend's dialect lacks is not trouble: it is said where it was asked for, and the rest goes on.
fn supported<T>(answer: Result<T, pulumi::Error>) -> Result<Result<T, pulumi::Error>, pulumi::Error> {
    match answer {
        Err(error) if error.class() != Class::Unsupported => Err(error),
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
) -> Result<DriftSeen, pulumi::Error> {
    let latest = drift.latest_run.as_deref().filter(|_| !drift.in_progress);
    let Some(run) = latest.filter(|latest| known.is_none_or(|known| known.run != *latest)) else {
        return Ok(DriftSeen { drift, remediated: false, version: None, url: None });
    };
    let (version, remediated) = match connection.client.drift_run(permit, stack, run).await {
        Ok(run) => {
            let remediated = run.remediate_update.is_some_and(|update| update.status == Status::Succeeded);
            (run.deployment_version, remediated)
        }
        Err(error) if error.is_gone() => (None, false),
        Err(error) => return Err(error),
    };
    let url = version.and_then(|version| deployment_url(connection.client.backend(), stack, version));
    Ok(DriftSeen { drift, remediated, version, url })
}
