//! The newest runs of a stack in the preview dialect, whose list begins with the oldest and has no count.

use std::collections::BTreeMap;

use super::deployments::LIST;
use super::routes::Route;
use super::transport::Call;
use super::{Client, Error, ListQuery};
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{BareList, Deployment, DeploymentPage};

/// The most that the API puts on a page.
const PAGE: u32 = 100;

/// Enough for a stack with 100,000 runs: 11 to come past the end, 9 to find it, 3 for what was asked for.
pub(super) const MOST_REQUESTS: u32 = 24;

/// A page, every run in its place; `None` is one that can't be decoded.
type Entries = Vec<Option<Deployment>>;

impl Client {
    /// What `query` asks for, as the other dialect would answer it.
    pub(super) async fn preview_list(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        query: &ListQuery,
    ) -> Result<DeploymentPage, Error> {
        if query.sort.is_some() || query.status.is_some() {
            return Err(Error::lacking(LIST, "an order or a state to choose in lists"));
        }
        if query.ascending {
            let entries = self.preview_page(permit, stack, query.page, query.page_size).await?;
            return Ok(entries.into_iter().collect());
        }
        let mut pages = Pages { client: self, stack, read: BTreeMap::new() };
        let total = pages.count(permit).await?;
        let (page, size) = (u64::from(query.page.max(1)), u64::from(query.page_size));
        let end = total.saturating_sub((page - 1).saturating_mul(size));
        let mut newest_first = Vec::new();
        for place in (end.saturating_sub(size)..end).rev() {
            newest_first.push(pages.take(permit, place).await?);
        }
        Ok(DeploymentPage { total: Some(total), ..newest_first.into_iter().flatten().collect() })
    }

    async fn preview_page(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        page: u32,
        page_size: u32,
    ) -> Result<Entries, Error> {
        let query = vec![("page", page.to_string()), ("pageSize", page_size.to_string())];
        let call = Call { query, ..Call::get(LIST, Route::stack(stack).deployments()) };
        let BareList(entries) = self.transport.fetch(permit, call).await?;
        Ok(entries)
    }
}

/// The pages of a stack's list that have been read.
struct Pages<'a> {
    client: &'a Client,
    stack: &'a StackId,
    read: BTreeMap<u32, Entries>,
}

impl Pages<'_> {
    async fn page(&mut self, permit: &mut Permit, page: u32) -> Result<&mut Entries, Error> {
        if !self.read.contains_key(&page) {
            let entries = self.client.preview_page(permit, self.stack, page, PAGE).await?;
            self.read.insert(page, entries);
        }
        Ok(self.read.entry(page).or_default())
    }

    /// How many runs there are: looks ever further until a page is not full, and then between the two for the first
    /// one that is not.
    async fn count(&mut self, permit: &mut Permit) -> Result<u64, Error> {
        let is_full = |entries: &Entries| entries.len() >= PAGE as usize;
        let (mut full, mut short) = (0, 1);
        while is_full(self.page(permit, short).await?) {
            full = short;
            short = short.saturating_mul(2);
        }
        while short - full > 1 {
            let middle = full + (short - full) / 2;
            if is_full(self.page(permit, middle).await?) {
                full = middle;
            } else {
                short = middle;
            }
        }
        let rest = self.page(permit, short).await?.len() as u64;
        Ok(u64::from(full) * u64::from(PAGE) + rest)
    }

    /// The run in a place, counted from 0 and from the oldest; none when it is not there any more.
    async fn take(&mut self, permit: &mut Permit, place: u64) -> Result<Option<Option<Deployment>>, Error> {
        let page = u32::try_from(place / u64::from(PAGE) + 1).unwrap_or(u32::MAX);
        let within = usize::try_from(place % u64::from(PAGE)).unwrap_or(usize::MAX);
        Ok(self.page(permit, page).await?.get_mut(within).map(Option::take))
    }
}
