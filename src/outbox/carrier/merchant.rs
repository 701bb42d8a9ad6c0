//! Notifications to a merchant's own system, one in each call, signed with the platform's key.

use std::sync::Arc;

use super::{Batch, Carried, Failure, Fate, Manner, funder, singly};
use crate::app::App;
use crate::base::id::MerchantId;
use crate::merchant::notify_store;
use crate::outbox::store::Waiting;
use crate::partner::CallError;
use crate::partner::merchant_cashier::wire::Notification;
use crate::partner::merchant_cashier::{NotifyUrl, Recipient};
use crate::partner::signature::Identity;

/// Sends each notification; those of one order one after the other, several orders in parallel. Any failure counts against
/// the notification alone, which is given up after a day, as WeChat Pay does.
pub async fn carry(
    app: &App,
    merchant_id: MerchantId,
    batch: Batch<'_>,
    manner: Manner<'_>,
) -> anyhow::Result<Carried> {
    let Batch { partner, messages } = batch;
    let found = notify_store::find(&mut *app.pool.acquire().await?, merchant_id).await?;
    let Some(address) = found.and_then(|notified| notified.address) else {
        let nowhere = Fate::Nowhere("the merchant has no notify URL any more".to_owned());
        return Ok(Carried::all_alike(messages, &nowhere));
    };
    // The address is checked again: what this node may reach can be less than what was allowed when it was saved.
    let url = match NotifyUrl::parse(&address.url, app.partners.cashiers().reach()) {
        Ok(url) => url,
        Err(refusal) => {
            let unserved = Fate::Unserved(refusal.to_string());
            return Ok(Carried::all_alike(messages, &unserved));
        }
    };
    let errand = Errand { app, merchant_id, partner, url, signer: app.access.signer(address.algorithm).await? };
    Ok(singly::carry(messages, manner, failure, |message| errand.notify(message)).await)
}

/// Classifies errors. A merchant's system is one of many, at an address that the merchant chose, so whatever it does counts
/// against the notification, whose attempts are limited.
fn failure(error: &CallError) -> Failure {
    match error {
        CallError::NotSent { .. } | CallError::Unknown { .. } | CallError::Rejected { status: 401 | 403 | 429, .. } => {
            Failure::Silence
        }
        CallError::Rejected { .. } => Failure::Refusal,
    }
}

/// Where one batch goes, and who signs it.
struct Errand<'a> {
    app: &'a App,
    merchant_id: MerchantId,
    partner: &'a str,
    url: NotifyUrl,
    signer: Arc<Identity>,
}

impl Errand<'_> {
    async fn notify(&self, message: &Waiting) -> Result<Fate, CallError> {
        let notification = match notification(self.merchant_id, message) {
            Ok(notification) => notification,
            Err(error) => return Ok(Fate::Nowhere(error.to_string())),
        };
        let cashiers = self.app.partners.cashiers();
        let recipient = Recipient { partner: self.partner, url: &self.url };
        cashiers.notify(recipient, &self.signer, &notification).await?;
        Ok(Fate::Delivered)
    }
}

fn notification(merchant_id: MerchantId, message: &Waiting) -> serde_json::Result<Notification> {
    Ok(Notification {
        event_no: message.message_no,
        merchant_id,
        kind: message.kind.clone(),
        version: funder::version(&message.kind),
        occurred_at: message.created_at,
        body: serde_json::from_str(&message.body)?,
    })
}
