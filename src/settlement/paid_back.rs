//! Money that is paid back to a borrower's card, and its key at the channel.

use crate::base::id::{self, LineId, PayoutId, PurchaseId};

/// Why money is paid back to a borrower's card, with a number that counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaidBack {
    /// A refund, numbered among all refunds of its purchase, including those that pay nothing back.
    Refund { purchase_id: PurchaseId, number: i64 },
    /// The excess of a repayment, numbered among all repayments of its line that had one, including reversed ones.
    Excess { line_id: LineId, number: i64 },
}

impl PaidBack {
    /// The id of the payout, which is also its key at the channel. If the database is restored from an older state, a lost refund or
    /// repayment is entered again under another id, perhaps on another day, but with the same number. So its payout gets the key that
    /// the channel knows already, and is not paid twice.
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
        // Not even a line with the purchase's id has the same key.
        let line_id = LineId::from_uuid(purchase_id.uuid());
        assert_ne!(first, PaidBack::Excess { line_id, number: 1 }.payout_id());
        assert_eq!(first.uuid().get_version_num(), 7);
        assert_eq!(first.uuid().get_timestamp(), purchase_id.uuid().get_timestamp());
    }
}
