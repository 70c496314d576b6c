//! `docs/reference`: every field of every kind, written from the CRDs.

use std::{env, fmt::Write, fs};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use pulumi_deployments_operator::api::crd;

use super::root;

const HOW: &str = "BLESS=1 cargo test --test it docs::reference";

/// Where `spec.settings` of both kinds that have it is told.
const SETTINGS: &str = "stackdeploymentsettings.md";

fn file(crd: &CustomResourceDefinition) -> String {
    format!("{}.md", crd.spec.names.kind.to_lowercase())
}

fn page(crd: &CustomResourceDefinition) -> String {
    let names = &crd.spec.names;
    let version = &crd.spec.versions[0];
    let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    let kubectl = names.short_names.iter().flatten().chain([&names.plural]).map(|name| format!("`{name}`"));
    let mut text = format!(
        "# {}\n\n<!-- Written by a test from the CRDs: {HOW} -->\n\n{}\n\n\
         `apiVersion: {}/{}`, `kind: {}`. kubectl also calls it {}.\n\n",
        names.kind,
        described(schema),
        crd.spec.group,
        version.name,
        names.kind,
        kubectl.collect::<Vec<_>>().join(", "),
    );
    text.push_str("`kubectl get` shows, those in italics with `-o wide`:\n\n| column | what it is |\n|---|---|\n");
    for column in version.additional_printer_columns.iter().flatten() {
        let name =
            if column.priority.unwrap_or_default() > 0 { format!("*{}*", column.name) } else { column.name.clone() };
        let about = column.description.clone().unwrap_or_else(|| format!("`{}`", column.json_path));
        writeln!(text, "| {name} | {} |", cell(&about)).unwrap();
    }
    text.push('\n');
    for part in ["spec", "status"] {
        section(&mut text, &file(crd), part, &schema.properties.as_ref().unwrap()[part]);
    }
    text
}

/// The fields of an object, and after them those of the objects in it.
fn section(text: &mut String, file: &str, path: &str, schema: &JSONSchemaProps) {
    write!(text, "## {path}\n\n{}\n\n", described(schema)).unwrap();
    if path == "spec.settings" && file != SETTINGS {
        write!(text, "The fields are those of [StackDeploymentSettings]({SETTINGS}#specsettings).\n\n").unwrap();
        return;
    }
    let rules = schema.x_kubernetes_validations.iter().flatten().filter_map(|rule| rule.message.as_ref());
    let rules: Vec<_> = rules.map(|message| format!("* {message}\n")).collect();
    if !rules.is_empty() {
        write!(text, "It is refused with one of these sentences:\n\n{}\n", rules.concat()).unwrap();
    }
    text.push_str("| field | type | what it is |\n|---|---|---|\n");
    let properties = schema.properties.iter().flatten();
    for (name, property) in properties.clone() {
        let required = schema.required.iter().flatten().any(|required| required == name);
        let name = if required { format!("**`{name}`**") } else { format!("`{name}`") };
        writeln!(text, "| {name} | {} | {} |", cell(&type_of(property)), cell(&described(property))).unwrap();
    }
    text.push('\n');
    for (name, property) in properties {
        let (step, content) = content(property).unwrap_or(("", property));
        if content.properties.is_some() {
            section(text, file, &format!("{path}.{name}{step}"), content);
        }
    }
}

fn content(schema: &JSONSchemaProps) -> Option<(&'static str, &JSONSchemaProps)> {
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        return Some(("[]", items));
    }
    match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(("{}", values)),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => None,
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    if let Some((step, content)) = content(schema) {
        let of = type_of(content);
        return if step == "[]" { format!("list of {of}") } else { format!("map to {of}") };
    }
    let words = schema.enum_.iter().flatten().map(|word| format!("`{}`", word.0.as_str().unwrap_or_default()));
    let words: Vec<_> = words.collect();
    match schema.type_.as_deref() {
        _ if !words.is_empty() => words.join(", "),
        Some(type_) => type_.to_owned(),
        None => "any".to_owned(),
    }
}

fn described(schema: &JSONSchemaProps) -> String {
    schema.description.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn it_is_what_the_crds_say() {
    let directory = root().join("docs/reference");
    for crd in crd::all().unwrap() {
        let path = directory.join(file(&crd));
        if env::var_os("BLESS").is_some() {
            fs::write(&path, page(&crd)).unwrap();
        }
        let is_current = fs::read_to_string(&path).unwrap_or_default() == page(&crd);
        assert!(is_current, "{} is not up to date: {HOW}", path.display());
    }
}

/// Only then one page may tell of both.
#[test]
fn both_kinds_with_settings_have_the_same() {
    let settings: Vec<_> = crd::all()
        .unwrap()
        .into_iter()
        .filter_map(|crd| {
            let schema = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
            schema.properties?.remove("spec")?.properties?.remove("settings")?.properties
        })
        .collect();
    assert_eq!(settings.len(), 2);
    assert!(settings[0] == settings[1], "docs/reference/deployment.md must tell its settings itself");
}
