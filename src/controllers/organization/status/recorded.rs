//! Every state of an Organization.

use serde_json::json;

use super::{
    super::plan::{Seen, tests::inputs},
    *,
};
use crate::{
    api::organization::TokenUser,
    controllers::recorded::{FAILURES, Health, State, assert_recorded, failed},
    pulumi::Class,
};

const NOW: Time = Time::from_seconds(1_800_000_000);

fn seen() -> Seen {
    let user = TokenUser { login: "deployer".into(), name: None };
    Seen { user, paused: Some(false), concurrency: Some(5), counts: None }
}

fn accepted(pause: Option<Result<bool, Consequence>>) -> Outcome {
    Outcome::Accepted { seen: seen(), pause }
}

fn state(name: &str, health: Health, status: &OrganizationStatus) -> State {
    let spec = json!({"accessToken": {"secretKeyRef": {"name": "pulumi", "key": "accessToken"}}});
    State::new(name, health, "Organization", &spec, status)
}

#[test]
fn every_state_is_recorded() {
    let new = OrganizationStatus::default();
    let connected = status(&new, &inputs(), &accepted(None), NOW);
    let after = |old: &OrganizationStatus, outcome: &Outcome| status(old, &inputs(), outcome, NOW);
    let users = Outcome::AwaitingUsers(vec!["StackDeploymentSettings default/web-prod".into()]);
    let forbidden = failed(Class::Forbidden, "Forbidden");
    let suspended = status(&new, &Inputs { suspended: true, ..inputs() }, &accepted(None), NOW);
    let mut states = vec![
        state("not looked at yet", Health::Progressing, &new),
        state("connected", Health::Healthy, &connected),
        state("connected", Health::Healthy, &connected).and_then("and changed", &json!({"generation": 2})),
        state("connected", Health::Healthy, &connected)
            .and_then("and deleted", &json!({"deletionTimestamp": "2027-01-15T08:00:00Z"})),
        state("suspended", Health::Suspended, &suspended),
        state("in use", Health::Progressing, &after(&connected, &users)),
        state("backend not allowed", Health::Degraded, &after(&new, &Outcome::BackendRefused)),
        state("no token", Health::Progressing, &after(&new, &Outcome::AwaitingToken("create Secret pulumi".into()))),
        state("no budget yet", Health::Progressing, &after(&new, &Outcome::AwaitingBudget)),
        state("pause not applied", Health::Healthy, &after(&new, &accepted(Some(Err(forbidden))))),
    ];
    let trouble = Inputs { trouble: Some("runs are read one by one, since their list is refused".into()), ..inputs() };
    let degraded = status(&connected, &trouble, &Outcome::Nothing, NOW);
    states.push(state(&format!("{:?}", Reason::Degraded), Health::Healthy, &degraded));
    for (reason, health) in [
        (Reason::TokenRequestForbidden, Health::Degraded),
        (Reason::TokenExchangeRefused, Health::Degraded),
        (Reason::TokenRequestFailed, Health::Progressing),
    ] {
        let words = Words::new(reason, "what was refused, by whom, and what to do");
        let is_for_people = health == Health::Degraded;
        let standing = if is_for_people { Standing::Stalled(words) } else { Standing::Retrying(words) };
        let outcome = Outcome::Failed(Consequence { standing, ..failed(Class::Unavailable, "") });
        states.push(state(&format!("no token: {reason:?}"), health, &after(&new, &outcome)));
    }
    for (class, reason, health) in FAILURES {
        let outcome = Outcome::Failed(failed(class, reason));
        states.push(state(&format!("{reason} at first"), health, &after(&new, &outcome)));
        states.push(state(&format!("{reason} after it was connected"), health, &after(&connected, &outcome)));
    }
    let table = "src/controllers/organization/status/recorded.rs";
    assert_recorded("organizations.yaml", (include_str!("../reason.rs"), table), &states);
}
