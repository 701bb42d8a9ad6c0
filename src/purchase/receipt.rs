//! Receipts at a counter, line by line: payments, voids and refunds. `ToldNumbers` sees to it that none is missed although they are
//! committed out of order.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::base::id::PurchaseId;
use crate::base::{BusinessDay, Fen};

/// A line of the receipts page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptLine {
    /// The key by which a page recognizes a line that it has been told already.
    pub key: String,
    pub what: ReceiptKind,
    /// The purchase that the line opens; `None` for those of a batch that the notice does not name.
    pub purchase_id: Option<PurchaseId>,
    pub amount: Fen,
    pub periods: Option<i16>,
    /// The description on the order that was paid.
    pub description: Option<String>,
    pub at: DateTime<Utc>,
}

/// What a line of the receipts page tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptKind {
    Paid,
    /// This many more payments of the same batch, which the notice does not name.
    More(i64),
    Voided,
    Refunded,
}

impl ReceiptKind {
    /// The end of the key of its words.
    pub const fn name(self) -> &'static str {
        match self {
            ReceiptKind::Paid => "paid",
            ReceiptKind::More(_) => "more",
            ReceiptKind::Voided => "voided",
            ReceiptKind::Refunded => "refunded",
        }
    }

    /// How many payments a line stands for.
    pub const fn count(self) -> i64 {
        match self {
            ReceiptKind::More(count) => count,
            ReceiptKind::Paid | ReceiptKind::Voided | ReceiptKind::Refunded => 1,
        }
    }

    /// Whether money came in by it.
    pub const fn is_payment(self) -> bool {
        match self {
            ReceiptKind::Paid | ReceiptKind::More(_) => true,
            ReceiptKind::Voided | ReceiptKind::Refunded => false,
        }
    }
}

/// What a business day has brought a merchant so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takings {
    pub count: i64,
    pub amount: Fen,
    /// Voided and refunded on that day, also of earlier days' purchases.
    pub undone: Fen,
}

/// The sums of a business day.
#[derive(Clone, Copy, Debug)]
pub struct DaySums {
    pub day: BusinessDay,
    pub takings: Takings,
}

/// How long a number may stay invisible while higher ones can be read: notices get their numbers before they are committed. No
/// transaction that writes a merchant's notice takes so long.
pub const LATE_MAX: Duration = Duration::from_secs(10);

/// Which numbers have been told: all up to a floor, and single ones above it, where lower ones may still appear.
#[derive(Debug)]
pub struct ToldNumbers {
    floor: i64,
    above: BTreeSet<i64>,
    recent: VecDeque<(Instant, i64)>,
}

impl ToldNumbers {
    /// All numbers up to `floor` count as told.
    pub fn up_to(floor: i64) -> ToldNumbers {
        ToldNumbers { floor, above: BTreeSet::new(), recent: VecDeque::new() }
    }

    /// Numbers up to here need not be read again.
    pub fn floor(&self) -> i64 {
        self.floor
    }

    /// Whether a number has been told.
    pub fn knows(&self, number: i64) -> bool {
        number <= self.floor || self.above.contains(&number)
    }

    /// Notes that a number has been told.
    pub fn note(&mut self, number: i64, now: Instant) {
        if !self.knows(number) && self.above.insert(number) {
            self.recent.push_back((now, number));
        }
    }

    /// Raises the floor to the highest number that was seen [`LATE_MAX`] ago: nothing below it can appear any more.
    pub fn settle(&mut self, now: Instant) {
        while let Some((seen, number)) = self.recent.front().copied() {
            if now.duration_since(seen) < LATE_MAX {
                return;
            }
            self.recent.pop_front();
            self.floor = self.floor.max(number);
            self.above = self.above.split_off(&(self.floor + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_appears_late_is_told_and_none_is_told_twice() {
        let start = Instant::now();
        let mut told = ToldNumbers::up_to(10);
        assert!(told.knows(9) && !told.knows(12));
        told.note(12, start);
        told.note(12, start);
        assert!(told.knows(12) && !told.knows(11), "11 may be committed later than 12");
        let later = start + Duration::from_secs(9);
        told.settle(later);
        told.note(11, later);
        assert_eq!(told.floor(), 10);
        told.settle(start + LATE_MAX);
        assert_eq!(told.floor(), 12);
        assert!(told.knows(11) && !told.knows(13));
    }
}
