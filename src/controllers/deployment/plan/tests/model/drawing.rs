//! The drawing of the state machine in `docs/architecture.md` is what the model's walk goes through, and what one look
//! with every kind of input adds to that: no arrow is missing there, and none is too much.
//!
//! A plan that is new, or that leads elsewhere than before, changes the drawing: `UPDATE_DRAWING=1 cargo test --lib
//! drawing` writes it anew.

use std::{cell::RefCell, env, fs};

use super::*;
use crate::{
    api::{
        condition::{find, types},
        deployment::Refusal,
    },
    controllers::deployment::outputs::Report,
};

/// Where a resource stands, in the order of the drawing. The ends of a run are left in the same ways.
const STATES: [&str; 14] = [
    BEGIN,
    PENDING,
    CREATING,
    "Queued",
    "Running",
    ENDED,
    "Succeeded",
    "Failed",
    "Skipped",
    "Canceled",
    "TimedOut",
    RETRYING,
    ADOPTED,
    GONE,
];
const BEGIN: &str = "[*]";
const PENDING: &str = "Pending";
const CREATING: &str = "Creating";
const RETRYING: &str = "Retrying";
const ENDED: &str = "Ended";
const ADOPTED: &str = "Adopted";
const GONE: &str = "Released";
const ENDS: std::ops::Range<usize> = 6..11;

/// Reasons of other conditions than `Ready`.
const OF_OTHER_CONDITIONS: [&str; 3] = ["Drift", "NoDrift", "Outputs"];

/// The plan's name. It is in the drawing unless it changes nothing, wherever it is made.
pub(super) const fn name(plan: &Plan) -> &'static str {
    match plan {
        Plan::Idle => "Idle",
        Plan::Adopt(_) => "Adopt",
        Plan::Hold => "Hold",
        Plan::Wait(_) => "Wait",
        Plan::Refuse(_) => "Refuse",
        Plan::Settle(_) => "Settle",
        Plan::AwaitBudget => "AwaitBudget",
        Plan::AwaitRetry(_) => "AwaitRetry",
        Plan::Create(_) => "Create",
        Plan::Offer(_) => "Offer",
        Plan::Outdate(_) => "Outdate",
        Plan::AwaitApproval(_) => "AwaitApproval",
        Plan::Reject(_) => "Reject",
        Plan::AwaitOutcome(_) => "AwaitOutcome",
        Plan::Recover(_) => "Recover",
        Plan::AdoptNamed(..) => "AdoptNamed",
        Plan::Withdraw => "Withdraw",
        Plan::Follow(_) => "Follow",
        Plan::Conclude(_) => "Conclude",
        Plan::Cancel { .. } => "Cancel",
        Plan::AwaitCancel(_) => "AwaitCancel",
        Plan::TakeOver(..) => "TakeOver",
        Plan::WriteOutputs(_) => "WriteOutputs",
        Plan::AwaitOutputs(_) => "AwaitOutputs",
        Plan::Release => "Release",
    }
}

fn state_of(status: &DeploymentStatus) -> &'static str {
    let ended = status.run.as_ref().is_none_or(|run| run.result.is_some());
    match status.phase {
        _ if status.intent.is_some() => CREATING,
        Some(Phase::Running) if !ended => "Running",
        _ if !ended => "Queued",
        _ if status.retry.is_some() => RETRYING,
        Some(Phase::Succeeded) => "Succeeded",
        Some(Phase::Failed) => "Failed",
        Some(Phase::Skipped) => "Skipped",
        Some(Phase::Canceled) => "Canceled",
        Some(Phase::TimedOut) => "TimedOut",
        None if *status == DeploymentStatus::default() => BEGIN,
        None if status.request.is_some() => ADOPTED,
        Some(Phase::Pending | Phase::Queued | Phase::Running) | None => PENDING,
    }
}

/// What was seen.
#[derive(Default)]
struct Seen {
    /// From, plan, to.
    arrows: BTreeSet<(usize, &'static str, usize)>,
    /// The reasons of `Ready` in a state.
    reasons: BTreeMap<usize, BTreeSet<String>>,
    /// One status of each sort.
    samples: BTreeMap<String, DeploymentStatus>,
}

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

fn place(state: &str) -> usize {
    STATES.iter().position(|known| *known == state).unwrap()
}

/// A process wrote something.
pub(super) fn note(before: &World, plan: &'static str, after: &World) {
    let to = if after.released { GONE } else { state_of(&after.status) };
    draw(&before.status, plan, to, &after.status);
}

fn draw(before: &DeploymentStatus, plan: &'static str, to: &'static str, after: &DeploymentStatus) {
    let (mut from, mut to) = (place(state_of(before)), place(to));
    SEEN.with_borrow_mut(|seen| {
        let sort = (state_of(after), after.run.as_ref().map(|run| (&run.cancel, run.result, run.cancel_taken_back)));
        let offered = after.approval.as_ref().map(|it| (it.token.is_some(), it.outdated, it.rejected.is_some()));
        let sort = format!("{sort:?} {offered:?} {:?}", after.request.as_ref().map(|request| &request.digest));
        seen.samples.entry(sort).or_insert_with(|| after.clone());
        // One that was there before speaks of another state, until the plan is carried out.
        let ready = find(&after.conditions, types::READY).filter(|_| before.conditions != after.conditions);
        if let Some(ready) = ready {
            seen.reasons.entry(to).or_default().insert(ready.reason.clone());
        }
        if from == to && ENDS.contains(&from) {
            to = place(ENDED);
        }
        if ENDS.contains(&from) {
            from = place(ENDED);
        }
        seen.arrows.insert((from, plan, to));
    });
}

/// The rules of the walks. One kind of thing at a time: all states are reached, and it is soon done.
fn walk() {
    const QUIET: Rules = Rules { supersede: Supersede::Cancel, budget: ONE_CRASH, ..RULES };
    explore(Rules { changes: true, budget: ONE_LOSS, ..QUIET });
    explore(Rules { retries: 1, ..QUIET });
    explore(Rules { times_out: true, ..QUIET });
    explore(Rules { adopts: Some(true), ..QUIET });
    let approving =
        Approving { mode: ApprovalMode::Required, moves: 1, rejections: 1, flips: 0, ..Approving::default() };
    explore_from(World { approving, gives_outputs: false, ..World::new(QUIET) }, QUIET);
    for policy in POLICIES {
        explore(Rules { deletion: Some(policy), ..QUIET });
    }
    explore(Rules { deletion: Some(RunDeletionPolicy::Destroy), loses_stack: true, ..QUIET });
}

const POLICIES: [RunDeletionPolicy; 4] =
    [RunDeletionPolicy::Orphan, RunDeletionPolicy::CancelQueued, RunDeletionPolicy::Cancel, RunDeletionPolicy::Destroy];

fn no_answer() -> Consequence {
    let Outcome::Failed(consequence) = trouble() else { unreachable!("it is trouble") };
    consequence
}

fn because(reason: Reason) -> Words {
    Words::new(reason, String::new())
}

/// Every kind of thing that a look may find, as far as a status of this sort lets it matter.
fn looks(status: &DeploymentStatus) -> Vec<Inputs> {
    let blocked = Reach::Blocked(because(Reason::OrganizationNotReady));
    let mut looks: Vec<Inputs> = (1..=2).map(inputs).collect();
    looks.push(Inputs { uid: "another".into(), ..inputs(1) });
    let mut vary = |vary: &dyn Fn(&Inputs) -> Vec<Inputs>| {
        let more: Vec<Inputs> = looks.iter().flat_map(vary).collect();
        looks.extend(more);
    };
    vary(&|it| vec![Inputs { reach: blocked.clone(), ..it.clone() }]);
    vary(&|it| vec![Inputs { suspended: true, ..it.clone() }]);
    vary(&|it| POLICIES.map(|policy| Inputs { deletion: Some(policy), ..it.clone() }).to_vec());
    if status.intent.is_some() {
        let recoveries = [
            Recovery::NotCreated,
            Recovery::Wait(SOON),
            Recovery::Look,
            Recovery::Named("id".into()),
            Recovery::DeclaredLost,
        ];
        vary(&|it| recoveries.iter().map(|recovery| Inputs { recovery: recovery.clone(), ..it.clone() }).collect());
    } else if status.run.as_ref().is_some_and(|run| run.result.is_none()) {
        let stages = [Stage::Queued, Stage::Running, Stage::Succeeded, Stage::Failed, Stage::Skipped];
        vary(&|it| stages.map(|stage| Inputs { sighting: seen(stage), ..it.clone() }).to_vec());
        vary(&|it| vec![Inputs { sighting: Sighting::Missing(MISSES), ..it.clone() }]);
        vary(&|it| vec![Inputs { retry: Some(retries(1)), ..it.clone() }]);
        let failed = FailedCancel { standing: Standing::Retrying(because(Reason::Running)), remaining: SOON };
        vary(&|it| vec![Inputs { cancel_failed: Some(failed.clone()), ..it.clone() }]);
    } else {
        let roads = [
            Road::Waiting(because(Reason::OrganizationNotReady)),
            Road::Waiting(because(Reason::SettingsNotReady)),
            Road::Waiting(because(Reason::SourceMissing)),
            Road::Waiting(because(Reason::DependencyNotReady)),
            Road::Refused(because(Reason::DependencyCycle)),
            Road::Known(Box::new(target())),
            Road::Nowhere,
            Road::Refused(because(Reason::AccessDenied)),
            Road::Refused(because(Reason::TargetChanged)),
            Road::Refused(because(Reason::UnsupportedByBackend)),
            Road::Settling(SOON),
            Road::AwaitingBudget,
            open_road(1),
        ];
        vary(&|it| roads.iter().map(|road| Inputs { road: road.clone(), ..it.clone() }).collect());
        if status.approval.is_some() {
            vary(&|it| {
                let it = Inputs { approval: ApprovalMode::Required, ..it.clone() };
                let road = road_to_approval(&it, status, 1, 0);
                vec![Inputs { road, ..it }]
            });
        }
        vary(&|it| vec![Inputs { suspend: true, ..it.clone() }]);
        vary(&|it| {
            vec![
                Inputs { adopt: Some(Adoptee::Latest), ..it.clone() },
                Inputs { adopt: Some(Adoptee::Named(String::new())), ..it.clone() },
            ]
        });
        vary(&|it| vec![Inputs { retry: Some(retries(1)), ..it.clone() }]);
        vary(&|it| {
            vec![Inputs {
                outputs: Some(Declared { spec: outputs_spec(), is_gone: true, is_untried: true }),
                ..it.clone()
            }]
        });
    }
    looks
}

/// What may come of a plan besides what the walk has of it, with the status that `act` has left by then.
fn come_of(plan: &Plan, status: &DeploymentStatus) -> Vec<(DeploymentStatus, Outcome)> {
    let without_intent = || DeploymentStatus { intent: None, ..status.clone() };
    let as_is = |outcome| vec![(status.clone(), outcome)];
    match plan {
        Plan::Idle => as_is(Outcome::Nothing),
        Plan::Adopt(adoption) => as_is(Outcome::Adopted(adoption.clone())),
        Plan::Hold => as_is(Outcome::Held),
        Plan::Wait(words) => as_is(Outcome::Waiting(words.clone())),
        Plan::Refuse(words) => as_is(Outcome::Refused(words.clone())),
        Plan::Settle(remaining) => as_is(Outcome::Settling(*remaining)),
        // What else may come of an offer is in the walk.
        Plan::AwaitBudget | Plan::Offer(_) => as_is(Outcome::AwaitingBudget),
        Plan::AwaitRetry(remaining) => as_is(Outcome::AwaitingRetry(*remaining)),
        Plan::Create(_) => {
            let refusal = Refusal { digest: String::new(), message: String::new() };
            [Outcome::StackMissing(String::new()), Outcome::CreateRefused(refusal)]
                .map(|outcome| (without_intent(), outcome))
                .to_vec()
        }
        Plan::Outdate(moved) => as_is(Outcome::Outdated(*moved)),
        Plan::AwaitApproval(unsaid) => {
            let without_commit = status.approval.clone().map(|it| PendingApproval { token: None, commit: None, ..it });
            let without_commit = DeploymentStatus { approval: without_commit, ..status.clone() };
            let unknown = Outcome::AwaitingApproval(approval::Unsaid::Commit);
            vec![(status.clone(), Outcome::AwaitingApproval(unsaid.clone())), (without_commit, unknown)]
        }
        Plan::Reject(rejected_by) => {
            as_is(Outcome::Rejected(Rejection { rejected_by: rejected_by.clone(), at: at(0) }))
        }
        Plan::AwaitOutcome(remaining) => as_is(Outcome::CreatePending(*remaining)),
        Plan::Recover(_) => [false, true]
            .map(|needs_person| (status.clone(), Outcome::CreateUnknown { why: String::new(), needs_person }))
            .to_vec(),
        Plan::AdoptNamed(intent, _) => {
            let found = Run { nonce: intent.nonce.clone(), ..run(1) };
            let recorded =
                DeploymentStatus { run: Some(found), request: Some(intent.request.clone()), ..without_intent() };
            vec![(recorded, Outcome::Created)]
        }
        Plan::Withdraw => vec![(without_intent(), Outcome::Withdrawn)],
        Plan::Follow(view) => as_is(Outcome::Following(view.clone())),
        Plan::Conclude(conclusion) => {
            let Conclusion { result, view, failed_step: _, looked_for_drift: _, retry } = (**conclusion).clone();
            as_is(Outcome::Concluded { result, view: view.map(Box::new), failure: None, drift: None, retry })
        }
        Plan::Cancel { .. } => as_is(Outcome::CancelSent),
        Plan::AwaitCancel(failed) => as_is(Outcome::AwaitingCancel(failed.clone())),
        Plan::TakeOver(..) => {
            let request = Some(handled(1));
            let runs = [None, Some(run(1)), Some(Run { result: Some(Phase::Succeeded), ..run(1) })];
            runs.map(|run| (DeploymentStatus { request: request.clone(), run, ..status.clone() }, Outcome::TakenOver))
                .to_vec()
        }
        Plan::WriteOutputs(_) | Plan::AwaitOutputs(_) => {
            let refusal = Refusal { digest: String::new(), message: String::new() };
            [Report::Failed(no_answer()), Report::Refused(refusal)]
                .map(|report| (status.clone(), Outcome::Outputs(report)))
                .to_vec()
        }
        Plan::Release => as_is(Outcome::Released),
    }
}

/// One look with every kind of input, from every sort of status that the walk came through.
fn look_around() {
    let strange = DeploymentStatus { uid: Some("another".into()), ..DeploymentStatus::default() };
    let request = HandledRequest { digest: "v0:1".into(), ..handled(1) };
    let old = DeploymentStatus { request: Some(request), ..with_run(Some(Phase::Succeeded), false) };
    let samples = SEEN.with_borrow(|seen| seen.samples.clone());
    for status in samples.into_values().chain([DeploymentStatus::default(), strange, old]) {
        let status = &status;
        for inputs in looks(status) {
            let plan = plan(&inputs, status);
            for (before, outcome) in come_of(&plan, status) {
                let after = super::status(&before, &inputs, &outcome, Time::from_seconds(0));
                let to = if matches!(plan, Plan::Release) { GONE } else { state_of(&after) };
                draw(status, name(&plan), to, &after);
            }
        }
    }
}

/// The names of an enum's variants, from its source.
fn variants<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let body = source.split_once(&format!("pub enum {name} {{\n")).unwrap().1.split_once("\n}").unwrap().0;
    let of_variant = |line: &'a str| line.strip_prefix("    ").filter(|line| line.starts_with(char::is_uppercase));
    let names = body.lines().filter_map(of_variant);
    names.map(|line| line.split(|letter: char| !letter.is_alphanumeric()).next().unwrap()).collect()
}

const PLAN: &str = include_str!("../../../plan.rs");
const REASON: &str = include_str!("../../../reason.rs");
const API: &str = include_str!("../../../../../api/deployment.rs");
const BEFORE: &str = "<!-- the state machine: drawn by a test -->\n";
const AFTER: &str = "<!-- the end of the state machine -->\n";

/// As Mermaid has it.
fn drawn(seen: &Seen) -> String {
    use std::fmt::Write;

    let known: BTreeSet<&str> = variants(REASON, "Reason").into_iter().collect();
    let mut drawing = "```mermaid\nstateDiagram-v2\n".to_owned();
    let ends = STATES[ENDS].iter().fold(String::new(), |all, end| all + "        " + end + "\n");
    writeln!(drawing, "    state {ENDED} {{\n{ends}    }}").unwrap();
    writeln!(drawing, "    state \"{RETRYING} (phase Pending)\" as {RETRYING}").unwrap();
    writeln!(drawing, "    state \"{CREATING}: an intent is open (phase Pending)\" as {CREATING}").unwrap();
    writeln!(drawing, "    state \"{ADOPTED} (no phase)\" as {ADOPTED}").unwrap();
    let mut arrows: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
    for (from, plan, to) in &seen.arrows {
        // Looking and finding nothing to do is no arrow.
        if from != to || !["Idle", "Hold"].contains(plan) {
            arrows.entry((*from, *to)).or_default().push(plan);
        }
    }
    for ((from, to), mut plans) in arrows {
        // In the order of the state machine.
        plans.sort_by_key(|plan| variants(PLAN, "Plan").iter().position(|known| known == plan));
        writeln!(drawing, "    {} --> {}: {}", STATES[from], STATES[to], plans.join(" · ")).unwrap();
    }
    writeln!(drawing, "    {GONE} --> [*]").unwrap();
    for (state, reasons) in &seen.reasons {
        let state = STATES[*state];
        let reasons: Vec<&str> = reasons.iter().map(String::as_str).filter(|reason| known.contains(reason)).collect();
        // One that is called as its state needs no telling.
        if !reasons.is_empty() && reasons != [state] {
            writeln!(drawing, "    note right of {state}: {}", reasons.join(" · ")).unwrap();
        }
    }
    drawing + "```\n"
}

#[test]
fn the_drawing_in_the_documentation_is_the_state_machine() {
    walk();
    look_around();
    let drawing = SEEN.with_borrow(drawn);

    let words: BTreeSet<&str> = drawing.split(|letter: char| !letter.is_alphanumeric()).collect();
    for plan in variants(PLAN, "Plan").into_iter().filter(|plan| !["Idle", "Hold"].contains(plan)) {
        assert!(words.contains(plan), "no walk and no look leads to the plan {plan}: widen the model, or `looks`");
    }
    for phase in variants(API, "Phase") {
        assert!(words.contains(phase), "no walk and no look leads to the phase {phase}");
    }
    for reason in variants(REASON, "Reason") {
        let is_of_ready = !OF_OTHER_CONDITIONS.iter().any(|prefix| reason.starts_with(prefix));
        assert!(
            !is_of_ready || words.contains(reason),
            "no state has the reason {reason}: add what leads to it to `looks`"
        );
    }

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/architecture.md");
    let page = fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEFORE).expect("the page has the place for the drawing");
    let (found, after) = rest.split_once(AFTER).expect("the drawing has an end");
    if env::var_os("UPDATE_DRAWING").is_some() {
        fs::write(path, [before, BEFORE, &drawing, AFTER, after].concat()).unwrap();
    } else {
        assert_eq!(found, drawing, "the drawing is not the code's: UPDATE_DRAWING=1 writes it anew");
    }
}
