//! What counts as a change of a run. Pure.

use crate::pulumi::wire::{Deployment, Job, Step};

/// True when two looks at a run differ in something that a resource's status shows: its state, its jobs and steps
/// with their times, its updates.
///
/// That a running step was "last updated" again is no difference: the time means something only once it has ended.
#[must_use]
pub fn shows_difference(old: &Deployment, new: &Deployment) -> bool {
    old.status != new.status
        || old.version != new.version
        || old.operation != new.operation
        || old.updates != new.updates
        || old.jobs.len() != new.jobs.len()
        || old.jobs.iter().zip(&new.jobs).any(|(old, new)| jobs_differ(old, new))
}

fn jobs_differ(old: &Job, new: &Job) -> bool {
    old.status != new.status
        || old.started != new.started
        || (new.status.is_terminal() && old.last_updated != new.last_updated)
        || old.steps.len() != new.steps.len()
        || old.steps.iter().zip(&new.steps).any(|(old, new)| steps_differ(old, new))
}

fn steps_differ(old: &Step, new: &Step) -> bool {
    old.name != new.name
        || old.status != new.status
        || old.started != new.started
        || (new.status.is_terminal() && old.last_updated != new.last_updated)
}

/// The newer look, with what only the older one can know: a list and a GET by id do not have the same fields.
pub(super) fn combined(old: &Deployment, mut new: Deployment) -> Deployment {
    if new.updates.is_empty() {
        new.updates.clone_from(&old.updates);
    }
    new.latest_version = new.latest_version.or(old.latest_version);
    new.project = new.project.or_else(|| old.project.clone());
    new.stack = new.stack.or_else(|| old.stack.clone());
    new
}

#[cfg(test)]
pub(super) mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    pub(in super::super) fn run(value: Value) -> Deployment {
        serde_json::from_value(value).unwrap()
    }

    fn running() -> Value {
        json!({
            "id": "a", "status": "running", "version": 3, "modified": "2026-01-01 00:00:00.000",
            "jobs": [{
                "status": "running", "started": "2026-01-01T00:00:00Z", "lastUpdated": "2026-01-01T00:00:05Z",
                "steps": [
                    {"name": "Setup", "status": "succeeded", "lastUpdated": "2026-01-01T00:00:04Z"},
                    {"name": "pulumi update", "status": "running", "lastUpdated": "2026-01-01T00:00:05Z"},
                ],
            }],
            "updates": [{"id": "u", "result": "in-progress"}],
        })
    }

    #[rstest]
    #[case::same("/version", json!(3), false)]
    #[case::modified("/modified", json!("2026-01-01 00:00:09.000"), false)]
    #[case::status("/status", json!("failed"), true)]
    #[case::job("/jobs/0/status", json!("failed"), true)]
    #[case::running_job_moved("/jobs/0/lastUpdated", json!("2026-01-01T00:00:09Z"), false)]
    #[case::step("/jobs/0/steps/1/status", json!("failed"), true)]
    #[case::running_step_moved("/jobs/0/steps/1/lastUpdated", json!("2026-01-01T00:00:09Z"), false)]
    #[case::ended_step_moved("/jobs/0/steps/0/lastUpdated", json!("2026-01-01T00:00:09Z"), true)]
    #[case::steps("/jobs/0/steps", json!([]), true)]
    #[case::jobs("/jobs", json!([]), true)]
    #[case::update("/updates/0/result", json!("succeeded"), true)]
    fn what_counts(#[case] path: &str, #[case] value: Value, #[case] expected: bool) {
        let old = run(running());
        let mut new = running();
        *new.pointer_mut(path).unwrap() = value;
        assert_eq!(shows_difference(&old, &run(new)), expected);
    }

    #[test]
    fn a_get_by_id_does_not_take_away_what_a_list_showed() {
        let mut listed = running();
        listed["projectName"] = json!("web");
        let mut by_id = running();
        by_id["updates"] = json!(null);
        by_id["latestVersion"] = json!(9);
        let old = run(listed);
        let new = combined(&old, run(by_id));
        assert!(!shows_difference(&old, &new));
        assert_eq!((new.project.as_deref(), new.latest_version), (Some("web"), Some(9)));
    }
}
