//! How a batch reaches its partner: events to a funder's core, short messages to the SMS partner.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use uuid::Uuid;

use super::store::Waiting;
use crate::app::App;
use crate::base::Fen;
use crate::base::id::BorrowerId;
use crate::borrower::actions::{Reach, reach};
use crate::notice::SHORT_MESSAGES;
use crate::partner::funder_core::{
    self,
    wire::{Event, EventVerdict},
};
use crate::partner::sms::{self, client::Sent, client::ShortMessage};
use crate::partner::{CallError, Client};

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    /// The partner will never take it, or there is nobody to send it to: trying again would change nothing.
    Undeliverable(String),
    /// Not taken, because an earlier one of its object was not.
    Held,
    Refused(String),
}

/// By message number; a message that is missing was not spoken of.
pub type Fates = HashMap<i64, Fate>;

/// The client for messages to `partner`. A funder without a core of its own in the settings shares the general one.
///
/// # Errors
/// As [`crate::partner::Partners::client`].
pub fn client<'a>(app: &'a App, partner: &str) -> Result<&'a Client, CallError> {
    match app.partners.client(partner) {
        Err(_) if partner != sms::NAME => app.partners.client(funder_core::NAME),
        found => found,
    }
}

/// Hands a batch over, in order.
///
/// # Errors
/// A failure of our own; within it, why the partner did not answer: nothing is known of any message then.
pub async fn carry(
    app: &App,
    client: &Client,
    partner: &str,
    batch: &[Waiting],
) -> anyhow::Result<Result<Fates, CallError>> {
    if partner == sms::NAME { carry_short(app, client, batch).await } else { carry_events(client, batch).await }
}

async fn carry_events(client: &Client, batch: &[Waiting]) -> anyhow::Result<Result<Fates, CallError>> {
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
    let results = match funder_core::client::deliver(client, events).await {
        Ok(results) => results,
        Err(error) => return Ok(Err(error)),
    };
    let fate = |verdict, code: Option<String>| match verdict {
        EventVerdict::Accepted | EventVerdict::Duplicate => Fate::Delivered,
        EventVerdict::Held => Fate::Held,
        EventVerdict::Refused => Fate::Refused(code.unwrap_or_else(|| "no code".to_owned())),
    };
    Ok(Ok(results.into_iter().map(|(message_no, result)| (message_no, fate(result.result, result.code))).collect()))
}

async fn carry_short(app: &App, client: &Client, batch: &[Waiting]) -> anyhow::Result<Result<Fates, CallError>> {
    let borrower_ids: Vec<BorrowerId> = batch.iter().map(|message| BorrowerId::from_uuid(message.object_id)).collect();
    let reached = reach(app, &borrower_ids).await?;
    let mut fates = Fates::with_capacity(batch.len());
    let mut messages = Vec::with_capacity(batch.len());
    let mut numbers = HashMap::with_capacity(batch.len());
    for message in batch {
        let template = SHORT_MESSAGES.into_iter().find(|template| *template == message.kind);
        let refused = match (template, reached.get(&BorrowerId::from_uuid(message.object_id))) {
            (Some(template), Some(Reach::Mobile(mobile))) => {
                // The same message always has the same id, by which the partner knows it again.
                let message_id = Uuid::new_v5(&message.object_id, &message.message_no.to_be_bytes());
                numbers.insert(message_id, message.message_no);
                let parameters = parameters(&serde_json::from_str(&message.body)?);
                messages.push(ShortMessage { message_id, mobile: mobile.clone(), template, parameters });
                continue;
            }
            (None, _) => Fate::Undeliverable("no template".to_owned()),
            (Some(_), Some(Reach::Sealed)) => Fate::Refused("the mobile cannot be opened".to_owned()),
            (Some(_), None) => Fate::Undeliverable("erased".to_owned()),
        };
        fates.insert(message.message_no, refused);
    }
    let sent = match sms::client::send(client, messages).await {
        Ok(sent) => sent,
        Err(error) => return Ok(Err(error)),
    };
    for (message_id, sent) in sent {
        let Some(message_no) = numbers.get(&message_id) else { continue };
        let fate = match sent {
            Sent::Sent => Fate::Delivered,
            Sent::Refused { code } => Fate::Undeliverable(code),
        };
        fates.insert(*message_no, fate);
    }
    Ok(Ok(fates))
}

/// What a template's gaps are filled with: amounts in yuan, days, words. Ids stay with us.
fn parameters(body: &Value) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (key, value) in body.as_object().into_iter().flatten() {
        match (key.strip_suffix("_fen"), value) {
            (Some(key), Value::Number(fen)) => {
                let fen = Fen::new(fen.as_i64().unwrap_or_default());
                parameters.insert(key.to_owned(), fen.to_string());
            }
            (None, Value::String(word)) if key.ends_with("_on") || WORDS.contains(&key.as_str()) => {
                parameters.insert(key.clone(), word.clone());
            }
            _ => {}
        }
    }
    parameters
}

/// What else of a notice's body a short message may hold.
const WORDS: [&str; 2] = ["failure", "product"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_short_message_bears_yuan_and_days_and_no_ids() {
        let body = json!({ "line": "line_01", "due_on": "2026-02-25", "total_fen": 123_450, "card": "card_07" });
        let found: Vec<(String, String)> = parameters(&body).into_iter().collect();
        assert_eq!(found, [("due_on".into(), "2026-02-25".into()), ("total".into(), "1,234.50".into())]);
    }
}
