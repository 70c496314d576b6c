use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Api, UNSIGNED_TOKEN};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulumi-cloud-simulator"));
    command.env_remove("PULUMI_ACCESS_TOKEN").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn it_says_where_it_listens_and_stops_when_told() {
    for signal in ["-TERM", "-INT"] {
        let arguments = ["--listen", "127.0.0.1:0", "--token", "t", "--organization", "acme", "--speed", "9"];
        let mut child = program().args(arguments).args(["--stack", "acme/web/prod"]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Api::new(url, "t").get("/api/stacks/acme/web/prod").await.expect(200);
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert!(child.wait().unwrap().success());
    }
}

#[tokio::test]
async fn it_begins_with_outputs_and_trusted_issuers() {
    let arguments = ["--listen", "127.0.0.1:0", "--token", "t", "--organization", "acme", "--stack", "acme/web/prod"];
    let more = ["--outputs", r#"acme/web/prod={"url": "u"}"#, "--trust", "acme,https://i,s"];
    let mut child = program().args(arguments).args(more).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let api = Api::new(line.trim().strip_prefix("listening on ").unwrap().to_owned(), "t");
    let state = api.get("/api/stacks/acme/web/prod/export").await.expect(200);
    assert_eq!(state["deployment"]["resources"][0]["outputs"], json!({"url": "u"}));
    let request = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": "urn:pulumi:org:acme",
        "subject_token": UNSIGNED_TOKEN,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": "urn:pulumi:token-type:access_token:organization",
    });
    api.post("/api/oauth/token", request).await.expect(200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn mistakes_are_told_in_a_sentence() {
    for (arguments, sentence) in [
        (
            vec!["--token", "t", "--organization", "acme", "--stack", "other/web/prod"],
            "organization \"other\" is not known",
        ),
        (vec!["--token", "t", "--organization", "acme", "--stack", "web"], "write ORGANIZATION/PROJECT/STACK"),
        (vec!["--token", "t", "--organization", "acme", "--speed", "0"], "must be a number greater than 0"),
        (vec!["--token", "t", "--organization", "acme", "--listen", "nonsense"], "cannot listen on nonsense"),
        (vec!["--organization", "acme"], "--token"),
        (
            vec!["--token", "t", "--organization", "acme", "--outputs", "acme/web/prod"],
            "write ORGANIZATION/PROJECT/STACK",
        ),
        (vec!["--token", "t", "--organization", "acme", "--outputs", "acme/web/prod=3"], "must be a JSON object"),
        (vec!["--token", "t", "--organization", "acme", "--trust", "acme,x"], "write ORGANIZATION,ISSUER,SUBJECT"),
        (
            vec!["--token", "t", "--organization", "acme", "--trust", "other,https://i,s"],
            "organization \"other\" is not",
        ),
    ] {
        let mut child = program().args(&arguments).spawn().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(text.contains(sentence), "{arguments:?}: {text}");
        assert!(!text.contains("backtrace"), "{text}");
    }
}

#[tokio::test]
async fn it_begins_with_a_dialect_and_roles() {
    let arguments = ["--listen", "127.0.0.1:0", "--token", "t", "--organization", "acme", "--stack", "acme/web/prod"];
    for (dialect, settings, status) in [
        ("both", "/api/stacks/acme/web/prod/deployments/settings", 200),
        ("stacks", "/api/preview/acme/web/prod/deployment/settings", 404),
        ("preview", "/api/preview/acme/web/prod/deployment/settings", 200),
        ("preview", "/api/stacks/acme/web/prod/deployments/settings", 404),
    ] {
        let more = ["--dialect", dialect, "--role", "acme/readers"];
        let mut child = program().args(arguments).args(more).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let api = Api::new(line.trim().strip_prefix("listening on ").unwrap().to_owned(), "t");
        let body = serde_json::json!({"operationContext": {"role": {"id": "readers"}}});
        assert_eq!(api.post(settings, body).await.status, status, "{dialect} {settings}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for (option, value) in [("--dialect", "latin"), ("--role", "readers"), ("--role", "other/readers")] {
        let mut child = program().args(arguments).args([option, value]).spawn().unwrap();
        assert!(!child.wait().unwrap().success(), "{option} {value}");
    }
}
