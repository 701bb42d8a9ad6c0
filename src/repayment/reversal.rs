//! Taking a repayment back whose money never came, or came for something else: what it had settled is owed again.

use super::account::{LineAccount, OpenInstallment, Repayment, RepaymentItem, Source};
use super::withholding::Purpose;
use crate::base::id::RepaymentId;
use crate::base::{Fen, When};
use crate::credit::EntryKind;
use crate::credit::change::{Change, Note};
use crate::credit::line::{Freeze, LineChange};
use crate::error::Refusal;
use crate::loan::{LoanStatus, Recourse};

/// Why a success is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReversalRefusal {
    #[error("no repayment was booked for this order")]
    NotBooked,
    #[error("a part of it is owed back to the borrower's card; settle this one with the channel")]
    ExcessOwedBack,
    #[error(
        "the loan that it paid off has gone on since: a statement or a refund came after it; settle this one with the channel"
    )]
    LoanMovedOn,
    #[error(
        "a loan that it paid was paid off early since, for less by it; settle this one with whoever sent the money"
    )]
    PaidOffSince,
    #[error(
        "penalty was given back since that it paid, or by it, as money came that counts from an earlier day; settle this one \
         with whoever sent the money"
    )]
    PenaltyGivenBack,
}

impl Refusal for ReversalRefusal {
    fn code(&self) -> &'static str {
        match self {
            ReversalRefusal::NotBooked => "not_booked",
            ReversalRefusal::ExcessOwedBack => "excess_owed_back",
            ReversalRefusal::LoanMovedOn => "loan_moved_on",
            ReversalRefusal::PaidOffSince => "paid_off_since",
            ReversalRefusal::PenaltyGivenBack => "penalty_given_back",
        }
    }
}

impl ReversalRefusal {
    /// The same of what an order for `purpose` brought: a payoff that stands in its way is its own.
    pub fn of_order(self, purpose: Purpose) -> ReversalRefusal {
        match (self, purpose) {
            (ReversalRefusal::PaidOffSince, Purpose::Payoff(_)) => ReversalRefusal::LoanMovedOn,
            (refusal, Purpose::Payoff(_) | Purpose::Due | Purpose::Button) => refusal,
        }
    }
}

/// When a repayment is taken back, and on whose word.
#[derive(Clone, Debug)]
pub struct TakenBack {
    pub reversal_id: RepaymentId,
    pub person: String,
    pub when: When,
}

impl LineAccount {
    /// Whether penalty that `original` paid was given back since, or other money's by it: that penalty cannot be taken back as well.
    pub fn gave_penalty_back(&self, original: &Repayment) -> bool {
        original.items.iter().any(|item| {
            let is_it =
                |open: &&OpenInstallment| open.billed.loan_id == item.loan_id && open.billed.period == item.period;
            let paid = self.installments.iter().find(is_it).map_or(Fen::ZERO, |open| open.billed.paid.penalty);
            item.taken.penalty.is_negative() || item.taken.penalty > paid
        })
    }

    /// Owes again what `original` had settled, on installments, loans and line; returns the same receipt with every amount
    /// negative. A line that is too late for its product's patience is frozen at once: the close looks at each stage's own day.
    pub fn take_back(&mut self, original: &Repayment, taken_back: TakenBack) -> Repayment {
        let TakenBack { reversal_id, person, when } = taken_back;
        let today = when.business_day;
        let mut principal = Fen::ZERO;
        for item in &original.items {
            principal += item.taken.principal;
            let is_it =
                |open: &&mut OpenInstallment| open.billed.loan_id == item.loan_id && open.billed.period == item.period;
            if let Some(open) = self.installments.iter_mut().find(is_it) {
                open.billed.unpay(&open.rule, item.taken, today);
                open.touched = true;
            }
            if let Some(open) = self.loans.iter_mut().find(|open| open.loan.loan_id == item.loan_id) {
                open.loan.principal_paid -= item.taken.principal;
                open.touched = true;
                // One that a refund has closed since owes again as well, be it interest alone.
                if matches!(open.loan.status, LoanStatus::Paid | LoanStatus::Refunded) {
                    (open.loan.status, open.loan.closed_on) = (LoanStatus::Open, None);
                }
            }
        }
        let recourse = original.recourse.iter().map(|recourse| self.take_recourse_back(recourse)).collect();
        let taken_from = Box::new(original.source.clone());
        let source = Source::Reversal { of: original.repayment_id, taken_from, person };
        if principal.is_positive() {
            let mut change = LineChange::used(EntryKind::Repayment, principal, reversal_id.uuid());
            change.reason = source.recorded_by();
            self.entries.push(self.line.change(change, when));
        }
        self.freeze_if_too_late(Note { reason: "overdue".to_owned(), source_id: Some(reversal_id.uuid()), when });
        // What was paid before its loan was charged off is lost only now.
        let charged_off_again = self.of_charged_off(&original.items, &original.recourse) - original.recovered;
        Repayment {
            repayment_id: reversal_id,
            line_id: original.line_id,
            funder_id: original.funder_id,
            source,
            amount: -original.amount,
            items: original.items.iter().map(|item| RepaymentItem { taken: -item.taken, ..*item }).collect(),
            excess: -original.excess,
            recourse,
            recovered: -original.recovered,
            charged_off_again,
            business_day: today,
            received_at: when.at,
        }
    }

    /// What the guarantor had of the money is to come in again.
    fn take_recourse_back(&mut self, taken: &Recourse) -> Recourse {
        let mut left = taken.amount;
        if let Some(open) = self.loans.iter_mut().find(|open| open.loan.loan_id == taken.loan_id) {
            open.loan.claim_left += taken.amount;
            left = open.loan.claim_left;
        }
        Recourse { amount: -taken.amount, left, ..*taken }
    }

    fn freeze_if_too_late(&mut self, note: Note) {
        let day = note.when.business_day;
        let is_too_late = self.installments.iter().any(|open| {
            let days_late = day.days_since(open.billed.due_on());
            days_late >= i64::from(open.product.terms.overdue.freeze_day) && !open.owed_on(day).is_zero()
        });
        if !is_too_late {
            return;
        }
        // A closed line is not frozen; it is used again until this is paid, and sells nothing meanwhile.
        if let Ok(Some(entry)) = self.line.apply(Change::Freeze(Freeze::Overdue), note) {
            self.entries.push(entry);
        }
    }
}
