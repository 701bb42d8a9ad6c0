//! Notifications of payments to a merchant's own system: the address, its name in the outbox, and the messages.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::code::{Code, CodeKind};
use crate::base::id::{CodeId, MerchantId, PurchaseId};
use crate::outbox::Message;
use crate::partner::key::Algorithm;

/// How the outbox's names of merchants begin.
const PREFIX: &str = "merchant:";

/// The name under which the outbox delivers to a merchant: `merchant:<id>`.
pub fn partner(merchant_id: MerchantId) -> String {
    format!("{PREFIX}{merchant_id}")
}

/// The merchant whom a name of the outbox's partners means; `None` for other partners.
pub fn merchant_of(partner: &str) -> Option<MerchantId> {
    partner.strip_prefix(PREFIX).and_then(|id| id.parse().ok())
}

/// Where a merchant's system is notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyAddress {
    pub url: String,
    /// The algorithm by which we sign.
    pub algorithm: Algorithm,
}

/// The address at which a merchant is notified, if any, and the version that a change must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    pub address: Option<NotifyAddress>,
    /// Raised by every change, even one that brings an earlier address back.
    pub version: i32,
}

/// The payment that a notification is about.
#[derive(Clone, Debug)]
pub struct Payment {
    merchant_id: MerchantId,
    purchase_id: PurchaseId,
    /// The order that it paid, with the merchant's own reference; nothing for a static code.
    order: Option<(CodeId, String)>,
}

impl Payment {
    /// `code` is the code that was scanned, if any. A static code gives a payment without an order.
    pub fn of(merchant_id: MerchantId, purchase_id: PurchaseId, code: Option<&Code>) -> Payment {
        let order = code.and_then(|code| match &code.kind {
            CodeKind::Order { reference, .. } => Some((code.code_id, reference.clone())),
            CodeKind::Static => None,
        });
        Payment { merchant_id, purchase_id, order }
    }

    /// The notification as an outbox message. Those of one order, or of one payment without an order, are delivered in the
    /// order in which they were written. `particulars` is an object whose fields are added to the body.
    pub fn message(&self, kind: &'static str, particulars: Value, at: DateTime<Utc>) -> Message {
        let (order_id, reference) = self.order.as_ref().map(|(order_id, reference)| (*order_id, reference)).unzip();
        let mut body = json!({ "purchase_id": self.purchase_id, "order_id": order_id, "reference": reference });
        if let (Value::Object(body), Value::Object(particulars)) = (&mut body, particulars) {
            body.extend(particulars);
        }
        Message {
            partner: partner(self.merchant_id),
            kind,
            object_id: order_id.map_or(self.purchase_id.uuid(), CodeId::uuid),
            body,
            created_at: at,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_merchants_name_leads_back_to_it() {
        let merchant_id = MerchantId::from_uuid(Uuid::from_u128(7));
        assert_eq!(merchant_of(&partner(merchant_id)), Some(merchant_id));
        assert_eq!(merchant_of("harbour-bank"), None);
    }
}
