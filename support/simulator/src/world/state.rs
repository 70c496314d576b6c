//! The state of a stack, as Pulumi keeps it: the stack's resources and what it gives out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::stack::Stack;
use crate::secrets::Cipher;

/// The version of the state's format.
const FORMAT: u64 = 3;

/// The property that tells Pulumi's special objects from others, and its value for secrets.
const SIGNATURE: &str = "4dabf18193072939515e22adb298388d";
const SECRET: &str = "1b47061264138c4ac30d75fd1eb44270";

/// How much of the ballast one resource carries.
const BALLAST_PIECE: usize = 32 * 1024;

const RESOURCE_TYPE: &str = "random:index:RandomId";

#[derive(Debug)]
pub(crate) struct State {
    /// What the program gives out, secrets as `{"secret": value}`.
    program: Value,
    /// What the stack gives out since its last update, secrets sealed.
    outputs: Map<String, Value>,
    /// How many bytes of properties the state carries beside what it needs.
    pub(crate) ballast: usize,
    /// Names the provider among the resources.
    provider: String,
    /// What each update left behind, by version: how many resources, and the outputs.
    versions: BTreeMap<i64, (u64, Map<String, Value>)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            program: json!({}),
            outputs: Map::new(),
            ballast: 0,
            provider: Uuid::new_v4().to_string(),
            versions: BTreeMap::new(),
        }
    }
}

impl Stack {
    /// Says what the program gives out from now on, and has the stack give it out at once.
    pub(crate) fn set_outputs(&mut self, outputs: &Value, cipher: &Cipher) {
        self.state.program = outputs.clone();
        self.write_outputs(None, cipher);
    }

    /// An update has succeeded: the stack gives out what the program does, or what it did for this once.
    pub(crate) fn write_outputs(&mut self, once: Option<&Value>, cipher: &Cipher) {
        let written = once.unwrap_or(&self.state.program);
        self.state.outputs = match sealed(written, &self.id, cipher) {
            Value::Object(outputs) => outputs,
            _ => Map::new(),
        };
    }

    /// A destroy has succeeded.
    pub(crate) fn clear_outputs(&mut self) {
        self.state.outputs.clear();
    }

    /// An update has ended: its version is what the stack has now.
    pub(crate) fn keep_version(&mut self) {
        let left = (self.resources, self.state.outputs.clone());
        self.state.versions.insert(self.version(), left);
    }

    /// The name of a resource; number 0 is the stack itself.
    pub(crate) fn urn(&self, number: u64) -> String {
        match number {
            0 => self.root_urn(),
            number => self.resource_urn(RESOURCE_TYPE, &format!("resource-{number}")),
        }
    }

    /// The type of that resource.
    pub(crate) fn resource_type(number: u64) -> &'static str {
        if number == 0 { "pulumi:pulumi:Stack" } else { RESOURCE_TYPE }
    }

    /// The reference by which the resources name their provider.
    pub(crate) fn provider(&self) -> String {
        format!("{}::{}", self.provider_urn(), self.state.provider)
    }

    fn root_urn(&self) -> String {
        self.resource_urn("pulumi:pulumi:Stack", &format!("{}-{}", self.name.project, self.name.stack))
    }

    fn provider_urn(&self) -> String {
        self.resource_urn("pulumi:providers:random", "default_4_18_0")
    }

    fn resource_urn(&self, kind: &str, name: &str) -> String {
        format!("urn:pulumi:{}::{}::{kind}::{name}", self.name.stack, self.name.project)
    }

    /// The state in the form in which it is exported. What a reader of outputs looks for comes first.
    pub(crate) fn exported(&self, url: &str) -> Value {
        self.exported_with(url, self.resources, &self.state.outputs)
    }

    /// The same as a version left it; none if there was no such version.
    pub(crate) fn exported_version(&self, url: &str, version: i64) -> Option<Value> {
        let (resources, outputs) = self.state.versions.get(&version)?;
        Some(self.exported_with(url, *resources, outputs))
    }

    fn exported_with(&self, url: &str, count: u64, outputs: &Map<String, Value>) -> Value {
        let mut resources = Vec::new();
        if count > 0 || !outputs.is_empty() || self.state.ballast > 0 {
            resources.push(json!({
                "urn": self.root_urn(),
                "custom": false,
                "type": Self::resource_type(0),
                "outputs": outputs,
            }));
            resources.push(json!({
                "urn": self.provider_urn(),
                "custom": true,
                "id": self.state.provider,
                "type": "pulumi:providers:random",
                "inputs": {"version": "4.18.0"},
                "outputs": {"version": "4.18.0"},
            }));
        }
        for number in 1..count {
            resources.push(self.exported_resource(&self.urn(number), &json!({"byteLength": 8})));
        }
        let mut left = self.state.ballast;
        for number in 1.. {
            if left == 0 {
                break;
            }
            let size = left.min(BALLAST_PIECE);
            left -= size;
            let urn = self.resource_urn(RESOURCE_TYPE, &format!("ballast-{number}"));
            resources.push(self.exported_resource(&urn, &json!({"keepers": {"ballast": "x".repeat(size)}})));
        }
        let ended = self.updates.iter().rev().find_map(|update| update.ended.filter(|_| !update.only_looks()));
        json!({
            "version": FORMAT,
            "deployment": {
                "manifest": {
                    "time": ended.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| time.to_string()),
                    "magic": "",
                    "version": "",
                },
                "secrets_providers": {
                    "type": "service",
                    "state": {
                        "url": url,
                        "owner": self.name.organization,
                        "project": self.name.project,
                        "stack": self.name.stack,
                    },
                },
                "resources": resources,
                "metadata": {},
            },
        })
    }

    fn exported_resource(&self, urn: &str, inputs: &Value) -> Value {
        let id = urn.rsplit("::").next().unwrap_or_default();
        let mut outputs = inputs.clone();
        outputs["id"] = id.into();
        json!({
            "urn": urn,
            "custom": true,
            "id": id,
            "type": RESOURCE_TYPE,
            "inputs": inputs,
            "outputs": outputs,
            "parent": self.root_urn(),
            "provider": self.provider(),
        })
    }
}

/// The value with each `{"secret": …}` in it replaced by what Pulumi writes for a secret. The plaintext of its
/// ciphertext is JSON.
fn sealed(value: &Value, context: &str, cipher: &Cipher) -> Value {
    match value {
        Value::Object(entries) => match entries.get("secret") {
            Some(secret) if entries.len() == 1 => {
                let ciphertext = cipher.seal_for(context, secret.to_string().as_bytes());
                json!({SIGNATURE: SECRET, "ciphertext": ciphertext})
            }
            _ => entries.iter().map(|(name, value)| (name.clone(), sealed(value, context, cipher))).collect(),
        },
        Value::Array(items) => items.iter().map(|item| sealed(item, context, cipher)).collect(),
        _ => value.clone(),
    }
}
