//! The arithmetic behind a schedule in the reader's language, for "why this number".

use super::explain::{Reason, RowReasons, reasons};
use super::schedule::{Schedule, ScheduleRequest};
use crate::base::{BusinessDay, Fen};
use crate::page::Page;

/// One row of a schedule with its arithmetic in words.
#[derive(Clone, Debug)]
pub struct RowWords {
    /// From 1.
    pub period: usize,
    pub due_on: BusinessDay,
    pub principal: Fen,
    /// What the borrower pays of it; a fee a period is interest by another name.
    pub interest: Fen,
    pub principal_why: String,
    pub interest_why: Vec<String>,
}

impl RowWords {
    pub fn total(&self) -> Fen {
        self.principal + self.interest
    }
}

/// Every row of the schedule that `request` makes before any subsidy, and the merchant's part of each (or none at all).
pub fn rows(page: &Page, request: &ScheduleRequest, gross: &Schedule, subsidies: &[Fen]) -> Vec<RowWords> {
    let rows = reasons(request, gross).into_iter().zip(&gross.installments).enumerate();
    rows.map(|(index, (reasons, row))| {
        let subsidy = subsidies.get(index).copied().unwrap_or_default();
        let interest = row.interest + row.fee - subsidy;
        RowWords {
            period: index + 1,
            due_on: row.due_on,
            principal: row.principal,
            interest,
            principal_why: say(page, reasons.principal).unwrap_or_default(),
            interest_why: interest_lines(page, &reasons, subsidy, interest),
        }
    })
    .collect()
}

fn interest_lines(page: &Page, reasons: &RowReasons, subsidy: Fen, interest: Fen) -> Vec<String> {
    let mut lines: Vec<String> = [reasons.interest, reasons.fee].into_iter().filter_map(|why| say(page, why)).collect();
    if subsidy.is_positive() {
        let shared = page.say("why-subsidy").with("subsidy", page.yuan(&subsidy));
        lines.push(shared.with("interest", page.yuan(&interest)).to_string());
    }
    if lines.is_empty() {
        lines.push(page.say("why-no-interest").to_string());
    }
    lines
}

/// The words of one line of arithmetic; `None` where there is nothing to say.
pub fn say(page: &Page, reason: Reason) -> Option<String> {
    let yuan = |amount: Fen| page.yuan(&amount);
    let said = match reason {
        Reason::Nothing => return None,
        Reason::Rest { part } => page.say("why-rest").with("part", yuan(part)),
        Reason::Level { payment, interest, part } => page
            .say("why-level")
            .with("payment", yuan(payment))
            .with("interest", yuan(interest))
            .with("part", yuan(part)),
        Reason::LevelKept { payment, interest, part } => page
            .say("why-level-kept")
            .with("payment", yuan(payment))
            .with("interest", yuan(interest))
            .with("part", yuan(part)),
        Reason::Split { principal, periods, part } => {
            page.say("why-split").with("principal", yuan(principal)).with("periods", periods).with("part", yuan(part))
        }
        Reason::SplitKept { principal, periods, part } => page
            .say("why-split-kept")
            .with("principal", yuan(principal))
            .with("periods", periods)
            .with("part", yuan(part)),
        Reason::FreePeriod => page.say("why-free"),
        Reason::Month { balance, rate, part } => page
            .say("why-month")
            .with("balance", yuan(balance))
            .with("rate", page.percent(&rate.fraction()))
            .with("part", yuan(part)),
        Reason::Days { balance, rate, days, basis_days, part } => page
            .say("why-days")
            .with("balance", yuan(balance))
            .with("rate", page.percent(&rate.fraction()))
            .with("days", days)
            .with("basis", basis_days)
            .with("part", yuan(part)),
        Reason::PerPeriod { principal, rate, part } => page
            .say("why-per-period")
            .with("principal", yuan(principal))
            .with("rate", page.percent(&rate.fraction()))
            .with("part", yuan(part)),
        Reason::PerPeriodRest { principal, rate, periods, total, part } => page
            .say("why-per-period-rest")
            .with("principal", yuan(principal))
            .with("rate", page.percent(&rate.fraction()))
            .with("periods", periods)
            .with("total", yuan(total))
            .with("part", yuan(part)),
    };
    Some(said.to_string())
}
