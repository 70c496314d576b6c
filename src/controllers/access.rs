//! Who may use an organization for what: the rules of `Organization.spec.access`. Pure.

use std::collections::BTreeMap;

use globset::GlobBuilder;

use crate::api::{
    deployment::Operation,
    organization::{AccessRule, LabelOperator, LabelSelector, NamespaceRule, NamespacesFrom},
};

/// A use of an organization that a rule may allow.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// Namespace of the resource that asks.
    pub namespace: &'a str,
    /// Labels of that namespace; needed only where a rule has a selector.
    pub labels: &'a BTreeMap<String, String>,
    /// The project.
    pub project: &'a str,
    /// The stack.
    pub stack: &'a str,
    /// The operation to run; settings have none.
    pub operation: Option<Operation>,
}

/// What the rules say of a use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is allowed, with the role that it must have.
    Allowed {
        /// Id of the Pulumi role that is forced on runs.
        role_id: Option<String>,
    },
    /// It is not; the sentence says what stands against it.
    Denied(String),
}

/// Whether rules must know the labels of namespaces.
#[must_use]
pub fn needs_labels(rules: Option<&[AccessRule]>) -> bool {
    rules
        .into_iter()
        .flatten()
        .any(|rule| matches!(&rule.namespaces, Some(NamespaceRule { from: NamespacesFrom::Selector, .. })))
}

/// Judges a use of the organization in namespace `home`. The first rule that allows it decides on the role.
#[must_use]
pub fn judge(rules: Option<&[AccessRule]>, home: &str, wanted: Use<'_>) -> Verdict {
    let Some(rules) = rules else {
        return if wanted.namespace == home {
            Verdict::Allowed { role_id: None }
        } else {
            Verdict::Denied(format!(
                "the Organization has no spec.access, so only namespace {home} may use it; add a rule for namespace {} there",
                wanted.namespace
            ))
        };
    };
    rules
        .iter()
        .find(|rule| {
            allows_namespace(rule, home, wanted) && allows_stack(rule, wanted) && allows_operation(rule, wanted)
        })
        .map_or_else(
            || {
                let operation =
                    wanted.operation.map(|operation| format!(" the operation {operation} of")).unwrap_or_default();
                Verdict::Denied(format!(
                    "no rule of the Organization's spec.access lets namespace {} use{operation} stack {}/{}",
                    wanted.namespace, wanted.project, wanted.stack
                ))
            },
            |rule| Verdict::Allowed { role_id: rule.role_id.clone() },
        )
}

fn allows_namespace(rule: &AccessRule, home: &str, wanted: Use<'_>) -> bool {
    match &rule.namespaces {
        None | Some(NamespaceRule { from: NamespacesFrom::Same, .. }) => wanted.namespace == home,
        Some(NamespaceRule { from: NamespacesFrom::All, .. }) => true,
        Some(NamespaceRule { from: NamespacesFrom::Selector, selector }) => {
            selector.as_ref().is_some_and(|selector| matches(selector, wanted.labels))
        }
    }
}

fn allows_stack(rule: &AccessRule, wanted: Use<'_>) -> bool {
    let name = format!("{}/{}", wanted.project, wanted.stack);
    rule.stacks.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob_matches(glob, &name)))
}

fn allows_operation(rule: &AccessRule, wanted: Use<'_>) -> bool {
    match (&rule.operations, wanted.operation) {
        (Some(allowed), Some(operation)) => allowed.contains(&operation),
        (None, _) | (_, None) => true,
    }
}

fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match requirement.operator {
                LabelOperator::In => value.is_some_and(|value| requirement.values.contains(value)),
                LabelOperator::NotIn => value.is_none_or(|value| !requirement.values.contains(value)),
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        })
}

/// Globs over `project/stack`: `*` and `?` do not cross `/`, `**` does. A glob that cannot be read matches nothing.
fn glob_matches(glob: &str, text: &str) -> bool {
    GlobBuilder::new(glob).literal_separator(true).build().is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web/*", "web/prod", true)]
    #[case("web/*", "web/a/b", false)]
    #[case("*", "web/prod", false)]
    #[case("**", "web/prod", true)]
    #[case("*/prod", "web/prod", true)]
    #[case("web/pr?d", "web/prod", true)]
    #[case("web/prod", "web/prod2", false)]
    #[case("w*b/p*d", "web/prod", true)]
    fn globs(#[case] glob: &str, #[case] text: &str, #[case] expected: bool) {
        assert_eq!(glob_matches(glob, text), expected);
    }

    fn judged(rules: Option<&str>, namespace: &str, stack: &str, operation: Option<Operation>) -> Verdict {
        let rules: Option<Vec<AccessRule>> = rules.map(|json| serde_json::from_str(json).unwrap());
        let labels = BTreeMap::from([("team".to_owned(), namespace.to_owned())]);
        judge(rules.as_deref(), "platform", Use { namespace, labels: &labels, project: "web", stack, operation })
    }

    const ALLOWED: Verdict = Verdict::Allowed { role_id: None };

    #[test]
    fn without_rules_only_the_own_namespace_is_let_in() {
        assert_eq!(judged(None, "platform", "prod", None), ALLOWED);
        let Verdict::Denied(message) = judged(None, "web", "prod", None) else { panic!("let in") };
        assert!(message.contains("add a rule for namespace web"), "{message}");
    }

    #[test]
    fn no_rule_lets_nobody_in() {
        assert!(matches!(judged(Some("[]"), "platform", "prod", None), Verdict::Denied(_)));
    }

    #[rstest]
    #[case("web", "prod", Some(Operation::Update), true)]
    #[case("web", "prod", Some(Operation::Destroy), false)]
    #[case("web", "prod", None, true)]
    #[case("data", "prod", Some(Operation::Update), false)]
    #[case("web", "dev", Some(Operation::Update), false)]
    fn all_parts_of_a_rule_must_hold(
        #[case] namespace: &str,
        #[case] stack: &str,
        #[case] operation: Option<Operation>,
        #[case] allowed: bool,
    ) {
        let rules = r#"[{"namespaces":{"from":"Selector","selector":{"matchLabels":{"team":"web"}}},"stacks":["web/prod"],"operations":["update","preview"]}]"#;
        assert_eq!(judged(Some(rules), namespace, stack, operation) == ALLOWED, allowed);
    }

    #[rstest]
    #[case(r#"{"key":"team","operator":"In","values":["web"]}"#, true)]
    #[case(r#"{"key":"team","operator":"NotIn","values":["web"]}"#, false)]
    #[case(r#"{"key":"team","operator":"Exists"}"#, true)]
    #[case(r#"{"key":"team","operator":"DoesNotExist"}"#, false)]
    #[case(r#"{"key":"zone","operator":"NotIn","values":["web"]}"#, true)]
    fn expressions(#[case] expression: &str, #[case] allowed: bool) {
        let rules =
            format!(r#"[{{"namespaces":{{"from":"Selector","selector":{{"matchExpressions":[{expression}]}}}}}}]"#);
        assert_eq!(judged(Some(&rules), "web", "prod", None) == ALLOWED, allowed);
    }

    #[test]
    fn the_role_of_the_rule_is_forced() {
        let rules = r#"[{"stacks":["other/*"],"roleID":"no"},{"roleID":"ops"}]"#;
        assert_eq!(judged(Some(rules), "platform", "prod", None), Verdict::Allowed { role_id: Some("ops".into()) });
    }
}
