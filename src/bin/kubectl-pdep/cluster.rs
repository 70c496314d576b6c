//! The cluster: the three kinds, read as they are stored and as what they mean.

use std::{fmt, path::Path, str::FromStr};

use k8s_openapi::{
    NamespaceResourceScope,
    api::authentication::v1::{SelfSubjectReview, SelfSubjectReviewStatus},
};
use kube::{
    Api, Client, Config, Resource,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use pulumi_deployments_operator::api::{Deployment, Organization, StackDeploymentSettings};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::failure::{Failure, NOT_FOUND};

/// Whom managed fields name for what this program changes.
const FIELD_MANAGER: &str = "kubectl-pdep";

/// One of the three kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `Organization`.
    Organization,
    /// `StackDeploymentSettings`.
    Settings,
    /// `Deployment`.
    Deployment,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::Settings, Self::Organization];

    /// The word that stands before a name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Settings => "settings",
            Self::Deployment => "deployment",
        }
    }

    /// How the API server calls it.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Organization => ApiResource::erase::<Organization>(&()),
            Self::Settings => ApiResource::erase::<StackDeploymentSettings>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
        }
    }
}

/// A kind that this program has a type for.
pub trait Known: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned {
    /// Which one.
    const KIND: Kind;
}

impl Known for Organization {
    const KIND: Kind = Kind::Organization;
}

impl Known for StackDeploymentSettings {
    const KIND: Kind = Kind::Settings;
}

impl Known for Deployment {
    const KIND: Kind = Kind::Deployment;
}

/// A name as it is written: `NAME` or `KIND/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind, where one is written.
    pub kind: Option<Kind>,
    /// The name.
    pub name: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let (kind, name) = match written.split_once('/') {
            None => (None, written),
            Some((kind, name)) => (Some(kind), name),
        };
        let kind = kind
            .map(|kind| match kind {
                "organization" | "organizations" | "porg" => Ok(Kind::Organization),
                "settings" | "stackdeploymentsettings" | "sds" => Ok(Kind::Settings),
                "deployment" | "deployments" | "pulumideployment" | "pulumideployments" | "pdep" => {
                    Ok(Kind::Deployment)
                }
                other => {
                    Err(format!("`{other}` is no kind here: write deployment/NAME, settings/NAME or organization/NAME"))
                }
            })
            .transpose()?;
        if name.is_empty() || name.contains('/') {
            return Err("write NAME, deployment/NAME, settings/NAME or organization/NAME".to_owned());
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{}/{}", kind.word(), self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A resource: what it means, and what is stored.
#[derive(Clone, Debug)]
pub struct Seen<K> {
    /// What it means.
    pub typed: K,
    /// What is stored, without who manages which field.
    pub raw: Value,
}

impl<K: Known> Seen<K> {
    /// Reads a stored object.
    pub fn of(object: DynamicObject) -> Result<Self, Failure> {
        let raw = stored(object, K::KIND)?;
        let typed = serde_json::from_value(raw.clone()).map_err(|error| unreadable(&error, K::KIND))?;
        Ok(Self { typed, raw })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.typed.meta().name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.typed.meta().namespace.as_deref().unwrap_or_default()
    }
}

/// What is stored, without who manages which field.
pub fn stored(mut object: DynamicObject, kind: Kind) -> Result<Value, Failure> {
    object.metadata.managed_fields = None;
    serde_json::to_value(&object).map_err(|error| unreadable(&error, kind))
}

fn unreadable(error: &serde_json::Error, kind: Kind) -> Failure {
    Failure::new(format!("a {} can't be read: {error}; use the kubectl-pdep of the operator's version", kind.word()))
}

/// A cluster, and where in it.
pub struct Cluster {
    /// The Kubernetes API.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl Cluster {
    /// Finds the cluster as kubectl does.
    pub async fn connect(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Self, Failure> {
        let options = KubeConfigOptions { context: context.map(ToOwned::to_owned), ..KubeConfigOptions::default() };
        let config = match kubeconfig {
            Some(path) => match Kubeconfig::read_from(path) {
                Ok(kubeconfig) => {
                    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            },
            None if context.is_none() => Config::infer().await.map_err(|error| error.to_string()),
            None => Config::from_kubeconfig(&options).await.map_err(|error| error.to_string()),
        };
        let config = config.map_err(|error| {
            Failure::new(format!("no way to a cluster: {error}; check KUBECONFIG, --kubeconfig and --context"))
        })?;
        let namespace = namespace.map_or_else(|| config.default_namespace.clone(), ToOwned::to_owned);
        let client = Client::try_from(config)
            .map_err(|error| Failure::new(format!("no way to a cluster: {error}; check your kubeconfig")))?;
        Ok(Self { client, namespace })
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// An object of the namespace, as it is stored; nothing when there is none.
    pub async fn object(&self, kind: Kind, name: &str) -> Result<Option<DynamicObject>, Failure> {
        self.object_in(kind, &self.namespace, name).await
    }

    async fn object_in(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<DynamicObject>, Failure> {
        match self.api(kind, namespace).get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 && status.reason == NOT_FOUND => Ok(None),
            Err(error) => Err(Failure::of_cluster(&error, &attempt("get", kind, Some(namespace)))),
        }
    }

    /// An object of a namespace; nothing when there is none.
    pub async fn find_in<K: Known>(&self, namespace: &str, name: &str) -> Result<Option<Seen<K>>, Failure> {
        self.object_in(K::KIND, namespace, name).await?.map(Seen::of).transpose()
    }

    /// An object of the namespace.
    pub async fn get<K: Known>(&self, name: &str) -> Result<Seen<K>, Failure> {
        let found = self.find_in(&self.namespace, name).await?;
        found.ok_or_else(|| self.missing(K::KIND.word(), name))
    }

    /// That there is no such object.
    pub fn missing(&self, word: &str, name: &str) -> Failure {
        Failure::new(format!(
            "there is no {word} {name} in namespace {}; `kubectl pdep status -A` shows what there is",
            self.namespace
        ))
    }

    /// All objects of a kind, in this namespace or in all.
    pub async fn list<K: Known>(&self, everywhere: bool) -> Result<Vec<Seen<K>>, Failure> {
        let (api, place) = self.scope(K::KIND, everywhere);
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(|error| Failure::of_cluster(&error, &attempt("list", K::KIND, place)))?;
        let types = list.types;
        list.items
            .into_iter()
            .map(|mut object| {
                // Items of a list do not say what they are.
                object.types.get_or_insert_with(|| kube::core::TypeMeta {
                    kind: types.kind.trim_end_matches("List").to_owned(),
                    ..types.clone()
                });
                Seen::of(object)
            })
            .collect()
    }

    /// The objects of a kind, in this namespace or in all; and the namespace's name for error messages.
    pub fn scope(&self, kind: Kind, everywhere: bool) -> (Api<DynamicObject>, Option<&str>) {
        if everywhere {
            (Api::all_with(self.client.clone(), &kind.resource()), None)
        } else {
            (self.api(kind, &self.namespace), Some(&self.namespace))
        }
    }

    /// Merges a patch into an object. What is stored then.
    pub async fn merge(&self, kind: Kind, name: &str, patch: &Value) -> Result<Value, Failure> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.api(kind, &self.namespace).patch(name, &params, &Patch::Merge(patch)).await {
            Ok(object) => stored(object, kind),
            Err(error) => Err(Failure::of_cluster(&error, &attempt("patch", kind, Some(&self.namespace)))),
        }
    }

    /// Sets annotations; a null takes one away. What is stored then.
    pub async fn annotate(&self, kind: Kind, name: &str, annotations: Value) -> Result<Value, Failure> {
        self.merge(kind, name, &json!({"metadata": {"annotations": annotations}})).await
    }

    /// Who one is to this cluster.
    pub async fn user(&self) -> Result<String, Failure> {
        let review = Api::<SelfSubjectReview>::all(self.client.clone())
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await
            .map_err(|error| Failure::of_cluster(&error, "create selfsubjectreviews"))?;
        let user = review.status.and_then(|SelfSubjectReviewStatus { user_info }| user_info?.username);
        user.ok_or_else(|| Failure::new("the cluster does not say who you are; log in to it with a name"))
    }
}

/// What was attempted, for an error message.
pub fn attempt(verb: &str, kind: Kind, namespace: Option<&str>) -> String {
    let plural = kind.resource().plural;
    match namespace {
        Some(namespace) => format!("{verb} {plural} in namespace {namespace}"),
        None => format!("{verb} {plural} in all namespaces"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web", None)]
    #[case("deployment/web", Some(Kind::Deployment))]
    #[case("pdep/web", Some(Kind::Deployment))]
    #[case("sds/web", Some(Kind::Settings))]
    #[case("porg/web", Some(Kind::Organization))]
    fn names(#[case] written: &str, #[case] kind: Option<Kind>) {
        assert_eq!(written.parse(), Ok(Target { kind, name: "web".to_owned() }));
    }

    #[rstest]
    #[case("pod/web")]
    #[case("settings/")]
    #[case("settings/web/prod")]
    fn what_is_no_name(#[case] written: &str) {
        assert!(written.parse::<Target>().unwrap_err().contains("settings/NAME"));
    }
}
