//! Notices to borrowers and operators about collection.

use serde_json::{Value, json};

use super::account::Repayment;
use super::due_actions::WithoutCard;
use super::withholding::{Failure, Withholding};
use crate::base::id::BorrowerId;
use crate::base::{Fen, When};
use crate::notice::Notice;

/// The channel refused the card for good; the borrower should see to it. Here and in [`withholding_failed`] the body says of which
/// day the order was: a short message may arrive when the money was taken since.
pub fn card_invalid(order: &Withholding, when: When) -> Notice {
    let body = json!({
        "line": order.line_id,
        "card": order.card_id,
        "amount_fen": order.amount,
        "tried_on": order.business_day,
    });
    Notice::to_borrower(order.borrower_id, "card_invalid", body, when)
}

/// Money was taken from the card.
pub fn withheld(order: &Withholding, collected: Fen, when: When) -> Notice {
    let body = json!({
        "line": order.line_id,
        "withholding": order.withholding_id,
        "purpose": order.purpose.stored().0,
        "amount_fen": collected,
    });
    Notice::to_borrower(order.borrower_id, "withheld", body, when)
}

/// Money was not taken from the card as ordered. For scheduled attempts the caller raises it once a day.
pub fn withholding_failed(order: &Withholding, failure: Failure, when: When) -> Notice {
    let body = json!({
        "line": order.line_id,
        "withholding": order.withholding_id,
        "purpose": order.purpose.stored().0,
        "amount_fen": order.amount,
        "tried_on": order.business_day,
        "failure": failure.stored(),
    });
    Notice::to_borrower(order.borrower_id, "withholding_failed", body, when)
}

/// A transfer of the borrower's was recorded.
pub fn transfer_received(borrower_id: BorrowerId, receipt: &Repayment) -> Notice {
    let body = json!({ "line": receipt.line_id, "amount_fen": receipt.amount, "excess_fen": receipt.excess });
    Notice::to_borrower(borrower_id, "transfer_received", body, receipt.when())
}

/// A transfer that was recorded wrongly was taken back: what it had paid is owed again.
pub fn transfer_taken_back(borrower_id: BorrowerId, reversal: &Repayment) -> Notice {
    let body = json!({ "line": reversal.line_id, "amount_fen": -reversal.amount });
    Notice::to_borrower(borrower_id, "transfer_taken_back", body, reversal.when())
}

/// Something is due and there is no card to take it from.
pub fn no_card(line: &WithoutCard, when: When) -> Notice {
    let body = json!({ "line": line.line_id, "amount_fen": line.owed });
    Notice::to_borrower(line.borrower_id, "no_card", body, when)
}

/// A channel has not given an outcome of an order for a long time; an operator should call it.
pub fn still_unknown(order: &Withholding, when: When) -> Notice {
    Notice::to_operators("withholding_still_unknown", of_order(order), when)
}

/// A channel contradicts its earlier answer about an order, or reports an impossible amount; a break is open for it.
pub fn contradicted(order: &Withholding, when: When) -> Notice {
    Notice::to_operators("withholding_contradiction", of_order(order), when)
}

/// A channel rejects an order as malformed; an operator should find out what is wrong with it.
pub fn rejected(order: &Withholding, code: &str, when: When) -> Notice {
    let mut body = of_order(order);
    body["code"] = json!(code);
    Notice::to_operators("withholding_rejected", body, when)
}

fn of_order(order: &Withholding) -> Value {
    json!({ "withholding": order.withholding_id, "channel": order.channel.name() })
}

/// The channel's file contradicted its earlier answer: the payment is owed again.
pub fn repayment_reversed(borrower_id: BorrowerId, reversal: &Repayment) -> Notice {
    let body = json!({ "line": reversal.line_id, "amount_fen": -reversal.amount });
    Notice::to_borrower(borrower_id, "repayment_reversed", body, reversal.when())
}
