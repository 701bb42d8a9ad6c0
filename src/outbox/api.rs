//! Events as a funder's core reads them by cursor, and their kinds.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::actions::EventRefusal;
use super::carrier::funder::{render, version};
use super::catalogue::{self, Audience};
use super::event_store::{self, SCAN_MAX};
use super::kept_store;
use super::model::Stretch;
use super::store::{self, Waiting};
use super::template_actions::RENDERING;
use super::template_store::{self, Saved};
use crate::app::App;
use crate::error::Fault;
use crate::funder::find_code;
use crate::http::Problem;
use crate::http::api::{Cursor, FunderCaller, Limit, Listed, Params};

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Events with higher numbers than this; 0 or nothing for all, as long as all are kept. Give `next_after` of the page before.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 0)]
    after: Option<After>,
    /// In its place, as of any list: `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Listed<EventView, i64>>>,
    /// From 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `true` for bodies in your own form, where a template is saved.
    #[serde(default)]
    mapped: bool,
}

/// A number to read on from.
#[derive(Clone, Copy, Debug)]
pub struct After(i64);

impl<'de> Deserialize<'de> for After {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<After, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().ok().filter(|number| *number >= 0);
        let wanted = || serde::de::Error::custom("parameter_malformed: an event's number is 0 or more");
        number.map(After).ok_or_else(wanted)
    }
}

/// One event. Its number is its identity: process each number once, and you have each event once, pushed or pulled.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    #[schema(example = 41)]
    pub event_no: i64,
    #[schema(example = "loan_made")]
    pub kind: String,
    /// Of our form of the body.
    #[schema(example = 1)]
    pub version: u16,
    /// The application, line, loan, settlement, remittance or funder that it is about: the digits behind the prefix of its id.
    pub object_id: Uuid,
    pub occurred_at: DateTime<Utc>,
    /// In our form, or with `mapped` in yours; null where your template does not serve it.
    #[schema(value_type = Object, example = json!({ "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "principal_fen": 128_800 }))]
    pub body: Value,
    /// The version of your template that made the body.
    #[schema(example = json!(null))]
    pub template_version: Option<i32>,
    /// Why your template does not serve it.
    #[schema(example = json!(null))]
    pub template_error: Option<String>,
}

/// Events in the order of their numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    /// There may be fewer than asked for, also none, while more follow.
    pub items: Vec<EventView>,
    /// Give it as `after` to read on, now or when more has happened.
    #[schema(example = 41)]
    pub next_after: i64,
    /// Whether more can be read at once.
    pub has_more: bool,
    /// Give it as `cursor` to get what follows; null at the end.
    #[schema(value_type = Option<String>, example = "WyJFdmVudFZpZXciLDQxXQ")]
    pub next_cursor: Option<Cursor<Listed<EventView, i64>>>,
}

/// Read events by cursor
///
/// The events that are pushed to your core, delivered or not, in a stable order, and those of kinds that you do not want pushed. An event
/// whose number was given but that is not written yet holds back those after it, so that none is skipped. Events that ended long ago
/// are removed: reading on from among them is refused, with the number above which all are there.
#[utoipa::path(get, path = "/events", tag = "events", params(EventParams), responses((status = 200, body = EventPage)),
    security(("signature" = ["events:read"])), extensions(("x-problems" = json!(["events_not_kept"]))))]
pub async fn list_events(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<EventParams>,
) -> Result<Json<EventPage>, Problem> {
    let after = match (params.after, params.cursor) {
        (Some(_), Some(_)) => {
            let detail = "A page begins after a number or at a cursor, not both.";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "parameter_malformed", detail));
        }
        (after, cursor) => cursor.map(|cursor| cursor.0.0).or(after.map(|after| after.0)).unwrap_or(0),
    };
    let mut connection = app.pool.acquire().await?;
    let partner = find_code(&mut connection, caller.funder_id).await?;
    let up_to_no = store::advance_horizon(&mut connection).await?;
    let limit = params.limit.0;
    let stretch = Stretch { after_no: after, up_to_no };
    let rows = event_store::list(&mut connection, &partner, stretch, limit).await?;
    let forgotten = kept_store::find_forgotten(&mut connection, &partner).await?;
    if let Some(forgotten) = forgotten.filter(|forgotten| after < forgotten.up_to_no) {
        return Err(Fault::Refused(EventRefusal::NotKept(forgotten)).into());
    }
    let templates = match params.mapped {
        true => template_store::active(&mut connection, &partner).await?.templates,
        false => HashMap::new(),
    };
    drop(connection);
    let is_full = i64::try_from(rows.len()).unwrap_or(limit) == limit;
    let next_after = match rows.last().filter(|_| is_full) {
        Some(last) => last.message_no,
        None => up_to_no.min(after.saturating_add(SCAN_MAX)).max(after),
    };
    // A template may work hard for each of them, and no connection waits for that. Whoever reads our own form waits for no template.
    let items: Vec<EventView> = if templates.is_empty() {
        rows.iter().map(|row| view(row, &templates)).collect()
    } else {
        RENDERING.work(move || rows.iter().map(|row| view(row, &templates)).collect()).await?
    };
    let has_more = next_after < up_to_no;
    let next_cursor = has_more.then(|| Cursor(Listed::new(next_after)));
    Ok(Json(EventPage { items, next_after, has_more, next_cursor }))
}

fn view(row: &Waiting, templates: &HashMap<String, Saved>) -> EventView {
    let saved = templates.get(&row.kind);
    let body = match saved {
        Some(saved) => render(row, &saved.template).map_err(|refusal| refusal.to_string()),
        None => Ok(row.body.clone()),
    };
    let (body, template_error) = match body {
        Ok(text) => (serde_json::from_str(&text).unwrap_or_default(), None),
        Err(why) => (Value::Null, Some(why)),
    };
    EventView {
        event_no: row.message_no,
        kind: row.kind.clone(),
        version: version(&row.kind),
        object_id: row.object_id,
        occurred_at: row.created_at,
        body,
        template_version: saved.map(|saved| saved.version),
        template_error,
    }
}

/// A kind of event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventKindView {
    #[schema(example = "loan_made")]
    pub kind: &'static str,
    #[schema(example = 1)]
    pub version: u16,
    /// What `object_id` names: events about the same one keep their order.
    #[schema(example = "loan")]
    pub object: &'static str,
    #[schema(example = "A purchase made a loan; its plan is version 1 of its schedule.")]
    pub says: &'static str,
    /// A whole body.
    #[schema(value_type = Object)]
    pub example: Value,
    /// Fields of the body that may be null; no other is.
    #[schema(value_type = Vec<String>, example = json!(["frozen_for"]))]
    pub nullable: &'static [&'static str],
    /// Lists of the body that may have nothing in them; no other is empty.
    #[schema(value_type = Vec<String>, example = json!(["installments"]))]
    pub may_be_empty: &'static [&'static str],
    /// Fields of the body that hold one of a few words, each with all of its words.
    #[schema(value_type = Object, example = json!({ "source": ["withholding", "transfer", "channel_file"] }))]
    pub words: BTreeMap<&'static str, &'static [&'static str]>,
}

/// Every kind of event that a funder is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventKinds {
    pub items: Vec<EventKindView>,
}

/// List kinds of events
///
/// With an example of each body; a template is checked against it, against the same with each field null and each list empty
/// that may be, and with each word that a field may hold.
#[utoipa::path(get, path = "/events/kinds", tag = "events", responses((status = 200, body = EventKinds)),
    security(("signature" = ["events:read"])))]
pub async fn list_kinds(_caller: FunderCaller) -> Json<EventKinds> {
    let view = |kind: &catalogue::EventKind| EventKindView {
        kind: kind.name,
        version: kind.version,
        object: kind.object,
        says: kind.says,
        example: kind.example(),
        nullable: kind.nullable,
        may_be_empty: kind.may_be_empty,
        words: kind.words.iter().copied().collect(),
    };
    Json(EventKinds { items: catalogue::of(Audience::Funder).map(view).collect() })
}
