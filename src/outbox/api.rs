//! Events as a funder's core reads them by cursor, and their kinds.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::actions::EventRefusal;
use super::carrier::funder::{body_of_event, version};
use super::catalogue::{self, Audience};
use super::completion::complete;
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
    /// Only events with numbers above this: `next_after` of the page before. 0, or left out, begins with the first event, which is refused with
    /// `events_not_kept` once the oldest events have been removed. Not together with `cursor`.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 0)]
    after: Option<After>,
    /// `next_cursor` of the page before, as in all other lists; an alternative to `after`. Left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Listed<EventView, i64>>>,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `true` for bodies made by your templates, for the kinds that have one; `false`, or left out, for the platform's own format.
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

/// An event. Its number identifies it, whether it is pushed (webhook) or pulled: process each number once.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// Number of the event. Numbers rise, but not all are used.
    #[schema(example = 41)]
    pub event_no: i64,
    /// One of the kinds that GET /events/kinds lists.
    #[schema(example = "loan_made")]
    pub kind: String,
    /// Version of the body's format for this kind.
    #[schema(example = 1)]
    pub version: u16,
    /// UUID of the application, credit line, loan, settlement, remittance or funder that the event is about; it is the part of the object's id
    /// after the prefix.
    pub object_id: Uuid,
    pub occurred_at: DateTime<Utc>,
    /// The event's data, in the platform's format or, with `mapped`, as your template makes it; null if your template fails on it.
    #[schema(value_type = Object, nullable,
        example = json!({ "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "principal_fen": 128_800 }))]
    pub body: Box<RawValue>,
    /// Version of your template that made the body; null if no template was used.
    #[schema(example = json!(null))]
    pub template_version: Option<i32>,
    /// Why your template fails on the event; null if it does not.
    #[schema(example = json!(null))]
    pub template_error: Option<String>,
}

/// A page of events, in the order of their numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    /// At most `limit` events. There may be fewer, or none, although `has_more` is true.
    pub items: Vec<EventView>,
    /// Send it as `after` to get the events that follow, at once or later when there are new ones.
    #[schema(example = 41)]
    pub next_after: i64,
    /// Whether more events can be read at once.
    pub has_more: bool,
    /// Send it as `cursor` to get the next page; null if `has_more` is false.
    #[schema(value_type = Option<String>, example = "WyJFdmVudFZpZXciLDQxXQ")]
    pub next_cursor: Option<Cursor<Listed<EventView, i64>>>,
}

/// List events in the order of their numbers
///
/// Lists all your events, whether they were delivered to your core or not, and those of kinds that are switched off for delivery. The order is
/// stable, and no event is ever inserted before one that was listed. Keep `next_after` and continue there. Events that were delivered long
/// ago are removed; continuing from among removed events is refused with `events_not_kept`, which names the highest removed number.
#[utoipa::path(get, path = "/events", tag = "events", params(EventParams),
    responses((status = 200, description = "A page of events, in the order of their numbers.", body = EventPage)),
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
    let mut rows = event_store::list(&mut connection, &partner, stretch, limit).await?;
    let forgotten = kept_store::find_forgotten(&mut connection, &partner).await?;
    if let Some(forgotten) = forgotten.filter(|forgotten| after < forgotten.up_to_no) {
        return Err(Fault::Refused(EventRefusal::NotKept(forgotten)).into());
    }
    complete(&mut connection, &mut rows).await?;
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
        RENDERING.run(move || rows.iter().map(|row| view(row, &templates)).collect()).await?
    };
    let has_more = next_after < up_to_no;
    let next_cursor = has_more.then(|| Cursor(Listed::new(next_after)));
    Ok(Json(EventPage { items, next_after, has_more, next_cursor }))
}

fn view(row: &Waiting, templates: &HashMap<String, Saved>) -> EventView {
    let saved = templates.get(&row.kind);
    let (body, template_error) = match body_of_event(row, saved.map(|saved| &saved.template)) {
        Ok(body) => (body, None),
        Err(why) => (RawValue::NULL.to_owned(), Some(why.to_string())),
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

/// A kind of event, with the format of its body.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventKindView {
    /// Name of the kind.
    #[schema(example = "loan_made")]
    pub kind: &'static str,
    /// Version of the body's format.
    #[schema(example = 1)]
    pub version: u16,
    /// The kind of object that `object_id` names. Events about the same object are delivered in order.
    #[schema(example = "loan")]
    pub object: &'static str,
    /// What has happened, and what its fields hold where their names do not say it.
    #[schema(example = "A loan was made for a purchase, with version 1 of its repayment schedule.")]
    pub says: &'static str,
    /// An example of the body, with all its fields.
    #[schema(value_type = Object)]
    pub example: Value,
    /// The fields of the body that may be null; no other field ever is.
    #[schema(value_type = Vec<String>, example = json!(["frozen_for"]))]
    pub nullable: &'static [&'static str],
    /// The lists of the body that may be empty; no other list ever is.
    #[schema(value_type = Vec<String>, example = json!(["installments"]))]
    pub may_be_empty: &'static [&'static str],
    /// The fields of the body that have a fixed set of values, each with all its values.
    #[schema(value_type = Object, example = json!({ "source": ["withholding", "transfer", "channel_file"] }))]
    pub words: BTreeMap<&'static str, &'static [&'static str]>,
}

/// All kinds of events that a funder receives.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventKinds {
    pub items: Vec<EventKindView>,
}

/// List the kinds of events
///
/// Answers with all kinds and an example of each body, without pages. When a template is saved, it is tried on this example, also with each
/// field null and each list empty that may be so, and with each value that a field may have.
#[utoipa::path(get, path = "/events/kinds", tag = "events",
    responses((status = 200, description = "All kinds of events that a funder receives.", body = EventKinds)),
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
