//! Purchases and refunds: a merchant's system looks at them, voids and refunds; a funder's core looks at refunds.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::actions::{self, RefundRequest};
use super::api_store::{self, LoanRefundView, PurchaseView, RefundView, Wanted};
use crate::app::App;
use crate::base::id::{LoanId, MerchantId, PurchaseId, RefundId};
use crate::http::Problem;
use crate::http::api::{AmountFen, Body, Cursor, Day, FunderCaller, Limit, MerchantCaller, Named, Page, Params};
use crate::merchant::MerchantDay;

/// Which purchases.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PurchaseParams {
    /// The business day of the purchases.
    #[param(value_type = Day)]
    business_day: Day,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<PurchaseId>>,
}

/// List a business day's purchases, the oldest first
///
/// Purchases that were refused are not listed.
#[utoipa::path(get, path = "/merchant/purchases", tag = "merchant", params(PurchaseParams),
    responses((status = 200, description = "A page of your purchases.", body = Page<PurchaseView>)),
    security(("signature" = ["orders:read"])))]
pub async fn list_purchases(
    State(app): State<App>,
    caller: MerchantCaller,
    Params(params): Params<PurchaseParams>,
) -> Result<Json<Page<PurchaseView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let of = MerchantDay { merchant_id: caller.merchant_id, day: params.business_day.0 };
    let after = params.cursor.map(|cursor| cursor.0);
    let rows = api_store::list_of_merchant(&mut connection, of, after, params.limit.0 + 1).await?;
    Ok(Json(Page::of(rows, params.limit.0, |purchase: &PurchaseView| purchase.purchase_id)))
}

/// Query a purchase
#[utoipa::path(get, path = "/merchant/purchases/{purchase_id}", tag = "merchant",
    params(("purchase_id" = PurchaseId, Path)),
    responses((status = 200, description = "The purchase.", body = PurchaseView)), security(("signature" = ["orders:read"])))]
pub async fn show_purchase(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(purchase_id): Named<PurchaseId>,
) -> Result<Json<PurchaseView>, Problem> {
    find_purchase(&app, caller.merchant_id, purchase_id).await.map(Json)
}

/// Void a purchase
///
/// Cancels the purchase and its loan in whole, as if they had never been made; nothing of it is settled. Only possible on the purchase's own
/// business day: afterwards refund it (`past_cut_off`). Refused if a repayment was made on the loan (`repaid_before`) or an early payoff is
/// in progress. Voiding a voided purchase changes nothing.
#[utoipa::path(post, path = "/merchant/purchases/{purchase_id}/void", tag = "merchant",
    params(("purchase_id" = PurchaseId, Path)),
    responses((status = 200, description = "The purchase, which is now voided.", body = PurchaseView)),
    security(("signature" = ["refunds:write"])),
    extensions(("x-problems" = json!(["past_cut_off", "repaid_before", "payoff_in_progress"]))))]
pub async fn void_purchase(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(purchase_id): Named<PurchaseId>,
) -> Result<Json<PurchaseView>, Problem> {
    find_purchase(&app, caller.merchant_id, purchase_id).await?;
    let _ = actions::void(&app, purchase_id).await?;
    find_purchase(&app, caller.merchant_id, purchase_id).await.map(Json)
}

async fn find_purchase(app: &App, merchant_id: MerchantId, purchase_id: PurchaseId) -> Result<PurchaseView, Problem> {
    let mut connection = app.pool.acquire().await?;
    let found = api_store::find_of_merchant(&mut connection, merchant_id, purchase_id).await?;
    found.ok_or_else(Problem::not_found)
}

/// A refund of part or all of a purchase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRefund {
    /// Amount to refund, in fen: at most `amount_fen` less `refunded_fen` of the purchase.
    pub amount_fen: AmountFen,
}

/// Refund part or all of a purchase
///
/// Possible from the business day after the purchase on, any number of times up to its amount; on the purchase's own business day void it
/// instead (`before_cut_off`). The refund first reduces what the customer owes; the rest is paid to the customer's card. It is deducted
/// in the settlement of the business day on which it is made. For one purchase, an idempotency key of one of your systems makes one refund
/// and never a second one, even after seven days.
#[utoipa::path(post, path = "/merchant/purchases/{purchase_id}/refunds", tag = "merchant", request_body = NewRefund,
    params(("purchase_id" = PurchaseId, Path)),
    responses((status = 201, description = "The refund, which has been made.", body = RefundView)),
    security(("signature" = ["refunds:write"])),
    extensions(("x-problems" = json!([
        "purchase_was_voided", "before_cut_off", "refund_exceeds_purchase", "customer_erased"
    ]))))]
pub async fn refund_purchase(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(purchase_id): Named<PurchaseId>,
    Body(refund): Body<NewRefund>,
) -> Result<impl IntoResponse, Problem> {
    find_purchase(&app, caller.merchant_id, purchase_id).await?;
    let request =
        RefundRequest { purchase_id, amount: refund.amount_fen.0, idempotency_key: caller.caller.key().to_owned() };
    let refund_id = actions::refund_for(&app, request, &caller.caller.known.code).await?;
    Ok((StatusCode::CREATED, Json(find_refund(&app, caller.merchant_id, refund_id).await?)))
}

/// Query a refund of the merchant
#[utoipa::path(get, path = "/merchant/refunds/{refund_id}", tag = "merchant", params(("refund_id" = RefundId, Path)),
    responses((status = 200, description = "The refund.", body = RefundView)), security(("signature" = ["orders:read"])))]
pub async fn show_refund(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(refund_id): Named<RefundId>,
) -> Result<Json<RefundView>, Problem> {
    find_refund(&app, caller.merchant_id, refund_id).await.map(Json)
}

async fn find_refund(app: &App, merchant_id: MerchantId, refund_id: RefundId) -> Result<RefundView, Problem> {
    let mut connection = app.pool.acquire().await?;
    let found = api_store::find_refund_of_merchant(&mut connection, merchant_id, refund_id).await?;
    found.ok_or_else(Problem::not_found)
}

/// Which refunds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RefundParams {
    /// The business day of the refunds.
    #[param(value_type = Day)]
    business_day: Day,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<RefundId>>,
}

/// List a business day's refunds, the oldest first
#[utoipa::path(get, path = "/merchant/refunds", tag = "merchant", params(RefundParams),
    responses((status = 200, description = "A page of your refunds.", body = Page<RefundView>)),
    security(("signature" = ["orders:read"])))]
pub async fn list_refunds(
    State(app): State<App>,
    caller: MerchantCaller,
    Params(params): Params<RefundParams>,
) -> Result<Json<Page<RefundView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let of = MerchantDay { merchant_id: caller.merchant_id, day: params.business_day.0 };
    let after = params.cursor.map(|cursor| cursor.0);
    let rows = api_store::list_refunds_of_merchant(&mut connection, of, after, params.limit.0 + 1).await?;
    Ok(Json(Page::of(rows, params.limit.0, |refund: &RefundView| refund.refund_id)))
}

/// Which refunds of the funder's loans.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LoanRefundParams {
    /// Only refunds of this business day.
    #[param(value_type = Option<Day>)]
    business_day: Option<Day>,
    /// Only refunds of this loan.
    #[param(value_type = Option<LoanId>)]
    loan_id: Option<LoanId>,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<RefundId>>,
}

/// List refunds that affect your loans, the oldest first
#[utoipa::path(get, path = "/funder/refunds", tag = "funder", params(LoanRefundParams),
    responses((status = 200, description = "A page of refunds on your loans.", body = Page<LoanRefundView>)),
    security(("signature" = ["loans:read"])))]
pub async fn list_loan_refunds(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<LoanRefundParams>,
) -> Result<Json<Page<LoanRefundView>>, Problem> {
    let wanted = Wanted {
        refund_id: None,
        business_day: params.business_day.map(|day| day.0),
        loan_id: params.loan_id.map(LoanId::uuid),
        after: params.cursor.map(|cursor| cursor.0.uuid()),
    };
    let mut connection = app.pool.acquire().await?;
    let limit = params.limit.0;
    let rows = api_store::list_refunds_of_funder(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |refund: &LoanRefundView| refund.refund_id)))
}

/// Query a refund that affects one of your loans
#[utoipa::path(get, path = "/funder/refunds/{refund_id}", tag = "funder", params(("refund_id" = RefundId, Path)),
    responses((status = 200, description = "The refund, with its effect on the loan.", body = LoanRefundView)),
    security(("signature" = ["loans:read"])))]
pub async fn show_loan_refund(
    State(app): State<App>,
    caller: FunderCaller,
    Named(refund_id): Named<RefundId>,
) -> Result<Json<LoanRefundView>, Problem> {
    let wanted = Wanted { refund_id: Some(refund_id.uuid()), ..Wanted::default() };
    let mut connection = app.pool.acquire().await?;
    let mut rows = api_store::list_refunds_of_funder(&mut connection, caller.funder_id, wanted, 1).await?;
    rows.pop().map(Json).ok_or_else(Problem::not_found)
}
