//! The proof before publication: the schedules of every plan and price are computed for a grid of amounts and days, and each must pass the
//! checks; amounts between those of the grid must pass them too, whatever rounding does. Start with [`prove`].

use std::collections::BTreeSet;
use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::day::MonthDay;
use crate::base::{BusinessDay, Fen, Rate, counted};
use crate::loan::Price;
use crate::loan::schedule::{Installment, Schedule};

use super::notes::notes;
use super::quote::{Quote, QuoteRequest, quote};
use super::rules;
use super::terms::{DayCount, Method, Plan, Terms};

/// What the check of a product file found: how much was checked, and the extremes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ProductProof)]
pub struct Proof {
    /// Number of repayment schedules that were computed and checked.
    #[schema(example = 1824)]
    pub schedules: u64,
    /// One for each number of installments.
    pub plans: Vec<PlanProof>,
    /// Highest penalty interest a year, as a fraction of the unpaid principal. If unpaid interest bears penalty as well, it is computed as if
    /// nothing were paid from some installment on.
    #[schema(value_type = String, example = "0.21")]
    pub penalty_a_year_max: Decimal,
    /// Remarks for people; they do not fail the check.
    pub notes: Vec<String>,
}

/// The extremes of the plans with one number of installments, over all grades, amounts and days that were checked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlanProof {
    /// Number of installments.
    #[schema(example = 12)]
    pub periods: u16,
    #[schema(example = "equal_installment")]
    pub method: &'static str,
    /// Guarantee charge of each installment, as a fraction of the purchase amount. The rates below include it.
    #[schema(value_type = String, example = "0")]
    pub guarantee_rate_per_period: Rate,
    /// Highest nominal annual percentage rate (twelve times the monthly rate), as a fraction.
    #[schema(value_type = String, example = "0.13996415")]
    pub apr_nominal_max: Decimal,
    /// Highest effective annual percentage rate (the monthly rate compounded), as a fraction.
    #[schema(value_type = String, example = "0.14929417")]
    pub apr_effective_max: Decimal,
    /// Highest of both rates if what the merchant pays (subsidy) is counted as a cost as well, as a fraction.
    #[schema(value_type = String, example = "0.14929417")]
    pub apr_with_subsidy_max: Decimal,
    /// Largest difference between the last installment and the first one, before any subsidy, in fen.
    pub last_row_difference_fen: i64,
    /// Why there is such a difference.
    pub last_row_reason: &'static str,
}

/// A case whose repayment schedule fails the checks.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = UnprovenCase)]
pub struct ProofProblem {
    /// Number of installments.
    #[schema(example = 12)]
    pub periods: u16,
    #[schema(example = "A")]
    pub grade: String,
    /// Amount of the purchase, in fen.
    pub amount_fen: i64,
    pub start_on: BusinessDay,
    pub reason: String,
}

impl fmt::Display for ProofProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProofProblem { periods, grade, amount_fen, start_on, reason } = self;
        let periods = counted(*periods, "period");
        write!(f, "{amount_fen} fen in {periods}, grade {grade}, bought on {start_on}: {reason}")
    }
}

/// The proof stops after so many problems: the first few tell what is wrong.
const PROBLEMS_MAX: usize = 20;
/// The most amounts between those of the grid that are computed one by one, so that a proof stays short. Only a price so near its cap that
/// one fen matters needs more.
const BETWEEN_MAX: u64 = 20_000;
/// The months after which days and leap days come again.
const CALENDAR_MONTHS: u32 = 48;

/// Computes the whole grid.
///
/// # Errors
/// The cases that fail a check, at most about `PROBLEMS_MAX`.
pub fn prove(terms: &Terms) -> Result<Proof, Vec<ProofProblem>> {
    let penalty_a_year_max = rules::penalty_a_year_max(terms);
    let mut prover = Prover { terms, schedules: 0, between: 0, penalty_a_year_max, problems: Vec::new() };
    let mut plans = Vec::new();
    for plan in &terms.plans {
        for periods in &plan.periods {
            plans.push(prover.prove_plan(plan, *periods));
        }
    }
    plans.sort_by_key(|plan| plan.periods);
    if !prover.problems.is_empty() {
        return Err(prover.problems);
    }
    let penalty_a_year_max = prover.penalty_a_year_max;
    let notes = notes(terms, penalty_a_year_max);
    Ok(Proof { schedules: prover.schedules, plans, penalty_a_year_max, notes })
}

struct Prover<'t> {
    terms: &'t Terms,
    schedules: u64,
    /// Amounts between those of the grid that were computed.
    between: u64,
    penalty_a_year_max: Decimal,
    problems: Vec<ProofProblem>,
}

/// One case of the grid.
#[derive(Clone, Copy)]
struct Case<'t> {
    grade: &'t str,
    amount: Fen,
    start_on: BusinessDay,
    line: LineDays,
}

/// The statement and due day of a line that buys; it has them from the product that it was opened under.
#[derive(Clone, Copy)]
struct LineDays {
    statement_day: MonthDay,
    due_day: MonthDay,
    /// Whether the line was opened under another product of the funder.
    is_of_another: bool,
}

/// A line with statements on the 1st, and the longest time until the due day that a product may have. No line has a longer first period.
const LATEST_LINE: LineDays = LineDays {
    statement_day: MonthDay::new(1).expect("every month has a first day"),
    due_day: MonthDay::new(1 + *rules::DUE_DAYS_AFTER.end() as u8).expect("the bound on due days keeps within a month"),
    is_of_another: true,
};

impl<'t> Prover<'t> {
    fn prove_plan(&mut self, plan: &Plan, periods: u16) -> PlanProof {
        let mut proof = PlanProof {
            periods,
            method: plan.method.name(),
            guarantee_rate_per_period: plan.guarantee_rate_per_period,
            apr_nominal_max: Decimal::ZERO,
            apr_effective_max: Decimal::ZERO,
            apr_with_subsidy_max: Decimal::ZERO,
            last_row_difference_fen: 0,
            last_row_reason: last_row_reason(plan),
        };
        for case in cases(self.terms, plan, periods) {
            if self.problems.len() < PROBLEMS_MAX {
                self.prove_case(plan, &mut proof, case);
            }
        }
        for least in cases_of(self.terms, plan, periods, &[self.terms.purchase.amount_min_fen]) {
            self.prove_between(plan, &mut proof, least);
        }
        proof
    }

    /// Computes every amount from the least one on, until one has room for rounding: rounding matters less in every greater amount.
    fn prove_between(&mut self, plan: &Plan, proof: &mut PlanProof, least: Case<'t>) {
        let mut case = least;
        while self.problems.is_empty()
            && case.amount <= self.terms.purchase.amount_max_fen
            && !has_room_for_rounding(self.terms, plan, proof.periods, case)
        {
            if self.between == BETWEEN_MAX {
                let (least, cap) = (case.amount.get(), self.terms.apr_cap);
                let more = ["a", "two", "three"][roundings(plan) - 1];
                let reason = format!(
                    "costs so near the cap of {cap} that {more} fen more in each payment of {least} fen is above it"
                );
                return self.report(proof.periods, case, reason);
            }
            self.between += 1;
            self.prove_case(plan, proof, case);
            case.amount += Fen::new(1);
        }
    }

    fn prove_case(&mut self, plan: &Plan, proof: &mut PlanProof, case: Case<'t>) {
        self.schedules += 1;
        let periods = proof.periods;
        let (amount, is_of_another) = (case.amount, case.line.is_of_another);
        let checked =
            quote(self.terms, &case.request(periods)).map_err(|refusal| refusal.to_string()).and_then(|quote| {
                check_sums(&quote.schedule, amount, periods)?;
                // A line of another product is computed only for the cap, which it might exceed; its payments are as level as others.
                if !is_of_another {
                    check_last_row(plan, &quote.gross_schedule())?;
                }
                check_cap(self.terms, &quote).map(|price| (quote, price))
            });
        match checked {
            Ok((quote, price)) => {
                proof.apr_nominal_max = proof.apr_nominal_max.max(price.nominal);
                proof.apr_effective_max = proof.apr_effective_max.max(price.effective);
                let with_subsidy = quote.price_with_subsidy().map_or(Decimal::ZERO, |price| price.higher());
                proof.apr_with_subsidy_max = proof.apr_with_subsidy_max.max(with_subsidy);
                let difference =
                    if is_of_another { 0 } else { last_row_difference(plan, &quote.gross_schedule()).get().abs() };
                proof.last_row_difference_fen = proof.last_row_difference_fen.max(difference);
                if self.terms.penalty.base.has_interest() {
                    let bearing = bearing_max(&quote.schedule);
                    let penalty = rules::penalty_a_year(&self.terms.penalty, quote.annual_rate.fraction(), bearing);
                    self.penalty_a_year_max = self.penalty_a_year_max.max(penalty);
                }
            }
            Err(reason) => self.report(periods, case, reason),
        }
    }

    fn report(&mut self, periods: u16, case: Case<'t>, mut reason: String) {
        let Case { grade, amount, start_on, line } = case;
        if line.is_of_another {
            let (statement, due) = (line.statement_day.get(), line.due_day.get());
            let line = format!("a line with statement day {statement} and due day {due}");
            reason.push_str(&format!(", on {line}, as another product of the funder may open it"));
        }
        let grade = grade.to_owned();
        self.problems.push(ProofProblem { periods, grade, amount_fen: amount.get(), start_on, reason });
    }
}

impl<'t> Case<'t> {
    fn request(&self, periods: u16) -> QuoteRequest<'t> {
        let Case { grade, amount, start_on, line } = *self;
        let LineDays { statement_day, due_day, .. } = line;
        QuoteRequest { grade, periods, amount, business_day: start_on, statement_day, due_day }
    }
}

fn check_sums(schedule: &Schedule, amount: Fen, periods: u16) -> Result<(), String> {
    if schedule.installments.len() != usize::from(periods) {
        return Err(format!("the schedule has {} rows", schedule.installments.len()));
    }
    if schedule.principal() != amount {
        return Err(format!("the principal parts sum to {} fen", schedule.principal().get()));
    }
    let parts = |row: &Installment| [row.principal, row.interest, row.fee];
    if let Some(index) = schedule.installments.iter().position(|row| parts(row).iter().any(|part| part.is_negative())) {
        return Err(format!("a part of row {} is negative", index + 1));
    }
    check_ends_with_principal(schedule, amount)
}

/// Checks that no row has charges after the principal is repaid. A loan ends with its principal, so such charges would never be billed.
/// Such rows come about with tiny amounts of a flat fee, whose principal is repaid before the fee that the last row absorbs; and with a
/// guarantee charge, if the first period is so long that its interest alone is more than the payment.
fn check_ends_with_principal(schedule: &Schedule, amount: Fen) -> Result<(), String> {
    let mut left = amount;
    for (row, number) in schedule.installments.iter().zip(1..) {
        let charges = row.interest + row.fee;
        if left.is_zero() && !charges.is_zero() {
            return Err(format!("row {number} asks for {} fen, though no principal is left by then", charges.get()));
        }
        left -= row.principal;
    }
    Ok(())
}

fn check_cap(terms: &Terms, quote: &Quote) -> Result<Price, String> {
    let price = quote.price().ok_or("the payments have no annualised rate")?;
    if price.is_within(terms.apr_cap) {
        return Ok(price);
    }
    let Price { nominal, effective } = price;
    Err(format!("costs {nominal} nominal, {effective} effective a year, above the cap of {}", terms.apr_cap))
}

/// If interest bears penalty too: the most that bears penalty for each fen of unpaid principal. The worst case is a borrower who pays
/// nothing from some period on. The interest that the merchant pays is not counted.
fn bearing_max(schedule: &Schedule) -> Decimal {
    let (mut principal, mut bearing, mut most) = (Fen::ZERO, Fen::ZERO, Decimal::ONE);
    for row in schedule.installments.iter().rev() {
        principal += row.principal;
        bearing += row.principal + row.interest;
        if principal.is_positive() {
            most = most.max(Decimal::from(bearing.get()) / Decimal::from(principal.get()));
        }
    }
    most
}

/// Whether the cap holds even with one fen more in each payment for each of its roundings. Rounding changes an interest or fee by up to half
/// a fen: it may be rounded down in every row here and up in every row of a greater amount.
fn has_room_for_rounding(terms: &Terms, plan: &Plan, periods: u16, case: Case<'_>) -> bool {
    let Ok(quote) = quote(terms, &case.request(periods)) else { return false };
    let more = Fen::new(roundings(plan) as i64);
    let payments: Vec<Fen> = quote.schedule.installments.iter().map(|row| row.total() + more).collect();
    Price::of_payments(case.amount, &payments).is_some_and(|price| price.is_within(terms.apr_cap))
}

/// How often a part of one payment is rounded: its interest or fee, a guarantee charge beside it, and what the merchant pays of it.
fn roundings(plan: &Plan) -> usize {
    1 + usize::from(plan.has_guarantee_charge()) + usize::from(!plan.subsidy_share.is_zero())
}

/// The last payment may differ from the others only by what rounding explains.
///
/// A level payment is off by at most half a fen and each interest by another half; both grow with the interest of the
/// periods after them, at most by the whole cost of the schedule. Under `act/*` with the monthly payment the last
/// period absorbs the drift of the days, and the other methods' last row takes what n roundings of the part leave. Where a long
/// first period's interest is more than the payment, it is paid whole, nothing else with it, and the last payment is the smaller.
/// A guarantee charge leaves half a fen of each period to the last one, which the same bound holds.
fn check_last_row(plan: &Plan, schedule: &Schedule) -> Result<(), String> {
    let by_days = plan.day_count != DayCount::Monthly;
    let drifts = by_days && plan.level == super::terms::Level::Monthly;
    let begins_with_interest = by_days && schedule.installments.first().is_some_and(|row| row.principal.is_zero());
    if plan.method != Method::EqualInstallment || drifts || begins_with_interest {
        return Ok(());
    }
    let periods = schedule.installments.len() as i64;
    let growth = 2 + schedule.total().get() / schedule.principal().get().max(1);
    let difference = last_row_difference(plan, schedule).get().abs();
    if difference > periods * growth {
        return Err(format!("the last payment differs by {difference} fen, more than rounding explains"));
    }
    Ok(())
}

/// The last payment minus the first one. With a guarantee charge, minus the first one after the free periods, which have no charge.
fn last_row_difference(plan: &Plan, schedule: &Schedule) -> Fen {
    let first = if plan.has_guarantee_charge() { usize::from(plan.free_periods) } else { 0 };
    match (schedule.installments.get(first), schedule.installments.last()) {
        (Some(first), Some(last)) => last.total() - first.total(),
        _ => Fen::ZERO,
    }
}

fn last_row_reason(plan: &Plan) -> &'static str {
    match (plan.method, plan.day_count) {
        (Method::EqualInstallment, DayCount::Monthly) if plan.has_guarantee_charge() => {
            "it takes what rounding the payment, each interest and each guarantee charge leaves"
        }
        (Method::EqualInstallment, DayCount::Monthly) => "it takes what rounding the payment and each interest leaves",
        (Method::EqualInstallment, _) => {
            "it takes what rounding leaves, the drift of the actual days, and what a long first period paid beyond the level"
        }
        (Method::EqualPrincipal, _) => "interest falls with the balance; the last principal takes the rest",
        (Method::FlatFee | Method::InterestFree, _) => "it takes what rounding each equal part leaves",
        (Method::InterestFirst, _) => "it repays the whole principal",
    }
}

/// The cases of the grid for a plan with a number of periods.
fn cases<'t>(terms: &'t Terms, plan: &Plan, periods: u16) -> Vec<Case<'t>> {
    cases_of(terms, plan, periods, &amounts(terms, plan.method, periods))
}

/// The cases of these amounts, for every line, day and grade of the grid.
fn cases_of<'t>(terms: &'t Terms, plan: &Plan, periods: u16, amounts: &[Fen]) -> Vec<Case<'t>> {
    let mut cases = Vec::new();
    for line in lines(terms, plan) {
        let start_days = start_days(terms, plan, periods, line);
        for amount in amounts.iter().copied() {
            for start_on in start_days.iter().copied() {
                let grades = terms.purchase.grades.iter();
                cases.extend(grades.map(|grade| Case { grade, amount, start_on, line }));
            }
        }
    }
    cases
}

/// The lines of the grid. A purchase uses the statement and due days of its line, whichever product of the funder that was opened under.
/// They matter for interest by the day, but not for interest by the month.
fn lines(terms: &Terms, plan: &Plan) -> Vec<LineDays> {
    let statement_day = terms.line.statement_days[0];
    let own = LineDays { statement_day, due_day: terms.line.due_day(statement_day), is_of_another: false };
    if plan.day_count == DayCount::Monthly { vec![own] } else { vec![own, LATEST_LINE] }
}

/// The amounts of the grid: every one near the lower bound, where rounding matters most; then awkward ones up to the upper bound.
///
/// A flat fee is computed for every amount whose principal may be repaid before the last period. Each of the n parts is rounded up by at
/// most half a fen, n ÷ 2 in all. That saves a whole part only if a part is at most n ÷ 2, so if the amount is at most n² ÷ 2.
fn amounts(terms: &Terms, method: Method, periods: u16) -> Vec<Fen> {
    let (least, most) = (terms.purchase.amount_min_fen.get(), terms.purchase.amount_max_fen.get());
    let tiny_max = if method == Method::FlatFee { i64::from(periods).pow(2) / 2 } else { 0 };
    let near = (least..=tiny_max).chain((0..20).map(|step| least + step)).chain((1..12).map(|step| least + step * 37));
    let spread = [9_999, 10_001, 33_333, 99_999, 100_001, 123_457, 777_777, 1_000_001, 4_999_999, most - 1, most];
    let mut amounts: Vec<i64> = near.chain(spread).filter(|amount| (least..=most).contains(amount)).collect();
    amounts.sort_unstable();
    amounts.dedup();
    amounts.into_iter().map(Fen::new).collect()
}

/// The days of purchase of the grid. Interest by the month does not depend on dates. Interest by the day is tried from the shortest to the
/// longest first period, over a leap February and a year's end; for another product's line the longest matters, and the dearest of all
/// months is among them.
fn start_days(terms: &Terms, plan: &Plan, periods: u16, line: LineDays) -> Vec<BusinessDay> {
    let base = BusinessDay::new(terms.valid_from);
    let statement = line.statement_day.next_after(base);
    if plan.day_count == DayCount::Monthly {
        return vec![statement.minus_days(1)];
    }
    let months = [0u32, 1, 7, 11, 13, 24, 25];
    let longest = months.iter().map(|months| line.statement_day.months_after(statement, *months));
    if line.is_of_another {
        let days: BTreeSet<BusinessDay> = longest.chain(dearest_start(terms, plan, periods, line)).collect();
        return days.into_iter().collect();
    }
    longest.flat_map(|statement| [statement.minus_days(1), statement]).collect()
}

/// The statement day on which a purchase costs most, of all months that differ: which months have 31 days decides. It is looked for on
/// the greatest amount, where rounding does not show, and at the highest price, which is the first to break a cap.
fn dearest_start(terms: &Terms, plan: &Plan, periods: u16, line: LineDays) -> Option<BusinessDay> {
    let priced = plan.prices.iter().zip(&terms.purchase.grades);
    let (_, grade) = priced.max_by_key(|(price, _)| **price)?;
    let first = line.statement_day.next_after(BusinessDay::new(terms.valid_from));
    let cost = |start_on: &BusinessDay| {
        let case = Case { grade, amount: terms.purchase.amount_max_fen, start_on: *start_on, line };
        let quote = quote(terms, &case.request(periods)).ok()?;
        quote.price().map(|price| price.higher())
    };
    (0..CALENDAR_MONTHS).map(|months| line.statement_day.months_after(first, months)).max_by_key(cost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::file;
    use crate::product::terms::Level;

    /// Principal, interest and fee of each row, a month apart.
    fn schedule(rows: &[(i64, i64, i64)]) -> Schedule {
        let first: BusinessDay = "2026-02-25".parse().unwrap();
        let row = |(months, (principal, interest, fee)): (u32, &(i64, i64, i64))| Installment {
            due_on: first.plus_months(months),
            principal: Fen::new(*principal),
            interest: Fen::new(*interest),
            fee: Fen::new(*fee),
        };
        Schedule { installments: (0..).zip(rows).map(row).collect() }
    }

    #[test]
    fn a_schedule_that_does_not_add_up_is_not_proven() {
        let told = |rows: &[(i64, i64, i64)], amount, periods| {
            check_sums(&schedule(rows), Fen::new(amount), periods).err().unwrap_or_default()
        };
        let right = [(500, 10, 0), (500, 5, 0)];
        assert_eq!(told(&right, 1_000, 2), "");
        assert_eq!(told(&right, 1_000, 3), "the schedule has 2 rows");
        assert_eq!(told(&right, 1_001, 2), "the principal parts sum to 1000 fen");
        for wrong in [[(1_001, 0, 0), (-1, 0, 0)], [(500, 0, 0), (500, -1, 0)], [(500, 0, 0), (500, 0, -1)]] {
            assert_eq!(told(&wrong, 1_000, 2), "a part of row 2 is negative");
        }
        assert_eq!(told(&[(1_000, 10, 0), (0, 0, 0)], 1_000, 2), "");
        for (interest, fee) in [(1, 0), (0, 1)] {
            let told = told(&[(1_000, 10, 0), (0, interest, fee)], 1_000, 2);
            assert_eq!(told, "row 2 asks for 1 fen, though no principal is left by then");
        }
    }

    #[test]
    fn a_last_payment_that_rounding_does_not_explain_is_not_proven() {
        let mut plan = file::parse(file::SHIPPED[0]).unwrap().plans.remove(0);
        let of_last =
            |plan: &Plan, interest| check_last_row(plan, &schedule(&[(495, 10, 0), (505, interest, 0)])).is_ok();
        // Of two payments of 505 fen for 1,000 the last may differ by 2 × (2 + 1) of them.
        assert_eq!([-6, -7, 6, 7].map(|interest| of_last(&plan, interest)), [true, false, true, false]);
        // The drift of the days, and other methods, are the last row's.
        (plan.day_count, plan.level) = (DayCount::Act360, Level::Monthly);
        assert!(of_last(&plan, 7));
        plan.level = Level::Actual;
        assert!(!of_last(&plan, 7));
        plan.method = Method::EqualPrincipal;
        assert!(of_last(&plan, 7));
    }
}
