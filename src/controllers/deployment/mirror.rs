//! Pure: what the service says of a run → how status shows it.

use crate::{
    api::{
        Time,
        deployment::{CancelReason, Job, Phase, Run, Step, Update},
    },
    pulumi::wire,
};

/// A look at a run, in status' terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The service's word for where it stands.
    pub status: String,
    /// Where it stands.
    pub stage: Stage,
    /// When the service took it.
    pub queued_at: Option<Time>,
    /// When its first job began.
    pub started_at: Option<Time>,
    /// When it last changed: its end, once it has ended.
    pub modified_at: Option<Time>,
    /// Its jobs with their steps.
    pub jobs: Vec<Job>,
    /// The Pulumi updates that it made.
    pub updates: Vec<Update>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// In the service's queue.
    Queued,
    /// Under way.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Never ran.
    Skipped,
}

impl View {
    /// Reads a deployment of the service.
    #[must_use]
    pub fn of(deployment: &wire::Deployment) -> Self {
        let time = |timestamp: Option<jiff::Timestamp>| timestamp.map(Time::from);
        Self {
            status: deployment.status.as_str().to_owned(),
            stage: match &deployment.status {
                wire::Status::NotStarted | wire::Status::Accepted => Stage::Queued,
                wire::Status::Succeeded => Stage::Succeeded,
                wire::Status::Failed => Stage::Failed,
                wire::Status::Skipped => Stage::Skipped,
                // A status that nobody knows yet is no end.
                wire::Status::Running | wire::Status::Other(_) => Stage::Running,
            },
            queued_at: time(deployment.created),
            started_at: deployment.jobs.iter().filter_map(|job| job.started).min().map(Time::from),
            modified_at: time(deployment.modified),
            jobs: deployment
                .jobs
                .iter()
                .map(|job| Job {
                    status: job.status.as_str().to_owned(),
                    steps: job
                        .steps
                        .iter()
                        .map(|step| Step {
                            name: step.name.clone(),
                            status: step.status.as_str().to_owned(),
                            started_at: time(step.started),
                            finished_at: time(step.last_updated).filter(|_| step.status.is_terminal()),
                        })
                        .collect(),
                })
                .collect(),
            updates: deployment
                .updates
                .iter()
                .map(|update| Update {
                    version: update.version.unwrap_or_default(),
                    kind: update.kind.clone().unwrap_or_default(),
                    result: update.result.clone().unwrap_or_default(),
                    resource_changes: update.resource_changes.clone(),
                })
                .collect(),
        }
    }

    /// How the run ended, when it has. The service has no word for canceled: it is a failure that was asked for.
    #[must_use]
    pub fn result(&self, cancel: Option<CancelReason>) -> Option<Phase> {
        match self.stage {
            Stage::Queued | Stage::Running => None,
            Stage::Succeeded => Some(Phase::Succeeded),
            Stage::Failed => Some(cancel.map_or(Phase::Failed, CancelReason::end)),
            Stage::Skipped => Some(Phase::Skipped),
        }
    }

    /// The failed step: the index of its job, its index there, and its name.
    #[must_use]
    pub fn failed_step(&self) -> Option<(u32, u32, &str)> {
        (0..).zip(&self.jobs).find_map(|(job_index, job)| {
            let (step_index, step) = (0..).zip(&job.steps).find(|(_, step)| step.status == "failed")?;
            Some((job_index, step_index, step.name.as_str()))
        })
    }

    /// Puts what was seen into the run's mirror.
    pub fn show(&self, run: &mut Run) {
        run.status.clone_from(&self.status);
        run.queued_at = self.queued_at.or(run.queued_at);
        run.started_at = self.started_at.or(run.started_at);
        run.jobs.clone_from(&self.jobs);
        run.updates.clone_from(&self.updates);
    }
}

/// The step that runs, or where the run ended, as `4/6 pulumi update`.
#[must_use]
pub fn step_column(run: &Run) -> Option<String> {
    let steps: Vec<&Step> = run.jobs.iter().flat_map(|job| &job.steps).collect();
    let at = steps
        .iter()
        .position(|step| step.status == "failed" || step.status == "running")
        .or_else(|| steps.iter().rposition(|step| step.status != "not-started"))?;
    Some(format!("{}/{} {}", at + 1, steps.len(), steps[at].name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn view(status: &str, steps: &[(&str, &str)]) -> View {
        let steps: Vec<_> = steps.iter().map(|(name, status)| json!({"name": name, "status": status, "started": "2022-10-17T22:12:41.191646Z", "lastUpdated": "2022-10-17T22:12:42.244429Z"})).collect();
        let deployment: wire::Deployment = serde_json::from_value(json!({
            "id": "9e5e1331", "version": 34, "status": status, "created": "2022-10-17 22:12:34.834", "modified": "2022-10-17 22:12:42.411",
            "latestVersion": 34, "requestedBy": {"name": "n", "githubLogin": "l", "avatarUrl": "u"},
            "jobs": [{"status": status, "started": "2022-10-17T22:12:41.191646Z", "lastUpdated": "2022-10-17T22:12:42.411732Z", "steps": steps}],
        }))
        .unwrap();
        View::of(&deployment)
    }

    #[rstest]
    #[case("not-started", None, None)]
    #[case("accepted", None, None)]
    #[case("running", Some(CancelReason::Timeout), None)]
    #[case("something-new", None, None)]
    #[case("succeeded", Some(CancelReason::Timeout), Some(Phase::Succeeded))]
    #[case("failed", None, Some(Phase::Failed))]
    #[case("failed", Some(CancelReason::Superseded), Some(Phase::Canceled))]
    #[case("failed", Some(CancelReason::Deleted), Some(Phase::Canceled))]
    #[case("failed", Some(CancelReason::Timeout), Some(Phase::TimedOut))]
    #[case("failed", Some(CancelReason::QueueTimeout), Some(Phase::TimedOut))]
    #[case("skipped", None, Some(Phase::Skipped))]
    fn results(#[case] status: &str, #[case] cancel: Option<CancelReason>, #[case] expected: Option<Phase>) {
        assert_eq!(view(status, &[]).result(cancel), expected);
    }

    #[test]
    fn the_failed_step_is_found() {
        let view =
            view("failed", &[("Setup", "succeeded"), ("Get source", "failed"), ("pulumi update", "not-started")]);
        assert_eq!(view.failed_step(), Some((0, 1, "Get source")));
        assert_eq!(view.jobs[0].steps[0].finished_at, Some(Time::from_seconds(1_666_044_762)));
    }
}
