//! What the server's tasks and the library's handle have in common.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::dialect::Dialect;
use crate::faults::Faults;
use crate::recording::Recorder;
use crate::world::World;

pub(crate) type WorldGuard<'a> = MutexGuard<'a, World>;

pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) recorder: Recorder,
    pub(crate) faults: Faults,
    pub(crate) dialect: Dialect,
}

impl Shared {
    pub(crate) fn new(world: World, recorder: Recorder, dialect: Dialect) -> Self {
        Self { world: Mutex::new(world), recorder, faults: Faults::default(), dialect }
    }

    /// The world, with everything done that is due at `now`.
    pub(crate) fn world_at(&self, now: Timestamp) -> WorldGuard<'_> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(now);
        world
    }

    /// The world as it is now.
    pub(crate) fn world(&self) -> WorldGuard<'_> {
        self.world_at(Timestamp::now())
    }
}
