//! The signing service's words: cards in, a challenge for each; codes in, an agreement number for each.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::partner::each::each;

/// Cards or codes of one request, at most.
pub const SIGNINGS_MAX: usize = 200;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    pub cards: Vec<CardToSign>,
}

/// The four elements that must belong together.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardToSign {
    pub signing_id: Uuid,
    pub name: String,
    pub id_number: String,
    pub card_number: String,
    pub mobile: String,
}

/// Without the personal data, so that no log can hold it.
impl std::fmt::Debug for CardToSign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CardToSign").field("signing_id", &self.signing_id).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartAnswer {
    #[serde(deserialize_with = "each")]
    pub results: Vec<StartResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartResult {
    pub signing_id: Uuid,
    #[serde(flatten)]
    pub started: Started,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Started {
    /// A code is on its way to the mobile; the challenge names it.
    CodeSent { challenge: String },
    /// The four elements do not belong together, or the card cannot be charged.
    Refused { code: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    pub codes: Vec<CodeToConfirm>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeToConfirm {
    pub challenge: String,
    pub sms_code: String,
}

/// Without the code.
impl std::fmt::Debug for CodeToConfirm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeToConfirm").field("challenge", &self.challenge).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfirmAnswer {
    #[serde(deserialize_with = "each")]
    pub results: Vec<ConfirmResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfirmResult {
    pub challenge: String,
    #[serde(flatten)]
    pub confirmed: Confirmed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Confirmed {
    /// The agreement is signed. The same code again gives the same number.
    Signed {
        agreement_number: String,
    },
    CodeWrong,
    /// The challenge is unknown, too old, or was tried too often.
    ChallengeEnded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_cannot_be_read_leaves_the_others_as_they_are() {
        let words =
            [r#""result": "signed""#, r#""result": "signed", "agreement_number": 7"#, r#""result": null"#, r#""x": 1"#];
        for malformed in words {
            let text = format!(
                r#"{{"results": [{{"challenge": "a", {malformed}}}, {{"challenge": "b", "result": "code_wrong", "more": 1}}]}}"#
            );
            let read: ConfirmAnswer = serde_json::from_str(&text).unwrap();
            let only = ConfirmResult { challenge: "b".into(), confirmed: Confirmed::CodeWrong };
            assert_eq!(read.results, [only], "{malformed}");
        }
        let sent = format!(r#"{{"signing_id": "{}", "result": "code_sent", "challenge": "c"}}"#, Uuid::nil());
        let text = format!(r#"{{"results": [{}, {sent}]}}"#, sent.replace(r#""c""#, "null"));
        let read: StartAnswer = serde_json::from_str(&text).unwrap();
        let started: Vec<Started> = read.results.into_iter().map(|result| result.started).collect();
        assert_eq!(started, [Started::CodeSent { challenge: "c".into() }]);
    }
}
