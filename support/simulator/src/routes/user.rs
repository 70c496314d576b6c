//! The caller.

use serde_json::{Value, json};

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::people::avatar_url;
use crate::world::tokens::Issued;

#[allow(clippy::unnecessary_wraps, reason = "all handlers have the same type")]
pub(super) fn get(call: &Call) -> Outcome {
    let user = &call.access.user;
    let organizations: Vec<Value> = call
        .access
        .roles
        .iter()
        .map(|(name, role)| {
            json!({
                "githubLogin": name,
                "name": name,
                "avatarUrl": avatar_url(name),
                "role": role.name(),
            })
        })
        .collect();
    let mut body = json!({
        "id": user.id,
        "githubLogin": user.login,
        "name": user.name,
        "email": user.email,
        "avatarUrl": user.avatar_url(),
        "identities": ["Pulumi"],
        "organizations": organizations,
        "hasMFA": false,
        "isOrgManaged": false,
        "isManagedByMultiOrg": false,
    });
    if let Some(info) = call.access.issued.as_ref().and_then(Issued::info) {
        body["tokenInfo"] = info;
    }
    Ok(Answer::ok(&body))
}

pub(super) fn default_organization(call: &Call) -> Outcome {
    let Some(name) = call.access.roles.keys().next() else {
        return Err(ApiError::bad_request("User is not a member of any organizations."));
    };
    Ok(Answer::ok(&json!({"GitHubLogin": name, "Messages": []})))
}
