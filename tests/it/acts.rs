//! Test helper: random actions of people in a town, each of them refused about as often as not.

use fenqi::base::Fen;
use fenqi::base::id::{LineId, LoanId, RepaymentId};
use fenqi::purchase::actions::{self, RefundRequest};
use fenqi::purchase::{Authoriser, Decision, PurchaseRequest, Receipt};
use fenqi::repayment::{
    self, PayoffOrder, Proposal, RepayRequest, Transfer, confirm_taking_back, payoff_quote, propose_taking_back,
    record_transfer,
};

use crate::town::{Town, unless_failed};

/// Buys; returns the sale if it was authorised.
pub async fn buy(node: &Authoriser, wish: PurchaseRequest) -> Option<Receipt> {
    let receipt = node.authorise(wish).await.unwrap();
    matches!(receipt.decision, Decision::Authorised { .. }).then_some(receipt)
}

/// Voids a sale.
pub async fn void(town: &Town, sale: &Receipt) -> bool {
    unless_failed(actions::void(&town.app, sale.purchase_id).await).is_some()
}

/// Refunds so much of a sale, under an idempotency key.
pub async fn refund(town: &Town, sale: &Receipt, (amount, idempotency_key): (Fen, String)) -> bool {
    let request = RefundRequest { purchase_id: sale.purchase_id, amount, idempotency_key };
    unless_failed(actions::refund(&town.app, request).await).is_some()
}

/// Records a transfer for a line, with its bank reference, half of them some days after the bank had it; returns the repayment.
pub async fn transfer(town: &Town, line_id: LineId, (amount, bank_reference): (Fen, String)) -> Option<RepaymentId> {
    let days_ago = u32::try_from(amount.get() % 16).unwrap();
    let received_on = if days_ago < 8 { None } else { Some(town.today().await.minus_days(days_ago)) };
    let transfer = Transfer { line_id, amount, bank_reference, received_on, operator: "Li".into() };
    let recorded = unless_failed(record_transfer(&town.app, &transfer).await);
    recorded.map(|repayment| repayment.repayment_id)
}

/// Two people take a transfer back.
pub async fn take_back(town: &Town, repayment_id: RepaymentId, reason: String) -> bool {
    let (app, proposal) = (&town.app, Proposal { by: "Li".into(), reason });
    let proposed = unless_failed(propose_taking_back(app, repayment_id, &proposal).await);
    let Some(proposal_no) = proposed else { return false };
    unless_failed(confirm_taking_back(app, repayment_id, proposal_no, "Wang").await).is_some()
}

/// Orders the payoff of a loan for what is quoted, under an idempotency key.
pub async fn pay_off(town: &Town, (line_id, loan_id): (LineId, LoanId), idempotency_key: String) -> bool {
    let app = &town.app;
    let Some(quote) = unless_failed(payoff_quote(app, line_id, loan_id).await) else { return false };
    let order = PayoffOrder { loan_id, line_id, quoted: quote.total(), card_id: None, idempotency_key };
    unless_failed(repayment::early_payoff(app, &order).await).is_some()
}

/// A borrower repays so much of a line by the button, under an idempotency key.
pub async fn press_the_button(town: &Town, line_id: LineId, (amount, idempotency_key): (Fen, String)) -> bool {
    let request = RepayRequest { line_id, amount, card_id: None, idempotency_key };
    unless_failed(repayment::repay(&town.app, &request).await).is_some()
}
