//! "Why this number": the arithmetic behind one period of a loan, as it was agreed, as it changed since, and as it is owed today.

use super::model::Parts;
use super::own_actions::{InstallmentToday, LoanStory};
use super::own_store::{OwnSchedule, earlier_versions};
use crate::base::{BusinessDay, Fen, Rate};
use crate::loan::payoff::{PayoffQuote, PayoffRequest, quote as quote_payoff};
use crate::loan::rescaling::{self, RescaledRow};
use crate::loan::words::{self, RowWords};
use crate::loan::{Price, ScheduleRequest};
use crate::page::Page;
use crate::product::ShownCharges;
use crate::product::quote::{Quote, QuoteRequest, quote, schedule_request};
use crate::product::shown::guarantee_name;
use crate::product::terms::{PenaltyBase, PenaltyRate};

/// A period as the purchase agreed it.
pub struct Agreed {
    pub row: RowWords,
    /// Where the balance comes from that interest runs on; `None` where it runs on none: free periods, and a fee of each period.
    pub balance_why: Option<String>,
    /// Where the level payment comes from.
    pub payment_why: Option<String>,
}

/// How a later version of the schedule changed a period.
pub struct Changed {
    /// Why the version exists (`refund`, `payoff` or `restored`); the end of the key of its words.
    pub reason: String,
    pub day: BusinessDay,
    pub principal: Fen,
    pub charges: ShownCharges,
    /// The end of the key of the guarantee charge's name.
    pub guarantee_name: &'static str,
    pub principal_why: Option<String>,
    pub interest_why: Vec<String>,
    pub guarantee_why: Vec<String>,
}

impl Changed {
    /// What adds up to the new total.
    pub fn parts(&self) -> [Fen; 3] {
        [self.principal, self.charges.interest, self.charges.guarantee.unwrap_or_default()]
    }
}

/// The lines of arithmetic behind a billed installment as of today; empty where a number stands as it was billed.
pub struct Owed {
    pub principal_why: Option<String>,
    pub interest_why: Option<String>,
    pub guarantee_why: Option<String>,
    pub penalty_why: Vec<String>,
}

/// The schedule as it was agreed, computed anew from the version of the terms that the loan was made under.
pub fn agreed(page: &Page, story: &LoanStory, period: usize) -> Option<Agreed> {
    let (request, quote) = agreed_quote(story)?;
    let gross = quote.gross_schedule();
    let runs_on_balance = !request.annual_rate.is_zero() && period > usize::from(request.free_periods);
    Some(Agreed {
        balance_why: words::balance(page, &gross, period).filter(|_| runs_on_balance),
        payment_why: words::level_payment(page, &request).filter(|_| period < gross.installments.len()),
        row: words::rows(page, &request, &gross, &quote.subsidies).into_iter().nth(period - 1)?,
    })
}

/// The annualised cost that was shown when the loan was agreed; `None` only for amounts so small that none can be computed.
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

/// How later versions of the schedule changed a period (from 1), in order of time; versions that left it as it was are left out.
pub fn changes(page: &Page, story: &LoanStory, period: usize) -> Vec<Changed> {
    let steps = (1usize..).zip(story.versions.windows(2)).map(|(known, step)| (&story.versions[..known], &step[1]));
    let row = |version: &OwnSchedule| version.schedule.installments.get(period - 1).copied();
    let changed = steps.filter_map(|(known, after)| {
        let before = known.last()?;
        let (old, new) = (row(before)?, row(after)?);
        if old == new {
            return None;
        }
        let mut changed = Changed {
            reason: after.reason.clone(),
            day: after.business_day,
            principal: new.principal,
            charges: ShownCharges::of(story.plan(), new.interest, new.fee),
            guarantee_name: guarantee_name(&story.product.terms, false),
            principal_why: None,
            interest_why: Vec::new(),
            guarantee_why: Vec::new(),
        };
        match after.reason.as_str() {
            "refund" => {
                changed.principal_why = Some(page.sum(&[old.principal, new.principal - old.principal]));
                after_refund(page, story, Step { known, before, after, period }, &mut changed);
            }
            "payoff" if new.total().is_zero() => changed.principal_why = Some(page.say("why-paid-off").to_string()),
            "payoff" => after_payoff(page, story, Step { known, before, after, period }, &mut changed),
            _ => {}
        }
        Some(changed)
    });
    changed.collect()
}

/// One change of the schedule, from `before` to `after`, looked at for one period (from 1).
#[derive(Clone, Copy)]
struct Step<'a> {
    /// The versions until `before`.
    known: &'a [OwnSchedule],
    before: &'a OwnSchedule,
    after: &'a OwnSchedule,
    period: usize,
}

fn after_refund(page: &Page, story: &LoanStory, step: Step<'_>, changed: &mut Changed) {
    let Step { known, before, after, period } = step;
    let periods_billed = periods_billed_before(story, after.business_day);
    let reduced = rescaling::Reduced {
        earlier: &earlier_versions(known),
        before: &before.schedule,
        after: &after.schedule,
        periods_billed,
        billed_on: (periods_billed > 0).then(|| statement_on(story, periods_billed)),
        made_on: story.loan.made_on,
        day: after.business_day,
    };
    let RescaledRow { interest, fee } = rescaling::explain(reduced, period - 1);
    let fee_of_interest = fee.clone().filter(|_| changed.charges.guarantee.is_none());
    changed.interest_why = interest.iter().chain(&fee_of_interest).map(|how| words::rescaled(page, how)).collect();
    // That no principal is left is said once of both.
    changed.interest_why.dedup();
    if changed.charges.guarantee.is_some() {
        changed.guarantee_why = fee.iter().map(|how| words::rescaled_guarantee(page, how)).collect();
    }
}

/// The period that a payoff collapsed everything into; one that was billed between quote and payment only lost interest.
fn after_payoff(page: &Page, story: &LoanStory, step: Step<'_>, changed: &mut Changed) {
    let Step { before, period, .. } = step;
    let plan = story.plan();
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
    if is_one_of_more || (changed.charges.total().is_zero() && changed.principal != quote.principal) {
        changed.interest_why.push(page.say("payoff-waived").to_string());
        let waived = changed.charges.guarantee.map(|_| page.say("payoff-guarantee-waived").to_string());
        changed.guarantee_why.extend(waived);
        return;
    }
    changed.principal_why = Some(page.sum(&principals));
    changed.guarantee_name = guarantee_name(&story.product.terms, true);
    // Paid off before a close had come to the statement that it counts as cut: that row's charges are in it whole.
    let whole = before.schedule.installments.get(period - 1..usize::from(billed)).unwrap_or_default();
    let whole = whole.iter().map(|row| ShownCharges::of(plan, row.interest, row.fee)).collect();
    let shown = ShownCharges::of(plan, quote.interest, quote.period_fee);
    explain_payoff(page, PaidOff { quote, shown, whole }, changed);
}

/// What a payoff asked for beside principal.
struct PaidOff {
    quote: PayoffQuote,
    /// The interest and the fees of periods that the quote asked for.
    shown: ShownCharges,
    /// The charges of rows that it took whole.
    whole: Vec<ShownCharges>,
}

fn explain_payoff(page: &Page, paid_off: PaidOff, changed: &mut Changed) {
    let PaidOff { quote, shown, whole } = paid_off;
    let positive = |charge: &Fen| charge.is_positive();
    let mut interest = vec![shown.interest];
    let mut guarantee: Vec<Fen> = shown.guarantee.into_iter().collect();
    // The fee for paying off early stands with the fees of periods.
    let fees = if shown.guarantee.is_some() { &mut guarantee } else { &mut interest };
    fees.extend(Some(quote.fee).filter(positive));
    interest.extend(whole.iter().map(|row| row.interest).filter(positive));
    guarantee.extend(whole.iter().filter_map(|row| row.guarantee).filter(positive));
    let sum = |charges: &[Fen]| charges.iter().copied().sum::<Fen>();
    // The payoff was quoted for an earlier day than the one on which the bank told its result: the figures differ.
    if sum(&interest) != changed.charges.interest || sum(&guarantee) != changed.charges.guarantee.unwrap_or_default() {
        changed.interest_why.push(page.say("payoff-quoted-before").to_string());
        return;
    }
    changed.interest_why = words::payoff_interest(page, &quote, shown);
    changed.guarantee_why.extend(shown.guarantee.map(|_| words::payoff_guarantee(page, &quote)));
    let fee_why = if shown.guarantee.is_some() { &mut changed.guarantee_why } else { &mut changed.interest_why };
    fee_why.extend(quote.fee.is_positive().then(|| words::payoff_fee(page, &quote)));
    changed.interest_why.extend((interest.len() > 1).then(|| page.sum(&interest)));
    changed.guarantee_why.extend((guarantee.len() > 1).then(|| page.sum(&guarantee)));
}

/// How many periods statements had billed before a day.
fn periods_billed_before(story: &LoanStory, day: BusinessDay) -> u16 {
    let periods = u16::try_from(story.loan.periods).unwrap_or_default();
    let is_billed = |period: &u16| statement_on(story, *period) < day;
    u16::try_from((1..=periods).take_while(is_billed).count()).unwrap_or(periods)
}

/// The statement day of a period (from 1).
fn statement_on(story: &LoanStory, period: u16) -> BusinessDay {
    let statement_day = story.line.statement_day;
    statement_day.months_after(statement_day.next_after(story.loan.made_on), u32::from(period.max(1)) - 1)
}

/// The arithmetic behind what a billed installment owes today.
pub fn owed(page: &Page, story: &LoanStory, one: &InstallmentToday) -> Owed {
    let (billed, returned) = (one.own.billed.billed, one.own.billed.returned);
    let less = |whole: Fen, off: Fen| off.is_positive().then(|| page.sum(&[whole, -off]));
    let shown = |parts: Parts| ShownCharges::of(story.plan(), parts.interest, parts.fee);
    let (asked, fallen) = (shown(billed), shown(returned));
    Owed {
        principal_why: less(billed.principal, returned.principal),
        interest_why: less(asked.interest, fallen.interest),
        guarantee_why: less(asked.guarantee.unwrap_or_default(), fallen.guarantee.unwrap_or_default()),
        penalty_why: penalty(page, story, one),
    }
}

fn penalty(page: &Page, story: &LoanStory, one: &InstallmentToday) -> Vec<String> {
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
    let said = said.count("count", &days).with("since", page.date(&since));
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
