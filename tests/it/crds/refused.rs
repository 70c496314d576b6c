//! Manifests that are refused with a sentence that says what to write instead, whether or not the client asked for
//! strict validation.

use rstest::rstest;
use serde_json::Value;

use super::{DEPLOYMENT, ORGANIZATION, SETTINGS, Server, Validation, assert_invalid, resource, with_settings};

async fn assert_refused(manifest: &Value, expected: &str) {
    let server = Server::without_namespace().await;
    for validation in Validation::BOTH {
        assert_invalid(server.try_create(manifest, validation).await, expected);
    }
}

fn list(item: &str, length: usize) -> String {
    format!("[{}]", vec![item; length].join(", "))
}

#[rstest]
#[case::no_token("{}", "spec.accessToken: Required value")]
#[case::an_empty_token("accessToken: {}", "write secretKeyRef: {name, key}")]
#[case::a_token_without_key(
    "accessToken: {secretKeyRef: {name: pulumi}}",
    "write which key of the Secret holds the access token"
)]
#[case::a_secret_and_a_service_account(
    "accessToken: {secretKeyRef: {name: pulumi, key: token}, serviceAccount: {name: pulumi}}",
    "or serviceAccount: {name} for one that the operator gets for that identity: exactly one of the two"
)]
#[case::a_service_account_without_name(
    "accessToken: {serviceAccount: {tokenType: team}}",
    "serviceAccount.name: Required value"
)]
#[case::an_unknown_type_of_token(
    "accessToken: {serviceAccount: {name: pulumi, tokenType: Team}}",
    "supported values: \"organization\", \"team\", \"personal\""
)]
#[case::a_team_without_name("accessToken: {serviceAccount: {name: pulumi, tokenType: team}}", "write scope: team:NAME")]
#[case::a_person_without_name(
    "accessToken: {serviceAccount: {name: pulumi, tokenType: personal, scope: 'team:web'}}",
    "write scope: user:LOGIN"
)]
#[case::an_organization_with_a_team(
    "accessToken: {serviceAccount: {name: pulumi, scope: 'team:web'}}",
    "a token of the organization has no scope, or scope: admin"
)]
#[case::a_short_life(
    "accessToken: {serviceAccount: {name: pulumi, expiration: 59s}}",
    "expiration must be at least 1m"
)]
#[case::a_life_in_days(
    "accessToken: {serviceAccount: {name: pulumi, expiration: 1d}}",
    "write a duration with the units h, m, s or ms"
)]
#[case::a_secret_without_name("accessToken: {secretKeyRef: {key: token}}", "secretKeyRef.name: Required value")]
#[case::a_secret_with_an_empty_name("accessToken: {secretKeyRef: {name: '', key: token}}", "at least 1 chars long")]
#[tokio::test]
async fn a_token_that_leads_nowhere(#[case] spec: &str, #[case] expected: &str) {
    assert_refused(&resource(ORGANIZATION, spec), expected).await;
}

#[rstest]
#[case::an_empty_name("name: ''", "at least 1 chars long")]
#[case::a_name_with_more_in_it("name: acme/web", "write the organization's name alone")]
#[case::a_backend_without_scheme("backendURL: api.pulumi.com", "such as https://api.pulumi.com")]
#[case::a_backend_without_host("backendURL: 'https://'", "such as https://api.pulumi.com")]
#[case::another_scheme("backendURL: 'file:///state'", "such as https://api.pulumi.com")]
#[case::a_query("backendURL: 'https://api.pulumi.com?a=b'", "without user, password, query or fragment")]
#[case::an_empty_backend("backendURL: ''", "such as https://api.pulumi.com")]
#[case::no_requests(
    "rateLimit: {requestsPerSecond: 0}",
    "requestsPerSecond in body should be greater than or equal to 1"
)]
#[case::too_many_requests("rateLimit: {requestsPerSecond: 1001}", "should be less than or equal to 1000")]
#[case::no_burst("rateLimit: {burst: 0}", "burst in body should be greater than or equal to 1")]
#[case::half_a_request("rateLimit: {burst: 1.5}", "must be of type integer")]
#[case::an_unknown_dialect("dialect: stacks", "supported values: \"Stacks\", \"Preview\"")]
#[case::a_selector_is_missing("access: [{namespaces: {from: Selector}}]", "write selector: {matchLabels: {…}}")]
#[case::a_selector_too_many("access: [{namespaces: {from: All, selector: {}}}]", "selector goes with from: Selector")]
#[case::namespaces_from_nowhere("access: [{namespaces: {}}]", "namespaces.from: Required value")]
#[case::namespaces_from_elsewhere(
    "access: [{namespaces: {from: Any}}]",
    "supported values: \"Same\", \"All\", \"Selector\""
)]
#[case::in_nothing(
    "access: [{namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In}]}}}]",
    "In and NotIn need values"
)]
#[case::exists_as(
    "access: [{namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}]",
    "Exists and DoesNotExist have none"
)]
#[case::an_unknown_operation("access: [{operations: [up]}]", "supported values: \"update\", \"preview\"")]
#[case::no_operation("access: [{operations: []}]", "should have at least 1 items")]
#[case::no_stack("access: [{stacks: []}]", "should have at least 1 items")]
#[case::an_empty_glob("access: [{stacks: ['']}]", "at least 1 chars long")]
#[case::an_empty_role("access: [{roleID: ''}]", "at least 1 chars long")]
#[case::too_many_rules(format!("access: {}", list("{}", 65)), "must have at most 64 items")]
#[case::too_many_globs(format!("access: [{{stacks: {}}}]", list("a/b", 65)), "must have at most 64 items")]
#[case::not_yes_or_no("paused: 'yes'", "must be of type boolean")]
#[tokio::test]
async fn organizations(#[case] spec: impl AsRef<str>, #[case] expected: &str) {
    let spec = format!("accessToken: {{secretKeyRef: {{name: pulumi, key: token}}}}\n{}", spec.as_ref());
    assert_refused(&resource(ORGANIZATION, &spec), expected).await;
}

#[rstest]
#[case::no_stack("{}", "spec.stack: Required value")]
#[case::no_organization("stack: {project: web, name: prod}", "organizationRef: Required value")]
#[case::no_project("stack: {organizationRef: {name: acme}, name: prod}", "stack.project: Required value")]
#[case::an_empty_organization(
    "stack: {organizationRef: {name: ''}, project: web, name: prod}",
    "at least 1 chars long"
)]
#[case::an_empty_namespace(
    "stack: {organizationRef: {name: acme, namespace: ''}, project: web, name: prod}",
    "at least 1 chars long"
)]
#[case::an_empty_project(
    "stack: {organizationRef: {name: acme}, project: '', name: prod}",
    "write the project's name alone"
)]
#[case::an_empty_stack(
    "stack: {organizationRef: {name: acme}, project: web, name: ''}",
    "write the stack's name alone"
)]
#[case::all_in_one(
    "stack: {organizationRef: {name: acme}, project: web, name: acme/web/prod}",
    "write the stack's name alone"
)]
#[case::a_project_in_an_organization(
    "stack: {organizationRef: {name: acme}, project: acme/web, name: prod}",
    "write the project's name alone"
)]
#[tokio::test]
async fn stacks(#[case] spec: &str, #[case] expected: &str) {
    assert_refused(&resource(SETTINGS, spec), expected).await;
}

#[rstest]
#[case::days("interval: 1d", "such as 90s or 1h30m (a day is 24h)")]
#[case::no_unit("interval: '5'", "with the units h, m, s or ms")]
#[case::a_number("interval: 5", "must be of type string")]
#[case::nothing("interval: ''", "such as 90s")]
#[case::a_fraction("interval: 1.5h", "such as 90s")]
#[case::words("interval: 5 minutes", "such as 90s")]
#[case::too_short("interval: 9s", "interval must be at least 10s")]
#[case::much_too_short("interval: 500ms", "interval must be at least 10s")]
#[case::an_unknown_rule("unmanaged: Ignore", "supported values: \"Keep\", \"Remove\"")]
#[case::an_unknown_policy("deletionPolicy: Delete", "supported values: \"Clear\", \"Retain\"")]
#[tokio::test]
async fn stack_deployment_settings(#[case] spec: &str, #[case] expected: &str) {
    let spec = format!("stack: {{organizationRef: {{name: acme}}, project: web, name: prod}}\n{spec}");
    assert_refused(&resource(SETTINGS, &spec), expected).await;
}

#[rstest]
#[case::two_targets(
    "{settingsRef: {name: web}, stack: {organizationRef: {name: acme}, project: web, name: prod}, operation: update}",
    "write exactly one target: settingsRef: {name}, or stack: {organizationRef: {name}, project, name}"
)]
#[case::no_target("operation: update", "write exactly one target: settingsRef: {name}, or stack:")]
#[case::an_empty_target("{settingsRef: {name: ''}, operation: update}", "at least 1 chars long")]
#[case::no_operation("settingsRef: {name: web}", "spec.operation: Required value")]
#[case::an_unknown_operation(
    "{settingsRef: {name: web}, operation: up}",
    "supported values: \"update\", \"preview\", \"destroy\", \"refresh\", \"detect-drift\", \"remediate-drift\""
)]
#[case::no_settings_to_follow(
    "{stack: {organizationRef: {name: acme}, project: web, name: prod}, operation: update, runOnSettingsChange: true}",
    "runOnSettingsChange needs settings to follow: write settingsRef: {name} as the target"
)]
#[case::a_destroy_with_each_change(
    "{settingsRef: {name: web}, operation: destroy, runOnSettingsChange: true}",
    "runOnSettingsChange would destroy the stack anew with each change of its settings"
)]
#[tokio::test]
async fn targets_and_operations(#[case] spec: &str, #[case] expected: &str) {
    assert_refused(&resource(DEPLOYMENT, spec), expected).await;
}

#[rstest]
#[case::a_settle_time_in_days("settle: 1d", "such as 90s or 1h30m (a day is 24h)")]
#[case::a_settle_time_without_unit("settle: '5'", "with the units h, m, s or ms")]
#[case::a_timeout_in_days("timeout: 1d", "such as 90s or 1h30m (a day is 24h)")]
#[case::no_time_at_all("timeout: 0s", "timeout must be at least 1s; leave it out")]
#[case::a_queue_timeout_without_unit("queueTimeout: '5'", "with the units h, m, s or ms")]
#[case::no_time_in_the_queue("queueTimeout: 999ms", "queueTimeout must be at least 1s; leave it out")]
#[case::retries_without_limit("retry: {backoff: {initial: 1s}}", "spec.retry.limit: Required value")]
#[case::an_approval_without_mode("approval: {}", "spec.approval.mode: Required value")]
#[case::an_approval_of_another_mode("approval: {mode: Manual}", "supported values: \"Automatic\", \"Required\"")]
#[case::less_than_no_retries("retry: {limit: -1}", "should be greater than or equal to 0")]
#[case::too_many_retries("retry: {limit: 101}", "should be less than or equal to 100")]
#[case::no_wait("retry: {limit: 1, backoff: {initial: 0s}}", "backoff.initial must be at least 1s")]
#[case::no_longest_wait("retry: {limit: 1, backoff: {max: 0s}}", "backoff.max must be at least 1s")]
#[case::a_wait_in_days("retry: {limit: 1, backoff: {max: 1d}}", "such as 90s or 1h30m (a day is 24h)")]
#[case::a_first_wait_that_is_longer(
    "retry: {limit: 1, backoff: {initial: 1h}}",
    "backoff.initial is longer than backoff.max"
)]
#[case::a_nameless_dependency("dependsOn: [{}]", "spec.dependsOn[0].name: Required value")]
#[case::a_dependency_twice("dependsOn: [{name: a}, {name: a}]", "spec.dependsOn[1]: Duplicate value")]
#[case::outputs_for_nobody("outputs: {}", "write at least one of secret and configMap")]
#[case::an_odd_target("outputs: {secret: {name: Web}}", "spec.outputs.secret.name in body should match")]
#[case::an_odd_key(
    "outputs: {secret: {name: w, keys: [{output: a, key: a b}]}}",
    "spec.outputs.secret.keys[0].key in body should match"
)]
#[case::no_keys("outputs: {configMap: {name: w, keys: []}}", "should have at least 1 items")]
#[case::a_key_twice(
    "outputs: {configMap: {name: w, keys: [{output: a}, {output: b, key: a}]}}",
    "each key can be written once"
)]
#[case::too_much_history("historyLimit: 51", "historyLimit in body should be less than or equal to 50")]
#[case::less_than_no_history("historyLimit: -1", "should be greater than or equal to 0")]
#[case::too_many_lines("failureLogLines: 51", "failureLogLines in body should be less than or equal to 50")]
#[case::a_long_word(format!("rerun: {}", "a".repeat(257)), "may not be more than 256 bytes")]
#[case::a_number_as_a_word("rerun: 1", "must be of type string")]
#[case::an_unknown_way_to_supersede("supersede: Abort", "supported values: \"Wait\", \"CancelQueued\", \"Cancel\"")]
#[case::an_unknown_policy(
    "deletionPolicy: Delete",
    "supported values: \"Orphan\", \"CancelQueued\", \"Cancel\", \"Destroy\""
)]
#[case::not_yes_or_no("inheritSettings: 'no'", "must be of type boolean")]
#[tokio::test]
async fn deployments(#[case] spec: impl AsRef<str>, #[case] expected: &str) {
    let spec = format!("settingsRef: {{name: web}}\noperation: update\n{}", spec.as_ref());
    assert_refused(&resource(DEPLOYMENT, &spec), expected).await;
}

fn git(content: &str) -> String {
    format!("sourceContext: {{git: {content}}}")
}

fn variables(content: &str) -> String {
    format!("operationContext: {{environmentVariables: {content}}}")
}

fn many_variables(number: usize) -> String {
    let items: Vec<_> = (0..number).map(|index| format!("{{name: V{index}, value: v}}")).collect();
    variables(&format!("[{}]", items.join(", ")))
}

#[rstest]
#[case::branch_and_commit(git("{branch: main, commit: abc}"), "branch, commit and tag exclude each other")]
#[case::branch_and_tag(
    git("{branch: main, tag: v1}"),
    "branch, commit and tag exclude each other: write exactly one of them"
)]
#[case::commit_and_tag(git("{commit: abc, tag: v1}"), "branch, commit and tag exclude each other")]
#[case::ssh_and_token(
    git(
        "{gitAuth: {sshAuth: {sshPrivateKey: {secretKeyRef: {name: a}}}, accessToken: {secretKeyRef: {name: a, key: b}}}}"
    ),
    "only one kind of credentials at a time: write sshAuth, basicAuth or accessToken"
)]
#[case::ssh_and_basic(
    git(
        "{gitAuth: {sshAuth: {sshPrivateKey: {secretKeyRef: {name: a}}}, basicAuth: {userName: u, password: {secretKeyRef: {name: a}}}}}"
    ),
    "only one kind of credentials at a time"
)]
#[case::two_user_names(
    git(
        "{gitAuth: {basicAuth: {userName: u, userNameFrom: {secretKeyRef: {name: a}}, password: {secretKeyRef: {name: a}}}}}"
    ),
    "write exactly one of userName and userNameFrom: {secretKeyRef: {name, key}}"
)]
#[case::no_user_name(
    git("{gitAuth: {basicAuth: {password: {secretKeyRef: {name: a}}}}}"),
    "write exactly one of userName and userNameFrom"
)]
#[case::an_empty_user_name(
    git("{gitAuth: {basicAuth: {userName: '', password: {secretKeyRef: {name: a}}}}}"),
    "at least 1 chars long"
)]
#[case::no_password(git("{gitAuth: {basicAuth: {userName: u}}}"), "basicAuth.password: Required value")]
#[case::no_ssh_key(git("{gitAuth: {sshAuth: {}}}"), "sshPrivateKey: Required value")]
#[case::a_token_without_key(
    git("{gitAuth: {accessToken: {secretKeyRef: {name: a}}}}"),
    "write which key of the Secret holds the token"
)]
#[case::two_repositories(
    "{gitHub: {repository: acme/web}, sourceContext: {git: {repoURL: 'https://github.com/acme/web.git'}}}",
    "keep gitHub.repository for the GitHub integration, or repoURL for any git server"
)]
#[case::a_url_for_a_repository(
    "gitHub: {repository: 'https://github.com/acme/web'}",
    "write owner/name, without the server"
)]
#[case::a_repository_without_owner("gitHub: {repository: web}", "write owner/name")]
#[case::too_many_paths(format!("gitHub: {{paths: {}}}", list("a", 101)), "must have at most 100 items")]
#[case::credentials_for_nothing(
    "executorContext: {executorImage: {credentials: {username: u, password: {secretKeyRef: {name: a, key: b}}}}}",
    "credentials need the image they are for: write reference"
)]
#[case::an_image_as_a_string(
    "executorContext: {executorImage: pulumi/pulumi}",
    "executorImage in body must be of type object"
)]
#[case::too_many_commands(
    format!("operationContext: {{preRunCommands: {}}}", list("a", 51)),
    "must have at most 50 items"
)]
#[case::a_command_as_a_string("operationContext: {preRunCommands: npm test}", "must be of type array")]
#[case::a_session_in_days(
    "operationContext: {oidc: {aws: {roleArn: a, sessionName: b, duration: 1d}}}",
    "such as 90s or 1h30m (a day is 24h)"
)]
#[case::a_token_in_seconds(
    "operationContext: {oidc: {gcp: {projectId: a, workloadPoolId: b, providerId: c, serviceAccount: d, tokenLifetime: '5'}}}",
    "with the units h, m, s or ms"
)]
#[case::no_cloud_role("operationContext: {oidc: {aws: {sessionName: b}}}", "roleArn: Required value")]
#[case::too_many_policies(
    format!("operationContext: {{oidc: {{aws: {{roleArn: a, sessionName: b, policyArns: {}}}}}}}", list("p", 21)),
    "must have at most 20 items"
)]
#[case::an_empty_role("operationContext: {role: {id: ''}}", "at least 1 chars long")]
#[case::a_role_by_its_name("operationContext: {role: {name: admin}}", "role.id: Required value")]
#[case::two_sources(
    "sourceContext: {git: {branch: main}, template: {sourceUrl: 'https://example.com/t'}}",
    "git, hg and template exclude each other: keep the one that has the program"
)]
#[case::three_sources(
    "sourceContext: {git: {branch: main}, hg: {branch: default}, template: {sourceUrl: 'https://example.com/t'}}",
    "git, hg and template exclude each other"
)]
#[case::hg_branch_and_revision(
    "sourceContext: {hg: {branch: default, revision: c0ffee}}",
    "branch and revision exclude each other: write exactly one of them"
)]
#[case::hg_with_two_credentials(
    "sourceContext: {hg: {hgAuth: {sshAuth: {sshPrivateKey: {secretKeyRef: {name: a}}}, basicAuth: {userName: u, password: {secretKeyRef: {name: a}}}}}}",
    "only one kind of credentials at a time"
)]
#[case::a_template_with_two_credentials(
    "sourceContext: {template: {gitAuth: {accessToken: {secretKeyRef: {name: a, key: b}}, basicAuth: {userName: u, password: {secretKeyRef: {name: a}}}}}}",
    "only one kind of credentials at a time"
)]
#[case::a_token_for_a_template_without_key(
    "sourceContext: {template: {gitAuth: {accessToken: {secretKeyRef: {name: a}}}}}",
    "write which key of the Secret holds the token: secretKeyRef: {name, key}"
)]
#[case::a_token_for_mercurial_without_key(
    "sourceContext: {hg: {hgAuth: {accessToken: {secretKeyRef: {name: a}}}}}",
    "write which key of the Secret holds the token: secretKeyRef: {name, key}"
)]
#[case::half_a_template(
    "sourceContext: {template: {sourceUrl: 'registry://templates/acme/vpc'}}",
    "write registry://templates/source/publisher/name"
)]
#[case::two_integrations(
    "{gitHub: {repository: acme/web}, vcs: {provider: gitlab, repository: acme/web}}",
    "gitHub and vcs exclude each other: keep gitHub for the GitHub integration"
)]
#[case::two_repositories_of_a_provider(
    "{vcs: {provider: gitlab, repository: acme/web}, sourceContext: {git: {repoURL: 'https://gitlab.com/acme/web.git'}}}",
    "keep vcs.repository for the provider's integration, or repoURL for any git server"
)]
#[case::no_provider("vcs: {repository: acme/web}", "write whose integration this is: provider: azure_devops")]
#[case::an_unknown_provider(
    "vcs: {provider: sourcehut}",
    "supported values: \"azure_devops\", \"bitbucket\", \"custom\", \"github\", \"gitlab\""
)]
#[case::labels_of_another_provider(
    "vcs: {provider: gitlab, reviewStackLabels: [review]}",
    "reviewStackLabels are GitHub's alone"
)]
#[case::a_negative_pull_request("gitHub: {deployPullRequest: -1}", "should be greater than or equal to 0")]
#[case::a_pull_request_as_a_word("vcs: {provider: github, deployPullRequest: '7'}", "must be of type integer")]
#[case::an_installation_as_a_number("gitHub: {installationId: 7}", "installationId in body must be of type string")]
#[case::too_many_filters(format!("gitHub: {{tagFilters: {}}}", list("a", 101)), "must have at most 100 items")]
#[case::too_many_labels(format!("gitHub: {{reviewStackLabels: {}}}", list("a", 101)), "must have at most 100 items")]
#[case::a_long_tag(format!("tag: {}", "a".repeat(256)), "may not be more than 255 bytes")]
#[tokio::test]
async fn settings_of_either_kind(#[case] settings: impl AsRef<str>, #[case] expected: &str) {
    for manifest in with_settings(settings.as_ref()) {
        assert_refused(&manifest, expected).await;
    }
}

#[rstest]
#[case::of_no_sort("[{name: a}]", "write exactly one of deployment, drift and ttl")]
#[case::of_two_sorts(
    "[{name: a, drift: {cron: '0 * * * *'}, ttl: {time: '2031-01-01T00:00:00Z'}}]",
    "write exactly one of deployment, drift and ttl"
)]
#[case::never("[{name: a, deployment: {operation: update}}]", "write exactly one of cron and once")]
#[case::once_and_again_and_again(
    "[{name: a, deployment: {cron: '0 * * * *', once: '2031-01-01T00:00:00Z', operation: update}}]",
    "write exactly one of cron and once"
)]
#[case::a_cron_with_seconds("[{name: a, deployment: {cron: '0 0 3 * * *', operation: update}}]", "write five fields")]
#[case::a_cron_with_a_name("[{name: a, drift: {cron: '@hourly as ever'}}]", "write five fields")]
#[case::nothing_to_run("[{name: a, deployment: {cron: '0 * * * *'}}]", "operation: Required value")]
#[case::drift_in_another_form(
    "[{name: a, deployment: {cron: '0 * * * *', operation: detect-drift}}]",
    "write drift: {cron} instead of deployment"
)]
#[case::an_end_at_no_time("[{name: a, ttl: {}}]", "ttl.time: Required value")]
#[case::an_end_in_words("[{name: a, ttl: {time: tomorrow}}]", "must be of type date-time")]
#[case::no_name("[{drift: {cron: '0 * * * *'}}]", "schedules[0].name: Required value")]
#[case::a_name_with_capitals("[{name: Nightly, drift: {cron: '0 * * * *'}}]", "write a name of lower-case letters")]
#[case::a_name_twice(
    "[{name: a, drift: {cron: '0 * * * *'}}, {name: a, drift: {cron: '5 * * * *'}}]",
    "schedules[1]: Duplicate value: {\"name\":\"a\"}"
)]
#[tokio::test]
async fn schedules(#[case] list: &str, #[case] expected: &str) {
    let spec = format!("{{stack: {{organizationRef: {{name: acme}}, project: web, name: prod}}, schedules: {list}}}");
    assert_refused(&resource(SETTINGS, &spec), expected).await;
}

#[rstest]
#[case::two_sources(
    "[{name: A, value: a, valueFrom: {secretKeyRef: {name: a, key: b}}}]",
    "write exactly one of value and valueFrom"
)]
#[case::no_source("[{name: A}]", "write exactly one of value and valueFrom")]
#[case::two_references(
    "[{name: A, valueFrom: {secretKeyRef: {name: a, key: b}, configMapKeyRef: {name: a, key: b}}}]",
    "write exactly one of secretKeyRef: {name, key} and configMapKeyRef: {name, key}"
)]
#[case::no_reference(
    "[{name: A, valueFrom: {}}]",
    "write exactly one of secretKeyRef: {name, key} and configMapKeyRef"
)]
#[case::no_key_of_a_secret(
    "[{name: A, valueFrom: {secretKeyRef: {name: a}}}]",
    "write which key of the Secret holds the value: secretKeyRef: {name, key}"
)]
#[case::no_key_of_a_config_map(
    "[{name: A, valueFrom: {configMapKeyRef: {name: a}}}]",
    "configMapKeyRef.key: Required value"
)]
#[case::an_empty_reference("[{name: A, valueFrom: {configMapKeyRef: {name: '', key: a}}}]", "at least 1 chars long")]
#[case::no_name("[{value: a}]", "environmentVariables[0].name: Required value")]
#[case::an_empty_name("[{name: '', value: a}]", "write a name of letters, digits and '_'")]
#[case::a_digit_first("[{name: 1A, value: a}]", "that does not begin with a digit")]
#[case::a_hyphen("[{name: A-B, value: a}]", "write a name of letters, digits and '_'")]
#[case::an_assignment("[{name: A=B, value: a}]", "write a name of letters, digits and '_'")]
#[case::a_name_twice(
    "[{name: A, value: a}, {name: A, value: b}]",
    "environmentVariables[1]: Duplicate value: {\"name\":\"A\"}"
)]
#[case::a_number("[{name: A, value: 1}]", "value in body must be of type string")]
#[case::a_list("[{name: A, value: [a]}]", "value in body must be of type string")]
#[tokio::test]
async fn environment_variables(#[case] content: &str, #[case] expected: &str) {
    for manifest in with_settings(&variables(content)) {
        assert_refused(&manifest, expected).await;
    }
}

#[rstest]
#[tokio::test]
async fn reserved_environment_variables(
    #[values(
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_BACKEND_URL",
        "PULUMI_CI_SYSTEM",
        "PULUMI_CI_BUILD_ID",
        "PULUMI_CI_BUILD_NUMBER",
        "PULUMI_CI_BUILD_URL",
        "PULUMI_CI_PULL_REQUEST_SHA",
        "PULUMI_DEPLOYMENTS_OPERATOR_RUN_0"
    )]
    name: &str,
) {
    for manifest in with_settings(&variables(&format!("[{{name: {name}, value: a}}]"))) {
        assert_refused(&manifest, "choose another name").await;
    }
}

#[tokio::test]
async fn too_many_environment_variables() {
    let server = Server::without_namespace().await;
    for manifest in with_settings(&many_variables(200)) {
        server.try_create(&manifest, Validation::Strict).await.unwrap();
    }
    for manifest in with_settings(&many_variables(201)) {
        assert_refused(&manifest, "must have at most 200 items").await;
    }
}

/// The form that the API has for them. Strict validation looks for unknown fields first, and finds one.
#[tokio::test]
async fn environment_variables_as_a_map() {
    let server = Server::without_namespace().await;
    for manifest in with_settings(&variables("{A: a}")) {
        let refusal = server.try_create(&manifest, Validation::Strict).await.unwrap_err();
        assert_eq!(refusal.code, 400, "{refusal:#?}");
        assert!(refusal.message.contains("unknown field \"spec.settings.operationContext.environmentVariables.A\""));
        let ignored = server.try_create(&manifest, Validation::Ignore).await;
        assert_invalid(ignored, "environmentVariables in body must be of type array");
    }
}
