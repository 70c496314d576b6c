//! Stacks' states and the issuers that organizations trust.

use jiff::Timestamp;
use serde_json::Value;

use super::Simulator;
use crate::errors::SimulatorError;
use crate::oidc::OidcIssuer;

impl Simulator {
    /// What the stack's program gives out: the stack has it in its state at once, and each successful update writes it
    /// again, until something else is set. An object whose only property is `secret` is a secret:
    /// `{"url": "https://example.com", "password": {"secret": "hunter2"}}`. A destroy empties the state.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn set_outputs(&self, stack: &str, outputs: &Value) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| {
            if let Some(stack) = world.stacks.get_mut(&key) {
                stack.set_outputs(outputs, &world.cipher);
            }
        })
    }

    /// Makes the stack's state, as it is exported, that many bytes bigger.
    ///
    /// # Errors
    ///
    /// When there is no such stack.
    pub fn set_state_ballast(&self, stack: &str, bytes: usize) -> Result<(), SimulatorError> {
        self.with_stack(stack, |world, key| {
            if let Some(stack) = world.stacks.get_mut(&key) {
                stack.state.ballast = bytes;
            }
        })
    }

    /// Someone pushes a commit to a branch: the runs that begin from now on get it.
    pub fn push_commit(&self, repository: &str, branch: &str, commit: &str) {
        self.shared.world().repositories.push(repository, branch, commit);
    }

    /// Makes a repository's runs not say which commit they got, as with an executor image of one's own.
    pub fn hide_commits(&self, repository: &str) {
        self.shared.world().repositories.hide(repository);
    }

    /// Has the organization trust an issuer of ID tokens; one that it trusts already under that URL is replaced.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn trust_issuer(&self, organization: &str, issuer: OidcIssuer) -> Result<(), SimulatorError> {
        let mut world = self.shared.world();
        world.organization_mut(organization)?.issuers.insert(issuer.url.clone(), issuer);
        Ok(())
    }

    /// Ends the lives of all tokens that were issued for the organization, exchanged ones too, as if their time had
    /// come.
    pub fn expire_tokens(&self, organization: &str) {
        let now = Timestamp::now();
        for access in self.shared.world_at(now).tokens.values_mut() {
            if let Some(issued) = &mut access.issued
                && access.roles.contains_key(organization)
            {
                issued.expires = Some(now);
            }
        }
    }

    /// Has the organization trust an issuer no more. Tokens that were exchanged before stay good.
    ///
    /// # Errors
    ///
    /// When there is no such organization.
    pub fn distrust_issuer(&self, organization: &str, url: &str) -> Result<(), SimulatorError> {
        self.shared.world().organization_mut(organization)?.issuers.remove(url);
        Ok(())
    }
}
