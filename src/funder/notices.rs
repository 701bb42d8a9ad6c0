//! Notices to operators about orders of a funder: a deposit to look for at the bank, or a withdrawal to pay by hand.

use serde_json::{Value, json};

use super::order::ReserveOrder;
use crate::base::When;
use crate::notice::Notice;

/// A funder says that it has sent a deposit. One that was refused and is noted again is told again.
pub fn deposit_noted(order: &ReserveOrder, funder: &str, when: When) -> Notice {
    Notice::to_operators("deposit_noted", of_order(order, funder), when)
}

/// A withdrawal is booked: somebody pays it at the bank.
pub fn withdrawal_booked(order: &ReserveOrder, funder: &str, when: When) -> Notice {
    Notice::to_operators("withdrawal_booked", of_order(order, funder), when)
}

fn of_order(order: &ReserveOrder, funder: &str) -> Value {
    json!({
        "order": order.order_id,
        "funder": funder,
        "amount_fen": order.amount_fen,
        "reference": order.reference,
        "refused_before": order.refused_before,
    })
}
