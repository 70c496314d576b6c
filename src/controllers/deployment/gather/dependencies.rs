//! IO, reads only: the Deployments that must be Ready before a run of this one starts.

mod cycle;

use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{cached_settings, resource};
use crate::{
    api::{
        ConditionStatus, Deployment, StackDeploymentSettings,
        condition::{find, is_ready, types},
        deployment::Purpose,
        names::RERUN,
    },
    controllers::{
        Context, Error,
        conditions::Words,
        deployment::{reason::Reason, request},
        digest::InstallKey,
        links::{Kind, Link},
    },
};

/// What a Deployment asks for and what of it was handled, as far as others care.
#[must_use]
pub fn request_state(deployment: &Deployment) -> Value {
    let handled = deployment.status.as_ref().and_then(|status| status.request.as_ref());
    json!([
        deployment.uid(),
        deployment.metadata.generation,
        deployment.annotations().get(RERUN),
        handled.map(|it| &it.digest),
    ])
}

/// What must not change while this Deployment settles.
pub fn states(deployment: &Deployment, context: &Context) -> Vec<Value> {
    let namespace = deployment.namespace().unwrap_or_default();
    let state =
        |name: &String| context.deployments.get(&namespace, name).map_or(Value::Null, |found| request_state(&found));
    deployment.spec.depends_on.iter().map(|dependency| state(&dependency.name)).collect()
}

/// Whose changes this Deployment wants to hear of: those that it waits for, and all that wait with it in a circle, since
/// any of them can break it.
pub fn links(deployment: &Deployment, context: &Context) -> impl Iterator<Item = Link> {
    let namespace = deployment.namespace().unwrap_or_default();
    let circle = circle(deployment, context).unwrap_or_default();
    let names: Vec<_> = names(deployment).chain(circle).collect();
    // Whether one of them has handled what it asks for may hang on its settings.
    let of = |name: &String| context.deployments.get(&namespace, name)?.spec.settings_ref.clone();
    let settings: Vec<_> = names.iter().filter_map(of).map(|it| Kind::Settings.named(&namespace, it.name)).collect();
    let this = resource(deployment);
    names
        .into_iter()
        .map(move |name| Kind::Deployment.named(&namespace, name))
        .filter(move |it| *it != this)
        .chain(settings)
        .map(Link::Resource)
}

/// The circle in which this Deployment waits for itself, as what is said of it.
pub fn cycle(deployment: &Deployment, context: &Context) -> Option<Words> {
    let mut circle = circle(deployment, context)?;
    let message = if circle.len() == 1 {
        "spec.dependsOn names this Deployment itself: take it out".to_owned()
    } else {
        circle.extend(circle.first().cloned());
        format!(
            "these Deployments wait for each other: {}; take one of them out of the dependsOn of the one before it, and \
             this goes on by itself",
            circle.join(" -> ")
        )
    };
    Some(Words::new(Reason::DependencyCycle, message))
}

fn circle(deployment: &Deployment, context: &Context) -> Option<Vec<String>> {
    let namespace = deployment.namespace().unwrap_or_default();
    let this = deployment.name_any();
    cycle::shortest(&this, |name| {
        // The object at hand is newer than the cache.
        if name == this {
            return names(deployment).collect();
        }
        context.deployments.get(&namespace, name).map(|found| names(&found).collect()).unwrap_or_default()
    })
}

fn names(deployment: &Deployment) -> impl Iterator<Item = String> + '_ {
    deployment.spec.depends_on.iter().map(|dependency| dependency.name.clone())
}

/// The first dependency that is not Ready for what it asks for now, by live reads, and what it lacks.
pub async fn unready(deployment: &Deployment, context: &Context) -> Result<Option<Words>, Error> {
    let namespace = deployment.namespace().unwrap_or_default();
    let api: Api<Deployment> = Api::namespaced(context.kube.clone(), &namespace);
    for name in names(deployment) {
        let why = match api.get_opt(&name).await? {
            Some(found) => lacks(&found, cached_settings(&found, context).as_deref(), &context.key),
            None => Some("does not exist; create it, and this goes on by itself".to_owned()),
        };
        if let Some(why) = why {
            let message = format!("Deployment {namespace}/{name}, which comes first, {why}");
            return Ok(Some(Words::new(Reason::DependencyNotReady, message)));
        }
    }
    Ok(None)
}

/// What a dependency, whose settings are these, lacks to be Ready for what it asks for now.
fn lacks(dependency: &Deployment, settings: Option<&StackDeploymentSettings>, key: &InstallKey) -> Option<String> {
    if dependency.metadata.deletion_timestamp.is_some() {
        return Some("is being deleted; create it anew, or take it out of spec.dependsOn".to_owned());
    }
    let is_handled = request::is_handled(dependency, settings, key);
    let generation = dependency.metadata.generation.unwrap_or_default();
    let conditions = dependency.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    // Between a create and the status that follows it, what is Ready is the request before.
    let run = dependency.status.as_ref().and_then(|status| status.run.as_ref());
    let has_ended = run.is_none_or(|run| run.result.is_some() && run.purpose == Purpose::Main);
    if is_handled && has_ended && is_ready(conditions, generation) {
        return None;
    }
    let ready = find(conditions, types::READY).filter(|ready| ready.observed_generation == generation);
    Some(match ready {
        _ if dependency.spec.suspend && !is_handled => {
            "is suspended, and what it asks for now has not run; this goes on by itself when it has".to_owned()
        }
        Some(ready) if ready.status == ConditionStatus::False => {
            format!("has failed ({}): {}. This goes on by itself when it is Ready", ready.reason, ready.message)
        }
        Some(ready) if ready.status == ConditionStatus::Unknown => {
            format!("is not Ready yet ({}): {}. This goes on by itself", ready.reason, ready.message)
        }
        Some(_) | None => "has not run what it asks for now; this goes on by itself when it has".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use secrecy::SecretSlice;

    use super::*;

    fn lacks(dependency: &Deployment) -> Option<String> {
        super::lacks(dependency, None, &InstallKey::new(SecretSlice::from(vec![1])))
    }

    /// One that has run what it asks for and is Ready, and then changed.
    fn dependency(change: impl FnOnce(&mut Value)) -> Deployment {
        let mut written = json!({
            "apiVersion": "deployments.pulumi.com/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": "network", "namespace": "ns", "uid": "u", "generation": 2, "annotations": {}},
            "spec": {"settingsRef": {"name": "network"}, "operation": "update"},
        });
        let digest = request::digest(&serde_json::from_value(written.clone()).unwrap());
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "Succeeded", "message": "update 7 succeeded",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 2,
        });
        written["status"] = json!({"uid": "u", "request": {"number": 1, "digest": digest}, "conditions": [ready]});
        change(&mut written);
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn one_that_has_run_what_it_asks_for_is_in_nobodys_way() {
        assert_eq!(lacks(&dependency(|_| ())), None);
        assert_eq!(
            lacks(&dependency(|written| written["spec"]["suspend"] = json!(true))),
            None,
            "there is nothing new"
        );
    }

    #[rstest]
    #[case::deleted("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"), "is being deleted")]
    #[case::another_object("/metadata/uid", json!("other"), "has not run what it asks for now")]
    #[case::changed("/metadata/generation", json!(3), "has not run what it asks for now")]
    #[case::asked_again("/metadata/annotations/deployments.pulumi.com~1rerun", json!("2"), "has not run what it asks for")]
    #[case::failed("/status/conditions/0/status", json!("False"), "has failed (Succeeded): update 7 succeeded. This goes")]
    #[case::running("/status/conditions/0/status", json!("Unknown"), "is not Ready yet (Succeeded): update 7")]
    #[case::unseen("/status", json!(null), "has not run what it asks for now")]
    fn what_one_lacks_is_told(#[case] pointer: &str, #[case] value: Value, #[case] expected: &str) {
        let found = lacks(&dependency(|written| {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            written.pointer_mut(parent).unwrap()[field.replace("~1", "/")] = value;
        }));
        assert!(found.as_ref().is_some_and(|why| why.starts_with(expected)), "{found:?}");
    }

    #[test]
    fn one_that_is_suspended_before_it_has_run_says_so() {
        let found = lacks(&dependency(|written| {
            written["spec"]["suspend"] = json!(true);
            written["spec"]["rerun"] = json!("2");
        }));
        assert!(found.is_some_and(|why| why.starts_with("is suspended")));
    }
}
