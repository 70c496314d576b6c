//! Settings documents that somebody could write, from few enough values that they often meet.
//!
//! The strategies are boxed: in one piece, they are larger than the stack of a test.

use proptest::{option, prelude::*, sample::select};

use crate::pulumi::{Node, SecretValue};

/// A secret whose fingerprint is its value: the model of the service needs to see it.
pub fn secret(value: &str) -> Node {
    Node::Secret(SecretValue::new(value.into(), value.to_owned()))
}

/// What a resource declares: valid, with at most one arm of each one-of, and with explicit empties. Every field that
/// the API has is in some of them.
pub fn any_document() -> BoxedStrategy<Node> {
    let rest = (text(), text(), option::of(any::<bool>()));
    (executor(), source(), operation(), integration(), rest)
        .prop_map(|(executor, source, operation, integration, (tag, pool, cache))| {
            let mut document = object([
                ("tag", tag),
                ("executorContext", executor),
                ("sourceContext", source.and_then(some)),
                ("operationContext", operation),
                ("agentPoolID", pool),
                ("cacheOptions", some(object([("enable", cache.map(Node::from))]))),
            ]);
            let has_repository = integration
                .iter()
                .any(|(_, node)| node.get(&["repository"]).is_some_and(|repository| *repository != Node::from("")));
            for (name, node) in integration {
                document.insert(&[name], node);
            }
            if has_repository {
                let git = document.remove(&["sourceContext", "git", "repoUrl"]);
                if git.is_some() && document.get(&["sourceContext", "git"]).is_some_and(Node::is_empty_object) {
                    document.remove(&["sourceContext"]);
                }
            }
            document
        })
        .boxed()
}

/// What others write: the same, and arms beside those that a resource chooses.
pub fn any_foreign_document() -> BoxedStrategy<Node> {
    let source = select(vec![None, Some("hg"), Some("template")]);
    (any_document(), source, any::<bool>(), option::of(select(vec!["r1", "r2"])))
        .prop_map(|(mut document, source, vcs, role)| {
            if let Some(arm) = source {
                let field = if arm == "hg" { "repoUrl" } else { "sourceUrl" };
                document.insert(&["sourceContext", arm, field], "somewhere");
            }
            if vcs {
                document.insert(&["vcs", "provider"], "gitlab");
                document.insert(&["vcs", "deployCommits"], true);
            }
            // Nobody else's: the service fills them in itself.
            document.remove(&["operationContext", "role", "name"]);
            document.remove(&["operationContext", "role", "defaultIdentifier"]);
            if let Some(role) = role {
                document.insert(&["operationContext", "role", "id"], role);
            }
            document
        })
        .boxed()
}

fn source() -> BoxedStrategy<Option<Node>> {
    let one = |name: &'static str| move |source: Node| Some(object([(name, Some(source))]));
    prop_oneof![
        1 => Just(None),
        4 => git().prop_map(one("git")),
        2 => mercurial().prop_map(one("hg")),
        2 => template().prop_map(one("template")),
    ]
    .boxed()
}

fn mercurial() -> BoxedStrategy<Node> {
    let revision = prop_oneof![
        2 => select(vec!["default", "stable", ""]).prop_map(|branch| Some(("branch", branch))),
        1 => Just(Some(("revision", "c0ffee"))),
        1 => Just(None),
    ];
    (text(), revision, text(), option::of(auth()))
        .prop_map(|(url, revision, directory, auth)| {
            let mut hg = object([("repoUrl", url), ("repoDir", directory), ("hgAuth", auth)]);
            if let Some((arm, value)) = revision {
                hg.insert(&[arm], value);
            }
            hg
        })
        .boxed()
}

fn template() -> BoxedStrategy<Node> {
    (text(), option::of(auth())).prop_map(|(url, auth)| object([("sourceUrl", url), ("gitAuth", auth)])).boxed()
}

fn executor() -> BoxedStrategy<Option<Node>> {
    let bare = select(vec!["", "i:1", "i:2"]).prop_map(Node::from);
    let private = (select(vec!["i:1", "i:2"]), select(vec!["u", "v"]), select(vec!["s1", "s2"])).prop_map(
        |(reference, user, password)| {
            object([
                ("reference", Some(reference.into())),
                ("credentials", Some(object([("username", Some(user.into())), ("password", Some(secret(password)))]))),
            ])
        },
    );
    let image = option::of(prop_oneof![2 => bare, 2 => private, 1 => Just(Node::object())]);
    (image, text())
        .prop_map(|(image, root)| some(object([("executorImage", image), ("executorRootPath", root)])))
        .boxed()
}

fn git() -> BoxedStrategy<Node> {
    let revision = prop_oneof![
        2 => select(vec!["main", "refs/heads/main", "dev", ""]).prop_map(|branch| Some(("branch", branch))),
        1 => Just(Some(("commit", "c0ffee"))),
        1 => Just(Some(("tag", "v1"))),
        1 => Just(None),
    ];
    let spent = option::weighted(0.1, select(vec!["branch", "commit", "tag"]));
    (text(), revision, spent, text(), option::of(auth()))
        .prop_map(|(url, revision, spent, directory, auth)| {
            let mut git = object([("repoUrl", url), ("repoDir", directory), ("gitAuth", auth)]);
            if let Some(spent) = spent {
                git.insert(&[spent], "");
            }
            if let Some((arm, value)) = revision {
                git.insert(&[arm], value);
            }
            git
        })
        .boxed()
}

fn auth() -> BoxedStrategy<Node> {
    prop_oneof![
        1 => Just(Node::object()),
        2 => any_secret().prop_map(|token| object([("accessToken", Some(token))])),
        2 => (any_secret(), option::of(any_secret())).prop_map(|(key, password)| {
            object([("sshAuth", Some(object([("sshPrivateKey", Some(key)), ("password", password)])))])
        }),
        2 => (prop_oneof![any_secret(), Just(Node::from("jdoe"))], any_secret()).prop_map(|(user, password)| {
            object([("basicAuth", Some(object([("userName", Some(user)), ("password", Some(password))])))])
        }),
    ]
    .boxed()
}

fn operation() -> BoxedStrategy<Option<Node>> {
    let names = select(vec!["A", "a", "Path", "PATH", "DB_PASSWORD", "branch", "duration", "executorimage", "secret"]);
    let values = prop_oneof![
        3 => select(vec!["x", "y", "main", "refs/heads/main", "1h", "60m", ""]).prop_map(Node::from),
        2 => any_secret(),
    ];
    let variables =
        prop::collection::btree_map(names, values, 0..5).prop_map(|variables| variables.into_iter().collect());
    (list(), option::of(variables), option::of(options()), option::of(oidc()), option::of(role()))
        .prop_map(|(commands, variables, options, oidc, role)| {
            some(object([
                ("preRunCommands", commands),
                ("environmentVariables", variables),
                ("options", options),
                ("oidc", oidc),
                ("role", role),
            ]))
        })
        .boxed()
}

fn options() -> BoxedStrategy<Node> {
    (any::<[Option<bool>; 4]>(), text())
        .prop_map(|([install, intermediate, delete, remediate], shell)| {
            object([
                ("skipInstallDependencies", install.map(Node::from)),
                ("skipIntermediateDeployments", intermediate.map(Node::from)),
                ("shell", shell),
                ("deleteAfterDestroy", delete.map(Node::from)),
                ("remediateIfDriftDetected", remediate.map(Node::from)),
            ])
        })
        .boxed()
}

fn oidc() -> BoxedStrategy<Node> {
    let duration = || select(vec!["1h", "60m", "1h0m0s", "90s", "1500ms"]);
    let aws = (duration(), list()).prop_map(|(duration, policies)| {
        object([
            ("roleArn", Some("arn".into())),
            ("sessionName", Some("session".into())),
            ("duration", Some(duration.into())),
            ("policyArns", policies),
        ])
    });
    let azure = select(vec!["a", "b"])
        .prop_map(|id| object(["clientId", "tenantId", "subscriptionId"].map(|field| (field, Some(Node::from(id))))));
    let gcp = (text(), duration()).prop_map(|(region, lifetime)| {
        let mut gcp = object(
            ["projectId", "workloadPoolId", "providerId", "serviceAccount"].map(|field| (field, Some(Node::from("7")))),
        );
        if let Some(region) = region {
            gcp.insert(&["region"], region);
        }
        gcp.insert(&["tokenLifetime"], lifetime);
        gcp
    });
    (option::of(aws), option::of(azure), option::of(gcp))
        .prop_map(|(aws, azure, gcp)| object([("aws", aws), ("azure", azure), ("gcp", gcp)]))
        .boxed()
}

fn role() -> BoxedStrategy<Node> {
    (select(vec!["r1", "r2"]), word(), word())
        .prop_map(|(id, name, default)| {
            object([("id", Some(id.into())), ("name", name), ("defaultIdentifier", default)])
        })
        .boxed()
}

/// At most one of the two integrations is set; the other one may be declared to be none.
fn integration() -> BoxedStrategy<Vec<(&'static str, Node)>> {
    let provider = select(vec!["azure_devops", "bitbucket", "custom", "github", "gitlab"]);
    let vcs = (provider, triggers()).prop_map(|(provider, mut vcs)| {
        vcs.insert(&["provider"], provider);
        vcs
    });
    prop_oneof![
        1 => Just(vec![]),
        3 => triggers().prop_map(|git_hub| vec![("gitHub", git_hub)]),
        3 => (vcs, any::<bool>()).prop_map(|(vcs, says_none)| {
            let other = says_none.then(|| ("gitHub", Node::object()));
            other.into_iter().chain([("vcs", vcs)]).collect()
        }),
    ]
    .boxed()
}

fn triggers() -> BoxedStrategy<Node> {
    let number = option::of(select(vec![0_i64, 7, 8]));
    (text(), any::<[Option<bool>; 4]>(), number, text(), [list(), list(), list()])
        .prop_map(
            |(repository, [commits, previews, template, tags], number, installation, [paths, filters, labels])| {
                object([
                    ("repository", repository),
                    ("deployCommits", commits.map(Node::from)),
                    ("previewPullRequests", previews.map(Node::from)),
                    ("pullRequestTemplate", template.map(Node::from)),
                    ("deployPullRequest", number.map(Node::from)),
                    ("paths", paths),
                    ("installationId", installation),
                    ("deployTags", tags.map(Node::from)),
                    ("tagFilters", filters),
                    ("reviewStackLabels", labels),
                ])
            },
        )
        .boxed()
}

fn any_secret() -> BoxedStrategy<Node> {
    select(vec!["s1", "s2"]).prop_map(secret).boxed()
}

fn word() -> BoxedStrategy<Option<Node>> {
    option::of(select(vec!["a", "b"]).prop_map(Node::from)).boxed()
}

fn text() -> BoxedStrategy<Option<Node>> {
    option::of(select(vec!["", "a", "b"]).prop_map(Node::from)).boxed()
}

fn list() -> BoxedStrategy<Option<Node>> {
    option::of(prop::collection::vec(select(vec!["a", "b"]), 0..3).prop_map(Node::from)).boxed()
}

fn object<const N: usize>(fields: [(&str, Option<Node>); N]) -> Node {
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Nothing for an object without fields, which would say that everything in it must be unset.
fn some(node: Node) -> Option<Node> {
    (!node.is_empty_object()).then_some(node)
}
