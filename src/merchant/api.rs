//! Orders of a merchant's cashier: a dynamic code for each, to be shown as a picture and scanned.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::code::{Code, CodeKind, CodeStatus, Order};
use super::code_actions::close_code;
use super::code_store;
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{CodeId, MerchantId, PurchaseId};
use crate::http::Problem;
use crate::http::api::idempotency::first_response;
use crate::http::api::{AmountFen, Body, MerchantCaller, Moment, Named, Page, PageParams, Params};

/// A new order, which a customer pays by scanning its QR code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Your own reference of the order, unique among the merchant's orders: 1 to 25 letters, digits, `-` and `_`.
    #[schema(example = "A-20260302-0001", min_length = 1, max_length = 25, pattern = "^[A-Za-z0-9_-]+$")]
    pub reference: String,
    /// Amount to be paid, in fen.
    pub amount_fen: AmountFen,
    /// Until when the order can be paid: later than now, and within 30 days.
    #[schema(value_type = DateTime<Utc>)]
    pub expires_at: Moment,
}

/// `open`: not paid yet. `paid`: paid by the purchase `purchase_id`. `closed`: closed before it was paid; it can never be paid. `expired`:
/// `expires_at` has passed; a customer who confirmed in the last moment may still have paid, so close the order to be sure. `voided`: paid,
/// and the purchase was voided on the same business day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    Open,
    Paid,
    Closed,
    Expired,
    Voided,
}

/// An order in its current state.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderView {
    pub order_id: CodeId,
    /// Your own reference of the order.
    #[schema(example = "A-20260302-0001")]
    pub reference: String,
    /// Amount to be paid, in fen.
    pub amount_fen: Fen,
    pub status: OrderStatus,
    /// Until when the order can be paid.
    pub expires_at: DateTime<Utc>,
    /// Payment link. Show it to the customer as a QR code; any camera app opens it.
    #[schema(example = "https://pay.example.cn/q/01GW0B3bYcVZ8cQ2kTnH4f")]
    pub link: String,
    /// The purchase that paid the order; null unless the order is `paid` or `voided`.
    pub purchase_id: Option<PurchaseId>,
}

impl OrderView {
    /// `None` for a static code, which is no order.
    fn of(app: &App, code: Code) -> Option<OrderView> {
        let link = code.link(&app.site.link(""));
        let CodeKind::Order { amount, reference, expires_at } = code.kind else { return None };
        let (status, purchase_id) = match code.status {
            CodeStatus::Open if expires_at <= app.clock.now() => (OrderStatus::Expired, None),
            CodeStatus::Open => (OrderStatus::Open, None),
            CodeStatus::Closed => (OrderStatus::Closed, None),
            CodeStatus::Paid { purchase_id } => (OrderStatus::Paid, Some(purchase_id)),
            CodeStatus::Voided { purchase_id } => (OrderStatus::Voided, Some(purchase_id)),
        };
        Some(OrderView { order_id: code.code_id, reference, amount_fen: amount, status, expires_at, link, purchase_id })
    }
}

/// Create an order
///
/// Answers with the order and its payment link, which you show to the customer as a QR code. The merchant must be active. If an order with
/// the same reference, amount and expiry exists, it is returned in its current state; with another amount or expiry the request is refused
/// (`order_reference_taken`). An amount for which the merchant offers no installment plan is refused, too (`amount_not_sold`).
#[utoipa::path(post, path = "/merchant/orders", tag = "merchant", request_body = NewOrder,
    responses((status = 201, description = "The order: a new one, or the existing one in its current state.", body = OrderView)),
    security(("signature" = ["orders:write"])),
    extensions(("x-problems" = json!([
        "merchant_not_active", "order_reference_taken", "order_reference_malformed", "order_expiry_out_of_bounds",
        "amount_not_sold", "amount_out_of_bounds"
    ]))))]
pub async fn create_order(
    State(app): State<App>,
    MerchantCaller { merchant_id, caller }: MerchantCaller,
    Body(order): Body<NewOrder>,
) -> Result<Response, Problem> {
    let order =
        Order { merchant_id, reference: order.reference, amount: order.amount_fen.0, expires_at: order.expires_at.0 };
    let answer = |code: &Code| caller.first_answer(StatusCode::CREATED, &OrderView::of(&app, code.clone())?);
    let opened = app.order_desk.open_answered(order, app.clock.now(), answer).await?;
    if let Some(answer) = opened.answer {
        return Ok(first_response(answer));
    }
    let order = OrderView::of(&app, opened.code).ok_or_else(Problem::not_found)?;
    Ok((StatusCode::CREATED, Json(order)).into_response())
}

/// List the merchant's orders, the oldest first
#[utoipa::path(get, path = "/merchant/orders", tag = "merchant", params(PageParams<CodeId>),
    responses((status = 200, description = "A page of your orders.", body = Page<OrderView>)), security(("signature" = ["orders:read"])))]
pub async fn list_orders(
    State(app): State<App>,
    caller: MerchantCaller,
    Params(params): Params<PageParams<CodeId>>,
) -> Result<Json<Page<OrderView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let after = params.cursor.map(|cursor| cursor.0);
    let codes = code_store::list_orders(&mut connection, caller.merchant_id, after, params.limit.0 + 1).await?;
    let orders = codes.into_iter().filter_map(|code| OrderView::of(&app, code)).collect();
    Ok(Json(Page::of(orders, params.limit.0, |order: &OrderView| order.order_id)))
}

/// Query an order by your reference
///
/// Ask here for the result of a payment if no notification arrived.
#[utoipa::path(get, path = "/merchant/orders/{reference}", tag = "merchant",
    params(("reference" = String, Path, description = "Your own reference of the order.", example = "A-20260302-0001")),
    responses((status = 200, description = "The order.", body = OrderView)), security(("signature" = ["orders:read"])))]
pub async fn show_order(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(reference): Named<String>,
) -> Result<Json<OrderView>, Problem> {
    let code = find_order(&app, caller.merchant_id, &reference).await?;
    OrderView::of(&app, code).map(Json).ok_or_else(Problem::not_found)
}

/// Close an order
///
/// An order can be closed while it is `open` or `expired`, and can then no longer be paid. Closing a closed order changes nothing. A paid order
/// is refused with `order_paid`: void or refund its purchase instead.
#[utoipa::path(post, path = "/merchant/orders/{reference}/closure", tag = "merchant",
    params(("reference" = String, Path, description = "Your own reference of the order.", example = "A-20260302-0001")),
    responses((status = 200, description = "The order, which cannot be paid any more.", body = OrderView)),
    security(("signature" = ["orders:write"])),
    extensions(("x-problems" = json!(["order_paid", "order_voided"]))))]
pub async fn close_order(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(reference): Named<String>,
) -> Result<Json<OrderView>, Problem> {
    let code = find_order(&app, caller.merchant_id, &reference).await?;
    let _ = close_code(&app, code.code_id).await?;
    let code = find_order(&app, caller.merchant_id, &reference).await?;
    OrderView::of(&app, code).map(Json).ok_or_else(Problem::not_found)
}

async fn find_order(app: &App, merchant_id: MerchantId, reference: &str) -> Result<Code, Problem> {
    let mut connection = app.pool.acquire().await?;
    let found = code_store::find_code_of(&mut connection, merchant_id, Some(reference)).await?;
    found.ok_or_else(Problem::not_found)
}
