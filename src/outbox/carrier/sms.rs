//! Short messages to borrowers, and to merchants' contacts, by the SMS partner.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use uuid::Uuid;

use super::{Carried, Fate, Fates, outdated};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{BorrowerId, MerchantId};
use crate::borrower::actions::{Reach, reach};
use crate::borrower::mobile_actions::reach_former;
use crate::merchant::join_actions;
use crate::notice::{MOBILE_GIVEN_UP, SHORT_MESSAGES, SHORT_MESSAGES_TO_MERCHANTS};
use crate::outbox::store::Waiting;
use crate::partner::Client;
use crate::partner::sms::client::{Sent, ShortMessage, send};

/// Hands a batch over.
///
/// # Errors
/// A failure of our own.
pub async fn carry(app: &App, client: &Client, batch: &[Waiting]) -> anyhow::Result<Carried> {
    let reached = reach_all(app, batch).await?;
    let outdated = outdated::find(app, batch).await?;
    let mut fates = Fates::with_capacity(batch.len());
    let mut messages = Vec::with_capacity(batch.len());
    let mut numbers = HashMap::with_capacity(batch.len());
    for message in batch {
        if let Some(why) = outdated.get(&message.message_no) {
            fates.insert(message.message_no, Fate::Nowhere((*why).to_owned()));
            continue;
        }
        let refused = match (template(&message.kind), reached.get(&message.message_no)) {
            (Some(template), Some(Reach::Mobile(mobile))) => {
                // The same message always has the same id, by which the partner knows it again.
                let message_id = Uuid::new_v5(&message.object_id, &message.message_no.to_be_bytes());
                numbers.insert(message_id, message.message_no);
                let parameters = parameters(&serde_json::from_str(&message.body)?);
                let about = vec![message.object_id.to_string(), message.message_no.to_string()];
                messages.push(ShortMessage { message_id, mobile: mobile.clone(), template, parameters, about });
                continue;
            }
            (None, _) => Fate::Nowhere("no template".to_owned()),
            (Some(_), Some(Reach::Sealed)) => Fate::Unserved("the mobile cannot be opened".to_owned()),
            (Some(_), None) => Fate::Nowhere("erased".to_owned()),
        };
        fates.insert(message.message_no, refused);
    }
    let sent = match send(client, messages).await {
        Ok(sent) => sent,
        Err(error) => return Ok(error.into()),
    };
    for (message_id, sent) in sent {
        let Some(message_no) = numbers.get(&message_id) else { continue };
        let fate = match sent {
            Sent::Sent => Fate::Delivered,
            Sent::Refused { code } => Fate::Undeliverable(code),
        };
        fates.insert(*message_no, fate);
    }
    Ok(Carried::all(fates))
}

/// The template of a kind; `None` for kinds that are not told by SMS.
fn template(kind: &str) -> Option<&'static str> {
    let mut templates = SHORT_MESSAGES.into_iter().chain(SHORT_MESSAGES_TO_MERCHANTS).chain([MOBILE_GIVEN_UP]);
    templates.find(|template| *template == kind)
}

/// The mobile that each message goes to, by the message's number: a borrower's, one that a borrower has given up, or a
/// merchant's contact.
async fn reach_all(app: &App, batch: &[Waiting]) -> anyhow::Result<HashMap<i64, Reach>> {
    let is_to_merchant = |message: &&Waiting| SHORT_MESSAGES_TO_MERCHANTS.contains(&message.kind.as_str());
    let (to_merchants, to_people): (Vec<&Waiting>, Vec<&Waiting>) = batch.iter().partition(is_to_merchant);
    let (to_former, to_borrowers): (Vec<&Waiting>, Vec<&Waiting>) =
        to_people.into_iter().partition(|message| message.kind == MOBILE_GIVEN_UP);
    let borrowers: Vec<BorrowerId> =
        to_borrowers.iter().map(|message| BorrowerId::from_uuid(message.object_id)).collect();
    let found = reach(app, &borrowers).await?;
    let whose = to_borrowers.iter().zip(&borrowers);
    let mut reached: HashMap<i64, Reach> =
        whose.filter_map(|(message, id)| Some((message.message_no, found.get(id)?.clone()))).collect();
    reached.extend(reach_given_up(app, &to_former).await?);
    if !to_merchants.is_empty() {
        let merchants: Vec<MerchantId> =
            to_merchants.iter().map(|message| MerchantId::from_uuid(message.object_id)).collect();
        let found = join_actions::reach(app, &merchants).await?;
        // Merchants are never erased, so a missing mobile is one that cannot be opened.
        let whose = to_merchants.iter().zip(&merchants);
        reached
            .extend(whose.map(|(message, id)| {
                (message.message_no, found.get(id).cloned().map_or(Reach::Sealed, Reach::Mobile))
            }));
    }
    Ok(reached)
}

/// The mobiles that were given up; each message's body names the change.
async fn reach_given_up(app: &App, messages: &[&Waiting]) -> anyhow::Result<HashMap<i64, Reach>> {
    let mut changes: Vec<(BorrowerId, Uuid)> = Vec::with_capacity(messages.len());
    for message in messages {
        let body: Value = serde_json::from_str(&message.body)?;
        let change_id = body["change"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
        changes.push((BorrowerId::from_uuid(message.object_id), change_id));
    }
    let found = reach_former(app, &changes).await?;
    let whose = messages.iter().zip(&changes);
    Ok(whose
        .filter_map(|(message, (_, change_id))| Some((message.message_no, found.get(change_id)?.clone())))
        .collect())
}

/// The parameters of a template: amounts in yuan, days, and a few words. Ids are never sent.
pub(super) fn parameters(body: &Value) -> BTreeMap<String, String> {
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

/// Fields of a notice, beside amounts and days, that a short message may hold.
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
