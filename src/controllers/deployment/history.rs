//! Pure: requests that wait, and what is remembered of runs and of requests that never ran.

use super::{
    plan::Inputs,
    request::{is_current, is_new, successor},
};
use crate::api::{
    DeploymentStatus, Time,
    deployment::{HistoryEntry, Operation, PendingRequest, Phase, Purpose, Run, Trigger},
};

/// What is said of a request that never ran.
const REPLACED: &str = "another request took its place before it ran";
const UNAPPROVED: &str = "another request took its place before it was approved";
const TAKEN_BACK: &str = "it was taken back before it ran";

/// What is remembered of a run that makes room for a new one.
#[must_use]
pub fn of_run(run: &Run) -> Option<HistoryEntry> {
    Some(HistoryEntry {
        request_number: run.request.number,
        purpose: run.purpose,
        attempt: run.attempt,
        trigger: run.trigger,
        operation: run.operation,
        id: Some(run.id.clone()),
        version: Some(run.version),
        url: run.url.clone(),
        result: run.result?,
        message: None,
        queued_at: run.queued_at,
        finished_at: run.finished_at,
        failed_step: run.failure.as_ref().and_then(|failure| failure.step.clone()),
        approval: run.approval.clone(),
    })
}

/// Puts an entry where it belongs, the newest request first, and keeps no more than so many.
pub fn remember(history: &mut Vec<HistoryEntry>, entry: HistoryEntry, limit: u32) {
    let newer = history.partition_point(|other| other.request_number > entry.request_number);
    history.insert(newer, entry);
    trim(history, limit);
}

/// Keeps no more than so many.
pub fn trim(history: &mut Vec<HistoryEntry>, limit: u32) {
    history.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
}

/// Brings `status.pending` up to what is asked for. A request that waited and is not asked for any more goes into
/// history; `waits`: one that nobody has noted yet is noted.
///
/// Nothing is decided while it is open whether a create happened, nor once the resource is being deleted.
pub fn note_pending(status: &mut DeploymentStatus, inputs: &Inputs, waits: bool, now: Time) {
    if status.intent.is_some() || inputs.deletion.is_some() {
        return;
    }
    let is_new = is_new(inputs, status);
    if status.pending.as_ref().is_some_and(|pending| is_new && is_current(pending, inputs)) {
        return;
    }
    let has_waited = status.pending.is_some();
    let next = (is_new && (waits || has_waited)).then(|| {
        let (number, trigger) = successor(inputs, status);
        PendingRequest {
            number,
            digest: inputs.request.clone(),
            settings_digest: inputs.asked.settings.digest().cloned(),
            operation: inputs.asked.operation,
            trigger,
            since: now,
        }
    });
    skip(status, inputs, if is_new { REPLACED } else { TAKEN_BACK }, now);
    status.pending = next;
}

/// The request that waits will never run.
pub fn skip(status: &mut DeploymentStatus, inputs: &Inputs, why: &str, now: Time) {
    let Some(pending) = status.pending.take() else { return };
    status.last_skipped = Some(pending.number);
    let PendingRequest { number, trigger, operation, since, .. } = pending;
    let entry = never_ran(number, Some(trigger), operation, why.to_owned(), Some(since), Some(now));
    remember(&mut status.history, entry, inputs.history_limit);
}

/// What is remembered of a request whose preview nobody approved, once the run of another one takes its place.
#[must_use]
pub fn of_unapproved(status: &DeploymentStatus, next: &Run) -> Option<HistoryEntry> {
    let shows_it = |run: &&Run| run.purpose == Purpose::Preview && run.result == Some(Phase::Succeeded);
    let preview = status.run.as_ref().filter(shows_it).filter(|run| run.request.number != next.request.number)?;
    let rejected = status.approval.as_ref().and_then(|offered| offered.rejected.as_ref());
    let why = match rejected.map(|rejected| &rejected.rejected_by) {
        Some(Some(by)) => format!("{by} rejected it"),
        Some(None) => "it was rejected".to_owned(),
        None => UNAPPROVED.to_owned(),
    };
    Some(never_ran(preview.request.number, preview.trigger, Operation::Update, why, preview.finished_at, None))
}

fn never_ran(
    request_number: u64,
    trigger: Option<Trigger>,
    operation: Operation,
    why: String,
    since: Option<Time>,
    until: Option<Time>,
) -> HistoryEntry {
    HistoryEntry {
        request_number,
        purpose: Purpose::Main,
        attempt: 0,
        trigger,
        operation,
        id: None,
        version: None,
        url: None,
        result: Phase::Skipped,
        message: Some(why),
        queued_at: since,
        finished_at: until,
        failed_step: None,
        approval: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::deployment::RunDeletionPolicy,
        controllers::deployment::plan::tests::{handled, inputs, intent, run},
    };

    fn at(seconds: i64) -> Time {
        Time::from_seconds(seconds)
    }

    /// Request 1 has run.
    fn ran() -> DeploymentStatus {
        DeploymentStatus {
            request: Some(handled(1)),
            run: Some(Run { result: Some(Phase::Succeeded), ..run(1) }),
            ..DeploymentStatus::default()
        }
    }

    fn note(status: &mut DeploymentStatus, request: u8, waits: bool, now: i64) -> Option<(u64, Trigger, i64)> {
        note_pending(status, &inputs(request), waits, at(now));
        status.pending.as_ref().map(|pending| (pending.number, pending.trigger, pending.since.seconds()))
    }

    fn told(status: &DeploymentStatus) -> Vec<(u64, &str)> {
        status.history.iter().map(|entry| (entry.request_number, entry.message.as_deref().unwrap_or("ran"))).collect()
    }

    #[test]
    fn what_waits_is_noted_once_and_told_when_it_will_never_run() {
        let mut status = ran();
        assert_eq!(note(&mut status, 2, false, 1), None, "it only settles");
        assert_eq!(note(&mut status, 2, true, 2), Some((2, Trigger::Changed, 2)));
        let noted = status.clone();
        assert_eq!(note(&mut status, 2, false, 3), Some((2, Trigger::Changed, 2)));
        assert_eq!(status, noted);
        assert_eq!(note(&mut status, 3, false, 4), Some((3, Trigger::Changed, 4)));
        assert_eq!(note(&mut status, 1, false, 5), None);
        assert_eq!(told(&status), [(3, TAKEN_BACK), (2, REPLACED)]);
        assert_eq!(note(&mut status, 2, true, 6), Some((4, Trigger::Changed, 6)), "no number is given twice");
    }

    #[test]
    fn nothing_is_decided_while_a_create_is_open_or_after_the_end() {
        let mut open = DeploymentStatus { intent: Some(intent("nonce", 1)), ..DeploymentStatus::default() };
        assert_eq!(note(&mut open, 2, true, 1), None);
        let mut deleted = ran();
        let inputs = Inputs { deletion: Some(RunDeletionPolicy::Cancel), ..inputs(2) };
        note_pending(&mut deleted, &inputs, true, at(1));
        assert_eq!(deleted, ran());
    }

    #[test]
    fn history_is_in_order_and_no_longer_than_wanted() {
        let mut history = vec![];
        for number in [1_u8, 4, 2, 3] {
            remember(&mut history, of_run(&Run { result: Some(Phase::Failed), ..run(number) }).unwrap(), 3);
        }
        assert_eq!(history.iter().map(|entry| entry.request_number).collect::<Vec<_>>(), [4, 3, 2]);
        let mut status = DeploymentStatus::default();
        let inputs = |request| Inputs { history_limit: 0, ..inputs(request) };
        for request in [1, 2, 3] {
            note_pending(&mut status, &inputs(request), true, at(1));
        }
        assert_eq!((status.history.len(), status.last_skipped, status.pending.unwrap().number), (0, Some(2), 3));
        assert_eq!(of_run(&run(1)), None, "it has not ended");
    }

    #[test]
    fn what_was_previewed_and_never_approved_is_told() {
        let preview = Run { purpose: Purpose::Preview, result: Some(Phase::Succeeded), ..run(1) };
        let mut status = DeploymentStatus { run: Some(preview), ..ran() };
        let next = |number| Run { request: handled(number), ..run(2) };
        assert_eq!(of_unapproved(&status, &next(1)), None, "it runs");
        let told = of_unapproved(&status, &next(2)).unwrap();
        assert_eq!((told.request_number, told.result, told.id), (1, Phase::Skipped, None));
        assert!(told.message.unwrap().contains("before it was approved"));
        let offered = serde_json::json!({
            "request": handled(1), "purpose": "Main", "operation": "update", "target": run(1).target,
            "basis": {"overrides": "o"}, "policed": false, "rejected": {"rejectedBy": "anna", "at": at(1)},
        });
        status.approval = serde_json::from_value(offered).unwrap();
        assert_eq!(of_unapproved(&status, &next(2)).unwrap().message.as_deref(), Some("anna rejected it"));
        status.run = ran().run;
        assert_eq!(of_unapproved(&status, &next(2)), None, "it has run");
    }
}
