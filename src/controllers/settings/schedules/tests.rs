use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    controllers::{conditions::Standing, requeue::Retry},
    pulumi::client::{ScheduleRequest, ScheduleTiming},
};

const NOW: Time = Time::from_seconds(1_900_000_000);

fn declared(value: Value) -> Vec<Schedule> {
    serde_json::from_value(value).unwrap()
}

fn remote(value: Value) -> wire::Schedule {
    serde_json::from_value(value).unwrap()
}

fn seen(remote: Vec<wire::Schedule>) -> Seen {
    Seen { remote, unreadable: None, rivals: BTreeMap::new(), denied: BTreeMap::new(), ripe: BTreeSet::new() }
}

/// A schedule as the service answers it after it was asked for.
fn made(id: &str, request: &ScheduleRequest) -> Value {
    let (cron, once, request) = match request {
        ScheduleRequest::Deployment { timing, request } => {
            let operation = format!("{:?}", request.get(&["operation"]));
            let operation = operation.split('"').nth(1).unwrap();
            let (cron, once) = match timing {
                ScheduleTiming::Cron(cron) => (Some(cron.clone()), None),
                ScheduleTiming::Once(time) => (None, Some(time.to_string())),
            };
            (cron, once, json!({"operation": operation, "inheritSettings": true}))
        }
        ScheduleRequest::Drift { cron, auto_remediate } => (
            Some(cron.clone()),
            None,
            json!({"operation": "detect-drift", "operationContext": {"options": {"remediateIfDriftDetected": auto_remediate}}}),
        ),
        ScheduleRequest::Ttl { time, delete_after_destroy } => (
            None,
            Some(time.to_string()),
            json!({"operation": "destroy", "inheritSettings": true, "operationContext": {"options": {"deleteAfterDestroy": delete_after_destroy}}}),
        ),
    };
    json!({"id": id, "scheduleCron": cron, "scheduleOnce": once, "paused": false, "kind": "deployment",
        "nextExecution": "2030-03-18 00:00:00.000", "lastExecuted": "", "definition": {"request": request}})
}

/// A Pulumi Cloud with schedules, and the status that survives crashes.
#[derive(Default)]
struct World {
    remote: Vec<Value>,
    entries: Vec<ScheduleStatus>,
    created: usize,
}

/// What happens to the steps of a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// All goes well.
    Good,
    /// The process is gone after this many steps; what was done is done, and not recorded.
    CrashAfter(usize),
    /// The process is gone before the intents are written.
    CrashBefore,
}

impl World {
    fn schedules(&self) -> Vec<wire::Schedule> {
        self.remote.iter().cloned().map(remote).collect()
    }

    fn pass(&mut self, declared: &[Schedule], fate: Fate, ripe: bool) -> Agenda {
        let mut seen = seen(self.schedules());
        if ripe {
            seen.ripe = self.entries.iter().map(|entry| entry.name.clone()).collect();
        }
        let agenda = plan(declared, &self.entries, &seen, NOW);
        if fate == Fate::CrashBefore {
            return agenda;
        }
        if agenda.is_noted_first(&self.entries) {
            self.entries.clone_from(&agenda.entries);
        }
        let mut entries = agenda.entries.clone();
        for (index, step) in agenda.steps.iter().enumerate() {
            if fate == Fate::CrashAfter(index) {
                return agenda;
            }
            self.carry_out(step, &mut entries);
        }
        if !matches!(fate, Fate::CrashAfter(_)) {
            self.entries = entries;
        }
        agenda
    }

    fn carry_out(&mut self, step: &Step, entries: &mut Vec<ScheduleStatus>) {
        let place = |remote: &[Value], id: &str| remote.iter().position(|it| it["id"] == id).unwrap();
        match &step.change {
            Change::Create(definition, _) => {
                self.created += 1;
                let made = made(&format!("id-{}", self.created), &definition.request());
                self.remote.push(made.clone());
                act::record(entries, step, definition, &remote(made));
            }
            Change::Update(id, definition) => {
                let place = place(&self.remote, id);
                self.remote[place] = made(id, &definition.request());
                act::record(entries, step, definition, &remote(self.remote[place].clone()));
            }
            Change::Delete(id) => {
                self.remote.retain(|it| it["id"] != *id);
                entries.retain(|entry| entry.id.as_ref() != Some(id));
            }
            Change::Pause(id, paused) => {
                let place = place(&self.remote, id);
                self.remote[place]["paused"] = json!(paused);
            }
        }
    }

    fn settle(&mut self, declared: &[Schedule]) {
        for _ in 0..6 {
            self.pass(declared, Fate::Good, true);
        }
    }
}

fn three() -> Value {
    json!([
        {"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "update"}},
        {"name": "drift", "drift": {"cron": "0 * * * *", "autoRemediate": true}},
        {"name": "end", "ttl": {"time": "2030-06-01T00:00:00Z", "deleteAfterDestroy": true}},
    ])
}

#[test]
fn what_is_declared_is_made_and_then_there_is_nothing_to_do() {
    let (declared, mut world) = (declared(three()), World::default());
    let agenda = world.pass(&declared, Fate::Good, false);
    assert_eq!(agenda.steps.len(), 3);
    assert!(world.entries.iter().all(|entry| entry.id.is_some() && entry.intent.is_none()));
    assert_eq!(world.pass(&declared, Fate::Good, false).steps, []);
}

#[test]
fn what_is_no_longer_declared_is_removed_and_nothing_else() {
    let mut world = World::default();
    world.remote.push(made("theirs", &Definition::of_declared(&declared(three())[1]).request()));
    world.settle(&declared(three()));
    world.settle(&[]);
    assert_eq!(world.entries, []);
    let left: Vec<_> = world.remote.iter().map(|it| &it["id"]).collect();
    assert_eq!(left, ["theirs"]);
}

#[test]
fn an_equal_schedule_of_somebody_else_serves_and_is_left_alone() {
    let declared = declared(three());
    let mut world = World::default();
    world.remote.push(made("theirs", &Definition::of_declared(&declared[0]).request()));
    let before = world.remote.clone();
    world.settle(&declared);
    assert_eq!(world.entries[0].foreign_id.as_deref(), Some("theirs"));
    assert_eq!((world.entries[0].id.as_deref(), world.created), (None, 2));
    let changed: Vec<Schedule> = declared
        .iter()
        .cloned()
        .map(|mut schedule| {
            if let Some(deployment) = &mut schedule.deployment {
                deployment.cron = Some("5 5 * * *".into());
            }
            schedule
        })
        .collect();
    world.settle(&changed);
    assert_eq!(world.remote[0], before[0]);
    assert!(world.entries[0].id.is_some());
}

#[test]
fn one_that_another_resource_of_the_stack_made_is_waited_out() {
    let declared = &declared(three())[..1];
    let theirs = made("theirs", &Definition::of_declared(&declared[0]).request());
    let rivals = BTreeMap::from([("theirs".to_owned(), "platform/old".to_owned())]);
    let agenda = plan(declared, &[], &Seen { rivals, ..seen(vec![remote(theirs)]) }, NOW);
    assert_eq!((agenda.steps.len(), agenda.entries[0].reason.as_deref()), (0, Some("Conflict")));
    assert!(!are_settled(declared, &agenda.entries, &BTreeMap::new()), "it is looked at whenever something happens");
    assert!(!are_unfinished(declared, &agenda.entries));
    let freed = plan(declared, &agenda.entries, &seen(vec![]), NOW);
    assert_eq!(freed.steps.len(), 1);
}

#[rstest]
#[case(json!({"name": "nightly", "deployment": {"cron": "1 1 * * *", "operation": "update"}}), "updated")]
#[case(json!({"name": "nightly", "deployment": {"cron": "0 3 * * *", "operation": "refresh"}}), "updated")]
#[case(json!({"name": "nightly", "drift": {"cron": "0 3 * * *"}}), "removed")]
#[case(json!({"name": "nightly", "paused": true, "deployment": {"cron": "0 3 * * *", "operation": "update"}}), "paused")]
fn a_changed_declaration(#[case] changed: Value, #[case] expected: &str) {
    let mut world = World::default();
    world.settle(&declared(three())[..1]);
    let changed = declared(json!([changed]));
    let agenda = world.pass(&changed, Fate::Good, false);
    let steps: Vec<_> = agenda.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, [format!("schedule nightly was {expected}")]);
    assert!(agenda.steps.iter().all(|step| step.corrects.is_none()));
    world.settle(&changed);
    assert_eq!(world.remote.len(), 1);
    assert_eq!(Definition::of_remote(&world.schedules()[0]), Definition::of_declared(&changed[0]));
}

#[test]
fn a_change_made_elsewhere_is_corrected_three_times_and_then_contested() {
    let declared = declared(three());
    let mut world = World::default();
    world.settle(&declared);
    for count in 1..=3 {
        world.remote[0]["scheduleCron"] = json!("9 9 * * *");
        let agenda = world.pass(&declared, Fate::Good, false);
        assert_eq!(agenda.steps[0].corrects.as_ref().map(Vec::len), Some(count));
        assert_eq!(world.entries[0].corrections.len(), count);
        assert_eq!(world.pass(&declared, Fate::Good, false).steps, []);
    }
    world.remote[0]["scheduleCron"] = json!("9 9 * * *");
    let agenda = world.pass(&declared, Fate::Good, false);
    assert_eq!((agenda.steps.len(), agenda.entries[0].reason.as_deref()), (0, Some("Contested")));
    assert!(are_settled(&declared, &agenda.entries, &BTreeMap::new()));
    let later = plan(&declared, &world.entries, &seen(world.schedules()), NOW.after(CONTEST_WINDOW));
    assert_eq!(later.steps[0].to_string(), "schedule nightly was updated");
}

#[test]
fn what_was_removed_elsewhere_is_made_again() {
    let declared = declared(three());
    let mut world = World::default();
    world.settle(&declared);
    world.remote.remove(1);
    let agenda = world.pass(&declared, Fate::Good, false);
    assert!(matches!(agenda.steps.as_slice(), [Step { change: Change::Create(..), corrects: Some(_), .. }]));
    assert_eq!(world.pass(&declared, Fate::Good, false).steps, []);
}

#[test]
fn what_cannot_be_read_is_kept_and_said() {
    let declared = declared(three());
    let mut world = World::default();
    world.settle(&declared[..2]);
    let words = Words::new(Reason::UnsupportedByBackend, "the preview API lacks it");
    let unreadable = Consequence {
        class: crate::pulumi::Class::Unsupported,
        standing: Standing::Stalled(words),
        retry: Retry::Backoff,
        detail: String::new(),
    };
    let blind = Seen { unreadable: Some(unreadable), ..seen(vec![]) };
    let agenda = plan(&declared[1..], &world.entries, &blind, NOW);
    assert_eq!(agenda.steps, []);
    let ids: Vec<_> = agenda.entries.iter().map(|entry| (entry.name.as_str(), entry.id.is_some())).collect();
    assert_eq!(ids, [("nightly", true), ("drift", true), ("end", false)]);
    assert!(agenda.entries.iter().all(|entry| entry.reason.as_deref() == Some("UnsupportedByBackend")));
    assert!(are_settled(&declared[1..], &agenda.entries, &BTreeMap::from([("end".to_owned(), "no".to_owned())])));
}

#[test]
fn one_that_is_not_allowed_any_more_can_still_be_paused() {
    let mut declared = declared(three());
    let mut world = World::default();
    world.settle(&declared);
    declared[2].paused = Some(true);
    let denied = BTreeMap::from([("end".to_owned(), "no rule allows destroy".to_owned())]);
    let agenda = plan(&declared, &world.entries, &Seen { denied, ..seen(world.schedules()) }, NOW);
    assert_eq!(agenda.steps.iter().map(ToString::to_string).collect::<Vec<_>>(), ["schedule end was paused"]);
    assert!(agenda.entries[2].message.as_ref().unwrap().contains("left as it was"));
}

#[test]
fn an_intent_a_refusal_and_a_step_that_was_put_off_are_told_apart() {
    let declared = &declared(three())[..1];
    let settled = |entry: &ScheduleStatus| are_settled(declared, std::slice::from_ref(entry), &BTreeMap::new());
    let unfinished = |entry: &ScheduleStatus| are_unfinished(declared, std::slice::from_ref(entry));
    let put_off = unknown("nightly");
    assert!(!settled(&put_off) && unfinished(&put_off));
    let intent = plan(declared, &[], &seen(vec![]), NOW).entries.remove(0);
    assert!(!settled(&intent) && !unfinished(&intent));
    let mut refused = put_off;
    complain(&mut refused, Words::new("Rejected", "400"));
    assert!(!settled(&refused) && !unfinished(&refused), "trouble is tried again");
    refused.refused = Some(Definition::of_declared(&declared[0]).digest());
    assert!(settled(&refused), "a refusal waits for the next comparison");
}

#[test]
fn a_form_that_the_service_prefers_is_not_a_change() {
    let declared = declared(three());
    let mut world = World::default();
    world.settle(&declared);
    world.remote[0]["scheduleCron"] = json!("0 0 3 * * *");
    world.entries[0].remote = Some(Definition::of_remote(&world.schedules()[0]).digest());
    assert_eq!(world.pass(&declared, Fate::Good, false).steps, []);
}

#[test]
fn what_lies_in_the_past_is_not_made_and_what_has_run_is_not_made_again() {
    let past = declared(json!([{"name": "end", "ttl": {"time": "2020-01-01T00:00:00Z"}}]));
    let mut world = World::default();
    let agenda = world.pass(&past, Fate::Good, false);
    assert_eq!((agenda.steps.len(), agenda.entries[0].reason.as_deref()), (0, Some("TimePassed")));

    let soon = declared(json!([{"name": "end", "ttl": {"time": "2030-06-01T00:00:00Z"}}]));
    world.settle(&soon);
    world.remote.clear();
    let later = plan(&soon, &world.entries, &seen(vec![]), NOW.after(Duration::from_secs(365 * 86400)));
    assert_eq!((later.steps, later.entries[0].reason.as_deref()), (vec![], None));
    assert_eq!(later.entries[0].last_executed, soon[0].ttl.as_ref().map(|ttl| ttl.time));
}

#[test]
fn what_is_not_allowed_is_said_and_not_made() {
    let declared = declared(three());
    let denied = BTreeMap::from([("end".to_owned(), "no rule allows destroy".to_owned())]);
    let agenda = plan(&declared, &[], &Seen { denied: denied.clone(), ..seen(vec![]) }, NOW);
    assert_eq!((agenda.steps.len(), agenda.entries[2].reason.as_deref()), (2, Some("AccessDenied")));
    assert!(!are_settled(&declared, &[], &denied));
    let mut world = World::default();
    world.settle(&declared[..2]);
    world.entries.push(agenda.entries[2].clone());
    assert!(are_settled(&declared, &world.entries, &denied));
    assert!(!are_settled(&declared, &world.entries, &BTreeMap::new()), "a right that was granted is used");
}

#[test]
fn each_sort_is_judged_by_what_it_runs() {
    let run: Vec<_> = declared(three()).iter().map(operations).collect();
    assert_eq!(
        run,
        [vec![Operation::Update], vec![Operation::DetectDrift, Operation::RemediateDrift], vec![Operation::Destroy]]
    );
}

#[test]
fn the_service_is_asked_after_each_execution_and_until_a_detection_has_ended() {
    let at = |seconds| NOW.after(Duration::from_secs(seconds));
    let run = Duration::from_secs(300);
    let entry = ScheduleStatus { next_execution: Some(at(100)), last_executed: Some(NOW), ..ScheduleStatus::default() };
    let mut status = StackDeploymentSettingsStatus { schedules: vec![entry.clone()], ..Default::default() };
    assert_eq!(looks(&status, NOW, run).collect::<Vec<_>>(), [at(110), at(300)]);
    status.schedules = vec![ScheduleStatus { paused: Some(true), ..entry }];
    assert_eq!(looks(&status, NOW, run).count(), 0);
    status.drift = Some(crate::api::schedule::DriftStatus {
        detected: false,
        result: crate::api::schedule::DriftResult::Unknown,
        run: Some("r".into()),
        in_progress: true,
        version: None,
        url: None,
        seen_at: NOW,
    });
    assert_eq!(looks(&status, at(7), run).collect::<Vec<_>>(), [at(307)]);
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Good), Just(Fate::CrashBefore), (0..4_usize).prop_map(Fate::CrashAfter)]
}

fn any_schedule(name: &'static str) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        (0..3).prop_map(move |hour| Some(
            json!({"name": name, "deployment": {"cron": format!("0 {hour} * * *"), "operation": "update"}})
        )),
        Just(Some(json!({"name": name, "drift": {"cron": "0 1 * * *"}}))),
        any::<bool>().prop_map(move |gone| Some(
            json!({"name": name, "ttl": {"time": "2031-01-01T00:00:00Z", "deleteAfterDestroy": gone}})
        )),
    ]
}

fn any_declaration() -> impl Strategy<Value = Vec<Schedule>> {
    (any_schedule("a"), any_schedule("b"), any_schedule("c"))
        .prop_map(|(a, b, c)| declared(Value::Array([a, b, c].into_iter().flatten().collect())))
}

proptest! {
    /// Whatever is declared in turn, and wherever the process dies: in the end each declared schedule is there once,
    /// nothing of ours is left over, and nothing of anybody else was touched.
    #[test]
    fn there_is_one_of_each_in_the_end(
        turns in proptest::collection::vec((any_declaration(), any_fate(), any::<bool>()), 1..8),
        theirs in any_schedule("theirs"),
        last in any_declaration(),
    ) {
        let mut world = World::default();
        if let Some(theirs) = theirs {
            let definition = Definition::of_declared(&declared(json!([theirs]))[0]);
            world.remote.push(made("theirs", &definition.request()));
        }
        let untouched = world.remote.clone();
        for (declared, fate, ripe) in &turns {
            world.pass(declared, *fate, *ripe);
        }
        world.settle(&last);
        prop_assert!(are_settled(&last, &world.entries, &BTreeMap::new()) && !are_unfinished(&last, &world.entries));
        let (foreign, ours): (Vec<_>, Vec<_>) = world.remote.iter().cloned().partition(|it| it["id"] == "theirs");
        prop_assert_eq!(foreign, untouched);
        let served = world.entries.iter().filter(|entry| entry.foreign_id.is_some()).count();
        prop_assert_eq!(ours.len() + served, last.len(), "{:?}", world.entries);
        for (schedule, entry) in last.iter().zip(&world.entries) {
            let id = entry.id.as_ref().or(entry.foreign_id.as_ref()).unwrap();
            let there = world.schedules().into_iter().find(|it| it.id == *id).unwrap();
            prop_assert_eq!(Definition::of_remote(&there), Definition::of_declared(schedule));
        }
        prop_assert_eq!(world.pass(&last, Fate::Good, false).steps, vec![]);
    }
}
