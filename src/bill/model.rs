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
    /// What was billed. Its penalty is zero: penalty is never billed, it runs.
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
    /// The day from which the payment counts.
    pub day: BusinessDay,
    /// The fen-days to take off: those summed since `day` on the amounts that this payment settles.
    pub fen_days: i128,
}

impl Parts {
    /// The sum of all four parts.
    pub fn total(&self) -> Fen {
        self.fee + self.penalty + self.interest + self.principal
    }

    /// The part that a funder's book holds as receivable; penalty becomes income only when it is paid.
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

    /// What was billed and is neither paid nor returned; no penalty, which is never billed.
    pub fn unpaid(&self) -> Parts {
        Parts {
            fee: self.billed.fee - self.paid.fee - self.returned.fee,
            penalty: Fen::ZERO,
            interest: self.billed.interest - self.paid.interest - self.returned.interest,
            principal: self.billed.principal - self.paid.principal - self.returned.principal,
        }
    }

    /// The part of what is unpaid that bears penalty.
    pub fn unpaid_base(&self, rule: &PenaltyRule) -> Fen {
        rule.base_of(self.unpaid())
    }

    /// What it owes on `day`, the penalty that has run until then included.
    pub fn owed_on(&self, rule: &PenaltyRule, day: BusinessDay) -> Parts {
        let unpaid = self.unpaid();
        let penalty = self.span.penalty_on(rule, rule.base_of(unpaid), day);
        Parts { penalty: (penalty - self.paid.penalty).or_zero(), ..unpaid }
    }

    /// Takes a payment; penalty goes on running on the rest.
    pub fn pay(&mut self, rule: &PenaltyRule, payment: Payment) {
        self.base_falls(rule, payment);
        self.paid += payment.taken;
    }

    /// What was paid of penalty beyond what has run by `day`.
    pub fn overpaid_penalty(&self, rule: &PenaltyRule, day: BusinessDay) -> Fen {
        (self.paid.penalty - self.span.penalty_on(rule, self.unpaid_base(rule), day)).or_zero()
    }

    /// Takes back a payment whose money did not come. For the days on which it counted as paid no penalty runs; it runs again
    /// from `day` on.
    pub fn unpay(&mut self, rule: &PenaltyRule, taken: Parts, day: BusinessDay) {
        if !rule.base_of(taken).is_zero() {
            self.span.owed_again_on(self.unpaid_base(rule), day);
        }
        self.paid += -taken;
    }

    /// Takes principal, interest and fee off by a refund that counts from `day`; penalty keeps running on what is left.
    pub fn give_back(&mut self, rule: &PenaltyRule, fallen: Parts, day: BusinessDay) {
        let within_grace = self.span.summed_within_grace(rule, rule.base_of(fallen), day);
        self.base_falls(rule, Payment { taken: fallen, day, fen_days: within_grace });
        self.returned += fallen;
    }

    /// The unpaid interest and fee in excess of `bears`, the charges that this installment keeps: what a payoff waives if it was
    /// quoted before this was billed.
    pub fn charges_beyond(&self, bears: Parts) -> Parts {
        let unpaid = self.unpaid();
        Parts { interest: unpaid.interest - bears.interest, fee: unpaid.fee - bears.fee, ..Parts::default() }
    }

    /// Waives charges; for penalty they count as paid.
    pub fn waive(&mut self, rule: &PenaltyRule, waived: Payment) {
        self.base_falls(rule, waived);
        self.returned += waived.taken;
    }

    /// Brings the fen-days up to date before amounts that may bear penalty are paid or taken off.
    fn base_falls(&mut self, rule: &PenaltyRule, by: Payment) {
        if !rule.base_of(by.taken).is_zero() {
            self.span.base_changes_on(rule, self.unpaid_base(rule), by.day);
            self.span.take_off(by.fen_days);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::product::terms::{PenaltyBase, PenaltyRate, PenaltyTerms};

    /// Due on 10 January with 100,000 fen of principal, 1,000 of interest and 500 of fee.
    fn billed() -> BilledInstallment {
        let at = DateTime::UNIX_EPOCH;
        let [fee, interest, principal] = [500, 1_000, 100_000].map(Fen::new);
        BilledInstallment {
            line_id: LineId::mint(at),
            loan_id: LoanId::mint(at),
            period: 1,
            billed: Parts { fee, interest, principal, penalty: Fen::ZERO },
            paid: Parts::default(),
            returned: Parts::default(),
            span: OverdueSpan::new(day(0)),
            product_id: ProductId::mint(at),
            product_version: 1,
            annual_rate: Rate::ZERO,
        }
    }

    /// So many days after the due day.
    fn day(days: u32) -> BusinessDay {
        "2026-01-10".parse::<BusinessDay>().unwrap().plus_days(days)
    }

    /// 0.001 a day.
    fn rule(base: PenaltyBase, grace_days: u16) -> PenaltyRule {
        let rate = PenaltyRate::Daily("0.001".parse().unwrap());
        PenaltyRule::new(&PenaltyTerms { rate, base, basis_days: 365, grace_days }, Rate::ZERO)
    }

    fn interest(fen: i64) -> Parts {
        Parts { interest: Fen::new(fen), ..Parts::default() }
    }

    fn pays(taken: Parts, days: u32) -> Payment {
        Payment { taken, day: day(days), fen_days: 0 }
    }

    #[test]
    fn interest_that_is_paid_alone_bears_nothing_from_then_on() {
        let rule = rule(PenaltyBase::PrincipalAndInterest, 3);
        let mut late = billed();
        // 101,000 × 10 days, then 100,000 × 10.
        late.pay(&rule, pays(interest(1_000), 10));
        assert_eq!((late.span.fen_days, late.span.fen_days_to), (1_010_000, Some(day(10))));
        assert_eq!(late.owed_on(&rule, day(20)).penalty, Fen::new(2_010));
        // Within grace: it never was overdue.
        let mut in_grace = billed();
        in_grace.pay(&rule, pays(interest(600), 2));
        assert_eq!((in_grace.span.fen_days, in_grace.span.fen_days_to), (0, None));
        assert_eq!(in_grace.owed_on(&rule, day(10)).penalty, Fen::new(1_004));
    }

    #[test]
    fn where_principal_alone_bears_penalty_a_payment_of_interest_leaves_no_trace() {
        let rule = rule(PenaltyBase::Principal, 0);
        let mut late = billed();
        late.pay(&rule, pays(interest(1_000), 10));
        late.give_back(&rule, Parts { fee: Fen::new(500), ..Parts::default() }, day(11));
        late.unpay(&rule, interest(1_000), day(12));
        late.waive(&rule, pays(interest(400), 13));
        assert_eq!(late.span, billed().span);
        assert_eq!(late.owed_on(&rule, day(20)).penalty, Fen::new(2_000));
    }

    #[test]
    fn penalty_that_is_unpaid_bears_none() {
        let rule = rule(PenaltyBase::PrincipalAndInterest, 0);
        let mut late = billed();
        let Parts { interest, principal, .. } = late.billed;
        late.pay(&rule, pays(Parts { interest, principal, ..Parts::default() }, 10));
        // 101,000 × 10 days, and as much a year later.
        for days in [10, 375] {
            let owed = late.owed_on(&rule, day(days));
            assert_eq!(
                (owed.penalty, owed.total()),
                (Fen::new(1_010), Fen::new(1_510)),
                "and a fee, which bears none either"
            );
        }
    }

    #[test]
    fn interest_that_is_owed_again_runs_from_that_day_and_what_a_refund_takes_off_runs_no_more() {
        let rule = rule(PenaltyBase::PrincipalAndInterest, 0);
        let mut late = billed();
        late.pay(&rule, pays(interest(1_000), 4));
        // It was held for paid for six days.
        late.unpay(&rule, interest(1_000), day(10));
        assert_eq!(late.span.fen_days, 101_000 * 4 + 100_000 * 6);
        late.give_back(&rule, interest(700), day(15));
        assert_eq!(late.span.fen_days, 1_004_000 + 101_000 * 5);
        assert_eq!(late.unpaid_base(&rule), Fen::new(100_300));
    }

    #[test]
    fn an_installment_of_interest_alone_bears_penalty_too() {
        let mut late = billed();
        late.billed.principal = Fen::ZERO;
        assert_eq!(late.owed_on(&rule(PenaltyBase::Principal, 0), day(30)).penalty, Fen::ZERO);
        assert_eq!(late.owed_on(&rule(PenaltyBase::PrincipalAndInterest, 0), day(30)).penalty, Fen::new(30));
    }

    fn any_base() -> impl Strategy<Value = PenaltyBase> {
        prop_oneof![Just(PenaltyBase::Principal), Just(PenaltyBase::PrincipalAndInterest)]
    }

    proptest! {
        /// Counted by hand: each fen of the base runs until the day on which it is paid, one that is paid within grace not at all.
        #[test]
        fn what_has_run_is_the_sum_of_every_day_whatever_was_paid_in_between(
            base in any_base(),
            grace_days in 0u16..6,
            payments in proptest::collection::vec((0u32..12, 0i64..60_000, 0i64..600), 0..8),
        ) {
            let rule = rule(base, grace_days);
            let mut late = billed();
            let (mut days, mut ran) = (0, 0);
            for (later, principal, interest) in payments {
                days += later;
                let unpaid = late.unpaid();
                let taken = Parts {
                    principal: Fen::new(principal).min(unpaid.principal),
                    interest: Fen::new(interest).min(unpaid.interest),
                    ..Parts::default()
                };
                if days > u32::from(grace_days) {
                    ran += rule.base_of(taken).get() * i64::from(days);
                }
                late.pay(&rule, pays(taken, days));
            }
            let end = days.max(u32::from(grace_days)) + 1;
            ran += late.unpaid_base(&rule).get() * i64::from(end);
            let counted = OverdueSpan { due_on: day(0), fen_days: ran, fen_days_to: Some(day(end)) };
            prop_assert_eq!(late.owed_on(&rule, day(end)).penalty, counted.penalty_on(&rule, Fen::ZERO, day(end)));
        }
    }
}
