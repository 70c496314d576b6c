//! The walking of runs, step by step.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Run, output, plan};
use crate::events::Script;
use crate::settings;
use crate::world::deployment::{Operation, Status};
use crate::world::stack::{Hold, Update};
use crate::world::{DeploymentKey, Event, StackKey, World};

impl World {
    /// Plans the deployment's next event and voids the one planned before.
    pub(super) fn plan_progress(&mut self, key: DeploymentKey, at: Timestamp) {
        if let Some(deployment) = self.deployments.get_mut(&key) {
            deployment.generation += 1;
            let generation = deployment.generation;
            self.plan_event(at, Event::Progress(key, generation));
        }
    }

    /// An accepted deployment starts to run, or a running one ends its step.
    pub(crate) fn progress(&mut self, key: DeploymentKey, generation: u64, at: Timestamp) {
        let Some(deployment) = self.deployments.get_mut(&key) else {
            return;
        };
        if deployment.generation != generation {
            return;
        }
        deployment.modified = at;
        match deployment.status {
            Status::Accepted => self.start(key, at),
            Status::Running => self.end_step(key, at),
            _ => {}
        }
    }

    fn start(&mut self, key: DeploymentKey, at: Timestamp) {
        let Some(deployment) = self.deployments.get(&key) else {
            return;
        };
        let Some(stack) = self.stacks.get(&deployment.stack) else {
            return;
        };
        let run = Run::new(plan::plan(self, stack, deployment), at);
        let commit = self.repositories.commit_of(&deployment.settings);
        if let Some(deployment) = self.deployments.get_mut(&key) {
            deployment.status = Status::Running;
            deployment.commit = commit;
            deployment.run = Some(run);
        }
        self.enter_step(key, at);
    }

    fn enter_step(&mut self, key: DeploymentKey, at: Timestamp) {
        let Some(deployment) = self.deployments.get_mut(&key) else {
            return;
        };
        let Some(run) = deployment.run.as_mut() else {
            return;
        };
        run.enter(at);
        let (due, is_pulumi) = (run.due, run.steps[run.current].pulumi.is_some());
        let hold = self.stacks.get(&deployment.stack).and_then(|stack| stack.hold.as_ref());
        let stands = hold.is_some_and(|hold| hold.applies_to(&run.steps[run.current].name));
        if stands {
            run.hold(at);
            deployment.generation += 1;
        }
        if is_pulumi {
            self.begin_update(key, at);
        }
        if !stands {
            self.plan_progress(key, due);
        }
    }

    fn end_step(&mut self, key: DeploymentKey, at: Timestamp) {
        let Some(run) = self.deployments.get_mut(&key).and_then(|deployment| deployment.run.as_mut()) else {
            return;
        };
        let step = &run.steps[run.current];
        let (failed, is_pulumi) = (step.fails, step.pulumi.is_some());
        let fills_cache = !failed && step.name == plan::DEPENDENCIES;
        run.leave(at, failed);
        let is_last = run.current + 1 == run.steps.len();
        if is_pulumi {
            self.end_update(key, at, !failed);
        }
        if fills_cache {
            self.fill_cache(key);
        }
        if failed {
            self.finish(key, Status::Failed, at);
        } else if is_last {
            self.finish(key, Status::Succeeded, at);
        } else {
            if let Some(run) = self.deployments.get_mut(&key).and_then(|deployment| deployment.run.as_mut()) {
                run.current += 1;
            }
            self.enter_step(key, at);
        }
    }

    fn fill_cache(&mut self, key: DeploymentKey) {
        let deployment = self.deployments.get(&key).filter(|deployment| settings::caches(&deployment.settings));
        if let Some(stack) = deployment.and_then(|deployment| self.stacks.get_mut(&deployment.stack)) {
            stack.has_cache = true;
        }
    }

    /// Pulumi begins to work on the stack.
    fn begin_update(&mut self, key: DeploymentKey, at: Timestamp) {
        let Some(deployment) = self.deployments.get(&key) else {
            return;
        };
        let Some(run) = deployment.run.as_ref() else {
            return;
        };
        let Some(work) = run.pulumi() else {
            return;
        };
        let Some(stack) = self.stacks.get(&deployment.stack) else {
            return;
        };
        let version = stack.version() + i64::from(!work.operation.only_looks());
        let update = Update {
            id: Uuid::new_v4().to_string(),
            engine_id: Uuid::new_v4().to_string(),
            version,
            kind: work.operation.update_kind(),
            result: "in-progress",
            message: format!("Deployment {} of {}", deployment.version, stack.name),
            started: at,
            ended: None,
            environment: BTreeMap::from([
                ("ci.build.id".to_owned(), deployment.id.clone()),
                ("ci.build.number".to_owned(), deployment.version.to_string()),
                ("ci.system".to_owned(), "Pulumi Deploy".to_owned()),
                ("exec.agent".to_owned(), "pulumi-deploy-executor".to_owned()),
                ("exec.kind".to_owned(), "cli".to_owned()),
            ])
            .into_iter()
            .chain(deployment.commit.iter().map(|commit| ("git.head".to_owned(), commit.clone())))
            .collect(),
            changes: work.changes.clone(),
            resources: work.resources,
            requested_by: Arc::clone(&deployment.requested_by),
            script: Script {
                changes: work.changes.clone(),
                printed: output::program(&plan::environment(self, stack, deployment)),
                duration: run.steps[run.current].duration,
                recorded: Vec::new(),
            },
        };
        let place = stack.updates.len();
        let stack = deployment.stack;
        if let Some(stack) = self.stacks.get_mut(&stack) {
            stack.updates.push(update);
        }
        if let Some(deployment) = self.deployments.get_mut(&key) {
            deployment.updates.push(place);
        }
    }

    fn end_update(&mut self, key: DeploymentKey, at: Timestamp, succeeded: bool) {
        let Some(deployment) = self.deployments.get(&key) else {
            return;
        };
        let outputs = plan::outputs(deployment);
        let Some(stack) = self.stacks.get_mut(&deployment.stack) else {
            return;
        };
        let before = stack.resources;
        let Some(work) = deployment.run.as_ref().and_then(Run::pulumi) else {
            return;
        };
        let Some(place) = deployment.updates.last().copied() else {
            return;
        };
        let Some(update) = stack.updates.get_mut(place) else {
            return;
        };
        update.ended = Some(at);
        if succeeded {
            update.result = "succeeded";
            stack.resources = update.resources;
            match work.operation {
                Operation::Update | Operation::RemediateDrift => {
                    stack.write_outputs(outputs.as_ref(), &self.cipher);
                }
                Operation::Destroy => stack.clear_outputs(),
                _ => {}
            }
        } else {
            update.result = "failed";
            update.changes.clear();
            update.resources = before;
        }
        if !work.operation.only_looks() {
            stack.keep_version();
        }
        stack.drift.pulumi_ended(key, work.operation, work.finds_drift(), place, succeeded);
    }

    /// Stops a run in the middle.
    pub(super) fn stop_run(&mut self, key: DeploymentKey, at: Timestamp) {
        let Some(run) = self.deployments.get_mut(&key).and_then(|deployment| deployment.run.as_mut()) else {
            return;
        };
        run.leave(at, true);
        if run.steps[run.current].pulumi.is_some() {
            self.end_update(key, at, false);
        }
    }

    /// Makes the stack's runs stand still, now or at a step.
    pub(crate) fn hold(&mut self, stack: StackKey, hold: &Hold, now: Timestamp) {
        let Some(target) = self.stacks.get_mut(&stack) else {
            return;
        };
        target.hold = Some(hold.clone());
        let Some(deployment) = target.active.and_then(|key| self.deployments.get_mut(&key)) else {
            return;
        };
        let Some(run) = deployment.run.as_mut() else {
            return;
        };
        if hold.applies_to(&run.steps[run.current].name) {
            run.hold(now);
            deployment.generation += 1;
        }
    }

    /// Lets the stack's runs go on.
    pub(crate) fn release(&mut self, stack: StackKey, now: Timestamp) {
        let Some(target) = self.stacks.get_mut(&stack) else {
            return;
        };
        target.hold = None;
        let Some(key) = target.active else {
            return;
        };
        let run = self.deployments.get_mut(&key).and_then(|deployment| deployment.run.as_mut());
        if let Some(run) = run
            && run.release(now)
        {
            let due = run.due;
            self.plan_progress(key, due);
        }
    }
}
