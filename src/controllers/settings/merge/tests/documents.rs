//! Settings documents that somebody could write, from few enough values that they often meet.

use proptest::{option, prelude::*, sample::select};

use crate::pulumi::{Node, SecretValue};

/// A secret whose fingerprint is its value: the model of the service needs to see it.
pub fn secret(value: &str) -> Node {
    Node::Secret(SecretValue::new(value.into(), value.to_owned()))
}

/// What a resource declares: valid, with at most one arm of each one-of, and with explicit empties.
pub fn any_document() -> impl Strategy<Value = Node> {
    (executor(), option::of(git()), operation(), option::of(git_hub()), text(), option::of(any::<bool>())).prop_map(
        |(executor, git, operation, git_hub, pool, cache)| {
            object([
                ("executorContext", executor),
                ("sourceContext", some(object([("git", git.and_then(some))]))),
                ("operationContext", operation),
                ("gitHub", git_hub),
                ("agentPoolID", pool),
                ("cacheOptions", some(object([("enable", cache.map(Node::from))]))),
            ])
        },
    )
}

/// What others write: the same, and what no resource of ours declares.
pub fn any_foreign_document() -> impl Strategy<Value = Node> {
    let source = select(vec![None, Some("hg"), Some("template")]);
    (any_document(), source, any::<bool>(), option::of(select(vec!["r1", "r2"]))).prop_map(
        |(mut document, source, vcs, role)| {
            if let Some(arm) = source {
                let field = if arm == "hg" { "repoUrl" } else { "sourceUrl" };
                document.insert(&["sourceContext", arm, field], "somewhere");
            }
            if vcs {
                document.insert(&["vcs", "provider"], "gitlab");
                document.insert(&["vcs", "deployCommits"], true);
            }
            if let Some(role) = role {
                document.insert(&["operationContext", "role", "id"], role);
            }
            document
        },
    )
}

fn executor() -> impl Strategy<Value = Option<Node>> {
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
    (image, text()).prop_map(|(image, root)| some(object([("executorImage", image), ("executorRootPath", root)])))
}

fn git() -> impl Strategy<Value = Node> {
    let revision = prop_oneof![
        2 => select(vec!["main", "refs/heads/main", "dev", ""]).prop_map(|branch| Some(("branch", branch))),
        1 => Just(Some(("commit", "c0ffee"))),
        1 => Just(Some(("tag", "v1"))),
        1 => Just(None),
    ];
    let spent = option::weighted(0.1, select(vec!["branch", "commit", "tag"]));
    (text(), revision, spent, text(), option::of(git_auth())).prop_map(|(url, revision, spent, directory, auth)| {
        let mut git = object([("repoUrl", url), ("repoDir", directory), ("gitAuth", auth)]);
        if let Some(spent) = spent {
            git.insert(&[spent], "");
        }
        if let Some((arm, value)) = revision {
            git.insert(&[arm], value);
        }
        git
    })
}

fn git_auth() -> impl Strategy<Value = Node> {
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
}

fn operation() -> impl Strategy<Value = Option<Node>> {
    let names = select(vec!["A", "a", "Path", "PATH", "DB_PASSWORD", "branch", "duration", "executorimage", "secret"]);
    let values = prop_oneof![
        3 => select(vec!["x", "y", "main", "refs/heads/main", "1h", "60m", ""]).prop_map(Node::from),
        2 => any_secret(),
    ];
    let variables =
        prop::collection::btree_map(names, values, 0..5).prop_map(|variables| variables.into_iter().collect());
    let options = (option::of(any::<bool>()), text())
        .prop_map(|(skip, shell)| object([("skipInstallDependencies", skip.map(Node::from)), ("shell", shell)]));
    let duration = select(vec!["1h", "60m", "1h0m0s", "90s", "1500ms"]);
    let aws = (duration, list()).prop_map(|(duration, policies)| {
        object([("roleArn", Some("arn".into())), ("duration", Some(duration.into())), ("policyArns", policies)])
    });
    (list(), option::of(variables), option::of(options), option::of(aws)).prop_map(
        |(commands, variables, options, aws)| {
            some(object([
                ("preRunCommands", commands),
                ("environmentVariables", variables),
                ("options", options),
                ("oidc", some(object([("aws", aws)]))),
            ]))
        },
    )
}

fn git_hub() -> impl Strategy<Value = Node> {
    (text(), option::of(any::<bool>()), list()).prop_map(|(repository, deploy, paths)| {
        object([("repository", repository), ("deployCommits", deploy.map(Node::from)), ("paths", paths)])
    })
}

fn any_secret() -> impl Strategy<Value = Node> {
    select(vec!["s1", "s2"]).prop_map(secret)
}

fn text() -> impl Strategy<Value = Option<Node>> {
    option::of(select(vec!["", "a", "b"]).prop_map(Node::from))
}

fn list() -> impl Strategy<Value = Option<Node>> {
    option::of(prop::collection::vec(select(vec!["a", "b"]), 0..3).prop_map(Node::from))
}

fn object<const N: usize>(fields: [(&str, Option<Node>); N]) -> Node {
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Nothing for an object without fields, which would say that everything in it must be unset.
fn some(node: Node) -> Option<Node> {
    (!node.is_empty_object()).then_some(node)
}
