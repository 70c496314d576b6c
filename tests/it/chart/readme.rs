//! From nothing to a run that has finished, and back, by the commands of the README and nothing else. What can't be had here
//! is replaced: the image, by the operator as a process in place of its pod, and Pulumi Cloud, by the simulated one.

use pulumi_cloud_simulator::Simulator;

use super::{helm::Helm, operator::Operator};
use crate::{control_plane::ControlPlane, docs::Page};

const TOKEN: &str = "pul-of-a-newcomer";

/// The commands of the steps, without those that need Docker.
fn steps() -> Vec<String> {
    let page = Page::of("README.md");
    let section = page.text.split_once("## Use it with your cluster and Pulumi Cloud\n").unwrap().1;
    let section = section.split_once("\n### ").unwrap().0;
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    blocks.filter(|block| !block.starts_with("docker ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_newcomer_gets_to_a_run_that_has_finished() {
    let mut plane = ControlPlane::start(|options| options).await;
    let helm = Helm::of(&mut plane).await;
    let cloud = Simulator::builder().speed(100.0).token(TOKEN).organization("newcomers").start().await.unwrap();
    let [install, yours, organization, run, remove] = steps().try_into().unwrap();

    helm.shell(&install).await.success();
    let other_cloud = format!(
        "helm upgrade pulumi-deployments-operator charts/pulumi-deployments-operator --namespace pulumi-deployments \\
         --reset-then-reuse-values --set 'allowedBackends={{{}}}'",
        cloud.url()
    );
    helm.shell(&other_cloud).await.success();
    let operator = Operator::start(&mut plane).await;

    let yours = yours.replace("acme", "newcomers").replace("pul-0123456789abcdef", TOKEN);
    let here = format!("spec:\n  backendURL: {}\n  accessToken:", cloud.url());
    let organization = organization.replace("spec:\n  accessToken:", &here);
    let said = helm.shell(&format!("{yours}{organization}")).await.success();
    assert!(said.contains("newcomers condition met"), "{said}");
    let said = helm.shell(&format!("{yours}{run}")).await.success();
    assert!(said.contains("Succeeded"), "{said}");
    assert_eq!(cloud.deployments("newcomers/simple-resource/hello").len(), 1);
    let again = helm.shell(&format!("{yours}{run}")).await.success();
    assert!(again.contains("deployment.deployments.pulumi.com/hello unchanged"), "{again}");

    helm.shell(&remove).await.success();
    let operations = cloud.deployments("newcomers/simple-resource/hello");
    let operations: Vec<_> = operations.iter().map(|run| run.operation.clone()).collect();
    assert_eq!(operations, ["update", "destroy"]);
    assert_eq!(plane.kubectl(["get", "pdep,sds", "--output=name"], None).await.success(), "");
    assert_eq!(operator.warnings(), "");
}
