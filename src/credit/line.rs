//! The line: limit, used and available of one borrower with one funder, and the journal of its changes.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::base::day::MonthDay;
use crate::base::id::{BorrowerId, FunderId, LineId, ProductId};
use crate::base::{BusinessDay, Fen, When, words};

/// A credit line as locked for a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub funder_id: FunderId,
    /// The product that it was opened under, which sets its days and timetable.
    pub product_id: ProductId,
    pub product_version: i32,
    pub grade: String,
    pub status: LineStatus,
    pub limit: Fen,
    /// Unpaid principal of all its loans.
    pub used: Fen,
    pub statement_day: MonthDay,
    pub due_day: MonthDay,
    pub expires_on: NaiveDate,
    /// The day that `purchases_count` counts.
    pub purchases_on: Option<NaiveDate>,
    pub purchases_count: i32,
    pub last_entry_no: i64,
}

/// How a line stands. Only an active one takes purchases; a frozen one is still paid off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStatus {
    Active,
    Frozen(Freezes),
    Closed,
}

words! {
    /// Why a line is frozen, in the order in which reasons are stored and shown.
    pub enum Freeze {
        Overdue = "overdue",
        Risk = "risk",
        Operator = "operator",
    }
}

/// Every reason for which a line is frozen; there is at least one. Each is lifted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freezes(u8);

words! {
    /// What changed a line.
    pub enum EntryKind {
        Opened = "opened",
        Purchase = "purchase",
        Void = "void",
        Refund = "refund",
        Repayment = "repayment",
        Limit = "limit",
        Freeze = "freeze",
        Unfreeze = "unfreeze",
        Close = "close",
    }
}

/// One change of a line, append-only.
#[derive(Clone, Debug, PartialEq)]
pub struct LineEntry {
    pub line_id: LineId,
    pub entry_no: i64,
    pub kind: EntryKind,
    pub used_change: Fen,
    pub limit_change: Fen,
    pub used_after: Fen,
    pub limit_after: Fen,
    pub source_id: Option<Uuid>,
    pub reason: Option<String>,
    pub business_day: BusinessDay,
    pub occurred_at: DateTime<Utc>,
}

/// A change of limit or use, and its cause.
#[derive(Clone, Debug)]
pub struct LineChange {
    pub kind: EntryKind,
    pub used_change: Fen,
    pub limit_change: Fen,
    /// The purchase, refund, repayment or application behind it.
    pub source_id: Option<Uuid>,
    /// Who and why, for a change made by a person.
    pub reason: Option<String>,
}

impl Line {
    /// What may still be bought for; negative after the limit was lowered below what is used.
    pub fn available(&self) -> Fen {
        self.limit - self.used
    }

    /// What may be bought for on a day, never negative: nothing while it is frozen, closed or expired.
    pub fn usable_on(&self, day: BusinessDay) -> Fen {
        match self.status {
            LineStatus::Active if !self.has_expired_on(day) => self.available().or_zero(),
            LineStatus::Active | LineStatus::Frozen(_) | LineStatus::Closed => Fen::ZERO,
        }
    }

    pub fn has_expired_on(&self, day: BusinessDay) -> bool {
        day.date() > self.expires_on
    }

    /// Purchases already made on `day`.
    pub fn purchases_made_on(&self, day: BusinessDay) -> u32 {
        if self.purchases_on == Some(day.date()) { u32::try_from(self.purchases_count).unwrap_or(0) } else { 0 }
    }

    /// Counts one more (or, after a void, one less) purchase on `day`.
    pub fn count_purchase(&mut self, day: BusinessDay, change: i32) {
        let before = if self.purchases_on == Some(day.date()) { self.purchases_count } else { 0 };
        self.purchases_on = Some(day.date());
        self.purchases_count = (before + change).max(0);
    }

    /// Changes limit and use, and returns the journal entry of that.
    ///
    /// # Panics
    /// If used or limit would fall below zero: the caller's arithmetic is wrong and nothing may be saved.
    pub fn change(&mut self, change: LineChange, when: When) -> LineEntry {
        self.used += change.used_change;
        self.limit += change.limit_change;
        assert!(!self.used.is_negative() && !self.limit.is_negative(), "a line's limit and used stay above zero");
        self.last_entry_no += 1;
        LineEntry {
            line_id: self.line_id,
            entry_no: self.last_entry_no,
            kind: change.kind,
            used_change: change.used_change,
            limit_change: change.limit_change,
            used_after: self.used,
            limit_after: self.limit,
            source_id: change.source_id,
            reason: change.reason,
            business_day: when.business_day,
            occurred_at: when.at,
        }
    }
}

impl LineChange {
    /// A change of what is used, by the money event `source_id`.
    pub fn used(kind: EntryKind, used_change: Fen, source_id: Uuid) -> LineChange {
        LineChange { kind, used_change, limit_change: Fen::ZERO, source_id: Some(source_id), reason: None }
    }
}

impl Freeze {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Freezes {
    /// This reason alone.
    pub const fn of(why: Freeze) -> Freezes {
        Freezes(why.bit())
    }

    pub const fn contains(self, why: Freeze) -> bool {
        self.0 & why.bit() != 0
    }

    /// These reasons and `why`; the same where it is one of them.
    #[must_use]
    pub const fn with(self, why: Freeze) -> Freezes {
        Freezes(self.0 | why.bit())
    }

    /// What is left without `why`; `None` where that was the last reason.
    #[must_use]
    pub const fn without(self, why: Freeze) -> Option<Freezes> {
        match self.0 & !why.bit() {
            0 => None,
            left => Some(Freezes(left)),
        }
    }

    /// In the order of [`Freeze::ALL`].
    pub fn reasons(self) -> impl Iterator<Item = Freeze> {
        Freeze::ALL.into_iter().filter(move |why| self.contains(*why))
    }
}

impl LineStatus {
    pub fn is_frozen_for(self, why: Freeze) -> bool {
        match self {
            LineStatus::Frozen(reasons) => reasons.contains(why),
            LineStatus::Active | LineStatus::Closed => false,
        }
    }

    /// The stored pair of `status` and `frozen_for`.
    pub fn stored(self) -> (&'static str, Option<String>) {
        match self {
            LineStatus::Active => ("active", None),
            LineStatus::Frozen(reasons) => {
                ("frozen", Some(reasons.reasons().map(Freeze::name).collect::<Vec<_>>().join(",")))
            }
            LineStatus::Closed => ("closed", None),
        }
    }

    /// Reads a stored pair; `None` where it is not one that [`LineStatus::stored`] writes.
    pub fn from_stored(status: &str, frozen_for: Option<&str>) -> Option<LineStatus> {
        match (status, frozen_for) {
            ("active", None) => Some(LineStatus::Active),
            ("frozen", Some(reasons)) => {
                let reasons: Option<Vec<Freeze>> = reasons.split(',').map(Freeze::from_name).collect();
                let freezes = reasons?.into_iter().map(Freezes::of).reduce(|all, one| Freezes(all.0 | one.0))?;
                Some(LineStatus::Frozen(freezes))
            }
            ("closed", None) => Some(LineStatus::Closed),
            (_, _) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A line of 1,000 fen through the first of 2027.
    pub(crate) fn line(status: LineStatus, used: i64) -> Line {
        let id = Uuid::from_u128(7);
        Line {
            line_id: LineId::from_uuid(id),
            borrower_id: BorrowerId::from_uuid(id),
            funder_id: FunderId::from_uuid(id),
            product_id: ProductId::from_uuid(id),
            product_version: 1,
            grade: "A".into(),
            status,
            limit: Fen::new(1_000),
            used: Fen::new(used),
            statement_day: MonthDay::new(5).unwrap(),
            due_day: MonthDay::new(25).unwrap(),
            expires_on: "2027-01-01".parse().unwrap(),
            purchases_on: None,
            purchases_count: 0,
            last_entry_no: 3,
        }
    }

    #[test]
    fn a_change_is_journaled_with_what_stands_after_it() {
        let mut line = line(LineStatus::Active, 300);
        let entry = line.change(
            LineChange::used(EntryKind::Purchase, Fen::new(200), Uuid::nil()),
            When { business_day: "2026-01-05".parse().unwrap(), at: DateTime::UNIX_EPOCH },
        );
        assert_eq!((entry.entry_no, entry.used_after, entry.limit_after), (4, Fen::new(500), Fen::new(1_000)));
        assert_eq!(line.available(), Fen::new(500));
    }

    #[test]
    fn every_set_of_reasons_is_read_as_it_was_stored() {
        for reasons in (1..8).map(Freezes) {
            let (status, frozen_for) = LineStatus::Frozen(reasons).stored();
            assert_eq!(LineStatus::from_stored(status, frozen_for.as_deref()), Some(LineStatus::Frozen(reasons)));
        }
        let both = Freezes::of(Freeze::Operator).with(Freeze::Overdue);
        assert_eq!(LineStatus::Frozen(both).stored().1.as_deref(), Some("overdue,operator"));
        assert_eq!(LineStatus::from_stored("frozen", Some("moon")), None);
        assert_eq!(LineStatus::from_stored("frozen", None), None);
    }

    #[test]
    fn purchases_are_counted_by_day() {
        let mut line = line(LineStatus::Active, 300);
        let first = "2026-01-05".parse().unwrap();
        line.count_purchase(first, 1);
        line.count_purchase(first, 1);
        assert_eq!(line.purchases_made_on(first), 2);
        assert_eq!(line.purchases_made_on(first.next()), 0);
    }

    #[test]
    fn another_day_is_counted_from_its_first_purchase_and_a_void_takes_off_no_more_than_there_were() {
        let mut line = line(LineStatus::Active, 300);
        let first: BusinessDay = "2026-01-05".parse().unwrap();
        line.count_purchase(first, 1);
        line.count_purchase(first, 1);
        line.count_purchase(first.next(), 1);
        assert_eq!((line.purchases_made_on(first), line.purchases_made_on(first.next())), (0, 1));
        line.count_purchase(first.next(), -1);
        line.count_purchase(first.next(), -1);
        assert_eq!(line.purchases_made_on(first.next()), 0);
        line.count_purchase(first.next(), 1);
        assert_eq!(line.purchases_made_on(first.next()), 1);
    }
}
