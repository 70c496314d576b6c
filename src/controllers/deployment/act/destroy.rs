//! IO: a stack that is to be destroyed and does not exist. That is what was wanted.

use std::sync::Arc;

use super::{Outcome, permit};
use crate::{
    api::{Deployment, deployment::Target},
    controllers::{
        Context, Error,
        connections::Connection,
        deployment::destroy::{LETS_GO, nothing_left},
        links::Resource,
        requeue::{Consequence, consequence},
    },
    pulumi::CallClass,
};

/// What a look at a stack shows.
pub enum Stack {
    /// It exists.
    There,
    /// It does not.
    Gone,
    /// The request budget has no room yet.
    AwaitingBudget,
    /// The service could not be asked.
    Unknown(Consequence),
}

/// Looks whether the stack exists. One call that says that something is missing is not enough to let a resource go.
pub async fn look(target: &Target, this: &Resource, connection: &Arc<Connection>, context: &Context) -> Stack {
    let Some(mut permit) = permit(CallClass::Observe, 1, this, connection, context) else {
        return Stack::AwaitingBudget;
    };
    match connection.client.stack(&mut permit, &connection.stack(&target.project, &target.stack)).await {
        Ok(_) => Stack::There,
        Err(error) if error.is_gone() => Stack::Gone,
        Err(error) => {
            Stack::Unknown(consequence(&error, &format!("Whether the stack is gone is not known; {LETS_GO}.")))
        }
    }
}

/// Lets the resource go, since there is nothing left to destroy.
pub async fn release(
    target: &Target,
    deployment: Deployment,
    context: &Context,
) -> Result<(Deployment, Outcome), Error> {
    let (deployment, outcome) = super::release(deployment, context).await?;
    context.publish(&deployment, vec![nothing_left(&target.to_string())]).await;
    Ok((deployment, outcome))
}
