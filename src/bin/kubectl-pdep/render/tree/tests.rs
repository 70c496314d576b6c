use kube::api::DynamicObject;
use pulumi_deployments_operator::api::deployment::Failure;
use serde_json::{Value, json};

use super::*;

fn seen<K: Known>(kind: &str, name: &str, spec: &Value, status: &Value) -> Seen<K> {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "deployments.pulumi.com/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "team", "uid": "5b1c", "generation": 1}, "spec": spec, "status": status,
    }))
    .unwrap();
    Seen::of(object).unwrap()
}

fn ready(status: &str, reason: &str, message: &str) -> Value {
    let time = "2030-01-01T00:00:00Z";
    let condition = |type_: &str, status: &str| {
        json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": time,
            "observedGeneration": 1})
    };
    if status == "False" {
        json!([condition("Ready", status), condition("Stalled", "True")])
    } else {
        json!([condition("Ready", status)])
    }
}

fn organization() -> Seen<Organization> {
    let spec = json!({"backendURL": "https://api.pulumi.com", "accessToken": {"secretKeyRef": {"name": "pulumi", "key": "t"}}});
    let status = json!({"conditions": ready("True", "Connected", ""), "user": {"login": "ci-bot"}, "paused": true});
    seen("Organization", "acme", &spec, &status)
}

fn settings(name: &str, stack: &str, conditions: &Value) -> Seen<StackDeploymentSettings> {
    let spec = json!({"stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": stack}});
    seen(
        "StackDeploymentSettings",
        name,
        &spec,
        &json!({"stack": format!("acme/web/{stack}"), "conditions": conditions}),
    )
}

fn step(name: &str, status: &str, started: &str, finished: Option<&str>) -> Value {
    json!({"name": name, "status": status, "startedAt": started, "finishedAt": finished})
}

fn running() -> Seen<Deployment> {
    let run = json!({
        "request": {"number": 1, "digest": "v1:x"}, "purpose": "Main", "attempt": 1, "nonce": "n", "operation": "update",
        "target": {"backendURL": "https://api.pulumi.com", "organization": "acme", "project": "web", "stack": "prod"},
        "id": "i", "version": 7, "url": "https://app.pulumi.com/7", "status": "running",
        "queuedAt": "2030-01-01T00:00:00Z", "startedAt": "2030-01-01T00:00:05Z",
        "jobs": [{"status": "running", "steps": [
            step("Get source", "succeeded", "2030-01-01T00:00:05Z", Some("2030-01-01T00:00:08Z")),
            step("pulumi update", "running", "2030-01-01T00:00:08Z", None),
            {"name": "Clean up", "status": "not-started"},
        ]}],
    });
    let status = json!({"observedGeneration": 1, "phase": "Running", "step": "2/3 pulumi update", "run": run,
        "conditions": ready("Unknown", "Running", "run 7 is under way")});
    seen("Deployment", "web-prod", &json!({"settingsRef": {"name": "web"}, "operation": "update"}), &status)
}

fn waiting(name: &str, settings: &str) -> Seen<Deployment> {
    let target =
        json!({"backendURL": "https://api.pulumi.com", "organization": "acme", "project": "web", "stack": "prod"});
    let offered = json!({"token": "4f1c", "request": {"number": 1, "digest": "v1:x"}, "purpose": "Main",
        "operation": "update", "target": target, "basis": {"overrides": "v1:y"}, "policed": false});
    let status = json!({"observedGeneration": 1, "phase": "Pending", "approval": offered,
        "conditions": ready("Unknown", "AwaitingApproval", "run 3 is the preview; approve it")});
    let spec = json!({"settingsRef": {"name": settings}, "operation": "update", "suspend": true});
    seen("Deployment", name, &spec, &status)
}

fn resources() -> Resources {
    let elsewhere = json!({"stack": {"organizationRef": {"name": "other", "namespace": "platform"}, "project": "p", "name": "s"},
        "operation": "preview"});
    Resources {
        organizations: vec![organization()],
        settings: vec![
            settings("web", "prod", &ready("True", "Synced", "")),
            settings("web-dev", "dev", &ready("False", "AccessDenied", "no rule lets namespace team use it")),
        ],
        deployments: vec![
            running(),
            waiting("web-gate", "web"),
            waiting("lost", "nowhere"),
            seen("Deployment", "far", &elsewhere, &Value::Null),
        ],
    }
}

fn look(paint: Paint) -> Look {
    let now = Time::from("2030-01-01T00:01:15Z".parse::<jiff::Timestamp>().unwrap());
    Look { paint, now, names_namespaces: false, in_full: false }
}

#[test]
fn everything_has_its_place() {
    insta::assert_snapshot!(tree(&resources(), look(Paint::PLAIN)), @r"
    Organization acme  Connected  paused  acme at https://api.pulumi.com, as ci-bot
    ├─ Settings web  Synced  acme/web/prod
    │  ├─ Deployment web-prod  update  Running 2/3 pulumi update  run 7  1m10s
    │  │  ├─ ✓ 1 Get source  3s
    │  │  ├─ ▶ 2 pulumi update  1m7s
    │  │  └─ · 3 Clean up
    │  └─ Deployment web-gate  update  Pending  suspended
    │         AwaitingApproval: run 3 is the preview; approve it
    │         decide with: kubectl pdep approve|reject web-gate
    └─ Settings web-dev  AccessDenied  acme/web/dev
           no rule lets namespace team use it
    Organization platform/other  not here
    └─ Deployment far  preview  not looked at yet
    Settings nowhere  not here
    └─ Deployment lost  update  Pending  suspended
           AwaitingApproval: run 3 is the preview; approve it
           decide with: kubectl pdep approve|reject lost
    ");
}

#[test]
fn one_deployment_is_shown_in_full() {
    let target = "web-prod".parse().unwrap();
    let only = resources().around(&target, Kind::Deployment);
    let full = Look { in_full: true, names_namespaces: true, ..look(Paint::PLAIN) };
    insta::assert_snapshot!(tree(&only, full), @r"
    Organization team/acme  Connected  paused  acme at https://api.pulumi.com, as ci-bot
    └─ Settings team/web  Synced  acme/web/prod
       └─ Deployment team/web-prod  update  Running 2/3 pulumi update  run 7  1m10s
          │   Running: run 7 is under way
          │   https://app.pulumi.com/7
          │   trace c27c4064230561e964444c75f1694710
          ├─ ✓ 1 Get source  3s
          ├─ ▶ 2 pulumi update  1m7s
          └─ · 3 Clean up
    ");
}

#[test]
fn the_focus_keeps_what_belongs_together() {
    let names = |resources: &Resources| {
        let deployments: Vec<_> = resources.deployments.iter().map(|seen| seen.name().to_owned()).collect();
        let settings: Vec<_> = resources.settings.iter().map(|seen| seen.name().to_owned()).collect();
        (resources.organizations.len(), settings.join(" "), deployments.join(" "))
    };
    let around = |name: &str, kind| names(&resources().around(&name.parse().unwrap(), kind));
    assert_eq!(around("web", Kind::Settings), (1, "web".into(), "web-prod web-gate".into()));
    assert_eq!(around("acme", Kind::Organization), (1, "web web-dev".into(), "web-prod web-gate".into()));
    assert_eq!(around("far", Kind::Deployment), (0, String::new(), "far".into()));
    let missing = resources().around(&"far".parse().unwrap(), Kind::Deployment).missing_owners();
    assert_eq!(missing, [("platform".to_owned(), "other".to_owned())].into());
}

#[test]
fn nothing_is_said_to_be_nothing() {
    assert_eq!(tree(&Resources::default(), look(Paint::PLAIN)), "Nothing here yet.\n");
}

#[test]
fn what_has_failed_is_red() {
    let mut failed = running();
    let status = failed.typed.status.as_mut().unwrap();
    status.phase = Some(Phase::Failed);
    status.conditions = serde_json::from_value(ready("False", "Failed", "failed at step `Get source`")).unwrap();
    let log = vec!["no such branch".to_owned()];
    status.run.as_mut().unwrap().failure = Some(Failure { step: Some("Get source".to_owned()), log });
    let resources = Resources { deployments: vec![failed], ..Resources::default() };
    let full = tree(&resources, Look { in_full: true, ..look(Paint::PLAIN) });
    assert!(full.contains("| no such branch\n"), "{full}");
    let drawn = tree(&resources, look(Paint::COLOURED));
    assert!(!drawn.contains("no such branch"), "{drawn}");
    assert!(drawn.contains("\u{1b}[31mFailed 2/3 pulumi update\u{1b}[0m"), "{drawn:?}");
    assert!(drawn.contains("Failed: failed at step `Get source`"), "{drawn:?}");
}
