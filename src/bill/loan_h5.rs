//! The borrower's loans: schedule, what is paid, the agreement, and "why this number" for every period.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};

use super::own_actions::{self, Installment, LoanStory};
use super::own_store::OwnLoan;
use crate::app::App;
use crate::base::id::{BorrowerId, LoanId};
use crate::base::{BusinessDay, Fen, Rate};
use crate::http::Problem;
use crate::ledger::store::Entry;
use crate::loan::LoanStatus;
use crate::loan::words::{self, RowWords};
use crate::page::Page;
use crate::page::session::SignedIn;
use crate::product::quote::{QuoteRequest, quote, schedule_request};
use crate::product::terms::{Part, PenaltyRate, Plan};

#[derive(Template, WebTemplate)]
#[template(path = "bill/loans.html")]
pub struct LoansPage {
    page: Page,
    loans: Vec<OwnLoan>,
}

#[derive(Template, WebTemplate)]
#[template(path = "bill/loan.html")]
pub struct LoanPage {
    page: Page,
    rows: Vec<ScheduleRow>,
    entries: Vec<Entry>,
    story: LoanStory,
}

/// One period as it stands.
struct ScheduleRow {
    period: usize,
    due_on: BusinessDay,
    total: Fen,
    /// The end of a key: `paid`, `part`, `late`, `billed`, `coming`, `gone`.
    state: &'static str,
    owed: Fen,
}

#[derive(Template, WebTemplate)]
#[template(path = "bill/agreement.html")]
pub struct AgreementPage {
    page: Page,
    plan: Option<Plan>,
    price: Rate,
    story: LoanStory,
    penalty: PenaltyRate,
    order: [Part; 4],
    text: &'static str,
}

#[derive(Template, WebTemplate)]
#[template(path = "bill/why.html")]
pub struct WhyPage {
    page: Page,
    period: usize,
    /// As agreed at the purchase.
    agreed: Option<RowWords>,
    /// As it is now, where refunds or a payoff have changed it.
    changed: Option<Changed>,
    billed: Option<Installment>,
    penalty_why: Option<String>,
    entries: Vec<Entry>,
    story: LoanStory,
}

struct Changed {
    principal: Fen,
    interest: Fen,
    /// The versions that changed it, as the end of a key and a day.
    reasons: Vec<(String, BusinessDay)>,
}

/// `GET /loans`
pub async fn list(State(app): State<App>, page: Page, SignedIn(borrower_id): SignedIn) -> Result<LoansPage, Problem> {
    Ok(LoansPage { page, loans: own_actions::loans(&app, borrower_id).await? })
}

/// `GET /loans/{loan}`
pub async fn show(
    State(app): State<App>,
    page: Page,
    Path(loan): Path<String>,
    SignedIn(borrower_id): SignedIn,
) -> Result<LoanPage, Problem> {
    let story = find(&app, borrower_id, &loan).await?;
    let entries = own_actions::entries(&app, &story.loan, None).await?;
    Ok(LoanPage { page, rows: schedule_rows(&story), entries, story })
}

/// `GET /loans/{loan}/agreement`
pub async fn agreement(
    State(app): State<App>,
    page: Page,
    Path(loan): Path<String>,
    SignedIn(borrower_id): SignedIn,
) -> Result<AgreementPage, Problem> {
    let story = find(&app, borrower_id, &loan).await?;
    let terms = &story.product.terms;
    let periods = u16::try_from(story.loan.periods).unwrap_or_default();
    let sold = terms.plan(periods, &story.loan.grade);
    Ok(AgreementPage {
        page,
        plan: sold.map(|(plan, _)| plan.clone()),
        price: sold.map_or(Rate::ZERO, |(_, price)| price),
        penalty: terms.penalty.rate,
        order: terms.allocation.order,
        text: crate::borrower::Agreement::Credit.wording().body,
        story,
    })
}

/// `GET /loans/{loan}/periods/{period}`: formula, rate, days, terms, and ledger entries.
pub async fn why(
    State(app): State<App>,
    page: Page,
    Path((loan, period)): Path<(String, usize)>,
    SignedIn(borrower_id): SignedIn,
) -> Result<WhyPage, Problem> {
    let story = find(&app, borrower_id, &loan).await?;
    if period == 0 || period > story.current().schedule.installments.len() {
        return Err(Problem::not_found());
    }
    let entries = own_actions::entries(&app, &story.loan, i16::try_from(period).ok()).await?;
    let agreed = agreed_rows(&page, &story).into_iter().nth(period - 1);
    let billed = story.billed(period).cloned();
    let penalty_why = billed.as_ref().and_then(|billed| penalty_words(&page, billed));
    Ok(WhyPage { changed: change(&story, period), page, period, agreed, billed, penalty_why, entries, story })
}

/// A borrower's own loan by the id in an address.
pub async fn find(app: &App, borrower_id: BorrowerId, loan: &str) -> Result<LoanStory, Problem> {
    let loan_id: LoanId = loan.parse().map_err(|_| Problem::not_found())?;
    own_actions::loan(app, borrower_id, loan_id).await?.ok_or_else(Problem::not_found)
}

fn schedule_rows(story: &LoanStory) -> Vec<ScheduleRow> {
    let rows = story.current().schedule.installments.iter().enumerate();
    rows.map(|(index, row)| {
        let billed = story.billed(index + 1);
        let owed = billed.map_or(row.total(), |billed| billed.owed.total());
        let state = match billed {
            Some(billed) if owed.is_zero() && billed.own.billed.paid.is_zero() => "gone",
            Some(_) if owed.is_zero() => "paid",
            Some(billed) if billed.is_late() => "late",
            Some(billed) if billed.own.billed.paid.total().is_positive() => "part",
            Some(_) => "billed",
            None if row.total().is_zero() || story.loan.status == LoanStatus::Voided => "gone",
            None => "coming",
        };
        let total = billed.map_or(row.total(), Installment::due);
        ScheduleRow { period: index + 1, due_on: row.due_on, total, state, owed }
    })
    .collect()
}

/// The schedule as it was agreed, computed anew from the version of the terms that the loan was made under.
fn agreed_rows(page: &Page, story: &LoanStory) -> Vec<RowWords> {
    let (loan, terms) = (&story.loan, &story.product.terms);
    let wish = QuoteRequest {
        grade: &loan.grade,
        periods: u16::try_from(loan.periods).unwrap_or_default(),
        amount: loan.principal,
        business_day: loan.made_on,
        statement_day: story.line.statement_day,
        due_day: story.line.due_day,
    };
    let (Some((plan, price)), Ok(quote)) = (terms.plan(wish.periods, wish.grade), quote(terms, &wish)) else {
        return Vec::new();
    };
    words::rows(page, &schedule_request(plan, price, &wish), &quote.gross_schedule(), &quote.subsidies)
}

/// What later versions of the schedule made of a period, where it differs from the first.
fn change(story: &LoanStory, period: usize) -> Option<Changed> {
    let row = |version: &super::own_store::OwnSchedule| version.schedule.installments.get(period - 1).copied();
    let (first, now) = (row(story.versions.first()?)?, row(story.current())?);
    if first == now {
        return None;
    }
    let later = story.versions.iter().skip(1);
    Some(Changed {
        principal: now.principal,
        interest: now.interest + now.fee,
        reasons: later.map(|version| (version.reason.clone(), version.business_day)).collect(),
    })
}

fn penalty_words(page: &Page, one: &Installment) -> Option<String> {
    if !one.penalty().is_positive() {
        return None;
    }
    let billed = &one.own.billed;
    let (rate, basis_days) = one.rule.rate();
    let fen_days = billed.span.fen_days_on(billed.unpaid_principal(), one.today);
    // Yuan times days, so that it can be followed: 3,000 yuan for 5 days are 15,000.
    let yuan_days = rust_decimal::Decimal::from_i128_with_scale(fen_days, 2);
    let said = match basis_days {
        1 => page.say("why-penalty-daily"),
        _ => page.say("why-penalty").with("basis", basis_days),
    };
    let said = said.with("days", yuan_days).with("rate", page.percent(&rate));
    Some(said.with("penalty", page.yuan(&one.penalty())).to_string())
}
