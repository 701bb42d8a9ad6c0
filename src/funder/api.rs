//! The reserve for its funder's system: balance, journal, forecast, orders, low-water marks.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::actions::{self, LowWaterChange};
use super::api_store::{self, ReserveEntryView, WantedEntries};
use super::order::{ReserveOrder, ReserveOrderKind};
use super::order_actions::{self, Noting};
use super::order_store::{self, WantedOrders};
use super::reserve::{LowWaterMarks, Reserve};
use super::store;
use crate::app::App;
use crate::audit::Person;
use crate::base::id::{FunderId, ReserveOrderId};
use crate::base::{BusinessDay, Fen};
use crate::business_day;
use crate::http::Problem;
use crate::http::api::{
    AmountFen, Body, Cursor, Day, FunderCaller, IfMatch, Limit, Listed, MarkFen, Named, Page, PageParams, Params, etag,
};

/// Your reserve: the money that you have prefunded at the platform, out of which purchases are paid to merchants.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReserveView {
    /// Balance that purchases can still use, in fen; negative while an advance is in use, at most by `advance_limit_fen`.
    pub available_fen: Fen,
    /// Held for purchases that are not cleared yet, in fen.
    pub held_fen: Fen,
    /// Sum of all deposits since the reserve was opened, in fen.
    pub deposited_fen: Fen,
    /// Sum of all withdrawals since the reserve was opened, in fen.
    pub withdrawn_fen: Fen,
    /// Sum of all purchases cleared to merchants since the reserve was opened, in fen.
    pub paid_out_fen: Fen,
    /// Sum of all principal that refunds returned since the reserve was opened, in fen.
    pub returned_fen: Fen,
    /// Advance (overdraft): how far below zero purchases may take `available_fen`, in fen; 0 if none is granted.
    pub advance_limit_fen: Fen,
    /// The highest of your low-water marks, in fen; 0 if there is none.
    pub low_water_fen: Fen,
    /// Your other low-water marks, in falling order, in fen.
    #[schema(example = json!([64_400]))]
    pub lower_marks_fen: Vec<Fen>,
    /// The business day since which the advance is in use; null while it is not.
    pub advance_since: Option<BusinessDay>,
    /// Whether the advance was not repaid in time; purchases are refused until it is repaid.
    pub is_advance_overdue: bool,
}

impl From<Reserve> for ReserveView {
    fn from(reserve: Reserve) -> ReserveView {
        ReserveView {
            available_fen: reserve.available,
            held_fen: reserve.held,
            deposited_fen: reserve.deposited,
            withdrawn_fen: reserve.withdrawn,
            paid_out_fen: reserve.paid_out,
            returned_fen: reserve.returned,
            advance_limit_fen: reserve.advance_limit,
            low_water_fen: reserve.low_water,
            lower_marks_fen: reserve.lower_marks,
            advance_since: reserve.advance_since,
            is_advance_overdue: reserve.advance_overdue,
        }
    }
}

/// Query your reserve
#[utoipa::path(get, path = "/funder/reserve", tag = "funder", responses((status = 200, description = "The reserve.", body = ReserveView)),
    security(("signature" = ["reserve:read"])))]
pub async fn show_reserve(State(app): State<App>, caller: FunderCaller) -> Result<Json<ReserveView>, Problem> {
    Ok(Json(find_reserve(&app, caller.funder_id).await?.into()))
}

async fn find_reserve(app: &App, funder_id: FunderId) -> Result<Reserve, Problem> {
    let mut connection = app.pool.acquire().await?;
    store::find_reserve(&mut connection, funder_id).await?.ok_or_else(Problem::not_found)
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JournalParams {
    /// Only entries of this business day.
    #[param(value_type = Option<Day>)]
    business_day: Option<Day>,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Listed<ReserveEntryView, i64>>>,
}

/// List the journal of your reserve, the oldest entry first
#[utoipa::path(get, path = "/funder/reserve/entries", tag = "funder", params(JournalParams),
    responses((status = 200, description = "A page of the reserve's journal.", body = Page<ReserveEntryView>)),
    security(("signature" = ["reserve:read"])))]
pub async fn list_entries(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<JournalParams>,
) -> Result<Json<Page<ReserveEntryView>>, Problem> {
    // Only where a list begins: each page would otherwise have an entry after it for as long as purchases are made, and every one
    // waits for the reserve.
    if params.cursor.is_none() {
        actions::bring_journal_up_to_date(&app, caller.funder_id).await?;
    }
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedEntries {
        business_day: params.business_day.map(|day| day.0),
        after: params.cursor.map(|cursor| cursor.0.0),
    };
    let limit = params.limit.0;
    let rows = api_store::list_entries(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of_listed(rows, limit, |entry: &ReserveEntryView| entry.entry_no)))
}

/// Forecast of the reserve by its average use over the last 14 business days, or since it was first used if that is less.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForecastView {
    /// Amount by which purchases, less voids and refunds, draw the reserve down on an average business day, in fen; 0 or negative if they do
    /// not.
    pub net_use_a_day_fen: Fen,
    /// The first business day whose purchases the reserve would not cover in full; null if it is not drawn down. An advance counts only until it
    /// is due, since without a deposit it is not repaid.
    pub runs_dry_on: Option<BusinessDay>,
}

/// Query when your reserve is expected to run out
///
/// Deposits and withdrawals to come are not counted.
#[utoipa::path(get, path = "/funder/reserve/forecast", tag = "funder",
    responses((status = 200, description = "The forecast.", body = ForecastView)),
    security(("signature" = ["reserve:read"])))]
pub async fn show_forecast(State(app): State<App>, caller: FunderCaller) -> Result<Json<ForecastView>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let forecast = actions::forecast_reserve(&mut connection, &app, caller.funder_id, today).await?;
    Ok(Json(ForecastView { net_use_a_day_fen: forecast.net_use_a_day, runs_dry_on: forecast.runs_dry_on }))
}

/// The balances below which you are warned that the reserve runs low.
#[derive(Debug, Serialize, ToSchema)]
pub struct LowWaterMark {
    /// The highest mark, in fen: you are warned when the available balance falls below it. 0 if there is none.
    pub low_water_fen: Fen,
    /// Lower marks, in falling order, in fen: you are warned again when the balance falls below each.
    #[schema(example = json!([64_400]))]
    pub lower_marks_fen: Vec<Fen>,
}

/// Query the low-water marks of your reserve
///
/// Their `ETag` is needed as `If-Match` to change them.
#[utoipa::path(get, path = "/funder/reserve/low-water-mark", tag = "funder",
    responses((status = 200, description = "The low-water marks.", body = LowWaterMark,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
    security(("signature" = ["reserve:read"])))]
pub async fn show_low_water_mark(State(app): State<App>, caller: FunderCaller) -> Result<impl IntoResponse, Problem> {
    Ok(marked(find_reserve(&app, caller.funder_id).await?))
}

fn marked(reserve: Reserve) -> impl IntoResponse {
    let tag = etag(reserve.low_water_version);
    let marks = LowWaterMark { low_water_fen: reserve.low_water, lower_marks_fen: reserve.lower_marks };
    ([(header::ETAG, tag)], Json(marks))
}

/// New low-water marks; they replace all existing ones.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLowWaterMark {
    /// The highest mark, in fen; with 0 you are only warned when the balance falls below zero and an advance is used.
    pub low_water_fen: MarkFen,
    /// Up to seven lower marks, in falling order, in fen, each above 0 and below the one before it; none if left out.
    #[serde(default)]
    #[schema(example = json!([64_400]), max_items = 7)]
    pub lower_marks_fen: Vec<AmountFen>,
}

/// Set the low-water marks of your reserve
///
/// When the available balance falls below a mark, the event `reserve_low` is sent; if it falls below several at once, one event names the
/// lowest. The event is repeated once on each further business day on which the balance is below a mark.
#[utoipa::path(put, path = "/funder/reserve/low-water-mark", tag = "funder", request_body = NewLowWaterMark,
    params(("If-Match" = String, Header, description = "The `ETag` that you read; 412 if the object was changed since.", example = "\"1\"")),
    responses((status = 200, description = "The low-water marks that are now in use.", body = LowWaterMark,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
    security(("signature" = ["reserve:write"])),
    extensions(("x-problems" = json!(["low_water_marks_not_falling"]))))]
pub async fn set_low_water_mark(
    State(app): State<App>,
    caller: FunderCaller,
    if_match: IfMatch,
    Body(new): Body<NewLowWaterMark>,
) -> Result<impl IntoResponse, Problem> {
    let lower = new.lower_marks_fen.into_iter().map(|mark| mark.0).collect();
    let marks = LowWaterMarks { first: new.low_water_fen.0, lower };
    let change = LowWaterChange { version: if_match.number()?, marks, attempt: caller.caller.attempt };
    Ok(marked(actions::change_low_water(&app, caller.funder_id, change).await?))
}

/// A notice of a deposit, or a request for a withdrawal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReserveOrder {
    /// Amount, in fen.
    pub amount_fen: AmountFen,
    /// The bank's reference of the payment: 1 to 128 characters on one line, unique among your deposits or among your withdrawals.
    #[schema(example = "ICBC-20260302-7781", min_length = 1, max_length = 128)]
    pub reference: String,
}

/// Notify the platform of a deposit that you have sent
///
/// The deposit is `noted`, and booked to your reserve when the platform's operator confirms that the money has arrived. The same reference and
/// amount again return the existing order; if that was refused, a notice under a new idempotency key reopens it. The same reference with
/// another amount is refused with `reference_booked_with_other_amount`.
#[utoipa::path(post, path = "/funder/reserve/deposits", tag = "funder", request_body = NewReserveOrder,
    responses((status = 201, description = "The deposit: a new order, or the existing one under this reference.", body = ReserveOrder)),
    security(("signature" = ["reserve:write"])),
    extensions(("x-problems" = json!(["reference_malformed", "reference_booked_with_other_amount"]))))]
pub async fn note_deposit(
    State(app): State<App>,
    caller: FunderCaller,
    Body(order): Body<NewReserveOrder>,
) -> Result<impl IntoResponse, Problem> {
    note(&app, caller, ReserveOrderKind::Deposit, order).await
}

/// Request a withdrawal from your reserve
///
/// The withdrawal is `noted`, and booked when a key of another holder confirms it; it never uses an advance. The same reference and amount
/// again return the existing order; the same reference with another amount is refused with `reference_booked_with_other_amount`.
#[utoipa::path(post, path = "/funder/reserve/withdrawals", tag = "funder", request_body = NewReserveOrder,
    responses((status = 201, description = "The withdrawal: a new order, or the existing one under this reference.", body = ReserveOrder)),
    security(("signature" = ["reserve:write"])),
    extensions(("x-problems" = json!(["reference_malformed", "reference_booked_with_other_amount"]))))]
pub async fn note_withdrawal(
    State(app): State<App>,
    caller: FunderCaller,
    Body(order): Body<NewReserveOrder>,
) -> Result<impl IntoResponse, Problem> {
    note(&app, caller, ReserveOrderKind::Withdrawal, order).await
}

async fn note(
    app: &App,
    caller: FunderCaller,
    kind: ReserveOrderKind,
    order: NewReserveOrder,
) -> Result<(StatusCode, Json<ReserveOrder>), Problem> {
    let app = app.by(Person::key_holder(&caller.caller.holder));
    let key = format!("{}/{}", caller.caller.known.code, caller.caller.key());
    let noting = Noting {
        funder_id: caller.funder_id,
        kind,
        amount: order.amount_fen.0,
        reference: order.reference,
        noted_by: caller.caller.holder,
        key,
    };
    Ok((StatusCode::CREATED, Json(order_actions::note_order(&app, noting).await?)))
}

/// Confirm a withdrawal with a second key
///
/// Books the withdrawal. The key's holder must be another person than the one who requested it (`same_holder`), and the available balance
/// must cover it (`reserve_not_available`). Confirming a booked withdrawal again changes nothing.
#[utoipa::path(post, path = "/funder/reserve/withdrawals/{order_id}/confirmation", tag = "funder",
    params(("order_id" = ReserveOrderId, Path)),
    responses((status = 200, description = "The withdrawal, which is booked.", body = ReserveOrder)),
    security(("signature" = ["reserve:confirm"])),
    extensions(("x-problems" = json!([
        "same_holder", "reserve_order_refused", "reserve_not_available", "reference_booked_with_other_amount"
    ]))))]
pub async fn confirm_withdrawal(
    State(app): State<App>,
    caller: FunderCaller,
    Named(order_id): Named<ReserveOrderId>,
) -> Result<Json<ReserveOrder>, Problem> {
    let order = find_order(&app, caller.funder_id, order_id).await?;
    if order.kind != ReserveOrderKind::Withdrawal {
        // Whether a deposit arrived is not its sender's to say.
        return Err(Problem::not_found());
    }
    let holder = &caller.caller.holder;
    Ok(Json(order_actions::confirm_withdrawal(&app.by(Person::key_holder(holder)), order_id, holder).await?))
}

/// List your deposits and withdrawals, the oldest first
#[utoipa::path(get, path = "/funder/reserve/orders", tag = "funder", params(PageParams<ReserveOrderId>),
    responses((status = 200, description = "A page of your deposits and withdrawals.", body = Page<ReserveOrder>)),
    security(("signature" = ["reserve:read"])))]
pub async fn list_reserve_orders(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<PageParams<ReserveOrderId>>,
) -> Result<Json<Page<ReserveOrder>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedOrders { after: params.cursor.map(|cursor| cursor.0), waiting_only: false };
    let limit = params.limit.0;
    let rows = order_store::list_orders(&mut connection, Some(caller.funder_id), wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |order: &ReserveOrder| order.order_id)))
}

/// Query a deposit or withdrawal
#[utoipa::path(get, path = "/funder/reserve/orders/{order_id}", tag = "funder",
    params(("order_id" = ReserveOrderId, Path)),
    responses((status = 200, description = "The deposit or withdrawal.", body = ReserveOrder)),
    security(("signature" = ["reserve:read"])))]
pub async fn show_reserve_order(
    State(app): State<App>,
    caller: FunderCaller,
    Named(order_id): Named<ReserveOrderId>,
) -> Result<Json<ReserveOrder>, Problem> {
    find_order(&app, caller.funder_id, order_id).await.map(Json)
}

async fn find_order(app: &App, funder_id: FunderId, order_id: ReserveOrderId) -> Result<ReserveOrder, Problem> {
    let mut connection = app.pool.acquire().await?;
    let found = order_store::find_order(&mut connection, order_id).await?;
    found.filter(|order| order.funder_id == funder_id).ok_or_else(Problem::not_found)
}
