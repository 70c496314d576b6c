//! What each plan and outcome of an organization says, and that it says it once.

use proptest::{option, prelude::*, sample::select};
use rstest::rstest;

use super::{
    super::plan::{self, Look, Plan, Renewal, Seen, Token, plan},
    *,
};
use crate::{
    api::organization::{DeploymentCounts, TokenUser},
    controllers::conditions::PAUSE_APPLIED,
    controllers::kstatus::{Reading, any_consequence, assert_transitions, read},
    pulumi::Class,
};

fn at(seconds: i64) -> Time {
    Time::from_seconds(seconds)
}

fn seen() -> Seen {
    Seen {
        user: TokenUser { login: "bot".into(), name: None },
        paused: Some(true),
        concurrency: Some(5),
        counts: Some(DeploymentCounts { total: 7, ..DeploymentCounts::default() }),
    }
}

fn inputs() -> Inputs {
    Inputs { look: Look::Seen(seen()), ..plan::tests::inputs() }
}

fn trouble() -> Consequence {
    Consequence {
        class: Class::Unauthorized,
        standing: Standing::Stalled(Words { reason: "TokenRejected".into(), message: "401".into() }),
        retry: crate::controllers::requeue::Retry::Backoff,
        detail: String::new(),
    }
}

fn accepted(pause: Option<Result<bool, Consequence>>) -> Outcome {
    Outcome::Accepted { seen: seen(), pause }
}

#[rstest]
#[case::not_due(Inputs { look: Look::NotDue, ..inputs() }, Plan::Idle)]
#[case::no_budget(Inputs { look: Look::AwaitingBudget, ..inputs() }, Plan::AwaitBudget)]
#[case::trouble(Inputs { look: Look::Failed(trouble()), ..inputs() }, Plan::Report(trouble()))]
#[case::seen(inputs(), Plan::Accept { seen: seen(), set_paused: None })]
#[case::no_token(Inputs { token: Token::Missing("key".into()), look: Look::NotDue, ..inputs() }, Plan::AwaitToken("key".into()))]
#[case::no_identity(Inputs { token: Token::Refused(trouble()), look: Look::NotDue, ..inputs() }, Plan::ReportNoToken(trouble()))]
#[case::no_budget_for_a_token(Inputs { token: Token::AwaitingBudget, look: Look::NotDue, ..inputs() }, Plan::AwaitBudget)]
#[case::backend_before_token(Inputs { backend_allowed: false, token: Token::Missing("key".into()), ..inputs() }, Plan::RefuseBackend)]
#[case::deletion_before_all(Inputs { deleting: true, backend_allowed: false, token: Token::NotRead, ..inputs() }, Plan::Release)]
fn plans(#[case] inputs: Inputs, #[case] expected: Plan) {
    assert_eq!(plan(&inputs), expected);
}

#[rstest]
#[case::in_use(Outcome::AwaitingUsers(vec!["a".into()]), Reading::InProgress, "InUse")]
#[case::backend(Outcome::BackendRefused, Reading::Stalled, "BackendNotAllowed")]
#[case::no_token(Outcome::AwaitingToken("key".into()), Reading::InProgress, "TokenMissing")]
#[case::no_budget(Outcome::AwaitingBudget, Reading::Retrying, "AwaitingBudget")]
#[case::rejected(Outcome::Failed(trouble()), Reading::Stalled, "TokenRejected")]
#[case::accepted(accepted(None), Reading::Done, "Connected")]
fn each_outcome_says_where_it_stands(#[case] outcome: Outcome, #[case] reading: Reading, #[case] reason: &str) {
    let next = status(&OrganizationStatus::default(), &inputs(), &outcome, at(1));
    assert_eq!(read(&next.conditions), reading);
    assert_eq!(find(&next.conditions, types::READY).unwrap().reason, reason);
    assert_eq!(next.name.as_deref(), Some("acme"));
}

#[test]
fn the_brake_is_shown_and_what_was_seen_too() {
    let next = status(&OrganizationStatus::default(), &Inputs { suspended: true, ..inputs() }, &accepted(None), at(1));
    assert_eq!(read(&next.conditions), Reading::InProgress);
    assert_eq!(find(&next.conditions, types::READY).unwrap().reason, "Suspended");
    assert_eq!((next.paused, next.concurrency, next.deployment_counts.unwrap().total), (Some(true), Some(5), 7));
}

#[test]
fn a_pause_that_may_not_be_set_is_a_condition_of_its_own() {
    let failed = status(&OrganizationStatus::default(), &inputs(), &accepted(Some(Err(trouble()))), at(1));
    assert_eq!(read(&failed.conditions), Reading::Done);
    assert_eq!(find(&failed.conditions, PAUSE_APPLIED).map(|it| it.status), Some(ConditionStatus::False));
    let set = status(&failed, &inputs(), &accepted(Some(Ok(true))), at(2));
    assert_eq!(find(&set.conditions, PAUSE_APPLIED), None);
}

#[test]
fn a_renewal_that_fails_is_told_as_long_as_the_token_is_good() {
    let failed = |until| Inputs { renewal: Renewal::Failed { consequence: trouble(), until: at(until) }, ..inputs() };
    let connected = status(&OrganizationStatus::default(), &inputs(), &accepted(None), at(1));
    let next = status(&connected, &failed(3600), &Outcome::Nothing, at(2));
    assert_eq!(read(&next.conditions), Reading::Done);
    let told = find(&next.conditions, TOKEN_RENEWED).unwrap();
    assert_eq!((told.status, told.reason.as_str()), (ConditionStatus::False, "TokenRejected"));
    assert_eq!(told.message, "the access token is good until 1970-01-01T01:00:00Z and could not be renewed: 401");
    assert_eq!(events(&connected, &next).len(), 1);
    assert_eq!(status(&next, &failed(3600), &Outcome::Nothing, at(3)), next);
    assert_eq!(events(&next, &next).len(), 0);
    let renewal = Renewal::In(std::time::Duration::from_secs(60));
    assert_eq!(status(&next, &Inputs { renewal, ..inputs() }, &Outcome::Nothing, at(4)), connected);
}

#[test]
fn trouble_with_following_runs_is_told_as_long_as_it_lasts() {
    let connected = status(&OrganizationStatus::default(), &inputs(), &accepted(None), at(1));
    let trouble = Inputs { trouble: Some("their list is refused".into()), ..inputs() };
    let next = status(&connected, &trouble, &Outcome::Nothing, at(2));
    assert_eq!(read(&next.conditions), Reading::Done);
    let told = find(&next.conditions, OBSERVING).unwrap();
    assert_eq!((told.status, told.message.as_str()), (ConditionStatus::False, "their list is refused"));
    assert_eq!(events(&connected, &next)[0].reason, "ObservingDegraded");
    assert_eq!(events(&next, &next).len(), 0);
    assert_eq!(status(&next, &inputs(), &Outcome::Nothing, at(3)), connected);
}

#[test]
fn the_users_of_an_organization_are_named_as_far_as_there_is_room() {
    let users = ["a", "b", "c", "d"].map(String::from).to_vec();
    let next = status(&OrganizationStatus::default(), &inputs(), &Outcome::AwaitingUsers(users), at(1));
    let message = &find(&next.conditions, types::READY).unwrap().message;
    assert!(message.ends_with("waits for 4 that still need this organization: a, b, c, …"), "{message}");
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let pause = option::of(prop_oneof![any::<bool>().prop_map(Ok), any_consequence().prop_map(Err)]);
    prop_oneof![
        3 => select(vec![
            Outcome::Nothing,
            Outcome::AwaitingUsers(vec!["a".into()]),
            Outcome::BackendRefused,
            Outcome::AwaitingToken("key".into()),
            Outcome::AwaitingBudget,
        ]),
        2 => any_consequence().prop_map(Outcome::Failed),
        2 => pause.prop_map(accepted),
    ]
}

proptest! {
    #[test]
    fn status_is_consistent_after_every_outcome_and_stays_when_it_is_repeated(
        outcomes in prop::collection::vec((any_outcome(), any::<bool>()), 1..8),
    ) {
        let mut known = OrganizationStatus::default();
        for (now, (outcome, suspended)) in (1..).zip(outcomes) {
            let inputs = Inputs { generation: now, suspended, ..inputs() };
            let next = status(&known, &inputs, &outcome, at(now));
            assert_transitions(&known.conditions, &next.conditions, at(now));
            let reading = read(&next.conditions);
            if outcome == Outcome::Nothing {
                prop_assert_eq!(&next, &known);
            } else {
                prop_assert_ne!(reading, Reading::Silent);
                prop_assert_eq!(next.observed_generation, Some(now));
            }
            prop_assert_eq!(status(&next, &inputs, &outcome, at(now + 100)), next.clone());

            let told = events(&known, &next);
            prop_assert!(told.len() <= 1);
            let expected = if told.iter().any(|it| it.warning) { Reading::Stalled } else { Reading::Done };
            prop_assert!(told.is_empty() || reading == expected);
            prop_assert_eq!(events(&next, &next).len(), 0);
            known = next;
        }
    }
}
