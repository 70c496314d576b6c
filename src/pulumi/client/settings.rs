//! A stack's stored deployment settings.

use reqwest::Method;

use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::RemoteSettings;

impl Client {
    /// `GetSettings`: 404 both when there are none and when there is no such stack; `GetStack` tells these apart.
    pub async fn settings(&self, permit: &mut Permit, stack: &StackId) -> Result<RemoteSettings, Error> {
        self.transport.fetch(permit, Call::get("GetSettings", Route::settings(stack))).await
    }

    /// `PatchSettings`: merges a document into the settings, creating them if there are none, and answers the
    /// result. `null` removes, objects merge, everything else replaces.
    pub async fn patch_settings(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        patch: &Node,
    ) -> Result<RemoteSettings, Error> {
        let call = Call { body: Some(patch), ..Call::post("PatchSettings", Route::settings(stack)) };
        self.transport.fetch(permit, call).await
    }

    /// `DeleteSettings`: removes the settings. 404 when there are none (any more).
    pub async fn delete_settings(&self, permit: &mut Permit, stack: &StackId) -> Result<(), Error> {
        let call = Call { method: Method::DELETE, ..Call::get("DeleteSettings", Route::settings(stack)) };
        self.transport.perform(permit, call).await
    }
}
