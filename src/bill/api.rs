//! Bills for a funder's core.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::api_store::{self, BillView, Wanted};
use crate::app::App;
use crate::base::id::LineId;
use crate::http::Problem;
use crate::http::api::{Cursor, Day, FunderCaller, Limit, Listed, Page, Params};

/// Which bills.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BillParams {
    /// The credit line whose bills are listed.
    #[param(value_type = LineId)]
    line_id: LineId,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Listed<BillView, Day>>>,
}

/// List a credit line's bills, the oldest first
///
/// A bill is issued on the line's statement day. The list is empty if the line is not yours.
#[utoipa::path(get, path = "/funder/bills", tag = "funder", params(BillParams),
    responses((status = 200, description = "A page of the credit line's bills.", body = Page<BillView>)),
    security(("signature" = ["loans:read"])))]
pub async fn list_bills(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<BillParams>,
) -> Result<Json<Page<BillView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let limit = params.limit.0;
    let wanted = Wanted { line_id: params.line_id, after: params.cursor.map(|cursor| cursor.0.0.0) };
    let rows = api_store::list_bills(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of_listed(rows, limit, |bill: &BillView| bill.due_on)))
}
