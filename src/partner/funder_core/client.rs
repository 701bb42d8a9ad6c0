//! Telling the funder's core what happened.

use std::collections::HashMap;
use std::time::Duration;

use crate::partner::{CallError, Client, Operation};

use super::wire::{Event, EventResult, EventsAnswer, EventsRequest};

/// The core's result of each event, by its number.
pub type Results = HashMap<i64, EventResult>;

/// How long a batch may take; short, because whoever delivers tries again.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Delivers one event in the core's own form to a path of its own, and returns the answer of 2xx.
///
/// # Errors
/// As [`CallError`] says.
pub async fn deliver_one(client: &Client, path: &str, event_no: i64, text: &str) -> Result<Vec<u8>, CallError> {
    let key = event_no.to_string();
    let operation = Operation { name: "deliver_event", path, key: &key, safe_to_retry: false, time_limit: TIME_LIMIT };
    client.post(&operation, text).await
}

/// Delivers events in order and returns the core's result of each by its number.
///
/// # Errors
/// As [`CallError`] says; nothing is known of any of them then.
pub async fn deliver(client: &Client, events: Vec<Event>) -> Result<Results, CallError> {
    let key = events.first().map_or_else(String::new, |first| first.event_no.to_string());
    let operation = Operation {
        name: "deliver_events",
        path: "/events",
        key: &key,
        // It would be safe, but delivery has its own way of trying again, with fewer events.
        safe_to_retry: false,
        time_limit: TIME_LIMIT,
    };
    let answer: EventsAnswer = client.call(&operation, &EventsRequest { events }).await?;
    Ok(answer.results.into_iter().map(|result| (result.event_no, result)).collect())
}
