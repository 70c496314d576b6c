//! `status`: what there is, once or again and again.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use futures::{StreamExt, stream::select_all};
use jiff::Timestamp;
use pulumi_deployments_operator::api::{
    ConditionStatus, Deployment, DeploymentStatus, Organization, Time,
    condition::{find, types},
    deployment::Phase,
    names::REQUESTED_AT,
};
use tokio::time::{Instant, sleep_until};

use super::watch::{Kept, follow};
use crate::{
    cli::Status,
    cluster::{Cluster, Kind, Seen, Target},
    failure::Failure,
    output::{Paint, list, print},
    render::tree::{Look, Resources, tree},
    screen::Screen,
};

/// How long several changes are waited for, to be shown as one.
const TOGETHER: Duration = Duration::from_millis(100);

/// How often the times on a terminal go on.
const TICK: Duration = Duration::from_secs(1);

/// The exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

pub async fn run(args: &Status, cluster: &Cluster) -> Result<ExitCode, Failure> {
    let Status { name, all_namespaces, watch, output } = args;
    let focus = match name {
        None => None,
        Some(target) => Some((target.clone(), kind(target, cluster).await?)),
    };
    let view = View { cluster, everywhere: *all_namespaces, focus, after: None };
    if *watch {
        return view.watch().await;
    }
    let mut resources = view.focused(Resources {
        organizations: cluster.list(*all_namespaces).await?,
        settings: cluster.list(*all_namespaces).await?,
        deployments: cluster.list(*all_namespaces).await?,
    });
    let owners = view.owners(&resources, &mut BTreeSet::new()).await;
    resources.organizations.extend(owners);
    match output {
        None => print(&view.picture(&resources))?,
        Some(format) => {
            let Resources { organizations, settings, deployments } = resources;
            let items = organizations.into_iter().map(|seen| seen.raw);
            let items = items.chain(settings.into_iter().map(|seen| seen.raw));
            format.print(&list(items.chain(deployments.into_iter().map(|seen| seen.raw))))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Watches a Deployment until a request after this one has come to its end.
pub async fn until_it_ends(name: &str, after: u64, cluster: &Cluster) -> Result<ExitCode, Failure> {
    let target = Target { kind: Some(Kind::Deployment), name: name.to_owned() };
    View { cluster, everywhere: false, focus: Some((target, Kind::Deployment)), after: Some(after) }.watch().await
}

/// The number of the request that a Deployment has handled last.
pub fn handled(deployment: &Deployment) -> u64 {
    deployment.status.as_ref().and_then(|status| status.request.as_ref()).map_or(0, |request| request.number)
}

/// Which kind a name is of: a Deployment where several have it.
async fn kind(target: &Target, cluster: &Cluster) -> Result<Kind, Failure> {
    let kinds: Vec<Kind> = target.kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]);
    for kind in &kinds {
        if cluster.object(*kind, &target.name).await?.is_some() {
            return Ok(*kind);
        }
    }
    let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    Err(cluster.missing(&words.join(" or "), &target.name))
}

/// What is looked at.
struct View<'a> {
    cluster: &'a Cluster,
    everywhere: bool,
    focus: Option<(Target, Kind)>,
    /// The request after which the end of a Deployment counts.
    after: Option<u64>,
}

impl View<'_> {
    fn picture(&self, resources: &Resources) -> String {
        let look = Look {
            paint: Paint::of_stdout(),
            now: Time::from(Timestamp::now()),
            names_namespaces: self.everywhere,
            in_full: self.focus.as_ref().is_some_and(|(_, kind)| *kind == Kind::Deployment),
        };
        tree(resources, look)
    }

    fn focused(&self, resources: Resources) -> Resources {
        match &self.focus {
            None => resources,
            Some((target, kind)) => resources.around(target, *kind),
        }
    }

    /// Organizations of other namespaces that something here belongs to, where they may be seen. Each is asked for once.
    async fn owners(&self, resources: &Resources, tried: &mut BTreeSet<(String, String)>) -> Vec<Seen<Organization>> {
        let mut owners = vec![];
        for (namespace, name) in resources.missing_owners() {
            if namespace != self.cluster.namespace && tried.insert((namespace.clone(), name.clone())) {
                // One that may not be seen is shown as not here.
                owners.extend(self.cluster.find_in(&namespace, &name).await.ok().flatten());
            }
        }
        owners
    }

    /// Shows everything, and again when it changes.
    async fn watch(&self) -> Result<ExitCode, Failure> {
        let mut events = select_all(Kind::ALL.map(|kind| follow(self.cluster, kind, self.everywhere)));
        let (mut kept, mut owners, mut tried) = (Kept::default(), vec![], BTreeSet::new());
        let mut screen = Screen::open()?;
        let (mut shown, mut due) = (String::new(), None::<Instant>);
        loop {
            let tick = screen.as_ref().map(|_| Instant::now() + TICK);
            let next = [due, tick].into_iter().flatten().min();
            tokio::select! {
                Some((kind, event)) = events.next() => {
                    kept.take(kind, event)?;
                    due = due.or_else(|| Some(Instant::now() + TOGETHER));
                    continue;
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => due = None,
                _ = tokio::signal::ctrl_c() => {
                    leave(screen, &shown)?;
                    return Ok(ExitCode::from(INTERRUPTED));
                }
            }
            let Some(resources) = kept.resources()? else { continue };
            let mut resources = self.focused(resources);
            owners.extend(self.owners(&resources, &mut tried).await);
            resources.add_owners(&owners);
            let picture = self.picture(&resources);
            match &mut screen {
                Some(screen) => screen.show(&picture)?,
                None if picture == shown => {}
                None => print(&format!("{}{picture}", if shown.is_empty() { "" } else { "\n" }))?,
            }
            shown = picture;
            if let Some(succeeded) = self.end(&resources)? {
                leave(screen, &shown)?;
                return Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        }
    }

    /// Whether the one Deployment that is watched has come to its end, and whether it succeeded.
    fn end(&self, resources: &Resources) -> Result<Option<bool>, Failure> {
        let Some((target, Kind::Deployment)) = &self.focus else { return Ok(None) };
        let deployment = resources.deployments.first();
        let deployment = deployment.ok_or_else(|| self.cluster.missing(Kind::Deployment.word(), &target.name))?;
        Ok(end(&deployment.typed, self.after))
    }
}

/// Whether nothing more happens by itself, and whether that is a success. With `after`, only a request after that one counts.
fn end(deployment: &Deployment, after: Option<u64>) -> Option<bool> {
    let DeploymentStatus { phase, conditions, observed_generation, last_handled_reconcile_at, run, .. } =
        deployment.status.as_ref()?;
    let requested_at = deployment.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REQUESTED_AT));
    if *observed_generation != deployment.metadata.generation || requested_at != last_handled_reconcile_at.as_ref() {
        return None;
    }
    // A run is recorded a moment before the phase speaks of it.
    if run.as_ref().is_some_and(|run| run.result.is_none()) {
        return None;
    }
    let holds = |type_| find(conditions, type_).is_some_and(|condition| condition.status == ConditionStatus::True);
    match phase {
        Some(Phase::Pending) if holds(types::STALLED) => Some(false),
        Some(phase) if phase.is_terminal() && after.is_none_or(|after| handled(deployment) > after) => {
            Some(holds(types::READY))
        }
        _ => None,
    }
}

/// Back to the screen that was there before, with what was shown last.
fn leave(screen: Option<Screen>, shown: &str) -> Result<(), Failure> {
    if screen.is_none() {
        return Ok(());
    }
    drop(screen);
    print(shown)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn deployment(phase: &str, condition: &str, request: u64) -> Deployment {
        let conditions: Value = json!([{"type": condition, "status": "True", "reason": "X", "message": "",
            "lastTransitionTime": "2030-01-01T00:00:00Z"}]);
        serde_json::from_value(json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": "Deployment",
            "metadata": {"name": "web", "generation": 1},
            "spec": {"settingsRef": {"name": "web"}, "operation": "update"},
            "status": {"phase": phase, "observedGeneration": 1, "conditions": conditions,
                "request": {"number": request, "digest": "v1:x"}},
        }))
        .unwrap()
    }

    #[rstest]
    #[case("Succeeded", "Ready", 2, None, Some(true))]
    #[case("Failed", "Stalled", 2, None, Some(false))]
    #[case("Failed", "Stalled", 2, Some(2), None)]
    #[case("Succeeded", "Ready", 3, Some(2), Some(true))]
    #[case("Running", "Reconciling", 3, Some(2), None)]
    #[case("Pending", "Reconciling", 2, Some(2), None)]
    #[case("Pending", "Stalled", 2, Some(2), Some(false))]
    fn ends(
        #[case] phase: &str,
        #[case] condition: &str,
        #[case] request: u64,
        #[case] after: Option<u64>,
        #[case] expected: Option<bool>,
    ) {
        assert_eq!(end(&deployment(phase, condition, request), after), expected);
    }

    #[test]
    fn a_run_that_was_just_recorded_is_no_end() {
        let mut recorded = deployment("Succeeded", "Ready", 2);
        let run = json!({"request": {"number": 2, "digest": "v1:x"}, "purpose": "Main", "attempt": 1, "nonce": "n",
            "operation": "update", "id": "i", "version": 2, "status": "not-started",
            "target": {"backendURL": "https://api.pulumi.com", "organization": "o", "project": "p", "stack": "s"}});
        recorded.status.as_mut().unwrap().run = Some(serde_json::from_value(run).unwrap());
        assert_eq!(end(&recorded, Some(1)), None);
    }

    #[test]
    fn what_the_operator_has_not_seen_is_no_end() {
        let mut changed = deployment("Succeeded", "Ready", 1);
        changed.metadata.generation = Some(2);
        assert_eq!(end(&changed, None), None);
        let mut asked = deployment("Pending", "Stalled", 1);
        asked.metadata.annotations = Some([(REQUESTED_AT.to_owned(), "now".to_owned())].into());
        assert_eq!(end(&asked, Some(1)), None);
    }
}
