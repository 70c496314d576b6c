//! Many Deployments at once, and everything that may happen to them at random: requests and policies change, runs are
//! held up and canceled elsewhere, resources go and come again, the Organization is suspended, calls go wrong, and the
//! operator is killed again and again. When all has calmed down, everything must add up.
//!
//! What happens is drawn first, from a seed that is printed: `PDO_SEED=… cargo test --test it random` does the same once
//! more (when what happens is up to the machine), and `PDO_DEPLOYMENTS=…` does it to more or fewer Deployments.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{
    env,
    time::{Duration, Instant},
};

use futures::future::join_all;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use pulumi_cloud_simulator::{Fault, FaultAnswer, Simulator};
use pulumi_deployments_operator::api::{Deployment, Organization};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until, timeout};

use crate::{
    eventually::{SOON, eventually},
    ledger::Ledger,
    world::{World, deployment_manifest},
};

/// How many Deployments there are.
const DEPLOYMENTS: u32 = 300;
/// How long things happen.
const STORM: Duration = Duration::from_secs(40);
/// Slower than other tests: with so much to do at once, even this machine's own delays would look like lost answers.
const SPEED: f64 = 6.0;

/// What happens to one Deployment or its stack.
#[derive(Clone, Debug)]
enum Action {
    /// Something else is asked for: a run that fails or not, and takes so many of the service's seconds.
    Ask { release: u32, fails: bool, seconds: u32 },
    /// What was asked for before that is asked for again.
    TakeBack,
    /// Another operation is asked for.
    Operation(&'static str),
    /// The same is asked for once more, by the field or by the annotation.
    Rerun { number: u32, by_annotation: bool },
    /// Fields of the spec change that are policy; null takes one away.
    Policy(Value),
    /// A label changes.
    Label(u32),
    /// The same manifest is applied once more.
    Apply,
    /// It is deleted, and created anew when it is gone.
    Recreate,
    /// The stack's queue is paused, or goes on.
    PauseStack(bool),
    /// The stack's run stands still, or goes on.
    Hold(bool),
    /// Somebody cancels the stack's newest run in the console.
    CancelElsewhere,
}

/// What happens to everything.
#[derive(Clone, Debug)]
enum Event {
    /// The operator is killed, and started again so much later.
    Kill(Duration),
    /// The Organization is suspended, or not any more.
    Suspend(bool),
    /// So many calls of one operation go wrong: those of one stack, or of the organization.
    Fault { operation: &'static str, stack: Option<u32>, wrong: Wrong, times: usize },
}

#[derive(Clone, Copy, Debug)]
enum Wrong {
    LostBefore,
    LostAfter,
    SlowBefore,
    SlowAfter,
    LateBefore,
    LateAfter,
    Truncated,
    Garbage,
    Unavailable,
    BadGateway,
    Throttled,
}

/// What is drawn from the seed.
#[derive(Debug)]
struct Script<T> {
    steps: Vec<(Duration, T)>,
}

fn one_of<T: Clone>(random: &mut StdRng, all: &[T]) -> T {
    all[random.random_range(0..all.len())].clone()
}

/// A change of policy: each field with all that it may be. A new field of the spec that starts no run belongs here; one
/// that does belongs to [`Action`], and into the `content` of the ledger.
fn policy(random: &mut StdRng) -> Value {
    let retry = json!({"limit": 2, "backoff": {"initial": "1s", "max": "2s"}});
    let fields = [
        ("supersede", vec![json!("Wait"), json!("CancelQueued"), json!("Cancel")]),
        ("deletionPolicy", vec![json!("Orphan"), json!("CancelQueued"), json!("Cancel")]),
        ("retry", vec![Value::Null, retry.clone(), retry]),
        ("timeout", vec![Value::Null, json!("1s"), json!("1h")]),
        ("queueTimeout", vec![Value::Null, json!("1s"), json!("1h")]),
        ("settle", vec![json!("0s"), json!("1s")]),
        ("failureLogLines", vec![json!(0), json!(3)]),
        ("suspend", vec![json!(true), json!(false), json!(false)]),
    ];
    let (field, values) = one_of(random, &fields);
    json!({field: one_of(random, &values)})
}

impl Action {
    fn draw(random: &mut StdRng, number: u32) -> Self {
        const OPERATIONS: [&str; 6] = ["update", "preview", "destroy", "refresh", "detect-drift", "remediate-drift"];
        match random.random_range(0..100) {
            0..25 => Self::Ask {
                release: number,
                fails: random.random_bool(0.25),
                seconds: one_of(random, &[1, 1, 20, 200]),
            },
            25..30 => Self::TakeBack,
            30..36 => Self::Operation(one_of(random, &OPERATIONS)),
            36..44 => Self::Rerun { number, by_annotation: random.random_bool(0.5) },
            44..66 => Self::Policy(policy(random)),
            66..69 => Self::Label(number),
            69..75 => Self::Apply,
            75..82 => Self::Recreate,
            82..88 => Self::PauseStack(random.random_bool(0.5)),
            88..94 => Self::Hold(random.random_bool(0.5)),
            _ => Self::CancelElsewhere,
        }
    }
}

impl Script<Action> {
    fn of_deployment(seed: u64, index: u32) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ (u64::from(index) << 32));
        let count = random.random_range(4..=9);
        let mut at = STORM.mul_f64(random.random_range(0.0..0.5));
        let mut steps = vec![];
        for number in 1..=count {
            steps.push((at, Action::draw(&mut random, number)));
            // Now in quick succession, now when the last one may be over.
            at += match random.random_range(0..3) {
                0 => Duration::from_millis(random.random_range(0..100)),
                1 => Duration::from_millis(random.random_range(0..2_000)),
                _ => Duration::from_millis(random.random_range(0..10_000)),
            };
        }
        Self { steps }
    }
}

impl Script<Event> {
    fn of_everything(seed: u64, deployments: u32) -> Self {
        const OF_STACKS: [&str; 9] = [
            "CreateDeployment",
            "CreateDeployment",
            "CreateDeployment",
            "ListDeployments",
            "GetDeploymentByVersion",
            "GetDeployment",
            "CancelDeployment",
            "GetDeploymentLogs",
            "ListDriftRuns",
        ];
        const OF_ORGANIZATIONS: [&str; 2] = ["ListOrganizationDeployments", "GetOrganizationMetadata"];
        const WRONG: [Wrong; 10] = [
            Wrong::LostBefore,
            Wrong::LostAfter,
            Wrong::SlowBefore,
            Wrong::SlowAfter,
            Wrong::LateBefore,
            Wrong::LateAfter,
            Wrong::Truncated,
            Wrong::Garbage,
            Wrong::Unavailable,
            Wrong::BadGateway,
        ];
        let mut random = StdRng::seed_from_u64(seed);
        let at = move |random: &mut StdRng| STORM.mul_f64(random.random_range(0.0..1.0));
        let mut steps = vec![];
        for _ in 0..6 {
            let pause = Duration::from_millis(random.random_range(0..1_000));
            steps.push((at(&mut random), Event::Kill(pause)));
        }
        for _ in 0..2 {
            let begin = at(&mut random);
            steps.push((begin, Event::Suspend(true)));
            steps.push((begin + Duration::from_secs(3), Event::Suspend(false)));
        }
        for _ in 0..deployments {
            let (operation, times) = (one_of(&mut random, &OF_STACKS), random.random_range(1..4));
            let (stack, wrong) = (Some(random.random_range(0..deployments)), one_of(&mut random, &WRONG));
            steps.push((at(&mut random), Event::Fault { operation, stack, wrong, times }));
        }
        for _ in 0..12 {
            let (operation, times) = (one_of(&mut random, &OF_ORGANIZATIONS), random.random_range(1..4));
            let fault = Event::Fault { operation, stack: None, wrong: one_of(&mut random, &WRONG), times };
            steps.push((at(&mut random), fault));
        }
        for operation in ["CreateDeployment", "ListOrganizationDeployments", "CancelDeployment"] {
            let stack = None;
            steps.push((at(&mut random), Event::Fault { operation, stack, wrong: Wrong::Throttled, times: 1 }));
        }
        steps.sort_by_key(|(at, _)| *at);
        Self { steps }
    }
}

impl Wrong {
    fn make(self, fault: Fault) -> Fault {
        // Long enough to be noticed, and longer than any call waits.
        let (slow, late) = (Duration::from_millis(400), Duration::from_secs_f64(45.0 / SPEED));
        match self {
            Self::LostBefore => fault.drop_before(),
            Self::LostAfter => fault.drop_after(),
            Self::SlowBefore => fault.delay_before(slow),
            Self::SlowAfter => fault.delay_after(slow),
            // Later than anything may arrive would break what everything rests on, so it is a little less late.
            Self::LateBefore => fault.delay_before(late.mul_f64(0.75)),
            Self::LateAfter => fault.delay_after(late),
            Self::Truncated => fault.truncate_body(),
            Self::Garbage => fault.garbage(),
            Self::Unavailable => fault.answer(503),
            Self::BadGateway => fault.answer_after(502),
            Self::Throttled => fault.answer(FaultAnswer::status(429).header("Retry-After", "1")),
        }
    }
}

/// One Deployment in somebody's repository.
struct Subject<'a> {
    world: &'a World,
    ledger: &'a Ledger,
    name: String,
    manifest: Value,
    before: Value,
}

fn name(index: u32) -> String {
    format!("d{index:03}")
}

fn variables(release: u32, fails: bool, seconds: u32) -> Value {
    let variable = |name: &str, value: String| json!({"name": name, "value": value});
    let mut variables =
        vec![variable("RELEASE", release.to_string()), variable("SIMULATOR_STEP_SECONDS", seconds.to_string())];
    variables.extend(fails.then(|| variable("SIMULATOR_FAIL_STEP", "Get source".to_owned())));
    json!({"environmentVariables": variables})
}

impl<'a> Subject<'a> {
    fn new(world: &'a World, ledger: &'a Ledger, index: u32) -> Self {
        let name = name(index);
        let more = json!({
            "stack": {"organizationRef": {"name": "acme"}, "project": "web", "name": name},
            "historyLimit": 50, "settings": {"operationContext": variables(0, false, 1)},
        });
        let manifest = deployment_manifest(&name, &more);
        Self { world, ledger, name, before: manifest["spec"].clone(), manifest }
    }

    fn stack(&self) -> String {
        self.world.stack(&format!("web/{}", self.name))
    }

    async fn apply(&self) {
        self.world.put::<Deployment>(self.manifest.clone()).await;
    }

    async fn perform(&mut self, action: &Action) -> Result<(), String> {
        let (simulator, stack) = (&self.world.simulator, self.stack());
        let spec = &mut self.manifest["spec"];
        match action {
            Action::Ask { release, fails, seconds } => {
                self.before = spec.clone();
                spec["settings"]["operationContext"] = variables(*release, *fails, *seconds);
            }
            Action::TakeBack => {
                for field in ["settings", "operation"] {
                    spec[field] = self.before[field].clone();
                }
            }
            Action::Operation(operation) => {
                self.before = spec.clone();
                spec["operation"] = json!(operation);
            }
            Action::Rerun { number, by_annotation: false } => spec["rerun"] = json!(number.to_string()),
            Action::Rerun { number, by_annotation: true } => {
                let annotation = json!({"deployments.pulumi.com/rerun": number.to_string()});
                self.manifest["metadata"]["annotations"] = annotation;
            }
            Action::Policy(fields) => {
                let spec = spec.as_object_mut().unwrap();
                for (field, value) in fields.as_object().unwrap() {
                    spec.remove(field);
                    spec.extend((!value.is_null()).then(|| (field.clone(), value.clone())));
                }
            }
            Action::Label(number) => self.manifest["metadata"]["labels"] = json!({"number": number.to_string()}),
            Action::Apply => {}
            Action::Recreate => {
                self.world.delete::<Deployment>(&self.name).await;
                self.ledger.wait(SOON * 3, &self.name, "it is gone", |latest| latest.is_none()).await?;
            }
            Action::PauseStack(paused) => {
                simulator.set_stack_paused(&stack, *paused).unwrap();
                return Ok(());
            }
            Action::Hold(hold) => {
                if *hold { simulator.hold(&stack) } else { simulator.release(&stack) }.unwrap();
                return Ok(());
            }
            Action::CancelElsewhere => {
                if let Some(run) = simulator.deployments(&stack).pop() {
                    // It may be over.
                    let _ = simulator.cancel(&stack, &run.id);
                }
                return Ok(());
            }
        }
        self.apply().await;
        Ok(())
    }

    /// Nothing holds it back any more.
    async fn calm(&mut self) {
        self.world.simulator.set_stack_paused(&self.stack(), false).unwrap();
        self.world.simulator.release(&self.stack()).unwrap();
        self.manifest["spec"]["suspend"] = json!(false);
        self.apply().await;
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().unwrap())
}

async fn act_out<'a>(mut subject: Subject<'a>, script: &Script<Action>, begin: Instant) -> (Subject<'a>, Vec<String>) {
    let mut problems = vec![];
    subject.apply().await;
    for (at, action) in &script.steps {
        sleep_until((begin + *at).into()).await;
        if let Err(problem) = subject.perform(action).await {
            problems.push(problem);
            break;
        }
    }
    (subject, problems)
}

/// Lets everything happen; at the end no call goes wrong, and an operator is there.
async fn storm(world: &World, script: &Script<Event>, begin: Instant) -> crate::world::Process {
    let start = |life: usize| world.start_busy_process(&life.to_string(), SPEED);
    let mut operator = start(0);
    let mut faults = vec![];
    for (life, (at, event)) in script.steps.iter().enumerate() {
        sleep_until((begin + *at).into()).await;
        match event {
            Event::Kill(pause) => {
                operator.kill().await;
                sleep(*pause).await;
                operator = start(life + 1);
            }
            Event::Suspend(suspend) => {
                world.merge::<Organization>("acme", json!({"spec": {"suspend": suspend}})).await;
            }
            Event::Fault { operation, stack, wrong, times } => {
                let fault = Fault::on(operation).organization(world.organization.clone()).times(*times);
                let fault = match stack {
                    Some(index) => fault.stack(world.stack(&format!("web/{}", name(*index)))),
                    None => fault,
                };
                faults.push(world.simulator.inject(wrong.make(fault)));
            }
        }
    }
    for fault in faults {
        fault.remove();
    }
    world.merge::<Organization>("acme", json!({"spec": {"suspend": false}})).await;
    operator
}

#[tokio::test]
async fn whatever_happens_everything_adds_up() {
    let seed = number("PDO_SEED").unwrap_or_else(rand::random);
    let deployments = number("PDO_DEPLOYMENTS").map_or(DEPLOYMENTS, |number| u32::try_from(number).unwrap());
    println!("PDO_SEED={seed} PDO_DEPLOYMENTS={deployments}");

    let simulator = Simulator::builder().speed(100.0).start().await.unwrap();
    let world = World::in_cloud("random", simulator).await;
    world.simulator.set_concurrency(&world.organization, 100).unwrap();
    world.put_organization(json!({})).await;
    for index in 0..deployments {
        let stack = world.stack(&format!("web/{}", name(index)));
        world.simulator.add_stack(&stack).unwrap();
        // A stack without settings can't be paused.
        world.simulator.patch_settings(&stack, &json!({})).unwrap();
    }
    let ledger = Ledger::new(world.api()).await;
    let scripts: Vec<_> = (0..deployments).map(|index| Script::of_deployment(seed, index)).collect();
    let everything = Script::of_everything(seed, deployments);

    let begin = Instant::now();
    let subjects =
        (0..).zip(&scripts).map(|(index, script)| act_out(Subject::new(&world, &ledger, index), script, begin));
    let (operator, subjects) = tokio::join!(storm(&world, &everything, begin), join_all(subjects));
    let (mut subjects, problems): (Vec<_>, Vec<_>) = subjects.into_iter().unzip();
    let mut problems: Vec<String> = problems.into_iter().flatten().collect();
    println!("the storm is over after {:?}", begin.elapsed());
    join_all(subjects.iter_mut().map(Subject::calm)).await;

    // What does not come to its end is told below.
    let calm = timeout(SOON * 3, async {
        while !ledger.unfinished().is_empty() {
            sleep(Duration::from_millis(500)).await;
        }
    });
    let is_calm = calm.await.is_ok();
    println!("all is calm ({is_calm}) after {:?}", begin.elapsed());
    assert!(!ledger.has_gaps(), "the watch has missed something: nothing can be said");
    let mut runs = 0;
    for (subject, script) in subjects.iter().zip(&scripts) {
        let remote = world.simulator.deployments(&subject.stack());
        runs += remote.len();
        let wrong = ledger.problems(&subject.name, &remote);
        problems.extend(wrong.iter().map(|problem| format!("{problem}\n    after {:?}", script.steps)));
    }
    println!("{runs} runs, {} problems", problems.len());
    assert!(problems.is_empty(), "PDO_SEED={seed} PDO_DEPLOYMENTS={deployments}\n{}", problems.join("\n"));

    // And all of it can go.
    let api: Api<Deployment> = world.api();
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    eventually(SOON * 2, "all Deployments are gone", async || {
        let left = api.list_metadata(&ListParams::default()).await.unwrap().items;
        if left.is_empty() { Ok(()) } else { Err(left.len()) }
    })
    .await;
    println!("all is gone after {:?}", begin.elapsed());
    drop(operator);
}
