//! What the operator writes into a status is all kept.

use std::{collections::BTreeMap, fmt::Debug};

use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use pulumi_deployments_operator::api::{
    Condition, ConditionStatus, Deployment, DeploymentStatus, Organization, OrganizationStatus,
    StackDeploymentSettings, StackDeploymentSettingsStatus, Time,
    approval::{Basis, GivenApproval, Moved, PendingApproval, PreviewRun, Rejection},
    deployment::{
        Cancel, CancelReason, DriftFinding, DriftRemediation, Failure, HandledRequest, HistoryEntry, Intent, Job,
        Operation, PendingRequest, Phase, Purpose, Refusal, Retry, Run, Step, Target, Trigger, Update, WrittenOutputs,
    },
    organization::{DeploymentCounts, TokenUser},
    schedule::{DriftResult, DriftStatus, ScheduleIntent, ScheduleStatus},
    settings::{AppliedField, Correction, RemoteVersion, SourceKind, SourceVersion},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{DEPLOYMENT, ORGANIZATION, SETTINGS, Server, Validation, resource, schema};

const TIME: Time = Time::from_seconds(1_800_000_000);
/// The largest number that a version or a count has in JSON on its way through the API server.
const LARGE: u64 = i64::MAX as u64;

fn text(what: &str) -> String {
    what.to_owned()
}

fn conditions() -> Vec<Condition> {
    [("Ready", ConditionStatus::Unknown), ("Reconciling", ConditionStatus::True), ("Stalled", ConditionStatus::False)]
        .map(|(type_, status)| Condition {
            type_: text(type_),
            status,
            reason: text("Running"),
            message: text("acme/web/prod: «4/6 pulumi update»\nsecond line"),
            last_transition_time: TIME,
            observed_generation: 3,
        })
        .into()
}

fn organization() -> OrganizationStatus {
    OrganizationStatus {
        observed_generation: Some(3),
        last_handled_reconcile_at: Some(text("now")),
        conditions: conditions(),
        name: Some(text("acme")),
        user: Some(TokenUser { login: text("robot"), name: Some(text("A Robot")) }),
        paused: Some(false),
        concurrency: Some(u32::MAX),
        deployment_counts: Some(DeploymentCounts {
            not_started: 1,
            accepted: 2,
            running: 3,
            failed: 4,
            succeeded: LARGE,
            skipped: 0,
            total: LARGE,
        }),
    }
}

fn settings() -> StackDeploymentSettingsStatus {
    StackDeploymentSettingsStatus {
        observed_generation: Some(3),
        last_handled_reconcile_at: Some(text("now")),
        conditions: conditions(),
        stack: Some(text("acme/web/prod")),
        content_digest: Some(text("v1:key:digest")),
        sources: [SourceKind::Secret, SourceKind::ConfigMap]
            .map(|kind| SourceVersion { kind, name: text("a"), resource_version: text("17") })
            .into(),
        last_applied: vec![
            AppliedField { path: text("/agentPoolId"), digest: Some(text("digest")) },
            AppliedField { path: text("/operationContext/environmentVariables/A~1B"), digest: None },
        ],
        remote: Some(RemoteVersion { digest: text("digest"), version: Some(LARGE) }),
        paused: Some(true),
        corrections: vec![Correction { time: TIME, paths: vec![text("/agentPoolId")] }],
        schedules: vec![
            ScheduleStatus {
                name: text("nightly"),
                id: Some(text("id")),
                foreign_id: Some(text("other")),
                intent: Some(ScheduleIntent {
                    time: TIME,
                    definition: text("v1:digest"),
                    existing: vec![text("other")],
                }),
                refused: Some(text("v1:digest")),
                corrections: vec![TIME],
                definition: Some(text("v1:digest")),
                remote: Some(text("v1:digest")),
                paused: Some(false),
                next_execution: Some(TIME),
                last_executed: Some(TIME),
                reason: Some(text("TimePassed")),
                message: Some(text("it has passed")),
            },
            ScheduleStatus { name: text("drift"), ..ScheduleStatus::default() },
        ],
        drift: Some(DriftStatus {
            detected: true,
            result: DriftResult::Remediated,
            run: Some(text("run")),
            in_progress: true,
            version: Some(LARGE),
            url: Some(text("https://app.pulumi.com/acme/web/prod/deployments/7")),
            seen_at: TIME,
        }),
    }
}

fn handled() -> HandledRequest {
    HandledRequest {
        number: LARGE,
        digest: text("v1:digest"),
        digest_without_rerun: Some(text("v1:digest")),
        settings_digest: Some(text("v1:key:digest")),
    }
}

fn basis() -> Basis {
    Basis { settings: Some(text("v1:digest")), overrides: text("v1:digest"), stack_version: Some(LARGE) }
}

fn given() -> GivenApproval {
    GivenApproval {
        approved_by: text("anna@example.com"),
        verified: true,
        token: text("0123456789abcdef"),
        commit: Some(text("c0ffee")),
    }
}

fn pending_approval() -> PendingApproval {
    PendingApproval {
        token: Some(text("0123456789abcdef")),
        request: handled(),
        purpose: Purpose::Main,
        operation: Operation::Update,
        target: target(),
        preview: Some(PreviewRun { id: text("id"), version: LARGE, url: Some(text("https://app.pulumi.com")) }),
        commit: Some(text("c0ffee")),
        resource_changes: BTreeMap::from([(text("replace"), 1)]),
        basis: basis(),
        policed: true,
        outdated: Some(Moved::StackUpdate),
        replaces: Some(Moved::Settings),
        rejected: Some(Rejection { rejected_by: Some(text("anna@example.com")), at: TIME }),
    }
}

fn target() -> Target {
    Target {
        backend_url: text("https://api.pulumi.com"),
        organization: text("acme"),
        project: text("web"),
        stack: text("prod"),
    }
}

fn deployment() -> DeploymentStatus {
    let request = handled();
    DeploymentStatus {
        observed_generation: Some(3),
        last_handled_reconcile_at: Some(text("now")),
        uid: Some(text("5b1c")),
        phase: Some(Phase::Running),
        step: Some(text("4/6 pulumi update")),
        conditions: conditions(),
        request: Some(request.clone()),
        pending: Some(pending_request()),
        last_skipped: Some(LARGE),
        intent: Some(Intent {
            nonce: text("0123456789ABCDEF"),
            request: request.clone(),
            purpose: Purpose::Main,
            attempt: 1,
            trigger: Some(Trigger::Retry),
            asked_at: Some(TIME),
            operation: Operation::DetectDrift,
            target: target(),
            holder: text("holder"),
            time: TIME,
            version_floor: Some(0),
            server_date: Some(TIME),
            secrets: Some(text("digest")),
            basis: Some(basis()),
            approval: Some(given()),
        }),
        refusal: Some(Refusal { digest: text("digest"), message: text("409 Conflict: stack is paused") }),
        run: Some(Run {
            request,
            purpose: Purpose::Main,
            attempt: u32::MAX,
            trigger: Some(Trigger::Adopted),
            asked_at: Some(TIME),
            nonce: text("0123456789ABCDEF"),
            operation: Operation::Update,
            target: target(),
            secrets: Some(text("digest")),
            id: text("id"),
            version: LARGE,
            url: Some(text("https://app.pulumi.com/acme/web/prod/deployments/7")),
            status: text("a word of the future"),
            queued_at: Some(TIME),
            started_at: Some(TIME),
            finished_at: Some(TIME),
            jobs: vec![Job {
                status: text("running"),
                steps: vec![Step {
                    name: text("Get source"),
                    status: text("succeeded"),
                    started_at: Some(TIME),
                    finished_at: Some(TIME),
                }],
            }],
            updates: vec![Update {
                version: 8,
                kind: text("update"),
                result: text("failed"),
                resource_changes: BTreeMap::from([(text("create"), 2), (text("same"), 0)]),
            }],
            cancel: Some(Cancel { reason: CancelReason::Superseded, requested_at: TIME }),
            cancel_taken_back: true,
            basis: Some(basis()),
            approval: Some(given()),
            result: Some(Phase::Canceled),
            failure: Some(Failure { step: Some(text("pulumi update")), log: vec![text("error: no"), text("")] }),
        }),
        retry: Some(Retry { attempt: 2, at: TIME }),
        approval: Some(pending_approval()),
        drift: Some(DriftFinding {
            detected: true,
            run: text("51035bee"),
            version: Some(LARGE),
            resource_changes: BTreeMap::from([(text("update"), 2), (text("same"), 0)]),
            remediation: Some(DriftRemediation {
                result: text("failed"),
                resource_changes: BTreeMap::from([(text("update"), 1)]),
            }),
            seen_at: TIME,
        }),
        outputs_refusal: Some(Refusal { digest: text("v1:digest"), message: text("too large") }),
        outputs: Some(WrittenOutputs {
            run: text("id"),
            version: LARGE,
            declared: text("v1:digest"),
            secret_keys: Some(0),
            config_map_keys: Some(u32::MAX),
            written_at: TIME,
        }),
        history: vec![history_entry()],
    }
}

fn pending_request() -> PendingRequest {
    PendingRequest {
        number: LARGE,
        digest: text("v1:digest"),
        settings_digest: Some(text("v1:key:digest")),
        operation: Operation::Refresh,
        trigger: Trigger::SettingsChanged,
        since: TIME,
    }
}

fn history_entry() -> HistoryEntry {
    HistoryEntry {
        request_number: 1,
        purpose: Purpose::Main,
        attempt: 1,
        trigger: Some(Trigger::Deleted),
        operation: Operation::RemediateDrift,
        id: Some(text("id")),
        version: Some(6),
        url: Some(text("https://app.pulumi.com/acme/web/prod/deployments/6")),
        result: Phase::Failed,
        message: Some(text("another request took its place before it ran")),
        queued_at: Some(TIME),
        finished_at: Some(TIME),
        failed_step: Some(text("pulumi update")),
        approval: Some(given()),
    }
}

/// Writes the status, reads it back, takes it away again.
async fn assert_kept<K, S>(kind: &str, spec: &str, status: S, status_of: impl Fn(K) -> Option<S>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize + Debug + Default + PartialEq,
{
    let written = serde_json::to_value(&status).unwrap();
    let declared = schema::of_part(kind, "status");
    let unused: Vec<_> =
        schema::declared(declared, "status").difference(&schema::used(declared, "status", &written)).cloned().collect();
    assert!(unused.is_empty(), "{kind}: the status of this test lacks {unused:#?}");

    let server = Server::new().await;
    let created = server.create(&resource(kind, spec), Validation::Strict).await.unwrap();
    let api: Api<K> = Api::namespaced(server.client.clone(), &server.namespace);
    let name = created["metadata"]["name"].as_str().unwrap();
    let params = PatchParams::default();
    api.patch_status(name, &params, &Patch::Merge(json!({"status": written}))).await.unwrap();
    assert_eq!(status_of(api.get(name).await.unwrap()), Some(status));

    let nothing: serde_json::Map<_, _> =
        written.as_object().unwrap().keys().map(|field| (field.clone(), json!(null))).collect();
    let emptied = api.patch_status(name, &params, &Patch::Merge(json!({"status": nothing}))).await.unwrap();
    assert_eq!(status_of(emptied), Some(S::default()));
}

#[tokio::test]
async fn of_an_organization() {
    let spec = "accessToken: {secretKeyRef: {name: pulumi, key: token}}";
    assert_kept(ORGANIZATION, spec, organization(), |organization: Organization| organization.status).await;
}

#[tokio::test]
async fn of_stack_deployment_settings() {
    let spec = "stack: {organizationRef: {name: acme}, project: web, name: prod}";
    assert_kept(SETTINGS, spec, settings(), |settings: StackDeploymentSettings| settings.status).await;
}

#[tokio::test]
async fn of_a_deployment() {
    let spec = "{settingsRef: {name: web-prod}, operation: update}";
    assert_kept(DEPLOYMENT, spec, deployment(), |deployment: Deployment| deployment.status).await;
}
