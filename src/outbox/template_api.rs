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
use crate::http::api::{
    Body, Caller, FunderCaller, IfMatch, Listed, Named, Page, PageParams, Params, etag, limit_by_bytes, object,
};

/// How events of one kind are sent to your core.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateView {
    #[schema(example = "loan_made")]
    pub kind: String,
    /// Number of the saved version, from 1; 0 if none was ever saved.
    #[schema(example = 1)]
    pub version: i32,
    /// The template in force; null if events are sent in the platform's own format, or not at all.
    pub template: Option<Template>,
    /// Whether delivery of this kind is switched off. Its events can still be read with GET /events.
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

/// Query the template of a kind of event
///
/// Its `ETag` is needed as `If-Match` to change it. A kind without a saved template has version 0.
#[utoipa::path(get, path = "/events/templates/{kind}", tag = "events",
    params(("kind" = String, Path, description = "The kind of event.", example = "loan_made")),
    responses((status = 200, description = "How events of the kind are sent to your core.", body = TemplateView,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
    security(("signature" = ["events:read"])),
    extensions(("x-problems" = json!(["unknown_event_kind"]))))]
pub async fn show_template(
    State(app): State<App>,
    caller: FunderCaller,
    Named(kind): Named<String>,
) -> Result<impl IntoResponse, Problem> {
    find(&app, caller.funder_id, &kind).await
}

/// A saved version of a kind's template.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateVersion {
    /// Number of the version, from 1.
    #[schema(example = 1)]
    pub version: i32,
    /// Null if the version went back to the platform's own format, or switched delivery of the kind off.
    pub template: Option<Template>,
    /// Whether the version switched delivery of the kind off.
    #[schema(example = false)]
    pub not_told: bool,
    /// Holder of the key that saved it.
    #[schema(example = "Chen Wei")]
    pub saved_by: String,
    pub saved_at: DateTime<Utc>,
}

/// List the versions of a kind's template, the newest first
#[utoipa::path(get, path = "/events/templates/{kind}/versions", tag = "events",
    params(("kind" = String, Path, description = "The kind of event.", example = "loan_made"), PageParams<Listed<TemplateVersion, i32>>),
    responses((status = 200, description = "A page of the saved versions of the kind's template.", body = Page<TemplateVersion>)),
    security(("signature" = ["events:read"])),
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
    let saved: Vec<TemplateVersion> = rows.into_iter().map(view).collect();
    let limit = limit_by_bytes(&saved, limit);
    Ok(Json(Page::of_listed(saved, limit, |row| row.version)))
}

/// How events of a kind are to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTemplate {
    /// The template; null, or left out, for the platform's own format, or with `not_told`.
    #[serde(default, deserialize_with = "object")]
    pub template: Option<Template>,
    /// `true`, without a template: events of this kind are not sent to your core any more; they can still be read with GET /events.
    #[schema(example = false)]
    #[serde(default)]
    pub not_told: bool,
}

/// Save a new template for a kind of event
///
/// Saves the next version, which is used at once, also for events that wait for delivery. The template is first tried on the kind's example event,
/// also with each field null and each list empty that may be so, and with each value that a field may have; if it fails, `detail` names the
/// line and the field. With `not_told` events of this kind that wait are not sent any more.
#[utoipa::path(put, path = "/events/templates/{kind}", tag = "events", request_body = NewTemplate,
    params(("kind" = String, Path, description = "The kind of event.", example = "loan_made"),
           ("If-Match" = String, Header, description = "The `ETag` that you read; 412 if the object was changed since.", example = "\"0\"")),
    responses((status = 200, description = "The saved version, which is now in use.", body = TemplateView,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
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

/// The template to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The template to try; null, or left out, for the saved one, or the platform's own format if none is saved.
    #[serde(default, deserialize_with = "object")]
    pub template: Option<Template>,
}

/// The call that your core would receive.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewView {
    #[schema(example = "loan_made")]
    pub kind: String,
    /// Path of the call, below the base URL of your core.
    #[schema(example = "/loan/v2/loanNotify")]
    pub path: String,
    /// Body of the call, exactly as it would be sent.
    #[schema(example = "{\"loanNo\": \"loan_0197f3c2a4b07cc39b1c2d3e4f506175\", \"loanAmt\": \"1288.00\"}")]
    pub body: String,
    /// Version of the saved template that made the body; null if it was made by the template of this request, or in the platform's own format.
    #[schema(example = 1)]
    pub template_version: Option<i32>,
}

/// Try a template on a past event
///
/// Answers with the call that your core would receive for this event. Nothing is sent or saved, and no `Idempotency-Key` is needed.
#[utoipa::path(post, path = "/events/{event_no}/preview", tag = "events", request_body = Trial,
    params(("event_no" = i64, Path, description = "Number of the event.", example = 41)),
    extensions(("x-reads-only" = json!(true)), ("x-problems" = json!([
        "unknown_event", "events_not_kept", "event_not_told", "template_wrong", "template_not_json", "template_too_much",
        "template_path_malformed"
    ]))),
    responses((status = 200, description = "What your core would be sent for the event. Nothing was sent.", body = PreviewView)),
    security(("signature" = ["events:read"])))]
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
