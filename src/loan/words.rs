//! The arithmetic behind a schedule in the reader's language, for "why this number".

use super::explain::{Reason, reasons};
use super::payoff::{InterestReason, PayoffQuote, RunningFee};
use super::rescaling::{Borne, Rescaling};
use super::schedule::{Schedule, ScheduleRequest};
use crate::base::{BusinessDay, Fen};
use crate::page::{Page, Said};
use crate::product::ShownCharges;
use crate::product::terms::{AllocationTerms, DayCount, Level, Method, Part, Plan};

/// One row of a schedule with its arithmetic in words.
#[derive(Clone, Debug)]
pub struct RowWords {
    /// From 1.
    pub period: usize,
    pub due_on: BusinessDay,
    pub principal: Fen,
    /// What the borrower pays of it; a flat fee a period is interest by another name.
    pub interest: Fen,
    /// What is paid for a guarantor; `None` in a plan without such a charge.
    pub guarantee: Option<Fen>,
    pub principal_why: String,
    pub interest_why: Vec<String>,
    pub guarantee_why: String,
}

impl RowWords {
    pub fn total(&self) -> Fen {
        self.principal + self.interest + self.guarantee.unwrap_or_default()
    }

    /// What adds up to the total.
    pub fn parts(&self) -> [Fen; 3] {
        [self.principal, self.interest, self.guarantee.unwrap_or_default()]
    }
}

/// Every row of the schedule that `request` makes before any subsidy, and the merchant's part of each (or none at all).
pub fn rows(page: &Page, request: &ScheduleRequest, gross: &Schedule, subsidies: &[Fen]) -> Vec<RowWords> {
    let rows = reasons(request, gross).into_iter().zip(&gross.installments).enumerate();
    rows.map(|(index, (reasons, row))| {
        let subsidy = subsidies.get(index).copied().unwrap_or_default();
        // No subsidy is of a guarantee charge.
        let guarantee = request.has_guarantee_charge().then_some(row.fee);
        let interest = row.interest + row.fee - guarantee.unwrap_or_default() - subsidy;
        let interest_fee = if guarantee.is_some() { Reason::Nothing } else { reasons.fee };
        RowWords {
            period: index + 1,
            due_on: row.due_on,
            principal: row.principal,
            interest,
            guarantee,
            principal_why: say(page, reasons.principal).unwrap_or_default(),
            interest_why: interest_lines(page, [reasons.interest, interest_fee], subsidy, interest),
            guarantee_why: guarantee.and_then(|_| say_guarantee(page, reasons.fee)).unwrap_or_default(),
        }
    })
    .collect()
}

/// What a payment settles first, second, third and last, each order after its label: the usual one, and the one for what is long overdue.
/// `plan` says what a fee is to its borrower.
pub fn orders(page: &Page, terms: &AllocationTerms, plan: Option<&Plan>) -> Vec<(String, String)> {
    let is_guaranteed = plan.is_some_and(Plan::has_guarantee_charge);
    let name = |part: Part| if part == Part::Fee && is_guaranteed { "guarantee" } else { part.name() };
    let in_order = |order: [Part; 4]| order.map(|part| page.say_of("part", name(part)).to_string()).join(" → ");
    let mut orders = vec![(page.say("contract-order").to_string(), in_order(terms.order))];
    if let Some((days, order)) = terms.after {
        orders.push((page.say("contract-order-after").count("days", &days).to_string(), in_order(order)));
    }
    orders
}

fn interest_lines(page: &Page, reasons: [Reason; 2], subsidy: Fen, interest: Fen) -> Vec<String> {
    let mut lines: Vec<String> = reasons.into_iter().filter_map(|why| say(page, why)).collect();
    if subsidy.is_positive() {
        let shared = page.say("why-subsidy").with("gross", page.yuan(&(interest + subsidy)));
        let shared = shared.with("subsidy", page.yuan(&subsidy));
        lines.push(shared.with("interest", page.yuan(&interest)).to_string());
    }
    if lines.is_empty() {
        lines.push(page.say("why-no-interest").to_string());
    }
    lines
}

/// The words of a guarantee charge's line of arithmetic: of a fee a period, but by its own name.
fn say_guarantee(page: &Page, reason: Reason) -> Option<String> {
    let yuan = |amount: Fen| page.yuan(&amount);
    let (said, principal, rate, part) = match reason {
        Reason::FreePeriod => return Some(page.say("why-guarantee-free").to_string()),
        Reason::PerPeriod { principal, rate, part } => (page.say("why-guarantee"), principal, rate, part),
        Reason::PerPeriodKept { principal, rate, total, part } => {
            (page.say("why-guarantee-kept").with("total", yuan(total)), principal, rate, part)
        }
        Reason::PerPeriodRest { principal, rate, periods, total, part } => {
            let said = page.say("why-guarantee-rest").count("periods", &periods).with("total", yuan(total));
            (said.with("before", yuan(total - part)), principal, rate, part)
        }
        other => return say(page, other),
    };
    let said = said.with("principal", yuan(principal)).with("rate", page.percent(&rate.fraction()));
    Some(said.with("part", yuan(part)).to_string())
}

/// The words of one line of arithmetic; `None` where there is nothing to say.
fn say(page: &Page, reason: Reason) -> Option<String> {
    let yuan = |amount: Fen| page.yuan(&amount);
    let said = match reason {
        Reason::Nothing => return None,
        Reason::Rest { principal, part } => page
            .say("why-rest")
            .with("principal", yuan(principal))
            .with("before", yuan(principal - part))
            .with("part", yuan(part)),
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
            .count("days", &days)
            .with("basis", basis_days)
            .with("part", yuan(part)),
        Reason::PerPeriod { principal, rate, part } => page
            .say("why-per-period")
            .with("principal", yuan(principal))
            .with("rate", page.percent(&rate.fraction()))
            .with("part", yuan(part)),
        Reason::PerPeriodKept { principal, rate, total, part } => page
            .say("why-per-period-kept")
            .with("principal", yuan(principal))
            .with("rate", page.percent(&rate.fraction()))
            .with("total", yuan(total))
            .with("part", yuan(part)),
        Reason::PerPeriodRest { principal, rate, periods, total, part } => page
            .say("why-per-period-rest")
            .with("principal", yuan(principal))
            .with("rate", page.percent(&rate.fraction()))
            .count("periods", &periods)
            .with("total", yuan(total))
            .with("before", yuan(total - part))
            .with("part", yuan(part)),
    };
    Some(said.to_string())
}

/// Where the balance of a period (from 1) comes from; `None` in the first, whose balance is the principal.
pub fn balance(page: &Page, gross: &Schedule, period: usize) -> Option<String> {
    let before = gross.installments.get(..period - 1).filter(|before| !before.is_empty())?;
    let paid: Fen = before.iter().map(|row| row.principal).sum();
    let (principal, left) = (gross.principal(), gross.principal() - paid);
    let said = page.say("why-balance").with("principal", page.yuan(&principal)).with("before", page.yuan(&paid));
    Some(said.with("balance", page.yuan(&left)).to_string())
}

/// Where the level payment comes from; `None` for the methods that have none.
pub fn level_payment(page: &Page, request: &ScheduleRequest) -> Option<String> {
    if request.method != Method::EqualInstallment {
        return None;
    }
    // The closed form holds where every period bears the same rate; else it is the one amount that clears the balance.
    let is_even = request.day_count == DayCount::Monthly || request.level == Level::Monthly;
    let said = match request.free_periods {
        _ if request.annual_rate.is_zero() => page.say("why-payment-free"),
        0 if is_even => page.say("why-payment"),
        free if is_even => page.say("why-payment-months").count("free", &free),
        _ => page.say("why-payment-actual"),
    };
    let said = said.with("rate", page.percent(&request.annual_rate.fraction()));
    let said = said.with("principal", page.yuan(&request.principal)).count("periods", &request.periods);
    Some(said.with("payment", page.yuan(&request.level_payment())).to_string())
}

/// How a refund left the interest of a period that was not billed yet.
pub fn rescaled(page: &Page, scaled: &Rescaling) -> String {
    let said = match scaled {
        Rescaling::Nothing => return page.say("why-nothing-left").to_string(),
        Rescaling::Interest { days, days_before, .. } => {
            let said = page.say("why-rescaled").count("days", days).count("before_days", days_before);
            said.count("after_days", &(days - days_before))
        }
        Rescaling::InterestAgain { days, borne, .. } => {
            let borne: Vec<String> = borne.iter().map(|one| balance_for_days(page, one)).collect();
            page.say("why-rescaled-again").with("borne", borne.join(" + ")).count("days", days)
        }
        Rescaling::Fee { is_again: true, .. } => page.say("why-rescaled-fee-again"),
        Rescaling::Fee { .. } => page.say("why-rescaled-fee"),
    };
    with_amounts(page, said, scaled)
}

fn balance_for_days(page: &Page, borne: &Borne) -> String {
    let said = page.say("why-rescaled-balance").with("balance", page.yuan(&borne.balance));
    said.count("days", &borne.days).to_string()
}

/// How a refund left the guarantee charge of a period that was not billed yet.
pub fn rescaled_guarantee(page: &Page, scaled: &Rescaling) -> String {
    let said = match scaled {
        Rescaling::Nothing => return page.say("why-no-guarantee-left").to_string(),
        Rescaling::Fee { is_again: true, .. } => page.say("why-rescaled-guarantee-again"),
        Rescaling::Fee { .. } | Rescaling::Interest { .. } | Rescaling::InterestAgain { .. } => {
            page.say("why-rescaled-guarantee")
        }
    };
    with_amounts(page, said, scaled)
}

fn with_amounts(page: &Page, said: Said, scaled: &Rescaling) -> String {
    let [old, before, after, new] = scaled.amounts().map(|amount| page.yuan(&amount));
    said.with("old", old).with("before", before).with("after", after).with("new", new).to_string()
}

/// The arithmetic of the interest that a payoff asks for, line by line, as it is shown: with a flat fee a period, which is interest by
/// another name.
pub fn payoff_interest(page: &Page, quote: &PayoffQuote, shown: ShownCharges) -> Vec<String> {
    let said = match quote.interest_reason {
        InterestReason::ToDate { balance, rate, from, days, scheduled, .. } => {
            let interest = quote.interest_to_date();
            let words = page.say("payoff-to-date").with("balance", page.yuan(&balance)).count("days", &days);
            let words = words.with("rate", page.percent(&rate.fraction())).with("from", page.date(&from));
            let mut lines = vec![words.with("interest", page.yuan(&interest)).to_string()];
            if interest > scheduled {
                lines.push(page.say("payoff-at-most").with("most", page.yuan(&scheduled)).to_string());
            }
            if shown.guarantee.is_none() && quote.period_fee.is_positive() {
                let sum = page.sum(&[quote.interest, quote.period_fee]);
                lines.push(format!("{} {sum}", page.say("payoff-to-date-fee")));
            }
            return lines;
        }
        InterestReason::CurrentPeriod { from } => page.say("payoff-current-period").with("from", page.date(&from)),
        InterestReason::All { periods } => page.say("payoff-all").count("periods", &periods),
        InterestReason::Waived => page.say("payoff-waived"),
    };
    vec![said.to_string()]
}

/// The arithmetic of the guarantee charge that a payoff asks for: it goes by the rule of the interest.
pub fn payoff_guarantee(page: &Page, quote: &PayoffQuote) -> String {
    let said = match quote.interest_reason {
        InterestReason::ToDate { running_fee: RunningFee { whole, days, period_days }, .. } => {
            let said = page.say("payoff-guarantee-to-date").with("whole", page.yuan(&whole)).count("days", &days);
            said.count("period_days", &period_days).with("charge", page.yuan(&quote.period_fee))
        }
        InterestReason::CurrentPeriod { from } => page.say("payoff-guarantee-current").with("from", page.date(&from)),
        InterestReason::All { periods } => page.say("payoff-guarantee-all").count("periods", &periods),
        InterestReason::Waived => page.say("payoff-guarantee-waived"),
    };
    said.to_string()
}

/// The arithmetic of what is asked for a payoff itself.
pub fn payoff_fee(page: &Page, quote: &PayoffQuote) -> String {
    let said = page.say("payoff-fee-why").with("principal", page.yuan(&quote.principal));
    said.with("rate", page.percent(&quote.fee_rate.fraction())).with("fee", page.yuan(&quote.fee)).to_string()
}
