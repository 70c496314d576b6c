//! A `StackDeploymentSettings` for what is configured, as YAML with hints. Pure.

use std::fmt::Write;

use pulumi_deployments_operator::{
    api::{document::SettingsDocument, names::GROUP, schedule::Schedule},
    controllers::settings::import::ImportedSecret,
};
use serde_json::{Value, json};

/// What is written.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The stack, as `organization/project/stack`.
    pub stack: [String; 3],
    /// Name of the Organization resource.
    pub organization: String,
    /// Whether there is such a resource.
    pub has_organization: bool,
    /// Name of the resource.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Name of the Secret.
    pub secret: String,
    /// What declares the same.
    pub settings: SettingsDocument,
    /// What declares the same schedules.
    pub schedules: Vec<Schedule>,
    /// Whether the stack is paused.
    pub is_paused: bool,
    /// The secrets that a person must put there.
    pub secrets: Vec<ImportedSecret>,
    /// What could not be declared.
    pub left_out: Vec<String>,
}

/// What a person has to know and do, as comments.
#[must_use]
pub fn hints(manifest: &Manifest) -> String {
    let Manifest { stack: [organization, project, stack], namespace, secret, secrets, left_out, .. } = manifest;
    let mut text =
        format!("# The deployment settings of {organization}/{project}/{stack}, as they are configured today.\n");
    if !manifest.has_organization {
        let _ = writeln!(
            text,
            "# There is no Organization {} in namespace {namespace} yet: it must lead to {organization}.",
            manifest.organization
        );
    }
    if !secrets.is_empty() {
        let _ = write!(
            text,
            "# Secrets can't be read. Put their values into a Secret before you apply this:\n#   kubectl create secret \
             generic {secret} --namespace {namespace}"
        );
        for ImportedSecret { key, .. } in secrets {
            let _ = write!(text, " \\\n#     --from-literal={key}=…");
        }
        text.push('\n');
    }
    for sentence in left_out {
        let _ = writeln!(text, "# Left out: {sentence}");
    }
    text
}

/// The resource.
///
/// # Errors
/// When the settings can't be written.
pub fn document(manifest: &Manifest) -> Result<Value, String> {
    let [_, project, stack] = &manifest.stack;
    let mut document = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": "StackDeploymentSettings",
        "metadata": {"name": manifest.name, "namespace": manifest.namespace},
        "spec": {
            "stack": {"organizationRef": {"name": manifest.organization}, "project": project, "name": stack},
            "settings": serde_json::to_value(&manifest.settings).map_err(|error| error.to_string())?,
        },
    });
    if manifest.is_paused {
        document["spec"]["paused"] = true.into();
    }
    if !manifest.schedules.is_empty() {
        document["spec"]["schedules"] = serde_json::to_value(&manifest.schedules).map_err(|error| error.to_string())?;
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_first() {
        let settings = json!({"sourceContext": {"git": {"branch": "main"}}, "operationContext": {"environmentVariables": [
            {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "web-prod-secrets", "key": "DB"}}}]}});
        let manifest = Manifest {
            stack: ["acme", "web", "prod"].map(str::to_owned),
            organization: "acme".into(),
            has_organization: false,
            name: "web-prod".into(),
            namespace: "team".into(),
            secret: "web-prod-secrets".into(),
            settings: serde_json::from_value(settings).unwrap(),
            schedules: vec![],
            is_paused: true,
            secrets: vec![ImportedSecret {
                key: "DB".into(),
                field: "/operationContext/environmentVariables/DB".into(),
            }],
            left_out: vec!["/x: there is no such field here".into()],
        };
        let yaml = serde_saphyr::to_string(&document(&manifest).unwrap()).unwrap();
        insta::assert_snapshot!(hints(&manifest) + &yaml, @r"
        # The deployment settings of acme/web/prod, as they are configured today.
        # There is no Organization acme in namespace team yet: it must lead to acme.
        # Secrets can't be read. Put their values into a Secret before you apply this:
        #   kubectl create secret generic web-prod-secrets --namespace team \
        #     --from-literal=DB=…
        # Left out: /x: there is no such field here
        apiVersion: deployments.pulumi.com/v1alpha1
        kind: StackDeploymentSettings
        metadata:
          name: web-prod
          namespace: team
        spec:
          paused: true
          settings:
            operationContext:
              environmentVariables:
              - name: DB
                valueFrom:
                  secretKeyRef:
                    key: DB
                    name: web-prod-secrets
            sourceContext:
              git:
                branch: main
          stack:
            name: prod
            organizationRef:
              name: acme
            project: web
        ");
    }
}
