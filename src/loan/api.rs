//! Loans, plans and installments for a funder's core.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::LoanStatus;
use super::api_store::{self, InstallmentView, LoanView, PlanView, WantedLate, WantedLoans, WantedPlans};
use crate::app::App;
use crate::base::id::{FunderId, LineId, LoanId};
use crate::http::Problem;
use crate::http::api::{Cursor, Day, FunderCaller, Limit, Listed, Named, Page, PageParams, Params};

/// Which loans.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LoanParams {
    /// Only loans of this credit line.
    #[param(value_type = Option<LineId>)]
    line_id: Option<LineId>,
    /// Only loans with this status.
    #[param(inline)]
    status: Option<LoanStatus>,
    /// Only loans with a billed installment that was due before this day and of which principal, interest or a fee is not paid. For those that
    /// are more than 30 days late, 30 days before the business day.
    #[param(value_type = Option<Day>)]
    due_before: Option<Day>,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<LoanId>>,
}

/// List your loans, the oldest first
#[utoipa::path(get, path = "/funder/loans", tag = "funder", params(LoanParams),
    responses((status = 200, description = "A page of your loans.", body = Page<LoanView>)), security(("signature" = ["loans:read"])))]
pub async fn list_loans(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<LoanParams>,
) -> Result<Json<Page<LoanView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedLoans {
        line_id: params.line_id.map(LineId::uuid),
        status: params.status,
        after: params.cursor.map(|cursor| cursor.0.uuid()),
    };
    let limit = params.limit.0;
    let rows = match params.due_before {
        None => api_store::list_loans(&mut connection, caller.funder_id, &wanted, limit + 1).await?,
        Some(Day(due_before)) => {
            let late = WantedLate { wanted: &wanted, due_before };
            api_store::list_late_loans(&mut connection, caller.funder_id, late, limit + 1).await?
        }
    };
    Ok(Json(Page::of(rows, limit, |loan: &LoanView| loan.loan_id)))
}

/// Query a loan
#[utoipa::path(get, path = "/funder/loans/{loan_id}", tag = "funder", params(("loan_id" = LoanId, Path)),
    responses((status = 200, description = "The loan.", body = LoanView)), security(("signature" = ["loans:read"])))]
pub async fn show_loan(
    State(app): State<App>,
    caller: FunderCaller,
    Named(loan_id): Named<LoanId>,
) -> Result<Json<LoanView>, Problem> {
    find_loan(&app, caller.funder_id, loan_id).await.map(Json)
}

async fn find_loan(app: &App, funder_id: FunderId, loan_id: LoanId) -> Result<LoanView, Problem> {
    let mut connection = app.pool.acquire().await?;
    api_store::find_loan(&mut connection, funder_id, loan_id).await?.ok_or_else(Problem::not_found)
}

/// List the versions of a loan's repayment schedule, the first version first
///
/// A version never changes. A refund, an early payoff or a payoff that is reversed writes the next one. The version with the highest number
/// is in force.
#[utoipa::path(get, path = "/funder/loans/{loan_id}/plans", tag = "funder",
    params(("loan_id" = LoanId, Path), PageParams<Listed<PlanView, i32>>),
    responses((status = 200, description = "A page of the versions of the loan's repayment schedule.", body = Page<PlanView>)),
    security(("signature" = ["loans:read"])))]
pub async fn list_plans(
    State(app): State<App>,
    caller: FunderCaller,
    Named(loan_id): Named<LoanId>,
    Params(params): Params<PageParams<Listed<PlanView, i32>>>,
) -> Result<Json<Page<PlanView>>, Problem> {
    let loan = find_loan(&app, caller.funder_id, loan_id).await?;
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedPlans { line_id: loan.line_id, loan_id, after: params.cursor.map(|cursor| cursor.0.0) };
    let limit = params.limit.0;
    let rows = api_store::list_plans(&mut connection, wanted, limit + 1).await?;
    Ok(Json(Page::of_listed(rows, limit, |plan: &PlanView| plan.version)))
}

/// All installments of a loan's current repayment schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct Installments {
    /// In the order of their periods, without pages.
    pub items: Vec<InstallmentView>,
}

/// List a loan's installments
///
/// All installments of the current repayment schedule, each with what was repaid and what refunds took off. An installment that was billed is
/// shown with the amounts of its bill. What is still owed of principal, interest or fee is its amount less its `…_paid_fen` and its
/// `…_returned_fen`; of a voided loan nothing is owed.
#[utoipa::path(get, path = "/funder/loans/{loan_id}/installments", tag = "funder", params(("loan_id" = LoanId, Path)),
    responses((status = 200, description = "The installments of the loan's current repayment schedule.", body = Installments)),
    security(("signature" = ["loans:read"])))]
pub async fn list_installments(
    State(app): State<App>,
    caller: FunderCaller,
    Named(loan_id): Named<LoanId>,
) -> Result<Json<Installments>, Problem> {
    let loan = find_loan(&app, caller.funder_id, loan_id).await?;
    let mut connection = app.pool.acquire().await?;
    Ok(Json(Installments { items: api_store::list_installments(&mut connection, loan.line_id, loan_id).await? }))
}
