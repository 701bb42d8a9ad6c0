//! What is payable at the end of a day, to a merchant or to a funder: when, and what happens to an amount of either sign.

use chrono::{DateTime, Utc};

use crate::base::{BusinessDay, Fen};

/// A day at its end, the day on which its amounts are paid, and the time of the close.
#[derive(Clone, Copy, Debug)]
pub struct ClosedDay {
    pub business_day: BusinessDay,
    /// The next working day.
    pub pay_on: BusinessDay,
    pub at: DateTime<Utc>,
}

/// The status of a settlement or a remittance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PayableStatus {
    ToPay,
    /// Negative: deducted from the next one of the same merchant or funder.
    Carried,
    Paid,
    /// Exactly zero; there is nothing to pay.
    Nothing,
}

impl PayableStatus {
    /// The initial status for an amount.
    pub fn of(payable: Fen) -> PayableStatus {
        match payable.get() {
            1.. => PayableStatus::ToPay,
            0 => PayableStatus::Nothing,
            ..0 => PayableStatus::Carried,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_sum_is_carried_and_a_zero_is_nothing() {
        assert_eq!(PayableStatus::of(Fen::new(-1)), PayableStatus::Carried);
        assert_eq!(PayableStatus::of(Fen::ZERO), PayableStatus::Nothing);
        assert_eq!(PayableStatus::of(Fen::new(1)), PayableStatus::ToPay);
    }
}
