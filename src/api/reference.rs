//! How resources refer to Secrets, ConfigMaps, organizations and stacks.

use std::borrow::Cow;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};

/// One key of a Secret in the resource's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret, in the namespace of this resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret. May be left out where the Secret's type has a standard key for this use:
    /// `ssh-privatekey` of `kubernetes.io/ssh-auth`, `username` and `password` of `kubernetes.io/basic-auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// One key of a ConfigMap in the resource's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap, in the namespace of this resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A property that exists only so that a rule on its parent can refuse it with a sentence.
///
/// Without strict validation an unknown field is pruned silently, and a secret written there would stay
/// behind in the last-applied annotation. It reads as nothing and is never written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Refused;

impl Serialize for Refused {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Refused {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Refused {
    fn schema_name() -> Cow<'static, str> {
        "Refused".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 65536})
    }
}

/// A secret value: where to find it, never the value itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.secretKeyRef) && !has(self.secret)")
        .message("a secret value is never written into a resource: write secretKeyRef: {name, key}, which names a Secret in this namespace")
)]
pub struct SecretSource {
    /// The Secret's key that holds the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Always refused: write `secretKeyRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Refused>,
}

/// A name of a project or a stack, as Pulumi allows it. What does not match is most often `project/stack` in one.
pub(super) const NAME_RULE: &str = "self.matches('^[-A-Za-z0-9_.]+$')";

/// A use of a Secret for which no type of Secret has a standard key.
pub(super) const KEY_RULE: &str = "!has(self.secretKeyRef) || has(self.secretKeyRef.key)";

/// Refers to an `Organization` resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct OrganizationRef {
    /// Name of the `Organization` resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the namespace of this resource. Another one must let this one in
    /// (`spec.access` of the Organization).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A stack in Pulumi Cloud, by way of the `Organization` that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackRef {
    /// The `Organization` resource that knows the backend and the token.
    pub organization_ref: OrganizationRef,
    /// Name of the Pulumi project.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = Rule::new(NAME_RULE).message("write the project's name alone, of letters, digits, '-', '_' and '.'"))]
    pub project: String,
    /// Name of the stack, without organization and project.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = Rule::new(NAME_RULE).message("write the stack's name alone, of letters, digits, '-', '_' and '.'; organizationRef and project name the rest"))]
    pub name: String,
}
