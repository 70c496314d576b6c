//! IO: the only writes to a Deployment's status besides the one at the end of a reconcile.
//!
//! Each is guarded, so that a stale view, or a second operator, fails instead of overwriting.

use backon::{ExponentialBuilder, Retryable};
use kube::{
    Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    api::{
        Deployment, DeploymentStatus,
        deployment::{Cancel, HandledRequest, Intent, Run},
    },
    controllers::{
        Context, Error,
        deployment::{approval::after_record, history, plan::Inputs},
        write,
    },
};

/// Writes the intent to create a run, before it is created.
pub async fn journal(
    context: &Context,
    deployment: Deployment,
    inputs: &Inputs,
    intent: &Intent,
) -> Result<Deployment, Error> {
    let mut next = deployment.status.clone().unwrap_or_default();
    next.uid = deployment.uid();
    history::note_pending(&mut next, inputs, false, intent.time);
    next.intent = Some(intent.clone());
    write::status(&context.kube, deployment, &next).await
}

/// Writes that a request counts as handled, by a run that was there already or by none.
pub async fn take_over(
    context: &Context,
    deployment: Deployment,
    request: HandledRequest,
    run: Option<Run>,
) -> Result<Deployment, Error> {
    let mut next = deployment.status.clone().unwrap_or_default();
    next.uid = deployment.uid();
    next.request = Some(request);
    next.run = run;
    (next.pending, next.refusal, next.approval) = (None, None, None);
    write::status(&context.kube, deployment, &next).await
}

/// Writes that a run is to be canceled, before it is.
pub async fn journal_cancel(context: &Context, deployment: Deployment, cancel: Cancel) -> Result<Deployment, Error> {
    let mut next = deployment.status.clone().unwrap_or_default();
    if let Some(run) = &mut next.run {
        run.cancel = Some(cancel);
    }
    write::status(&context.kube, deployment, &next).await
}

/// Writes that a run is not to be canceled after all, and whether its cancel may have been sent.
pub async fn take_back_cancel(
    context: &Context,
    deployment: Deployment,
    may_have_been_sent: bool,
) -> Result<Deployment, Error> {
    let mut next = deployment.status.clone().unwrap_or_default();
    if let Some(run) = &mut next.run {
        run.cancel_taken_back |= may_have_been_sent;
        run.cancel = None;
    }
    write::status(&context.kube, deployment, &next).await
}

/// Records the run that an intent became. It only tests what it must: a label that was added meanwhile must not
/// make it fail. Repeated until it has landed or the intent is not there any more.
pub async fn record(context: &Context, deployment: &Deployment, run: &Run) -> Result<Deployment, Error> {
    let write = || async {
        let live = write::api(&context.kube, deployment).get(&deployment.name_any()).await?;
        let status = live.status.as_ref().filter(|status| {
            live.uid() == deployment.uid() && status.intent.as_ref().is_some_and(|intent| intent.nonce == run.nonce)
        });
        let Some(status) = status else { return Err(Error::Conflict) };
        let operations = record_patch(&live, status, run, live.spec.history_limit);
        patch_status(context, &live, operations).await
    };
    write
        .retry(
            ExponentialBuilder::default()
                .with_min_delay(std::time::Duration::from_millis(50))
                .with_max_times(8)
                .with_jitter(),
        )
        .when(|error| matches!(error, Error::Kube(_)))
        .await
}

fn record_patch(live: &Deployment, status: &DeploymentStatus, run: &Run, history_limit: u32) -> Vec<Value> {
    let mut history = status.history.clone();
    if let Some(entry) = status.run.as_ref().and_then(history::of_run) {
        history::remember(&mut history, entry, history_limit);
    }
    if let Some(entry) = history::of_unapproved(status, run) {
        history::remember(&mut history, entry, history_limit);
    }
    let mut operations = guards(live, &run.nonce);
    let pending = after_record(status.approval.clone(), run);
    let is_spent = status.approval.is_some() && pending.is_none();
    operations.extend(pending.map(|pending| json!({"op": "add", "path": "/status/approval", "value": pending})));
    operations.extend([
        json!({"op": "add", "path": "/status/run", "value": run}),
        json!({"op": "add", "path": "/status/request", "value": run.request}),
        json!({"op": "add", "path": "/status/history", "value": history}),
        json!({"op": "remove", "path": "/status/intent"}),
    ]);
    let spent = [
        ("refusal", status.refusal.is_some()),
        ("retry", status.retry.is_some()),
        ("pending", status.pending.is_some()),
        ("approval", is_spent),
    ];
    let spent = spent.iter().filter(|(_, is_there)| *is_there);
    operations.extend(spent.map(|(field, _)| json!({"op": "remove", "path": format!("/status/{field}")})));
    operations
}

/// Forgets the intent of a create that did not happen.
pub async fn withdraw(context: &Context, deployment: &Deployment, nonce: &str) -> Result<Deployment, Error> {
    let live = write::live(&context.kube, deployment).await?.ok_or(Error::Conflict)?;
    let mut operations = guards(&live, nonce);
    operations.push(json!({"op": "remove", "path": "/status/intent"}));
    patch_status(context, &live, operations).await
}

fn guards(live: &Deployment, nonce: &str) -> Vec<Value> {
    vec![
        json!({"op": "test", "path": "/metadata/uid", "value": live.uid()}),
        json!({"op": "test", "path": "/status/intent/nonce", "value": nonce}),
    ]
}

/// A failed test is a bare 422, like a schema error: whoever gets one must read again and decide.
async fn patch_status(context: &Context, live: &Deployment, operations: Vec<Value>) -> Result<Deployment, Error> {
    let patch = Patch::<()>::Json(serde_json::from_value(Value::Array(operations))?);
    let result = write::api(&context.kube, live).patch_status(&live.name_any(), &PatchParams::default(), &patch).await;
    result.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 422 => Error::Conflict,
        other => other.into(),
    })
}

/// Takes a person's word, an annotation, away once it was heeded, so that it can't be taken for the next one.
pub async fn forget_word(context: &Context, deployment: Deployment, word: &str) -> Result<Deployment, Error> {
    if !deployment.annotations().contains_key(word) {
        return Ok(deployment);
    }
    let patch = Patch::Merge(json!({"metadata": {"uid": deployment.meta().uid, "annotations": {word: null}}}));
    let api = write::api(&context.kube, &deployment);
    Ok(api.patch(&deployment.name_any(), &PatchParams::default(), &patch).await?)
}

/// The run that an intent becomes.
#[must_use]
pub fn run_of(intent: &Intent, id: String, version: u64, url: Option<String>, status: &str) -> Run {
    let Intent {
        nonce,
        request,
        purpose,
        attempt,
        trigger,
        asked_at,
        operation,
        target,
        holder: _,
        time: _,
        version_floor: _,
        server_date: _,
        secrets,
        basis,
        approval,
    } = intent;
    Run {
        request: request.clone(),
        purpose: *purpose,
        attempt: *attempt,
        trigger: *trigger,
        asked_at: *asked_at,
        nonce: nonce.clone(),
        secrets: secrets.clone(),
        operation: *operation,
        target: target.clone(),
        id,
        version,
        url,
        status: status.to_owned(),
        queued_at: None,
        started_at: None,
        finished_at: None,
        jobs: vec![],
        updates: vec![],
        cancel: None,
        cancel_taken_back: false,
        basis: basis.clone(),
        approval: approval.clone(),
        result: None,
        failure: None,
    }
}
