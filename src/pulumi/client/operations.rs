//! The names of the API's calls, as errors, logs and metrics have them.

/// All that a client ever sends. The kinds of schedules, which are made and changed by paths of their own, share a name.
pub const OPERATIONS: [&str; 52] = [
    "BatchDecrypt",
    "CancelDeployment",
    "ClearCache",
    "CreateAgentPool",
    "CreateDeployment",
    "CreateSchedule",
    "CreateStack",
    "DecryptValue",
    "DeleteAgentPool",
    "DeleteSchedule",
    "DeleteSettings",
    "DeleteStack",
    "EncryptSecret",
    "ExchangeToken",
    "ExportStack",
    "GetAgentPool",
    "GetDefaultOrganization",
    "GetDeployment",
    "GetDeploymentByVersion",
    "GetDeploymentsSummary",
    "GetDriftRun",
    "GetDriftStatus",
    "GetEngineEvents",
    "GetLatestUpdate",
    "GetLogs",
    "GetOrganizationMetadata",
    "GetSchedule",
    "GetScheduleHistory",
    "GetSettings",
    "GetStack",
    "GetStackMetadata",
    "GetStepLogs",
    "GetUpdate",
    "GetUpdateSummary",
    "GetUsageReport",
    "GetUser",
    "ListAgentPools",
    "ListDriftRuns",
    "ListOrganizationDeployments",
    "ListSchedules",
    "ListStackDeployments",
    "ListUpdates",
    "PatchAgentPool",
    "PatchSettings",
    "PauseOrganization",
    "PauseSchedule",
    "PauseStack",
    "PutSettings",
    "ResumeOrganization",
    "ResumeSchedule",
    "ResumeStack",
    "UpdateSchedule",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// The names are where the calls are made.
    #[test]
    fn every_call_that_is_made_is_in_the_list() {
        let mut made = BTreeSet::new();
        let calls = [
            "Call::get(",
            "Call::post(",
            "Call::delete(",
            "const CALL: &str = ",
            "const LIST: &str = ",
            "const OPERATION: &str = ",
        ];
        for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pulumi/client")).unwrap() {
            let path = file.unwrap().path();
            if path.ends_with("operations.rs") {
                continue;
            }
            let source = fs::read_to_string(path).unwrap();
            for before in calls {
                let names = source.split(before).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
                made.extend(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
        let listed: BTreeSet<_> = OPERATIONS.map(str::to_owned).into();
        assert_eq!(made, listed);
        assert!(OPERATIONS.is_sorted());
    }
}
