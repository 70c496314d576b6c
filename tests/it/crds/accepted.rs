//! Manifests that are accepted, and what comes back.

use std::collections::BTreeSet;

use pulumi_deployments_operator::api::{DeploymentSpec, OrganizationSpec, StackDeploymentSettingsSpec};
use rstest::rstest;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{DEPLOYMENT, ORGANIZATION, SETTINGS, Server, Validation, resource, schema, with_settings, yaml};

/// Together with [`sources`], these use every field.
const FULL: [(&str, &str); 7] = [
    (
        ORGANIZATION,
        r#"
        name: acme
        backendURL: https://pulumi.example.com/base
        dialect: Preview
        accessToken: {secretKeyRef: {name: pulumi, key: accessToken}}
        paused: false
        suspend: true
        access:
        - namespaces:
            from: Selector
            selector:
              matchLabels: {team: web}
              matchExpressions: [{key: stage, operator: In, values: [prod, test]}, {key: legacy, operator: DoesNotExist}]
          stacks: ["web/*"]
          operations: [update, preview]
          roleID: role-1
        - namespaces: {from: All}
        rateLimit: {requestsPerSecond: 5, burst: 7}
        "#,
    ),
    (
        ORGANIZATION,
        r#"
        backendURL: https://api.pulumi.com
        dialect: Stacks
        accessToken: {serviceAccount: {name: pulumi, tokenType: team, scope: "team:web", expiration: 1h30m}}
        suspend: false
        "#,
    ),
    (
        SETTINGS,
        r#"
        stack: {organizationRef: {name: acme, namespace: platform}, project: web, name: prod}
        createStack: true
        paused: true
        interval: 1h30m
        unmanaged: Remove
        deletionPolicy: Retain
        settings:
          executorContext:
            executorImage:
              reference: registry.example.com/pulumi:3
              credentials: {username: robot, password: {secretKeyRef: {name: registry, key: password}}}
            executorRootPath: /work
          sourceContext:
            git:
              repoURL: git@github.com:acme/web.git
              branch: main
              repoDir: infra
              gitAuth:
                sshAuth: {sshPrivateKey: {secretKeyRef: {name: git, key: id}}, password: {secretKeyRef: {name: git, key: phrase}}}
          operationContext:
            preRunCommands: [npm test]
            environmentVariables:
            - {name: AWS_REGION, value: eu-central-1}
            - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
            - {name: TIER, valueFrom: {configMapKeyRef: {name: web, key: tier}}}
            options:
              skipInstallDependencies: false
              skipIntermediateDeployments: true
              shell: bash
              deleteAfterDestroy: true
              remediateIfDriftDetected: true
            oidc:
              aws: {roleArn: "arn:aws:iam::1:role/deploy", sessionName: web, duration: 1h, policyArns: ["arn:aws:iam::1:policy/p"]}
              azure: {clientId: client, tenantId: tenant, subscriptionId: subscription}
              gcp:
                projectId: "1"
                region: europe-west1
                workloadPoolId: pool
                providerId: provider
                serviceAccount: deploy@example.com
                tokenLifetime: 30m
            role: {id: role-1, name: deployer, defaultIdentifier: stack-admin}
          tag: web
          gitHub:
            deployCommits: true
            previewPullRequests: true
            pullRequestTemplate: true
            deployPullRequest: 17
            paths: ["infra/**", "!docs"]
            installationId: "4711"
            deployTags: true
            tagFilters: ["v*", "!*-rc*"]
            reviewStackLabels: [review]
          agentPoolID: pool-1
          cacheOptions: {enable: true}
        "#,
    ),
    (
        SETTINGS,
        r#"
        stack: {organizationRef: {name: acme}, project: web, name: prod}
        createStack: false
        interval: 10s
        unmanaged: Keep
        deletionPolicy: Clear
        settings:
          sourceContext:
            git:
              commit: 5d1d2b4f4a6d1c1f5b1d3e7a9c0b2d4f6a8c0e1f
              gitAuth: {basicAuth: {userName: robot, password: {secretKeyRef: {name: git, key: password}}}}
          gitHub: {repository: acme/web}
        schedules:
        - name: nightly
          paused: false
          deployment: {cron: "0 3 * * 1-5", operation: update}
        - name: new-year
          deployment: {once: "2031-01-01T00:00:00Z", operation: remediate-drift}
        - name: drift
          drift: {cron: "*/30 * * * *", autoRemediate: true}
        - name: end
          ttl: {time: "2031-06-30T12:00:00Z", deleteAfterDestroy: true}
        "#,
    ),
    (
        SETTINGS,
        r#"
        stack: {organizationRef: {name: acme}, project: web, name: prod}
        createStack: false
        interval: 10s
        unmanaged: Keep
        deletionPolicy: Clear
        settings:
          sourceContext: {git: {branch: main}}
          vcs:
            provider: github
            repository: acme/web
            deployCommits: true
            previewPullRequests: true
            pullRequestTemplate: true
            deployPullRequest: 0
            paths: ["infra/**"]
            installationId: "4711"
            deployTags: true
            tagFilters: ["v*"]
            reviewStackLabels: [review]
        "#,
    ),
    (
        DEPLOYMENT,
        r"
        settingsRef: {name: web-prod}
        operation: detect-drift
        inheritSettings: false
        settings:
          sourceContext:
            git:
              tag: v1.0.0
              gitAuth: {basicAuth: {userNameFrom: {secretKeyRef: {name: git, key: user}}, password: {secretKeyRef: {name: git}}}}
        rerun: once more
        runOnSettingsChange: true
        suspend: true
        settle: 500ms
        supersede: Wait
        timeout: 1h30m
        queueTimeout: 90s
        retry: {limit: 3, backoff: {initial: 1s, max: 24h}}
        approval: {mode: Automatic}
        deletionPolicy: Orphan
        historyLimit: 0
        failureLogLines: 50
        ",
    ),
    (
        DEPLOYMENT,
        r"
        stack: {organizationRef: {name: acme, namespace: platform}, project: web, name: prod}
        operation: update
        inheritSettings: true
        settings: {sourceContext: {git: {gitAuth: {accessToken: {secretKeyRef: {name: git, key: token}}}}}}
        runOnSettingsChange: false
        suspend: false
        settle: 0s
        supersede: Cancel
        approval: {mode: Required}
        deletionPolicy: Destroy
        historyLimit: 50
        failureLogLines: 0
        dependsOn: [{name: network}, {name: cluster}]
        outputs:
          secret:
            name: web-outputs
            labels: {app.kubernetes.io/name: web}
            keys: [{output: kube config, key: KUBE_CONFIG}, {output: password}]
          configMap: {name: web.outputs, labels: {tier: web}, keys: [{output: url, key: URL}]}
        ",
    ),
];

/// Each kind of credentials.
const CREDENTIALS: [&str; 4] = [
    "{sshAuth: {sshPrivateKey: {secretKeyRef: {name: key, key: id}}, password: {secretKeyRef: {name: key, key: phrase}}}}",
    "{basicAuth: {userName: robot, password: {secretKeyRef: {name: login, key: password}}}}",
    "{basicAuth: {userNameFrom: {secretKeyRef: {name: login, key: user}}, password: {secretKeyRef: {name: login, key: password}}}}",
    "{accessToken: {secretKeyRef: {name: token, key: token}}}",
];

/// The sources beside git, with each kind of credentials.
fn sources() -> impl Iterator<Item = String> {
    let with = |credentials| {
        let revision = if credentials == CREDENTIALS[0] { "branch: default" } else { "revision: c0ffee" };
        [
            format!("hg: {{repoURL: 'https://hg.example.com/web', {revision}, repoDir: infra, hgAuth: {credentials}}}"),
            format!("template: {{sourceUrl: 'registry://templates/pulumi/acme/vpc@2.1.0', gitAuth: {credentials}}}"),
        ]
    };
    CREDENTIALS.into_iter().flat_map(with)
}

/// All manifests, by kind and spec.
fn full() -> Vec<(&'static str, Value)> {
    let defaults = r"
        stack: {organizationRef: {name: acme}, project: web, name: prod}
        createStack: false
        interval: 1h
        unmanaged: Keep
        deletionPolicy: Clear
    ";
    let others = sources().map(|source| {
        let mut spec = yaml(defaults);
        spec["settings"] = yaml(&format!("sourceContext: {{{source}}}"));
        (SETTINGS, spec)
    });
    FULL.into_iter().map(|(kind, text)| (kind, yaml(text))).chain(others).collect()
}

/// Those are there only to be refused.
fn is_refused(path: &str) -> bool {
    path.ends_with(".secret")
}

#[test]
fn the_full_manifests_use_every_field_of_every_spec() {
    // The settings are the same in both kinds, so that either may use them.
    let root = |kind, path: String| if path.starts_with("spec.settings.") { path } else { format!("{kind}: {path}") };
    let mut unused = BTreeSet::new();
    for kind in [ORGANIZATION, SETTINGS, DEPLOYMENT] {
        let declared =
            schema::declared(schema::of_part(kind, "spec"), "spec").into_iter().filter(|path| !is_refused(path));
        unused.extend(declared.map(|path| root(kind, path)));
    }
    for (kind, spec) in full() {
        for path in schema::used(schema::of_part(kind, "spec"), "spec", &spec) {
            unused.remove(&root(kind, path));
        }
    }
    assert!(unused.is_empty(), "{unused:#?}");
}

/// Reads a spec as the operator does, and writes it again.
fn through_the_operator(kind: &str, spec: &Value) -> Value {
    fn through<T: DeserializeOwned + Serialize>(spec: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(spec.clone()).unwrap()).unwrap()
    }
    match kind {
        ORGANIZATION => through::<OrganizationSpec>(spec),
        SETTINGS => through::<StackDeploymentSettingsSpec>(spec),
        DEPLOYMENT => through::<DeploymentSpec>(spec),
        other => panic!("{other} is none of ours"),
    }
}

#[tokio::test]
async fn a_full_manifest_comes_back_unchanged() {
    let server = Server::new().await;
    for (index, (kind, spec)) in full().into_iter().enumerate() {
        let mut manifest = resource(kind, "{}");
        manifest["metadata"]["name"] = format!("subject-{index}").into();
        manifest["spec"] = spec;
        let created = server.create(&manifest, Validation::Strict).await.unwrap();
        assert_eq!(created["spec"], manifest["spec"]);
        assert_eq!(through_the_operator(kind, &created["spec"]), manifest["spec"]);
    }
}

#[rstest]
#[case::organization(
    ORGANIZATION,
    "accessToken: {secretKeyRef: {name: pulumi, key: token}}",
    json!({"backendURL": "https://api.pulumi.com", "dialect": "Stacks", "suspend": false})
)]
#[case::service_account(
    ORGANIZATION,
    "accessToken: {serviceAccount: {name: pulumi}}",
    json!({
        "backendURL": "https://api.pulumi.com", "dialect": "Stacks", "suspend": false,
        "accessToken": {"serviceAccount": {"name": "pulumi", "tokenType": "organization"}},
    })
)]
#[case::rate_limit(
    ORGANIZATION,
    "{accessToken: {secretKeyRef: {name: pulumi, key: token}}, rateLimit: {}}",
    json!({"backendURL": "https://api.pulumi.com", "dialect": "Stacks", "suspend": false, "rateLimit": {"requestsPerSecond": 10, "burst": 20}})
)]
#[case::settings(
    SETTINGS,
    "stack: {organizationRef: {name: acme}, project: web, name: prod}",
    json!({"createStack": false, "interval": "1h", "unmanaged": "Keep", "deletionPolicy": "Clear", "settings": {}})
)]
#[case::deployment(
    DEPLOYMENT,
    "{settingsRef: {name: web-prod}, operation: update}",
    json!({
        "inheritSettings": true,
        "runOnSettingsChange": false,
        "suspend": false,
        "settle": "5s",
        "supersede": "CancelQueued",
        "deletionPolicy": "CancelQueued",
        "historyLimit": 10,
        "failureLogLines": 10,
    })
)]
#[case::retries(
    DEPLOYMENT,
    "{settingsRef: {name: web-prod}, operation: update, retry: {limit: 0}}",
    json!({
        "inheritSettings": true,
        "runOnSettingsChange": false,
        "suspend": false,
        "settle": "5s",
        "supersede": "CancelQueued",
        "retry": {"limit": 0, "backoff": {"initial": "30s", "max": "10m"}},
        "deletionPolicy": "CancelQueued",
        "historyLimit": 10,
        "failureLogLines": 10,
    })
)]
#[tokio::test]
async fn a_minimal_manifest_gets_the_documented_defaults(
    #[case] kind: &str,
    #[case] spec: &str,
    #[case] defaults: Value,
) {
    let manifest = resource(kind, spec);
    let server = Server::new().await;
    let created = server.create(&manifest, Validation::Strict).await.unwrap();
    let mut expected = manifest["spec"].clone();
    expected.as_object_mut().unwrap().extend(defaults.as_object().unwrap().clone());
    assert_eq!(created["spec"], expected);
    // The operator would put in the same defaults, were a resource older than one of them.
    assert_eq!(through_the_operator(kind, &manifest["spec"]), expected);
}

/// What templates make of values that are not set.
#[rstest]
#[case::organization(
    ORGANIZATION,
    "accessToken: {secretKeyRef: {name: pulumi, key: token}}",
    "{name: null, paused: null, access: null, suspend: null}"
)]
#[case::settings(
    SETTINGS,
    "stack: {organizationRef: {name: acme}, project: web, name: prod}",
    "{interval: null, settings: null, paused: null}"
)]
#[case::deployment(
    DEPLOYMENT,
    "{settingsRef: {name: web-prod}, operation: update}",
    "{stack: null, settings: null, settle: null, timeout: null, queueTimeout: null, retry: null, approval: null}"
)]
#[tokio::test]
async fn a_null_counts_as_absent(#[case] kind: &str, #[case] spec: &str, #[case] nulls: &str) {
    let without = resource(kind, spec);
    let mut with = without.clone();
    with["spec"].as_object_mut().unwrap().extend(yaml(nulls).as_object().unwrap().clone());
    let server = Server::without_namespace().await;
    let [without, with] = [&without, &with].map(|manifest| server.try_create(manifest, Validation::Strict));
    assert_eq!(with.await.unwrap()["spec"], without.await.unwrap()["spec"]);
}

/// An empty value means that something has to be unset; and not everything has to be written.
#[rstest]
#[case::a_whole_part(
    "{tag: '', executorContext: {}, sourceContext: {}, operationContext: {}, gitHub: {}, vcs: {}, cacheOptions: {}}"
)]
#[case::the_other_sources("sourceContext: {git: {branch: main}, hg: {}, template: {}}")]
#[case::the_other_integration("{gitHub: {}, vcs: {provider: gitlab, repository: ''}}")]
#[case::the_integration_of_another_provider("{gitHub: {repository: acme/web}, vcs: {}}")]
#[case::mercurial("sourceContext: {hg: {repoURL: '', branch: default, revision: '', repoDir: '', hgAuth: {}}}")]
#[case::a_template("sourceContext: {template: {sourceUrl: '', gitAuth: {}}}")]
#[case::triggers(
    "gitHub: {deployPullRequest: 0, installationId: '', tagFilters: [], reviewStackLabels: [], deployTags: false}"
)]
#[case::labels_of_another_provider("vcs: {provider: gitlab, reviewStackLabels: []}")]
#[case::the_image("executorContext: {executorImage: {}, executorRootPath: ''}")]
#[case::the_source("sourceContext: {git: {repoURL: '', branch: '', commit: '', tag: '', repoDir: '', gitAuth: {}}}")]
#[case::the_other_arm("sourceContext: {git: {branch: main, commit: '', tag: ''}}")]
#[case::lists("{operationContext: {preRunCommands: [], environmentVariables: []}, gitHub: {paths: []}}")]
#[case::options("operationContext: {options: {shell: ''}, oidc: {}}")]
#[case::the_other_repository(
    "{gitHub: {repository: ''}, sourceContext: {git: {repoURL: 'https://example.com/web.git'}}}"
)]
#[case::the_agent_pool("agentPoolID: ''")]
#[case::a_variable("operationContext: {environmentVariables: [{name: EMPTY, value: ''}]}")]
#[case::keys_that_the_type_of_the_secret_has(
    "sourceContext: {git: {gitAuth: {sshAuth: {sshPrivateKey: {secretKeyRef: {name: git}}, password: {secretKeyRef: {name: git}}}}}}"
)]
#[tokio::test]
async fn what_is_empty_or_left_out_stays_so(#[case] settings: &str) {
    let server = Server::without_namespace().await;
    for manifest in with_settings(settings) {
        let created = server.try_create(&manifest, Validation::Strict).await.unwrap();
        assert_eq!(created["spec"]["settings"], manifest["spec"]["settings"]);
        let kind = manifest["kind"].as_str().unwrap();
        assert_eq!(through_the_operator(kind, &created["spec"]), created["spec"]);
    }
}

#[rstest]
#[case::https("https://github.com/acme/web.git")]
#[case::a_port("https://git.example.com:8443/acme/web.git")]
#[case::an_at_sign_elsewhere("https://example.com/@acme/web:prod@2")]
#[case::scp("git@github.com:acme/web.git")]
#[case::ssh("ssh://git@example.com:22/acme/web.git")]
#[tokio::test]
async fn a_repository_url_without_a_secret_in_it_is_accepted(
    #[case] url: &str,
    #[values("git: {repoURL: 'URL'}", "hg: {repoURL: 'URL'}", "template: {sourceUrl: 'URL'}")] source: &str,
) {
    let server = Server::without_namespace().await;
    for manifest in with_settings(&format!("sourceContext: {{{}}}", source.replace("'URL'", &format!("'{url}'")))) {
        server.try_create(&manifest, Validation::Strict).await.unwrap();
    }
}

#[rstest]
#[case::the_latest("registry://templates/pulumi/acme-corp/aws-vpc")]
#[case::a_version("registry://templates/pulumi/acme-corp/aws-vpc@2.1.0-rc.1+build")]
#[tokio::test]
async fn a_template_of_the_registry_is_accepted(#[case] url: &str) {
    let server = Server::without_namespace().await;
    for manifest in with_settings(&format!("sourceContext: {{template: {{sourceUrl: '{url}'}}}}")) {
        server.try_create(&manifest, Validation::Strict).await.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn each_provider_is_accepted(
    #[values("azure_devops", "bitbucket", "custom", "github", "gitlab")] provider: &str,
) {
    let server = Server::without_namespace().await;
    for manifest in with_settings(&format!("vcs: {{provider: {provider}, repository: group/sub/web}}")) {
        server.try_create(&manifest, Validation::Strict).await.unwrap();
    }
}

#[rstest]
#[case::a_port("http://localhost:8080")]
#[case::a_path("https://pulumi.example.com/api/")]
#[case::an_address("https://[::1]:8443")]
#[tokio::test]
async fn a_backend_elsewhere_is_accepted(#[case] url: &str) {
    let spec = format!("{{accessToken: {{secretKeyRef: {{name: pulumi, key: token}}}}, backendURL: '{url}'}}");
    Server::without_namespace().await.try_create(&resource(ORGANIZATION, &spec), Validation::Strict).await.unwrap();
}

/// Several may declare variables of one resource, each their own.
#[tokio::test]
async fn environment_variables_are_owned_one_by_one() {
    let server = Server::new().await;
    for (manager, variable) in [("one", "A"), ("two", "B")] {
        let settings = format!("operationContext: {{environmentVariables: [{{name: {variable}, value: {manager}}}]}}");
        let [manifest, _] = with_settings(&settings);
        server.apply(manager, &manifest, Validation::Strict).await.unwrap();
    }
    let [manifest, _] = with_settings("{}");
    let left = server.apply("one", &manifest, Validation::Strict).await.unwrap();
    let variables = &left["spec"]["settings"]["operationContext"]["environmentVariables"];
    assert_eq!(*variables, json!([{"name": "B", "value": "two"}]));
}
