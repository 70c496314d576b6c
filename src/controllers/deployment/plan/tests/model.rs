//! A search through everything that can happen to one Deployment: the real `plan` and the real `status` in a small
//! world in which everybody may stop, be slow, or be unheard at any moment.
//!
//! ```text
//!  a person            an operator process                       the API server        the service
//!  ────────            ───────────────────                       ──────────────        ───────────
//!  asks for 2      ┌─► read, `plan` ◄─────────────────────────── status, version
//!  instead of 1    │     │
//!  approves        │     ├─ Offer, Outdate, Reject: `status` says so
//!  rejects         │     │
//!  writes a label  │     ├─ Create ──► journal ────(version)────► intent
//!  deletes         │     │               │
//!  others change   │     │               │
//!  the settings    │     │               │
//!                  │     │               ├──► POST ─────────────────────────────────────► on its way ─► accepted
//!                  │     │               │                                                    └──────► lost
//!                  │     │               ◄─── answered, or time-out ──────────────────────────┘
//!                  │     │               ├──► record ────(nonce)────► run, no intent
//!                  │     │               └──► withdraw ──(nonce)────► no intent
//!                  │     ├─ TakeOver ► write ─────(version)─────► request, run ──► no annotation
//!                  │     ├─ Recover ─► search ──► record, or withdraw                        Queued ─► Running
//!                  │     ├─ Cancel ──► look ──► journal ──(version)─► cancel ──► call ──────►  gone     Failed
//!                  │     │               └──► take back ─(version)─► no cancel ◄── refused
//!                  │     ├─ WriteOutputs ──► read, write ──► `status`
//!                  │     ├─ Release ────────────(version)───────────► gone                              Succeeded
//!                  └─────┴─ `status` ───────────(version)───────────► status
//! ```
//!
//! Each arrow to the right is a step of its own, and between any two steps anything else may happen: a process dies,
//! or is replaced and finishes what it was at all the same; a write lands and its answer is lost; a guarded write meets
//! a version that has moved. How often the unlikely things happen is bounded by a [`Budget`]; everything else may
//! happen at any time, in any order. Resource versions are kept as one bit per reader: is what it read still the latest?
//!
//! The axiom under the recovery is in [`World::time_passes`]: the wait of a process for a create that may still be on
//! its way is over only when none is.
//!
//! What is checked in every state is in [`World::check`] and in the steps that must not be taken; and from every
//! state a good end can be reached, so with fair scheduling one is.

mod drawing;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use rstest::rstest;

use super::{
    super::super::{
        approval::{Latest, Look, after_record, offer},
        history::note_pending,
        outcome::Outcome,
        outputs::{self, Report},
        request,
        status::status,
    },
    *,
};
use crate::{
    api::{
        approval::{PendingApproval, Rejection},
        deployment::{Cancel, WrittenOutputs},
    },
    controllers::{
        conditions::Standing,
        digest::InstallKey,
        requeue::{Consequence, Retry},
    },
    pulumi::Class,
};

/// How often what is unlikely happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    /// A process dies, or loses its leadership.
    crashes: u8,
    /// A request or its answer is lost, refused or too slow.
    losses: u8,
    /// Somebody writes a label.
    labels: u8,
    /// The search for a create cannot tell.
    riddles: u8,
}

/// The rules of one search.
#[allow(clippy::struct_excessive_bools, reason = "each is something that may happen or not")]
#[derive(Clone, Copy, Debug)]
struct Rules {
    supersede: Supersede,
    /// The policy, when a person may delete the resource.
    deletion: Option<RunDeletionPolicy>,
    /// Whether a person may ask for something else.
    changes: bool,
    /// Whether a person may go back to what was asked for first.
    returns: bool,
    /// Whether other settings are another request. They may change once, and not be known at any time.
    follows_settings: bool,
    /// Whether the resource begins with a person's word that it needs no run; and whether there is one to be taken.
    adopts: Option<bool>,
    /// How often a run that failed is tried again. Without it none fails.
    retries: u32,
    /// Whether somebody may delete the stack, and all its runs with it, while the resource is deleted.
    loses_stack: bool,
    /// Whether a run can wait, or take, too long.
    times_out: bool,
    budget: Budget,
}

impl Rules {
    fn may_cancel_what_runs(self, reason: CancelReason) -> bool {
        match reason {
            CancelReason::Superseded => self.supersede == Supersede::Cancel,
            CancelReason::Deleted => self.deletion == Some(RunDeletionPolicy::Cancel),
            CancelReason::QueueTimeout => false,
            CancelReason::Timeout => self.times_out,
        }
    }
}

/// A run, as the service has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Remote {
    nonce: u8,
    /// What was asked for, and the settings, in tens.
    request: u8,
    number: u64,
    purpose: Purpose,
    attempt: u32,
    /// Nothing: it was taken out of the queue, and the service does not know it any more.
    stage: Option<Stage>,
    /// It was under way, and its cancel came.
    canceled: bool,
}

/// What a process knows and loses with its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Memory {
    never_sent: BTreeSet<u8>,
    /// Since when an intent was seen: not yet long enough, or long enough.
    waited: BTreeMap<u8, bool>,
    cancels: BTreeSet<String>,
    /// The runs whose outputs it has tried to write.
    outputs: BTreeSet<String>,
}

/// What a process is at.
#[derive(Clone, Debug, Hash)]
enum Task {
    /// A run is to be created.
    Journal(Kept<Start>),
    /// The intent is journaled, the POST is next.
    Post(u8),
    /// The POST is out.
    AwaitAnswer(u8),
    /// The run of an intent is to be searched for.
    Search(u8),
    /// The run is known, and to be recorded.
    Record(u8),
    /// The intent is to be withdrawn; then this is the outcome.
    Withdraw(u8, Kept<Outcome>),
    /// The run of an intent is to be canceled.
    Cancel { nonce: u8, reason: CancelReason, only_queued: bool, journaled: bool },
    /// The cancel is journaled, the call is next. It may have been made before.
    CallCancel { nonce: u8, again: bool },
    /// The cancel was refused, and is to be taken back. It may have been made before.
    TakeBack { again: bool },
    /// A run that is there already is to be taken for that of the request.
    TakeOver,
    /// It was, and the person's word is to be taken away.
    Forget,
    /// The outputs of a run are to be written.
    WriteOutputs(u8),
    /// The resource is to be let go.
    Release,
    /// The status is next.
    Finish(Kept<Outcome>),
}

/// A task, and whether what it has read is still the latest.
#[derive(Clone, Debug, Hash)]
struct Work {
    task: Task,
    fresh: bool,
    content: Content,
    /// What it comes of.
    plan: &'static str,
}

/// The settings, as they were read: they may be others by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Content {
    Ignored,
    Unknown,
    Known(u8),
}

impl Content {
    fn settings(self) -> Settings {
        match self {
            Self::Ignored => Settings::Ignored,
            Self::Unknown => Settings::Unknown,
            Self::Known(content) => Settings::Known(settings_digest(content)),
        }
    }
}

fn settings_digest(content: u8) -> String {
    format!("v1:key:{content}")
}

/// Something large that many states share: its hash is made once.
#[derive(Clone, Debug)]
struct Kept<T>(Rc<T>, u64);

impl<T: Hash> Kept<T> {
    fn new(value: T) -> Self {
        let hash = hash_of(&value);
        Self(Rc::new(value), hash)
    }
}

impl<T: Hash + Clone> Kept<T> {
    fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = T::clone(&self.0);
        let result = change(&mut value);
        *self = Self::new(value);
        result
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Hash for Kept<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.1.hash(state);
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Hash)]
struct World {
    asked: u8,
    returned: bool,
    settings: u8,
    /// The person's word that no run is needed.
    annotated: bool,
    deleting: bool,
    /// What is done then.
    policy: Option<RunDeletionPolicy>,
    /// The stack is gone.
    stack_is_gone: bool,
    /// The resource is gone.
    released: bool,
    status: Kept<DeploymentStatus>,
    runs: Vec<Remote>,
    /// Creates on their way to the service.
    flying: BTreeSet<u8>,
    /// The nonces that were drawn, and for which request, number, purpose and attempt.
    drawn: Vec<(u8, u64, Purpose, u32)>,
    /// Whether outputs are declared: not where much goes wrong, or there were too many states.
    gives_outputs: bool,
    /// The nonces of the runs whose outputs somebody has tried to write.
    outputs_tried: BTreeSet<u8>,
    approving: Approving,
    memory: Memory,
    work: Option<Work>,
    /// What a process that was replaced is still at.
    leftover: Option<Work>,
    budget: Budget,
}

/// What has to do with approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Approving {
    mode: ApprovalMode,
    word: Word,
    /// Every token that somebody has approved.
    approved: BTreeSet<String>,
    /// The content of the settings, which may change behind everybody's back.
    content: u8,
    /// The stack's latest update, as others make them.
    updates: u8,
    /// How often the content, or the stack, may still move.
    moves: u8,
    /// How often a person may still reject, and how often change the mode.
    rejections: u8,
    flips: u8,
}

type Steps = Vec<(&'static str, World)>;

/// Which of the two processes takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Current,
    Replaced,
}

impl Task {
    fn finish(outcome: Outcome) -> Self {
        Self::Finish(Kept::new(outcome))
    }

    fn withdraw(nonce: u8, outcome: Outcome) -> Self {
        Self::Withdraw(nonce, Kept::new(outcome))
    }

    /// The create with a nonce is being sent, or will be.
    const fn sends(&self, create: Option<u8>) -> bool {
        match (self, create) {
            (Self::Post(nonce) | Self::AwaitAnswer(nonce), Some(create)) => *nonce == create,
            (Self::Post(_) | Self::AwaitAnswer(_), None) => true,
            _ => false,
        }
    }
}

fn name(nonce: u8) -> String {
    format!("nonce {nonce}")
}

fn trouble() -> Outcome {
    Outcome::Failed(Consequence {
        class: Class::Unavailable,
        standing: Standing::Retrying(words()),
        retry: Retry::Backoff,
        detail: String::new(),
    })
}

impl World {
    fn new(rules: Rules) -> Self {
        let another = Remote {
            nonce: 0,
            request: 0,
            number: 0,
            purpose: Purpose::Main,
            attempt: 1,
            stage: Some(Stage::Queued),
            canceled: false,
        };
        let has_another = rules.adopts == Some(true);
        Self {
            asked: 1,
            returned: false,
            settings: 0,
            annotated: rules.adopts.is_some(),
            deleting: false,
            policy: rules.deletion,
            stack_is_gone: false,
            released: false,
            status: Kept::new(DeploymentStatus::default()),
            runs: has_another.then_some(another).into_iter().collect(),
            flying: BTreeSet::new(),
            drawn: has_another.then_some((0, 0, Purpose::Main, 1)).into_iter().collect(),
            gives_outputs: rules.budget.crashes + rules.budget.losses < 2,
            outputs_tried: BTreeSet::new(),
            approving: Approving::default(),
            memory: Memory::default(),
            work: None,
            leftover: None,
            budget: rules.budget,
        }
    }

    /// Everything that can happen next.
    fn steps(&self, rules: Rules) -> Steps {
        let mut steps = self.service_steps(rules);
        steps.extend(self.person_steps(rules));
        steps.extend(self.time_passes());
        match &self.work {
            None if !self.released => steps.extend(self.reads(rules)),
            None => {}
            Some(work) => {
                steps.extend(self.process_steps(rules, Process::Current, work));
                steps.extend(self.crashes(work));
            }
        }
        if let Some(work) = &self.leftover {
            steps.extend(self.process_steps(rules, Process::Replaced, work));
            steps.push(("the replaced process stops", World { leftover: None, ..self.clone() }));
        }
        steps
    }

    // ---- the service

    fn service_steps(&self, rules: Rules) -> Steps {
        let mut steps = vec![];
        for &nonce in &self.flying {
            let mut next = self.clone();
            next.flying.remove(&nonce);
            if self.budget.losses > 0 {
                let mut lost = next.clone();
                lost.budget.losses -= 1;
                steps.push(("a create is lost on its way", lost));
            }
            if self.stack_is_gone {
                steps.push(("a create finds no stack", next));
                continue;
            }
            let (request, number, purpose, attempt) = self.drawn[usize::from(nonce)];
            let stage = Some(Stage::Queued);
            next.runs.push(Remote { nonce, request, number, purpose, attempt, stage, canceled: false });
            steps.push(("the service accepts a create", next));
        }
        if rules.loses_stack && self.deleting && !self.stack_is_gone {
            let mut next = World { stack_is_gone: true, ..self.clone() };
            next.runs.iter_mut().for_each(|run| run.stage = None);
            steps.push(("somebody deletes the stack", next));
        }
        for (index, run) in self.runs.iter().enumerate() {
            let (label, stage) = match run.stage {
                Some(Stage::Queued) => ("a run begins", Stage::Running),
                Some(Stage::Running) => ("a run succeeds", Stage::Succeeded),
                _ => continue,
            };
            let mut next = self.clone();
            next.runs[index].stage = Some(stage);
            steps.push((label, next));
            if run.stage == Some(Stage::Running) && rules.retries > 0 {
                let mut next = self.clone();
                next.runs[index].stage = Some(Stage::Failed);
                steps.push(("a run fails", next));
            }
        }
        steps
    }

    fn run_of(&self, nonce: u8) -> Option<(usize, Remote)> {
        self.runs.iter().copied().enumerate().find(|(_, run)| run.nonce == nonce)
    }

    /// The run that status follows.
    fn followed(&self) -> Option<Remote> {
        let active = self.status.run.as_ref().filter(|run| run.result.is_none())?;
        self.runs.iter().copied().find(|run| name(run.nonce) == active.nonce)
    }

    // ---- a person

    fn person_steps(&self, rules: Rules) -> Steps {
        let mut steps = vec![];
        if self.released {
            return steps;
        }
        if rules.changes && self.asked == 1 && !self.returned && !self.deleting {
            steps.push(("a person asks for something else", self.written(None, |next| next.asked = 2)));
        }
        if rules.returns && self.asked == 2 && !self.returned && !self.deleting {
            let back = |next: &mut Self| (next.asked, next.returned) = (1, true);
            steps.push(("a person goes back to what was asked for first", self.written(None, back)));
        }
        if rules.follows_settings && self.settings == 0 {
            // No write to this resource.
            steps.push(("the settings change", World { settings: 1, ..self.clone() }));
        }
        if rules.deletion.is_some() && !self.deleting {
            steps.push(("a person deletes the resource", self.written(None, |next| next.deleting = true)));
        }
        steps.extend(self.approval_steps());
        if self.budget.labels > 0 {
            steps.push(("somebody writes a label", self.written(None, |next| next.budget.labels -= 1)));
        }
        steps
    }

    /// What people and others do that an approval has to do with.
    fn approval_steps(&self) -> Steps {
        let mut steps = vec![];
        let it = &self.approving;
        if let Some(token) = self.status.approval.as_ref().and_then(|pending| pending.token.clone()) {
            if it.word.approve.as_ref() != Some(&token) {
                steps.push((
                    "a person approves what is offered",
                    self.written(None, |next| {
                        next.approving.approved.insert(token.clone());
                        next.approving.word.approve = Some(token.clone());
                        next.approving.word.by = Some("anna".into());
                    }),
                ));
            }
            if it.rejections > 0 {
                steps.push((
                    "a person rejects what is offered",
                    self.written(None, |next| {
                        next.approving.rejections -= 1;
                        next.approving.word.reject = Some(token.clone());
                    }),
                ));
            }
        }
        if it.moves > 0 {
            let mut changed = self.clone();
            changed.approving.moves -= 1;
            let mut updated = changed.clone();
            changed.approving.content += 1;
            updated.approving.updates += 1;
            steps.push(("the content of the settings changes", changed));
            steps.push(("somebody else updates the stack", updated));
        }
        if it.flips > 0 {
            steps.push((
                "a person changes the mode",
                self.written(None, |next| {
                    next.approving.flips -= 1;
                    next.approving.mode = match next.approving.mode {
                        ApprovalMode::Automatic => ApprovalMode::Required,
                        ApprovalMode::Required => ApprovalMode::Automatic,
                    };
                }),
            ));
        }
        steps
    }

    /// The API server takes a write: whoever has read before is behind, but for the writer.
    fn written(&self, writer: Option<Process>, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        for (process, work) in [(Process::Current, &mut next.work), (Process::Replaced, &mut next.leftover)] {
            if let Some(work) = work.as_mut().filter(|_| writer != Some(process)) {
                work.fresh = false;
            }
        }
        next
    }

    // ---- time and trouble

    /// The send window, the time-out and the margin are over: by then nothing is on its way any more.
    fn time_passes(&self) -> Steps {
        let on_its_way = |nonce: u8| {
            let mut work = self.work.iter().chain(&self.leftover);
            self.flying.contains(&nonce) || work.any(|work| work.task.sends(Some(nonce)))
        };
        let due = self.memory.waited.iter().filter(|(nonce, over)| !**over && !on_its_way(**nonce));
        due.map(|(nonce, _)| {
            let mut next = self.clone();
            next.memory.waited.insert(*nonce, true);
            ("the wait for a create is over", next)
        })
        .collect()
    }

    fn crashes(&self, work: &Work) -> Steps {
        if self.budget.crashes == 0 {
            return vec![];
        }
        let mut dead = World { memory: Memory::default(), work: None, ..self.clone() };
        dead.budget.crashes -= 1;
        // The status alone is no matter: it is guarded, and any other process would write the same.
        let leftover = Some(work.clone()).filter(|work| !matches!(work.task, Task::Finish(_)));
        let replaced = leftover.map(|work| World { leftover: Some(work), ..dead.clone() });
        let replaced = replaced.map(|world| ("the process is replaced, and still at it", world));
        [("the process dies", dead)].into_iter().chain(replaced).collect()
    }

    // ---- an operator process

    /// It reads what the decision needs, and decides.
    fn reads(&self, rules: Rules) -> Steps {
        let mut next = self.clone();
        let intent = self.status.intent.as_ref().and_then(|intent| self.drawn_of(&intent.nonce));
        let recovery = match intent {
            None => Recovery::None,
            Some(nonce) if self.memory.never_sent.contains(&nonce) => Recovery::NotCreated,
            Some(nonce) => {
                let over = next.memory.waited.entry(nonce).or_default();
                if *over { Recovery::Look } else { Recovery::Wait(SOON) }
            }
        };
        let active = self.status.run.as_ref().filter(|run| run.result.is_none());
        let inputs = Inputs {
            supersede: rules.supersede,
            retry: Some(retries(rules.retries)),
            timeout: rules.times_out.then_some(SOON),
            queue_timeout: rules.times_out.then_some(SOON),
            approval: self.approving.mode,
            word: self.approving.word.clone(),
            recovery,
            cancel_sent: active.is_some_and(|run| self.memory.cancels.contains(&run.id)),
            adopt: self.annotated.then_some(Adoptee::Latest),
            ..self.inputs(Content::Ignored)
        };
        // It may be any time: nobody knows how long anything took.
        let times = |differ: bool| if differ { vec![at(0), at(1_000)] } else { vec![at(0)] };
        let mut all = vec![];
        for now in times(self.status.retry.is_some()) {
            for service_now in times(rules.times_out && active.is_some()) {
                for sighting in self.sightings() {
                    all.push(Inputs { now, service_now, sighting, ..inputs.clone() });
                }
            }
        }
        let contents = if rules.follows_settings {
            vec![Content::Known(self.settings), Content::Unknown]
        } else {
            vec![Content::Ignored]
        };
        let mut steps = Steps::new();
        for (inputs, content) in all.iter().flat_map(|inputs| contents.iter().map(move |content| (inputs, *content))) {
            let asked = Asked { settings: content.settings(), ..inputs.asked.clone() };
            let inputs = Inputs { asked, ..inputs.clone() };
            for road in self.roads(&inputs, content) {
                let plan = plan(&Inputs { road, ..inputs.clone() }, &self.status);
                let name = drawing::name(&plan);
                let mut next = next.clone();
                let task = next.begin(plan);
                // Without anything to do or to write, nothing is left of it.
                next.work = Some(Work { task, fresh: true, content, plan: name }).filter(|work| match &work.task {
                    Task::Finish(outcome) => self.status_after(outcome, content) != *self.status,
                    _ => true,
                });
                steps.push(("the process reads and decides", next));
            }
        }
        steps
    }

    /// What may stand between a request and its run. Settings that nobody knew may be in sync a moment later.
    fn roads(&self, inputs: &Inputs, content: Content) -> Vec<Road> {
        if self.annotated && self.status.request.is_none() {
            return vec![Road::NotYet, Road::Known(Box::new(target()))];
        }
        if !could_start(inputs, &self.status) {
            return vec![Road::NotRead];
        }
        if self.deleting {
            let start = Start { purpose: Purpose::Destroy, ..start_of(self.asked) };
            return vec![Road::Open(Box::new(start))];
        }
        let closed = (content == Content::Unknown).then(|| Road::Waiting(words()));
        let road = road_to_approval(inputs, &self.status, self.asked, self.approving.content);
        let Road::Open(start) = road else { unreachable!("it is open") };
        let settings_digest = (content != Content::Ignored).then(|| settings_digest(self.settings));
        let open = Road::Open(Box::new(Start { settings_digest, ..*start }));
        closed.into_iter().chain([open]).collect()
    }

    /// What a process has read that has read these settings, and that outputs are declared.
    fn inputs(&self, content: Content) -> Inputs {
        let inputs = inputs(self.asked);
        let is_untried = outputs::current(&self.status).is_none_or(|run| !self.memory.outputs.contains(&run.id));
        let declared = Declared { spec: outputs_spec(), is_gone: false, is_untried };
        let outputs = Some(declared).filter(|_| self.gives_outputs);
        let deletion = self.policy.filter(|_| self.deleting);
        Inputs { asked: Asked { settings: content.settings(), ..inputs.asked }, outputs, deletion, ..inputs }
    }

    /// What the observer may have shown by now: nothing yet, what is, or what was.
    fn sightings(&self) -> Vec<Sighting> {
        let seen = |stage| Sighting::Seen(Box::new(view(stage)));
        match self.followed().map(|run| run.stage) {
            None => vec![Sighting::None],
            Some(None) => vec![Sighting::None, seen(Stage::Queued), Sighting::Missing(1), Sighting::Missing(MISSES)],
            Some(Some(Stage::Queued)) => vec![Sighting::None, seen(Stage::Queued)],
            Some(Some(Stage::Running)) => vec![Sighting::None, seen(Stage::Queued), seen(Stage::Running)],
            Some(Some(stage)) => vec![Sighting::None, seen(Stage::Running), seen(stage)],
        }
    }

    fn drawn_of(&self, nonce: &str) -> Option<u8> {
        (0..).zip(&self.drawn).map(|(index, _)| index).find(|index| name(*index) == nonce)
    }

    /// Plans without a call or a write of their own are done at once.
    fn begin(&mut self, plan: Plan) -> Task {
        Task::finish(match plan {
            Plan::Create(start) => return Task::Journal(Kept::new(*start)),
            Plan::TakeOver(..) => return Task::TakeOver,
            Plan::Recover(intent) => return Task::Search(self.drawn_of(&intent.nonce).unwrap()),
            Plan::Withdraw => return Task::withdraw(self.nonce().unwrap(), Outcome::Withdrawn),
            Plan::Cancel { reason, only_queued } => {
                let journaled = self.status.run.as_ref().is_some_and(|run| run.cancel.is_some());
                return Task::Cancel { nonce: self.followed().unwrap().nonce, reason, only_queued, journaled };
            }
            Plan::Release => return Task::Release,
            Plan::WriteOutputs(run) => return Task::WriteOutputs(self.drawn_of(&run.nonce).unwrap()),
            Plan::AwaitOutputs(_) => panic!("the service is in reach here"),
            Plan::Offer(start) => Outcome::Offered(Box::new(self.offers(&start))),
            Plan::Outdate(moved) => Outcome::Outdated(moved),
            Plan::AwaitApproval(unsaid) => Outcome::AwaitingApproval(unsaid),
            Plan::Reject(rejected_by) => Outcome::Rejected(Rejection { rejected_by, at: at(0) }),
            Plan::Refuse(words) => Outcome::Refused(words),
            Plan::Idle => Outcome::Nothing,
            Plan::Hold => Outcome::Held,
            Plan::Wait(words) => Outcome::Waiting(words),
            Plan::AwaitOutcome(remaining) => Outcome::CreatePending(remaining),
            Plan::AwaitRetry(remaining) => Outcome::AwaitingRetry(remaining),
            Plan::Follow(view) => Outcome::Following(view),
            Plan::Conclude(conclusion) => {
                let id = self.status.run.as_ref().unwrap().id.clone();
                self.memory.cancels.remove(&id);
                let Conclusion { result, view, failed_step: _, looked_for_drift: _, retry } = *conclusion;
                Outcome::Concluded { result, view: view.map(Box::new), failure: None, drift: None, retry }
            }
            Plan::Adopt(Adoption::SettingsDigest(request)) => Outcome::Adopted(Adoption::SettingsDigest(request)),
            Plan::Adopt(_) | Plan::Settle(_) | Plan::AwaitBudget | Plan::AwaitCancel(_) | Plan::AdoptNamed(..) => {
                panic!("nothing here leads to {}", word(&plan))
            }
        })
    }

    /// What is to be approved, as `act` reads it.
    fn offers(&self, start: &Start) -> PendingApproval {
        let latest = Latest { version: self.approving.updates.into(), ended: Some(at(0)) };
        let look = Look { commit: Some("c0ffee".into()), resource_changes: BTreeMap::new(), began: None, latest };
        let preview = self.status.run.as_ref().filter(|_| start.purpose == Purpose::Preview).map(|run| (run, look));
        let asked = Start { purpose: start.subject.purpose, ..start.clone() };
        let request = identity(&self.inputs(Content::Ignored), &asked, &self.status).request;
        let key = InstallKey::new(vec![7].into());
        offer(&start.subject, request, &start.target, preview, self.status.approval.as_ref(), false, &key)
    }

    fn process_steps(&self, rules: Rules, process: Process, work: &Work) -> Steps {
        let by = By { world: self, process, fresh: work.fresh, content: work.content, plan: work.plan };
        match &work.task {
            Task::Journal(start) => by.journals(start),
            Task::Post(nonce) => by.posts(*nonce),
            Task::AwaitAnswer(nonce) => by.awaits_answer(*nonce),
            Task::Search(nonce) => by.searches(*nonce),
            Task::Record(nonce) => by.records(*nonce),
            Task::Withdraw(nonce, outcome) => by.withdraws(*nonce, outcome),
            Task::Cancel { nonce, reason, only_queued, journaled } => {
                assert!(
                    *only_queued || rules.may_cancel_what_runs(*reason),
                    "a run that may have begun is canceled, and nobody asked for that"
                );
                by.cancels(*nonce, *reason, *only_queued, *journaled)
            }
            Task::CallCancel { nonce, again } => by.calls_cancel(*nonce, *again),
            Task::TakeBack { again } => by.takes_back(*again, trouble()),
            Task::TakeOver => by.takes_over(),
            Task::Forget => by.forgets(),
            Task::WriteOutputs(nonce) => by.writes_outputs(*nonce),
            Task::Release => by.releases(rules),
            Task::Finish(outcome) => by.finishes(outcome),
        }
    }

    fn status_after(&self, outcome: &Outcome, content: Content) -> DeploymentStatus {
        status(&self.status, &self.inputs(content), outcome, Time::from_seconds(0))
    }

    /// What the next run is for.
    fn purpose(&self) -> Purpose {
        if self.deleting { Purpose::Destroy } else { Purpose::Main }
    }

    fn nonce(&self) -> Option<u8> {
        self.drawn_of(&self.status.intent.as_ref()?.nonce)
    }

    /// The memory of a process; what a replaced one remembers helps nobody.
    fn remember(&mut self, process: Process, change: impl FnOnce(&mut Memory)) {
        if process == Process::Current {
            change(&mut self.memory);
        }
    }

    // ---- what must hold

    fn check(&self, rules: Rules) {
        let ours: Vec<_> = self.runs.iter().filter(|run| run.request > 0).collect();
        for run in &ours {
            let is_one = |other: &&Remote| (other.number, other.purpose) == (run.number, run.purpose);
            let runs: Vec<_> = ours.iter().copied().filter(is_one).collect();
            for (attempt, run) in (1..).zip(&runs) {
                assert_eq!(run.attempt, attempt, "request {} has other runs than it should: {runs:?}", run.number);
            }
            // One that shows what would be is made again when that is not what would be any more.
            if run.purpose == Purpose::Preview {
                let moves = usize::from(self.approving.content + self.approving.updates);
                assert!(runs.len() <= 1 + moves, "request {} has {} previews", run.number, runs.len());
                continue;
            }
            assert!(runs.len() <= 1 + rules.retries as usize, "request {} has {} runs", run.number, runs.len());
            let mut earlier = runs.iter().rev().skip(1);
            let is_known = |run: &Remote| run.stage.is_some() || !self.stack_is_gone;
            let failed = earlier.all(|run| !is_known(run) || (run.stage == Some(Stage::Failed) && !run.canceled));
            assert!(failed, "only what failed by itself is tried again: {runs:?}");
        }
        for pair in ours.windows(2) {
            let same = pair[0].request == pair[1].request;
            assert!(pair[0].number <= pair[1].number && (!same || pair[0].number == pair[1].number), "again: {pair:?}");
        }
        let taken_over = rules.adopts.is_some() && ours.iter().any(|run| run.number == 1);
        assert!(!taken_over, "the request that was handled by a person's word has run");
        self.check_numbers(&ours);
        if let Some(Run { result: Some(result), cancel, .. }) = &self.status.run {
            let reason = cancel.as_ref().map(|cancel| cancel.reason);
            let timed_out = matches!(reason, Some(CancelReason::QueueTimeout | CancelReason::Timeout));
            let ends = [(Phase::TimedOut, timed_out), (Phase::Canceled, reason.is_some() && !timed_out)];
            assert!(ends.iter().all(|(end, expected)| result != end || *expected), "{result} after {reason:?}");
            assert!(*result != Phase::Failed || reason.is_none(), "{result} after {reason:?}");
        }
        assert!(
            self.status.intent.is_none() || self.status.run.as_ref().is_none_or(|run| run.result.is_some()),
            "a create was begun while a run is under way"
        );
    }

    /// No number is given twice, and what is told as skipped never runs.
    fn check_numbers(&self, ours: &[&Remote]) {
        let skipped: Vec<_> = self.status.history.iter().map(|entry| entry.request_number).collect();
        assert!(skipped.is_sorted_by(|newer, older| newer > older), "{skipped:?}");
        let ran = ours.iter().find(|run| skipped.contains(&run.number));
        assert!(ran.is_none(), "{ran:?} is told as skipped");
        let handled = self.status.request.as_ref().map(|handled| handled.number);
        let given = handled.max(self.status.last_skipped);
        let pending = self.status.pending.as_ref().map(|pending| pending.number);
        assert!(pending.is_none_or(|pending| Some(pending) > given), "{pending:?} waits after {given:?}");
    }

    /// Whoever is asked to approve has: this preview, of this request, of this content; and has not rejected it.
    fn assert_may_run(&self, start: &Start) {
        let it = &self.approving;
        if start.purpose != Purpose::Main || it.mode == ApprovalMode::Automatic {
            return;
        }
        let approved = start.approved.as_ref().expect("a run that nobody has approved");
        assert!(it.approved.contains(&approved.token), "a run with a token that nobody has approved");
        assert_ne!(it.word.reject.as_ref(), Some(&approved.token), "a run that somebody has rejected");
        let preview = self.status.run.as_ref().unwrap();
        assert_eq!(preview.request.digest, digest_of(self.asked), "another request was approved");
        assert_eq!((preview.purpose, preview.result), (Purpose::Preview, Some(Phase::Succeeded)));
        let seen = preview.basis.as_ref().unwrap();
        assert_eq!(seen.settings, start.subject.basis.settings, "other content was approved");
        assert_eq!(seen.stack_version, approved.stack_version, "the preview has not seen the latest update");
    }

    /// Nothing is left to be done, and what was asked for last has run once; or the resource was let go.
    fn is_good_end(&self, rules: Rules) -> bool {
        let nothing_flies = self.flying.is_empty() && self.leftover.is_none() && self.work.is_none();
        let all_ended = self.runs.iter().all(|run| !matches!(run.stage, Some(Stage::Queued | Stage::Running)));
        let is_rejected =
            self.status.intent.is_none() && approval::rejected(&digest_of(self.asked), &self.status).is_some();
        let is_handled = self.status.request.as_ref().is_some_and(|handled| {
            let settings = Some(settings_digest(self.settings));
            handled.digest == digest_of(self.asked) && (!rules.follows_settings || handled.settings_digest == settings)
        });
        let has_run = match (&self.status.run, &self.status.request) {
            (Some(run), Some(handled)) => {
                let is_one = |remote: &&Remote| (remote.number, remote.purpose) == (handled.number, run.purpose);
                let attempts = self.runs.iter().filter(is_one).count();
                let all_attempts = 1 + rules.retries as usize;
                let has_failed = run.result == Some(Phase::Failed) && !run.cancel_taken_back;
                let is_done = match run.trigger {
                    Some(Trigger::Adopted) => attempts == 0,
                    _ if has_failed => attempts == all_attempts,
                    _ => (1..=all_attempts).contains(&attempts),
                };
                let is_last = run.request.number == handled.number && run.purpose == self.purpose();
                is_done && is_last && run.result.is_some()
            }
            (None, Some(_)) => rules.adopts == Some(false),
            (_, None) => false,
        };
        // A destroy that came to nothing is told, and waits for a person.
        let is_destroyed = self.deleting && self.status.phase == Some(Phase::Succeeded);
        let has_run = has_run
            && is_handled
            && !is_destroyed
            && self.status.retry.is_none()
            && self.status.intent.is_none()
            && self.status.pending.is_none()
            && self.status.phase == self.status.run.as_ref().and_then(|run| run.result)
            && (!self.gives_outputs
                || outputs::current(&self.status).is_none_or(|_| outputs::is_written(&outputs_spec(), &self.status)));
        nothing_flies && all_ended && (self.released || has_run || is_rejected)
    }
}

/// One process at one step, as `act` has it.
struct By<'a> {
    world: &'a World,
    process: Process,
    fresh: bool,
    content: Content,
    plan: &'static str,
}

impl By<'_> {
    /// The world after a step, with this process at `task`, or with nothing left to do.
    fn then(&self, mut world: World, task: Option<Task>, fresh: bool) -> World {
        let work = task.map(|task| Work { task, fresh, content: self.content, plan: self.plan });
        match self.process {
            Process::Current => world.work = work,
            Process::Replaced => world.leftover = work,
        }
        world
    }

    fn gives_up(&self, label: &'static str) -> (&'static str, World) {
        (label, self.then(self.world.clone(), None, false))
    }

    fn lossy(&self) -> Option<World> {
        let mut world = self.world.clone();
        world.budget.losses = world.budget.losses.checked_sub(1)?;
        Some(world)
    }

    fn write(&self, world: &World, change: impl FnOnce(&mut World)) -> World {
        let next = world.written(Some(self.process), change);
        drawing::note(world, self.plan, &next);
        next
    }

    fn journals(&self, start: &Start) -> Steps {
        let updates = u64::from(self.world.approving.updates);
        if start.approved.as_ref().is_some_and(|approved| approved.stack_version != Some(updates)) {
            let outdated = Some(Task::finish(Outcome::Outdated(Moved::StackUpdate)));
            return vec![("the stack has moved", self.then(self.world.clone(), outdated, self.fresh))];
        }
        if !self.fresh {
            return vec![self.gives_up("the journal meets a newer version")];
        }
        if let Some(run) =
            outputs::current(&self.world.status).filter(|_| self.world.gives_outputs && !self.world.deleting)
        {
            let before = self.world.drawn_of(&run.nonce).unwrap();
            assert!(
                self.world.outputs_tried.contains(&before),
                "a run begins and nobody cared for what another one left"
            );
        }
        self.world.assert_may_run(start);
        let nonce = u8::try_from(self.world.drawn.len()).unwrap();
        let journal = |world: &World| {
            self.write(world, |world| {
                // What is read is the latest, so this is what was asked for when it was decided.
                let inputs = world.inputs(self.content);
                let used = u8::from(start.settings_digest == Some(settings_digest(1)));
                let Identity { request, attempt, trigger } = identity(&inputs, start, &world.status);
                world.drawn.push((world.asked + 10 * used, request.number, start.purpose, attempt));
                let basis = Basis { stack_version: Some(updates), ..start.subject.basis.clone() };
                let intent = Intent {
                    request,
                    attempt,
                    trigger,
                    purpose: start.purpose,
                    operation: start.operation,
                    basis: Some(basis).filter(|_| start.purpose == Purpose::Preview),
                    approval: start.approved.clone().map(|approved| approved.given(true)),
                    ..intent(&name(nonce), world.asked)
                };
                world.status.change(|status| {
                    status.uid = Some("uid".into());
                    note_pending(status, &inputs, false, at(0));
                    status.intent = Some(intent);
                });
            })
        };
        let mut steps = vec![("journaled", self.then(journal(self.world), Some(Task::Post(nonce)), true))];
        if let Some(world) = self.lossy() {
            let mut world = journal(&world);
            world.remember(self.process, |memory| _ = memory.never_sent.insert(nonce));
            steps.push(("journaled, and the answer is lost", self.then(world.clone(), None, false)));
            let late = Task::withdraw(nonce, trouble());
            steps.push(("journaled too late", self.then(world, Some(late), true)));
        }
        steps
    }

    fn posts(&self, nonce: u8) -> Steps {
        let mut world = self.world.clone();
        assert!(world.run_of(nonce).is_none() && world.flying.insert(nonce), "a POST is repeated");
        let mut steps = vec![("posted", self.then(world, Some(Task::AwaitAnswer(nonce)), self.fresh))];
        if let Some(mut world) = self.lossy() {
            world.remember(self.process, |memory| _ = memory.never_sent.insert(nonce));
            let refused = Task::withdraw(nonce, trouble());
            steps.push(("not sent, or refused", self.then(world, Some(refused), self.fresh)));
        }
        steps
    }

    fn awaits_answer(&self, nonce: u8) -> Steps {
        let unheard = |mut world: World| {
            world.remember(self.process, |memory| _ = memory.waited.entry(nonce).or_default());
            self.then(world, Some(Task::finish(Outcome::CreatePending(SOON))), self.fresh)
        };
        let mut steps = vec![];
        match self.world.run_of(nonce) {
            Some(_) => {
                steps.push(("answered", self.then(self.world.clone(), Some(Task::Record(nonce)), self.fresh)));
            }
            None if self.world.stack_is_gone && !self.world.flying.contains(&nonce) => {
                let mut world = self.world.clone();
                world.remember(self.process, |memory| _ = memory.never_sent.insert(nonce));
                let is_last = world.drawn[usize::from(nonce)].2 == Purpose::Destroy;
                let then = if is_last { Outcome::Released } else { Outcome::StackMissing("it".into()) };
                steps.push(("no such stack", self.then(world, Some(Task::withdraw(nonce, then)), self.fresh)));
            }
            None if !self.world.flying.contains(&nonce) => {
                steps.push(("the create was lost: time-out", unheard(self.world.clone())));
            }
            None => {}
        }
        if let Some(world) = self.lossy() {
            steps.push(("the answer is lost: time-out", unheard(world)));
        }
        steps
    }

    /// Guarded by the nonce only: whatever else was written meanwhile does not matter.
    fn records(&self, nonce: u8) -> Steps {
        if self.world.nonce() != Some(nonce) {
            return vec![self.gives_up("there is no such intent to record")];
        }
        let (index, remote) = self.world.run_of(nonce).unwrap();
        let record = |world: &World| {
            let mut world = self.write(world, |world| {
                world.status.change(|status| {
                    let intent = status.intent.take().unwrap();
                    status.request = Some(intent.request.clone());
                    (status.retry, status.pending) = (None, None);
                    let run = Run {
                        nonce: intent.nonce,
                        request: intent.request,
                        purpose: intent.purpose,
                        operation: intent.operation,
                        basis: intent.basis,
                        approval: intent.approval,
                        attempt: intent.attempt,
                        trigger: intent.trigger,
                        id: format!("id {nonce}"),
                        version: index as u64 + 1,
                        status: view(remote.stage.unwrap_or(Stage::Queued)).status,
                        ..run(remote.request)
                    };
                    status.approval = after_record(status.approval.take(), &run);
                    status.run = Some(run);
                });
            });
            world.remember(self.process, |memory| {
                memory.waited.remove(&nonce);
                memory.never_sent.remove(&nonce);
            });
            world
        };
        let created = Task::finish(Outcome::Created);
        let mut steps = vec![("recorded", self.then(record(self.world), Some(created), true))];
        if let Some(world) = self.lossy() {
            steps.push(("recorded, and the answer is lost", self.then(record(&world), None, false)));
        }
        steps
    }

    fn withdraws(&self, nonce: u8, outcome: &Kept<Outcome>) -> Steps {
        if self.world.nonce() != Some(nonce) {
            return vec![self.gives_up("there is no such intent to withdraw")];
        }
        let is_there =
            self.world.run_of(nonce).is_some_and(|(_, run)| run.stage.is_some() || !self.world.stack_is_gone);
        let may_still_run = is_there || self.world.flying.contains(&nonce);
        assert!(!may_still_run, "the intent of a create that happened is withdrawn");
        let withdraw = |world: &World| self.write(world, |world| world.status.change(|status| status.intent = None));
        let mut world = withdraw(self.world);
        world.remember(self.process, |memory| {
            memory.waited.remove(&nonce);
            memory.never_sent.remove(&nonce);
        });
        let next = match **outcome {
            Outcome::Released => Task::Release,
            _ => Task::Finish(outcome.clone()),
        };
        let mut steps = vec![("withdrawn", self.then(world, Some(next), true))];
        if let Some(world) = self.lossy() {
            steps.push(("withdrawn, and the answer is lost", self.then(withdraw(&world), None, false)));
        }
        steps
    }

    /// What the service has forgotten is not found. (How far down it looks is no matter here: versions only grow.)
    fn searches(&self, nonce: u8) -> Steps {
        let is_found = self.world.run_of(nonce).is_some_and(|(_, run)| run.stage.is_some());
        let mut world = self.world.clone();
        let mut steps = if is_found {
            vec![("found", self.then(world, Some(Task::Record(nonce)), self.fresh))]
        } else {
            world.remember(self.process, |memory| _ = memory.never_sent.insert(nonce));
            let task = Task::withdraw(nonce, Outcome::Withdrawn);
            vec![("not found", self.then(world, Some(task), self.fresh))]
        };
        if self.world.budget.riddles > 0 {
            let mut world = self.world.clone();
            world.budget.riddles -= 1;
            let unknown = Outcome::CreateUnknown { why: "it".into(), needs_person: true };
            steps.push(("nobody can tell", self.then(world, Some(Task::finish(unknown)), self.fresh)));
        }
        steps
    }

    fn cancels(&self, nonce: u8, reason: CancelReason, only_queued: bool, journaled: bool) -> Steps {
        let (_, remote) = self.world.run_of(nonce).unwrap();
        let is_left_alone = |stage: Stage| {
            if only_queued { stage != Stage::Queued } else { !matches!(stage, Stage::Queued | Stage::Running) }
        };
        if let Some(stage) = remote.stage.filter(|stage| is_left_alone(*stage)) {
            if reason == CancelReason::Deleted && self.world.policy == Some(RunDeletionPolicy::CancelQueued) {
                let next = self.then(self.world.clone(), Some(Task::Release), self.fresh);
                return vec![("it has begun, and is left to itself", next)];
            }
            let following = Outcome::Following(Some(Box::new(view(stage))));
            if journaled && stage == Stage::Running {
                return self.takes_back(true, following);
            }
            let next = self.then(self.world.clone(), Some(Task::finish(following)), self.fresh);
            return vec![("it has begun, and is followed", next)];
        }
        let call = Some(Task::CallCancel { nonce, again: journaled });
        if journaled {
            return vec![("the cancel is journaled already", self.then(self.world.clone(), call, self.fresh))];
        }
        if !self.fresh {
            return vec![self.gives_up("the journal of the cancel meets a newer version")];
        }
        let journal = |world: &World| {
            self.write(world, |world| {
                let cancel = Cancel { reason, requested_at: Time::from_seconds(0) };
                world.status.change(|status| status.run.as_mut().unwrap().cancel = Some(cancel));
            })
        };
        let mut steps = vec![("the cancel is journaled", self.then(journal(self.world), call, true))];
        if let Some(world) = self.lossy() {
            steps.push(("the cancel is journaled, and the answer is lost", self.then(journal(&world), None, false)));
        }
        steps
    }

    /// A cancel is not wanted any more, or had no effect. It may have been made before.
    fn takes_back(&self, again: bool, outcome: Outcome) -> Steps {
        if !self.fresh {
            return vec![self.gives_up("taking the cancel back meets a newer version")];
        }
        let world = self.write(self.world, |world| {
            world.status.change(|status| {
                let run = status.run.as_mut().unwrap();
                run.cancel = None;
                run.cancel_taken_back |= again;
            });
        });
        vec![("the cancel is taken back", self.then(world, Some(Task::finish(outcome)), true))]
    }

    fn calls_cancel(&self, nonce: u8, again: bool) -> Steps {
        let (index, remote) = self.world.run_of(nonce).unwrap();
        let call = |mut world: World| {
            world.runs[index].canceled |= remote.stage == Some(Stage::Running);
            world.runs[index].stage = match remote.stage {
                Some(Stage::Queued) => None,
                Some(Stage::Running) => Some(Stage::Failed),
                ended => ended,
            };
            world
        };
        let mut world = call(self.world.clone());
        world.remember(self.process, |memory| _ = memory.cancels.insert(format!("id {nonce}")));
        let mut steps = vec![("canceled", self.then(world, Some(Task::finish(Outcome::CancelSent)), self.fresh))];
        if let Some(world) = self.lossy() {
            let failed = Some(Task::finish(trouble()));
            let refused = Some(Task::TakeBack { again });
            steps.push(("the cancel is refused", self.then(world.clone(), refused, self.fresh)));
            steps.push(("the cancel is lost", self.then(world.clone(), failed.clone(), self.fresh)));
            steps.push(("canceled, and the answer is lost", self.then(call(world), failed, self.fresh)));
        }
        steps
    }

    fn takes_over(&self) -> Steps {
        if !self.fresh {
            return vec![self.gives_up("the word is heeded on a version that has moved")];
        }
        let take_over = |world: &World| {
            self.write(world, |world| {
                let inputs = world.inputs(self.content);
                let another = world.runs.iter().find(|run| run.request == 0).copied();
                world.status.change(|status| {
                    let (number, _) = request::successor(&inputs, status);
                    let request = request::handled(&inputs, number, inputs.asked.settings.digest().cloned());
                    status.uid = Some("uid".into());
                    status.request = Some(request.clone());
                    status.pending = None;
                    status.run = another.map(|another| Run {
                        nonce: name(another.nonce),
                        request,
                        id: format!("id {}", another.nonce),
                        trigger: Some(Trigger::Adopted),
                        ..run(1)
                    });
                });
            })
        };
        let mut steps = vec![("the word is heeded", self.then(take_over(self.world), Some(Task::Forget), true))];
        if let Some(world) = self.lossy() {
            steps.push(("the word is heeded, and the answer is lost", self.then(take_over(&world), None, false)));
        }
        steps
    }

    /// Guarded by the uid only.
    fn forgets(&self) -> Steps {
        let forget = |world: &World| self.write(world, |world| world.annotated = false);
        let finish = Some(Task::finish(Outcome::TakenOver));
        let mut steps = vec![("the word is taken away", self.then(forget(self.world), finish, true))];
        if let Some(world) = self.lossy() {
            steps.push(("the word is taken away, and the answer is lost", self.then(forget(&world), None, false)));
        }
        steps
    }

    fn writes_outputs(&self, nonce: u8) -> Steps {
        let id = format!("id {nonce}");
        let tried = |mut world: World, report: Report| {
            world.outputs_tried.insert(nonce);
            world.remember(self.process, |memory| _ = memory.outputs.insert(id.clone()));
            self.then(world, Some(Task::finish(Outcome::Outputs(report))), self.fresh)
        };
        let spec = outputs_spec();
        let written = WrittenOutputs {
            run: id.clone(),
            version: nonce.into(),
            declared: outputs::digest_of(&spec),
            secret_keys: None,
            config_map_keys: None,
            written_at: at(0),
        };
        let mut steps = vec![
            ("outputs are written", tried(self.world.clone(), Report::Written(written, vec![]))),
            self.gives_up("it is not its turn to read outputs"),
        ];
        if let (Some(world), Outcome::Failed(consequence)) = (self.lossy(), trouble()) {
            steps.push(("outputs can't be read", tried(world, Report::Failed(consequence))));
        }
        steps
    }

    fn releases(&self, rules: Rules) -> Steps {
        if !self.fresh {
            return vec![self.gives_up("the release meets a newer version")];
        }
        let world = self.world;
        let sends = world.leftover.as_ref().is_some_and(|work| work.task.sends(None));
        assert!(world.status.intent.is_none() && world.flying.is_empty() && !sends, "let go while a create is open");
        for run in &world.runs {
            let has_begun = run.stage != Some(Stage::Queued);
            let has_ended = has_begun && run.stage != Some(Stage::Running);
            match rules.deletion {
                Some(RunDeletionPolicy::Cancel | RunDeletionPolicy::Destroy) => {
                    assert!(has_ended, "let go while a run is under way");
                }
                Some(RunDeletionPolicy::CancelQueued) => assert!(has_begun, "let go while a run is queued"),
                Some(RunDeletionPolicy::Orphan) | None => {}
            }
        }
        if rules.deletion == Some(RunDeletionPolicy::Destroy) {
            let mut runs = world.runs.iter();
            let is_destroyed = runs.any(|run| run.purpose == Purpose::Destroy && run.stage == Some(Stage::Succeeded));
            assert!(is_destroyed || world.stack_is_gone, "let go before the stack is destroyed");
        }
        vec![("released", self.then(self.write(world, |world| world.released = true), None, false))]
    }

    fn finishes(&self, outcome: &Outcome) -> Steps {
        let next = self.world.status_after(outcome, self.content);
        if next == *self.world.status {
            return vec![self.gives_up("nothing to write")];
        }
        if !self.fresh {
            return vec![self.gives_up("the status meets a newer version")];
        }
        vec![("status written", self.then(self.write(self.world, |world| world.status = Kept::new(next)), None, false))]
    }
}

/// A state by number: how it was reached, and from where.
struct Search {
    known: HashMap<u64, usize>,
    reached_by: Vec<(usize, &'static str)>,
    before: Vec<Vec<usize>>,
}

impl Search {
    fn number(&mut self, world: &World, from: usize, label: &'static str) -> Option<usize> {
        let next = self.reached_by.len();
        let number = *self.known.entry(hash_of(world)).or_insert(next);
        if number == next {
            self.reached_by.push((from, label));
            self.before.push(vec![]);
        }
        if number != from {
            self.before[number].push(from);
        }
        (number == next).then_some(number)
    }

    fn story(&self, mut number: usize) -> String {
        let mut labels = vec![];
        while number != 0 {
            let (from, label) = self.reached_by[number];
            labels.push(label);
            number = from;
        }
        labels.reverse();
        labels.join("\n  ")
    }
}

/// Goes everywhere; returns how many states there are.
fn explore(rules: Rules) -> usize {
    explore_from(World::new(rules), rules)
}

fn explore_from(start: World, rules: Rules) -> usize {
    let mut search = Search { known: HashMap::new(), reached_by: vec![], before: vec![] };
    let first = search.number(&start, 0, "").unwrap();
    let mut queue = VecDeque::from([(first, start)]);
    let mut good = vec![];
    while let Some((number, world)) = queue.pop_front() {
        let steps = catch_unwind(AssertUnwindSafe(|| {
            world.check(rules);
            world.steps(rules)
        }));
        let Ok(steps) = steps else {
            panic!("this happened under {rules:?}:\n  {}\nin {world:#?}", search.story(number))
        };
        if world.is_good_end(rules) {
            good.push(number);
        }
        for (label, next) in steps {
            if let Some(new) = search.number(&next, number, label) {
                queue.push_back((new, next));
            }
        }
    }
    let states = search.reached_by.len();
    let mut ends_well = vec![false; states];
    while let Some(number) = good.pop() {
        if !std::mem::replace(&mut ends_well[number], true) {
            good.extend(&search.before[number]);
        }
    }
    let stuck = ends_well.iter().position(|ends_well| !ends_well);
    if let Some(stuck) = stuck {
        panic!("no good end can be reached under {rules:?} after:\n  {}", search.story(stuck));
    }
    states
}

/// Nothing happens, and nothing goes wrong.
const RULES: Rules = Rules {
    supersede: Supersede::Wait,
    deletion: None,
    changes: false,
    returns: false,
    follows_settings: false,
    adopts: None,
    retries: 0,
    loses_stack: false,
    times_out: false,
    budget: Budget { crashes: 0, losses: 0, labels: 0, riddles: 0 },
};

const TROUBLE: Budget = Budget { crashes: 1, losses: 1, labels: 0, riddles: 0 };

#[rstest]
#[case::wait(Supersede::Wait)]
#[case::cancel_queued(Supersede::CancelQueued)]
#[case::cancel(Supersede::Cancel)]
fn each_request_runs_once_or_is_superseded(#[case] supersede: Supersede) {
    let rules = Rules { supersede, changes: true, budget: TROUBLE, ..RULES };
    let states = explore(rules);
    assert!(states > 1_000, "{states} states are too few to have seen anything");
}

#[rstest]
#[case::orphan(RunDeletionPolicy::Orphan)]
#[case::cancel_queued(RunDeletionPolicy::CancelQueued)]
#[case::cancel(RunDeletionPolicy::Cancel)]
fn deletion_ends_by_policy(#[case] policy: RunDeletionPolicy) {
    let rules = Rules { deletion: Some(policy), budget: TROUBLE, ..RULES };
    let states = explore(rules);
    assert!(states > 500, "{states} states are too few to have seen anything");
}

/// Whatever crashes or is lost: let go only when the stack is destroyed, which is done once for each attempt.
#[rstest]
#[case::crash_and_loss(0, false, false, TROUBLE)]
#[case::failures_and_a_crash(1, false, false, ONE_CRASH)]
#[case::failures_and_a_loss(1, false, false, ONE_LOSS)]
#[case::time_outs_and_a_crash(0, true, false, ONE_CRASH)]
#[case::time_outs_and_a_loss(0, true, false, ONE_LOSS)]
#[case::no_stack_and_a_crash(0, false, true, ONE_CRASH)]
#[case::no_stack_and_a_loss(0, false, true, ONE_LOSS)]
fn a_stack_is_destroyed_before_its_resource_goes(
    #[case] retries: u32,
    #[case] times_out: bool,
    #[case] loses_stack: bool,
    #[case] budget: Budget,
) {
    let deletion = Some(RunDeletionPolicy::Destroy);
    let rules = Rules { deletion, retries, loses_stack, times_out, budget, ..RULES };
    let states = explore(rules);
    assert!(states > 1_000, "{states} states are too few to have seen anything");
}

#[test]
fn a_label_and_a_riddle_do_no_harm() {
    let budget = Budget { crashes: 0, losses: 1, labels: 1, riddles: 1 };
    let rules = Rules { supersede: Supersede::CancelQueued, budget, ..RULES };
    assert!(explore(rules) > 100);
}

/// With what may go wrong once, each kind by itself: together there are too many states.
const ONE_CRASH: Budget = Budget { crashes: 1, losses: 0, labels: 0, riddles: 0 };
const ONE_LOSS: Budget = Budget { crashes: 0, losses: 1, labels: 0, riddles: 0 };

#[rstest]
#[case::crash(ONE_CRASH)]
#[case::loss(ONE_LOSS)]
fn only_what_failed_by_itself_is_tried_again(#[case] budget: Budget, #[values(false, true)] times_out: bool) {
    let rules = Rules { supersede: Supersede::Cancel, changes: !times_out, retries: 1, times_out, budget, ..RULES };
    let states = explore(rules);
    assert!(states > 500, "{states} states are too few to have seen anything");
}

#[rstest]
#[case::crash(ONE_CRASH)]
#[case::loss(ONE_LOSS)]
fn what_takes_too_long_ends(
    #[case] budget: Budget,
    #[values(Supersede::Wait, Supersede::Cancel)] supersede: Supersede,
) {
    let rules = Rules { supersede, changes: true, times_out: true, budget, ..RULES };
    let states = explore(rules);
    assert!(states > 500, "{states} states are too few to have seen anything");
}

#[rstest]
#[case::orphan(RunDeletionPolicy::Orphan)]
#[case::cancel_queued(RunDeletionPolicy::CancelQueued)]
#[case::cancel(RunDeletionPolicy::Cancel)]
fn a_resource_that_is_deleted_tries_nothing_again(#[case] policy: RunDeletionPolicy) {
    let rules = Rules { deletion: Some(policy), retries: 1, times_out: true, budget: ONE_CRASH, ..RULES };
    let states = explore(rules);
    assert!(states > 500, "{states} states are too few to have seen anything");
}

const NO_TROUBLE: Budget = RULES.budget;

/// There and back: what waited and was taken back, or replaced, is told and never runs.
#[rstest]
#[case::crash(ONE_CRASH, false)]
#[case::loss(ONE_LOSS, false)]
#[case::settings(NO_TROUBLE, true)]
fn what_never_runs_is_told_once(
    #[case] budget: Budget,
    #[case] follows_settings: bool,
    #[values(Supersede::Wait, Supersede::Cancel)] supersede: Supersede,
) {
    let states = explore(Rules { supersede, changes: true, returns: true, follows_settings, budget, ..RULES });
    assert!(states > 500, "{states} states are too few to have seen anything");
}

#[rstest]
#[case::waits(Supersede::Wait, 1)]
#[case::cancels(Supersede::CancelQueued, 0)]
fn other_settings_are_another_request(
    #[case] supersede: Supersede,
    #[case] retries: u32,
    #[values(ONE_CRASH, ONE_LOSS)] budget: Budget,
) {
    let states = explore(Rules { supersede, follows_settings: true, retries, budget, ..RULES });
    assert!(states > 500, "{states} states are too few to have seen anything");
}

#[rstest]
#[case::crash(ONE_CRASH)]
#[case::loss(ONE_LOSS)]
fn what_a_person_says_needs_no_run_has_none(
    #[case] budget: Budget,
    #[values(false, true)] is_there: bool,
    #[values(false, true)] follows_settings: bool,
) {
    let (changes, retries) = (!follows_settings, u32::from(is_there && !follows_settings));
    let states = explore(Rules { changes, adopts: Some(is_there), retries, follows_settings, budget, ..RULES });
    assert!(states > 100, "{states} states are too few to have seen anything");
}

/// Nothing runs but what was approved, and what was approved runs once, whatever moves and whoever dies.
#[rstest]
#[case::crash(ONE_CRASH)]
#[case::loss(ONE_LOSS)]
fn what_was_approved_runs_once_and_nothing_else(
    #[case] budget: Budget,
    #[values((1, 0, 0, false), (0, 1, 0, true), (0, 0, 1, false), (1, 1, 0, false))] what: (u8, u8, u8, bool),
) {
    let (moves, rejections, flips, changes) = what;
    let rules = Rules { supersede: Supersede::Cancel, changes, budget, ..RULES };
    let mut start = World { gives_outputs: false, ..World::new(rules) };
    start.approving = Approving { mode: ApprovalMode::Required, moves, rejections, flips, ..Approving::default() };
    let states = explore_from(start, rules);
    assert!(states > 500, "{states} states are too few to have seen anything");
}

#[test]
fn a_resource_that_awaits_approval_can_be_deleted() {
    let rules = Rules { deletion: Some(RunDeletionPolicy::CancelQueued), budget: ONE_CRASH, ..RULES };
    let mut start = World::new(rules);
    start.approving.mode = ApprovalMode::Required;
    assert!(explore_from(start, rules) > 500);
}
