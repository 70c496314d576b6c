//! Reads secret outputs and configuration of stacks whose secrets the service keeps.

use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::document::Node;
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::{Ciphertext, Plaintext, Plaintexts};

impl Client {
    /// `DecryptValue`: decrypts one value. 413 when it is too large.
    pub async fn decrypt(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        ciphertext: &Ciphertext,
    ) -> Result<Plaintext, Error> {
        let body: Node = [("ciphertext", ciphertext.as_str())].into_iter().collect();
        let call = Call { body: Some(&body), ..Call::post("DecryptValue", Route::stack(stack).then(&["decrypt"])) };
        self.transport.fetch(permit, call).await
    }

    /// `BatchDecrypt`: decrypts many values at once. 413 when they are too large together.
    pub async fn batch_decrypt(
        &self,
        permit: &mut Permit,
        stack: &StackId,
        ciphertexts: &[Ciphertext],
    ) -> Result<Plaintexts, Error> {
        let values: Vec<&str> = ciphertexts.iter().map(Ciphertext::as_str).collect();
        let body: Node = [("ciphertexts", values)].into_iter().collect();
        let route = Route::stack(stack).then(&["batch-decrypt"]);
        let call = Call { body: Some(&body), ..Call::post("BatchDecrypt", route) };
        self.transport.fetch(permit, call).await
    }
}
