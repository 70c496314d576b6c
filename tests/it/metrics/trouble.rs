//! The days that the expressions are tried on: one on which all goes well, and one on which everything goes wrong.

use k8s_openapi::api::core::v1::ServiceAccount;
use pulumi_cloud_simulator::{Allowance, Fault, FaultAnswer};
use pulumi_deployments_operator::{
    api::{Deployment, Organization, StackDeploymentSettings, deployment::Phase},
    metrics::labels::values,
};
use serde_json::{Value, json};

use super::{
    TARGET, alerts, dashboard, families,
    page::{Family, Page},
    stories,
};
use crate::{
    eventually::{SOON, eventually},
    keyless::cluster,
    world::{World, deployment_manifest, ready_is},
};

/// An operator, and where its pages are.
struct Scene {
    world: World,
    metrics: String,
}

impl Scene {
    async fn page(&self) -> Page {
        Page(reqwest::get(&self.metrics).await.unwrap().text().await.unwrap())
    }

    /// The first page that shows this.
    async fn once(&self, what: &str, shows: impl Fn(&Page) -> bool) -> Page {
        eventually(SOON, what, async || {
            let page = self.page().await;
            if shows(&page) { Ok(page) } else { Err(page.0) }
        })
        .await
    }

    /// The first page on which a series has at least this value.
    async fn reaches(&self, series: &str, value: f64) -> Page {
        self.once(&format!("{series} is {value}"), |page| page.value(series).is_some_and(|it| it >= value)).await
    }

    fn add_stack(&self, name: &str) -> String {
        let stack = self.world.stack(name);
        self.world.simulator.add_stack(&stack).unwrap();
        stack
    }

    /// Applies a Deployment for a stack of the project `web`.
    async fn deploy(&self, name: &str, stack: &str, more: Value) {
        let mut manifest = deployment_manifest(name, &more);
        manifest["spec"]["stack"]["name"] = stack.into();
        self.world.put::<Deployment>(manifest).await;
    }

    /// Applies an Organization with a name and a token of its own.
    async fn organization(&self, name: &str, token: &str) -> String {
        self.organization_with(name, token, json!({})).await
    }

    /// The same with more fields in its spec.
    async fn organization_with(&self, name: &str, token: &str, more: Value) -> String {
        let organization = format!("{}-{name}", self.world.organization);
        self.world.simulator.add_organization(&organization, &format!("token-of-{organization}"));
        self.world.put_secret(name, &[("accessToken", token)]).await;
        let mut manifest = self.world.organization_manifest(&json!({"name": organization}));
        manifest["metadata"]["name"] = name.into();
        manifest["spec"]["accessToken"]["secretKeyRef"]["name"] = name.into();
        manifest["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.world.put::<Organization>(manifest).await;
        organization
    }
}

/// All goes well: the operator has just begun, and it has done each of the things that it is there for.
async fn healthy(scene: &Scene) -> [Page; 2] {
    let world = &scene.world;
    world.put_organization(json!({})).await;
    world.organization_is("Connected").await;
    let began = scene.page().await;
    let source = json!({"git": {"repoURL": "https://example.com/web.git", "branch": "main"}});
    let settings = json!({"sourceContext": source, "operationContext": {"preRunCommands": ["npm test"]}});
    world.put_settings(json!({"settings": settings})).await;
    world.put_deployment("web", json!({"settingsRef": {"name": "web"}})).await;
    world.ended("web", 1).await;
    world.put_deployment("preview", json!({"operation": "preview"})).await;
    world.ended("preview", 1).await;
    world.put_deployment("search", json!({"operation": "detect-drift"})).await;
    world.ended("search", 1).await;
    let ended = "runs_ended_total{operation=\"detect-drift\",result=\"Succeeded\",retried=\"false\"}";
    let page = scene.reaches(ended, 1.0).await;
    for (series, value) in [
        ("runs_triggered_total{operation=\"update\"}", 1.0),
        ("runs_ended_total{operation=\"update\",result=\"Succeeded\",retried=\"false\"}", 1.0),
        ("run_duration_seconds_count{operation=\"preview\"}", 1.0),
        ("run_queue_seconds_count{operation=\"preview\"}", 1.0),
        ("settings_pushes_total{cause=\"declared\"}", 1.0),
        ("api_requests_total{call=\"CreateDeployment\",code=\"202\"}", 3.0),
        ("api_request_duration_seconds_count{call=\"CreateDeployment\"}", 3.0),
        ("drift_found_total{of=\"stack\"}", 0.0),
        ("budgets{state=\"open\"}", 1.0),
        ("resources{kind=\"organization\",ready=\"True\",reason=\"Connected\"}", 1.0),
        ("resources{kind=\"stackdeploymentsettings\",ready=\"True\",reason=\"Synced\"}", 1.0),
        ("deployments{operation=\"update\",phase=\"Succeeded\"}", 1.0),
    ] {
        scene.once(series, |page| page.value(series) == Some(value)).await;
    }
    assert!(page.value("budget_units_total{purpose=\"create\"}").unwrap() >= 3.0);
    assert!(page.value("budget_wait_seconds_count{purpose=\"create\"}").unwrap() >= 3.0);
    let settled = scene.once("nothing is under way", |page| {
        page.value("observer_runs") == Some(0.0) && page.value("observer_lag_seconds") == Some(0.0)
    });
    [began, settled.await]
}

/// Three runs fail.
async fn failures(scene: &Scene) -> Page {
    scene.add_stack("web/fails");
    for name in ["bad-1", "bad-2", "bad-3"] {
        let settings = json!({"operationContext": {"preRunCommands": ["exit 1"]}});
        scene.deploy(name, "fails", json!({"settings": settings})).await;
    }
    let failed = "runs_ended_total{operation=\"update\",result=\"Failed\",retried=\"false\"}";
    scene.reaches(failed, 4.0).await
}

/// One Deployment fails, again and again.
async fn retries(scene: &Scene) -> Page {
    scene.add_stack("web/retried");
    let settings = json!({"operationContext": {"preRunCommands": ["exit 1"]}});
    let retry = json!({"limit": 3, "backoff": {"initial": "1s", "max": "1s"}});
    scene.deploy("retried", "retried", json!({"settings": settings, "retry": retry})).await;
    let failed = |retried| format!("runs_ended_total{{operation=\"update\",result=\"Failed\",retried=\"{retried}\"}}");
    scene
        .once("the last one has failed", |page| {
            let counts = ["true", "false"].map(|retried| page.value(&failed(retried)));
            counts == [Some(3.0), Some(1.0)] && page.value("observer_runs") == Some(0.0)
        })
        .await
}

/// An Organization is suspended.
async fn suspended(scene: &Scene) -> Page {
    let name = format!("{}-quiet", scene.world.organization);
    scene.organization("quiet", &format!("token-of-{name}")).await;
    scene.world.merge::<Organization>("quiet", json!({"spec": {"suspend": true}})).await;
    scene.reaches("resources{kind=\"organization\",ready=\"Unknown\",reason=\"Suspended\"}", 1.0).await
}

/// One run goes on and on, and keeps another one in the queue.
async fn long_runs(scene: &Scene) -> Page {
    let world = &scene.world;
    let stack = scene.add_stack("web/long");
    world.simulator.hold(&stack).unwrap();
    scene.deploy("long", "long", json!({})).await;
    world.phase("long", Phase::Running).await;
    scene.deploy("queued", "long", json!({})).await;
    world.phase("queued", Phase::Queued).await;
    let page = scene
        .once("both have an age", |page| {
            let age = |phase| page.value(&format!("run_oldest_seconds{{phase=\"{phase}\"}}"));
            age("Running") > Some(0.0) && age("Queued") > Some(0.0) && page.value("observer_lag_seconds") > Some(0.0)
        })
        .await;
    assert_eq!(page.value("observer_runs"), Some(2.0));
    assert_eq!(page.value("deployments{operation=\"update\",phase=\"Queued\"}"), Some(1.0));
    world.simulator.release(&stack).unwrap();
    page
}

/// A run is canceled because it takes too long.
async fn cancel(scene: &Scene) {
    let stack = scene.add_stack("web/canceled");
    scene.world.simulator.hold(&stack).unwrap();
    scene.deploy("canceled", "canceled", json!({"timeout": "1s"})).await;
    scene.reaches("runs_ended_total{operation=\"update\",result=\"TimedOut\",retried=\"false\"}", 1.0).await;
}

/// Somebody else changes settings, again and again.
async fn contest(scene: &Scene) -> Page {
    let world = &scene.world;
    for round in 0..4 {
        let theirs = json!({"operationContext": {"preRunCommands": [format!("echo {round}")]}});
        world.simulator.patch_settings(&world.stack("web/prod"), &theirs).unwrap();
        let ask = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": round.to_string()}}});
        world.merge::<StackDeploymentSettings>("web", ask).await;
        if round < 3 {
            scene.reaches("settings_pushes_total{cause=\"drift\"}", f64::from(round + 1)).await;
            // Until status is written, the next request would be in its way, and the correction would not be remembered.
            eventually(SOON, "the correction is told", async || {
                let settings = world.api::<StackDeploymentSettings>().get("web").await.unwrap();
                let handled = settings.status.unwrap_or_default().last_handled_reconcile_at;
                if handled == Some(round.to_string()) { Ok(()) } else { Err(handled) }
            })
            .await;
        }
    }
    world.settings("web", "Contested").await;
    let page = scene.reaches("drift_found_total{of=\"settings\"}", 4.0).await;
    assert_eq!(page.value("drift_corrected_total{of=\"settings\"}"), Some(3.0));
    scene.once("contested", |page| page.0.contains("reason=\"Contested\"")).await
}

/// What is really there is not what a stack's state says.
async fn drift(scene: &Scene) -> Page {
    let stack = scene.add_stack("web/drifts");
    scene.world.simulator.set_drift(&stack, true).unwrap();
    scene.deploy("drifts", "drifts", json!({"operation": "detect-drift"})).await;
    scene.reaches("drift_found_total{of=\"stack\"}", 1.0).await;
    let page = scene.reaches("resources_drifted{kind=\"deployment\"}", 1.0).await;
    scene.deploy("remedy", "drifts", json!({"operation": "remediate-drift"})).await;
    let after = scene.reaches("drift_corrected_total{of=\"stack\"}", 1.0).await;
    assert_eq!(after.value("drift_found_total{of=\"stack\"}"), Some(1.0), "it was found before");
    page
}

/// The answer to a create is lost, and the stack's deployments are not shown.
async fn unanswered(scene: &Scene) -> Page {
    let stack = scene.add_stack("web/lost");
    scene.world.simulator.inject(Fault::on("CreateDeployment").stack(stack.clone()).drop_after());
    let list = scene.world.simulator.inject(Fault::on("ListDeployments").stack(stack).answer(403).always());
    scene.deploy("lost", "lost", json!({})).await;
    scene.world.deployment("lost", "asks for a person", ready_is("CreateOutcomeUnknown")).await;
    let page = scene.once("it is told", |page| page.0.contains("reason=\"CreateOutcomeUnknown\"")).await;
    assert_eq!(page.value("creates_unanswered_total{operation=\"update\"}"), Some(1.0));
    assert_eq!(page.value("api_requests_total{call=\"CreateDeployment\",code=\"broken\"}"), Some(1.0));
    list.remove();
    page
}

/// The service asks one token for a pause of an hour.
async fn pause(scene: &Scene) -> Page {
    let name = format!("{}-busy", scene.world.organization);
    let organization = scene.organization("busy", &format!("token-of-{name}")).await;
    for stack in ["one", "two"] {
        scene.world.simulator.add_stack(&format!("{organization}/web/{stack}")).unwrap();
    }
    let wait = FaultAnswer::status(429).header("Retry-After", "3600");
    scene.world.simulator.inject(Fault::on("CreateDeployment").organization(organization).answer(wait));
    let deploy = async |name: &str| {
        let mut manifest = deployment_manifest(&format!("busy-{name}"), &json!({}));
        manifest["spec"]["stack"] = json!({"organizationRef": {"name": "busy"}, "project": "web", "name": name});
        scene.world.put::<Deployment>(manifest).await;
    };
    deploy("one").await;
    let page = scene.reaches("budgets{state=\"throttled\"}", 1.0).await;
    assert_eq!(page.value("budget_throttles_total"), Some(1.0));
    assert_eq!(page.value("api_requests_total{call=\"CreateDeployment\",code=\"429\"}"), Some(1.0));
    deploy("two").await;
    // It is not the budget that it waits for.
    scene
        .once("one waits", |page| {
            page.value("budget_waiting{purpose=\"create\"}") >= Some(1.0)
                && page.value("budget_longest_wait_seconds{purpose=\"create\"}") == Some(0.0)
        })
        .await
}

/// A budget is much too small for what is asked of it.
async fn shortage(scene: &Scene) -> Page {
    let name = format!("{}-small", scene.world.organization);
    let rate = json!({"rateLimit": {"requestsPerSecond": 1, "burst": 1}});
    let organization = scene.organization_with("small", &format!("token-of-{name}"), rate).await;
    for number in 0..8 {
        scene.world.simulator.add_stack(&format!("{organization}/web/{number}")).unwrap();
        let mut manifest = deployment_manifest(&format!("small-{number}"), &json!({}));
        manifest["spec"]["stack"] =
            json!({"organizationRef": {"name": "small"}, "project": "web", "name": number.to_string()});
        scene.world.put::<Deployment>(manifest).await;
    }
    let create = "budget_longest_wait_seconds{purpose=\"create\"}";
    scene.once("one waits for the budget", |page| page.value(create) > Some(0.0)).await
}

/// Tokens that are of no use: one is rejected, the next one is not there, and for a ServiceAccount there is none.
async fn tokens(scene: &Scene) -> [Page; 3] {
    let world = &scene.world;
    scene.organization("rejected", "a token that nobody knows").await;
    scene.reaches("resources{kind=\"organization\",ready=\"False\",reason=\"TokenRejected\"}", 1.0).await;
    let rejected = scene.reaches("budgets{state=\"rejected\"}", 1.0).await;

    let mut manifest = world.organization_manifest(&json!({}));
    manifest["metadata"]["name"] = "tokenless".into();
    manifest["spec"]["accessToken"]["secretKeyRef"]["name"] = "deleted".into();
    world.put::<Organization>(manifest).await;
    let missing =
        scene.reaches("resources{kind=\"organization\",ready=\"Unknown\",reason=\"TokenMissing\"}", 1.0).await;

    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pulumi"}});
    world.put::<ServiceAccount>(account).await;
    keyless(scene, "keyless", &world.organization).await;
    scene.reaches("token_exchanges_total{outcome=\"refused\"}", 3.0).await;
    let refused = "resources{kind=\"organization\",ready=\"False\",reason=\"TokenExchangeRefused\"}";
    [rejected, missing, scene.reaches(refused, 1.0).await]
}

/// Applies an Organization whose token is that of the ServiceAccount `pulumi`.
async fn keyless(scene: &Scene, name: &str, organization: &str) {
    let mut manifest = scene.world.organization_manifest(&json!({"name": organization}));
    manifest["metadata"]["name"] = name.into();
    manifest["spec"]["accessToken"] = json!({"serviceAccount": {"name": "pulumi"}});
    scene.world.put::<Organization>(manifest).await;
}

/// A ServiceAccount gets a token, and no other one when it is time.
async fn unrenewed(scene: &Scene) -> Page {
    let world = &scene.world;
    let organization = format!("{}-unrenewed", world.organization);
    world.simulator.add_organization(&organization, &format!("token-of-{organization}"));
    let subject = format!("system:serviceaccount:{}:pulumi", world.namespace);
    let issuer = cluster(world).await;
    let trusted = issuer.clone().allow(subject, Allowance::Organization { admin: false }).longest_life(30);
    world.simulator.trust_issuer(&organization, trusted).unwrap();
    keyless(scene, "unrenewed", &organization).await;
    scene.reaches("token_exchanges_total{outcome=\"succeeded\"}", 1.0).await;
    world.simulator.trust_issuer(&organization, issuer).unwrap();
    scene.reaches("organizations_token_not_renewed", 1.0).await
}

/// What fails then.
const FAILURES: &str = "api_requests_total{call=\"GetDeployment\",code=\"503\"}";

/// The service fails while a run is under way: the first failures, some time later, and after it.
async fn outage(scene: &Scene) -> [Page; 3] {
    let world = &scene.world;
    let stack = scene.add_stack("web/outage");
    world.simulator.hold(&stack).unwrap();
    scene.deploy("outage", "outage", json!({})).await;
    world.phase("outage", Phase::Running).await;
    let organization = world.organization.clone();
    let fault = world.simulator.inject(Fault::any().organization(organization).answer(503).always());
    let failures = FAILURES;
    let first = scene.reaches(failures, 1.0).await;
    let much = first.value(failures).unwrap() + 8.0;
    let page = scene
        .once("much fails, and it is known", |page| {
            page.value(failures) >= Some(much) && page.value("observer_degraded") >= Some(1.0)
        })
        .await;
    fault.remove();
    world.simulator.release(&stack).unwrap();
    let over = scene.once("it is over", |page| page.value("observer_degraded") == Some(0.0)).await;
    [first, page, over]
}

#[tokio::test]
async fn every_expression_says_what_it_should() {
    let world = World::without_operator("metrics").await;
    world.simulator.add_stack(&world.stack("web/prod")).unwrap();
    let operator = world.start_process(world.plane.kubeconfig(), "metrics");
    let metrics = format!("http://{}/metrics", operator.address().await);
    let scene = Scene { world, metrics };
    let [began, well] = healthy(&scene).await;

    // One after the other, so that it is known what is on the pages.
    let retried = retries(&scene).await;
    let quiet = suspended(&scene).await;
    let [rejected, missing, refused] = tokens(&scene).await;
    // These have nothing to do with each other.
    let (fails, contested, drifted, lost, paused, unrenewed) = tokio::join!(
        failures(&scene),
        contest(&scene),
        drift(&scene),
        unanswered(&scene),
        pause(&scene),
        unrenewed(&scene),
    );
    cancel(&scene).await;
    let long = long_runs(&scene).await;
    let outage = outage(&scene).await;
    let short = shortage(&scene).await;
    let last = scene.page().await;

    let [_, down, _] = &outage;
    let troubles = [
        ("PulumiDeploymentsOperatorAbsent", vec![]),
        ("PulumiDeploymentsOrganizationNotReady", vec![missing.clone()]),
        ("PulumiDeploymentsTokenRejected", vec![rejected.clone()]),
        ("PulumiDeploymentsTokenExchangeFails", vec![unrenewed]),
        ("PulumiDeploymentsBudgetExhausted", vec![short]),
        ("PulumiDeploymentsRunsFail", vec![retried.clone(), fails]),
        ("PulumiDeploymentsRunQueued", vec![long.clone()]),
        ("PulumiDeploymentsRunHangs", vec![long]),
        ("PulumiDeploymentsCreateOutcomeUnknown", vec![lost]),
        ("PulumiDeploymentsObserverLags", vec![down.clone()]),
        ("PulumiDeploymentsDriftRemains", vec![drifted]),
        ("PulumiDeploymentsSettingsContested", vec![contested]),
        ("PulumiDeploymentsSuspended", vec![well.with("suspended", 1.0)]),
    ];
    let mut stories = stories::on(&well);
    stories.extend(stories::of_outage(&outage, FAILURES));
    for (name, page, fires, silent) in [
        ("one Deployment fails with all its retries", retried, vec![], None),
        ("an Organization is suspended", quiet, vec![], None),
        ("a token is rejected", rejected, vec!["TokenRejected"], None),
        ("a token is missing", missing, vec!["TokenRejected", "OrganizationNotReady"], None),
        ("a ServiceAccount gets no token", refused, vec!["TokenRejected", "OrganizationNotReady"], None),
        ("a pause of an hour", paused, vec!["Throttled"], Some(vec!["BudgetExhausted"])),
    ] {
        stories.push(stories::told(name, vec![(well.clone(), 10), (page, 70)], &fires, silent.as_deref()));
    }
    let pages = [&began, &well].into_iter().chain(troubles.iter().flat_map(|(_, pages)| pages));
    let told = stories.iter().flat_map(|story| story.scenes.iter().map(|(page, _)| page));
    let pages: Vec<&Page> = pages.chain(told).chain([&last]).collect();
    names(&scene.world, &pages);
    alerts::check(&[&began, &well], &troubles, &stories).await;
    dashboard::check(&pages).await;
}

/// Names are those of the reference, and values those that are known; none is the name of anything in the cluster.
fn names(world: &World, pages: &[&Page]) {
    let documented = crate::docs::documented_metrics();
    for page in pages {
        let exposed: Vec<String> = families(&page.0).into_iter().map(|Family { name, .. }| name).collect();
        let undocumented: Vec<_> = exposed.iter().filter(|name| !documented.contains(*name)).collect();
        assert!(undocumented.is_empty(), "{undocumented:?}");
        let missing: Vec<_> = documented.iter().filter(|name| !exposed.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        for series in page.all() {
            for (label, value) in &series.labels {
                assert!(label == "le" || values(label).contains(&value.as_str()), "{}: {label}={value}", series.name);
                assert!(!TARGET.iter().any(|(of, _)| of == label), "{label} is what Prometheus calls its target by");
            }
        }
        assert!(!page.0.contains(&world.organization), "the organization's name is on the page");
    }
}
