//! What surrounds deployments.

use serde_json::{Value, json};

use super::{Checker, DESCRIPTION, Description};
use crate::support::{STACK, UNSIGNED_TOKEN, bench, stack_path, unsigned_issuer, with_source};

const STACK_TEMPLATE: &str = "/api/stacks/{orgName}/{projectName}/{stackName}";

/// Where the wire differs from the description, or the description leaves open what is there.
fn adjust(document: &mut Value) {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let schemas = &mut document["components"]["schemas"];
    schemas["Anything"] = json!({"additionalProperties": reference("Anything"), "items": reference("Anything")});
    // Bytes travel as base64.
    schemas["AppDecryptValueResponse"]["properties"]["plaintext"] = json!({"type": "string"});
    schemas["AppBatchDecryptResponse"]["properties"]["plaintexts"] =
        json!({"type": "object", "additionalProperties": {"type": "string"}});
    // There is no token after the last event, as the description's own text says.
    schemas["GetUpdateEventsResponse"]["properties"]["continuationToken"] =
        json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
    // A resource that is created was not there before, one that is deleted is not there after: the clients send null.
    for name in ["old", "new"] {
        schemas["AppStepEventMetadata"]["properties"][name] =
            json!({"anyOf": [reference("AppStepEventStateMetadata"), {"type": "null"}]});
    }
    // Its text names the kind and the changes of resources, its properties do not.
    schemas["UpdateSummary"]["properties"]["kind"] = json!({"type": "string"});
    schemas["UpdateSummary"]["properties"]["resourceChanges"] = reference("Anything");
    // The official SDK is newer than the description.
    for name in [
        "agentTriggeredTasksEnabled",
        "aiAgentsReadOnly",
        "entityUserAssignmentsEnabled",
        "gitHubEnterpriseCloudDataResidencyEnabled",
        "neoCustomAgentsEnabled",
        "neoCustomRolesEnabled",
        "neoSecurityEnabled",
        "policyExceptionsEnabled",
        "staticDefaultRolesEnabled",
    ] {
        schemas["OrganizationFeatures"]["properties"][name] = json!({"type": "boolean"});
    }
    // Described as opaque.
    schemas["AppUntypedDeployment"]["properties"]["deployment"] = reference("Anything");
    schemas["AppAPICapabilityConfig"]["properties"]["configuration"] = reference("Anything");
    let list = json!({
        "type": "object",
        "properties": {
            "updates": {"type": "array", "items": reference("AppUpdateInfo")},
        },
        "required": ["updates"],
    });
    let path = format!("{STACK_TEMPLATE}/updates");
    document["paths"][&path]["get"]["responses"]["200"]["content"]["application/json"]["schema"] = list;
}

#[tokio::test]
async fn surroundings_are_as_the_service_describes_them() {
    let Some(mut description) = Description::read() else {
        println!("skipped: there is no {DESCRIPTION}");
        return;
    };
    adjust(&mut description.document);
    let mut checker = Checker { description, bench: bench().await, failures: Vec::new(), checked: 0 };
    check_service(&mut checker).await;
    check_organization(&mut checker).await;
    check_tokens(&mut checker).await;
    check_tags(&mut checker).await;
    check_history(&mut checker).await;
    check_state(&mut checker).await;
    assert!(checker.failures.is_empty(), "{:#?}", checker.failures);
    println!("{} answers checked", checker.checked);
}

async fn check_service(checker: &mut Checker) {
    for path in ["/api/capabilities", "/api/cli/version", "/api/user"] {
        checker.check("get", path, path, None, 200).await;
    }
}

async fn check_organization(checker: &mut Checker) {
    let (template, path) = ("/api/orgs/{orgName}", "/api/orgs/acme");
    checker.bench.create(with_source("update")).await;
    checker.bench.wait_status(1, "succeeded").await;
    checker.check("get", template, path, None, 200).await;
    checker.check("patch", template, path, Some(json!({"setNeoEnabled": true})), 200).await;
}

async fn check_tokens(checker: &mut Checker) {
    let expires = jiff::Timestamp::now().as_second() + 3600;
    for (template, path) in
        [("/api/orgs/{orgName}/tokens", "/api/orgs/acme/tokens"), ("/api/user/tokens", "/api/user/tokens")]
    {
        let body = json!({"name": "ci", "description": "d", "admin": true, "expires": expires});
        checker.check("post", template, path, Some(body), 200).await;
        checker.check("get", template, path, None, 200).await;
    }
    checker.bench.simulator.trust_issuer("acme", unsigned_issuer()).unwrap();
    let body = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": "urn:pulumi:org:acme",
        "subject_token": UNSIGNED_TOKEN,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": "urn:pulumi:token-type:access_token:organization",
    });
    let given = checker.check("post", "/api/oauth/token", "/api/oauth/token", Some(body), 200).await;
    let api = checker.bench.api.clone();
    checker.bench.api = api.with_token(given["access_token"].as_str().unwrap());
    checker.check("get", "/api/user", "/api/user", None, 200).await;
    checker.bench.api = api;
}

async fn check_tags(checker: &mut Checker) {
    let tag = json!({"name": "team", "value": "a"});
    checker.check("post", "S/tags", &stack_path("/tags"), Some(tag.clone()), 204).await;
    checker.check("patch", "S/tags", &stack_path("/tags"), Some(json!({"team": "b"})), 204).await;
    checker.check("patch", "S/tags/{tagName}", &stack_path("/tags/team"), Some(tag), 204).await;
    checker.check("get", STACK_TEMPLATE, &stack_path(""), None, 200).await;
    checker.check("delete", "S/tags/{tagName}", &stack_path("/tags/team"), None, 204).await;
}

async fn check_history(checker: &mut Checker) {
    checker.bench.create(with_source("preview")).await;
    checker.bench.wait_status(2, "succeeded").await;
    let previewed = checker.bench.simulator.deployment(STACK, 2).unwrap().id;
    checker.bench.create(with_source("destroy")).await;
    checker.bench.wait_status(3, "succeeded").await;
    let destroyed = checker.bench.simulator.deployment(STACK, 3).unwrap().id;
    checker.check("get", "S/updates", &stack_path("/updates"), None, 200).await;
    checker.check("get", "S/updates/latest", &stack_path("/updates/latest"), None, 200).await;
    checker.check("get", "S/updates/{version}", &stack_path("/updates/1"), None, 200).await;
    checker.check("get", "S/updates/{version}/summary", &stack_path("/updates/1/summary"), None, 200).await;
    for (kind, deployment) in [("preview", &previewed), ("update", &destroyed)] {
        let path = stack_path(&format!("/deployments/{deployment}/updates"));
        let updates = checker.check("get", "S/deployments/{deploymentId}/updates", &path, None, 200).await;
        let template = format!("S/{kind}/{{updateID}}/events");
        let path = stack_path(&format!("/{kind}/{}/events", updates[0]["updateID"].as_str().unwrap()));
        checker.check("get", &template, &path, None, 200).await;
        checker.check("post", &template, &path, Some(json!({"sequence": 1, "cancelEvent": {}})), 200).await;
    }
}

async fn check_state(checker: &mut Checker) {
    checker.bench.simulator.set_outputs(STACK, &json!({"url": "u", "key": {"secret": "k"}})).unwrap();
    let state = checker.check("get", "S/export", &stack_path("/export"), None, 200).await;
    let ciphertext = &state["deployment"]["resources"][0]["outputs"]["key"]["ciphertext"];
    let one = json!({"ciphertext": ciphertext});
    checker.check("post", "S/decrypt", &stack_path("/decrypt"), Some(one), 200).await;
    let many = json!({"ciphertexts": [ciphertext]});
    checker.check("post", "S/batch-decrypt", &stack_path("/batch-decrypt"), Some(many), 200).await;
}
