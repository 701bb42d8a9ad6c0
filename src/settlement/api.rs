//! API: settlements and statements for a merchant's system, remittances for a funder's.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api_store::{self, RemittancePartView, RemittanceView, SettlementView, WantedDays};
use super::statement_actions::statement;
use crate::app::App;
use crate::base::Wanted;
use crate::base::id::{MerchantId, RemittanceId, SettlementId};
use crate::http::Problem;
use crate::http::api::{Cursor, Day, FunderCaller, Limit, Listed, MerchantCaller, Named, Page, Params, Pieced};

/// Filters of a list of settlements or remittances; `T` is a row of the list, whose id is the cursor.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, bound = "T: ToSchema")]
#[into_params(parameter_in = Query)]
pub struct SettledParams<T: ToSchema> {
    /// Only the one of this business day.
    #[param(value_type = Option<Day>)]
    business_day: Option<Day>,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Listed<T, Day>>>,
}

impl<T: ToSchema> SettledParams<T> {
    fn wanted<I>(self) -> WantedDays<I> {
        WantedDays {
            rows: Wanted::After(self.cursor.map(|cursor| cursor.0.0.0)),
            business_day: self.business_day.map(|day| day.0),
        }
    }
}

/// List the merchant's settlements, the oldest day first
///
/// A settlement is made when a business day is closed. A day without purchases and refunds has none.
#[utoipa::path(get, path = "/merchant/settlements", tag = "merchant", params(SettledParams<SettlementView>),
    responses((status = 200, description = "A page of your settlements.", body = Page<SettlementView>)),
    security(("signature" = ["settlements:read"])))]
pub async fn list_settlements(
    State(app): State<App>,
    caller: MerchantCaller,
    Params(params): Params<SettledParams<SettlementView>>,
) -> Result<Json<Page<SettlementView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let (limit, wanted) = (params.limit.0, params.wanted());
    let rows = api_store::list_settlements(&mut connection, caller.merchant_id, wanted, limit + 1).await?;
    Ok(Json(Page::of_listed(rows, limit, |settlement: &SettlementView| settlement.business_day)))
}

/// Query a settlement
#[utoipa::path(get, path = "/merchant/settlements/{settlement_id}", tag = "merchant",
    params(("settlement_id" = SettlementId, Path)),
    responses((status = 200, description = "The settlement.", body = SettlementView)), security(("signature" = ["settlements:read"])))]
pub async fn show_settlement(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(settlement_id): Named<SettlementId>,
) -> Result<Json<SettlementView>, Problem> {
    find_settlement(&app, caller.merchant_id, settlement_id).await.map(Json)
}

async fn find_settlement(app: &App, merchant_id: MerchantId, id: SettlementId) -> Result<SettlementView, Problem> {
    let mut connection = app.pool.acquire().await?;
    let mut rows = api_store::list_settlements(&mut connection, merchant_id, WantedDays::one(id), 1).await?;
    rows.pop().ok_or_else(Problem::not_found)
}

const STATEMENT_EXAMPLE: &str = "kind,id,purchase_id,reference,created_at,amount_fen,discount_fee_fen,subsidy_fen,net_fen\n\
purchase,pur_0197f3c2a4b07cc39b1c2d3e4f506172,pur_0197f3c2a4b07cc39b1c2d3e4f506172,A-20260302-0001,2026-03-02T02:15:30+00:00,128800,-773,0,128027\n\
sum,,,,,128800,-773,0,128027\n";

/// Download a settlement's statement
///
/// CSV in UTF-8 with a heading line: one line for each purchase and refund of the business day, gross to net in fen, with your reference of
/// its order (empty if the customer scanned the static code). The last line (`sum`) has the totals, which equal those of the settlement.
#[utoipa::path(get, path = "/merchant/settlements/{settlement_id}/statement", tag = "merchant",
    params(("settlement_id" = SettlementId, Path)),
    responses((status = 200, description = "The statement of the settlement, as CSV with a heading.", body = String,
        content_type = "text/csv", example = json!(STATEMENT_EXAMPLE))),
    security(("signature" = ["settlements:read"])))]
pub async fn download_statement(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(settlement_id): Named<SettlementId>,
) -> Result<impl IntoResponse, Problem> {
    let merchant_id = caller.merchant_id;
    let day = find_settlement(&app, merchant_id, settlement_id).await?.business_day;
    let file = format!("attachment; filename=\"statement-{day}.csv\"");
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, file)];
    Ok((headers, Pieced::new(move || statement(app.clone(), merchant_id, day))))
}

/// List your remittances, the oldest day first
///
/// A remittance passes on to you what was collected on a business day. It is made when the day is closed. A day on which nothing was
/// collected, subsidised or given back has none.
#[utoipa::path(get, path = "/funder/remittances", tag = "funder", params(SettledParams<RemittanceView>),
    responses((status = 200, description = "A page of your remittances.", body = Page<RemittanceView>)),
    security(("signature" = ["remittances:read"])))]
pub async fn list_remittances(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<SettledParams<RemittanceView>>,
) -> Result<Json<Page<RemittanceView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let (limit, wanted) = (params.limit.0, params.wanted());
    let rows = api_store::list_remittances(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of_listed(rows, limit, |remittance: &RemittanceView| remittance.business_day)))
}

/// A remittance with its parts by product version.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemittanceDetail {
    pub remittance: RemittanceView,
    pub parts: Vec<RemittancePartView>,
}

/// Query a remittance with its parts
#[utoipa::path(get, path = "/funder/remittances/{remittance_id}", tag = "funder",
    params(("remittance_id" = RemittanceId, Path)),
    responses((status = 200, description = "The remittance, with the amounts of each product version.", body = RemittanceDetail)),
    security(("signature" = ["remittances:read"])))]
pub async fn show_remittance(
    State(app): State<App>,
    caller: FunderCaller,
    Named(remittance_id): Named<RemittanceId>,
) -> Result<Json<RemittanceDetail>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedDays::one(remittance_id);
    let mut rows = api_store::list_remittances(&mut connection, caller.funder_id, wanted, 1).await?;
    let remittance = rows.pop().ok_or_else(Problem::not_found)?;
    let parts = api_store::list_remittance_parts(&mut connection, remittance_id).await?;
    Ok(Json(RemittanceDetail { remittance, parts }))
}
