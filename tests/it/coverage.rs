//! `docs/api-coverage.md`: every endpoint and every field of the API, and what covers it. What the page names is there,
//! and what is there, the page names.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::crds::schema;

/// The columns of every table: what of the API, and what covers it.
const COLUMNS: [&str; 5] = ["API", "Resource", "Client", "Simulator", "Test"];

struct Row {
    /// The heading above the table.
    section: String,
    /// What of the API: `GET /path` or the path of a field.
    api: Vec<String>,
    cells: Vec<String>,
}

impl Row {
    fn cell(&self, column: &str) -> &str {
        &self.cells[COLUMNS.iter().position(|known| *known == column).unwrap()]
    }

    fn name(&self) -> String {
        format!("{}: {}", self.section, self.api.join(", "))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join("docs/api-coverage.md")).unwrap();
    let (mut section, mut rows) = (String::new(), vec![]);
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut section);
        }
        let Some(line) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else { continue };
        let cells: Vec<String> = line.split(" | ").map(|cell| cell.trim().to_owned()).collect();
        if cells != COLUMNS {
            assert_eq!(cells.len(), COLUMNS.len(), "{line}");
            rows.push(Row { section: section.clone(), api: ticked(&cells[0]), cells });
        }
    }
    assert!(rows.len() > 100, "the page lost its tables");
    rows
}

/// What stands between backticks.
fn ticked(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// Asserts that nothing is to be complained about.
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// What is named in a column and is not there. A cell that names nothing must say why: `none: …`.
fn missing(column: &str, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = vec![];
    for row in rows() {
        let (cell, named) = (row.cell(column), ticked(row.cell(column)));
        if named.is_empty() && !(cell.starts_with("none: ") && cell.len() > 20) {
            complaints.push(format!("{}: {column} is {cell:?}", row.name()));
        }
        let unknown = named.into_iter().filter(|name| !is_there(name));
        complaints.extend(unknown.map(|name| format!("{}: there is no {name}", row.name())));
    }
    complaints
}

#[test]
fn every_resource_field_is_there() {
    let fields: BTreeSet<String> = ["Organization", "StackDeploymentSettings", "Deployment"]
        .into_iter()
        .flat_map(|kind| schema::declared(schema::of(kind), kind))
        .collect();
    // `settings` is the document that two kinds have in common.
    let of_document = |name: &str| name.replacen("settings", "StackDeploymentSettings.spec.settings", 1);
    assert_none(&missing("Resource", |name| fields.contains(name) || fields.contains(&of_document(name))));
}

fn sources(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path.clone(), fs::read_to_string(path).unwrap());
        }
    }
    found
}

/// The client's calls: what takes a permit, and what makes something that does.
fn calls() -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for text in sources(&root().join("src/pulumi/client")).into_values() {
        for function in text.split("\n    pub ").skip(1).map(|rest| rest.trim_start_matches("async ")) {
            let Some(rest) = function.strip_prefix("fn ") else { continue };
            let signature = rest.split_once('{').unwrap_or((rest, "")).0;
            let name = rest.split(['(', '<']).next().unwrap();
            let is_call = signature.contains("Permit") && !["next", "all"].contains(&name);
            if is_call || signature.contains("-> Follow") || signature.contains("Pages") {
                calls.insert(name.to_owned());
            }
        }
    }
    calls
}

/// `Struct.field` of what the client decodes.
fn decoded_fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for text in sources(&root().join("src/pulumi/wire")).into_values() {
        let mut current = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("pub struct ") {
                current = Some(rest.split(['<', ' ', '(']).next().unwrap().to_owned());
            } else if let (Some(of), Some(rest)) = (&current, line.strip_prefix("    pub ")) {
                fields.extend(rest.split_once(':').map(|(field, _)| format!("{of}.{field}")));
            } else if line == "}" {
                current = None;
            }
        }
    }
    fields
}

#[test]
fn every_client_call_is_there_and_none_is_left_out() {
    let (calls, fields) = (calls(), decoded_fields());
    assert_none(&missing("Client", |name| calls.contains(name) || fields.contains(name)));
    let named: BTreeSet<String> = rows().iter().flat_map(|row| ticked(row.cell("Client"))).collect();
    let left_out: Vec<_> = calls.difference(&named).collect();
    assert!(left_out.is_empty(), "docs/api-coverage.md says nothing of {left_out:?}");
}

#[test]
fn every_simulator_route_is_there_and_none_is_left_out() {
    let routes: BTreeSet<String> = pulumi_cloud_simulator::routes().map(|(_, _, name)| name.to_owned()).collect();
    assert_none(&missing("Simulator", |name| routes.contains(name)));
    let named: BTreeSet<String> = rows().iter().flat_map(|row| ticked(row.cell("Simulator"))).collect();
    let left_out: Vec<_> = routes.difference(&named).collect();
    assert!(left_out.is_empty(), "docs/api-coverage.md says nothing of {left_out:?}");
}

/// A test is named as `cargo test` names it: the binary (`it`, `simulator`), or `lib`, then the modules, then the function.
#[test]
fn every_test_is_there() {
    let file = |directory: &str, modules: &[&str]| {
        let path = root().join(directory).join(modules.join("/"));
        [path.with_extension("rs"), path.join("mod.rs"), path.join("main.rs")]
            .into_iter()
            .find_map(|path| fs::read_to_string(path).ok())
    };
    let is_there = |name: &str| {
        let parts: Vec<&str> = name.split("::").collect();
        let [binary, modules @ .., function] = parts.as_slice() else { return false };
        let text = match *binary {
            "it" => file("tests/it", modules),
            "simulator" => file("support/simulator/tests/simulator", modules),
            "lib" => file("src", modules).or_else(|| file("src", modules.split_last().map_or(&[], |(_, rest)| rest))),
            _ => None,
        };
        text.is_some_and(|text| text.contains(&format!("fn {function}(")))
    };
    assert_none(&missing("Test", is_there));
}

/// A reference that is not part of the project; none when it is not there.
fn reference(file: &str) -> Option<String> {
    let path = root().join("../shared/reference").join(file);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: there is no {}", path.display());
    }
    text
}

/// A path with all its parameters alike.
fn anonymous(path: &str) -> String {
    let segment = |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
    path.split(['?', '#']).next().unwrap().trim_end_matches('/').split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn named_endpoints() -> BTreeSet<String> {
    let endpoint = |api: &String| {
        let (method, path) = api.split_once(" /")?;
        Some(format!("{method} {}", anonymous(&format!("/{path}"))))
    };
    rows().iter().flat_map(|row| row.api.iter().filter_map(endpoint).collect::<Vec<_>>()).collect()
}

#[test]
fn every_route_of_the_simulator_is_an_endpoint_of_the_page() {
    let endpoints = named_endpoints();
    let left_out: Vec<_> = pulumi_cloud_simulator::routes()
        .map(|(method, path, _)| format!("{method} {}", anonymous(path)))
        .filter(|endpoint| !endpoints.contains(endpoint))
        .collect();
    assert!(left_out.is_empty(), "{left_out:#?}");
}

#[test]
fn every_endpoint_of_the_documents_is_on_the_page() {
    let endpoints = named_endpoints();
    let mut left_out = BTreeSet::new();
    for file in ["pulumi-deployments-api.md", "pulumi-deployments-preview-api.txt"] {
        for line in reference(file).unwrap_or_default().lines() {
            let Some((method, path)) = line.trim().split_once(" https://api.pulumi.com") else { continue };
            if ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) {
                let endpoint = format!("{method} {}", anonymous(path));
                left_out.extend((!endpoints.contains(&endpoint)).then_some(endpoint));
            }
        }
    }
    if let Some(text) = reference("pulumi-deployments.openapi.json") {
        let document: Value = serde_json::from_str(&text).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let endpoint = format!("{} {}", method.to_uppercase(), anonymous(path));
                left_out.extend((!endpoints.contains(&endpoint)).then_some(endpoint));
            }
        }
    }
    assert!(left_out.is_empty(), "{left_out:#?}");
}

/// The schemas whose fields the page lists, by its headings.
const SCHEMAS: [(&str, &str); 14] = [
    ("Deployment settings", "DeploymentSettingsRequest"),
    ("Deployment settings", "DeploymentSettings"),
    ("A deployment", "CreateDeploymentResponse"),
    ("A deployment", "GetDeploymentResponse"),
    ("A deployment", "ListDeploymentSnapshot"),
    ("An update", "UpdateInfo"),
    ("Logs", "DeploymentLogs"),
    ("A stack's metadata", "StackDeploymentsMetadataResponse"),
    ("An organization's metadata", "OrgDeploymentsMetadataResponse"),
    ("A schedule", "ScheduledAction"),
    ("A schedule's execution", "ScheduledActionHistoryEvent"),
    ("A drift run", "DriftRun"),
    ("An agent pool", "AgentPool"),
    ("An agent pool", "AgentPoolDetail"),
];

#[test]
fn every_field_of_the_schemas_is_on_the_page() {
    let Some(text) = reference("pulumi-deployments.openapi.json") else { return };
    let document: Value = serde_json::from_str(&text).unwrap();
    let rows = rows();
    let mut left_out = vec![];
    for (section, name) in SCHEMAS {
        let listed: BTreeSet<&String> =
            rows.iter().filter(|row| row.section == section).flat_map(|row| &row.api).collect();
        let mut fields = BTreeSet::new();
        collect(&document["components"]["schemas"], name, "", &mut vec![], &mut fields);
        left_out
            .extend(fields.iter().filter(|field| !listed.contains(field)).map(|field| format!("{section}: {field}")));
    }
    assert!(left_out.is_empty(), "{left_out:#?}");
}

/// The paths of the fields below a schema that have no fields of their own. Lists end in `[]`, maps in `{}`.
fn collect(schemas: &Value, name: &str, path: &str, above: &mut Vec<String>, found: &mut BTreeSet<String>) {
    above.push(name.to_owned());
    for (field, property) in properties(schemas, &schemas[name]) {
        let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        let (content, suffix) = match property["type"].as_str() {
            Some("array") => (&property["items"], "[]"),
            Some("object") if property["additionalProperties"].is_object() => (&property["additionalProperties"], "{}"),
            _ => (&property, ""),
        };
        let below = reference_of(content)
            // Its forms are told in words.
            .filter(|name| *name != "SecretValue" && *name != "AppConfigValue")
            .filter(|name| !properties(schemas, &schemas[*name]).is_empty() && !above.iter().any(|it| it == name));
        match below {
            Some(below) => collect(schemas, below, &format!("{path}{suffix}"), above, found),
            None => {
                found.insert(format!("{path}{suffix}"));
            }
        }
    }
    above.pop();
}

fn reference_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// The properties of a schema, those of its parts and of its variants included.
fn properties(schemas: &Value, schema: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(properties(schemas, reference_of(part).map_or(part, |name| &schemas[name])));
    }
    found.extend(
        schema["properties"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
    );
    for variant in schema["discriminator"]["mapping"].as_object().into_iter().flat_map(|mapping| mapping.values()) {
        let variant = &schemas[variant.as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default()];
        for part in variant["allOf"].as_array().into_iter().flatten().filter(|part| reference_of(part).is_none()) {
            found.extend(properties(schemas, part));
        }
    }
    found
}
