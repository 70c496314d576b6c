//! `status`, `history` and `logs`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use super::{Plugin, put_deployment, world};

#[tokio::test]
async fn what_has_run_is_shown() {
    let (world, _) = world("pdep-read").await;
    let plugin = Plugin::of(&world);

    let all = plugin.success(&["status"]).await;
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines[0].starts_with("Organization acme  Connected  "), "{all}");
    assert!(lines[1].starts_with("└─ Settings web-prod  Synced  "), "{all}");
    assert!(lines[2].starts_with("   └─ Deployment web-prod  update  Succeeded 5/5 pulumi update"), "{all}");
    assert_eq!(lines.len(), 3, "{all}");

    // A name that several kinds have is the Deployment's, which is shown in full.
    let one = plugin.success(&["status", "web-prod"]).await;
    assert!(one.contains("✓ 1 ") && one.contains("Succeeded: "), "{one}");
    let settings = plugin.success(&["status", "settings/web-prod"]).await;
    assert_eq!(settings, all);
    let organization = plugin.success(&["status", "organization/acme"]).await;
    assert_eq!(organization, all);

    let json: Value = serde_json::from_str(&plugin.success(&["status", "web-prod", "-o", "json"]).await).unwrap();
    let kinds: Vec<_> = json["items"].as_array().unwrap().iter().map(|item| item["kind"].clone()).collect();
    assert_eq!(kinds, ["Organization", "StackDeploymentSettings", "Deployment"]);
    assert_eq!(json["items"][2]["status"]["phase"], "Succeeded");
    let yaml = plugin.success(&["status", "-o", "yaml"]).await;
    assert!(yaml.contains("kind: StackDeploymentSettings") && !yaml.contains("managedFields"), "{yaml}");

    let everywhere = plugin.success(&["status", "-A"]).await;
    assert!(everywhere.contains(&format!("Deployment {}/web-prod  update", world.namespace)), "{everywhere}");
}

#[tokio::test]
async fn logs_and_history_are_read() {
    let (world, status) = world("pdep-logs").await;
    let plugin = Plugin::of(&world);

    let log = plugin.success(&["logs", "web-prod"]).await;
    assert!(log.contains("── Get source\nCloning https://example.com/web.git\n"), "{log}");
    assert_eq!(plugin.success(&["logs", "web-prod", "--follow"]).await, log);
    assert_eq!(plugin.success(&["logs", "web-prod", "--run", "1"]).await, log);

    let steps = &status.run.unwrap().jobs[0].steps;
    let number = steps.iter().position(|step| step.name == "Get source").unwrap() + 1;
    let step = plugin.success(&["logs", "web-prod", "--step", &number.to_string()]).await;
    assert!(step.contains("Cloning https://example.com/web.git\n") && !step.contains("Preparing"), "{step}");
    assert_eq!(plugin.success(&["logs", "web-prod", "--step", &number.to_string(), "--follow"]).await, step);
    let said = plugin.failure(&["logs", "web-prod", "--step", "99"]).await;
    assert!(said.contains("run 1 has the steps 1 to 5: "), "{said}");
    let said = plugin.failure(&["logs", "web-prod", "--run", "99"]).await;
    assert!(said.contains("404") && said.contains("Secret"), "{said}");

    put_deployment(&world, json!({"rerun": "once more"})).await;
    world.ended("web-prod", 2).await;
    let history = plugin.success(&["history", "web-prod"]).await;
    let rows: Vec<Vec<&str>> = history.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["REQUEST", "RUN", "OPERATION", "RESULT"]);
    assert_eq!(
        (&rows[1][..4], &rows[2][..4]),
        (&["2", "2", "update", "Succeeded"][..], &["1", "1", "update", "Succeeded"][..])
    );
    let json: Value = serde_json::from_str(&plugin.success(&["history", "web-prod", "-o", "json"]).await).unwrap();
    assert_eq!((&json["run"]["version"], &json["history"][0]["version"]), (&json!(2), &json!(1)));
    // An earlier run's log is the stack's, not only the newest's.
    assert_eq!(plugin.success(&["logs", "web-prod", "--run", "1"]).await, log);
}

#[tokio::test]
async fn a_run_is_watched_to_its_end() {
    let (world, _) = world("pdep-watch").await;
    let stack = world.stack("web/prod");
    world.simulator.hold_at(&stack, "Get source").unwrap();
    put_deployment(&world, json!({"rerun": "watched"})).await;
    world
        .deployment("web-prod", "runs again", |status| {
            status.step.as_deref().is_some_and(|step| step.ends_with("Get source"))
        })
        .await;

    let plugin = Plugin::of(&world);
    let mut child = plugin.command(&["status", "web-prod", "--watch"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            // It stands still until it has been seen to.
            if line.contains("▶ ") && line.contains("Get source") {
                world.simulator.release(&stack).unwrap();
            }
            said.push_str(&line);
            said.push('\n');
        }
    };
    timeout(Duration::from_secs(60), reading).await.unwrap();
    assert!(child.wait().await.unwrap().success(), "{said}");
    let pictures: Vec<&str> = said.split("\n\n").collect();
    assert!(pictures.len() > 1 && pictures[0].contains("Running"), "{said}");
    assert!(pictures.last().unwrap().contains("Succeeded 5/5 pulumi update"), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
}
