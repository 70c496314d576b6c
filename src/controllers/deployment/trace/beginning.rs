//! Pure: when a request was made.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use crate::{
    api::{
        Deployment, Time,
        deployment::{Purpose, Trigger},
        names::RERUN,
    },
    controllers::deployment::request::Identity,
};

/// When what a run is for was asked for, as far as it can be told. A further run for the same request has it from the one
/// before. Otherwise Kubernetes knows: when the object was created, deleted, or when somebody last changed its spec or the
/// annotation that asks for it once more. A later change may be policy, so it is never after the request was noted.
#[must_use]
pub fn asked_at(deployment: &Deployment, identity: &Identity, purpose: Purpose, now: Time) -> Option<Time> {
    let status = deployment.status.clone().unwrap_or_default();
    let number = identity.request.number;
    let is_end = |purpose| purpose == Purpose::Destroy;
    if let Some(run) = status.run.filter(|run| run.request.number == number && is_end(run.purpose) == is_end(purpose)) {
        return run.asked_at;
    }
    let metadata = &deployment.metadata;
    let noted = status.pending.filter(|pending| pending.number == number && !is_end(purpose)).map(|it| it.since);
    let changed = match identity.trigger {
        Some(Trigger::Deleted) => metadata.deletion_timestamp.as_ref().map(|time| Time::from(time.0)),
        Some(Trigger::Created) => metadata.creation_timestamp.as_ref().map(|time| Time::from(time.0)),
        Some(Trigger::Changed | Trigger::Rerun) => {
            metadata.managed_fields.iter().flatten().filter_map(asks).filter(|time| *time <= now).max()
        }
        Some(Trigger::SettingsChanged | Trigger::Retry | Trigger::Adopted) | None => None,
    };
    // The clocks of two machines may differ.
    changed.map(|changed| changed.min(noted.unwrap_or(now))).or(noted)
}

/// When somebody changed what he owns, where that is part of what is asked for.
fn asks(entry: &ManagedFieldsEntry) -> Option<Time> {
    let is_status = entry.subresource.as_ref().is_some_and(|name| !name.is_empty());
    let fields = &entry.fields_v1.as_ref().filter(|_| !is_status)?.0;
    let rerun = fields.pointer("/f:metadata/f:annotations").and_then(Value::as_object);
    let asks = fields.get("f:spec").is_some() || rerun.is_some_and(|them| them.contains_key(&format!("f:{RERUN}")));
    entry.time.as_ref().filter(|_| asks).map(|time| Time::from(time.0))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::{api::deployment::HandledRequest, controllers::deployment::plan::tests::run};

    const NOW: i64 = 1_777_638_000;

    fn at(minutes: i64) -> Time {
        Time::from_seconds(NOW - 60 * minutes)
    }

    fn entry(manager: &str, minutes: i64, fields: &Value, subresource: &str) -> Value {
        json!({"manager": manager, "operation": "Update", "apiVersion": "deployments.pulumi.com/v1alpha1", "time": at(minutes),
               "fieldsType": "FieldsV1", "fieldsV1": fields, "subresource": subresource})
    }

    /// Created an hour ago, changed half an hour ago, asked for once more a quarter of an hour ago.
    fn deployment(status: &Value) -> Deployment {
        let rerun = json!({"f:metadata": {"f:annotations": {format!("f:{RERUN}"): {}}}});
        let other = json!({"f:metadata": {"f:annotations": {"f:example.com/a": {}}}});
        serde_json::from_value(json!({
            "metadata": {
                "name": "web", "uid": "uid", "creationTimestamp": at(60), "deletionTimestamp": at(1),
                "managedFields": [
                    entry("argocd", 30, &json!({"f:spec": {"f:operation": {}}}), ""),
                    entry("kubectl-annotate", 15, &rerun, ""),
                    entry("kubectl-annotate", 2, &other, ""),
                    entry("operator", 3, &json!({"f:status": {}}), "status"),
                    entry("ahead", -5, &json!({"f:spec": {}}), ""),
                ],
            },
            "spec": {"settingsRef": {"name": "web"}, "operation": "update"},
            "status": status,
        }))
        .unwrap()
    }

    fn identity(number: u64, trigger: Trigger) -> Identity {
        Identity { request: HandledRequest { number, ..HandledRequest::default() }, attempt: 1, trigger: Some(trigger) }
    }

    #[rstest]
    #[case::created(Trigger::Created, Some(60))]
    #[case::changed(Trigger::Changed, Some(15))]
    #[case::rerun(Trigger::Rerun, Some(15))]
    #[case::settings(Trigger::SettingsChanged, None)]
    fn kubernetes_knows_when(#[case] trigger: Trigger, #[case] minutes: Option<i64>) {
        let found = asked_at(&deployment(&json!({})), &identity(2, trigger), Purpose::Main, at(0));
        assert_eq!(found, minutes.map(at));
    }

    #[test]
    fn a_deletion_asks_for_the_destruction() {
        let found = asked_at(&deployment(&json!({})), &identity(2, Trigger::Deleted), Purpose::Destroy, at(0));
        assert_eq!(found, Some(at(1)));
    }

    #[rstest]
    #[case::a_later_change_is_policy(Trigger::Changed, 20, 20)]
    #[case::it_was_noted_later(Trigger::Changed, 10, 15)]
    #[case::nothing_else_is_known(Trigger::SettingsChanged, 10, 10)]
    fn what_was_noted_counts(#[case] trigger: Trigger, #[case] noted: i64, #[case] minutes: i64) {
        let pending =
            json!({"number": 2, "digest": "d", "operation": "update", "trigger": trigger, "since": at(noted)});
        let deployment = deployment(&json!({"pending": pending}));
        assert_eq!(asked_at(&deployment, &identity(2, trigger), Purpose::Main, at(0)), Some(at(minutes)));
    }

    #[rstest]
    #[case::the_same_request(1, Purpose::Main, Some(45))]
    #[case::another_request(2, Purpose::Main, Some(60))]
    #[case::the_end(1, Purpose::Destroy, Some(60))]
    fn a_further_run_has_it_from_the_one_before(
        #[case] number: u64,
        #[case] purpose: Purpose,
        #[case] minutes: Option<i64>,
    ) {
        let before = crate::api::deployment::Run { asked_at: Some(at(45)), purpose: Purpose::Preview, ..run(1) };
        let deployment = deployment(&json!({"run": before}));
        assert_eq!(asked_at(&deployment, &identity(number, Trigger::Created), purpose, at(0)), minutes.map(at));
    }
}
