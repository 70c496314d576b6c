use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::support::Api;

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
