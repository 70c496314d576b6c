//! The labels, and all values that they may have. None is the name of an object, of which there may be thousands.

use std::sync::LazyLock;

use strum::{VariantArray, VariantNames};

use crate::{
    api::{
        ConditionStatus,
        deployment::{Operation, Phase},
    },
    controllers::{Error, deployment, links::Kind, organization, requeue, settings},
    pulumi::{CallClass, End, OPERATIONS},
};

/// Labels with their values. A value is part of the program's text, so there is no way to make one of an object's name.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Labels, each with what it is: a constant for each, and a list of all.
macro_rules! labels {
    ($($constant:ident = $label:literal: $about:literal,)*) => {
        $(#[doc = concat!($about, ".")] pub const $constant: &str = $label;)*

        /// Every label, and what it is.
        pub const ALL: [(&str, &str); [$($constant),*].len()] = [$(($constant, $about)),*];
    };
}

labels! {
    CONTROLLER = "controller": "Which of the three kinds a controller looks after",
    KIND = "kind": "One of the three kinds",
    CLASS = "class": "What went wrong in a reconcile",
    CALL = "call": "The API's name of a call",
    CODE = "code": "The HTTP status of an answer, or how a request ended without one",
    PURPOSE = "purpose": "What a call is for",
    STATE = "state": "Whether a request budget lets calls through",
    OPERATION = "operation": "A Pulumi operation",
    RESULT = "result": "How a run ended",
    PHASE = "phase": "Where a Deployment stands",
    OUTCOME = "outcome": "What came of an exchange of tokens",
    CAUSE = "cause": "Why settings were pushed",
    OF = "of": "Of what there was drift",
    READY = "ready": "The status of the condition `Ready`",
    REASON = "reason": "The reason of the condition `Ready`",
    RETRIED = "retried": "Whether another run of the same request follows one that ended",
    VERSION = "version": "The operator's version",
}

/// What is there in place of a reason that only another version of the operator knows, or somebody else has written.
pub const OTHER: &str = "Other";
/// What came of an exchange of tokens.
pub const OUTCOMES: [&str; 3] = ["succeeded", "refused", "failed"];
/// Why settings were pushed.
pub const CAUSES: [&str; 2] = ["declared", "drift"];
/// Of what there may be drift.
pub const DRIFTERS: [&str; 2] = ["settings", "stack"];
/// Whether a request budget lets calls through.
pub const STATES: [&str; 3] = ["open", "throttled", "rejected"];

/// All values that a label may have; none for what is no label of ours.
#[must_use]
pub fn values(label: &str) -> Vec<&'static str> {
    match label {
        CONTROLLER | KIND => Kind::ALL.map(Kind::label).to_vec(),
        CLASS => Error::CLASSES.to_vec(),
        CALL => OPERATIONS.to_vec(),
        CODE => CODES.iter().map(String::as_str).chain(End::WORDS).collect(),
        PURPOSE => CallClass::ALL.map(CallClass::as_str).to_vec(),
        STATE => STATES.to_vec(),
        OPERATION => operations().collect(),
        RESULT => phases().filter(|phase| phase.is_terminal()).map(Into::into).collect(),
        PHASE => phases().map(Into::into).collect(),
        OUTCOME => OUTCOMES.to_vec(),
        CAUSE => CAUSES.to_vec(),
        OF => DRIFTERS.to_vec(),
        READY => [ConditionStatus::True, ConditionStatus::False, ConditionStatus::Unknown].map(ready).to_vec(),
        REASON => REASONS.clone(),
        RETRIED => [false, true].map(yes_or_no).to_vec(),
        VERSION => vec![env!("CARGO_PKG_VERSION")],
        _ => vec![],
    }
}

pub(super) const fn yes_or_no(it: bool) -> &'static str {
    if it { "true" } else { "false" }
}

/// The Pulumi operations.
pub(super) fn operations() -> impl Iterator<Item = &'static str> {
    Operation::VARIANTS.iter().map(|operation| operation.as_str())
}

/// The phases of a Deployment.
pub(super) fn phases() -> impl Iterator<Item = Phase> {
    Phase::VARIANTS.iter().copied()
}

pub(super) const fn ready(status: ConditionStatus) -> &'static str {
    match status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    }
}

/// The reasons that `Ready` may have, in the order of the alphabet.
static REASONS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let kinds = [organization::Reason::VARIANTS, settings::Reason::VARIANTS, deployment::Reason::VARIANTS];
    let mut all: Vec<_> = kinds.concat().into_iter().chain(requeue::REASONS).chain([OTHER]).collect();
    all.sort_unstable();
    all.dedup();
    all
});

/// A reason as a value of its label.
pub(super) fn reason(told: &str) -> &'static str {
    REASONS.binary_search(&told).map_or(OTHER, |at| REASONS[at])
}

const FIRST_CODE: u16 = 100;
const LAST_CODE: u16 = 599;

/// The statuses that HTTP has.
static CODES: LazyLock<Vec<String>> = LazyLock::new(|| (FIRST_CODE..=LAST_CODE).map(|code| code.to_string()).collect());

/// How a request ended, as a value of its label.
pub(super) fn code(end: End) -> &'static str {
    let status = |end| match end {
        End::Status(status) => CODES.get(usize::from(status.checked_sub(FIRST_CODE)?)).map(String::as_str),
        _ => end.word(),
    };
    // A status that HTTP does not have is no answer.
    status(end).or(End::Broken.word()).unwrap_or_default()
}
