//! How a refund changed the charges of a schedule, row by row, in figures that a person can follow.

use super::schedule::Schedule;
use crate::base::{BusinessDay, Fen};

/// How a refund scaled the interest or fee of a period that was not billed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescaling {
    /// It is zero: no principal is left to bear it.
    Nothing,
    /// Old × (balance before × days before + balance after × the other days) ÷ (balance before × days).
    Interest { old: Fen, balance_before: Fen, balance_after: Fen, days: i64, days_before: i64, new: Fen },
    /// Old × principal after ÷ principal before, of all that was not billed.
    Fee { old: Fen, balance_before: Fen, balance_after: Fen, new: Fen },
}

impl Rescaling {
    /// The old amount, the balances before and after, and the new amount.
    pub fn amounts(&self) -> [Fen; 4] {
        match *self {
            Rescaling::Nothing => [Fen::ZERO; 4],
            Rescaling::Interest { old, balance_before, balance_after, new, .. }
            | Rescaling::Fee { old, balance_before, balance_after, new } => [old, balance_before, balance_after, new],
        }
    }
}

/// How a refund changed one row; `None` for a charge that the row did not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RescaledRow {
    pub interest: Option<Rescaling>,
    pub fee: Option<Rescaling>,
}

/// A schedule before and after a refund.
#[derive(Clone, Copy, Debug)]
pub struct Reduced<'a> {
    pub before: &'a Schedule,
    pub after: &'a Schedule,
    pub periods_billed: u16,
    pub made_on: BusinessDay,
    /// The business day of the refund.
    pub day: BusinessDay,
}

/// Explains what [`super::reduction::reduce`] did to the row at `index`, which was not billed on the refund's day. Where no
/// principal is left at all, the interest is explained by that even if there was none.
pub fn explain(reduced: Reduced<'_>, index: usize) -> RescaledRow {
    let Reduced { before, after, periods_billed, made_on, day } = reduced;
    let billed = usize::from(periods_billed);
    let principal = |schedule: &Schedule, from: usize| -> Fen {
        schedule.installments.iter().skip(from).map(|row| row.principal).sum()
    };
    let (Some(old), Some(new)) = (before.installments.get(index), after.installments.get(index)) else {
        return RescaledRow::default();
    };
    let asked_fee = old.fee.is_positive();
    if principal(after, billed).is_zero() {
        return RescaledRow { interest: Some(Rescaling::Nothing), fee: asked_fee.then_some(Rescaling::Nothing) };
    }
    let from = index.checked_sub(1).map_or(made_on, |last| before.installments[last].due_on);
    let days = old.due_on.days_since(from).max(1);
    let interest = Rescaling::Interest {
        old: old.interest,
        balance_before: principal(before, index),
        balance_after: principal(after, index),
        days,
        days_before: day.days_since(from).clamp(0, days),
        new: new.interest,
    };
    let (balance_before, balance_after) = (principal(before, billed), principal(after, billed));
    let fee = match principal(after, index).is_zero() {
        true => Rescaling::Nothing,
        false => Rescaling::Fee { old: old.fee, balance_before, balance_after, new: new.fee },
    };
    RescaledRow { interest: old.interest.is_positive().then_some(interest), fee: asked_fee.then_some(fee) }
}
