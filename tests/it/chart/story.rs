//! Everything that the operator does in Kubernetes, once.

mod objects;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{ConfigMap, Namespace},
        events::v1::Event,
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use pulumi_cloud_simulator::{Allowance, OidcIssuer, Simulator};
use pulumi_deployments_operator::api::{
    Condition, Deployment, Organization, StackDeploymentSettings,
    condition::{find, types},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::operator::Operator;
use crate::{
    control_plane::ControlPlane,
    eventually::{SOON, eventually},
};

/// Where the story happens. The Organization of the first one is used in the other one as well.
pub const NAMESPACES: [&str; 2] = ["platform", "team"];
/// It is deleted with all that is in it.
const LEAVING: &str = "leaving";

const TOKEN: &str = "pul-of-the-chart";
/// Each has a stack and a Deployment of its own.
const STACKS: [&str; 9] =
    ["approved", "rejected", "failing", "superseded", "doomed", "stopped", "slow", "suspended", "adopted"];
/// Their runs stand still until they are canceled.
const HELD: [&str; 3] = ["superseded", "stopped", "slow"];

/// The stack of a Deployment that has one to itself.
fn stack(name: &str) -> String {
    format!("acme/{name}/prod")
}

/// A Pulumi Cloud in which runs take less than a second.
pub async fn cloud() -> Simulator {
    let cloud = Simulator::builder().speed(100.0).token(TOKEN).organization("acme").start().await.unwrap();
    let mut issuer = OidcIssuer::new("https://kubernetes.default.svc");
    for namespace in NAMESPACES {
        let account = format!("system:serviceaccount:{namespace}:pulumi");
        issuer = issuer.allow(account, Allowance::Organization { admin: false });
    }
    cloud.trust_issuer("acme", issuer).unwrap();
    for name in STACKS.into_iter().chain([LEAVING]) {
        cloud.add_stack(&stack(name)).unwrap();
    }
    for name in HELD {
        cloud.hold_at(&stack(name), "Get source").unwrap();
    }
    let source = json!({"git": {"repoURL": "https://example.com/web.git", "branch": "main"}});
    let run = json!({"operation": "update", "sourceContext": source});
    cloud.create_deployment(&stack("adopted"), &run).unwrap();
    cloud
}

/// The namespaces, with a label that the Organizations' access rules select by.
pub async fn prepare(plane: &ControlPlane) {
    let namespaces = objects::list(NAMESPACES.map(objects::namespace));
    plane.kubectl(["apply", "--filename=-"], Some(&namespaces.to_string())).await.success();
}

/// The access token and an Organization that has it, for `kubectl apply`.
pub fn organization(cloud: &Simulator, namespace: &str) -> String {
    objects::list(objects::organization(cloud, namespace)).to_string()
}

/// What the operator may do beside what it always may.
#[derive(Clone, Copy)]
pub struct Allowed {
    /// It writes outputs.
    pub outputs: bool,
    /// It looks after all namespaces. One of several can't be deleted while it has resources in it: the rights there are
    /// part of it.
    pub everywhere: bool,
}

/// The story, with what it is told about.
struct Story<'a> {
    plane: &'a ControlPlane,
    cloud: &'a Simulator,
    operator: &'a Operator,
    allowed: Allowed,
}

/// Tells it.
pub async fn tell(plane: &ControlPlane, cloud: &Simulator, operator: &Operator, allowed: Allowed) {
    let story = Story { plane, cloud, operator, allowed };
    story.begin().await;
    story.go_on().await;
    story.end().await;
}

impl Story<'_> {
    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.plane.client(), namespace)
    }

    async fn merge<K>(&self, namespace: &str, name: &str, patch: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        self.api::<K>(namespace).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Waits until the Deployments of a namespace, or some of them, stand where they should: the number of the request
    /// and the reason of `Ready`.
    async fn stand(&self, namespace: &str, expected: &[(&str, u64, &str)]) {
        let within = SOON * 2;
        eventually(within, &format!("the Deployments in {namespace} stand where they should"), async || {
            let all =
                self.api::<Deployment>(namespace).list(&ListParams::default()).await.map_err(|it| it.to_string())?;
            let found: BTreeMap<_, _> = all.items.iter().map(|it| (it.name_any(), standing(it))).collect();
            let differs = |(name, number, reason): &&(&str, u64, &str)| {
                found.get(*name).is_none_or(|found| (found.0, found.1.as_str()) != (*number, *reason))
            };
            let differing: Vec<_> = expected.iter().filter(differs).map(|it| (it, found.get(it.0))).collect();
            if differing.is_empty() { Ok(()) } else { Err(format!("{differing:?} {}", self.operator.warnings())) }
        })
        .await;
    }

    /// Waits until all objects of a kind are ready.
    async fn are_ready<K>(&self, conditions: fn(&K) -> &[Condition])
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        eventually(SOON, &format!("every {} is ready", K::kind(&())), async || {
            for namespace in NAMESPACES {
                for object in
                    &self.api::<K>(namespace).list(&ListParams::default()).await.map_err(|it| it.to_string())?
                {
                    let told =
                        find(conditions(object), types::READY).map(|it| (format!("{:?}", it.status), &it.message));
                    if told.as_ref().is_none_or(|(status, _)| status != "True") {
                        return Err(format!("{namespace}/{} {told:?} {}", object.name_any(), self.operator.warnings()));
                    }
                }
            }
            Ok(())
        })
        .await;
    }

    /// Organizations with a token and without, settings with values and schedules, and a first run of everything.
    async fn begin(&self) {
        let [_, team] = NAMESPACES;
        let mut all: Vec<_> =
            NAMESPACES.iter().flat_map(|namespace| objects::everywhere(self.cloud, namespace)).collect();
        all.extend(objects::once(team));
        if self.allowed.everywhere {
            all.extend(objects::leaving(LEAVING));
        }
        self.plane.kubectl(["apply", "--filename=-"], Some(&objects::list(all).to_string())).await.success();

        self.are_ready::<Organization>(|it| it.status.as_ref().map_or(&[], |it| &it.conditions)).await;
        self.are_ready::<StackDeploymentSettings>(|it| it.status.as_ref().map_or(&[], |it| &it.conditions)).await;
        eventually(SOON, "the schedules are there", async || {
            let counts = NAMESPACES.map(|namespace| self.cloud.schedules(&format!("acme/web/{namespace}")).len());
            if counts == [2, 2] { Ok(()) } else { Err(format!("{counts:?} {}", self.operator.warnings())) }
        })
        .await;
        for namespace in NAMESPACES {
            self.stand(namespace, &[("web", 1, self.web())]).await;
        }
        let expected = [
            ("approved", 1, "AwaitingApproval"),
            ("rejected", 1, "AwaitingApproval"),
            ("failing", 1, "Failed"),
            ("superseded", 1, "Running"),
            ("doomed", 1, "Succeeded"),
            ("stopped", 1, "Running"),
            ("slow", 1, "TimedOut"),
            ("suspended", 0, "Suspended"),
            ("adopted", 1, "Succeeded"),
            ("preview", 1, "Succeeded"),
            ("drift", 1, "Succeeded"),
            ("after", 1, "Succeeded"),
            ("following", 1, "Succeeded"),
        ];
        self.stand(team, &expected).await;
        let variables = &self.cloud.settings("acme/web/team").unwrap()["operationContext"]["environmentVariables"];
        assert_eq!(variables, &json!({"TIER": "gold", "DB_PASSWORD": {"secret": "of-the-database"}}));
    }

    /// What the Deployments with outputs say in the end.
    fn web(&self) -> &'static str {
        if self.allowed.outputs { "Succeeded" } else { "OutputsRefused" }
    }

    /// People decide, ask for more, and change their minds.
    async fn go_on(&self) {
        let [_, team] = NAMESPACES;
        for (name, verb) in [("approved", "approve"), ("rejected", "reject")] {
            let deployment = self.api::<Deployment>(team).get(name).await.unwrap();
            let token = deployment.status.unwrap().approval.unwrap().token.unwrap();
            let mut annotations = json!({"deployments.pulumi.com/approved-by": "anna@example.com"});
            annotations[format!("deployments.pulumi.com/{verb}")] = token.into();
            self.merge::<Deployment>(team, name, json!({"metadata": {"annotations": annotations}})).await;
        }
        self.merge::<Deployment>(team, "superseded", json!({"spec": {"rerun": "2"}})).await;
        self.merge::<Deployment>(team, "suspended", json!({"spec": {"suspend": false}})).await;
        self.merge::<ConfigMap>(team, "web", json!({"data": {"tier": "silver"}})).await;
        for namespace in NAMESPACES {
            let rerun = json!({"metadata": {"annotations": {"deployments.pulumi.com/rerun": "2"}}});
            self.merge::<Deployment>(namespace, "web", rerun).await;
            self.stand(namespace, &[("web", 2, self.web())]).await;
        }
        self.stand(team, &[("superseded", 2, "Running")]).await;
        self.cloud.release(&stack("superseded")).unwrap();
        let expected = [
            ("approved", 1, "Succeeded"),
            ("rejected", 1, "ApprovalRejected"),
            ("superseded", 2, "Succeeded"),
            ("suspended", 1, "Succeeded"),
            ("following", 2, "Succeeded"),
        ];
        self.stand(team, &expected).await;
        eventually(SOON, "events of the operator", async || {
            let events = self.api::<Event>(team).list(&ListParams::default()).await.map_err(|it| it.to_string())?;
            let told = events.items.iter().filter(|it| it.reporting_instance.as_deref() == Some("operator-0"));
            let of_web = told.filter(|it| it.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some("web"));
            let ends = of_web.filter(|it| it.reason.as_deref() == Some("Succeeded")).filter_map(|it| it.note.clone());
            // Each run has its own, whatever was told of an earlier one.
            let ends: BTreeSet<_> = ends.collect();
            if ends.len() == 2 { Ok(()) } else { Err(format!("{ends:?} of {:?}", events.items)) }
        })
        .await;
        for namespace in NAMESPACES {
            let outputs = self.api::<ConfigMap>(namespace).get_opt("web-outputs").await.unwrap();
            assert_eq!(outputs.is_some(), self.allowed.outputs, "{namespace}");
        }
    }

    /// Everything is deleted, one namespace with all that is in it.
    async fn end(&self) {
        if self.allowed.everywhere {
            self.stand(LEAVING, &[("leaving", 1, "Succeeded")]).await;
            let namespaces: Api<Namespace> = Api::all(self.plane.client());
            namespaces.delete(LEAVING, &DeleteParams::default()).await.unwrap();
            eventually(SOON * 2, "the namespace is gone", async || {
                match namespaces.get_opt(LEAVING).await.map_err(|error| error.to_string())? {
                    None => Ok(()),
                    Some(namespace) => Err(format!("{:?}", namespace.status)),
                }
            })
            .await;
            assert!(self.was_destroyed(LEAVING));
        }
        for namespace in NAMESPACES {
            self.delete_all::<Deployment>(namespace).await;
            self.delete_all::<StackDeploymentSettings>(namespace).await;
        }
        for namespace in NAMESPACES {
            self.delete_all::<Organization>(namespace).await;
        }
        eventually(SOON, "all are gone", async || {
            let left = ["get", "pulumi", "--all-namespaces", "--output=name"];
            let left = self.plane.kubectl(left, None).await.success();
            if left.is_empty() { Ok(()) } else { Err(format!("{left} {}", self.operator.warnings())) }
        })
        .await;
        assert!(self.was_destroyed("doomed"));
        assert_eq!(self.cloud.settings("acme/web/team"), None);
        // The service says of a canceled run that it has failed.
        let stopped = self.cloud.deployments(&stack("stopped"));
        assert_eq!(stopped.iter().map(|run| run.status.as_str()).collect::<Vec<_>>(), ["failed"]);
    }

    fn was_destroyed(&self, name: &str) -> bool {
        self.cloud.deployments(&stack(name)).iter().any(|run| run.operation == "destroy" && run.status == "succeeded")
    }

    async fn delete_all<K>(&self, namespace: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        self.api::<K>(namespace).delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    }
}

/// The number of the request that was run last, and the reason of `Ready`.
fn standing(deployment: &Deployment) -> (u64, String) {
    let status = deployment.status.clone().unwrap_or_default();
    let ready = find(&status.conditions, types::READY).map(|ready| ready.reason.clone());
    (status.run.map_or(0, |run| run.request.number), ready.unwrap_or_default())
}
