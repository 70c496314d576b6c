//! The observer: how often it calls, whom it wakes, what it makes of trouble.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pulumi_cloud_simulator::{Fault, FaultAnswer};
use pulumi_deployments_operator::pulumi::wire::Status;
use pulumi_deployments_operator::pulumi::{Gate, Observer, ObserverConfig, Timeouts, TrackedRun};
use serde_json::json;

use super::{Cloud, TOKEN, client, counting, eventually, stack};

const KEY: &str = "platform/acme";

/// Looks so often that tests are short.
fn often() -> ObserverConfig {
    let ms = Duration::from_millis;
    ObserverConfig { fast: ms(20), slow: ms(40), calm: ms(200), list_retry: ms(300), least: ms(10) }
}

struct Scene {
    cloud: Cloud,
    observer: Arc<Observer>,
}

impl Scene {
    /// With an organization that lets nothing start.
    async fn paused() -> Self {
        let cloud = Cloud::new().await;
        cloud.simulator.set_organization_paused("acme", true).unwrap();
        Self { cloud, observer: Observer::new(often()) }
    }

    fn connect(&self) {
        self.observer.connect(KEY, "acme", self.cloud.client.clone());
    }

    /// Somebody creates a run.
    fn create(&self) -> String {
        self.cloud.simulator.create_deployment("acme/web/dev", &json!({"operation": "refresh"})).unwrap().id
    }

    fn track(&self, id: &str) -> Arc<AtomicUsize> {
        let (count, wake) = counting();
        let run = TrackedRun { id: id.to_owned(), stack: stack("acme/web/dev"), version: 1, created: None, wake };
        self.observer.track(KEY, run);
        count
    }

    fn status(&self, id: &str) -> Option<Status> {
        Some(self.observer.snapshot(id)?.run?.status.clone())
    }

    fn missing(&self, id: &str) -> u32 {
        self.observer.snapshot(id).map_or(0, |sighting| sighting.missing)
    }

    /// How often the list's first page was read: how many looks there were.
    fn looks(&self) -> usize {
        self.pages("page=1&")
    }

    fn pages(&self, query: &str) -> usize {
        self.cloud.requests("ListOrganizationDeployments").iter().filter(|it| it.query.starts_with(query)).count()
    }

    /// Waits until the observer has looked so often again.
    async fn looked(&self, times: usize) {
        let before = self.looks();
        eventually("more looks", async || (self.looks() >= before + times).then_some(())).await;
    }
}

#[tokio::test]
async fn the_number_of_calls_does_not_depend_on_the_number_of_runs() {
    let scene = Scene::paused().await;
    for _ in 0..150 {
        scene.create();
    }
    let ids: Vec<String> = (0..250).map(|_| scene.create()).collect();
    let wakes: Vec<_> = ids.iter().map(|id| scene.track(id)).collect();
    scene.connect();
    eventually("all are seen", async || {
        ids.iter().all(|id| scene.status(id) == Some(Status::NotStarted)).then_some(())
    })
    .await;
    scene.looked(5).await;
    scene.observer.disconnect(KEY);
    let looks = scene.looks();
    assert!(scene.pages("page=2&") <= looks && scene.pages("page=3&") <= looks);
    assert_eq!(scene.pages("page=4&"), 0, "all were seen on three pages");
    assert_eq!(scene.cloud.requests("GetDeployment").len(), 0);
    assert!(wakes.iter().all(|wakes| wakes.load(Ordering::Relaxed) == 1), "nobody is woken without news");
}

#[tokio::test]
async fn foreign_runs_do_not_make_it_read_without_end() {
    let scene = Scene::paused().await;
    let old = scene.create();
    for _ in 0..450 {
        scene.create();
    }
    scene.track(&old);
    scene.connect();
    eventually("it is seen, by id", async || scene.status(&old)).await;
    scene.looked(3).await;
    assert!(scene.pages("page=3&") > 0);
    assert_eq!(scene.pages("page=4&"), 0, "one page for it, and two more");
    // Its age is known by now, and by that it can't be on the first pages.
    assert!(!scene.cloud.requests("GetDeployment").is_empty());
}

#[tokio::test]
async fn what_is_older_than_all_tracked_runs_is_not_read() {
    let scene = Scene::paused().await;
    for _ in 0..250 {
        scene.create();
    }
    // It is not in the list, and by what is known it was created long after everything that is.
    let (_, wake) = counting();
    let created = Some(jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5));
    let run = TrackedRun { id: "unknown".into(), stack: stack("acme/web/dev"), version: 1, created, wake };
    scene.observer.track(KEY, run);
    scene.connect();
    scene.looked(3).await;
    assert_eq!(scene.pages("page=2&"), 0);
}

#[tokio::test]
async fn news_wake_those_whom_they_concern() {
    let scene = Scene::paused().await;
    scene.cloud.simulator.add_stack("acme/web/other").unwrap();
    let quiet = scene.cloud.simulator.create_deployment("acme/web/other", &json!({"operation": "refresh"})).unwrap().id;
    let moving = scene.create();
    let wakes = scene.track(&moving);
    let quiet_wakes = scene.track(&quiet);
    scene.connect();
    eventually("both are seen", async || scene.status(&quiet).and(scene.status(&moving))).await;
    assert_eq!(quiet_wakes.load(Ordering::Relaxed), 1);

    scene.cloud.simulator.hold("acme/web/other").unwrap();
    scene.cloud.simulator.set_organization_paused("acme", false).unwrap();
    eventually("the end", async || scene.status(&moving).filter(Status::is_terminal)).await;
    assert!(wakes.load(Ordering::Relaxed) >= 2);
    let sighting = scene.observer.snapshot(&moving).unwrap();
    assert!(!sighting.run.unwrap().jobs.is_empty());
    eventually("the other one is held", async || (scene.status(&quiet) == Some(Status::Running)).then_some(())).await;
    scene.looked(2).await;
    let before = quiet_wakes.load(Ordering::Relaxed);
    scene.looked(5).await;
    assert_eq!(quiet_wakes.load(Ordering::Relaxed), before, "a running step that goes on running is no news");
}

#[tokio::test]
async fn nothing_is_read_when_nothing_is_tracked() {
    let scene = Scene::paused().await;
    scene.cloud.simulator.set_organization_paused("acme", false).unwrap();
    scene.connect();
    let id = scene.create();
    scene.track(&id);
    eventually("the end", async || scene.status(&id).filter(Status::is_terminal)).await;
    // The task has ended with it; a call would need a new one.
    eventually("silence", async || (scene.observer.health(KEY).lag.is_none()).then_some(())).await;
    let before = scene.cloud.simulator.requests().len();
    scene.observer.poke(KEY);
    tokio::task::yield_now().await;
    assert_eq!(scene.cloud.simulator.requests().len(), before);
    assert!(scene.status(&id).is_some_and(|status| status.is_terminal()), "kept until untracked");
    scene.observer.untrack(&id);
    assert_eq!(scene.observer.snapshot(&id), None);

    // And it begins again.
    let next = scene.create();
    scene.track(&next);
    eventually("the next end", async || scene.status(&next).filter(Status::is_terminal)).await;
}

#[tokio::test]
async fn gone_is_counted_look_by_look() {
    let scene = Scene::paused().await;
    let id = scene.create();
    let wakes = scene.track(&id);
    scene.connect();
    eventually("it is seen", async || scene.status(&id)).await;
    // Taken out of the queue: the service knows it no longer.
    scene.cloud.simulator.cancel("acme/web/dev", &id).unwrap();
    eventually("missing thrice", async || (scene.missing(&id) >= 3).then_some(())).await;
    assert_eq!(scene.status(&id), Some(Status::NotStarted), "the last sight of it is kept");
    assert!(wakes.load(Ordering::Relaxed) >= 4);
    assert!(scene.cloud.requests("GetUser").is_empty(), "the list shows that the token is accepted");
}

#[tokio::test]
async fn only_the_service_itself_can_say_gone() {
    let scene = Scene::paused().await;
    let id = scene.create();
    scene.track(&id);
    let list = Fault::on("ListOrganizationDeployments");
    scene
        .cloud
        .simulator
        .inject(list.answer(FaultAnswer::status(200).json(json!({"deployments": [], "total": 0}))).always());
    let plain = Fault::on("GetDeployment").answer(FaultAnswer::status(404).text("404 page not found")).always();
    let plain = scene.cloud.simulator.inject(plain);
    scene.connect();
    plain.reached_times(3).await;
    scene.looked(1).await;
    assert_eq!(scene.missing(&id), 0);
    let health = scene.observer.health(KEY);
    assert!(health.degraded.is_some_and(|reason| reason.contains("GetDeployment")), "but it is said");
    plain.remove();
    eventually("it is seen", async || scene.status(&id)).await;
    eventually("all is well", async || scene.observer.health(KEY).degraded.is_none().then_some(())).await;
}

#[tokio::test]
async fn only_an_accepted_token_can_hear_gone() {
    let scene = Scene::paused().await;
    let id = scene.create();
    scene.track(&id);
    let simulator = &scene.cloud.simulator;
    simulator.inject(Fault::on("ListOrganizationDeployments").answer(403).always());
    let gone = simulator.inject(Fault::on("GetDeployment").answer(404).always());
    let user = simulator.inject(Fault::on("GetUser").answer(500).always());
    scene.connect();
    user.reached_times(3).await;
    assert!(gone.hits() >= 3);
    assert_eq!(scene.missing(&id), 0);
    user.remove();
    eventually("missing", async || (scene.missing(&id) > 0).then_some(())).await;
}

#[tokio::test]
async fn without_the_list_runs_are_read_one_by_one() {
    for answer in [FaultAnswer::status(403), FaultAnswer::status(404), FaultAnswer::status(404).text("not found")] {
        let scene = Scene::paused().await;
        let refusal = Fault::on("ListOrganizationDeployments").answer(answer).always();
        let refusal = scene.cloud.simulator.inject(refusal);
        let ids: Vec<String> = (0..30).map(|_| scene.create()).collect();
        for id in &ids {
            scene.track(id);
        }
        scene.connect();
        eventually("all are seen", async || ids.iter().all(|id| scene.status(id).is_some()).then_some(())).await;
        let health = scene.observer.health(KEY);
        assert!(health.degraded.is_some_and(|reason| reason.contains("ListOrganizationDeployments")));
        assert_eq!(health.active, 30);

        // A missing run needs the user to show that the token is accepted.
        scene.cloud.simulator.cancel("acme/web/dev", &ids[0]).unwrap();
        eventually("missing", async || (scene.missing(&ids[0]) >= 2).then_some(())).await;
        assert!(!scene.cloud.requests("GetUser").is_empty());

        refusal.remove();
        eventually("all is well", async || scene.observer.health(KEY).degraded.is_none().then_some(())).await;
    }
}

#[tokio::test]
async fn a_rejected_token_proves_nothing_and_the_next_one_goes_on() {
    let scene = Scene::paused().await;
    let id = scene.create();
    scene.track(&id);
    scene.connect();
    eventually("it is seen", async || scene.status(&id)).await;
    scene.cloud.simulator.revoke_token(TOKEN);
    eventually("the gate is closed", async || {
        (scene.cloud.client.governor().snapshot().gate == Gate::Rejected).then_some(())
    })
    .await;
    assert_eq!(scene.missing(&id), 0);
    assert_eq!(scene.status(&id), Some(Status::NotStarted));
    assert!(scene.observer.health(KEY).degraded.is_some_and(|reason| reason.contains("401")));

    scene.cloud.simulator.add_token("acme", "another-token", "another").unwrap();
    scene.observer.connect(KEY, "acme", client(&scene.cloud.simulator.url(), "another-token", Timeouts::default()));
    scene.cloud.simulator.set_organization_paused("acme", false).unwrap();
    eventually("the end", async || scene.status(&id).filter(Status::is_terminal)).await;
}

#[tokio::test]
async fn a_list_that_never_answers_is_given_up_for_a_while() {
    let scene = Scene::paused().await;
    let id = scene.create();
    scene.track(&id);
    let fault = Fault::on("ListOrganizationDeployments").answer(FaultAnswer::status(504)).always();
    let fault = scene.cloud.simulator.inject(fault);
    scene.connect();
    eventually("it is seen, by id", async || scene.status(&id)).await;
    assert!(fault.hits() >= 3, "it was given a chance");
    assert!(scene.observer.health(KEY).degraded.is_some());
}

#[tokio::test]
async fn outages_end() {
    let scene = Scene::paused().await;
    let id = scene.create();
    scene.track(&id);
    scene.connect();
    eventually("it is seen", async || scene.status(&id)).await;
    scene.cloud.simulator.stop_listening().await;
    eventually("it is noticed", async || scene.observer.health(KEY).degraded).await;
    scene.cloud.simulator.set_organization_paused("acme", false).unwrap();
    scene.cloud.simulator.listen_again().await.unwrap();
    eventually("the end", async || scene.status(&id).filter(Status::is_terminal)).await;
}

#[tokio::test]
async fn a_panic_in_a_wake_does_not_end_the_observer() {
    let scene = Scene::paused().await;
    let (bad, good) = (scene.create(), scene.create());
    let run = TrackedRun {
        id: bad.clone(),
        stack: stack("acme/web/dev"),
        version: 1,
        created: None,
        wake: Arc::new(|| panic!("on purpose")),
    };
    scene.observer.track(KEY, run);
    scene.track(&good);
    scene.connect();
    scene.cloud.simulator.set_organization_paused("acme", false).unwrap();
    eventually("the end of both", async || {
        let ended = |id| scene.status(id).is_some_and(|status| status.is_terminal());
        (ended(&bad) && ended(&good)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_poke_looks_at_once() {
    let scene = Scene::paused().await;
    let hour = Duration::from_secs(3600);
    let observer = Observer::new(ObserverConfig { fast: hour, slow: hour, ..often() });
    let scene = Scene { observer, ..scene };
    let id = scene.create();
    scene.track(&id);
    scene.connect();
    eventually("it is seen", async || scene.status(&id)).await;
    scene.cloud.simulator.set_organization_paused("acme", false).unwrap();
    eventually("it has ended", async || {
        let run = scene.cloud.simulator.deployment("acme/web/dev", 1).unwrap();
        (run.status == "succeeded" || run.status == "failed").then_some(())
    })
    .await;
    assert_eq!(scene.status(&id), Some(Status::NotStarted));
    scene.observer.poke(KEY);
    eventually("that is seen", async || scene.status(&id).filter(Status::is_terminal)).await;
}

#[tokio::test]
async fn what_is_disconnected_can_come_back() {
    let scene = Scene::paused().await;
    let id = scene.create();
    scene.track(&id);
    scene.connect();
    eventually("it is seen", async || scene.status(&id)).await;
    for _ in 0..20 {
        scene.observer.disconnect(KEY);
        assert!(scene.observer.health(KEY).degraded.is_some());
        scene.observer.untrack(&id);
        scene.observer.disconnect(KEY);
        assert_eq!(scene.observer.snapshot(&id), None);
        scene.track(&id);
        scene.connect();
    }
    scene.cloud.simulator.set_organization_paused("acme", false).unwrap();
    eventually("the end", async || scene.status(&id).filter(Status::is_terminal)).await;
}

#[tokio::test]
async fn tasks_end_with_the_observer() {
    let scene = Scene::paused().await;
    let id = scene.create();
    scene.track(&id);
    scene.connect();
    eventually("it is seen", async || scene.status(&id)).await;
    let Scene { cloud, observer } = scene;
    let weak = Arc::downgrade(&observer);
    drop(observer);
    eventually("nobody holds it", async || (weak.strong_count() == 0).then_some(())).await;
    drop(cloud);
}
