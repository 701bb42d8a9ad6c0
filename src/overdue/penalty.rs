//! Penalty (罚息): a function of the overdue amount, days and terms, rounded once per installment for the whole time that it is
//! overdue.
//!
//! Its base is the unpaid principal and, if the product says so, the unpaid billed interest (复利); never a fee, and never penalty
//! itself. The history of the base is kept as fen-days: each amount times the days for which it was overdue.

use rust_decimal::Decimal;

use crate::base::money::round_half_up;
use crate::base::{BusinessDay, Fen, Rate};
use crate::bill::Parts;
use crate::product::terms::{PenaltyBase, PenaltyRate, PenaltyTerms};

/// Days in a year of a penalty whose rate is per day.
const DAILY_BASIS: u16 = 1;

/// The penalty terms of one loan: its base, grace days, and one exact rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PenaltyRule {
    /// Contract rate × multiple, or the rate a day.
    rate: Decimal,
    /// What the rate is divided by to be per day: 360 or 365, or 1 where it is per day already.
    basis_days: u16,
    base: PenaltyBase,
    grace_days: u16,
}

/// How the penalty base of one installment has been overdue so far, as `bill_line` stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverdueSpan {
    pub due_on: BusinessDay,
    /// Overdue base × days, summed up to `fen_days_to`, in fen-days.
    pub fen_days: i64,
    /// The day up to which `fen_days` is summed: the last on which the base changed after grace, or a payment was taken back
    /// after the due day. `None` before the first such day.
    pub fen_days_to: Option<BusinessDay>,
}

impl PenaltyRule {
    /// `annual_rate` is the loan's contract rate as a fraction a year.
    pub fn new(terms: &PenaltyTerms, annual_rate: Rate) -> PenaltyRule {
        let (rate, basis_days) = match terms.rate {
            PenaltyRate::Multiple(multiple) => (annual_rate.fraction() * multiple.fraction(), terms.basis_days),
            PenaltyRate::Daily(daily) => (daily.fraction(), DAILY_BASIS),
        };
        PenaltyRule { rate: rate.normalize(), basis_days, base: terms.base, grace_days: terms.grace_days }
    }

    /// The part of an amount that bears penalty.
    pub fn base_of(&self, parts: Parts) -> Fen {
        match self.base {
            PenaltyBase::Principal => parts.principal,
            PenaltyBase::PrincipalAndInterest => parts.principal + parts.interest,
        }
    }

    pub fn base(&self) -> PenaltyBase {
        self.base
    }

    /// Whether an installment due on `due_on` is past due and past grace on `day`.
    pub fn is_overdue(&self, due_on: BusinessDay, day: BusinessDay) -> bool {
        day.days_since(due_on) > i64::from(self.grace_days)
    }

    /// The last day on which an installment due on `due_on` can be paid without penalty.
    pub fn grace_until(&self, due_on: BusinessDay) -> BusinessDay {
        due_on.plus_days(self.grace_days.into())
    }

    /// The day on which penalty stops on what is paid on `day`; the due day where that is within grace, because it then never was
    /// overdue.
    pub fn runs_until(&self, due_on: BusinessDay, day: BusinessDay) -> BusinessDay {
        if self.is_overdue(due_on, day) { day } else { due_on }
    }

    /// The rate as a fraction of the base, and the number of days for which it counts: those of a year, or 1.
    pub fn rate(&self) -> (Decimal, u16) {
        (self.rate, self.basis_days)
    }

    pub fn grace_days(&self) -> u16 {
        self.grace_days
    }

    fn amount(&self, fen_days: i128) -> Fen {
        let numerator = fen_days * self.rate.mantissa();
        Fen::new(round_half_up(numerator, 10i128.pow(self.rate.scale()) * i128::from(self.basis_days)))
    }
}

impl OverdueSpan {
    /// The span of an installment that has not been overdue.
    pub fn new(due_on: BusinessDay) -> OverdueSpan {
        OverdueSpan { due_on, fen_days: 0, fen_days_to: None }
    }

    /// Fen-days up to and including `day`, with `unpaid` of the base since its last change.
    pub fn fen_days_on(&self, unpaid: Fen, day: BusinessDay) -> i128 {
        let since = self.fen_days_to.map_or(self.due_on, |to| to.max(self.due_on));
        i128::from(self.fen_days) + i128::from(unpaid.get()) * i128::from(day.days_since(since).max(0))
    }

    /// The whole penalty of this installment up to `day`, what was already paid of it included.
    ///
    /// Day 1 is the day after the due date. Zero within grace; after grace it counts from day 1.
    pub fn penalty_on(&self, rule: &PenaltyRule, unpaid: Fen, day: BusinessDay) -> Fen {
        if !rule.is_overdue(self.due_on, day) {
            return Fen::ZERO;
        }
        rule.amount(self.fen_days_on(unpaid, day))
    }

    /// Records that the base changes on `day`; until then it was `unpaid_before`.
    ///
    /// What is paid within grace never was overdue, so nothing is summed up for it.
    pub fn base_changes_on(&mut self, rule: &PenaltyRule, unpaid_before: Fen, day: BusinessDay) {
        if rule.is_overdue(self.due_on, day) {
            self.sum_up(unpaid_before, day);
        }
    }

    /// Records that a payment was taken back, so that more of the base is owed from `day` on; until then it was `unpaid_before`.
    /// This is summed within grace, too: if the bill stays unpaid, no penalty runs for the days on which the rest counted as
    /// paid.
    pub fn owed_again_on(&mut self, unpaid_before: Fen, day: BusinessDay) {
        if day > self.due_on {
            self.sum_up(unpaid_before, day);
        }
    }

    /// The fen-days that [`OverdueSpan::owed_again_on`] summed within grace on the part of the base that is `paid` (or taken off
    /// by a refund) on `day`, still within grace: that part never was overdue. Zero in all other cases.
    pub fn summed_within_grace(&self, rule: &PenaltyRule, paid: Fen, day: BusinessDay) -> i128 {
        match self.fen_days_to {
            Some(to) if !rule.is_overdue(self.due_on, to.max(day)) => {
                i128::from(paid.get()) * i128::from(to.days_since(self.due_on))
            }
            Some(_) | None => 0,
        }
    }

    fn sum_up(&mut self, unpaid: Fen, day: BusinessDay) {
        let sum = self.fen_days_on(unpaid, day);
        self.fen_days = i64::try_from(sum).expect("fen-days of an amount within bounds fit 64 bits");
        self.fen_days_to = Some(self.fen_days_to.map_or(day, |to| to.max(day)));
    }

    /// Takes off `fen_days` of those summed: they ran on money that, by its value day, had been paid already, or never was
    /// overdue.
    pub fn take_off(&mut self, fen_days: i128) {
        let left = (i128::from(self.fen_days) - fen_days).max(0);
        self.fen_days = i64::try_from(left).expect("no more than it was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn rule(annual_rate: &str, multiple: &str, basis_days: u16, grace_days: u16) -> PenaltyRule {
        PenaltyRule::new(&terms(multiple, basis_days, grace_days), rate(annual_rate))
    }

    fn terms(multiple: &str, basis_days: u16, grace_days: u16) -> PenaltyTerms {
        let rate = PenaltyRate::Multiple(rate(multiple));
        PenaltyTerms { rate, base: PenaltyBase::Principal, basis_days, grace_days }
    }

    #[test]
    fn within_grace_nothing_runs_and_afterwards_it_counts_from_day_one() {
        let rule = rule("0.24", "1.5", 360, 3);
        let span = OverdueSpan::new(day("2026-01-10"));
        let principal = Fen::new(100_000);
        assert_eq!(span.penalty_on(&rule, principal, day("2026-01-10")), Fen::ZERO);
        assert_eq!(span.penalty_on(&rule, principal, day("2026-01-13")), Fen::ZERO);
        assert_eq!(span.penalty_on(&rule, principal, day("2026-01-14")), Fen::new(400));
    }

    #[test]
    fn principal_paid_within_grace_carries_no_penalty() {
        let rule = rule("0.24", "1.5", 360, 3);
        let mut span = OverdueSpan::new(day("2026-01-10"));
        span.base_changes_on(&rule, Fen::new(100_000), day("2026-01-12"));
        assert_eq!(span.penalty_on(&rule, Fen::new(40_000), day("2026-01-20")), Fen::new(400));
    }

    #[test]
    fn principal_that_is_owed_again_within_grace_runs_from_that_day() {
        let rule = rule("0.24", "1.5", 360, 3);
        let mut span = OverdueSpan::new(day("2026-01-10"));
        // 40,000 had been unpaid all along, 60,000 were held for paid.
        span.owed_again_on(Fen::new(40_000), day("2026-01-12"));
        assert_eq!(span.penalty_on(&rule, Fen::new(100_000), day("2026-01-13")), Fen::ZERO);
        // 40,000 for two days, and 100,000 for another two.
        assert_eq!(span.penalty_on(&rule, Fen::new(100_000), day("2026-01-14")), Fen::new(280));
        // 30,000 are paid within grace, and never were overdue.
        span.take_off(span.summed_within_grace(&rule, Fen::new(30_000), day("2026-01-13")));
        assert_eq!(span.penalty_on(&rule, Fen::new(70_000), day("2026-01-14")), Fen::new(160));
        assert_eq!(span.summed_within_grace(&rule, Fen::new(70_000), day("2026-01-14")), 0);
    }

    #[test]
    fn a_part_payment_lowers_what_runs_from_then_on() {
        let rule = rule("0.24", "1.5", 360, 0);
        let mut span = OverdueSpan::new(day("2026-01-10"));
        span.base_changes_on(&rule, Fen::new(100_000), day("2026-01-20"));
        assert_eq!(span.fen_days, 1_000_000);
        // 1,000,000 fen-days and then 50,000 fen for 10 days, at 0.36 ÷ 360 a day.
        assert_eq!(span.penalty_on(&rule, Fen::new(50_000), day("2026-01-30")), Fen::new(1_500));
        assert_eq!(span.penalty_on(&rule, Fen::ZERO, day("2026-03-30")), Fen::new(1_000));
    }

    #[test]
    fn an_earlier_value_day_adds_nothing_twice() {
        let rule = rule("0.24", "1.5", 360, 0);
        let mut span = OverdueSpan::new(day("2026-01-10"));
        span.base_changes_on(&rule, Fen::new(100_000), day("2026-01-20"));
        span.base_changes_on(&rule, Fen::new(50_000), day("2026-01-15"));
        assert_eq!((span.fen_days, span.fen_days_to), (1_000_000, Some(day("2026-01-20"))));
    }

    #[test]
    fn a_daily_rate_needs_no_contract_rate() {
        let rate = PenaltyRate::Daily(rate("0.0005"));
        let terms = PenaltyTerms { rate, base: PenaltyBase::Principal, basis_days: 365, grace_days: 0 };
        let rule = PenaltyRule::new(&terms, Rate::ZERO);
        let span = OverdueSpan::new(day("2026-01-10"));
        assert_eq!(span.penalty_on(&rule, Fen::new(123_456), day("2026-01-13")), Fen::new(185));
    }

    #[test]
    fn interest_bears_penalty_where_the_terms_say_so_and_fees_and_penalty_never_do() {
        let [fee, penalty, interest, principal] = [1, 20, 300, 4_000].map(Fen::new);
        let parts = Parts { fee, penalty, interest, principal };
        let mut terms = terms("1.5", 360, 0);
        assert_eq!(PenaltyRule::new(&terms, rate("0.24")).base_of(parts), Fen::new(4_000));
        terms.base = PenaltyBase::PrincipalAndInterest;
        assert_eq!(PenaltyRule::new(&terms, rate("0.24")).base_of(parts), Fen::new(4_300));
    }

    #[test]
    fn a_half_of_a_fen_of_penalty_goes_up_once_for_the_whole_span() {
        let rate = PenaltyRate::Daily(rate("0.0005"));
        let terms = PenaltyTerms { rate, base: PenaltyBase::Principal, basis_days: 365, grace_days: 0 };
        let rule = PenaltyRule::new(&terms, Rate::ZERO);
        let span = OverdueSpan::new(day("2026-01-10"));
        // 1,000 × 0.0005 are half a fen a day.
        let on = |text| span.penalty_on(&rule, Fen::new(1_000), day(text)).get();
        assert_eq!([on("2026-01-11"), on("2026-01-12"), on("2026-01-13")], [1, 1, 2]);
        assert_eq!(span.penalty_on(&rule, Fen::new(999), day("2026-01-11")), Fen::ZERO);
    }

    #[test]
    fn on_the_last_day_of_grace_nothing_runs_yet_on_what_is_paid() {
        let (rule, due_on) = (rule("0.24", "1.5", 360, 3), day("2026-01-10"));
        assert_eq!(rule.grace_until(due_on), day("2026-01-13"));
        assert_eq!(rule.runs_until(due_on, day("2026-01-13")), due_on);
        assert_eq!(rule.runs_until(due_on, day("2026-01-14")), day("2026-01-14"));
    }
}
