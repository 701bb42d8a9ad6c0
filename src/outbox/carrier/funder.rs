//! Events to a funder's core, many in one call.

use super::{Carried, Fate};
use crate::outbox::store::Waiting;
use crate::partner::Client;
use crate::partner::funder_core::{
    self,
    wire::{Event, EventResult, EventVerdict},
};

pub async fn carry(client: &Client, batch: &[Waiting]) -> anyhow::Result<Carried> {
    let mut events = Vec::with_capacity(batch.len());
    for message in batch {
        events.push(Event {
            event_no: message.message_no,
            kind: message.kind.clone(),
            object_id: message.object_id,
            occurred_at: message.created_at,
            body: serde_json::from_str(&message.body)?,
        });
    }
    Ok(match funder_core::client::deliver(client, events).await {
        Ok(results) => {
            Carried::all(results.into_iter().map(|(message_no, result)| (message_no, fate(result))).collect())
        }
        Err(error) => error.into(),
    })
}

fn fate(result: EventResult) -> Fate {
    match result.result {
        EventVerdict::Accepted | EventVerdict::Duplicate => Fate::Delivered,
        EventVerdict::Held => Fate::Held,
        EventVerdict::Refused => Fate::Refused(result.code.unwrap_or_else(|| "no code".to_owned())),
    }
}
