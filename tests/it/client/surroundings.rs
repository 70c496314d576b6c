//! What surrounds deployments: updates of stacks, drift, secrets, caches, stacks themselves, tokens.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pulumi_cloud_simulator::{Allowance, OidcIssuer};
use pulumi_deployments_operator::pulumi::wire::{AgentStatus, Ciphertext, Status};
use pulumi_deployments_operator::pulumi::{
    AgentPoolChange, Class, Gate, Governor, Granularity, Lookback, Node, Rate, RequestedToken, Timeouts, TokenExchange,
    TokenExchangeConfig, TokenRequest,
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{Cloud, client, eventually, permit, secret, stack, update};

impl Cloud {
    /// Runs an operation to its end.
    async fn run(&self, operation: &str) -> String {
        let mut request = update();
        request.insert(&["operation"], operation);
        let id = self.client.create_deployment(&mut permit(), &self.stack, &request).await.unwrap().id;
        eventually("the run's end", async || {
            let run = self.client.deployment(&mut permit(), &self.stack, &id).await.unwrap();
            (run.status == Status::Succeeded).then_some(())
        })
        .await;
        id
    }
}

#[tokio::test]
async fn updates_of_a_stack() {
    let cloud = Cloud::new().await;
    let error = cloud.client.stack_update(&mut permit(), &cloud.stack, 9999).await.unwrap_err();
    assert_eq!((error.class(), error.is_service_answer()), (Class::NotFound, true));
    cloud.run("update").await;
    let latest = cloud.client.latest_stack_update(&mut permit(), &cloud.stack).await.unwrap();
    assert_eq!((latest.kind.as_deref(), latest.result.as_deref()), (Some("update"), Some("succeeded")));
    assert_eq!(latest.resource_changes.get("create"), Some(&4));
    let version = latest.version.unwrap();
    assert_eq!(cloud.client.stack_update(&mut permit(), &cloud.stack, version).await.unwrap(), latest);
    let summary = cloud.client.stack_update_summary(&mut permit(), &cloud.stack, version).await.unwrap();
    assert_eq!((summary.result, summary.started, summary.finished), (latest.result, latest.started, latest.finished));
    assert!(summary.resource_count >= 4, "{}", summary.resource_count);
}

#[tokio::test]
async fn drift() {
    let cloud = Cloud::new().await;
    let status = cloud.client.drift_status(&mut permit(), &cloud.stack).await.unwrap();
    assert_eq!((status.detected, status.latest_run), (false, None));
    cloud.run("update").await;
    cloud.simulator.set_drift("acme/web/dev", true).unwrap();
    let deployment = cloud.run("detect-drift").await;

    let status = cloud.client.drift_status(&mut permit(), &cloud.stack).await.unwrap();
    assert!(status.detected && !status.in_progress);
    let run = cloud.client.drift_run(&mut permit(), &cloud.stack, &status.latest_run.unwrap()).await.unwrap();
    assert_eq!((&run.status, run.drift_detected), (&Status::Succeeded, true));
    assert_eq!(run.deployment_id, Some(deployment));
    assert!(run.created.is_some() && run.detect_update.is_some());
    cloud.run("detect-drift").await;
    let all = cloud.client.stack_drift_runs(&cloud.stack).all(&mut permit()).await.unwrap();
    assert_eq!((all.len(), &all[1]), (2, &run));
    let page = cloud.client.list_drift_runs(&mut permit(), &cloud.stack, 2, 1).await.unwrap();
    assert_eq!((page.items, page.total), (vec![run], Some(2)));
    let error = cloud.client.drift_run(&mut permit(), &cloud.stack, "none").await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
}

#[tokio::test]
async fn encrypted_values_go_into_settings() {
    let cloud = Cloud::new().await;
    let ciphertext = cloud.client.encrypt_secret(&mut permit(), &cloud.stack, &secret("hunter2")).await.unwrap();
    assert!(!ciphertext.as_str().contains("hunter2"));
    let mut document = Node::object();
    let variable = ["operationContext", "environmentVariables", "PASSWORD", "ciphertext"];
    document.insert(&variable, ciphertext.as_str());
    cloud.client.patch_settings(&mut permit(), &cloud.stack, &document).await.unwrap();
    let stored = cloud.simulator.settings("acme/web/dev").unwrap();
    assert_eq!(stored["operationContext"]["environmentVariables"]["PASSWORD"], json!({"secret": "hunter2"}));
    let error = cloud.client.encrypt_secret(&mut permit(), &cloud.stack, &secret("")).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Invalid, Some(400)));
}

#[tokio::test]
async fn settings_are_replaced_as_a_whole() {
    let cloud = Cloud::new().await;
    let mut first = Node::object();
    first.insert(&["operationContext", "environmentVariables", "A"], "1");
    cloud.client.replace_settings(&mut permit(), &cloud.stack, &first).await.unwrap();
    let mut second = Node::object();
    second.insert(&["operationContext", "environmentVariables", "B"], "2");
    let answer = cloud.client.replace_settings(&mut permit(), &cloud.stack, &second).await.unwrap();
    assert_eq!(answer.document["operationContext"]["environmentVariables"], json!({"B": "2"}));
    let stored = cloud.simulator.settings("acme/web/dev").unwrap();
    assert_eq!(stored["operationContext"]["environmentVariables"], json!({"B": "2"}));
    assert_eq!(cloud.requests("PutSettings").len(), 2);
}

#[tokio::test]
async fn caches_and_stacks_go() {
    let cloud = Cloud::new().await;
    cloud.client.clear_cache(&mut permit(), &cloud.stack).await.unwrap();
    assert_eq!(cloud.requests("ClearCache").len(), 1);
    assert_eq!(cloud.client.default_organization(&mut permit()).await.unwrap().login.as_deref(), Some("acme"));

    cloud.run("update").await;
    let error = cloud.client.delete_stack(&mut permit(), &cloud.stack, false).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Invalid, Some(400)), "it has resources");
    cloud.client.delete_stack(&mut permit(), &cloud.stack, true).await.unwrap();
    assert!(!cloud.simulator.has_stack("acme/web/dev"));
}

#[tokio::test]
async fn secret_outputs_are_decrypted() {
    let cloud = Cloud::new().await;
    let outputs = json!({"password": {"secret": "hunter2"}, "port": {"secret": 5432}});
    cloud.simulator.set_outputs("acme/web/dev", &outputs).unwrap();
    let http = reqwest::Client::new();
    let url = format!("{}/api/stacks/acme/web/dev/export", cloud.simulator.url());
    let export = http.get(url).header("Authorization", format!("token {}", super::TOKEN)).send().await.unwrap();
    let export: serde_json::Value = export.json().await.unwrap();
    let resources = export["deployment"]["resources"].as_array().unwrap();
    let root = resources.iter().find(|resource| resource["type"] == "pulumi:pulumi:Stack").unwrap();
    let ciphertext = |name: &str| Ciphertext(root["outputs"][name]["ciphertext"].as_str().unwrap().to_owned());
    let (password, port) = (ciphertext("password"), ciphertext("port"));

    let one = cloud.client.decrypt(&mut permit(), &cloud.stack, &password).await.unwrap();
    assert_eq!(one.value.expose_secret(), "\"hunter2\"");
    let both = [password.clone(), port.clone()];
    let both = cloud.client.batch_decrypt(&mut permit(), &cloud.stack, &both).await.unwrap();
    assert_eq!(both.values[&password].expose_secret(), "\"hunter2\"");
    assert_eq!(both.values[&port].expose_secret(), "5432");
    assert!(!format!("{one:?} {both:?}").contains("hunter2"));
    let foreign = Ciphertext(STANDARD.encode("nobody encrypted this"));
    let error = cloud.client.decrypt(&mut permit(), &cloud.stack, &foreign).await.unwrap_err();
    assert_eq!(error.class(), Class::Invalid);
}

#[tokio::test]
async fn identity_tokens_are_exchanged() {
    const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
    const SUBJECT: &str = "system:serviceaccount:pulumi:operator";
    let cloud = Cloud::new().await;
    let issuer = OidcIssuer::new(ISSUER).allow(SUBJECT, Allowance::Organization { admin: false });
    cloud.simulator.trust_issuer("acme", issuer).unwrap();
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": ["urn:pulumi:org:acme"], "iat": now, "nbf": now, "exp": now + 600,
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.c2lnbmF0dXJl", part(&json!({"alg": "RS256", "kid": "k"})), part(&claims));

    let governor = Governor::new(Rate::default());
    let config = TokenExchangeConfig {
        backend: cloud.simulator.url(),
        timeouts: Timeouts::default(),
        governor: governor.clone(),
    };
    let exchange = TokenExchange::new(config).unwrap();
    let mut request = TokenRequest {
        organization: "acme".into(),
        subject_token: secret(&token),
        requested: RequestedToken::Organization { admin: false },
        expiration: Some(Duration::from_secs(900)),
    };
    let given = exchange.exchange(&mut permit(), &request).await.unwrap();
    assert_eq!(given.expires_in, Some(Duration::from_secs(900)));
    assert_eq!(given.issued_token_type.as_deref(), Some("urn:pulumi:token-type:access_token:organization"));
    let sent = &cloud.requests("ExchangeToken")[0];
    assert_eq!(sent.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(sent.user, None, "nobody has a token yet who asks for one");

    let access_token = given.access_token.expose_secret();
    let theirs = client(&cloud.simulator.url(), access_token, Timeouts::default());
    theirs.stack(&mut permit(), &stack("acme/web/dev")).await.unwrap();
    assert!(!format!("{given:?} {request:?} {exchange:?}").contains(access_token));

    request.requested = RequestedToken::Organization { admin: true };
    let error = exchange.exchange(&mut permit(), &request).await.unwrap_err();
    assert_eq!(error.class(), Class::Invalid);
    assert!(error.message().contains("no policy"), "{error}");
    assert!(!format!("{error} {error:?}").contains(&token));
    assert_eq!(governor.snapshot().gate, Gate::Open);
}

#[tokio::test]
async fn agent_pools() {
    let cloud = Cloud::new().await;
    let made = cloud.client.create_agent_pool(&mut permit(), "acme", "build", "in the cellar").await.unwrap();
    assert!(!made.token.expose_secret().is_empty());
    assert!(!format!("{made:?}").contains(made.token.expose_secret()));
    let list = cloud.client.agent_pools(&mut permit(), "acme").await.unwrap();
    let [pool] = list.pools.as_slice() else { panic!("{list:?}") };
    assert_eq!((&pool.id, pool.name.as_str(), pool.description.as_str()), (&made.id, "build", "in the cellar"));
    assert_eq!((&pool.status, pool.is_default, pool.last_seen), (&AgentStatus::Offline, false, None));
    assert!(pool.created.is_some());

    let change = AgentPoolChange { name: Some("deploy"), ..AgentPoolChange::default() };
    let changed = cloud.client.change_agent_pool(&mut permit(), "acme", &made.id, change).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.description.as_str()), ("deploy", "in the cellar"));
    let detail = cloud.client.agent_pool(&mut permit(), "acme", &made.id).await.unwrap();
    assert_eq!((detail.name.as_str(), detail.agents.len(), detail.created), ("deploy", 0, pool.created));

    let mut settings = Node::object();
    settings.insert(&["agentPoolID"], made.id.as_str());
    cloud.client.patch_settings(&mut permit(), &cloud.stack, &settings).await.unwrap();
    let error = cloud.client.delete_agent_pool(&mut permit(), "acme", &made.id, false).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Invalid, Some(400)), "it is in use");
    cloud.client.delete_agent_pool(&mut permit(), "acme", &made.id, true).await.unwrap();
    assert!(cloud.client.agent_pools(&mut permit(), "acme").await.unwrap().pools.is_empty());
    let error = cloud.client.agent_pool(&mut permit(), "acme", &made.id).await.unwrap_err();
    assert_eq!((error.class(), error.is_service_answer()), (Class::NotFound, true));
}

#[tokio::test]
async fn what_deployments_used() {
    let cloud = Cloud::new().await;
    let week = Lookback::Days(7);
    let nothing = cloud.client.deployments_summary(&mut permit(), "acme", Granularity::Daily, week).await.unwrap();
    assert_eq!(nothing, None);
    cloud.run("update").await;
    let hour_ago = Lookback::Since(jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1));
    for (granularity, lookback, named) in [
        (Granularity::Yearly, week, [false, false, false, false]),
        (Granularity::Monthly, week, [true, false, false, false]),
        (Granularity::Weekly, week, [false, false, true, false]),
        (Granularity::Daily, week, [true, true, false, false]),
        (Granularity::Hourly, hour_ago, [true, true, false, true]),
    ] {
        let summary = cloud.client.deployments_summary(&mut permit(), "acme", granularity, lookback).await.unwrap();
        let points = summary.unwrap().points;
        let [point] = points.as_slice() else { panic!("{points:?}") };
        let parts = [point.month, point.day, point.week_number, point.hour];
        assert_eq!(parts.map(|part| part.is_some()), named, "{granularity:?}");
        assert!(point.resources > 0 && point.year > 2000);
    }
    for days in [None, Some(3)] {
        let report = cloud.client.usage_report(&mut permit(), "acme", days).await.unwrap();
        assert_eq!((report.len(), report[0].count), (1, 1));
        assert!(report[0].value > 0 && report[0].usage_range_start < report[0].usage_range_end);
    }
    let three_days = Lookback::Days(3);
    let hourly = cloud.client.deployments_summary(&mut permit(), "acme", Granularity::Hourly, three_days).await;
    assert_eq!(hourly.unwrap_err().class(), Class::Invalid);
}
