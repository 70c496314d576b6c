//! Every call that the operation of a Deployment makes, gone wrong in every way that a call can: it is lost, late, cut
//! off, answered with nonsense or an error, or delivered twice. All of them at once, each to a Deployment of its own;
//! all of them must come to the same end as if nothing had been wrong.
//!
//! `PDO_PAIRS=CancelDeployment` does only what has this in its title.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all, stream};
use kube::ResourceExt;
use pulumi_cloud_simulator::{DeploymentView, Fault, FaultAnswer, FaultHandle, Simulator};
use pulumi_deployments_operator::api::{
    Deployment, DeploymentStatus, Organization, StackDeploymentSettings,
    condition::{find, types},
    deployment::{Operation, Phase, Run},
};
use serde_json::{Value, json};

use crate::{
    eventually::SOON,
    ledger::{Ledger, summary},
    world::{World, deployment_manifest, settings_manifest},
};

/// Divides the operator's waiting times. Slower than elsewhere: with so much to do at once, even this machine's own
/// delays would look like lost answers.
const SPEED: f64 = 6.0;
/// How many pairs there are at a time.
const AT_ONCE: usize = 32;
/// Each has to wait for its turn among the others.
const PATIENCE: Duration = SOON.saturating_mul(4);

const OPERATIONS: [Operation; 6] = [
    Operation::Update,
    Operation::Preview,
    Operation::Destroy,
    Operation::Refresh,
    Operation::DetectDrift,
    Operation::RemediateDrift,
];

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    LostBefore,
    LostAfter,
    SlowBefore,
    LateBefore,
    LateAfter,
    Truncated,
    Garbage,
    Duplicated,
    Throttled,
    InternalError,
    BadGateway,
    Unavailable,
    GatewayTimeout,
}

const WRONGS: [Wrong; 13] = [
    Wrong::LostBefore,
    Wrong::LostAfter,
    Wrong::SlowBefore,
    Wrong::LateBefore,
    Wrong::LateAfter,
    Wrong::Truncated,
    Wrong::Garbage,
    Wrong::Duplicated,
    Wrong::Throttled,
    Wrong::InternalError,
    Wrong::BadGateway,
    Wrong::Unavailable,
    Wrong::GatewayTimeout,
];

impl Wrong {
    fn make(self, fault: Fault) -> Fault {
        // A call waits 30 s, and what is sent arrives within 45 s or never.
        let (slow, late) = (Duration::from_secs_f64(10.0 / SPEED), Duration::from_secs_f64(37.0 / SPEED));
        match self {
            Self::LostBefore => fault.drop_before(),
            Self::LostAfter => fault.drop_after(),
            Self::SlowBefore => fault.delay_before(slow),
            Self::LateBefore => fault.delay_before(late),
            Self::LateAfter => fault.delay_after(late),
            Self::Truncated => fault.truncate_body(),
            Self::Garbage => fault.garbage(),
            Self::Duplicated => fault.duplicate(),
            Self::Throttled => fault.answer(FaultAnswer::status(429).header("Retry-After", "1")),
            Self::InternalError => fault.answer_after(500),
            Self::BadGateway => fault.answer_after(FaultAnswer::status(502).text("<html>Bad Gateway</html>")),
            Self::Unavailable => fault.answer(503),
            Self::GatewayTimeout => fault.answer_after(504),
        }
    }
}

/// What a Deployment goes through, so that the operator makes a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Story {
    /// It runs.
    Runs,
    /// The answer to its creation is lost.
    IsSearchedFor,
    /// It is replaced while it is queued.
    IsReplacedInTheQueue,
    /// It is replaced while it runs.
    IsReplacedWhileRunning,
    /// It is deleted while it runs.
    IsDeletedWhileRunning,
    /// It waits for too long in the queue.
    TimesOutInTheQueue,
    /// One of its steps fails.
    Fails,
    /// Its outputs are written.
    GivesOutputs,
    /// It runs with the settings of a `StackDeploymentSettings`.
    HasSettings,
}

/// Whose calls go wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scope {
    /// Those for the stack.
    Stack,
    /// Those for the organization, which the stack has for itself.
    Organization,
    /// Those of the token's user.
    User,
}

/// A call, where it belongs, and what leads to it.
struct Call {
    operation: &'static str,
    scope: Scope,
    story: Story,
    /// The operations that are run. None: each in turn.
    runs: &'static [Operation],
    /// How often in a row it goes wrong: what may be repeated is repeated at once, and that is to go wrong too.
    times: usize,
    /// The organization's list is refused, so that runs are read one by one.
    one_by_one: bool,
}

const fn call(operation: &'static str, story: Story) -> Call {
    Call { operation, scope: Scope::Stack, story, runs: &[], times: 4, one_by_one: false }
}

const UPDATE: &[Operation] = &[Operation::Update];

const CALLS: [Call; 19] = [
    Call { runs: &OPERATIONS, times: 1, ..call("CreateDeployment", Story::Runs) },
    Call { times: 2, ..call("CreateDeployment", Story::HasSettings) },
    call("ListDeployments", Story::IsSearchedFor),
    call("GetDeploymentByVersion", Story::IsSearchedFor),
    call("GetDeployment", Story::IsReplacedInTheQueue),
    Call { one_by_one: true, scope: Scope::Organization, ..call("GetDeployment", Story::Runs) },
    call("CancelDeployment", Story::IsReplacedInTheQueue),
    call("CancelDeployment", Story::IsReplacedWhileRunning),
    call("CancelDeployment", Story::IsDeletedWhileRunning),
    call("CancelDeployment", Story::TimesOutInTheQueue),
    call("GetDeploymentLogs", Story::Fails),
    Call { runs: &[Operation::DetectDrift, Operation::RemediateDrift], ..call("ListDriftRuns", Story::Runs) },
    Call { runs: UPDATE, ..call("ExportStack", Story::GivesOutputs) },
    Call { runs: UPDATE, ..call("BatchDecryptValue", Story::GivesOutputs) },
    call("GetSettings", Story::HasSettings),
    call("PatchSettings", Story::HasSettings),
    Call { scope: Scope::Organization, ..call("ListOrganizationDeployments", Story::Runs) },
    Call { scope: Scope::Organization, ..call("GetOrganizationMetadata", Story::Runs) },
    Call { scope: Scope::User, ..call("GetUser", Story::Runs) },
];

/// One Deployment, and what goes wrong for it.
struct Pair {
    name: String,
    organization: String,
    call: &'static Call,
    operation: Operation,
    wrong: Wrong,
}

impl Pair {
    fn title(&self) -> String {
        let Call { operation, story, scope, one_by_one, .. } = self.call;
        let one_by_one = if *one_by_one { ", one by one" } else { "" };
        format!(
            "{} {operation} ({:?} of a {}; {story:?}, {scope:?}{one_by_one})",
            self.name, self.wrong, self.operation
        )
    }

    fn stack(&self) -> String {
        format!("{}/web/{}", self.organization, self.name)
    }
}

/// All pairs; what concerns an organization as a whole has one for itself.
fn pairs(prefix: &str) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = vec![];
    for call in &CALLS {
        for (place, wrong) in WRONGS.into_iter().enumerate() {
            let in_turn = [OPERATIONS[place % OPERATIONS.len()]];
            let runs = if call.runs.is_empty() { &in_turn[..] } else { call.runs };
            for operation in runs {
                let number = pairs.len();
                let organization = match (call.scope, wrong) {
                    // A pause that is asked for holds for all that the token is used for.
                    (Scope::Stack, Wrong::Throttled) => format!("{prefix}-throttled"),
                    (Scope::Stack, _) => format!("{prefix}-all"),
                    (Scope::Organization | Scope::User, _) => format!("{prefix}-{number:03}"),
                };
                pairs.push(Pair { name: format!("s{number:03}"), organization, call, operation: *operation, wrong });
            }
        }
    }
    let only = env::var("PDO_PAIRS").unwrap_or_default();
    pairs.retain(|pair| pair.title().contains(&only));
    pairs
}

/// What a pair is played out in.
struct Stage<'a> {
    world: &'a World,
    ledger: &'a Ledger,
    pair: &'a Pair,
}

fn run_of(deployment: Option<&Deployment>) -> Option<&Run> {
    deployment?.status.as_ref()?.run.as_ref()
}

fn is_in(phase: Phase) -> impl Fn(Option<&Deployment>) -> bool {
    move |latest| {
        latest
            .and_then(|latest| latest.status.as_ref())
            .is_some_and(|status: &DeploymentStatus| status.phase == Some(phase))
    }
}

fn has_ended(request: u64) -> impl Fn(Option<&Deployment>) -> bool {
    move |latest| {
        let is_over = run_of(latest).is_some_and(|run| run.request.number == request && run.result.is_some());
        let status = latest.and_then(|latest| latest.status.as_ref());
        is_over && status.is_some_and(|status| status.phase.is_some_and(Phase::is_terminal))
    }
}

impl Stage<'_> {
    fn simulator(&self) -> &Simulator {
        &self.world.simulator
    }

    fn runs(&self) -> Vec<DeploymentView> {
        self.simulator().deployments(&self.pair.stack())
    }

    async fn wait(&self, what: &str, wanted: impl Fn(Option<&Deployment>) -> bool) -> Result<(), String> {
        self.ledger.wait(PATIENCE, &self.pair.name, what, wanted).await.map(|_| ())
    }

    async fn put(&self, more: &Value) {
        let Pair { name, organization, operation, .. } = self.pair;
        let mut fields = json!({"operation": operation});
        let target = json!({"organizationRef": {"name": organization}, "project": "web", "name": name});
        if self.pair.call.story == Story::HasSettings {
            let git = json!({"repoURL": "https://example.com/web.git", "branch": "main"});
            let more = json!({"stack": target, "settings": {"sourceContext": {"git": git}}});
            self.world.put::<StackDeploymentSettings>(settings_manifest(name, &more)).await;
            fields["settingsRef"] = json!({"name": name});
        } else {
            fields["stack"] = target;
        }
        for (field, value) in more.as_object().unwrap() {
            fields[field] = value.clone();
        }
        self.world.put::<Deployment>(deployment_manifest(name, &fields)).await;
    }

    async fn rerun(&self) {
        self.world.merge::<Deployment>(&self.pair.name, json!({"spec": {"rerun": "2"}})).await;
    }

    async fn delete(&self) -> Result<(), String> {
        self.world.delete::<Deployment>(&self.pair.name).await;
        self.wait("it is gone", |latest| latest.is_none()).await
    }

    /// Plays it out, and returns how its runs must have ended, the oldest first.
    async fn play(&self) -> Result<Vec<&'static str>, String> {
        let stack = self.pair.stack();
        let simulator = self.simulator();
        match self.pair.call.story {
            Story::Runs | Story::HasSettings => {
                self.put(&json!({})).await;
                self.wait("it has run", has_ended(1)).await?;
                Ok(vec!["succeeded"])
            }
            Story::IsSearchedFor => {
                simulator.inject(Fault::on("CreateDeployment").stack(&stack).drop_after());
                self.put(&json!({})).await;
                self.wait("it has run", has_ended(1)).await?;
                Ok(vec!["succeeded"])
            }
            Story::IsReplacedInTheQueue => {
                simulator.set_stack_paused(&stack, true).unwrap();
                self.put(&json!({})).await;
                self.wait("it is queued", is_in(Phase::Queued)).await?;
                self.rerun().await;
                let is_next = |latest: Option<&Deployment>| run_of(latest).is_some_and(|run| run.request.number == 2);
                self.wait("it is replaced", is_next).await?;
                simulator.set_stack_paused(&stack, false).unwrap();
                self.wait("the second has run", has_ended(2)).await?;
                Ok(vec!["removed", "succeeded"])
            }
            Story::IsReplacedWhileRunning => {
                simulator.hold(&stack).unwrap();
                self.put(&json!({"supersede": "Cancel"})).await;
                self.wait("it runs", is_in(Phase::Running)).await?;
                self.rerun().await;
                let is_next = |latest: Option<&Deployment>| run_of(latest).is_some_and(|run| run.request.number == 2);
                self.wait("it is replaced", is_next).await?;
                simulator.release(&stack).unwrap();
                self.wait("the second has run", has_ended(2)).await?;
                Ok(vec!["canceled", "succeeded"])
            }
            Story::IsDeletedWhileRunning => {
                simulator.hold(&stack).unwrap();
                self.put(&json!({"deletionPolicy": "Cancel"})).await;
                self.wait("it runs", is_in(Phase::Running)).await?;
                self.delete().await?;
                Ok(vec!["canceled"])
            }
            Story::TimesOutInTheQueue => {
                simulator.set_stack_paused(&stack, true).unwrap();
                self.put(&json!({"queueTimeout": "1s"})).await;
                self.wait("it has timed out", is_in(Phase::TimedOut)).await?;
                Ok(vec!["removed"])
            }
            Story::Fails => {
                let fails = json!({"operationContext": {"preRunCommands": ["echo the reason && exit 3"]}});
                self.put(&json!({"settings": fails})).await;
                self.wait("it has failed", has_ended(1)).await?;
                Ok(vec!["failed"])
            }
            Story::GivesOutputs => {
                simulator.set_outputs(&stack, &json!({"url": "x", "password": {"secret": "y"}})).unwrap();
                self.put(&json!({"outputs": {"secret": {"name": format!("out-{}", self.pair.name)}}})).await;
                let are_written = |latest: Option<&Deployment>| {
                    let status = latest.and_then(|latest| latest.status.as_ref());
                    status.is_some_and(|status| status.outputs.as_ref().is_some_and(|outputs| outputs.version == 1))
                };
                self.wait("its outputs are written", are_written).await?;
                Ok(vec!["succeeded"])
            }
        }
    }

    /// Plays it out, deletes it, and returns what was wrong.
    async fn perform(&self, fault: &FaultHandle) -> Vec<String> {
        let mut problems = vec![];
        match self.play().await {
            Err(problem) => problems.push(problem),
            Ok(ends) => {
                let found: Vec<&str> = self.runs().iter().map(end).collect();
                let twice = self.pair.wrong == Wrong::Duplicated && self.pair.call.operation == "CreateDeployment";
                if twice {
                    // The service has done it twice, which nobody can know: the one that was answered is followed.
                    let followed = self.latest().and_then(|latest| Some(run_of(Some(&latest))?.version));
                    if found.len() <= ends.len() || followed.is_none() {
                        problems.push(format!("the runs ended {found:?}, version {followed:?} is followed"));
                    }
                } else {
                    if found != ends {
                        problems.push(format!("the runs ended {found:?}, not {ends:?}"));
                    }
                    problems.extend(self.ledger.problems(&self.pair.name, &self.runs()));
                }
            }
        }
        if fault.hits() == 0 {
            problems.push("no call has gone wrong".to_owned());
        }
        fault.remove();
        if let Some(latest) = self.latest() {
            let stalled = latest.status.as_ref().and_then(|status| find(&status.conditions, types::STALLED));
            let ends = ["Failed", "TimedOut"];
            if let Some(stalled) = stalled.filter(|stalled| !ends.contains(&stalled.reason.as_str())) {
                problems.push(format!("it waits for a person: {stalled:?}"));
            }
            let before = summary(&latest);
            problems.extend(self.delete().await.err().map(|problem| format!("{problem}, and was {before}")));
        }
        problems.into_iter().map(|problem| format!("{}: {problem}", self.pair.title())).collect()
    }

    fn latest(&self) -> Option<Arc<Deployment>> {
        self.ledger.living().into_iter().find(|deployment| deployment.name_any() == self.pair.name)
    }

    fn inject(&self) -> FaultHandle {
        let Pair { organization, call, wrong, .. } = self.pair;
        let times = match wrong {
            // What takes long to go wrong has no need to do so often; a pause holds for all that the token is used for.
            Wrong::LateBefore | Wrong::LateAfter => call.times.min(2),
            Wrong::Throttled => 1,
            _ => call.times,
        };
        let fault = Fault::on(call.operation).times(times);
        let fault = match call.scope {
            Scope::Stack => fault.stack(self.pair.stack()),
            Scope::Organization => fault.organization(organization.clone()),
            Scope::User => {
                let user = format!("{organization}-admin");
                fault.when(move |request| request.user.as_ref() == Some(&user))
            }
        };
        self.simulator().inject(wrong.make(fault))
    }
}

fn end(run: &DeploymentView) -> &'static str {
    match run.status.as_str() {
        _ if run.removed => "removed",
        _ if run.canceled => "canceled",
        "succeeded" => "succeeded",
        "failed" => "failed",
        "skipped" => "skipped",
        _ => "not at all",
    }
}

/// Applies an Organization for each organization that the pairs need.
async fn organizations(world: &World, pairs: &[Pair]) {
    let mut names: Vec<&String> = pairs.iter().map(|pair| &pair.organization).collect();
    names.sort();
    names.dedup();
    let tokens: Vec<(String, String)> =
        names.iter().map(|name| ((*name).clone(), format!("token-of-{name}"))).collect();
    let values: Vec<(&str, &str)> = tokens.iter().map(|(name, token)| (name.as_str(), token.as_str())).collect();
    world.put_secret("tokens", &values).await;
    for (name, token) in &tokens {
        world.simulator.add_organization(name, token);
        world.simulator.set_concurrency(name, 1_000).unwrap();
    }
    for pair in pairs {
        world.simulator.add_stack(&pair.stack()).unwrap();
        if pair.call.story != Story::HasSettings {
            // A stack without settings can't be paused.
            world.simulator.patch_settings(&pair.stack(), &json!({})).unwrap();
        }
        if pair.call.one_by_one {
            let list = Fault::on("ListOrganizationDeployments").organization(&pair.organization);
            world.simulator.inject(list.always().answer(403));
        }
    }
    join_all(names.into_iter().map(|name| async move {
        let token = json!({"secretKeyRef": {"name": "tokens", "key": name}});
        let mut manifest = world.organization_manifest(&json!({"name": name, "accessToken": token}));
        manifest["metadata"]["name"] = json!(name);
        world.put::<Organization>(manifest).await;
    }))
    .await;
}

#[tokio::test]
async fn every_call_may_go_wrong_in_every_way() {
    let simulator = Simulator::builder().speed(100.0).start().await.unwrap();
    let world = World::in_cloud("faults", simulator).await;
    let pairs = pairs(&world.namespace);
    let begin = Instant::now();
    let ledger = Ledger::new(world.api()).await;
    let stages: Vec<Stage> = pairs.iter().map(|pair| Stage { world: &world, ledger: &ledger, pair }).collect();
    organizations(&world, &pairs).await;
    // What goes wrong for an organization goes wrong from its first call on.
    let faults: Vec<FaultHandle> = stages.iter().map(Stage::inject).collect();
    let _operator = world.start_busy_process("1", SPEED);
    let performed = stages.iter().zip(&faults).map(|(stage, fault)| stage.perform(fault));
    let problems: Vec<Vec<String>> = stream::iter(performed).buffer_unordered(AT_ONCE).collect().await;
    println!("{} pairs in {:?}", pairs.len(), begin.elapsed());
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{} of {} pairs:\n{}", problems.len(), pairs.len(), problems.join("\n"));
}
