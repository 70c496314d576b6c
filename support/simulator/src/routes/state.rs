//! The state of stacks: taking it out, and opening and closing the secrets in it.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::call::invalid_query;
use super::{Answer, Call, Outcome};
use crate::errors::ApiError;

pub(super) fn export(call: &Call) -> Outcome {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    Ok(Answer::ok(&stack.exported(&world.url)))
}

pub(super) fn export_version(call: &Call) -> Outcome {
    let version: i64 = call.parameter("version").parse().map_err(|_| invalid_query("version"))?;
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let state = stack.exported_version(&world.url, version);
    Ok(Answer::ok(&state.ok_or_else(|| ApiError::not_found("Version not found"))?))
}

pub(super) fn encrypt(call: &Call) -> Outcome {
    let body = call.json()?;
    let plaintext = body["plaintext"].as_str().ok_or_else(|| ApiError::bad_request("invalid base64 encoding"))?;
    Ok(Answer::ok(&json!({"ciphertext": closed(call, plaintext)?})))
}

pub(super) fn batch_encrypt(call: &Call) -> Outcome {
    let body = call.json()?;
    let plaintexts = body["plaintexts"].as_array();
    let plaintexts = plaintexts.ok_or_else(|| ApiError::bad_request("plaintexts was not an array"))?;
    let ciphertexts: Vec<String> = plaintexts
        .iter()
        .map(|plaintext| {
            let plaintext = plaintext.as_str().ok_or_else(|| ApiError::bad_request("invalid base64 encoding"))?;
            closed(call, plaintext)
        })
        .collect::<Result<_, _>>()?;
    Ok(Answer::ok(&json!({"ciphertexts": ciphertexts})))
}

pub(super) fn decrypt(call: &Call) -> Outcome {
    let body = call.json()?;
    let ciphertext = body["ciphertext"].as_str().ok_or_else(|| ApiError::bad_request("invalid base64 encoding"))?;
    Ok(Answer::ok(&json!({"plaintext": opened(call, ciphertext)?})))
}

pub(super) fn batch_decrypt(call: &Call) -> Outcome {
    let body = call.json()?;
    let entries = body.as_object().ok_or_else(|| ApiError::bad_request("body must be a JSON object"))?;
    if entries.keys().any(|name| name != "ciphertexts") {
        return Err(ApiError::bad_request("only \"ciphertexts\" valid within request body"));
    }
    let ciphertexts = body["ciphertexts"].as_array();
    let ciphertexts = ciphertexts.ok_or_else(|| ApiError::bad_request("ciphertexts was not an array"))?;
    let mut plaintexts = Map::new();
    for ciphertext in ciphertexts {
        let ciphertext = ciphertext.as_str().ok_or_else(|| ApiError::bad_request("invalid base64 encoding"))?;
        plaintexts.insert(ciphertext.to_owned(), opened(call, ciphertext)?.into());
    }
    Ok(Answer::ok(&json!({"plaintexts": Value::Object(plaintexts)})))
}

/// The service keeps a log of who opened secrets without it; the simulator does not.
pub(super) fn note_decryption(call: &Call) -> Outcome {
    call.stack(&call.world())?;
    Ok(Answer::empty(StatusCode::OK))
}

/// The ciphertext of a plaintext, both in base64.
fn closed(call: &Call, plaintext: &str) -> Result<String, ApiError> {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let bytes = STANDARD.decode(plaintext).map_err(|_| ApiError::bad_request("invalid base64 encoding"))?;
    Ok(world.cipher.seal_for(&stack.id, &bytes))
}

/// The plaintext in base64. What was sealed for another stack does not open.
fn opened(call: &Call, ciphertext: &str) -> Result<String, ApiError> {
    let world = call.world();
    let stack = &world.stacks[&call.stack(&world)?];
    let bytes = STANDARD.decode(ciphertext).map_err(|_| ApiError::bad_request("invalid base64 encoding"))?;
    let plaintext = world.cipher.open_for(&stack.id, &bytes);
    let plaintext = plaintext.ok_or_else(|| ApiError::bad_request("Message authentication failed"))?;
    Ok(STANDARD.encode(plaintext))
}
