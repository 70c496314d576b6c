use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, stack_path, with_source, with_variables};

/// The outputs in the exported state.
async fn outputs(bench: &Bench) -> Value {
    let state = bench.api.get(&stack_path("/export")).await.expect(200);
    let resources = state["deployment"]["resources"].as_array().unwrap();
    let root = resources.iter().find(|resource| resource["type"] == "pulumi:pulumi:Stack");
    root.map_or(Value::Null, |root| root["outputs"].clone())
}

/// What is in a secret of the state.
async fn opened(bench: &Bench, secret: &Value) -> Value {
    assert_eq!(secret["4dabf18193072939515e22adb298388d"], "1b47061264138c4ac30d75fd1eb44270");
    let body = json!({"ciphertext": secret["ciphertext"]});
    let reply = bench.api.post(&stack_path("/decrypt"), body).await.expect(200);
    let plaintext = STANDARD.decode(reply["plaintext"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&plaintext).unwrap()
}

#[tokio::test]
async fn a_stack_that_was_never_updated_has_no_resources() {
    let bench = bench().await;
    let state = bench.api.get(&stack_path("/export")).await.expect(200);
    assert_eq!((&state["version"], &state["deployment"]["resources"]), (&json!(3), &json!([])));
    bench.api.get("/api/stacks/acme/web/none/export").await.expect_error(404);
}

#[tokio::test]
async fn outputs_are_there_at_once_and_go_with_a_destroy() {
    let bench = bench().await;
    let values = json!({"url": "https://a.example", "list": [1, {"deep": {"secret": 7}}], "key": {"secret": "k"}});
    bench.simulator.set_outputs(STACK, &values).unwrap();
    let shown = outputs(&bench).await;
    assert_eq!(shown["url"], "https://a.example");
    assert_eq!(opened(&bench, &shown["key"]).await, "k");
    assert_eq!(opened(&bench, &shown["list"][1]["deep"]).await, 7);
    assert!(!shown.to_string().contains("\"k\""));

    bench.create(with_source("update")).await;
    bench.create(with_source("destroy")).await;
    bench.wait_status(2, "succeeded").await;
    assert_eq!(outputs(&bench).await, Value::Null);
    bench.create(with_source("update")).await;
    bench.wait_status(3, "succeeded").await;
    assert_eq!(outputs(&bench).await["url"], "https://a.example");
}

#[tokio::test]
async fn only_a_successful_update_writes_outputs() {
    let bench = bench().await;
    let run = |operation: &str, outputs: &str, more: Value| {
        let mut variables = json!({"SIMULATOR_OUTPUTS": outputs});
        variables.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with_variables(operation, &variables)
    };
    bench.create(run("update", r#"{"n": 1, "s": {"secret": {"a": [2]}}}"#, json!({}))).await;
    bench.create(run("preview", r#"{"n": 2}"#, json!({}))).await;
    bench.create(run("update", r#"{"n": 3}"#, json!({"SIMULATOR_FAIL_STEP": "pulumi update"}))).await;
    bench.create(run("refresh", r#"{"n": 4}"#, json!({}))).await;
    bench.wait_status(4, "succeeded").await;
    let shown = outputs(&bench).await;
    assert_eq!(shown["n"], 1);
    bench.create(run("destroy", "{}", json!({}))).await;
    bench.wait_status(5, "succeeded").await;
    for (version, resources) in [(1, 5), (2, 5), (3, 5), (4, 0)] {
        let state = bench.api.get(&stack_path(&format!("/export/{version}"))).await.expect(200);
        assert_eq!(state["deployment"]["resources"].as_array().unwrap().len(), resources, "{version}");
    }
    let message = bench.api.get(&stack_path("/export/5")).await.expect_error(404);
    assert_eq!(message, "Not Found: Version not found");
    bench.api.get(&stack_path("/export/x")).await.expect_error(400);
    assert_eq!(opened(&bench, &shown["s"]).await, json!({"a": [2]}));
    let state = bench.api.get(&stack_path("/export/1")).await.expect(200);
    let resources = state["deployment"]["resources"].as_array().unwrap();
    // Three beside the stack itself, and their provider.
    assert_eq!(resources.len(), 5);
}

#[tokio::test]
async fn many_secrets_are_opened_at_once() {
    let bench = bench().await;
    bench.simulator.set_outputs(STACK, &json!({"a": {"secret": "1"}, "b": {"secret": "2"}})).unwrap();
    let shown = outputs(&bench).await;
    let path = stack_path("/batch-decrypt");
    let ciphertext = |name: &str| shown[name]["ciphertext"].as_str().unwrap().to_owned();
    let body = json!({"ciphertexts": [ciphertext("a"), ciphertext("b")]});
    let reply = bench.api.post(&path, body.clone()).await.expect(200);
    assert_eq!(reply["plaintexts"][ciphertext("a")], STANDARD.encode("\"1\""));
    assert_eq!(reply["plaintexts"][ciphertext("b")], STANDARD.encode("\"2\""));

    // As the command line tool sends it.
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body.to_string().as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let request = bench.api.request(Method::POST, &path).header("Content-Encoding", "gzip").body(packed);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let broken = bench.api.request(Method::POST, &path).header("Content-Encoding", "gzip").body("no");
    assert_eq!(broken.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn what_is_sealed_opens_again() {
    let bench = bench().await;
    let plaintext = STANDARD.encode("hunter2");
    let sealed = bench.api.post(&stack_path("/encrypt"), json!({"plaintext": plaintext})).await.expect(200);
    let opened = bench.api.post(&stack_path("/decrypt"), sealed).await.expect(200);
    assert_eq!(opened["plaintext"], plaintext);
    let body = json!({"plaintexts": [plaintext, ""]});
    let sealed = bench.api.post(&stack_path("/batch-encrypt"), body).await.expect(200);
    let opened = bench.api.post(&stack_path("/batch-decrypt"), sealed.clone()).await.expect(200);
    assert_eq!(opened["plaintexts"][sealed["ciphertexts"][0].as_str().unwrap()], plaintext);
    assert_eq!(opened["plaintexts"][sealed["ciphertexts"][1].as_str().unwrap()], "");
    bench.api.post(&stack_path("/encrypt"), json!({"plaintext": "***"})).await.expect_error(400);
    bench.api.post(&stack_path("/batch-encrypt"), json!({})).await.expect_error(400);
    for kind in ["log-decryption", "log-batch-decryption"] {
        let path = stack_path(&format!("/decrypt/{kind}"));
        bench.api.post(&path, json!({"commandName": "pulumi stack output"})).await.expect(200);
    }
}

#[tokio::test]
async fn what_does_not_open_is_refused() {
    let bench = bench().await;
    bench.simulator.add_stack("acme/web/dev").unwrap();
    bench.simulator.set_outputs("acme/web/dev", &json!({"a": {"secret": "1"}})).unwrap();
    let state = bench.api.get("/api/stacks/acme/web/dev/export").await.expect(200);
    let foreign = &state["deployment"]["resources"][0]["outputs"]["a"]["ciphertext"];
    let path = stack_path("/batch-decrypt");
    for (body, detail) in [
        (json!({"ciphertexts": [foreign]}), "Message authentication failed"),
        (json!({"ciphertexts": ["AAAB"]}), "Message authentication failed"),
        (json!({"ciphertexts": ["***"]}), "invalid base64 encoding"),
        (json!({"ciphertexts": "x"}), "ciphertexts was not an array"),
        (json!({"ciphertexts": [], "more": 1}), "only \"ciphertexts\" valid within request body"),
        (json!([]), "body must be a JSON object"),
    ] {
        let message = bench.api.post(&path, body).await.expect_error(400);
        assert_eq!(message, format!("Bad Request: {detail}"));
    }
    bench.api.post(&stack_path("/decrypt"), json!({"ciphertext": foreign})).await.expect_error(400);
}

#[tokio::test]
async fn a_large_state_comes_in_pieces() {
    let bench = bench().await;
    bench.simulator.set_outputs(STACK, &json!({"url": "u"})).unwrap();
    bench.simulator.set_state_ballast(STACK, 3_000_000).unwrap();
    let reply = bench.api.get(&stack_path("/export")).await;
    assert!(reply.text.len() > 3_000_000);
    assert!(!reply.headers.contains_key("content-length"));
    // Who reads along has the outputs early.
    assert!(reply.text.find("\"outputs\":{\"url\":\"u\"}").unwrap() < 1000);
    assert_eq!(reply.json()["deployment"]["resources"][0]["type"], "pulumi:pulumi:Stack");
    bench.simulator.set_state_ballast(STACK, 0).unwrap();
    assert!(bench.api.get(&stack_path("/export")).await.headers.contains_key("content-length"));
}
