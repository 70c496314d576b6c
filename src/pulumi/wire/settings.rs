//! A stack's stored deployment settings.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

/// A stack's stored deployment settings, as GET and POST answer them.
///
/// Secrets are masked by the service (`{"secret": "[secret]", "ciphertext": …}`), the ciphertext differing with every
/// answer. `Debug` shows which sections there are and no more, since a value that was stored as plain text comes
/// back as such.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemoteSettings {
    /// Counts the changes to the document.
    pub version: Option<u64>,
    /// The document without `version` and `source`: an object.
    pub document: Value,
}

impl<'de> Deserialize<'de> for RemoteSettings {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut document = Value::deserialize(input)?;
        let fields = document.as_object_mut().ok_or_else(|| D::Error::custom("not an object"))?;
        let version = fields.remove("version").and_then(|version| version.as_u64());
        fields.remove("source");
        Ok(Self { version, document })
    }
}

impl fmt::Debug for RemoteSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections: Vec<&String> = self.document.as_object().into_iter().flat_map(|it| it.keys()).collect();
        out.debug_struct("RemoteSettings")
            .field("version", &self.version)
            .field("sections", &sections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn version_and_source_are_not_part_of_the_document() {
        let settings: RemoteSettings = serde_json::from_value(json!({
            "version": 7, "source": "api", "agentPoolID": "x", "sourceContext": {"git": {"repoUrl": "hidden"}},
        }))
        .unwrap();
        assert_eq!(settings.version, Some(7));
        assert_eq!(settings.document, json!({"agentPoolID": "x", "sourceContext": {"git": {"repoUrl": "hidden"}}}));
        assert!(!format!("{settings:?}").contains("hidden"));
        assert!(serde_json::from_value::<RemoteSettings>(json!([])).is_err());
    }

    #[test]
    fn values_are_kept_in_whatever_form_they_come_and_do_not_show() {
        let variables = json!({
            "A": "hidden", "B": {"secret": "[secret]", "ciphertext": "hidden"},
            "C": {"isSecret": false, "value": "hidden"}, "D": {"isSecret": true, "ciphertext": "hidden"},
        });
        let document = json!({"operationContext": {"environmentVariables": variables}});
        let settings: RemoteSettings = serde_json::from_value(document.clone()).unwrap();
        assert_eq!((settings.version, &settings.document), (None, &document));
        assert!(!format!("{settings:?}").contains("hidden"));
    }
}
