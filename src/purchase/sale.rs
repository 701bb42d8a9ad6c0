//! A sale, which is a purchase as its merchant sees it: its state, whether it can be voided or refunded, and how it is searched
//! for.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::base::id::{PurchaseId, RefundId};
use crate::base::{BusinessDay, Fen, words};

/// A purchase that was not refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Sale {
    pub purchase_id: PurchaseId,
    /// The merchant's own number of the order that it paid; none for the static code.
    pub order_reference: Option<String>,
    /// The description of an order that was opened by hand.
    pub description: Option<String>,
    pub is_voided: bool,
    pub amount: Fen,
    pub refunded: Fen,
    pub discount_fee: Fen,
    pub subsidy: Fen,
    pub periods: i16,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}

words! {
    /// Where a sale stands.
    pub enum SaleState {
        Sold = "sold",
        PartRefunded = "part_refunded",
        Refunded = "refunded",
        Voided = "voided",
    }
}

/// What a merchant can do to take a sale back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayBack {
    /// Its business day is not over: voiding makes the loan as if it had never been.
    Void,
    Refund {
        left: Fen,
    },
    /// All of it went back already.
    Nothing,
}

impl Sale {
    pub fn state(&self) -> SaleState {
        match (self.is_voided, self.refunded) {
            (true, _) => SaleState::Voided,
            (false, Fen::ZERO) => SaleState::Sold,
            (false, refunded) if refunded == self.amount => SaleState::Refunded,
            (false, _) => SaleState::PartRefunded,
        }
    }

    /// What can still be refunded.
    pub fn left(&self) -> Fen {
        self.amount - self.refunded
    }

    /// What it brings the merchant before any refund; nothing where it was voided.
    pub fn net(&self) -> Fen {
        let [discount_fee, subsidy] = self.charges();
        if self.is_voided { Fen::ZERO } else { self.amount - discount_fee - subsidy }
    }

    /// The discount fee and the subsidy that are taken off it; none where it was voided, since they never were.
    pub fn charges(&self) -> [Fen; 2] {
        if self.is_voided { [Fen::ZERO; 2] } else { [self.discount_fee, self.subsidy] }
    }

    /// How the merchant can take it back on the open business day `today`.
    pub fn way_back(&self, today: BusinessDay) -> WayBack {
        match self.state() {
            SaleState::Sold if self.business_day == today => WayBack::Void,
            SaleState::Sold | SaleState::PartRefunded => WayBack::Refund { left: self.left() },
            SaleState::Refunded | SaleState::Voided => WayBack::Nothing,
        }
    }
}

impl FromStr for SaleState {
    type Err = &'static str;
    /// The error is the code of the message shown beside the field.
    fn from_str(text: &str) -> Result<SaleState, &'static str> {
        SaleState::from_name(text).ok_or("choice_unknown")
    }
}

/// A refund as its merchant sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SaleRefund {
    pub refund_id: RefundId,
    pub amount: Fen,
    pub principal_fell: Fen,
    pub owed_back: Fen,
    pub interest_waived: Fen,
    /// Interest and fees that the customer had paid, back on the card out of the funder's money.
    pub interest_back: Fen,
    pub discount_fee_returned: Fen,
    pub subsidy_returned: Fen,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}

impl SaleRefund {
    /// What it takes from the merchant; not positive.
    pub fn net(&self) -> Fen {
        self.discount_fee_returned + self.subsidy_returned - self.amount
    }
}

/// Which sales.
#[derive(Clone, Debug, PartialEq)]
pub struct SaleFilter {
    pub which: Which,
    pub amount: Option<Fen>,
    pub state: Option<SaleState>,
    pub periods: Option<i16>,
}

/// Which sales a search looks through.
#[derive(Clone, Debug, PartialEq)]
pub enum Which {
    /// Sales of some business days, both ends included.
    Days { from: BusinessDay, to: BusinessDay },
    /// Sales of any day: by the purchase's number, the beginning of the order's number, or a part of the description of an order
    /// that was opened by hand.
    Number(String),
}

/// The most days of one search, which reads every day in between.
pub const DAYS_MAX: i64 = 366;
/// How many days before today the list begins, unless the search says otherwise.
pub const DAYS_SHOWN: u32 = 30;

impl Which {
    /// # Errors
    /// The code of the message shown beside the field.
    pub fn days(from: BusinessDay, to: BusinessDay) -> Result<Which, &'static str> {
        match to.days_since(from) {
            ..0 => Err("days_turned_round"),
            days if days >= DAYS_MAX => Err("days_too_many"),
            _ => Ok(Which::Days { from, to }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn sale(refunded: i64) -> Sale {
        Sale {
            purchase_id: PurchaseId::from_uuid(Uuid::nil()),
            order_reference: None,
            description: None,
            is_voided: false,
            amount: Fen::new(1_000),
            refunded: Fen::new(refunded),
            discount_fee: Fen::new(6),
            subsidy: Fen::new(10),
            periods: 3,
            business_day: day("2026-03-02"),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    #[test]
    fn a_sale_of_today_is_voided_and_an_older_one_is_refunded() {
        assert_eq!(sale(0).way_back(day("2026-03-02")), WayBack::Void);
        assert_eq!(sale(0).way_back(day("2026-03-03")), WayBack::Refund { left: Fen::new(1_000) });
        assert_eq!(sale(400).way_back(day("2026-03-03")), WayBack::Refund { left: Fen::new(600) });
        assert_eq!(sale(1_000).way_back(day("2026-03-03")), WayBack::Nothing);
        let voided = Sale { is_voided: true, ..sale(0) };
        assert_eq!(voided.way_back(day("2026-03-02")), WayBack::Nothing);
        assert_eq!((voided.net(), voided.charges()), (Fen::ZERO, [Fen::ZERO; 2]));
        assert_eq!((sale(400).net(), sale(400).charges()), (Fen::new(984), [Fen::new(6), Fen::new(10)]));
    }

    #[test]
    fn a_search_is_of_at_most_a_year_and_not_backwards() {
        assert!(Which::days(day("2026-03-02"), day("2026-03-02")).is_ok());
        assert!(Which::days(day("2025-03-02"), day("2026-03-02")).is_ok());
        assert_eq!(Which::days(day("2025-03-01"), day("2026-03-02")), Err("days_too_many"));
        assert_eq!(Which::days(day("2026-03-02"), day("2026-03-01")), Err("days_turned_round"));
    }
}
