use std::time::{Duration, Instant};

use crate::support::{bench_with, with_source};

#[tokio::test]
async fn thousands_of_deployments_are_no_problem() {
    let bench = bench_with(|builder| builder.speed(40.0)).await;
    bench.simulator.set_concurrency("acme", 1000).unwrap();
    let stacks: Vec<String> = (0..1000).map(|number| format!("acme/load/s{number}")).collect();
    let start = Instant::now();
    for stack in &stacks {
        bench.simulator.add_stack(stack).unwrap();
        for _ in 0..5 {
            bench.simulator.create_deployment(stack, &with_source("update")).unwrap();
        }
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let counts =
        async || bench.api.get("/api/orgs/acme/deployments/metadata").await.expect(200)["deploymentCounts"].clone();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut most = 0;
    loop {
        let counts = counts().await;
        assert_eq!(counts["total"], 5000);
        most = most.max(counts["running"].as_u64().unwrap());
        if counts["succeeded"] == 5000 {
            break;
        }
        assert!(Instant::now() < deadline, "{counts}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(most >= 900, "{most}");
}
