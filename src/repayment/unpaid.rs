//! For back-dated money: how much of an installment was unpaid on each day since the money's value date, and how many fen-days of
//! penalty the money takes off. See `back_dated` for the whole computation.

use std::collections::BTreeMap;

use crate::base::id::LoanId;
use crate::base::{BusinessDay, Fen};
use crate::bill::{BilledInstallment, Parts};
use crate::overdue::PenaltyRule;

/// A change of what an installment owes after the value date: a payment, or a reduction by a refund. Negative for a reversed payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidSince {
    pub loan_id: LoanId,
    pub period: i16,
    /// The day that the change counts from.
    pub value_on: BusinessDay,
    pub principal: Fen,
    pub interest: Fen,
    /// Whether this reverses an earlier booking of the same order whose money is booked now, because its channel had reported it
    /// wrongly.
    pub is_own: bool,
}

/// Money that was here on some days without paying what was owed on them, because it was paid back or paid what fell due later. On
/// those days it could have paid what other money paid only later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    pub amount: Fen,
    pub from: BusinessDay,
    /// The first day on which it is no longer idle.
    pub until: BusinessDay,
    /// The loan that the money was collected to pay off; it counts as paid first.
    pub pays_off: Option<LoanId>,
}

/// Idle money, and how much of it has been used on each day.
pub(super) struct Spare<'a> {
    idle: &'a Idle,
    used: BTreeMap<BusinessDay, Fen>,
}

impl<'a> Spare<'a> {
    pub(super) fn new(idle: &'a Idle) -> Spare<'a> {
        Spare { idle, used: BTreeMap::new() }
    }

    fn on(&self, day: BusinessDay) -> Fen {
        if day < self.idle.from || day >= self.idle.until {
            return Fen::ZERO;
        }
        (self.idle.amount - self.used.get(&day).copied().unwrap_or_default()).or_zero()
    }

    fn take(&mut self, amount: Fen, day: BusinessDay) {
        *self.used.entry(day).or_default() += amount;
    }
}

/// How much of an installment's penalty base was unpaid on each day whose fen-days have been summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpaid {
    /// The value date; the due day if that is within grace.
    first: BusinessDay,
    /// Unpaid on the first day, ignoring an earlier booking of the same order that was reversed.
    pub(super) at_first: Parts,
    grace_until: BusinessDay,
    /// Element k: the fen on which penalty ran from k days after the first day to the day after. It ends at the last change: from then
    /// on penalty runs on what is unpaid now, and no fen-days have been summed up yet.
    pub(super) by_day: Vec<Fen>,
}

impl Unpaid {
    /// Computes it for the days from `day` on. Unpaid on a day: what is unpaid now, plus what was paid after that day, less what was
    /// reversed after it.
    pub(super) fn since(
        day: BusinessDay,
        billed: &BilledInstallment,
        rule: &PenaltyRule,
        paid: &[PaidSince],
    ) -> Unpaid {
        let runs_until = |day| rule.runs_until(billed.due_on(), day);
        let first = runs_until(day);
        let last = billed.span.fen_days_to.unwrap_or(first);
        let days = u32::try_from(last.days_since(first)).unwrap_or_default();
        // What is paid within grace never was overdue; what a reversal makes owed again is overdue only from the reversal's day.
        let counts_from = |paid: &PaidSince| match rule.base_of(paid.parts()).is_negative() {
            true => paid.value_on,
            false => runs_until(paid.value_on),
        };
        let unpaid_on = |day: BusinessDay| {
            let mut unpaid = billed.unpaid();
            paid.iter().filter(|paid| counts_from(paid) > day).for_each(|paid| unpaid += paid.parts());
            let (principal, interest) = (unpaid.principal.or_zero(), unpaid.interest.or_zero());
            Parts { principal, interest, ..Parts::default() }
        };
        let by_day = (0..days).map(|k| rule.base_of(unpaid_on(first.plus_days(k)))).collect();
        let mut at_first = unpaid_on(first);
        paid.iter().filter(|paid| paid.is_own).for_each(|paid| at_first += -paid.parts());
        Unpaid { first, at_first, grace_until: rule.grace_until(billed.due_on()), by_day }
    }

    /// Counts `base` as paid from `day` on, on each day at most what was unpaid. Returns the fen-days that had run on it.
    pub(super) fn count_as_paid(&mut self, base: Fen, day: BusinessDay) -> i128 {
        let days = usize::try_from(day.days_since(self.first)).unwrap_or_default();
        let mut ran = 0;
        for unpaid in self.by_day.iter_mut().skip(days) {
            let covered = base.min(*unpaid);
            *unpaid -= covered;
            ran += i128::from(covered.get());
        }
        ran
    }

    /// As [`Unpaid::count_as_paid`], with what is unused of idle money on each day.
    pub(super) fn count_idle_as_paid(&mut self, spare: &mut Spare<'_>) -> i128 {
        let mut ran = 0;
        let days = (0..).map(|k| self.first.plus_days(k));
        for (day, unpaid) in days.zip(&mut self.by_day) {
            // What is paid within grace never was overdue.
            let covered = spare.on(day.max(self.grace_until)).min(*unpaid);
            spare.take(covered, day);
            *unpaid -= covered;
            ran += i128::from(covered.get());
        }
        ran
    }
}

impl PaidSince {
    pub(super) fn parts(&self) -> Parts {
        Parts { principal: self.principal, interest: self.interest, ..Parts::default() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::base::Rate;
    use crate::base::id::{LineId, ProductId};
    use crate::overdue::OverdueSpan;
    use crate::product::terms::{PenaltyBase, PenaltyRate, PenaltyTerms};

    pub(in crate::repayment) fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    fn rule(grace_days: u16) -> PenaltyRule {
        rule_of(PenaltyBase::Principal, grace_days)
    }

    fn rule_of(base: PenaltyBase, grace_days: u16) -> PenaltyRule {
        let rate = PenaltyRate::Daily(Rate::ZERO);
        PenaltyRule::new(&PenaltyTerms { rate, base, basis_days: 365, grace_days }, Rate::ZERO)
    }

    /// 100,000 fen, due on 10 January, fully paid only on the 20th.
    pub(in crate::repayment) fn paid_at_last() -> BilledInstallment {
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

    pub(in crate::repayment) fn paid_on(billed: &BilledInstallment, value_on: &str, fen: i64) -> PaidSince {
        let (loan_id, period) = (billed.loan_id, billed.period);
        let (value_on, principal) = (day(value_on), Fen::new(fen));
        PaidSince { loan_id, period, value_on, principal, interest: Fen::ZERO, is_own: false }
    }

    #[test]
    fn money_takes_off_the_fen_days_of_what_was_unpaid_on_each_day_only_once() {
        let billed = paid_at_last();
        // 60,000 counted as paid for three days.
        let paid = [
            paid_on(&billed, "2026-01-15", 60_000),
            paid_on(&billed, "2026-01-18", -60_000),
            paid_on(&billed, "2026-01-20", 100_000),
        ];
        let mut unpaid = Unpaid::since(day("2026-01-12"), &billed, &rule(0), &paid);
        // 50,000 for three days, 40,000 for three, and 50,000 for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(50_000), day("2026-01-12")), 370_000);
        // 50,000 for one day and for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-14")), 150_000);
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-12")), 100_000);
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-12")), 0);
    }

    #[test]
    fn money_that_paid_a_later_bill_counts_for_the_earlier_one_until_then() {
        let billed = paid_at_last();
        let paid = [paid_on(&billed, "2026-01-20", 100_000)];
        let unpaid = || Unpaid::since(day("2026-01-12"), &billed, &rule(0), &paid);
        let from = day("2026-01-12");
        let idle = |fen, until| Idle { amount: Fen::new(fen), from, until: day(until), pays_off: None };
        let cover = |idle: &[Idle]| -> i128 {
            let mut unpaid = unpaid();
            idle.iter().map(|idle| unpaid.count_idle_as_paid(&mut Spare::new(idle))).sum()
        };
        // 60,000 for the eight days until other money paid, and no more though they were there for a month.
        assert_eq!(cover(&[idle(60_000, "2026-02-10")]), 480_000);
        // Another bill fell due on the 15th, and took 70,000 from then on: 100,000 for three days and 40,000 for five.
        assert_eq!(cover(&[idle(70_000, "2026-01-15"), idle(40_000, "2026-02-10")]), 500_000);
        assert_eq!(cover(&[idle(60_000, "2026-01-12")]), 0);
    }

    #[test]
    fn idle_money_pays_the_oldest_on_each_day_and_the_next_with_what_that_leaves() {
        let billed = paid_at_last();
        let unpaid =
            |days: u16, on, fen| Unpaid::since(day("2026-01-12"), &billed, &rule(days), &[paid_on(&billed, on, fen)]);
        let (amount, from, until) = (Fen::new(60_000), day("2026-01-12"), day("2026-01-20"));
        let idle = Idle { amount, from, until, pays_off: None };
        let mut spare = Spare::new(&idle);
        // 50,000 until the 14th; then there are 10,000 for two days, and 40,000 for four.
        assert_eq!(unpaid(0, "2026-01-14", 50_000).count_idle_as_paid(&mut spare), 100_000);
        assert_eq!(unpaid(0, "2026-01-18", 40_000).count_idle_as_paid(&mut spare), 180_000);
        assert_eq!(unpaid(0, "2026-01-20", 100_000).count_idle_as_paid(&mut spare), 200_000);
        // By the end of grace it was there for all of the second one, which so never was overdue.
        let mut spare = Spare::new(&idle);
        assert_eq!(unpaid(0, "2026-01-14", 50_000).count_idle_as_paid(&mut spare), 100_000);
        assert_eq!(unpaid(4, "2026-01-20", 60_000).count_idle_as_paid(&mut spare), 600_000);
    }

    #[test]
    fn each_reversed_payment_counts_as_paid_on_its_own_days() {
        let mut billed = paid_at_last();
        billed.paid = Parts::default();
        let paid = [
            paid_on(&billed, "2026-01-12", 40_000),
            paid_on(&billed, "2026-01-14", 60_000),
            paid_on(&billed, "2026-01-18", -40_000),
            paid_on(&billed, "2026-01-20", -60_000),
        ];
        let mut unpaid = Unpaid::since(day("2026-01-11"), &billed, &rule(0), &paid);
        // 100,000 for a day, 60,000 for two, nothing for four, and 40,000 for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-11")), 300_000);
    }

    #[test]
    fn a_reversed_booking_of_the_same_order_counts_as_unpaid_on_the_first_day() {
        let mut billed = paid_at_last();
        billed.paid = Parts::default();
        let taken_back = paid_on(&billed, "2026-01-20", -60_000);
        let since = |is_own| Unpaid::since(day("2026-01-12"), &billed, &rule(0), &[PaidSince { is_own, ..taken_back }]);
        // Penalty has run on 40,000 alone, whosever the money was.
        let principal = |fen| Parts { principal: Fen::new(fen), ..Parts::default() };
        assert_eq!((since(false).at_first, since(false).by_day), (principal(40_000), vec![Fen::new(40_000); 8]));
        assert_eq!((since(true).at_first, since(true).by_day), (principal(100_000), vec![Fen::new(40_000); 8]));
    }

    #[test]
    fn interest_that_was_paid_since_was_unpaid_until_then_where_it_bears_penalty() {
        let mut billed = paid_at_last();
        (billed.billed.interest, billed.paid.interest) = (Fen::new(1_000), Fen::new(1_000));
        let interest = PaidSince { interest: Fen::new(1_000), ..paid_on(&billed, "2026-01-16", 0) };
        let paid = [interest, paid_on(&billed, "2026-01-20", 100_000)];
        let since = |base| Unpaid::since(day("2026-01-14"), &billed, &rule_of(base, 0), &paid);
        assert_eq!(since(PenaltyBase::Principal).by_day, vec![Fen::new(100_000); 6]);
        let mut unpaid = since(PenaltyBase::PrincipalAndInterest);
        assert_eq!((unpaid.at_first.principal, unpaid.at_first.interest), (Fen::new(100_000), Fen::new(1_000)));
        // 100,500 for two days and 100,000 for four; 500 for two days are left.
        assert_eq!(unpaid.count_as_paid(Fen::new(100_500), day("2026-01-14")), 601_000);
        assert_eq!(unpaid.count_as_paid(Fen::new(100_500), day("2026-01-14")), 1_000);
    }

    #[test]
    fn what_was_paid_within_grace_was_unpaid_on_no_day_and_money_of_then_counts_from_day_one() {
        let billed = paid_at_last();
        let paid = [paid_on(&billed, "2026-01-13", 30_000), paid_on(&billed, "2026-01-20", 70_000)];
        let rule = rule(3);
        let mut unpaid = Unpaid::since(day("2026-01-12"), &billed, &rule, &paid);
        let from = rule.runs_until(billed.due_on(), day("2026-01-12"));
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), from), 700_000);
    }
}
