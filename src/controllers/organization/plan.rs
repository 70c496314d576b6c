//! Pure: what is known of an organization → what is done about it.

use std::time::Duration;

use crate::{
    api::{
        Time,
        organization::{DeploymentCounts, TokenUser},
    },
    controllers::requeue::Consequence,
};

/// All that the decision looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inputs {
    /// `metadata.generation`.
    pub generation: i64,
    /// The annotation that asks for a look now.
    pub requested_at: Option<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Name in Pulumi Cloud.
    pub name: String,
    /// Base URL of the service, without a slash at the end.
    pub backend: String,
    /// Whether the operator may call this backend at all.
    pub backend_allowed: bool,
    /// Whether nothing may be written remotely.
    pub suspended: bool,
    /// The pause that is asked for.
    pub paused: Option<bool>,
    /// What still needs this organization, read when it is being deleted.
    pub users: Vec<String>,
    /// The access token.
    pub token: Token,
    /// How it is kept fresh.
    pub renewal: Renewal,
    /// Why its runs can't be followed as they should be, where that lasts.
    pub trouble: Option<String>,
    /// What looking at the service gave.
    pub look: Look,
}

/// The access token, as far as the decision is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// It was not read.
    NotRead,
    /// It is not there; the sentence says what is missing.
    Missing(String),
    /// The request budget has no room yet to get one.
    AwaitingBudget,
    /// It could not be had for the ServiceAccount, and there is none that is still good.
    Refused(Consequence),
    /// It is there.
    Found,
}

/// How the access token is kept fresh.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Renewal {
    /// Somebody else does that, if it is needed at all.
    NotNeeded,
    /// It is renewed after this time.
    In(Duration),
    /// It could not be renewed.
    Failed {
        /// Why.
        consequence: Consequence,
        /// Until when the token is good that is there.
        until: Time,
    },
}

/// What looking at the service gave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// It was not time to look.
    NotDue,
    /// The request budget has no room yet; the governor wakes the resource.
    AwaitingBudget,
    /// The service answered.
    Seen(Seen),
    /// It did not, or with an error.
    Failed(Consequence),
}

/// What the service says of the organization.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Whom the token belongs to.
    pub user: TokenUser,
    /// Whether deployments are paused; not every backend says.
    pub paused: Option<bool>,
    /// How many may run at once.
    pub concurrency: Option<u32>,
    /// How many there are; not every backend says.
    pub counts: Option<DeploymentCounts>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Deleted, and nothing needs it any more: let it go.
    Release,
    /// Deleted, and still needed by these.
    AwaitUsers(Vec<String>),
    /// The operator may not call this backend.
    RefuseBackend,
    /// The access token is not there; the sentence says what is missing.
    AwaitToken(String),
    /// No access token can be had for the ServiceAccount.
    ReportNoToken(Consequence),
    /// The request budget has no room yet.
    AwaitBudget,
    /// All is as it was.
    Idle,
    /// The service could not be asked, or refused.
    Report(Consequence),
    /// The service answered: whoever uses the organization may go on; the pause is changed when it is not as asked for.
    Accept {
        /// What the service says.
        seen: Seen,
        /// The pause to set.
        set_paused: Option<bool>,
    },
}

/// Decides.
#[must_use]
pub fn plan(inputs: &Inputs) -> Plan {
    if inputs.deleting {
        return if inputs.users.is_empty() { Plan::Release } else { Plan::AwaitUsers(inputs.users.clone()) };
    }
    if !inputs.backend_allowed {
        return Plan::RefuseBackend;
    }
    match &inputs.token {
        Token::Missing(what) => return Plan::AwaitToken(what.clone()),
        Token::Refused(consequence) => return Plan::ReportNoToken(consequence.clone()),
        Token::AwaitingBudget => return Plan::AwaitBudget,
        Token::NotRead | Token::Found => {}
    }
    match &inputs.look {
        Look::NotDue => Plan::Idle,
        Look::AwaitingBudget => Plan::AwaitBudget,
        Look::Failed(consequence) => Plan::Report(consequence.clone()),
        Look::Seen(seen) => Plan::Accept {
            seen: seen.clone(),
            set_paused: inputs.paused.filter(|wanted| Some(*wanted) != seen.paused && !inputs.suspended),
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        controllers::{
            conditions::{Standing, Words},
            requeue::Retry,
        },
        pulumi::Class,
    };

    fn seen(paused: impl Into<Option<bool>>) -> Seen {
        Seen {
            user: TokenUser { login: "bot".into(), name: None },
            paused: paused.into(),
            concurrency: Some(5),
            counts: Some(DeploymentCounts::default()),
        }
    }

    /// Everything as it should be.
    pub(in crate::controllers::organization) fn inputs() -> Inputs {
        Inputs {
            generation: 1,
            requested_at: None,
            deleting: false,
            name: "acme".into(),
            backend: "https://api.pulumi.com".into(),
            backend_allowed: true,
            suspended: false,
            paused: None,
            users: vec![],
            token: Token::Found,
            renewal: Renewal::NotNeeded,
            trouble: None,
            look: Look::Seen(seen(false)),
        }
    }

    #[test]
    fn the_pause_is_set_only_when_it_is_asked_for_and_differs() {
        let set = |paused, there: Option<bool>, suspended| match plan(&Inputs {
            paused,
            suspended,
            look: Look::Seen(seen(there)),
            ..inputs()
        }) {
            Plan::Accept { set_paused, .. } => set_paused,
            other => panic!("{other:?}"),
        };
        assert_eq!(set(None, Some(true), false), None);
        assert_eq!(set(Some(true), Some(true), false), None);
        assert_eq!(set(Some(true), Some(false), false), Some(true));
        assert_eq!(set(Some(false), Some(true), false), Some(false));
        assert_eq!(set(Some(true), Some(false), true), None);
        // Where nobody can tell, the attempt does.
        assert_eq!(set(Some(false), None, false), Some(false));
        assert_eq!(set(None, None, false), None);
    }

    #[test]
    fn a_backend_that_is_not_allowed_is_never_called() {
        assert_eq!(plan(&Inputs { backend_allowed: false, ..inputs() }), Plan::RefuseBackend);
    }

    #[test]
    fn deletion_waits_for_users_and_for_nothing_else() {
        let users = vec!["Settings ns/web".to_owned()];
        assert_eq!(plan(&Inputs { deleting: true, users: users.clone(), ..inputs() }), Plan::AwaitUsers(users));
        let unreachable = Consequence {
            class: Class::NotSent,
            standing: Standing::Retrying(Words::new("Unreachable", "")),
            retry: Retry::Backoff,
            detail: String::new(),
        };
        assert_eq!(plan(&Inputs { deleting: true, look: Look::Failed(unreachable), ..inputs() }), Plan::Release);
    }
}
