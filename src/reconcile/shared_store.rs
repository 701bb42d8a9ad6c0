//! SQL that finds payments which a channel names more than once: for one order, or for several.

use sqlx::PgConnection;

use super::model::{BreakKind, Difference};
use super::store::FileKey;
use crate::base::Fen;
use crate::base::id::WithholdingId;
use crate::partner::withholding::ChannelName;

/// Keeps other files of the channel from being compared until the transaction ends. Otherwise, if two files name one order and two nodes
/// compare them at the same moment, neither sees the other file, and no break says that the order is named twice. Call this before
/// anything else is locked.
pub async fn lock_channel(connection: &mut PgConnection, channel: ChannelName) -> sqlx::Result<()> {
    sqlx::query_scalar!(
        r#"select true as "is_locked!" from pg_advisory_xact_lock(hashtextextended('channel files ' || $1, 0))"#,
        channel.name()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Finds orders that were paid more than once: the file names the order's success, another line (of any compared file) or a payment by
/// hand brought money for it too, and the sum is more than was booked. The days do not matter, because a file may come late.
pub async fn find_named_twice(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<Vec<Difference>> {
    sqlx::query_as!(
        Difference,
        r#"with named as (
               select l.withholding_id, sum(l.amount_fen)::bigint as their_fen
               from channel_file_line l
               join channel_file c on c.channel = l.channel and c.business_day = l.business_day
               where l.channel = $1 and l.succeeded and (c.compared_at is not null or c.business_day = $2)
                 and l.withholding_id in (select f.withholding_id from channel_file_line f
                                          where f.channel = $1 and f.business_day = $2 and f.succeeded)
               group by l.withholding_id
               having count(*) > 1
                   or exists (select from reconciliation_break s
                              where s.withholding_id = l.withholding_id and s.settled_fen > 0)),
           booked as (
               select n.withholding_id, n.their_fen,
                      coalesce((select b.booked_fen from withholding_booked b
                                where b.line_id = w.line_id and b.withholding_id = w.withholding_id::text), 0) as our_fen,
                      (select coalesce(sum(settled_fen), 0)::bigint from reconciliation_break s
                       where s.withholding_id = n.withholding_id) as settled_fen
               from named n join withholding w on w.withholding_id = n.withholding_id and w.channel = $1)
           select 'named_twice' as "kind!: BreakKind", withholding_id as "withholding_id!: WithholdingId",
                  our_fen as "ours!: Fen", their_fen as "theirs!: Fen"
           from booked where their_fen + settled_fen > our_fen"#,
        key.channel.name(),
        key.day.date()
    )
    .fetch_all(connection)
    .await
}

/// Finds final orders of ours whose success the file names under a payment reference that it gives to another order too. What the channel
/// took for such an order is in doubt, so `theirs` is zero. References without a digit from 1 to 9 are ignored, because they name no
/// payment: a dash, or a field filled with zeros.
pub async fn find_shared(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<Vec<Difference>> {
    sqlx::query_as!(
        Difference,
        r#"with shared as (
               select channel_reference from channel_file_line
               where channel = $1 and business_day = $2 and succeeded and channel_reference ~ '[1-9]'
               group by channel_reference having count(distinct withholding_id) > 1),
           doubtful as (
               select distinct w.withholding_id, coalesce(w.collected_fen, 0) as our_fen
               from shared s
               join channel_file_line f on f.channel_reference = s.channel_reference
               join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
               where f.channel = $1 and f.business_day = $2 and f.succeeded and w.status in ('succeeded', 'failed'))
           select 'shared_reference' as "kind!: BreakKind", withholding_id as "withholding_id!: WithholdingId",
                  our_fen as "ours!: Fen", 0::bigint as "theirs!: Fen"
           from doubtful"#,
        key.channel.name(),
        key.day.date()
    )
    .fetch_all(connection)
    .await
}
