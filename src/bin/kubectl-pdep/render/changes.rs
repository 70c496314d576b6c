//! What settings would change remotely. Pure.

use pulumi_deployments_operator::controllers::settings::changes::{Change, ScheduleChange};
use serde_json::{Value, json};

use crate::output::Paint;

/// Everything that settings would change.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The stack, as `organization/project/stack`.
    pub stack: String,
    /// The fields.
    pub fields: Vec<Change>,
    /// The pause that would be set.
    pub paused: Option<bool>,
    /// The schedules.
    pub schedules: Vec<ScheduleChange>,
    /// What stands in the way, or could not be looked at.
    pub notes: Vec<String>,
}

/// For people.
#[must_use]
pub fn text(changes: &Changes, paint: Paint) -> String {
    let Changes { stack, fields, paused, schedules, notes } = changes;
    let mut lines = vec![];
    for Change { path, before, after, is_certain } in fields {
        let (name, shown) = (path.join("."), |value: &Value| {
            value
                .as_str()
                .filter(|text| text.starts_with(['(', '[']))
                .map_or_else(|| value.to_string(), ToOwned::to_owned)
        });
        lines.push(match (before, after) {
            (Some(before), Some(after)) if !is_certain => paint.held(&format!(
                "? {name}: {} → {} (can't be compared, and is sent to be sure)",
                shown(before),
                shown(after)
            )),
            (Some(before), Some(after)) => paint.busy(&format!("~ {name}: {} → {}", shown(before), shown(after))),
            (Some(before), None) => paint.bad(&format!("- {name}: {}", shown(before))),
            (None, Some(after)) => paint.good(&format!("+ {name}: {}", shown(after))),
            (None, None) => continue,
        });
    }
    lines.extend(paused.map(|paused| paint.busy(&format!("~ paused: {} → {paused}", !paused))));
    for ScheduleChange { name, change } in schedules {
        lines.push(match *change {
            "create" => paint.good(&format!("+ schedule {name}")),
            "remove" => paint.bad(&format!("- schedule {name}")),
            other => paint.busy(&format!("~ schedule {name}: {other}")),
        });
    }
    let head = match lines.len() {
        0 => paint.good(&format!("{stack}: nothing would change")),
        1 => paint.strong(&format!("{stack}: 1 change")),
        count => paint.strong(&format!("{stack}: {count} changes")),
    };
    let notes = notes.iter().map(|note| paint.held(&format!("! {note}")));
    let lines: Vec<String> = lines.into_iter().chain(notes).map(|line| format!("  {line}\n")).collect();
    format!("{head}\n{}", lines.concat())
}

/// For programs.
#[must_use]
pub fn value(changes: &Changes) -> Value {
    let Changes { stack, fields, paused, schedules, notes } = changes;
    let fields: Vec<Value> = fields
        .iter()
        .map(|Change { path, before, after, is_certain }| {
            json!({"path": path, "before": before, "after": after, "certain": is_certain})
        })
        .collect();
    let schedules: Vec<Value> =
        schedules.iter().map(|ScheduleChange { name, change }| json!({"name": name, "change": change})).collect();
    json!({"stack": stack, "fields": fields, "paused": paused, "schedules": schedules, "notes": notes})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, before: Option<Value>, after: Option<Value>, is_certain: bool) -> Change {
        Change { path: path.split('.').map(str::to_owned).collect(), before, after, is_certain }
    }

    #[test]
    fn every_sort_of_change_has_a_sign() {
        let changes = Changes {
            stack: "acme/web/prod".into(),
            fields: vec![
                change("sourceContext.git.branch", Some(json!("refs/heads/main")), Some(json!("dev")), true),
                change("agentPoolID", Some(json!("x")), None, true),
                change("operationContext.environmentVariables.TIER", None, Some(json!("gold")), true),
                change(
                    "operationContext.environmentVariables.DB",
                    Some(json!("[secret]")),
                    Some(json!("(from Secret db, key password)")),
                    false,
                ),
            ],
            paused: Some(true),
            schedules: vec![
                ScheduleChange { name: "nightly".into(), change: "create" },
                ScheduleChange { name: "old".into(), change: "remove" },
                ScheduleChange { name: "weekly".into(), change: "update" },
            ],
            notes: vec!["Secret db does not exist yet".into()],
        };
        insta::assert_snapshot!(text(&changes, Paint::PLAIN), @r#"
        acme/web/prod: 8 changes
          ~ sourceContext.git.branch: "refs/heads/main" → "dev"
          - agentPoolID: "x"
          + operationContext.environmentVariables.TIER: "gold"
          ? operationContext.environmentVariables.DB: [secret] → (from Secret db, key password) (can't be compared, and is sent to be sure)
          ~ paused: false → true
          + schedule nightly
          - schedule old
          ~ schedule weekly: update
          ! Secret db does not exist yet
        "#);
        assert_eq!(value(&changes)["fields"][3]["certain"], false);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let changes = Changes { stack: "acme/web/prod".into(), ..Changes::default() };
        assert_eq!(text(&changes, Paint::PLAIN), "acme/web/prod: nothing would change\n");
    }
}
