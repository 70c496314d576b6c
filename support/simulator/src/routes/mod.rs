//! The routes of the API: one table, one module per group of resources.

mod agent_pools;
mod agents;
mod call;
mod deployments;
mod drift;
mod events;
mod logs;
mod oauth;
mod organization;
mod organizations;
mod preview;
mod schedules;
mod service;
mod settings;
mod stack_list;
mod stacks;
mod state;
mod tags;
mod time;
mod tokens;
mod updates;
mod usage;
mod user;

use axum::http::Method;

pub(crate) use call::{Answer, Call, Outcome};
pub(crate) use deployments::create as create_deployment;
pub(crate) use schedules::{all as all_schedules, create_any as create_schedule};
pub(crate) use settings::write as write_settings;

/// One operation of the API.
pub(crate) struct Route {
    /// How recordings and faults call it.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: fn(&Call) -> Outcome,
    /// Whether it answers callers without a token too.
    pub(crate) is_open: bool,
}

const fn route(name: &'static str, method: Method, path: &'static str, handler: fn(&Call) -> Outcome) -> Route {
    Route { name, method, path, handler, is_open: false }
}

const fn open(name: &'static str, method: Method, path: &'static str, handler: fn(&Call) -> Outcome) -> Route {
    Route { name, method, path, handler, is_open: true }
}

macro_rules! stack_path {
    ($rest:literal) => {
        concat!("/api/stacks/{organization}/{project}/{stack}", $rest)
    };
}

macro_rules! preview_path {
    ($rest:literal) => {
        concat!("/api/preview/{organization}/{project}/{stack}", $rest)
    };
}

macro_rules! organization_path {
    ($rest:literal) => {
        concat!("/api/orgs/{organization}", $rest)
    };
}

pub(crate) static ROUTES: &[Route] = &[
    route("GetUser", Method::GET, "/api/user", user::get),
    route("GetDefaultOrganization", Method::GET, "/api/user/organizations/default", user::default_organization),
    route("ProjectExists", Method::HEAD, "/api/stacks/{organization}/{project}", stacks::project_exists),
    route("CreateStack", Method::POST, "/api/stacks/{organization}/{project}", stacks::create),
    route("GetStack", Method::GET, stack_path!(""), stacks::get),
    route("DeleteStack", Method::DELETE, stack_path!(""), stacks::delete),
    route("GetSettings", Method::GET, stack_path!("/deployments/settings"), settings::get),
    route("PatchSettings", Method::POST, stack_path!("/deployments/settings"), settings::patch),
    route("PutSettings", Method::PUT, stack_path!("/deployments/settings"), settings::put),
    route("DeleteSettings", Method::DELETE, stack_path!("/deployments/settings"), settings::delete),
    route("EncryptSettingsSecret", Method::POST, stack_path!("/deployments/settings/encrypt"), settings::encrypt),
    route("CreateDeployment", Method::POST, stack_path!("/deployments"), deployments::post),
    route("ListDeployments", Method::GET, stack_path!("/deployments"), deployments::list),
    route("GetDeployment", Method::GET, stack_path!("/deployments/{id}"), deployments::get),
    route(
        "GetDeploymentByVersion",
        Method::GET,
        stack_path!("/deployments/version/{version}"),
        deployments::get_by_version,
    ),
    route("GetDeploymentLogs", Method::GET, stack_path!("/deployments/{id}/logs"), logs::get),
    route("GetDeploymentUpdates", Method::GET, stack_path!("/deployments/{id}/updates"), deployments::updates),
    route("CancelDeployment", Method::POST, stack_path!("/deployments/{id}/cancel"), deployments::cancel),
    route("PauseStack", Method::POST, stack_path!("/deployments/pause"), stacks::pause),
    route("ResumeStack", Method::POST, stack_path!("/deployments/resume"), stacks::resume),
    route("GetStackMetadata", Method::GET, stack_path!("/deployments/metadata"), stacks::metadata),
    route("ClearCache", Method::DELETE, stack_path!("/deployments/cache"), stacks::clear_cache),
    route("ListSchedules", Method::GET, stack_path!("/deployments/schedules"), schedules::list),
    route("CreateSchedule", Method::POST, stack_path!("/deployments/schedules"), schedules::post_custom),
    route("GetSchedule", Method::GET, stack_path!("/deployments/schedules/{schedule}"), schedules::get),
    route("UpdateSchedule", Method::POST, stack_path!("/deployments/schedules/{schedule}"), schedules::update_custom),
    route("DeleteSchedule", Method::DELETE, stack_path!("/deployments/schedules/{schedule}"), schedules::delete),
    route(
        "GetScheduleHistory",
        Method::GET,
        stack_path!("/deployments/schedules/{schedule}/history"),
        schedules::history,
    ),
    route("PauseSchedule", Method::POST, stack_path!("/deployments/schedules/{schedule}/pause"), schedules::pause),
    route("ResumeSchedule", Method::POST, stack_path!("/deployments/schedules/{schedule}/resume"), schedules::resume),
    route("CreateDriftSchedule", Method::POST, stack_path!("/deployments/drift/schedules"), schedules::post_drift),
    route(
        "UpdateDriftSchedule",
        Method::POST,
        stack_path!("/deployments/drift/schedules/{schedule}"),
        schedules::update_drift,
    ),
    route("CreateTtlSchedule", Method::POST, stack_path!("/deployments/ttl/schedules"), schedules::post_ttl),
    route(
        "UpdateTtlSchedule",
        Method::POST,
        stack_path!("/deployments/ttl/schedules/{schedule}"),
        schedules::update_ttl,
    ),
    route("ListDriftRuns", Method::GET, stack_path!("/drift/runs"), drift::list),
    route("GetDriftRun", Method::GET, stack_path!("/drift/runs/{run}"), drift::get),
    route("GetDriftStatus", Method::GET, stack_path!("/drift/status"), drift::status),
    route("PreviewGetSettings", Method::GET, preview_path!("/deployment/settings"), settings::get),
    route("PreviewPatchSettings", Method::POST, preview_path!("/deployment/settings"), settings::patch),
    route("PreviewDeleteSettings", Method::DELETE, preview_path!("/deployment/settings"), settings::delete),
    route("PreviewCreateDeployment", Method::POST, preview_path!("/deployments"), preview::create),
    route("PreviewListDeployments", Method::GET, preview_path!("/deployments"), preview::list),
    route("PreviewGetDeployment", Method::GET, preview_path!("/deployments/{id}"), preview::get),
    route(
        "PreviewGetDeploymentByVersion",
        Method::GET,
        preview_path!("/deployments/version/{version}"),
        preview::get_by_version,
    ),
    route("PreviewGetDeploymentLogs", Method::GET, preview_path!("/deployments/{id}/logs"), preview::get_logs),
    route("PreviewCancelDeployment", Method::POST, preview_path!("/deployments/{id}/cancel"), deployments::cancel),
    route("GetUsageSummary", Method::GET, organization_path!("/deployments/summary"), usage::summary),
    route("GetUsageReport", Method::GET, organization_path!("/deployments/usagereport"), usage::report),
    route("ListAgentPools", Method::GET, organization_path!("/agent-pools"), agent_pools::list),
    route("CreateAgentPool", Method::POST, organization_path!("/agent-pools"), agent_pools::create),
    route("GetAgentPool", Method::GET, organization_path!("/agent-pools/{pool}"), agent_pools::get),
    route("UpdateAgentPool", Method::PATCH, organization_path!("/agent-pools/{pool}"), agent_pools::patch),
    route("DeleteAgentPool", Method::DELETE, organization_path!("/agent-pools/{pool}"), agent_pools::delete),
    // Not for users: the agents have tokens of their own.
    open("PollForDeployment", Method::GET, "/api/deployments/poll", agents::poll),
    open("DownloadExecutor", Method::GET, "/api/deployments/executor", agents::executor),
    open("GetDeploymentStatus", Method::GET, "/api/deployments/{id}/status", agents::status),
    route("ListOrganizationDeployments", Method::GET, organization_path!("/deployments"), organizations::deployments),
    route("PauseOrganization", Method::POST, organization_path!("/deployments/pause"), organizations::pause),
    route("ResumeOrganization", Method::POST, organization_path!("/deployments/resume"), organizations::resume),
    route("GetOrganizationMetadata", Method::GET, organization_path!("/deployments/metadata"), organizations::metadata),
    // What surrounds deployments.
    open("GetCapabilities", Method::GET, "/api/capabilities", service::capabilities),
    open("GetCliVersion", Method::GET, "/api/cli/version", service::cli_version),
    open("ExchangeToken", Method::POST, "/api/oauth/token", oauth::token),
    route("ListStacks", Method::GET, "/api/user/stacks", stack_list::list),
    route("ListUserTokens", Method::GET, "/api/user/tokens", tokens::list_of_user),
    route("CreateUserToken", Method::POST, "/api/user/tokens", tokens::create_for_user),
    route("GetOrganization", Method::GET, organization_path!(""), organization::get),
    route("UpdateOrganization", Method::PATCH, organization_path!(""), organization::patch),
    route(
        "GetGitHubApp",
        Method::GET,
        "/api/console/orgs/{organization}/integrations/github-app",
        organization::github_app,
    ),
    route("ListOrganizationTokens", Method::GET, organization_path!("/tokens"), tokens::list_of_organization),
    route("CreateOrganizationToken", Method::POST, organization_path!("/tokens"), tokens::create_for_organization),
    route("AddStackTag", Method::POST, stack_path!("/tags"), tags::add),
    route("ReplaceStackTags", Method::PATCH, stack_path!("/tags"), tags::replace),
    route("UpdateStackTag", Method::PATCH, stack_path!("/tags/{tag}"), tags::update),
    route("DeleteStackTag", Method::DELETE, stack_path!("/tags/{tag}"), tags::delete),
    route("ExportStack", Method::GET, stack_path!("/export"), state::export),
    route("ExportStackVersion", Method::GET, stack_path!("/export/{version}"), state::export_version),
    route("EncryptValue", Method::POST, stack_path!("/encrypt"), state::encrypt),
    route("BatchEncryptValue", Method::POST, stack_path!("/batch-encrypt"), state::batch_encrypt),
    route("DecryptValue", Method::POST, stack_path!("/decrypt"), state::decrypt),
    route("BatchDecryptValue", Method::POST, stack_path!("/batch-decrypt"), state::batch_decrypt),
    route("NoteDecryption", Method::POST, stack_path!("/decrypt/log-decryption"), state::note_decryption),
    route("NoteBatchDecryption", Method::POST, stack_path!("/decrypt/log-batch-decryption"), state::note_decryption),
    route("ListUpdates", Method::GET, stack_path!("/updates"), updates::list),
    route("GetLatestUpdate", Method::GET, stack_path!("/updates/latest"), updates::latest),
    route("GetUpdate", Method::GET, stack_path!("/updates/{version}"), updates::get),
    route("GetUpdateSummary", Method::GET, stack_path!("/updates/{version}/summary"), updates::summary),
    route("GetUpdateEvents", Method::GET, stack_path!("/update/{update}/events"), events::get),
    route("RecordUpdateEvents", Method::POST, stack_path!("/update/{update}/events"), events::post),
    route("GetPreviewEvents", Method::GET, stack_path!("/preview/{update}/events"), events::get),
    route("RecordPreviewEvents", Method::POST, stack_path!("/preview/{update}/events"), events::post),
    route("GetDestroyEvents", Method::GET, stack_path!("/destroy/{update}/events"), events::get),
    route("GetRefreshEvents", Method::GET, stack_path!("/refresh/{update}/events"), events::get),
];

/// The routes: method, path, name.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.method.as_str(), route.path, route.name))
}
