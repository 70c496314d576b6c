//! What Pulumi's engine tells while it works on a stack.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::stack::{Stack, Update};

/// What an update tells: fixed when it begins, except for what others add.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// What it will do to how many resources.
    pub(crate) changes: BTreeMap<&'static str, u64>,
    /// What the program prints.
    pub(crate) printed: Vec<String>,
    /// How long it takes when nothing stops it.
    pub(crate) duration: SignedDuration,
    /// Events that were sent to the service, with their times.
    pub(crate) recorded: Vec<(Timestamp, Value)>,
}

/// The events told until `now`, oldest first. Later calls answer these and more.
pub(crate) fn told(update: &Update, stack: &Stack, now: Timestamp) -> Vec<Value> {
    let planned = planned(update, stack);
    let pace = update.script.duration / i32::try_from(planned.len() + 1).unwrap_or(i32::MAX);
    let mut time = update.started;
    let mut events: Vec<(Timestamp, Value)> = Vec::new();
    for event in planned {
        time = time.checked_add(pace).unwrap_or(Timestamp::MAX);
        // One that has succeeded has told all, whatever the rounding says.
        let until = match update.ended {
            Some(ended) if update.result == "succeeded" => {
                time = time.min(ended);
                ended
            }
            Some(ended) => ended.min(now),
            None => now,
        };
        if time > until {
            break;
        }
        events.push((time, event));
    }
    if let Some(ended) = update.ended {
        events.extend(closing(update, stack, ended).into_iter().map(|event| (ended, event)));
    }
    events.extend(update.script.recorded.iter().cloned());
    events.sort_by_key(|(time, _)| *time);
    let stamped = events.into_iter().map(|(time, mut event)| {
        if event["timestamp"].is_null() {
            event["timestamp"] = time.as_second().into();
        }
        event
    });
    stamped.collect()
}

/// An event with one payload, which its type names.
fn event(kind: &str, payload: &Value) -> Value {
    json!({"type": kind, kind: payload})
}

fn planned(update: &Update, stack: &Stack) -> Vec<Value> {
    let mut events = vec![event("preludeEvent", &json!({"config": {}}))];
    let is_refresh = matches!(update.kind, "refresh" | "Prefresh");
    let count = |op: &str| update.script.changes.get(op).copied().unwrap_or(0);
    let kept = std::iter::repeat_n("same", to_usize(count("same")));
    let touched = kept.chain(std::iter::repeat_n("update", to_usize(count("update"))));
    let created = touched.chain(std::iter::repeat_n("create", to_usize(count("create"))));
    let mut steps: Vec<(u64, &str)> =
        (0..).zip(created.chain(std::iter::repeat_n("delete", to_usize(count("delete"))))).collect();
    // Children go before their parents.
    let kept = steps.iter().take_while(|(_, op)| *op != "delete").count();
    steps[kept..].reverse();
    for (number, op) in steps {
        let op = if is_refresh { "refresh" } else { op };
        let payload = json!({
            "metadata": step(stack, number, op),
            "planning": update.only_looks(),
        });
        events.push(event("resourcePreEvent", &payload));
        events.push(event("resOutputsEvent", &payload));
    }
    for line in &update.script.printed {
        events.push(event("diagnosticEvent", &diagnostic(stack, "info", line)));
    }
    events
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn diagnostic(stack: &Stack, severity: &str, message: &str) -> Value {
    json!({
        "urn": stack.urn(0),
        "prefix": if severity == "error" { "error: " } else { "" },
        "message": message,
        "color": "raw",
        "severity": severity,
    })
}

/// What happens to one resource.
fn step(stack: &Stack, number: u64, op: &str) -> Value {
    let is_root = number == 0;
    let (urn, kind) = (stack.urn(number), Stack::resource_type(number));
    let provider = if is_root { String::new() } else { stack.provider() };
    let state = |exists: bool| {
        if !exists {
            return Value::Null;
        }
        json!({
            "type": kind,
            "urn": urn,
            "custom": !is_root,
            "id": if is_root { String::new() } else { format!("resource-{number}") },
            "parent": if is_root { String::new() } else { stack.urn(0) },
            "provider": provider,
            "inputs": {},
            "outputs": {},
        })
    };
    json!({
        "op": op,
        "urn": urn,
        "type": kind,
        "old": state(op != "create"),
        "new": state(op != "delete"),
        "detailedDiff": {},
        "logical": true,
        "provider": provider,
    })
}

/// What an update that has ended tells at last.
fn closing(update: &Update, stack: &Stack, ended: Timestamp) -> Vec<Value> {
    let mut events = Vec::new();
    if update.result != "succeeded" {
        let message = format!("{} failed\n", update.kind);
        events.push(event("diagnosticEvent", &diagnostic(stack, "error", &message)));
    }
    let summary = json!({
        "maybeCorrupt": false,
        "durationSeconds": ended.duration_since(update.started).as_secs(),
        "resourceChanges": update.changes,
        "PolicyPacks": {},
        "isPreview": update.only_looks(),
        "result": update.result,
    });
    events.push(event("summaryEvent", &summary));
    events.push(event("cancelEvent", &json!({})));
    events
}
