//! What each outcome says, that it says it once, and that nothing else comes of it.

use proptest::{prelude::*, sample::select};
use rstest::rstest;

use super::*;
use crate::{
    api::settings::{AppliedField, Correction, RemoteVersion},
    controllers::{
        kstatus::{Reading, any_consequence, any_words, assert_transitions, read},
        settings::plan,
    },
    pulumi::Node,
};

fn at(seconds: i64) -> Time {
    Time::from_seconds(seconds)
}

fn inputs(generation: i64) -> Inputs {
    Inputs { generation, requested_at: Some(format!("asked {generation}")), ..plan::tests::inputs() }
}

fn convergence(patch: bool, corrects: bool) -> Convergence {
    Convergence {
        patch: patch.then(Node::object),
        claim: vec![],
        set_paused: None,
        paused: Some(true),
        applied: vec![AppliedField { path: "/agentPoolID".into(), digest: Some("mac".into()) }],
        remote: RemoteVersion { digest: "before the push".into(), version: Some(1) },
        content_digest: "v1:content".into(),
        sources: vec![],
        corrections: vec![Correction { time: at(0), paths: vec!["/a".into(), "/b".into()] }],
        corrects,
        schedules: None,
        drift: None,
    }
}

fn converged(patch: bool, corrects: bool) -> Outcome {
    let remote = RemoteVersion { digest: "after the push".into(), version: Some(2) };
    Outcome::Converged {
        convergence: Box::new(convergence(patch, corrects)),
        remote,
        pause_failed: None,
        schedules: None,
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        1 => Just(Outcome::Nothing),
        1 => any_words().prop_map(Outcome::Waiting),
        1 => any_words().prop_map(Outcome::AwaitingStack),
        2 => any_words().prop_map(Outcome::Refused),
        1 => Just(Outcome::AwaitingBudget),
        2 => any_consequence().prop_map(Outcome::Failed),
        1 => Just(Outcome::StackCreated),
        2 => select(vec![converged(false, false), converged(true, false), converged(true, true)]),
    ]
}

proptest! {
    #[test]
    fn status_is_consistent_after_every_outcome_and_stays_when_it_is_repeated(
        outcomes in prop::collection::vec((any_outcome(), 1_i64..4), 1..8),
    ) {
        let mut known = StackDeploymentSettingsStatus::default();
        for (now, (outcome, generation)) in (1..).zip(outcomes) {
            let next = status(&known, &inputs(generation), &outcome, at(now));
            assert_transitions(&known.conditions, &next.conditions, at(now));
            let reading = read(&next.conditions);
            if outcome == Outcome::Nothing {
                prop_assert_eq!(&next, &known);
            } else {
                prop_assert_ne!(reading, Reading::Silent);
                prop_assert_eq!(next.observed_generation, Some(generation));
                prop_assert_eq!(next.last_handled_reconcile_at.clone(), Some(format!("asked {generation}")));
            }
            prop_assert_eq!(status(&next, &inputs(generation), &outcome, at(now + 100)), next.clone());
            known = next;
        }
    }

    #[test]
    fn only_a_convergence_says_what_was_set(outcome in any_outcome()) {
        let set = |status: &StackDeploymentSettingsStatus| {
            let status = status.clone();
            (status.content_digest, status.sources, status.last_applied, status.remote, status.corrections)
        };
        let known = status(&StackDeploymentSettingsStatus::default(), &inputs(1), &converged(true, false), at(1));
        let mut known = known;
        known.content_digest = Some("v1:before".into());
        let next = status(&known, &inputs(2), &outcome, at(2));
        prop_assert_eq!(set(&next) == set(&known), !matches!(outcome, Outcome::Converged { .. }));
    }

    #[test]
    fn what_stalls_is_told_once(old in any_outcome(), new in any_outcome()) {
        let before = status(&StackDeploymentSettingsStatus::default(), &inputs(1), &old, at(1));
        let after = status(&before, &inputs(1), &new, at(2));
        let told = events(&before, &after, &new);
        prop_assert!(told.len() <= 1);
        if !matches!(new, Outcome::Converged { .. }) {
            prop_assert!(told.iter().all(|happening| happening.warning));
            prop_assert!(told.is_empty() || read(&after.conditions) == Reading::Stalled);
            prop_assert_eq!(events(&after, &after, &new).len(), 0);
        }
    }
}

fn words(reason: &str) -> Words {
    Words { reason: reason.to_owned(), message: "why".to_owned() }
}

#[rstest]
#[case(Outcome::Waiting(words("SourceMissing")), Reading::InProgress, "SourceMissing")]
#[case(Outcome::AwaitingStack(words("StackNotFound")), Reading::InProgress, "StackNotFound")]
#[case(Outcome::Refused(words("Conflict")), Reading::Stalled, "Conflict")]
#[case(Outcome::AwaitingBudget, Reading::Retrying, "AwaitingBudget")]
#[case(Outcome::StackCreated, Reading::InProgress, "StackCreated")]
#[case(converged(true, false), Reading::Done, "Synced")]
fn each_outcome_says_where_it_stands(#[case] outcome: Outcome, #[case] reading: Reading, #[case] reason: &str) {
    let next = status(&StackDeploymentSettingsStatus::default(), &inputs(1), &outcome, at(1));
    assert_eq!(read(&next.conditions), reading);
    assert_eq!(find(&next.conditions, types::READY).unwrap().reason, reason);
}

#[test]
fn what_the_service_answered_is_what_is_remembered() {
    let next = status(&StackDeploymentSettingsStatus::default(), &inputs(1), &converged(true, false), at(1));
    assert_eq!(next.remote, Some(RemoteVersion { digest: "after the push".into(), version: Some(2) }));
    assert_eq!(next.stack.as_deref(), Some("acme/web/prod"));
    assert_eq!(next.paused, Some(true));
}

/// The fields of a first push are claimed before it.
#[test]
fn the_name_of_where_something_was_pushed_stays() {
    let claimed = StackDeploymentSettingsStatus {
        last_applied: vec![AppliedField { path: "/agentPoolID".into(), digest: None }],
        ..StackDeploymentSettingsStatus::default()
    };
    let pushed = status(&claimed, &inputs(1), &converged(true, false), at(1));
    assert_eq!(pushed.stack.as_deref(), Some("acme/web/prod"));
    let elsewhere = Inputs { stack: Some("acme/web/other".into()), ..inputs(2) };
    let refused = status(&pushed, &elsewhere, &Outcome::Refused(words("TargetChanged")), at(2));
    assert_eq!(refused.stack.as_deref(), Some("acme/web/prod"));
}

#[rstest]
#[case::push(converged(true, false), &["Pushed: the settings of acme/web/prod were pushed"])]
#[case::correction(converged(true, true), &["DriftCorrected: /a, /b had been changed elsewhere"])]
#[case::nothing_to_push(converged(false, false), &[])]
#[case::conflict(Outcome::Refused(words("Conflict")), &["Conflict: why"])]
#[case::other_trouble(Outcome::Refused(words("SomethingElse")), &["Stalled: why"])]
#[case::waiting(Outcome::Waiting(words("SourceMissing")), &[])]
fn the_timeline(#[case] outcome: Outcome, #[case] expected: &[&str]) {
    let old = StackDeploymentSettingsStatus::default();
    let new = status(&old, &inputs(1), &outcome, at(1));
    let told: Vec<_> = events(&old, &new, &outcome).iter().map(|it| format!("{}: {}", it.reason, it.note)).collect();
    assert_eq!(told, expected);
}
