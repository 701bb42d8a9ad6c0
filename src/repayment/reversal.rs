//! Reversing a repayment whose money never came, or was meant for something else: what it had settled is owed again.

use super::account::{LineAccount, OpenInstallment, Repayment, RepaymentItem, Source};
use super::withholding::Purpose;
use crate::base::id::RepaymentId;
use crate::base::{Fen, When};
use crate::credit::EntryKind;
use crate::credit::change::{Change, Note};
use crate::credit::line::{Freeze, LineChange};
use crate::error::Refusal;
use crate::loan::{LoanStatus, Recourse};
use crate::overdue::Stage;
use crate::product::Terms;

/// Why a repayment cannot be reversed.
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
    /// The refusal to reverse the repayment of an order for `purpose`. If a payoff blocks reversing a payoff, that is the same payoff,
    /// so the refusal is that the loan has moved on.
    pub fn of_order(self, purpose: Purpose) -> ReversalRefusal {
        match (self, purpose) {
            (ReversalRefusal::PaidOffSince, Purpose::Payoff(_)) => ReversalRefusal::LoanMovedOn,
            (refusal, Purpose::Payoff(_) | Purpose::Due | Purpose::Button) => refusal,
        }
    }
}

/// When a repayment is reversed, and by whom.
#[derive(Clone, Debug)]
pub struct TakenBack {
    pub reversal_id: RepaymentId,
    pub person: String,
    pub when: When,
}

impl LineAccount {
    /// Whether penalty that `original` paid was given back since, or `original` itself gave penalty back: it cannot be reversed as
    /// well.
    pub fn gave_penalty_back(&self, original: &Repayment) -> bool {
        original.items.iter().any(|item| {
            let open = self.installments.iter().find(|open| open.is_of(item));
            let paid = open.map_or(Fen::ZERO, |open| open.billed.paid.penalty);
            item.taken.penalty.is_negative() || item.taken.penalty > paid
        })
    }

    /// Makes owed again what `original` had settled, on installments, loans and line; returns the same receipt with every amount
    /// negative. A line that is now too late by its own `terms` is frozen at once, because the close looks at each stage only on its
    /// own day.
    pub fn take_back(&mut self, original: &Repayment, taken_back: TakenBack, terms: &Terms) -> Repayment {
        let TakenBack { reversal_id, person, when } = taken_back;
        let today = when.business_day;
        let mut principal = Fen::ZERO;
        for item in &original.items {
            principal += item.taken.principal;
            if let Some(open) = self.installments.iter_mut().find(|open| open.is_of(item)) {
                open.billed.unpay(&open.rule, item.taken, today);
                open.touched = true;
            }
            if let Some(open) = self.loans.iter_mut().find(|open| open.loan.loan_id == item.loan_id) {
                open.loan.principal_paid -= item.taken.principal;
                open.touched = true;
                // A loan that a refund has closed since owes again as well, even if only interest.
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
        let note = Note { reason: "overdue".to_owned(), source_id: Some(reversal_id.uuid()), when };
        self.freeze_if_too_late(terms, note);
        // What was paid before its loan was charged off is a loss only now.
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
            value_on: today,
            received_at: when.at,
        }
    }

    /// Reverses a guarantor's part of the money: it is to be recovered for the guarantor again.
    fn take_recourse_back(&mut self, taken: &Recourse) -> Recourse {
        let mut left = taken.amount;
        if let Some(open) = self.loans.iter_mut().find(|open| open.loan.loan_id == taken.loan_id) {
            open.loan.claim_left += taken.amount;
            left = open.loan.claim_left;
        }
        Recourse { amount: -taken.amount, left, ..*taken }
    }

    fn freeze_if_too_late(&mut self, terms: &Terms, note: Note) {
        let day = note.when.business_day;
        let is_too_late = |open: &OpenInstallment| {
            let frozen_on = Stage::Freeze.day_of(terms, open.rule.grace_days(), open.billed.due_on());
            frozen_on <= day && !open.owed_on(day).is_zero()
        };
        if !self.installments.iter().any(is_too_late) {
            return;
        }
        // A closed line cannot be frozen. It is in use again until this is paid, but allows no purchases.
        if let Ok(Some(entry)) = self.line.apply(Change::Freeze(Freeze::Overdue), note) {
            self.entries.push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::base::Rate;
    use crate::base::id::{LoanId, WithholdingId};
    use crate::bill::{BilledInstallment, Parts};
    use crate::credit::LineStatus;
    use crate::credit::line::tests::line;
    use crate::overdue::OverdueSpan;
    use crate::product::{ProductVersion, file};

    fn terms(freeze_day: u16) -> Terms {
        let mut terms = file::parse(file::SHIPPED[0]).unwrap();
        terms.overdue.freeze_day = freeze_day;
        terms
    }

    #[test]
    fn a_line_is_frozen_by_its_own_terms_whatever_the_loan_was_made_under() {
        let at = DateTime::UNIX_EPOCH;
        // 600 fen that fell due eight days ago are owed again.
        let is_frozen = |of_line: u16, of_loan: u16| {
            let mut account = LineAccount::new(line(LineStatus::Active, 0));
            let taken = Parts { principal: Fen::new(600), ..Parts::default() };
            let (line_id, loan_id) = (account.line.line_id, LoanId::from_uuid(Uuid::from_u128(1)));
            let (product_id, funder_id) = (account.line.product_id, account.line.funder_id);
            let billed = BilledInstallment {
                line_id,
                loan_id,
                period: 1,
                billed: taken,
                paid: taken,
                returned: Parts::default(),
                span: OverdueSpan::new("2026-01-10".parse().unwrap()),
                product_id,
                product_version: 2,
                annual_rate: Rate::ZERO,
            };
            let product = ProductVersion { product_id, version: 2, funder_id, terms: terms(of_loan) };
            account.installments = vec![OpenInstallment::new(billed, Arc::new(product))];
            let original = Repayment {
                repayment_id: RepaymentId::mint(at),
                line_id,
                funder_id,
                source: Source::Withholding(WithholdingId::mint(at)),
                amount: taken.total(),
                items: vec![RepaymentItem { loan_id, period: 1, taken }],
                excess: Fen::ZERO,
                recourse: Vec::new(),
                recovered: Fen::ZERO,
                charged_off_again: Fen::ZERO,
                business_day: "2026-01-12".parse().unwrap(),
                value_on: "2026-01-12".parse().unwrap(),
                received_at: at,
            };
            let when = When { business_day: "2026-01-18".parse().unwrap(), at };
            let taken_back = TakenBack { reversal_id: RepaymentId::mint(at), person: "Li Na".into(), when };
            account.take_back(&original, taken_back, &terms(of_line));
            account.line.status.is_frozen_for(Freeze::Overdue)
        };
        assert!(is_frozen(4, 30), "the close that froze such lines is over");
        assert!(is_frozen(7, 7) && !is_frozen(9, 9), "it is eight days late");
        assert!(!is_frozen(30, 4), "the close freezes it once it is 30 days late");
    }
}
