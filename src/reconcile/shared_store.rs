//! SQL of payments that a channel's file names for several orders.

use sqlx::PgConnection;

use super::store::FileKey;
use crate::base::BusinessDay;

/// Opens a break for each final order of ours whose success the file names by a reference that it gives to another order too. What the
/// channel took for it is in doubt then, and stands as nothing. What has no digit but zeros names no payment: a dash, a filled field. Returns how many.
pub async fn open_shared(connection: &mut PgConnection, key: FileKey, today: BusinessDay) -> sqlx::Result<u64> {
    let opened = sqlx::query!(
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
           insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen,
                                             proposed, status, owner, opened_on)
           select gen_random_uuid(), $1, $2, 'shared_reference', withholding_id, our_fen, 0, 'ask_channel', 'open',
                  'comparison', $3
           from doubtful
           on conflict do nothing"#,
        key.channel.name(),
        key.day.date(),
        today.date()
    )
    .execute(connection)
    .await?;
    Ok(opened.rows_affected())
}
