//! Reads lists page by page to their end.

use std::collections::HashSet;
use std::fmt;

use super::{Client, Error, ListQuery};
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{Deployment, DriftRun, Page};

/// The most that the API puts on a page.
const PAGE: u32 = 100;

/// Something that the service lists page by page.
pub trait Listing: Send + Sync {
    /// What is listed.
    type Item: Send;

    /// What tells one item from another.
    fn id(item: &Self::Item) -> &str;

    /// A page, counted from 1.
    fn page(
        &self,
        client: &Client,
        permit: &mut Permit,
        page: u32,
    ) -> impl Future<Output = Result<Page<Self::Item>, Error>> + Send;
}

/// A list, page by page.
///
/// It ends at an empty page, or when as many items have been read as there are. While it is read, items that are new
/// push others to the next page: what has been on an earlier page is left out of a later one. (What is taken out of
/// the list meanwhile pulls others to the page before, where they are missed.)
pub struct Pages<L> {
    client: Client,
    listing: L,
    next: u32,
    read: u64,
    seen: HashSet<String>,
    undecodable: usize,
    over: bool,
}

impl<L: Listing> Pages<L> {
    fn new(client: Client, listing: L) -> Self {
        Self { client, listing, next: 1, read: 0, seen: HashSet::new(), undecodable: 0, over: false }
    }

    /// What is new on the next page: perhaps nothing. `None`: that was all.
    ///
    /// After an error the same page is asked for again.
    pub async fn next(&mut self, permit: &mut Permit) -> Result<Option<Vec<L::Item>>, Error> {
        if self.over {
            return Ok(None);
        }
        let page = self.listing.page(&self.client, permit, self.next).await?;
        self.next += 1;
        self.read += page.len() as u64;
        self.undecodable += page.undecodable;
        self.over = page.is_empty() || page.total.is_some_and(|total| self.read >= total);
        if page.is_empty() {
            return Ok(None);
        }
        Ok(Some(page.items.into_iter().filter(|item| self.seen.insert(L::id(item).to_owned())).collect()))
    }

    /// How many items there were that could not be decoded.
    #[must_use]
    pub fn undecodable(&self) -> usize {
        self.undecodable
    }

    /// Whether the last page has been read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// All that has not been read yet.
    pub async fn all(mut self, permit: &mut Permit) -> Result<Vec<L::Item>, Error> {
        let mut all = Vec::new();
        while let Some(items) = self.next(permit).await? {
            all.extend(items);
        }
        Ok(all)
    }
}

impl<L> fmt::Debug for Pages<L> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pages").field("next", &self.next).field("over", &self.over).finish_non_exhaustive()
    }
}

impl Client {
    /// All runs of a stack; order and state as in `query`, whose page and size do not count.
    #[must_use]
    pub fn stack_deployments(&self, stack: &StackId, query: ListQuery) -> Pages<StackDeployments> {
        Pages::new(self.clone(), StackDeployments { stack: stack.clone(), query })
    }

    /// All runs of an organization that the token may see; order and state as in `query`, whose page and size do not
    /// count.
    #[must_use]
    pub fn organization_deployments(&self, organization: &str, query: ListQuery) -> Pages<OrganizationDeployments> {
        Pages::new(self.clone(), OrganizationDeployments { organization: organization.to_owned(), query })
    }

    /// All detections of drift in a stack, the newest first.
    #[must_use]
    pub fn stack_drift_runs(&self, stack: &StackId) -> Pages<DriftRuns> {
        Pages::new(self.clone(), DriftRuns { stack: stack.clone() })
    }
}

/// A stack's runs.
#[derive(Clone, Debug)]
pub struct StackDeployments {
    stack: StackId,
    query: ListQuery,
}

impl Listing for StackDeployments {
    type Item = Deployment;

    fn id(run: &Deployment) -> &str {
        &run.id
    }

    async fn page(&self, client: &Client, permit: &mut Permit, page: u32) -> Result<Page<Deployment>, Error> {
        let query = ListQuery { page, page_size: PAGE, ..self.query.clone() };
        client.list_stack_deployments(permit, &self.stack, query).await
    }
}

/// An organization's runs.
#[derive(Clone, Debug)]
pub struct OrganizationDeployments {
    organization: String,
    query: ListQuery,
}

impl Listing for OrganizationDeployments {
    type Item = Deployment;

    fn id(run: &Deployment) -> &str {
        &run.id
    }

    async fn page(&self, client: &Client, permit: &mut Permit, page: u32) -> Result<Page<Deployment>, Error> {
        let query = ListQuery { page, page_size: PAGE, ..self.query.clone() };
        client.list_organization_deployments(permit, &self.organization, query).await
    }
}

/// A stack's detections of drift.
#[derive(Clone, Debug)]
pub struct DriftRuns {
    stack: StackId,
}

impl Listing for DriftRuns {
    type Item = DriftRun;

    fn id(run: &DriftRun) -> &str {
        &run.id
    }

    async fn page(&self, client: &Client, permit: &mut Permit, page: u32) -> Result<Page<DriftRun>, Error> {
        client.list_drift_runs(permit, &self.stack, page, PAGE).await
    }
}
