//! Repayments and withholdings for a funder's core.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, PartialSchema};
use uuid::Uuid;

use super::api_store::{self, RepaymentView, Wanted, WithholdingView};
use crate::app::App;
use crate::base::id::{LineId, RepaymentId, WithholdingId};
use crate::http::Problem;
use crate::http::api::{Cursor, Day, FunderCaller, Limit, Named, Page, Params};

/// Which repayments, or which withholdings; the cursor is an id of the list that it leads on in.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, bound = "K: DeserializeOwned")]
#[into_params(parameter_in = Query)]
pub struct CollectionParams<K: PartialSchema> {
    /// Only those of this business day.
    #[param(value_type = Option<Day>)]
    business_day: Option<Day>,
    /// Only those of this credit line.
    #[param(value_type = Option<LineId>)]
    line_id: Option<LineId>,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<K>>,
}

impl<K: PartialSchema> CollectionParams<K> {
    fn wanted(self, uuid: fn(K) -> Uuid) -> Wanted {
        Wanted {
            id: None,
            business_day: self.business_day.map(|day| day.0),
            line_id: self.line_id.map(LineId::uuid),
            after: self.cursor.map(|cursor| uuid(cursor.0)),
        }
    }
}

/// List repayments on your credit lines, the oldest first
///
/// Reversals of repayments are listed, too, with negative amounts.
#[utoipa::path(get, path = "/funder/repayments", tag = "funder", params(CollectionParams<RepaymentId>),
    responses((status = 200, description = "A page of repayments on your credit lines.", body = Page<RepaymentView>)),
    security(("signature" = ["loans:read"])))]
pub async fn list_repayments(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<CollectionParams<RepaymentId>>,
) -> Result<Json<Page<RepaymentView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let limit = params.limit.0;
    let wanted = params.wanted(RepaymentId::uuid);
    let rows = api_store::list_repayments(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |repayment: &RepaymentView| repayment.repayment_id)))
}

/// Query a repayment
#[utoipa::path(get, path = "/funder/repayments/{repayment_id}", tag = "funder",
    params(("repayment_id" = RepaymentId, Path)),
    responses((status = 200, description = "The repayment.", body = RepaymentView)), security(("signature" = ["loans:read"])))]
pub async fn show_repayment(
    State(app): State<App>,
    caller: FunderCaller,
    Named(repayment_id): Named<RepaymentId>,
) -> Result<Json<RepaymentView>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = Wanted { id: Some(repayment_id.uuid()), ..Wanted::default() };
    let mut rows = api_store::list_repayments(&mut connection, caller.funder_id, wanted, 1).await?;
    rows.pop().map(Json).ok_or_else(Problem::not_found)
}

/// List withholdings (direct debits) on your credit lines, the oldest first
///
/// A withholding is an order to debit the borrower's bound card; a repayment is made when it succeeds.
#[utoipa::path(get, path = "/funder/withholdings", tag = "funder", params(CollectionParams<WithholdingId>),
    responses((status = 200, description = "A page of withholdings on your credit lines.", body = Page<WithholdingView>)),
    security(("signature" = ["loans:read"])))]
pub async fn list_withholdings(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<CollectionParams<WithholdingId>>,
) -> Result<Json<Page<WithholdingView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let limit = params.limit.0;
    let wanted = params.wanted(WithholdingId::uuid);
    let rows = api_store::list_withholdings(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |order: &WithholdingView| order.withholding_id)))
}

/// Query a withholding (direct debit)
#[utoipa::path(get, path = "/funder/withholdings/{withholding_id}", tag = "funder",
    params(("withholding_id" = WithholdingId, Path)),
    responses((status = 200, description = "The withholding.", body = WithholdingView)), security(("signature" = ["loans:read"])))]
pub async fn show_withholding(
    State(app): State<App>,
    caller: FunderCaller,
    Named(withholding_id): Named<WithholdingId>,
) -> Result<Json<WithholdingView>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = Wanted { id: Some(withholding_id.uuid()), ..Wanted::default() };
    let mut rows = api_store::list_withholdings(&mut connection, caller.funder_id, wanted, 1).await?;
    rows.pop().map(Json).ok_or_else(Problem::not_found)
}
