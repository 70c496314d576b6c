//! Who is asking, and stacks.

use super::answer::Nature;
use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{Stack, User};

impl Client {
    /// `GetUser`: whom the token belongs to. The cheapest way to learn whether it is accepted.
    pub async fn user(&self, permit: &mut Permit) -> Result<User, Error> {
        self.transport.fetch(permit, Call::get("GetUser", Route::user())).await
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
}
