//! Pulumi Cloud: with whose token, and which backends a token is sent to.

use std::env;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use pulumi_deployments_operator::{
    api::{
        Organization,
        condition::{find, types},
        deployment,
        organization::{DEFAULT_BACKEND, Dialect},
    },
    pulumi::{self, Client, ClientConfig, Governor, Permit, Rate, Redactor, SecretValue, StackId, Timeouts},
};

use crate::{
    cluster::{Cluster, Seen},
    failure::{Failure, NOT_FOUND},
};

/// The user's own token.
const TOKEN: &str = "PULUMI_ACCESS_TOKEN";

/// The backend that the user's own token is for, as Pulumi's own programs read it.
const BACKEND: &str = "PULUMI_BACKEND_URL";

/// The key of a Secret that holds an access token, when none is written.
const STANDARD_KEY: &str = "accessToken";

/// A way to Pulumi Cloud.
pub struct Service {
    /// Sends the calls.
    pub client: Client,
    /// Name of the organization there.
    pub organization: String,
    /// Takes the token out of what is shown.
    pub redactor: Redactor,
    /// Whose token it is, for error messages.
    token: String,
}

impl Service {
    /// The way to an Organization: with `PULUMI_ACCESS_TOKEN` where that is for its backend, or else with the token from
    /// its Secret, where that may be read.
    pub async fn of(cluster: &Cluster, organization: &Seen<Organization>) -> Result<Self, Failure> {
        let backend = organization.typed.spec.backend_url.trim_end_matches('/');
        let dialect = match organization.typed.spec.dialect {
            Dialect::Stacks => pulumi::Dialect::Stacks,
            Dialect::Preview => pulumi::Dialect::Preview,
        };
        let (token, whose) = match own_token() {
            Some((token, for_backend)) if for_backend == backend => (token, TOKEN.to_owned()),
            _ => token_of(cluster, organization, backend).await?,
        };
        Self::new(backend, dialect, pulumi_name(&organization.typed), &token, whose)
    }

    /// The way to an organization that no resource speaks of, with the user's own token.
    pub fn of_user(organization: &str) -> Result<Option<Self>, Failure> {
        own_token()
            .map(|(token, backend)| {
                Self::new(&backend, pulumi::Dialect::Stacks, organization.to_owned(), &token, TOKEN.to_owned())
            })
            .transpose()
    }

    fn new(
        backend: &str,
        dialect: pulumi::Dialect,
        organization: String,
        token: &str,
        whose: String,
    ) -> Result<Self, Failure> {
        // It is compared with no other.
        let token = SecretValue::new(token.trim().into(), whose.clone());
        let redactor = Redactor::new([token.clone()]);
        let client = Client::new(ClientConfig {
            backend: backend.to_owned(),
            token,
            dialect,
            timeouts: Timeouts::default(),
            governor: Governor::new(Rate { per_second: 10.0, burst: 20 }),
        });
        let client = client.map_err(|error| Failure::of_service(&error, &whose))?;
        Ok(Self { client, organization, redactor, token: whose })
    }

    /// A person's calls wait for no budget.
    pub fn permit() -> Permit {
        Permit::unlimited()
    }

    /// A stack of the organization.
    pub fn stack(&self, project: &str, stack: &str) -> StackId {
        StackId { organization: self.organization.clone(), project: project.to_owned(), stack: stack.to_owned() }
    }

    /// The stack that a run was recorded for: only as far as this Organization leads there.
    pub fn stack_of(&self, target: &deployment::Target) -> Result<StackId, Failure> {
        let leads_there = self.client.backend().as_str().trim_end_matches('/')
            == target.backend_url.trim_end_matches('/')
            && self.organization == target.organization;
        if !leads_there {
            return Err(Failure::new(format!(
                "the run is recorded for {target} at {}, and its Organization leads to {} at {} now; look at it in the \
                 Pulumi console",
                target.backend_url,
                self.organization,
                self.client.backend()
            )));
        }
        Ok(self.stack(&target.project, &target.stack))
    }

    /// What a call came to, for people.
    pub fn failure(&self, error: &pulumi::Error) -> Failure {
        Failure::of_service(error, &self.token)
    }
}

/// Name of an organization in Pulumi Cloud.
pub fn pulumi_name(organization: &Organization) -> String {
    organization.spec.name.clone().or_else(|| organization.metadata.name.clone()).unwrap_or_default()
}

/// The user's own token and the backend that it is for.
fn own_token() -> Option<(String, String)> {
    let set = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let backend = set(BACKEND).unwrap_or_else(|| DEFAULT_BACKEND.to_owned());
    Some((set(TOKEN)?, backend.trim_end_matches('/').to_owned()))
}

/// The token from the Organization's Secret. It goes only to backends that the operator lets Organizations name: whoever
/// may write an Organization must not get at a token that others may read.
async fn token_of(
    cluster: &Cluster,
    organization: &Seen<Organization>,
    backend: &str,
) -> Result<(String, String), Failure> {
    let (namespace, name) = (organization.namespace(), organization.name());
    let instead = format!("set {TOKEN} to a token of your own (and {BACKEND}={backend} if it is not for Pulumi Cloud)");
    if organization.raw.pointer("/spec/accessToken/serviceAccount").is_some() {
        return Err(Failure::new(format!(
            "organization {name} has no access token in the cluster, only the operator has one in its memory; {instead}"
        )));
    }
    if backend != DEFAULT_BACKEND && !is_accepted(&organization.typed) {
        return Err(Failure::new(format!(
            "organization {name} is not accepted by the operator (as it is now), so its token is not sent to {backend}; \
             see `kubectl pdep status organization/{name}`, or {instead}"
        )));
    }
    let reference = organization.raw.pointer("/spec/accessToken/secretKeyRef");
    let text = |key: &str| reference.and_then(|reference| reference.get(key)?.as_str());
    let Some(secret) = text("name") else {
        return Err(Failure::new(format!("organization {name} has no Secret with a token; {instead}")));
    };
    let key = text("key").unwrap_or(STANDARD_KEY);
    let whose = format!("the token in Secret {namespace}/{secret}, key {key}");
    match Api::<Secret>::namespaced(cluster.client.clone(), namespace).get(secret).await {
        Ok(found) => {
            let token =
                found.data.and_then(|mut data| data.remove(key)).and_then(|bytes| String::from_utf8(bytes.0).ok());
            let missing =
                || Failure::new(format!("Secret {namespace}/{secret} has no text under the key {key}; {instead}"));
            token.map(|token| (token, whose)).ok_or_else(missing)
        }
        Err(kube::Error::Api(status)) if status.code == 403 => Err(Failure::new(format!(
            "you may not read Secret {namespace}/{secret}, which holds the access token; {instead}"
        ))),
        Err(kube::Error::Api(status)) if status.code == 404 && status.reason == NOT_FOUND => {
            Err(Failure::new(format!("Secret {namespace}/{secret} with the access token does not exist; {instead}")))
        }
        Err(error) => Err(Failure::of_cluster(&error, &format!("get secrets in namespace {namespace}"))),
    }
}

/// Whether the operator lets the Organization as it is now name its backend.
fn is_accepted(organization: &Organization) -> bool {
    let conditions = organization.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    find(conditions, types::READY).is_some_and(|ready| {
        Some(ready.observed_generation) == organization.metadata.generation && ready.reason != "BackendNotAllowed"
    })
}
