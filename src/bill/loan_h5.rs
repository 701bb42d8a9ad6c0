//! The borrower's loans: schedule, what is paid, the agreement, and "why this number" for every period.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::own_actions::{self, InstallmentToday, LoanStory};
use super::own_store::{OwnLoan, OwnPayment};
use super::why::{self, Agreed, Changed, Owed};
use crate::app::App;
use crate::base::id::{BorrowerId, LoanId};
use crate::base::{BusinessDay, Fen, Rate};
use crate::borrower::Agreement;
use crate::borrower::actions::signed_text_at;
use crate::funder;
use crate::http::Problem;
use crate::ledger::store::Entry;
use crate::loan::{LoanStatus, Price, words};
use crate::page::Page;
use crate::page::session::SignedIn;
use crate::product::terms::Plan;

/// How many loans one page of the list shows.
const LISTED: usize = 50;

#[derive(Deserialize)]
pub struct Wanted {
    /// Only loans older than this one.
    before: Option<LoanId>,
}

#[derive(Template, WebTemplate)]
#[template(path = "bill/loans.html")]
pub struct LoansPage {
    page: Page,
    loans: Vec<OwnLoan>,
    /// The last loan shown, after which the next page goes on; `None` on the last page.
    older: Option<LoanId>,
}

#[derive(Template, WebTemplate)]
#[template(path = "bill/loan.html")]
pub struct LoanPage {
    page: Page,
    rows: Vec<ScheduleRow>,
    price: Option<Price>,
    entries: Vec<Entry>,
    story: LoanStory,
}

/// One period as it stands.
struct ScheduleRow {
    period: usize,
    due_on: BusinessDay,
    total: Fen,
    /// The end of the key of its words: `paid`, `part`, `late`, `grace`, `billed`, `coming`, `gone`.
    state: &'static str,
    /// What is left of `total`.
    owed: Fen,
}

#[derive(Template, WebTemplate)]
#[template(path = "bill/agreement.html")]
pub struct AgreementPage {
    page: Page,
    plan: Option<Plan>,
    /// A year, or for a flat fee per period.
    rate: Rate,
    price: Option<Price>,
    story: LoanStory,
    lender: String,
    /// The credit agreement as it was signed before this loan was made.
    text: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "bill/why.html")]
pub struct WhyPage {
    page: Page,
    period: usize,
    agreed: Option<Agreed>,
    changes: Vec<Changed>,
    billed: Option<(InstallmentToday, Owed)>,
    /// What was paid of it, in order of time.
    payments: Vec<OwnPayment>,
    entries: Vec<Entry>,
    story: LoanStory,
}

impl AgreementPage {
    fn loan_address(&self) -> String {
        format!("/loans/{}", self.story.loan.loan_id)
    }

    fn orders(&self) -> Vec<(String, String)> {
        words::orders(&self.page, &self.story.product.terms.allocation, self.plan.as_ref())
    }
}

impl LoanPage {
    /// The principal that was paid, period by period.
    fn principal_paid(&self) -> Vec<Fen> {
        let paid = self.story.installments.iter().map(|one| one.own.billed.paid.principal);
        paid.filter(|paid| paid.is_positive()).collect()
    }
}

impl WhyPage {
    fn paid(&self) -> Vec<Fen> {
        self.payments.iter().map(|payment| payment.amount).collect()
    }
}

/// `GET /loans`
pub async fn list(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Query(wanted): Query<Wanted>,
) -> Result<LoansPage, Problem> {
    let limit = i64::try_from(LISTED + 1).unwrap_or(i64::MAX);
    let mut loans = own_actions::loans(&app, borrower_id, wanted.before, limit).await?;
    let has_more = loans.len() > LISTED;
    loans.truncate(LISTED);
    let older = loans.last().filter(|_| has_more).map(|loan| loan.loan_id);
    Ok(LoansPage { page, loans, older })
}

/// `GET /loans/{loan}`
pub async fn show(
    State(app): State<App>,
    page: Page,
    Path(loan): Path<String>,
    SignedIn(borrower_id): SignedIn,
) -> Result<LoanPage, Problem> {
    let story = find_story(&app, borrower_id, &loan).await?;
    let entries = own_actions::entries(&app, &story.loan, None).await?;
    Ok(LoanPage { page, rows: schedule_rows(&story), price: why::agreed_price(&story), entries, story })
}

/// `GET /loans/{loan}/agreement`
pub async fn agreement(
    State(app): State<App>,
    page: Page,
    Path(loan): Path<String>,
    SignedIn(borrower_id): SignedIn,
) -> Result<AgreementPage, Problem> {
    let story = find_story(&app, borrower_id, &loan).await?;
    let terms = &story.product.terms;
    let periods = u16::try_from(story.loan.periods).unwrap_or_default();
    let sold = terms.plan(periods, &story.loan.grade);
    let lender = funder::store::find_name(&mut *app.pool.acquire().await?, story.line.funder_id).await?;
    Ok(AgreementPage {
        page,
        plan: sold.map(|(plan, _)| plan.clone()),
        rate: sold.map_or(Rate::ZERO, |(_, price)| price),
        price: why::agreed_price(&story),
        lender,
        text: signed_text_at(&app, borrower_id, Agreement::Credit, story.loan.bought_at).await?,
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
    let story = find_story(&app, borrower_id, &loan).await?;
    if period == 0 || period > story.current().schedule.installments.len() {
        return Err(Problem::not_found());
    }
    let entries = own_actions::entries(&app, &story.loan, i16::try_from(period).ok()).await?;
    let billed = story.billed(period).map(|one| (one.clone(), why::owed(&page, &story, one)));
    Ok(WhyPage {
        agreed: why::agreed(&page, &story, period),
        changes: why::changes(&page, &story, period),
        payments: own_actions::payments(&app, &story.loan, period).await?,
        page,
        period,
        billed,
        entries,
        story,
    })
}

/// A borrower's own loan by the id in an address.
pub async fn find_story(app: &App, borrower_id: BorrowerId, loan: &str) -> Result<LoanStory, Problem> {
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
            Some(billed) if billed.grace_until().is_some() => "grace",
            Some(billed) if billed.own.billed.paid.total().is_positive() => "part",
            Some(_) => "billed",
            None if row.total().is_zero() || story.loan.status == LoanStatus::Voided => "gone",
            None => "coming",
        };
        let total = billed.map_or(row.total(), InstallmentToday::due);
        ScheduleRow { period: index + 1, due_on: row.due_on, total, state, owed }
    })
    .collect()
}
