//! Drift of a stack, and the runs that looked for it.

use uuid::Uuid;

use super::DeploymentKey;
use super::deployment::Operation;

#[derive(Debug, Default)]
pub(crate) struct Drift {
    /// Reality is not what the stack's state says.
    pub(crate) exists: bool,
    /// It was found, and nothing has been done about it since.
    pub(crate) is_known: bool,
    /// Oldest first.
    pub(crate) runs: Vec<DriftRun>,
}

/// A run that looks for drift.
#[derive(Debug)]
pub(crate) struct DriftRun {
    pub(crate) id: String,
    pub(crate) deployment: DeploymentKey,
    pub(crate) found: bool,
    /// Where the update that dealt with what was found is in the stack's history.
    pub(crate) remediation: Option<usize>,
}

impl Drift {
    /// A deployment that looks for drift was created.
    pub(crate) fn begin_run(&mut self, deployment: DeploymentKey) {
        self.runs.push(DriftRun { id: Uuid::new_v4().to_string(), deployment, found: false, remediation: None });
    }

    /// Pulumi came to an end; `update` is the place of what it did in the stack's history.
    pub(crate) fn pulumi_ended(
        &mut self,
        deployment: DeploymentKey,
        operation: Operation,
        found: bool,
        update: usize,
        succeeded: bool,
    ) {
        match operation {
            Operation::Preview => return,
            Operation::DetectDrift => {
                if succeeded {
                    self.is_known = found;
                    if let Some(run) = self.runs.iter_mut().find(|run| run.deployment == deployment) {
                        run.found = found;
                    }
                }
                return;
            }
            Operation::RemediateDrift => {
                if let Some(run) = self.runs.iter_mut().rev().find(|run| run.found) {
                    run.remediation = Some(update);
                }
            }
            Operation::Update | Operation::Refresh | Operation::Destroy => {}
        }
        if succeeded {
            self.exists = false;
            self.is_known = false;
        }
    }
}
