//! What surrounds deployments has its turn.

use std::collections::BTreeSet;

use pulumi_cloud_simulator::routes;
use serde_json::{Value, json};

use super::{Checker, is_about_deployments};
use crate::description::{Description, FILE};
use crate::support::{STACK, UNSIGNED_TOKEN, bench, stack_path, unsigned_issuer, with_source};

#[tokio::test]
async fn surroundings_are_as_the_service_describes_them() {
    let Some(description) = Description::get() else {
        println!("skipped: there is no {FILE}");
        return;
    };
    let mut checker = Checker { bench: bench().await, description, seen: BTreeSet::new() };
    check_service(&mut checker).await;
    check_stacks(&mut checker).await;
    check_organization(&mut checker).await;
    check_tokens(&mut checker).await;
    check_tags(&mut checker).await;
    check_history(&mut checker).await;
    check_state(&mut checker).await;

    let missed: Vec<_> = routes()
        .filter(|(method, path, _)| !is_about_deployments(path) && description.knows(method, path))
        .filter(|(method, path, _)| {
            let template = description.template(path).unwrap();
            !checker.seen.contains(&((*method).to_owned(), template.to_owned()))
        })
        .collect();
    assert!(missed.is_empty(), "had no turn: {missed:#?}");
}

async fn check_service(checker: &mut Checker) {
    for path in ["/api/capabilities", "/api/cli/version", "/api/user", "/api/user/organizations/default"] {
        checker.get(path).await;
    }
}

async fn check_stacks(checker: &mut Checker) {
    let body = json!({"stackName": "new", "tags": {"team": "a"}});
    checker.check("POST", "/api/stacks/acme/web", Some(body), 200).await;
    checker.check("HEAD", "/api/stacks/acme/web", None, 200).await;
    checker.get("/api/stacks/acme/web/new").await;
    checker.check("DELETE", "/api/stacks/acme/web/new", None, 204).await;
}

async fn check_organization(checker: &mut Checker) {
    checker.bench.create(with_source("update")).await;
    checker.bench.wait_status(1, "succeeded").await;
    checker.get("/api/orgs/acme").await;
    checker.check("PATCH", "/api/orgs/acme", Some(json!({"setNeoEnabled": true})), 200).await;
}

async fn check_tokens(checker: &mut Checker) {
    let expires = jiff::Timestamp::now().as_second() + 3600;
    for path in ["/api/orgs/acme/tokens", "/api/user/tokens"] {
        let body = json!({"name": "ci", "description": "d", "admin": true, "expires": expires});
        checker.check("POST", path, Some(body), 200).await;
        checker.get(path).await;
    }
    checker.bench.simulator.trust_issuer("acme", unsigned_issuer()).unwrap();
    let body = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": "urn:pulumi:org:acme",
        "subject_token": UNSIGNED_TOKEN,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": "urn:pulumi:token-type:access_token:organization",
    });
    let given = checker.check("POST", "/api/oauth/token", Some(body), 200).await;
    let api = checker.bench.api.with_token(given["access_token"].as_str().unwrap());
    checker.check_as(&api, "GET", "/api/user", None, 200).await;
}

async fn check_tags(checker: &mut Checker) {
    let tag = json!({"name": "team", "value": "a"});
    checker.check("POST", &stack_path("/tags"), Some(tag.clone()), 204).await;
    checker.check("PATCH", &stack_path("/tags"), Some(json!({"team": "b"})), 204).await;
    checker.check("PATCH", &stack_path("/tags/team"), Some(tag), 204).await;
    checker.get(&stack_path("")).await;
    checker.check("DELETE", &stack_path("/tags/team"), None, 204).await;
}

async fn check_history(checker: &mut Checker) {
    checker.bench.create(with_source("preview")).await;
    checker.bench.create(with_source("destroy")).await;
    checker.bench.wait_status(3, "succeeded").await;
    for query in ["", "?output-type=service&page=1"] {
        checker.get(&stack_path(&format!("/updates{query}"))).await;
    }
    for path in ["/updates/latest", "/updates/1", "/updates/1/summary"] {
        checker.get(&stack_path(path)).await;
    }
    for (kind, version) in [("preview", 2), ("update", 3)] {
        let id = checker.bench.simulator.deployment(STACK, version).unwrap().id;
        let updates = checker.get(&stack_path(&format!("/deployments/{id}/updates"))).await;
        let path = stack_path(&format!("/{kind}/{}/events", updates[0]["updateID"].as_str().unwrap()));
        checker.get(&path).await;
        checker.check("POST", &path, Some(json!({"sequence": 1, "cancelEvent": {}})), 200).await;
    }
}

async fn check_state(checker: &mut Checker) {
    checker.bench.simulator.set_outputs(STACK, &json!({"url": "u", "key": {"secret": "k"}})).unwrap();
    let state = checker.get(&stack_path("/export")).await;
    let ciphertext: &Value = &state["deployment"]["resources"][0]["outputs"]["key"]["ciphertext"];
    checker.check("POST", &stack_path("/decrypt"), Some(json!({"ciphertext": ciphertext})), 200).await;
    checker.check("POST", &stack_path("/batch-decrypt"), Some(json!({"ciphertexts": [ciphertext]})), 200).await;
}
