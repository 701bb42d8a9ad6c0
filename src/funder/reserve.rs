//! The reserve (备付金): what a funder has prefunded, what purchases hold of it, and how far an advance reaches.

use chrono::{DateTime, Utc};

use crate::base::id::FunderId;
use crate::base::{BusinessDay, Fen, When};
use crate::error::Refusal;

/// One funder's reserve as it stands inside the transaction that locked it.
///
/// Invariant: `available = deposited − withdrawn − held − paid_out + returned`, and `available ≥ −advance_limit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    pub funder_id: FunderId,
    pub available: Fen,
    /// Authorised purchases that are not cleared yet.
    pub held: Fen,
    pub deposited: Fen,
    pub withdrawn: Fen,
    /// Cleared to merchants, gross.
    pub paid_out: Fen,
    /// Principal that came back by refunds.
    pub returned: Fen,
    /// How far below zero purchases may take `available` (垫付).
    pub advance_limit: Fen,
    /// The highest of its low-water marks.
    pub low_water: Fen,
    /// The others, in falling order.
    pub lower_marks: Vec<Fen>,
    /// One higher after each change of the marks.
    pub low_water_version: i32,
    pub low_water_noticed_on: Option<BusinessDay>,
    /// The mark that the last notice was about; `None` stands for the highest mark.
    pub low_water_told: Option<Fen>,
    /// The day on which `available` fell below zero; `None` while it stands at zero or above.
    pub advance_since: Option<BusinessDay>,
    /// The advance was not repaid when it was due; nothing may be held until it is.
    pub advance_overdue: bool,
    pub last_entry_no: i64,
}

/// How many marks there may be below the first: enough for several levels of warning.
pub const LOWER_MARKS_MAX: usize = 7;

/// All low-water marks of a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowWaterMarks {
    /// Zero where there is none: then the funder is told only when an advance is drawn on.
    pub first: Fen,
    /// In falling order, each above zero and below the one before it.
    pub lower: Vec<Fen>,
}

/// One row of the reserve's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveEntry {
    pub entry_no: i64,
    pub kind: ReserveEntryKind,
    pub amount: Fen,
    pub available_after: Fen,
    pub held_after: Fen,
    pub source: String,
    pub business_day: BusinessDay,
    pub occurred_at: DateTime<Utc>,
}

/// What changed a reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ReserveEntryKind {
    Deposit,
    Withdrawal,
    /// Purchases were authorised.
    Hold,
    /// A purchase was voided.
    Release,
    /// What a day's purchases held is paid out to merchants.
    Clearing,
    /// Principal came back.
    Refund,
}

/// Why a change of a reserve is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveRefusal {
    #[error("an amount is a whole number of fen from 1 to {}", Fen::MAX.get())]
    AmountOutOfBounds,
    #[error("the funder's reserve cannot carry this purchase")]
    ReserveExhausted,
    #[error("the funder's advance is overdue; nothing is lent until it is repaid")]
    AdvanceOverdue,
    #[error("only {available} yuan are free to withdraw")]
    NotAvailable { available: Fen },
    #[error("bank reference {reference} was booked before with {booked} yuan")]
    ReferenceBookedWithOtherAmount { reference: String, booked: Fen },
    #[error("a bank reference stands on one line and has 1 to {REFERENCE_CHARS_MAX} characters")]
    ReferenceMalformed,
    #[error("an advance limit is at least the {used} yuan of advance in use, and at most {} yuan", Fen::MAX)]
    AdvanceLimitBelowUse { used: Fen },
    #[error("a low-water mark is not negative")]
    LowWaterNegative,
    #[error(
        "each low-water mark is above zero and below the one before it, with up to {LOWER_MARKS_MAX} below the first; set them together"
    )]
    MarksNotFalling,
    #[error("somebody changed the low-water marks since they were read; read them again")]
    LowWaterChanged,
    #[error("there is no such funder")]
    UnknownFunder,
}

/// Long enough for every bank's reference, short enough for an index.
pub const REFERENCE_CHARS_MAX: usize = 128;

impl Refusal for ReserveRefusal {
    fn code(&self) -> &'static str {
        match self {
            ReserveRefusal::AmountOutOfBounds => "amount_out_of_bounds",
            ReserveRefusal::ReserveExhausted => "reserve_exhausted",
            ReserveRefusal::AdvanceOverdue => "advance_overdue",
            ReserveRefusal::NotAvailable { .. } => "reserve_not_available",
            ReserveRefusal::ReferenceBookedWithOtherAmount { .. } => "reference_booked_with_other_amount",
            ReserveRefusal::ReferenceMalformed => "reference_malformed",
            ReserveRefusal::AdvanceLimitBelowUse { .. } => "advance_limit_below_use",
            ReserveRefusal::LowWaterNegative => "low_water_negative",
            ReserveRefusal::MarksNotFalling => "low_water_marks_not_falling",
            ReserveRefusal::LowWaterChanged => "precondition_failed",
            ReserveRefusal::UnknownFunder => "unknown_funder",
        }
    }
}

/// What caused a change of a reserve, for its journal row.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// The bank reference, the purchase voided, the refund, the closed day, or the first of several purchases.
    pub source: String,
    pub when: When,
}

impl From<Fen> for LowWaterMarks {
    fn from(first: Fen) -> LowWaterMarks {
        LowWaterMarks { first, lower: Vec::new() }
    }
}

impl LowWaterMarks {
    pub(super) fn check(&self) -> Result<(), ReserveRefusal> {
        if self.first.is_negative() {
            return Err(ReserveRefusal::LowWaterNegative);
        }
        let above = std::iter::once(&self.first).chain(&self.lower);
        let is_falling = self.lower.iter().zip(above).all(|(mark, above)| mark.is_positive() && mark < above);
        if is_falling && self.lower.len() <= LOWER_MARKS_MAX { Ok(()) } else { Err(ReserveRefusal::MarksNotFalling) }
    }
}

impl Reserve {
    /// What purchases may still hold: available and, unless it is overdue, the rest of the advance.
    pub fn usable(&self) -> Fen {
        if self.advance_overdue { Fen::ZERO } else { (self.available + self.advance_limit).or_zero() }
    }

    /// Sets `amount` aside for one purchase of `day`. Changes nothing when it refuses. A batch holds each of its
    /// purchases and then writes one journal row with [`Reserve::record`].
    pub fn hold(&mut self, amount: Fen, day: BusinessDay) -> Result<(), ReserveRefusal> {
        check_amount(amount)?;
        if self.advance_overdue {
            return Err(ReserveRefusal::AdvanceOverdue);
        }
        if amount > self.usable() {
            return Err(ReserveRefusal::ReserveExhausted);
        }
        self.held += amount;
        self.move_available(-amount, day);
        Ok(())
    }

    /// Books what slices have used. No check is needed: their leases together were never more than what was available.
    pub fn book_use(&mut self, used: Fen, occasion: Occasion) -> ReserveEntry {
        self.held += used;
        self.move_available(-used, occasion.when.business_day);
        self.record(ReserveEntryKind::Hold, used, occasion)
    }

    /// Frees what a voided purchase held.
    pub fn release(&mut self, amount: Fen, occasion: Occasion) -> ReserveEntry {
        self.held = take_from(self.held, amount);
        self.move_available(amount, occasion.when.business_day);
        self.record(ReserveEntryKind::Release, amount, occasion)
    }

    /// Turns what a day's purchases held into money paid out to merchants.
    pub fn clear(&mut self, amount: Fen, occasion: Occasion) -> ReserveEntry {
        self.held = take_from(self.held, amount);
        self.paid_out += amount;
        self.record(ReserveEntryKind::Clearing, amount, occasion)
    }

    /// Takes back the principal that fell by a refund.
    pub fn take_back(&mut self, amount: Fen, occasion: Occasion) -> ReserveEntry {
        self.returned += amount;
        self.move_available(amount, occasion.when.business_day);
        self.record(ReserveEntryKind::Refund, amount, occasion)
    }

    /// Takes in money that arrived.
    pub fn deposit(&mut self, amount: Fen, occasion: Occasion) -> Result<ReserveEntry, ReserveRefusal> {
        check_amount(amount)?;
        self.deposited += amount;
        self.move_available(amount, occasion.when.business_day);
        Ok(self.record(ReserveEntryKind::Deposit, amount, occasion))
    }

    /// Gives money back to the funder; never out of an advance.
    pub fn withdraw(&mut self, amount: Fen, occasion: Occasion) -> Result<ReserveEntry, ReserveRefusal> {
        check_amount(amount)?;
        if amount > self.available {
            return Err(ReserveRefusal::NotAvailable { available: self.available.or_zero() });
        }
        self.withdrawn += amount;
        self.move_available(-amount, occasion.when.business_day);
        Ok(self.record(ReserveEntryKind::Withdrawal, amount, occasion))
    }

    /// Sets the advance limit and the marks. Changes nothing when it refuses.
    pub fn set_terms(&mut self, advance_limit: Fen, marks: LowWaterMarks) -> Result<(), ReserveRefusal> {
        let used = (-self.available).or_zero();
        if advance_limit < used || advance_limit > Fen::MAX {
            return Err(ReserveRefusal::AdvanceLimitBelowUse { used });
        }
        self.set_marks(marks)?;
        self.advance_limit = advance_limit;
        Ok(())
    }

    /// At the close of `day`, marks the advance as overdue if `due_on`, the working day after `advance_since`, has come. `true`
    /// if it was not marked before.
    pub fn age_advance(&mut self, due_on: BusinessDay, day: BusinessDay) -> bool {
        let newly_overdue = self.advance_since.is_some() && !self.advance_overdue && day >= due_on;
        self.advance_overdue |= newly_overdue;
        newly_overdue
    }

    /// The journal row of a change that has already been made to the amounts.
    pub fn record(&mut self, kind: ReserveEntryKind, amount: Fen, occasion: Occasion) -> ReserveEntry {
        self.last_entry_no += 1;
        ReserveEntry {
            entry_no: self.last_entry_no,
            kind,
            amount,
            available_after: self.available,
            held_after: self.held,
            source: occasion.source,
            business_day: occasion.when.business_day,
            occurred_at: occasion.when.at,
        }
    }

    fn move_available(&mut self, change: Fen, day: BusinessDay) {
        self.available += change;
        if self.available.is_negative() {
            self.advance_since.get_or_insert(day);
        } else {
            // Back at zero, the advance is repaid: it is no longer overdue, and the next one has its own day.
            self.advance_since = None;
            self.advance_overdue = false;
        }
        self.forget_marks_below();
    }
}

fn check_amount(amount: Fen) -> Result<(), ReserveRefusal> {
    if amount.is_positive() && amount <= Fen::MAX { Ok(()) } else { Err(ReserveRefusal::AmountOutOfBounds) }
}

/// # Panics
/// If more is taken than is held: only an authorised purchase is voided or cleared, and once.
fn take_from(held: Fen, amount: Fen) -> Fen {
    assert!(amount <= held, "a reserve never gives up more than it holds");
    held - amount
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::funder) fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    pub(in crate::funder) fn on(text: &str) -> Occasion {
        Occasion { source: "ref".into(), when: When { business_day: day(text), at: DateTime::UNIX_EPOCH } }
    }

    pub(in crate::funder) fn reserve(available: i64, advance_limit: i64) -> Reserve {
        Reserve {
            funder_id: FunderId::from_uuid(uuid::Uuid::nil()),
            available: Fen::new(available),
            held: Fen::ZERO,
            deposited: Fen::new(available),
            withdrawn: Fen::ZERO,
            paid_out: Fen::ZERO,
            returned: Fen::ZERO,
            advance_limit: Fen::new(advance_limit),
            low_water: Fen::ZERO,
            lower_marks: Vec::new(),
            low_water_version: 1,
            low_water_noticed_on: None,
            low_water_told: None,
            advance_since: None,
            advance_overdue: false,
            last_entry_no: 0,
        }
    }

    #[test]
    fn a_reserve_holds_up_to_its_last_fen_and_no_further() {
        let mut reserve = reserve(100, 0);
        assert_eq!(reserve.hold(Fen::new(101), day("2026-03-02")), Err(ReserveRefusal::ReserveExhausted));
        assert_eq!(reserve.hold(Fen::new(100), day("2026-03-02")), Ok(()));
        assert_eq!(reserve.hold(Fen::new(1), day("2026-03-02")), Err(ReserveRefusal::ReserveExhausted));
        assert_eq!((reserve.available, reserve.held), (Fen::ZERO, Fen::new(100)));
    }

    #[test]
    fn an_advance_reaches_below_zero_and_ends_when_repaid() {
        let mut reserve = reserve(100, 50);
        reserve.hold(Fen::new(150), day("2026-03-02")).unwrap();
        assert_eq!(reserve.advance_since, Some(day("2026-03-02")));
        assert!(!reserve.age_advance(day("2026-03-03"), day("2026-03-02")));
        assert!(reserve.age_advance(day("2026-03-03"), day("2026-03-03")));
        assert!(!reserve.age_advance(day("2026-03-03"), day("2026-03-04")), "an overdue advance is noticed once");
        assert_eq!(reserve.hold(Fen::new(1), day("2026-03-04")), Err(ReserveRefusal::AdvanceOverdue));
        reserve.deposit(Fen::new(50), on("2026-03-04")).unwrap();
        assert_eq!((reserve.advance_since, reserve.advance_overdue), (None, false));
        reserve.hold(Fen::new(1), day("2026-03-04")).unwrap();
        assert_eq!(reserve.advance_since, Some(day("2026-03-04")));
    }

    #[test]
    fn a_withdrawal_never_draws_on_the_advance() {
        let mut reserve = reserve(100, 50);
        let refusal = reserve.withdraw(Fen::new(101), on("2026-03-02"));
        assert_eq!(refusal, Err(ReserveRefusal::NotAvailable { available: Fen::new(100) }));
        assert!(reserve.withdraw(Fen::new(100), on("2026-03-02")).is_ok());
    }

    #[test]
    fn the_balance_always_adds_up() {
        let mut reserve = reserve(0, 500);
        reserve.deposit(Fen::new(1000), on("2026-03-02")).unwrap();
        reserve.hold(Fen::new(700), day("2026-03-02")).unwrap();
        reserve.release(Fen::new(100), on("2026-03-02"));
        reserve.clear(Fen::new(600), on("2026-03-02"));
        reserve.take_back(Fen::new(40), on("2026-03-03"));
        reserve.withdraw(Fen::new(440), on("2026-03-03")).unwrap();
        let sum = reserve.deposited - reserve.withdrawn - reserve.held - reserve.paid_out + reserve.returned;
        assert_eq!((reserve.available, sum), (Fen::ZERO, Fen::ZERO));
        assert_eq!(reserve.last_entry_no, 5);
    }

    #[test]
    fn an_advance_is_as_old_as_its_first_day_until_all_of_it_is_repaid() {
        let mut reserve = reserve(100, 500);
        reserve.hold(Fen::new(150), day("2026-03-02")).unwrap();
        reserve.hold(Fen::new(20), day("2026-03-03")).unwrap();
        assert_eq!((reserve.available, reserve.advance_since), (Fen::new(-70), Some(day("2026-03-02"))));
        assert!(reserve.age_advance(day("2026-03-03"), day("2026-03-03")));
        assert_eq!(reserve.usable(), Fen::ZERO);
        reserve.deposit(Fen::new(68), on("2026-03-04")).unwrap();
        // A release and a refund repay the advance as well.
        reserve.release(Fen::new(1), on("2026-03-04"));
        assert_eq!((reserve.advance_since, reserve.advance_overdue), (Some(day("2026-03-02")), true));
        reserve.take_back(Fen::new(1), on("2026-03-04"));
        assert_eq!((reserve.available, reserve.advance_since, reserve.advance_overdue), (Fen::ZERO, None, false));
        assert_eq!(reserve.usable(), Fen::new(500));
        assert!(!reserve.age_advance(day("2026-03-03"), day("2026-03-05")), "there is no advance");
    }

    #[test]
    fn an_advance_limit_is_at_least_what_is_used_of_it() {
        let mut reserve = reserve(100, 50);
        reserve.hold(Fen::new(140), day("2026-03-02")).unwrap();
        let set = |reserve: &mut Reserve, limit| reserve.set_terms(limit, Fen::new(7).into());
        let used = Err(ReserveRefusal::AdvanceLimitBelowUse { used: Fen::new(40) });
        assert_eq!(set(&mut reserve, Fen::new(39)), used);
        assert_eq!(set(&mut reserve, Fen::MAX + Fen::new(1)), used);
        assert_eq!((reserve.advance_limit, reserve.low_water), (Fen::new(50), Fen::ZERO));
        assert_eq!(set(&mut reserve, Fen::new(40)), Ok(()));
        assert_eq!((reserve.advance_limit, reserve.low_water), (Fen::new(40), Fen::new(7)));
        assert_eq!(reserve.hold(Fen::new(1), day("2026-03-02")), Err(ReserveRefusal::ReserveExhausted));
        assert_eq!(set(&mut reserve, Fen::MAX), Ok(()));
    }

    #[test]
    fn each_movement_touches_its_own_amounts_and_is_written_as_it_leaves_them() {
        let mut reserve = reserve(1_000, 0);
        let told = |entry: ReserveEntry| {
            let amounts = [entry.amount, entry.available_after, entry.held_after].map(Fen::get);
            (entry.entry_no, entry.kind, amounts)
        };
        let used = reserve.book_use(Fen::new(600), on("2026-03-02"));
        assert_eq!(told(used), (1, ReserveEntryKind::Hold, [600, 400, 600]));
        assert_eq!(
            told(reserve.release(Fen::new(50), on("2026-03-02"))),
            (2, ReserveEntryKind::Release, [50, 450, 550])
        );
        assert_eq!(
            told(reserve.clear(Fen::new(500), on("2026-03-02"))),
            (3, ReserveEntryKind::Clearing, [500, 450, 50])
        );
        assert_eq!(
            told(reserve.take_back(Fen::new(30), on("2026-03-03"))),
            (4, ReserveEntryKind::Refund, [30, 480, 50])
        );
        let withdrawn = reserve.withdraw(Fen::new(80), on("2026-03-03")).unwrap();
        assert_eq!(told(withdrawn), (5, ReserveEntryKind::Withdrawal, [80, 400, 50]));
        let Reserve { deposited, withdrawn, paid_out, returned, .. } = reserve;
        assert_eq!([deposited, withdrawn, paid_out, returned].map(Fen::get), [1_000, 80, 500, 30]);
    }

    #[test]
    fn an_amount_is_above_zero_and_at_most_the_largest() {
        for fen in [Fen::ZERO, Fen::new(-1), Fen::MAX + Fen::new(1)] {
            let mut reserve = reserve(100, 0);
            assert_eq!(reserve.hold(fen, day("2026-03-02")), Err(ReserveRefusal::AmountOutOfBounds), "{fen}");
            assert_eq!(reserve.deposit(fen, on("2026-03-02")), Err(ReserveRefusal::AmountOutOfBounds), "{fen}");
            assert_eq!(reserve.withdraw(fen, on("2026-03-02")), Err(ReserveRefusal::AmountOutOfBounds), "{fen}");
        }
        assert!(reserve(0, 0).deposit(Fen::MAX, on("2026-03-02")).is_ok());
    }
}
