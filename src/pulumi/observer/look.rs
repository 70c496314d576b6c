//! One look at an organization's runs: its list, page by page, and the rest by id. IO.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::Observer;
use crate::pulumi::client::{Client, ListQuery};
use crate::pulumi::error::{Class, Error};
use crate::pulumi::governor::{CallClass, Permit};

/// Runs per page of a list.
const PAGE: usize = 100;
/// More pages than the tracked runs would fill, since others run there too.
const SPARE_PAGES: usize = 2;

/// What a look came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Every run that was due has been looked at.
    pub complete: bool,
    /// Why the list is not read for a while.
    pub list_refused: Option<Error>,
    /// What else went wrong first.
    pub failure: Option<Error>,
}

/// Looks at the runs of one organization.
pub(super) struct Look<'a> {
    pub observer: &'a Arc<Observer>,
    pub key: &'a str,
    pub organization: &'a str,
    pub client: &'a Client,
    /// The list has not answered for so long that it is given up for a while.
    pub impatient: bool,
}

impl Look<'_> {
    pub(super) async fn run(&self, with_list: bool) -> Outcome {
        let mut outcome = Outcome::default();
        let mut unseen: HashSet<String> = self.observer.active(self.key);
        // An answer of the list, or of the user, shows in this very look that the token is accepted.
        let mut accepted = false;
        if with_list {
            match self.read_list(&mut unseen, &mut accepted).await {
                Ok(()) => {}
                Err(error) if self.gives_up(&error) => outcome.list_refused = Some(error),
                Err(error) => {
                    outcome.failure = Some(error);
                    return outcome;
                }
            }
        }
        self.read_by_id(&unseen, accepted, &mut outcome).await;
        outcome
    }

    /// A list that is refused, or never answers, does not keep the runs themselves from being read.
    fn gives_up(&self, error: &Error) -> bool {
        is_own_trouble(error) || (self.impatient && error.class() == Class::Unavailable)
    }

    /// Reads the list, newest first, until every tracked run is seen, nothing older can be one, or enough was read.
    async fn read_list(&self, unseen: &mut HashSet<String>, accepted: &mut bool) -> Result<(), Error> {
        let most = unseen.len().div_ceil(PAGE) + SPARE_PAGES;
        let mut pages = self.client.organization_deployments(self.organization, ListQuery::default());
        for _ in 0..most {
            let mut permit = self.permit().await;
            let runs = pages.next(&mut permit).await?;
            *accepted = true;
            let Some(runs) = runs else { break };
            let reached = runs.last().and_then(|run| run.created);
            for run in &runs {
                unseen.remove(&run.id);
            }
            self.observer.record(self.key, runs);
            let beyond = |reached: Timestamp| {
                let oldest = self.observer.oldest(self.key, unseen);
                oldest.is_some_and(|oldest| reached < oldest)
            };
            if unseen.is_empty() || pages.is_over() || reached.is_some_and(beyond) {
                break;
            }
        }
        Ok(())
    }

    async fn read_by_id(&self, unseen: &HashSet<String>, mut accepted: bool, outcome: &mut Outcome) {
        let mut missing = Vec::new();
        outcome.complete = true;
        for (id, stack) in self.observer.due(self.key, unseen) {
            let mut permit = self.permit().await;
            match self.client.deployment(&mut permit, &stack, &id).await {
                Ok(run) if run.id == id => self.observer.record(self.key, vec![run]),
                Ok(_) => self.observer.note_attempt(self.key, &id),
                Err(error) => {
                    self.observer.note_attempt(self.key, &id);
                    if error.class() == Class::NotFound && error.is_service_answer() {
                        missing.push(id);
                        continue;
                    }
                    let others_go_on = is_own_trouble(&error);
                    outcome.failure.get_or_insert(error);
                    if !others_go_on {
                        outcome.complete = false;
                        break;
                    }
                }
            }
        }
        if !missing.is_empty() && !accepted {
            let mut permit = self.permit().await;
            accepted = self.client.user(&mut permit).await.is_ok();
        }
        if accepted {
            self.observer.note_missing(self.key, &missing);
        }
    }

    async fn permit(&self) -> Permit {
        self.client.governor().acquire(CallClass::Observe, self.key, 1).await
    }
}

/// A failure that says nothing about other calls.
fn is_own_trouble(error: &Error) -> bool {
    matches!(error.class(), Class::Forbidden | Class::NotFound | Class::Invalid | Class::Unsupported)
}
