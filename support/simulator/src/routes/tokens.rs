//! The access tokens of organizations and people.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::invalid_query;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::people::Role;
use crate::world::tokens::{Issued, TokenKind};

const LONGEST_NAME: usize = 40;
const LONGEST_LIFE_DAYS: i64 = 2 * 366;
const DEFAULT_PAGE: usize = 100;
const LONGEST_PAGE: usize = 1000;

pub(super) fn list_of_organization(call: &Call) -> Outcome {
    let name = administered(call)?;
    let world = call.world();
    let tokens = world.issued_tokens(|_, issued| issued.organization.as_deref() == Some(name));
    page(call, &tokens)
}

pub(super) fn create_for_organization(call: &Call) -> Outcome {
    let organization = administered(call)?;
    let body = call.json()?;
    let name = body["name"].as_str().unwrap_or_default();
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(ApiError::bad_request("Token name must have between 1 and 40 characters"));
    }
    if !name.chars().all(is_valid) {
        return Err(ApiError::bad_request("Token name may only contain alphanumeric, hyphens, or underscores"));
    }
    let admin = body["admin"].as_bool().unwrap_or(false);
    let issued = requested(call, &body, TokenKind::Organization { admin })?;
    let mut world = call.world();
    let same = |issued: &Issued| issued.organization.as_deref() == Some(organization) && issued.name == name;
    if !world.issued_tokens(|_, issued| same(issued)).is_empty() {
        return Err(ApiError::conflict(format!("Token {name:?} already exists")));
    }
    let id = issued.id.clone();
    let value = world.issue_for_organization(organization, Issued { name: name.to_owned(), ..issued });
    Ok(Answer::ok(&json!({"id": id, "tokenValue": value})))
}

pub(super) fn list_of_user(call: &Call) -> Outcome {
    let world = call.world();
    let is_theirs =
        |login: &str, issued: &Issued| login == call.access.user.login && issued.kind == TokenKind::Personal;
    let tokens = world.issued_tokens(|access, issued| is_theirs(&access.user.login, issued));
    page(call, &tokens)
}

pub(super) fn create_for_user(call: &Call) -> Outcome {
    let issued = requested(call, &call.json()?, TokenKind::Personal)?;
    let id = issued.id.clone();
    let value = call.world().issue_personal(&call.access, issued);
    Ok(Answer::ok(&json!({"id": id, "tokenValue": value})))
}

/// The organization of the path, if the caller is an administrator of it.
fn administered(call: &Call) -> Result<&str, ApiError> {
    let name = call.parameter("organization");
    call.world().visible_organization(&call.access, name)?;
    if call.access.roles.get(name) != Some(&Role::Admin) {
        return Err(ApiError::forbidden("Only organization administrators can do that"));
    }
    Ok(name)
}

/// The token that the body asks for.
fn requested(call: &Call, body: &Value, kind: TokenKind) -> Result<Issued, ApiError> {
    let mut issued = Issued::new(kind, &call.access.user.login, call.now);
    body["description"].as_str().unwrap_or_default().clone_into(&mut issued.description);
    let expires = body["expires"].as_i64().unwrap_or(0);
    if expires != 0 {
        let latest = call.now.as_second() + LONGEST_LIFE_DAYS * 24 * 3600;
        let time = Timestamp::from_second(expires).ok().filter(|time| *time > call.now && expires <= latest);
        let refused = || ApiError::bad_request("expires must be in the future and within two years");
        issued.expires = Some(time.ok_or_else(refused)?);
    }
    Ok(issued)
}

/// The part of the list that is asked for.
fn page(call: &Call, tokens: &[&Issued]) -> Outcome {
    let wanted: fn(bool) -> bool = match call.query("filter") {
        None | Some("active") => |expired| !expired,
        Some("expired") => |expired| expired,
        Some("all") => |_| true,
        Some(_) => return Err(invalid_query("filter")),
    };
    let size = call.number("maxResults")?.unwrap_or(DEFAULT_PAGE);
    if !(1..=LONGEST_PAGE).contains(&size) {
        return Err(ApiError::bad_request("Invalid maxResults value."));
    }
    let from =
        call.number("continuationToken").map_err(|_| ApiError::bad_request("Invalid continuationToken value."))?;
    let from = from.unwrap_or(0);
    let found: Vec<&&Issued> = tokens.iter().filter(|issued| wanted(issued.is_expired(call.now))).collect();
    let shown: Vec<Value> = found.iter().skip(from).take(size).map(|issued| issued.shown()).collect();
    let mut body = json!({"tokens": shown});
    if from + size < found.len() {
        body["continuationToken"] = (from + size).to_string().into();
    }
    Ok(Answer::ok(&body))
}
