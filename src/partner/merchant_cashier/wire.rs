//! The merchant cashier's words: one notification a call, and whether it was taken.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::base::id::MerchantId;

/// Something that became of a payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// Unique and, for one order, ascending. The cashier processes each number once.
    pub event_no: i64,
    /// Whom it is for. All merchants are told by the same keys, and the address in the signature is a path alone: what one was told
    /// may be sent on to another.
    pub merchant_id: MerchantId,
    /// `payment_succeeded`, `purchase_voided` or `refund_succeeded`.
    pub kind: String,
    /// Of the body's shape.
    pub version: u16,
    pub occurred_at: DateTime<Utc>,
    pub body: serde_json::Value,
}

/// The answer to a notification; the status must be 2xx as well.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// [`SUCCESS`], or anything else.
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The one code that says that a notification was taken, as WeChat Pay has it.
pub const SUCCESS: &str = "SUCCESS";
