//! Templates, for the funder's system: read, save, and try on a past event.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::template::{Telling, Template};
use super::template_actions::{self, Saving, kind_for_funders};
use super::template_store::{self, Version};
use crate::app::App;
use crate::base::id::FunderId;
use crate::error::Fault;
use crate::funder::find_code;
use crate::http::Problem;
use crate::http::api::{Body, Caller, FunderCaller, IfMatch, Listed, Named, Page, PageParams, Params, etag, object};

/// How a kind of event is told to your core.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateView {
    #[schema(example = "loan_made")]
    pub kind: String,
    /// 0 where none was ever saved.
    #[schema(example = 1)]
    pub version: i32,
    /// What counts now; null for our own form, or where the kind is not told.
    pub template: Option<Template>,
    /// Whether your core is not told of this kind at all.
    #[schema(example = false)]
    pub not_told: bool,
}

async fn find(app: &App, funder_id: FunderId, kind: &str) -> Result<impl IntoResponse + use<>, Problem> {
    let kind = kind_for_funders(kind).map_err(Fault::Refused)?;
    let newest = template_store::newest(&mut *app.pool.acquire().await?, funder_id, kind.name).await?;
    let version = newest.as_ref().map_or(0, |newest| newest.version);
    let telling = newest.map_or(Telling::Ours, |newest| newest.telling);
    let (template, not_told) = (telling.template().cloned(), telling.is_not_told());
    let view = TemplateView { kind: kind.name.to_owned(), version, template, not_told };
    Ok(([(header::ETAG, etag(version))], Json(view)))
}

/// Read a kind's template
///
/// Its ETag is what `If-Match` of a change names.
#[utoipa::path(get, path = "/events/templates/{kind}", tag = "events",
    params(("kind" = String, Path, example = "loan_made")),
    responses((status = 200, body = TemplateView,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["events:read"])),
    extensions(("x-problems" = json!(["unknown_event_kind"]))))]
pub async fn show_template(
    State(app): State<App>,
    caller: FunderCaller,
    Named(kind): Named<String>,
) -> Result<impl IntoResponse, Problem> {
    find(&app, caller.funder_id, &kind).await
}

/// A saved version.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateVersion {
    #[schema(example = 1)]
    pub version: i32,
    /// Null where it gave our own form back, or ended the telling.
    pub template: Option<Template>,
    #[schema(example = false)]
    pub not_told: bool,
    #[schema(example = "Chen Wei")]
    pub saved_by: String,
    pub saved_at: DateTime<Utc>,
}

/// List the versions of a kind's template, the newest first
#[utoipa::path(get, path = "/events/templates/{kind}/versions", tag = "events",
    params(("kind" = String, Path, example = "loan_made"), PageParams<Listed<TemplateVersion, i32>>),
    responses((status = 200, body = Page<TemplateVersion>)), security(("signature" = ["events:read"])),
    extensions(("x-problems" = json!(["unknown_event_kind"]))))]
pub async fn list_template_versions(
    State(app): State<App>,
    caller: FunderCaller,
    Named(kind): Named<String>,
    Params(params): Params<PageParams<Listed<TemplateVersion, i32>>>,
) -> Result<Json<Page<TemplateVersion>>, Problem> {
    let kind = kind_for_funders(&kind).map_err(Fault::Refused)?;
    let (before, limit) = (params.cursor.map(|cursor| cursor.0.0), params.limit.0);
    let mut connection = app.pool.acquire().await?;
    let rows = template_store::versions(&mut connection, caller.funder_id, kind.name, before, limit + 1).await?;
    let view = |version: Version| TemplateVersion {
        version: version.version,
        template: version.telling.template().cloned(),
        not_told: version.telling.is_not_told(),
        saved_by: version.saved_by,
        saved_at: version.saved_at,
    };
    Ok(Json(Page::of_listed(rows.into_iter().map(view).collect(), limit, |row| row.version)))
}

/// How a kind is to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTemplate {
    /// Null for our own form, or where the kind is not to be told.
    #[serde(default, deserialize_with = "object")]
    pub template: Option<Template>,
    /// `true`, without a template: your core is not told of this kind any more. Its events end without a call, and can be pulled.
    #[schema(example = false)]
    #[serde(default)]
    pub not_told: bool,
}

/// Save a kind's template
///
/// The next version. It must serve the kind's example: a misspelt field is refused with its line, and what breaks on a field that may
/// be null, a list that may be empty or one of a field's words is refused with that field. What waits is told by it, or, with
/// `not_told`, ends.
#[utoipa::path(put, path = "/events/templates/{kind}", tag = "events", request_body = NewTemplate,
    params(("kind" = String, Path, example = "loan_made"),
           ("If-Match" = String, Header, description = "The ETag that was read.", example = "\"0\"")),
    responses((status = 200, body = TemplateView,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["events:write"])),
    extensions(("x-problems" = json!([
        "unknown_event_kind", "template_wrong", "template_not_json", "template_too_much", "template_path_malformed"
    ]))))]
pub async fn save_template(
    State(app): State<App>,
    caller: FunderCaller,
    Named(kind): Named<String>,
    if_match: IfMatch,
    Body(new): Body<NewTemplate>,
) -> Result<impl IntoResponse, Problem> {
    kind_for_funders(&kind).map_err(Fault::Refused)?;
    let after_version = if_match.number()?;
    let telling = Telling::asked(new.template, new.not_told).map_err(Fault::Refused)?;
    let Caller { holder: by, attempt, .. } = &caller.caller;
    let saving =
        Saving { funder_id: caller.funder_id, kind: &kind, after_version, attempt: *attempt, telling: &telling, by };
    template_actions::save(&app, saving).await?;
    find(&app, caller.funder_id, &kind).await
}

/// What to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Left out or null: the saved one, else our own form.
    #[serde(default, deserialize_with = "object")]
    pub template: Option<Template>,
}

/// What your core would be sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewView {
    #[schema(example = "loan_made")]
    pub kind: String,
    /// Below the base URL of your core.
    #[schema(example = "/loan/v2/loanNotify")]
    pub path: String,
    /// The whole body of the call, as the text that is sent.
    #[schema(example = "{\"loanNo\": \"loan_0197f3c2a4b07cc39b1c2d3e4f506175\", \"loanAmt\": \"1288.00\"}")]
    pub body: String,
    /// The saved version that made it.
    #[schema(example = 1)]
    pub template_version: Option<i32>,
}

/// Try a template on a past event
///
/// Nothing is sent and nothing is saved.
#[utoipa::path(post, path = "/events/{event_no}/preview", tag = "events", request_body = Trial,
    params(("event_no" = i64, Path, example = 41)),
    extensions(("x-reads-only" = json!(true)), ("x-problems" = json!([
        "unknown_event", "events_not_kept", "event_not_told", "template_wrong", "template_not_json", "template_too_much",
        "template_path_malformed"
    ]))),
    responses((status = 200, body = PreviewView)), security(("signature" = ["events:read"])))]
pub async fn preview(
    State(app): State<App>,
    caller: FunderCaller,
    Named(event_no): Named<i64>,
    Body(trial): Body<Trial>,
) -> Result<Json<PreviewView>, Problem> {
    let partner = find_code(&mut *app.pool.acquire().await?, caller.funder_id).await?;
    let preview = template_actions::preview(&app, &partner, event_no, trial.template.as_ref()).await?;
    Ok(Json(PreviewView {
        kind: preview.kind,
        path: preview.path,
        body: preview.body,
        template_version: preview.template_version,
    }))
}
