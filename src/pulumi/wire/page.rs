//! A page of a list.

use serde::Deserialize;

use super::lenient::{Item, good_items, or_default};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "RawPage<T>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Page<T> {
    /// The items that could be decoded.
    pub items: Vec<T>,
    /// How many could not: one odd item must not hide the others.
    pub undecodable: usize,
    /// How many items there are on all pages.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// How many items the page holds, undecodable ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len() + self.undecodable
    }

    /// True past the last page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Deserialize)]
struct RawPage<T> {
    // Required, though it may be null: without it, the answer is not a list at all.
    #[serde(
        rename = "deployments",
        alias = "driftRuns",
        deserialize_with = "or_default",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    items: Vec<Item<T>>,
    #[serde(default)]
    total: Option<u64>,
}

impl<T> From<RawPage<T>> for Page<T> {
    fn from(raw: RawPage<T>) -> Self {
        let (items, undecodable) = good_items(raw.items);
        Self { items, undecodable, total: raw.total }
    }
}

/// A list that is nothing but its items, each in its place: `None` is one that can't be decoded.
#[derive(Deserialize)]
#[serde(from = "Option<Vec<Item<T>>>", bound(deserialize = "T: Deserialize<'de>"))]
pub(in crate::pulumi) struct BareList<T>(pub Vec<Option<T>>);

impl<T> From<Option<Vec<Item<T>>>> for BareList<T> {
    fn from(items: Option<Vec<Item<T>>>) -> Self {
        let good = |item| match item {
            Item::Good(item) => Some(item),
            Item::Bad(_) => None,
        };
        Self(items.unwrap_or_default().into_iter().map(good).collect())
    }
}

impl<T> FromIterator<Option<T>> for Page<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(entries: I) -> Self {
        let mut page = Self { items: Vec::new(), undecodable: 0, total: None };
        for entry in entries {
            match entry {
                Some(item) => page.items.push(item),
                None => page.undecodable += 1,
            }
        }
        page
    }
}
