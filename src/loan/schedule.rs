//! Schedules: which amounts fall due when. Pure arithmetic on whole fen.

use chrono::Datelike;
use serde::Serialize;

use crate::base::day::MonthDay;
use crate::base::{BusinessDay, Fen, Rate};
use crate::product::terms::{DayCount, Level, Method};

use super::level_payment::level_payment;

/// Products sell at most 60 periods; published schedules that tests compare with have more.
pub const PERIODS_MAX: u16 = 600;

/// A full schedule: period k stands at index k − 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub installments: Vec<Installment>,
}

/// One row of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installment {
    pub due_on: BusinessDay,
    pub principal: Fen,
    /// What the borrower pays as interest, the merchant's subsidy already taken off.
    pub interest: Fen,
    /// The flat fee per period, shown to the borrower as interest; or the guarantee charge beside interest, shown as that.
    pub fee: Fen,
}

/// A row of a schedule as a funder's core is told it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ToldInstallment {
    period: u16,
    due_on: BusinessDay,
    principal_fen: Fen,
    interest_fen: Fen,
    fee_fen: Fen,
}

/// What a schedule is computed from.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleRequest {
    pub method: Method,
    pub day_count: DayCount,
    pub level: Level,
    pub principal: Fen,
    pub periods: u16,
    /// A year, as a fraction; ignored by `flat_fee` and `interest_free`.
    pub annual_rate: Rate,
    /// Of the principal, per period: the price of `flat_fee`; beside any other method a guarantee charge.
    pub fee_rate_per_period: Rate,
    /// How many periods from the first on carry no interest and no fee; their principal falls as in any other period.
    pub free_periods: u16,
    pub start_on: BusinessDay,
    pub due: DueDates,
}

/// When the periods fall due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueDates {
    /// Period k falls due k months after the start, clamped to the month's end.
    FromStart,
    /// Period 1 falls due on `first`, and period k on `day` of the month k − 1 months later, clamped.
    From { first: BusinessDay, day: MonthDay },
}

/// Why no schedule can be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("the principal must be from 1 to {max} fen, found {0}", max = Fen::MAX.get())]
    Principal(i64),
    #[error("the number of periods must be from 1 to {PERIODS_MAX}, found {0}")]
    Periods(i64),
    #[error("{free} free periods are more than the {periods} periods of the schedule")]
    FreePeriods { free: u16, periods: u16 },
    #[error("the first due date {first} must be after the start {start}")]
    FirstDue { first: BusinessDay, start: BusinessDay },
    #[error("a date of the schedule lies beyond the year {0}")]
    Year(i32),
}

/// Dates beyond this year are a mistake in the input, and chrono's calendar ends somewhere after it.
const YEAR_MAX: i32 = 2200;

/// Computes a schedule. Sums to the principal; no part of a row is ever negative.
///
/// Interest = balance × rate, multiplied first, divided once, rounded half-up; the last period takes what is left of the
/// principal; no period takes more than what remains.
pub fn build(request: &ScheduleRequest) -> Result<Schedule, ScheduleError> {
    check(request)?;
    let mut installments: Vec<Installment> = (0..request.periods)
        .map(|index| Installment {
            due_on: request.due_on(index),
            principal: Fen::ZERO,
            interest: Fen::ZERO,
            fee: Fen::ZERO,
        })
        .collect();
    match request.method {
        Method::EqualInstallment => fill_equal_installment(request, &mut installments),
        Method::EqualPrincipal => {
            fill_equal_principal(request, &mut installments);
            fill_interest(request, &mut installments);
        }
        Method::FlatFee | Method::InterestFree => fill_equal_principal(request, &mut installments),
        Method::InterestFirst => {
            let last = installments.last_mut().expect("a schedule has at least one period");
            last.principal = request.principal;
            fill_interest(request, &mut installments);
        }
    }
    fill_fee(request, &mut installments);
    Ok(Schedule { installments })
}

fn check(request: &ScheduleRequest) -> Result<(), ScheduleError> {
    if !request.principal.is_positive() || request.principal > Fen::MAX {
        return Err(ScheduleError::Principal(request.principal.get()));
    }
    if request.periods == 0 || request.periods > PERIODS_MAX {
        return Err(ScheduleError::Periods(request.periods.into()));
    }
    if request.free_periods > request.periods {
        return Err(ScheduleError::FreePeriods { free: request.free_periods, periods: request.periods });
    }
    let start = request.start_on;
    let first = match request.due {
        DueDates::FromStart => start,
        DueDates::From { first, .. } if first <= start => return Err(ScheduleError::FirstDue { first, start }),
        DueDates::From { first, .. } => first,
    };
    let years = i32::from(request.periods) / 12 + 1;
    if first.date().year() + years > YEAR_MAX || start.date().year() < 0 {
        return Err(ScheduleError::Year(YEAR_MAX));
    }
    Ok(())
}

fn fill_equal_installment(request: &ScheduleRequest, installments: &mut [Installment]) {
    let periods = request.periods;
    let payment = request.level_payment();
    let mut balance = request.principal;
    for (index, row) in (0u16..).zip(installments.iter_mut()) {
        row.interest = request.interest(balance, index);
        // A long first period under `act/*` may owe more interest than the payment: then nothing else is repaid.
        let part = (payment - row.interest).or_zero().min(balance);
        row.principal = if index + 1 == periods { balance } else { part };
        balance -= row.principal;
    }
}

/// Principal in equal parts, each rounded; tiny amounts run out early, the last period takes the rest.
fn fill_equal_principal(request: &ScheduleRequest, installments: &mut [Installment]) {
    let part = request.principal.share(1, i64::from(request.periods));
    spread(request.principal, part, installments.iter_mut().map(|row| &mut row.principal));
}

fn fill_interest(request: &ScheduleRequest, installments: &mut [Installment]) {
    let mut balance = request.principal;
    for (index, row) in (0u16..).zip(installments.iter_mut()) {
        row.interest = request.interest(balance, index);
        balance -= row.principal;
    }
}

/// The fee of each charged period, rounded; their total is rounded once and the last period absorbs the difference.
fn fill_fee(request: &ScheduleRequest, installments: &mut [Installment]) {
    if request.fee_rate_per_period.is_zero() {
        return;
    }
    let charged = i64::from(request.periods - request.free_periods);
    let part = request.fee_rate_per_period.of(request.principal, 1, 1);
    let total = request.fee_rate_per_period.of(request.principal, charged, 1);
    let rows = installments.iter_mut().skip(usize::from(request.free_periods));
    spread(total, part, rows.map(|row| &mut row.fee));
}

/// Gives each of `rows` one `part`, never more than what remains, and the last one what is left.
fn spread<'a>(total: Fen, part: Fen, rows: impl Iterator<Item = &'a mut Fen>) {
    let mut rest = total;
    let mut rows = rows.peekable();
    while let Some(row) = rows.next() {
        *row = if rows.peek().is_none() { rest } else { part.min(rest) };
        rest -= *row;
    }
}

impl ScheduleRequest {
    /// Whether the fee is charged beside a price, for a guarantor.
    pub fn has_guarantee_charge(&self) -> bool {
        self.method != Method::FlatFee && !self.fee_rate_per_period.is_zero()
    }

    /// The due date of the period at `index`.
    pub fn due_on(&self, index: u16) -> BusinessDay {
        match self.due {
            DueDates::FromStart => self.start_on.plus_months(u32::from(index) + 1),
            DueDates::From { first, .. } if index == 0 => first,
            DueDates::From { first, day } => day.months_after(first, u32::from(index)),
        }
    }

    /// Days of the period at `index`: from the due date before it, or the start, to its own.
    pub fn days(&self, index: u16) -> i64 {
        let from = if index == 0 { self.start_on } else { self.due_on(index - 1) };
        self.due_on(index).days_since(from)
    }

    /// The payment of each period of an `equal_installment` schedule.
    pub fn level_payment(&self) -> Fen {
        let (mantissa, scale) = self.annual_rate.exact();
        let day_count = match self.level {
            Level::Actual => self.day_count,
            Level::Monthly => DayCount::Monthly,
        };
        let rates = (0..self.periods).map(|index| {
            if index < self.free_periods {
                return 0;
            }
            let (multiplier, _) = self.part_of_year(day_count, index);
            mantissa.unsigned_abs() * u128::from(multiplier.unsigned_abs())
        });
        let (_, divisor) = self.part_of_year(day_count, 0);
        level_payment(self.principal, rates, scale.unsigned_abs() * u128::from(divisor.unsigned_abs()))
    }

    /// Interest on `balance` over the period at `index`.
    fn interest(&self, balance: Fen, index: u16) -> Fen {
        if index < self.free_periods || self.annual_rate.is_zero() {
            return Fen::ZERO;
        }
        let (multiplier, divisor) = self.part_of_year(self.day_count, index);
        self.annual_rate.of(balance, multiplier, divisor)
    }

    /// What a rate a year is multiplied and divided by for the period at `index`.
    fn part_of_year(&self, day_count: DayCount, index: u16) -> (i64, i64) {
        match day_count {
            DayCount::Monthly => (1, 12),
            DayCount::Act360 => (self.days(index), 360),
            DayCount::Act365 => (self.days(index), 365),
        }
    }
}

impl Installment {
    /// Everything that falls due in the period.
    pub fn total(&self) -> Fen {
        self.principal + self.interest + self.fee
    }
}

impl Schedule {
    /// The principal of all periods.
    pub fn principal(&self) -> Fen {
        self.installments.iter().map(|row| row.principal).sum()
    }

    /// Everything that is paid over all periods.
    pub fn total(&self) -> Fen {
        self.installments.iter().map(Installment::total).sum()
    }

    /// The whole schedule, from its first period on, as a funder's core is told it.
    pub fn told(&self) -> Vec<ToldInstallment> {
        let told = |(period, row): (u16, &Installment)| ToldInstallment {
            period,
            due_on: row.due_on,
            principal_fen: row.principal,
            interest_fen: row.interest,
            fee_fen: row.fee,
        };
        (1..).zip(&self.installments).map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why there is no schedule of 12 periods from 15 January 2026 on after a change.
    fn refused(change: fn(&mut ScheduleRequest)) -> Option<ScheduleError> {
        let mut request = ScheduleRequest {
            method: Method::InterestFree,
            day_count: DayCount::Monthly,
            level: Level::Actual,
            principal: Fen::new(120_000),
            periods: 12,
            annual_rate: Rate::ZERO,
            fee_rate_per_period: Rate::ZERO,
            free_periods: 0,
            start_on: "2026-01-15".parse().unwrap(),
            due: DueDates::FromStart,
        };
        change(&mut request);
        build(&request).err()
    }

    #[test]
    fn what_is_beyond_a_bound_has_no_schedule_and_the_bound_has_one() {
        assert_eq!(refused(|request| request.principal = Fen::ZERO), Some(ScheduleError::Principal(0)));
        assert_eq!(refused(|request| request.principal = Fen::new(1)), None);
        assert_eq!(refused(|request| request.principal = Fen::MAX), None);
        let beyond = refused(|request| request.principal = Fen::MAX + Fen::new(1));
        assert_eq!(beyond, Some(ScheduleError::Principal(100_000_000_000_001)));
        assert_eq!(refused(|request| request.periods = 0), Some(ScheduleError::Periods(0)));
        assert_eq!(refused(|request| request.periods = 600), None);
        assert_eq!(refused(|request| request.periods = 601), Some(ScheduleError::Periods(601)));
        assert_eq!(refused(|request| request.free_periods = 12), None);
        let free = refused(|request| request.free_periods = 13);
        assert_eq!(free, Some(ScheduleError::FreePeriods { free: 13, periods: 12 }));
    }

    #[test]
    fn a_schedule_begins_after_its_start_and_ends_within_the_calendar() {
        let on_start = refused(|request| {
            request.due = DueDates::From { first: request.start_on, day: MonthDay::new(15).unwrap() };
        });
        let start = "2026-01-15".parse().unwrap();
        assert_eq!(on_start, Some(ScheduleError::FirstDue { first: start, start }));
        let next_day = refused(|request| {
            request.due = DueDates::From { first: request.start_on.next(), day: MonthDay::new(16).unwrap() };
        });
        assert_eq!(next_day, None);
        assert_eq!(refused(|request| request.start_on = "2198-12-31".parse().unwrap()), None);
        let late = refused(|request| request.start_on = "2199-01-01".parse().unwrap());
        assert_eq!(late, Some(ScheduleError::Year(2200)));
    }
}
