//! What is next for a request: each way through the picture, and what is offered.

use rstest::rstest;
use serde_json::json;

use super::{
    super::plan::tests::{digest_of, inputs, run, subject, target},
    *,
};

fn key() -> InstallKey {
    InstallKey::new(vec![7].into())
}

fn at(seconds: i64) -> Time {
    Time::from_seconds(seconds)
}

/// A preview of request 1 that went by what is asked for, when the stack's latest update was 3.
fn preview() -> Run {
    let basis = Basis { stack_version: Some(3), ..subject().basis };
    Run {
        purpose: Purpose::Preview,
        operation: Operation::Preview,
        result: Some(Phase::Succeeded),
        basis: Some(basis),
        ..run(1)
    }
}

fn look() -> Look {
    Look {
        commit: Some("c0ffee".into()),
        resource_changes: [("create".to_owned(), 2)].into(),
        began: Some(at(100)),
        latest: Latest { version: 3, ended: Some(at(90)) },
    }
}

fn request(number: u64) -> HandledRequest {
    HandledRequest { number, digest: format!("v1:{number}"), digest_without_rerun: None, settings_digest: None }
}

fn offered(run: &Run, look: Look, before: Option<&PendingApproval>) -> PendingApproval {
    offer(&subject(), request(1), &target(), Some((run, look)), before, true, &key())
}

/// Request 1 has had its preview.
fn previewed(approval: Option<PendingApproval>) -> DeploymentStatus {
    DeploymentStatus { request: Some(request(1)), run: Some(preview()), approval, ..DeploymentStatus::default() }
}

fn required(word: Word) -> Inputs {
    Inputs { approval: ApprovalMode::Required, word, ..inputs(1) }
}

fn word(approve: &str, reject: &str, by: &str) -> Word {
    let written = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Word { approve: written(approve), reject: written(reject), by: written(by) }
}

fn moved_on(change: impl FnOnce(&mut Basis)) -> Subject {
    let mut subject = subject();
    change(&mut subject.basis);
    subject
}

#[test]
fn an_update_is_previewed_offered_and_waited_for() {
    let nobody = required(Word::default());
    assert_eq!(step(&nobody, &DeploymentStatus::default(), &subject()), Step::Run(Purpose::Preview));
    let mut failed = previewed(None);
    failed.run.as_mut().unwrap().result = Some(Phase::Failed);
    assert_eq!(step(&nobody, &failed, &subject()), Step::Run(Purpose::Preview), "of another attempt");
    assert!(!awaits(&digest_of(1), &failed));
    assert!(awaits(&digest_of(1), &previewed(None)) && !awaits(&digest_of(2), &previewed(None)));
    assert_eq!(step(&nobody, &previewed(None), &subject()), Step::Offer(previewed(None).run.as_ref()));
    let pending = offered(&preview(), look(), None);
    assert_eq!(step(&nobody, &previewed(Some(pending.clone())), &subject()), Step::Wait(Unsaid::Everything));
    let another = Inputs { request: digest_of(2), ..nobody };
    assert_eq!(step(&another, &previewed(Some(pending.clone())), &subject()), Step::Run(Purpose::Preview));
    let automatic = Inputs { approval: ApprovalMode::Automatic, ..another };
    assert_eq!(step(&automatic, &previewed(Some(pending)), &subject()), Step::Run(Purpose::Main));
}

#[test]
fn a_word_counts_with_the_token_and_a_name() {
    let pending = offered(&preview(), look(), None);
    let token = pending.token.clone().unwrap();
    let status = previewed(Some(pending.clone()));
    let told = |approve: &str, reject: &str, by: &str| {
        let inputs = required(word(approve, reject, by));
        format!("{:?}", step(&inputs, &status, &subject()))
    };
    assert_eq!(told(&token, "", ""), "Wait(Name)");
    assert_eq!(told("another", "", "anna"), r#"Wait(Token("another"))"#);
    assert_eq!(told("", "another", "anna"), "Wait(Everything)");
    assert!(told(&token, "", "anna").starts_with("Approved("));
    assert_eq!(told(&token, &token, "anna"), r#"Reject(Some("anna"))"#, "a no is stronger than a yes");
    assert_eq!(told("", &token, ""), "Reject(None)");
    let approved = Approved::of(&pending, "anna".into());
    assert_eq!((approved.commit.as_deref(), approved.stack_version), (Some("c0ffee"), Some(3)));
    assert!(approved.clone().given(true).verified && !approved.clone().given(false).verified);
    assert!(!Approved { policed: false, ..approved }.given(true).verified, "nobody vouches for the time before");
}

#[rstest]
#[case::settings(moved_on(|basis| basis.settings = Some("others".into())), Moved::Settings)]
#[case::overrides(moved_on(|basis| basis.overrides = "others".into()), Moved::Overrides)]
fn what_has_moved_is_worth_nothing_even_if_it_is_approved(#[case] subject: Subject, #[case] moved: Moved) {
    let mut pending = offered(&preview(), look(), None);
    let inputs = required(word(pending.token.as_deref().unwrap(), "", "anna"));
    assert_eq!(step(&inputs, &previewed(Some(pending.clone())), &subject), Step::Outdated(moved));
    (pending.token, pending.outdated) = (None, Some(moved));
    assert_eq!(step(&inputs, &previewed(Some(pending.clone())), &subject), Step::Run(Purpose::Preview));
    let late = offer(&subject, request(1), &target(), Some((&preview(), look())), None, true, &key());
    assert_eq!((late.token, late.outdated), (None, Some(moved)), "it moved while the preview ran");
    let next = offered(&Run { id: "next".into(), ..preview() }, look(), Some(&pending));
    assert_eq!((next.replaces, next.token.is_some()), (Some(moved), true));
}

/// The preview began at 100, and the stack's latest update was 3 before it was created.
#[rstest]
#[case::nothing_came(3, Some(90), None)]
#[case::one_came_while_it_was_queued(4, Some(99), None)]
#[case::one_came_within_the_same_second(4, Some(100), Some(Moved::StackUpdate))]
#[case::one_came_after_it_began(4, Some(120), Some(Moved::StackUpdate))]
#[case::one_is_under_way(4, None, Some(Moved::StackUpdate))]
fn an_update_that_the_preview_has_not_seen_came_in_between(
    #[case] version: u64,
    #[case] ended: Option<i64>,
    #[case] outdated: Option<Moved>,
) {
    let latest = Latest { version, ended: ended.map(at) };
    assert_eq!(latest.settled(), version - u64::from(ended.is_none()));
    let pending = offered(&preview(), Look { latest, ..look() }, None);
    assert_eq!((pending.outdated, pending.token.is_none()), (outdated, outdated.is_some()));
    assert_eq!(pending.basis.stack_version, Some(version));
}

#[rstest]
#[case::none(None)]
#[case::a_branch(Some("refs/heads/main"))]
#[case::too_short(Some("c0ff"))]
fn without_a_commit_there_is_nothing_to_approve(#[case] commit: Option<&str>) {
    let pending = offered(&preview(), Look { commit: commit.map(Into::into), ..look() }, None);
    assert_eq!((&pending.token, &pending.commit, pending.outdated), (&None, &None, None));
    let status = previewed(Some(pending.clone()));
    assert_eq!(step(&required(word("x", "x", "anna")), &status, &subject()), Step::Wait(Unsaid::Commit));
    let standing = standing(&pending, &Unsaid::Commit, "web");
    assert!(matches!(&standing, Standing::Stalled(words) if words.reason == "CommitUnknown"), "{standing:?}");
}

#[test]
fn a_token_stands_for_all_of_it() {
    let token = |run: &Run, look: Look| offered(run, look, None).token.unwrap();
    let first = token(&preview(), look());
    assert_eq!(first, token(&preview(), look()));
    assert_eq!(first.len(), 16);
    let by_other_content = moved_on(|basis| basis.settings = None);
    let mut of_other_content = preview();
    of_other_content.basis = Some(Basis { stack_version: Some(3), ..by_other_content.basis.clone() });
    let with = |subject: &Subject, number, run: &Run, key: &InstallKey| {
        offer(subject, request(number), &target(), Some((run, look())), None, true, key).token.unwrap()
    };
    let latest = Latest { version: 4, ended: Some(at(1)) };
    let others = [
        token(&Run { id: "another".into(), ..preview() }, look()),
        token(&preview(), Look { commit: Some("decade".into()), ..look() }),
        token(&preview(), Look { latest, ..look() }),
        with(&subject(), 2, &preview(), &key()),
        with(&by_other_content, 1, &of_other_content, &key()),
        with(&subject(), 1, &preview(), &InstallKey::new(vec![8].into())),
    ];
    for other in &others {
        assert_ne!(*other, first);
    }
    assert_eq!(others.iter().collect::<std::collections::BTreeSet<_>>().len(), others.len());
}

/// Another operation, and the end of a stack, which is no operation that anybody asks for.
#[rstest]
#[case(Purpose::Main, Operation::Refresh)]
#[case(Purpose::Destroy, Operation::Destroy)]
fn without_a_preview_the_request_itself_is_offered(#[case] purpose: Purpose, #[case] operation: Operation) {
    let subject = Subject { purpose, operation, ..subject() };
    let nobody = required(Word::default());
    let mut status = DeploymentStatus::default();
    assert_eq!(step(&nobody, &status, &subject), Step::Offer(None));
    let pending = offer(&subject, request(1), &target(), None, None, false, &key());
    let token = pending.token.clone().unwrap();
    status.approval = Some(pending);
    assert_eq!(step(&nobody, &status, &subject), Step::Wait(Unsaid::Everything));
    let approved = required(word(&token, "", "anna"));
    assert_eq!(step(&approved, &status, &subject).purpose(), Some(purpose));
    let moved = Subject { basis: moved_on(|basis| basis.settings = None).basis, ..subject.clone() };
    assert_eq!(step(&approved, &status, &moved), Step::Outdated(Moved::Settings));
    status.approval.as_mut().unwrap().outdated = Some(Moved::Settings);
    assert_eq!(step(&approved, &status, &moved), Step::Offer(None));
    let another = Inputs { request: digest_of(2), ..approved };
    assert_eq!(step(&another, &status, &subject), Step::Offer(None));
}

#[test]
fn a_rejection_holds_for_what_was_rejected() {
    let mut pending = offered(&preview(), look(), None);
    pending.rejected = Some(Rejection { rejected_by: Some("anna".into()), at: at(1) });
    let status = previewed(Some(pending.clone()));
    assert!(rejected(&digest_of(1), &status).is_some() && !awaits(&digest_of(1), &status));
    assert!(rejected(&digest_of(2), &status).is_none());
    let words = rejection(&pending, pending.rejected.as_ref().unwrap());
    assert!(words.message.contains("was rejected by anna: nothing runs until"), "{}", words.message);
    // The preview of another request takes its place.
    let mut next = preview();
    next.request = request(2);
    let left = after_record(Some(pending.clone()), &next).unwrap();
    assert_eq!((left.token, left.rejected, left.outdated), (None, None, Some(Moved::Request)));
    assert_eq!(after_record(Some(pending.clone()), &run(1)), None, "what runs awaits nobody");
    assert_eq!(after_record(Some(pending.clone()), &preview()), Some(pending));
}

#[test]
fn all_is_said_that_a_person_needs() {
    let mut pending = offered(&preview(), look(), None);
    (pending.policed, pending.replaces) = (false, Some(Moved::Settings));
    let token = pending.token.clone().unwrap();
    let told = |unsaid: &Unsaid| standing(&pending, unsaid, "pulumideployment/web").words().message.clone();
    let everything = told(&Unsaid::Everything);
    for part in [
        "what preview 1 of acme/web/prod shows at commit c0ffee [create 2] awaits approval",
        "the content of the StackDeploymentSettings has changed since",
        &format!(
            "pulumideployment/web deployments.pulumi.com/approve={token} deployments.pulumi.com/approved-by=<you>"
        ),
        &format!("deployments.pulumi.com/reject={token}"),
        "unverified",
    ] {
        assert!(everything.contains(part), "{part} is not in {everything}");
    }
    assert!(told(&Unsaid::Name).contains("approved-by must say who gives it"));
    let long = "x".repeat(1000);
    assert!(told(&Unsaid::Token(long)).len() < everything.len() + 250, "nobody fills status with a token of theirs");
    let given: GivenApproval =
        serde_json::from_value(json!({"approvedBy": "anna", "verified": false, "token": token, "commit": "c0ffee"}))
            .unwrap();
    assert!(approval(&given).starts_with("approved by anna (unverified: "));
    assert!(approval(&given).ends_with(" at commit c0ffee"));
}
