//! Use cases of delivery: pause, resume, replay, discard, each recorded with who did it; and removing old messages.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::control_store::{self as store, Action, Pausing, ReplayRange};
use super::kept_store::{self, Forgotten};
use super::model::Stretch;
use super::template::TemplateRefusal;
use super::{event_store, store as message_store};
use crate::app::App;
use crate::audit::{self, Act};
use crate::base::typed::is_one_line;
use crate::database;
use crate::error::{Attempt, Fault, Outcome, Refusal, Step};

/// The most message numbers in one replay; a longer range is replayed in parts.
pub const REPLAY_MESSAGES_MAX: i64 = 1_000_000;
/// The longest reason: a sentence or two.
pub const REASON_CHARS_MAX: usize = 200;

/// Why something about a partner's events is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventRefusal {
    #[error("there is no such event")]
    UnknownEvent,
    #[error(
        "events up to number {}, the last of them written at {}, are not kept any more: ask for what comes after that number",
        .0.up_to_no,
        .0.last_written_at.to_rfc3339()
    )]
    NotKept(Forgotten),
    #[error("there is no such kind of event")]
    UnknownKind,
    #[error("the event has not failed, or was delivered or discarded")]
    NotFailed,
    #[error("events of this kind are switched off for the core (`not_told`)")]
    NotTold,
    #[error(
        "a range needs two numbers or two times, the first not after the second, and has at most {REPLAY_MESSAGES_MAX} numbers"
    )]
    RangeMalformed,
    #[error("a reason stands on one line and has 1 to {REASON_CHARS_MAX} characters")]
    ReasonMissing,
    #[error("somebody saved another version meanwhile")]
    Overtaken,
    #[error(transparent)]
    Template(#[from] TemplateRefusal),
}

impl Refusal for EventRefusal {
    fn code(&self) -> &'static str {
        match self {
            EventRefusal::UnknownEvent => "unknown_event",
            EventRefusal::NotKept(_) => "events_not_kept",
            EventRefusal::UnknownKind => "unknown_event_kind",
            EventRefusal::NotFailed => "event_not_failed",
            EventRefusal::NotTold => "event_not_told",
            EventRefusal::RangeMalformed => "event_range_malformed",
            EventRefusal::ReasonMissing => "reason_missing",
            EventRefusal::Overtaken => "precondition_failed",
            EventRefusal::Template(refusal) => refusal.code(),
        }
    }
}

/// The partner whose messages are meant, and who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub partner: &'a str,
    pub by: &'a str,
}

/// Pauses delivery to the partner until it is resumed. Calls under way are ended normally.
pub async fn pause(app: &App, asked: Asked<'_>) -> Outcome<Step, EventRefusal> {
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    if !store::set_paused(&mut transaction, asked.partner, Pausing::Pause, now).await? {
        return database::end(transaction, Ok(Step::AlreadyApplied)).await;
    }
    note(&mut transaction, app, &action_by(asked, "pause", now)).await?;
    transaction.commit().await?;
    Ok(Step::Applied)
}

/// Resumes delivery at once, even where the partner was left alone because it was down: that is forgotten, and messages that
/// failed are due now. Messages that were given up stay so.
pub async fn resume(app: &App, asked: Asked<'_>) -> Outcome<Step, EventRefusal> {
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    let is_resumed = store::set_paused(&mut transaction, asked.partner, Pausing::Resume, now).await?;
    let hastened = store::hasten(&mut transaction, asked.partner, now).await?;
    if !is_resumed && hastened == 0 {
        return database::end(transaction, Ok(Step::AlreadyApplied)).await;
    }
    let action = Action { messages: i64::try_from(hastened).ok(), ..action_by(asked, "resume", now) };
    note(&mut transaction, app, &action).await?;
    transaction.commit().await?;
    Ok(Step::Applied)
}

/// Records an action, for the list of the partner's actions and in the audit trail.
async fn note(connection: &mut PgConnection, app: &App, action: &Action<'_>) -> sqlx::Result<()> {
    store::note(connection, action).await?;
    let (from_no, to_no) = action.range.unzip();
    let detail = json!({ "action": action.action, "from_no": from_no, "to_no": to_no, "messages": action.messages });
    audit::record(connection, app, Act::new(audit::Action::DeliveryChanged, action.partner, detail)).await
}

/// An action on all messages of the partner; callers add range, count and reason.
fn action_by<'a>(asked: Asked<'a>, action: &'static str, now: DateTime<Utc>) -> Action<'a> {
    let Asked { partner, by } = asked;
    Action { partner, action, range: None, messages: None, done_by: by, reason: None, done_at: now }
}

/// What to deliver again: a range of numbers, both ends included, or of times, without its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replay {
    pub from_no: Option<i64>,
    pub to_no: Option<i64>,
    pub from_at: Option<DateTime<Utc>>,
    pub to_at: Option<DateTime<Utc>>,
}

/// Has a range delivered again in order, both what was delivered and what was given up; returns how many messages. The
/// partner recognises by their numbers those it has. A range whose beginning was removed by now is refused as a whole, so
/// that nobody believes that all of it was sent. A repeated request that was carried out is not carried out again.
pub async fn replay(app: &App, asked: Asked<'_>, wanted: Replay, attempt: Attempt) -> Outcome<u64, EventRefusal> {
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    let range = range(&mut transaction, wanted).await?;
    kept_store::forbid_removal(&mut transaction).await?;
    let action = Action { range: Some((range.from_no, range.to_no)), ..action_by(asked, "replay", now) };
    if attempt == Attempt::Again
        && let Some(messages) = store::count_last_action(&mut transaction, &action).await?
    {
        return database::end(transaction, Ok(u64::try_from(messages).unwrap_or_default())).await;
    }
    let forgotten = kept_store::find_forgotten(&mut transaction, asked.partner).await?;
    if let Some(forgotten) = forgotten.filter(|forgotten| begins_within(&range, forgotten)) {
        return database::end(transaction, Err(Fault::Refused(EventRefusal::NotKept(forgotten)))).await;
    }
    let messages = store::replay(&mut transaction, asked.partner, range, now).await?;
    let action = Action { messages: i64::try_from(messages).ok(), ..action };
    note(&mut transaction, app, &action).await?;
    transaction.commit().await?;
    Ok(messages)
}

/// The range in numbers.
///
/// # Errors
/// `RangeMalformed`.
async fn range(connection: &mut PgConnection, wanted: Replay) -> Outcome<ReplayRange, EventRefusal> {
    let malformed = || Fault::Refused(EventRefusal::RangeMalformed);
    match (wanted.from_no, wanted.to_no, wanted.from_at, wanted.to_at) {
        (Some(from_no), Some(to_no), None, None) => {
            let is_range = 0 < from_no && from_no <= to_no && to_no - from_no < REPLAY_MESSAGES_MAX;
            is_range.then_some(ReplayRange { from_no, to_no, from_at: None, to_at: None }).ok_or_else(malformed)
        }
        (None, None, Some(from_at), Some(to_at)) if from_at < to_at && is_storable(from_at) && is_storable(to_at) => {
            let from_no = first_written_at(connection, from_at).await?;
            let to_no = first_written_at(connection, to_at).await?;
            // Numbers and times do not ascend exactly together: clocks of nodes differ a little, and a number is given before
            // its message is written.
            let (from_no, to_no) = ((from_no - NUMBERS_APART).max(1), to_no.saturating_add(NUMBERS_APART));
            let is_range = to_no - from_no < REPLAY_MESSAGES_MAX + 2 * NUMBERS_APART;
            let range = ReplayRange { from_no, to_no, from_at: Some(from_at), to_at: Some(to_at) };
            is_range.then_some(range).ok_or_else(malformed)
        }
        _ => Err(malformed()),
    }
}

/// Whether the beginning of a range was removed. A range by time is compared by time, because its numbers reach further back.
fn begins_within(range: &ReplayRange, forgotten: &Forgotten) -> bool {
    match range.from_at {
        Some(from_at) => from_at <= forgotten.last_written_at,
        None => range.from_no <= forgotten.up_to_no,
    }
}

/// Whether the database can store such a time; RFC 3339 allows more.
fn is_storable(at: DateTime<Utc>) -> bool {
    (1..10_000).contains(&at.year())
}

/// How far apart the numbers of two messages may be whose times are the other way round.
const NUMBERS_APART: i64 = 10_000;

/// The lowest number that was written at `at` or later, found by bisection: times ascend with numbers, nearly.
async fn first_written_at(connection: &mut PgConnection, at: DateTime<Utc>) -> sqlx::Result<i64> {
    let (mut low, mut high) = (1, event_store::last_no(connection).await? + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match event_store::written_at(connection, middle).await? {
            Some(written_at) if written_at < at => low = middle + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// Has one failed message delivered again at once. A repeated request that was carried out succeeds, even if the message was
/// delivered since.
pub async fn retry(app: &App, asked: Asked<'_>, message_no: i64, attempt: Attempt) -> Outcome<(), EventRefusal> {
    let now = app.clock.now();
    let action = Action { range: Some((message_no, message_no)), messages: Some(1), ..action_by(asked, "replay", now) };
    let mut transaction = database::begin(&app.pool).await?;
    if !store::retry(&mut transaction, asked.partner, message_no, now).await? {
        let done = refuse_unless_done(&mut transaction, message_no, attempt, &action).await;
        return database::end(transaction, done).await;
    }
    note(&mut transaction, app, &action).await?;
    transaction.commit().await?;
    Ok(())
}

/// Has every message delivered again at once that was given up, in order; returns how many there are.
pub async fn retry_dead(app: &App, asked: Asked<'_>) -> Outcome<i64, EventRefusal> {
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    let revived = store::retry_dead(&mut transaction, asked.partner, now).await?;
    if revived.messages == 0 {
        return database::end(transaction, Ok(0)).await;
    }
    let (range, messages) = (revived.from_no.zip(revived.to_no), Some(revived.messages));
    let reason = Some("of these, those that were given up");
    let action = Action { range, messages, reason, ..action_by(asked, "replay", now) };
    note(&mut transaction, app, &action).await?;
    transaction.commit().await?;
    Ok(revived.messages)
}

/// A message that is to be given up, and why.
#[derive(Clone, Copy, Debug)]
pub struct Discard<'a> {
    pub message_no: i64,
    pub reason: &'a str,
}

/// Ends a failed message without delivery; what waits behind it goes on. A repeated request that was carried out succeeds.
pub async fn discard(app: &App, asked: Asked<'_>, wanted: Discard<'_>, attempt: Attempt) -> Outcome<(), EventRefusal> {
    let (message_no, reason) = (wanted.message_no, wanted.reason.trim());
    // The reason is shown with the message, also in a terminal.
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX || !is_one_line(reason) {
        return Err(Fault::Refused(EventRefusal::ReasonMissing));
    }
    let (range, messages) = (Some((message_no, message_no)), Some(1));
    let action = Action { range, messages, reason: Some(reason), ..action_by(asked, "discard", app.clock.now()) };
    let mut transaction = database::begin(&app.pool).await?;
    if !store::discard(&mut transaction, message_no, &action).await? {
        let done = refuse_unless_done(&mut transaction, message_no, attempt, &action).await;
        return database::end(transaction, done).await;
    }
    note(&mut transaction, app, &action).await?;
    transaction.commit().await?;
    Ok(())
}

/// Answers a request that found nothing to do. A repetition succeeds if the last action on the message is the same one by the
/// same holder; otherwise it is refused.
async fn refuse_unless_done(
    connection: &mut PgConnection,
    message_no: i64,
    attempt: Attempt,
    action: &Action<'_>,
) -> Outcome<(), EventRefusal> {
    if attempt == Attempt::Again && store::is_last_action(connection, message_no, action).await? {
        return Ok(());
    }
    match event_store::find(connection, action.partner, message_no).await? {
        Some(_) => Err(Fault::Refused(EventRefusal::NotFailed)),
        None => Err(Fault::Refused(not_found(connection, action.partner, message_no).await?)),
    }
}

/// Why a partner has no message of that number.
pub(super) async fn not_found(
    connection: &mut PgConnection,
    partner: &str,
    message_no: i64,
) -> sqlx::Result<EventRefusal> {
    let forgotten = kept_store::find_forgotten(connection, partner).await?;
    let forgotten = forgotten.filter(|forgotten| message_no <= forgotten.up_to_no);
    Ok(forgotten.map_or(EventRefusal::UnknownEvent, EventRefusal::NotKept))
}

/// Removes messages that ended longer ago than they are kept. Of each partner the oldest ones are removed without a gap, up
/// to the first that waits, was given up, or ended lately. So what is kept about an object is the latest that was told of it,
/// and a reader by number can be told exactly what is missing. It may be repeated, and run on several nodes at once: each
/// batch is a transaction of its own that starts from what is left.
///
/// # Errors
/// Failures of the database.
pub async fn forget_old(app: &App) -> anyhow::Result<()> {
    let before = app.clock.now() - TimeDelta::days(app.kept.messages_days.into());
    let mut connection = app.pool.acquire().await?;
    // Above the horizon a message with a lower number may still appear; and messages written since `before` cannot have ended
    // before it.
    let settled_no = message_store::advance_horizon(&mut connection).await?;
    let up_to_no = settled_no.min(first_written_at(&mut connection, before).await? - 1);
    drop(connection);
    let mut stretch = Stretch { after_no: 0, up_to_no };
    let mut holding: Vec<String> = Vec::new();
    loop {
        let mut transaction = database::begin(&app.pool).await?;
        kept_store::forbid_replay(&mut transaction).await?;
        let looked = kept_store::forget(&mut transaction, stretch, &holding, before).await?;
        transaction.commit().await?;
        let Some(last_no) = looked.last_no else { return Ok(()) };
        stretch.after_no = last_no;
        holding = looked.holding;
    }
}
