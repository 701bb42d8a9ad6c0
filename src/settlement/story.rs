//! The gross-to-net story of a merchant's day: every purchase and refund with what was taken off and given back.

use chrono::{DateTime, Utc};

use super::model::SettlementRecord;
use crate::base::Fen;
use crate::base::id::{PurchaseId, RefundId};

/// A merchant's day. `settlement` is there once the day is closed; the lines add up to its figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    pub purchases: Vec<PurchaseLine>,
    pub refunds: Vec<RefundLine>,
    pub settlement: Option<SettlementRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseLine {
    pub purchase_id: PurchaseId,
    pub created_at: DateTime<Utc>,
    pub amount: Fen,
    pub discount_fee: Fen,
    pub subsidy: Fen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundLine {
    pub refund_id: RefundId,
    pub purchase_id: PurchaseId,
    pub created_at: DateTime<Utc>,
    pub amount: Fen,
    pub discount_returned: Fen,
    pub subsidy_returned: Fen,
}

impl PurchaseLine {
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

impl Story {
    pub fn net(&self) -> Fen {
        let sold: Fen = self.purchases.iter().map(PurchaseLine::net).sum();
        let returned: Fen = self.refunds.iter().map(RefundLine::net).sum();
        sold + returned
    }
}
