//! The places where the API takes one of several arms at a time. Pure.
//!
//! A merge keeps what it is not told about, so choosing an arm must take the others away, whoever set them.

use crate::pulumi::Node;

/// The arms, by the path of their parent, spelled as on the wire.
pub const ONE_OF: &[(&[&str], &[&str])] = &[
    (&[], &["gitHub", "vcs"]),
    (&["sourceContext"], &["git", "hg", "template"]),
    (&["sourceContext", "git"], &["branch", "commit", "tag"]),
    (&["sourceContext", "git", "gitAuth"], &["sshAuth", "basicAuth", "accessToken"]),
];

/// Makes a document say all that it means to a merge over a document that cannot be seen: the other arms of each
/// one-of are null, and so is what must be unset.
///
/// An empty list of environment variables cannot be said: the variables that are stored are not known by name.
pub fn spell_out(document: &mut Node) {
    unset_empty(document);
    for (parent, arms) in ONE_OF {
        let is_chosen = |arm: &&&str| {
            let path: Vec<&str> = parent.iter().copied().chain([**arm]).collect();
            document.get(&path).is_some_and(|node| *node != Node::Null)
        };
        let Some(chosen) = arms.iter().find(is_chosen) else { continue };
        for arm in arms.iter().filter(|arm| *arm != chosen) {
            let path: Vec<&str> = parent.iter().copied().chain([*arm]).collect();
            document.insert(&path, Node::Null);
        }
    }
}

fn unset_empty(node: &mut Node) {
    let Node::Object(fields) = node else { return };
    for (key, value) in fields {
        let is_empty = match value {
            Node::String(text) => text.is_empty(),
            Node::Array(items) => items.is_empty(),
            Node::Object(fields) => fields.is_empty() && key != "environmentVariables",
            Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Secret(_) => false,
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
    use serde_json::json;

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
}
