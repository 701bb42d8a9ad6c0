//! Back-dated money: it counts from an earlier day (its value date), because its channel reported it late, or because an operator
//! recorded a transfer after the day on which the bank had it. Penalty that has run since then on what it pays, or would have paid, was
//! never due and is given back. Three questions are answered, in the order of [`LineAccount::receive`]:
//!
//! 1. How much of each installment was unpaid on each day since ([`Unpaid`])? Other money was paid or reversed, or principal fell by a
//!    refund.
//! 2. What does the money pay? First what was due and unpaid on its value date (`owed_then`), then what else is owed.
//! 3. On which days did it pay nothing ([`Idle`])? On those days it could have paid what other money paid only later, so less penalty
//!    has run. Penalty that was overpaid is allocated like the money itself.
//!
//! Penalty is counted in fen-days (see [`crate::overdue::OverdueSpan`]). An example: 600 fen fall due on the 10th and are paid on the
//! 20th, which makes 6,000 fen-days. If 400 of them turn out to have come on the 12th, 8 × 400 are taken off, and 2,800 are left.

use super::account::{LeftOver, LineAccount, Money, OpenInstallment, RepaymentItem, Source, add};
use super::unpaid::{Idle, PaidSince, Spare, Unpaid};
use super::withholding::Withholding;
use crate::base::id::LineId;
use crate::base::{BusinessDay, Fen};
use crate::bill::Parts;
use crate::product::terms::PenaltyBase;

/// Back-dated money that is about to be booked.
#[derive(Clone, Debug)]
pub struct BackDated {
    pub line_id: LineId,
    pub value_on: BusinessDay,
    pub source: Source,
}

impl BackDated {
    /// What an order collected; it counts from the order's day.
    pub fn of_order(order: &Withholding) -> BackDated {
        BackDated {
            line_id: order.line_id,
            value_on: order.business_day,
            source: Source::Withholding(order.withholding_id),
        }
    }

    /// The stored sources under which the same money, by its reference, may have been booked before.
    pub(super) fn booked_as(&self) -> &'static [&'static str] {
        match self.source {
            Source::Withholding(_) | Source::ChannelFile(_) => &["withholding", "channel_file"],
            Source::Transfer { .. } => &["transfer"],
            Source::Reversal { .. } => &["reversal"],
        }
    }
}

impl OpenInstallment {
    /// Whether `paid` changed this installment's penalty base.
    pub(super) fn is_changed_by(&self, paid: &PaidSince) -> bool {
        (paid.loan_id, paid.period) == (self.billed.loan_id, self.billed.period)
            && !self.rule.base_of(paid.parts()).is_zero()
    }

    /// The part of its present debt that was due and unpaid on `day`, the value date. Not counted: amounts that other money had paid by
    /// then and that were reversed since, and penalty that has run since.
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

    /// What it owes, without penalty that has run since `day`, the value date.
    pub(super) fn owed_without_later_penalty(&self, day: BusinessDay) -> Parts {
        let Some(unpaid) = &self.unpaid else { return self.owed_on(day) };
        let mut then = self.billed.clone();
        then.span.take_off(unpaid.by_day.iter().map(|unpaid| i128::from(unpaid.get())).sum());
        then.owed_on(&self.rule, day)
    }
}

impl LineAccount {
    /// Computes how much of each installment was unpaid on each day since `day`, from the changes that were loaded.
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
        // The fen-days of idle money were taken off the installments when that money was booked; here only what was unpaid is reduced.
        self.count_idle_as_paid(&idle);
    }

    /// Gives back penalty that was never due. On the days on which back-dated money paid nothing that was owed, it would have paid what
    /// other money paid later, so no penalty was due on that (it counts towards the penalty base first, which favours the borrower).
    /// What is given back is allocated like the money, and added to its `items`. Returns what no installment can take of it and of
    /// `left`.
    pub(super) fn give_back_undue(&mut self, money: &Money, items: &mut Vec<RepaymentItem>, mut left: LeftOver) -> Fen {
        if money.value_on >= money.today {
            return left.amount;
        }
        self.take_off_while_idle(money, items, left);
        // What is given back has the same value date, so it takes off more penalty: repeat until nothing more is given back.
        loop {
            let back = self.give_penalty_back(money.today, items);
            if back.is_zero() {
                break;
            }
            let (again, unused) = self.pay_installments(back, money.value_on, OpenInstallment::owed_on);
            self.take_off_while_idle(money, &again, LeftOver { amount: unused, ..left });
            again.into_iter().for_each(|item| add(items, item));
            left.amount += unused;
        }
        items.retain(|item| !item.taken.is_zero());
        // A loan that owed only penalty may owe nothing now.
        for open in &mut self.loans {
            let is_of = |installment: &&OpenInstallment| installment.billed.loan_id == open.loan.loan_id;
            open.touched |= self.installments.iter().filter(is_of).any(|installment| installment.touched);
        }
        left.amount
    }

    /// Takes off the fen-days of what the money could have paid while these items of it, and what is left, were idle.
    fn take_off_while_idle(&mut self, money: &Money, items: &[RepaymentItem], left: LeftOver) {
        let idle = self.idle(money, items, left);
        for (open, ran) in self.count_idle_as_paid(&idle) {
            open.billed.span.take_off(ran);
            open.touched |= ran > 0;
        }
    }

    /// How much of the money was idle, and until when: what is left over until today, and what paid an installment until its due day.
    fn idle(&self, money: &Money, items: &[RepaymentItem], left: LeftOver) -> Vec<Idle> {
        let (from, today) = (money.value_on, money.today);
        let LeftOver { amount, pays_off } = left;
        let mut idle = vec![Idle { amount, from, until: today, pays_off }];
        for item in items {
            if let Some(open) = self.installments.iter().find(|open| open.is_of(item)) {
                idle.push(Idle { amount: item.taken.total(), from, until: open.billed.due_on().min(today), pays_off });
            }
        }
        idle
    }

    /// Counts idle money as paid on the days on which it was here: first on the loan that it was to pay off, then on the oldest due.
    /// Returns the fen-days that had run on it, by installment.
    fn count_idle_as_paid(&mut self, idle: &[Idle]) -> Vec<(&mut OpenInstallment, i128)> {
        let all = self.installments.iter_mut().chain(&mut self.since.settled);
        let mut covered: Vec<(&mut OpenInstallment, i128)> = all.map(|open| (open, 0)).collect();
        for idle in idle {
            let mut spare = Spare::new(idle);
            covered.sort_by_key(|(open, _)| (idle.pays_off != Some(open.billed.loan_id), open.billed.due_on()));
            for (open, ran) in &mut covered {
                if let Some(unpaid) = &mut open.unpaid {
                    *ran += unpaid.count_idle_as_paid(&mut spare);
                }
            }
        }
        covered
    }

    /// Gives back penalty that was paid beyond what is due; returns how much.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::super::unpaid::tests::{day, paid_at_last, paid_on};
    use super::*;
    use crate::base::id::{FunderId, RepaymentId};
    use crate::credit::line::tests::line;
    use crate::credit::{Freeze, Freezes, LineStatus};
    use crate::product::terms::PenaltyRate;
    use crate::product::{ProductVersion, file};

    /// As [`paid_at_last`] with three days of grace and penalty of 0.001 a day: 40,000 fen of principal were paid on the 16th, no
    /// penalty.
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
    fn penalty_on_principal_that_came_late_is_owed_though_the_rest_was_paid_within_grace() {
        let today = day("2026-01-20");
        let reported_late = |fen| {
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
        assert_eq!(reported_late(60_000), (Fen::new(240), false, true, Fen::ZERO));
        // The excess could have paid those 40,000.
        assert_eq!(reported_late(100_000), (Fen::ZERO, true, false, Fen::new(40_000)));
    }
}
