//! The billed installment: what it asked for, what was paid and returned of it, and what it owes on a day.

use std::iter::Sum;
use std::ops::{AddAssign, Neg};

use crate::base::id::{LineId, LoanId, ProductId};
use crate::base::{BusinessDay, Fen, Rate};
use crate::overdue::{OverdueSpan, PenaltyRule};
use crate::product::terms::Part;

/// An amount for each part of an installment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub fee: Fen,
    pub penalty: Fen,
    pub interest: Fen,
    pub principal: Fen,
}

/// One row of `bill_line` with what its loan says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct BilledInstallment {
    pub line_id: LineId,
    pub loan_id: LoanId,
    /// From 1.
    pub period: i16,
    /// As billed; penalty is never billed, it runs.
    pub billed: Parts,
    pub paid: Parts,
    /// Taken off by a refund, or by a payoff that was quoted before the bill was cut.
    pub returned: Parts,
    pub span: OverdueSpan,
    /// The version that the loan was made under.
    pub product_id: ProductId,
    pub product_version: i32,
    pub annual_rate: Rate,
}

/// A payment of an installment.
#[derive(Clone, Copy, Debug)]
pub struct Payment {
    pub taken: Parts,
    /// From which it counts.
    pub day: BusinessDay,
    /// What has been summed up since then on the principal that it pays.
    pub fen_days: i128,
}

/// A bill that was paid, and owes again because a payment was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReopenedBill {
    pub line_id: LineId,
    pub due_on: BusinessDay,
    /// The day on which it had been paid in full.
    pub paid_on: BusinessDay,
}

impl Parts {
    pub fn total(&self) -> Fen {
        self.fee + self.penalty + self.interest + self.principal
    }

    /// What of it a funder's book holds as receivable; penalty is income when it is paid.
    pub fn receivable(&self) -> Fen {
        self.fee + self.interest + self.principal
    }

    pub fn is_zero(&self) -> bool {
        *self == Parts::default()
    }

    pub fn get(&self, part: Part) -> Fen {
        match part {
            Part::Fee => self.fee,
            Part::Penalty => self.penalty,
            Part::Interest => self.interest,
            Part::Principal => self.principal,
        }
    }

    pub fn get_mut(&mut self, part: Part) -> &mut Fen {
        match part {
            Part::Fee => &mut self.fee,
            Part::Penalty => &mut self.penalty,
            Part::Interest => &mut self.interest,
            Part::Principal => &mut self.principal,
        }
    }
}

impl AddAssign for Parts {
    fn add_assign(&mut self, other: Parts) {
        self.fee += other.fee;
        self.penalty += other.penalty;
        self.interest += other.interest;
        self.principal += other.principal;
    }
}

impl Neg for Parts {
    type Output = Parts;
    fn neg(self) -> Parts {
        Parts { fee: -self.fee, penalty: -self.penalty, interest: -self.interest, principal: -self.principal }
    }
}

impl Sum for Parts {
    fn sum<I: Iterator<Item = Parts>>(amounts: I) -> Parts {
        amounts.fold(Parts::default(), |mut sum, parts| {
            sum += parts;
            sum
        })
    }
}

impl BilledInstallment {
    /// The due day; grace days come after it.
    pub fn due_on(&self) -> BusinessDay {
        self.span.due_on
    }

    /// Billed principal that is neither paid nor returned: what penalty runs on.
    pub fn unpaid_principal(&self) -> Fen {
        self.billed.principal - self.paid.principal - self.returned.principal
    }

    /// What it owes on `day`, the penalty that has run until then included.
    pub fn owed_on(&self, rule: &PenaltyRule, day: BusinessDay) -> Parts {
        let penalty = self.span.penalty_on(rule, self.unpaid_principal(), day);
        Parts {
            fee: self.billed.fee - self.paid.fee - self.returned.fee,
            penalty: (penalty - self.paid.penalty).or_zero(),
            interest: self.billed.interest - self.paid.interest - self.returned.interest,
            principal: self.unpaid_principal(),
        }
    }

    /// Takes a payment; penalty keeps running on the principal that is left.
    pub fn pay(&mut self, rule: &PenaltyRule, payment: Payment) {
        let Payment { taken, day, fen_days } = payment;
        if !taken.principal.is_zero() {
            self.span.principal_changes_on(rule, self.unpaid_principal(), day);
            self.span.take_off(fen_days);
        }
        self.paid += taken;
    }

    /// What was paid of penalty beyond what has run by `day`.
    pub fn overpaid_penalty(&self, rule: &PenaltyRule, day: BusinessDay) -> Fen {
        (self.paid.penalty - self.span.penalty_on(rule, self.unpaid_principal(), day)).or_zero()
    }

    /// Takes a payment back whose money turned out not to have come. For the days on which we held it for paid, no penalty
    /// runs: it runs on what is owed again from `day` on.
    pub fn unpay(&mut self, taken: Parts, day: BusinessDay) {
        if !taken.principal.is_zero() {
            self.span.owed_again_on(self.unpaid_principal(), day);
        }
        self.paid += -taken;
    }

    /// Takes principal, interest and fee off by a refund that counts from `day`; penalty keeps running on what is left.
    pub fn give_back(&mut self, rule: &PenaltyRule, fallen: Parts, day: BusinessDay) {
        if !fallen.principal.is_zero() {
            let within_grace = self.span.summed_within_grace(rule, fallen.principal, day);
            self.span.principal_changes_on(rule, self.unpaid_principal(), day);
            self.span.take_off(within_grace);
        }
        self.returned += fallen;
    }

    /// Lets all that is still unpaid fall but principal and the charges that it `bears`, where a payoff was quoted before this was billed;
    /// returns what fell.
    pub fn waive_charges(&mut self, bears: Parts) -> Parts {
        let fell = Parts {
            interest: self.billed.interest - self.paid.interest - self.returned.interest - bears.interest,
            fee: self.billed.fee - self.paid.fee - self.returned.fee - bears.fee,
            ..Parts::default()
        };
        self.returned += fell;
        fell
    }
}
