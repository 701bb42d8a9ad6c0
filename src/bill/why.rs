//! "Why this number": the arithmetic behind one period of a loan, as it was agreed, as it changed since, and as it is owed today.

use super::own_actions::{Installment, LoanStory};
use super::own_store::OwnSchedule;
use crate::base::{BusinessDay, Fen, Rate};
use crate::loan::payoff::{PayoffRequest, quote as quote_payoff};
use crate::loan::words::{self, RowWords};
use crate::loan::{Price, ScheduleRequest, reduction};
use crate::page::Page;
use crate::product::quote::{Quote, QuoteRequest, quote, schedule_request};
use crate::product::terms::{PenaltyBase, PenaltyRate};

/// A period as the purchase agreed it.
pub struct Agreed {
    pub row: RowWords,
    /// Where the balance comes from that interest runs on.
    pub balance_why: Option<String>,
    /// Where the level payment comes from.
    pub payment_why: Option<String>,
}

/// What one later version of the schedule made of a period.
pub struct Changed {
    /// The end of a key.
    pub reason: String,
    pub day: BusinessDay,
    pub principal: Fen,
    /// With fees, which are interest by another name.
    pub interest: Fen,
    pub principal_why: Option<String>,
    pub interest_why: Vec<String>,
}

/// The lines of arithmetic behind a billed installment as of today; empty where a number stands as it was billed.
pub struct Owed {
    pub principal_why: Option<String>,
    pub interest_why: Option<String>,
    pub penalty_why: Vec<String>,
}

/// The schedule as it was agreed, computed anew from the version of the terms that the loan was made under.
pub fn agreed(page: &Page, story: &LoanStory, period: usize) -> Option<Agreed> {
    let (request, quote) = agreed_quote(story)?;
    let gross = quote.gross_schedule();
    Some(Agreed {
        balance_why: words::balance(page, &gross, period),
        payment_why: words::level_payment(page, &request).filter(|_| period < gross.installments.len()),
        row: words::rows(page, &request, &gross, &quote.subsidies).into_iter().nth(period - 1)?,
    })
}

/// What the loan was said to cost a year when it was agreed; `None` only for amounts so small that they have no root.
pub fn agreed_price(story: &LoanStory) -> Option<Price> {
    agreed_quote(story)?.1.price().map(|price| price.shown())
}

fn agreed_quote(story: &LoanStory) -> Option<(ScheduleRequest, Quote)> {
    let (loan, terms) = (&story.loan, &story.product.terms);
    let wish = QuoteRequest {
        grade: &loan.grade,
        periods: u16::try_from(loan.periods).unwrap_or_default(),
        amount: loan.principal,
        business_day: loan.made_on,
        statement_day: story.line.statement_day,
        due_day: story.line.due_day,
    };
    let (plan, price) = terms.plan(wish.periods, wish.grade)?;
    Some((schedule_request(plan, price, &wish), quote(terms, &wish).ok()?))
}

/// What later versions of the schedule made of a period (from 1), in order of time; those that left it as it was are left out.
pub fn changes(page: &Page, story: &LoanStory, period: usize) -> Vec<Changed> {
    let steps = story.versions.windows(2).map(|step| (&step[0], &step[1]));
    let row = |version: &OwnSchedule| version.schedule.installments.get(period - 1).copied();
    let changed = steps.filter_map(|(before, after)| {
        let (old, new) = (row(before)?, row(after)?);
        if old == new {
            return None;
        }
        let mut changed = Changed {
            reason: after.reason.clone(),
            day: after.business_day,
            principal: new.principal,
            interest: new.interest + new.fee,
            principal_why: None,
            interest_why: Vec::new(),
        };
        match after.reason.as_str() {
            "refund" => {
                changed.principal_why = Some(page.sum(&[old.principal, new.principal - old.principal]));
                changed.interest_why = after_refund(page, story, Step { before, after, period });
            }
            "payoff" if new.total().is_zero() => changed.principal_why = Some(page.say("why-paid-off").to_string()),
            "payoff" => after_payoff(page, story, Step { before, after, period }, &mut changed),
            _ => {}
        }
        Some(changed)
    });
    changed.collect()
}

/// One version of a schedule after the other, as a period (from 1) is looked at.
#[derive(Clone, Copy)]
struct Step<'a> {
    before: &'a OwnSchedule,
    after: &'a OwnSchedule,
    period: usize,
}

fn after_refund(page: &Page, story: &LoanStory, step: Step<'_>) -> Vec<String> {
    let Step { before, after, period } = step;
    let reduced = reduction::Reduced {
        before: &before.schedule,
        after: &after.schedule,
        periods_billed: periods_billed_before(story, after.business_day),
        made_on: story.loan.made_on,
        day: after.business_day,
    };
    let how = reduction::explain(reduced, period - 1);
    how.iter().map(|scaled| words::rescaled(page, scaled)).collect()
}

/// The period that a payoff collapsed everything into; one that was billed between quote and payment only lost interest.
fn after_payoff(page: &Page, story: &LoanStory, step: Step<'_>, changed: &mut Changed) {
    let Step { before, period, .. } = step;
    let periods = u16::try_from(story.loan.periods).unwrap_or_default();
    let plan = story.product.terms.plan(periods, &story.loan.grade).map(|(plan, _)| plan);
    let billed = periods_billed_before(story, changed.day);
    let quote = quote_payoff(&PayoffRequest {
        schedule: &before.schedule,
        periods_billed: billed,
        billed_unpaid: Fen::ZERO,
        annual_rate: story.loan.annual_rate,
        free_periods: plan.map_or(0, |plan| plan.free_periods),
        is_subsidised: plan.is_some_and(|plan| !plan.subsidy_share.is_zero()),
        made_on: story.loan.made_on,
        terms: &story.product.terms.early_payoff,
        day: changed.day,
    });
    let rows = before.schedule.installments.iter().skip(period - 1);
    let principals: Vec<Fen> = rows.map(|row| row.principal).collect();
    // Rows after it took the rest: of its charges it keeps what was paid before, or had fallen by a refund.
    let is_one_of_more = changed.principal != principals.iter().copied().sum::<Fen>();
    if is_one_of_more || (changed.interest.is_zero() && changed.principal != quote.principal) {
        changed.interest_why.push(page.say("payoff-waived").to_string());
        return;
    }
    changed.principal_why = Some(page.sum(&principals));
    let mut charges = vec![quote.interest_shown()];
    charges.extend(Some(quote.fee).filter(|fee| fee.is_positive()));
    // Paid off before a close had come to the statement that it counts as cut: that row's charges are in it whole.
    let whole = before.schedule.installments.get(period - 1..usize::from(billed)).unwrap_or_default();
    charges.extend(whole.iter().map(|row| row.interest + row.fee).filter(|charge| charge.is_positive()));
    // The bank told of it on a later day than it was quoted for.
    if charges.iter().copied().sum::<Fen>() != changed.interest {
        changed.interest_why.push(page.say("payoff-quoted-before").to_string());
        return;
    }
    changed.interest_why = words::payoff_interest(page, &quote);
    if quote.fee.is_positive() {
        changed.interest_why.push(words::payoff_fee(page, &quote));
    }
    if charges.len() > 1 {
        changed.interest_why.push(page.sum(&charges));
    }
}

/// How many periods the statements had billed before a day.
fn periods_billed_before(story: &LoanStory, day: BusinessDay) -> u16 {
    let (statement_day, made_on) = (story.line.statement_day, story.loan.made_on);
    let first = statement_day.next_after(made_on);
    let periods = u16::try_from(story.loan.periods).unwrap_or_default();
    let is_billed = |period: &u16| statement_day.months_after(first, u32::from(*period)) < day;
    u16::try_from((0..periods).take_while(is_billed).count()).unwrap_or(periods)
}

/// The arithmetic behind what a billed installment owes today.
pub fn owed(page: &Page, story: &LoanStory, one: &Installment) -> Owed {
    let (billed, returned) = (one.own.billed.billed, one.own.billed.returned);
    let less = |whole: Fen, off: Fen| off.is_positive().then(|| page.sum(&[whole, -off]));
    Owed {
        principal_why: less(billed.principal, returned.principal),
        interest_why: less(billed.interest + billed.fee, returned.interest + returned.fee),
        penalty_why: penalty(page, story, one),
    }
}

fn penalty(page: &Page, story: &LoanStory, one: &Installment) -> Vec<String> {
    if !one.penalty().is_positive() {
        return Vec::new();
    }
    let span = &one.own.billed.span;
    let unpaid = one.own.billed.unpaid();
    let (rate, basis_days) = one.rule.rate();
    let mut lines = Vec::new();
    if let PenaltyRate::Multiple(multiple) = story.product.terms.penalty.rate {
        let said = page.say("why-penalty-rate").with("contract", percent(page, story.loan.annual_rate));
        lines.push(said.with("multiple", multiple).with("rate", page.percent(&rate)).to_string());
    }
    let overdue = match one.rule.base() {
        PenaltyBase::Principal => page.say("why-overdue-principal"),
        PenaltyBase::PrincipalAndInterest => page.say("why-overdue-with-interest"),
    };
    let overdue = overdue.to_string();
    let base = one.rule.base_of(unpaid);
    if base != unpaid.principal && unpaid.principal.is_positive() {
        let sum = page.sum(&[unpaid.principal, unpaid.interest]);
        lines.push(page.say("why-penalty-base").with("overdue", &overdue).with("sum", sum).to_string());
    }
    // Yuan times days, so that it can be followed: 3,000 yuan for 5 days are 15,000.
    let yuan_days = |fen_days: i128| rust_decimal::Decimal::from_i128_with_scale(fen_days, 2).normalize();
    let fen_days = span.fen_days_on(base, one.today);
    let since = span.fen_days_to.map_or(span.due_on, |to| to.max(span.due_on));
    let days = one.today.days_since(since).max(0);
    let said = match span.fen_days {
        0 => page.say("why-penalty-days"),
        before => page.say("why-penalty-days-more").with("before", yuan_days(i128::from(before))),
    };
    let said = said.with("overdue", overdue).with("unpaid", page.yuan(&base));
    let said = said.with("count", days).with("since", page.date(&since));
    lines.push(said.with("days", yuan_days(fen_days)).to_string());
    let said = match basis_days {
        1 => page.say("why-penalty-daily"),
        _ => page.say("why-penalty").with("basis", basis_days),
    };
    let said = said.with("days", yuan_days(fen_days)).with("rate", page.percent(&rate));
    lines.push(said.with("penalty", page.yuan(&one.penalty())).to_string());
    lines
}

fn percent(page: &Page, rate: Rate) -> String {
    page.percent(&rate.fraction())
}
