//! The close's step of credit: lines that have expired and owe nothing are closed.

use sqlx::PgConnection;

use crate::app::App;
use crate::base::{AccountRange, BusinessDay};

/// One chunk: few lines expire on one day, and an index finds them.
///
/// # Errors
/// None.
pub async fn plan(
    _connection: &mut PgConnection,
    _day: BusinessDay,
    _chunk_rows: i64,
) -> sqlx::Result<Vec<AccountRange>> {
    Ok(vec![AccountRange::ALL])
}

/// Closes every line whose last day is `day` or earlier and that owes nothing, journals it and tells the funder. A line that
/// owes stays until it is paid; its purchases are refused meanwhile.
pub async fn run(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    range: AccountRange,
) -> anyhow::Result<u64> {
    let closed = sqlx::query_scalar!(
        r#"with expired as (
               select line_id from credit_line
               where expires_on <= $1 and status <> 'closed' and used_fen = 0 and line_id between $2 and $3
                     -- Interest or penalty may be left when all principal is paid; the loan stays open for them.
                     and not exists (select from schedule s join loan o on o.loan_id = s.loan_id and o.line_id = s.line_id
                                     where s.line_id = credit_line.line_id and o.status = 'open')
               order by line_id for update
           ), closed as (
               update credit_line l set status = 'closed', frozen_for = null, last_entry_no = l.last_entry_no + 1
               from expired where l.line_id = expired.line_id and l.line_id between $2 and $3
               returning l.line_id, l.last_entry_no, l.used_fen, l.limit_fen, l.product_id, l.funder_id
           ), journaled as (
               insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen,
                                       limit_after_fen, reason, business_day, occurred_at)
               select line_id, last_entry_no, 'close', 0, 0, used_fen, limit_fen, 'expired', $1, $4 from closed
           ), told as (
               insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at)
               select f.code, 'line_changed', c.line_id,
                      jsonb_build_object('line_id', 'line_' || replace(c.line_id::text, '-', ''), 'change', 'close',
                                         'status', 'closed', 'frozen_for', null, 'limit_fen', c.limit_fen,
                                         'used_fen', c.used_fen, 'business_day', $1::date),
                      $4, $4
               from closed c join funder f using (funder_id)
           )
           select count(*) as "count!" from closed"#,
        day.date(),
        range.from,
        range.to,
        app.clock.now(),
    )
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(closed)?)
}
