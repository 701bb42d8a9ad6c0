//! What people are told about purchases, voids and refunds.

use std::collections::BTreeMap;

use serde_json::json;

use super::refund::RefundParts;
use crate::base::id::{BorrowerId, MerchantId, PurchaseId, RefundId};
use crate::base::{Fen, When};
use crate::loan::Loan;
use crate::notice::Notice;

/// The most purchases that one notice names; a till sees one at a time, and a benchmark thousands.
const NAMED_MAX: usize = 20;

/// The notices of payments that one batch authorised, one for each merchant. In a shop that is one for each purchase; under load,
/// one for all that were decided together, so that the hot path writes few rows.
pub fn payments_received(loans: &[Loan], when: When) -> Vec<Notice> {
    let mut by_merchant: BTreeMap<MerchantId, (Vec<PurchaseId>, Fen)> = BTreeMap::new();
    for loan in loans {
        let (purchases, amount) = by_merchant.entry(loan.merchant_id).or_default();
        purchases.push(loan.purchase_id);
        *amount += loan.principal;
    }
    let notice = |(merchant_id, (purchases, amount)): (MerchantId, (Vec<PurchaseId>, Fen))| {
        let named = &purchases[..purchases.len().min(NAMED_MAX)];
        let body = json!({ "amount_fen": amount, "count": purchases.len(), "purchases": named });
        Notice::to_merchant(merchant_id, "payment_received", body, when)
    };
    by_merchant.into_iter().map(notice).collect()
}

/// A purchase that is undone, in whole or in part.
#[derive(Clone, Copy, Debug)]
pub struct Undone {
    pub purchase_id: PurchaseId,
    pub borrower_id: BorrowerId,
    pub merchant_id: MerchantId,
    pub when: When,
}

impl Undone {
    /// A void, as the borrower and the merchant are told of it.
    pub fn voided(&self, amount: Fen) -> [Notice; 2] {
        let body = json!({ "purchase": self.purchase_id, "amount_fen": amount });
        [
            Notice::to_borrower(self.borrower_id, "purchase_voided", body.clone(), self.when),
            Notice::to_merchant(self.merchant_id, "purchase_voided", body, self.when),
        ]
    }

    /// A refund, as both sides are told of it; the borrower also, what it took off the debt and what goes back to the card, with
    /// interest that was paid.
    pub fn refunded(&self, refund_id: RefundId, parts: &RefundParts, to_card: Fen) -> [Notice; 2] {
        let body = json!({ "purchase": self.purchase_id, "refund": refund_id, "amount_fen": parts.amount });
        let mut to_borrower = body.clone();
        to_borrower["principal_fell_fen"] = json!(parts.principal_fell);
        to_borrower["owed_back_fen"] = json!(to_card);
        [
            Notice::to_borrower(self.borrower_id, "refund", to_borrower, self.when),
            Notice::to_merchant(self.merchant_id, "refund", body, self.when),
        ]
    }
}
