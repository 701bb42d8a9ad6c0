//! How each row of a schedule was computed, in figures that a person can follow with a calculator.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::{Fen, Rate, counted};
use crate::product::terms::{DayCount, Method};

use super::schedule::{Installment, Schedule, ScheduleRequest};

/// The arithmetic of an installment, one line for each part, to be followed with a calculator; empty for a part that is zero by rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowExplanation {
    pub principal: String,
    pub interest: String,
    pub fee: String,
}

/// The arithmetic of each part of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowReasons {
    pub principal: Reason,
    pub interest: Reason,
    pub fee: Reason,
}

/// How one part of a row came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Zero by rule.
    Nothing,
    /// The last period takes what is left of the principal.
    Rest { principal: Fen, part: Fen },
    /// Principal: the level payment less the period's interest.
    Level { payment: Fen, interest: Fen, part: Fen },
    /// As `Level`, but kept between zero and the balance.
    LevelKept { payment: Fen, interest: Fen, part: Fen },
    /// Principal: an equal part for each period.
    Split { principal: Fen, periods: u16, part: Fen },
    /// As `Split`, but at most the balance.
    SplitKept { principal: Fen, periods: u16, part: Fen },
    /// The period bears no interest and no fee.
    FreePeriod,
    /// Interest: a twelfth of a year's, on the balance.
    Month { balance: Fen, rate: Rate, part: Fen },
    /// Interest: by the actual days of the period, on the balance.
    Days { balance: Fen, rate: Rate, days: i64, basis_days: u16, part: Fen },
    /// Fee: the rate a period, on the whole principal.
    PerPeriod { principal: Fen, rate: Rate, part: Fen },
    /// As `PerPeriod`, but at most what is left of the total: earlier parts that were rounded up have used up the rest.
    PerPeriodKept { principal: Fen, rate: Rate, total: Fen, part: Fen },
    /// The last period takes what is left of the total.
    PerPeriodRest { principal: Fen, rate: Rate, periods: u16, total: Fen, part: Fen },
}

/// Explains every row of what [`super::schedule::build`] made of `request`, in English.
pub fn explain(request: &ScheduleRequest, schedule: &Schedule) -> Vec<RowExplanation> {
    let in_words = |reasons: RowReasons| RowExplanation {
        principal: reasons.principal.to_string(),
        interest: reasons.interest.to_string(),
        fee: reasons.fee.to_string(),
    };
    reasons(request, schedule).into_iter().map(in_words).collect()
}

/// The arithmetic of every row of what [`super::schedule::build`] made of `request`.
pub fn reasons(request: &ScheduleRequest, schedule: &Schedule) -> Vec<RowReasons> {
    let mut balance = request.principal;
    let mut reasons = Vec::with_capacity(schedule.installments.len());
    for (index, row) in (0u16..).zip(&schedule.installments) {
        reasons.push(RowReasons {
            principal: principal(request, index, balance, row),
            interest: interest(request, index, balance, row),
            fee: fee(request, index, row),
        });
        balance -= row.principal;
    }
    reasons
}

fn principal(request: &ScheduleRequest, index: u16, balance: Fen, row: &Installment) -> Reason {
    let is_last = index + 1 == request.periods;
    let (principal, periods) = (request.principal, request.periods);
    let (part, interest) = (row.principal, row.interest);
    match request.method {
        Method::InterestFirst if !is_last => Reason::Nothing,
        _ if is_last => Reason::Rest { principal, part },
        Method::EqualInstallment => {
            let payment = request.level_payment();
            if part == payment - interest {
                Reason::Level { payment, interest, part }
            } else {
                Reason::LevelKept { payment, interest, part }
            }
        }
        Method::EqualPrincipal | Method::FlatFee | Method::InterestFree | Method::InterestFirst => {
            if part == balance {
                Reason::SplitKept { principal, periods, part }
            } else {
                Reason::Split { principal, periods, part }
            }
        }
    }
}

fn interest(request: &ScheduleRequest, index: u16, balance: Fen, row: &Installment) -> Reason {
    if request.annual_rate.is_zero() {
        return Reason::Nothing;
    }
    if index < request.free_periods {
        return Reason::FreePeriod;
    }
    let (rate, days, part) = (request.annual_rate, request.days(index), row.interest);
    match request.day_count {
        DayCount::Monthly => Reason::Month { balance, rate, part },
        DayCount::Act360 => Reason::Days { balance, rate, days, basis_days: 360, part },
        DayCount::Act365 => Reason::Days { balance, rate, days, basis_days: 365, part },
    }
}

fn fee(request: &ScheduleRequest, index: u16, row: &Installment) -> Reason {
    let (rate, principal, charged) =
        (request.fee_rate_per_period, request.principal, request.periods - request.free_periods);
    if rate.is_zero() {
        return Reason::Nothing;
    }
    if index < request.free_periods {
        return Reason::FreePeriod;
    }
    let (total, part) = (rate.of(principal, i64::from(charged), 1), row.fee);
    if index + 1 == request.periods {
        Reason::PerPeriodRest { principal, rate, periods: charged, total, part }
    } else if part == rate.of(principal, 1, 1) {
        Reason::PerPeriod { principal, rate, part }
    } else {
        Reason::PerPeriodKept { principal, rate, total, part }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Nothing => Ok(()),
            Reason::Rest { part, .. } => write!(f, "the balance that is left = {part}"),
            Reason::Level { payment, interest, part } => {
                write!(f, "level payment {payment} − interest {interest} = {part}")
            }
            Reason::LevelKept { payment, interest, part } => {
                write!(f, "level payment {payment} − interest {interest}, kept between 0 and the balance = {part}")
            }
            Reason::Split { principal, periods, part } => {
                write!(f, "{principal} ÷ {} = {part}", counted(*periods, "period"))
            }
            Reason::SplitKept { principal, periods, part } => {
                write!(f, "{principal} ÷ {}, at most the balance = {part}", counted(*periods, "period"))
            }
            Reason::FreePeriod => f.write_str("free period"),
            Reason::Month { balance, rate, part } => write!(f, "balance {balance} × {rate} a year ÷ 12 = {part}"),
            Reason::Days { balance, rate, days, basis_days, part } => {
                let days = counted(*days, "day");
                write!(f, "balance {balance} × {rate} a year × {days} ÷ {basis_days} = {part}")
            }
            Reason::PerPeriod { principal, rate, part } => write!(f, "{principal} × {rate} a period = {part}"),
            Reason::PerPeriodKept { principal, rate, total, part } => {
                write!(f, "{principal} × {rate} a period, at most what is left of {total} in all = {part}")
            }
            Reason::PerPeriodRest { principal, rate, periods, total, part } => {
                let periods = counted(*periods, "period");
                write!(f, "the rest of {principal} × {rate} × {periods} = {total}: {part}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loan::schedule::{DueDates, build};
    use crate::product::terms::Level;

    #[test]
    fn a_fee_that_the_roundings_before_it_have_used_up_says_so() {
        let request = ScheduleRequest {
            method: Method::FlatFee,
            day_count: DayCount::Monthly,
            level: Level::Actual,
            principal: Fen::new(900),
            periods: 12,
            annual_rate: Rate::ZERO,
            fee_rate_per_period: "0.005".parse().unwrap(),
            free_periods: 0,
            start_on: "2026-01-15".parse().unwrap(),
            due: DueDates::FromStart,
        };
        // 4.5 fen a period are 54 in all: ten times 5, then 4, then nothing.
        let fees: Vec<String> = explain(&request, &build(&request).unwrap()).into_iter().map(|row| row.fee).collect();
        assert_eq!(fees[9], "9.00 × 0.005 a period = 0.05");
        assert_eq!(fees[10], "9.00 × 0.005 a period, at most what is left of 0.54 in all = 0.04");
        assert_eq!(fees[11], "the rest of 9.00 × 0.005 × 12 periods = 0.54: 0.00");
        let once = ScheduleRequest { periods: 1, ..request };
        let fee = explain(&once, &build(&once).unwrap()).remove(0).fee;
        assert_eq!(fee, "the rest of 9.00 × 0.005 × 1 period = 0.05: 0.05");
    }
}
