//! SQL of what people and partners do to messages (pause, resume, replay, discard), and of the state of delivery.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Counting stops here: beyond it the exact number does not matter.
pub const COUNT_MAX: i64 = 100_000;

/// The state of delivery to a partner.
#[derive(Debug, serde::Serialize)]
pub struct Standing {
    pub paused_at: Option<DateTime<Utc>>,
    pub failures: i16,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub waiting: i64,
    pub dead: i64,
    pub oldest_waiting_at: Option<DateTime<Utc>>,
    /// Only messages with higher numbers are kept.
    pub kept_after_no: i64,
}

/// The state of delivery to a partner, which may never have been sent anything.
pub async fn standing(connection: &mut PgConnection, partner: &str) -> sqlx::Result<Standing> {
    sqlx::query_as!(
        Standing,
        r#"select p.paused_at as "paused_at?", coalesce(p.failures, 0::smallint) as "failures!",
                  p.next_attempt_at as "next_attempt_at?", w.waiting as "waiting!", d.dead as "dead!", w.oldest
                      as "oldest_waiting_at?", coalesce(f.up_to_no, 0) as "kept_after_no!"
           from (values (1)) as one(row) left join outbox_partner p on p.partner = $1
           left join outbox_forgotten f on f.partner = $1
           cross join (select count(*) as waiting, min(created_at) as oldest
                       from (select created_at from outbox where partner = $1 and delivered_at is null and dead_at is null
                             order by message_no limit $2) m) w
           cross join (select count(*) as dead
                       from (select from outbox where partner = $1 and dead_at is not null limit $2) m) d"#,
        partner,
        COUNT_MAX,
    )
    .fetch_one(connection)
    .await
}

/// Partners with messages that wait or were given up, and partners that are paused or were found down.
pub async fn partners_to_look_at(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select partner as "partner!" from outbox_partner_waiting
           union select partner from outbox_partner where paused_at is not null or failures > 0
           order by 1"#
    )
    .fetch_all(connection)
    .await
}

/// Whether to pause or to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pausing {
    Pause,
    Resume,
}

/// Pauses or resumes delivery. Resuming also forgets that the partner was down. `false` if nothing changed.
pub async fn set_paused(
    connection: &mut PgConnection,
    partner: &str,
    pausing: Pausing,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let is_paused = pausing == Pausing::Pause;
    let done = sqlx::query!(
        "insert into outbox_partner as p (partner, failures, next_attempt_at, paused_at)
         select $1, 0, $3::timestamptz, case when $2::bool then $3::timestamptz end
         on conflict (partner) do update
             set paused_at = excluded.paused_at,
                 failures = case when $2 then p.failures else 0 end,
                 next_attempt_at = case when $2 then p.next_attempt_at else $3 end
             where (p.paused_at is null) = $2 or (not $2 and p.failures > 0)",
        partner,
        is_paused,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes every failed message that is to be tried later due at once; returns how many. Messages that were given up stay so.
pub async fn hasten(connection: &mut PgConnection, partner: &str, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        // Locked in the order of numbers, as every statement that changes messages does.
        "with held as materialized (
             select message_no from outbox
             where partner = $1 and delivered_at is null and attempts > 0 and dead_at is null and next_attempt_at > $2
             order by message_no for update)
         update outbox o set next_attempt_at = $2 from held h where o.message_no = h.message_no",
        partner,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Makes a failed message due at once, given up or not. `false` if it never failed or has ended. Its attempts are not set to
/// zero, so that it stays ahead of its object's later messages. The due time of one that is due already is unchanged, because
/// it may be on its way.
pub async fn retry(
    connection: &mut PgConnection,
    partner: &str,
    message_no: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update outbox set next_attempt_at = least(next_attempt_at, $2), dead_at = null, attempts = 1
         where message_no = $1 and partner = $3 and delivered_at is null and attempts > 0",
        message_no,
        now,
        partner,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Messages that were given up and are tried again.
#[derive(Debug)]
pub struct Revived {
    pub messages: i64,
    pub from_no: Option<i64>,
    pub to_no: Option<i64>,
}

/// Makes every message of a partner due at once that was given up, each as [`retry`] does.
pub async fn retry_dead(connection: &mut PgConnection, partner: &str, now: DateTime<Utc>) -> sqlx::Result<Revived> {
    sqlx::query_as!(
        Revived,
        r#"with held as materialized (
               select message_no from outbox where partner = $1 and dead_at is not null order by message_no for update),
           revived as (
               update outbox o set next_attempt_at = least(o.next_attempt_at, $2), dead_at = null, attempts = 1
               from held h where o.message_no = h.message_no returning o.message_no)
           select count(*) as "messages!", min(message_no) as from_no, max(message_no) as to_no from revived"#,
        partner,
        now,
    )
    .fetch_one(connection)
    .await
}

/// Which messages are delivered again.
#[derive(Clone, Copy, Debug)]
pub struct ReplayRange {
    /// Both ends included.
    pub from_no: i64,
    pub to_no: i64,
    /// Only messages that were written then or later.
    pub from_at: Option<DateTime<Utc>>,
    /// Only messages that were written before then.
    pub to_at: Option<DateTime<Utc>>,
}

/// Marks the messages of a range for delivery at once, whatever became of them; returns how many. They count as tried once
/// before, so that they are sent in order and ahead of later messages about their objects, even if a run has passed their
/// numbers. Those that were never tried keep their turn. Each gets a different due time than it had, so that a run that has
/// read it before sees that it was replayed and does not end it.
pub async fn replay(
    connection: &mut PgConnection,
    partner: &str,
    range: ReplayRange,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    // This forces the index on numbers, and so locks messages in the order of numbers as every statement does: to lock a
    // million rows in a query of its own would take as long as to change them.
    sqlx::query_scalar!(
        r#"select set_config(name, 'off', true) as "off!" from unnest(array['enable_seqscan', 'enable_bitmapscan']) as name"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let done = sqlx::query!(
        "update outbox
         set delivered_at = null, dead_at = null, ending = null, last_error = null,
             attempts = case when delivered_at is null and attempts = 0 then 0 else 1 end,
             next_attempt_at = case when next_attempt_at = $4 then $4::timestamptz - interval '1 microsecond' else $4 end
         where partner = $1 and message_no between $2 and $3
               and ($5::timestamptz is null or created_at >= $5) and ($6::timestamptz is null or created_at < $6)",
        partner,
        range.from_no,
        range.to_no,
        now,
        range.from_at,
        range.to_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Ends a failed message without delivery; nothing waits behind it any more. `false` if it never failed or has ended.
pub async fn discard(connection: &mut PgConnection, message_no: i64, action: &Action<'_>) -> sqlx::Result<bool> {
    let why = format!("discarded by {}: {}", action.done_by, action.reason.unwrap_or_default());
    let done = sqlx::query!(
        "update outbox set delivered_at = $2, dead_at = null, ending = 'discarded', last_error = $3
         where message_no = $1 and partner = $4 and delivered_at is null and attempts > 0",
        message_no,
        action.done_at,
        why,
        action.partner,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A message as an operator sees it, in any state.
#[derive(Debug, serde::Serialize)]
pub struct Shown {
    pub message_no: i64,
    pub partner: String,
    pub kind: String,
    pub object_id: Uuid,
    pub body: Value,
    pub created_at: DateTime<Utc>,
    pub attempts: i16,
    pub next_attempt_at: DateTime<Utc>,
    /// When it was delivered, or ended in another way that `ending` names.
    pub delivered_at: Option<DateTime<Utc>>,
    pub dead_at: Option<DateTime<Utc>>,
    pub ending: Option<String>,
    pub last_error: Option<String>,
}

/// A message by its number, of whichever partner.
pub async fn find_message(connection: &mut PgConnection, message_no: i64) -> sqlx::Result<Option<Shown>> {
    sqlx::query_as!(
        Shown,
        "select message_no, partner, kind, object_id, body, created_at, attempts, next_attempt_at, delivered_at, dead_at,
                ending, last_error
         from outbox where message_no = $1",
        message_no
    )
    .fetch_optional(connection)
    .await
}

/// The partner of a message.
pub async fn find_partner_of(connection: &mut PgConnection, message_no: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select partner from outbox where message_no = $1", message_no).fetch_optional(connection).await
}

/// An action on a partner's messages, and who did it.
#[derive(Clone, Debug)]
pub struct Action<'a> {
    pub partner: &'a str,
    /// `pause`, `resume`, `replay` or `discard`.
    pub action: &'static str,
    pub range: Option<(i64, i64)>,
    pub messages: Option<i64>,
    pub done_by: &'a str,
    pub reason: Option<&'a str>,
    pub done_at: DateTime<Utc>,
}

/// Records an action.
pub async fn note(connection: &mut PgConnection, action: &Action<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into outbox_action (partner, action, from_no, to_no, messages, done_by, reason, done_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        action.partner,
        action.action,
        action.range.map(|(from_no, _)| from_no),
        action.range.map(|(_, to_no)| to_no),
        action.messages,
        action.done_by,
        action.reason,
        action.done_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A recorded action.
#[derive(Debug, serde::Serialize)]
pub struct Done {
    pub action: String,
    pub from_no: Option<i64>,
    pub to_no: Option<i64>,
    pub messages: Option<i64>,
    pub done_by: String,
    pub reason: Option<String>,
    pub done_at: DateTime<Utc>,
}

/// The last actions on a partner's messages, or on one of them, the newest first.
pub async fn list_done(
    connection: &mut PgConnection,
    partner: &str,
    message_no: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Done>> {
    sqlx::query_as!(
        Done,
        "select action, from_no, to_no, messages, done_by, reason, done_at from outbox_action
         where partner = $1 and ($2::bigint is null or $2 between from_no and to_no)
         order by action_no desc limit $3",
        partner,
        message_no,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Whether the last action on a message is this one, for the same reason and by the same holder.
pub async fn is_last_action(connection: &mut PgConnection, message_no: i64, action: &Action<'_>) -> sqlx::Result<bool> {
    let is_same = sqlx::query_scalar!(
        r#"select (action = $3 and done_by = $4 and reason is not distinct from $5) as "is_same!"
           from outbox_action where partner = $1 and $2 between from_no and to_no
           order by action_no desc limit 1"#,
        action.partner,
        message_no,
        action.action,
        action.done_by,
        action.reason,
    )
    .fetch_optional(connection)
    .await?;
    Ok(is_same.unwrap_or(false))
}

/// How many messages the last action on the partner was about; `None` unless it is this action, over the same range and by the same
/// holder.
pub async fn count_last_action(connection: &mut PgConnection, action: &Action<'_>) -> sqlx::Result<Option<i64>> {
    let messages = sqlx::query_scalar!(
        r#"select case when action = $2 and done_by = $3 and from_no = $4 and to_no = $5 then messages end as "messages?"
           from outbox_action where partner = $1 order by action_no desc limit 1"#,
        action.partner,
        action.action,
        action.done_by,
        action.range.map(|(from_no, _)| from_no),
        action.range.map(|(_, to_no)| to_no),
    )
    .fetch_optional(connection)
    .await?;
    Ok(messages.flatten())
}
