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

/// `delivering`: events are sent to your core. `left_alone`: your core did not answer, and nothing is sent until `next_attempt_at`. `trying`: that
/// time has come, and the next event shows whether your core answers again. `paused`: delivery was paused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Delivering,
    LeftAlone,
    Trying,
    Paused,
}

/// The state of event delivery (push) to your core.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    pub state: DeliveryState,
    /// When delivery was paused; null unless it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// Delivery runs in a row in which your core could not be reached.
    #[schema(example = 0)]
    pub failures: i16,
    /// When your core is called again after such failures; null if there are none.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Events that wait for delivery, counted up to 100000.
    #[schema(example = 0)]
    pub waiting: i64,
    /// When the oldest of the waiting events occurred; null if none waits.
    pub oldest_waiting_at: Option<DateTime<Utc>>,
    /// Events that were given up after the last attempt (dead letters). Later events about the same object wait behind them.
    #[schema(example = 0)]
    pub dead: i64,
    /// The highest number of the events that have been removed; all events with higher numbers are kept. 0 if none was removed.
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

/// Query the state of event delivery
#[utoipa::path(get, path = "/events/delivery", tag = "events",
    responses((status = 200, description = "The state of event delivery.", body = DeliveryView)),
    security(("signature" = ["events:read"])))]
pub async fn show_delivery(State(app): State<App>, caller: FunderCaller) -> Result<Json<DeliveryView>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    standing(&app, &partner).await
}

/// Pause event delivery
///
/// Nothing is sent to your core until delivery is resumed. New events wait, and can be read with GET /events meanwhile. Pausing again changes
/// nothing.
#[utoipa::path(post, path = "/events/delivery/pause", tag = "events",
    responses((status = 200, description = "The state of event delivery, which is now paused.", body = DeliveryView)),
    security(("signature" = ["events:write"])))]
pub async fn pause(State(app): State<App>, caller: FunderCaller) -> Result<Json<DeliveryView>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    let _ = actions::pause(&app, Asked { partner: &partner, by: &caller.caller.holder }).await?;
    standing(&app, &partner).await
}

/// Resume event delivery
///
/// Delivery goes on at once, also if it was suspended because your core did not answer (`left_alone`). Failed events that were to be retried later
/// are sent at once; those that were given up (dead letters) are not sent again.
#[utoipa::path(post, path = "/events/delivery/resume", tag = "events",
    responses((status = 200, description = "The state of event delivery, which goes on now.", body = DeliveryView)),
    security(("signature" = ["events:write"])))]
pub async fn resume(State(app): State<App>, caller: FunderCaller) -> Result<Json<DeliveryView>, Problem> {
    let partner = partner_of(&app, caller.funder_id).await?;
    let _ = actions::resume(&app, Asked { partner: &partner, by: &caller.caller.holder }).await?;
    standing(&app, &partner).await
}

/// An event that your core did not accept.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedEvent {
    /// Number of the event.
    #[schema(example = 41)]
    pub event_no: i64,
    #[schema(example = "loan_made")]
    pub kind: String,
    /// UUID of the object that the event is about.
    pub object_id: Uuid,
    /// Failed attempts so far.
    #[schema(example = 18)]
    pub attempts: i16,
    /// When it is sent again; without meaning once `dead_at` is set.
    pub next_attempt_at: DateTime<Utc>,
    /// When it was given up after the last attempt; null while it is still retried.
    pub dead_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    #[schema(example = "refused: unknown_product")]
    pub last_error: Option<String>,
}

/// List failed events
///
/// First those that were given up (dead letters), then those that are still retried, each in the order of their numbers.
#[utoipa::path(get, path = "/events/failures", tag = "events", params(PageParams<(bool, i64)>),
    responses((status = 200, description = "A page of failed events.", body = Page<FailedEvent>)),
    security(("signature" = ["events:read"])))]
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

/// The events to deliver again: either `from_no` and `to_no`, or `from` and `to`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReplay {
    /// Number of the first event.
    #[schema(example = 41, minimum = 1)]
    #[serde(default)]
    pub from_no: Option<i64>,
    /// Number of the last event.
    #[schema(example = 90, minimum = 1)]
    #[serde(default)]
    pub to_no: Option<i64>,
    /// Events that occurred at this time or later.
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>, example = json!(null))]
    pub from: Option<Moment>,
    /// Events that occurred before this time.
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>, example = json!(null))]
    pub to: Option<Moment>,
}

/// How many events are delivered again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// Number of events.
    #[schema(example = 50)]
    pub events: u64,
}

/// Deliver a range of events again
///
/// All events of the range are sent again in order, under their own numbers, whether they were delivered before or given up. At most a million
/// numbers at once (`event_range_malformed`). A range that begins among removed events is refused as a whole (`events_not_kept`).
#[utoipa::path(post, path = "/events/replays", tag = "events", request_body = NewReplay,
    responses((status = 200, description = "The number of events that will be delivered again.", body = Replayed)),
    security(("signature" = ["events:write"])),
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

/// Retry a failed event at once
///
/// Works for an event that was given up (dead letter) as well as for one that is still retried. Later events about the same object are sent after
/// it. An event that has not failed, or was delivered or discarded, is refused with `event_not_failed`.
#[utoipa::path(post, path = "/events/{event_no}/replay", tag = "events",
    params(("event_no" = i64, Path, description = "Number of the event.", example = 41)),
    responses((status = 200, description = "The event will be delivered again.", body = Replayed)),
    security(("signature" = ["events:write"])),
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

/// The reason for discarding an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Discard {
    /// Why it is discarded, for the record: 1 to 200 characters on one line.
    #[schema(example = "Entered by hand.", min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Discard a failed event
///
/// The event is not sent any more, and later events about the same object are sent without it. An event that has not failed, or was delivered or
/// discarded before, is refused with `event_not_failed`.
#[utoipa::path(post, path = "/events/{event_no}/discard", tag = "events", request_body = Discard,
    params(("event_no" = i64, Path, description = "Number of the event.", example = 41)),
    responses((status = 200, description = "The event is discarded; the state of event delivery after it.", body = DeliveryView)),
    security(("signature" = ["events:write"])),
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
