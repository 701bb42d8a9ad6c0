//! What goes back to a borrower's card, and the key under which it does.

use crate::base::id::{self, LineId, PayoutId, PurchaseId};

/// What goes back to a borrower's card, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaidBack {
    /// Among the purchase's refunds, those that pay nothing back included.
    Refund { purchase_id: PurchaseId, number: i64 },
    /// Among the line's repayments that leave something over, those that were taken back included.
    Excess { line_id: LineId, number: i64 },
}

impl PaidBack {
    /// What is entered again, in a database that was restored from before it, is paid under the key that the channel has. The refund or
    /// the repayment has another id then, and may count from another day; its place among the others is the same.
    pub fn payout_id(self) -> PayoutId {
        PayoutId::from_uuid(match self {
            PaidBack::Refund { purchase_id, number } => {
                id::derive_beside(purchase_id.uuid(), &format!("payout of refund {number}"))
            }
            PaidBack::Excess { line_id, number } => {
                id::derive_beside(line_id.uuid(), &format!("payout of excess {number}"))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn what_is_paid_back_again_has_the_same_key() {
        let minted = |at| PurchaseId::mint(DateTime::from_timestamp(at, 0).unwrap());
        let (purchase_id, other) = (minted(1_772_416_800), minted(1_772_416_801));
        let of = |purchase_id, number| PaidBack::Refund { purchase_id, number }.payout_id();
        let first = of(purchase_id, 1);
        assert_eq!(first, of(purchase_id, 1));
        assert_ne!(first, of(purchase_id, 2));
        assert_ne!(first, of(other, 1));
        // Not even a line that had the purchase's id.
        let line_id = LineId::from_uuid(purchase_id.uuid());
        assert_ne!(first, PaidBack::Excess { line_id, number: 1 }.payout_id());
        assert_eq!(first.uuid().get_version_num(), 7);
        assert_eq!(first.uuid().get_timestamp(), purchase_id.uuid().get_timestamp());
    }
}
