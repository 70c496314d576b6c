//! Walks through the schemas of the CRDs.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use super::{DEPLOYMENT, ORGANIZATION, SETTINGS, crd_of};

/// The schema of a kind.
pub fn of(kind: &str) -> &'static JSONSchemaProps {
    crd_of(kind).spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap()
}

/// The schema of a kind's spec or status.
pub fn of_part(kind: &str, part: &str) -> &'static JSONSchemaProps {
    &of(kind).properties.as_ref().unwrap()[part]
}

/// The schema of what is in a list or in a map with any keys, and how such a path goes on.
fn content(schema: &JSONSchemaProps) -> Option<(&'static str, &JSONSchemaProps)> {
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        return Some(("[]", items));
    }
    match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(("{}", values)),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => None,
    }
}

/// Calls `visit` with the path and the schema of each property below this one.
pub fn walk(schema: &JSONSchemaProps, path: &str, visit: &mut impl FnMut(&str, &JSONSchemaProps)) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, property);
        walk(property, &path, visit);
    }
    if let Some((step, content)) = content(schema) {
        walk(content, &format!("{path}{step}"), visit);
    }
}

/// The paths of all properties below this one.
pub fn declared(schema: &JSONSchemaProps, path: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk(schema, path, &mut |path, _| {
        paths.insert(path.to_owned());
    });
    paths
}

/// The paths of those properties that this value has.
pub fn used(schema: &JSONSchemaProps, path: &str, value: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    collect_used(schema, path, value, &mut paths);
    paths
}

fn collect_used(schema: &JSONSchemaProps, path: &str, value: &Value, paths: &mut BTreeSet<String>) {
    for (name, property) in schema.properties.iter().flatten() {
        if let Some(value) = value.get(name) {
            let path = format!("{path}.{name}");
            collect_used(property, &path, value, paths);
            paths.insert(path);
        }
    }
    if let Some((step, content)) = content(schema) {
        let path = format!("{path}{step}");
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect_used(content, &path, item, paths)),
            Value::Object(values) => values.values().for_each(|value| collect_used(content, &path, value, paths)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Calls `complain` for each property of each kind, and asserts that it has nothing to say.
fn assert_none(complain: impl Fn(&str, &JSONSchemaProps) -> Option<String>) {
    let mut complaints = Vec::new();
    for kind in [ORGANIZATION, SETTINGS, DEPLOYMENT] {
        walk(of(kind), kind, &mut |path, property| {
            complaints.extend(complain(path, property).map(|complaint| format!("{path}: {complaint}")));
        });
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

fn description(property: &JSONSchemaProps) -> &str {
    property.description.as_deref().unwrap_or_default()
}

#[test]
fn every_field_is_described_in_sentences() {
    assert_none(|_, property| {
        let description = description(property);
        (!description.ends_with(['.', '…'])).then(|| format!("description is {description:?}"))
    });
}

#[test]
fn every_default_is_in_the_description() {
    assert_none(|path, property| {
        let default = &property.default.as_ref().filter(|_| path.contains(".spec"))?.0;
        let written = match default {
            Value::String(text) => format!("Default: `{text}`."),
            other => format!("Default: `{other}`."),
        };
        (!description(property).contains(&written))
            .then(|| format!("{written:?} is not in {:?}", description(property)))
    });
}

#[test]
fn every_choice_is_explained() {
    assert_none(|path, property| {
        let choices = property.enum_.as_ref().filter(|_| path.contains(".spec"))?;
        let missing: Vec<_> = choices
            .iter()
            .filter_map(|choice| choice.0.as_str())
            .filter(|choice| !description(property).contains(&format!("`{choice}`:")))
            .collect();
        (!missing.is_empty()).then(|| format!("{missing:?} not explained in {:?}", description(property)))
    });
}

/// Argo CD compares what is in Git with what is in the cluster, and cannot tell which item a default was put into.
#[test]
fn no_item_of_a_list_has_a_default() {
    assert_none(|path, property| {
        let in_list_of_spec = path.contains(".spec") && path.contains("[]");
        (in_list_of_spec && property.default.is_some()).then(|| format!("{:?}", property.default))
    });
}
