//! The difference between two statuses as a merge patch (RFC 7396). Pure.

use serde::Serialize;
use serde_json::{Map, Value};

/// What must be sent to turn `old` into `new`; nothing when they are the same.
///
/// A serialized struct never says that a field went away, so what `new` lacks becomes an explicit `null`.
///
/// # Errors
/// When one of them cannot be serialized.
pub fn merge_patch<T: Serialize>(old: &T, new: &T) -> serde_json::Result<Option<Value>> {
    Ok(difference(&serde_json::to_value(old)?, &serde_json::to_value(new)?))
}

fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        return Some(new.clone());
    };
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        match before.get(key) {
            Some(previous) => {
                if let Some(change) = difference(previous, value) {
                    patch.insert(key.clone(), change);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// RFC 7396's own algorithm, written independently of `difference`.
    fn apply(target: Value, patch: &Value) -> Value {
        let Value::Object(changes) = patch else { return patch.clone() };
        let mut fields = match target {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        for (key, change) in changes {
            if change.is_null() {
                fields.remove(key);
            } else {
                let before = fields.remove(key).unwrap_or(Value::Null);
                fields.insert(key.clone(), apply(before, change));
            }
        }
        Value::Object(fields)
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i8>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ];
        let inner = leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn the_patch_turns_old_into_new(old in documents(), new in documents()) {
            let patched = difference(&old, &new).map_or_else(|| old.clone(), |patch| apply(old.clone(), &patch));
            prop_assert_eq!(patched, new);
        }

        #[test]
        fn equal_documents_need_no_patch(document in documents()) {
            prop_assert_eq!(difference(&document, &document), None);
        }
    }

    #[test]
    fn what_went_away_becomes_null() {
        assert_eq!(
            difference(&json!({"a": {"b": 1, "c": 2}}), &json!({"a": {"b": 1}})),
            Some(json!({"a": {"c": null}}))
        );
    }
}
