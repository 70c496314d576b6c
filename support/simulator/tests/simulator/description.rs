//! The service's own description of its API, and the answers checked against it. The description is not part of the
//! project: without it nothing is checked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

pub const FILE: &str = "../shared/reference/pulumi-deployments.openapi.json";

/// Where the wire differs from the description: the place in the document, what is really sent, and why.
#[allow(clippy::too_many_lines, reason = "one table")]
fn departures() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "/components/schemas/SecretValue",
            json!({"anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"secret": {"const": "[secret]"}, "ciphertext": {"type": "string", "minLength": 1}},
                    "required": ["secret", "ciphertext"],
                },
            ]}),
            "A plain value is a bare string; a secret one comes masked, with its ciphertext in base64, not in bytes.",
        ),
        (
            "/components/schemas/DockerImage",
            json!({"anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "reference": {"type": "string"},
                        "credentials": {"$ref": "#/components/schemas/DockerImageCredentials"},
                    },
                    "required": ["reference", "credentials"],
                },
            ]}),
            "An image without credentials is a bare string.",
        ),
        (
            "/components/schemas/ScheduledAction/properties/definition",
            json!({
                "type": "object",
                "properties": {
                    "programID": {"type": "string"},
                    "request": {
                        "allOf": [
                            {"$ref": "#/components/schemas/DeploymentSettings"},
                            {
                                "properties": {"operation": {"type": "string"}, "inheritSettings": {"type": "boolean"}},
                                "required": ["operation", "inheritSettings"],
                            },
                        ],
                    },
                },
                "required": ["programID", "request"],
            }),
            "The values are said to be objects, but the program's id is a string.",
        ),
        (
            "/components/schemas/OrgDeploymentsMetadataResponse/properties/pausedStacks",
            json!({"type": "array", "items": {"type": "string"}}),
            "The documentation shows it, and the description's own text speaks of it.",
        ),
        (
            "/components/schemas/Anything",
            json!({
                "additionalProperties": {"$ref": "#/components/schemas/Anything"},
                "items": {"$ref": "#/components/schemas/Anything"},
            }),
            "For what the description leaves open.",
        ),
        (
            "/components/schemas/AppDecryptValueResponse/properties/plaintext",
            json!({"type": "string"}),
            "Bytes travel as base64.",
        ),
        (
            "/components/schemas/AppBatchDecryptResponse/properties/plaintexts",
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            "Bytes travel as base64.",
        ),
        (
            "/components/schemas/GetUpdateEventsResponse/properties/continuationToken",
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            "There is none after the last event, as the description's own text says.",
        ),
        (
            "/components/schemas/AppStepEventMetadata/properties/old",
            json!({"anyOf": [{"$ref": "#/components/schemas/AppStepEventStateMetadata"}, {"type": "null"}]}),
            "A resource that is created was not there before: the clients send null.",
        ),
        (
            "/components/schemas/AppStepEventMetadata/properties/new",
            json!({"anyOf": [{"$ref": "#/components/schemas/AppStepEventStateMetadata"}, {"type": "null"}]}),
            "A resource that is deleted is not there after: the clients send null.",
        ),
        (
            "/components/schemas/UpdateSummary/properties/kind",
            json!({"type": "string"}),
            "Its text names the kind, its properties do not.",
        ),
        (
            "/components/schemas/UpdateSummary/properties/resourceChanges",
            json!({"$ref": "#/components/schemas/Anything"}),
            "Its text names the changes of resources, its properties do not.",
        ),
        (
            "/components/schemas/AppUntypedDeployment/properties/deployment",
            json!({"$ref": "#/components/schemas/Anything"}),
            "A stack's state is described as opaque.",
        ),
        (
            "/components/schemas/AppAPICapabilityConfig/properties/configuration",
            json!({"$ref": "#/components/schemas/Anything"}),
            "What a capability has to say is described as opaque.",
        ),
        (
            "/paths/~1api~1stacks~1{orgName}~1{projectName}~1{stackName}~1updates/get/responses/200/content",
            json!({"application/json": {"schema": {
                "type": "object",
                "properties": {
                    "updates": {"type": "array", "items": {"anyOf": [
                        {"$ref": "#/components/schemas/AppUpdateInfo"},
                        {"$ref": "#/components/schemas/UpdateInfo"},
                    ]}},
                    "itemsPerPage": {"type": "integer"},
                    "total": {"type": "integer"},
                },
                "required": ["updates"],
            }}}),
            "Described as an object of any kind; it comes in two forms.",
        ),
        (
            "/paths/~1api~1deployments~1executor/get/responses/200/content",
            json!({"application/octet-stream": {}}),
            "It is a program, not JSON.",
        ),
    ]
}

/// Features of organizations that the official SDK insists on: it is newer than the description.
const NEWER_FEATURES: [&str; 9] = [
    "agentTriggeredTasksEnabled",
    "aiAgentsReadOnly",
    "entityUserAssignmentsEnabled",
    "gitHubEnterpriseCloudDataResidencyEnabled",
    "neoCustomAgentsEnabled",
    "neoCustomRolesEnabled",
    "neoSecurityEnabled",
    "policyExceptionsEnabled",
    "staticDefaultRolesEnabled",
];

/// Puts a value into the place, also when there was none.
fn depart(document: &mut Value, place: &str, value: Value) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{place} is not in the description"));
    parent[name] = value;
}

/// The description, as it was departed from.
pub struct Description {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Description {
    /// Beside the workspace, when somebody put it there.
    pub fn get() -> Option<&'static Self> {
        static READ: OnceLock<Option<Description>> = OnceLock::new();
        READ.get_or_init(Self::read).as_ref()
    }

    fn read() -> Option<Self> {
        let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(workspace.join(FILE)).ok()?;
        let mut document: Value = serde_json::from_str(&text).unwrap();
        for (place, sent, _) in departures() {
            depart(&mut document, place, sent);
        }
        for name in NEWER_FEATURES {
            let place = format!("/components/schemas/OrganizationFeatures/properties/{name}");
            depart(&mut document, &place, json!({"type": "boolean"}));
        }
        Some(Self { document, validators: Mutex::default() })
    }

    /// The described path of which this is one: the one with the most words of its own.
    pub fn template(&self, path: &str) -> Option<&str> {
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let matches = |template: &&String| {
            let wanted: Vec<&str> = template.split('/').collect();
            wanted.len() == parts.len()
                && wanted.iter().zip(&parts).all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
        };
        let described = self.document["paths"].as_object().unwrap().keys().filter(matches);
        described.min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    /// Method and path of everything described.
    pub fn operations(&self) -> Vec<(String, String)> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        let methods = |path: &Value| path.as_object().unwrap().keys().map(|key| key.to_uppercase()).collect::<Vec<_>>();
        paths.flat_map(|(path, item)| methods(item).into_iter().map(|method| (method, path.clone()))).collect()
    }

    /// Whether the operation is described, by the path of a request or a route.
    pub fn knows(&self, method: &str, path: &str) -> bool {
        let template = self.template(path);
        template.is_some_and(|template| self.document["paths"][template][method.to_lowercase()].is_object())
    }

    /// What is wrong with an answer. Of refusals only the status is described, and not every one of them.
    pub fn faults_in(&self, method: &str, path: &str, status: u16, body: &str) -> Vec<String> {
        if status >= 400 || !self.knows(method, path) {
            return Vec::new();
        }
        let template = self.template(path).unwrap_or_default();
        let place = format!("{method} {template}");
        let answer = &self.document["paths"][template][method.to_lowercase()]["responses"][status.to_string()];
        if !answer.is_object() {
            return vec![format!("{place} is not described to answer {status}")];
        }
        let Some(content) = answer.get("content").filter(|_| method != "HEAD") else {
            return if body.is_empty() { Vec::new() } else { vec![format!("{place} has a body: {body}")] };
        };
        let schema = &content["application/json"]["schema"];
        if schema.is_null() {
            return Vec::new();
        }
        let Ok(value) = serde_json::from_str::<Value>(body) else {
            return vec![format!("{place} is no JSON: {body}")];
        };
        let validator = self.validator(self.kind_of(schema, &value));
        let wrong = validator.iter_errors(&value).map(|error| format!("{place}: {} {error}", error.instance_path()));
        let mut wrong: Vec<String> = wrong.collect();
        let mut unknown = Vec::new();
        self.unknown_properties(schema, &value, "", &mut unknown);
        wrong.extend(unknown.into_iter().map(|property| format!("{place}: {property} is not described")));
        wrong
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap();
        let build = || {
            let root = json!({"components": self.document["components"], "allOf": [schema]});
            Arc::new(jsonschema::options().build(&root).unwrap())
        };
        Arc::clone(validators.entry(schema.to_string()).or_insert_with(build))
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema["$ref"].as_str() {
            Some(reference) => &self.document["components"]["schemas"][reference.rsplit('/').next().unwrap()],
            None => schema,
        }
    }

    /// All properties that an object of this schema may have.
    fn properties<'s>(&'s self, schema: &'s Value, found: &mut Map<String, Value>) {
        let schema = self.resolve(schema);
        for part in ["allOf", "anyOf", "oneOf"] {
            for schema in schema[part].as_array().into_iter().flatten() {
                self.properties(schema, found);
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            found.insert(name.clone(), schema.clone());
        }
    }

    /// The schema that applies to the value: one of several kinds of things says which one it is.
    fn kind_of<'s>(&'s self, schema: &'s Value, value: &Value) -> &'s Value {
        let discriminator = &self.resolve(schema)["discriminator"];
        let kind = discriminator["propertyName"].as_str().and_then(|property| value[property].as_str());
        let kind = kind.and_then(|kind| discriminator["mapping"][kind].as_str()?.rsplit('/').next());
        kind.map_or(schema, |name| &self.document["components"]["schemas"][name])
    }

    /// Names the properties in `value` that the schema does not know.
    fn unknown_properties(&self, schema: &Value, value: &Value, place: &str, unknown: &mut Vec<String>) {
        let schema = self.kind_of(schema, value);
        let resolved = self.resolve(schema);
        match value {
            Value::Array(items) => {
                for item in items {
                    self.unknown_properties(&resolved["items"], item, &format!("{place}[]"), unknown);
                }
            }
            Value::Object(entries) => {
                if let Some(values) = resolved.get("additionalProperties").filter(|values| values.is_object()) {
                    for (key, value) in entries {
                        self.unknown_properties(values, value, &format!("{place}.{key}"), unknown);
                    }
                    return;
                }
                let mut known = Map::new();
                self.properties(schema, &mut known);
                for (key, value) in entries {
                    let place = format!("{place}.{key}");
                    match known.get(key) {
                        Some(schema) => self.unknown_properties(schema, value, &place, unknown),
                        None => unknown.push(place),
                    }
                }
            }
            _ => {}
        }
    }
}
