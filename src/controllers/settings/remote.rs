//! IO, reads only: what the service has of a stack, as far as somebody wants to know it.

use serde_json::Value;

use super::plan::DriftSeen;
use crate::{
    api::StackDeploymentSettings,
    controllers::connections::Connection,
    pulumi::{self, Permit, StackId, wire::Schedule},
};

/// What the service has of a stack.
pub struct Remote {
    /// The settings; `null` when there are none.
    pub document: Value,
    /// The service's counter of changes.
    pub version: Option<u64>,
    /// Whether the stack is paused, where somebody wants to know.
    pub paused: Option<bool>,
    /// The schedules, when some are declared or were made.
    pub schedules: Option<Vec<Schedule>>,
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
    let known = settings.status.as_ref().map(|status| status.schedules.as_slice()).unwrap_or_default();
    let with_drift = settings.spec.schedules.iter().any(|schedule| schedule.drift.is_some());
    let with_metadata = !deleting && (with_drift || settings.spec.paused.is_some());
    let metadata = if with_metadata { Some(connection.client.stack_metadata(permit, stack).await?) } else { None };
    let paused = metadata.as_ref().map(|metadata| metadata.stack_paused);
    let with_schedules = !(known.is_empty() && (deleting || settings.spec.schedules.is_empty()));
    let schedules = if with_schedules { Some(connection.client.schedules(permit, stack).await?) } else { None };
    let drift = metadata.and_then(|metadata| metadata.drift).filter(|_| with_drift).map(|drift| DriftSeen {
        drift,
        version: None,
        url: None,
    });
    Ok(Some(Remote { document, version, paused, schedules, drift }))
}
