//! `diff`: what settings would change remotely.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, ResourceExt};
use pulumi_deployments_operator::{
    api::{
        Organization, StackDeploymentSettings, Time,
        settings::{SourceKind, SourceVersion},
    },
    controllers::{
        access::{Use, Verdict, judge, needs_labels},
        digest::InstallKey,
        document::{ValueRef, Values, references},
        settings::changes::{Sides, changes, schedule_changes},
        sources,
    },
    pulumi::StackId,
};
use serde_json::Value;

use super::lookup::organization;
use crate::{
    cli::Diff,
    cluster::{Cluster, Seen},
    failure::Failure,
    output::{Paint, print},
    render::changes::{Changes, text, value},
    service::Service,
};

pub async fn run(args: &Diff, cluster: &Cluster) -> Result<(), Failure> {
    let settings = cluster.get::<StackDeploymentSettings>(&args.name).await?;
    let organization = organization(cluster, &settings.typed.spec.stack.organization_ref).await?;
    let service = Service::of(cluster, &organization).await?;
    let mut notes = vec![];
    let role_id = role(cluster, &settings, &organization, &mut notes).await;
    let found = read_sources(cluster, &settings.typed, &mut notes).await?;
    let changes = compare(&service, &settings.typed, &found, role_id.as_deref(), notes).await?;
    match args.output {
        None => print(&text(&changes, Paint::of_stdout())),
        Some(format) => format.print(&value(&changes)),
    }
}

/// The role that the Organization forces on these settings.
async fn role(
    cluster: &Cluster,
    settings: &Seen<StackDeploymentSettings>,
    organization: &Seen<Organization>,
    notes: &mut Vec<String>,
) -> Option<String> {
    let (namespace, rules) = (settings.namespace(), organization.typed.spec.access.as_deref());
    let mut labels = BTreeMap::new();
    if needs_labels(rules) {
        let Ok(found) = Api::<Namespace>::all(cluster.client.clone()).get(namespace).await else {
            notes.push(format!(
                "namespace {namespace} can't be read, so it is not known whether the organization lets it use the stack"
            ));
            return None;
        };
        labels = found.metadata.labels.unwrap_or_default();
    }
    let stack = &settings.typed.spec.stack;
    let wanted = Use { namespace, labels: &labels, project: &stack.project, stack: &stack.name, operation: None };
    match judge(rules, organization.namespace(), wanted) {
        Verdict::Allowed { role_id } => role_id,
        Verdict::Denied(why) => {
            notes.push(format!("nothing is pushed: {why}"));
            None
        }
    }
}

/// What settings refer to.
struct Found {
    plain: Values,
    versions: Vec<SourceVersion>,
}

/// The values of ConfigMaps, and the versions of Secrets: their values are not asked for.
async fn read_sources(
    cluster: &Cluster,
    settings: &StackDeploymentSettings,
    notes: &mut Vec<String>,
) -> Result<Found, Failure> {
    let (secrets, plain): (BTreeSet<ValueRef>, BTreeSet<ValueRef>) =
        references(&settings.spec.settings).into_iter().partition(|reference| reference.kind == SourceKind::Secret);
    // Digests of values are not compared with anything here.
    let key = InstallKey::new(vec![].into());
    let found = sources::read(&cluster.client, &key, &cluster.namespace, &plain).await;
    let found = found.map_err(|error| {
        Failure::new(format!("{error}; you must be able to get the ConfigMaps that the settings name"))
    })?;
    notes.extend(found.missing);
    let mut versions = found.versions;
    for (kind, name) in sources::objects(&secrets) {
        match Api::<Secret>::namespaced(cluster.client.clone(), &cluster.namespace).get_metadata_opt(&name).await {
            Ok(Some(secret)) => {
                let resource_version = secret.resource_version().unwrap_or_default();
                versions.push(SourceVersion { kind, name, resource_version });
            }
            Ok(None) => notes.push(format!("Secret {name} does not exist yet; nothing is pushed before it does")),
            // Then it counts as moved: its values are shown as sent to be sure.
            Err(_) => {}
        }
    }
    Ok(Found { plain: found.values, versions })
}

async fn compare(
    service: &Service,
    settings: &StackDeploymentSettings,
    found: &Found,
    role_id: Option<&str>,
    mut notes: Vec<String>,
) -> Result<Changes, Failure> {
    let spec = &settings.spec;
    let stack = service.stack(&spec.stack.project, &spec.stack.name);
    let (remote, version) = remote(service, &stack).await?;
    let sides = Sides { settings, plain: &found.plain, sources: &found.versions, role_id, remote: &remote, version };
    let fields = changes(&sides);
    let mut permit = Service::permit();
    let mut paused = None;
    if let Some(wanted) = spec.paused {
        match service.client.stack_metadata(&mut permit, &stack).await {
            Ok(metadata) => paused = (metadata.stack_paused != wanted).then_some(wanted),
            Err(error) => notes.push(format!("whether the stack is paused can't be read: {}", error.summary())),
        }
    }
    let known = settings.status.as_ref().map(|status| status.schedules.as_slice()).unwrap_or_default();
    let mut schedules = vec![];
    if !spec.schedules.is_empty() || !known.is_empty() {
        match service.client.schedules(&mut permit, &stack).await {
            Ok(remote) => schedules = schedule_changes(settings, remote, Time::from(Timestamp::now())),
            Err(error) => notes.push(format!("the stack's schedules can't be read: {}", error.summary())),
        }
    }
    Ok(Changes { stack: stack.to_string(), fields, paused, schedules, notes })
}

/// The remote settings; `null` when there are none. The service answers 404 for a missing stack as well.
pub async fn remote(service: &Service, stack: &StackId) -> Result<(Value, Option<u64>), Failure> {
    let mut permit = Service::permit();
    match service.client.settings(&mut permit, stack).await {
        Ok(settings) => Ok((settings.document, settings.version)),
        Err(error) if error.is_gone() => match service.client.stack(&mut permit, stack).await {
            Ok(_) => Ok((Value::Null, None)),
            Err(error) => Err(service.failure(&error)),
        },
        Err(error) => Err(service.failure(&error)),
    }
}
