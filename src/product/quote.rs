//! Quotes (试算): the full schedule and true cost of a purchase before the borrower agrees.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use crate::base::day::MonthDay;
use crate::base::{BusinessDay, Fen, Rate};
use crate::error::Refusal;
use crate::loan::price::Price;
use crate::loan::schedule::{self, DueDates, Installment, Schedule, ScheduleError, ScheduleRequest};

use super::terms::{DayCount, Method, Plan, Terms};

/// The purchase that a borrower wants to know the price of.
#[derive(Clone, Copy, Debug)]
pub struct QuoteRequest<'a> {
    pub grade: &'a str,
    pub periods: u16,
    pub amount: Fen,
    pub business_day: BusinessDay,
    /// The line's days of month.
    pub statement_day: MonthDay,
    pub due_day: MonthDay,
}

/// What the borrower would owe, and what the merchant would pay towards it.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    /// What the borrower pays, the subsidy taken off.
    pub schedule: Schedule,
    /// What the merchant pays at clearing (贴息), in all.
    pub subsidy: Fen,
    /// The merchant's part of each period's interest or flat fee; empty without such a part.
    pub subsidies: Vec<Fen>,
    /// The contract rate a year, on which penalty and early payoff stand; zero for flat fee and interest-free. No guarantee charge
    /// is in it.
    pub annual_rate: Rate,
    pub first_statement_on: BusinessDay,
    pub last_statement_on: BusinessDay,
    amount: Fen,
    method: Method,
}

/// Why the product is not sold in this way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteRefusal {
    #[error("the amount must be from {least} to {most} yuan")]
    AmountOutOfBounds { least: Fen, most: Fen },
    #[error("this product is sold to {}, not to {grade:?}", said_grades(.sold))]
    GradeNotAllowed { grade: String, sold: Vec<String> },
    #[error("this product is sold in {}, not in {periods}", said_periods(.sold))]
    PeriodsNotSold { periods: u16, sold: Vec<u16> },
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

impl Refusal for QuoteRefusal {
    fn code(&self) -> &'static str {
        match self {
            QuoteRefusal::AmountOutOfBounds { .. } => "amount_out_of_bounds",
            QuoteRefusal::GradeNotAllowed { .. } => "grade_not_allowed",
            QuoteRefusal::PeriodsNotSold { .. } => "periods_not_sold",
            QuoteRefusal::Schedule(_) => "schedule_impossible",
        }
    }
}

impl QuoteRefusal {
    /// The refusal of a number of periods that no plan is sold in.
    pub(super) fn periods(terms: &Terms, periods: u16) -> QuoteRefusal {
        let mut sold: Vec<u16> = terms.plans.iter().flat_map(|plan| plan.periods.iter().copied()).collect();
        sold.sort_unstable();
        QuoteRefusal::PeriodsNotSold { periods, sold }
    }
}

fn said_grades(grades: &[String]) -> String {
    let noun = if grades.len() == 1 { "grade" } else { "grades" };
    format!("{noun} {}", grades.join(", "))
}

/// Ascending numbers of periods as text.
pub(super) fn said_periods(periods: &[u16]) -> String {
    let noun = if periods == [1] { "period" } else { "periods" };
    format!("{} {noun}", said(periods))
}

/// Ascending numbers as text, consecutive ones as a range: `1, 3, 6 to 12`.
fn said(numbers: &[u16]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let words = runs.flat_map(|run| match run {
        [first, _, .., last] => vec![format!("{first} to {last}")],
        few => few.iter().map(ToString::to_string).collect(),
    });
    words.collect::<Vec<String>>().join(", ")
}

/// The schedule of a purchase under `terms`. Its price is a second step, [`Quote::price`], which costs as much again.
pub fn quote(terms: &Terms, request: &QuoteRequest<'_>) -> Result<Quote, QuoteRefusal> {
    let bounds = &terms.purchase;
    if !bounds.grades.iter().any(|grade| grade == request.grade) {
        return Err(QuoteRefusal::GradeNotAllowed { grade: request.grade.to_owned(), sold: bounds.grades.clone() });
    }
    let Some((plan, price)) = terms.plan(request.periods, request.grade) else {
        return Err(QuoteRefusal::periods(terms, request.periods));
    };
    // Checked after the plan, so that a purchase is always refused for the same first reason.
    if request.amount < bounds.amount_min_fen || request.amount > bounds.amount_max_fen {
        let (least, most) = (bounds.amount_min_fen, bounds.amount_max_fen);
        return Err(QuoteRefusal::AmountOutOfBounds { least, most });
    }
    let mut schedule = schedule::build(&schedule_request(plan, price, request))?;
    let subsidies = take_subsidies_off(plan, &mut schedule.installments);
    let subsidy = match plan.method {
        Method::InterestFree => plan.subsidy_rate_per_period.of(request.amount, i64::from(request.periods), 1),
        _ => subsidies.iter().copied().sum(),
    };
    let first_statement_on = request.statement_day.next_after(request.business_day);
    Ok(Quote {
        schedule,
        subsidy,
        subsidies,
        annual_rate: contract_rate(plan, price),
        first_statement_on,
        last_statement_on: request.statement_day.months_after(first_statement_on, u32::from(request.periods) - 1),
        amount: request.amount,
        method: plan.method,
    })
}

/// What the schedule of a plan is computed from, before any subsidy.
///
/// Period k is billed on the k-th statement after the business day and falls due on the due day after that.
pub fn schedule_request(plan: &Plan, price: Rate, request: &QuoteRequest<'_>) -> ScheduleRequest {
    let first_statement_on = request.statement_day.next_after(request.business_day);
    ScheduleRequest {
        method: plan.method,
        day_count: plan.day_count,
        level: plan.level,
        principal: request.amount,
        periods: request.periods,
        annual_rate: contract_rate(plan, price),
        fee_rate_per_period: plan.fee_rate_per_period(price),
        free_periods: plan.free_periods,
        start_on: request.business_day,
        due: DueDates::From { first: request.due_day.next_after(first_statement_on), day: request.due_day },
    }
}

/// To whom prices are told beforehand, and when.
#[derive(Clone, Copy, Debug)]
pub struct PriceInquiry<'a> {
    pub grades: &'a [String],
    pub business_day: BusinessDay,
    /// The statement and due day of the line; `None` while there is none, as it may be given any statement day of the product.
    pub line: Option<(MonthDay, MonthDay)>,
}

/// A day of purchase, and the statement and due day of the line.
type PurchaseDays = (BusinessDay, MonthDay, MonthDay);

/// The least and the greatest annualised cost (单利, as people are shown it) of all plans that are sold to these grades, from today until
/// the line's next statement day. It is quoted for the greatest purchase, where rounding to fen does not show. `None` if nothing is sold
/// to these grades.
pub fn price_range(terms: &Terms, asked: PriceInquiry<'_>) -> Option<(Decimal, Decimal)> {
    let amount = terms.purchase.amount_max_fen;
    let mut range: Option<(Decimal, Decimal)> = None;
    for plan in &terms.plans {
        let days = asked.purchase_days(terms, plan.day_count);
        let grades = cheapest_and_dearest(terms, plan, asked.grades).into_iter();
        let sold = grades.flat_map(|grade| plan.periods.iter().map(move |periods| (grade, *periods)));
        for ((grade, periods), on) in sold.flat_map(|one| days.iter().map(move |day| (one, *day))) {
            let (business_day, statement_day, due_day) = on;
            let request = QuoteRequest { grade, periods, amount, business_day, statement_day, due_day };
            let Some(price) = quote(terms, &request).ok().and_then(|quote| quote.price()) else { continue };
            let nominal = price.shown().nominal;
            range = Some(range.map_or((nominal, nominal), |(least, most)| (least.min(nominal), most.max(nominal))));
        }
    }
    range
}

/// The grades among these for which a plan costs least and most.
fn cheapest_and_dearest<'a>(terms: &Terms, plan: &Plan, grades: &'a [String]) -> BTreeSet<&'a str> {
    let price = |grade: &'a String| Some((terms.plan(*plan.periods.first()?, grade)?.1, grade.as_str()));
    let priced = grades.iter().filter_map(price);
    [priced.clone().min(), priced.max()].into_iter().flatten().map(|(_, grade)| grade).collect()
}

impl PriceInquiry<'_> {
    /// The purchases between which all others cost. Interest by the day costs more with a longer first period, which becomes shorter each
    /// day: it is longest today or on the statement day, and shortest on the day before that.
    fn purchase_days(&self, terms: &Terms, day_count: DayCount) -> Vec<PurchaseDays> {
        let of_product = terms.line.statement_days.iter().map(|day| (*day, terms.line.due_day(*day)));
        let mut lines = self.line.map_or_else(|| of_product.collect(), |line| vec![line]);
        let today = self.business_day;
        match day_count {
            DayCount::Monthly => {
                lines.truncate(1);
                lines.into_iter().map(|(statement_day, due_day)| (today, statement_day, due_day)).collect()
            }
            DayCount::Act360 | DayCount::Act365 => {
                let of_line = |(statement_day, due_day): (MonthDay, MonthDay)| {
                    let statement_on = statement_day.next_after(today);
                    [today, statement_on.minus_days(1), statement_on].map(|day| (day, statement_day, due_day))
                };
                lines.into_iter().flat_map(of_line).collect()
            }
        }
    }
}

/// The contract rate a year of loans to `grade` in `periods`; `None` if these terms have no such plan.
pub fn annual_rate(terms: &Terms, periods: u16, grade: &str) -> Option<Rate> {
    terms.plan(periods, grade).map(|(plan, price)| contract_rate(plan, price))
}

fn contract_rate(plan: &Plan, price: Rate) -> Rate {
    match plan.method {
        Method::EqualInstallment | Method::EqualPrincipal | Method::InterestFirst => price,
        Method::FlatFee | Method::InterestFree => Rate::ZERO,
    }
}

/// Takes the merchant's share of each row's interest or flat fee, rounded per row, off the schedule, and returns the shares. A guarantee
/// charge stays.
fn take_subsidies_off(plan: &Plan, rows: &mut [Installment]) -> Vec<Fen> {
    if plan.subsidy_share.is_zero() {
        return Vec::new();
    }
    let take = |row: &mut Installment| {
        let part = if plan.method == Method::FlatFee { &mut row.fee } else { &mut row.interest };
        let subsidy = plan.subsidy_share.of(*part, 1, 1);
        *part -= subsidy;
        subsidy
    };
    rows.iter_mut().map(take).collect()
}

impl Quote {
    /// What the borrower's credit costs the borrower a year. `None` only for amounts so small that they have no root.
    pub fn price(&self) -> Option<Price> {
        Price::of(self.amount, &self.schedule)
    }

    /// What the credit costs borrower and merchant together: the subsidy is counted as if the borrower paid it.
    pub fn price_with_subsidy(&self) -> Option<Price> {
        match self.method {
            Method::InterestFree => {
                let payments: Vec<Fen> = self.schedule.installments.iter().map(Installment::total).collect();
                Price::of_payments(self.amount - self.subsidy, &payments)
            }
            _ => Price::of(self.amount, &self.gross_schedule()),
        }
    }

    /// The schedule before the subsidy is taken off.
    pub fn gross_schedule(&self) -> Schedule {
        let mut gross = self.schedule.clone();
        for (row, subsidy) in gross.installments.iter_mut().zip(&self.subsidies) {
            if self.method == Method::FlatFee {
                row.fee += *subsidy;
            } else {
                row.interest += *subsidy;
            }
        }
        gross
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::file;

    fn of(terms: &Terms, periods: u16, amount: i64) -> Result<Quote, QuoteRefusal> {
        let (statement_day, due_day) = (MonthDay::new(5).unwrap(), MonthDay::new(25).unwrap());
        let business_day = "2026-03-02".parse().unwrap();
        quote(
            terms,
            &QuoteRequest { grade: "A", periods, amount: Fen::new(amount), business_day, statement_day, due_day },
        )
    }

    #[test]
    fn what_the_merchant_pays_for_all_periods_of_an_interest_free_purchase_is_rounded_once() {
        let free = file::parse(include_str!("../../products/interest-free.toml")).unwrap();
        // 3,130 × 0.5 % are 15.65 a period, and 46.95 for three.
        let quote = of(&free, 3, 3_130).unwrap();
        assert_eq!((quote.subsidy, quote.subsidies.len()), (Fen::new(47), 0));
    }

    #[test]
    fn the_merchants_half_of_each_row_is_rounded_by_itself_and_the_borrower_pays_the_rest() {
        let shared = file::parse(include_str!("../../products/merchant-subsidy.toml")).unwrap();
        // 100,100 × 0.6 % are 600.6 a period, and 1,801.8 for three: 601, 601 and 600, of which the half of 601 goes up.
        let quote = of(&shared, 3, 100_100).unwrap();
        assert_eq!(quote.subsidies, [301, 301, 300].map(Fen::new));
        assert_eq!(quote.schedule.installments.iter().map(|row| row.fee.get()).collect::<Vec<_>>(), [300; 3]);
        assert_eq!(quote.subsidy, Fen::new(902));
    }

    /// Every price at which equal principal by the day is sold on a line, from a day until the line's next statement day.
    fn prices_until_statement(terms: &Terms, today: BusinessDay, statement_day: MonthDay) -> Vec<Decimal> {
        let (amount, due_day) = (terms.purchase.amount_max_fen, terms.line.due_day(statement_day));
        let until = statement_day.next_after(today);
        let mut prices = Vec::new();
        for business_day in (0..).map(|days| today.plus_days(days)).take_while(|day| *day <= until) {
            for (grade, periods) in terms.purchase.grades.iter().flat_map(|grade| [6, 12, 36].map(|n| (grade, n))) {
                let request = QuoteRequest { grade, periods, amount, business_day, statement_day, due_day };
                prices.push(quote(terms, &request).unwrap().price().unwrap().shown().nominal);
            }
        }
        prices
    }

    #[test]
    fn the_prices_that_are_told_beforehand_hold_on_every_day_until_the_next_statement() {
        let mut terms = file::parse(include_str!("../../products/equal-principal.toml")).unwrap();
        terms.plans[0].periods = vec![6, 12, 36];
        let grades = terms.purchase.grades.clone();
        let told =
            |business_day, line| price_range(&terms, PriceInquiry { grades: &grades, business_day, line }).unwrap();
        // Whoever buys on a statement day itself has the longest first period, and with statements on the 7th it is another one than
        // with statements on the 1st.
        for (today, statement_day) in [("2026-08-01", 1), ("2026-08-01", 7), ("2026-01-02", 7), ("2026-03-10", 28)] {
            let (today, statement_day): (BusinessDay, _) =
                (today.parse().unwrap(), MonthDay::new(statement_day).unwrap());
            let seen = prices_until_statement(&terms, today, statement_day);
            let line = Some((statement_day, terms.line.due_day(statement_day)));
            let expected = (*seen.iter().min().unwrap(), *seen.iter().max().unwrap());
            assert_eq!(told(today, line), expected, "{today}, {statement_day:?}");
        }
        // Before there is a line it may be given any statement day: some cost more than the first.
        let today = "2026-01-02".parse().unwrap();
        let of_lines = terms.line.statement_days.iter().map(|day| told(today, Some((*day, terms.line.due_day(*day)))));
        let (least, most): (Vec<Decimal>, Vec<Decimal>) = of_lines.unzip();
        let expected = (*least.iter().min().unwrap(), *most.iter().max().unwrap());
        assert_eq!(told(today, None), expected);
        assert!(most[0] < expected.1, "{most:?}");
    }

    #[test]
    fn numbers_that_follow_each_other_are_said_by_the_first_and_the_last() {
        assert_eq!(said(&[1, 3, 6, 7, 10, 11, 12, 24]), "1, 3, 6, 7, 10 to 12, 24");
        assert_eq!((said(&[3]), said(&[])), ("3".to_owned(), String::new()));
    }

    #[test]
    fn one_period_and_one_grade_alone_are_no_plurals() {
        let mut next_bill = file::parse(include_str!("../../products/pay-next-bill.toml")).unwrap();
        let refused = of(&next_bill, 3, 10_000).unwrap_err().to_string();
        assert_eq!(refused, "this product is sold in 1 period, not in 3");
        next_bill.purchase.grades = vec!["B".to_owned()];
        let refused = of(&next_bill, 1, 10_000).unwrap_err().to_string();
        assert_eq!(refused, "this product is sold to grade B, not to \"A\"");
    }

    #[test]
    fn the_least_and_the_greatest_amount_are_sold() {
        let shared = file::parse(include_str!("../../products/merchant-subsidy.toml")).unwrap();
        let (least, most) = shared.purchase.bounds();
        let refused = Some(QuoteRefusal::AmountOutOfBounds { least, most });
        let found = [least.get() - 1, least.get(), most.get(), most.get() + 1].map(|fen| of(&shared, 3, fen).err());
        assert_eq!(found, [refused.clone(), None, None, refused]);
    }
}
