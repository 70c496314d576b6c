//! Building blocks of tolerant decoding.

use secrecy::SecretString;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny};

/// `null` means the default, as an absent field does: Go encodes an empty slice or map as `null`.
pub(super) fn or_default<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// An empty text means that there is none.
pub(super) fn non_empty<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.filter(|text| !text.is_empty()))
}

/// A text without which the answer would be one to another question.
pub(super) fn required<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    non_empty(input)?.ok_or_else(|| D::Error::custom("a required text is empty"))
}

/// An item of a list that may be undecodable without spoiling the list.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Item<T> {
    Good(T),
    Bad(IgnoredAny),
}

/// The decodable items, and how many were not.
pub(super) fn good_items<T>(items: Vec<Item<T>>) -> (Vec<T>, usize) {
    let all = items.len();
    let good: Vec<T> = items
        .into_iter()
        .filter_map(|item| match item {
            Item::Good(item) => Some(item),
            Item::Bad(_) => None,
        })
        .collect();
    let bad = all - good.len();
    (good, bad)
}

/// A text that is not to be shown. It is required.
pub(super) fn secret<'de, D: Deserializer<'de>>(input: D) -> Result<SecretString, D::Error> {
    required(input).map(SecretString::from)
}
