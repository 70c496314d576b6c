//! The finished CRD documents.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use super::{Deployment, Organization, StackDeploymentSettings};

/// The CRDs of all three kinds, as they are installed.
///
/// # Errors
/// When a derived schema cannot be expressed as a CRD, which a test rules out.
pub fn all() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    [Organization::crd(), StackDeploymentSettings::crd(), Deployment::crd()].into_iter().map(finish).collect()
}

/// The CRDs as a stream of YAML documents.
///
/// # Errors
/// When a CRD cannot be written as YAML, which a test rules out.
pub fn yaml() -> anyhow::Result<String> {
    let mut stream =
        String::from("# The custom resources of the Pulumi Deployments operator, as its command `crds` prints them.\n");
    for crd in all()? {
        let mut document = serde_json::to_value(crd)?;
        without_fractions(&mut document);
        stream.push_str("---\n");
        stream.push_str(&serde_saphyr::to_string(&document)?);
    }
    Ok(stream)
}

/// Writes the bounds of integers, which k8s-openapi keeps as floating-point numbers, as integers.
fn without_fractions(node: &mut Value) {
    match node {
        Value::Object(fields) => fields.values_mut().for_each(without_fractions),
        Value::Array(items) => items.iter_mut().for_each(without_fractions),
        Value::Number(number) => {
            if let Some(whole) = number.to_string().strip_suffix(".0").and_then(|whole| whole.parse::<i64>().ok()) {
                *number = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Takes out what the schema generator puts in for Rust's sake and Kubernetes has no use for:
/// `nullable` (a null is to be pruned like an absent field) and integer formats that the API server warns about.
fn finish(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut document = serde_json::to_value(crd)?;
    tidy(&mut document);
    serde_json::from_value(document)
}

fn tidy(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
            }
            if fields.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                fields.remove("format");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
