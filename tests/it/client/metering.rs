//! What a meter is told: every request that really went out, and how it ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulumi_cloud_simulator::{Fault, FaultAnswer};
use pulumi_deployments_operator::pulumi::{
    Admission, CallClass, Client, ClientConfig, End, Gate, Governor, Meter, Permit, Rate, Timeouts, Waiter,
};

use super::{Cloud, TOKEN, config, update};
use crate::eventually::{SOON, eventually};

#[derive(Debug, Default)]
struct Counted {
    requests: Vec<(&'static str, End)>,
    spent: Vec<CallClass>,
    waits: Vec<(CallClass, Duration)>,
    throttles: usize,
}

#[derive(Debug, Default)]
struct Counter(Mutex<Counted>);

impl Counter {
    fn take(&self) -> Counted {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Meter for Counter {
    fn requested(&self, operation: &'static str, end: End, _: Duration) {
        self.0.lock().unwrap().requests.push((operation, end));
    }

    fn spent(&self, class: CallClass) {
        self.0.lock().unwrap().spent.push(class);
    }

    fn waited(&self, class: CallClass, waited: Duration) {
        self.0.lock().unwrap().waits.push((class, waited));
    }

    fn throttled(&self) {
        self.0.lock().unwrap().throttles += 1;
    }
}

/// A client whose calls are counted.
fn counting(cloud: &Cloud, rate: Rate, timeouts: Timeouts) -> (Client, Arc<Counter>) {
    let counter = Arc::new(Counter::default());
    let governor = Governor::metered(rate, Arc::clone(&counter) as Arc<dyn Meter>);
    let config = ClientConfig { governor, timeouts, ..config(&cloud.simulator.url(), TOKEN) };
    (Client::new(config).unwrap(), counter)
}

const PLENTY: Rate = Rate { per_second: 1000.0, burst: 100 };

#[tokio::test]
async fn every_request_is_told_with_its_end() {
    let cloud = Cloud::new().await;
    let timeouts = Timeouts { total: Duration::from_millis(300), ..Timeouts::default() };
    let (client, counter) = counting(&cloud, PLENTY, timeouts);
    let mut permit = client.governor().acquire(CallClass::Drift, "team", 20).await;
    let inject = |fault: Fault| cloud.simulator.inject(fault);
    let stack = || Fault::on("GetStack");

    inject(stack().answer(503).times(2));
    client.stack(&mut permit, &cloud.stack).await.unwrap();
    let counted = counter.take();
    let ends = [503, 503, 200].map(|status| ("GetStack", End::Status(status)));
    assert_eq!((counted.requests, counted.spent), (ends.to_vec(), vec![CallClass::Drift; 3]));

    let once = async |fault: Fault, permit: &mut Permit| {
        inject(fault);
        client.create_deployment(permit, &cloud.stack, &update()).await.unwrap_err();
        let requests = counter.take().requests;
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].1
    };
    let create = || Fault::on("CreateDeployment");
    assert_eq!(once(create().drop_before(), &mut permit).await, End::Broken);
    assert_eq!(once(create().truncate_body(), &mut permit).await, End::Broken);
    assert_eq!(once(create().delay_after(Duration::from_secs(5)), &mut permit).await, End::TimedOut);
    assert_eq!(once(create().answer(422), &mut permit).await, End::Status(422));

    // Nobody waits for the answer.
    let held = inject(stack().hold_before());
    {
        let call = client.stack(&mut permit, &cloud.stack);
        let reached = eventually(SOON, "it has arrived", async || if held.hits() > 0 { Ok(()) } else { Err(()) });
        tokio::select! {
            _ = call => panic!("it was answered"),
            () = reached => {}
        }
    }
    held.release();
    assert_eq!(counter.take().requests, [("GetStack", End::Abandoned)]);

    cloud.simulator.stop_listening().await;
    client.create_deployment(&mut permit, &cloud.stack, &update()).await.unwrap_err();
    assert_eq!(counter.take().requests, [("CreateDeployment", End::Unreachable)]);
}

#[tokio::test]
async fn an_event_of_throttling_is_told_once() {
    let cloud = Cloud::new().await;
    let (client, counter) = counting(&cloud, PLENTY, Timeouts::default());
    let mut permit = client.governor().acquire(CallClass::Create, "team", 3).await;
    let wait = FaultAnswer::status(429).header("Retry-After", "60");
    cloud.simulator.inject(Fault::on("GetStack").answer(wait));
    client.stack(&mut permit, &cloud.stack).await.unwrap_err();
    // Held back: nothing goes out, and nothing is counted.
    client.stack(&mut permit, &cloud.stack).await.unwrap_err();
    let counted = counter.take();
    assert_eq!((counted.requests, counted.throttles), (vec![("GetStack", End::Status(429))], 1));
    assert!(matches!(client.governor().gate(), Gate::Throttled { .. }));
}

#[tokio::test]
async fn who_waits_is_seen_and_told_when_the_turn_has_come() {
    let cloud = Cloud::new().await;
    let (client, counter) = counting(&cloud, Rate { per_second: 20.0, burst: 1 }, Timeouts::default());
    let governor = client.governor();
    let mut permit = governor.acquire(CallClass::Create, "team", 1).await;
    assert_eq!(counter.take().waits, [(CallClass::Create, Duration::ZERO)]);

    permit.spend().unwrap();
    let waiter = Waiter { key: "a".into(), wake: Arc::new(|| ()) };
    assert!(matches!(governor.try_acquire(CallClass::Observe, "team", &waiter, 1), Admission::Ticket));
    // Whoever asks again keeps the place.
    assert!(matches!(governor.try_acquire(CallClass::Observe, "team", &waiter, 1), Admission::Ticket));
    let line = governor.lines()[&CallClass::Observe];
    assert_eq!(line.waiting, 1);
    assert_eq!(governor.lines()[&CallClass::Create].waiting, 0);
    let waits = eventually(SOON, "the turn has come", async || {
        let waits = counter.take().waits;
        if waits.is_empty() { Err(governor.lines()) } else { Ok(waits) }
    })
    .await;
    assert_eq!(waits.len(), 1);
    let (class, waited) = waits[0];
    assert!(class == CallClass::Observe && waited >= line.longest && waited > Duration::ZERO, "{waited:?}");
    assert_eq!(governor.lines()[&CallClass::Observe].waiting, 0);
}
