//! An organization itself.

use serde_json::{Map, Value, json};

use super::{Answer, Call, Outcome};
use crate::errors::ApiError;
use crate::world::World;
use crate::world::organization::Organization;
use crate::world::people::{Role, avatar_url};
use crate::world::stack::Stack;

/// All stacks are in one repository: the simulator does not know where their programs come from.
pub(super) fn get(call: &Call) -> Outcome {
    let world = call.world();
    let organization = world.visible_organization(&call.access, call.parameter("organization"))?;
    let mut projects: Vec<(&str, Vec<Value>)> = Vec::new();
    for ((project, _), key) in &organization.stacks {
        let Some(stack) = world.stacks.get(key) else {
            continue;
        };
        match projects.last_mut() {
            Some((known, stacks)) if known == project => stacks.push(shown(stack)),
            _ => projects.push((project, vec![shown(stack)])),
        }
    }
    let projects: Vec<Value> = projects
        .into_iter()
        .map(|(name, stacks)| json!({"orgName": organization.name, "repoName": "", "name": name, "stacks": stacks}))
        .collect();
    let repositories = if projects.is_empty() {
        json!([])
    } else {
        json!([{"orgName": organization.name, "name": "", "projects": projects}])
    };
    Ok(Answer::ok(&json!({
        "githubLogin": organization.name,
        "name": organization.name,
        "avatarUrl": avatar_url(&organization.name),
        "repos": repositories,
    })))
}

fn shown(stack: &Stack) -> Value {
    let mut body = json!({
        "name": stack.name.stack,
        "programId": stack.id,
        "routingProject": stack.name.project,
        "routingRepo": "",
        "protectedByPolicy": false,
        "hasDeploymentSettings": stack.settings.is_some(),
        "driftDetected": stack.drift.is_known,
        "tags": stack.tags,
    });
    if let Some(update) = stack.updates.iter().rev().find(|update| !update.only_looks()) {
        body["lastUpdate"] = super::updates::brief(update);
    }
    body
}

/// The console knows whether Pulumi's app is installed on GitHub. Here it is: settings that need it are taken.
pub(super) fn github_app(call: &Call) -> Outcome {
    call.world().visible_organization(&call.access, call.parameter("organization"))?;
    Ok(Answer::ok(&json!({"installed": true})))
}

/// What an organization has when nobody changed it.
fn defaults() -> Value {
    json!({
        "aiEnablement": "enabled",
        "defaultAccountPermission": 0,
        "defaultEnvironmentPermission": "none",
        "defaultStackPermission": 103,
        "membersCanCreateAccounts": true,
        "membersCanCreateStacks": true,
        "membersCanCreateTeams": true,
        "membersCanDeleteStacks": true,
        "membersCanTransferStacks": true,
        "naturalLanguageSearchDisabled": false,
        "neoAgentDisabled": false,
        "neoApprovalMode": "manual",
        "neoCLIExplanationsDisabled": false,
        "neoEnabled": false,
        "neoTaskSharingMode": "none",
        "preferredVCS": "none",
    })
}

/// What may be set, with the property that it changes.
const SETTABLE: [(&str, &str); 17] = [
    ("setAiEnablement", "aiEnablement"),
    ("setDefaultAccountPermission", "defaultAccountPermission"),
    ("setDefaultDeploymentRoleId", "defaultDeploymentRoleId"),
    ("setDefaultEnvironmentPermission", "defaultEnvironmentPermission"),
    ("setDefaultStackPermission", "defaultStackPermission"),
    ("setMaxAccessTokenExpiryDays", "maxAccessTokenExpiryDays"),
    ("setMembersCanCreateAccounts", "membersCanCreateAccounts"),
    ("setMembersCanCreateStacks", "membersCanCreateStacks"),
    ("setMembersCanCreateTeams", "membersCanCreateTeams"),
    ("setMembersCanDeleteStacks", "membersCanDeleteStacks"),
    ("setMembersCanTransferStacks", "membersCanTransferStacks"),
    ("setNaturalLanguageSearchDisabled", "naturalLanguageSearchDisabled"),
    ("setNeoAgentDisabled", "neoAgentDisabled"),
    ("setNeoApprovalMode", "neoApprovalMode"),
    ("setNeoCLIExplanationsDisabled", "neoCLIExplanationsDisabled"),
    ("setNeoEnabled", "neoEnabled"),
    ("setNeoTaskSharingMode", "neoTaskSharingMode"),
];

/// The simulator keeps these settings and gives them back; nothing depends on them.
pub(super) fn patch(call: &Call) -> Outcome {
    let body = call.json()?;
    let sent = body.as_object().ok_or_else(|| ApiError::bad_request("Invalid organization settings"))?;
    let name = call.parameter("organization");
    let mut world = call.world();
    world.visible_organization(&call.access, name)?;
    let role = call.access.roles.get(name).copied().filter(|role| *role == Role::Admin);
    let role = role.ok_or_else(|| ApiError::forbidden("Only organization administrators can do that"))?;
    let defaults = defaults();
    let mut changed = Map::new();
    for (from, to) in SETTABLE {
        let Some(value) = sent.get(from).filter(|value| !value.is_null()) else {
            continue;
        };
        let known = &defaults[to];
        if !known.is_null() && std::mem::discriminant(known) != std::mem::discriminant(value) {
            return Err(ApiError::bad_request(format!("Invalid organization settings: {from}")));
        }
        changed.insert(to.to_owned(), value.clone());
    }
    let organization = world.organization_mut(name).map_err(|error| ApiError::not_found(error.to_string()))?;
    organization.preferences.extend(changed);
    Ok(Answer::ok(&metadata(&world, &world.organizations[name], role)))
}

fn metadata(world: &World, organization: &Organization, role: Role) -> Value {
    let members = world.tokens.values().filter(|access| access.roles.contains_key(&organization.name));
    let logins: std::collections::BTreeSet<&str> = members.map(|access| access.user.login.as_str()).collect();
    let mut body = defaults();
    for (name, value) in [
        ("id", json!(organization.id)),
        ("kind", json!("pulumi")),
        ("created", json!(organization.created.to_string())),
        ("userRole", json!(role.name())),
        ("product", json!("business-critical")),
        ("locked", json!("not-locked")),
        ("memberCount", json!(logins.len())),
        ("stackCount", json!(organization.stacks.len())),
        ("accountCount", json!(0)),
        ("environmentCount", json!(0)),
        ("insightsTrialUsingPolicy", json!(false)),
        ("auditLogsEnabled", json!(true)),
        ("webhooksEnabled", json!(true)),
        ("features", features()),
    ] {
        body[name] = value;
    }
    for (name, value) in &organization.preferences {
        body[name] = value.clone();
    }
    body
}

/// What the simulator has, and what it has not.
fn features() -> Value {
    let present = [
        "agentPoolRegistrationEnabled",
        "auditLogsEnabled",
        "customVCSEnabled",
        "dependencyCachingEnabled",
        "deployEnabled",
        "driftDetectionEnabled",
        "selfHostedDeploymentsEnabled",
        "webhooksEnabled",
    ];
    let absent = [
        "agentIntegrationCatalogEnabled",
        "agentScheduledTasksEnabled",
        "aiAgentsEnabled",
        "aleEnabled",
        "approvalsEnabled",
        "auditLogUIFilteringEnabled",
        "bitbucketVCSEnabled",
        "bringYourOwnKeyEnabled",
        "cliIntegrationCatalogEnabled",
        "crossGuardEnabled",
        "customRoleCondition",
        "customRolesEnabled",
        "customTemplatesEnabled",
        "discoveredStacksEnabled",
        "environmentRevisionTagsEnabled",
        "environmentSecretRotationEnabled",
        "environmentsEnabled",
        "environmentsRestoreEnabled",
        "escEditorRevampEnabled",
        "escOnboardingAzureOAuthClientEnabled",
        "escOnboardingEnabled",
        "escOnboardingGcpOAuthClientEnabled",
        "escOnboardingV2Enabled",
        "fixDriftWithNeoEnabled",
        "ghAppDetailedDiffEnabled",
        "gitHubEnterpriseIntegrationEnabled",
        "iacCloudImportEnabled",
        "insightsAutoPolicyPacksEnabled",
        "insightsMonetizationEnabled",
        "integrationAssistantEnabled",
        "legacyDeploymentsOrgToken",
        "neoByokEnabled",
        "neoPlanModeEnabled",
        "neoTaskSharingEnabled",
        "nlpSearchEnabled",
        "pangeaAccountsScanPageEnabled",
        "policyIssueManagementEnabled",
        "policyManagementV2Enabled",
        "propertySearchUIEnabled",
        "resourceExportEnabled",
        "resourceSearchEnabled",
        "restoreStacksEnabled",
        "scimEnabled",
        "selfServeIDPRemoval",
        "serviceBackedConfigEnabled",
        "themingEnabled",
    ];
    // The official SDK of 2026.10 asks for them, the service's description does not have them.
    let undescribed = [
        "agentTriggeredTasksEnabled",
        "aiAgentsReadOnly",
        "entityUserAssignmentsEnabled",
        "gitHubEnterpriseCloudDataResidencyEnabled",
        "neoCustomAgentsEnabled",
        "neoCustomRolesEnabled",
        "neoSecurityEnabled",
        "policyExceptionsEnabled",
        "staticDefaultRolesEnabled",
    ];
    let entry = |on: bool| move |name: &str| (name.to_owned(), Value::Bool(on));
    present
        .into_iter()
        .map(entry(true))
        .chain(absent.into_iter().chain(undescribed).map(entry(false)))
        .collect::<Map<_, _>>()
        .into()
}
