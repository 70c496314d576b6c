//! Pausing, and what is paused.

use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{OrganizationMetadata, StackMetadata};

impl Client {
    /// `PauseStack`: lets the stack's new runs wait. 400 when it has no deployment settings.
    pub async fn pause_stack(&self, permit: &mut Permit, stack: &StackId) -> Result<(), Error> {
        let route = Route::stack(stack).deployments().then(&["pause"]);
        self.transport.perform(permit, Call::post("PauseStack", route)).await
    }

    /// `ResumeStack`: lets the stack's runs go on. 400 when it has no deployment settings.
    pub async fn resume_stack(&self, permit: &mut Permit, stack: &StackId) -> Result<(), Error> {
        let route = Route::stack(stack).deployments().then(&["resume"]);
        self.transport.perform(permit, Call::post("ResumeStack", route)).await
    }

    /// `GetStackMetadata`: whether the stack is paused, and why.
    pub async fn stack_metadata(&self, permit: &mut Permit, stack: &StackId) -> Result<StackMetadata, Error> {
        let route = Route::stack(stack).deployments().then(&["metadata"]);
        self.transport.fetch(permit, Call::get("GetStackMetadata", route)).await
    }

    /// `PauseOrganization`: lets the new runs of all stacks wait. Needs an organization admin.
    pub async fn pause_organization(&self, permit: &mut Permit, organization: &str) -> Result<(), Error> {
        let route = Route::organization(organization).deployments().then(&["pause"]);
        self.transport.perform(permit, Call::post("PauseOrganization", route)).await
    }

    /// `ResumeOrganization`: lets runs go on. Needs an organization admin.
    pub async fn resume_organization(&self, permit: &mut Permit, organization: &str) -> Result<(), Error> {
        let route = Route::organization(organization).deployments().then(&["resume"]);
        self.transport.perform(permit, Call::post("ResumeOrganization", route)).await
    }

    /// `GetOrganizationMetadata`: whether the organization is paused, and how many runs there are in each state.
    pub async fn organization_metadata(
        &self,
        permit: &mut Permit,
        organization: &str,
    ) -> Result<OrganizationMetadata, Error> {
        let route = Route::organization(organization).deployments().then(&["metadata"]);
        self.transport.fetch(permit, Call::get("GetOrganizationMetadata", route)).await
    }
}
