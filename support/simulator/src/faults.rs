//! Faults that a test injects: wrong answers, late answers, no answers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::recording::Recorded;
use crate::routes;

/// A fault: which requests it hits, and what happens to them.
///
/// It hits once unless it is told otherwise. Of several faults that match a request the one injected first acts.
///
/// ```
/// use pulumi_cloud_simulator::{Fault, FaultAnswer};
///
/// let busy = Fault::on("CreateDeployment")
///     .organization("acme")
///     .times(2)
///     .answer(FaultAnswer::status(429).header("Retry-After", "1"));
/// ```
#[must_use = "a fault does nothing until it is injected"]
#[derive(Clone)]
pub struct Fault {
    operation: Option<String>,
    organization: Option<String>,
    stack: Option<String>,
    method: Option<String>,
    predicate: Option<Predicate>,
    skip: usize,
    times: Option<usize>,
    action: Action,
}

type Predicate = Arc<dyn Fn(&Recorded) -> bool + Send + Sync>;

/// What is done to a request.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// The request goes through unharmed: the fault only watches.
    Nothing,
    AnswerBefore(FaultAnswer),
    AnswerAfter(FaultAnswer),
    DelayBefore(Duration),
    DelayAfter(Duration),
    DropBefore,
    DropAfter,
    TruncateBody,
    Garbage,
    Duplicate,
    HoldBefore,
    HoldAnswer,
}

/// An answer in place of the service's own.
#[must_use]
#[derive(Debug, Clone)]
pub struct FaultAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: FaultBody,
}

#[derive(Debug, Clone)]
pub(crate) enum FaultBody {
    /// The error body that the service would write for that status.
    Usual,
    Json(Value),
    Text(String),
}

impl FaultAnswer {
    /// An answer of that status with the service's usual error body, `{"code", "message"}`.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: FaultBody::Usual }
    }

    /// With this JSON as the body.
    pub fn json(mut self, body: Value) -> Self {
        self.body = FaultBody::Json(body);
        self
    }

    /// With this plain text as the body.
    pub fn text(mut self, body: impl Into<String>) -> Self {
        self.body = FaultBody::Text(body.into());
        self
    }

    /// With one more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl From<u16> for FaultAnswer {
    fn from(status: u16) -> Self {
        Self::status(status)
    }
}

impl Fault {
    /// A fault for any request.
    pub fn any() -> Self {
        Self {
            operation: None,
            organization: None,
            stack: None,
            method: None,
            predicate: None,
            skip: 0,
            times: Some(1),
            action: Action::Nothing,
        }
    }

    /// A fault for the requests of one route; [`crate::operations`] lists the names.
    ///
    /// # Panics
    ///
    /// When there is no route of that name: such a fault would never hit.
    #[track_caller]
    pub fn on(operation: &str) -> Self {
        assert!(routes::all().any(|(_, _, name)| name == operation), "no route is called {operation:?}");
        Self { operation: Some(operation.to_owned()), ..Self::any() }
    }

    /// Only requests to this organization.
    pub fn organization(mut self, name: impl Into<String>) -> Self {
        self.organization = Some(name.into());
        self
    }

    /// Only requests to this stack, `organization/project/stack`.
    pub fn stack(mut self, name: impl Into<String>) -> Self {
        self.stack = Some(name.into());
        self
    }

    /// Only requests with this method.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only requests for which this holds. The request has no status yet.
    pub fn when(mut self, predicate: impl Fn(&Recorded) -> bool + Send + Sync + 'static) -> Self {
        self.predicate = Some(Arc::new(predicate));
        self
    }

    /// Lets the first `count` matching requests pass.
    pub fn skip(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Hits this many requests.
    pub fn times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }

    /// Hits every matching request until it is removed.
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    fn action(mut self, action: Action) -> Self {
        self.action = action;
        self
    }

    /// Answers this without applying the request.
    pub fn answer(self, answer: impl Into<FaultAnswer>) -> Self {
        self.action(Action::AnswerBefore(answer.into()))
    }

    /// Applies the request and answers this all the same, as a proxy does that lost patience.
    pub fn answer_after(self, answer: impl Into<FaultAnswer>) -> Self {
        self.action(Action::AnswerAfter(answer.into()))
    }

    /// Waits before applying the request. It is applied even if the client has gone by then.
    pub fn delay_before(self, time: Duration) -> Self {
        self.action(Action::DelayBefore(time))
    }

    /// Applies the request at once and answers late.
    pub fn delay_after(self, time: Duration) -> Self {
        self.action(Action::DelayAfter(time))
    }

    /// Closes the connection without applying the request.
    pub fn drop_before(self) -> Self {
        self.action(Action::DropBefore)
    }

    /// Applies the request and closes the connection without an answer.
    pub fn drop_after(self) -> Self {
        self.action(Action::DropAfter)
    }

    /// Applies the request, sends half of the answer's body and closes the connection.
    pub fn truncate_body(self) -> Self {
        self.action(Action::TruncateBody)
    }

    /// Applies the request and answers 200 with a body that is no JSON.
    pub fn garbage(self) -> Self {
        self.action(Action::Garbage)
    }

    /// Applies the request twice and answers what came of the second time, as a proxy does that heard nothing the first
    /// time and sent it again. It is recorded once.
    pub fn duplicate(self) -> Self {
        self.action(Action::Duplicate)
    }

    /// Waits before applying the request until [`FaultHandle::release`]. It is applied even if the client has gone.
    pub fn hold_before(self) -> Self {
        self.action(Action::HoldBefore)
    }

    /// Applies the request at once; the answer waits until [`FaultHandle::release`].
    pub fn hold_answer(self) -> Self {
        self.action(Action::HoldAnswer)
    }

    fn matches(&self, request: &Recorded) -> bool {
        fn is(wanted: Option<&String>, actual: Option<&str>) -> bool {
            wanted.is_none_or(|wanted| Some(wanted.as_str()) == actual)
        }
        is(self.operation.as_ref(), Some(request.operation))
            && is(self.organization.as_ref(), request.organization.as_deref())
            && is(self.stack.as_ref(), request.stack.as_deref())
            && is(self.method.as_ref(), Some(&request.method))
            && self.predicate.as_ref().is_none_or(|predicate| predicate(request))
    }
}

/// A fault that was injected.
#[derive(Clone)]
pub struct FaultHandle {
    state: Arc<State>,
}

pub(crate) struct State {
    hits: watch::Sender<usize>,
    released: watch::Sender<bool>,
    removed: AtomicBool,
}

impl fmt::Debug for FaultHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultHandle").field("hits", &self.hits()).finish_non_exhaustive()
    }
}

impl FaultHandle {
    /// How many requests it has hit.
    #[must_use]
    pub fn hits(&self) -> usize {
        *self.state.hits.borrow()
    }

    /// Waits until it has hit a request: the request is held, or its answer is about to go wrong.
    pub async fn reached(&self) {
        self.reached_times(1).await;
    }

    /// Waits until it has hit that many requests.
    pub async fn reached_times(&self, count: usize) {
        // The sender lives in the same state, so this only ends with the count.
        let _ = self.state.hits.subscribe().wait_for(|hits| *hits >= count).await;
    }

    /// Lets go what the fault holds, and will hold.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// Takes the fault away, and lets go what it holds.
    pub fn remove(&self) {
        self.state.removed.store(true, Ordering::Relaxed);
        self.release();
    }
}

/// The faults that are in force.
#[derive(Default)]
pub(crate) struct Faults {
    injected: Mutex<Vec<Injected>>,
}

struct Injected {
    fault: Fault,
    matched: usize,
    state: Arc<State>,
}

/// What a fault does to the request at hand.
pub(crate) struct Hit {
    pub(crate) action: Action,
    state: Arc<State>,
}

impl Hit {
    /// Notes that the fault acts now.
    pub(crate) fn count(&self) {
        self.state.hits.send_modify(|hits| *hits += 1);
    }

    pub(crate) async fn released(&self) {
        let _ = self.state.released.subscribe().wait_for(|released| *released).await;
    }
}

impl Faults {
    fn injected(&self) -> std::sync::MutexGuard<'_, Vec<Injected>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn inject(&self, fault: Fault) -> FaultHandle {
        let state = Arc::new(State {
            hits: watch::Sender::new(0),
            released: watch::Sender::new(false),
            removed: AtomicBool::new(false),
        });
        let handle = FaultHandle { state: Arc::clone(&state) };
        self.injected().push(Injected { fault, matched: 0, state });
        handle
    }

    pub(crate) fn clear(&self) {
        for injected in self.injected().drain(..) {
            injected.state.released.send_replace(true);
        }
    }

    /// The fault that hits this request, if any.
    pub(crate) fn hit(&self, request: &Recorded) -> Option<Hit> {
        let mut faults = self.injected();
        faults.retain(|injected| !injected.state.removed.load(Ordering::Relaxed));
        let mut used_up = None;
        let mut hit = None;
        for (place, injected) in faults.iter_mut().enumerate() {
            if !injected.fault.matches(request) {
                continue;
            }
            injected.matched += 1;
            // Which of the hits it is, from 1.
            let Some(number) = injected.matched.checked_sub(injected.fault.skip).filter(|number| *number > 0) else {
                continue;
            };
            if let Some(times) = injected.fault.times {
                if number > times {
                    continue;
                }
                if number == times {
                    used_up = Some(place);
                }
            }
            hit = Some(Hit { action: injected.fault.action.clone(), state: Arc::clone(&injected.state) });
            break;
        }
        if let Some(place) = used_up {
            faults.remove(place);
        }
        hit
    }
}
