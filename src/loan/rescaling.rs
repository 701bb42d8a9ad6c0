//! How a refund changed the charges of a schedule, row by row, in figures that a person can follow.

use super::schedule::Schedule;
use crate::base::money::round_half_up;
use crate::base::{BusinessDay, Fen};

/// A version of a schedule that a refund replaced.
#[derive(Clone, Copy, Debug)]
pub struct Earlier<'a> {
    pub schedule: &'a Schedule,
    /// The day of that refund.
    pub until: BusinessDay,
}

/// A balance, and for how many days of a period it bears interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borne {
    pub balance: Fen,
    pub days: i64,
}

/// A period that is not billed, as a refund finds it and leaves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period<'a> {
    pub index: usize,
    /// The due day before its own, or the day on which the loan was made.
    pub from: BusinessDay,
    pub due_on: BusinessDay,
    /// The versions that earlier refunds replaced, the first one first.
    pub earlier: &'a [Earlier<'a>],
    /// The business day of the refund.
    pub day: BusinessDay,
    /// The principal that is left to the period as it opens.
    pub balance_before: Fen,
    pub balance_after: Fen,
}

impl Period<'_> {
    fn days(&self) -> i64 {
        self.due_on.days_since(self.from).max(1)
    }

    /// The balances that bear interest in the period, in order of time: each version's until the next one stands.
    fn borne(&self) -> Vec<Borne> {
        let earlier = self.earlier.iter().map(|version| (principal_from(version.schedule, self.index), version.until));
        let mut passed = 0;
        let mut borne = Vec::new();
        for (balance, until) in earlier.chain([(self.balance_before, self.day)]) {
            let ended = until.days_since(self.from).clamp(passed, self.days());
            borne.push(Borne { balance, days: ended - passed });
            passed = ended;
        }
        borne.push(Borne { balance: self.balance_after, days: self.days() - passed });
        borne.retain(|borne| borne.days > 0);
        borne
    }

    /// The period's interest as it was agreed, and the balance that it was agreed on. `found` is what the refund finds of it.
    fn agreed(&self, found: Fen) -> (Fen, Fen) {
        let first = self.earlier.first().map(|version| version.schedule);
        let agreed = first.and_then(|schedule| {
            let row = schedule.installments.get(self.index)?;
            Some((row.interest, principal_from(schedule, self.index)))
        });
        agreed.unwrap_or((found, self.balance_before))
    }

    /// What is left of the period's interest, of which the refund finds so much: what was agreed, by the balances that bear it. It is
    /// always computed from what was agreed, and rounded once, so that refunds in parts leave what one of all of them leaves.
    pub fn interest(&self, found: Fen) -> Fen {
        let (agreed, balance) = self.agreed(found);
        let whole = i128::from(balance.get()) * i128::from(self.days());
        if whole == 0 {
            return Fen::ZERO;
        }
        let borne: i128 = self.borne().iter().map(|one| i128::from(one.balance.get()) * i128::from(one.days)).sum();
        Fen::new(round_half_up(i128::from(agreed.get()) * borne, whole)).min(found)
    }
}

/// The fees of the periods that are not billed, as they stood since the last statement, and the principal that they stood on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fees<'a> {
    stood: &'a Schedule,
    unbilled: Fen,
    /// Whether a refund since that statement has come before the one that is looked at.
    is_again: bool,
}

impl<'a> Fees<'a> {
    /// Of the version that stood when the last statement was cut, on `billed_on`: the first one, where none was. `found` is the version
    /// that the refund finds, of which `billed` rows are billed.
    pub fn of(earlier: &[Earlier<'a>], found: &'a Schedule, billed: usize, billed_on: Option<BusinessDay>) -> Fees<'a> {
        let stood = earlier.iter().find(|version| billed_on.is_none_or(|day| version.until > day));
        let (is_again, stood) = (stood.is_some(), stood.map_or(found, |version| version.schedule));
        Fees { stood, unbilled: principal_from(stood, billed), is_again }
    }

    /// What is left of the fee at `index`, of which the refund finds so much, once this much principal is not billed. As with interest,
    /// refunds in parts leave what one of all of them leaves.
    pub fn left(&self, index: usize, found: Fen, unbilled_after: Fen) -> Fen {
        self.at(index).share(unbilled_after.get(), self.unbilled.get()).min(found)
    }

    fn at(&self, index: usize) -> Fen {
        self.stood.installments.get(index).map_or(Fen::ZERO, |row| row.fee)
    }
}

/// The principal of the rows from one on.
fn principal_from(schedule: &Schedule, index: usize) -> Fen {
    schedule.installments.iter().skip(index).map(|row| row.principal).sum()
}

/// How a refund scaled the interest or fee of a period that was not billed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rescaling {
    /// It is zero: no principal is left to bear it.
    Nothing,
    /// By the first refund, or by a later one of an old version: old × (balance before × days before + balance after × the other days)
    /// ÷ (balance before × days).
    Interest { old: Fen, balance_before: Fen, balance_after: Fen, days: i64, days_before: i64, new: Fen },
    /// By a later one: agreed × the sum of each balance × its days ÷ (the balance that it was agreed on × days).
    InterestAgain { agreed: Fen, balance: Fen, days: i64, borne: Vec<Borne>, new: Fen },
    /// Old × principal after ÷ principal before, of all that was not billed; where it is not the first refund since the last statement,
    /// old and before are those before all of them.
    Fee { old: Fen, balance_before: Fen, balance_after: Fen, new: Fen, is_again: bool },
}

impl Rescaling {
    /// The old amount, the balances before and after, and the new amount; of a later refund the amount that was agreed, the balance that
    /// it was agreed on, and the last one.
    pub fn amounts(&self) -> [Fen; 4] {
        match self {
            Rescaling::Nothing => [Fen::ZERO; 4],
            Rescaling::InterestAgain { agreed, balance, borne, new, .. } => {
                [*agreed, *balance, borne.last().map_or(Fen::ZERO, |last| last.balance), *new]
            }
            Rescaling::Interest { old, balance_before, balance_after, new, .. }
            | Rescaling::Fee { old, balance_before, balance_after, new, .. } => {
                [*old, *balance_before, *balance_after, *new]
            }
        }
    }
}

/// How a refund changed one row; `None` for a charge that the row did not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RescaledRow {
    pub interest: Option<Rescaling>,
    pub fee: Option<Rescaling>,
}

/// A schedule before and after a refund.
#[derive(Clone, Copy, Debug)]
pub struct Reduced<'a> {
    /// The versions that earlier refunds replaced, the first one first.
    pub earlier: &'a [Earlier<'a>],
    pub before: &'a Schedule,
    pub after: &'a Schedule,
    pub periods_billed: u16,
    /// The day on which the last of them was billed.
    pub billed_on: Option<BusinessDay>,
    pub made_on: BusinessDay,
    /// The business day of the refund.
    pub day: BusinessDay,
}

/// Explains what [`super::reduction::reduce`] did to the row at `index`, which was not billed on the refund's day. Where no
/// principal is left at all, the interest is explained by that even if there was none. Old versions, of when each refund scaled what the
/// one before it had left, are explained as such.
pub fn explain(reduced: Reduced<'_>, index: usize) -> RescaledRow {
    let Reduced { earlier, before, after, periods_billed, billed_on, made_on, day } = reduced;
    let billed = usize::from(periods_billed);
    let (Some(old), Some(new)) = (before.installments.get(index), after.installments.get(index)) else {
        return RescaledRow::default();
    };
    let asked_fee = old.fee.is_positive();
    let unbilled_after = principal_from(after, billed);
    if unbilled_after.is_zero() {
        return RescaledRow { interest: Some(Rescaling::Nothing), fee: asked_fee.then_some(Rescaling::Nothing) };
    }
    let from = index.checked_sub(1).map_or(made_on, |last| before.installments[last].due_on);
    let (balance_before, balance_after) = (principal_from(before, index), principal_from(after, index));
    let period = Period { index, from, due_on: old.due_on, earlier, day, balance_before, balance_after };
    let days = period.days();
    let interest = if earlier.is_empty() || period.interest(old.interest) != new.interest {
        let days_before = day.days_since(from).clamp(0, days);
        Rescaling::Interest { old: old.interest, balance_before, balance_after, days, days_before, new: new.interest }
    } else {
        let (agreed, balance) = period.agreed(old.interest);
        Rescaling::InterestAgain { agreed, balance, days, borne: period.borne(), new: new.interest }
    };
    let mut fees = Fees::of(earlier, before, billed, billed_on);
    if fees.left(index, old.fee, unbilled_after) != new.fee {
        fees = Fees::of(&[], before, billed, billed_on);
    }
    let fee = match balance_after.is_zero() {
        true => Rescaling::Nothing,
        false => Rescaling::Fee {
            old: fees.at(index),
            balance_before: fees.unbilled,
            balance_after: unbilled_after,
            new: new.fee,
            is_again: fees.is_again,
        },
    };
    RescaledRow { interest: old.interest.is_positive().then_some(interest), fee: asked_fee.then_some(fee) }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Installment;
    use super::*;

    #[test]
    fn a_second_refund_of_when_each_one_scaled_what_the_last_one_left_is_explained_as_such() {
        let day = |text: &str| -> BusinessDay { text.parse().unwrap() };
        let version = |principal: i64, interest: i64, fee: i64| {
            let [principal, interest, fee] = [principal, interest, fee].map(Fen::new);
            Schedule { installments: vec![Installment { due_on: day("2026-03-25"), principal, interest, fee }] }
        };
        let explained = |after: &Schedule| {
            let (made, before) = (version(120_000, 1_080, 15), version(90_000, 833, 11));
            let earlier = [Earlier { schedule: &made, until: day("2026-03-04") }];
            let (made_on, day) = (day("2026-03-02"), day("2026-03-04"));
            let reduced =
                Reduced { earlier: &earlier, before: &before, after, periods_billed: 0, billed_on: None, made_on, day };
            let RescaledRow { interest, fee } = explain(reduced, 0);
            (interest.unwrap().amounts().map(Fen::get), fee.unwrap().amounts().map(Fen::get))
        };
        // 10.80 × (1,200.00 × 2 + 600.00 × 21) ÷ (1,200.00 × 23), and 0.15 × 600.00 ÷ 1,200.00.
        let now = explained(&version(60_000, 587, 8));
        assert_eq!(now, ([1_080, 120_000, 60_000, 587], [15, 120_000, 60_000, 8]));
        // 8.33 × (900.00 × 2 + 600.00 × 21) ÷ (900.00 × 23), and 0.11 × 600.00 ÷ 900.00.
        let then = explained(&version(60_000, 579, 7));
        assert_eq!(then, ([833, 90_000, 60_000, 579], [11, 90_000, 60_000, 7]));
    }
}
