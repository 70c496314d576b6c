//! Reads a request body as Go's `encoding/json` would: keys in any case, unknown keys ignored, types checked.
//! `null` survives as `Value::Null`, since a patch deletes with it.

use serde_json::{Map, Value, json};

use super::shape::{self, Field, Shape};
use super::{check, go_duration};
use crate::errors::ApiError;
use crate::secrets::{AutoSecrets, Cipher};

/// Reads settings from request bodies.
pub(crate) struct Decoder<'a> {
    pub(crate) cipher: &'a Cipher,
    pub(crate) auto_secrets: AutoSecrets,
}

impl Decoder<'_> {
    /// The settings in `body`, in the simulator's own form.
    pub(crate) fn settings(&self, body: &Value) -> Result<Value, ApiError> {
        let settings = self.value(&shape::SETTINGS, body, "")?;
        check::request(&settings)?;
        Ok(settings)
    }

    fn value(&self, shape: &Shape, value: &Value, path: &str) -> Result<Value, ApiError> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        match shape {
            Shape::Text => string(value, path).map(Value::from),
            Shape::Bool => match value {
                Value::Bool(_) => Ok(value.clone()),
                _ => Err(mismatch(value, path, "bool")),
            },
            Shape::Integer => match value.as_i64() {
                Some(_) => Ok(value.clone()),
                None => Err(mismatch(value, path, "int64")),
            },
            Shape::Duration => {
                let written = string(value, path)?;
                if written.is_empty() {
                    return Ok(written.into());
                }
                go_duration::normalised(written)
                    .map(Value::from)
                    .ok_or_else(|| invalid(path, &format!("invalid duration {written:?}")))
            }
            Shape::Branch => {
                let written = string(value, path)?;
                Ok(if written.is_empty() || written.starts_with("refs/") {
                    written.into()
                } else {
                    format!("refs/heads/{written}").into()
                })
            }
            Shape::Secret => self.secret(value, path),
            Shape::Image => match value {
                Value::String(_) => Ok(value.clone()),
                _ => self.value(&shape::IMAGE, value, path),
            },
            Shape::OneOf(known) => {
                let written = string(value, path)?;
                if written.is_empty() || known.contains(&written) {
                    Ok(written.into())
                } else {
                    Err(invalid(path, &format!("unknown value {written:?}")))
                }
            }
            Shape::List(item) => {
                let items = value.as_array().ok_or_else(|| mismatch(value, path, "[]string"))?;
                items
                    .iter()
                    .enumerate()
                    .map(|(index, value)| self.value(item, value, &format!("{path}[{index}]")))
                    .collect()
            }
            Shape::Variables => self.variables(value, path),
            Shape::Object(fields) => self.object(fields, value, path),
        }
    }

    fn object(&self, fields: &[Field], value: &Value, path: &str) -> Result<Value, ApiError> {
        let entries = value.as_object().ok_or_else(|| mismatch(value, path, "object"))?;
        let mut read = Map::new();
        for field in fields {
            let Some(value) = property(entries, field.name) else {
                continue;
            };
            let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
            read.insert(field.name.to_owned(), self.value(&field.shape, value, &path)?);
        }
        Ok(Value::Object(read))
    }

    fn variables(&self, value: &Value, path: &str) -> Result<Value, ApiError> {
        let entries = value.as_object().ok_or_else(|| mismatch(value, path, "map[string]SecretValue"))?;
        let mut read = Map::new();
        for (name, value) in entries {
            let value = match self.value(&Shape::Secret, value, &format!("{path}.{name}"))? {
                Value::String(plain) if self.auto_secrets.applies(name, &plain) => {
                    json!({"secret": plain})
                }
                other => other,
            };
            read.insert(name.clone(), value);
        }
        Ok(Value::Object(read))
    }

    /// A value that may be secret, in any of the forms in which clients send it.
    pub(crate) fn secret(&self, value: &Value, path: &str) -> Result<Value, ApiError> {
        let entries = match value {
            Value::String(_) => return Ok(value.clone()),
            Value::Object(entries) => entries,
            _ => return Err(mismatch(value, path, "SecretValue")),
        };
        let part = |name: &str| match property(entries, name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => string(value, &format!("{path}.{name}")).map(Some),
        };
        let (secret, plaintext, ciphertext) = (part("secret")?, part("plaintext")?, part("ciphertext")?);
        // What a GET answered carries both: the mask stands for the ciphertext next to it.
        let secret = secret.filter(|secret| ciphertext.is_none() || *secret != "[secret]");
        if let Some(secret) = secret {
            return Ok(json!({"secret": secret}));
        }
        if let Some(ciphertext) = ciphertext {
            return match self.cipher.open(ciphertext) {
                Some(secret) => Ok(json!({"secret": secret})),
                None => Err(invalid(path, "invalid ciphertext")),
            };
        }
        Ok(plaintext.unwrap_or_default().into())
    }
}

/// A property by its name: exactly, else in any case.
pub(crate) fn property<'a>(entries: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    entries.get(name).or_else(|| entries.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn string<'a>(value: &'a Value, path: &str) -> Result<&'a str, ApiError> {
    value.as_str().ok_or_else(|| mismatch(value, path, "string"))
}

fn invalid(path: &str, detail: &str) -> ApiError {
    ApiError::invalid("DeploymentSettings", path, &format!("{path}: {detail}"))
}

fn mismatch(value: &Value, path: &str, wanted: &str) -> ApiError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    ApiError::bad_request(format!(
        "invalid request body: json: cannot unmarshal {kind} into field {path} of type {wanted}"
    ))
}
