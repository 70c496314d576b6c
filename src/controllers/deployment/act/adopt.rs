//! IO: takes a run that is there already for that of the first request, on a person's word. It only reads remotely.

use std::sync::Arc;

use serde_json::Value;
use tracing::info;

use super::{Outcome, journal, permit};
use crate::{
    api::{
        Deployment, Time,
        deployment::{HandledRequest, Purpose, Run, Target, Trigger},
        names::ADOPT,
    },
    controllers::{
        Context, Error,
        conditions::Words,
        connections::Connection,
        deployment::{
            plan::{Adoptee, Inputs},
            reason::Reason,
            request::{handled, successor},
        },
        links::Resource,
        requeue::consequence,
        write,
    },
    pulumi::{self, CallClass, Class, ListQuery, console::deployment_url, wire},
};

/// Looks for the run, writes that the request is handled, and only then takes the word away: after a crash in between
/// nothing runs either.
pub async fn take_over(
    adoptee: &Adoptee,
    target: Target,
    inputs: &Inputs,
    this: &Resource,
    deployment: Deployment,
    connection: &Arc<Connection>,
    context: &Context,
) -> Result<(Deployment, Outcome), Error> {
    let stack = connection.stack(&target.project, &target.stack);
    let units = connection.client.units_of_list();
    let Some(mut permit) = permit(CallClass::Observe, units, this, connection, context) else {
        return Ok((deployment, Outcome::AwaitingBudget));
    };
    let found = match adoptee {
        Adoptee::Named(id) => connection.client.deployment(&mut permit, &stack, id).await.map(Some),
        Adoptee::Latest => {
            let newest = ListQuery { page: 1, page_size: 1, ..ListQuery::default() };
            match connection.client.list_stack_deployments(&mut permit, &stack, newest).await {
                Ok(page) if page.undecodable > 0 => {
                    let why =
                        format!("the latest deployment of {target} could not be read; name its id instead of `latest`");
                    return Ok((deployment, refused(&why)));
                }
                Ok(page) => Ok(page.items.into_iter().next()),
                Err(error) => Err(error),
            }
        }
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return Ok((deployment, failed(&error, adoptee, &target))),
    };
    let status = deployment.status.clone().unwrap_or_default();
    let (number, _) = successor(inputs, &status);
    let request = handled(inputs, number, inputs.asked.settings.digest().cloned());
    let run = found.map(|found| run_of(&found, request.clone(), target, inputs, connection));
    let deployment = write::ensure_metadata(&context.kube, deployment, None).await?;
    let id = run.as_ref().map(|run| run.id.clone());
    let deployment = journal::take_over(context, deployment, request, run).await?;
    info!(id, "the request counts as handled, on a person's word");
    let deployment = journal::forget_word(context, deployment, ADOPT).await?;
    Ok((deployment, Outcome::TakenOver))
}

fn failed(error: &pulumi::Error, adoptee: &Adoptee, target: &Target) -> Outcome {
    match adoptee {
        Adoptee::Named(id) if error.is_gone() || error.class() == Class::Invalid => refused(&format!(
            "stack {target} has no deployment {id}: correct the annotation {ADOPT}, or write `latest`"
        )),
        Adoptee::Latest if error.is_gone() => refused(&format!(
            "stack {target} does not exist or can't be seen, so it has no latest deployment: create it, or remove the annotation {ADOPT}"
        )),
        Adoptee::Named(_) | Adoptee::Latest => {
            Outcome::Failed(consequence(error, "Nothing runs until the annotation adopt was heeded or is removed."))
        }
    }
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused(Words::new(Reason::AdoptionRefused, format!("{why}; nothing runs until then")))
}

/// The run, to be followed to its end, or, where it has ended, to be told as any other.
fn run_of(
    found: &wire::Deployment,
    request: HandledRequest,
    target: Target,
    inputs: &Inputs,
    connection: &Connection,
) -> Run {
    let operation = found.operation.as_deref().and_then(|word| serde_json::from_value(Value::from(word)).ok());
    let stack = connection.stack(&target.project, &target.stack);
    let url = deployment_url(connection.client.backend(), &stack, found.version);
    Run {
        request,
        purpose: Purpose::Main,
        attempt: 1,
        trigger: Some(Trigger::Adopted),
        asked_at: None,
        nonce: String::new(),
        secrets: None,
        operation: operation.unwrap_or(inputs.asked.operation),
        target,
        id: found.id.clone(),
        version: found.version,
        url,
        status: found.status.as_str().to_owned(),
        queued_at: found.created.map(Time::from),
        started_at: None,
        finished_at: None,
        jobs: vec![],
        updates: vec![],
        cancel: None,
        cancel_taken_back: false,
        basis: None,
        approval: None,
        result: None,
        failure: None,
    }
}
