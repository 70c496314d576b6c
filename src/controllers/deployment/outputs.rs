//! Pure: what a stack gives out × what is declared → what is written under which key, and what status says of it.

use std::collections::BTreeMap;

use serde_json::json;

use super::{plan::Inputs, reason::Reason};
use crate::{
    api::{
        ConditionStatus, DeploymentStatus, Time,
        deployment::{Operation, OutputsSpec, OutputsTarget, Phase, Run, WrittenOutputs},
        settings::SourceKind,
    },
    controllers::{
        conditions::{OUTPUTS_WRITTEN, Words, condition, remove, set},
        digest,
    },
    pulumi::wire::StackOutputs,
};

/// What is declared of outputs, and whether it is still there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Declared {
    /// The declaration.
    pub spec: OutputsSpec,
    /// Whether a Secret or ConfigMap that was written is gone.
    pub is_gone: bool,
}

/// The Secret and the ConfigMap that are declared, the ConfigMap first: it needs nothing decrypted.
pub fn targets(spec: &OutputsSpec) -> impl Iterator<Item = (SourceKind, &OutputsTarget)> {
    let config_map = spec.config_map.iter().map(|target| (SourceKind::ConfigMap, target));
    config_map.chain(spec.secret.iter().map(|target| (SourceKind::Secret, target)))
}

/// The run whose outputs stand in the stack and are not written as declared. Only an update that succeeded counts: a
/// stack that was left half-way is nobody's source.
#[must_use]
pub fn unwritten<'a>(spec: Option<&OutputsSpec>, status: &'a DeploymentStatus) -> Option<&'a Run> {
    let spec = spec?;
    let run = current(status)?;
    let is_written =
        status.outputs.as_ref().is_some_and(|it| it.run == run.id && it.declared == digest::plain(&json!(spec)));
    (!is_written).then_some(run)
}

/// The run after which outputs can be written.
#[must_use]
pub fn current(status: &DeploymentStatus) -> Option<&Run> {
    status.run.as_ref().filter(|run| run.operation == Operation::Update && run.result == Some(Phase::Succeeded))
}

/// What goes into a Secret or ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The outputs' names by their keys.
    pub keys: BTreeMap<String, String>,
    /// What was asked for and can't be, in sentences' parts.
    pub omitted: Vec<String>,
}

/// Selects. A ConfigMap gets nothing that is secret.
#[must_use]
pub fn select(kind: SourceKind, target: &OutputsTarget, outputs: &StackOutputs) -> Selection {
    let may_take = |output: &str| kind == SourceKind::Secret || !outputs.is_secret(output);
    let mut selection = Selection::default();
    let Some(declared) = &target.keys else {
        for output in outputs.names().filter(|output| may_take(output)) {
            if is_key(output) {
                selection.keys.insert(output.to_owned(), output.to_owned());
            } else {
                let why = format!(
                    "output {output:?} can't be a key of a {kind:?}: select outputs with keys, and name one for it"
                );
                selection.omitted.push(why);
            }
        }
        return selection;
    };
    for one in declared {
        let (output, key) = (&one.output, one.key.as_ref().unwrap_or(&one.output));
        let why = if !outputs.contains(output) {
            format!("the stack has no output {output:?}")
        } else if !may_take(output) {
            format!("output {output:?} is secret and goes into a Secret only")
        } else if !is_key(key) {
            format!("output {output:?} can't be a key of a {kind:?}: name one for it")
        } else {
            selection.keys.insert(key.clone(), output.clone());
            continue;
        };
        selection.omitted.push(why);
    }
    selection
}

/// Whether Kubernetes takes it as a key of a Secret or ConfigMap.
fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text != "."
        && !text.starts_with("..")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

/// What came of writing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    /// Everything that can be was written.
    Written(WrittenOutputs, Vec<String>),
    /// It was not, and why.
    Failed(Words),
}

/// Shows what came of writing, or that it is to come. What is not declared any more is forgotten.
pub fn show(status: &mut DeploymentStatus, inputs: &Inputs, report: Option<&Report>, now: Time) {
    let Some(declared) = &inputs.outputs else {
        status.outputs = None;
        return remove(&mut status.conditions, OUTPUTS_WRITTEN);
    };
    let (value, words) = match report {
        Some(Report::Written(written, omitted)) => {
            status.outputs = Some(written.clone());
            let message = message(written, &declared.spec);
            if omitted.is_empty() {
                (ConditionStatus::True, Words::new(Reason::OutputsWritten, message))
            } else {
                let message = format!("{message}, but {}", omitted.join("; "));
                (ConditionStatus::False, Words::new(Reason::OutputsIncomplete, message))
            }
        }
        Some(Report::Failed(words)) => (ConditionStatus::False, words.clone()),
        None => {
            let Some(run) = unwritten(Some(&declared.spec), status) else { return };
            let is_told =
                status.conditions.iter().any(|it| it.type_ == OUTPUTS_WRITTEN && it.status == ConditionStatus::False);
            if is_told {
                return;
            }
            let message = format!("the outputs that update {} of {} left are read now", run.version, run.target);
            (ConditionStatus::Unknown, Words::new(Reason::OutputsPending, message))
        }
    };
    set(
        &mut status.conditions,
        condition(OUTPUTS_WRITTEN, value, &words.reason, &words.message, inputs.generation, now),
    );
}

/// What was written, for people.
#[must_use]
pub fn message(written: &WrittenOutputs, spec: &OutputsSpec) -> String {
    let into = targets(spec).map(|(kind, target)| {
        let keys = match kind {
            SourceKind::Secret => written.secret_keys,
            SourceKind::ConfigMap => written.config_map_keys,
        };
        let keys = keys.unwrap_or_default();
        format!("{keys} {} of {kind:?} {}", if keys == 1 { "key" } else { "keys" }, target.name)
    });
    let into: Vec<_> = into.collect();
    format!("the outputs of update {} are in {}", written.version, into.join(" and "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        api::condition::find,
        controllers::deployment::plan::tests::{inputs, run},
    };

    fn spec(written: serde_json::Value) -> OutputsSpec {
        serde_json::from_value(written).unwrap()
    }

    fn stack() -> StackOutputs {
        let secret = json!({"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "C"});
        serde_json::from_value(json!({"url": "u", "kube config": {"a": [secret]}, "password": secret, "a b": 1}))
            .unwrap()
    }

    fn selected(kind: SourceKind, keys: &serde_json::Value) -> (Vec<(String, String)>, String) {
        let target = serde_json::from_value(json!({"name": "t", "keys": keys})).unwrap();
        let Selection { keys, omitted } = select(kind, &target, &stack());
        (keys.into_iter().collect(), omitted.join("; "))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, output)| ((*key).to_owned(), (*output).to_owned())).collect()
    }

    #[test]
    fn all_outputs_are_selected_and_secret_ones_for_a_secret_only() {
        let (keys, omitted) = selected(SourceKind::Secret, &json!(null));
        assert_eq!(keys, pairs(&[("password", "password"), ("url", "url")]));
        assert!(omitted.contains("\"kube config\" can't be a key") && omitted.contains("\"a b\""), "{omitted}");
        let (keys, omitted) = selected(SourceKind::ConfigMap, &json!(null));
        assert_eq!(keys, pairs(&[("url", "url")]));
        assert!(!omitted.contains("kube config") && omitted.contains("\"a b\""), "{omitted}");
    }

    #[rstest]
    #[case::renamed(SourceKind::Secret, json!([{"output": "kube config", "key": "config"}, {"output": "url"}]), &[("config", "kube config"), ("url", "url")], "")]
    #[case::secret(SourceKind::ConfigMap, json!([{"output": "password", "key": "p"}, {"output": "url", "key": "u"}]), &[("u", "url")], "\"password\" is secret")]
    #[case::missing(SourceKind::Secret, json!([{"output": "gone"}]), &[], "no output \"gone\"")]
    #[case::no_key(SourceKind::ConfigMap, json!([{"output": "a b"}]), &[], "name one for it")]
    fn outputs_are_selected_and_renamed(
        #[case] kind: SourceKind,
        #[case] keys: serde_json::Value,
        #[case] expected: &[(&str, &str)],
        #[case] why: &str,
    ) {
        let (keys, omitted) = selected(kind, &keys);
        assert_eq!(keys, pairs(expected));
        assert!(omitted.contains(why) && omitted.is_empty() == why.is_empty(), "{omitted}");
    }

    fn ended(operation: Operation, result: Phase) -> DeploymentStatus {
        let run = Run { operation, result: Some(result), ..run(1) };
        DeploymentStatus { run: Some(run), ..DeploymentStatus::default() }
    }

    fn written(declared: &OutputsSpec) -> WrittenOutputs {
        WrittenOutputs {
            run: run(1).id,
            version: 1,
            declared: digest::plain(&json!(declared)),
            secret_keys: Some(1),
            config_map_keys: None,
            written_at: Time::from_seconds(1),
        }
    }

    #[test]
    fn outputs_are_written_once_per_update_that_succeeded_and_per_declaration() {
        let declared = spec(json!({"secret": {"name": "s"}}));
        let mut status = ended(Operation::Update, Phase::Succeeded);
        assert!(unwritten(None, &status).is_none());
        assert!(unwritten(Some(&declared), &status).is_some());
        status.outputs = Some(written(&declared));
        assert!(unwritten(Some(&declared), &status).is_none());
        assert!(unwritten(Some(&spec(json!({"secret": {"name": "other"}}))), &status).is_some());
        status.run.as_mut().unwrap().id = "another".into();
        assert!(unwritten(Some(&declared), &status).is_some());
        for other in [ended(Operation::Update, Phase::Failed), ended(Operation::Destroy, Phase::Succeeded)] {
            assert!(unwritten(Some(&declared), &other).is_none());
        }
    }

    #[test]
    fn what_came_of_it_is_told_and_forgotten_with_the_declaration() {
        let declared = spec(json!({"secret": {"name": "s"}}));
        let inputs = |outputs| Inputs { outputs, ..inputs(1) };
        let with = inputs(Some(Declared { spec: declared.clone(), is_gone: false }));
        let mut status = ended(Operation::Update, Phase::Succeeded);
        let mut told = |report: Option<&Report>, inputs: &Inputs| {
            show(&mut status, inputs, report, Time::from_seconds(2));
            let told = find(&status.conditions, OUTPUTS_WRITTEN);
            (told.map(|it| (it.status, it.reason.clone(), it.message.clone())), status.outputs.is_some())
        };
        let (pending, _) = told(None, &with);
        assert_eq!(pending.map(|it| (it.0, it.1)), Some((ConditionStatus::Unknown, "OutputsPending".into())));
        let failed = Report::Failed(Words::new(Reason::OutputsRefused, "no"));
        let (refused, is_written) = told(Some(&failed), &with);
        assert_eq!((refused.map(|it| it.0), is_written), (Some(ConditionStatus::False), false));
        assert_eq!(
            told(None, &with).0.map(|it| it.1),
            Some("OutputsRefused".into()),
            "it is not taken back before it is tried again"
        );
        let all = Report::Written(written(&declared), vec![]);
        let (done, is_written) = told(Some(&all), &with);
        let message = "the outputs of update 1 are in 1 key of Secret s".to_owned();
        assert_eq!((done, is_written), (Some((ConditionStatus::True, "OutputsWritten".into(), message)), true));
        assert_eq!(told(None, &with).0.map(|it| it.0), Some(ConditionStatus::True));
        let some = Report::Written(written(&declared), vec!["the stack has no output \"x\"".into()]);
        let (incomplete, is_written) = told(Some(&some), &with);
        assert_eq!((incomplete.map(|it| it.1), is_written), (Some("OutputsIncomplete".into()), true));
        assert_eq!(told(None, &inputs(None)), (None, false));
    }
}
