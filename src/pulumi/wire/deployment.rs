//! A run, and lists of runs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::Deserializer;

use super::lenient::{non_empty, or_default, required};
use super::page::Page;
use super::status::{Status, StepStatus};
use super::time;
use super::update::Update;

/// The answer to a create (202).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct CreatedDeployment {
    /// Identifies the run everywhere.
    #[serde(deserialize_with = "required")]
    pub id: String,
    /// Where a person can watch it.
    #[serde(rename = "consoleUrl", default, deserialize_with = "or_default")]
    pub console_url: String,
    /// The run's number within its stack, counted from 1.
    pub version: u64,
}

/// A run, as a GET by id or by version answers it and as lists contain it.
///
/// The two do not have the same fields: `latest_version` and `configuration` come from a GET only; `project`,
/// `stack` and `updates` from a list only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Identifies the run everywhere.
    #[serde(deserialize_with = "required")]
    pub id: String,
    /// The run's number within its stack, counted from 1.
    #[serde(default, deserialize_with = "or_default")]
    pub version: u64,
    /// Its state.
    pub status: Status,
    /// When it was created, by the service's clock.
    #[serde(default, deserialize_with = "time::text")]
    pub created: Option<Timestamp>,
    /// When it last changed, by the service's clock.
    #[serde(default, deserialize_with = "time::text")]
    pub modified: Option<Timestamp>,
    /// The number of the stack's newest run.
    #[serde(default)]
    pub latest_version: Option<u64>,
    /// Who asked for it.
    #[serde(rename = "requestedBy", default, deserialize_with = "login")]
    pub requested_by_login: Option<String>,
    /// `update`, `preview`, `destroy`, `refresh`, `detect-drift`, `remediate-drift`; old runs have none.
    #[serde(rename = "pulumiOperation", default, deserialize_with = "non_empty")]
    pub operation: Option<String>,
    /// Where it was asked for: `console`, `cli`, `automation-api`, …
    #[serde(default, deserialize_with = "non_empty")]
    pub initiator: Option<String>,
    /// The project's name.
    #[serde(rename = "projectName", default, deserialize_with = "non_empty")]
    pub project: Option<String>,
    /// The stack's name.
    #[serde(rename = "stackName", default, deserialize_with = "non_empty")]
    pub stack: Option<String>,
    /// Its jobs; none before it has started.
    #[serde(default, deserialize_with = "or_default")]
    pub jobs: Vec<Job>,
    /// The updates it made.
    #[serde(default, deserialize_with = "or_default")]
    pub updates: Vec<Update>,
    /// What it runs with, without any value.
    #[serde(default)]
    pub configuration: Option<Configuration>,
}

/// A job of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its state.
    pub status: Status,
    /// When it began.
    #[serde(default, deserialize_with = "time::text")]
    pub started: Option<Timestamp>,
    /// When it last changed; of a finished one: when it ended.
    #[serde(default, deserialize_with = "time::text")]
    pub last_updated: Option<Timestamp>,
    /// Its steps, in order.
    #[serde(default, deserialize_with = "or_default")]
    pub steps: Vec<Step>,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name, as `Get source` or `pulumi update`.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Its state.
    pub status: StepStatus,
    /// When it began.
    #[serde(default, deserialize_with = "time::text")]
    pub started: Option<Timestamp>,
    /// When it last changed; of a finished one: when it ended.
    #[serde(default, deserialize_with = "time::text")]
    pub last_updated: Option<Timestamp>,
}

/// What a run runs with. Values of variables are dropped when it is decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Configuration {
    /// The names of its environment variables, secret ones included.
    #[serde(rename = "environmentVariables", default, deserialize_with = "names")]
    pub environment_names: BTreeSet<String>,
    /// Where its program comes from.
    #[serde(default, deserialize_with = "git")]
    pub source: Option<Source>,
}

/// Where a run's program comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The repository's URL.
    #[serde(rename = "repoURL", alias = "repoUrl", default, deserialize_with = "non_empty")]
    pub repo_url: Option<String>,
    /// The branch.
    #[serde(default, deserialize_with = "non_empty")]
    pub branch: Option<String>,
    /// The directory within the repository.
    #[serde(default, deserialize_with = "non_empty")]
    pub repo_dir: Option<String>,
    /// The commit.
    #[serde(default, deserialize_with = "non_empty")]
    pub commit: Option<String>,
}

/// A page of a list of runs.
pub type DeploymentPage = Page<Deployment>;

fn login<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Person {
        #[serde(rename = "githubLogin", default, deserialize_with = "non_empty")]
        login: Option<String>,
    }
    Ok(Option::<Person>::deserialize(input)?.and_then(|person| person.login))
}

fn names<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeSet<String>, D::Error> {
    #[derive(Deserialize)]
    struct Variable {
        name: String,
    }
    let variables: Vec<Variable> = or_default(input)?;
    Ok(variables.into_iter().map(|variable| variable.name).collect())
}

fn git<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Source>, D::Error> {
    #[derive(Deserialize)]
    struct Arms {
        #[serde(default)]
        git: Option<Source>,
    }
    Ok(Option::<Arms>::deserialize(input)?.and_then(|arms| arms.git))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn by_id() {
        let run: Deployment = serde_json::from_value(json!({
            "id": "9e5e1331", "created": "2022-10-17 22:12:34.834", "modified": "2022-10-17 22:12:42.411",
            "status": "running", "version": 34, "latestVersion": 34, "news": {"from": "the future"},
            "requestedBy": {"name": "Me", "githubLogin": "me", "avatarUrl": "", "email": "x@example.com"},
            "jobs": [{
                "status": "running", "started": "2022-10-17T22:12:41.191646Z", "lastUpdated": "2022-10-17T22:12:42.411732Z",
                "steps": [
                    {"name": "Get source", "status": "running", "started": "2022-10-17T22:12:42.411732Z", "lastUpdated": "2022-10-17T22:12:42.411732Z"},
                    {"name": "Later", "status": "pondering", "started": "0001-01-01T00:00:00Z", "lastUpdated": "0001-01-01T00:00:00Z"},
                ],
            }],
            "configuration": {
                "environmentVariables": [
                    {"name": "B", "value": "us-west-2", "secret": false}, {"name": "A", "secret": true},
                ],
                "source": {"git": {"repoURL": "https://example.com/r.git", "branch": "refs/heads/main", "repoDir": ""}},
            },
        }))
        .unwrap();
        assert_eq!(
            run,
            Deployment {
                id: "9e5e1331".into(),
                version: 34,
                status: Status::Running,
                created: Some(time("2022-10-17T22:12:34.834Z")),
                modified: Some(time("2022-10-17T22:12:42.411Z")),
                latest_version: Some(34),
                requested_by_login: Some("me".into()),
                operation: None,
                initiator: None,
                project: None,
                stack: None,
                jobs: vec![Job {
                    status: Status::Running,
                    started: Some(time("2022-10-17T22:12:41.191646Z")),
                    last_updated: Some(time("2022-10-17T22:12:42.411732Z")),
                    steps: vec![
                        Step {
                            name: "Get source".into(),
                            status: StepStatus::Running,
                            started: Some(time("2022-10-17T22:12:42.411732Z")),
                            last_updated: Some(time("2022-10-17T22:12:42.411732Z")),
                        },
                        Step {
                            name: "Later".into(),
                            status: StepStatus::Other("pondering".into()),
                            started: None,
                            last_updated: None,
                        },
                    ],
                }],
                updates: vec![],
                configuration: Some(Configuration {
                    environment_names: ["A".to_owned(), "B".to_owned()].into(),
                    source: Some(Source {
                        repo_url: Some("https://example.com/r.git".into()),
                        branch: Some("refs/heads/main".into()),
                        repo_dir: None,
                        commit: None,
                    }),
                }),
            }
        );
    }

    #[test]
    fn the_least_there_can_be() {
        let run: Deployment = serde_json::from_value(json!({
            "id": "x", "status": "not-started", "jobs": null, "updates": null, "requestedBy": null, "created": null,
            "configuration": {"environmentVariables": null, "source": {"template": {"sourceUrl": "u"}}},
        }))
        .unwrap();
        assert_eq!(run.jobs, vec![]);
        assert_eq!(run.created, None);
        assert_eq!(run.configuration.unwrap().source, None);
    }

    #[test]
    fn jobs_may_be_missing_and_a_repository_s_url_has_two_names() {
        for name in ["repoURL", "repoUrl"] {
            let run: Deployment = serde_json::from_value(json!({
                "id": "x", "status": "not-started", "created": "2022-10-17T22:12:34.834Z",
                "configuration": {"source": {"git": {name: "https://example.com/r.git"}}},
            }))
            .unwrap();
            assert_eq!((run.jobs.len(), run.created), (0, Some(time("2022-10-17T22:12:34.834Z"))));
            let source = run.configuration.unwrap().source.unwrap();
            assert_eq!(source.repo_url.as_deref(), Some("https://example.com/r.git"));
        }
    }

    #[test]
    fn one_odd_run_does_not_spoil_the_page() {
        let page: DeploymentPage = serde_json::from_value(json!({
            "deployments": [
                {"id": "a", "status": "running", "projectName": "p", "stackName": "s", "pulumiOperation": "update"},
                {"id": "b", "status": 7},
                {"id": "", "status": "running"},
            ],
            "itemsPerPage": 10, "total": 67,
        }))
        .unwrap();
        assert_eq!(page.items.len(), 1);
        assert_eq!(page.items[0].operation.as_deref(), Some("update"));
        assert_eq!((page.undecodable, page.len(), page.total), (2, 3, Some(67)));
    }

    #[test]
    fn an_answer_without_a_list_is_no_page() {
        assert!(serde_json::from_value::<DeploymentPage>(json!({})).is_err());
        let empty: DeploymentPage = serde_json::from_value(json!({"deployments": null, "total": 0})).unwrap();
        assert!(empty.is_empty());
    }

    #[test]
    fn a_create_needs_an_id_and_a_version() {
        let good = json!({"id": "x", "consoleUrl": "https://app/x", "version": 5});
        assert_eq!(serde_json::from_value::<CreatedDeployment>(good).unwrap().version, 5);
        for bad in [json!({}), json!({"id": "", "version": 1}), json!({"id": "x"})] {
            assert!(serde_json::from_value::<CreatedDeployment>(bad).is_err());
        }
    }
}
