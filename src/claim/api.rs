//! API: claims for a funder's core.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::api_store::{self, ClaimView, WantedClaims};
use crate::app::App;
use crate::base::id::{ClaimId, LoanId};
use crate::http::Problem;
use crate::http::api::{Cursor, FunderCaller, Limit, Page, Params};

/// Filters of the list of claims.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClaimParams {
    /// Only claims on this loan.
    #[param(value_type = Option<LoanId>)]
    loan_id: Option<LoanId>,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<ClaimId>>,
}

/// List claims on the guarantors of your loans, the oldest first
#[utoipa::path(get, path = "/funder/claims", tag = "funder", params(ClaimParams),
    responses((status = 200, description = "A page of claims on guarantors.", body = Page<ClaimView>)),
    security(("signature" = ["loans:read"])))]
pub async fn list_claims(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<ClaimParams>,
) -> Result<Json<Page<ClaimView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted =
        WantedClaims { loan_id: params.loan_id.map(LoanId::uuid), after: params.cursor.map(|cursor| cursor.0.uuid()) };
    let limit = params.limit.0;
    let rows = api_store::list_claims(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |claim: &ClaimView| claim.claim_id)))
}
