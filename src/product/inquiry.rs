//! Inquiries: a quote asked for on the command line or as a line of JSON, and its answer. Start with [`Inquiry::answer`].

use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::base::day::MonthDay;
use crate::base::{BusinessDay, Fen, Rate};
use crate::loan::explain::{self, RowExplanation};
use crate::loan::price::{DatedFlow, Price, dated_rate};
use crate::loan::schedule::{self, DueDates, Schedule, ScheduleError, ScheduleRequest};

use super::quote::{QuoteRefusal, QuoteRequest, quote, schedule_request};
use super::terms::{DayCount, Level, Method, Terms};

/// What is asked. The flags of `fenqi quote` and the fields of a batch line are the same words on purpose.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inquiry {
    /// Price a purchase under this product file; without it, plain terms are priced
    #[arg(long, value_name = "FILE")]
    pub product: Option<String>,
    /// Amount in fen
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number)]
    pub principal_fen: Option<i64>,
    /// Number of periods
    #[arg(long, visible_alias = "plan", allow_negative_numbers = true, value_parser = whole_number)]
    pub periods: Option<i64>,
    /// Day of the purchase or of the loan's start, YYYY-MM-DD
    #[arg(long)]
    #[serde(deserialize_with = "day_word")]
    pub start: Option<BusinessDay>,
    /// equal_installment, equal_principal, flat_fee, interest_first or interest_free
    #[arg(long)]
    pub method: Option<String>,
    /// Rate a year as a fraction, such as 0.14
    #[arg(long, allow_negative_numbers = true)]
    pub annual_rate: Option<RateWord>,
    /// monthly, act/360 or act/365 [default: monthly]
    #[arg(long)]
    pub day_count: Option<String>,
    /// With act/*: actual (the payment that clears under the actual days) or monthly [default: actual]
    #[arg(long)]
    pub level: Option<String>,
    /// Due date of period 1, the others following by months; without it, period k falls k months after the start
    #[arg(long)]
    #[serde(deserialize_with = "day_word")]
    pub first_due: Option<BusinessDay>,
    /// Fee of each period as a fraction of the principal, such as 0.006: the price of flat_fee, a guarantee charge beside another
    #[arg(long, allow_negative_numbers = true)]
    pub fee_rate_per_period: Option<RateWord>,
    /// How many periods from the first on carry no interest and no fee, guarantee charge or other
    #[arg(long, allow_negative_numbers = true, value_parser = within::<u16>(0, schedule::PERIODS_MAX.into()))]
    pub free_periods: Option<u16>,
    /// Borrower's grade, with --product
    #[arg(long)]
    pub grade: Option<String>,
    /// Statement day of month, with --product [default: the product's first]
    #[arg(long, allow_negative_numbers = true, value_parser = within::<u8>(1, 28))]
    pub statement_day: Option<u8>,
    /// Due day of month, with --product [default: the product's for the statement day]
    #[arg(long, allow_negative_numbers = true, value_parser = within::<u8>(1, 31))]
    pub due_day: Option<u8>,
}

/// A rate as a JSON number or text. It is read by its decimal digits, never as a binary fraction. Other programs send binary fractions
/// (0.13470000000000001), so it is rounded to the decimals that a rate may have.
#[derive(Clone, Copy, Debug)]
pub struct RateWord(pub Rate);

/// Why an inquiry has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InquiryError {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{field} does not go {when}")]
    Misplaced { field: &'static str, when: &'static str },
    #[error("{field} must be {allowed}, found {found:?}")]
    Word { field: &'static str, found: String, allowed: String },
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Quote(#[from] QuoteRefusal),
}

/// What is answered.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    pub rows: Vec<Row>,
    pub total_fen: Fen,
    /// The monthly root × 12 as a fraction with 8 decimals, all interest and fees counted; `null` where the payments have no such root.
    pub apr_nominal: Option<Decimal>,
    /// (1 + monthly root)¹² − 1, likewise.
    pub apr_effective: Option<Decimal>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub purchase: Option<PurchaseAnswer>,
    /// The compounded yearly rate on the real dates, actual days over 365; only with [`Answer::add_detail`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apr_by_date: Option<Decimal>,
    #[serde(skip)]
    asked: (ScheduleRequest, Schedule),
}

/// What an answer under a product says besides.
#[derive(Clone, Debug, Serialize)]
pub struct PurchaseAnswer {
    pub first_statement_on: BusinessDay,
    /// What the merchant pays at clearing.
    pub subsidy_fen: Fen,
    /// The higher rate when the subsidy is counted as cost too.
    pub apr_with_subsidy: Option<Decimal>,
}

/// One installment of a simulated repayment schedule.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SimulatedRow)]
pub struct Row {
    /// Number of the installment, from 1.
    #[schema(example = 1)]
    pub period: usize,
    pub due_date: BusinessDay,
    /// Principal, in fen.
    pub principal_fen: Fen,
    /// Interest that the borrower pays, in fen.
    pub interest_fen: Fen,
    /// Fee that the borrower pays, in fen: the period fee of a `flat_fee` plan, or the guarantee charge beside interest.
    pub fee_fen: Fen,
    /// Principal, interest and fee together, in fen.
    pub total_fen: Fen,
    /// Outstanding principal after this installment, in fen.
    pub balance_fen: Fen,
    /// The arithmetic of each part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<RowExplanation>,
}

impl Inquiry {
    /// The answer under `terms`, which is the parsed product file where the inquiry names one.
    pub fn answer(&self, terms: Option<&Terms>) -> Result<Answer, InquiryError> {
        match terms {
            Some(terms) => self.answer_purchase(terms),
            None => self.answer_plain(),
        }
    }

    fn answer_plain(&self) -> Result<Answer, InquiryError> {
        let when = "without a product";
        misplaced("grade", &self.grade, when)?;
        misplaced("statement_day", &self.statement_day, when)?;
        misplaced("due_day", &self.due_day, when)?;
        let method = word("method", self.method.as_deref().ok_or(InquiryError::Missing("method"))?, &Method::ALL)?;
        let needs_rate = matches!(method, Method::EqualInstallment | Method::EqualPrincipal | Method::InterestFirst);
        if needs_rate && self.annual_rate.is_none() {
            return Err(InquiryError::Missing("annual_rate"));
        }
        if method == Method::FlatFee && self.fee_rate_per_period.is_none() {
            return Err(InquiryError::Missing("fee_rate_per_period"));
        }
        let rate = |word: Option<RateWord>| word.map_or(Rate::ZERO, |word| word.0);
        let day = |first: BusinessDay| MonthDay::new(first.day_of_month()).expect("a date has a day of month");
        let request = ScheduleRequest {
            method,
            day_count: optional_word("day_count", &self.day_count, &DayCount::ALL, DayCount::Monthly)?,
            level: optional_word("level", &self.level, &Level::ALL, Level::Actual)?,
            principal: self.principal()?,
            periods: self.periods()?,
            // Methods without a yearly rate ignore it.
            annual_rate: if needs_rate { rate(self.annual_rate) } else { Rate::ZERO },
            fee_rate_per_period: rate(self.fee_rate_per_period),
            free_periods: self.free_periods.unwrap_or(0),
            start_on: self.start()?,
            due: self.first_due.map_or(DueDates::FromStart, |first| DueDates::From { first, day: day(first) }),
        };
        let schedule = schedule::build(&request)?;
        let price = Price::of(request.principal, &schedule);
        Ok(Answer::new(request, schedule, price, None))
    }

    fn answer_purchase(&self, terms: &Terms) -> Result<Answer, InquiryError> {
        let when = "with a product, which states it";
        misplaced("method", &self.method, when)?;
        misplaced("annual_rate", &self.annual_rate, when)?;
        misplaced("day_count", &self.day_count, when)?;
        misplaced("level", &self.level, when)?;
        misplaced("first_due", &self.first_due, when)?;
        misplaced("fee_rate_per_period", &self.fee_rate_per_period, when)?;
        misplaced("free_periods", &self.free_periods, when)?;
        let statement_day = match self.statement_day {
            Some(day) => month_day("statement_day", day, 28)?,
            None => terms.line.statement_days[0],
        };
        let due_day = match self.due_day {
            Some(day) => month_day("due_day", day, 31)?,
            None => terms.line.due_day(statement_day),
        };
        let request = QuoteRequest {
            grade: self.grade.as_deref().ok_or(InquiryError::Missing("grade"))?,
            periods: self.periods()?,
            amount: self.principal()?,
            business_day: self.start()?,
            statement_day,
            due_day,
        };
        let quote = quote(terms, &request)?;
        let (plan, price) =
            terms.plan(request.periods, request.grade).ok_or_else(|| QuoteRefusal::periods(terms, request.periods))?;
        let purchase = PurchaseAnswer {
            first_statement_on: quote.first_statement_on,
            subsidy_fen: quote.subsidy,
            apr_with_subsidy: quote.price_with_subsidy().map(|price| price.higher()),
        };
        let cost = quote.price();
        Ok(Answer::new(schedule_request(plan, price, &request), quote.schedule, cost, Some(purchase)))
    }

    fn principal(&self) -> Result<Fen, InquiryError> {
        self.principal_fen.map(Fen::new).ok_or(InquiryError::Missing("principal_fen"))
    }

    fn periods(&self) -> Result<u16, InquiryError> {
        let periods = self.periods.ok_or(InquiryError::Missing("periods"))?;
        u16::try_from(periods).map_err(|_| ScheduleError::Periods(periods).into())
    }

    fn start(&self) -> Result<BusinessDay, InquiryError> {
        self.start.ok_or(InquiryError::Missing("start"))
    }
}

impl Answer {
    fn new(
        request: ScheduleRequest,
        schedule: Schedule,
        price: Option<Price>,
        purchase: Option<PurchaseAnswer>,
    ) -> Answer {
        let mut balance = request.principal;
        let rows = schedule.installments.iter().enumerate().map(|(index, row)| {
            balance -= row.principal;
            Row {
                period: index + 1,
                due_date: row.due_on,
                principal_fen: row.principal,
                interest_fen: row.interest,
                fee_fen: row.fee,
                total_fen: row.total(),
                balance_fen: balance,
                explained: None,
            }
        });
        Answer {
            rows: rows.collect(),
            total_fen: schedule.total(),
            apr_nominal: price.map(|price| price.nominal),
            apr_effective: price.map(|price| price.effective),
            purchase,
            apr_by_date: None,
            asked: (request, schedule),
        }
    }

    /// Adds the rate by date and how each row was computed, which cost more than the rest of the answer.
    pub fn add_detail(&mut self) {
        let (request, schedule) = &self.asked;
        let mut flows = vec![DatedFlow { on: request.start_on, amount: request.principal }];
        flows.extend(schedule.installments.iter().map(|row| DatedFlow { on: row.due_on, amount: -row.total() }));
        self.apr_by_date = dated_rate(&flows);
        // The explanation is of the contract's schedule; the merchant's subsidy is taken off afterwards.
        let Ok(contract) = schedule::build(request) else { return };
        for ((row, mut explained), before) in
            self.rows.iter_mut().zip(explain::explain(request, &contract)).zip(&contract.installments)
        {
            note_subsidy(&mut explained.interest, before.interest, row.interest_fen);
            note_subsidy(&mut explained.fee, before.fee, row.fee_fen);
            row.explained = Some(explained);
        }
    }
}

fn note_subsidy(text: &mut String, before: Fen, after: Fen) {
    if before != after {
        text.push_str(&format!(", of which the merchant pays {}", before - after));
    }
}

fn misplaced<T>(field: &'static str, value: &Option<T>, when: &'static str) -> Result<(), InquiryError> {
    if value.is_some() { Err(InquiryError::Misplaced { field, when }) } else { Ok(()) }
}

fn word<T: Copy>(field: &'static str, found: &str, options: &[(&'static str, T)]) -> Result<T, InquiryError> {
    match options.iter().find(|option| option.0 == found) {
        Some(option) => Ok(option.1),
        None => {
            let names: Vec<&str> = options.iter().map(|option| option.0).collect();
            let found = found.chars().take(60).collect();
            Err(InquiryError::Word { field, found, allowed: format!("one of {}", names.join(", ")) })
        }
    }
}

fn optional_word<T: Copy>(
    field: &'static str,
    found: &Option<String>,
    options: &[(&'static str, T)],
    without: T,
) -> Result<T, InquiryError> {
    found.as_deref().map_or(Ok(without), |found| word(field, found, options))
}

fn month_day(field: &'static str, day: u8, most: u8) -> Result<MonthDay, InquiryError> {
    let allowed = || format!("a day of month from 1 to {most}");
    MonthDay::new(day).filter(|_| day <= most).ok_or_else(|| InquiryError::Word {
        field,
        found: day.to_string(),
        allowed: allowed(),
    })
}

impl FromStr for RateWord {
    type Err = crate::base::rate::RateError;
    fn from_str(text: &str) -> Result<RateWord, Self::Err> {
        // Programs write small numbers as 5e-05.
        let written = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok();
        let written = written.filter(|rate| *rate >= Decimal::ZERO).ok_or(crate::base::rate::RateError)?;
        let rounded = written.round_dp_with_strategy(Rate::DECIMALS_MAX, RoundingStrategy::MidpointAwayFromZero);
        Rate::from_fraction(rounded).map(RateWord).ok_or(crate::base::rate::RateError)
    }
}

/// A whole number as a flag; the range is told with the rest of what is asked.
fn whole_number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "allowed is a whole number of at most 18 digits, without point or comma".to_owned())
}

/// A parser of a flag's whole number, which tells the least and the most that is allowed.
fn within<T: TryFrom<i64> + 'static>(
    least: i64,
    most: i64,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text: &str| {
        let number = text.parse::<i64>().ok().filter(|number| (least..=most).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("allowed is a whole number from {least} to {most}"))
    }
}

/// A day as text, with the same error as the flag.
fn day_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BusinessDay>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse::<BusinessDay>().map_err(serde::de::Error::custom)).transpose()
}

impl<'de> Deserialize<'de> for RateWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RateWord, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        raw.get().trim_matches('"').parse().map_err(serde::de::Error::custom)
    }
}
