//! Pure: the spec and the values it refers to → the wire document.

use crate::{
    api::document::SettingsDocument,
    controllers::{
        digest::{InstallKey, without_secrets},
        document::{Values, wire},
    },
    pulumi::Node,
};

/// What is to be true remotely.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Desired {
    /// The document on the wire.
    pub document: Node,
    /// Digest of what is written and of the values it refers to.
    pub digest: String,
}

/// Fills the values in. `role_id` is the role that the organization forces on this namespace.
#[must_use]
pub fn desired(settings: &SettingsDocument, values: &Values, role_id: Option<&str>, key: &InstallKey) -> Desired {
    let mut document = wire(settings, values);
    if let Some(role_id) = role_id {
        document.insert(&["operationContext", "role"], Node::from_iter([("id", role_id)]));
    }
    let digest = key.digest(&without_secrets(&document));
    Desired { document, digest }
}
