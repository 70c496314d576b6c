//! Deployment settings: their shape, how requests are read, merged, checked, and given out.

mod check;
mod decode;
mod go_duration;
mod merge;
mod render;
mod shape;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::errors::ApiError;
use crate::world::organization::Organization;

pub(crate) use decode::{Decoder, property};

/// The settings of one stack. Inside the simulator a secret is `{"secret": "<in the clear>"}`.
#[derive(Debug, Clone)]
pub(crate) struct StoredSettings {
    pub(crate) value: Value,
    /// Counts the writes.
    pub(crate) version: i64,
    /// Who wrote last: `api`, `console`, …
    pub(crate) source: &'static str,
}

/// The result of applying a patch by the documented rules; without `current`, the patch alone.
pub(crate) fn merged(current: Option<&Value>, patch: Value) -> Value {
    merge::merge(&shape::SETTINGS, current, patch).unwrap_or_else(|| Value::Object(Map::new()))
}

/// The settings as the service gives them out, secrets masked with fresh ciphertexts.
pub(crate) fn rendered(stored: &StoredSettings, cipher: &crate::secrets::Cipher) -> Value {
    let mut value = masked(&stored.value, cipher);
    value["version"] = stored.version.into();
    value["source"] = stored.source.into();
    value
}

/// Settings that are part of something else, secrets masked.
pub(crate) fn masked(settings: &Value, cipher: &crate::secrets::Cipher) -> Value {
    render::render(&shape::SETTINGS, settings, cipher)
}

/// The settings after merging, complete and checked.
pub(crate) fn complete(settings: Value, organization: &Organization, project: &str) -> Result<Value, ApiError> {
    check::complete(settings, organization, project)
}

/// A string that says something: the clients send `""` for what they leave unset.
pub(crate) fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// The agent pool that the settings choose.
pub(crate) fn agent_pool(settings: &Value) -> Option<&str> {
    text(&settings["agentPoolID"])
}

/// Where the program's source comes from; none: there is nothing to run.
pub(crate) fn source_url(settings: &Value) -> Option<String> {
    let context = &settings["sourceContext"];
    let written = [&context["git"]["repoUrl"], &context["hg"]["repoUrl"], &context["template"]["sourceUrl"]];
    if let Some(url) = written.into_iter().find_map(text) {
        return Some(url.to_owned());
    }
    let vcs = &settings["vcs"];
    let (host, repository) = match (text(&settings["gitHub"]["repository"]), text(&vcs["repository"])) {
        (Some(repository), _) => ("github.com", repository),
        (None, Some(repository)) => match vcs["provider"].as_str() {
            Some("gitlab") => ("gitlab.com", repository),
            Some("bitbucket") => ("bitbucket.org", repository),
            Some("azure_devops") => ("dev.azure.com", repository),
            Some("custom") => return Some(repository.to_owned()),
            _ => ("github.com", repository),
        },
        (None, None) => return None,
    };
    Some(if repository.contains("://") { repository.to_owned() } else { format!("https://{host}/{repository}.git") })
}

/// The environment variables in the clear, each with whether it is secret.
pub(crate) fn environment(settings: &Value) -> BTreeMap<String, (String, bool)> {
    let variables = settings["operationContext"]["environmentVariables"].as_object();
    variables
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| match value {
            Value::String(plain) => Some((name.clone(), (plain.clone(), false))),
            Value::Object(_) => {
                let secret = value["secret"].as_str()?;
                Some((name.clone(), (secret.to_owned(), true)))
            }
            _ => None,
        })
        .collect()
}

/// A flag among the options of the operation.
pub(crate) fn option(settings: &Value, name: &str) -> bool {
    settings["operationContext"]["options"][name].as_bool().unwrap_or(false)
}

/// Whether dependencies are kept from one run for the next.
pub(crate) fn caches(settings: &Value) -> bool {
    settings["cacheOptions"]["enable"].as_bool().unwrap_or(false)
}

/// The commands that run before Pulumi does.
pub(crate) fn pre_run_commands(settings: &Value) -> Vec<String> {
    let commands = settings["operationContext"]["preRunCommands"].as_array();
    commands.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether the run gets credentials from a cloud provider through OIDC.
pub(crate) fn uses_oidc(settings: &Value) -> bool {
    settings["operationContext"]["oidc"].as_object().is_some_and(|providers| providers.values().any(Value::is_object))
}
