//! Telling the funder's core what happened.

use std::collections::HashMap;

use crate::partner::client::TIME_LIMIT_BATCH;
use crate::partner::{CallError, Client, Operation};

use super::wire::{Event, EventResult, EventsAnswer, EventsRequest};

/// Delivers events in order and returns the core's result of each by its number.
///
/// # Errors
/// As [`CallError`] says; nothing is known of any of them then.
pub async fn deliver(client: &Client, events: Vec<Event>) -> Result<HashMap<i64, EventResult>, CallError> {
    let key = events.first().map_or_else(String::new, |first| first.event_no.to_string());
    let operation = Operation {
        name: "deliver_events",
        path: "/events",
        key: &key,
        // The core recognises each event by its number.
        safe_to_retry: true,
        time_limit: TIME_LIMIT_BATCH,
    };
    let answer: EventsAnswer = client.call(&operation, &EventsRequest { events }).await?;
    Ok(answer.results.into_iter().map(|result| (result.event_no, result)).collect())
}
