//! Everything that was ever seen of a namespace's Deployments, and whether it adds up: with the rules, and with what the
//! service has.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is not seen as a test")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    runtime::watcher::{self, Event},
};
use pulumi_cloud_simulator::DeploymentView;
use pulumi_deployments_operator::api::{
    Deployment, DeploymentStatus,
    condition::{find, types},
    deployment::{CancelReason, HistoryEntry, Phase, Purpose, Run},
    names::{NONCE_VARIABLE_PREFIX, RERUN},
};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

/// What was seen, from the moment on that this was made. Clones are handles to the same one.
#[derive(Clone)]
pub struct Ledger {
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    /// By uid.
    lives: BTreeMap<String, Life>,
    latest: HashMap<String, watch::Sender<Option<Arc<Deployment>>>>,
    /// A watch that had to begin anew has missed something.
    lists: usize,
}

impl Book {
    fn latest(&mut self, name: &str) -> &watch::Sender<Option<Arc<Deployment>>> {
        self.latest.entry(name.to_owned()).or_insert_with(|| watch::Sender::new(None))
    }
}

/// Which run: the request's number, the purpose, the attempt.
type Identity = (u64, Purpose, u32);

/// One Deployment, from its creation to its end.
struct Life {
    name: String,
    latest: Arc<Deployment>,
    is_gone: bool,
    /// What was asked for, by its digest; and the other way round.
    contents: HashMap<String, String>,
    digests: HashMap<String, String>,
    /// Which run each nonce was drawn for.
    drawn: HashMap<String, Identity>,
    /// What status said of each run, by the service's id.
    runs: HashMap<String, Told>,
    problems: Vec<String>,
}

/// What status said of a run.
#[derive(Clone, Debug)]
struct Told {
    identity: Identity,
    cancel: Option<CancelReason>,
    cancel_taken_back: bool,
    result: Option<Phase>,
}

impl Ledger {
    /// Begins to watch. What happens after this returns is seen.
    pub async fn new(api: Api<Deployment>) -> Self {
        let ledger = Self { book: Arc::default() };
        let book = Arc::clone(&ledger.book);
        let (ready, listed) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut ready = Some(ready);
            let mut events = pin!(watcher::watcher(api, watcher::Config::default()));
            while let Some(event) = events.next().await {
                let mut book = book.lock().unwrap();
                match event {
                    Ok(Event::Apply(deployment) | Event::InitApply(deployment)) => book.note(deployment, false),
                    Ok(Event::Delete(deployment)) => book.note(deployment, true),
                    Ok(Event::Init) => book.lists += 1,
                    Ok(Event::InitDone) => _ = ready.take().map(|ready| ready.send(())),
                    // The watcher tries again by itself.
                    Err(_) => {}
                }
            }
        });
        listed.await.unwrap();
        ledger
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// Waits until a Deployment is as wanted; says how it is when it does not come to that.
    pub async fn wait(
        &self,
        within: Duration,
        name: &str,
        what: &str,
        wanted: impl Fn(Option<&Deployment>) -> bool,
    ) -> Result<Option<Arc<Deployment>>, String> {
        let mut latest = self.book().latest(name).subscribe();
        let found = async { latest.wait_for(|latest| wanted(latest.as_deref())).await.unwrap().clone() };
        if let Ok(found) = timeout(within, found).await {
            return Ok(found);
        }
        let status = latest.borrow().as_ref().map(|deployment| summary(deployment));
        Err(format!("{name}: not within {within:?}: {what}; {}", status.as_deref().unwrap_or("it is not there")))
    }

    /// The Deployments that are there, as last seen.
    pub fn living(&self) -> Vec<Arc<Deployment>> {
        let book = self.book();
        book.lives.values().filter(|life| !life.is_gone).map(|life| Arc::clone(&life.latest)).collect()
    }

    /// Whether the watch had to begin anew, so that not everything was seen.
    pub fn has_gaps(&self) -> bool {
        self.book().lists > 1
    }

    /// What does not add up of the Deployments of one name, whose stack has had these runs.
    pub fn problems(&self, name: &str, runs: &[DeploymentView]) -> Vec<String> {
        let book = self.book();
        let lives: Vec<&Life> = book.lives.values().filter(|life| life.name == name).collect();
        let mut problems: Vec<String> = lives.iter().flat_map(|life| life.problems.clone()).collect();
        let mut by_nonce = HashMap::new();
        let mut by_identity = HashMap::new();
        for run in runs {
            let nonce =
                run.environment.keys().find_map(|name| name.strip_prefix(NONCE_VARIABLE_PREFIX)).unwrap_or_default();
            if let Some(other) = by_nonce.insert(nonce, run.version) {
                problems.push(format!("runs {other} and {} came of one create", run.version));
            }
            let Some((life, identity)) =
                lives.iter().find_map(|life| life.drawn.get(nonce).map(|identity| (*life, *identity)))
            else {
                problems.push(format!("run {} was not journaled", run.version));
                continue;
            };
            let told = life.runs.get(&run.id);
            // Somebody took it out of the queue before it was found: it never ran.
            if told.is_none() && run.removed {
                continue;
            }
            if let Some(other) = by_identity.insert((life.latest.uid(), identity), run.version) {
                problems.push(format!("runs {other} and {} are both {identity:?}", run.version));
            }
            match told {
                None if life.is_gone => {}
                None => problems.push(format!("run {} ({identity:?}) is not in status", run.version)),
                Some(told) => problems.extend(told.problem(run)),
            }
        }
        for life in lives {
            for (id, told) in &life.runs {
                if !runs.iter().any(|run| run.id == *id) {
                    problems.push(format!("status tells of a run that never was: {id} {told:?}"));
                }
            }
            if !life.is_gone {
                problems.extend(life.unfinished().map(|why| format!("it is not finished: {why}")));
                problems.extend(life.history_problems());
            }
        }
        problems.into_iter().map(|problem| format!("{name}: {problem}")).collect()
    }

    /// The Deployments for which something is still to come, and what.
    pub fn unfinished(&self) -> Vec<String> {
        let book = self.book();
        let living = book.lives.values().filter(|life| !life.is_gone);
        living.filter_map(|life| Some(format!("{}: {}", life.name, life.unfinished()?))).collect()
    }
}

impl Book {
    fn note(&mut self, deployment: Deployment, is_gone: bool) {
        let (name, uid) = (deployment.name_any(), deployment.uid().unwrap());
        let deployment = Arc::new(deployment);
        let life = self.lives.entry(uid).or_insert_with(|| Life::new(name.clone(), Arc::clone(&deployment)));
        life.note(&deployment);
        life.is_gone |= is_gone;
        self.latest(&name).send_replace(Some(deployment).filter(|_| !is_gone));
    }
}

/// What a Deployment asks for, told apart from its policy: two that differ here are two requests, and no others are.
fn content(deployment: &Deployment) -> String {
    let spec = &deployment.spec;
    json!({
        "settingsRef": spec.settings_ref, "stack": spec.stack, "operation": spec.operation,
        "inheritSettings": spec.inherit_settings, "settings": spec.settings, "rerun": spec.rerun,
        "rerunAnnotation": deployment.annotations().get(RERUN),
    })
    .to_string()
}

fn identity(run: &Run) -> Identity {
    (run.request.number, run.purpose, run.attempt)
}

/// A Deployment in one line.
pub fn summary(deployment: &Deployment) -> String {
    let status = deployment.status.clone().unwrap_or_default();
    let ready = find(&status.conditions, types::READY);
    let run = status.run.as_ref().map(|run| (identity(run), run.version, &run.status, &run.cancel, run.result));
    format!(
        "generation {:?} (observed {:?}), deleting {}, {:?}, {}, intent {:?}, run {run:?}, request {:?}",
        deployment.metadata.generation,
        status.observed_generation,
        deployment.metadata.deletion_timestamp.is_some(),
        status.phase,
        ready.map_or_else(String::new, |ready| format!("{} ({})", ready.reason, ready.message)),
        status.intent.as_ref().map(|intent| (intent.request.number, &intent.nonce)),
        status.request.as_ref().map(|request| request.number),
    )
}

impl Life {
    fn new(name: String, latest: Arc<Deployment>) -> Self {
        Self {
            name,
            latest,
            is_gone: false,
            contents: HashMap::new(),
            digests: HashMap::new(),
            drawn: HashMap::new(),
            runs: HashMap::new(),
            problems: vec![],
        }
    }

    fn status(&self) -> DeploymentStatus {
        self.latest.status.clone().unwrap_or_default()
    }

    fn note(&mut self, deployment: &Arc<Deployment>) {
        self.latest = Arc::clone(deployment);
        let status = self.status();
        if let Some(intent) = &status.intent
            && !self.drawn.contains_key(&intent.nonce)
        {
            let drawn: Identity = (intent.request.number, intent.purpose, intent.attempt);
            self.drawn.insert(intent.nonce.clone(), drawn);
            self.problems.extend(self.unlawful(&status, drawn, &intent.request.digest));
            // The journal is guarded: what is asked for in the same version is what the run is for.
            let content = content(deployment);
            let before = self.contents.insert(intent.request.digest.clone(), content.clone());
            let digest = self.digests.insert(content.clone(), intent.request.digest.clone());
            if before.is_some_and(|before| before != content)
                || digest.is_some_and(|digest| digest != intent.request.digest)
            {
                self.problems.push(format!("{drawn:?} runs what was asked for before under another digest"));
            }
        }
        if let Some(run) = &status.run {
            let told = Told {
                identity: identity(run),
                cancel: run.cancel.as_ref().map(|cancel| cancel.reason),
                cancel_taken_back: run.cancel_taken_back,
                result: run.result,
            };
            if !self.drawn.contains_key(&run.nonce) {
                self.problems.push(format!("{told:?} was never journaled"));
            }
            let before = self.runs.insert(run.id.clone(), told);
            let changed = before.filter(|before| before.result.is_some() && before.result != run.result);
            self.problems.extend(changed.map(|before| format!("the end of a run has changed: {before:?}, {run:?}")));
        }
    }

    /// Why a run must not be created.
    fn unlawful(&self, status: &DeploymentStatus, drawn: Identity, digest: &str) -> Option<String> {
        let (number, purpose, attempt) = drawn;
        if let Some(run) = self.runs.values().find(|run| run.identity == drawn) {
            return Some(format!("there is a run of this identity: {run:?}"));
        }
        if status.run.as_ref().is_some_and(|run| run.result.is_none()) {
            return Some(format!("{drawn:?} is created while another run is under way"));
        }
        match &status.request {
            Some(handled) if handled.digest == digest => {
                let last = status.run.as_ref()?;
                let failed = last.result == Some(Phase::Failed) && last.cancel.is_none() && !last.cancel_taken_back;
                let is_retry = failed && last.attempt + 1 == attempt && last.purpose == purpose;
                let is_next = last.purpose != purpose && attempt == 1;
                (number != handled.number || !(is_retry || is_next))
                    .then(|| format!("{drawn:?} runs again what was handled: {last:?}"))
            }
            handled => {
                // Numbers between the two are those of requests that never ran; the history tells of each.
                let earlier = handled.as_ref().map_or(0, |handled| handled.number);
                (number <= earlier || attempt != 1)
                    .then(|| format!("{drawn:?} is not the first attempt at a request after {earlier}"))
            }
        }
    }

    /// What is still to come.
    fn unfinished(&self) -> Option<String> {
        let status = self.status();
        let is_observed = status.observed_generation == self.latest.metadata.generation;
        let is_over = status.phase.is_some_and(Phase::is_terminal)
            && status.intent.is_none()
            && status.retry.is_none()
            && status.run.as_ref().is_some_and(|run| run.result == status.phase)
            && find(&status.conditions, types::RECONCILING).is_none();
        // Only the newest request counts; one that was replaced before it ran is skipped.
        let newest = content(&self.latest);
        let handled = status.request.as_ref().and_then(|request| self.contents.get(&request.digest));
        let is_deleting = self.latest.metadata.deletion_timestamp.is_some();
        let is_finished = is_observed && is_over && handled == Some(&newest) && !is_deleting;
        (!is_finished).then(|| summary(&self.latest))
    }

    /// The history has every run, in order.
    fn history_problems(&self) -> Vec<String> {
        let status = self.status();
        let identity_of = |entry: &HistoryEntry| (entry.request_number, entry.purpose, entry.attempt);
        let earlier = status.history.iter().filter_map(|entry| Some((entry.id.clone()?, identity_of(entry))));
        let told: Vec<_> = status.run.iter().map(|run| (run.id.clone(), identity(run))).chain(earlier).collect();
        let mut problems = vec![];
        if told.len() != self.runs.len() || !told.iter().all(|(id, _)| self.runs.contains_key(id)) {
            problems.push(format!("the history has {told:?}, there were {:?}", self.runs));
        }
        // Those that never ran have a place in it, too.
        let numbers = status.history.iter().map(|entry| entry.request_number);
        let numbers: BTreeSet<_> = status.run.iter().map(|run| run.request.number).chain(numbers).collect();
        if !numbers.iter().copied().eq(1..=numbers.len() as u64) {
            problems.push(format!("the history has a gap: {numbers:?}"));
        }
        for run in &status.history {
            if run.id.as_ref().and_then(|id| self.runs.get(id)).is_some_and(|told| told.result != Some(run.result)) {
                problems.push(format!("the history tells another end: {run:?}"));
            }
        }
        problems
    }
}

impl Told {
    /// What is wrong with it, next to the service's own view.
    fn problem(&self, run: &DeploymentView) -> Option<String> {
        let canceled = || self.cancel.map_or(Phase::Failed, CancelReason::end);
        let truth = match run.status.as_str() {
            _ if run.removed => Some(canceled()),
            "succeeded" => Some(Phase::Succeeded),
            "failed" => Some(canceled()),
            "skipped" => Some(Phase::Skipped),
            _ => None,
        };
        let is_true = self.result.is_none_or(|result| Some(result) == truth);
        (!is_true).then(|| {
            let Told { identity, cancel, cancel_taken_back, result } = self;
            format!(
                "run {} ({identity:?}) is {:?} (removed {}, canceled {}) and status says {result:?} (cancel {cancel:?}, taken back {cancel_taken_back})",
                run.version, run.status, run.removed, run.canceled
            )
        })
    }
}
