//! Money that counts from an earlier day, because only a channel's file told of it: penalty that ran meanwhile on what it would have
//! paid was never due, and goes back with it.

use super::account::{LineAccount, Money, OpenInstallment, Repayment, RepaymentItem};
use crate::base::id::LoanId;
use crate::base::{BusinessDay, Fen};
use crate::bill::Parts;

/// What a line was paid by money that counts from a later day.
#[derive(Clone, Debug)]
pub struct Since {
    /// Of what had been billed by then, the oldest due first.
    pub paid: Vec<PaidSince>,
    /// The installments of it whose bills are settled.
    pub settled: Vec<OpenInstallment>,
    /// Installments of which a payment was taken back since.
    pub owed_again: Vec<OwedAgain>,
}

/// Principal of an installment that is owed again, because the payment was taken back that had paid it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwedAgain {
    pub loan_id: LoanId,
    pub period: i16,
    pub principal: Fen,
    /// The day that the payment counted from: from then on it was held for paid.
    pub held_from: BusinessDay,
    /// The day on which it was taken back.
    pub on: BusinessDay,
}

/// Principal of an installment that was paid since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidSince {
    pub loan_id: LoanId,
    pub period: i16,
    /// The day that the payment counts from.
    pub value_on: BusinessDay,
    pub principal: Fen,
}

impl LineAccount {
    /// Allocates money that counts from before what was paid `since`. As far as it reaches beyond what is still owed, it would have
    /// paid that principal instead, so that no penalty has run on it; principal first, to the borrower's favour. Penalty that was
    /// paid for it is allocated as the money is, and what nothing can take is excess.
    pub fn receive_back_dated(&mut self, money: Money, since: Since) -> Repayment {
        let Since { paid, mut settled, owed_again } = since;
        for open in self.installments.iter_mut().chain(&mut settled) {
            let is_of = |again: &&OwedAgain| (again.loan_id, again.period) == (open.billed.loan_id, open.billed.period);
            open.owed_again = owed_again.iter().find(is_of).copied();
        }
        let (mut items, mut left) = self.pay_installments(money.amount, money.value_on);
        let open = self.installments.len();
        self.installments.extend(settled);
        self.count_as_paid(left, money.value_on, &paid);
        // What goes back pays principal from that day, too, so that less still has run on what is left.
        loop {
            let back = self.give_penalty_back(money.today, &mut items);
            if back.is_zero() {
                break;
            }
            // A bill that is settled takes nothing.
            let settled = self.installments.split_off(open);
            let (again, unused) = self.pay_installments(back, money.value_on);
            self.installments.extend(settled);
            for item in again {
                add(&mut items, item);
            }
            left += unused;
        }
        items.retain(|item| !item.taken.is_zero());
        // One that owed penalty alone may owe nothing now.
        for open in &mut self.loans {
            let is_of = |installment: &&OpenInstallment| installment.billed.loan_id == open.loan.loan_id;
            open.touched |= self.installments.iter().filter(is_of).any(|installment| installment.touched);
        }
        self.book(money, items, left)
    }

    fn count_as_paid(&mut self, mut left: Fen, value_on: BusinessDay, paid: &[PaidSince]) {
        for later in paid {
            let is_it = |open: &&mut OpenInstallment| {
                open.billed.loan_id == later.loan_id && open.billed.period == later.period
            };
            let Some(open) = self.installments.iter_mut().find(is_it) else { continue };
            let covered = left.min(later.principal);
            left -= covered;
            let from = open.ran_from(value_on);
            open.billed.count_as_paid(&open.rule, covered, (from, later.value_on));
            open.touched = true;
        }
    }

    /// Takes off what was paid of penalty beyond what is due; returns how much that is.
    fn give_penalty_back(&mut self, today: BusinessDay, items: &mut Vec<RepaymentItem>) -> Fen {
        let mut back = Fen::ZERO;
        for open in &mut self.installments {
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
