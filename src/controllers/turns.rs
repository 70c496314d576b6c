//! Turns at what takes long and holds a reconcile meanwhile: a few at once, so that the others go on.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::pulumi::Waiter;

/// A number of turns that may be taken at once.
pub struct Turns(Mutex<State>);

struct State {
    free: usize,
    waiting: VecDeque<Waiter>,
}

/// One that was taken. It is given back when this is dropped.
#[must_use]
pub struct Turn<'a>(&'a Turns);

impl Turns {
    /// So many at once.
    #[must_use]
    pub const fn new(count: usize) -> Self {
        Self(Mutex::new(State { free: count, waiting: VecDeque::new() }))
    }

    /// Takes a turn if there is one; otherwise `waiter` is woken when there may be one.
    pub fn try_take(&self, waiter: Waiter) -> Option<Turn<'_>> {
        let mut state = self.lock();
        state.waiting.retain(|other| other.key != waiter.key);
        if state.free == 0 {
            state.waiting.push_back(waiter);
            return None;
        }
        state.free -= 1;
        Some(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.free += 1;
        // One of them may not want it any more.
        let count = state.free.min(state.waiting.len());
        let woken: Vec<_> = state.waiting.drain(..count).collect();
        drop(state);
        for waiter in woken {
            (waiter.wake)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn who_comes_too_late_is_woken_in_order_and_once() {
        let turns = Turns::new(2);
        let woken = Arc::new(Mutex::new(vec![]));
        let waiter = |key: &str| {
            let (woken, name) = (Arc::clone(&woken), key.to_owned());
            Waiter { key: key.to_owned(), wake: Arc::new(move || woken.lock().unwrap().push(name.clone())) }
        };
        let first = turns.try_take(waiter("a"));
        let second = turns.try_take(waiter("b"));
        assert!(first.is_some() && second.is_some());
        for late in ["c", "d", "c"] {
            assert!(turns.try_take(waiter(late)).is_none());
        }
        drop(first);
        assert_eq!(*woken.lock().unwrap(), ["d"], "one that asks again goes to the end");
        let third = turns.try_take(waiter("d"));
        assert!(third.is_some() && turns.try_take(waiter("e")).is_none());
        drop(second);
        drop(third);
        assert_eq!(*woken.lock().unwrap(), ["d", "c", "e"], "with two that are free, two are woken");
        assert!(turns.try_take(waiter("x")).is_some());
    }
}
