//! Money that counts from an earlier day, because its channel told of it late. Penalty that has run since on what it pays, or would
//! have paid, was never due, and is given back. Three questions are asked, in the order of [`LineAccount::receive`]:
//!
//! 1. How much of each installment was unpaid on each day since ([`Unpaid`])? Other money has come, was taken back, or principal
//!    fell by a refund.
//! 2. What does the money pay? First what was due and unpaid on its day (`owed_then`), then what else is owed.
//! 3. On which days did it pay nothing ([`Idle`])? On those it would have paid what other money paid only later, so that less
//!    penalty has run. What was paid beyond that is allocated as the money itself.
//!
//! Penalty is counted in fen-days (see [`crate::overdue::OverdueSpan`]). An example: 600 fen fall due on the 10th and are paid on the
//! 20th, which makes 6,000 fen-days. If 400 of them turn out to have come on the 12th, 8 × 400 are taken off, and 2,800 are left.

use std::collections::BTreeMap;

use super::account::{LineAccount, Money, OpenInstallment, RepaymentItem};
use crate::base::id::LoanId;
use crate::base::{BusinessDay, Fen};
use crate::bill::{BilledInstallment, Parts};
use crate::overdue::PenaltyRule;
use crate::product::terms::PenaltyBase;

/// What became of a line since the day that money counts from: of its installments of which what bears penalty changed since.
#[derive(Clone, Debug, Default)]
pub struct Since {
    pub paid: Vec<PaidSince>,
    /// Those of them whose bills are settled.
    pub settled: Vec<OpenInstallment>,
    /// Of other money that was told of late.
    pub idle: Vec<Idle>,
}

/// What of an installment was paid since, or fell by a refund; negative where a payment was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidSince {
    pub loan_id: LoanId,
    pub period: i16,
    /// The day that it counts from.
    pub value_on: BusinessDay,
    pub principal: Fen,
    pub interest: Fen,
    /// Whether it takes back what was booked before of the very order whose money is booked now: its channel had told of it wrongly.
    pub is_own: bool,
}

/// Money that was there for some days without paying what was owed on them: it went back, or paid what fell due later. It would
/// have paid what other money paid then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    pub amount: Fen,
    pub from: BusinessDay,
    /// The first day on which it is there no more, or pays what is owed.
    pub until: BusinessDay,
    /// The loan that it came to pay off: that is what it would have paid first.
    pub pays_off: Option<LoanId>,
}

/// What is left of money.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub amount: Fen,
    /// The loan that the money came to pay off.
    pub pays_off: Option<LoanId>,
}

/// Idle money, and how much of it installments were counted as paid with on each day.
struct Spare<'a> {
    idle: &'a Idle,
    used: BTreeMap<BusinessDay, Fen>,
}

impl Spare<'_> {
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

/// How much of what bears penalty of an installment was unpaid on each day that fen-days have been summed up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpaid {
    /// The day that the money counts from, or the due day, where it came within grace.
    first: BusinessDay,
    /// Unpaid on the first day, as if what was booked before of the same order, and taken back, had never been.
    at_first: Parts,
    grace_until: BusinessDay,
    /// Element k ran penalty from k days after the first to the day that follows. Up to the last change; from then on penalty runs on what
    /// is unpaid now, and nothing has been summed up yet.
    by_day: Vec<Fen>,
}

impl Unpaid {
    /// From `day` on. What was unpaid on a day is what is unpaid now and what was paid later, less what was taken back later.
    fn since(day: BusinessDay, billed: &BilledInstallment, rule: &PenaltyRule, paid: &[PaidSince]) -> Unpaid {
        let runs_until = |day| rule.runs_until(billed.due_on(), day);
        let first = runs_until(day);
        let last = billed.span.fen_days_to.unwrap_or(first);
        let days = u32::try_from(last.days_since(first)).unwrap_or_default();
        // What is paid within grace never was overdue; what is owed again is so from its own day.
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

    /// Counts as much of `base` as was unpaid on each day from `day` on as paid; returns the fen-days that ran on it.
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

    /// The same for money that is idle, as far as there is of it on each day.
    fn count_idle_as_paid(&mut self, spare: &mut Spare<'_>) -> i128 {
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
    fn parts(&self) -> Parts {
        Parts { principal: self.principal, interest: self.interest, ..Parts::default() }
    }
}

impl OpenInstallment {
    /// Whether something was paid of it on which penalty would have run.
    pub(super) fn is_changed_by(&self, paid: &PaidSince) -> bool {
        (paid.loan_id, paid.period) == (self.billed.loan_id, self.billed.period)
            && !self.rule.base_of(paid.parts()).is_zero()
    }

    /// The part of its present debt that was due and unpaid on `day`, from which the money counts. Left out are what other money had
    /// paid then that was taken back since, and penalty that has run since.
    pub(super) fn owed_then(&self, day: BusinessDay) -> Parts {
        if self.billed.due_on() > day {
            return Parts::default();
        }
        let owed = self.owed_without_later_penalty(day);
        match self.unpaid.as_ref().filter(|unpaid| !unpaid.by_day.is_empty()) {
            Some(unpaid) if self.rule.base_of(unpaid.at_first).is_zero() => Parts::default(),
            Some(unpaid) => {
                let interest = match self.rule.base() {
                    PenaltyBase::Principal => owed.interest,
                    PenaltyBase::PrincipalAndInterest => owed.interest.min(unpaid.at_first.interest),
                };
                Parts { principal: owed.principal.min(unpaid.at_first.principal), interest, ..owed }
            }
            None => owed,
        }
    }

    /// What it owes, with no penalty that has run since the day that money counts from.
    pub(super) fn owed_without_later_penalty(&self, day: BusinessDay) -> Parts {
        let Some(unpaid) = &self.unpaid else { return self.owed_on(day) };
        let mut then = self.billed.clone();
        then.span.take_off(unpaid.by_day.iter().map(|unpaid| i128::from(unpaid.get())).sum());
        then.owed_on(&self.rule, day)
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
            let paid: Vec<PaidSince> = all.iter().filter(|paid| open.is_changed_by(paid)).copied().collect();
            if !paid.is_empty() {
                open.unpaid = Some(Unpaid::since(day, &open.billed, &open.rule, &paid));
            }
        }
        let idle = std::mem::take(&mut self.since.idle);
        // What ran on it was taken off the installments when it was booked; here it is left out of what was unpaid.
        self.count_idle_as_paid(&idle);
    }

    /// Gives penalty back that was never due, where money counts from before today: on the days on which it paid nothing that was
    /// owed, it would have paid what other money paid later (what bears penalty first, which favours the borrower), so none was due on
    /// that. What goes back is allocated as the money was, and added to its `items`. Returns what no installment can take of it
    /// and of what is left.
    pub(super) fn give_back_undue(&mut self, money: &Money, items: &mut Vec<RepaymentItem>, mut left: Left) -> Fen {
        if money.value_on >= money.today {
            return left.amount;
        }
        self.take_off_while_idle(money, items, left);
        // What goes back counts from that day, too, so that less still has run: until nothing more goes back.
        loop {
            let back = self.give_penalty_back(money.today, items);
            if back.is_zero() {
                break;
            }
            let (again, unused) = self.pay_installments(back, money.value_on, OpenInstallment::owed_on);
            self.take_off_while_idle(money, &again, Left { amount: unused, ..left });
            again.into_iter().for_each(|item| add(items, item));
            left.amount += unused;
        }
        items.retain(|item| !item.taken.is_zero());
        // One that owed penalty alone may owe nothing now.
        for open in &mut self.loans {
            let is_of = |installment: &&OpenInstallment| installment.billed.loan_id == open.loan.loan_id;
            open.touched |= self.installments.iter().filter(is_of).any(|installment| installment.touched);
        }
        left.amount
    }

    /// Takes off what ran on what money would have paid while these payments of it, and what is left, were idle.
    fn take_off_while_idle(&mut self, money: &Money, items: &[RepaymentItem], left: Left) {
        let idle = self.idle(money, items, left);
        for (open, ran) in self.count_idle_as_paid(&idle) {
            open.billed.span.take_off(ran);
            open.touched |= ran > 0;
        }
    }

    /// What of money was there and paid nothing, and until when: what is left, and what paid bills that fell due later.
    fn idle(&self, money: &Money, items: &[RepaymentItem], left: Left) -> Vec<Idle> {
        let (from, today) = (money.value_on, money.today);
        let Left { amount, pays_off } = left;
        let mut idle = vec![Idle { amount, from, until: today, pays_off }];
        for item in items {
            let is_it =
                |open: &&OpenInstallment| (open.billed.loan_id, open.billed.period) == (item.loan_id, item.period);
            if let Some(open) = self.installments.iter().find(is_it) {
                idle.push(Idle { amount: item.taken.total(), from, until: open.billed.due_on().min(today), pays_off });
            }
        }
        idle
    }

    /// Counts idle money as paid on the days on which it was there, first on the loan that it came to pay off, then on the oldest due;
    /// returns the fen-days that ran on it, by installment.
    fn count_idle_as_paid(&mut self, idle: &[Idle]) -> Vec<(&mut OpenInstallment, i128)> {
        let all = self.installments.iter_mut().chain(&mut self.since.settled);
        let mut covered: Vec<(&mut OpenInstallment, i128)> = all.map(|open| (open, 0)).collect();
        for idle in idle {
            let mut spare = Spare { idle, used: BTreeMap::new() };
            covered.sort_by_key(|(open, _)| (idle.pays_off != Some(open.billed.loan_id), open.billed.due_on()));
            for (open, ran) in &mut covered {
                if let Some(unpaid) = &mut open.unpaid {
                    *ran += unpaid.count_idle_as_paid(&mut spare);
                }
            }
        }
        covered
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
pub(super) fn add(items: &mut Vec<RepaymentItem>, item: RepaymentItem) {
    match items.iter_mut().find(|earlier| (earlier.loan_id, earlier.period) == (item.loan_id, item.period)) {
        Some(earlier) => earlier.taken += item.taken,
        None => items.push(item),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::super::account::Source;
    use super::*;
    use crate::base::Rate;
    use crate::base::id::{FunderId, LineId, ProductId, RepaymentId};
    use crate::credit::line::tests::line;
    use crate::credit::{Freeze, Freezes, LineStatus};
    use crate::overdue::OverdueSpan;
    use crate::product::terms::{PenaltyRate, PenaltyTerms};
    use crate::product::{ProductVersion, file};

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    fn rule(grace_days: u16) -> PenaltyRule {
        rule_of(PenaltyBase::Principal, grace_days)
    }

    fn rule_of(base: PenaltyBase, grace_days: u16) -> PenaltyRule {
        let rate = PenaltyRate::Daily(Rate::ZERO);
        PenaltyRule::new(&PenaltyTerms { rate, base, basis_days: 365, grace_days }, Rate::ZERO)
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
        let (value_on, principal) = (day(value_on), Fen::new(fen));
        PaidSince { loan_id, period, value_on, principal, interest: Fen::ZERO, is_own: false }
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
        let mut unpaid = Unpaid::since(day("2026-01-12"), &billed, &rule(0), &paid);
        // 50,000 for three days, 40,000 for three, and 50,000 for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(50_000), day("2026-01-12")), 370_000);
        // 50,000 for one day and for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-14")), 150_000);
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-12")), 100_000);
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-12")), 0);
    }

    #[test]
    fn money_that_paid_a_later_bill_was_there_for_the_earlier_one_until_then() {
        let billed = paid_at_last();
        let paid = [paid_on(&billed, "2026-01-20", 100_000)];
        let unpaid = || Unpaid::since(day("2026-01-12"), &billed, &rule(0), &paid);
        let from = day("2026-01-12");
        let idle = |fen, until| Idle { amount: Fen::new(fen), from, until: day(until), pays_off: None };
        let cover = |idle: &[Idle]| -> i128 {
            let mut unpaid = unpaid();
            idle.iter().map(|idle| unpaid.count_idle_as_paid(&mut Spare { idle, used: BTreeMap::new() })).sum()
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
        let mut spare = Spare { idle: &idle, used: BTreeMap::new() };
        // 50,000 until the 14th; then there are 10,000 for two days, and 40,000 for four.
        assert_eq!(unpaid(0, "2026-01-14", 50_000).count_idle_as_paid(&mut spare), 100_000);
        assert_eq!(unpaid(0, "2026-01-18", 40_000).count_idle_as_paid(&mut spare), 180_000);
        assert_eq!(unpaid(0, "2026-01-20", 100_000).count_idle_as_paid(&mut spare), 200_000);
        // By the end of grace it was there for all of the second one, which so never was overdue.
        let mut spare = Spare { idle: &idle, used: BTreeMap::new() };
        assert_eq!(unpaid(0, "2026-01-14", 50_000).count_idle_as_paid(&mut spare), 100_000);
        assert_eq!(unpaid(4, "2026-01-20", 60_000).count_idle_as_paid(&mut spare), 600_000);
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
        let mut unpaid = Unpaid::since(day("2026-01-11"), &billed, &rule(0), &paid);
        // 100,000 for a day, 60,000 for two, nothing for four, and 40,000 for two.
        assert_eq!(unpaid.count_as_paid(Fen::new(100_000), day("2026-01-11")), 300_000);
    }

    #[test]
    fn what_this_very_money_was_held_to_have_paid_was_owed_on_its_day() {
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

    /// As [`paid_at_last`] after three days of grace, at 0.001 a day: 40,000 fen of principal came on the 16th, and no penalty.
    fn paid_late_in_part() -> LineAccount {
        let mut terms = file::parse(file::SHIPPED[0]).unwrap();
        terms.penalty.rate = PenaltyRate::Daily("0.001".parse().unwrap());
        let mut billed = paid_at_last();
        billed.paid.principal = Fen::new(40_000);
        (billed.span.fen_days, billed.span.fen_days_to) = (600_000, Some(day("2026-01-16")));
        let funder_id = FunderId::mint(DateTime::UNIX_EPOCH);
        let product = ProductVersion { product_id: billed.product_id, version: 1, funder_id, terms };
        let frozen = LineStatus::Frozen(Freezes::of(Freeze::Overdue));
        let mut account = LineAccount::new(line(frozen, 60_000));
        account.since.paid = vec![paid_on(&billed, "2026-01-16", 40_000)];
        account.installments = vec![OpenInstallment::new(billed, Arc::new(product))];
        account
    }

    #[test]
    fn what_ran_on_principal_that_came_late_is_owed_though_the_rest_was_there_within_grace() {
        let today = day("2026-01-20");
        let told_late = |fen| {
            let mut account = paid_late_in_part();
            let at = DateTime::UNIX_EPOCH;
            let source = Source::Transfer { bank_reference: "B1".into(), operator: "Li".into() };
            let (repayment_id, amount, value_on) = (RepaymentId::mint(at), Fen::new(fen), day("2026-01-12"));
            let excess = account.receive(Money { repayment_id, source, amount, value_on, today, at }).excess;
            let is_settled = !account.settled_bills(today).is_empty();
            let is_frozen = account.line.status.is_frozen_for(Freeze::Overdue);
            (account.owed_in_all(today), is_settled, is_frozen, excess)
        };
        // 40,000 × 6 days × 0.001.
        assert_eq!(told_late(60_000), (Fen::new(240), false, true, Fen::ZERO));
        // What is left over was there for those 40,000.
        assert_eq!(told_late(100_000), (Fen::ZERO, true, false, Fen::new(40_000)));
    }
}
