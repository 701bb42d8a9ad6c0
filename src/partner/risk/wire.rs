//! The risk partner's words: facts of applications in, one decision for each. What is added to a request within a version the
//! partner ignores, so nothing here refuses a field that it does not know.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::partner::each::each;

/// Applications to decide, at most [`APPLICATIONS_MAX`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecideRequest {
    pub version: u32,
    pub applications: Vec<Application>,
}

/// The most applications in one call.
pub const APPLICATIONS_MAX: usize = 200;

/// Of the contract. A partner refuses one that it does not know; within one, only what may be ignored is added.
pub const VERSION: u32 = 1;

/// The longest reason.
pub const REASON_CHARS_MAX: usize = 64;

/// Whether a reason is the code that the contract asks for. An answer at once counts without it, a late one does not.
pub fn is_reason(text: &str) -> bool {
    (1..=REASON_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// What is known of one applicant. No name, no number, no sex, no marriage: a decision needs none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// The same number is the same application: the partner answers it as it did before.
    pub application_id: Uuid,
    pub borrower_id: Uuid,
    pub product: String,
    pub age: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_requested_fen: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_history: Option<CardHistory>,
}

/// Six months of the card that the applicant already has, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardHistory {
    pub limit_fen: i64,
    pub months: Vec<CardMonth>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardMonth {
    /// −2 not used, −1 paid in full, 0 revolving, from 1 on the number of months that it is late.
    pub repay_status: i8,
    pub bill_fen: i64,
    pub paid_fen: i64,
}

/// One answer for each application of the request, in any order. One that is missing, or cannot be read, is not decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecideAnswer {
    #[serde(deserialize_with = "each")]
    pub answers: Vec<Answer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub application_id: Uuid,
    #[serde(flatten)]
    pub decision: Decision,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    Approve {
        grade: String,
        limit_fen: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        score: Option<i32>,
    },
    Refuse {
        /// As [`is_reason`] says, such as `score_too_low`.
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        score: Option<i32>,
    },
    /// A person has to decide.
    Refer { reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_the_protocol_shows_it() {
        let text = r#"{"application_id": "00000000-0000-0000-0000-000000000001", "decision": "approve", "grade": "B", "limit_fen": 2000000, "score": 591}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        assert_eq!(answer.decision, Decision::Approve { grade: "B".into(), limit_fen: 2_000_000, score: Some(591) });
        let unknown = text.replace("approve", "perhaps");
        assert!(serde_json::from_str::<Answer>(&unknown).is_err());
    }

    #[test]
    fn an_answer_that_cannot_be_read_leaves_the_others_as_they_are() {
        let answer = |last: u8, rest: &str| {
            format!(r#"{{"application_id": "00000000-0000-0000-0000-0000000000{last:02}", "more": [], {rest}}}"#)
        };
        for malformed in [
            r#""decision": "approve", "grade": "B", "limit_fen": 2000000, "score": 591.5"#,
            r#""decision": "approve", "grade": "B", "limit_fen": 2e6"#,
            r#""decision": "approve", "grade": "B", "limit_fen": 99999999999999999999"#,
            r#""decision": "approve", "grade": null, "limit_fen": 2000000"#,
            r#""decision": "approve", "limit_fen": 2000000"#,
            r#""decision": "perhaps""#,
            r#""decision": null"#,
            r#""grade": "B""#,
        ] {
            let (first, last) = (
                answer(1, r#""decision": "refer", "reason": "r""#),
                answer(3, r#""decision": "refuse", "reason": "r", "score": null"#),
            );
            let text = format!(r#"{{"answers": [{first}, {}, {last}], "more": null}}"#, answer(2, malformed));
            let read: DecideAnswer = serde_json::from_str(&text).unwrap();
            let decisions: Vec<&Decision> = read.answers.iter().map(|answer| &answer.decision).collect();
            let (refer, refuse) =
                (Decision::Refer { reason: "r".into() }, Decision::Refuse { reason: "r".into(), score: None });
            assert_eq!(decisions, [&refer, &refuse], "{malformed}");
        }
        for nothing in ["", "{}", "null", "[]", r#"{"answers": null}"#, r#"{"answers": [{}"#, "<html></html>"] {
            assert!(serde_json::from_str::<DecideAnswer>(nothing).is_err(), "{nothing}");
        }
    }

    #[test]
    fn a_field_that_is_added_anywhere_in_a_request_is_ignored() {
        let text = r#"{"version": 1, "more": 1, "applications": [{"application_id": "00000000-0000-0000-0000-000000000001",
            "borrower_id": "00000000-0000-0000-0000-000000000002", "product": "easy-12", "age": 34, "more": {}, "card_history":
            {"limit_fen": 5000000, "more": [], "months": [{"repay_status": 0, "bill_fen": 1, "paid_fen": 1, "more": null}]}}]}"#;
        let request: DecideRequest = serde_json::from_str(text).unwrap();
        assert_eq!(request.applications[0].card_history.as_ref().unwrap().months.len(), 1);
    }
}
