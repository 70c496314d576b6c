use pulumi_cloud_simulator::AutoSecrets;
use serde_json::{Value, json};

use crate::support::{Bench, STACK, bench, bench_with, stack_path};

fn path() -> String {
    stack_path("/deployments/settings")
}

async fn variables(bench: &Bench, variables: Value) -> Value {
    let body = json!({"operationContext": {"environmentVariables": variables}});
    let reply = bench.api.post(&path(), body).await.expect(200);
    reply["operationContext"]["environmentVariables"].clone()
}

fn stored(bench: &Bench) -> Value {
    bench.simulator.settings(STACK).unwrap()["operationContext"]["environmentVariables"].clone()
}

#[tokio::test]
async fn secrets_never_come_back_and_their_ciphertexts_are_always_fresh() {
    let bench = bench().await;
    let first = variables(&bench, json!({"S": {"secret": "hunter2"}, "P": "plain"})).await;
    assert_eq!(first["P"], "plain");
    let second = bench.api.get(&path()).await.expect(200);
    let second = &second["operationContext"]["environmentVariables"];
    for answer in [&first, second] {
        assert_eq!(answer["S"]["secret"], "[secret]");
        assert!(!answer["S"]["ciphertext"].as_str().unwrap().is_empty());
    }
    assert_ne!(first["S"]["ciphertext"], second["S"]["ciphertext"]);
    assert_eq!(stored(&bench), json!({"S": {"secret": "hunter2"}, "P": "plain"}));
}

#[tokio::test]
async fn any_ciphertext_given_out_is_accepted_back() {
    let bench = bench().await;
    let first = variables(&bench, json!({"S": {"secret": "one"}})).await;
    variables(&bench, json!({"S": {"secret": "two"}})).await;
    // An old one, alone, and a whole answer sent back.
    variables(&bench, json!({"OLD": {"ciphertext": first["S"]["ciphertext"]}})).await;
    let settings = bench.api.get(&path()).await.expect(200);
    bench.api.put(&path(), settings).await.expect(200);
    assert_eq!(stored(&bench), json!({"S": {"secret": "two"}, "OLD": {"secret": "one"}}));
    let body = json!({"operationContext": {"environmentVariables": {"S": {"ciphertext": "bm9wZQ=="}}}});
    bench.api.post(&path(), body).await.expect_error(400);
}

#[tokio::test]
async fn the_forms_of_the_clients_are_understood() {
    let bench = bench().await;
    let sent = json!({
        "SDK": {"plaintext": null, "secret": "v", "ciphertext": null},
        "SDK_PLAIN": {"plaintext": "p", "secret": null, "ciphertext": null},
        "CASE": {"Secret": "c"},
        "EMPTY": {"secret": ""},
    });
    variables(&bench, sent).await;
    let expected = json!({
        "SDK": {"secret": "v"},
        "SDK_PLAIN": "p",
        "CASE": {"secret": "c"},
        "EMPTY": {"secret": ""},
    });
    assert_eq!(stored(&bench), expected);
}

#[tokio::test]
async fn a_value_is_encrypted_for_later() {
    let bench = bench().await;
    let encrypt = stack_path("/deployments/settings/encrypt");
    for body in [
        json!("hunter2"),
        json!({"secret": "hunter2"}),
        json!({"plaintext": "hunter2"}),
        json!({"plaintext": null, "secret": "hunter2", "ciphertext": null}),
    ] {
        let sealed = bench.api.post(&encrypt, body).await.expect(200);
        assert_eq!(sealed["secret"], "[secret]");
        // As it was answered, and alone; the stack needs no settings for it.
        for value in [sealed.clone(), json!({"ciphertext": sealed["ciphertext"]})] {
            let shown = variables(&bench, json!({"S": value})).await;
            assert_eq!(shown["S"]["secret"], "[secret]");
            assert_eq!(stored(&bench), json!({"S": {"secret": "hunter2"}}));
        }
    }
    for body in [json!(""), json!({"secret": ""}), json!({}), json!({"plaintext": null, "secret": null})] {
        let message = bench.api.post(&encrypt, body).await.expect_error(400);
        assert!(message.contains("Invalid empty value"), "{message}");
    }
    bench.api.post(&encrypt, json!(5)).await.expect_error(400);
    bench.api.post("/api/stacks/acme/web/none/deployments/settings/encrypt", json!("x")).await.expect_error(404);
}

#[tokio::test]
async fn secrets_hide_everywhere_they_may_stand() {
    let bench = bench().await;
    let body = json!({"sourceContext": {"git": {"gitAuth": {
        "accessToken": {"secret": "a"},
        "sshAuth": {"sshPrivateKey": {"secret": "k"}, "password": {"secret": "p"}},
        "basicAuth": {"userName": "u", "password": {"secret": "b"}},
    }}}});
    let reply = bench.api.post(&path(), body).await.expect(200);
    let auth = &reply["sourceContext"]["git"]["gitAuth"];
    for place in ["/accessToken", "/sshAuth/sshPrivateKey", "/sshAuth/password", "/basicAuth/password"] {
        assert_eq!(auth.pointer(place).unwrap()["secret"], "[secret]", "{place}");
    }
    assert_eq!(auth["basicAuth"]["userName"], "u");
    // A secret is one value: a plain one replaces it, nothing of it stays.
    let body = json!({"sourceContext": {"git": {"gitAuth": {"accessToken": "open"}}}});
    let reply = bench.api.post(&path(), body).await.expect(200);
    assert_eq!(reply["sourceContext"]["git"]["gitAuth"]["accessToken"], "open");
}

#[tokio::test]
async fn a_variable_named_secret_is_a_variable() {
    let bench = bench().await;
    variables(&bench, json!({"secret": "a", "other": "b"})).await;
    variables(&bench, json!({"ciphertext": "c"})).await;
    assert_eq!(stored(&bench), json!({"secret": "a", "other": "b", "ciphertext": "c"}));
}

#[tokio::test]
async fn values_that_look_like_secrets_become_secret() {
    let bench = bench().await;
    let sent =
        json!({"DB_PASSWORD": "q8Zt-4rT9!xLmPw2", "API_TOKEN": "aaaaaaaaaaaaaaaaaaa", "REGION": "q8Zt-4rT9!xLmPw2"});
    variables(&bench, sent.clone()).await;
    let kept = stored(&bench);
    assert_eq!(kept["DB_PASSWORD"], json!({"secret": "q8Zt-4rT9!xLmPw2"}));
    assert_eq!((&kept["API_TOKEN"], &kept["REGION"]), (&sent["API_TOKEN"], &sent["REGION"]));

    let lenient = bench_with(|builder| builder.auto_secrets(AutoSecrets::Off)).await;
    variables(&lenient, sent.clone()).await;
    assert_eq!(stored(&lenient), sent);
}
