//! Every answer, checked against the service's own description of its API. Those of all other tests are checked too, as
//! they come; here everything that belongs to deployments has its turn, with as much in it as there can be.

mod surroundings;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use pulumi_cloud_simulator::routes;
use serde_json::{Value, json};

use crate::description::{Description, FILE};
use crate::support::{Api, Bench, STACK, bench, stack_path};

/// Makes requests one after the other. That the answers are as described is checked where they arrive.
struct Checker {
    bench: Bench,
    description: &'static Description,
    /// Method and described path of what was answered well.
    seen: BTreeSet<(String, String)>,
}

impl Checker {
    async fn check(&mut self, method: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        let api = self.bench.api.clone();
        self.check_as(&api, method, path, body, status).await
    }

    async fn check_as(&mut self, api: &Api, method: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        let verb = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let reply = api.send(verb, path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
        let path = path.split('?').next().unwrap_or_default();
        let template = self.description.template(path).unwrap_or_else(|| panic!("{path} is not described"));
        self.seen.insert((method.to_owned(), template.to_owned()));
        serde_json::from_str(&reply.text).unwrap_or_default()
    }

    async fn get(&mut self, path: &str) -> Value {
        self.check("GET", path, None, 200).await
    }
}

fn is_about_deployments(path: &str) -> bool {
    ["/deployments", "/drift/", "/agent-pools"].iter().any(|part| path.contains(part))
}

fn everything(pool: &str) -> Value {
    let secret = json!({"secret": "v"});
    json!({
        "tag": "t",
        "agentPoolID": pool,
        "cacheOptions": {"enable": true},
        "executorContext": {
            "executorImage": {"reference": "i", "credentials": {"username": "u", "password": secret}},
            "executorRootPath": "/x",
        },
        "sourceContext": {"git": {
            "commit": "c", "repoDir": "d", "tag": "v1",
            "gitAuth": {
                "accessToken": secret,
                "sshAuth": {"sshPrivateKey": secret, "password": secret},
                "basicAuth": {"userName": "u", "password": secret},
            },
        }},
        "gitHub": {
            "repository": "a/b", "deployCommits": true, "previewPullRequests": true, "pullRequestTemplate": false,
            "deployPullRequest": 3, "paths": ["x/**"], "installationId": "1", "deployTags": true,
            "tagFilters": ["v*"], "reviewStackLabels": ["l"],
        },
        "vcs": {"provider": "github", "repository": "a/b", "paths": ["x"], "reviewStackLabels": ["l"]},
        "operationContext": {
            "preRunCommands": ["echo hello"],
            "environmentVariables": {"PLAIN": "p", "SECRET": secret},
            "options": {
                "skipInstallDependencies": false, "skipIntermediateDeployments": false, "shell": "/bin/sh",
                "deleteAfterDestroy": false, "remediateIfDriftDetected": false,
            },
            "oidc": {
                "aws": {"roleArn": "r", "sessionName": "s", "duration": "1h", "policyArns": ["p"]},
                "azure": {"clientId": "c", "tenantId": "t", "subscriptionId": "s"},
                "gcp": {
                    "projectId": "1", "region": "r", "workloadPoolId": "w", "providerId": "p",
                    "serviceAccount": "s", "tokenLifetime": "1h",
                },
            },
            "role": {"id": "r", "name": "n", "defaultIdentifier": "d"},
        },
    })
}

#[tokio::test]
async fn answers_are_as_the_service_describes_them() {
    let Some(description) = Description::get() else {
        println!("skipped: there is no {FILE}");
        return;
    };
    let bench = bench().await;
    bench.simulator.add_role("acme", "r", "n").unwrap();
    let pool = bench.simulator.add_agent_pool("acme", "mine").unwrap();
    let mut checker = Checker { bench, description, seen: BTreeSet::new() };
    check_settings(&mut checker, &pool).await;
    check_deployments(&mut checker).await;
    check_drift(&mut checker).await;
    check_schedules(&mut checker).await;
    check_agent_pools(&mut checker).await;
    check_surroundings(&mut checker).await;

    let missed: Vec<_> = routes()
        .filter(|(method, path, _)| is_about_deployments(path) && description.knows(method, path))
        .filter(|(method, path, _)| {
            let template = description.template(path).unwrap();
            !checker.seen.contains(&((*method).to_owned(), template.to_owned()))
        })
        .collect();
    assert!(missed.is_empty(), "had no turn: {missed:#?}");
}

/// What the description has for deployments is served, and nothing else is, except the deprecated dialect.
#[test]
fn the_routes_are_those_of_the_description() {
    let Some(description) = Description::get() else {
        println!("skipped: there is no {FILE}");
        return;
    };
    let served: BTreeSet<(String, String)> = routes()
        .filter_map(|(method, path, _)| Some((method.to_owned(), description.template(path)?.to_owned())))
        .collect();
    let about_deployments = description.operations().into_iter().filter(|(_, path)| path.contains("/deployments"));
    let missing: Vec<_> = about_deployments.filter(|operation| !served.contains(operation)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let undescribed: Vec<_> = routes()
        .filter(|(method, path, _)| path.contains("/deployments") && !description.knows(method, path))
        .filter(|(_, path, _)| !path.starts_with("/api/preview/"))
        .collect();
    assert!(undescribed.is_empty(), "{undescribed:#?}");
}

async fn check_settings(checker: &mut Checker, pool: &str) {
    let path = stack_path("/deployments/settings");
    let image = json!({"executorContext": {"executorImage": "plain"}});
    checker.check("POST", &path, Some(image), 200).await;
    checker.check("PUT", &path, Some(everything(pool)), 200).await;
    let settings = checker.get(&path).await;
    assert_eq!(settings["gitHub"]["reviewStackLabels"], json!(["l"]));
    checker.bench.simulator.set_project_template("acme", "web", Some("https://example.com/template")).unwrap();
    for source in [
        json!({"hg": {
            "repoUrl": "https://example.com/hg", "repoDir": "d", "revision": "r", "hgAuth": {"accessToken": "plain"},
        }}),
        json!({"hg": {"branch": "b"}}),
        json!({"template": {
            "sourceUrl": "registry://templates/a/b/c", "gitAuth": {"accessToken": {"secret": "x"}},
        }}),
    ] {
        checker.check("PUT", &path, Some(json!({"sourceContext": source})), 200).await;
    }
    checker.bench.simulator.set_project_template("acme", "web", None).unwrap();
    for provider in ["azure_devops", "bitbucket", "custom", "github", "gitlab"] {
        let vcs = json!({"vcs": {"provider": provider, "repository": "a/b", "reviewStackLabels": ["l"]}});
        checker.check("PUT", &path, Some(vcs), 200).await;
    }
    checker.check("POST", &format!("{path}/encrypt"), Some(json!("value")), 200).await;
    checker.check("DELETE", &path, None, 200).await;
    checker.bench.simulator.patch_settings(STACK, &everything(pool)).unwrap();
}

async fn check_deployments(checker: &mut Checker) {
    let deployments = stack_path("/deployments");
    checker.bench.simulator.hold_at(STACK, "pulumi update").unwrap();
    let create = json!({"operation": "update"});
    let created = checker.check("POST", &deployments, Some(create.clone()), 202).await;
    let canceled = checker.check("POST", &deployments, Some(create), 202).await;
    let one = stack_path(&format!("/deployments/{}", created["id"].as_str().unwrap()));
    checker.bench.wait(1, |view| view.step.as_deref() == Some("pulumi update")).await;
    for state in ["running", "succeeded"] {
        checker.bench.wait_status(1, state).await;
        for path in [
            one.clone(),
            stack_path("/deployments/version/1"),
            format!("{one}/updates"),
            format!("{one}/logs"),
            format!("{one}/logs?job=0&step=3"),
            deployments.clone(),
            "/api/orgs/acme/deployments".to_owned(),
            stack_path(""),
        ] {
            checker.get(&path).await;
        }
        if state == "running" {
            let path = stack_path(&format!("/deployments/{}/cancel", canceled["id"].as_str().unwrap()));
            checker.check("POST", &path, None, 200).await;
        }
        checker.bench.simulator.release(STACK).unwrap();
    }
}

async fn check_drift(checker: &mut Checker) {
    checker.get(&stack_path("/drift/status")).await;
    checker.bench.simulator.set_drift(STACK, true).unwrap();
    let remediate = json!({
        "operation": "detect-drift",
        "operationContext": {"options": {"remediateIfDriftDetected": true}},
    });
    checker.check("POST", &stack_path("/deployments"), Some(remediate), 202).await;
    checker.bench.wait_status(3, "succeeded").await;
    let runs = checker.get(&stack_path("/drift/runs")).await;
    let run = &runs["driftRuns"][0];
    assert!(run["remediateUpdate"].is_object(), "{run}");
    checker.get(&stack_path(&format!("/drift/runs/{}", run["id"].as_str().unwrap()))).await;
    for path in ["/drift/status", "/deployments/metadata"] {
        checker.get(&stack_path(path)).await;
    }
}

async fn check_schedules(checker: &mut Checker) {
    let schedules = stack_path("/deployments/schedules");
    let (drift, ttl) = (stack_path("/deployments/drift/schedules"), stack_path("/deployments/ttl/schedules"));
    let mut request = everything("");
    request["operation"] = "update".into();
    let later = (Timestamp::now() + SignedDuration::from_hours(1)).to_string();
    for (path, body) in [
        (&schedules, json!({"scheduleCron": "0 0 * * *", "request": request})),
        (&drift, json!({"scheduleCron": "0 0 * * *", "autoRemediate": true})),
        (&ttl, json!({"timestamp": later, "deleteAfterDestroy": true})),
    ] {
        let created = checker.check("POST", path, Some(body.clone()), 200).await;
        let id = created["id"].as_str().unwrap();
        checker.check("POST", &format!("{path}/{id}"), Some(body), 200).await;
        let one = format!("{schedules}/{id}");
        for action in ["pause", "resume"] {
            checker.check("POST", &format!("{one}/{action}"), None, 200).await;
        }
        if path != &ttl {
            checker.bench.simulator.fire_schedule(STACK, id).unwrap();
        }
        checker.get(&one).await;
        checker.get(&format!("{one}/history")).await;
    }
    let list = checker.get(&schedules).await;
    assert_eq!(list["schedules"].as_array().unwrap().len(), 3);
    for schedule in list["schedules"].as_array().unwrap() {
        let path = format!("{schedules}/{}", schedule["id"].as_str().unwrap());
        checker.check("DELETE", &path, None, 200).await;
    }
}

async fn check_agent_pools(checker: &mut Checker) {
    let pools = "/api/orgs/acme/agent-pools";
    let body = json!({"name": "n", "description": "d"});
    let created = checker.check("POST", pools, Some(body.clone()), 200).await;
    let (id, token) = (created["id"].as_str().unwrap(), created["tokenValue"].as_str().unwrap());
    let agent = checker.bench.api.with_token(token);
    checker.check_as(&agent, "GET", "/api/deployments/poll", None, 204).await;
    checker.bench.simulator.add_stack("acme/web/self-hosted").unwrap();
    let request = json!({"operation": "update", "agentPoolID": id});
    let waiting = checker.bench.simulator.create_deployment("acme/web/self-hosted", &request).unwrap();
    checker.check_as(&agent, "GET", "/api/deployments/poll", None, 200).await;
    checker.check_as(&agent, "GET", "/api/deployments/executor", None, 200).await;
    let status = format!("/api/deployments/{}/status", waiting.id);
    checker.check_as(&agent, "GET", &status, None, 200).await;
    checker.get(pools).await;
    let one = format!("{pools}/{id}");
    checker.get(&one).await;
    checker.check("PATCH", &one, Some(body), 200).await;
    checker.check("DELETE", &format!("{one}?force=true"), None, 204).await;
}

async fn check_surroundings(checker: &mut Checker) {
    let organization = "/api/orgs/acme/deployments";
    for path in ["/api/user", "/api/user/organizations/default"] {
        checker.get(path).await;
    }
    for path in ["metadata", "usagereport", "summary?granularity=hourly&lookbackDays=1"] {
        checker.get(&format!("{organization}/{path}")).await;
    }
    for action in ["pause", "resume"] {
        checker.check("POST", &format!("{organization}/{action}"), None, 200).await;
        checker.check("POST", &stack_path(&format!("/deployments/{action}")), None, 200).await;
    }
    checker.check("DELETE", &stack_path("/deployments/cache"), None, 200).await;
    let body = json!({"stackName": "new"});
    checker.check("POST", "/api/stacks/acme/web", Some(body), 200).await;
    checker.get("/api/stacks/acme/web/new").await;
    checker.check("DELETE", "/api/stacks/acme/web/new", None, 204).await;
}
