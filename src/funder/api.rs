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

/// The reserve as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReserveView {
    /// What purchases may still use; below zero only as far as the advance reaches.
    pub available_fen: Fen,
    /// Purchases that are not cleared yet.
    pub held_fen: Fen,
    /// In all, since the reserve was opened; so are the next three.
    pub deposited_fen: Fen,
    pub withdrawn_fen: Fen,
    /// Cleared to merchants.
    pub paid_out_fen: Fen,
    /// Principal that came back by refunds.
    pub returned_fen: Fen,
    /// How far below zero purchases may draw `available_fen`; 0 where nothing is advanced.
    pub advance_limit_fen: Fen,
    /// The highest of your low-water marks; 0 where there is none.
    pub low_water_fen: Fen,
    /// Marks below it, in falling order.
    #[schema(example = json!([64_400]))]
    pub lower_marks_fen: Vec<Fen>,
    /// The day on which the advance was first drawn on; null while it is not.
    pub advance_since: Option<BusinessDay>,
    /// It was not repaid in time: purchases are refused until it is.
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

/// Query the reserve
#[utoipa::path(get, path = "/funder/reserve", tag = "funder", responses((status = 200, body = ReserveView)),
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
    #[param(value_type = Option<Day>)]
    business_day: Option<Day>,
    /// From 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Listed<ReserveEntryView, i64>>>,
}

/// List the reserve's journal, the oldest entry first
#[utoipa::path(get, path = "/funder/reserve/entries", tag = "funder", params(JournalParams),
    responses((status = 200, body = Page<ReserveEntryView>)), security(("signature" = ["reserve:read"])))]
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

/// What the last two weeks let one expect, or the days since the reserve was first used.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForecastView {
    /// What an average business day draws the reserve down by.
    pub net_use_a_day_fen: Fen,
    /// The first day whose purchases would not all be covered; null while it is not drawn down.
    pub runs_dry_on: Option<BusinessDay>,
}

/// Forecast when the reserve runs dry
#[utoipa::path(get, path = "/funder/reserve/forecast", tag = "funder", responses((status = 200, body = ForecastView)),
    security(("signature" = ["reserve:read"])))]
pub async fn show_forecast(State(app): State<App>, caller: FunderCaller) -> Result<Json<ForecastView>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let forecast = actions::forecast_reserve(&mut connection, caller.funder_id, today).await?;
    Ok(Json(ForecastView { net_use_a_day_fen: forecast.net_use_a_day, runs_dry_on: forecast.runs_dry_on }))
}

/// When the funder is warned.
#[derive(Debug, Serialize, ToSchema)]
pub struct LowWaterMark {
    /// A notice is raised when the available balance falls below this.
    pub low_water_fen: Fen,
    /// And another one at each of these, in falling order.
    #[schema(example = json!([64_400]))]
    pub lower_marks_fen: Vec<Fen>,
}

/// Read the low-water marks
///
/// Their ETag is what `If-Match` of a change names.
#[utoipa::path(get, path = "/funder/reserve/low-water-mark", tag = "funder",
    responses((status = 200, body = LowWaterMark,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["reserve:read"])))]
pub async fn show_low_water_mark(State(app): State<App>, caller: FunderCaller) -> Result<impl IntoResponse, Problem> {
    Ok(marked(find_reserve(&app, caller.funder_id).await?))
}

fn marked(reserve: Reserve) -> impl IntoResponse {
    let tag = etag(reserve.low_water_version);
    let marks = LowWaterMark { low_water_fen: reserve.low_water, lower_marks_fen: reserve.lower_marks };
    ([(header::ETAG, tag)], Json(marks))
}

/// New marks, instead of all that there are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLowWaterMark {
    /// 0 for no warning, but that an advance is drawn on.
    pub low_water_fen: MarkFen,
    /// Up to seven marks below it, in falling order; none if left out.
    #[serde(default)]
    #[schema(example = json!([64_400]), max_items = 7)]
    pub lower_marks_fen: Vec<AmountFen>,
}

/// Set the low-water marks
///
/// `reserve_low` is sent for each mark that the available balance falls below (for several at once, for the lowest), and once on each
/// further day on which it stays below one.
#[utoipa::path(put, path = "/funder/reserve/low-water-mark", tag = "funder", request_body = NewLowWaterMark,
    params(("If-Match" = String, Header, description = "The ETag that was read.", example = "\"1\"")),
    responses((status = 200, body = LowWaterMark,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
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

/// Money that was sent, or is wanted back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReserveOrder {
    pub amount_fen: AmountFen,
    /// The bank's reference, once for each kind of order.
    #[schema(example = "ICBC-20260302-7781", min_length = 1, max_length = 128)]
    pub reference: String,
}

/// Note a deposit that you have sent
///
/// It is booked when its arrival is confirmed here. The same notice under a new idempotency key opens a refused deposit again.
#[utoipa::path(post, path = "/funder/reserve/deposits", tag = "funder", request_body = NewReserveOrder,
    responses((status = 201, body = ReserveOrder)), security(("signature" = ["reserve:write"])),
    extensions(("x-problems" = json!(["reference_malformed", "reference_booked_with_other_amount"]))))]
pub async fn note_deposit(
    State(app): State<App>,
    caller: FunderCaller,
    Body(order): Body<NewReserveOrder>,
) -> Result<impl IntoResponse, Problem> {
    note(&app, caller, ReserveOrderKind::Deposit, order).await
}

/// Ask for money back
///
/// It is booked when a key of another holder confirms it, and never out of an advance.
#[utoipa::path(post, path = "/funder/reserve/withdrawals", tag = "funder", request_body = NewReserveOrder,
    responses((status = 201, body = ReserveOrder)), security(("signature" = ["reserve:write"])),
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

/// Confirm a withdrawal by a second key
#[utoipa::path(post, path = "/funder/reserve/withdrawals/{order_id}/confirmation", tag = "funder",
    params(("order_id" = ReserveOrderId, Path)),
    responses((status = 200, body = ReserveOrder)), security(("signature" = ["reserve:confirm"])),
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

/// List deposits and withdrawals that you noted, the oldest first
#[utoipa::path(get, path = "/funder/reserve/orders", tag = "funder", params(PageParams<ReserveOrderId>),
    responses((status = 200, body = Page<ReserveOrder>)), security(("signature" = ["reserve:read"])))]
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
    responses((status = 200, body = ReserveOrder)), security(("signature" = ["reserve:read"])))]
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
