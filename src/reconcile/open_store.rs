//! SQL for breaks that are still open when a later file names their orders: they are locked, closed, or changed to the file's amount.

use sqlx::PgConnection;

use super::store::FileKey;
use crate::base::BusinessDay;

/// Locks the open breaks of orders that the file names as paid. A correction locks its break first, too. So it is either done before the
/// file is compared, and counts in the comparison, or waits until the comparison is over. Call this before the business day is held.
pub async fn lock_breaks_named_paid(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<()> {
    sqlx::query_scalar!(
        "select b.break_id
         from reconciliation_break b
              join channel_file_line f on f.channel = b.channel and f.withholding_id = b.withholding_id
         where f.channel = $1 and f.business_day = $2 and f.succeeded and b.status = 'open'
         order by b.break_id for update of b",
        key.channel.name(),
        key.day.date()
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Closes the open `missing_there` breaks of orders that this file names as paid. Returns how many.
pub async fn close_breaks_named_paid(
    connection: &mut PgConnection,
    key: FileKey,
    today: BusinessDay,
) -> sqlx::Result<u64> {
    let closed = sqlx::query!(
        "update reconciliation_break b
         set status = 'corrected', note = 'stands in the file of ' || $2::date, closed_on = $3
         from channel_file_line f
         where f.channel = $1 and f.business_day = $2 and f.succeeded and b.channel = f.channel
           and b.withholding_id = f.withholding_id and b.kind = 'missing_there' and b.status = 'open'",
        key.channel.name(),
        key.day.date(),
        today.date()
    )
    .execute(connection)
    .await?;
    Ok(closed.rows_affected())
}

/// Changes the amount of open breaks to the one that the file names, because the channel pays what its file says. That concerns breaks
/// that a callback opened, or for which a person proposed something; a break whose proposal is a comparison's has its amount from a file
/// already. A proposal for the former amount is dropped and has to be made anew. If another file names the order as well, nothing is
/// changed: what the two pay together is a separate break. Returns how many were changed.
pub async fn take_over_amounts(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<u64> {
    let taken_over = sqlx::query!(
        "update reconciliation_break b
         set their_fen = named.amount_fen, proposed = named.proposed, proposed_by = 'comparison', proposal_no = b.proposal_no + 1
         from (select distinct on (f.withholding_id) f.withholding_id, f.amount_fen,
                      case w.status when 'failed' then 'we_failed_they_succeeded' else 'amount_differs' end as kind,
                      case w.status when 'failed' then 'post' else 'ask_channel' end as proposed
               from channel_file_line f
               join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
               where f.channel = $1 and f.business_day = $2 and f.succeeded
                 and (w.status in ('submitted', 'unknown', 'failed') or w.collected_fen <> f.amount_fen)
               order by f.withholding_id, f.line_no) named
         where b.channel = $1 and b.withholding_id = named.withholding_id and b.kind = named.kind and b.status = 'open'
           and b.their_fen <> named.amount_fen and b.proposed_by <> 'comparison'
           and not exists (select from channel_file_line o
                           join channel_file c on c.channel = o.channel and c.business_day = o.business_day
                           where o.channel = $1 and o.business_day <> $2 and o.withholding_id = named.withholding_id
                             and o.succeeded and c.compared_at is not null)",
        key.channel.name(),
        key.day.date()
    )
    .execute(connection)
    .await?;
    Ok(taken_over.rows_affected())
}
