//! Every way through the decision, and the whole way round: plan, a model of the service, status, plan again.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    super::{
        merge::tests::{
            documents::{any_document, any_foreign_document},
            expected, install_key, node,
            service::{Habits, Service, any_habits, declared},
        },
        outcome::Outcome,
        status::status,
    },
    *,
};
use crate::{
    api::condition::is_ready,
    controllers::{conditions::Standing, digest::without_secrets, requeue::Retry},
    pulumi::Class,
};

const HOUR: i64 = 3600;

fn at(seconds: i64) -> Time {
    Time::from_seconds(seconds)
}

/// Nothing to do.
pub(in crate::controllers::settings) fn inputs() -> Inputs {
    Inputs {
        generation: 1,
        requested_at: None,
        stack: Some("acme/web/prod".into()),
        create_stack: false,
        paused: None,
        schedules: vec![],
        unmanaged: Unmanaged::Keep,
        deletion_policy: SettingsDeletionPolicy::Clear,
        suspended: false,
        view: View::Quiet,
        deletion: Deletion::No,
    }
}

fn words() -> Words {
    Words::new(Reason::SourceMissing, "why")
}

fn trouble() -> Consequence {
    Consequence {
        class: Class::Unavailable,
        standing: Standing::Retrying(words()),
        retry: Retry::Backoff,
        detail: String::new(),
    }
}

fn desired(document: Node) -> Desired {
    let digest = install_key().digest(&without_secrets(&document));
    Desired { document, digest }
}

fn read(declared: &Value, remote: Value) -> View {
    View::Read(Box::new(Read {
        desired: desired(node(declared)),
        sources: vec![],
        remote,
        version: Some(1),
        paused: None,
        schedules: None,
        drift: DriftView::NotAsked,
    }))
}

fn decide(inputs: &Inputs, status: &StackDeploymentSettingsStatus) -> Plan {
    plan(inputs, status, &install_key(), at(0))
}

/// A plan in one word, and the reason of one that waits.
fn word(plan: &Plan) -> String {
    match plan {
        Plan::Idle => "idle".into(),
        Plan::Wait(words) => format!("wait: {}", words.reason),
        Plan::AwaitStack(words) => format!("await stack: {}", words.reason),
        Plan::Refuse(words) => format!("refuse: {}", words.reason),
        Plan::AwaitBudget => "await budget".into(),
        Plan::Report(_) => "report".into(),
        Plan::CreateStack => "create stack".into(),
        Plan::Converge(convergence) => if convergence.patch.is_some() { "push" } else { "in sync" }.into(),
        Plan::Release => "release".into(),
        Plan::Clear(Clearance { settings: Unset::Patch(_), .. }) => "clear: patch".into(),
        Plan::Clear(Clearance { settings: Unset::Delete, .. }) => "clear: delete".into(),
        Plan::Clear(Clearance { settings: Unset::Nothing, .. }) => "clear: schedules".into(),
    }
}

#[rstest]
#[case::quiet(View::Quiet, "idle")]
#[case::waiting(View::Waiting(words()), "wait: SourceMissing")]
#[case::refused(View::Refused(words()), "refuse: SourceMissing")]
#[case::no_budget(View::AwaitingBudget, "await budget")]
#[case::failed(View::Failed(trouble()), "report")]
#[case::no_stack(View::NoStack, "await stack: StackNotFound")]
#[case::differs(read(&json!({"agentPoolID": "p"}), Value::Null), "push")]
#[case::same(read(&json!({"agentPoolID": "p"}), json!({"agentPoolID": "p"})), "in sync")]
#[case::nothing_declared(read(&json!({}), Value::Null), "in sync")]
fn what_was_read_decides(#[case] view: View, #[case] expected: &str) {
    let plan = decide(&Inputs { view, ..inputs() }, &StackDeploymentSettingsStatus::default());
    assert_eq!(word(&plan), expected);
}

#[rstest]
#[case(false, false, "await stack: StackNotFound")]
#[case(false, true, "await stack: StackNotFound")]
#[case(true, false, "create stack")]
#[case(true, true, "wait: Suspended")]
fn a_missing_stack_is_created_when_that_is_asked_for(
    #[case] create_stack: bool,
    #[case] suspended: bool,
    #[case] expected: &str,
) {
    let inputs = Inputs { view: View::NoStack, create_stack, suspended, ..inputs() };
    assert_eq!(word(&decide(&inputs, &StackDeploymentSettingsStatus::default())), expected);
}

#[rstest]
#[case::in_sync(json!({"agentPoolID": "p"}), None, None, "in sync", "")]
#[case::differs(json!({}), None, None, "wait: Suspended", "/agentpoolid would be changed")]
#[case::pause_as_wanted(json!({"agentPoolID": "p"}), Some(true), Some(true), "in sync", "")]
#[case::pause_differs(json!({"agentPoolID": "p"}), Some(true), Some(false), "wait: Suspended", "the stack's pause would be changed")]
fn the_brake_holds_what_would_be_written_and_nothing_else(
    #[case] remote: Value,
    #[case] paused: Option<bool>,
    #[case] there: Option<bool>,
    #[case] expected: &str,
    #[case] message: &str,
) {
    let View::Read(mut read) = read(&json!({"agentPoolID": "p"}), remote) else { unreachable!() };
    read.paused = there;
    let inputs = Inputs { view: View::Read(read), paused, suspended: true, ..inputs() };
    let plan = decide(&inputs, &StackDeploymentSettingsStatus::default());
    assert_eq!(word(&plan), expected);
    let said = if let Plan::Wait(words) = plan { words.message } else { String::new() };
    assert!(said.contains(message), "{said}");
}

#[rstest]
#[case(None, None, None)]
#[case(None, Some(true), None)]
#[case(Some(true), Some(true), None)]
#[case(Some(true), Some(false), Some(true))]
#[case(Some(false), Some(true), Some(false))]
#[case(Some(true), None, Some(true))]
fn a_pause_is_set_when_it_is_asked_for_and_differs(
    #[case] wanted: Option<bool>,
    #[case] there: Option<bool>,
    #[case] expected: Option<bool>,
) {
    let View::Read(mut read) = read(&json!({}), json!({})) else { unreachable!() };
    read.paused = there;
    let inputs = Inputs { view: View::Read(read), paused: wanted, ..inputs() };
    let Plan::Converge(convergence) = decide(&inputs, &StackDeploymentSettingsStatus::default()) else { panic!() };
    assert_eq!(convergence.set_paused, expected);
    assert_eq!(convergence.paused, wanted.or(there));
}

/// What this resource had set: one field, which is still there; `theirs` is what others have set beside it.
fn ours_and(theirs: Value) -> View {
    let Value::Object(mut remote) = theirs else { unreachable!() };
    remote.insert("agentPoolID".into(), "p".into());
    read(&json!({"agentPoolID": "p"}), Value::Object(remote))
}

#[rstest]
#[case::clears("Clear", true, Deletion::Yes, ours_and(json!({"gitHub": {"deployCommits": true}})), "clear: patch", "wait: Suspended")]
#[case::deletes("Clear", true, Deletion::Yes, ours_and(json!({})), "clear: delete", "wait: Suspended")]
#[case::empties_of_others_are_nothing("Clear", true, Deletion::Yes, ours_and(json!({"gitHub": {"paths": [], "deployCommits": false}})), "clear: delete", "wait: Suspended")]
#[case::already_gone("Clear", true, Deletion::Yes, read(&json!({"agentPoolID": "p"}), json!({})), "release", "wait: Suspended")]
#[case::no_settings("Clear", true, Deletion::Yes, read(&json!({"agentPoolID": "p"}), Value::Null), "release", "wait: Suspended")]
#[case::no_stack("Clear", true, Deletion::Yes, View::NoStack, "release", "wait: Suspended")]
#[case::never_set_anything("Clear", false, Deletion::Yes, View::Quiet, "release", "release")]
#[case::never_set_anything_and_runs("Clear", false, Deletion::AfterRuns(2), View::Quiet, "release", "release")]
#[case::not_looked_yet("Clear", true, Deletion::Yes, View::Quiet, "idle", "wait: Suspended")]
#[case::no_organization("Clear", true, Deletion::Yes, View::Waiting(words()), "wait: SourceMissing", "wait: Suspended")]
#[case::refused("Clear", true, Deletion::Yes, View::Refused(words()), "wait: SourceMissing", "wait: Suspended")]
#[case::no_budget("Clear", true, Deletion::Yes, View::AwaitingBudget, "await budget", "wait: Suspended")]
#[case::trouble("Clear", true, Deletion::Yes, View::Failed(trouble()), "report", "wait: Suspended")]
#[case::after_runs("Clear", true, Deletion::AfterRuns(2), ours_and(json!({})), "wait: Finalizing", "wait: Finalizing")]
#[case::handed_over("Clear", true, Deletion::HandedOver, ours_and(json!({})), "release", "release")]
#[case::given_up("Clear", true, Deletion::GiveUp, View::Waiting(words()), "release", "release")]
#[case::needed("Clear", true, Deletion::Needed(1), View::Quiet, "wait: Finalizing", "wait: Finalizing")]
#[case::needed_for_its_reference_alone(
    "Clear",
    false,
    Deletion::Needed(1),
    View::Quiet,
    "wait: Finalizing",
    "wait: Finalizing"
)]
#[case::retains_when_it_is_not_needed(
    "Retain",
    true,
    Deletion::Needed(1),
    View::Quiet,
    "wait: Finalizing",
    "wait: Finalizing"
)]
#[case::retains("Retain", true, Deletion::Yes, ours_and(json!({})), "release", "release")]
#[case::retains_whatever_runs("Retain", true, Deletion::AfterRuns(2), View::Quiet, "release", "release")]
#[case::retains_whatever_fails("Retain", true, Deletion::Yes, View::Failed(trouble()), "release", "release")]
#[case::retains_handed_over("Retain", true, Deletion::HandedOver, View::Quiet, "release", "release")]
fn deletion_unsets_what_is_ours_in_its_turn(
    #[case] policy: &str,
    #[case] had_set: bool,
    #[case] deletion: Deletion,
    #[case] view: View,
    #[case] expected: &str,
    #[case] braked: &str,
) {
    let deletion_policy: SettingsDeletionPolicy = serde_json::from_value(policy.into()).unwrap();
    let field = AppliedField { path: "/agentPoolID".into(), digest: None };
    let status = StackDeploymentSettingsStatus {
        last_applied: had_set.then_some(field).into_iter().collect(),
        ..StackDeploymentSettingsStatus::default()
    };
    let inputs = Inputs { deletion_policy, view, deletion, ..inputs() };
    assert_eq!(word(&decide(&inputs, &status)), expected);
    assert_eq!(word(&decide(&Inputs { suspended: true, ..inputs }, &status)), braked, "under the brake");
}

/// A resource that is reconciled again and again against the model of the service.
struct Resource {
    inputs: Inputs,
    status: StackDeploymentSettingsStatus,
    service: Service,
    now: i64,
}

impl Resource {
    fn new(habits: Habits) -> Self {
        let status = StackDeploymentSettingsStatus::default();
        Self { inputs: inputs(), status, service: Service::new(habits), now: 0 }
    }

    fn plan(&mut self, document: &Node) -> Plan {
        self.inputs.view = View::Read(Box::new(Read {
            desired: desired(document.clone()),
            sources: vec![],
            remote: self.service.read(),
            version: Some(self.service.version),
            paused: None,
            schedules: None,
            drift: DriftView::NotAsked,
        }));
        plan(&self.inputs, &self.status, &install_key(), at(self.now))
    }

    /// Carries a plan out as `act` does: claim, push. The rest is status.
    fn push(&mut self, convergence: &Convergence) -> RemoteVersion {
        let Some(patch) = &convergence.patch else { return convergence.remote.clone() };
        self.status.last_applied.extend(convergence.claim.iter().cloned());
        self.service.patch(patch);
        RemoteVersion { digest: remote_digest(&self.service.read()), version: Some(self.service.version) }
    }

    fn reconcile(&mut self, document: &Node) -> Plan {
        let plan = self.plan(document);
        let outcome = match &plan {
            Plan::Converge(convergence) => Outcome::Converged {
                remote: self.push(convergence),
                convergence: convergence.clone(),
                pause_failed: None,
                schedules: None,
            },
            Plan::Refuse(words) => Outcome::Refused(words.clone()),
            other => panic!("{other:?}"),
        };
        self.status = status(&self.status, &self.inputs, &outcome, at(self.now));
        plan
    }

    /// The operator dies after the push, and before it has written down what came of it.
    fn reconcile_and_crash(&mut self, document: &Node) {
        if let Plan::Converge(convergence) = self.plan(document) {
            self.push(&convergence);
        }
    }

    fn delete(&mut self) -> Plan {
        self.inputs.deletion = Deletion::Yes;
        let plan = self.plan(&Node::object());
        match &plan {
            Plan::Clear(Clearance { settings: Unset::Delete, .. }) => self.service.delete(),
            Plan::Clear(Clearance { settings: Unset::Patch(patch), .. }) => self.service.patch(patch),
            Plan::Release => {}
            other => panic!("{other:?}"),
        }
        plan
    }
}

#[test]
fn what_is_under_way_has_found_nothing_yet() {
    let seen = |detected: bool, run: &str, in_progress: bool| {
        DriftView::Seen(DriftSeen {
            drift: wire::Drift { detected, latest_run: Some(run.to_owned()), in_progress },
            result: if detected { DriftResult::Drifted } else { DriftResult::NoDrift },
            version: Some(7),
            url: None,
        })
    };
    let at = Time::from_seconds;
    let begun = drift(&seen(true, "first", true), None, at(1)).unwrap();
    assert_eq!((begun.in_progress, begun.run.as_ref(), begun.detected), (true, None, false));
    let first = drift(&seen(true, "first", false), Some(&begun), at(2)).unwrap();
    assert_eq!((first.detected, first.run.as_deref(), first.seen_at), (true, Some("first"), at(2)));
    let during = drift(&seen(false, "second", true), Some(&first), at(3)).unwrap();
    assert_eq!(during, DriftStatus { in_progress: true, ..first.clone() });
    assert_eq!(drift(&DriftView::Unreadable, Some(&during), at(3)), Some(during.clone()));
    let second = drift(&seen(false, "second", false), Some(&during), at(4)).unwrap();
    assert_eq!((second.detected, second.in_progress, second.seen_at), (false, false, at(4)));
    let again = drift(&seen(false, "second", false), Some(&second), at(5));
    assert_eq!(again, Some(second), "nothing new, nothing written");
    assert_eq!(drift(&DriftView::NotAsked, Some(&first), at(6)), None);
}

proptest! {
    #![proptest_config(crate::properties::cases(96))]

    #[test]
    fn a_resource_that_is_in_sync_writes_nothing_more(
        habits in any_habits(),
        rounds in prop::collection::vec((any_document(), prop::option::of(any_foreign_document())), 1..3),
    ) {
        let mut resource = Resource::new(habits);
        for (document, foreign) in rounds {
            if let Some(foreign) = foreign {
                resource.service.patch(&foreign);
            }
            resource.reconcile(&document);
            prop_assert!(is_ready(&resource.status.conditions, 1));
            let settled = resource.status.clone();
            resource.now += 7;
            let again = resource.reconcile(&document);
            prop_assert_eq!(word(&again), "in sync");
            prop_assert_eq!(&resource.status, &settled);
        }
    }

    /// Whatever was pushed when, and whether it was written down: on deletion all that is ours goes, and no more.
    #[test]
    fn clearing_takes_what_is_ours_and_leaves_the_rest(
        habits in any_habits(),
        foreign in any_foreign_document(),
        first in any_document(),
        second in any_document(),
        crash in any::<bool>(),
    ) {
        let mut resource = Resource::new(habits);
        resource.service.patch(&foreign);
        resource.reconcile(&first);
        let set_by = |document| declared(document, habits).into_iter().filter_map(|(path, value)| value.map(|_| path));
        let mut ours: BTreeSet<_> = set_by(&second).collect();
        if crash {
            resource.reconcile_and_crash(&second);
            ours.extend(set_by(&first));
        } else {
            resource.reconcile(&second);
        }
        let left = expected(&resource.service.fields(), &ours, &Node::object(), habits, Unmanaged::Keep);
        let plan = resource.delete();
        prop_assert_eq!(resource.service.fields(), left.clone());
        if let Plan::Clear(clearance) = &plan {
            prop_assert_eq!(clearance.settings == Unset::Delete, left.is_empty());
        }
        prop_assert_eq!(resource.delete(), Plan::Release);
    }

    /// A crash after the push costs one more push of what is masked, and changes nothing.
    #[test]
    fn after_a_crash_the_same_is_reached(habits in any_habits(), first in any_document(), second in any_document()) {
        let (mut resource, mut smooth) = (Resource::new(habits), Resource::new(habits));
        for other in [&mut resource, &mut smooth] {
            other.reconcile(&first);
        }
        resource.reconcile_and_crash(&second);
        resource.reconcile(&second);
        smooth.reconcile(&second);
        prop_assert_eq!(resource.service.fields(), smooth.service.fields());
        prop_assert_eq!(resource.status.last_applied, smooth.status.last_applied);
        prop_assert_eq!(resource.status.content_digest, smooth.status.content_digest);
    }
}

fn plain_service() -> Habits {
    Habits {
        keeps_empties: false,
        hides_plain_values: false,
        gives_image_objects: false,
        spells_keys_otherwise: false,
        qualifies_tags: false,
        names_roles: false,
        shows_project_template: false,
    }
}

fn pool(name: &str) -> Node {
    node(&json!({"agentPoolID": name}))
}

/// Somebody else changes the field after each push.
fn contested() -> Resource {
    let mut resource = Resource::new(plain_service());
    resource.reconcile(&pool("ours"));
    for _ in 0..3 {
        resource.now += 60;
        resource.service.patch(&pool("theirs"));
        assert_eq!(word(&resource.reconcile(&pool("ours"))), "push");
    }
    resource.service.patch(&pool("theirs"));
    resource
}

#[test]
fn after_three_corrections_within_an_hour_nothing_is_pushed_any_more() {
    let mut resource = contested();
    for minutes in [1, 58, 24 * 60] {
        resource.now += minutes * 60;
        let plan = resource.reconcile(&pool("ours"));
        assert_eq!(word(&plan), "refuse: Contested", "after {minutes} minutes");
        let Plan::Refuse(words) = plan else { unreachable!() };
        assert!(words.message.starts_with("/agentpoolid changed elsewhere"), "{}", words.message);
    }
}

#[test]
fn a_contest_ends_when_something_changes_here() {
    let mut resource = contested();
    assert_eq!(word(&resource.reconcile(&pool("ours"))), "refuse: Contested");
    assert_eq!(word(&resource.reconcile(&pool("other"))), "push");
    assert_eq!(resource.status.corrections, []);
}

#[test]
fn a_contest_ends_when_the_other_side_gives_in() {
    let mut resource = contested();
    assert_eq!(word(&resource.reconcile(&pool("ours"))), "refuse: Contested");
    resource.service.patch(&pool("ours"));
    assert_eq!(word(&resource.reconcile(&pool("ours"))), "in sync");
    resource.now += 2 * HOUR;
    resource.reconcile(&pool("ours"));
    resource.service.patch(&pool("theirs"));
    assert_eq!(word(&resource.reconcile(&pool("ours"))), "push");
    assert_eq!(resource.status.corrections.len(), 1);
}

#[test]
fn corrections_that_are_far_apart_are_no_contest() {
    let mut resource = Resource::new(plain_service());
    resource.reconcile(&pool("ours"));
    for _ in 0..9 {
        resource.now += HOUR / 2;
        resource.service.patch(&pool("theirs"));
        assert_eq!(word(&resource.reconcile(&pool("ours"))), "push");
        assert!(resource.status.corrections.len() <= 2, "{:?}", resource.status.corrections);
    }
}

#[test]
fn secrets_that_are_sent_to_be_sure_are_no_corrections() {
    let secret = node(&json!({"operationContext": {"environmentVariables": {"A": {"secret": "s"}}}}));
    let mut resource = Resource::new(plain_service());
    resource.reconcile(&secret);
    for _ in 0..5 {
        resource.service.patch(&pool("theirs"));
        let Plan::Converge(convergence) = resource.reconcile(&secret) else { panic!() };
        assert!(convergence.patch.is_some() && !convergence.corrects);
    }
    assert_eq!(resource.status.corrections, []);
}

/// The service makes something of a value that nobody foresaw.
#[test]
fn a_value_that_comes_back_otherwise_is_pushed_once() {
    let declared = pool("as written");
    let mut resource = Resource::new(plain_service());
    let Plan::Converge(convergence) = resource.plan(&declared) else { panic!() };
    resource.service.patch(&pool("as kept"));
    let remote = RemoteVersion { digest: remote_digest(&resource.service.read()), version: Some(1) };
    resource.status = status(
        &resource.status,
        &resource.inputs,
        &Outcome::Converged { convergence, remote, pause_failed: None, schedules: None },
        at(0),
    );
    for _ in 0..3 {
        assert_eq!(word(&resource.reconcile(&declared)), "in sync");
    }
}

#[test]
fn fields_are_claimed_before_they_are_set_for_the_first_time() {
    let both = node(&json!({"agentPoolID": "p", "gitHub": {"deployCommits": true}}));
    let mut resource = Resource::new(plain_service());
    resource.reconcile(&pool("p"));
    let Plan::Converge(convergence) = resource.plan(&both) else { panic!() };
    assert_eq!(convergence.claim, [AppliedField { path: "/gitHub/deployCommits".into(), digest: None }]);
    resource.reconcile(&both);
    let Plan::Converge(convergence) = resource.plan(&both) else { panic!() };
    assert_eq!(convergence.claim, []);
}

#[test]
fn unmanaged_fields_go_as_soon_as_that_is_asked_for() {
    let mut resource = Resource::new(plain_service());
    resource.service.patch(&node(&json!({"gitHub": {"deployCommits": true}})));
    resource.reconcile(&pool("p"));
    resource.inputs.generation = 2;
    resource.inputs.unmanaged = Unmanaged::Remove;
    let Plan::Converge(convergence) = resource.reconcile(&pool("p")) else { panic!() };
    assert_eq!(convergence.patch, Some(node(&json!({"gitHub": null}))));
    assert!(!convergence.corrects, "nothing has changed elsewhere");
    assert_eq!(word(&resource.reconcile(&pool("p"))), "in sync");
}
