//! The lines of a merchant's day from gross to net: purchases and refunds, with the charges that were deducted and given back.

use chrono::{DateTime, Utc};

use crate::base::Fen;
use crate::base::id::{PurchaseId, RefundId};

/// A purchase of the day. Amounts are positive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseLine {
    pub purchase_id: PurchaseId,
    /// The merchant's own reference of the paid order; `None` for a static code.
    pub order_reference: Option<String>,
    pub created_at: DateTime<Utc>,
    pub amount: Fen,
    pub discount_fee: Fen,
    pub subsidy: Fen,
}

/// A refund of the day. Amounts are positive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundLine {
    pub refund_id: RefundId,
    pub purchase_id: PurchaseId,
    /// The merchant's own reference of the paid order; `None` for a static code.
    pub order_reference: Option<String>,
    pub created_at: DateTime<Utc>,
    pub amount: Fen,
    pub discount_returned: Fen,
    pub subsidy_returned: Fen,
}

impl PurchaseLine {
    /// What the purchase brings the merchant.
    pub fn net(&self) -> Fen {
        self.amount - self.discount_fee - self.subsidy
    }
}

impl RefundLine {
    /// What the refund takes from the merchant; not positive.
    pub fn net(&self) -> Fen {
        self.discount_returned + self.subsidy_returned - self.amount
    }
}
