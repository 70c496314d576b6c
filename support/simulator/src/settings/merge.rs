//! The documented merge: null deletes, absent keeps, objects merge deeply, anything else is replaced.

use serde_json::{Map, Value, json};

use super::shape::{self, Shape};

/// `current` with `patch` applied; nothing when the patch deletes it.
///
/// It follows the shape, not the JSON: a secret is written as an object but is one value.
pub(super) fn merge(shape: &Shape, current: Option<&Value>, patch: Value) -> Option<Value> {
    match (shape, patch) {
        (_, Value::Null) => None,
        (Shape::Object(fields), Value::Object(patch)) => {
            let of = |name: &str| {
                let field = fields.iter().find(|field| field.name == name);
                field.map_or(&Shape::Text, |field| &field.shape)
            };
            Some(merge_entries(of, current, patch))
        }
        (Shape::Variables, Value::Object(patch)) => Some(merge_entries(|_| &Shape::Secret, current, patch)),
        (Shape::Image, Value::Object(patch)) => {
            let current = current.map(|current| match current {
                Value::String(reference) => json!({"reference": reference}),
                other => other.clone(),
            });
            let merged = merge(&shape::IMAGE, current.as_ref(), Value::Object(patch))?;
            Some(shortened(merged))
        }
        (_, patch) => Some(patch),
    }
}

fn merge_entries<'s>(
    shape_of: impl Fn(&str) -> &'s Shape,
    current: Option<&Value>,
    patch: Map<String, Value>,
) -> Value {
    let mut entries = current.and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, patch) in patch {
        let current = entries.remove(&name);
        if let Some(value) = merge(shape_of(&name), current.as_ref(), patch) {
            entries.insert(name, value);
        }
    }
    Value::Object(entries)
}

/// An image that is only a reference is kept, and given out, as a bare string.
fn shortened(image: Value) -> Value {
    match image["reference"].as_str() {
        Some(reference) if image["credentials"].is_null() => reference.into(),
        _ => image,
    }
}
