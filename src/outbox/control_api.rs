//! Delivery of events, for the funder's system: how it stands, pause, resume, replay, dead letters.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, Asked, Replay};
use super::control_store::{self, Standing};
use super::event_store;
use crate::app::App;
use crate::base::id::FunderId;
use crate::funder::find_code;
use crate::http::Problem;
use crate::http::api::{Body, FunderCaller, Moment, Named, Page, PageParams, Params};

/// Whether your core is called at present.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is called.
    Delivering,
    /// It did not answer, and is left alone until `next_attempt_at`.
    LeftAlone,
    /// Left alone long enough: the next event tells whether it answers again.
    Trying,
    Paused,
}

/// How delivery to your core stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    pub state: DeliveryState,
    pub paused_at: Option<DateTime<Utc>>,
    /// Runs in a row that found your core down.
    #[schema(example = 0)]
    pub failures: i16,
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Events to be delivered, counted up to 100000.
    #[schema(example = 0)]
    pub waiting: i64,
    pub oldest_waiting_at: Option<DateTime<Utc>>,
    /// Events that were given up; what is about the same object waits behind them.
    #[schema(example = 0)]
    pub dead: i64,
    /// Only events with higher numbers are kept; 0 as long as all of them are.
    #[schema(example = 0)]
    pub kept_after: i64,
}

impl DeliveryView {
    fn of(standing: Standing, now: DateTime<Utc>) -> DeliveryView {
        let is_open = standing.next_attempt_at.is_some_and(|at| at > now);
        let state = match (standing.paused_at, standing.failures, is_open) {
            (Some(_), ..) => DeliveryState::Paused,
            (None, 0, _) => DeliveryState::Delivering,
            (None, _, true) => DeliveryState::LeftAlone,
            (None, _, false) => DeliveryState::Trying,
        };
        DeliveryView {
            state,
            paused_at: standing.paused_at,
            failures: standing.failures,
            next_attempt_at: standing.next_attempt_at.filter(|_| standing.failures > 0),
            waiting: standing.waiting,
            oldest_waiting_at: standing.oldest_waiting_at,
            dead: standing.dead,
            kept_after: standing.kept_after_no,
        }
    }
}

async fn partner_of(app: &App, funder_id: FunderId) -> Result<String, Problem> {
    Ok(find_code(&mut *app.pool.acquire().await?, funder_id).await?)
}

async fn standing(app: &App, partner: &str) -> Result<Json<DeliveryView>, Problem> {
    let standing = control_store::standing(&mut *app.pool.acquire().await?, partner).await?;
    Ok(Json(DeliveryView::of(standing, app.clock.now())))
}

/// Query how delivery stands
#[utoipa::path(get, path = "/events/delivery", tag = "events", responses((status = 200, body = DeliveryView)),
    security(("signature" = ["events:read"])))]
pub async fn show_delivery(State(app): State<App>, caller: FunderCaller) -> Result<Json<DeliveryView>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    standing(&app, &partner).await
}

/// Pause delivery
///
/// Nothing more is sent until it is resumed; events gather meanwhile and can be pulled.
#[utoipa::path(post, path = "/events/delivery/pause", tag = "events", responses((status = 200, body = DeliveryView)),
    security(("signature" = ["events:write"])))]
pub async fn pause(State(app): State<App>, caller: FunderCaller) -> Result<Json<DeliveryView>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    let _ = actions::pause(&app, Asked { partner: &partner, by: &caller.caller.holder }).await?;
    standing(&app, &partner).await
}

/// Resume delivery
///
/// At once, even if your core was left alone because it did not answer. Events that failed and were to be tried later are due; those
/// that were given up stay so.
#[utoipa::path(post, path = "/events/delivery/resume", tag = "events", responses((status = 200, body = DeliveryView)),
    security(("signature" = ["events:write"])))]
pub async fn resume(State(app): State<App>, caller: FunderCaller) -> Result<Json<DeliveryView>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    let _ = actions::resume(&app, Asked { partner: &partner, by: &caller.caller.holder }).await?;
    standing(&app, &partner).await
}

/// An event that your core did not take.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedEvent {
    #[schema(example = 41)]
    pub event_no: i64,
    #[schema(example = "loan_made")]
    pub kind: String,
    pub object_id: Uuid,
    #[schema(example = 18)]
    pub attempts: i16,
    /// When it is tried again, unless it is dead.
    pub next_attempt_at: DateTime<Utc>,
    /// When it was given up.
    pub dead_at: Option<DateTime<Utc>>,
    #[schema(example = "refused: unknown_product")]
    pub last_error: Option<String>,
}

/// List events that failed
///
/// Dead letters first, then those that are tried again.
#[utoipa::path(get, path = "/events/failures", tag = "events", params(PageParams<(bool, i64)>),
    responses((status = 200, body = Page<FailedEvent>)), security(("signature" = ["events:read"])))]
pub async fn list_failures(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<PageParams<(bool, i64)>>,
) -> Result<Json<Page<FailedEvent>>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    let after = params.cursor.map_or((false, 0), |cursor| cursor.0);
    let mut connection = app.pool.acquire().await?;
    let rows = event_store::list_failed(&mut connection, Some(&partner), after, params.limit.0 + 1).await?;
    let failed = rows.into_iter().map(|row| FailedEvent {
        event_no: row.message_no,
        kind: row.kind,
        object_id: row.object_id,
        attempts: row.attempts,
        next_attempt_at: row.next_attempt_at,
        dead_at: row.dead_at,
        last_error: row.last_error,
    });
    let key = |event: &FailedEvent| (event.dead_at.is_none(), event.event_no);
    Ok(Json(Page::of(failed.collect(), params.limit.0, key)))
}

/// What to deliver again: both numbers, or both times.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReplay {
    /// The first event's number.
    #[schema(example = 41, minimum = 1)]
    #[serde(default)]
    pub from_no: Option<i64>,
    /// The last event's number.
    #[schema(example = 90, minimum = 1)]
    #[serde(default)]
    pub to_no: Option<i64>,
    /// Events that occurred then or later.
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>, example = json!(null))]
    pub from: Option<Moment>,
    /// Events that occurred before then.
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>, example = json!(null))]
    pub to: Option<Moment>,
}

/// What is delivered again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    #[schema(example = 50)]
    pub events: u64,
}

/// Replay a range
///
/// Its events are delivered again under their own numbers, in order, whatever became of them. A range that begins with events that are
/// not kept any more is refused as a whole.
#[utoipa::path(post, path = "/events/replays", tag = "events", request_body = NewReplay,
    responses((status = 200, body = Replayed)), security(("signature" = ["events:write"])),
    extensions(("x-problems" = json!(["event_range_malformed", "events_not_kept"]))))]
pub async fn replay(
    State(app): State<App>,
    caller: FunderCaller,
    Body(wanted): Body<NewReplay>,
) -> Result<Json<Replayed>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    let (from_at, to_at) = (wanted.from.map(|from| from.0), wanted.to.map(|to| to.0));
    let wanted = Replay { from_no: wanted.from_no, to_no: wanted.to_no, from_at, to_at };
    let asked = Asked { partner: &partner, by: &caller.caller.holder };
    Ok(Json(Replayed { events: actions::replay(&app, asked, wanted, caller.caller.attempt).await? }))
}

/// Try a failed event again at once
///
/// Dead or not; it stays ahead of what waits behind it.
#[utoipa::path(post, path = "/events/{event_no}/replay", tag = "events",
    params(("event_no" = i64, Path, example = 41)),
    responses((status = 200, body = Replayed)), security(("signature" = ["events:write"])),
    extensions(("x-problems" = json!(["unknown_event", "events_not_kept", "event_not_failed"]))))]
pub async fn retry(
    State(app): State<App>,
    caller: FunderCaller,
    Named(event_no): Named<i64>,
) -> Result<Json<Replayed>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    let asked = Asked { partner: &partner, by: &caller.caller.holder };
    actions::retry(&app, asked, event_no, caller.caller.attempt).await?;
    Ok(Json(Replayed { events: 1 }))
}

/// Why an event is given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Discard {
    #[schema(example = "Entered by hand.", min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Discard a failed event
///
/// It is not delivered any more, and what waits behind it goes on.
#[utoipa::path(post, path = "/events/{event_no}/discard", tag = "events", request_body = Discard,
    params(("event_no" = i64, Path, example = 41)),
    responses((status = 200, body = DeliveryView)), security(("signature" = ["events:write"])),
    extensions(("x-problems" = json!(["unknown_event", "events_not_kept", "event_not_failed", "reason_missing"]))))]
pub async fn discard(
    State(app): State<App>,
    caller: FunderCaller,
    Named(event_no): Named<i64>,
    Body(wanted): Body<Discard>,
) -> Result<Json<DeliveryView>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    let asked = Asked { partner: &partner, by: &caller.caller.holder };
    let wanted = actions::Discard { message_no: event_no, reason: &wanted.reason };
    actions::discard(&app, asked, wanted, caller.caller.attempt).await?;
    standing(&app, &partner).await
}
