//! Who is asking, and stacks.

use super::answer::Nature;
use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{DefaultOrganization, Stack, User};

impl Client {
    /// `GetUser`: whom the token belongs to. The cheapest way to learn whether it is accepted.
    pub async fn user(&self, permit: &mut Permit) -> Result<User, Error> {
        self.transport.fetch(permit, Call::get("GetUser", Route::user())).await
    }

    /// `GetDefaultOrganization`: the organization that is meant when the token's user names none.
    pub async fn default_organization(&self, permit: &mut Permit) -> Result<DefaultOrganization, Error> {
        self.transport.fetch(permit, Call::get("GetDefaultOrganization", Route::default_organization())).await
    }

    /// `GetStack`: the stack itself. A 404 here means that the stack is missing, where a 404 of its settings may only
    /// mean that it has none.
    pub async fn stack(&self, permit: &mut Permit, stack: &StackId) -> Result<Stack, Error> {
        self.transport.fetch(permit, Call::get("GetStack", Route::stack(stack))).await
    }

    /// `CreateStack`: makes an empty stack. Status 409 when there is one. Never repeated, although trying again after
    /// [`Class::Ambiguous`](super::Class::Ambiguous) is harmless because of the 409.
    pub async fn create_stack(&self, permit: &mut Permit, stack: &StackId) -> Result<(), Error> {
        let body: Node = [("stackName", stack.stack.as_str())].into_iter().collect();
        let call = Call {
            body: Some(&body),
            nature: Nature::Creation,
            ..Call::post("CreateStack", Route::project(&stack.organization, &stack.project))
        };
        self.transport.perform(permit, call).await
    }

    /// `DeleteStack`: deletes a stack. 400 when it still has resources, unless it is forced: they are not destroyed by
    /// it, and nothing remembers them any more.
    pub async fn delete_stack(&self, permit: &mut Permit, stack: &StackId, force: bool) -> Result<(), Error> {
        let query = force.then(|| ("force", "true".to_owned())).into_iter().collect();
        let call = Call { query, ..Call::delete("DeleteStack", Route::stack(stack)) };
        self.transport.perform(permit, call).await
    }
}
