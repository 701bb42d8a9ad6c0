//! What people are told about collection.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::withholding::Withholding;
use crate::base::BusinessDay;
use crate::base::id::{BorrowerId, LineId};
use crate::notice::{Audience, Notice};

/// The channel refused the card for good: the borrower is asked to see to it.
pub fn card_invalid(order: &Withholding, day: BusinessDay, at: DateTime<Utc>) -> Notice {
    to_borrower(order.borrower_id, "card_invalid", json!({ "line": order.line_id, "card": order.card_id }), day, at)
}

/// Something is due and there is no card to take it from.
pub fn no_card(borrower_id: BorrowerId, line_id: LineId, day: BusinessDay, at: DateTime<Utc>) -> Notice {
    to_borrower(borrower_id, "no_card", json!({ "line": line_id }), day, at)
}

/// A channel has not said what became of an order for a long time: an operator calls it.
pub fn still_unknown(order: &Withholding, day: BusinessDay, at: DateTime<Utc>) -> Notice {
    Notice {
        audience: Audience::Operator,
        recipient_id: None,
        kind: "withholding_still_unknown",
        body: json!({ "withholding": order.withholding_id, "channel": order.channel.stored() }),
        business_day: day,
        created_at: at,
    }
}

fn to_borrower(
    borrower_id: BorrowerId,
    kind: &'static str,
    body: serde_json::Value,
    business_day: BusinessDay,
    created_at: DateTime<Utc>,
) -> Notice {
    Notice {
        audience: Audience::Borrower,
        recipient_id: Some(borrower_id.uuid()),
        kind,
        body,
        business_day,
        created_at,
    }
}
