//! Money that counts from an earlier day, because its channel told of it late: penalty that ran meanwhile on what it pays, or would have
//! paid, was never due, and goes back with it.

use super::account::{LineAccount, Money, OpenInstallment, RepaymentItem};
use crate::base::id::LoanId;
use crate::base::{BusinessDay, Fen};
use crate::bill::{BilledInstallment, Parts};
use crate::overdue::PenaltyRule;

/// What became of a line since the day that money counts from: of its installments whose late principal changed since.
#[derive(Clone, Debug, Default)]
pub struct Since {
    pub paid: Vec<PaidSince>,
    /// Those of them whose bills are settled.
    pub settled: Vec<OpenInstallment>,
    /// What went back of other money that was told of late, in the order in which it was booked.
    pub went_back: Vec<WentBack>,
}

/// Principal of an installment that was paid since; negative where a payment was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidSince {
    pub loan_id: LoanId,
    pub period: i16,
    /// The day that it counts from.
    pub value_on: BusinessDay,
    pub principal: Fen,
}

/// Excess of money that counted from an earlier day: it would have paid what came later, and stands for that already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WentBack {
    pub value_on: BusinessDay,
    pub excess: Fen,
}

/// How much of an installment's principal was unpaid on each day that fen-days have been summed up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpaid {
    first: BusinessDay,
    /// One element a day, up to the last change of the principal.
    by_day: Vec<Fen>,
}

impl Unpaid {
    /// From `day` on. What was unpaid on a day is what is unpaid now and what was paid later, less what was taken back later.
    fn since(day: BusinessDay, (billed, rule): (&BilledInstallment, &PenaltyRule), paid: &[PaidSince]) -> Unpaid {
        let runs_until = |day| rule.runs_until(billed.due_on(), day);
        let first = runs_until(day);
        let last = billed.span.fen_days_to.unwrap_or(first);
        let days = u32::try_from(last.days_since(first)).unwrap_or_default();
        let unpaid_on = |day: BusinessDay| {
            let later = paid.iter().filter(|paid| runs_until(paid.value_on) > day);
            (billed.unpaid_principal() + later.map(|paid| paid.principal).sum::<Fen>()).or_zero()
        };
        Unpaid { first, by_day: (0..days).map(|k| unpaid_on(first.plus_days(k))).collect() }
    }

    fn days_from(&mut self, day: BusinessDay) -> impl Iterator<Item = &mut Fen> {
        let days = usize::try_from(day.days_since(self.first)).unwrap_or_default();
        self.by_day.iter_mut().skip(days)
    }

    /// Counts as much of `principal` as was unpaid on each day from `day` on as paid; returns the fen-days that ran on it.
    pub(super) fn count_as_paid(&mut self, principal: Fen, day: BusinessDay) -> i128 {
        let mut ran = 0;
        for unpaid in self.days_from(day) {
            let covered = principal.min(*unpaid);
            *unpaid -= covered;
            ran += i128::from(covered.get());
        }
        ran
    }
}

impl LineAccount {
    /// Finds out how much of each installment was unpaid on each day since `day`, from what was loaded of them.
    pub(super) fn look_back(&mut self, day: BusinessDay) {
        let all = std::mem::take(&mut self.since.paid);
        if all.is_empty() {
            return;
        }
        for open in self.installments.iter_mut().chain(&mut self.since.settled) {
            let is_of = |later: &&PaidSince| (later.loan_id, later.period) == (open.billed.loan_id, open.billed.period);
            let paid: Vec<PaidSince> = all.iter().filter(is_of).copied().collect();
            if !paid.is_empty() {
                open.unpaid = Some(Unpaid::since(day, (&open.billed, &open.rule), &paid));
            }
        }
        for earlier in std::mem::take(&mut self.since.went_back) {
            // What ran on it was taken off when it came.
            self.count_as_paid(earlier.excess, earlier.value_on);
        }
    }

    /// What money does beyond what it has paid, where it counts from before today. As far as it reaches beyond what is still owed, it
    /// would have paid what other money paid later, so that no penalty has run on that; principal first, to the borrower's favour.
    /// Penalty that was paid for it is allocated as the money is; returns what nothing can take.
    pub(super) fn settle_back(&mut self, money: &Money, items: &mut Vec<RepaymentItem>, mut left: Fen) -> Fen {
        if money.value_on >= money.today {
            return left;
        }
        for (open, ran) in self.count_as_paid(left, money.value_on) {
            open.billed.span.take_off(ran);
            open.touched = true;
        }
        // What goes back pays principal from that day, too, so that less still has run on what is left.
        loop {
            let back = self.give_penalty_back(money.today, items);
            if back.is_zero() {
                break;
            }
            let (again, unused) = self.pay_installments(back, money.value_on);
            for item in again {
                add(items, item);
            }
            left += unused;
        }
        items.retain(|item| !item.taken.is_zero());
        // One that owed penalty alone may owe nothing now.
        for open in &mut self.loans {
            let is_of = |installment: &&OpenInstallment| installment.billed.loan_id == open.loan.loan_id;
            open.touched |= self.installments.iter().filter(is_of).any(|installment| installment.touched);
        }
        left
    }

    /// Counts money that nothing could take as paid from `day` on where other money paid later, the oldest due first; returns the
    /// fen-days that ran on it, by installment.
    fn count_as_paid(&mut self, mut left: Fen, day: BusinessDay) -> Vec<(&mut OpenInstallment, i128)> {
        let mut all: Vec<&mut OpenInstallment> = self.installments.iter_mut().chain(&mut self.since.settled).collect();
        all.sort_by_key(|open| open.billed.due_on());
        let mut counted = Vec::new();
        for open in all {
            let from = open.runs_until(day);
            let Some(unpaid) = &mut open.unpaid else { continue };
            let most = unpaid.days_from(from).map(|unpaid| *unpaid).max().unwrap_or_default();
            let covered = left.min(most);
            left -= covered;
            let ran = unpaid.count_as_paid(covered, from);
            counted.push((open, ran));
        }
        counted
    }

    /// Takes off what was paid of penalty beyond what is due; returns how much that is.
    fn give_penalty_back(&mut self, today: BusinessDay, items: &mut Vec<RepaymentItem>) -> Fen {
        let mut back = Fen::ZERO;
        for open in self.installments.iter_mut().chain(&mut self.since.settled) {
            let overpaid = open.billed.overpaid_penalty(&open.rule, today);
            if overpaid.is_positive() {
                let taken = Parts { penalty: -overpaid, ..Parts::default() };
                open.pay(taken, today);
                add(items, RepaymentItem { loan_id: open.billed.loan_id, period: open.billed.period, taken });
                back += overpaid;
            }
        }
        back
    }
}

/// One item an installment.
fn add(items: &mut Vec<RepaymentItem>, item: RepaymentItem) {
    match items.iter_mut().find(|earlier| (earlier.loan_id, earlier.period) == (item.loan_id, item.period)) {
        Some(earlier) => earlier.taken += item.taken,
        None => items.push(item),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::base::Rate;
    use crate::base::id::{LineId, ProductId};
    use crate::overdue::OverdueSpan;
    use crate::product::terms::{PenaltyRate, PenaltyTerms};

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    fn rule(grace_days: u16) -> PenaltyRule {
        PenaltyRule::new(
            &PenaltyTerms { rate: PenaltyRate::Daily(Rate::ZERO), basis_days: 365, grace_days },
            Rate::ZERO,
        )
    }

    /// Due on 10 January with 100,000 fen, all of it paid on the 20th at last.
    fn paid_at_last() -> BilledInstallment {
        let at = DateTime::UNIX_EPOCH;
        let principal = Parts { principal: Fen::new(100_000), ..Parts::default() };
        let mut span = OverdueSpan::new(day("2026-01-10"));
        span.fen_days_to = Some(day("2026-01-20"));
        BilledInstallment {
            line_id: LineId::mint(at),
            loan_id: LoanId::mint(at),
            period: 1,
            billed: principal,
            paid: principal,
            returned: Parts::default(),
            span,
            product_id: ProductId::mint(at),
            product_version: 1,
            annual_rate: Rate::ZERO,
        }
    }

    fn paid_on(billed: &BilledInstallment, value_on: &str, fen: i64) -> PaidSince {
        let (loan_id, period) = (billed.loan_id, billed.period);
        PaidSince { loan_id, period, value_on: day(value_on), principal: Fen::new(fen) }
    }

    #[test]
    fn money_takes_off_what_ran_on_as_much_as_was_unpaid_on_each_day_and_no_day_twice() {
        let billed = paid_at_last();
        // 60,000 were held for paid for three days.
        let paid = [
            paid_on(&billed, "2026-01-15", 60_000),
            paid_on(&billed, "2026-01-18", -60_000),
            paid_on(&billed, "2026-01-20", 100_000),
        ];
        let mut unpaid = Unpaid::since(day("2026-01-12"), (&billed, &rule(0)), &paid);
        // 50,000 for three days, 40,000 for three, and 50,000 for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(50_000), day("2026-01-12")), 370_000);
        // 50,000 for one day and for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-14")), 150_000);
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-12")), 100_000);
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-12")), 0);
    }

    #[test]
    fn each_payment_that_was_taken_back_is_held_for_paid_for_its_own_days() {
        let mut billed = paid_at_last();
        billed.paid = Parts::default();
        let paid = [
            paid_on(&billed, "2026-01-12", 40_000),
            paid_on(&billed, "2026-01-14", 60_000),
            paid_on(&billed, "2026-01-18", -40_000),
            paid_on(&billed, "2026-01-20", -60_000),
        ];
        let mut unpaid = Unpaid::since(day("2026-01-11"), (&billed, &rule(0)), &paid);
        // 100,000 for a day, 60,000 for two, nothing for four, and 40,000 for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-11")), 300_000);
    }

    #[test]
    fn what_was_paid_within_grace_was_unpaid_on_no_day_and_money_of_then_counts_from_day_one() {
        let billed = paid_at_last();
        let paid = [paid_on(&billed, "2026-01-13", 30_000), paid_on(&billed, "2026-01-20", 70_000)];
        let rule = rule(3);
        let mut unpaid = Unpaid::since(day("2026-01-12"), (&billed, &rule), &paid);
        let from = rule.runs_until(billed.due_on(), day("2026-01-12"));
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), from), 700_000);
    }
}
