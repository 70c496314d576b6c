//! Organizations without a token in the cluster: Kubernetes vouches for a ServiceAccount, and the service believes it.
//!
//! The API server's tokens are real, and the simulated Pulumi Cloud checks their signatures with its keys.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::ServiceAccount;
use pulumi_cloud_simulator::{Allowance, Fault, FaultAnswer, FaultHandle, OidcIssuer, Recorded, Simulator};
use pulumi_deployments_operator::{
    api::{
        Condition, ConditionStatus, Deployment, Organization, StackDeploymentSettings,
        condition::{find, types},
        deployment::Phase,
    },
    operator,
};
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    eventually::{SOON, eventually},
    world::World,
};

/// What the simulated Pulumi Cloud begins its organizations' tokens with.
const TOKEN_PREFIX: &str = "pul-org-";
/// What every JSON Web Token begins with.
const JWT_PREFIX: &str = "eyJ";

/// The cluster as an issuer whose signatures can be checked. It allows nothing yet.
pub async fn cluster(world: &World) -> OidcIssuer {
    let get = async |path: &str| -> Value {
        serde_json::from_str(&world.plane.kubectl(["get", "--raw", path], None).await.success()).unwrap()
    };
    let configuration = get("/.well-known/openid-configuration").await;
    OidcIssuer::new(configuration["issuer"].as_str().unwrap()).jwks(get("/openid/v1/jwks").await)
}

/// Has the service trust the ServiceAccount `pulumi` of the test's namespace.
async fn trust(world: &World, adjust: impl FnOnce(OidcIssuer) -> OidcIssuer) {
    let subject = format!("system:serviceaccount:{}:pulumi", world.namespace);
    let issuer = cluster(world).await.allow(subject, Allowance::Organization { admin: false });
    world.simulator.trust_issuer(&world.organization, adjust(issuer)).unwrap();
}

async fn put_account(world: &World) {
    let manifest = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pulumi"}});
    world.put::<ServiceAccount>(manifest).await;
}

async fn put_organization(world: &World, account: Value) {
    let mut manifest = world.organization_manifest(&json!({}));
    manifest["spec"]["accessToken"] = json!({"serviceAccount": account});
    world.put::<Organization>(manifest).await;
}

/// A world in which everything is there but the Organization, with a stack `web/prod`.
async fn prepared(prefix: &str) -> World {
    let world = World::new(prefix).await;
    put_account(&world).await;
    world
}

/// The exchanges that were asked for, for the test's organization.
fn exchanges(world: &World) -> Vec<Recorded> {
    let audience = format!("audience=urn%3Apulumi%3Aorg%3A{}&", world.organization);
    world.simulator.requests_where(|request| {
        request.operation == "ExchangeToken" && request.body.as_str().is_some_and(|body| body.contains(&audience))
    })
}

async fn condition(world: &World, type_: &str, is_there: bool) -> Vec<Condition> {
    eventually(SOON, &format!("{type_} is there: {is_there}"), async || {
        let organization = world.api::<Organization>().get("acme").await.unwrap();
        let conditions = organization.status.unwrap_or_default().conditions;
        if find(&conditions, type_).is_some() == is_there { Ok(conditions) } else { Err(conditions) }
    })
    .await
}

fn ready(conditions: &[Condition]) -> &Condition {
    find(conditions, types::READY).unwrap()
}

#[tokio::test]
async fn a_stack_is_run_without_a_token_in_the_cluster() {
    let world = World::without_operator("keyless").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    trust(&world, |issuer| issuer).await;
    put_account(&world).await;
    world.delete::<k8s_openapi::api::core::v1::Secret>("pulumi").await;
    let operator = world.start_process(world.plane.kubeconfig(), "keyless");
    put_organization(&world, json!({"name": "pulumi", "expiration": "90m"})).await;
    let conditions = world.organization_is("Connected").await;
    assert!(ready(&conditions).message.contains(&format!("accepts the token of {}", world.organization)));
    let source = json!({"git": {"repoURL": "https://example.com/web.git", "branch": "main"}});
    world.put_settings(json!({"settings": {"sourceContext": source}})).await;
    world.put_deployment("web", json!({"settingsRef": {"name": "web"}})).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));

    let exchanges = exchanges(&world);
    assert_eq!(exchanges.len(), 1, "{exchanges:#?}");
    let form = exchanges[0].body.as_str().unwrap();
    for field in [
        "expiration=5400",
        "requested_token_type=urn%3Apulumi%3Atoken-type%3Aaccess_token%3Aorganization",
        "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token",
    ] {
        assert!(form.split('&').any(|known| known == field), "{field} is not in the request");
    }
    assert!(!form.contains("scope="));
    let identity = form.split('&').find_map(|field| field.strip_prefix("subject_token=")).unwrap();
    assert!(identity.starts_with(JWT_PREFIX));

    let metrics =
        reqwest::get(format!("http://{}/metrics", operator.address().await)).await.unwrap().text().await.unwrap();
    let everywhere = [
        ("the log", operator.log()),
        ("the metrics", metrics),
        (
            "the objects",
            world.kubectl(&["get", "pulumi,configmaps,secrets", "--output=yaml", "--show-managed-fields"], None).await,
        ),
        ("the events", world.kubectl(&["get", "events.events.k8s.io", "--output=yaml"], None).await),
    ];
    assert!(everywhere[0].1.contains("exchanged a token"), "the log is the right one");
    // Three bytes become four characters, so what begins alike is alike in base64 but for its end.
    for secret in [TOKEN_PREFIX, JWT_PREFIX, identity] {
        let encoded = BASE64_STANDARD.encode(&secret[..secret.len() / 3 * 3]);
        for (place, text) in &everywhere {
            assert!(!text.contains(secret) && !text.contains(&encoded), "{secret} is in {place}:\n{text}");
        }
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let world = prepared("renewed").await;
    trust(&world, |issuer| issuer.longest_life(8)).await;
    put_organization(&world, json!({"name": "pulumi"})).await;
    world.organization_is("Connected").await;
    world.simulator.hold(&world.stack("web/prod")).unwrap();
    world.put_deployment("web", json!({})).await;
    world.phase("web", Phase::Running).await;
    eventually(SOON, "two renewals", async || {
        let count = exchanges(&world).len();
        if count == 3 { Ok(()) } else { Err(count) }
    })
    .await;
    // The run is followed all the time, with a token that is good.
    world.simulator.release(&world.stack("web/prod")).unwrap();
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
    let refused: Vec<_> = world.simulator.requests_of(&world.organization);
    let refused: Vec<_> = refused.into_iter().filter(|request| request.status == Some(401)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    world.organization_is("Connected").await;
}

#[tokio::test]
async fn a_token_that_is_not_accepted_any_more_is_renewed_at_once() {
    let world = prepared("expired").await;
    trust(&world, |issuer| issuer).await;
    put_organization(&world, json!({"name": "pulumi"})).await;
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["x"]}}})).await;
    world.settings("web", "Synced").await;
    assert_eq!(exchanges(&world).len(), 1);

    world.simulator.expire_tokens(&world.organization);
    let changed = json!({"spec": {"settings": {"operationContext": {"preRunCommands": ["y"]}}}});
    world.merge::<StackDeploymentSettings>("web", changed).await;
    eventually(SOON, "the change is pushed", async || {
        let stored = world.stored();
        let commands = stored.as_ref().map(|stored| &stored["operationContext"]["preRunCommands"]);
        if commands == Some(&json!(["y"])) { Ok(()) } else { Err(stored) }
    })
    .await;
    world.settings("web", "Synced").await;
    assert_eq!(exchanges(&world).len(), 2);
    world.organization_is("Connected").await;
}

/// A test's own Pulumi Cloud, in which exchanges fail for a while.
async fn without_exchanges(prefix: &str) -> (World, FaultHandle) {
    let simulator = Simulator::builder().speed(100.0).start().await.unwrap();
    let world = World::in_cloud(prefix, simulator).await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    world.start_operator(|_| ());
    put_account(&world).await;
    trust(&world, |issuer| issuer).await;
    put_organization(&world, json!({"name": "pulumi"})).await;
    world.put_settings(json!({"settings": {"operationContext": {"preRunCommands": ["x"]}}})).await;
    world.settings("web", "Synced").await;
    let fault = world.simulator.inject(Fault::on("ExchangeToken").always().answer(503));
    (world, fault)
}

async fn change_settings(world: &World) {
    let changed = json!({"spec": {"settings": {"operationContext": {"preRunCommands": ["y"]}}}});
    world.merge::<StackDeploymentSettings>("web", changed).await;
}

/// A proxy may answer 401 as well.
#[tokio::test]
async fn a_token_that_was_rejected_by_mistake_is_still_there_when_none_can_be_had() {
    let (world, _fault) = without_exchanges("mistaken").await;
    let before = ready(&world.organization_is("Connected").await).last_transition_time;
    world.simulator.inject(Fault::on("PatchSettings").answer(401));
    change_settings(&world).await;
    eventually(SOON, "the change is pushed", async || {
        let stored = world.stored();
        let commands = stored.as_ref().map(|stored| &stored["operationContext"]["preRunCommands"]);
        if commands == Some(&json!(["y"])) { Ok(()) } else { Err(stored) }
    })
    .await;
    let tried: Vec<_> = exchanges(&world).iter().map(|request| request.status).collect();
    assert!(tried.len() > 1 && tried[1..].iter().all(|status| *status == Some(503)), "{tried:?}");
    let conditions = world.organization_is("Connected").await;
    assert_eq!(ready(&conditions).last_transition_time, before, "it never was without one");
    condition(&world, "TokenRenewed", false).await;
}

#[tokio::test]
async fn why_there_is_no_token_is_told_when_the_one_in_use_is_over() {
    let (world, fault) = without_exchanges("over").await;
    world.simulator.expire_tokens(&world.organization);
    change_settings(&world).await;
    eventually(SOON, "the failing exchange is told", async || {
        let organization = world.api::<Organization>().get("acme").await.unwrap();
        let conditions = organization.status.unwrap_or_default().conditions;
        let told = find(&conditions, types::RECONCILING).filter(|told| told.message.contains("ExchangeToken: "));
        if told.is_some() && find(&conditions, "TokenRenewed").is_none() { Ok(()) } else { Err(conditions) }
    })
    .await;
    fault.remove();
    world.organization_is("Connected").await;
    world.settings("web", "Synced").await;
}

#[tokio::test]
async fn a_restart_costs_one_exchange() {
    let world = World::without_operator("restarted").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    trust(&world, |issuer| issuer).await;
    put_account(&world).await;
    let first = world.start_process(world.plane.kubeconfig(), "first");
    put_organization(&world, json!({"name": "pulumi"})).await;
    world.organization_is("Connected").await;
    assert!(first.terminate(SOON).await);
    assert_eq!(exchanges(&world).len(), 1);

    let _second = world.start_process(world.plane.kubeconfig(), "second");
    world.put_deployment("web", json!({})).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
    assert_eq!(exchanges(&world).len(), 2);
}

#[tokio::test]
async fn another_identity_needs_another_exchange() {
    let world = prepared("identity").await;
    let subject = format!("system:serviceaccount:{}:pulumi", world.namespace);
    trust(&world, |issuer| issuer.allow(subject, Allowance::Team("web".to_owned()))).await;
    put_organization(&world, json!({"name": "pulumi"})).await;
    world.organization_is("Connected").await;
    put_organization(&world, json!({"name": "pulumi", "tokenType": "team", "scope": "team:web"})).await;
    eventually(SOON, "a team's token", async || {
        let exchanges = exchanges(&world);
        let of_team = exchanges.iter().filter(|request| {
            let form = request.body.as_str().unwrap();
            form.contains("access_token%3Ateam&") && form.contains("scope=team%3Aweb&")
        });
        if of_team.count() == 1 { Ok(()) } else { Err(exchanges.len()) }
    })
    .await;
    world.put_deployment("web", json!({})).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
    assert_eq!(exchanges(&world).len(), 2);

    // Back to a Secret, with the same budget or another: it is of no matter to the runs.
    world.put_organization(json!({})).await;
    eventually(SOON, "the token of the Secret is used", async || {
        let organization = world.api::<Organization>().get("acme").await.unwrap();
        let user = organization.status.and_then(|status| status.user).map(|user| user.login);
        if user == Some(format!("{}-admin", world.organization)) { Ok(()) } else { Err(user) }
    })
    .await;
}

#[tokio::test]
async fn a_service_that_does_not_trust_the_cluster_is_told_about_and_tried_again() {
    let world = prepared("untrusted").await;
    put_organization(&world, json!({"name": "pulumi"})).await;
    let conditions = world.organization_is("TokenExchangeRefused").await;
    assert_eq!(ready(&conditions).status, ConditionStatus::False);
    let message = &ready(&conditions).message;
    for part in [
        "400: invalid_grant",
        "does not trust issuer",
        &format!("the organization {} trust the issuer https://kubernetes.default.svc", world.organization),
        &format!("audience urn:pulumi:org:{}", world.organization),
        &format!("subject system:serviceaccount:{}:pulumi", world.namespace),
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    world.put_deployment("web", json!({})).await;
    let status = world.phase("web", Phase::Pending).await;
    assert_eq!(ready(&status.conditions).reason, "OrganizationNotReady");

    // Trusted, but for somebody else.
    let issuer =
        cluster(&world).await.allow("system:serviceaccount:other:pulumi", Allowance::Organization { admin: false });
    world.simulator.trust_issuer(&world.organization, issuer).unwrap();
    eventually(SOON, "the policy is what is missing", async || {
        let organization = world.api::<Organization>().get("acme").await.unwrap();
        let conditions = organization.status.unwrap().conditions;
        if ready(&conditions).message.contains("no policy") { Ok(()) } else { Err(conditions) }
    })
    .await;
    trust(&world, |issuer| issuer).await;
    world.organization_is("Connected").await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
}

#[rstest]
#[case::unauthorized(401, "TokenExchangeRefused")]
#[case::forbidden(403, "TokenExchangeRefused")]
#[tokio::test]
async fn every_refusal_of_the_service_is_told(#[case] status: u16, #[case] reason: &str) {
    let simulator = Simulator::builder().speed(100.0).start().await.unwrap();
    let world = World::in_cloud("refused", simulator).await;
    world.start_operator(|_| ());
    put_account(&world).await;
    trust(&world, |issuer| issuer).await;
    let refusal = json!({"error": "access_denied", "error_description": "not today"});
    let fault = Fault::on("ExchangeToken").always().answer(FaultAnswer::status(status).json(refusal));
    let fault = world.simulator.inject(fault);
    put_organization(&world, json!({"name": "pulumi"})).await;
    let conditions = world.organization_is(reason).await;
    let message = &ready(&conditions).message;
    assert!(message.contains(&format!("{status}: access_denied: not today. In Pulumi Cloud, let")), "{message}");
    fault.remove();
    world.organization_is("Connected").await;
}

#[tokio::test]
async fn an_expiration_that_is_refused_is_what_has_to_be_corrected() {
    let world = prepared("shorter").await;
    trust(&world, |issuer| issuer.longest_life(3600)).await;
    put_organization(&world, json!({"name": "pulumi", "expiration": "90m"})).await;
    let conditions = world.organization_is("TokenExchangeRefused").await;
    let message = &ready(&conditions).message;
    let remedy = "Write a shorter spec.accessToken.serviceAccount.expiration, or take it out.";
    assert!(message.contains("must not be greater than 3600 seconds") && message.ends_with(remedy), "{message}");
    put_organization(&world, json!({"name": "pulumi", "expiration": "30m"})).await;
    world.organization_is("Connected").await;
}

#[tokio::test]
async fn a_renewal_that_is_refused_leaves_the_token_in_use() {
    let world = prepared("unrenewed").await;
    trust(&world, |issuer| issuer.longest_life(20)).await;
    put_organization(&world, json!({"name": "pulumi"})).await;
    world.organization_is("Connected").await;
    let issuer = cluster(&world).await;
    world.simulator.trust_issuer(&world.organization, issuer).unwrap();
    let conditions = condition(&world, "TokenRenewed", true).await;
    let renewed = find(&conditions, "TokenRenewed").unwrap();
    assert_eq!((renewed.status, renewed.reason.as_str()), (ConditionStatus::False, "TokenExchangeRefused"));
    assert!(renewed.message.starts_with("the access token is good until 2"), "{}", renewed.message);
    assert!(renewed.message.contains("no policy of the issuer"), "{}", renewed.message);
    assert_eq!(ready(&conditions).status, ConditionStatus::True);
    trust(&world, |issuer| issuer).await;
    let conditions = condition(&world, "TokenRenewed", false).await;
    assert_eq!(ready(&conditions).reason, "Connected");
    // It never was without one.
    assert!(world.simulator.requests_of(&world.organization).iter().all(|request| request.status != Some(401)));
}

#[tokio::test]
async fn a_service_account_that_is_missing_is_waited_for() {
    let world = World::new("noaccount").await;
    trust(&world, |issuer| issuer).await;
    put_organization(&world, json!({"name": "pulumi"})).await;
    let conditions = world.organization_is("TokenMissing").await;
    let expected =
        format!("ServiceAccount {}/pulumi does not exist; create it, and this goes on by itself", world.namespace);
    assert_eq!((ready(&conditions).status, &ready(&conditions).message), (ConditionStatus::Unknown, &expected));
    put_account(&world).await;
    world.organization_is("Connected").await;
    world.put_deployment("web", json!({})).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let world = World::without_operator("noright").await;
    trust(&world, |issuer| issuer).await;
    put_account(&world).await;
    // An operator that may do everything that it needs but this.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}});
    world.put::<ServiceAccount>(account).await;
    let ours = "organizations,stackdeploymentsettings,pulumideployments,organizations/status";
    let grant = async |name: &str, verbs: &str, resources: &str| {
        let resources = format!("--resource={resources}");
        world.kubectl(&["create", "role", name, &format!("--verb={verbs}"), &resources], None).await;
        let subject = format!("--serviceaccount={}:operator", world.namespace);
        world.kubectl(&["create", "rolebinding", name, &format!("--role={name}"), &subject], None).await;
    };
    let ours: Vec<_> = ours
        .split(',')
        .map(|name| match name.split_once('/') {
            Some((name, status)) => format!("{name}.deployments.pulumi.com/{status}"),
            None => format!("{name}.deployments.pulumi.com"),
        })
        .collect();
    grant("ours", "get,list,watch,patch", &ours.join(",")).await;
    grant("sources", "get,list,watch,create", "secrets,configmaps").await;
    let token = world.kubectl(&["create", "token", "operator"], None).await;
    let mut config = world.plane.config().clone();
    config.auth_info = kube::config::AuthInfo { token: Some(SecretString::from(token.trim())), ..Default::default() };
    config.default_namespace.clone_from(&world.namespace);
    let options = operator::Options {
        watch_namespaces: vec![world.namespace.clone()],
        allowed_backends: vec![world.simulator.url()],
        suspend_all: false,
        watch_secrets: true,
        write_outputs: true,
        listen: ([127, 0, 0, 1], 0).into(),
        traces: None,
        speed: crate::world::SPEED,
    };
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    tokio::spawn(async move { operator::run(options, config, stop).await.unwrap() });

    put_organization(&world, json!({"name": "pulumi"})).await;
    let conditions = world.organization_is("TokenRequestForbidden").await;
    assert_eq!(ready(&conditions).status, ConditionStatus::False);
    let message = &ready(&conditions).message;
    assert!(
        message.contains("allow it to create serviceaccounts/token there (with the Helm chart: keyless.enabled"),
        "{message}"
    );
    grant("identities", "create", "serviceaccounts/token").await;
    world.organization_is("Connected").await;
}

#[tokio::test]
async fn an_organization_is_let_go_without_an_exchange() {
    let world = prepared("farewell").await;
    trust(&world, |issuer| issuer).await;
    put_organization(&world, json!({"name": "pulumi"})).await;
    world.put_deployment("web", json!({})).await;
    assert_eq!(world.ended("web", 1).await.phase, Some(Phase::Succeeded));
    world.simulator.distrust_issuer(&world.organization, "https://kubernetes.default.svc").unwrap();
    world.delete::<Deployment>("web").await;
    world.delete::<Organization>("acme").await;
    world.gone::<Organization>("acme").await;
    assert_eq!(exchanges(&world).len(), 1);
}
