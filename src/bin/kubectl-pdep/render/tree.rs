//! Organizations, the settings of their stacks, and the runs of these, as a tree. Pure.

use std::{collections::BTreeSet, fmt::Write};

use pulumi_deployments_operator::{
    api::{
        Condition, Deployment, Organization, StackDeploymentSettings, Time,
        condition::{ConditionStatus, find, types},
        deployment::{Phase, Run, Step},
        reference::OrganizationRef,
    },
    controllers::deployment::trace,
};

use super::span;
use crate::{
    cluster::{Kind, Known, Seen, Target},
    later,
    output::Paint,
    service::pulumi_name,
};

/// What stands before a step that is under way.
pub const RUNNING: &str = "▶";

/// What stands before a step that has failed.
pub const FAILED: &str = "✗";

/// Everything that there is to be shown.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The Organizations.
    pub organizations: Vec<Seen<Organization>>,
    /// The settings.
    pub settings: Vec<Seen<StackDeploymentSettings>>,
    /// The Deployments.
    pub deployments: Vec<Seen<Deployment>>,
}

/// How it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// In which colours.
    pub paint: Paint,
    /// The time now.
    pub now: Time,
    /// Whether namespaces are named, since there are several.
    pub names_namespaces: bool,
    /// Whether every step of every run is shown, and where people look at it.
    pub in_full: bool,
}

impl Resources {
    /// What belongs to one resource: what it is part of, and what is part of it.
    #[must_use]
    pub fn around(mut self, target: &Target, kind: Kind) -> Self {
        let is_it = |other: Kind, name: &str| other == kind && name == target.name;
        match kind {
            Kind::Deployment => {
                self.deployments.retain(|seen| is_it(Kind::Deployment, seen.name()));
                let of = |settings: &Seen<StackDeploymentSettings>| {
                    self.deployments.iter().any(|seen| settings_of(&seen.typed) == Some(settings.name()))
                };
                self.settings = self.settings.iter().filter(|seen| of(seen)).cloned().collect();
            }
            Kind::Settings => {
                self.settings.retain(|seen| is_it(Kind::Settings, seen.name()));
                self.deployments.retain(|seen| settings_of(&seen.typed) == Some(&target.name));
            }
            Kind::Organization => {
                self.organizations.retain(|seen| is_it(Kind::Organization, seen.name()));
                let Some(organization) = self.organizations.first() else { return Self::default() };
                let key = key(organization.namespace(), organization.name());
                self.settings.retain(|seen| owner_of_settings(seen) == key);
                let settings: Vec<String> = self.settings.iter().map(|seen| seen.name().to_owned()).collect();
                self.deployments.retain(|seen| {
                    owner_of_deployment(seen).is_some_and(|owner| owner == key)
                        || settings_of(&seen.typed).is_some_and(|name| settings.iter().any(|known| known == name))
                });
            }
        }
        if kind != Kind::Organization {
            let used = |organization: &Seen<Organization>| {
                let key = key(organization.namespace(), organization.name());
                self.settings.iter().any(|seen| owner_of_settings(seen) == key)
                    || self.deployments.iter().any(|seen| owner_of_deployment(seen).is_some_and(|owner| owner == key))
            };
            self.organizations = self.organizations.iter().filter(|seen| used(seen)).cloned().collect();
        }
        self
    }
}

impl Resources {
    /// The Organizations that something here belongs to and that are not here, by namespace and name.
    #[must_use]
    pub fn missing_owners(&self) -> BTreeSet<(String, String)> {
        let settings = self.settings.iter().map(|seen| (&seen.typed.spec.stack.organization_ref, seen.namespace()));
        let deployments = self
            .deployments
            .iter()
            .filter_map(|seen| Some((&seen.typed.spec.stack.as_ref()?.organization_ref, seen.namespace())));
        let owners = settings.chain(deployments).map(|(reference, namespace)| {
            (reference.namespace.as_deref().unwrap_or(namespace).to_owned(), reference.name.clone())
        });
        owners.filter(|(namespace, name)| !self.has_organization(namespace, name)).collect()
    }

    /// Adds those of these Organizations that something here belongs to.
    pub fn add_owners(&mut self, organizations: &[Seen<Organization>]) {
        let missing = self.missing_owners();
        let is_missing =
            |seen: &&Seen<Organization>| missing.contains(&(seen.namespace().to_owned(), seen.name().to_owned()));
        self.organizations.extend(organizations.iter().filter(is_missing).cloned());
    }

    fn has_organization(&self, namespace: &str, name: &str) -> bool {
        self.organizations.iter().any(|seen| seen.namespace() == namespace && seen.name() == name)
    }
}

/// A line, what is said about it, and what is below it.
#[derive(Clone, Debug, Default)]
struct Node {
    line: String,
    notes: Vec<String>,
    children: Vec<Node>,
}

/// Draws everything.
#[must_use]
pub fn tree(resources: &Resources, look: Look) -> String {
    let mut roots = vec![];
    let mut left_settings: Vec<&Seen<StackDeploymentSettings>> = resources.settings.iter().collect();
    let mut left: Vec<&Seen<Deployment>> = resources.deployments.iter().collect();
    for organization in &resources.organizations {
        let key = key(organization.namespace(), organization.name());
        let (settings, others): (Vec<_>, Vec<_>) =
            left_settings.into_iter().partition(|settings| owner_of_settings(settings) == key);
        left_settings = others;
        let mut node = organization_node(organization, look);
        node.children = settings_nodes(&settings, &mut left, look);
        let (own, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|deployment| owner_of_deployment(deployment).is_some_and(|owner| owner == key));
        left = others;
        node.children.extend(own.into_iter().map(|deployment| deployment_node(deployment, look)));
        roots.push(node);
    }
    // What belongs to an Organization that is not here.
    let elsewhere = |owner: &str| Node {
        line: format!("{}  {}", look.paint.strong(&format!("Organization {owner}")), look.paint.held("not here")),
        ..Node::default()
    };
    let owners = left_settings.iter().map(|seen| owner_of_settings(seen));
    let mut owners: Vec<String> = owners.chain(left.iter().filter_map(|seen| owner_of_deployment(seen))).collect();
    owners.sort();
    owners.dedup();
    for owner in owners {
        let mut node = elsewhere(&owner);
        let settings: Vec<_> = left_settings.iter().copied().filter(|seen| owner_of_settings(seen) == owner).collect();
        node.children = settings_nodes(&settings, &mut left, look);
        let (own, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|deployment| owner_of_deployment(deployment).as_ref() == Some(&owner));
        left = others;
        node.children.extend(own.into_iter().map(|deployment| deployment_node(deployment, look)));
        roots.push(node);
    }
    // What belongs to settings that are not here.
    for deployment in left {
        let name = settings_of(&deployment.typed).unwrap_or_default();
        let line = format!("{}  {}", look.paint.strong(&format!("Settings {name}")), look.paint.held("not here"));
        roots.push(Node { line, children: vec![deployment_node(deployment, look)], ..Node::default() });
    }
    let mut text = String::new();
    for root in &roots {
        draw(root, "", "", &mut text);
    }
    if text.is_empty() { "Nothing here yet.\n".to_owned() } else { text }
}

fn settings_nodes(
    settings: &[&Seen<StackDeploymentSettings>],
    left: &mut Vec<&Seen<Deployment>>,
    look: Look,
) -> Vec<Node> {
    let mut nodes = vec![];
    for seen in settings {
        let is_its = |deployment: &&Seen<Deployment>| {
            deployment.namespace() == seen.namespace() && settings_of(&deployment.typed) == Some(seen.name())
        };
        let mut node = settings_node(seen, look);
        node.children =
            left.iter().filter(|deployment| is_its(deployment)).map(|seen| deployment_node(seen, look)).collect();
        left.retain(|deployment| !is_its(deployment));
        nodes.push(node);
    }
    nodes
}

/// `first` stands before the line, `rest` before all below it.
fn draw(node: &Node, first: &str, rest: &str, text: &mut String) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "{first}{}", node.line.trim_end());
    let bar = if node.children.is_empty() { "  " } else { "│ " };
    for note in &node.notes {
        let _ = writeln!(text, "{rest}{bar}  {note}");
    }
    for (index, child) in node.children.iter().enumerate() {
        let (branch, below) = if index + 1 == node.children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        draw(child, &format!("{rest}{branch}"), &format!("{rest}{below}"), text);
    }
}

fn title<K: Known>(word: &str, seen: &Seen<K>, look: Look) -> String {
    let name =
        if look.names_namespaces { format!("{}/{}", seen.namespace(), seen.name()) } else { seen.name().to_owned() };
    look.paint.strong(&format!("{word} {name}"))
}

fn organization_node(seen: &Seen<Organization>, look: Look) -> Node {
    let spec = &seen.typed.spec;
    let status = seen.typed.status.clone().unwrap_or_default();
    let user = status.user.map(|user| format!(", as {}", user.login)).unwrap_or_default();
    let where_to = look.paint.faint(&format!("{} at {}{user}", pulumi_name(&seen.typed), spec.backend_url));
    let (state, note) = standing(&status.conditions, seen.typed.metadata.generation, look);
    let mut words = vec![title("Organization", seen, look), state, where_to];
    if spec.suspend {
        words.insert(2, look.paint.held("suspended"));
    }
    if status.paused == Some(true) {
        words.insert(2, look.paint.held("paused"));
    }
    Node { line: words.join("  "), notes: note.into_iter().collect(), children: vec![] }
}

fn settings_node(seen: &Seen<StackDeploymentSettings>, look: Look) -> Node {
    let status = seen.typed.status.clone().unwrap_or_default();
    let stack = &seen.typed.spec.stack;
    let stack = status.stack.unwrap_or_else(|| format!("{}/{}", stack.project, stack.name));
    let (state, note) = standing(&status.conditions, seen.typed.metadata.generation, look);
    let mut words = vec![title("Settings", seen, look), state, look.paint.faint(&stack)];
    if status.paused == Some(true) {
        words.insert(2, look.paint.held("paused"));
    }
    let is_drifted = find(&status.conditions, "Drifted").is_some_and(|drifted| drifted.status == ConditionStatus::True);
    if is_drifted {
        words.insert(2, look.paint.held("drifted"));
    }
    Node { line: words.join("  "), notes: note.into_iter().collect(), children: vec![] }
}

fn deployment_node(seen: &Seen<Deployment>, look: Look) -> Node {
    let (spec, paint) = (&seen.typed.spec, look.paint);
    let status = seen.typed.status.clone().unwrap_or_default();
    let mut words = vec![title("Deployment", seen, look), spec.operation.to_string()];
    words.push(match (status.phase, &status.step) {
        (None, _) => paint.held("not looked at yet"),
        (Some(phase), step) => {
            let step = step.as_ref().filter(|_| phase != Phase::Pending).map(|step| format!(" {step}"));
            in_colour(phase, &format!("{phase}{}", step.unwrap_or_default()), paint)
        }
    });
    if spec.suspend {
        words.push(paint.held("suspended"));
    }
    if let Some(run) = status.run.as_ref().filter(|_| status.phase != Some(Phase::Pending)) {
        let time = times(run, look.now).map(|time| format!("  {time}")).unwrap_or_default();
        words.push(paint.faint(&format!("run {}{time}", run.version)));
    }
    let mut notes = vec![];
    if status.observed_generation != seen.typed.metadata.generation && status.phase.is_some() {
        notes.push(paint.held("its newest spec has not been looked at yet"));
    }
    // What goes on or has ended well speaks for itself.
    let speaks = !matches!(status.phase, Some(Phase::Queued | Phase::Running | Phase::Succeeded));
    if let Some(ready) = find(&status.conditions, types::READY).filter(|_| speaks || look.in_full) {
        notes.push(format!("{}: {}", ready.reason, ready.message));
    }
    if later::approval(&seen.raw).is_some() {
        notes.push(paint.held(&format!("decide with: kubectl pdep approve|reject {}", seen.name())));
    }
    let mut children = vec![];
    if let Some(run) = &status.run {
        if let Some(url) = run.url.as_ref().filter(|_| look.in_full) {
            notes.push(paint.faint(url));
        }
        if let Some(id) = trace::newest(&seen.typed).filter(|_| look.in_full) {
            notes.push(paint.faint(&format!("trace {id}")));
        }
        if let Some(failure) = run.failure.as_ref().filter(|_| look.in_full) {
            notes.extend(failure.log.iter().map(|line| format!("{} {line}", paint.faint("|"))));
        }
        let is_of_interest = run.result.is_none() || status.phase == Some(Phase::Failed);
        if look.in_full || is_of_interest {
            children = run
                .jobs
                .iter()
                .flat_map(|job| &job.steps)
                .enumerate()
                .map(|(index, step)| step_node(index + 1, step, look))
                .collect();
        }
    }
    Node { line: words.join("  "), notes, children }
}

fn step_node(number: usize, step: &Step, look: Look) -> Node {
    let paint = look.paint;
    let end = step.finished_at.unwrap_or(look.now);
    let took = step.started_at.map(|start| format!("  {}", span(end.since(start)))).unwrap_or_default();
    let text = |mark: &str| format!("{mark} {number} {}", step.name);
    let line = match step.status.as_str() {
        "succeeded" => format!("{}{}", paint.good(&text("✓")), paint.faint(&took)),
        "failed" => format!("{}{}", paint.bad(&text(FAILED)), paint.faint(&took)),
        "running" => format!("{}{}", paint.busy(&text(RUNNING)), paint.faint(&took)),
        "not-started" | "skipped" => paint.faint(&text("·")),
        other => format!("{}  {other}", text("?")),
    };
    Node { line, ..Node::default() }
}

/// How long a run has taken, or waits.
fn times(run: &Run, now: Time) -> Option<String> {
    let until = run.finished_at.unwrap_or(now);
    match (run.started_at, run.queued_at) {
        (Some(started), _) => Some(span(until.since(started))),
        (None, Some(queued)) if run.finished_at.is_none() => Some(format!("queued for {}", span(until.since(queued)))),
        (None, _) => None,
    }
}

/// Where a resource without runs stands, and why when it is not as declared.
fn standing(conditions: &[Condition], generation: Option<i64>, look: Look) -> (String, Option<String>) {
    let paint = look.paint;
    let Some(ready) = find(conditions, types::READY) else { return (paint.held("not looked at yet"), None) };
    let is_stalled = find(conditions, types::STALLED).is_some_and(|stalled| stalled.status == ConditionStatus::True);
    let state = match ready.status {
        ConditionStatus::True => paint.good(&ready.reason),
        _ if is_stalled => paint.bad(&ready.reason),
        _ => paint.held(&ready.reason),
    };
    let note = match ready.status {
        _ if Some(ready.observed_generation) != generation => {
            Some(paint.held("its newest spec has not been looked at yet"))
        }
        ConditionStatus::True => None,
        _ => Some(ready.message.clone()),
    };
    (state, note)
}

fn in_colour(phase: Phase, text: &str, paint: Paint) -> String {
    match phase {
        Phase::Succeeded => paint.good(text),
        Phase::Failed | Phase::TimedOut | Phase::Canceled => paint.bad(text),
        Phase::Running | Phase::Queued => paint.busy(text),
        Phase::Pending | Phase::Skipped => paint.held(text),
    }
}

fn settings_of(deployment: &Deployment) -> Option<&str> {
    deployment.spec.settings_ref.as_ref().map(|reference| reference.name.as_str())
}

fn owner_of_settings(seen: &Seen<StackDeploymentSettings>) -> String {
    owner(&seen.typed.spec.stack.organization_ref, seen.namespace())
}

/// The Organization of a Deployment that names its stack itself.
fn owner_of_deployment(seen: &Seen<Deployment>) -> Option<String> {
    seen.typed.spec.stack.as_ref().map(|stack| owner(&stack.organization_ref, seen.namespace()))
}

fn owner(reference: &OrganizationRef, namespace: &str) -> String {
    key(reference.namespace.as_deref().unwrap_or(namespace), &reference.name)
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

#[cfg(test)]
mod tests;
