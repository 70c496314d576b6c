//! Approval: what runs only once a person has said so, what an approval stands on, and who may give it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::path::Path;

use pulumi_cloud_simulator::Fault;
use pulumi_deployments_operator::api::{
    Deployment, DeploymentStatus,
    approval::{Moved, PendingApproval},
    condition::{find, types},
    deployment::{Operation, Phase, Purpose},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    eventually::{SOON, eventually},
    world::{World, ready_is, ready_message},
};

/// A world with an operator, and a repository of the test's own.
async fn world(prefix: &str) -> (World, Value) {
    let world = World::new(prefix).await;
    world.put_organization(json!({})).await;
    let source = source(&world);
    (world, source)
}

fn repository(world: &World) -> String {
    format!("https://example.com/{}.git", world.namespace)
}

fn source(world: &World) -> Value {
    json!({"sourceContext": {"git": {"repoURL": repository(world), "branch": "main"}}})
}

fn required(source: &Value) -> Value {
    json!({"approval": {"mode": "Required"}, "settings": source})
}

/// Waits until something awaits approval, other than under this token.
async fn offered(world: &World, before: &str) -> (PendingApproval, String, DeploymentStatus) {
    let status = world
        .deployment("web", "awaits approval", |status| {
            let token = status.approval.as_ref().and_then(|pending| pending.token.as_deref());
            ready_is("AwaitingApproval")(status) && token.is_some_and(|token| token != before)
        })
        .await;
    let pending = status.approval.clone().unwrap();
    let token = pending.token.clone().unwrap();
    (pending, token, status)
}

async fn annotate(world: &World, annotations: Value) {
    world.merge::<Deployment>("web", json!({"metadata": {"annotations": annotations}})).await;
}

async fn approve(world: &World, token: &str) {
    annotate(
        world,
        json!({"deployments.pulumi.com/approve": token, "deployments.pulumi.com/approved-by": "anna@example.com"}),
    )
    .await;
}

fn operations(world: &World) -> Vec<String> {
    world.runs().into_iter().map(|run| run.operation).collect()
}

#[tokio::test]
async fn an_update_runs_at_the_commit_that_its_preview_showed() {
    let (world, source) = world("approve").await;
    world.simulator.push_commit(&repository(&world), "main", "c0ffee");
    world.put_deployment("web", required(&source)).await;
    let (pending, token, status) = offered(&world, "").await;
    assert_eq!(operations(&world), ["preview"]);
    let run = status.run.as_ref().unwrap();
    assert_eq!((run.purpose, run.operation, run.attempt), (Purpose::Preview, Operation::Preview, 1));
    assert_eq!((status.phase, find(&status.conditions, types::STALLED)), (Some(Phase::Pending), None));
    let preview = pending.preview.clone().unwrap();
    assert_eq!((&preview.id, preview.version, &preview.url), (&run.id, 1, &run.url));
    assert_eq!((pending.request.number, pending.commit.as_deref()), (1, Some("c0ffee")));
    assert_eq!(pending.resource_changes, [("create".to_owned(), 4)].into());
    let told = ready_message(&status);
    for part in [token.as_str(), "create 4", "commit c0ffee", preview.url.as_deref().unwrap(), "unverified"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    world.told_of("web", "AwaitingApproval").await;

    // The branch goes on, which what was approved does not.
    world.simulator.push_commit(&repository(&world), "main", "decade");
    approve(&world, "0123456789abcdef").await;
    let counts_not =
        |status: &DeploymentStatus| ready_message(status).contains("its token 0123456789abcdef is not this one");
    world.deployment("web", "does not heed another token", counts_not).await;
    annotate(&world, json!({"deployments.pulumi.com/approve": token, "deployments.pulumi.com/approved-by": null}))
        .await;
    let nameless = |status: &DeploymentStatus| ready_message(status).contains("approved-by must say who gives it");
    world.deployment("web", "does not heed an approval of nobody", nameless).await;
    assert_eq!(operations(&world), ["preview"]);
    approve(&world, &token).await;
    let status = world.ended("web", 1).await;
    assert_eq!((status.phase, operations(&world)), (Some(Phase::Succeeded), vec!["preview".into(), "update".into()]));
    assert_eq!(world.runs()[1].commit.as_deref(), Some("c0ffee"));
    let git = &world.requests("CreateDeployment")[1].body["sourceContext"]["git"];
    assert_eq!((&git["commit"], &git["branch"], &git["tag"]), (&json!("c0ffee"), &Value::Null, &Value::Null));
    let run = status.run.unwrap();
    let given = run.approval.unwrap();
    assert_eq!((run.purpose, run.attempt, status.approval), (Purpose::Main, 1, None));
    assert_eq!((given.approved_by.as_str(), given.verified, given.token), ("anna@example.com", false, token));
    assert_eq!((status.history[0].purpose, &status.history[0].approval), (Purpose::Preview, &None));
    world.told_of("web", "approved by anna@example.com (unverified").await;

    // What was approved once is approved for nothing else, and who approved stays in the history.
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    let (pending, token, status) = offered(&world, &given_token(&status.history)).await;
    assert_eq!((pending.request.number, pending.commit.as_deref()), (2, Some("decade")));
    assert_eq!(status.history[0].approval.as_ref().unwrap().approved_by, "anna@example.com");
    approve(&world, &token).await;
    assert_eq!(world.ended("web", 2).await.phase, Some(Phase::Succeeded));
    assert_eq!(operations(&world), ["preview", "update", "preview", "update"]);
}

fn given_token(history: &[pulumi_deployments_operator::api::deployment::HistoryEntry]) -> String {
    history.iter().find_map(|run| run.approval.clone()).map_or_else(String::new, |given| given.token)
}

#[tokio::test]
async fn what_was_rejected_never_runs() {
    let (world, source) = world("reject").await;
    world.put_deployment("web", required(&source)).await;
    let (_, token, _) = offered(&world, "").await;
    annotate(
        &world,
        json!({"deployments.pulumi.com/reject": token, "deployments.pulumi.com/approved-by": "anna@example.com"}),
    )
    .await;
    let status = world.deployment("web", "is rejected", ready_is("ApprovalRejected")).await;
    assert!(find(&status.conditions, types::STALLED).is_some());
    assert!(ready_message(&status).contains("rejected by anna@example.com"), "{}", ready_message(&status));
    world.told_of("web", "Rejected").await;

    // Neither a word that comes too late nor policy brings it back.
    approve(&world, &token).await;
    annotate(&world, json!({"deployments.pulumi.com/reject": null})).await;
    world.merge::<Deployment>("web", json!({"spec": {"approval": {"mode": "Automatic"}}})).await;
    world.deployment("web", "is still rejected", ready_is("ApprovalRejected")).await;
    world.merge::<Deployment>("web", json!({"spec": {"approval": {"mode": "Required"}}})).await;
    world.deployment("web", "is still rejected", ready_is("ApprovalRejected")).await;
    assert_eq!(operations(&world), ["preview"]);

    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    let (pending, token, _) = offered(&world, &token).await;
    assert_eq!((pending.request.number, pending.replaces), (2, Some(Moved::Request)));
    approve(&world, &token).await;
    assert_eq!(world.ended("web", 2).await.phase, Some(Phase::Succeeded));
    assert_eq!(operations(&world), ["preview", "preview", "update"]);
}

#[tokio::test]
async fn what_has_moved_makes_an_approval_worthless_and_is_told() {
    let (world, source) = world("moved").await;
    let settings = |tier: &str| {
        let mut settings = source.clone();
        settings["operationContext"] = json!({"environmentVariables": [{"name": "TIER", "value": tier}]});
        json!({"settings": settings})
    };
    world.put_settings(settings("gold")).await;
    world.put_deployment("web", json!({"settingsRef": {"name": "web"}, "approval": {"mode": "Required"}})).await;
    let (first, token, _) = offered(&world, "").await;
    assert_eq!((first.replaces, first.basis.stack_version), (None, Some(0)));

    // Other content, and nobody has said anything yet.
    world.put_settings(settings("silver")).await;
    let (second, token, status) = offered(&world, &token).await;
    assert_eq!((second.replaces, status.run.unwrap().attempt), (Some(Moved::Settings), 2));
    let told = ready_message(&world.deployment("web", "awaits approval", ready_is("AwaitingApproval")).await);
    assert!(told.contains("the content of the StackDeploymentSettings has changed since"), "{told}");
    approve(&world, &first.token.unwrap()).await;
    world.deployment("web", "heeds no old token", |status| ready_message(status).contains("is not this one")).await;
    assert_eq!(operations(&world), ["preview", "preview"]);

    // Another update, which is looked for at the moment of the approval.
    world.simulator.create_deployment(&world.stack("web/prod"), &json!({"operation": "update"})).unwrap();
    eventually(SOON, "the other update has ended", async || match world.runs()[2].status.as_str() {
        "succeeded" => Ok(()),
        status => Err(status.to_owned()),
    })
    .await;
    approve(&world, &token).await;
    let (third, token, status) = offered(&world, &token).await;
    assert_eq!((third.replaces, third.basis.stack_version), (Some(Moved::StackUpdate), Some(1)));
    assert_eq!((status.run.unwrap().attempt, third.request.number), (3, 1));
    assert!(third.resource_changes.contains_key("same"), "{third:?}");
    approve(&world, &token).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
    assert_eq!(operations(&world), ["preview", "preview", "update", "preview", "update"]);
    assert_eq!(world.runs()[4].environment["TIER"].0, "silver");
}

#[tokio::test]
async fn without_a_preview_the_request_itself_is_approved() {
    let (world, source) = world("approve-request").await;
    let mut spec = required(&source);
    spec["operation"] = "refresh".into();
    world.put_deployment("web", spec).await;
    let (pending, token, status) = offered(&world, "").await;
    assert_eq!((pending.operation, &pending.preview, status.run), (Operation::Refresh, &None, None));
    assert!(world.runs().is_empty());
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "1"}})).await;
    let (again, token_of_now, _) = offered(&world, &token).await;
    assert_eq!((again.request.number, again.replaces), (2, Some(Moved::Request)));
    approve(&world, &token).await;
    world.deployment("web", "heeds no old token", |status| ready_message(status).contains("is not this one")).await;
    approve(&world, &token_of_now).await;
    let status = world.ended("web", 2).await;
    assert_eq!((status.run.unwrap().approval.unwrap().commit, operations(&world)), (None, vec!["refresh".into()]));
}

#[tokio::test]
async fn the_mode_is_policy() {
    let (world, source) = world("approval-mode").await;
    world.put_deployment("web", json!({"settings": source})).await;
    world.ended("web", 1).await;
    world.merge::<Deployment>("web", json!({"spec": {"approval": {"mode": "Required"}}})).await;
    assert_eq!(world.phase("web", Phase::Succeeded).await.approval, None);
    assert_eq!(operations(&world), ["update"]);

    // Suspended, it goes on waiting, whatever is approved; let go, it runs; and at last nobody has to approve.
    world.merge::<Deployment>("web", json!({"spec": {"rerun": "2"}})).await;
    let (_, token, _) = offered(&world, "").await;
    world.merge::<Deployment>("web", json!({"spec": {"suspend": true}})).await;
    world.deployment("web", "is suspended", ready_is("Suspended")).await;
    approve(&world, &token).await;
    world.deployment("web", "is suspended", ready_is("Suspended")).await;
    assert_eq!(operations(&world), ["update", "preview"]);
    world.merge::<Deployment>("web", json!({"spec": {"suspend": false}})).await;
    assert!(world.ended("web", 2).await.run.unwrap().approval.is_some());

    world.merge::<Deployment>("web", json!({"spec": {"rerun": "3"}})).await;
    offered(&world, &token).await;
    world.merge::<Deployment>("web", json!({"spec": {"approval": null}})).await;
    let status = world.ended("web", 3).await;
    assert_eq!((status.run.unwrap().approval, status.approval), (None, None));
    assert_eq!(operations(&world), ["update", "preview", "update", "preview", "update"]);
}

#[tokio::test]
async fn a_preview_that_fails_is_told_as_such_and_one_without_commit_cannot_be_approved() {
    let (world, source) = world("approval-fails").await;
    let mut failing = required(&source);
    failing["settings"]["operationContext"] =
        json!({"environmentVariables": [{"name": "SIMULATOR_FAIL_STEP", "value": "Get source"}]});
    failing["retry"] = json!({"limit": 1, "backoff": {"initial": "1s", "max": "1s"}});
    world.put_deployment("web", failing).await;
    let status = world.ended("web", 1).await;
    assert_eq!((status.phase, operations(&world)), (Some(Phase::Failed), vec!["preview".into(), "preview".into()]));
    assert!(ready_message(&status).starts_with("preview 2 of "), "{}", ready_message(&status));

    world.simulator.hide_commits(&repository(&world));
    world.merge::<Deployment>("web", json!({"spec": {"settings": {"operationContext": null}}})).await;
    let status = world.deployment("web", "can't be approved", ready_is("CommitUnknown")).await;
    assert!(find(&status.conditions, types::STALLED).is_some());
    let pending = status.approval.unwrap();
    assert_eq!((pending.token, pending.commit), (None, None));

    // It awaits nobody's approval any more when it is gone.
    world.delete::<Deployment>("web").await;
    world.gone::<Deployment>("web").await;
    assert_eq!(operations(&world), ["preview"; 3]);
}

/// The operator dies while it waits, and again with the create on its way.
#[tokio::test]
async fn what_was_approved_is_one_run_wherever_the_operator_dies() {
    let world = World::without_operator("approval-kill").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.put_organization(json!({})).await;
    let start = |log: &str| world.start_process(world.plane.kubeconfig() as &Path, log);
    let operator = start("1");
    world.put_deployment("web", required(&source(&world))).await;
    let (_, token, _) = offered(&world, "").await;
    operator.kill().await;

    approve(&world, &token).await;
    let creates = || Fault::on("CreateDeployment").organization(world.organization.clone());
    let fault = world.simulator.inject(creates().drop_before());
    let operator = start("2");
    timeout(SOON, fault.reached()).await.unwrap();
    operator.kill().await;
    let is_open = |status: &DeploymentStatus| status.intent.as_ref().is_some_and(|intent| intent.approval.is_some());
    world.deployment("web", "has an intent", is_open).await;
    assert_eq!(operations(&world), ["preview"]);

    let fault = world.simulator.inject(creates().hold_answer());
    let operator = start("3");
    timeout(SOON, fault.reached()).await.unwrap();
    operator.kill().await;
    fault.release();
    let _operator = start("4");
    let status = world.ended("web", 1).await;
    let run = status.run.unwrap();
    assert_eq!(
        (status.phase, run.approval.unwrap().approved_by.as_str()),
        (Some(Phase::Succeeded), "anna@example.com")
    );
    assert_eq!(operations(&world), ["preview", "update"]);
}

/// The policy of the example, for the test's namespace only; Anna may approve, Bob may change Deployments.
async fn put_policy(world: &World) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/approval-policy.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    let name = world.namespace.as_str();
    for mut object in objects {
        object["metadata"]["name"] = name.into();
        if object["kind"] == "ValidatingAdmissionPolicyBinding" {
            object["spec"]["policyName"] = name.into();
            object["spec"]["matchResources"] =
                json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
        }
        world.kubectl(&["create", "--filename=-"], Some(&object.to_string())).await;
    }
    let approver = format!("--clusterrole={name}");
    world.kubectl(&["create", "rolebinding", "approvers", &approver, "--user=anna@example.com"], None).await;
    let all = "--verb=get,list,watch,create,patch,update";
    world.kubectl(&["create", "role", "team", all, "--resource=pulumideployments.deployments.pulumi.com"], None).await;
    world.kubectl(&["create", "rolebinding", "team", "--role=team", "--user=bob@example.com"], None).await;
}

/// What the API server says to a user who approves.
async fn refusal(world: &World, user: &str, annotations: &[&str]) -> String {
    let base = ["--namespace", &world.namespace, "--as", user, "annotate", "--overwrite", "pdep", "web"];
    world.plane.kubectl(base.iter().chain(annotations), None).await.failure()
}

#[tokio::test]
async fn only_those_who_may_approve_and_only_under_their_own_name() {
    let (world, source) = world("approvers").await;
    put_policy(&world).await;
    let mut spec = required(&source);
    spec["suspend"] = true.into();
    world.put_deployment("web", spec).await;
    eventually(SOON, "the policy is in force", async || {
        let try_it =
            ["--namespace", &world.namespace, "--as", "bob@example.com", "annotate", "--dry-run=server", "pdep"];
        let try_it = try_it.into_iter().chain(["web", "deployments.pulumi.com/approve=x"]);
        let answer = world.plane.kubectl(try_it, None).await;
        if answer.stderr.contains("may not set") { Ok(()) } else { Err(answer) }
    })
    .await;
    world.merge::<Deployment>("web", json!({"spec": {"suspend": false}})).await;
    let (pending, token, status) = offered(&world, "").await;
    assert!(pending.policed && !ready_message(&status).contains("unverified"), "{}", ready_message(&status));

    let approve = format!("deployments.pulumi.com/approve={token}");
    let by = |name: &str| format!("deployments.pulumi.com/approved-by={name}");
    for name in ["bob@example.com", "anna@example.com"] {
        let refused = refusal(&world, "bob@example.com", &[&approve, &by(name)]).await;
        let sentence = "bob@example.com may not set deployments.pulumi.com/approve, reject or approved-by: that takes \
                        the right to update pulumideployments/approve";
        assert!(refused.contains(sentence), "{refused}");
    }
    let reject = format!("deployments.pulumi.com/reject={token}");
    assert!(refusal(&world, "bob@example.com", &[&reject]).await.contains("may not set"));
    for name in [&[approve.as_str()] as &[&str], &[&approve, &by("bob@example.com")]] {
        let refused = refusal(&world, "anna@example.com", name).await;
        assert!(refused.contains("write deployments.pulumi.com/approved-by=anna@example.com"), "{refused}");
    }
    // Nor can he make one that is approved from the start; all else is his.
    let mut born_approved = crate::world::deployment_manifest("born", &required(&source));
    born_approved["metadata"]["annotations"] = json!({"deployments.pulumi.com/approve": "x"});
    let create = ["--namespace", &world.namespace, "--as", "bob@example.com", "create", "--filename=-"];
    let refused = world.plane.kubectl(create, Some(&born_approved.to_string())).await.failure();
    assert!(refused.contains("may not set"), "{refused}");
    world.kubectl(&["--as", "bob@example.com", "annotate", "pdep", "web", "team=web"], None).await;
    assert_eq!(operations(&world), ["preview"]);

    let approved_by = by("anna@example.com");
    world.kubectl(&["--as", "anna@example.com", "annotate", "pdep", "web", &approve, &approved_by], None).await;
    let status = world.ended("web", 1).await;
    let given = status.run.unwrap().approval.unwrap();
    assert_eq!((given.approved_by.as_str(), given.verified), ("anna@example.com", true));
    assert_eq!(operations(&world), ["preview", "update"]);
    world.told_of("web", "approved by anna@example.com (verified)").await;
    // What is approved already he may leave there.
    world.kubectl(&["--as", "bob@example.com", "annotate", "--overwrite", "pdep", "web", "team=other"], None).await;

    // Cluster-wide, and only for a namespace that nobody uses any more.
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy", "clusterrole"] {
        world.kubectl(&["delete", kind, &world.namespace], None).await;
    }
}
