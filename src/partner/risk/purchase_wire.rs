//! The risk partner's words about purchases: facts of one in, allow or refuse out.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::wire::VERSION;

/// One purchase to decide while its borrower stands at the till.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PurchaseRequest {
    pub version: u32,
    pub purchase: Purchase,
}

impl PurchaseRequest {
    pub fn new(purchase: Purchase) -> PurchaseRequest {
        PurchaseRequest { version: VERSION, purchase }
    }
}

/// What is known of a purchase. No name, no number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    /// The same number is the same purchase: the partner answers it as it did before.
    pub question_id: Uuid,
    pub line_id: Uuid,
    pub borrower_id: Uuid,
    pub grade: String,
    pub merchant_id: Uuid,
    pub merchant_category: String,
    pub product: String,
    pub periods: u16,
    pub amount_fen: i64,
    /// Whether the merchant made an order of it, or the borrower typed the amount.
    pub has_order: bool,
    pub limit_fen: i64,
    pub used_fen: i64,
    /// Of the line on this business day, this purchase not counted.
    pub purchases_today: i64,
    pub spent_today_fen: i64,
    pub spent_today_at_merchant_fen: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PurchaseAnswer {
    /// The request's. An answer to another question is none.
    pub question_id: Uuid,
    #[serde(flatten)]
    pub decision: PurchaseDecision,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum PurchaseDecision {
    Allow,
    Refuse {
        /// As [`super::wire::is_reason`] says, such as `velocity`.
        reason: String,
    },
}
