//! What became of the stories, read from the cluster.

use anyhow::Result;
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use pulumi_deployments_operator::api::{
    Condition, Deployment, Organization, StackDeploymentSettings, Time,
    condition::{find, is_ready, types},
    deployment::{Failure, Phase},
};

use crate::{stage::NAMESPACE, stories::expectation};

/// How everything stands at one moment.
pub struct Board {
    /// The Deployments.
    pub runs: Vec<Run>,
    /// The stacks' settings.
    pub settings: Vec<Declared>,
    /// The organizations.
    pub organizations: Vec<Declared>,
}

/// How a Deployment stands.
pub struct Run {
    /// Its name, with its namespace if that is another one than usual.
    pub name: String,
    /// What it runs.
    pub operation: String,
    /// How it is to end.
    pub expected: String,
    /// How it ended: its phase, or the reason for which it goes no further.
    pub ended: Option<String>,
    /// Where it stands.
    pub phase: Option<Phase>,
    /// The reason of `Ready`.
    pub reason: String,
    /// The message of `Ready`.
    pub message: String,
    /// The step that runs, or where the run ended.
    pub step: Option<String>,
    /// How many of its steps succeeded, of how many.
    pub steps: Option<(usize, usize)>,
    /// How many runs there were, earlier attempts included.
    pub attempts: usize,
    /// The stack's number of the run.
    pub version: Option<u64>,
    /// How long the run took, in seconds.
    pub seconds: Option<u64>,
    /// Where and how it failed.
    pub failure: Option<Failure>,
}

/// How a resource stands that only has to be made true.
pub struct Declared {
    /// Its name, with its namespace if that is another one than usual.
    pub name: String,
    /// What it is about in Pulumi Cloud.
    pub about: String,
    /// Whether it is true.
    pub ready: bool,
    /// Whether only a person can get it further.
    pub stalled: bool,
    /// Why it stands where it stands.
    pub reason: String,
    /// The same, for people.
    pub message: String,
}

impl Board {
    /// Reads everything.
    pub async fn look(client: &Client) -> Result<Self> {
        let all = ListParams::default();
        let runs = Api::<Deployment>::all(client.clone()).list(&all).await?;
        let settings = Api::<StackDeploymentSettings>::all(client.clone()).list(&all).await?;
        let organizations = Api::<Organization>::all(client.clone()).list(&all).await?;
        Ok(Self {
            runs: runs.iter().map(Run::of).collect(),
            settings: settings
                .iter()
                .map(|settings| {
                    let status = settings.status.as_ref();
                    let stack = status.and_then(|status| status.stack.clone());
                    Declared::of(settings, stack, status.map_or(&[], |status| &status.conditions))
                })
                .collect(),
            organizations: organizations
                .iter()
                .map(|organization| {
                    let status = organization.status.as_ref();
                    let name = status.and_then(|status| status.name.clone());
                    Declared::of(organization, name, status.map_or(&[], |status| &status.conditions))
                })
                .collect(),
        })
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let declared = self.settings.iter().chain(&self.organizations);
        self.runs.iter().all(|run| run.ended.is_some())
            && declared.into_iter().all(|declared| declared.ready || declared.stalled)
    }
}

impl Run {
    fn of(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let conditions = &status.conditions;
        let ready = find(conditions, types::READY);
        let reason = ready.map_or_else(String::new, |ready| ready.reason.clone());
        // What is said of an older spec does not count.
        let current = status.observed_generation == deployment.metadata.generation;
        let terminal = status.phase.filter(|phase| phase.is_terminal()).map(|phase| phase.to_string());
        let stalled = find(conditions, types::STALLED).map(|_| reason.clone());
        // The next word is a person's.
        let is_offered = status.approval.as_ref().is_some_and(|pending| pending.token.is_some());
        let awaits_person = (is_offered || reason == "Suspended").then(|| reason.clone());
        let run = status.run.as_ref();
        let steps: Vec<_> = run.into_iter().flat_map(|run| &run.jobs).flat_map(|job| &job.steps).collect();
        let seconds = |(end, start): (Time, Time)| end.since(start).as_secs();
        Self {
            name: short_name(deployment),
            operation: deployment.spec.operation.to_string(),
            expected: expectation(deployment),
            ended: terminal.or(stalled).or(awaits_person).filter(|_| current),
            phase: status.phase,
            reason,
            message: ready.map_or_else(String::new, |ready| ready.message.clone()),
            step: status.step.clone(),
            steps: (!steps.is_empty())
                .then(|| (steps.iter().filter(|step| step.status == "succeeded").count(), steps.len())),
            attempts: status.history.iter().filter(|entry| entry.id.is_some()).count() + usize::from(run.is_some()),
            version: run.map(|run| run.version),
            seconds: run.and_then(|run| run.finished_at.zip(run.started_at)).map(seconds),
            failure: run.and_then(|run| run.failure.clone()),
        }
    }

    /// Where it stands, or how it ended, in one word.
    #[must_use]
    pub fn word(&self) -> String {
        let phase = || self.phase.map_or_else(|| "…".to_owned(), |phase| phase.to_string());
        self.ended.clone().unwrap_or_else(phase)
    }

    /// Whether it ended as it was to.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.ended.as_ref() == Some(&self.expected)
    }
}

impl Declared {
    fn of(object: &impl Resource<DynamicType = ()>, about: Option<String>, conditions: &[Condition]) -> Self {
        let ready = find(conditions, types::READY);
        Self {
            name: short_name(object),
            about: about.unwrap_or_default(),
            ready: is_ready(conditions, object.meta().generation.unwrap_or_default()),
            stalled: find(conditions, types::STALLED).is_some(),
            reason: ready.map_or_else(String::new, |ready| ready.reason.clone()),
            message: ready.map_or_else(String::new, |ready| ready.message.clone()),
        }
    }
}

fn short_name(object: &impl Resource) -> String {
    match object.meta().namespace.as_deref() {
        Some(namespace) if namespace != NAMESPACE => format!("{namespace}/{}", object.name_any()),
        _ => object.name_any(),
    }
}
