//! The checks of settings, before and after they are merged.

use serde_json::{Map, Value};

use super::text;
use crate::errors::ApiError;
use crate::world::organization::Organization;

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
    if let Some(vcs) = block(&mut settings, &["vcs"]) {
        needs(vcs, "vcs", &["provider"])?;
        // The others' settings do not know it.
        if vcs["provider"] != "github" {
            vcs.remove("reviewStackLabels");
        }
    }
    if let Some(role) = block(&mut settings, &["operationContext", "role"]) {
        let id = role.get("id").and_then(text).unwrap_or_default();
        if !organization.roles.contains_key(id) {
            return Err(invalid("operationContext.role.id", &format!("invalid role id {id:?}")));
        }
    }
    if let Some(aws) = block(&mut settings, &["operationContext", "oidc", "aws"]) {
        needs(aws, "operationContext.oidc.aws", &["roleArn", "sessionName"])?;
    }
    if let Some(gcp) = block(&mut settings, &["operationContext", "oidc", "gcp"]) {
        let fields = ["projectId", "workloadPoolId", "providerId", "serviceAccount"];
        needs(gcp, "operationContext.oidc.gcp", &fields)?;
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
        if block.get(*field).and_then(text).is_none() {
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
