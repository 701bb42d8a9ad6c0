//! Signing withholding agreements.

use std::collections::HashMap;

use uuid::Uuid;

use super::wire::{
    CardToSign, CodeToConfirm, ConfirmAnswer, ConfirmRequest, Confirmed, StartAnswer, StartRequest, Started,
};
use crate::partner::client::TIME_LIMIT_PERSON;
use crate::partner::{CallError, Client, Operation};

/// Asks for a code for each card; returns what was answered by signing id.
///
/// # Errors
/// As [`CallError`] says; a code that was sent all the same is good for nothing, and a new one is asked for.
pub async fn start(client: &Client, cards: Vec<CardToSign>) -> Result<HashMap<Uuid, Started>, CallError> {
    let key = cards.first().map_or_else(String::new, |first| first.signing_id.to_string());
    let operation = Operation {
        name: "start_signing",
        path: "/signings",
        key: &key,
        // The channel recognises each signing by its id and sends one code.
        safe_to_retry: true,
        time_limit: TIME_LIMIT_PERSON,
    };
    let answer: StartAnswer = client.call(&operation, &StartRequest { cards }).await?;
    Ok(answer.results.into_iter().map(|result| (result.signing_id, result.started)).collect())
}

/// Puts codes to the channel; returns what was answered by challenge.
///
/// # Errors
/// As [`CallError`] says; the same code may be put again, a signed challenge answers with the same agreement.
pub async fn confirm(client: &Client, codes: Vec<CodeToConfirm>) -> Result<HashMap<String, Confirmed>, CallError> {
    let key = codes.first().map_or_else(String::new, |first| first.challenge.clone());
    let operation = Operation {
        name: "confirm_signing",
        path: "/confirmations",
        key: &key,
        safe_to_retry: true,
        time_limit: TIME_LIMIT_PERSON,
    };
    let answer: ConfirmAnswer = client.call(&operation, &ConfirmRequest { codes }).await?;
    Ok(answer.results.into_iter().map(|result| (result.challenge, result.confirmed)).collect())
}
