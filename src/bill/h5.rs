//! The borrower's bills: what is owed now, what was paid, and each installment in a bill.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};

use super::own_actions::{self, Bills, Installment};
use crate::app::App;
use crate::base::{BusinessDay, Fen};
use crate::http::Problem;
use crate::page::Page;
use crate::page::session::SignedIn;

#[derive(Template, WebTemplate)]
#[template(path = "bill/list.html")]
pub struct ListPage {
    page: Page,
    bills: Bills,
}

#[derive(Template, WebTemplate)]
#[template(path = "bill/bill.html")]
pub struct BillPage {
    page: Page,
    due_on: BusinessDay,
    installments: Vec<Installment>,
    owed: Fen,
    paid: Fen,
    is_late: bool,
}

/// `GET /bills`
pub async fn list(State(app): State<App>, page: Page, SignedIn(borrower_id): SignedIn) -> Result<ListPage, Problem> {
    Ok(ListPage { page, bills: own_actions::bills(&app, borrower_id).await? })
}

/// `GET /bills/{due_on}`
pub async fn bill(
    State(app): State<App>,
    page: Page,
    Path(due_on): Path<String>,
    SignedIn(borrower_id): SignedIn,
) -> Result<BillPage, Problem> {
    let due_on: BusinessDay = due_on.parse().map_err(|_| Problem::not_found())?;
    let installments = own_actions::bill(&app, borrower_id, due_on).await?;
    if installments.is_empty() {
        return Err(Problem::not_found());
    }
    Ok(BillPage {
        page,
        due_on,
        owed: installments.iter().map(|one| one.owed.total()).sum(),
        paid: installments.iter().map(|one| one.own.billed.paid.total()).sum(),
        is_late: installments.iter().any(Installment::is_late),
        installments,
    })
}
