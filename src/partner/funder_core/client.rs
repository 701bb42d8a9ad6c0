//! Delivers events to the funder's core.

use std::collections::HashMap;
use std::time::Duration;

use crate::partner::agreed::agreed;
use crate::partner::{CallError, Client, Operation};

use super::wire::{EventResult, EventsAnswer, EventsRequest, Outgoing};

/// The core's result of each event, by its number.
pub type Results = HashMap<i64, EventResult>;

/// How long a batch may take; short, because the outbox tries again.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// An event in the core's own form.
#[derive(Clone, Copy, Debug)]
pub struct OwnForm<'a> {
    /// Below the core's base URL.
    pub path: &'a str,
    pub event_no: i64,
    /// What the event is about, for the call log: the text itself may use none of our field names.
    pub about: &'a [String],
    pub text: &'a str,
}

/// Delivers one event in the core's own form to a path of its own, and returns the answer of 2xx.
///
/// # Errors
/// As [`CallError`] says.
pub async fn deliver_one(client: &Client, event: OwnForm<'_>) -> Result<Vec<u8>, CallError> {
    let operation = Operation {
        name: "deliver_event",
        path: event.path,
        key: &event.event_no.to_string(),
        also: event.about,
        safe_to_retry: false,
        time_limit: TIME_LIMIT,
    };
    client.post(&operation, event.text).await
}

/// Delivers events in order and returns the core's result of each by its number. `about` names, for the call log, the objects of those
/// events whose bodies are in the core's own form.
///
/// # Errors
/// As [`CallError`] says; then nothing is known of any of them.
pub async fn deliver(client: &Client, events: Vec<Outgoing>, about: &[String]) -> Result<Results, CallError> {
    let key = events.first().map_or_else(String::new, |first| first.event_no.to_string());
    let operation = Operation {
        name: "deliver_events",
        path: "/events",
        key: &key,
        also: about,
        // It would be safe, but the outbox has its own way of trying again, with fewer events.
        safe_to_retry: false,
        time_limit: TIME_LIMIT,
    };
    let answer: EventsAnswer = client.call(&operation, &EventsRequest { events }).await?;
    Ok(by_number(answer.results))
}

/// The result of each event. An event with two different results counts as unanswered: it is sent again, and the core recognises it by its
/// number.
fn by_number(results: Vec<EventResult>) -> Results {
    agreed(results.into_iter().map(|result| (result.event_no, result)))
}

#[cfg(test)]
mod tests {
    use super::super::wire::EventVerdict;
    use super::*;

    #[test]
    fn of_an_event_of_which_two_things_are_said_nothing_is_known() {
        let said = |event_no, result| EventResult { event_no, result, code: None };
        let taken = by_number(vec![
            said(1, EventVerdict::Refused),
            said(2, EventVerdict::Accepted),
            said(1, EventVerdict::Accepted),
            said(2, EventVerdict::Accepted),
            said(1, EventVerdict::Accepted),
        ]);
        assert_eq!(taken.into_keys().collect::<Vec<_>>(), [2]);
    }
}
