//! The borrower's bills: what is owed now, what was paid, and each installment in a bill.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};

use super::own_actions::{self, Bills, InstallmentToday};
use crate::app::App;
use crate::base::typed::typed_day;
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
    installments: Vec<InstallmentToday>,
    owed: Fen,
    paid: Fen,
    is_late: bool,
    grace_until: Option<BusinessDay>,
}

impl ListPage {
    fn owed(&self) -> Vec<Fen> {
        self.bills.open.iter().map(|bill| bill.owed).collect()
    }

    fn late(&self) -> Vec<Fen> {
        self.bills.open.iter().map(|bill| bill.late).filter(|late| late.is_positive()).collect()
    }
}

impl BillPage {
    /// What each installment asks for (the parts of one alone), and what was paid of all: together what is owed.
    fn asked(&self) -> Vec<Fen> {
        let asked = match self.installments.as_slice() {
            [one] => one.parts().to_vec(),
            many => many.iter().map(InstallmentToday::due).collect(),
        };
        asked.into_iter().chain([-self.paid]).collect()
    }

    /// What each installment asked for when the bill was cut; the parts of one alone.
    fn billed(&self) -> Vec<Fen> {
        match self.installments.as_slice() {
            [one] => one.billed_parts().to_vec(),
            many => many.iter().map(|one| one.own.billed.billed.total()).collect(),
        }
    }

    fn why(&self, one: &InstallmentToday) -> String {
        format!("/loans/{}/periods/{}", one.own.billed.loan_id, one.own.billed.period)
    }
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
    let due_on: BusinessDay = typed_day(&due_on).map_err(|_| Problem::not_found())?;
    let installments = own_actions::bill(&app, borrower_id, due_on).await?;
    if installments.is_empty() {
        return Err(Problem::not_found());
    }
    Ok(BillPage {
        page,
        due_on,
        owed: installments.iter().map(|one| one.owed.total()).sum(),
        paid: installments.iter().map(|one| one.own.billed.paid.total()).sum(),
        is_late: installments.iter().any(InstallmentToday::is_late),
        grace_until: installments.iter().filter_map(InstallmentToday::grace_until).min(),
        installments,
    })
}
