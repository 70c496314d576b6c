//! The merge against a small model of the service: whatever is declared, whatever others write in between, and
//! however the service words its answers, one patch brings exactly what the rules say.

pub(in crate::controllers::settings) mod documents;
pub(in crate::controllers::settings) mod service;

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::select};
use rstest::rstest;
use serde_json::{Value, json};

use self::{
    documents::{any_document, any_foreign_document},
    service::{Habits, Service, any_habits, arms_beside, declared, is_anchor, is_below, key_of},
};
use super::{
    super::equality::{path_of_pointer, pointer, remote_digest},
    *,
};

/// A key of this installation.
pub(in crate::controllers::settings) fn install_key() -> InstallKey {
    InstallKey::new(b"a key".to_vec().into())
}

/// A resource that declares settings, as far as the merge is concerned.
struct Owner {
    last_applied: Vec<AppliedField>,
    seen_version: Option<u64>,
}

impl Owner {
    fn new() -> Self {
        Self { last_applied: vec![], seen_version: None }
    }

    fn merge(&self, document: &Node, service: &mut Service, unmanaged: Unmanaged) -> Merged {
        let remote = service.read();
        let merged = Merge {
            declared: document,
            last_applied: &self.last_applied,
            remote: &remote,
            distrust_masked: self.seen_version != Some(service.version),
            unmanaged,
        }
        .run(&install_key());
        if let Some(patch) = &merged.patch {
            assert_well_formed(patch, &remote);
        }
        merged
    }

    fn push(&mut self, document: &Node, service: &mut Service, unmanaged: Unmanaged) -> Merged {
        let merged = self.merge(document, service, unmanaged);
        if let Some(patch) = &merged.patch {
            service.patch(patch);
        }
        self.last_applied.clone_from(&merged.applied);
        self.seen_version = Some(service.version);
        merged
    }

    fn paths(&self) -> BTreeSet<Path> {
        self.last_applied.iter().map(|field| path_of_pointer(&field.path)).collect()
    }
}

/// What the documented rules make of the fields that are `there`.
pub(in crate::controllers::settings) fn expected(
    there: &service::Fields,
    ours: &BTreeSet<Path>,
    document: &Node,
    habits: Habits,
    unmanaged: Unmanaged,
) -> service::Fields {
    let wanted = declared(document, habits);
    let mut next = there.clone();
    next.retain(|path, _| {
        let dropped = ours.iter().any(|own| is_below(path, own) && !wanted.contains_key(own));
        !dropped && (unmanaged == Unmanaged::Keep || wanted.contains_key(path))
    });
    for (path, value) in &wanted {
        match value {
            None => next.retain(|other, _| !is_below(other, path)),
            Some(value) => {
                let rivals = arms_beside(path);
                next.retain(|other, _| !rivals.iter().any(|rival| is_below(other, rival)));
                next.insert(path.clone(), value.clone());
            }
        }
    }
    let gone = |path: &&Path| is_anchor(path) && !next.contains_key(*path);
    for anchor in there.keys().filter(gone).cloned().collect::<Vec<_>>() {
        let object = &anchor[..anchor.len() - 1];
        next.retain(|path, _| !is_below(path, object) || wanted.get(path).is_some_and(Option::is_some));
    }
    next
}

/// A patch nulls only what is there, has no empty object and no key twice, and puts an object in the place of a plain
/// value only where both are forms of an image.
fn assert_well_formed(patch: &Node, remote: &Value) {
    fn descend(patch: &Node, remote: Option<&Value>, path: &[String]) {
        match patch {
            Node::Null => assert!(remote.is_some(), "{path:?} is nulled and not there"),
            Node::Object(fields) => {
                assert!(!fields.is_empty(), "{path:?} is patched with an empty object");
                let is_map = path.last().is_some_and(|last| last == "environmentvariables");
                let is_image = path.last().is_some_and(|last| last == "executorimage");
                let replaces = remote.is_some_and(|remote| !remote.is_object() && !remote.is_null());
                assert!(!replaces || is_image, "{path:?} is no object remotely");
                let keys: BTreeSet<_> = fields.keys().map(|key| key_of(path, key)).collect();
                assert_eq!(keys.len(), fields.len(), "{path:?} has a key twice");
                for (key, value) in fields {
                    let there = remote.and_then(Value::as_object).and_then(|remote| {
                        remote.iter().find(|(name, _)| key_of(path, name) == key_of(path, key)).map(|(_, value)| value)
                    });
                    let written = remote.and_then(|remote| remote.get(key));
                    assert!(
                        is_map || there.is_none() || there == written,
                        "{path:?}/{key} is spelled otherwise remotely"
                    );
                    descend(value, there, &[path, &[key_of(path, key)]].concat());
                }
            }
            Node::Bool(_) | Node::Integer(_) | Node::String(_) | Node::Secret(_) | Node::Array(_) => {}
        }
    }
    descend(patch, Some(remote), &[]);
}

/// What can happen to the settings of a stack.
#[derive(Clone, Debug)]
enum Step {
    /// The resource declares this, and is reconciled.
    Declare(Node, Unmanaged),
    /// Somebody else patches this.
    Write(Node),
}

fn any_unmanaged() -> impl Strategy<Value = Unmanaged> {
    prop_oneof![3 => Just(Unmanaged::Keep), 1 => Just(Unmanaged::Remove)]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (any_document(), any_unmanaged()).prop_map(|(document, unmanaged)| Step::Declare(document, unmanaged)),
        1 => any_foreign_document().prop_map(Step::Write),
    ]
}

/// The document without one of its fields, and the field's path: the `choice`th of those that are not empty. One that
/// its object can't be without takes the object along.
fn without_one(document: &Node, choice: usize) -> Option<(Node, Path)> {
    let fields: Vec<_> = declared_leaves(document).into_iter().filter(|(_, leaf)| !is_empty(&leaf.value)).collect();
    let (path, leaf) = fields.get(choice % fields.len().max(1))?.clone();
    let mut rest = document.clone();
    let mut spelling = leaf.spelling;
    if is_anchor(&path) {
        spelling.pop();
    }
    rest.remove(&spelling);
    // An object without fields would ask for everything in it to be unset.
    while spelling.pop().is_some() && !spelling.is_empty() && rest.get(&spelling).is_some_and(Node::is_empty_object) {
        rest.remove(&spelling);
    }
    Some((rest, path))
}

/// The paths that a patch sets, and those that it nulls.
fn effects(patch: Option<&Node>) -> (BTreeSet<Path>, BTreeSet<Path>) {
    let leaves = |node: &Node, wanted: fn(&Node) -> bool| {
        fn descend(node: &Node, path: &[String], wanted: fn(&Node) -> bool, found: &mut BTreeSet<Path>) {
            match node {
                Node::Object(fields) if path.last().is_none_or(|last| last != "executorimage") => {
                    for (key, value) in fields {
                        descend(value, &[path, &[key_of(path, key)]].concat(), wanted, found);
                    }
                }
                node if wanted(node) => {
                    found.insert(path.to_vec());
                }
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        descend(node, &[], wanted, &mut found);
        found
    };
    patch.map_or_else(Default::default, |patch| {
        (leaves(patch, |node| *node != Node::Null), leaves(patch, |node| *node == Node::Null))
    })
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]

    #[test]
    fn one_push_brings_what_the_rules_say_and_the_next_brings_nothing(
        habits in any_habits(),
        steps in prop::collection::vec(any_step(), 1..5),
    ) {
        let mut service = Service::new(habits);
        let mut owner = Owner::new();
        for step in steps {
            match step {
                Step::Write(document) => service.patch(&document),
                Step::Declare(document, unmanaged) => {
                    let wanted = expected(&service.fields(), &owner.paths(), &document, habits, unmanaged);
                    let merged = owner.push(&document, &mut service, unmanaged);
                    prop_assert_eq!(service.fields(), wanted);
                    prop_assert_eq!(merged.leaves_nothing, service.fields().is_empty());
                    prop_assert_eq!(merged.patch.is_some(), !merged.touched.is_empty());
                    prop_assert!(merged.visible.iter().all(|path| merged.touched.contains(path)));
                    let again = owner.merge(&document, &mut service, unmanaged);
                    prop_assert_eq!(&again.patch, &None, "{:?}", again.touched);
                    prop_assert_eq!(again.applied, merged.applied);
                }
            }
        }
    }

    #[test]
    fn last_applied_has_exactly_the_declared_fields_that_are_not_empty(document in any_document(), habits in any_habits()) {
        let mut owner = Owner::new();
        owner.push(&document, &mut Service::new(habits), Unmanaged::Keep);
        let wanted: BTreeSet<_> =
            declared(&document, habits).into_iter().filter_map(|(path, value)| value.map(|_| path)).collect();
        prop_assert_eq!(owner.paths(), wanted);
        prop_assert!(owner.last_applied.iter().all(|field| field.digest.is_some()));
    }

    #[test]
    fn a_field_that_is_dropped_is_nulled_and_nothing_else_happens(
        habits in any_habits(),
        foreign in any_foreign_document(),
        document in any_document(),
        choice in any::<usize>(),
    ) {
        let mut service = Service::new(habits);
        let mut owner = Owner::new();
        service.patch(&foreign);
        owner.push(&document, &mut service, Unmanaged::Keep);
        let Some((rest, dropped)) = without_one(&document, choice) else { return Ok(()) };
        let before = service.fields();
        let (set, nulled) = effects(owner.push(&rest, &mut service, Unmanaged::Keep).patch.as_ref());
        prop_assert_eq!(set, BTreeSet::new());
        prop_assert_eq!(nulled.len(), 1);
        prop_assert!(nulled.iter().all(|path| is_below(&dropped, path)), "{:?} for {:?}", nulled, dropped);
        let mut wanted = before;
        let gone = &dropped[..dropped.len() - usize::from(is_anchor(&dropped))];
        wanted.retain(|path, _| !is_below(path, gone));
        prop_assert_eq!(service.fields(), wanted);
    }

    #[test]
    fn secrets_are_sent_when_they_change_or_may_have_been_changed_and_never_otherwise(
        habits in any_habits(),
        document in any_document(),
        other in any_document(),
    ) {
        let mut service = Service::new(habits);
        let mut owner = Owner::new();
        owner.push(&document, &mut service, Unmanaged::Keep);
        let masked = service.masked_paths();

        // Another document, with the same fields hidden or not: what is sent is what differs.
        let (before, after) = (declared(&document, habits), declared(&other, habits));
        let (set, _) = effects(owner.merge(&other, &mut service, Unmanaged::Keep).patch.as_ref());
        let changed: BTreeSet<_> = after
            .iter()
            .filter(|(path, value)| value.is_some() && before.get(*path) != Some(*value))
            .map(|(path, _)| path.clone())
            .collect();
        prop_assert_eq!(set, changed);

        // A version that moved: nobody knows what became of the masked values, so they are sent, and only they.
        service.version += 1;
        let (set, nulled) = effects(owner.merge(&document, &mut service, Unmanaged::Keep).patch.as_ref());
        prop_assert_eq!(set, masked);
        prop_assert_eq!(nulled, BTreeSet::new());
    }

    #[test]
    fn what_the_service_words_differently_at_each_read_has_the_same_digest(
        document in any_foreign_document(),
        one in any_habits(),
        other in any_habits(),
    ) {
        let mut service = Service::new(one);
        service.patch(&document);
        let first = remote_digest(&service.read());
        service.reword(other);
        prop_assert_eq!(&first, &remote_digest(&service.read()));
    }

    #[test]
    fn two_documents_have_one_digest_only_when_they_look_the_same(
        one in any_foreign_document(),
        other in any_foreign_document(),
        habits in any_habits(),
    ) {
        let [(first, digest), (second, other_digest)] = [one, other].map(|document| {
            let mut service = Service::new(habits);
            service.patch(&document);
            (service.visible(), remote_digest(&service.read()))
        });
        prop_assert_eq!(first == second, digest == other_digest);
    }

    #[test]
    fn a_pointer_leads_back_to_its_path(
        names in prop::collection::vec(select(vec!["", "a", "~", "/", "~1", "~0", "~01", "é/~", "operationContext"]), 0..4),
        variable in prop::option::of(".{0,6}"),
    ) {
        let map = variable.iter().flat_map(|_| ["operationcontext".to_owned(), "environmentvariables".to_owned()]);
        let path: Path = names.iter().map(|name| name.to_lowercase()).chain(map).chain(variable.clone()).collect();
        prop_assert_eq!(path_of_pointer(&pointer(&path)), path);
    }
}

fn env(fields: &Value) -> Value {
    json!({"operationContext": {"environmentVariables": fields}})
}

/// A declared document written as JSON; `{"secret": …}` is a secret, but for a variable of that name.
pub(in crate::controllers::settings) fn node(value: &Value) -> Node {
    fn at(field: &str, value: &Value) -> Node {
        match value {
            Value::Null => Node::Null,
            Value::Bool(value) => Node::Bool(*value),
            Value::Number(number) => Node::Integer(number.as_i64().unwrap()),
            Value::String(text) => Node::String(text.clone()),
            Value::Array(items) => items.iter().map(|item| at("", item)).collect::<Vec<_>>().into(),
            Value::Object(fields) => match fields.get("secret").and_then(Value::as_str) {
                Some(secret) if field != "environmentVariables" => documents::secret(secret),
                _ => fields.iter().map(|(key, value)| (key.clone(), at(key, value))).collect(),
            },
        }
    }
    at("", value)
}

fn patch(declared: &Value, applied: &Value, remote: &Value) -> Option<Value> {
    let merge = |declared: &Value, remote: &Value, last_applied: &[AppliedField]| {
        let declared = node(declared);
        let merge =
            Merge { declared: &declared, last_applied, remote, distrust_masked: false, unmanaged: Unmanaged::Keep };
        merge.run(&install_key())
    };
    let applied = merge(applied, &Value::Null, &[]).applied;
    merge(declared, remote, &applied).patch.map(|patch| without_secrets(&patch))
}

/// A variable may be called as a field of the API is; it is a variable all the same.
#[rstest]
#[case::branch("branch", json!("main"), json!("refs/heads/main"))]
#[case::tag("tag", json!("v1"), json!("refs/tags/v1"))]
#[case::duration("duration", json!("60m"), json!("1h"))]
#[case::image("executorimage", json!("i"), json!({"reference": "i"}))]
fn variables_are_compared_as_they_are_written(#[case] name: &str, #[case] declared: Value, #[case] remote: Value) {
    let declared = env(&json!({name: declared}));
    assert_eq!(patch(&declared, &declared, &env(&json!({name: remote}))), Some(declared));
}

#[test]
fn the_secret_in_a_variable_that_is_called_as_the_image_is_sent_when_it_changes() {
    let masked = env(&json!({"executorimage": {"secret": "[secret]", "ciphertext": "AA"}}));
    let declared = |value: &str| env(&json!({"executorimage": {"secret": value}}));
    assert_eq!(patch(&declared("new"), &declared("old"), &masked), Some(declared("new")));
    assert_eq!(patch(&declared("old"), &declared("old"), &masked), None);
}

#[rstest]
#[case("secret")]
#[case("ciphertext")]
#[case("isSecret")]
fn a_variable_that_is_called_as_a_mask_does_not_hide_the_others(#[case] name: &str) {
    let both = env(&json!({name: "x", "OTHER": "y"}));
    assert_eq!(patch(&both, &both, &both), None);
    assert_eq!(patch(&env(&json!({name: "x"})), &both, &both), Some(env(&json!({"OTHER": null}))));
}

#[rstest]
#[case("1h", "1h0m0s", true)]
#[case("90s", "1m30s", true)]
#[case("1500ms", "1.5s", true)]
#[case("1h0m500ms", "1h0m0.5s", true)]
#[case("250ms", "250ms", true)]
#[case("1500ms", "1.05s", false)]
#[case("1h", "1h0m1s", false)]
fn durations_are_compared_by_their_length(#[case] declared: &str, #[case] remote: &str, #[case] same: bool) {
    let document = |duration: &str| json!({"operationContext": {"oidc": {"aws": {"duration": duration}}}});
    assert_eq!(patch(&document(declared), &document(declared), &document(remote)).is_none(), same);
}

#[test]
fn what_others_set_beside_a_chosen_arm_goes_with_the_other_arms_only() {
    let remote = json!({
        "sourceContext": {
            "git": {"repoURL": "r", "commit": "c0ffee", "gitAuth": {"sshAuth": {"sshPrivateKey": {"secret": "[secret]", "ciphertext": "A"}}}},
            "template": {"sourceUrl": "t"},
        },
        "vcs": {"provider": "gitlab", "deployCommits": false},
    });
    let declared = json!({
        "gitHub": {"deployCommits": true},
        "sourceContext": {"git": {"branch": "main", "gitAuth": {"basicAuth": {"userName": "u", "password": {"secret": "p"}}}}},
    });
    assert_eq!(
        patch(&declared, &json!({}), &remote),
        Some(json!({
            "gitHub": {"deployCommits": true},
            "vcs": null,
            "sourceContext": {
                "git": {"branch": "main", "commit": null, "gitAuth": {"sshAuth": null, "basicAuth": {"userName": "u", "password": {"secret": "p"}}}},
                "template": null,
            },
        }))
    );
}

#[test]
fn the_patch_is_spelled_as_what_it_changes() {
    let remote = json!({"sourceContext": {"git": {"repoURL": "old", "repoDir": "d"}}});
    let declared = json!({"sourceContext": {"git": {"repoUrl": "new"}}});
    assert_eq!(patch(&declared, &json!({}), &remote), Some(json!({"sourceContext": {"git": {"repoURL": "new"}}})));
}
