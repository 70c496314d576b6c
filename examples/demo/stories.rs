//! The YAML files: each is a story, written for Pulumi Cloud as a user would.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};
use kube::{ResourceExt, api::DynamicObject};
use pulumi_deployments_operator::api::{Deployment, Organization, StackDeploymentSettings, reference::StackRef};
use serde_json::Value;

/// The annotation by which a Deployment says how it ends; `Succeeded` when it is absent.
pub const EXPECT: &str = "demo.deployments.pulumi.com/expect";

/// A file of `examples/`.
#[derive(Clone, Debug)]
pub struct Story {
    /// Name of the file.
    pub file: String,
    /// The first sentence of its first comment.
    pub about: String,
    /// The objects in it, in the order in which they are written.
    pub objects: Vec<DynamicObject>,
}

/// Where stories are applied.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What stands in for Pulumi Cloud.
    pub backend: &'a str,
    /// The namespace of objects that name none.
    pub namespace: &'a str,
    /// The agent pool there: its id is made up by the service.
    pub agent_pool: &'a str,
}

/// The key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKey {
    /// Namespace of the Secret; none where the namespace of the apply is meant.
    pub namespace: Option<String>,
    /// Name of the Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

/// Reads all stories of a directory, in the order of their names.
///
/// # Errors
/// When one is no YAML, or no object of Kubernetes.
pub fn read(directory: &Path) -> Result<Vec<Story>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<BTreeSet<_>>>()?;
    let is_story = |path: &&std::path::PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    paths.iter().filter(is_story).map(|path| Story::read(path)).collect()
}

impl Story {
    fn read(path: &Path) -> Result<Self> {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
        let objects = objects(&text).with_context(|| format!("{file} is not what it should be"))?;
        Ok(Self { file, about: first_sentence(&text), objects })
    }

    /// The same story with the simulated service in place of Pulumi Cloud, in a namespace.
    #[must_use]
    pub fn placed(&self, place: &Place<'_>) -> Self {
        let mut story = self.clone();
        for object in story.objects.iter_mut().filter(|object| !is_for_the_whole_cluster(object)) {
            match kind(object) {
                "Organization" => object.data["spec"]["backendURL"] = place.backend.into(),
                "StackDeploymentSettings" => {
                    if let Some(pool) = object.data.pointer_mut("/spec/settings/agentPoolID") {
                        *pool = place.agent_pool.into();
                    }
                }
                _ => {}
            }
            object.metadata.namespace.get_or_insert_with(|| place.namespace.to_owned());
        }
        story
    }

    /// The objects of a kind.
    pub fn of_kind(&self, wanted: &str) -> impl Iterator<Item = &DynamicObject> {
        self.objects.iter().filter(move |object| kind(object) == wanted)
    }

    /// The access tokens that a user creates by a command.
    pub fn tokens(&self) -> impl Iterator<Item = SecretKey> {
        self.of_kind("Organization").filter_map(|object| {
            let organization: Organization = object.clone().try_parse().ok()?;
            let reference = organization.spec.access_token.secret_key_ref?;
            let namespace = organization.metadata.namespace;
            Some(SecretKey { namespace, name: reference.name, key: reference.key? })
        })
    }

    /// The ids of the roles that must exist already.
    pub fn roles(&self) -> impl Iterator<Item = String> {
        let organizations =
            self.of_kind("Organization").filter_map(|object| object.clone().try_parse::<Organization>().ok());
        organizations
            .flat_map(|organization| organization.spec.access.into_iter().flatten())
            .filter_map(|rule| rule.role_id)
    }

    /// The stacks that must exist already, as `project/stack`: those that nothing here creates.
    pub fn existing_stacks(&self) -> impl Iterator<Item = String> {
        let targets = self.of_kind("Deployment").filter_map(|object| {
            let deployment: Deployment = object.clone().try_parse().ok()?;
            deployment.spec.stack
        });
        let settings = self.of_kind("StackDeploymentSettings").filter_map(|object| {
            let settings: StackDeploymentSettings = object.clone().try_parse().ok()?;
            (!settings.spec.create_stack).then_some(settings.spec.stack)
        });
        targets.chain(settings).map(|StackRef { project, name, .. }| format!("{project}/{name}"))
    }
}

/// The kind of an object.
#[must_use]
pub fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| &types.kind)
}

/// Whether an object is in no namespace.
#[must_use]
pub fn is_for_the_whole_cluster(object: &DynamicObject) -> bool {
    ["Namespace", "ClusterRole", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
        .contains(&kind(object))
}

/// How a Deployment ends, by its own words.
#[must_use]
pub fn expectation(deployment: &impl ResourceExt) -> String {
    deployment.annotations().get(EXPECT).cloned().unwrap_or_else(|| "Succeeded".to_owned())
}

fn objects(text: &str) -> Result<Vec<DynamicObject>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    documents.into_iter().map(|document| Ok(serde_json::from_value(document)?)).collect()
}

fn first_sentence(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    let words: Vec<&str> = comment.take_while(|line| !line.is_empty()).collect();
    let comment = words.join(" ");
    let end = [". ", "? "].iter().filter_map(|end| comment.find(end)).min();
    comment[..end.map_or(comment.len(), |end| end + 1)].to_owned()
}
