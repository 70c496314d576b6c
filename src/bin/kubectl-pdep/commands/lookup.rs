//! What several commands look up.

use pulumi_deployments_operator::api::{Deployment, Organization, StackDeploymentSettings, reference::OrganizationRef};

use crate::{
    cluster::{Cluster, Seen},
    failure::Failure,
};

/// The Organization that a reference in this namespace leads to.
pub async fn organization(cluster: &Cluster, reference: &OrganizationRef) -> Result<Seen<Organization>, Failure> {
    let namespace = reference.namespace.as_deref().unwrap_or(&cluster.namespace);
    let found = cluster.find_in(namespace, &reference.name).await?;
    found.ok_or_else(|| {
        Failure::new(format!(
            "organization {namespace}/{} does not exist; create it, or correct the reference",
            reference.name
        ))
    })
}

/// The Organization that a Deployment belongs to.
pub async fn organization_of(cluster: &Cluster, deployment: &Seen<Deployment>) -> Result<Seen<Organization>, Failure> {
    let spec = &deployment.typed.spec;
    if let Some(stack) = &spec.stack {
        return organization(cluster, &stack.organization_ref).await;
    }
    let name = spec.settings_ref.as_ref().map(|settings| settings.name.as_str()).unwrap_or_default();
    let settings = cluster.get::<StackDeploymentSettings>(name).await?;
    organization(cluster, &settings.typed.spec.stack.organization_ref).await
}
