//! The SMS partner's words: messages in, one result for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::partner::each::each;

/// Messages to send, at most [`MESSAGES_MAX`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    pub messages: Vec<Message>,
}

/// The most messages in one call.
pub const MESSAGES_MAX: usize = 200;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The same number is the same message: it is sent once.
    pub message_id: Uuid,
    pub mobile: String,
    /// A template that the operator has registered, such as `bill_issued`.
    pub template: String,
    pub parameters: BTreeMap<String, String>,
}

/// Without the mobile and the parameters, of which one may be a code.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("message_id", &self.message_id)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendAnswer {
    #[serde(deserialize_with = "each")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_cannot_be_read_leaves_the_others_as_they_are() {
        let result = |word: &str| format!(r#"{{"message_id": "{}", "result": {word}, "more": 1}}"#, Uuid::nil());
        for malformed in ["null", "7", r#""perhaps""#, r#"["accepted"]"#, r#""refused", "code": 7"#] {
            let text = format!(r#"{{"results": [{}, {}, {{}}]}}"#, result(malformed), result(r#""duplicate""#));
            let read: SendAnswer = serde_json::from_str(&text).unwrap();
            let verdicts: Vec<SendVerdict> = read.results.iter().map(|result| result.result).collect();
            assert_eq!(verdicts, [SendVerdict::Duplicate], "{malformed}");
        }
    }
}
