//! How each row of a schedule was computed, in words and figures that a person can follow with a calculator.

use serde::Serialize;

use crate::base::Fen;
use crate::product::terms::{DayCount, Method};

use super::schedule::{Schedule, ScheduleRequest};

/// One line of arithmetic for each part of a row; empty where the part is zero by rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowExplanation {
    pub principal: String,
    pub interest: String,
    pub fee: String,
}

/// Explains every row of what [`super::schedule::build`] made of `request`.
pub fn explain(request: &ScheduleRequest, schedule: &Schedule) -> Vec<RowExplanation> {
    let mut balance = request.principal;
    let mut explained = Vec::with_capacity(schedule.installments.len());
    for (index, row) in (0u16..).zip(&schedule.installments) {
        explained.push(RowExplanation {
            principal: principal(request, index, balance, row.principal, row.interest),
            interest: interest(request, index, balance, row.interest),
            fee: fee(request, index, row.fee),
        });
        balance -= row.principal;
    }
    explained
}

fn principal(request: &ScheduleRequest, index: u16, balance: Fen, part: Fen, interest: Fen) -> String {
    let is_last = index + 1 == request.periods;
    match request.method {
        Method::InterestFirst if !is_last => String::new(),
        _ if is_last => format!("the balance that is left = {part}"),
        Method::EqualInstallment => {
            let payment = request.level_payment();
            let capped = if part == payment - interest { "" } else { ", kept between 0 and the balance" };
            format!("level payment {payment} − interest {interest}{capped} = {part}")
        }
        Method::EqualPrincipal | Method::FlatFee | Method::InterestFree | Method::InterestFirst => {
            let capped = if part == balance { ", at most the balance" } else { "" };
            format!("{} ÷ {} periods{capped} = {part}", request.principal, request.periods)
        }
    }
}

fn interest(request: &ScheduleRequest, index: u16, balance: Fen, part: Fen) -> String {
    if request.annual_rate.is_zero() {
        return String::new();
    }
    if index < request.free_periods {
        return "free period".to_owned();
    }
    let rate = request.annual_rate;
    match request.day_count {
        DayCount::Monthly => format!("balance {balance} × {rate} a year ÷ 12 = {part}"),
        DayCount::Act360 => format!("balance {balance} × {rate} a year × {} days ÷ 360 = {part}", request.days(index)),
        DayCount::Act365 => format!("balance {balance} × {rate} a year × {} days ÷ 365 = {part}", request.days(index)),
    }
}

fn fee(request: &ScheduleRequest, index: u16, part: Fen) -> String {
    let (rate, charged) = (request.fee_rate_per_period, request.periods - request.free_periods);
    if rate.is_zero() {
        String::new()
    } else if index < request.free_periods {
        "free period".to_owned()
    } else if index + 1 == request.periods {
        let total = rate.of(request.principal, i64::from(charged), 1);
        format!("the rest of {} × {rate} × {charged} periods = {total}: {part}", request.principal)
    } else {
        format!("{} × {rate} a period = {part}", request.principal)
    }
}
