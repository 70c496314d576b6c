//! `approve` and `reject`.

use pulumi_deployments_operator::api::{
    Deployment,
    names::{APPROVE, APPROVED_BY, REJECT},
};
use serde_json::{Value, json};

use crate::{
    cli::Decide,
    cluster::{Cluster, Kind},
    failure::Failure,
    later,
    output::Paint,
    render,
    screen::confirm,
};

pub async fn run(args: &Decide, approves: bool, cluster: &Cluster) -> Result<(), Failure> {
    let Decide { name, token, yes, answer } = args;
    let deployment = cluster.get::<Deployment>(name).await?;
    let Some(approval) = later::approval(&deployment.raw) else {
        let phase = deployment.raw.pointer("/status/phase").and_then(Value::as_str).unwrap_or("not known yet");
        return Err(Failure::new(format!(
            "deployment {name} waits for no approval, its phase is {phase}; `kubectl pdep status {name}` says what it waits for"
        )));
    };
    if let Some(token) = token.as_ref().filter(|token| **token != approval.token) {
        return Err(Failure::new(format!(
            "what waits for approval now is not what has the token {token}; look at it with `kubectl pdep status {name}`, and \
             decide on the token {}",
            approval.token
        )));
    }
    answer.say(&render::approval::approval(&deployment.typed, &approval, Paint::of_stdout()))?;
    let (verb, done) = if approves { ("Approve", "approved") } else { ("Reject", "rejected") };
    if !yes && !confirm(&format!("{verb} this?"), "write --yes, and --token with the token of what you looked at")? {
        return Err(Failure::new("nothing was decided"));
    }
    let user = cluster.user().await?;
    let (given, other) = if approves { (APPROVE, REJECT) } else { (REJECT, APPROVE) };
    let annotations = json!({given: approval.token, other: null, APPROVED_BY: user});
    let decided = cluster.annotate(Kind::Deployment, name, annotations).await?;
    answer.give(&format!("deployment/{name}: {done} by {user}\n"), &decided)
}
