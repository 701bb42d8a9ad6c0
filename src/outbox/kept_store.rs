//! SQL of removing old messages, and of how far a partner's messages are removed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::Stretch;

/// How many messages one statement looks through: few, because replays wait for it.
const LOOKED_THROUGH_AT_ONCE: i64 = 5_000;

/// How far a partner's messages are removed: all up to this number, and none above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    pub up_to_no: i64,
    /// When the latest of them was written.
    pub last_written_at: DateTime<Utc>,
}

/// How far a partner's messages are removed; `None` where none is. Ask this after reading messages, not before: some may be
/// removed in between.
pub async fn find_forgotten(connection: &mut PgConnection, partner: &str) -> sqlx::Result<Option<Forgotten>> {
    sqlx::query_as!(Forgotten, "select up_to_no, last_written_at from outbox_forgotten where partner = $1", partner)
        .fetch_optional(connection)
        .await
}

/// Prevents the removal of messages until the transaction ends. Only for a transaction that writes no new message: the
/// horizon does not wait for one that holds this lock.
pub async fn forbid_removal(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table outbox_forgotten in share mode").execute(connection).await?;
    Ok(())
}

/// Prevents replays, and removal by anybody else, until the transaction ends, so that what has ended stays so. Only for a
/// transaction that writes no new message, as [`forbid_removal`].
pub async fn forbid_replay(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table outbox_forgotten in share row exclusive mode").execute(connection).await?;
    Ok(())
}

/// What one statement has found.
#[derive(Debug)]
pub struct LookedThrough {
    /// The last number that it looked at, after which the next statement goes on; `None` at the end.
    pub last_no: Option<i64>,
    /// Partners with a message that is kept: all later ones of theirs are kept, too.
    pub holding: Vec<String>,
}

/// Looks through the next messages of a range, in order. Of each partner it removes those that ended before `before`, up to
/// the first that did not; of partners in `holding` it removes none.
pub async fn forget(
    connection: &mut PgConnection,
    stretch: Stretch,
    holding: &[String],
    before: DateTime<Utc>,
) -> sqlx::Result<LookedThrough> {
    sqlx::query_as!(
        LookedThrough,
        r#"with looked_at as materialized (
               select message_no, partner, delivered_at is null or delivered_at >= $4 as is_kept
               from outbox where message_no > $1 and message_no <= $2 order by message_no limit $5),
           first_kept as materialized (
               select partner, min(message_no) as message_no from looked_at where is_kept group by partner
               union all
               select partner, 0 from unnest($3::text[]) as h(partner)),
           gone as (
               delete from outbox o using looked_at l
               where o.message_no = l.message_no and o.delivered_at < $4
                     and not exists (select from first_kept k where k.partner = l.partner and k.message_no <= l.message_no)
               returning o.partner, o.message_no, o.created_at),
           noted as (
               insert into outbox_forgotten as f (partner, up_to_no, last_written_at)
               select partner, max(message_no), max(created_at) from gone group by partner
               on conflict (partner) do update
                   set up_to_no = excluded.up_to_no, last_written_at = greatest(f.last_written_at, excluded.last_written_at))
           select (select max(message_no) from looked_at) as last_no,
                  array(select distinct partner from first_kept) as "holding!""#,
        stretch.after_no,
        stretch.up_to_no,
        holding,
        before,
        LOOKED_THROUGH_AT_ONCE,
    )
    .fetch_one(connection)
    .await
}
