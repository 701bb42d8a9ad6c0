//! The SMS partner's words: messages in, one result for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Messages to send, at most [`MESSAGES_MAX`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    pub messages: Vec<Message>,
}

pub const MESSAGES_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The same number is the same message: it is sent once.
    pub message_id: Uuid,
    pub mobile: String,
    /// A template that the operator has registered, such as `bill_issued`.
    pub template: String,
    pub parameters: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendAnswer {
    pub results: Vec<SendResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SendResult {
    pub message_id: Uuid,
    pub result: SendVerdict,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendVerdict {
    Accepted,
    /// Sent before; nothing was sent again.
    Duplicate,
    /// Will not be sent.
    Refused,
}
