//! What goes wrong is one sentence that says what to do.

use std::{fs, path::Path};

use pulumi_deployments_operator::api::Organization;
use serde_json::json;

use super::{Plugin, world};
use crate::world::World;

#[tokio::test]
async fn what_is_not_there_and_what_is_written_wrongly() {
    let world = World::without_operator("pdep-wrong").await;
    let plugin = Plugin::of(&world);
    assert_eq!(plugin.success(&["status"]).await, "Nothing here yet.\n");
    let said = plugin.failure(&["status", "nobody"]).await;
    assert!(said.contains("there is no deployment or settings or organization nobody"), "{said}");
    for command in ["logs", "run", "rerun", "cancel", "approve", "history"] {
        let said = plugin.failure(&[command, "nobody"]).await;
        assert!(said.contains("there is no deployment nobody in namespace"), "{command}: {said}");
    }
    for wrong in
        [&["status", "pod/web"][..], &["logs"], &["import", "web/prod"], &["fly"], &["logs", "x", "--step", "0"], &[]]
    {
        let output = plugin.run(wrong).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:#?}");
    }
    let said = plugin.failure(&["status", "--context", "elsewhere"]).await;
    assert!(said.contains("no way to a cluster") && said.contains("--context"), "{said}");
    let said = plugin.failure(&["status", "--kubeconfig", "/nowhere"]).await;
    assert!(said.contains("no way to a cluster") && said.contains("--kubeconfig"), "{said}");
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let (world, _) = world("pdep-rights").await;
    // A user who may see and change the resources, and read no Secret.
    let role = [
        "create",
        "role",
        "viewer",
        "--verb=get,list,watch",
        "--resource=pulumideployments,stackdeploymentsettings,organizations",
    ];
    world.kubectl(&role, None).await;
    world.kubectl(&["create", "serviceaccount", "ann"], None).await;
    let binding = format!("--serviceaccount={}:ann", world.namespace);
    world.kubectl(&["create", "rolebinding", "ann", "--role=viewer", &binding], None).await;
    let token = world.kubectl(&["create", "token", "ann"], None).await;
    let kubeconfig = as_user(world.plane.kubeconfig(), token.trim(), &world.namespace);

    let ann = Plugin::at(&kubeconfig, &world.namespace);
    assert!(ann.success(&["status"]).await.contains("Deployment web-prod  update  Succeeded"));
    let said = ann.failure(&["suspend", "web-prod"]).await;
    assert!(said.contains("you may not patch pulumideployments in namespace"), "{said}");
    let said = ann.failure(&["status", "-A"]).await;
    assert!(said.contains("in all namespaces") && said.contains("ask for that right"), "{said}");
    let said = ann.failure(&["logs", "web-prod"]).await;
    assert!(said.contains("you may not read Secret") && said.contains("set PULUMI_ACCESS_TOKEN"), "{said}");

    // With a token of her own she may; it is sent to no other backend than hers.
    let own = Plugin::at(&kubeconfig, &world.namespace).with("PULUMI_ACCESS_TOKEN", &world.token);
    let said = own.failure(&["logs", "web-prod"]).await;
    assert!(said.contains("PULUMI_BACKEND_URL="), "{said}");
    let own = own.with("PULUMI_BACKEND_URL", world.simulator.url());
    assert!(own.success(&["logs", "web-prod"]).await.contains("── Get source"));
    let wrong = Plugin::at(&kubeconfig, &world.namespace).with("PULUMI_ACCESS_TOKEN", "pul-wrong");
    let wrong = wrong.with("PULUMI_BACKEND_URL", world.simulator.url());
    let said = wrong.failure(&["logs", "web-prod"]).await;
    assert!(said.contains("PULUMI_ACCESS_TOKEN is not accepted"), "{said}");
    fs::remove_file(kubeconfig).unwrap();
}

#[tokio::test]
async fn without_a_token_in_the_cluster_ones_own_is_asked_for() {
    let (world, _) = world("pdep-keyless").await;
    let mut organization = world.organization_manifest(&json!({}));
    organization["spec"]["accessToken"] = json!({"serviceAccount": {"name": "pulumi"}});
    world.put::<Organization>(organization).await;
    let plugin = Plugin::of(&world);
    let own =
        Plugin::of(&world).with("PULUMI_ACCESS_TOKEN", &world.token).with("PULUMI_BACKEND_URL", world.simulator.url());
    let stack = world.stack("web/prod");
    for args in [&["logs", "web-prod"][..], &["diff", "web-prod"], &["import", &stack]] {
        let said = plugin.failure(args).await;
        assert!(said.contains("organization acme has no access token in the cluster"), "{args:?}: {said}");
        assert!(said.contains("set PULUMI_ACCESS_TOKEN to a token of your own"), "{args:?}: {said}");
        own.success(args).await;
    }
}

#[tokio::test]
async fn a_token_goes_to_no_backend_that_the_operator_refuses() {
    let world = World::without_operator("pdep-backend").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.start_operator(|options| options.allowed_backends = vec!["https://api.pulumi.com".to_owned()]);
    world.put_organization(json!({})).await;
    world.organization_is("BackendNotAllowed").await;
    let said = Plugin::of(&world).failure(&["import", &world.stack("web/prod")]).await;
    assert!(said.contains("its token is not sent to"), "{said}");
    assert!(world.simulator.requests_of(&world.organization).is_empty());
}

/// The kubeconfig of the administrator with another's token.
fn as_user(admin: &Path, token: &str, name: &str) -> std::path::PathBuf {
    let content = fs::read_to_string(admin).unwrap();
    let lines = content.lines().map(|line| match line.split_once("token: ") {
        Some((indent, _)) => format!("{indent}token: {token}\n"),
        None => format!("{line}\n"),
    });
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kubeconfig-{}-{name}", std::process::id()));
    fs::write(&path, lines.collect::<String>()).unwrap();
    path
}
