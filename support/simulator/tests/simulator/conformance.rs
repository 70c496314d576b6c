//! The answers, checked against the service's own description of its API. The description is not part of the
//! project: without it the test has nothing to do and says so.

mod surroundings;

use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::support::{Bench, STACK, bench, stack_path};

const DESCRIPTION: &str = "../shared/reference/pulumi-deployments.openapi.json";

/// Where the wire differs from the description, each with what is really sent.
fn departures() -> Vec<(&'static str, Value)> {
    vec![
        // A plain value is a bare string; a secret one comes masked, with its ciphertext in base64.
        (
            "SecretValue",
            json!({"anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"secret": {"const": "[secret]"}, "ciphertext": {"type": "string", "minLength": 1}},
                    "required": ["secret", "ciphertext"],
                },
            ]}),
        ),
        // An image without credentials is a bare string.
        (
            "DockerImage",
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
        ),
    ]
}

/// Properties that the service sends although the description does not know them.
const UNDESCRIBED: [(&str, &str); 1] = [
    // The documentation shows it, and the description's own text speaks of it.
    ("OrgDeploymentsMetadataResponse", "pausedStacks"),
];

struct Description {
    document: Value,
}

impl Description {
    /// Beside the workspace, when somebody put it there.
    fn read() -> Option<Self> {
        let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(workspace.join(DESCRIPTION)).ok()?;
        let mut document: Value = serde_json::from_str(&text).unwrap();
        for (name, schema) in departures() {
            document["components"]["schemas"][name] = schema;
        }
        Some(Self { document })
    }

    fn schema_of(&self, method: &str, path: &str, status: &str) -> Value {
        let operation = &self.document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is not described");
        let answer = &operation["responses"][status];
        assert!(answer.is_object(), "{method} {path} is not described to answer {status}");
        answer["content"]["application/json"]["schema"].clone()
    }

    fn validator(&self, schema: &Value) -> Validator {
        let root = json!({"components": self.document["components"], "allOf": [schema]});
        jsonschema::options().build(&root).unwrap()
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> (&'s str, &'s Value) {
        match schema["$ref"].as_str() {
            Some(reference) => {
                let name = reference.rsplit('/').next().unwrap();
                (name, &self.document["components"]["schemas"][name])
            }
            None => ("", schema),
        }
    }

    /// All properties that an object of this schema may have.
    fn properties<'s>(&'s self, schema: &'s Value, found: &mut Map<String, Value>) {
        let (_, schema) = self.resolve(schema);
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
        let discriminator = &self.resolve(schema).1["discriminator"];
        let kind = discriminator["propertyName"].as_str().and_then(|property| value[property].as_str());
        let kind = kind.and_then(|kind| discriminator["mapping"][kind].as_str()?.rsplit('/').next());
        kind.map_or(schema, |name| &self.document["components"]["schemas"][name])
    }

    /// Names the properties in `value` that the schema does not know.
    fn unknown_properties(&self, schema: &Value, value: &Value, place: &str, unknown: &mut Vec<String>) {
        let schema = self.kind_of(schema, value);
        let (name, resolved) = self.resolve(schema);
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
                        None if UNDESCRIBED.contains(&(name, key.as_str())) => {}
                        None => unknown.push(place),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Checks one answer after the other.
struct Checker {
    description: Description,
    bench: Bench,
    failures: Vec<String>,
    checked: usize,
}

impl Checker {
    async fn check(&mut self, method: &str, template: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        let verb = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let reply = self.bench.api.send(verb, path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
        let template = template.replace("S/", "/api/stacks/{orgName}/{projectName}/{stackName}/");
        let schema = self.description.schema_of(method, &template, &status.to_string());
        self.checked += 1;
        if schema.is_null() {
            assert_eq!(reply.text, "", "{method} {path} has a body");
            return Value::Null;
        }
        let value = reply.json();
        let validator = self.description.validator(self.description.kind_of(&schema, &value));
        for error in validator.iter_errors(&value) {
            self.failures.push(format!("{method} {template}: {} {error}", error.instance_path()));
        }
        let mut unknown = Vec::new();
        self.description.unknown_properties(&schema, &value, "", &mut unknown);
        self.failures.extend(unknown.into_iter().map(|place| format!("{method} {template}: {place} is not described")));
        value
    }
}

fn everything(pool: &str) -> Value {
    let secret = json!({"secret": "v"});
    json!({
        "tag": "t",
        "agentPoolID": pool,
        "cacheOptions": {"enable": true},
        "executorContext": {
            "executorImage": {"reference": "i", "credentials": {"username": "u", "password": secret}},
            "executorRootPath": "/x",
        },
        "sourceContext": {"git": {
            "commit": "c", "repoDir": "d", "tag": "v1",
            "gitAuth": {
                "accessToken": secret,
                "sshAuth": {"sshPrivateKey": secret, "password": secret},
                "basicAuth": {"userName": "u", "password": secret},
            },
        }},
        "gitHub": {
            "repository": "a/b", "deployCommits": true, "previewPullRequests": true, "pullRequestTemplate": false,
            "deployPullRequest": 3, "paths": ["x/**"], "installationId": "1", "deployTags": true,
            "tagFilters": ["v*"], "reviewStackLabels": ["l"],
        },
        "vcs": {"provider": "github", "repository": "a/b", "paths": ["x"], "reviewStackLabels": ["l"]},
        "operationContext": {
            "preRunCommands": ["echo hello"],
            "environmentVariables": {"PLAIN": "p", "SECRET": secret},
            "options": {
                "skipInstallDependencies": false, "skipIntermediateDeployments": false, "shell": "/bin/sh",
                "deleteAfterDestroy": false, "remediateIfDriftDetected": false,
            },
            "oidc": {
                "aws": {"roleArn": "r", "sessionName": "s", "duration": "1h", "policyArns": ["p"]},
                "azure": {"clientId": "c", "tenantId": "t", "subscriptionId": "s"},
                "gcp": {
                    "projectId": "1", "region": "r", "workloadPoolId": "w", "providerId": "p",
                    "serviceAccount": "s", "tokenLifetime": "1h",
                },
            },
            "role": {"id": "r", "name": "n", "defaultIdentifier": "d"},
        },
    })
}

#[tokio::test]
async fn answers_are_as_the_service_describes_them() {
    let Some(description) = Description::read() else {
        println!("skipped: there is no {DESCRIPTION}");
        return;
    };
    let bench = bench().await;
    bench.simulator.add_role("acme", "r", "n").unwrap();
    let pool = bench.simulator.add_agent_pool("acme", "mine").unwrap();
    let mut checker = Checker { description, bench, failures: Vec::new(), checked: 0 };
    check_settings(&mut checker, &pool).await;
    check_deployments(&mut checker).await;
    check_surroundings(&mut checker).await;
    assert!(checker.failures.is_empty(), "{:#?}", checker.failures);
    println!("{} answers checked", checker.checked);
}

async fn check_settings(checker: &mut Checker, pool: &str) {
    let (template, path) = ("S/deployments/settings", stack_path("/deployments/settings"));
    let image = json!({"executorContext": {"executorImage": "plain"}});
    checker.check("post", template, &path, Some(image), 200).await;
    checker.check("put", template, &path, Some(everything(pool)), 200).await;
    let settings = checker.check("get", template, &path, None, 200).await;
    assert_eq!(settings["gitHub"]["reviewStackLabels"], json!(["l"]));
    for source in [
        json!({"hg": {
            "repoUrl": "https://example.com/hg", "repoDir": "d", "revision": "r", "hgAuth": {"accessToken": "plain"},
        }}),
        json!({"hg": {"branch": "b"}}),
        json!({"template": {
            "sourceUrl": "registry://templates/a/b/c", "gitAuth": {"accessToken": {"secret": "x"}},
        }}),
    ] {
        checker.check("put", template, &path, Some(json!({"sourceContext": source})), 200).await;
    }
    checker.check("delete", template, &path, None, 200).await;
    checker.bench.simulator.patch_settings(STACK, &everything(pool)).unwrap();
}

async fn check_deployments(checker: &mut Checker) {
    let deployments = stack_path("/deployments");
    let list = [
        ("S/deployments", deployments.clone()),
        ("/api/orgs/{orgName}/deployments", "/api/orgs/acme/deployments".to_owned()),
    ];
    checker.bench.simulator.hold_at(STACK, "pulumi update").unwrap();
    let create = json!({"operation": "update"});
    let created = checker.check("post", "S/deployments", &deployments, Some(create.clone()), 202).await;
    let id = created["id"].as_str().unwrap().to_owned();
    let canceled = checker.check("post", "S/deployments", &deployments, Some(create), 202).await;
    let one = stack_path(&format!("/deployments/{id}"));
    checker.bench.wait(1, |view| view.step.as_deref() == Some("pulumi update")).await;
    for state in ["running", "succeeded"] {
        checker.bench.wait_status(1, state).await;
        checker.check("get", "S/deployments/{deploymentId}", &one, None, 200).await;
        checker.check("get", "S/deployments/version/{version}", &stack_path("/deployments/version/1"), None, 200).await;
        checker.check("get", "S/deployments/{deploymentId}/updates", &format!("{one}/updates"), None, 200).await;
        let logs = format!("{one}/logs");
        checker.check("get", "S/deployments/{deploymentId}/logs", &logs, None, 200).await;
        checker.check("get", "S/deployments/{deploymentId}/logs", &format!("{logs}?job=0&step=3"), None, 200).await;
        for (template, path) in &list {
            checker.check("get", template, path, None, 200).await;
        }
        if state == "running" {
            let path = stack_path(&format!("/deployments/{}/cancel", canceled["id"].as_str().unwrap()));
            checker.check("post", "S/deployments/{deploymentId}/cancel", &path, None, 200).await;
            checker.check("get", "/api/stacks/{orgName}/{projectName}/{stackName}", &stack_path(""), None, 200).await;
        }
        checker.bench.simulator.release(STACK).unwrap();
    }
}

async fn check_surroundings(checker: &mut Checker) {
    checker.check("get", "/api/user", "/api/user", None, 200).await;
    let path = "/api/user/organizations/default";
    checker.check("get", path, path, None, 200).await;
    checker.check("get", "S/deployments/metadata", &stack_path("/deployments/metadata"), None, 200).await;
    for action in ["metadata", "pause", "resume"] {
        let template = format!("/api/orgs/{{orgName}}/deployments/{action}");
        let method = if action == "metadata" { "get" } else { "post" };
        checker.check(method, &template, &format!("/api/orgs/acme/deployments/{action}"), None, 200).await;
    }
    for action in ["pause", "resume"] {
        let template = format!("S/deployments/{action}");
        checker.check("post", &template, &stack_path(&format!("/deployments/{action}")), None, 200).await;
    }
    checker.check("delete", "S/deployments/cache", &stack_path("/deployments/cache"), None, 200).await;
    let body = json!({"stackName": "new"});
    checker.check("post", "/api/stacks/{orgName}/{projectName}", "/api/stacks/acme/web", Some(body), 200).await;
    let template = "/api/stacks/{orgName}/{projectName}/{stackName}";
    checker.check("get", template, "/api/stacks/acme/web/new", None, 200).await;
    checker.check("delete", template, "/api/stacks/acme/web/new", None, 204).await;
}
