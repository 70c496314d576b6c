//! `diff` and `import`.

use serde_json::{Value, json};

use super::{Plugin, SECRET, put_settings, world};
use crate::world::World;

#[tokio::test]
async fn what_would_change_is_shown_and_nothing_is_changed() {
    let (world, _) = world("pdep-diff").await;
    let plugin = Plugin::of(&world);
    let stack = world.stack("web/prod");
    assert_eq!(plugin.success(&["diff", "web-prod"]).await, format!("{stack}: nothing would change\n"));

    plugin.success(&["suspend", "organization/acme"]).await;
    world.organization_is("Suspended").await;
    world.put_config_map("web", &[("tier", "gold")]).await;
    put_settings(
        &world,
        json!({
            "paused": true,
            "settings": {
                "sourceContext": {"git": {"repoURL": "https://example.com/web.git", "branch": "dev"}},
                "operationContext": {"environmentVariables": [
                    {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                    {"name": "TIER", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "tier"}}}]},
            },
            "schedules": [{"name": "nightly", "deployment": {"cron": "0 2 * * *", "operation": "refresh"}}],
        }),
    )
    .await;
    world.settings("web-prod", "Suspended").await;
    let before = (world.stored(), world.simulator.settings_version(&stack));
    let shown = plugin.success(&["diff", "web-prod"]).await;
    assert_eq!(
        shown,
        format!(
            "\
{stack}: 5 changes
  ? operationContext.environmentVariables.DB_PASSWORD: [secret] → (from Secret db, key password) (can't be compared, and is sent to be sure)
  + operationContext.environmentVariables.TIER: \"gold\"
  ~ sourceContext.git.branch: \"refs/heads/main\" → \"dev\"
  ~ paused: false → true
  + schedule nightly
"
        )
    );
    let json: Value = serde_json::from_str(&plugin.success(&["diff", "web-prod", "-o", "json"]).await).unwrap();
    assert_eq!(json["fields"][1]["path"], json!(["operationContext", "environmentVariables", "TIER"]));
    assert_eq!((world.stored(), world.simulator.settings_version(&stack)), before);

    // What it says is what is pushed.
    plugin.success(&["resume", "organization/acme"]).await;
    world.settings("web-prod", "Synced").await;
    assert_eq!(world.stored().unwrap()["sourceContext"]["git"]["branch"], "refs/heads/dev");
    assert_eq!(plugin.success(&["diff", "web-prod"]).await, format!("{stack}: nothing would change\n"));
}

#[tokio::test]
async fn what_is_configured_is_imported_and_in_sync() {
    let world = World::new("pdep-import").await;
    let stack = world.stack("web/prod");
    world.put_organization(json!({})).await;
    world.organization_is("Connected").await;
    let settings = json!({
        "tag": "web",
        "executorContext": {"executorImage": {"reference": "r.example.com/i:1", "credentials": {"username": "u", "password": {"secret": SECRET}}}},
        "sourceContext": {"git": {"branch": "main", "repoDir": "infra",
            "gitAuth": {"basicAuth": {"userName": {"secret": SECRET}, "password": {"secret": SECRET}}}}},
        "operationContext": {
            "preRunCommands": ["npm test"],
            "environmentVariables": {"REGION": "eu-central-1", "DB_PASSWORD": {"secret": SECRET}},
            "options": {"skipInstallDependencies": true, "shell": "bash"},
            "oidc": {"aws": {"roleArn": "arn:aws:iam::123456789012:role/deploy", "sessionName": "web", "duration": "1h"}},
        },
        "gitHub": {"repository": "acme/web", "previewPullRequests": true, "paths": ["infra/**"]},
        "cacheOptions": {"enable": true},
    });
    world.simulator.patch_settings(&stack, &settings).unwrap();
    world
        .simulator
        .create_schedule(&stack, &json!({"scheduleCron": "0 3 * * *", "request": {"operation": "update"}}))
        .unwrap();
    world.simulator.set_stack_paused(&stack, true).unwrap();
    let (before, schedules) = (world.stored(), world.simulator.schedules(&stack).len());

    let plugin = Plugin::of(&world);
    let yaml = plugin.success(&["import", &stack]).await;
    for wanted in
        ["# Secrets can't be read.", "kubectl create secret generic web-prod-secrets", "--from-literal=DB_PASSWORD=…"]
    {
        assert!(yaml.contains(wanted), "{wanted}: {yaml}");
    }
    assert!(!yaml.contains("Left out"), "{yaml}");
    let output = plugin.run(&["import", &stack, "-o", "json"]).await;
    assert!(
        output.stderr.starts_with("# The deployment settings of") && output.stderr.contains("# Secrets can't be read.")
    );
    let (json, same): (Value, Value) =
        (serde_json::from_str(&output.success()).unwrap(), serde_saphyr::from_str(&yaml).unwrap());
    assert_eq!(json, same);
    let keys = ["DB_PASSWORD", "basicAuth.password", "basicAuth.userNameFrom", "credentials.password"];
    world.put_secret("web-prod-secrets", &keys.map(|key| (key, SECRET))).await;
    world.kubectl(&["apply", "--filename=-"], Some(&yaml)).await;
    world.settings("web-prod", "Synced").await;

    // It is as it was; what was sent is the secrets, which can't be compared.
    assert_eq!((world.stored(), world.simulator.schedules(&stack).len()), (before, schedules));
    let pushes = world.requests("PatchSettings");
    assert_eq!(pushes.len(), 1, "{pushes:#?}");
    let settings = plugin.success(&["diff", "web-prod"]).await;
    assert_eq!(settings, format!("{stack}: nothing would change\n"));

    // With a token of one's own, an Organization is not needed.
    let own =
        Plugin::of(&world).with("PULUMI_ACCESS_TOKEN", &world.token).with("PULUMI_BACKEND_URL", world.simulator.url());
    world.simulator.add_organization("elsewhere", &world.token);
    world.simulator.add_stack("elsewhere/p/s").unwrap();
    let yaml = own.success(&["import", "elsewhere/p/s", "--name", "other"]).await;
    assert!(yaml.contains("There is no Organization elsewhere") && yaml.contains("name: other"), "{yaml}");
    let said = plugin.failure(&["import", "elsewhere/p/s"]).await;
    assert!(said.contains("no Organization") && said.contains("PULUMI_ACCESS_TOKEN"), "{said}");
    let said = plugin.failure(&["import", &world.stack("web/none")]).await;
    assert!(said.contains("404"), "{said}");
}
