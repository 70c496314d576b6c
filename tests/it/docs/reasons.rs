//! `docs/troubleshooting.md` has an entry for every reason that a condition may have, and for no other.

use std::{collections::BTreeSet, fs};

use super::{Page, assert_none, root};

const PAGE: &str = "docs/troubleshooting.md";

fn source(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// The words of a file between these two, such as string literals.
fn between(file: &str, before: &str, after: &str) -> BTreeSet<String> {
    let text = source(file);
    let found: BTreeSet<_> =
        text.split(before).skip(1).filter_map(|rest| Some(rest.split_once(after)?.0.to_owned())).collect();
    assert!(!found.is_empty(), "{file} has no {before}");
    found
}

/// Every reason in the code, with where it is.
fn reasons() -> Vec<(String, String)> {
    let mut reasons = vec![];
    for kind in ["organization", "settings", "deployment"] {
        let file = format!("src/controllers/{kind}/reason.rs");
        let text = source(&file);
        let variants = text.split_once("pub enum Reason {").unwrap().1.split_once('}').unwrap().0.lines();
        let variants =
            variants.map(str::trim).filter_map(|line| line.strip_suffix(',')).filter(|line| !line.starts_with("//"));
        reasons.extend(variants.map(|reason| (reason.to_owned(), file.clone())));
    }
    let table = "src/controllers/requeue.rs";
    for call in ["told(\"", "trouble(\""] {
        reasons.extend(between(table, call, "\"").into_iter().map(|reason| (reason, table.to_owned())));
    }
    let conditions = "src/controllers/conditions.rs";
    let progressing = between(conditions, "PROGRESSING_WITH_RETRY: &str = \"", "\"");
    reasons.extend(progressing.into_iter().map(|reason| (reason, conditions.to_owned())));
    assert!(reasons.len() > 50, "the reasons are not found any more");
    reasons
}

#[test]
fn every_reason_has_an_entry() {
    let page = Page::of(PAGE);
    let headings: BTreeSet<_> = page.headings().into_iter().collect();
    let missing: Vec<_> = reasons()
        .into_iter()
        .filter(|(reason, _)| !headings.contains(reason.as_str()))
        .map(|(reason, file)| format!("{PAGE}: add `### {reason}` (of {file}): what it means, and what to do"))
        .collect();
    assert_none(&missing);
}

#[test]
fn every_entry_is_a_reason() {
    let reasons: BTreeSet<_> = reasons().into_iter().map(|(reason, _)| reason).collect();
    let page = Page::of(PAGE);
    let entries = page.prose().into_iter().filter_map(|line| line.strip_prefix("### ")).collect::<Vec<_>>();
    let unknown: Vec<_> = entries
        .iter()
        .filter(|entry| !reasons.contains(**entry))
        .map(|entry| format!("{PAGE}: nothing in the code says {entry}"))
        .collect();
    assert_none(&unknown);
    assert!(entries.is_sorted(), "{PAGE}: the entries are not in the order of the alphabet: {entries:?}");
}

#[test]
fn every_condition_is_named() {
    let types = source("src/controllers/conditions.rs");
    let types =
        types.lines().filter_map(|line| line.strip_prefix("pub const ")).filter(|line| line.contains("&str = \""));
    let page = Page::of(PAGE);
    let mut missing = vec![];
    for line in types {
        let word = line.split('"').nth(1).unwrap();
        let is_a_word = word.chars().all(char::is_alphabetic);
        let is_named = page.headings().contains(&word) || page.text.contains(&format!("| `{word}` |"));
        if is_a_word && !is_named {
            missing.push(format!("{PAGE}: add a row for the condition `{word}` to the table at the top"));
        }
    }
    for known in ["Ready", "Reconciling", "Stalled"] {
        assert!(page.text.contains(&format!("| `{known}` |")), "{known}");
    }
    assert_none(&missing);
}
