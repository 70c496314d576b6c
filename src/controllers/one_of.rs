//! The places where the API takes one of several arms at a time. Pure.
//!
//! A merge keeps what it is not told about, so choosing an arm must take the others away, whoever set them.

use crate::pulumi::Node;

/// Each one-of, by the paths of its arms, spelled as on the wire. One whose arms hold another's comes first.
pub const ONE_OF: &[&[&[&str]]] = &[
    &[&["gitHub"], &["vcs"]],
    &[&["sourceContext", "git"], &["sourceContext", "hg"], &["sourceContext", "template"]],
    &[&["gitHub", "repository"], &["vcs", "repository"], &["sourceContext", "git", "repoUrl"]],
    &[&["sourceContext", "git", "branch"], &["sourceContext", "git", "commit"], &["sourceContext", "git", "tag"]],
    &[&["sourceContext", "hg", "branch"], &["sourceContext", "hg", "revision"]],
    &[
        &["sourceContext", "git", "gitAuth", "sshAuth"],
        &["sourceContext", "git", "gitAuth", "basicAuth"],
        &["sourceContext", "git", "gitAuth", "accessToken"],
    ],
    &[
        &["sourceContext", "hg", "hgAuth", "sshAuth"],
        &["sourceContext", "hg", "hgAuth", "basicAuth"],
        &["sourceContext", "hg", "hgAuth", "accessToken"],
    ],
    &[
        &["sourceContext", "template", "gitAuth", "sshAuth"],
        &["sourceContext", "template", "gitAuth", "basicAuth"],
        &["sourceContext", "template", "gitAuth", "accessToken"],
    ],
];

/// Makes a document say all that it means to a merge over a document that cannot be seen: the other arms of each
/// one-of are null, and so is what must be unset.
///
/// An empty list of environment variables cannot be said: the variables that are stored are not known by name.
pub fn spell_out(document: &mut Node) {
    unset_empty(document);
    for arms in ONE_OF {
        let is_chosen = |arm: &&&[&str]| document.get(arm).is_some_and(|node| *node != Node::Null);
        let Some(chosen) = arms.iter().find(is_chosen) else { continue };
        for arm in arms.iter().filter(|arm| *arm != chosen) {
            // What is below a null is gone with it.
            let is_gone = (1..arm.len()).any(|depth| document.get(&arm[..depth]) == Some(&Node::Null));
            // Only one run is meant, which no integration starts: nulling the field alone could leave an empty one behind.
            let is_integration = arm[0] != "sourceContext" && document.get(&arm[..1]).is_none();
            if !is_gone {
                document.insert(if is_integration { &arm[..1] } else { arm }, Node::Null);
            }
        }
    }
}

/// What must be unset, said as the API says it.
pub fn unset_empty(node: &mut Node) {
    let Node::Object(fields) = node else { return };
    for (key, value) in fields {
        let is_empty = match value {
            Node::String(text) => text.is_empty(),
            Node::Array(items) => items.is_empty(),
            Node::Object(fields) => fields.is_empty() && key != "environmentVariables",
            Node::Integer(number) => *number == 0,
            Node::Null | Node::Bool(_) | Node::Secret(_) => false,
        };
        if is_empty {
            *value = Node::Null;
        } else {
            unset_empty(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::controllers::{
        digest::without_secrets,
        document::{Values, wire},
    };

    #[test]
    fn the_other_arms_and_what_is_empty_become_null() {
        let written = json!({
            "sourceContext": {"git": {"commit": "abc", "repoDir": ""}},
            "operationContext": {"preRunCommands": [], "environmentVariables": [], "options": {"skipInstallDependencies": false}},
            "agentPoolID": "",
        });
        let mut document = wire(&serde_json::from_value(written).unwrap(), &Values::new());
        spell_out(&mut document);
        assert_eq!(
            without_secrets(&document),
            json!({
                "sourceContext": {"git": {"branch": null, "commit": "abc", "tag": null, "repoDir": null}, "hg": null, "template": null},
                "operationContext": {"preRunCommands": null, "environmentVariables": {}, "options": {"skipInstallDependencies": false}},
                "agentPoolID": null,
            })
        );
    }
    #[rstest]
    #[case::hg(
        json!({"sourceContext": {"hg": {"revision": "c0ffee"}}}),
        json!({"sourceContext": {"hg": {"branch": null, "revision": "c0ffee"}, "git": null, "template": null}})
    )]
    #[case::template(
        json!({"sourceContext": {"template": {"sourceUrl": "https://example.com/t"}}}),
        json!({"sourceContext": {"template": {"sourceUrl": "https://example.com/t"}, "git": null, "hg": null}})
    )]
    #[case::git_hub(
        json!({"gitHub": {"repository": "acme/web"}}),
        json!({"gitHub": {"repository": "acme/web"}, "vcs": null, "sourceContext": {"git": {"repoUrl": null}}})
    )]
    #[case::another_provider_and_a_template(
        json!({"vcs": {"provider": "gitlab", "repository": "a/b"}, "sourceContext": {"template": {"sourceUrl": "t"}}}),
        json!({
            "vcs": {"provider": "gitlab", "repository": "a/b"}, "gitHub": null,
            "sourceContext": {"template": {"sourceUrl": "t"}, "git": null, "hg": null},
        })
    )]
    #[case::any_git_server(
        json!({"sourceContext": {"git": {"repoURL": "https://example.com/r"}}}),
        json!({
            "sourceContext": {"git": {"repoUrl": "https://example.com/r"}, "hg": null, "template": null},
            "gitHub": null, "vcs": null,
        })
    )]
    #[case::no_pull_request(json!({"gitHub": {"deployPullRequest": 0}}), json!({"gitHub": {"deployPullRequest": null}, "vcs": null}))]
    fn arms(#[case] written: Value, #[case] expected: Value) {
        let mut document = wire(&serde_json::from_value(written).unwrap(), &Values::new());
        spell_out(&mut document);
        assert_eq!(without_secrets(&document), expected);
    }
}
