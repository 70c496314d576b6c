//! Who waits for a turn, and whose turn is next. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;

use super::rate::CallClass;

/// Someone who waits.
#[derive(Clone, Debug)]
pub(super) struct Entry<W> {
    pub key: String,
    pub units: u32,
    /// Since when it stands in line.
    pub since: Instant,
    pub wake: W,
}

/// The waiters of all classes. Each key is in a class's line at most once.
#[derive(Debug)]
pub(super) struct Queue<W> {
    lines: BTreeMap<CallClass, Line<W>>,
}

impl<W> Queue<W> {
    pub(super) fn new() -> Self {
        Self { lines: CallClass::ALL.map(|class| (class, Line::new())).into() }
    }

    /// Joins the line, or, if the key is in it already, keeps its place.
    pub(super) fn join(&mut self, class: CallClass, tenant: &str, entry: Entry<W>) {
        if let Some(line) = self.lines.get_mut(&class) {
            line.join(tenant, entry);
        }
    }

    pub(super) fn leave(&mut self, key: &str) {
        for line in self.lines.values_mut() {
            line.leave(key);
        }
    }

    /// Takes everyone out.
    pub(super) fn drain(&mut self) -> Vec<(CallClass, Entry<W>)> {
        let mut all = Vec::new();
        for class in CallClass::ALL {
            while let Some(entry) = self.pop(class) {
                all.push((class, entry));
            }
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.values().all(Line::is_empty)
    }

    pub(super) fn len(&self, class: CallClass) -> usize {
        self.lines.get(&class).map_or(0, |line| line.places.len())
    }

    /// Since when the one who has waited longest stands in line.
    pub(super) fn oldest(&self, class: CallClass) -> Option<Instant> {
        // Within a tenant they stand in the order in which they came.
        let lanes = self.lines.get(&class)?.tenants.values();
        lanes.filter_map(|lane| lane.first_key_value()).map(|(_, entry)| entry.since).min()
    }

    /// Which class is next, and how many units its first waiter wants: a class that is owed units for its share goes
    /// before the more urgent ones.
    pub(super) fn next(&self) -> Option<(CallClass, u32)> {
        let fronts = || self.lines.iter().filter_map(|(class, line)| Some((*class, line.front()?.units, line.owed)));
        fronts()
            .find(|(_, units, owed)| *owed + 1e-9 >= f64::from((*units).max(1)))
            .or_else(|| fronts().next())
            .map(|(class, units, _)| (class, units))
    }

    /// Takes the class's first waiter out and settles the shares.
    pub(super) fn pop(&mut self, class: CallClass) -> Option<Entry<W>> {
        let entry = self.lines.get_mut(&class)?.pop()?;
        let units = f64::from(entry.units);
        for (other, line) in &mut self.lines {
            if *other == class {
                line.owed -= units * (1.0 - other.share());
            } else {
                line.owed += units * other.share();
            }
            line.owed = line.owed.max(0.0);
            if line.is_empty() {
                line.owed = 0.0;
            }
        }
        Some(entry)
    }
}

/// One class's waiters: tenants take turns, and within a tenant who came first goes first.
#[derive(Debug)]
struct Line<W> {
    turns: VecDeque<String>,
    tenants: HashMap<String, BTreeMap<u64, Entry<W>>>,
    places: HashMap<String, (String, u64)>,
    next_place: u64,
    /// What the class is still owed of its minimum share, in units.
    owed: f64,
}

impl<W> Line<W> {
    fn new() -> Self {
        Self { turns: VecDeque::new(), tenants: HashMap::new(), places: HashMap::new(), next_place: 0, owed: 0.0 }
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn join(&mut self, tenant: &str, entry: Entry<W>) {
        if let Some((current, place)) = self.places.get(&entry.key) {
            if current == tenant {
                if let Some(waiting) = self.tenants.get_mut(tenant).and_then(|lane| lane.get_mut(place)) {
                    *waiting = Entry { since: waiting.since, ..entry };
                }
                return;
            }
            let key = entry.key.clone();
            self.leave(&key);
        }
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert(entry.key.clone(), (tenant.to_owned(), place));
        let lane = self.tenants.entry(tenant.to_owned()).or_default();
        if lane.is_empty() {
            self.turns.push_back(tenant.to_owned());
        }
        lane.insert(place, entry);
    }

    fn leave(&mut self, key: &str) {
        let Some((tenant, place)) = self.places.remove(key) else { return };
        let Some(lane) = self.tenants.get_mut(&tenant) else { return };
        lane.remove(&place);
        if lane.is_empty() {
            self.tenants.remove(&tenant);
            self.turns.retain(|waiting| *waiting != tenant);
        }
        if self.is_empty() {
            self.owed = 0.0;
        }
    }

    fn front(&self) -> Option<&Entry<W>> {
        let lane = self.tenants.get(self.turns.front()?)?;
        lane.first_key_value().map(|(_, entry)| entry)
    }

    fn pop(&mut self) -> Option<Entry<W>> {
        let tenant = self.turns.pop_front()?;
        let lane = self.tenants.get_mut(&tenant)?;
        let (_, entry) = lane.pop_first()?;
        if lane.is_empty() {
            self.tenants.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        self.places.remove(&entry.key);
        Some(entry)
    }
}
