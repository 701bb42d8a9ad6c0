//! Early payoff of one loan: the amount that pays it off on a business day, and the schedule afterwards.

use super::schedule::{Installment, Schedule};
use crate::base::{BusinessDay, Fen, Rate};
use crate::product::terms::{EarlyPayoffTerms, PayoffInterest};

/// Days in a year of the interest to date.
const DAYS_IN_YEAR: i64 = 365;

/// The loan as a payoff finds it.
#[derive(Clone, Copy, Debug)]
pub struct PayoffRequest<'a> {
    pub schedule: &'a Schedule,
    /// Periods 1 to this number have been billed.
    pub periods_billed: u16,
    /// Everything billed and unpaid of this loan on `day`, penalty included.
    pub billed_unpaid: Fen,
    pub annual_rate: Rate,
    /// How many periods from the first on carry no interest.
    pub free_periods: u16,
    /// Whether the merchant pays a part of the interest, which the schedule leaves out.
    pub is_subsidised: bool,
    /// The day that interest of the first period runs from.
    pub made_on: BusinessDay,
    pub terms: &'a EarlyPayoffTerms,
    pub day: BusinessDay,
}

/// The amount that pays a loan off, by parts. It holds on `day` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoffQuote {
    pub day: BusinessDay,
    /// Periods 1 to this number count as billed.
    pub periods_billed: u16,
    pub billed_unpaid: Fen,
    /// All principal that is not billed yet.
    pub principal: Fen,
    /// The unbilled interest that is still owed.
    pub interest: Fen,
    /// The unbilled fees of periods that are still owed, by the same rule as the interest: flat fees, which borrowers are shown
    /// as interest, or guarantee charges.
    pub period_fee: Fen,
    /// The fee for paying off early.
    pub fee: Fen,
    /// How `interest` came about, for "why this number".
    pub interest_reason: InterestReason,
    /// The rate of `fee`, on the principal.
    pub fee_rate: Rate,
}

/// How the interest of a payoff came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterestReason {
    /// Balance × rate × days ÷ 365, but at most `scheduled`: the schedule's interest of all periods that are not billed or, where
    /// periods are free of interest or subsidised, its interest for the days until then. The running period's fee is charged by
    /// its days.
    ToDate { balance: Fen, rate: Rate, from: BusinessDay, days: i64, scheduled: Fen, running_fee: RunningFee },
    /// The whole interest of the period that began on `from`; nothing where it has not begun.
    CurrentPeriod { from: BusinessDay },
    /// All that the schedule asks for in this many periods that are not billed.
    All { periods: usize },
    /// The product waives it.
    Waived,
}

/// The fee of the running period, of which the days so far are owed: `whole` × `days` ÷ `period_days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningFee {
    pub whole: Fen,
    /// At most those of the period.
    pub days: i64,
    pub period_days: i64,
}

impl RunningFee {
    fn to_date(self) -> Fen {
        self.whole.share(self.days, self.period_days)
    }
}

impl PayoffQuote {
    /// The amount that pays the loan off: what is billed and unpaid, all other principal, interest and fees of periods, and the
    /// payoff's fee.
    pub fn total(&self) -> Fen {
        self.billed_unpaid + self.principal + self.interest + self.period_fee + self.fee
    }

    /// The interest for the days so far by the contract rate, before it is capped at the schedule's; zero by the other rules.
    pub fn interest_to_date(&self) -> Fen {
        match self.interest_reason {
            InterestReason::ToDate { balance, rate, days, .. } => rate.of(balance, days, DAYS_IN_YEAR),
            InterestReason::CurrentPeriod { .. } | InterestReason::All { .. } | InterestReason::Waived => Fen::ZERO,
        }
    }
}

/// Quotes a payoff: everything billed and unpaid, all other principal, interest by the product's rule, and its fee.
pub fn quote(request: &PayoffRequest<'_>) -> PayoffQuote {
    let unbilled = Unbilled::of(request);
    let principal: Fen = unbilled.rows.iter().map(|row| row.principal).sum();
    let (earned, interest_reason) = unbilled.earned(request, principal);
    let fee = request.terms.fee_rate.of(principal, 1, 1);
    PayoffQuote {
        day: request.day,
        periods_billed: request.periods_billed,
        billed_unpaid: request.billed_unpaid,
        principal,
        interest: earned.interest,
        period_fee: earned.fee,
        fee,
        interest_reason,
        fee_rate: request.terms.fee_rate,
    }
}

/// The schedule after a payoff: everything unbilled collapses into the next period, due on the day of the payoff, or on its own
/// due day where the bill before is not due earlier; later periods are empty. Returns it with the number of that period (from 1),
/// or `None` where everything was billed already.
pub fn collapse(schedule: &Schedule, periods_billed: u16, quote: &PayoffQuote) -> Option<(Schedule, u16)> {
    let next = usize::from(periods_billed);
    let mut collapsed = super::reduction::without_unbilled(schedule, periods_billed);
    let before = next.checked_sub(1).map(|index| schedule.installments[index].due_on);
    let row = collapsed.installments.get_mut(next)?;
    let due_on = if before.is_none_or(|due_on| due_on < quote.day) { quote.day } else { row.due_on };
    let fee = quote.period_fee + quote.fee;
    *row = Installment { due_on, principal: quote.principal, interest: quote.interest, fee };
    Some((collapsed, periods_billed + 1))
}

/// Interest and fees of periods, which are separate in the books.
#[derive(Clone, Copy, Debug, Default)]
struct Charges {
    interest: Fen,
    fee: Fen,
}

impl Charges {
    fn of(row: &Installment) -> Charges {
        Charges { interest: row.interest, fee: row.fee }
    }
}

/// The rows that are not billed, and the day from which their interest has not been billed.
struct Unbilled<'a> {
    rows: &'a [Installment],
    from: BusinessDay,
    /// How many rows stand before them.
    passed: usize,
}

impl<'a> Unbilled<'a> {
    fn of(request: &PayoffRequest<'a>) -> Unbilled<'a> {
        let rows = &request.schedule.installments;
        let mut passed = usize::from(request.periods_billed).min(rows.len());
        // A row that asks for nothing, such as a free period before any principal, is never billed; once its due day has passed
        // it is over all the same.
        while rows.get(passed).is_some_and(|row| row.total().is_zero() && row.due_on < request.day) {
            passed += 1;
        }
        let from = passed.checked_sub(1).map_or(request.made_on, |last| rows[last].due_on);
        Unbilled { rows: &rows[passed..], from, passed }
    }

    /// The interest and fees still owed of the unbilled rows, by the product's rule; never more than the schedule asks for. Days
    /// up to the last billed due day are in that bill, and are not charged twice. `balance` is the rows' principal.
    fn earned(&self, request: &PayoffRequest<'_>, balance: Fen) -> (Charges, InterestReason) {
        let days = request.day.days_since(self.from).max(0);
        let scheduled = Charges {
            interest: self.rows.iter().map(|row| row.interest).sum(),
            fee: self.rows.iter().map(|row| row.fee).sum(),
        };
        match request.terms.interest {
            PayoffInterest::ToDate => {
                let interest = request.annual_rate.of(balance, days, DAYS_IN_YEAR);
                let (rate, from) = (request.annual_rate, self.from);
                let scheduled = match self.asks_less_than_the_rate(request) {
                    true => scheduled.interest.min(self.scheduled_to_date(request.day)),
                    false => scheduled.interest,
                };
                let running_fee = self.running_fee(days);
                let earned = Charges { interest: interest.min(scheduled), fee: running_fee.to_date() };
                (earned, InterestReason::ToDate { balance, rate, from, days, scheduled, running_fee })
            }
            PayoffInterest::CurrentPeriod => {
                let current = self.rows.first().filter(|_| request.day > self.from);
                let earned = current.map(Charges::of).unwrap_or_default();
                (earned, InterestReason::CurrentPeriod { from: self.from })
            }
            PayoffInterest::All => (scheduled, InterestReason::All { periods: self.rows.len() }),
            PayoffInterest::None => (Charges::default(), InterestReason::Waived),
        }
    }

    /// Whether a row that is not billed carries no interest, or the merchant pays a part of it: neither is the borrower's to pay
    /// only because the loan ends early.
    fn asks_less_than_the_rate(&self, request: &PayoffRequest<'_>) -> bool {
        request.is_subsidised || self.passed < usize::from(request.free_periods)
    }

    /// The schedule's own interest up to a day: each row's by the days of its period that have passed.
    fn scheduled_to_date(&self, day: BusinessDay) -> Fen {
        let mut from = self.from;
        let mut interest = Fen::ZERO;
        for row in self.rows {
            let period_days = row.due_on.days_since(from).max(1);
            interest += row.interest.share(day.days_since(from).clamp(0, period_days), period_days);
            from = row.due_on;
        }
        interest
    }

    /// The running period's fee, and how much of it the days so far have earned.
    fn running_fee(&self, days: i64) -> RunningFee {
        let (whole, period_days) = match self.rows.first() {
            Some(row) => (row.fee, row.due_on.days_since(self.from).max(1)),
            None => (Fen::ZERO, 1),
        };
        RunningFee { whole, days: days.min(period_days), period_days }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    fn schedule() -> Schedule {
        let row = |due_on, interest| Installment {
            due_on: day(due_on),
            principal: Fen::new(100_000),
            interest: Fen::new(interest),
            fee: Fen::ZERO,
        };
        Schedule { installments: vec![row("2026-02-20", 3_600), row("2026-03-20", 2_400), row("2026-04-20", 1_200)] }
    }

    fn quote_on(on: &str, periods_billed: u16, interest: PayoffInterest) -> PayoffQuote {
        let terms = EarlyPayoffTerms { interest, fee_rate: "0.01".parse().unwrap() };
        quote(&request(&schedule(), &terms, (on, periods_billed)))
    }

    fn request<'a>(
        schedule: &'a Schedule,
        terms: &'a EarlyPayoffTerms,
        (on, periods_billed): (&str, u16),
    ) -> PayoffRequest<'a> {
        PayoffRequest {
            schedule,
            periods_billed,
            billed_unpaid: Fen::ZERO,
            annual_rate: "0.144".parse().unwrap(),
            free_periods: 0,
            is_subsidised: false,
            made_on: day("2026-01-20"),
            terms,
            day: day(on),
        }
    }

    /// The schedule with other interest, to date.
    fn interest_with(rows: [i64; 3], change: impl Fn(&mut PayoffRequest<'_>), at: (&str, u16)) -> Fen {
        let mut schedule = schedule();
        for (row, interest) in schedule.installments.iter_mut().zip(rows) {
            row.interest = Fen::new(interest);
        }
        let terms = EarlyPayoffTerms { interest: PayoffInterest::ToDate, fee_rate: Rate::ZERO };
        let mut request = request(&schedule, &terms, at);
        change(&mut request);
        quote(&request).interest
    }

    #[test]
    fn interest_to_date_runs_from_the_last_billed_due_day() {
        let quote = quote_on("2026-03-01", 1, PayoffInterest::ToDate);
        // 200,000 × 14.4 % × 9 ÷ 365 = 710.1; the fee is one per cent of the principal.
        assert_eq!((quote.principal, quote.interest, quote.fee), (Fen::new(200_000), Fen::new(710), Fen::new(2_000)));
        assert_eq!(quote.total(), Fen::new(202_710));
        let (billed_unpaid, period_fee) = (Fen::new(3_000), Fen::new(40));
        assert_eq!(PayoffQuote { billed_unpaid, period_fee, ..quote }.total(), Fen::new(205_750));
    }

    #[test]
    fn interest_that_is_billed_ahead_is_not_charged_twice() {
        // Period 2 was billed and runs to 20 March: until then nothing more has accrued on the rest.
        assert_eq!(quote_on("2026-03-10", 2, PayoffInterest::ToDate).interest, Fen::ZERO);
        assert_eq!(quote_on("2026-03-10", 2, PayoffInterest::CurrentPeriod).interest, Fen::ZERO);
    }

    #[test]
    fn interest_to_date_never_exceeds_what_the_schedule_asks() {
        assert_eq!(quote_on("2027-01-01", 1, PayoffInterest::ToDate).interest, Fen::new(3_600));
    }

    #[test]
    fn a_free_period_costs_nothing_when_the_loan_ends_within_it() {
        let first_free = |at| interest_with([0, 2_400, 1_200], |request| request.free_periods = 1, at);
        assert_eq!(first_free(("2026-02-10", 0)), Fen::ZERO);
        // Once it is billed the contract rate counts as ever: 200,000 × 14.4 % × 9 ÷ 365.
        assert_eq!(first_free(("2026-03-01", 1)), Fen::new(710));
        // 100,000 × 14.4 % × 12 ÷ 365 = 473.4, though of a month of 31 days the schedule asks for 1,200 × 12 ÷ 31 = 464.5 until then.
        let two_free = interest_with([0, 0, 1_200], |request| request.free_periods = 2, ("2026-04-01", 2));
        assert_eq!(two_free, Fen::new(473));
    }

    #[test]
    fn a_free_period_that_asked_for_nothing_at_all_is_over_after_its_due_day() {
        // Interest first: no statement has billed the first row, nor will any.
        let mut schedule = schedule();
        for (row, (principal, interest)) in schedule.installments.iter_mut().zip([(0, 0), (0, 3_600), (300_000, 3_600)])
        {
            (row.principal, row.interest) = (Fen::new(principal), Fen::new(interest));
        }
        let ended = |on, interest| {
            let terms = EarlyPayoffTerms { interest, fee_rate: Rate::ZERO };
            let mut request = request(&schedule, &terms, (on, 0));
            request.free_periods = 1;
            let quote = quote(&request);
            assert_eq!(quote.principal, Fen::new(300_000));
            quote.interest.get()
        };
        assert_eq!(ended("2026-02-20", PayoffInterest::CurrentPeriod), 0);
        assert_eq!(ended("2026-03-01", PayoffInterest::CurrentPeriod), 3_600);
        assert_eq!(ended("2026-02-20", PayoffInterest::ToDate), 0);
        // 300,000 × 14.4 % × 9 ÷ 365 = 1,065.2: the contract rate counts from the free period's end.
        assert_eq!(ended("2026-03-01", PayoffInterest::ToDate), 1_065);
    }

    #[test]
    fn interest_that_the_merchant_pays_half_of_is_half_also_when_the_loan_ends_early() {
        let halved = |at| interest_with([1_800, 1_200, 600], |request| request.is_subsidised = true, at);
        // 1,200 × 9 ÷ 28 = 385.7; a period that has not begun adds nothing.
        assert_eq!(halved(("2026-03-01", 1)), Fen::new(386));
        assert_eq!(halved(("2026-03-20", 1)), Fen::new(1_200));
        assert_eq!(halved(("2026-03-10", 2)), Fen::ZERO);
    }

    #[test]
    fn each_rule_owes_its_own_interest() {
        let interest = |rule| quote_on("2026-03-01", 1, rule).interest;
        assert_eq!(interest(PayoffInterest::CurrentPeriod), Fen::new(2_400));
        assert_eq!(interest(PayoffInterest::All), Fen::new(3_600));
        assert_eq!(interest(PayoffInterest::None), Fen::ZERO);
    }

    #[test]
    fn a_fee_a_period_stays_a_fee_when_the_loan_ends_early() {
        let mut schedule = schedule();
        for row in &mut schedule.installments {
            (row.interest, row.fee) = (Fen::ZERO, Fen::new(390));
        }
        let ended = |rule, on| {
            let terms = EarlyPayoffTerms { interest: rule, fee_rate: "0.01".parse().unwrap() };
            let mut request = request(&schedule, &terms, (on, 1));
            request.annual_rate = Rate::ZERO;
            let quote = quote(&request);
            assert_eq!(quote.interest, Fen::ZERO);
            assert_eq!(quote.total(), Fen::new(202_000) + quote.period_fee);
            let (collapsed, _) = collapse(&schedule, 1, &quote).unwrap();
            assert_eq!(collapsed.installments[1].interest, Fen::ZERO);
            assert_eq!(collapsed.installments[1].fee, Fen::new(2_000) + quote.period_fee);
            quote.period_fee.get()
        };
        assert_eq!(ended(PayoffInterest::CurrentPeriod, "2026-03-01"), 390);
        // The next period has not begun.
        assert_eq!(ended(PayoffInterest::CurrentPeriod, "2026-02-20"), 0);
        assert_eq!(ended(PayoffInterest::All, "2026-03-01"), 780);
        assert_eq!(ended(PayoffInterest::None, "2026-03-01"), 0);
        // 390 × 9 ÷ 28 = 125.4.
        assert_eq!(ended(PayoffInterest::ToDate, "2026-03-01"), 125);
        assert_eq!(ended(PayoffInterest::ToDate, "2026-05-01"), 390, "no more than the period has days");
    }

    #[test]
    fn a_guarantee_charge_is_owed_beside_the_interest_by_the_same_rule() {
        let mut schedule = schedule();
        schedule.installments.iter_mut().for_each(|row| row.fee = Fen::new(600));
        let ended = |rule| {
            let terms = EarlyPayoffTerms { interest: rule, fee_rate: "0.01".parse().unwrap() };
            let quote = quote(&request(&schedule, &terms, ("2026-03-01", 1)));
            // 200,000 of principal, and 1 % of it for paying off early.
            assert_eq!(quote.total(), Fen::new(202_000) + quote.interest + quote.period_fee);
            let (collapsed, _) = collapse(&schedule, 1, &quote).unwrap();
            let row = collapsed.installments[1];
            assert_eq!((row.interest, row.fee), (quote.interest, quote.period_fee + quote.fee));
            (quote.interest.get(), quote.period_fee.get())
        };
        // 200,000 × 14.4 % × 9 ÷ 365 = 710.1, and 600 × 9 ÷ 28 = 192.9: the period has 28 days.
        assert_eq!(ended(PayoffInterest::ToDate), (710, 193));
        assert_eq!(ended(PayoffInterest::CurrentPeriod), (2_400, 600));
        assert_eq!(ended(PayoffInterest::All), (3_600, 1_200));
        assert_eq!(ended(PayoffInterest::None), (0, 0));
    }

    #[test]
    fn what_was_unbilled_collapses_into_the_next_period() {
        let quote = quote_on("2026-03-01", 1, PayoffInterest::None);
        let (collapsed, period) = collapse(&schedule(), 1, &quote).unwrap();
        assert_eq!(period, 2);
        assert_eq!(collapsed.principal(), schedule().principal());
        assert_eq!(collapsed.installments[1].due_on, day("2026-03-01"));
        assert!(collapsed.installments[2].total().is_zero());
        assert_eq!(collapse(&schedule(), 3, &quote), None);
    }

    #[test]
    fn what_collapses_is_due_on_the_day_unless_a_bill_before_it_is_due_no_earlier() {
        let due_on = |on, periods_billed| {
            let quote = quote_on(on, periods_billed, PayoffInterest::None);
            let (collapsed, period) = collapse(&schedule(), periods_billed, &quote).unwrap();
            collapsed.installments[usize::from(period) - 1].due_on
        };
        assert_eq!(due_on("2026-01-20", 0), day("2026-01-20"));
        assert_eq!(due_on("2026-02-21", 1), day("2026-02-21"));
        assert_eq!(due_on("2026-02-20", 1), day("2026-03-20"));
        assert_eq!(due_on("2026-03-10", 2), day("2026-04-20"));
    }
}
