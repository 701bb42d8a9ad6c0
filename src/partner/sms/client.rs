//! Sending short messages.

use std::collections::HashMap;

use uuid::Uuid;

use super::wire::{Message, SendAnswer, SendRequest, SendResult};
use crate::partner::client::TIME_LIMIT_PERSON;
use crate::partner::{CallError, Client, Operation};

/// Hands messages over and returns what became of each by its number.
///
/// # Errors
/// As [`CallError`] says; the same messages may be handed over again, each is sent once.
pub async fn send(client: &Client, messages: Vec<Message>) -> Result<HashMap<Uuid, SendResult>, CallError> {
    let key = messages.first().map_or_else(String::new, |first| first.message_id.to_string());
    let operation = Operation {
        name: "send_messages",
        path: "/messages",
        key: &key,
        // The partner recognises each message by its number.
        safe_to_retry: true,
        time_limit: TIME_LIMIT_PERSON,
    };
    let answer: SendAnswer = client.call(&operation, &SendRequest { messages }).await?;
    Ok(answer.results.into_iter().map(|result| (result.message_id, result)).collect())
}
