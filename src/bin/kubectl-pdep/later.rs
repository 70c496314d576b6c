//! What is read from a resource without its type: fields that another version of the operator may not have, or has in
//! another form. What is not there is not shown.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What a Deployment waits to have approved (`status.approval`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Approval {
    /// What an approval must carry.
    pub token: String,
    /// The request that it is about.
    pub request_number: Option<u64>,
    /// The preview of what would happen.
    pub preview: Option<Preview>,
    /// The commit that would run.
    pub commit: Option<String>,
    /// How many resources would be created, updated, deleted, …
    pub resource_changes: BTreeMap<String, u64>,
}

/// A preview.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Preview {
    /// The stack's number of it.
    pub version: Option<u64>,
    /// Where people look at it.
    pub url: Option<String>,
}

/// A run, past or present, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PastRun {
    /// The request that it was for.
    pub request_number: Option<u64>,
    /// What it was for.
    pub purpose: Option<String>,
    /// Counts the runs for this request from 1.
    pub attempt: Option<u64>,
    /// The operation.
    pub operation: Option<String>,
    /// The stack's number of it; none for a request that came to nothing.
    pub version: Option<u64>,
    /// How it ended.
    pub result: Option<String>,
    /// When the service took it.
    pub queued_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// The step that failed.
    pub failed_step: Option<String>,
    /// Who approved it.
    pub approved_by: Option<String>,
}

/// What a Deployment waits to have approved.
pub fn approval(deployment: &Value) -> Option<Approval> {
    let told = deployment.pointer("/status/approval")?;
    let approval: Approval = serde_json::from_value(told.clone()).ok()?;
    let request_number = told.pointer("/request/number").and_then(Value::as_u64);
    (!approval.token.is_empty()).then_some(Approval { request_number, ..approval })
}

/// The runs of a Deployment, the newest first.
pub fn runs(deployment: &Value) -> Vec<PastRun> {
    let past = deployment.pointer("/status/history").and_then(Value::as_array).into_iter().flatten();
    let past = past.filter_map(past_run);
    current(deployment).into_iter().chain(past).collect()
}

fn past_run(told: &Value) -> Option<PastRun> {
    let approved_by = told.pointer("/approval/approvedBy").and_then(Value::as_str).map(ToOwned::to_owned);
    Some(PastRun { approved_by, ..serde_json::from_value(told.clone()).ok()? })
}

fn current(deployment: &Value) -> Option<PastRun> {
    let run = deployment.pointer("/status/run")?;
    let named = past_run(run)?;
    let text = |pointer: &str| run.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
    Some(PastRun {
        request_number: run.pointer("/request/number").and_then(Value::as_u64),
        result: named.result.or_else(|| text("/status")),
        failed_step: text("/failure/step"),
        ..named
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_approval_needs_a_token_and_nothing_else() {
        assert_eq!(approval(&json!({})), None);
        assert_eq!(approval(&json!({"status": {"approval": {"commit": "c0ffee"}}})), None);
        let waiting = json!({"status": {"approval": {
            "token": "t", "request": {"number": 3}, "preview": {"id": "x", "version": 7, "url": "https://app/7"},
            "resourceChanges": {"create": 2}, "news": true}}});
        let waiting = approval(&waiting).unwrap();
        assert_eq!((waiting.token.as_str(), waiting.request_number), ("t", Some(3)));
        assert_eq!(waiting.preview.unwrap().version, Some(7));
    }

    #[test]
    fn the_newest_run_comes_first_and_odd_entries_are_left_out() {
        let runs = runs(&json!({"status": {
            "run": {"request": {"number": 2}, "purpose": "Main", "attempt": 1, "version": 9, "status": "running",
                "failure": {"step": "Get source"}},
            "history": [{"requestNumber": 1, "result": "Skipped", "approval": {"approvedBy": "ann"}}, "odd"],
        }}));
        assert_eq!(runs.len(), 2);
        assert_eq!((runs[0].request_number, runs[0].result.as_deref()), (Some(2), Some("running")));
        assert_eq!(runs[0].failed_step.as_deref(), Some("Get source"));
        assert_eq!(runs[1].approved_by.as_deref(), Some("ann"));
        assert_eq!((runs[1].version, runs[1].result.as_deref()), (None, Some("Skipped")));
    }
}
