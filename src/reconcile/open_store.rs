//! SQL of breaks that are open when a later file names their orders.

use sqlx::PgConnection;

use super::store::FileKey;
use crate::base::BusinessDay;

/// Locks the open breaks of orders that the file names as paid. Whoever corrects a break locks it first, too: so a correction is either
/// done before the file is compared, and counts in the comparison, or waits until that is over. Call this before the business day is held.
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

/// Closes the open breaks over successes that no file had named so far, and that this file names as paid. Returns how many.
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

/// Changes open breaks over what a channel had said of an order to the amount that its file names, because the channel pays what its file
/// says. What was proposed for the former amount has to be proposed anew; what a comparison has proposed comes from a file already. Where
/// another file names that order as well, nothing is changed: what the two pay together is a break of its own. Returns how many.
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
