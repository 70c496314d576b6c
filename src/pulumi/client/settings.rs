//! A stack's stored deployment settings, and what belongs to them.

use reqwest::Method;

use super::routes::Route;
use super::transport::Call;
use super::{Client, Dialect, Error};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::secret::SecretValue;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{Ciphertext, Encrypted, RemoteSettings};

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

    /// `PutSettings`: puts a document in the place of the settings, whatever they were, and answers the result. Not in
    /// the preview dialect.
    pub async fn replace_settings(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        document: &Node,
    ) -> Result<RemoteSettings, Error> {
        const CALL: &str = "PutSettings";
        if self.dialect() == Dialect::Preview {
            return Err(Error::lacking(CALL, "replacing settings as a whole"));
        }
        let call = Call { method: Method::PUT, body: Some(document), ..Call::get(CALL, Route::settings(stack)) };
        self.transport.fetch(permit, call).await
    }

    /// `DeleteSettings`: removes the settings. 404 when there are none (any more).
    pub async fn delete_settings(&self, permit: &mut Permit, stack: &StackId) -> Result<(), Error> {
        self.transport.perform(permit, Call::delete("DeleteSettings", Route::settings(stack))).await
    }

    /// `EncryptSecret`: has the service encrypt a value, to be stored in this stack's settings.
    pub async fn encrypt_secret(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        value: &SecretValue,
    ) -> Result<Ciphertext, Error> {
        let body = Node::from(value.clone());
        let route = Route::settings(stack).then(&["encrypt"]);
        let call = Call { body: Some(&body), ..Call::post("EncryptSecret", route) };
        let Encrypted { ciphertext } = self.transport.fetch(permit, call).await?;
        Ok(ciphertext)
    }

    /// `ClearCache`: forgets what the stack's runs keep for each other when caching is on.
    pub async fn clear_cache(&self, permit: &mut Permit, stack: &StackId) -> Result<(), Error> {
        let route = Route::stack(stack).deployments().then(&["cache"]);
        self.transport.perform(permit, Call::delete("ClearCache", route)).await
    }
}
