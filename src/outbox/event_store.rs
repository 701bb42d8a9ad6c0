//! SQL of events as partners read them by cursor, and of failed ones.

use std::ops::Range;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Stretch;
use super::store::Waiting;

/// How many numbers one page looks through: messages of other partners stand between.
pub const SCAN_MAX: i64 = 20_000;

/// A partner's events in a range of numbers, in order, delivered or not; at most `limit`.
pub async fn list(
    connection: &mut PgConnection,
    partner: &str,
    stretch: Stretch,
    limit: i64,
) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"select message_no, kind, object_id, body::text as "body!", created_at, attempts, next_attempt_at
           from outbox where message_no > $2 and message_no <= $3 and partner = $1 order by message_no limit $4"#,
        partner,
        stretch.after_no,
        stretch.up_to_no.min(stretch.after_no.saturating_add(SCAN_MAX)),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// One message of a partner.
pub async fn find(connection: &mut PgConnection, partner: &str, message_no: i64) -> sqlx::Result<Option<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"select message_no, kind, object_id, body::text as "body!", created_at, attempts, next_attempt_at
           from outbox where message_no = $2 and partner = $1"#,
        partner,
        message_no,
    )
    .fetch_optional(connection)
    .await
}

/// The highest number in the table; 0 where it is empty.
pub async fn last_no(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select coalesce(max(message_no), 0) as "last!" from outbox"#).fetch_one(connection).await
}

/// When the message with this number was written, or else the next higher one there is.
pub async fn written_at(connection: &mut PgConnection, message_no: i64) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select created_at from outbox where message_no >= $1 order by message_no limit 1", message_no)
        .fetch_optional(connection)
        .await
}

/// When the newest message was written in a period, among the last thousand.
pub async fn last_within(
    connection: &mut PgConnection,
    during: Range<DateTime<Utc>>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "select max(created_at) from (select created_at from outbox order by message_no desc limit 1000) as newest
         where created_at >= $1 and created_at < $2",
        during.start,
        during.end,
    )
    .fetch_one(connection)
    .await
}

/// A message that failed and has not ended: it is tried again, or was given up.
#[derive(Debug, serde::Serialize)]
pub struct FailedMessage {
    pub message_no: i64,
    pub partner: String,
    pub kind: String,
    pub object_id: Uuid,
    pub attempts: i16,
    pub next_attempt_at: DateTime<Utc>,
    pub dead_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

/// Up to `limit` messages that failed and have not ended, dead ones first, of one partner or of all; not those that are only replayed.
/// `after` is the last message of the page before: whether it is still tried, and its number; `(false, 0)` for the first page.
pub async fn list_failed(
    connection: &mut PgConnection,
    partner: Option<&str>,
    after: (bool, i64),
    limit: i64,
) -> sqlx::Result<Vec<FailedMessage>> {
    let (after_waiting, after_no) = after;
    sqlx::query_as!(
        FailedMessage,
        "select message_no, partner, kind, object_id, attempts, next_attempt_at, dead_at, last_error
         from outbox
         where delivered_at is null and attempts > 0 and last_error is not null and ($1::text is null or partner = $1)
               and ((dead_at is null) > $3 or ((dead_at is null) = $3 and message_no > $4))
         order by dead_at is null, message_no limit $2",
        partner,
        limit,
        after_waiting,
        after_no,
    )
    .fetch_all(connection)
    .await
}
