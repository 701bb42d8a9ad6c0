//! Sends short messages; translates between our types and the SMS partner's protocol.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::wire::{MESSAGES_MAX, Message, SendAnswer, SendRequest, SendResult, SendVerdict};
use crate::base::person::Mobile;
use crate::partner::agreed::agreed;
use crate::partner::client::TIME_LIMIT_PERSON;
use crate::partner::{CallError, Client, Operation};

/// One message to one mobile.
#[derive(Clone)]
pub struct ShortMessage {
    /// The same id is the same message, sent once.
    pub message_id: Uuid,
    pub mobile: Mobile,
    /// A template that the partner knows, with its parameters.
    pub template: &'static str,
    pub parameters: BTreeMap<String, String>,
    /// Our ids of what it is about, by which the call log finds its call. They are not sent to the partner.
    pub about: Vec<String>,
}

/// As that of the partner's own [`Message`].
impl std::fmt::Debug for ShortMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShortMessage")
            .field("message_id", &self.message_id)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Sent,
    /// Will not be sent.
    Refused {
        code: String,
    },
}

/// Sends messages and returns what became of each; those without an answer, or with two different ones, are missing.
///
/// # Errors
/// As [`CallError`] says, at the first call that fails; the same messages may be sent again.
pub async fn send(client: &Client, messages: Vec<ShortMessage>) -> Result<HashMap<Uuid, Sent>, CallError> {
    let mut said = Vec::with_capacity(messages.len());
    for batch in messages.chunks(MESSAGES_MAX) {
        let key = batch[0].message_id.to_string();
        let about: Vec<String> = batch.iter().flat_map(|message| message.about.iter().cloned()).collect();
        let operation = Operation {
            name: "send_messages",
            path: "/messages",
            key: &key,
            also: &about,
            // The partner recognises each message by its number.
            safe_to_retry: true,
            time_limit: TIME_LIMIT_PERSON,
        };
        let request = SendRequest { messages: batch.iter().map(on_wire).collect() };
        let answer: SendAnswer = client.call(&operation, &request).await?;
        said.extend(answer.results.into_iter().map(became));
    }
    Ok(agreed(said))
}

fn became(result: SendResult) -> (Uuid, Sent) {
    let sent = match result.result {
        SendVerdict::Accepted | SendVerdict::Duplicate => Sent::Sent,
        SendVerdict::Refused => Sent::Refused { code: result.code.unwrap_or_default() },
    };
    (result.message_id, sent)
}

fn on_wire(message: &ShortMessage) -> Message {
    Message {
        message_id: message.message_id,
        mobile: message.mobile.reveal().to_owned(),
        template: message.template.to_owned(),
        parameters: message.parameters.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_which_two_things_are_said_has_no_answer() {
        let said = |id, result| became(SendResult { message_id: Uuid::from_u128(id), result, code: None });
        let sent = agreed([
            said(1, SendVerdict::Refused),
            said(2, SendVerdict::Accepted),
            said(1, SendVerdict::Accepted),
            said(2, SendVerdict::Duplicate),
        ]);
        assert_eq!(sent, HashMap::from([(Uuid::from_u128(2), Sent::Sent)]));
    }
}
