//! What a deployment will do, from its settings alone: the steps, their length, what fails and what is printed.

use serde_json::Value;

use super::output::{self, Environment};
use super::{PulumiWork, Step};
use crate::settings;
use crate::world::World;
use crate::world::deployment::{Deployment, Operation};
use crate::world::stack::Stack;

/// Variables by which a test tells the simulated program what to do.
const FAIL_STEP: &str = "SIMULATOR_FAIL_STEP";
const STEP_SECONDS: &str = "SIMULATOR_STEP_SECONDS";
const RESOURCES: &str = "SIMULATOR_RESOURCES";
const OUTPUTS: &str = "SIMULATOR_OUTPUTS";

/// The step whose result is cached.
pub(super) const DEPENDENCIES: &str = "Download dependencies";

/// How many resources a program has when it does not say.
const DEFAULT_RESOURCES: u64 = 4;

/// The variables of the run: its own, and those that the service adds.
pub(crate) fn environment(world: &World, stack: &Stack, deployment: &Deployment) -> Environment {
    let mut environment = settings::environment(&deployment.settings);
    let version = deployment.version.to_string();
    let console = console_url(world, stack, deployment.version);
    for (name, value, secret) in [
        ("PULUMI_CI_BUILD_ID", deployment.id.as_str(), false),
        ("PULUMI_CI_BUILD_NUMBER", version.as_str(), false),
        ("PULUMI_CI_BUILD_URL", console.as_str(), false),
        ("PULUMI_CI_SYSTEM", "Pulumi Deploy", false),
        ("PULUMI_ACCESS_TOKEN", "pul-simulated-deployment-token", true),
        ("PULUMI_BACKEND_URL", world.url.as_str(), false),
    ] {
        environment.insert(name.to_owned(), (value.to_owned(), secret));
    }
    environment
}

/// What the program gives out this time, when its settings tell: `{"url": "…", "password": {"secret": "…"}}`.
pub(super) fn outputs(deployment: &Deployment) -> Option<Value> {
    let environment = settings::environment(&deployment.settings);
    let (written, _) = environment.get(OUTPUTS)?;
    serde_json::from_str(written).ok().filter(Value::is_object)
}

pub(crate) fn console_url(world: &World, stack: &Stack, version: usize) -> String {
    format!("{}/{}/deployments/{version}", world.url, stack.name)
}

/// The steps of the deployment's run.
pub(crate) fn plan(world: &World, stack: &Stack, deployment: &Deployment) -> Vec<Step> {
    let operation = deployment.operation;
    let environment = environment(world, stack, deployment);
    let variable = |name: &str| environment.get(name).map(|(value, _)| value.as_str());
    let wanted = variable(RESOURCES).and_then(|number| number.parse().ok()).unwrap_or(DEFAULT_RESOURCES);

    let mut steps = Vec::new();
    let mut step =
        |name: &str, seconds: f64, lines: Vec<String>, failure: Option<String>, pulumi: Option<PulumiWork>| {
            let forced = variable(FAIL_STEP).is_some_and(|wanted| wanted.eq_ignore_ascii_case(name));
            let failure = failure.or_else(|| forced.then(|| format!("error: step {name:?} failed: exit status 1\n")));
            let seconds = variable(STEP_SECONDS)
                .and_then(|written| seconds_of(written, name, operation.step()))
                .unwrap_or(seconds);
            let mut step = Step::new(name, world.scaled(seconds), lines);
            step.fails = failure.is_some();
            step.pulumi = pulumi;
            step.lines.extend(failure);
            steps.push(step);
        };

    step("Setup", 3.0, output::setup(), None, None);
    step("Download deployment executor", 3.0, output::download_executor(), None, None);
    if settings::uses_oidc(&deployment.settings) {
        step("Fetch provider credentials via OIDC", 1.0, output::oidc(&deployment.settings), None, None);
    }
    let source = settings::source_url(&deployment.settings);
    let (lines, failure) = match &source {
        Some(url) => (output::get_source(url), None),
        None => (Vec::new(), Some("error: no source: neither a repository nor a template is configured\n".to_owned())),
    };
    step("Get source", 5.0, lines, failure, None);
    if !settings::option(&deployment.settings, "skipInstallDependencies") {
        let is_cached = stack.has_cache && settings::caches(&deployment.settings);
        let seconds = if is_cached { 2.0 } else { 12.0 };
        step(DEPENDENCIES, seconds, output::dependencies(is_cached), None, None);
    }
    for (index, command) in settings::pre_run_commands(&deployment.settings).iter().enumerate() {
        let name = format!("Pre-run command {}", index + 1);
        let failure = output::exit_code(command)
            .map(|code| format!("error: pre-run command {} failed: exit status {code}\n", index + 1));
        step(&name, 2.0, output::command(command, &environment), failure, None);
    }
    let drifted = stack.drift.exists;
    let remediates = operation == Operation::DetectDrift
        && drifted
        && settings::option(&deployment.settings, "remediateIfDriftDetected");
    for operation in std::iter::once(operation).chain(remediates.then_some(Operation::RemediateDrift)) {
        let (changes, resources) = output::changes(operation, stack.resources, wanted, drifted);
        let lines = output::pulumi(&output::PulumiRun {
            operation,
            stack: &stack.name,
            changes: &changes,
            url: &console_url(world, stack, deployment.version),
            printed: output::program(&environment),
        });
        let work = PulumiWork { operation, changes, resources };
        step(operation.step(), 15.0, lines, None, Some(work));
    }
    steps
}

/// `20`: the step of Pulumi takes 20 seconds; `Get source=30;Setup=1`: those steps do.
fn seconds_of(written: &str, step: &str, pulumi_step: &str) -> Option<f64> {
    let seconds = written.split(';').find_map(|part| match part.split_once('=') {
        Some((name, seconds)) => name.trim().eq_ignore_ascii_case(step).then_some(seconds),
        None => (step == pulumi_step).then_some(part),
    })?;
    let seconds: f64 = seconds.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}
