//! The three-way merge: declared × last applied × remote → one merge patch, or nothing. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::equality::{
    Comparison, Leaves, Path, compare, declared_leaves, is_anchor, is_derived, is_empty, path_of_pointer, pointer,
    remote_leaves, unify,
};
use crate::{
    api::settings::{AppliedField, Unmanaged},
    controllers::{
        digest::{InstallKey, canonical, without_secrets},
        one_of::ONE_OF,
    },
    pulumi::Node,
};

/// What a merge looks at.
pub struct Merge<'a> {
    /// What is declared.
    pub declared: &'a Node,
    /// What this resource set last.
    pub last_applied: &'a [AppliedField],
    /// What is there; nothing when there are no settings.
    pub remote: &'a Value,
    /// Whether somebody else may have changed masked values since they were set: then they are sent again.
    pub distrust_masked: bool,
    /// What happens to fields that nobody declared.
    pub unmanaged: Unmanaged,
}

/// What a merge found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Merged {
    /// The patch; nothing when all is as declared.
    pub patch: Option<Node>,
    /// The fields that the patch touches, as JSON pointers.
    pub touched: Vec<String>,
    /// Those of them that can be seen to differ; the others are masked and sent to be sure.
    pub visible: Vec<String>,
    /// What this resource will have set once the patch is applied.
    pub applied: Vec<AppliedField>,
    /// Whether nothing is left remotely once the patch is applied.
    pub leaves_nothing: bool,
}

impl Merge<'_> {
    /// Merges.
    #[must_use]
    pub fn run(&self, key: &InstallKey) -> Merged {
        let declared = declared_leaves(self.declared);
        let mut remote = remote_leaves(self.remote);
        let digests: BTreeMap<Path, Option<&str>> =
            self.last_applied.iter().map(|field| (path_of_pointer(&field.path), field.digest.as_deref())).collect();
        let applied: Vec<AppliedField> = declared
            .values()
            .filter(|leaf| !is_empty(&leaf.value))
            .map(|leaf| AppliedField {
                path: pointer(&leaf.spelling),
                digest: Some(key.mac(canonical(&without_secrets(&leaf.value)).as_bytes())),
            })
            .collect();
        // What follows from a field is nobody's own, and goes with it.
        remote.retain(|path, _| {
            !is_derived(path)
                || declared.get(path).is_some_and(|leaf| !is_empty(&leaf.value))
                || digests.contains_key(path)
        });
        let current: BTreeMap<Path, &str> =
            applied.iter().filter_map(|field| Some((path_of_pointer(&field.path), field.digest.as_deref()?))).collect();

        let mut sets: BTreeSet<&Path> = BTreeSet::new();
        let mut masked: BTreeSet<&Path> = BTreeSet::new();
        let mut unsets: BTreeSet<Path> = BTreeSet::new();
        for (path, leaf) in &declared {
            let there = remote.get(path).map(|leaf| &leaf.value);
            let unchanged = || digests.get(path).copied().flatten() == current.get(path).copied();
            match compare(path, &leaf.value, there) {
                Comparison::Equal => {}
                Comparison::Masked if unchanged() && !self.distrust_masked => {}
                _ if is_empty(&leaf.value) => {}
                Comparison::Masked => {
                    sets.insert(path);
                    masked.insert(path);
                }
                Comparison::Differs => {
                    sets.insert(path);
                }
            }
            if is_empty(&leaf.value) {
                unsets.extend(below(&remote, path));
            } else {
                unsets.extend(
                    siblings(path).into_iter().flat_map(|sibling| below(&remote, &sibling).collect::<Vec<_>>()),
                );
            }
        }
        let dropped = digests.keys().filter(|path| !declared.contains_key(*path));
        unsets.extend(dropped.flat_map(|path| below(&remote, path).collect::<Vec<_>>()));
        if self.unmanaged == Unmanaged::Remove {
            unsets.extend(remote.keys().filter(|path| !declared.contains_key(*path)).cloned());
        }
        let anchors: Vec<Path> = unsets.iter().filter(|path| is_anchor(path)).cloned().collect();
        unsets.extend(anchors.iter().flat_map(|anchor| below(&remote, &anchor[..anchor.len() - 1])));
        unsets.retain(|path| {
            !sets.contains(path)
                && !declared.keys().any(|kept| kept.starts_with(path) && !is_empty(&declared[kept].value))
        });

        let keeps = |prefix: &[String]| {
            remote.keys().any(|path| path.starts_with(prefix) && !unsets.contains(path))
                || sets.iter().any(|path| path.starts_with(prefix))
        };
        let mut patch = Node::Object(BTreeMap::new());
        for path in &sets {
            put(&mut patch, &spelled(path, &declared[*path].spelling, self.remote), declared[*path].value.clone());
        }
        for path in &unsets {
            // Nulling the last field of an object would leave an empty one, which the service may refuse.
            let depth = (1..path.len()).find(|depth| !keeps(&path[..*depth])).unwrap_or(path.len());
            put(&mut patch, &remote[path].spelling[..depth], Node::Null);
        }
        let touched: Vec<String> = sets.iter().copied().chain(&unsets).map(|path| pointer(path)).collect();
        let visible = sets.difference(&masked).copied().chain(&unsets).map(|path| pointer(path)).collect();
        Merged { visible, patch: (!touched.is_empty()).then_some(patch), leaves_nothing: !keeps(&[]), touched, applied }
    }
}

/// The remote fields at a path or below it.
fn below<'a>(remote: &'a Leaves<Value>, path: &'a [String]) -> impl Iterator<Item = Path> + 'a {
    remote.keys().filter(move |candidate| candidate.starts_with(path)).cloned()
}

/// The other arms of every one-of that a path chooses an arm of.
fn siblings(path: &[String]) -> Vec<Path> {
    let unified = |arm: &&[&str]| arm.iter().map(|segment| segment.to_lowercase()).collect::<Path>();
    let mut siblings = vec![];
    for arms in ONE_OF {
        let (chosen, others): (Vec<Path>, Vec<Path>) = arms.iter().map(unified).partition(|arm| path.starts_with(arm));
        if !chosen.is_empty() {
            siblings.extend(others);
        }
    }
    siblings
}

/// The declared spelling of a path, with the remote one for as much of it as is already there:
/// the merge works on the stored keys.
fn spelled(path: &[String], declared: &[String], remote: &Value) -> Path {
    let mut place = Some(remote);
    (0..path.len())
        .map(|depth| {
            let there = place
                .and_then(Value::as_object)
                .and_then(|fields| fields.iter().find(|(key, _)| unify(&path[..depth], key) == path[depth]));
            place = there.map(|(_, value)| value);
            there.map_or(&declared[depth], |(key, _)| key).clone()
        })
        .collect()
}

fn put(node: &mut Node, path: &[String], value: Node) {
    let Some((first, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    if !matches!(node, Node::Object(_)) {
        *node = Node::Object(BTreeMap::new());
    }
    if let Node::Object(fields) = node {
        put(fields.entry(first.clone()).or_insert(Node::Null), rest, value);
    }
}

#[cfg(test)]
pub(super) mod tests;
