//! The checks of settings, before and after they are merged.

use serde_json::{Map, Value};

use super::text;
use crate::errors::ApiError;
use crate::world::organization::Organization;

/// Blocks that are nothing without some of their fields, which the service's answers always have.
const COMPLETE_BLOCKS: [(&str, &[&str]); 11] = [
    ("vcs", &["provider"]),
    ("operationContext.oidc.aws", &["roleArn", "sessionName"]),
    ("operationContext.oidc.gcp", &["projectId", "workloadPoolId", "providerId", "serviceAccount"]),
    ("executorContext.executorImage", &["reference"]),
    ("executorContext.executorImage.credentials", &["username", "password"]),
    ("sourceContext.git.gitAuth.basicAuth", &["userName", "password"]),
    ("sourceContext.git.gitAuth.sshAuth", &["sshPrivateKey"]),
    ("sourceContext.hg.hgAuth.basicAuth", &["userName", "password"]),
    ("sourceContext.hg.hgAuth.sshAuth", &["sshPrivateKey"]),
    ("sourceContext.template.gitAuth.basicAuth", &["userName", "password"]),
    ("sourceContext.template.gitAuth.sshAuth", &["sshPrivateKey"]),
];

fn invalid(attribute: &str, detail: &str) -> ApiError {
    ApiError::invalid("DeploymentSettings", attribute, detail)
}

/// What must not stand together in one request.
pub(super) fn request(settings: &Value) -> Result<(), ApiError> {
    let sources = &settings["sourceContext"];
    let (git, hg) = (&sources["git"], &sources["hg"]);
    for (place, block, one, other) in [
        ("sourceContext.git", git, "branch", "commit"),
        ("sourceContext.git", git, "branch", "tag"),
        ("sourceContext.hg", hg, "branch", "revision"),
    ] {
        if text(&block[one]).is_some() && text(&block[other]).is_some() {
            return Err(invalid(place, &format!("{one} and {other} are mutually exclusive")));
        }
    }
    let says_something =
        |name: &&str| sources[*name].as_object().is_some_and(|block| !block.values().all(Value::is_null));
    if ["git", "hg", "template"].iter().filter(|name| says_something(name)).count() > 1 {
        return Err(invalid("sourceContext", "only one of git, hg and template may be specified"));
    }
    if text(&git["repoUrl"]).is_some() && text(&settings["gitHub"]["repository"]).is_some() {
        return Err(invalid(
            "sourceContext.git.repoUrl",
            "repoURL must not be specified together with a GitHub repository",
        ));
    }
    Ok(())
}

/// What holds of whole settings: makes them complete, or says what is wrong with them.
pub(super) fn complete(mut settings: Value, organization: &Organization, project: &str) -> Result<Value, ApiError> {
    if let Some(pool) = text(&settings["agentPoolID"])
        && !organization.agent_pools.contains_key(pool)
    {
        return Err(invalid("agentPoolID", &format!("invalid agent pool id {pool:?}")));
    }
    template(&settings["sourceContext"]["template"], organization.templates.contains_key(project))?;
    for (place, fields) in COMPLETE_BLOCKS {
        let path: Vec<&str> = place.split('.').collect();
        if let Some(block) = block(&mut settings, &path) {
            needs(block, place, fields)?;
        }
    }
    // The others' settings do not know it.
    if let Some(vcs) = block(&mut settings, &["vcs"])
        && vcs["provider"] != "github"
    {
        vcs.remove("reviewStackLabels");
    }
    if let Some(role) = block(&mut settings, &["operationContext", "role"]) {
        let id = role.get("id").and_then(text).unwrap_or_default();
        if !organization.roles.contains_key(id) {
            return Err(invalid("operationContext.role.id", &format!("invalid role id {id:?}")));
        }
    }
    if let Some(cache) = settings.get_mut("cacheOptions").and_then(Value::as_object_mut) {
        cache.entry("enable").or_insert(false.into());
    }
    Ok(settings)
}

/// The block at that place. One without anything in it is none, and is taken away.
fn block<'s>(settings: &'s mut Value, place: &[&str]) -> Option<&'s mut Map<String, Value>> {
    let (name, parents) = place.split_last()?;
    let parent = parents.iter().try_fold(settings, |value, name| value.get_mut(*name))?.as_object_mut()?;
    if parent.get(*name)?.as_object()?.is_empty() {
        parent.remove(*name);
    }
    parent.get_mut(*name)?.as_object_mut()
}

fn needs(block: &Map<String, Value>, place: &str, fields: &[&str]) -> Result<(), ApiError> {
    for field in fields {
        let says_something = |value: &Value| text(value).is_some() || value.is_object();
        if !block.get(*field).is_some_and(says_something) {
            return Err(invalid(
                &format!("{place}.{field}"),
                &format!("validation error: {place}.{field} is required"),
            ));
        }
    }
    Ok(())
}

fn template(template: &Value, project_has_one: bool) -> Result<(), ApiError> {
    const PLACE: &str = "sourceContext.template.sourceUrl";
    if !template.is_object() {
        return Ok(());
    }
    match text(&template["sourceUrl"]) {
        None if project_has_one => Ok(()),
        None => Err(invalid(PLACE, &format!("{PLACE} is required when using a template"))),
        Some(url) => match url.strip_prefix("registry://") {
            Some(rest) if !is_registry_path(rest) => {
                let form = "registry://templates/source/publisher/name[@version]";
                Err(invalid(PLACE, &format!("validation error: {url:?} is not of the form {form}")))
            }
            _ => Ok(()),
        },
    }
}

fn is_registry_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    parts.len() == 4 && parts[0] == "templates" && parts.iter().all(|part| !part.is_empty())
}
