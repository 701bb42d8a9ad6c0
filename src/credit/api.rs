//! Lines and applications for a funder's core.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api_store::{self, ApplicationView, LineEntryView, LineView, WantedApplications};
use crate::app::App;
use crate::base::id::{ApplicationId, FunderId, LineId};
use crate::http::Problem;
use crate::http::api::{Cursor, FunderCaller, Limit, Named, Page, Params};

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LineParams {
    /// From 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<LineId>>,
}

/// List credit lines, the oldest first
#[utoipa::path(get, path = "/funder/lines", tag = "funder", params(LineParams),
    responses((status = 200, body = Page<LineView>)), security(("signature" = ["loans:read"])))]
pub async fn list_lines(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<LineParams>,
) -> Result<Json<Page<LineView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let which = (None, params.cursor.map(|cursor| cursor.0));
    let limit = params.limit.0;
    let rows = api_store::list_lines(&mut connection, caller.funder_id, which, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |line: &LineView| line.line_id)))
}

/// Query a credit line
#[utoipa::path(get, path = "/funder/lines/{line_id}", tag = "funder", params(("line_id" = LineId, Path)),
    responses((status = 200, body = LineView)), security(("signature" = ["loans:read"])))]
pub async fn show_line(
    State(app): State<App>,
    caller: FunderCaller,
    Named(line_id): Named<LineId>,
) -> Result<Json<LineView>, Problem> {
    find_line(&app, caller.funder_id, line_id).await.map(Json)
}

async fn find_line(app: &App, funder_id: FunderId, line_id: LineId) -> Result<LineView, Problem> {
    let mut connection = app.pool.acquire().await?;
    let mut rows = api_store::list_lines(&mut connection, funder_id, (Some(line_id), None), 1).await?;
    rows.pop().ok_or_else(Problem::not_found)
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntryParams {
    /// From 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<i64>>,
}

/// List a line's journal, the oldest entry first
#[utoipa::path(get, path = "/funder/lines/{line_id}/entries", tag = "funder",
    params(("line_id" = LineId, Path), EntryParams),
    responses((status = 200, body = Page<LineEntryView>)), security(("signature" = ["loans:read"])))]
pub async fn list_line_entries(
    State(app): State<App>,
    caller: FunderCaller,
    Named(line_id): Named<LineId>,
    Params(params): Params<EntryParams>,
) -> Result<Json<Page<LineEntryView>>, Problem> {
    find_line(&app, caller.funder_id, line_id).await?;
    let mut connection = app.pool.acquire().await?;
    let after = params.cursor.map(|cursor| cursor.0);
    let limit = params.limit.0;
    let rows = api_store::list_line_entries(&mut connection, line_id, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |entry: &LineEntryView| entry.entry_no)))
}

/// Where an application stands.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationStatus {
    Submitted,
    /// A person decides.
    Referred,
    Approved,
    Refused,
}

impl ApplicationStatus {
    fn as_str(self) -> &'static str {
        match self {
            ApplicationStatus::Submitted => "submitted",
            ApplicationStatus::Referred => "referred",
            ApplicationStatus::Approved => "approved",
            ApplicationStatus::Refused => "refused",
        }
    }
}

/// Which applications.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApplicationParams {
    #[param(inline)]
    status: Option<ApplicationStatus>,
    /// From 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<ApplicationId>>,
}

/// List applications for your products, the oldest first
#[utoipa::path(get, path = "/funder/applications", tag = "funder", params(ApplicationParams),
    responses((status = 200, body = Page<ApplicationView>)), security(("signature" = ["applications:read"])))]
pub async fn list_applications(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<ApplicationParams>,
) -> Result<Json<Page<ApplicationView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedApplications {
        application_id: None,
        status: params.status.map(|status| status.as_str().to_owned()),
        after: params.cursor.map(|cursor| cursor.0),
    };
    let limit = params.limit.0;
    let rows = api_store::list_applications(&mut connection, caller.funder_id, &wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |application: &ApplicationView| application.application_id)))
}

/// Query an application
#[utoipa::path(get, path = "/funder/applications/{application_id}", tag = "funder",
    params(("application_id" = ApplicationId, Path)),
    responses((status = 200, body = ApplicationView)), security(("signature" = ["applications:read"])))]
pub async fn show_application(
    State(app): State<App>,
    caller: FunderCaller,
    Named(application_id): Named<ApplicationId>,
) -> Result<Json<ApplicationView>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedApplications { application_id: Some(application_id), ..Default::default() };
    let mut rows = api_store::list_applications(&mut connection, caller.funder_id, &wanted, 1).await?;
    rows.pop().map(Json).ok_or_else(Problem::not_found)
}
