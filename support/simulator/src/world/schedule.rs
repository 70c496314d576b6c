//! Schedules of a stack: at their times they create deployments.

use std::str::FromStr;
use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::people::User;
use super::{DeploymentKey, Event, StackKey, World};
use crate::request::Request;

/// Names a schedule; later ones have larger keys.
pub(crate) type ScheduleKey = u64;

/// What the deployments that a schedule creates tell of where they come from.
const INITIATOR: &str = "scheduled";

#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) when: When,
    pub(crate) request: Request,
    pub(crate) paused: bool,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) next: Timestamp,
    pub(crate) last: Option<Timestamp>,
    /// Counts the changes, from 1.
    pub(crate) version: u64,
    pub(crate) history: Vec<Firing>,
    /// Whose deployments they are.
    owner: Arc<User>,
    /// Voids the event that was planned for it before.
    generation: u64,
}

/// One time at which a schedule had its turn.
#[derive(Debug)]
pub(crate) struct Firing {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    /// The schedule's version at that time.
    pub(crate) version: u64,
    /// None: the deployment was refused.
    pub(crate) deployment: Option<DeploymentKey>,
}

/// When a schedule has its turn.
#[derive(Debug, Clone)]
pub(crate) enum When {
    Cron(Box<CronTimes>),
    Once(Timestamp),
}

/// The five fields of a crontab, in UTC.
#[derive(Debug, Clone)]
pub(crate) struct CronTimes {
    /// As it was sent.
    pub(crate) written: String,
    cron: Cron,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl FromStr for CronTimes {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        // The parser knows more than a crontab: `L`, `#`, `@daily`.
        let is_plain = |part: &str| {
            let name = part.to_ascii_lowercase();
            part == "*"
                || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
                || MONTHS.contains(&name.as_str())
                || DAYS.contains(&name.as_str())
        };
        if !written.split_whitespace().flat_map(|field| field.split([',', '-', '/'])).all(is_plain) {
            return Err(format!("{written:?} is not a standard cron expression"));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(written).map_err(|error| format!("{written:?}: {error}"))?;
        Ok(Self { written: written.to_owned(), cron })
    }
}

impl When {
    /// The first time after `now`; for a single time that time, whether or not it has passed.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once(time) => Some(*time),
            Self::Cron(times) => {
                let next = times.cron.find_next_occurrence(&now.to_zoned(TimeZone::UTC), false);
                next.ok().map(|next| next.timestamp())
            }
        }
    }
}

impl World {
    /// Adds a schedule whose first time is `next`.
    pub(crate) fn add_schedule(
        &mut self,
        stack: StackKey,
        (when, next): (When, Timestamp),
        request: Request,
        owner: Arc<User>,
        now: Timestamp,
    ) -> ScheduleKey {
        let key = self.next_key();
        let schedule = Schedule {
            id: Uuid::new_v4().to_string(),
            when,
            request,
            paused: false,
            created: now,
            modified: now,
            next,
            last: None,
            version: 1,
            history: Vec::new(),
            owner,
            generation: 0,
        };
        if let Some(stack) = self.stacks.get_mut(&stack) {
            stack.schedules.insert(key, schedule);
        }
        self.plan_firing(stack, key);
        key
    }

    /// Gives a schedule another time and another request.
    pub(crate) fn change_schedule(
        &mut self,
        stack: StackKey,
        key: ScheduleKey,
        (when, next): (When, Timestamp),
        request: Request,
        now: Timestamp,
    ) {
        if let Some(schedule) = self.schedule_mut(stack, key) {
            schedule.when = when;
            schedule.next = next;
            schedule.request = request;
            schedule.modified = now;
            schedule.version += 1;
        }
        self.plan_firing(stack, key);
    }

    /// Pauses or resumes a schedule. What was missed meanwhile is not made up for.
    pub(crate) fn set_schedule_paused(&mut self, stack: StackKey, key: ScheduleKey, paused: bool, now: Timestamp) {
        if let Some(schedule) = self.schedule_mut(stack, key)
            && schedule.paused != paused
        {
            schedule.paused = paused;
            schedule.modified = now;
            schedule.next = schedule.when.next(now).unwrap_or(schedule.next);
            if schedule.next > now {
                self.plan_firing(stack, key);
            }
        }
    }

    fn schedule_mut(&mut self, stack: StackKey, key: ScheduleKey) -> Option<&mut Schedule> {
        self.stacks.get_mut(&stack)?.schedules.get_mut(&key)
    }

    /// Plans the schedule's next turn and voids the one planned before.
    fn plan_firing(&mut self, stack: StackKey, key: ScheduleKey) {
        if let Some(schedule) = self.schedule_mut(stack, key) {
            schedule.generation += 1;
            let (at, generation) = (schedule.next, schedule.generation);
            self.plan_event(at, Event::Fire(stack, key, generation));
        }
    }

    /// The planned turn of a schedule has come.
    pub(super) fn fire_due(&mut self, stack: StackKey, key: ScheduleKey, generation: u64, at: Timestamp) {
        if self.schedule_mut(stack, key).is_some_and(|schedule| schedule.generation == generation) {
            self.fire(stack, key, at);
        }
    }

    /// The schedule has its turn: unless it is paused it creates its deployment. One that had a single turn is gone
    /// then.
    pub(crate) fn fire(&mut self, stack: StackKey, key: ScheduleKey, at: Timestamp) -> Option<DeploymentKey> {
        let schedule = self.schedule_mut(stack, key)?;
        if schedule.paused {
            if let Some(next) = schedule.when.next(at).filter(|next| *next > at) {
                schedule.next = next;
                self.plan_firing(stack, key);
            }
            return None;
        }
        let schedule = self.stacks.get(&stack)?.schedules.get(&key)?;
        let order = schedule.request.order(self, stack, Arc::clone(&schedule.owner), INITIATOR);
        let deployment = order.ok().map(|order| self.enqueue(stack, order, at));
        let target = self.stacks.get_mut(&stack)?;
        let schedule = target.schedules.get_mut(&key)?;
        if matches!(schedule.when, When::Once(_)) {
            target.schedules.remove(&key);
            return deployment;
        }
        schedule.last = Some(at);
        schedule.next = schedule.when.next(at).unwrap_or(Timestamp::MAX);
        let id = Uuid::new_v4().to_string();
        schedule.history.push(Firing { id, at, version: schedule.version, deployment });
        self.plan_firing(stack, key);
        deployment
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn next(written: &str) -> String {
        let when = When::Cron(Box::new(written.parse().unwrap()));
        when.next("2026-02-27T10:30:20Z".parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn cron_is_read_in_utc() {
        assert_eq!(next("0 */4 * * *"), "2026-02-27T12:00:00Z");
        assert_eq!(next("31 10 * * *"), "2026-02-27T10:31:00Z");
        assert_eq!(next("30 10 * * *"), "2026-02-28T10:30:00Z");
        assert_eq!(next("0 0 29 2 *"), "2028-02-29T00:00:00Z");
        assert_eq!(next("0 9 * * MON-FRI"), "2026-03-02T09:00:00Z");
        // Either day counts, as in every crontab.
        assert_eq!(next("0 0 13 * 7"), "2026-03-01T00:00:00Z");
    }

    #[test]
    fn every_due_turn_comes_at_its_time() {
        let mut world = World::new("http://localhost".to_owned(), 1000.0);
        world.add_organization("acme");
        let stack = world.add_stack(&"acme/web/prod".parse().unwrap(), BTreeMap::new()).unwrap();
        let now: Timestamp = "2026-02-27T10:30:20Z".parse().unwrap();
        let when = When::Cron(Box::new("*/10 * * * *".parse().unwrap()));
        let next = when.next(now).unwrap();
        let owner = Arc::new(User::new("someone"));
        let key = world.add_schedule(stack, (when, next), Request::drift_detection(false), owner, now);
        world.advance("2026-02-27T10:39:59Z".parse().unwrap());
        assert!(world.stacks[&stack].deployments.is_empty());
        world.advance("2026-02-27T11:00:00Z".parse().unwrap());
        let created: Vec<String> =
            world.stacks[&stack].deployments.iter().map(|key| world.deployments[key].created.to_string()).collect();
        assert_eq!(created, ["2026-02-27T10:40:00Z", "2026-02-27T10:50:00Z", "2026-02-27T11:00:00Z"]);
        let schedule = &world.stacks[&stack].schedules[&key];
        assert_eq!(schedule.history.len(), 3);
        assert_eq!(schedule.last.unwrap().to_string(), "2026-02-27T11:00:00Z");
        assert_eq!(schedule.next.to_string(), "2026-02-27T11:10:00Z");

        let now = "2026-02-27T11:05:00Z".parse().unwrap();
        world.set_schedule_paused(stack, key, true, now);
        world.advance("2026-02-27T12:05:00Z".parse().unwrap());
        assert_eq!(world.stacks[&stack].deployments.len(), 3);
        assert_eq!(world.stacks[&stack].schedules[&key].next.to_string(), "2026-02-27T12:10:00Z");
        world.set_schedule_paused(stack, key, false, "2026-02-27T12:05:00Z".parse().unwrap());
        world.advance("2026-02-27T12:10:00Z".parse().unwrap());
        assert_eq!(world.stacks[&stack].deployments.len(), 4);
    }

    #[test]
    fn only_five_plain_fields_are_cron() {
        for wrong in
            ["", "* * * *", "* * * * * *", "@daily", "0 0 L * *", "0 0 * * 5#2", "61 * * * *", "x * * * *", "- * * * *"]
        {
            assert!(wrong.parse::<CronTimes>().is_err(), "{wrong}");
        }
    }
}
