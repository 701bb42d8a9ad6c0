//! What people do to a town that lives at random, each thing refused as often as not.

use fenqi::base::Fen;
use fenqi::base::id::{LineId, LoanId, RepaymentId};
use fenqi::purchase::Receipt;
use fenqi::purchase::actions::{self, RefundRequest};
use fenqi::repayment::{
    self, PayoffOrder, Proposal, Transfer, confirm_taking_back, payoff_quote, propose_taking_back, record_transfer,
};

use crate::town::{Town, unless_failed};

/// Whether the sale was voided.
pub async fn void(town: &Town, sale: &Receipt) -> bool {
    unless_failed(actions::void(&town.app, sale.purchase_id).await).is_some()
}

/// Whether so much of the sale was refunded.
pub async fn refund(town: &Town, sale: &Receipt, (amount, idempotency_key): (Fen, String)) -> bool {
    let request = RefundRequest { purchase_id: sale.purchase_id, amount, idempotency_key };
    unless_failed(actions::refund(&town.app, request).await).is_some()
}

/// What was recorded of a transfer for a line.
pub async fn transfer(town: &Town, line_id: LineId, (amount, bank_reference): (Fen, String)) -> Option<RepaymentId> {
    let transfer = Transfer { line_id, amount, bank_reference, operator: "Li".into() };
    let recorded = unless_failed(record_transfer(&town.app, &transfer).await);
    recorded.map(|repayment| repayment.repayment_id)
}

/// Whether two people took a transfer back.
pub async fn take_back(town: &Town, repayment_id: RepaymentId, reason: String) -> bool {
    let (app, proposal) = (&town.app, Proposal { by: "Li".into(), reason });
    let proposed = unless_failed(propose_taking_back(app, repayment_id, &proposal).await);
    let Some(proposal_no) = proposed else { return false };
    unless_failed(confirm_taking_back(app, repayment_id, proposal_no, "Wang").await).is_some()
}

/// Whether a payoff was ordered of a loan, for what was quoted.
pub async fn pay_off(town: &Town, (line_id, loan_id): (LineId, LoanId), idempotency_key: String) -> bool {
    let app = &town.app;
    let Some(quote) = unless_failed(payoff_quote(app, line_id, loan_id).await) else { return false };
    let order = PayoffOrder { loan_id, line_id, quoted: quote.total(), card_id: None, idempotency_key };
    unless_failed(repayment::early_payoff(app, &order).await).is_some()
}
