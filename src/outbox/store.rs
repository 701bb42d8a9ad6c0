//! SQL of the outbox: writing messages, the horizon, and reading and ending them in delivery.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Message;
use super::horizon::{Horizon, Look};
use super::model::{delayed_until_max, left_alone_until_max};

/// Writes messages in the given order, one statement for all of them, in the caller's transaction.
///
/// The order of messages about one object is right because whoever writes about an object has locked it.
pub async fn enqueue(connection: &mut PgConnection, messages: &[Message]) -> sqlx::Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let partner: Vec<&str> = messages.iter().map(|message| message.partner.as_str()).collect();
    let kind: Vec<&str> = messages.iter().map(|message| message.kind).collect();
    let object_id: Vec<Uuid> = messages.iter().map(|message| message.object_id).collect();
    let body: Vec<String> = messages.iter().map(|message| message.body.to_string()).collect();
    let created_at: Vec<DateTime<Utc>> = messages.iter().map(|message| message.created_at).collect();
    sqlx::query!(
        "insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at)
         select m.partner, m.kind, ($3::uuid[])[m.place], m.body::jsonb, ($5::timestamptz[])[m.place],
                ($5::timestamptz[])[m.place]
         from unnest($1::text[], $2::text[], $4::text[]) with ordinality as m(partner, kind, body, place)",
        &partner as &[&str],
        &kind as &[&str],
        &object_id,
        &body,
        &created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Finds the transactions that are writing messages, and moves the horizon as far as they allow. Returns the number up to
/// which every message is visible; see [`Horizon`].
pub async fn advance_horizon(connection: &mut PgConnection) -> sqlx::Result<i64> {
    // The number is read before the writers: a transaction that begins to write in between has a higher one.
    let read = sqlx::query!(
        r#"select h.settled_no as "settled_no!", h.seen_no as "seen_no!", h.writers as "writers!",
                  case when s.is_called then s.last_value else 0 end as "last_no!"
           from outbox_horizon h cross join outbox_message_no_seq s"#
    )
    .fetch_one(&mut *connection)
    .await?;
    let known = Horizon { settled_no: read.settled_no, seen_no: read.seen_no, writers: read.writers };
    let writers = sqlx::query_scalar!(
        // Transactions that replay or remove messages write no new ones, and may last long. They are known by their lock on
        // `outbox_forgotten`, which they take first.
        r#"with locks as materialized (
               select virtualtransaction, relation, mode from pg_locks
               where relation in ('outbox'::regclass, 'outbox_forgotten'::regclass) and pid <> pg_backend_pid()
                     and database = (select oid from pg_database where datname = current_database()))
           select distinct w.virtualtransaction as "writer!" from locks w
           where w.relation = 'outbox'::regclass and w.mode = 'RowExclusiveLock'
                 and not exists (select from locks k
                                 where k.virtualtransaction = w.virtualtransaction and k.relation = 'outbox_forgotten'::regclass
                                       and k.mode in ('ShareLock', 'ShareRowExclusiveLock'))"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let next = known.after(Look { last_no: read.last_no, writers });
    if next != known {
        sqlx::query!(
            "update outbox_horizon set settled_no = greatest(settled_no, $1), seen_no = $2, writers = $3
             where settled_no = $4 and seen_no = $5",
            next.settled_no,
            next.seen_no,
            &next.writers,
            known.settled_no,
            known.seen_no,
        )
        .execute(connection)
        .await?;
    }
    Ok(next.settled_no)
}

/// The horizon as [`advance_horizon`] stored it last, without moving it; it may be further by now.
pub async fn find_horizon(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select settled_no as "settled_no!" from outbox_horizon"#).fetch_one(connection).await
}

/// A waiting message, as delivery reads it.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub message_no: i64,
    pub kind: String,
    pub object_id: Uuid,
    /// JSON text.
    pub body: String,
    pub created_at: DateTime<Utc>,
    pub attempts: i16,
    /// The due time as it was read. A replay changes it, by which a run notices that the message was replayed meanwhile.
    pub next_attempt_at: DateTime<Utc>,
}

/// Partners with waiting messages that may be tried at `now`. A time until which a partner is left alone is ignored if only a
/// clock that ran ahead can have stored it.
pub async fn partners_waiting(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select w.partner as "partner!" from outbox_partner_waiting w left join outbox_partner p using (partner)
           where p.paused_at is null
             and (p.next_attempt_at is null or p.next_attempt_at <= $1 or p.next_attempt_at > $2)"#,
        now,
        left_alone_until_max(now)
    )
    .fetch_all(connection)
    .await
}

/// Takes the session lock for delivery to the partner, which is held until it is released or the connection closes. `false`
/// if another connection holds it.
pub async fn try_lock_partner(connection: &mut PgConnection, partner: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select pg_try_advisory_lock(hashtextextended('outbox ' || $1, 0)) as "locked!""#, partner)
        .fetch_one(connection)
        .await
}

/// Releases the lock, and undoes [`prefer_indexes`]. Closing the connection would do both, but only some time after this
/// process has gone on.
pub async fn unlock_partner(connection: &mut PgConnection, partner: &str) -> sqlx::Result<()> {
    let text = "reset enable_seqscan; reset enable_bitmapscan; reset enable_sort; reset enable_hashjoin";
    sqlx::raw_sql(text).execute(&mut *connection).await?;
    sqlx::query_scalar!("select pg_advisory_unlock(hashtextextended('outbox ' || $1, 0))", partner)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Makes this session read by index order, whatever the statistics of a table that fills and empties say: sorting all that
/// waits for every batch would make delivery quadratic.
pub async fn prefer_indexes(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query_scalar!(
        r#"select set_config(name, 'off', false) as "off!"
           from unnest(array['enable_seqscan', 'enable_bitmapscan', 'enable_sort', 'enable_hashjoin']) as name"#
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// The state of delivery to a partner.
#[derive(Debug)]
pub struct PartnerState {
    /// Runs in a row that found it down.
    pub failures: i16,
    /// Nothing is tried before then.
    pub next_attempt_at: DateTime<Utc>,
    pub paused_at: Option<DateTime<Utc>>,
}

impl PartnerState {
    /// Whether nothing is tried at `now`; see [`partners_waiting`].
    pub fn is_left_alone(&self, now: DateTime<Utc>) -> bool {
        self.next_attempt_at > now && self.next_attempt_at <= left_alone_until_max(now)
    }
}

/// The state of delivery to the partner; `None` where it was never paused and never down.
pub async fn find_partner(connection: &mut PgConnection, partner: &str) -> sqlx::Result<Option<PartnerState>> {
    sqlx::query_as!(
        PartnerState,
        "select failures, next_attempt_at, paused_at from outbox_partner where partner = $1",
        partner
    )
    .fetch_optional(connection)
    .await
}

/// Stores how often in a row the partner was found down, and when it may be tried next.
pub async fn save_partner(
    connection: &mut PgConnection,
    partner: &str,
    failures: i16,
    next_attempt_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into outbox_partner (partner, failures, next_attempt_at) values ($1, $2, $3)
         on conflict (partner) do update set failures = $2, next_attempt_at = $3",
        partner,
        failures,
        next_attempt_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether any message of a partner can still be tried: it was not given up, and stands behind none of its object that was.
pub async fn has_living(connection: &mut PgConnection, partner: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from outbox o
               where o.partner = $1 and o.delivered_at is null and o.dead_at is null
                     and not exists (select from outbox f
                                     where f.partner = o.partner and f.object_id = o.object_id and f.delivered_at is null
                                           and f.attempts > 0 and f.dead_at is not null and f.message_no < o.message_no)
               ) as "has!""#,
        partner
    )
    .fetch_one(connection)
    .await
}

/// Messages that failed before, or are replayed, and are due: an object's in order, and none while an earlier one of the
/// object is not due or was given up. None at all while the partner is paused, and none of the kinds in `but`. What a clock
/// that ran ahead has put off is due.
pub async fn failed_due(
    connection: &mut PgConnection,
    partner: &str,
    now: DateTime<Utc>,
    but: &[&str],
    limit: i64,
) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"select o.message_no, o.kind, o.object_id, o.body::text as "body!", o.created_at, o.attempts,
                  o.next_attempt_at
           from outbox o
           where o.partner = $1 and o.delivered_at is null and o.attempts > 0 and o.dead_at is null
                 and (o.next_attempt_at <= $2 or o.next_attempt_at > $4) and o.kind <> all($5)
                 and not exists (select from outbox f
                                 where f.partner = o.partner and f.object_id = o.object_id
                                       and f.delivered_at is null and f.attempts > 0 and f.message_no < o.message_no
                                       and (f.dead_at is not null or (f.next_attempt_at > $2 and f.next_attempt_at <= $4)))
                 and not exists (select from outbox_partner p where p.partner = $1 and p.paused_at is not null)
           order by o.partner, o.object_id, o.message_no limit $3"#,
        partner,
        now,
        limit,
        delayed_until_max(now),
        but as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// Messages that were never tried, in a range of numbers, in order, without those whose object has a failed one. None while
/// the partner is paused, which is asked for each batch because a run may last long. None of the kinds in `but`, and nothing
/// waits behind these.
pub async fn fresh(
    connection: &mut PgConnection,
    partner: &str,
    numbers: RangeInclusive<i64>,
    but: &[&str],
    limit: i64,
) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"select o.message_no, o.kind, o.object_id, o.body::text as "body!", o.created_at, o.attempts,
                  o.next_attempt_at
           from outbox o
           where o.partner = $1 and o.delivered_at is null and o.message_no between $2 and $4 and o.attempts = 0
                 and o.kind <> all($5)
                 and not exists (select from outbox f
                                 where f.partner = o.partner and f.object_id = o.object_id
                                       and f.delivered_at is null and f.attempts > 0 and f.kind <> all($5))
                 and not exists (select from outbox_partner p where p.partner = $1 and p.paused_at is not null)
           order by o.partner, o.message_no limit $3"#,
        partner,
        *numbers.start(),
        limit,
        *numbers.end(),
        but as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// Stores that messages were delivered. A message that was replayed since it was read stays due; and so does one for whose
/// object an earlier message was replayed, so that they are delivered again in order.
pub async fn mark_delivered(
    connection: &mut PgConnection,
    messages: &[&Waiting],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (message_no, due_at) = as_read(messages);
    // A message that was discarded while it was on its way was delivered after all. Replayed messages are known by having no
    // error.
    sqlx::query!(
        "with arrived as (
             select message_no, due_at from unnest($1::bigint[], $2::timestamptz[]) as m(message_no, due_at))
         update outbox o set delivered_at = $3, ending = null
         from arrived a
         where o.message_no = a.message_no and o.next_attempt_at = a.due_at
               and not exists (select from outbox f
                               where f.partner = o.partner and f.object_id = o.object_id
                                     and f.delivered_at is null and f.attempts > 0 and f.message_no < o.message_no
                                     and f.last_error is null
                                     and (f.message_no, f.next_attempt_at) not in (select message_no, due_at from arrived))",
        &message_no,
        &due_at,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends messages that can never be delivered, with the reason; nothing waits behind them any more.
pub async fn mark_undeliverable(
    connection: &mut PgConnection,
    messages: &[(&Waiting, String)],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut messages = messages.to_vec();
    messages.sort_unstable_by_key(|(message, _)| message.message_no);
    let (messages, why): (Vec<&Waiting>, Vec<String>) = messages.into_iter().unzip();
    let (message_no, due_at) = as_read(&messages);
    sqlx::query!(
        "update outbox o set delivered_at = $4, ending = 'undeliverable', last_error = 'not deliverable: ' || m.why
         from unnest($1::bigint[], $2::timestamptz[], $3::text[]) as m(message_no, due_at, why)
         where o.message_no = m.message_no and o.next_attempt_at = m.due_at and o.delivered_at is null",
        &message_no,
        &due_at,
        &why,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends messages of kinds that their partner does not want; nothing waits behind them any more.
pub async fn mark_not_told(
    connection: &mut PgConnection,
    messages: &[&Waiting],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let (message_no, due_at) = as_read(messages);
    sqlx::query!(
        "update outbox o set delivered_at = $3, ending = 'not_told', last_error = null
         from unnest($1::bigint[], $2::timestamptz[]) as m(message_no, due_at)
         where o.message_no = m.message_no and o.next_attempt_at = m.due_at and o.delivered_at is null",
        &message_no,
        &due_at,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Numbers and due times of messages as they were read, by which a statement changes only messages that were not replayed
/// since. In the order of numbers, in which every statement changes messages, so that none deadlocks; failed ones are read in
/// another order.
fn as_read(messages: &[&Waiting]) -> (Vec<i64>, Vec<DateTime<Utc>>) {
    let mut read: Vec<(i64, DateTime<Utc>)> =
        messages.iter().map(|message| (message.message_no, message.next_attempt_at)).collect();
    read.sort_unstable();
    read.into_iter().unzip()
}

/// A failure of a message: when it is tried again, or that it is given up.
#[derive(Debug)]
pub struct Failed {
    pub message_no: i64,
    /// Its `next_attempt_at` as it was read.
    pub due_at: DateTime<Utc>,
    pub next_attempt_at: DateTime<Utc>,
    pub dead_at: Option<DateTime<Utc>>,
    pub error: String,
}

/// Stores failures. A message that was replayed since it was read stays due as the replay has set it.
pub async fn mark_failed(connection: &mut PgConnection, failed: &[Failed]) -> sqlx::Result<()> {
    let mut failed: Vec<&Failed> = failed.iter().collect();
    failed.sort_unstable_by_key(|message| message.message_no);
    let message_no: Vec<i64> = failed.iter().map(|message| message.message_no).collect();
    let due_at: Vec<DateTime<Utc>> = failed.iter().map(|message| message.due_at).collect();
    let next_attempt_at: Vec<DateTime<Utc>> = failed.iter().map(|message| message.next_attempt_at).collect();
    let dead_at: Vec<Option<DateTime<Utc>>> = failed.iter().map(|message| message.dead_at).collect();
    let error: Vec<&str> = failed.iter().map(|message| message.error.as_str()).collect();
    sqlx::query!(
        "update outbox o
         set attempts = o.attempts + 1, next_attempt_at = f.next_attempt_at, dead_at = f.dead_at, last_error = f.error
         from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::text[])
              as f(message_no, due_at, next_attempt_at, dead_at, error)
         where o.message_no = f.message_no and o.next_attempt_at = f.due_at and o.delivered_at is null",
        &message_no,
        &due_at,
        &next_attempt_at,
        &dead_at as &[Option<DateTime<Utc>>],
        &error as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}
