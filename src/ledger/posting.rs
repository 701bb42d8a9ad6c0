//! Postings: each business event has one pure function, in its feature's `posting.rs`, that builds one of these.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Account;
use crate::base::id::{FunderId, LineId};
use crate::base::{BusinessDay, Fen};

/// One business event in the books. Its legs sum to zero because each of them does.
#[derive(Clone, Debug, PartialEq)]
pub struct Posting {
    pub posting_id: Uuid,
    /// `None` for house postings: settlement, remittance, interest.
    pub line_id: Option<LineId>,
    pub funder_id: FunderId,
    /// The event's name: `purchase`, `repayment`, …
    pub event: &'static str,
    /// The purchase, repayment, settlement … that happened.
    pub source_id: Uuid,
    pub legs: Vec<Leg>,
    /// The posting that this one corrects.
    pub corrects: Option<Uuid>,
    pub business_day: BusinessDay,
    pub posted_at: DateTime<Utc>,
}

/// Debits one account and credits another of the same book with `amount`, which is above zero: to book the opposite, swap the
/// accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    pub debit: Account,
    pub credit: Account,
    pub amount: Fen,
}

impl Leg {
    /// The opposite leg: the same amount with the accounts swapped.
    #[must_use]
    pub fn turned_round(self) -> Leg {
        Leg { debit: self.credit, credit: self.debit, amount: self.amount }
    }
}

/// Collects the legs of a posting, leaving out those of zero.
#[derive(Debug, Default)]
pub struct Legs(Vec<Leg>);

impl Legs {
    pub fn new() -> Legs {
        Legs::default()
    }

    /// Adds a leg. A negative amount is booked with the accounts swapped; zero adds none.
    ///
    /// # Panics
    /// If the accounts stand in different books: a bug in the event's posting rule.
    #[must_use]
    pub fn transfer(mut self, debit: Account, credit: Account, amount: Fen) -> Legs {
        assert_eq!(debit.book(), credit.book(), "a leg stays within one book");
        if amount.is_positive() {
            self.0.push(Leg { debit, credit, amount });
        } else if amount.is_negative() {
            self.0.push(Leg { debit: credit, credit: debit, amount: -amount });
        }
        self
    }

    pub fn into_vec(self) -> Vec<Leg> {
        self.0
    }
}

/// What a correction needs to know of the posting that it corrects.
#[derive(Clone, Debug, PartialEq)]
pub struct Booked {
    pub posting_id: Uuid,
    /// `None` for house postings.
    pub line_id: Option<LineId>,
    pub funder_id: FunderId,
    pub source_id: Uuid,
    pub legs: Vec<Leg>,
}
