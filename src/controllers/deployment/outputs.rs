//! Pure: what a stack gives out × what is declared → what is written under which key, and what status says of it.

use std::collections::BTreeMap;

use serde_json::json;

use super::{plan::Inputs, reason::Reason};
use crate::{
    api::{
        Condition, ConditionStatus, DeploymentStatus, Time,
        condition::find,
        deployment::{Operation, OutputsSpec, OutputsTarget, Phase, Refusal, Run, WrittenOutputs},
        settings::SourceKind,
    },
    controllers::{
        conditions::{OUTPUTS_WRITTEN, Standing, Words, condition, remove, set, set_standing},
        digest,
        requeue::Consequence,
    },
    pulumi::wire::StackOutputs,
};

/// What is declared of outputs, and what is known of it beside status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Declared {
    /// The declaration.
    pub spec: OutputsSpec,
    /// Whether a Secret or ConfigMap that was written is gone.
    pub is_gone: bool,
    /// Whether this process has not tried to write the newest run's for a while: then a new request waits for an attempt.
    pub is_untried: bool,
}

/// The Secret and the ConfigMap that are declared, the ConfigMap first: it needs nothing decrypted.
pub fn targets(spec: &OutputsSpec) -> impl Iterator<Item = (SourceKind, &OutputsTarget)> {
    let config_map = spec.config_map.iter().map(|target| (SourceKind::ConfigMap, target));
    config_map.chain(spec.secret.iter().map(|target| (SourceKind::Secret, target)))
}

/// The run whose outputs are to be written: they are not where they are declared to be, and nothing says that they never
/// will be.
#[must_use]
pub fn due<'a>(declared: &Declared, requested_at: Option<&str>, status: &'a DeploymentStatus) -> Option<&'a Run> {
    let is_due = !is_written(&declared.spec, status) || declared.is_gone;
    current(status).filter(|_| is_due && refusal(&declared.spec, requested_at, status).is_none())
}

/// Whether the outputs of the newest run were written as they are declared.
#[must_use]
pub fn is_written(spec: &OutputsSpec, status: &DeploymentStatus) -> bool {
    // A declaration that was changed and changed back leaves a doubt.
    let is_sure = told(status).is_none_or(|told| told.status != ConditionStatus::Unknown);
    let as_declared = |written: &&WrittenOutputs| written.declared == digest_of(spec);
    let written = status.outputs.as_ref().filter(as_declared);
    is_sure && current(status).is_some_and(|run| written.is_some_and(|written| written.run == run.id))
}

/// The run after which outputs can be written. Only an update that succeeded counts: a stack that was left half-way is
/// nobody's source.
#[must_use]
pub fn current(status: &DeploymentStatus) -> Option<&Run> {
    status.run.as_ref().filter(|run| run.operation == Operation::Update && run.result == Some(Phase::Succeeded))
}

/// Digest of a declaration.
#[must_use]
pub fn digest_of(spec: &OutputsSpec) -> String {
    digest::plain(&json!(spec))
}

/// What is remembered when outputs can't be had: they are asked for again when the run, the declaration or the annotation
/// that asks for a look has changed.
#[must_use]
pub fn refused(run: &Run, spec: &OutputsSpec, requested_at: Option<&str>, message: String) -> Refusal {
    Refusal { digest: digest::plain(&json!([run.id, spec, requested_at])), message }
}

/// The refusal that still holds.
fn refusal<'a>(spec: &OutputsSpec, requested_at: Option<&str>, status: &'a DeploymentStatus) -> Option<&'a Refusal> {
    let run = current(status)?;
    status.outputs_refusal.as_ref().filter(|known| **known == refused(run, spec, requested_at, known.message.clone()))
}

fn told(status: &DeploymentStatus) -> Option<&Condition> {
    find(&status.conditions, OUTPUTS_WRITTEN)
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
    /// Everything that can be was written; what can't be, in sentences' parts.
    Written(WrittenOutputs, Vec<String>),
    /// They were not, and it is tried again.
    Failed(Consequence),
    /// They can't be had, and are not asked for again.
    Refused(Refusal),
}

/// Shows outputs, and says where a Deployment stands then: one whose run has ended well also declares its outputs.
#[must_use]
pub fn tell(
    status: &mut DeploymentStatus,
    standing: Standing,
    inputs: &Inputs,
    report: Option<&Report>,
    now: Time,
) -> Standing {
    show(status, inputs, report, now);
    let (Standing::Done(_), Some(declared), Some(run)) = (&standing, &inputs.outputs, current(status)) else {
        return standing;
    };
    if let Some(Report::Failed(consequence)) = report {
        if let Standing::Retrying(Words { message, .. }) = &consequence.standing {
            // It may have been Ready with other outputs.
            let pending = Standing::InProgress(Words::new(Reason::OutputsPending, message));
            set_standing(&mut status.conditions, &pending, inputs.generation, now);
        }
        consequence.standing.clone()
    } else if let Some(refusal) = refusal(&declared.spec, inputs.requested_at.as_deref(), status) {
        Standing::Stalled(Words::new(Reason::OutputsRefused, refusal.message.clone()))
    } else if is_written(&declared.spec, status) {
        standing
    } else {
        let message = format!("update {} of {} succeeded; its outputs are written next", run.version, run.target);
        Standing::InProgress(Words::new(Reason::OutputsPending, message))
    }
}

/// Shows what came of writing, or that it is to come. What is not declared any more is forgotten.
pub fn show(status: &mut DeploymentStatus, inputs: &Inputs, report: Option<&Report>, now: Time) {
    let Some(declared) = &inputs.outputs else {
        (status.outputs, status.outputs_refusal) = (None, None);
        return remove(&mut status.conditions, OUTPUTS_WRITTEN);
    };
    let spec = &declared.spec;
    match report {
        Some(Report::Written(written, _)) => (status.outputs, status.outputs_refusal) = (Some(written.clone()), None),
        Some(Report::Refused(refusal)) => status.outputs_refusal = Some(refusal.clone()),
        Some(Report::Failed(_)) | None => {
            status.outputs_refusal = refusal(spec, inputs.requested_at.as_deref(), status).cloned();
        }
    }
    let (value, words) = match report {
        Some(Report::Written(written, omitted)) if omitted.is_empty() => {
            (ConditionStatus::True, Words::new(Reason::OutputsWritten, message(written, spec)))
        }
        Some(Report::Written(written, omitted)) => {
            let message = format!("{}, but {}", message(written, spec), omitted.join("; "));
            (ConditionStatus::False, Words::new(Reason::OutputsIncomplete, message))
        }
        Some(Report::Failed(consequence)) => (ConditionStatus::False, consequence.standing.words().clone()),
        Some(Report::Refused(_)) | None => match to_come(spec, status) {
            Some(told) => told,
            None => return,
        },
    };
    set(
        &mut status.conditions,
        condition(OUTPUTS_WRITTEN, value, &words.reason, &words.message, inputs.generation, now),
    );
}

/// What is said while nothing is written. Nothing: what is said already stays true.
fn to_come(spec: &OutputsSpec, status: &DeploymentStatus) -> Option<(ConditionStatus, Words)> {
    let is_told = told(status).is_some_and(|told| told.status == ConditionStatus::False);
    let pending = |message: String| Some((ConditionStatus::Unknown, Words::new(Reason::OutputsPending, message)));
    let run = status.run.as_ref()?;
    if current(status).is_some() {
        let is_incomplete = told(status).is_some_and(|told| told.reason == format!("{:?}", Reason::OutputsIncomplete));
        return match &status.outputs_refusal {
            Some(refusal) => {
                Some((ConditionStatus::False, Words::new(Reason::OutputsRefused, refusal.message.clone())))
            }
            None if is_written(spec, status) || (is_told && !is_incomplete) => None,
            None => pending(format!("the outputs that update {} of {} left are read now", run.version, run.target)),
        };
    }
    match &status.outputs {
        Some(written) if written.declared == digest_of(spec) => {
            let since = run.result.map(|result| {
                format!("; since then there was {} {} ({result}), which left none to write", run.operation, run.version)
            });
            let message = format!("{}{}", message(written, spec), since.unwrap_or_default());
            (!is_told).then(|| (ConditionStatus::True, Words::new(Reason::OutputsWritten, message)))
        }
        Some(written) => pending(format!(
            "what was last written are the outputs of update {}, as they were declared then; as they are declared now \
             they are written after the next update that succeeds",
            written.version
        )),
        None => pending("none were written yet: that is done after an update that succeeds".to_owned()),
    }
}

/// An update has succeeded: what was told of the outputs of an earlier one does not speak of its.
pub fn begin(status: &mut DeploymentStatus) {
    if current(status).is_some() && told(status).is_some_and(|told| told.status == ConditionStatus::False) {
        remove(&mut status.conditions, OUTPUTS_WRITTEN);
    }
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
    use crate::controllers::deployment::plan::tests::{inputs, run};

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

    fn declared(spec: &OutputsSpec) -> Declared {
        Declared { spec: spec.clone(), is_gone: false, is_untried: true }
    }

    #[test]
    fn outputs_are_written_once_per_update_that_succeeded_and_per_declaration() {
        let wanted = declared(&spec(json!({"secret": {"name": "s"}})));
        let is_due = |wanted: &Declared, status: &DeploymentStatus| due(wanted, None, status).is_some();
        let mut status = ended(Operation::Update, Phase::Succeeded);
        assert!(is_due(&wanted, &status));
        status.outputs = Some(written(&wanted.spec));
        assert!(!is_due(&wanted, &status));
        assert!(is_due(&Declared { is_gone: true, ..wanted.clone() }, &status));
        assert!(is_due(&declared(&spec(json!({"secret": {"name": "other"}}))), &status));
        status.run.as_mut().unwrap().id = "another".into();
        assert!(is_due(&wanted, &status));
        for other in [ended(Operation::Update, Phase::Failed), ended(Operation::Destroy, Phase::Succeeded)] {
            assert!(!is_due(&wanted, &other));
        }
    }

    /// A Deployment's status, told one thing after another.
    struct Told {
        status: DeploymentStatus,
        inputs: Inputs,
    }

    impl Told {
        fn new(spec: &OutputsSpec) -> Self {
            let inputs = Inputs { outputs: Some(declared(spec)), ..inputs(1) };
            Self { status: ended(Operation::Update, Phase::Succeeded), inputs }
        }

        /// What the condition says then, and where the resource as a whole stands.
        fn then(&mut self, report: Option<&Report>) -> (ConditionStatus, String, String, Standing) {
            let done = Standing::Done(Words::new(Phase::Succeeded, ""));
            let standing = tell(&mut self.status, done, &self.inputs, report, Time::from_seconds(2));
            let told = told(&self.status).unwrap().clone();
            (told.status, told.reason, told.message, standing)
        }
    }

    fn trouble() -> Report {
        Report::Failed(Consequence {
            class: crate::pulumi::Class::Unavailable,
            standing: Standing::Retrying(Words::new(Reason::OutputsPending, "503")),
            retry: crate::controllers::requeue::Retry::Backoff,
            detail: String::new(),
        })
    }

    #[test]
    fn what_came_of_it_is_told_and_forgotten_with_the_declaration() {
        use ConditionStatus::{False, True, Unknown};
        let wanted = spec(json!({"secret": {"name": "s"}}));
        let mut it = Told::new(&wanted);
        let (value, reason, _, standing) = it.then(None);
        assert_eq!((value, reason.as_str()), (Unknown, "OutputsPending"));
        assert!(matches!(standing, Standing::InProgress(words) if words.reason == "OutputsPending"));

        let (value, _, message, standing) = it.then(Some(&trouble()));
        assert_eq!((value, message.as_str()), (False, "503"));
        assert!(matches!(standing, Standing::Retrying(_)));
        assert_eq!(it.then(None).2, "503", "it is not taken back before it is tried again");

        let run = run(1);
        let (value, reason, message, standing) =
            it.then(Some(&Report::Refused(refused(&run, &wanted, None, "too large".into()))));
        assert_eq!((value, reason.as_str(), message.as_str()), (False, "OutputsRefused", "too large"));
        assert!(matches!(standing, Standing::Stalled(words) if words.reason == "OutputsRefused"));
        assert_eq!((it.then(None).0, it.status.outputs_refusal.is_some()), (False, true));
        it.inputs.requested_at = Some("now".into());
        let (_, _, _, standing) = it.then(None);
        assert!(it.status.outputs_refusal.is_none() && matches!(standing, Standing::InProgress(_)));

        let (value, reason, message, standing) = it.then(Some(&Report::Written(written(&wanted), vec![])));
        let all = "the outputs of update 1 are in 1 key of Secret s";
        assert_eq!((value, reason.as_str(), message.as_str()), (True, "OutputsWritten", all));
        assert!(matches!(standing, Standing::Done(_)));
        assert_eq!(it.then(None).0, True);
        let some = Report::Written(written(&wanted), vec!["the stack has no output \"x\"".into()]);
        let (value, reason, _, standing) = it.then(Some(&some));
        assert_eq!((value, reason.as_str()), (False, "OutputsIncomplete"));
        assert!(matches!(standing, Standing::Done(_)), "the rest can be used");

        it.inputs.outputs = None;
        show(&mut it.status, &it.inputs, None, Time::from_seconds(2));
        assert!(told(&it.status).is_none() && it.status.outputs.is_none());
    }

    /// Whatever has happened since, it is told whose outputs they are.
    #[test]
    fn what_is_told_stays_true_when_later_runs_leave_nothing() {
        use ConditionStatus::{True, Unknown};
        let wanted = spec(json!({"secret": {"name": "s"}}));
        let mut it = Told::new(&wanted);
        it.then(Some(&Report::Written(written(&wanted), vec![])));
        let failed = Run { id: "2".into(), version: 2, result: Some(Phase::Failed), ..run(1) };
        it.status.run = Some(failed.clone());
        let (value, _, message, _) = it.then(None);
        assert_eq!(value, True);
        let since = "the outputs of update 1 are in 1 key of Secret s; since then there was update 2 (Failed)";
        assert!(message.starts_with(since), "{message}");

        let more = spec(json!({"secret": {"name": "s"}, "configMap": {"name": "c"}}));
        it.inputs.outputs = Some(declared(&more));
        let (value, _, message, _) = it.then(None);
        assert_eq!(value, Unknown);
        assert!(message.starts_with("what was last written are the outputs of update 1, as they were declared"));

        // One that succeeded, and another came and failed before the first's were written.
        let mut it = Told::new(&wanted);
        assert!(it.then(None).2.ends_with("are read now"));
        it.status.run = Some(failed);
        let (value, _, message, _) = it.then(None);
        assert_eq!(
            (value, message.as_str()),
            (Unknown, "none were written yet: that is done after an update that succeeds")
        );
    }

    #[test]
    fn a_declaration_that_is_changed_and_changed_back_is_written_again() {
        let (one, other) = (spec(json!({"secret": {"name": "s"}})), spec(json!({"secret": {"name": "t"}})));
        let mut it = Told::new(&one);
        it.then(Some(&Report::Written(written(&one), vec!["something is missing".into()])));
        it.inputs.outputs = Some(declared(&other));
        assert_eq!(it.then(None).0, ConditionStatus::Unknown);
        assert!(due(&declared(&one), None, &it.status).is_some(), "what was missing is not known any more");
    }
}
