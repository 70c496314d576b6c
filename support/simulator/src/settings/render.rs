//! Gives settings out: secrets masked, each time with a fresh ciphertext.

use serde_json::{Map, Value};

use super::shape::{self, Shape};
use crate::secrets::Cipher;

pub(super) fn render(shape: &Shape, value: &Value, cipher: &Cipher) -> Value {
    match (shape, value) {
        (Shape::Secret, Value::Object(_)) => cipher.masked(value["secret"].as_str().unwrap_or_default()),
        (Shape::Variables, Value::Object(entries)) => {
            let rendered = entries.iter().map(|(name, value)| (name.clone(), render(&Shape::Secret, value, cipher)));
            Value::Object(rendered.collect())
        }
        (Shape::Image, Value::Object(_)) => render(&shape::IMAGE, value, cipher),
        (Shape::Object(fields), Value::Object(entries)) => {
            let mut rendered = Map::new();
            for field in *fields {
                if let Some(value) = entries.get(field.name) {
                    rendered.insert(field.name.to_owned(), render(&field.shape, value, cipher));
                }
            }
            Value::Object(rendered)
        }
        _ => value.clone(),
    }
}
