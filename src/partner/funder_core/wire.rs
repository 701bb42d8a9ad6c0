//! The funder core's words: events in, one result for each.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::partner::each::each;

/// Events in the order in which they are to be processed, at most [`EVENTS_MAX`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest<Body = Value> {
    pub events: Vec<Event<Body>>,
}

/// The most events in one call.
pub const EVENTS_MAX: usize = 500;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event<Body = Value> {
    /// Unique and, for one object, ascending. The core processes each number once.
    pub event_no: i64,
    /// Such as `loan_made`.
    pub kind: String,
    /// Of our form of the body.
    #[serde(default = "first")]
    pub version: u16,
    /// The line or loan that it is about.
    pub object_id: Uuid,
    pub occurred_at: DateTime<Utc>,
    pub body: Body,
}

/// An event on its way out, whose body is a JSON text that nobody reads before the core does.
pub type Outgoing = Event<Box<RawValue>>;

/// A body that names no version is of the first.
fn first() -> u16 {
    1
}

/// One result for each event of the request, in any order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventsAnswer {
    #[serde(deserialize_with = "each")]
    pub results: Vec<EventResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventResult {
    pub event_no: i64,
    pub result: EventVerdict,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventVerdict {
    Accepted,
    /// Processed before; nothing was done again.
    Duplicate,
    /// Not processed; to be sent again later.
    Refused,
    /// Not processed because an earlier event of the same object in this request was refused.
    Held,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_goes_out_as_the_text_that_it_is() {
        let body = r#"{"b": 1.50, "aa": [], "c": "\u524d"}"#;
        let event = Outgoing {
            event_no: 41,
            kind: "loan_made".to_owned(),
            version: 1,
            object_id: Uuid::nil(),
            occurred_at: DateTime::UNIX_EPOCH,
            body: serde_json::from_str(body).unwrap(),
        };
        let sent = serde_json::to_string(&EventsRequest { events: vec![event] }).unwrap();
        assert!(sent.ends_with(&format!(r#""body":{body}}}]}}"#)), "{sent}");
        let read: EventsRequest = serde_json::from_str(&sent).unwrap();
        assert_eq!(read.events[0].body, serde_json::from_str::<Value>(body).unwrap());
    }

    #[test]
    fn a_result_that_cannot_be_read_leaves_the_others_as_they_are() {
        for malformed in [
            r#"{"event_no": 1}"#,
            r#"{"event_no": "1", "result": "accepted"}"#,
            r#"{"event_no": 1.5, "result": "accepted"}"#,
            r#"{"event_no": 1e99, "result": "accepted"}"#,
            r#"{"event_no": 1, "result": "perhaps"}"#,
            r#"{"event_no": 1, "result": null}"#,
        ] {
            let text = format!(r#"{{"results": [{malformed}, {{"event_no": 2, "result": "held", "more": 1}}]}}"#);
            let read: EventsAnswer = serde_json::from_str(&text).unwrap();
            assert_eq!(
                read.results,
                [EventResult { event_no: 2, result: EventVerdict::Held, code: None }],
                "{malformed}"
            );
        }
    }
}
